"""What `CommandLog` promises, for every backend alike."""

import asyncio
import random

import pytest

from consumers.ports import LogUnavailable, NewRecord, Partition
from tests.contract.backends import (
    DEADLINE,
    Backend,
    P,
    StartedCommandLog,
    number,
    numbers,
    read_all,
    record,
)

OTHER = Partition("market", 1)
ELSEWHERE = Partition("meter", 0)


async def _log(backend: Backend, deployment: str) -> StartedCommandLog:
    log = await backend.commands(deployment)
    await log.create([P, OTHER, ELSEWHERE])
    return log


async def _send(log: StartedCommandLog, *what: int, partition: Partition = P) -> None:
    await log.send([(partition, record(n)) for n in what], DEADLINE)


async def test_new_partition_is_empty(backend: Backend, deployment: str) -> None:
    log = await _log(backend, deployment)
    assert await log.end(P) == 0
    batch = await log.read(P, 0, 10)
    assert (batch.records, batch.next) == ((), 0)


async def test_commands_keep_their_order(backend: Backend, deployment: str) -> None:
    log = await _log(backend, deployment)
    await _send(log, 0)
    await _send(log, *range(1, 200))
    await _send(log, 200)
    assert await numbers(log) == list(range(201))


async def test_read_takes_any_position_and_limit(backend: Backend, deployment: str) -> None:
    log = await _log(backend, deployment)
    await _send(log, *range(20))
    await _send(log, *range(20, 40))
    whole = await read_all(log)
    for start in (0, 1, 19, 20, 39):
        for limit in (1, 3, 1000):
            assert await read_all(log, position=whole[start].position, limit=limit) == whole[start:]


async def test_one_send_to_many_partitions(backend: Backend, deployment: str) -> None:
    log = await _log(backend, deployment)
    partitions = [P, OTHER, ELSEWHERE]
    await log.send([(partitions[n % 3], record(n)) for n in range(30)], DEADLINE)
    for n, partition in enumerate(partitions):
        assert await numbers(log, partition) == list(range(n, 30, 3))


async def test_nothing_to_send_is_no_error(backend: Backend, deployment: str) -> None:
    log = await _log(backend, deployment)
    await log.send([], DEADLINE)
    assert await numbers(log) == []


async def test_bytes_survive(backend: Backend, deployment: str) -> None:
    every_byte = bytes(range(256))
    written = [
        NewRecord(b"", b"empty key"),
        NewRecord(b"empty value", b""),
        NewRecord(b"", b"", (("", b""),)),
        NewRecord(every_byte, every_byte * 40, (("all", every_byte), ("none", b""))),
        NewRecord(b"k", b"v", (("twice", b"1"), ("twice", b"2"), ("käse-Ω", b"\x00\xff"))),
        NewRecord(b"k" * 5000, b"\x00" * 100_000, tuple((f"h{n}", bytes([n])) for n in range(200))),
    ]
    log = await _log(backend, deployment)
    await log.send([(P, one) for one in written], DEADLINE)
    for reader in (log, await backend.commands(deployment)):
        stored = await read_all(reader)
        assert [NewRecord(one.key, one.value, one.headers) for one in stored] == written


async def test_large_send(backend: Backend, deployment: str) -> None:
    log = await _log(backend, deployment)
    await log.send([(P, record(n, 400)) for n in range(5000)], 30)
    assert await numbers(await backend.commands(deployment)) == list(range(5000))


async def test_sent_is_stored(backend: Backend, deployment: str) -> None:
    log, reader = await _log(backend, deployment), await backend.commands(deployment)
    for n in range(20):
        await _send(log, n)
        assert (await read_all(reader))[-1].value == record(n).value


async def test_own_commands_are_read_as_others_read_them(backend: Backend, deployment: str) -> None:
    log, other = await _log(backend, deployment), await backend.commands(deployment)
    for first in (0, 100):
        await asyncio.gather(*(_send(log, *range(n, n + n % 7 + 1)) for n in range(first, first + 50, 10)))
        await _send(other, first + 99)
        await _send(log, first + 98)
    assert await read_all(log) == await read_all(other)
    assert len(set(await numbers(other))) == len(await numbers(other))


async def test_many_senders_each_in_order(backend: Backend, deployment: str) -> None:
    """A sender is a task that sends one after the other; senders share log objects, or do not."""
    logs = [await _log(backend, deployment), *[await backend.commands(deployment) for _ in range(2)]]
    partitions = [P, OTHER, ELSEWHERE]
    rng = random.Random(1)

    async def sender(s: int) -> None:
        n = 0
        while n < 60:
            count = rng.randint(1, 5)
            order = rng.sample(partitions, 3)  # one send takes the partitions in any order
            await logs[s % 3].send(
                [(where, record(s * 1000 + n + k)) for k in range(count) for where in order], DEADLINE
            )
            n += count

    await asyncio.gather(*(sender(s) for s in range(12)))
    for partition in partitions:
        found: dict[int, list[int]] = {}
        for n in await numbers(logs[0], partition):
            found.setdefault(n // 1000, []).append(n % 1000)
        assert sorted(found) == list(range(12))
        for of_sender in found.values():
            assert of_sender == list(range(len(of_sender)))
            assert len(of_sender) >= 60


async def test_many_sends_at_once_to_one_partition_have_time_for_all(backend: Backend, deployment: str) -> None:
    """None is told that its time is up because it waited for the others."""
    log, sends, size = await _log(backend, deployment), 150, 9
    await asyncio.gather(*(_send(log, *range(n * size, (n + 1) * size)) for n in range(sends)))
    found = await numbers(log)
    assert sorted(found) == list(range(sends * size))
    assert all(found[at] + size - 1 == found[at + size - 1] for at in range(0, len(found), size)), "each in one piece"


async def test_reader_never_passes_over_a_gap(backend: Backend, deployment: str) -> None:
    """A reader that follows many senders finds what somebody finds who reads it all afterwards."""
    writers = [await _log(backend, deployment), *[await backend.commands(deployment) for _ in range(2)]]
    reader = await backend.commands(deployment)
    followed: list[int] = []

    async def follow() -> None:
        position = 0
        while len(followed) < 300:
            batch = await reader.read(P, position, 7)
            followed.extend(number(one) for one in batch.records)
            if batch.next == position:
                await reader.wait(P, position, 0.05)
            position = batch.next

    async def sender(s: int) -> None:
        for n in range(100):
            await _send(writers[s], s * 1000 + n)

    following = asyncio.create_task(follow())
    await asyncio.gather(*(sender(s) for s in range(3)))
    await asyncio.wait_for(following, 30)
    assert followed == await numbers(writers[0])


async def test_create_again_changes_nothing(backend: Backend, deployment: str) -> None:
    log = await _log(backend, deployment)
    await _send(log, 1, 2)
    other = await backend.commands(deployment)
    await asyncio.gather(log.create([P, OTHER, ELSEWHERE]), other.create([ELSEWHERE, OTHER, P]))
    assert await numbers(other) == [1, 2]


@pytest.mark.parametrize("count", [1, 3])
async def test_another_number_of_partitions_is_refused(backend: Backend, deployment: str, count: int) -> None:
    log = await _log(backend, deployment)
    await _send(log, 1, 2)
    for same in (log, await backend.commands(deployment)):
        with pytest.raises(LogUnavailable, match=f"it has 2 partitions instead of {count}"):
            await same.create([Partition("market", n) for n in range(count)])
        await same.create([OTHER, P])
    assert await numbers(log) == [1, 2]


async def test_of_two_numbers_of_partitions_one_wins(backend: Backend, deployment: str) -> None:
    logs = [await _log(backend, deployment) for _ in range(2)]
    for attempt in range(3 if backend.name == "kafka" else 20):
        wishes = [[Partition(f"family{attempt}", n) for n in range(count)] for count in (1, 3)]
        asked = [log.create(wish) for log, wish in zip(logs, wishes, strict=True)]
        fates = await asyncio.gather(*asked, return_exceptions=True)
        assert [isinstance(fate, LogUnavailable) for fate in fates] in ([True, False], [False, True])


async def test_restart_finds_everything_where_it_was(backend: Backend, deployment: str) -> None:
    log = await _log(backend, deployment)
    await _send(log, 1, 2)
    await _send(log, 3)
    before, end = await read_all(log), await log.end(P)
    await log.close()
    again = await backend.commands(deployment)
    assert await read_all(again) == before
    assert await again.end(P) == end
    await _send(again, 4)
    after = await read_all(again)
    assert after[:3] == before
    assert after[3].position >= end


async def test_deployments_are_apart(backend: Backend, deployment: str) -> None:
    one, two = await _log(backend, deployment), await _log(backend, deployment + "2")
    await _send(one, 1)
    await _send(two, 2)
    assert (await numbers(one), await numbers(two)) == ([1], [2])


async def test_missed_deadline_may_be_sent_again(backend: Backend, deployment: str) -> None:
    log = await _log(backend, deployment)
    with pytest.raises(LogUnavailable):
        await log.send([(P, record(n)) for n in range(3)], 0)
    await _send(log, 0, 1, 2)
    stored = await numbers(log)
    assert stored[-3:] == [0, 1, 2]
    assert stored[:-3] in ([], [0], [0, 1], [0, 1, 2])


async def test_wait_says_at_once_what_stands(backend: Backend, deployment: str) -> None:
    log, other = await _log(backend, deployment), await backend.commands(deployment)
    await _send(log, 1)
    assert await log.wait(P, 0, 0)
    assert await other.wait(P, 0, DEADLINE)


async def test_wait_ends_in_vain(backend: Backend, deployment: str) -> None:
    log = await _log(backend, deployment)
    await _send(log, 1)
    end = await log.end(P)
    assert not await log.wait(P, end, 0.1)
    assert not await log.wait(OTHER, 0, 0.1)
    assert not await log.wait(P, end, 0)


@pytest.mark.parametrize("elsewhere", [False, True], ids=["same object", "another process"])
async def test_wait_is_woken(backend: Backend, deployment: str, elsewhere: bool) -> None:
    log = await _log(backend, deployment)
    sender = await backend.commands(deployment) if elsewhere else log
    for n in range(3):
        end = await log.end(P)
        waiting = [asyncio.create_task(log.wait(one, at, 30)) for one, at in ((P, end), (P, end), (OTHER, 0))]
        await asyncio.sleep(0.05)
        assert not any(one.done() for one in waiting)
        await _send(sender, n)
        assert await asyncio.wait_for(asyncio.gather(*waiting[:2]), DEADLINE) == [True, True]
        assert not waiting[2].done()
        waiting[2].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_partition_that_nobody_created_is_an_error(backend: Backend, deployment: str) -> None:
    log = await _log(backend, deployment)
    nowhere = Partition("nobody", 0)
    with pytest.raises(LogUnavailable):
        await log.send([(nowhere, record(1))], DEADLINE)
    with pytest.raises(LogUnavailable):
        await log.end(nowhere)
    with pytest.raises(LogUnavailable):
        await log.read(nowhere, 0, 1)
