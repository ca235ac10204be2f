"""Membership in a consumer group without consuming: the library's coordinator, kept alive through anything.

aiokafka's `GroupCoordinator` joins, sends heartbeats and joins again. It is made for a consumer that is asked
for records: it waits for that to fetch an error, stops after one that it does not expect (a coordinator that
is loading is one), and leaves when no records are fetched. Here none of that ends the membership.

`tests/contract/test_kafka_group.py` pins the sources of what is touched.
"""

import asyncio
import random
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import KafkaError
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.group import LeaveGroupRequest
from aiokafka.structs import TopicPartition

from infra.kafka.sharing import Holding, Sharing

_RETRY_MS: Final = 250
_FIRST_PAUSE_SECONDS: Final = 0.25
_LONGEST_PAUSE_SECONDS: Final = 5.0
_STOP_SECONDS: Final = 0.5

Heard = Callable[[Collection[TopicPartition]], None]


class Member(GroupCoordinator):  # type: ignore[misc]
    """One member of a group, from its making until `stop`.

    Args:
        client: its connections; the member does not close them.
        group: the group's id.
        topics: what it would work on.
        session_ms: after so long without a heartbeat the group puts it out.
        heartbeat_ms: how often it shows that it lives, and hears of changes.
        rebalance_ms: how long the group waits for members that must join again.
        given: called with every assignment; with nothing when the group has put it out.
        alive: called when the group has confirmed the membership.
    """

    def __init__(
        self,
        client: AIOKafkaClient,
        group: str,
        topics: Collection[str],
        *,
        session_ms: int,
        heartbeat_ms: int,
        rebalance_ms: int,
        given: Heard,
        alive: Callable[[], None],
    ) -> None:
        self._given = given
        self._alive = alive
        self._pause = _FIRST_PAUSE_SECONDS
        self.trouble: str | None = None
        """What the group said against us last; none while the membership stands."""
        subscription = SubscriptionState()
        subscription.register_fetch_waiters([])
        self._fetching = subscription.fetch_context()
        self._fetching.__enter__()  # never ends: who seems to fetch is never idle
        subscription.subscribe(set(topics), _Listener(self._assigned))
        super().__init__(
            client,
            subscription,
            group_id=group,
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=heartbeat_ms,
            rebalance_timeout_ms=rebalance_ms,
            retry_backoff_ms=_RETRY_MS,
            enable_auto_commit=False,
            assignors=(Sharing(self._holding),),
        )

    async def commit(self, positions: Mapping[TopicPartition, int]) -> bool:
        """Stores positions for whoever looks at the group; false when this is no time for it.

        Raises:
            KafkaError: no answer.
        """
        # While the group changes, a commit would be refused, and the library would take that for the end.
        if self.coordinator_id is None or self.generation < 0 or self._subscription.reassignment_in_progress:
            return False
        topics: dict[str, list[tuple[int, int, str]]] = {}
        for where, position in positions.items():
            topics.setdefault(where.topic, []).append((where.partition, position, ""))
        request = OffsetCommitRequest(
            self.group_id,
            self.generation,
            self.member_id,
            OffsetCommitRequest.DEFAULT_RETENTION_TIME,
            list(topics.items()),
        )
        response = await self._send_req(request)
        return not any(code for _, partitions in response.topics for _, code in partitions)

    async def stop(self) -> None:
        """Leaves, so that the others hear of it with their next heartbeat.

        Raises:
            KafkaError: nobody answers; then the session expires.
        """
        if not self._closing.done():
            self._closing.set_result(None)
        tasks = [task for task in (self._coordination_task, self._heartbeat_task, self._commit_refresh_task) if task]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=_STOP_SECONDS)
        for task in tasks:
            if task.done() and not task.cancelled():
                task.exception()  # its end was wished
        if self.coordinator_id is not None and self.member_id:
            # On a connection of its own: on the other one a join may wait for its answer.
            await self._client.send(
                self.coordinator_id, LeaveGroupRequest(self.group_id, self.member_id), group="leave"
            )

    # ------------------------------------------------------------------ what the library calls

    async def _coordination_routine(self) -> None:
        while not self._closing.done():
            try:
                await super()._coordination_routine()
            except KafkaError as error:
                await self._push_error_to_user(error)

    async def _push_error_to_user(self, error: KafkaError) -> None:
        """There is no user who could fetch it: after a pause, longer each time, the member joins again."""
        self.trouble = str(error) or type(error).__name__
        pause = self._pause * random.uniform(0.5, 1)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
        self.request_rejoin()
        await asyncio.wait([self._closing], timeout=pause)

    async def _do_heartbeat(self) -> bool:
        try:
            alive = bool(await super()._do_heartbeat())
        except KafkaError as error:  # "loading" is one: asking again is right
            self.trouble = str(error) or type(error).__name__
            return False
        if alive:
            self._confirmed()
        return alive

    def reset_generation(self) -> None:
        """The group has put this member out."""
        super().reset_generation()
        self._given(())

    # -------------------------------------------------------------------------------------------------

    def _assigned(self, partitions: Collection[TopicPartition]) -> None:
        self._given(partitions)
        self._confirmed()

    def _confirmed(self) -> None:
        self.trouble = None
        self._pause = _FIRST_PAUSE_SECONDS
        self._alive()

    def _holding(self) -> Holding:
        return self.generation, self._subscription.assigned_partitions()


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, assigned: Heard) -> None:
        self._assigned = assigned

    def on_partitions_revoked(self, revoked: Any) -> None:
        """Nothing: what is kept need not stop, and what goes is known with the next assignment."""

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self._assigned(assigned)
