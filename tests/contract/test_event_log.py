"""What `EventLog` and `Owner` promise, for every backend alike."""

import asyncio
import random

import pytest

from consumers.ports import Fenced, LogUnavailable, NewRecord, Partition
from tests.contract.backends import DEADLINE, Backend, P, StartedEventLog, append, number, numbers, read_all, record
from tests.contract.race import race

OTHER = Partition("market", 1)
ELSEWHERE = Partition("meter", 0)


# Claims of one race; a Kafka claim starts a producer (15 ms).
CLAIMS = {"memory": 300, "postgres": 300, "kafka": 60}


async def _log(backend: Backend, deployment: str) -> StartedEventLog:
    log = await backend.events(deployment)
    await log.create([P, OTHER, ELSEWHERE])
    return log


async def test_new_partition_is_empty(backend: Backend, deployment: str) -> None:
    log = await _log(backend, deployment)
    assert await log.end(P) == 0
    batch = await log.read(P, 0, 10)
    assert (batch.records, batch.next) == ((), 0)


async def test_records_keep_their_order(backend: Backend, deployment: str) -> None:
    log = await _log(backend, deployment)
    owner = await log.claim(P)
    for first, count in ((0, 1), (1, 7), (8, 100), (108, 1)):
        await append(owner, *range(first, first + count))
    assert await numbers(log) == list(range(109))


async def test_read_takes_any_position_and_limit(backend: Backend, deployment: str) -> None:
    log = await _log(backend, deployment)
    owner = await log.claim(P)
    await append(owner, *range(20))
    await append(owner, *range(20, 40))
    whole = await read_all(log)
    for start in (0, 1, 19, 20, 39):
        for limit in (1, 3, 1000):
            assert await read_all(log, position=whole[start].position, limit=limit) == whole[start:]


async def test_read_at_and_behind_the_end_finds_nothing(backend: Backend, deployment: str) -> None:
    log = await _log(backend, deployment)
    await append(await log.claim(P), 1)
    end = await log.end(P)
    batch = await log.read(P, end, 10)
    assert (batch.records, batch.next) == ((), end)


async def test_partitions_and_families_are_apart(backend: Backend, deployment: str) -> None:
    log = await _log(backend, deployment)
    owners = await asyncio.gather(*(log.claim(one) for one in (P, OTHER, ELSEWHERE)))
    await asyncio.gather(*(append(owner, 10 * n, 10 * n + 1) for n, owner in enumerate(owners)))
    await append(owners[1], 12)
    assert [await numbers(log, one) for one in (P, OTHER, ELSEWHERE)] == [[0, 1], [10, 11, 12], [20, 21]]


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
    await (await log.claim(P)).append(written, DEADLINE)
    for reader in (log, await backend.events(deployment)):
        stored = await read_all(reader)
        assert [NewRecord(one.key, one.value, one.headers) for one in stored] == written


async def test_large_append_is_seen_whole(backend: Backend, deployment: str) -> None:
    log, reader = await _log(backend, deployment), await backend.events(deployment)
    owner = await log.claim(P)
    await append(owner, 0)
    ends = set()
    writing = asyncio.create_task(owner.append([record(n, 400) for n in range(1, 5001)], 30))
    while not writing.done():
        ends.add(await reader.end(P))
        await asyncio.sleep(0.001)
    await writing
    stored = await read_all(reader)
    assert [number(one) for one in stored] == list(range(5001))
    ends.add(await reader.end(P))
    below = {sum(one.position < end for one in stored) for end in ends}
    assert below <= {1, 5001}


async def test_create_again_changes_nothing(backend: Backend, deployment: str) -> None:
    log = await _log(backend, deployment)
    await append(await log.claim(P), 1, 2)
    other = await backend.events(deployment)
    await asyncio.gather(log.create([P, OTHER, ELSEWHERE]), other.create([ELSEWHERE, OTHER, P]))
    assert await numbers(other) == [1, 2]


@pytest.mark.parametrize("count", [1, 3])
async def test_another_number_of_partitions_is_refused(backend: Backend, deployment: str, count: int) -> None:
    log = await _log(backend, deployment)
    await append(await log.claim(P), 1, 2)
    for same in (log, await backend.events(deployment)):
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
    owner = await log.claim(P)
    await append(owner, 1, 2)
    await append(owner, 3)
    before, end = await read_all(log), await log.end(P)
    await owner.close()
    await log.close()
    again = await backend.events(deployment)
    assert await read_all(again) == before
    assert await again.end(P) == end
    await append(await again.claim(P), 4)
    after = await read_all(again)
    assert after[:3] == before
    assert after[3].position >= end


async def test_deployments_are_apart(backend: Backend, deployment: str) -> None:
    one, two = await _log(backend, deployment), await _log(backend, deployment + "2")
    first = await one.claim(P)
    second = await two.claim(P)
    await append(first, 1)
    await append(second, 2)
    await append(first, 3)
    assert (await numbers(one), await numbers(two)) == ([1, 3], [2])


async def test_commands_are_no_events(backend: Backend, deployment: str) -> None:
    log, commands = await _log(backend, deployment), await backend.commands(deployment)
    await commands.create([P])
    await append(await log.claim(P), 1)
    await commands.send([(P, record(2))], DEADLINE)
    assert (await numbers(log), await numbers(commands)) == ([1], [2])


# ------------------------------------------------------------------------------------------------- fencing


async def test_later_claim_fences(backend: Backend, deployment: str) -> None:
    one, two = await _log(backend, deployment), await backend.events(deployment)
    old = await one.claim(P)
    await append(old, 1)
    new = await two.claim(P)
    with pytest.raises(Fenced):
        await append(old, 2)
    await append(new, 3)
    with pytest.raises(LogUnavailable):
        await append(old, 4)
    assert await numbers(one) == [1, 3]


async def test_owner_that_never_wrote_is_fenced_too(backend: Backend, deployment: str) -> None:
    log = await _log(backend, deployment)
    old = await log.claim(P)
    await log.claim(P)
    with pytest.raises(Fenced):
        await append(old, 1)
    assert await numbers(log) == []


async def test_claim_of_one_partition_leaves_the_others(backend: Backend, deployment: str) -> None:
    log = await _log(backend, deployment)
    mine, other = await log.claim(P), await log.claim(OTHER)
    new = await log.claim(P)
    fate = await asyncio.gather(append(mine, 1), append(other, 2), append(new, 3), return_exceptions=True)
    assert isinstance(fate[0], Fenced)
    assert (fate[1], fate[2]) == (None, None)
    assert (await numbers(log), await numbers(log, OTHER)) == ([3], [2])


async def test_claim_sees_everything_written_before(backend: Backend, deployment: str) -> None:
    one, two = await _log(backend, deployment), await backend.events(deployment)
    for n in range(5):
        await append(await one.claim(P), 2 * n)
        await append(await two.claim(P), 2 * n + 1)
        assert await numbers(one) == await numbers(two) == list(range(2 * n + 2))


async def test_claims_race_appends(backend: Backend, deployment: str) -> None:
    logs = [await _log(backend, deployment), await backend.events(deployment), await backend.events(deployment)]
    assert await race(logs, P, CLAIMS[backend.name], random.Random(1)) == []


async def test_closed_owner_does_not_append(backend: Backend, deployment: str) -> None:
    log = await _log(backend, deployment)
    owner = await log.claim(P)
    await append(owner, 1)
    await owner.close()
    await owner.close()
    with pytest.raises(LogUnavailable):
        await append(owner, 2)
    await append(await log.claim(P), 3)
    assert await numbers(log) == [1, 3]


# ----------------------------------------------------------------------------------------- unknown outcomes


async def test_missed_deadline_kills_the_owner(backend: Backend, deployment: str) -> None:
    log = await _log(backend, deployment)
    owner = await log.claim(P)
    await append(owner, 0)
    with pytest.raises(LogUnavailable):
        await owner.append([record(n) for n in range(1, 21)], 0)
    with pytest.raises(LogUnavailable):
        await append(owner, 99)
    new = await log.claim(P)
    stored = await numbers(log)
    assert stored in ([0], list(range(21)))
    await append(new, 100)
    with pytest.raises(LogUnavailable):
        await append(owner, 101)
    assert await numbers(log) == [*stored, 100]


async def test_cancelled_append_kills_the_owner(backend: Backend, deployment: str) -> None:
    log = await _log(backend, deployment)
    for turns in range(6):
        owner = await log.claim(P)
        before = await numbers(log)
        writing = asyncio.create_task(append(owner, *range(10)))
        for _ in range(turns):
            await asyncio.sleep(0)
        writing.cancel()
        done = (await asyncio.gather(writing, return_exceptions=True))[0] is None
        if not done and turns:
            with pytest.raises(LogUnavailable):
                await append(owner, 99)
        await log.claim(P)
        after = await numbers(log)
        assert after[: len(before)] == before
        assert after[len(before) :] in ([[*range(10)]] if done else [[], [*range(10)]])


async def test_open_append_is_invisible(transactional: Backend, deployment: str) -> None:
    log = await _log(transactional, deployment)
    await append(await log.claim(P), 1)
    end = await log.end(P)
    async with transactional.open_append(deployment, [record(2), record(3)]) as write:
        assert await log.end(P) == end
        assert (await log.read(P, end, 10)).records == ()
        assert not await log.wait(P, end, 0.2)
        assert await numbers(log) == [1]
        await write.commit()
    assert await log.wait(P, end, DEADLINE)
    assert await numbers(log) == [1, 2, 3]


async def test_append_that_vanishes_was_never_seen(transactional: Backend, deployment: str) -> None:
    log = await _log(transactional, deployment)
    await append(await log.claim(P), 1)
    end = await log.end(P)
    async with transactional.open_append(deployment, [record(2), record(3)]) as write:
        assert await numbers(log) == [1]
        await write.rollback()
    assert await numbers(log) == [1]
    await append(await log.claim(P), 4)
    assert await log.wait(P, end, DEADLINE)
    assert await numbers(log) == [1, 4]


# ------------------------------------------------------------------------------------------------- waiting


async def test_wait_says_at_once_what_stands(backend: Backend, deployment: str) -> None:
    log, other = await _log(backend, deployment), await backend.events(deployment)
    await append(await log.claim(P), 1)
    assert await log.wait(P, 0, 0)
    assert await other.wait(P, 0, DEADLINE)


async def test_wait_ends_in_vain(backend: Backend, deployment: str) -> None:
    log = await _log(backend, deployment)
    await append(await log.claim(P), 1)
    end = await log.end(P)
    assert not await log.wait(P, end, 0.1)
    assert not await log.wait(OTHER, 0, 0.1)
    assert not await log.wait(P, end, 0)


@pytest.mark.parametrize("elsewhere", [False, True], ids=["same object", "another process"])
async def test_wait_is_woken(backend: Backend, deployment: str, elsewhere: bool) -> None:
    log = await _log(backend, deployment)
    writer = await backend.events(deployment) if elsewhere else log
    owner = await writer.claim(P)
    for n in range(3):
        end = await log.end(P)
        waiting = [asyncio.create_task(log.wait(one, at, 30)) for one, at in ((P, end), (P, end), (OTHER, 0))]
        await asyncio.sleep(0.05)
        assert not any(one.done() for one in waiting)
        await append(owner, n)
        assert await asyncio.wait_for(asyncio.gather(*waiting[:2]), DEADLINE) == [True, True]
        assert not waiting[2].done()
        waiting[2].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_partition_that_nobody_created_is_an_error(backend: Backend, deployment: str) -> None:
    log = await _log(backend, deployment)
    nowhere = Partition("nobody", 0)
    with pytest.raises(LogUnavailable):
        await log.end(nowhere)
    with pytest.raises(LogUnavailable):
        await log.read(nowhere, 0, 1)
    with pytest.raises(LogUnavailable):
        await log.claim(nowhere)
