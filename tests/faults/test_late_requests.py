"""A request that comes too late, into the next transaction: nothing is torn, lost or doubled while an owner decides.

The proxy holds requests past their time-out, loses their answers, refuses them. The same is done to a plain producer
of the library, with its silent second sends or without waiting for its batches: that must be found.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from consumers.limits import OwnerLimits
from consumers.ports import LogUnavailable, NewRecord, Owner, Partition
from infra.kafka import event_log, producer
from infra.kafka.command_log import KafkaCommandLog
from infra.kafka.event_log import KafkaEventLog
from infra.kafka.producer import TransactionalProducer
from schemas.catalog import FAMILIES
from tests.faults.inside import MARKET, OwnerLife, Story
from tests.faults.load import Load
from tests.faults.proxy import ADD_PARTITIONS, ANSWER_LOST, END_TXN, HELD_BACK, PRODUCE, REFUSED, Proxy
from tests.faults.recording import Recording, recording
from tests.faults.witness import TORN

TIMEOUT_MS = 400
BATCH_BYTES = 2_000
"""So that a transaction has several Produce requests, and can be torn between them."""

LIMITS = OwnerLimits(commands=40, append_deadline_s=2.0)
SECOND_BATCH = (ADD_PARTITIONS, PRODUCE, PRODUCE)
"""Up to the second batch of a transaction."""

_LOOK_SECONDS = 0.005


@pytest.fixture(scope="module")
def recorded() -> Recording:
    load = Load(1, markets=1, homes=5, orders=40, whole=False)
    return asyncio.run(recording(load, dict.fromkeys(FAMILIES, 1)))


@pytest.fixture
async def proxy(kafka_bootstrap: str) -> AsyncIterator[Proxy]:
    made = Proxy(kafka_bootstrap)
    await made.start()
    yield made
    await made.stop()


class BehindProxy(KafkaEventLog):
    """An event log whose producers reach the brokers through a proxy."""

    def __init__(self, bootstrap: str, deployment: str, proxy: Proxy) -> None:
        super().__init__(bootstrap, deployment)
        self.bootstrap, self.deployment, self._proxy = bootstrap, deployment, proxy

    async def claim(self, partition: Partition) -> Any:
        owner = await self._claimed(partition)
        self._proxy.carry(owner.producer)
        return owner

    async def _claimed(self, partition: Partition) -> Any:
        return await super().claim(partition)


class PlainOwner:
    """An owner with a producer as the library makes it."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, partition: Partition, awaits: bool) -> None:
        self.producer, self._topic, self._partition, self._awaits = producer, topic, partition, awaits

    async def append(self, records: Sequence[NewRecord], deadline: float) -> None:
        try:
            async with asyncio.timeout(deadline):
                await self.producer.begin_transaction()
                acks = []
                for batch in self._batches(records):
                    acks.append(await self.producer.send_batch(batch, self._topic, partition=self._partition.number))
                if self._awaits:
                    await asyncio.gather(*acks)
                await self.producer.commit_transaction()
        except (KafkaError, TimeoutError, AssertionError) as error:
            raise LogUnavailable(repr(error)) from error

    def _batches(self, records: Sequence[NewRecord]) -> Any:
        return producer.build_batches(self.producer, records)

    async def close(self) -> None:
        try:
            await asyncio.wait_for(self.producer.stop(), 1)
        except (KafkaError, TimeoutError, AssertionError):
            self.producer.client._conns.clear()


class Plain(BehindProxy):
    """Its owners are plain ones."""

    awaits = True

    async def _claimed(self, partition: Partition) -> Owner:
        made = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap,
            transactional_id=f"{self.deployment}.decide.{partition.family}.{partition.number}",
            request_timeout_ms=TIMEOUT_MS,
            max_batch_size=BATCH_BYTES,
        )
        await made.start()
        return PlainOwner(made, self.topic(partition), partition, self.awaits)


class NotAwaited(Plain):
    """Nobody looks at what became of the batches before the commit."""

    awaits = False


async def life(
    kind: type[BehindProxy], bootstrap: str, proxy: Proxy, recorded: Recording, story: Story, seconds: float = 40
) -> list[str]:
    """What differs after a story of troubles."""
    deployment = f"f_{uuid.uuid4().hex[:12]}"
    events, commands = kind(bootstrap, deployment, proxy), KafkaCommandLog(bootstrap, deployment)
    await asyncio.gather(events.start(), commands.start())
    try:
        await events.create([MARKET])
        await commands.create([MARKET])
        return await OwnerLife(recorded, events, commands, LIMITS).live(story, seconds)
    finally:
        await asyncio.gather(events.close(), commands.close())


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        event_log, "TransactionalProducer", partial(TransactionalProducer, request_timeout_ms=TIMEOUT_MS)
    )
    monkeypatch.setattr(producer, "MAX_BATCH_BYTES", BATCH_BYTES)


def late(proxy: Proxy, kind: int, *moments: Sequence[int]) -> Story:
    """Holds a request back, and delivers it before the last of these kinds of requests that come after it."""

    async def story(_: OwnerLife) -> None:
        for kinds in moments:
            proxy.trouble(kind, HELD_BACK)
            while not proxy.held:
                await asyncio.sleep(_LOOK_SECONDS)
            proxy.deliver_late_before(*kinds)
            while proxy.held:
                await asyncio.sleep(_LOOK_SECONDS)

    return story


def troubled(proxy: Proxy, *troubles: tuple[int, str, Sequence[int]]) -> Story:
    """Makes these troubles (kind, how, behind which others), one after the other."""

    async def story(_: OwnerLife) -> None:
        for kind, silence, behind in troubles:
            proxy.trouble(kind, silence, behind)
            while proxy.troubling:
                await asyncio.sleep(_LOOK_SECONDS)

    return story


@pytest.mark.parametrize("kind", [END_TXN, ADD_PARTITIONS, PRODUCE])
async def test_what_comes_late_tears_nothing(
    kafka_bootstrap: str, proxy: Proxy, recorded: Recording, kind: int
) -> None:
    moments = ((ADD_PARTITIONS,), (ADD_PARTITIONS, PRODUCE), SECOND_BATCH, (ADD_PARTITIONS, END_TXN))
    assert await life(BehindProxy, kafka_bootstrap, proxy, recorded, late(proxy, kind, *moments)) == []
    assert proxy.delivered == len(moments)


async def test_what_is_not_answered_or_refused_is_not_lost(
    kafka_bootstrap: str, proxy: Proxy, recorded: Recording
) -> None:
    story = troubled(
        proxy,
        (END_TXN, ANSWER_LOST, ()),
        (PRODUCE, ANSWER_LOST, SECOND_BATCH[:-1]),
        (ADD_PARTITIONS, ANSWER_LOST, ()),
        (PRODUCE, REFUSED, ()),
        (PRODUCE, REFUSED, SECOND_BATCH[:-1]),
        (END_TXN, ANSWER_LOST, ()),
    )
    assert await life(BehindProxy, kafka_bootstrap, proxy, recorded, story) == []


async def test_the_second_sends_of_the_library_are_found(
    kafka_bootstrap: str, proxy: Proxy, recorded: Recording
) -> None:
    found = await life(Plain, kafka_bootstrap, proxy, recorded, late(proxy, END_TXN, SECOND_BATCH))
    print(found)
    assert TORN in " ".join(found), "nothing is torn any more: is the own producer still needed?"


async def test_batches_that_nobody_awaits_are_found(kafka_bootstrap: str, proxy: Proxy, recorded: Recording) -> None:
    story = troubled(proxy, (PRODUCE, REFUSED, SECOND_BATCH[:-1]))
    found = await life(NotAwaited, kafka_bootstrap, proxy, recorded, story, seconds=2.5)
    print(found)
    assert TORN in " ".join(found), "the library looks at its batches now: is the own producer still needed?"
