"""Who works on which partitions, by a consumer group `<deployment>.<role>`.

Only membership: records are never fetched through the group, and its offsets are for displays of lag.
"""

import asyncio
import contextlib
from collections.abc import Collection, Mapping, Sequence
from typing import Final, Literal

from aiokafka.client import AIOKafkaClient
from aiokafka.structs import TopicPartition

from consumers.ports import Partition
from infra.kafka.connection import connect, disconnect
from infra.kafka.member import Member
from infra.kafka.topics import partition_in, topic_name

SESSION_MS: Final = 6_000
"""After so long without a sign of life others are asked instead; the least that brokers allow unless told."""
HEARTBEAT_MS: Final = 500
"""How soon members hear that somebody came or went."""
LOST_SECONDS: Final = 20.0
"""Without a word from the group for so long, it has certainly put this member out: a session, and the time that
a cluster takes to find another coordinator."""
COMMIT_SECONDS: Final = 5.0
LEAVE_SECONDS: Final = 2.0
_REBALANCE_MS: Final = SESSION_MS
_REQUEST_TIMEOUT_MS: Final = _REBALANCE_MS + 2_000  # a join is answered when all have joined
_METADATA_MS: Final = 10_000  # a topic that is made later is shared out so soon


class KafkaGroup:
    """`consumers.ports.Group` on a Kafka cluster. May join again after it has left.

    While nobody answers, what was said last holds for `lost_seconds`; the membership goes on by itself when
    the broker is back.

    Args:
        bootstrap: `host:port`, several divided by commas.
        deployment: the first part of the group's id and of every topic.
        role: the second part of the group's id.
        logs: whose partitions are shared out.
    """

    def __init__(
        self,
        bootstrap: str,
        deployment: str,
        role: str,
        logs: Literal["commands", "events"],
        *,
        session_ms: int = SESSION_MS,
        heartbeat_ms: int = HEARTBEAT_MS,
        lost_seconds: float = LOST_SECONDS,
        commit_seconds: float = COMMIT_SECONDS,
    ) -> None:
        self.name = f"{deployment}.{role}"
        self._bootstrap = bootstrap
        self._prefix = f"{deployment}.{logs}"
        self._session_ms, self._heartbeat_ms = session_ms, heartbeat_ms
        self._lost_seconds, self._commit_seconds = lost_seconds, commit_seconds
        self._client: AIOKafkaClient | None = None
        self._member: Member | None = None
        self._committing: asyncio.Task[None] | None = None
        self._given: frozenset[Partition] = frozenset()  # what the group said last
        self._assigned: frozenset[Partition] = frozenset()
        self._changed = asyncio.Event()
        self._lost: asyncio.TimerHandle | None = None
        self._heard = 0.0
        self._reached: dict[Partition, int] = {}
        self._stored: dict[Partition, int] = {}

    async def join(self, partitions: Sequence[Partition]) -> None:
        """As `Group.join`.

        Raises:
            KafkaUnreachable: nobody answers.
        """
        await self.leave()
        topics = {topic_name(self._prefix, partition) for partition in partitions}
        self._client = await connect(
            self._bootstrap,
            f"{self.name}.member",
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
            metadata_max_age_ms=_METADATA_MS,
        )
        self._client.set_topics(topics)
        self._member = Member(
            self._client,
            self.name,
            topics,
            session_ms=self._session_ms,
            heartbeat_ms=self._heartbeat_ms,
            rebalance_ms=_REBALANCE_MS,
            given=self._hear,
            alive=self._confirm,
        )
        self._committing = asyncio.create_task(self._commit_now_and_then(self._member))

    @property
    def assigned(self) -> frozenset[Partition]:
        """As `Group.assigned`."""
        return self._assigned

    @property
    def trouble(self) -> str | None:
        """What stands against the membership now, for people; none while it stands, or nothing was said yet."""
        if self._lost is None and self._heard:
            return f"the group {self.name} has not answered for {self._lost_seconds:.0f} s"
        return self._member.trouble if self._member is not None else None

    async def changed(self, known: frozenset[Partition], timeout: float) -> frozenset[Partition]:
        """As `Group.changed`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self._assigned == known:
                    await self._changed.wait()
        return self._assigned

    def reached(self, positions: Mapping[Partition, int]) -> None:
        """As `Group.reached`; stored every few seconds, for what is assigned at that time."""
        self._reached.update(positions)

    async def leave(self) -> None:
        """As `Group.leave`; after a few seconds it is done, whoever answers."""
        member, self._member = self._member, None
        client, self._client = self._client, None
        committing, self._committing = self._committing, None
        if self._lost is not None:
            self._lost.cancel()
            self._lost = None
        if committing is not None:
            committing.cancel()
            await asyncio.wait({committing})
        if member is not None:
            await self._commit(member)
        self._given, self._heard = frozenset(), 0.0
        self._assign(self._given)
        self._reached.clear()
        self._stored.clear()
        if member is not None:
            with contextlib.suppress(Exception):  # then the session expires
                async with asyncio.timeout(LEAVE_SECONDS):
                    await member.stop()
        if client is not None:
            await disconnect(client)

    # ------------------------------------------------------------------ what the group says

    def _hear(self, partitions: Collection[TopicPartition]) -> None:
        given = (partition_in(self._prefix, topic, index) for topic, index in partitions)
        self._given = frozenset(partition for partition in given if partition is not None)
        self._assign(self._given)

    def _confirm(self) -> None:
        loop = asyncio.get_running_loop()
        self._heard = loop.time()
        if self._lost is None:
            self._lost = loop.call_later(self._lost_seconds, self._look_at_the_clock)
        self._assign(self._given)

    def _look_at_the_clock(self) -> None:
        loop = asyncio.get_running_loop()
        left = self._heard + self._lost_seconds - loop.time()
        if left > 0:
            self._lost = loop.call_later(left, self._look_at_the_clock)
        else:
            self._lost = None
            self._assign(frozenset())

    def _assign(self, partitions: frozenset[Partition]) -> None:
        if partitions != self._assigned:
            self._assigned = partitions
            self._changed.set()
            self._changed = asyncio.Event()

    # ------------------------------------------------------------------ positions for displays

    async def _commit_now_and_then(self, member: Member) -> None:
        while True:
            await asyncio.sleep(self._commit_seconds)
            await self._commit(member)

    async def _commit(self, member: Member) -> None:
        self._reached = {partition: at for partition, at in self._reached.items() if partition in self._assigned}
        news = {partition: at for partition, at in self._reached.items() if self._stored.get(partition) != at}
        if not news:
            return
        positions = {TopicPartition(topic_name(self._prefix, to), to.index): at for to, at in news.items()}
        with contextlib.suppress(Exception):  # a display is late, that is all
            async with asyncio.timeout(LEAVE_SECONDS):
                if await member.commit(positions):
                    self._stored.update(news)
