"""Projectors: every fact becomes its rows once, in order, whatever happens between the log and the store."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

import consumers.project
import consumers.workers
from consumers.layout import Layout
from consumers.ports import Batch, LogUnavailable, NewRecord, Partition
from consumers.project import NewRow, Projectors, Reached
from consumers.reading import COMMAND_ID, SENT
from consumers.report import Condition
from projections.view import Mode, View, copied
from schemas.envelope import CommandMeta, Moment
from schemas.log.events import TimePassed
from schemas.party.commands import RegisterParty
from schemas.party.events import PartyRegistered, Role
from tests.unit.consumers.loops import CODEC, FAR, NOW, PARTY, Driven, Gate, Logs, Seen, eventually, running, turns

SITE, METER = Partition("site", 0), Partition("meter", 0)
PARTIES = View("parties", Mode.HISTORY, {"party": "text"}, {PartyRegistered: copied("party")})
TICKS = View("ticks", Mode.HISTORY, {"n": "bigint"}, {TimePassed: copied("n")})


@pytest.fixture(autouse=True)
def _in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("FIRST_PAUSE_S", 0.001), ("LONGEST_PAUSE_S", 0.004), ("_LOOK_S", 0.01), ("STOP_S", 0.3)):
        monkeypatch.setattr(consumers.workers, name, seconds)
    monkeypatch.setattr(consumers.project, "_LOOK_S", 0.001)


class Refused(RuntimeError):
    """The store did not take a transaction."""


class Store:
    """Tables in lists: a transaction stands as a whole or not at all, positions never go back, no row stands twice."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, NewRow]] = []
        self.positions: dict[Partition, Reached] = {}
        self.begun: list[dict[Partition, Reached]] = []
        self.fates: list[str] = []
        self.refuses: set[Partition] = set()
        self.go = asyncio.Event()
        self.go.set()
        self.started = self.most = self._now = 0
        self.away = 0

    async def start(self) -> None:
        await asyncio.sleep(0)
        if self.away:
            self.away -= 1
            raise Refused("nobody answers")
        self.started += 1

    async def reached(self) -> Mapping[Partition, Reached]:
        await asyncio.sleep(0)
        return dict(self.positions)

    async def apply(self, rows: Mapping[str, Sequence[NewRow]], reached: Mapping[Partition, Reached]) -> None:
        self.begun.append(dict(reached))
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            await self.go.wait()
            await asyncio.sleep(0)
            fate = self.fates.pop(0) if self.fates else "ok"
            if fate == "lost" or self.refuses & reached.keys():
                raise Refused("not this one")
            for partition, new in reached.items():
                was = self.positions.get(partition, Reached(0, 0))
                if was.position > new.position or was.complete_tick > new.complete_tick:
                    raise Refused("another projector is further")
            added = [(name, row) for name, of_view in rows.items() for row in of_view]
            keys = [(name, r.family, r.partition, r.seq, r.row) for name, r in (*self.rows, *added)]
            if len(set(keys)) < len(keys):
                raise Refused("a row stands already")
            self.rows += added
            self.positions |= reached
            if fate == "unheard":
                raise Refused("the answer to COMMIT was lost")
        finally:
            self._now -= 1

    def parties(self) -> list[Any]:
        return [row.values["party"] for name, row in self.rows if name == "parties"]

    def ticks(self, family: str) -> list[Any]:
        return [row.values["n"] for name, row in self.rows if name == "ticks" and row.family == family]


class Process:
    """One process of projectors."""

    def __init__(self, logs: Logs, store: Store, events: Any = None, now: int = NOW.at) -> None:
        self.group, self.seen = Driven(), Seen()
        self.group.assign(*logs.partitions)
        views: dict[str, list[View]] = {"party": [PARTIES], "site": [], "meter": []}
        self.projectors = Projectors(
            logs.partitions,
            Layout.among(logs.partitions),
            views,
            [TICKS],
            store,
            CODEC,
            events or logs.events,
            self.group,
            self.seen,
            lambda: now,
        )


@pytest.fixture
async def logs() -> Logs:
    made = await Logs(PARTY, SITE).start()
    await made.register("ann", "bob")
    for partition in made.partitions:
        await made.answer(partition)
    return made


@pytest.fixture
def store() -> Store:
    return Store()


async def until_projected(logs: Logs, store: Store, *partitions: Partition) -> None:
    async with asyncio.timeout(5):
        for partition in partitions or logs.partitions:
            end = await logs.events.end(partition)
            while store.positions.get(partition, Reached(0, 0)).position < end:
                await asyncio.sleep(0.001)


async def test_facts_become_rows_and_positions_move(logs: Logs, store: Store) -> None:
    process = Process(logs, store)
    async with running(process.projectors.run):
        await until_projected(logs, store)
        assert store.started == 1
        assert store.parties() == ["ann", "bob"]
        assert store.positions == {PARTY: Reached(4, 1), SITE: Reached(2, 1)}
        await logs.register("cyd")
        await logs.answer()
        await until_projected(logs, store)
        assert process.seen.now("party/0") is Condition.RUNNING
        assert process.projectors.working == (PARTY, SITE)
    assert store.parties() == ["ann", "bob", "cyd"]
    assert process.seen.counts["projected",] == 7
    async with running(Process(logs, store).projectors.run):
        await turns(100)
    assert len(store.rows) == 5, "who begins again begins where the store is"


async def test_a_generation_waits_until_the_one_before_is_projected(store: Store) -> None:
    later = Partition("party", 1_000)
    logs = await Logs(PARTY, later).start()
    await logs.answer()
    await logs.answer(later)
    process = Process(logs, store)
    process.group.assign(later)
    async with running(process.projectors.run):
        await eventually(lambda: process.seen.now(str(later)) is Condition.WAITING)
        await turns(200)
        assert store.positions == {}
        process.group.assign(PARTY, later)
        await until_projected(logs, store)
    assert PARTY in store.begun[0]


async def test_what_waits_goes_into_one_transaction_for_all_partitions(logs: Logs, store: Store) -> None:
    store.go.clear()
    process = Process(logs, store)
    async with running(process.projectors.run):
        await eventually(lambda: store.begun)
        await logs.register("cyd")
        await logs.answer()
        await logs.tick(Moment(2, NOW.at + 1), SITE)
        await logs.answer(SITE)
        await turns(100)
        store.go.set()
        await until_projected(logs, store)
        await turns()
    assert store.most == 1, "one transaction at a time"
    assert len(store.begun) == 2
    assert {partition for moved in store.begun for partition in moved} == {PARTY, SITE}
    assert store.begun[1].keys() == {PARTY, SITE}, "both partitions in the second"
    assert len(process.seen.values["project"]) == 2


class Reading:
    """An event log that notes what was read."""

    def __init__(self, inner: Any, limit: int = 10**6) -> None:
        self._inner, self._limit = inner, limit
        self.read_from: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def read(self, partition: Partition, position: int, limit: int) -> Batch:
        if partition == PARTY:
            self.read_from.append(position)
        found: Batch = await self._inner.read(partition, position, min(limit, self._limit))
        return found


async def test_while_a_transaction_is_under_way_the_next_records_are_read_and_kept_in_order(
    logs: Logs, store: Store
) -> None:
    await logs.register(*(f"p{n}" for n in range(10)))
    await logs.answer()
    store.go.clear()
    events = Reading(logs.events, limit=3)
    process = Process(logs, store, events)
    process.group.assign(PARTY)
    async with running(process.projectors.run):
        await eventually(lambda: len(events.read_from) == 2)
        await turns(50)
        assert events.read_from == [0, 3], "one batch ahead, not more: memory has an end"
        assert len(store.begun) == 1
        store.go.set()
        await until_projected(logs, store, PARTY)
    assert [moved[PARTY].position for moved in store.begun] == [3, 6, 9, 12, 14]
    assert store.parties() == ["ann", "bob", *(f"p{n}" for n in range(10))]


@pytest.mark.parametrize("fate", ["lost", "unheard"])
async def test_a_transaction_that_failed_is_begun_again_from_where_the_store_is(
    logs: Logs, store: Store, fate: str
) -> None:
    await logs.register(*(f"p{n}" for n in range(30)))
    await logs.answer()
    store.fates = [fate, "ok", fate, fate, "ok", "ok", fate]
    process = Process(logs, store, Reading(logs.events, limit=4))
    async with running(process.projectors.run):
        await until_projected(logs, store)
        assert process.seen.now("party/0") is Condition.RUNNING
    assert not store.fates
    assert store.parties() == ["ann", "bob", *(f"p{n}" for n in range(30))]
    assert store.ticks("site") == store.ticks("party") == [1]


async def test_where_another_projector_is_further_it_goes_on_from_there(logs: Logs, store: Store) -> None:
    """Two processes between two minds of the group: rows stand once, and the slower one takes over in the end."""
    first, second = Process(logs, store), Process(logs, store, Reading(logs.events, limit=2))
    async with running(first.projectors.run), running(second.projectors.run):
        for n in range(40):
            await logs.register(f"p{n}")
            await logs.answer()
            if n == 20:
                first.group.assign(SITE)
            await turns(n % 6)
        await until_projected(logs, store)
    assert sorted(store.parties()) == sorted(["ann", "bob", *(f"p{n}" for n in range(40))])
    assert store.parties() == ["ann", "bob", *(f"p{n}" for n in range(40))]


async def test_a_log_that_fails_while_a_transaction_is_under_way_doubles_nothing(logs: Logs, store: Store) -> None:
    """The worker begins again while its last offer is still on its way to the store."""
    await logs.register(*(f"p{n}" for n in range(20)))
    await logs.answer()
    store.go.clear()
    failing = {"left": 4}

    class Failing(Reading):
        async def read(self, partition: Partition, position: int, limit: int) -> Batch:
            if position and failing["left"]:
                failing["left"] -= 1
                raise LogUnavailable("gone")
            return await super().read(partition, position, limit)

    process = Process(logs, store, Failing(logs.events, limit=5))
    async with running(process.projectors.run):
        await eventually(lambda: not failing["left"])
        await turns(50)
        store.go.set()
        await until_projected(logs, store)
    assert store.parties() == ["ann", "bob", *(f"p{n}" for n in range(20))]


async def test_a_partition_whose_rows_are_refused_stops_no_other(store: Store) -> None:
    logs = await Logs(PARTY, SITE, METER).start()
    for partition in logs.partitions:
        await logs.answer(partition)
    store.refuses = {SITE}
    process = Process(logs, store)
    async with running(process.projectors.run):
        for n in range(30):
            await logs.register(f"p{n}")
            await logs.answer()
            await until_projected(logs, store, PARTY, METER)
            await asyncio.sleep(0.002)
        assert process.seen.now("site/0") is Condition.WAITING
        assert process.seen.counts["retries", "site/0"] > 5
        assert process.seen.counts.get(("retries", "party/0"), 0) <= 1, "it failed with the other one once at most"
        store.refuses.clear()
        await until_projected(logs, store)
        await eventually(lambda: process.seen.now("site/0") is Condition.RUNNING)
        store.go.clear()
        before = len(store.begun)
        for partition in (METER, PARTY, SITE):
            await logs.tick(Moment(2, NOW.at + 1), partition)
            await logs.answer(partition)
            await eventually(lambda: len(store.begun) > before, "the first is under way, and the others wait")
        await turns(100)
        store.go.set()
        await until_projected(logs, store)
        assert store.begun[-1].keys() == {PARTY, SITE}, "well again, they go together again"


async def test_who_goes_alone_gets_its_turn_also_when_the_others_never_rest(store: Store) -> None:
    logs = await Logs(PARTY, SITE, METER).start()
    process = Process(logs, store)
    process.projectors._together._alone = {SITE}
    for partition in logs.partitions:
        for n in range(2, 40):
            await logs.tick(Moment(n, NOW.at + n), partition)
        await logs.answer(partition, batch=1)
    process.projectors._events = Reading(logs.events, limit=2)
    async with running(process.projectors.run):
        await until_projected(logs, store)
    assert {SITE} in [moved.keys() for moved in store.begun[:5]]
    assert store.ticks("site") == list(range(1, 40))


async def test_a_store_that_is_away_at_the_beginning_is_waited_for(logs: Logs, store: Store) -> None:
    store.away = 5
    process = Process(logs, store)
    async with running(process.projectors.run):
        await until_projected(logs, store)
        assert process.seen.counts["retries", "views"] == 5
        assert "views" not in process.seen.parts, "it is well, and its partitions tell for themselves"


async def test_the_way_from_door_to_view_is_measured(logs: Logs, store: Store) -> None:
    process = Process(logs, store, now=NOW.at + 2_500_000)
    async with running(process.projectors.run):
        await until_projected(logs, store)
        assert "end_to_end" not in process.seen.values
        for name, said in (("cyd", b"%d" % NOW.at), ("dan", b"nonsense"), ("eve", b"")):
            value = CODEC.encode(CommandMeta(name, name, "x", FAR, None, None), RegisterParty((Role.SUPPLIER,)))
            await logs.put(NewRecord(name.encode(), value, ((COMMAND_ID, name.encode()), (SENT, said))))
        await logs.answer(batch=1)
        await until_projected(logs, store)
        await eventually(lambda: "end_to_end" in process.seen.values)
    assert process.seen.values["end_to_end"] == [2.5]


async def test_what_did_not_arrive_is_not_measured(logs: Logs, store: Store) -> None:
    process = Process(logs, store, now=NOW.at + 2_500_000)
    store.fates = ["lost"]
    value = CODEC.encode(CommandMeta("cyd", "cyd", "x", FAR, None, None), RegisterParty((Role.SUPPLIER,)))
    await logs.put(NewRecord(b"cyd", value, ((COMMAND_ID, b"cyd"), (SENT, b"%d" % NOW.at))))
    await logs.answer()
    async with running(process.projectors.run):
        await until_projected(logs, store)
    assert process.seen.values["end_to_end"] == [2.5], "once, when it arrived"


async def test_a_message_of_a_newer_release_stops_the_partition_and_no_other(logs: Logs, store: Store) -> None:
    gate: Any = Gate(logs.events)

    async def read(partition: Partition, position: int, limit: int) -> Batch:
        found = await logs.events.read(partition, position, limit)
        if partition != PARTY:
            return found
        newer = (type(r)(r.position, r.key, b"\x00\x00\x00\xff\xff" + r.value[5:], r.headers) for r in found.records)
        return Batch(tuple(newer), found.next)

    gate.read = read
    process = Process(logs, store, gate)
    async with running(process.projectors.run):
        await eventually(lambda: process.seen.now("party/0") is Condition.STOPPED)
        await until_projected(logs, store, SITE)
    assert PARTY not in store.positions


async def test_at_the_end_what_was_begun_is_finished(logs: Logs, store: Store) -> None:
    store.go.clear()
    process, stop, before = Process(logs, store), asyncio.Event(), asyncio.all_tasks()
    task = asyncio.create_task(process.projectors.run(stop))
    await eventually(lambda: store.begun)
    stop.set()
    await asyncio.sleep(0.1)
    assert not task.done()
    store.go.set()
    async with asyncio.timeout(2):
        await task
    assert store.parties() == ["ann", "bob"]
    await turns(10)
    assert asyncio.all_tasks() == before
