"""Followers: a memory ahead of a takeover, from a snapshot where one fits, and from the records in every other case."""

import asyncio
import functools
from typing import Any

import pytest

from consumers.failures import ChainBroken
from consumers.follow import Follower
from consumers.ports import Batch, LogUnavailable, Partition, StoredRecord
from consumers.report import Condition
from consumers.snapshot import written
from consumers.workers import kept
from infra.embedded.memory import MemoryEventLog
from schemas.codec import UnknownSchema
from tests.unit.consumers.loops import PARTY, Gate, Logs, Seen, Shelf, eventually, make, running


@pytest.fixture
async def logs() -> Logs:
    """Ten parties have registered, in appends of three commands."""
    made = await Logs().start()
    await made.register(*(f"p{n}" for n in range(10)))
    await made.answer(batch=3)
    return made


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def seen() -> Seen:
    return Seen()


class Looked:
    """An event log that notes from where it was read; reads may fail, or find other records."""

    def __init__(self, inner: MemoryEventLog) -> None:
        self._inner = inner
        self.read_from: list[int] = []
        self.fails_at: set[int] = set()
        self.instead: dict[int, StoredRecord] = {}
        self.limit = 10**6

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def read(self, partition: Partition, position: int, limit: int) -> Batch:
        if position in self.fails_at:
            self.fails_at.discard(position)
            raise LogUnavailable("a broker is away")
        self.read_from.append(position)
        found = await self._inner.read(partition, position, min(limit, self.limit))
        return Batch(tuple(self.instead.get(r.position, r) for r in found.records), found.next)


async def saved_at(logs: Logs, seq: int) -> bytes:
    """The snapshot of whoever has taken in so many records."""
    decider = make(PARTY, ())
    for stored in (await logs.records())[:seq]:
        decider.restore(stored)
    return written(PARTY, decider, seq)


async def test_without_a_snapshot_everything_is_read(logs: Logs, shelf: Shelf, seen: Seen) -> None:
    follower = Follower(PARTY, make, logs.events, shelf, seen)
    assert not follower.caught_up
    decider = await follower.catch_up()
    assert follower.caught_up
    assert decider.image() == (await logs.whole()).image()
    assert not seen.said
    assert len(seen.values["restore"]) == 1


@pytest.mark.parametrize("at", [4, 7, 10, 12])
async def test_with_a_snapshot_reading_begins_there(logs: Logs, shelf: Shelf, seen: Seen, at: int) -> None:
    shelf.kept[PARTY] = await saved_at(logs, at)
    looked: Any = Looked(logs.events)
    follower = Follower(PARTY, make, looked, shelf, seen)
    decider = await follower.catch_up()
    assert decider.image() == (await logs.whole()).image()
    assert min(looked.read_from) >= at - 1, "the record before it may be looked at"
    assert not seen.said
    await logs.register("later")
    answers = decider.decide((await logs.commands.read(PARTY, decider.source, 10)).records)
    assert answers == (await logs.whole()).decide((await logs.commands.read(PARTY, 11, 10)).records)


async def test_a_snapshot_behind_the_logs_end_is_left_aside(logs: Logs, shelf: Shelf, seen: Seen) -> None:
    data = await saved_at(logs, 12)
    shelf.kept[PARTY] = data
    cut = await Logs().start()
    await cut.register("p0", "p1")
    await cut.answer()
    follower = Follower(PARTY, make, cut.events, shelf, seen)
    assert (await follower.catch_up()).image() == (await cut.whole()).image()
    assert ["behind the log's end" in reason for reason in seen.told("snapshot ignored")] == [True]
    assert list(seen.alarms()) == ["snapshot ignored"]


@pytest.mark.parametrize("length", [9, 10, 20])
async def test_the_snapshot_of_another_log_of_this_name_is_left_aside(
    logs: Logs, shelf: Shelf, seen: Seen, length: int
) -> None:
    """Numbers and positions of two logs are the same; only the chain tells them apart, also where nothing follows."""
    shelf.kept[PARTY] = await saved_at(logs, 12)
    other = await Logs().start()
    await other.register(*(f"q{n}" for n in range(length)))
    await other.answer(batch=3)
    assert await other.events.end(PARTY) == length + 2
    await other.register("p3")
    if length + 2 < 12:
        await other.register("x")
        await other.answer()
    follower = Follower(PARTY, make, other.events, shelf, seen)
    decider = await follower.catch_up()
    assert decider.image() == (await other.whole()).image()
    assert not decider.state("p3").registered or length + 2 < 12
    assert len(seen.told("snapshot ignored")) == 1


async def test_a_snapshot_whose_label_says_more_than_it_holds_is_left_aside(
    logs: Logs, shelf: Shelf, seen: Seen
) -> None:
    """An owner that was stopped between its append and its look at the end, while a successor wrote on."""
    whole = make(PARTY, ())
    records = await logs.records()
    for stored in records[:10]:
        whole.restore(stored)
    shelf.kept[PARTY] = written(PARTY, whole, len(records))
    follower = Follower(PARTY, make, logs.events, shelf, seen)
    decider = await follower.catch_up()
    assert decider.seq == len(records)
    assert decider.source == 11, "or two commands would be decided twice"
    assert len(seen.told("snapshot ignored")) == 1


@pytest.mark.parametrize("position", [0, 9, 11, 13])
async def test_a_snapshot_with_another_position_is_left_aside(
    logs: Logs, shelf: Shelf, seen: Seen, position: int
) -> None:
    whole = make(PARTY, ())
    for stored in (await logs.records())[:10]:
        whole.restore(stored)
    shelf.kept[PARTY] = written(PARTY, whole, position)
    follower = Follower(PARTY, make, logs.events, shelf, seen)
    assert (await follower.catch_up()).image() == (await logs.whole()).image()
    assert len(seen.told("snapshot ignored")) == 1


async def test_a_snapshot_of_an_empty_log_may_stand_at_its_beginning(logs: Logs, shelf: Shelf, seen: Seen) -> None:
    shelf.kept[PARTY] = await saved_at(logs, 0)
    follower = Follower(PARTY, make, logs.events, shelf, seen)
    assert (await follower.catch_up()).image() == (await logs.whole()).image()


@pytest.mark.parametrize("damage", ["cut", "unreadable", "harm"])
async def test_a_useless_snapshot_costs_time_only(logs: Logs, shelf: Shelf, seen: Seen, damage: str) -> None:
    shelf.kept[PARTY] = (await saved_at(logs, 10))[:-1] if damage == "cut" else b"\x80harm\n"
    if damage == "unreadable":
        shelf.refuses = {"load"}
    follower = Follower(PARTY, make, logs.events, shelf, seen)
    assert (await follower.catch_up()).image() == (await logs.whole()).image()
    assert list(seen.alarms()) == ["snapshot ignored"]


async def test_a_snapshot_that_vanishes_between_two_attempts_leaves_nothing_behind(
    logs: Logs, shelf: Shelf, seen: Seen
) -> None:
    """The log was away when the first attempt asked for its end; the memory that was taken must be gone again."""
    shelf.kept[PARTY] = await saved_at(logs, 10)
    gate: Any = Gate(logs.events)
    gate.unavailable = 1
    follower = Follower(PARTY, make, gate, shelf, seen)
    with pytest.raises(LogUnavailable):
        await follower.catch_up()
    shelf.kept.clear()
    assert (await follower.catch_up()).image() == (await logs.whole()).image()


async def test_refused_writes_are_told_and_harm_nobody(logs: Logs, shelf: Shelf, seen: Seen) -> None:
    shelf.refuses = {"save"}
    follower = Follower(PARTY, make, logs.events, shelf, seen, every=5)
    await follower.catch_up()
    assert follower.due
    await follower.save()
    assert list(seen.alarms()) == ["snapshot not written"]
    assert seen.told("snapshot not written") == ["read-only shelf"]
    assert not follower.due, "tried again after as many records, not at once"
    shelf.refuses.clear()
    await logs.register(*(f"q{n}" for n in range(5)))
    await logs.answer()
    await follower.catch_up()
    await follower.save()
    assert len(shelf.saved) == 1


async def test_a_memory_that_has_no_bytes_is_told_and_harms_nobody(logs: Logs, shelf: Shelf, seen: Seen) -> None:
    follower = Follower(PARTY, make, logs.events, shelf, seen, every=5)
    decider = await follower.catch_up()
    decider.image()[0].states["p0"].communities = {lambda: None}
    await follower.save()
    assert list(seen.alarms()) == ["snapshot not written"]


async def test_the_chain_goes_on_over_a_snapshot(logs: Logs, shelf: Shelf, seen: Seen) -> None:
    """What stands behind a snapshot is held against what stood before it."""
    shelf.kept[PARTY] = await saved_at(logs, 7)
    records = await logs.records()
    looked: Any = Looked(logs.events)
    looked.instead = {8: StoredRecord(8, b"eve", records[8].value, records[8].headers)}
    with pytest.raises(ChainBroken, match="the chain hash differs"):
        await Follower(PARTY, make, looked, shelf, seen).catch_up()


def has_read(follower: Follower, records: int) -> bool:
    return follower.decider.seq == records


async def test_what_follows_is_read_and_saved_on_the_way(logs: Logs, shelf: Shelf, seen: Seen) -> None:
    follower = Follower(PARTY, make, logs.events, shelf, seen, every=5)
    async with running(follower.follow):
        await eventually(lambda: seen.now("party/0") is Condition.FOLLOWING)
        assert len(shelf.saved) == 1, "the twelve records there were"
        for n in range(12):
            await logs.register(f"q{n}")
            await logs.answer()
            await eventually(functools.partial(has_read, follower, 13 + n))
        await eventually(lambda: len(shelf.saved) == 3)
    assert [Follower(PARTY, make, logs.events, shelf).decider.seq] == [0]
    for data in shelf.saved:
        shelf.kept[PARTY] = data
        again = Seen()
        assert (await Follower(PARTY, make, logs.events, shelf, again).catch_up()).image() == (
            await logs.whole()
        ).image()
        assert not again.said


async def test_a_follower_goes_on_where_it_was_interrupted(logs: Logs, shelf: Shelf, seen: Seen) -> None:
    looked: Any = Looked(logs.events)
    looked.limit, looked.fails_at = 4, {4, 8}
    follower, stop = Follower(PARTY, make, looked, shelf, seen), asyncio.Event()
    for _ in range(2):
        with pytest.raises(LogUnavailable):
            await follower.catch_up()
    assert (await follower.catch_up()).image() == (await logs.whole()).image()
    assert looked.read_from == [0, 4, 8], "no record is read twice"
    looked.fails_at = {12}
    await logs.register("later")
    await logs.answer()
    async with running(lambda ends: kept("party/0", lambda: follower.follow(ends), ends, seen)):
        await eventually(lambda: follower.decider.seq == 13)
    assert seen.counts["retries", "party/0"] == 1
    assert not stop.is_set()


async def test_a_record_that_can_be_read_later_is_the_next_one_then(logs: Logs, shelf: Shelf, seen: Seen) -> None:
    """Its schema was learned meanwhile; what stands before it in the same batch was taken in already."""
    looked: Any = Looked(logs.events)
    record = (await logs.records())[5]
    looked.instead = {5: StoredRecord(5, record.key, b"\x00\x00\x00\xff\xff" + record.value[5:], record.headers)}
    follower = Follower(PARTY, make, looked, shelf, seen)
    with pytest.raises(UnknownSchema):
        await follower.catch_up()
    looked.instead.clear()
    assert (await follower.catch_up()).image() == (await logs.whole()).image()


async def test_a_follower_stops_at_a_record_that_it_cannot_read(logs: Logs, shelf: Shelf, seen: Seen) -> None:
    looked: Any = Looked(logs.events)
    record = (await logs.records())[5]
    looked.instead = {5: StoredRecord(5, record.key, b"\x00\x00\x00\xff\xff" + record.value[5:], record.headers)}
    follower = Follower(PARTY, make, looked, shelf, seen)
    async with running(lambda ends: kept("party/0", lambda: follower.follow(ends), ends, seen)):
        await eventually(lambda: seen.now("party/0") is Condition.STOPPED)
        assert seen.parts["party/0"][1].startswith("schema id 65535")
    assert not follower.caught_up
    for _ in range(2):
        with pytest.raises((UnknownSchema, ChainBroken)):
            await follower.catch_up()


async def test_what_stands_open_at_the_end_is_no_append(logs: Logs, shelf: Shelf, seen: Seen) -> None:
    looked: Any = Looked(logs.events)
    last = (await logs.records())[-1]
    looked.instead = {last.position: StoredRecord(last.position, last.key, last.value, last.headers[:-1])}
    with pytest.raises(ChainBroken, match="no hash behind the last records"):
        await Follower(PARTY, make, looked, shelf, seen).catch_up(final=True)


async def test_who_follows_a_log_that_grows_may_stand_amid_an_append(logs: Logs, shelf: Shelf, seen: Seen) -> None:
    """Its owner appends between the look at the end and the read, which ends within that append."""
    looked: Any = Looked(logs.events)
    end, looked.limit = await logs.events.end(PARTY), 7

    async def end_of_before(partition: Partition) -> int:
        return end

    looked.end = end_of_before
    await logs.register("late", "later", "latest")
    await logs.answer(batch=3)
    follower, stop = Follower(PARTY, make, looked, shelf, seen), asyncio.Event()
    assert not (await follower.catch_up()).whole
    del looked.end
    task = asyncio.create_task(kept("party/0", lambda: follower.follow(stop), stop, seen))
    await eventually(lambda: follower.position == end + 3 and seen.now("party/0") is Condition.FOLLOWING)
    stop.set()
    await task
    assert follower.decider.image() == (await logs.whole()).image()
