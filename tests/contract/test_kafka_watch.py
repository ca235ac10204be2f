"""Waiting for news on Kafka: nobody is forgotten, a quiet process asks seldom, "no" means that nothing was there."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from consumers.ports import LogUnavailable, NewRecord, Partition
from infra.kafka import watch
from infra.kafka.command_log import KafkaCommandLog

FAMILY = [Partition("market", n) for n in range(12)]
SOON = 1.5  # seconds, far above what news take and below a poll of the last lane as these tests have it
LONG_MS = 2_500


@pytest.fixture
async def log(kafka_bootstrap: str, deployment: str) -> AsyncIterator[KafkaCommandLog]:
    made = KafkaCommandLog(kafka_bootstrap, deployment)
    await made.start()
    await made.create(FAMILY)
    await made.send([(partition, record(b"first")) for partition in FAMILY], 5)
    yield made
    await made.close()


@pytest.fixture
def polls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Lane and number of positions of every poll."""
    seen: list[tuple[str, int]] = []
    fetch = watch.fetch

    async def counted(client: Any, node: int, at: Any, wait_ms: int, lane: str) -> Any:
        seen.append((lane, len(at)))
        return await fetch(client, node, at, wait_ms, lane)

    monkeypatch.setattr(watch, "fetch", counted)
    return seen


async def test_nobody_is_forgotten(log: KafkaCommandLog, monkeypatch: pytest.MonkeyPatch) -> None:
    # Who falls between two polls would hear of nothing until the long one comes back.
    monkeypatch.setattr(watch, "LANES_MS", (*watch.LANES_MS[:-1], LONG_MS))
    chance = random.Random(7)
    heard = dict.fromkeys(FAMILY, 0)
    news = asyncio.Event()

    async def follow(partition: Partition) -> None:
        position = await log.end(partition)
        while True:
            if await log.wait(partition, position, 30):
                batch = await log.read(partition, position, 10)
                position = batch.next
                heard[partition] += len(batch.records)
                news.set()

    followers = [asyncio.create_task(follow(partition)) for partition in FAMILY]
    await asyncio.sleep(0.3)  # all have been asked for in vain
    sent = dict.fromkeys(FAMILY, 0)
    for _ in range(150):
        some = chance.sample(FAMILY, chance.choice((1, 1, 1, 2, 5)))
        for partition in some:
            sent[partition] += 1
        await log.send([(partition, record(b"news")) for partition in some], 5)
        async with asyncio.timeout(SOON):
            while heard != sent:
                news.clear()
                await news.wait()
        await asyncio.sleep(chance.choice((0, 0, 0, 0.001, 0.01, 0.03)))
    for follower in followers:
        follower.cancel()
    await asyncio.gather(*followers, return_exceptions=True)


async def test_a_quiet_process_asks_seldom(
    log: KafkaCommandLog, polls: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LANES_MS", (5, 25, 50, 200))
    ends = await asyncio.gather(*map(log.end, FAMILY))

    async def follow(partition: Partition, end: int) -> None:
        for _ in range(3):  # one wait after the other, as a loop does that has something else to look at
            assert not await log.wait(partition, end, 0.2)
            await asyncio.sleep(0.1)

    following = asyncio.gather(*(follow(partition, end) for partition, end in zip(FAMILY, ends, strict=True)))
    await asyncio.sleep(0.15)
    # To begin with, those that come late to the first poll are asked for in shorter ones.
    assert len(polls) <= 12
    polls.clear()
    await following
    assert 2 <= len(polls) <= 5
    assert set(polls) == {("watch 3", 12)}, "who comes back after a moment is still asked for"


async def test_who_begins_to_wait_need_not_wait_for_others(
    log: KafkaCommandLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LANES_MS", (*watch.LANES_MS[:-1], LONG_MS))
    first, second = FAMILY[:2]
    others = asyncio.create_task(log.wait(first, 1, 30))
    await asyncio.sleep(0.3)  # it is in the long poll by now
    waiting = asyncio.create_task(log.wait(second, 1, 30))
    await asyncio.sleep(0.02)
    await log.send([(second, record(b"news"))], 5)
    assert await asyncio.wait_for(waiting, SOON)
    assert not others.done()
    others.cancel()


async def test_no_means_that_nothing_was_there(log: KafkaCommandLog, monkeypatch: pytest.MonkeyPatch) -> None:
    async def lost(*_: Any) -> Any:
        await asyncio.sleep(60)

    monkeypatch.setattr(watch, "fetch", lost)
    partition = FAMILY[0]
    waiting = asyncio.create_task(log.wait(partition, 1, 0.2))
    await asyncio.sleep(0.05)
    await log.send([(partition, record(b"news"))], 5)
    assert await waiting, "no poll has said anything: the end is asked for"


async def test_an_answer_from_before_says_nothing_of_now(log: KafkaCommandLog, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch, answered, release, calls = watch.fetch, asyncio.Event(), asyncio.Event(), 0

    async def held_back(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > 1:
            await asyncio.sleep(60)
        answer = await fetch(*arguments)
        answered.set()
        await release.wait()
        return answer

    monkeypatch.setattr(watch, "fetch", held_back)
    assert not await log.wait(FAMILY[0], 1, 0.01)
    await answered.wait()
    await log.send([(FAMILY[0], record(b"news"))], 5)
    waiting = asyncio.create_task(log.wait(FAMILY[0], 1, 0.1))
    await asyncio.sleep(0)
    release.set()
    assert await waiting


async def test_two_positions_of_one_partition(log: KafkaCommandLog) -> None:
    partition = FAMILY[0]
    ahead = asyncio.create_task(log.wait(partition, 1, 30))
    assert await log.wait(partition, 0, 5)
    assert not ahead.done()
    await log.send([(partition, record(b"news"))], 5)
    assert await asyncio.wait_for(ahead, SOON)


async def test_a_broker_that_fails_is_left_alone(log: KafkaCommandLog, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    async def refused(*_: Any) -> Any:
        nonlocal asked
        asked += 1
        raise ConnectionError

    fetch = watch.fetch
    monkeypatch.setattr(watch, "fetch", refused)
    waiting = [asyncio.create_task(log.wait(partition, 1, 30)) for partition in FAMILY]
    await asyncio.sleep(0.75)  # pauses of 0.1, 0.2, 0.4 s
    assert 2 <= asked <= 4
    monkeypatch.setattr(watch, "fetch", fetch)
    await log.send([(partition, record(b"news")) for partition in FAMILY], 5)
    assert all(await asyncio.wait_for(asyncio.gather(*waiting), SOON))


async def test_a_partition_without_a_leader_is_waited_for(
    log: KafkaCommandLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = log._reader.client.cluster
    leader, asked = cluster.leader_for_partition, 0

    def none(_: Any) -> int:
        nonlocal asked
        asked += 1
        return -1

    monkeypatch.setattr(cluster, "leader_for_partition", none)
    waiting = asyncio.create_task(log.wait(FAMILY[0], 1, 30))
    await asyncio.sleep(0.4)
    assert 2 <= asked <= 4
    monkeypatch.setattr(cluster, "leader_for_partition", leader)
    await log.send([(FAMILY[0], record(b"news"))], 5)
    assert await asyncio.wait_for(waiting, SOON)


async def test_nothing_is_kept_of_those_who_went(log: KafkaCommandLog) -> None:
    for round_ in range(30):
        tasks = [asyncio.create_task(log.wait(partition, 1, 30)) for partition in FAMILY]
        await asyncio.sleep(0.005 if round_ % 2 else 0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0.3)
    await log.send([(FAMILY[0], record(b"news"))], 5)
    assert await log.wait(FAMILY[0], 1, SOON)
    watch = log._reader._watch
    async with asyncio.timeout(SOON):  # a busy machine lets its questions end later
        while watch._waits or len(watch._busy) > 1:
            await asyncio.sleep(0.01)


async def test_the_closed_say_so(log: KafkaCommandLog) -> None:
    waiting = [asyncio.create_task(log.wait(partition, 1, 30)) for partition in FAMILY]
    await asyncio.sleep(0.01)
    await log.close()
    for outcome in await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), SOON):
        assert isinstance(outcome, LogUnavailable)


def record(value: bytes) -> NewRecord:
    return NewRecord(b"key", value)
