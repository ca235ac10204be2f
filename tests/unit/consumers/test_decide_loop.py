"""The deciders of a process: owners where the group asks, followers where it does not, rest where an operator says."""

import asyncio
import functools
import random
from collections.abc import Mapping
from typing import Any

import pytest

import consumers.decide as module
import consumers.workers
from consumers.decide import Deciders, of_families
from consumers.limits import OwnerLimits
from consumers.ports import Batch, LogUnavailable, NewRecord, Partition
from consumers.report import Condition
from domain.party import decider as party
from schemas.log.events import CommandSetAside
from tests.unit.consumers.loops import PARTY, Board, Driven, Gate, Logs, Seen, Shelf, eventually, make, running, turns

SITE = Partition("site", 0)


@pytest.fixture(autouse=True)
def _in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("FIRST_PAUSE_S", 0.001), ("LONGEST_PAUSE_S", 0.01), ("_LOOK_S", 0.01), ("STOP_S", 0.3)):
        monkeypatch.setattr(consumers.workers, name, seconds)
    monkeypatch.setattr(module, "_SWITCHES_S", 0.01)
    monkeypatch.setattr(module, "STOP_S", 0.3, raising=False)


class Process:
    """One process of deciders on shared logs, snapshots and switches."""

    def __init__(self, logs: Logs, board: Board | None = None, shelf: Shelf | None = None, **how: Any) -> None:
        self.group, self.seen, self.gate = Driven(), Seen(), Gate(logs.events)
        self.board, self.shelf = board or Board(), shelf or Shelf()
        standby = how.pop("standby", False)
        gate: Any = self.gate
        self.deciders = Deciders(
            logs.partitions, make, gate, logs.commands, self.group, self.shelf, self.board, self.seen, standby,
            OwnerLimits(**how),
        )  # fmt: skip


@pytest.fixture
async def logs() -> Logs:
    return await Logs().start()


async def nonsense(logs: Logs, count: int) -> None:
    for n in range(count):
        await logs.put(NewRecord(b"ann", b"nonsense%d" % n))


async def asides(logs: Logs) -> int:
    return sum(isinstance(body, CommandSetAside) for body in await logs.bodies())


async def test_every_partition_asked_for_is_decided() -> None:
    logs = await Logs(PARTY, SITE).start()
    process = Process(logs)
    process.group.assign(PARTY, SITE)
    async with running(process.deciders.run) as (task, _):
        await logs.answered(task)
        await logs.answered(task, SITE)
        assert process.deciders.working == (PARTY, SITE)
        assert process.seen.now("party/0") is process.seen.now("site/0") is Condition.RUNNING
        process.group.assign(SITE)
        await eventually(lambda: process.seen.now("party/0") is None)
        await logs.register("ann")
        await turns(200)
    assert len(await logs.bodies()) == 2, "what nobody is asked for waits"


async def test_a_log_that_fails_again_and_again_loses_and_doubles_nothing(logs: Logs) -> None:
    process = Process(logs, commands=3)
    process.gate.fate = ["stored", "lost", "fenced", "ok"] * 8
    process.group.assign(PARTY)
    async with running(process.deciders.run) as (task, _):
        for n in range(60):
            await logs.register(f"p{n}")
            await turns(n % 7)
        await logs.answered(task)
    assert await logs.registered() == [f"p{n}" for n in range(60)]
    await logs.whole()


def stopped(seen: Seen) -> bool:
    return seen.now("party/0") is Condition.STOPPED


async def test_a_recorded_fact_that_cannot_be_evolved_stops_the_partition(
    logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody goes on from it, and nobody fences others again and again because of it: it is for an operator."""
    await logs.register("ann", "bad")
    await logs.answer()
    healthy = party.evolve

    def evolve(state: Any, fact: Any) -> Any:
        if fact.key == "bad":
            raise KeyError("bad")
        return healthy(state, fact)

    monkeypatch.setattr(party, "evolve", evolve)
    for standby in (False, True):
        process = Process(logs, standby=standby)
        process.group.assign(PARTY)
        async with running(process.deciders.run):
            await eventually(functools.partial(stopped, process.seen))
            await turns(100)
            assert "party/0 seq 3: evolve raised KeyError('bad')" in process.seen.parts["party/0"][1]
            assert list(process.seen.alarms()) == ["stopped"]
            assert process.seen.counts.get(("claims", "party", "0"), 0) == (not standby)


# -- switches -------------------------------------------------------------------------------------------


async def test_what_is_paused_is_not_decided_also_not_when_a_process_starts(logs: Logs) -> None:
    process = Process(logs)
    process.board.rests[PARTY] = "the operator says so"
    process.group.assign(PARTY)
    async with running(process.deciders.run) as (task, _):
        await eventually(lambda: process.seen.now("party/0") is Condition.PAUSED)
        assert await logs.bodies() == []
        await process.board.resume(PARTY)
        await logs.answered(task)
        await process.board.pause(PARTY, "again")
        await eventually(lambda: process.seen.now("party/0") is Condition.PAUSED)
        await logs.register("ann")
        await turns(200)
        assert await logs.registered() == []
        await process.board.resume(PARTY)
        await logs.answered(task)
    assert await logs.registered() == ["ann"]


async def test_without_an_answer_of_the_switchboard_what_was_known_last_holds(logs: Logs) -> None:
    process = Process(logs)
    process.board.rests[PARTY] = "rest"
    process.group.assign(PARTY)
    async with running(process.deciders.run):
        await eventually(lambda: process.seen.now("party/0") is Condition.PAUSED)
        process.board.away = True
        process.board.rests.clear()
        before = process.board.asked
        await eventually(lambda: process.board.asked > before + 3)
        assert process.seen.now("party/0") is Condition.PAUSED
        process.board.away = False
        await eventually(lambda: process.seen.now("party/0") is Condition.RUNNING)


async def test_a_switchboard_that_is_away_stops_nobody(logs: Logs) -> None:
    process = Process(logs)
    process.board.away = True
    process.group.assign(PARTY)
    async with running(process.deciders.run) as (task, _):
        await logs.answered(task)


async def test_the_switches_are_watched_on_after_an_error_nobody_foresaw(logs: Logs) -> None:
    process, errors = Process(logs), [ValueError("no idea")] * 3
    paused = process.board.paused

    async def failing() -> Mapping[Partition, str]:
        if errors:
            raise errors.pop()
        return await paused()

    process.board.paused = failing  # type: ignore[method-assign]
    process.group.assign(PARTY)
    async with running(process.deciders.run):
        await process.board.pause(PARTY, "rest")
        await eventually(lambda: process.seen.now("party/0") is Condition.PAUSED)
    assert process.seen.told("switches not read") == ["ValueError('no idea')"] * 3


async def test_too_many_set_aside_pause_the_partition_until_it_is_resumed(logs: Logs) -> None:
    await nonsense(logs, 8)
    await logs.register("ann")
    process = Process(logs, set_aside=5)
    process.group.assign(PARTY)
    async with running(process.deciders.run) as (task, _):
        await eventually(lambda: PARTY in process.board.rests)
        assert "6 commands in a row were set aside" in process.board.rests[PARTY]
        await eventually(lambda: process.seen.now("party/0") is Condition.PAUSED)
        assert process.seen.parts["party/0"][1] == process.board.rests[PARTY]
        assert list(process.seen.alarms()) == ["paused"]
        await turns(300)
        assert await asides(logs) == 6
        await process.board.resume(PARTY)
        await logs.answered(task)
        assert await asides(logs) == 8, "it goes on from the next command"
    assert await logs.registered() == ["ann"]
    await logs.whole()


async def test_a_pause_is_recorded_also_when_the_switchboard_is_away_for_a_while(logs: Logs) -> None:
    await nonsense(logs, 20)
    process = Process(logs, set_aside=5)
    process.board.away = True
    process.group.assign(PARTY)
    async with running(process.deciders.run):
        await eventually(lambda: "paused" in process.seen.alarms())
        before = process.board.asked
        await eventually(lambda: process.board.asked > before + 5)
        process.board.away = False
        await eventually(lambda: PARTY in process.board.rests)
        await eventually(lambda: process.seen.now("party/0") is Condition.PAUSED)
        await turns(300)
    assert await asides(logs) == 6, "it rests from the first one too many on"


async def test_who_is_resumed_before_anybody_looked_goes_on(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers.workers, "_LOOK_S", 0.4)
    await nonsense(logs, 8)
    process = Process(logs, set_aside=5)
    process.group.assign(PARTY)
    async with running(process.deciders.run) as (task, _):
        await eventually(lambda: PARTY in process.board.rests)
        await process.board.resume(PARTY)
        await logs.answered(task)


async def test_an_answer_from_before_a_pause_does_not_undo_it(logs: Logs) -> None:
    await nonsense(logs, 20)
    process = Process(logs, set_aside=5)
    old = asyncio.Event()
    paused = process.board.paused
    slow = 0

    async def late() -> Mapping[Partition, str]:
        nonlocal slow
        found = await paused()
        if process.group.joined and not slow:
            slow += 1
            await old.wait()  # the database has answered, and the answer is under way
        return found

    process.board.paused = late  # type: ignore[method-assign]
    async with running(process.deciders.run):
        await eventually(lambda: slow)
        process.group.assign(PARTY)
        await eventually(lambda: PARTY in process.board.rests)
        await turns(20)
        process.board.away = True  # nothing newer is heard for a while
        old.set()
        await eventually(lambda: process.seen.now("party/0") is Condition.PAUSED)
        await asyncio.sleep(0.1)
        assert await asides(logs) == 6
        assert process.seen.now("party/0") is Condition.PAUSED


# -- standby ---------------------------------------------------------------------------------------------


class Slow:
    """An event log whose reads wait for the test."""

    def __init__(self, inner: Gate) -> None:
        self._inner = inner
        self.go = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def read(self, partition: Partition, position: int, limit: int) -> Batch:
        await self.go.wait()
        return await self._inner.inner.read(partition, position, limit)


async def test_a_standby_joins_only_when_it_has_caught_up_and_takes_over_in_one_step(logs: Logs) -> None:
    await logs.register("ann", "bob")
    await logs.answer()
    process = Process(logs, standby=True)
    slow: Any = Slow(process.gate)
    process.deciders._events = slow
    process.group.assign(PARTY)
    async with running(process.deciders.run) as (task, _):
        await turns(200)
        assert not process.group.joined
        process.group.assign()
        slow.go.set()
        await eventually(lambda: process.group.joined)
        await eventually(lambda: process.seen.now("party/0") is Condition.FOLLOWING)
        await logs.register("cyd")
        await logs.answer()
        slow.go.clear()
        follower, _, _ = process.deciders._followers[PARTY]
        slow.go.set()
        await eventually(lambda: follower.decider.seq == 5)
        warm = follower.decider
        process.group.assign(PARTY)
        await logs.register("dan")
        await logs.answered(task)
        assert process.deciders._owners[PARTY].decider is warm
        assert process.deciders.working == (PARTY,)
        process.group.assign()
        await eventually(lambda: process.seen.now("party/0") is Condition.FOLLOWING)
        await logs.register("eve")
        await logs.answer()
        await eventually(lambda: process.deciders._followers[PARTY][0].decider.seq == 7)
    assert await logs.registered() == ["ann", "bob", "cyd", "dan", "eve"]
    await logs.whole()


async def test_stop_is_bounded_also_when_followers_are_far_behind(logs: Logs) -> None:
    await logs.answer()
    process = Process(logs, standby=True)
    slow: Any = Slow(process.gate)
    process.deciders._events = slow
    stop, before = asyncio.Event(), asyncio.all_tasks()
    task = asyncio.create_task(process.deciders.run(stop))
    await turns(50)
    stop.set()
    async with asyncio.timeout(1.5):
        await task
    await turns(5)
    assert asyncio.all_tasks() == before, "nobody is left behind"


async def test_at_the_end_nobody_begins_to_follow(logs: Logs) -> None:
    process = Process(logs, standby=True)
    process.group.assign(PARTY)
    before = asyncio.all_tasks()
    async with running(process.deciders.run) as (task, _):
        await logs.answered(task)
        loads = len(process.seen.values.get("restore", ()))
    assert len(process.seen.values["restore"]) == loads
    await turns(5)
    assert asyncio.all_tasks() == before


async def test_a_takeover_that_fails_leaves_the_partition_followed(logs: Logs) -> None:
    await logs.answer()
    process = Process(logs, standby=True)
    fails = [LogUnavailable("no claim")] * 3
    claim = process.gate.claim

    async def failing(partition: Partition) -> Any:
        if fails:
            raise fails.pop()
        return await claim(partition)

    process.gate.claim = failing  # type: ignore[method-assign]
    async with running(process.deciders.run) as (task, _):
        await eventually(lambda: process.group.joined)
        process.group.assign(PARTY)
        await logs.register("ann")
        await logs.answered(task)
        assert not process.deciders._followers
    assert not fails


# -- several processes -----------------------------------------------------------------------------------


async def test_who_cannot_claim_keeps_its_follower_warm(logs: Logs) -> None:
    await logs.register("ann")
    await logs.answer()
    process = Process(logs, standby=True)
    claim, away = process.gate.inner.claim, [3]

    async def claims(partition: Partition) -> Any:
        if away[0]:
            away[0] -= 1
            raise LogUnavailable("the coordinator moves")
        return await claim(partition)

    process.gate.claim = claims  # type: ignore[method-assign]
    reads: list[int] = []
    read = logs.events.read

    async def noted(partition: Partition, position: int, limit: int) -> Batch:
        reads.append(position)
        return await read(partition, position, limit)

    process.gate.read = noted
    async with running(process.deciders.run) as (task, _):
        await eventually(lambda: process.seen.now("party/0") is Condition.FOLLOWING)
        process.group.assign(PARTY)
        await logs.register("bob")
        await logs.answered(task)
    assert away == [0]
    assert reads.count(0) == 1, "it was read from its beginning once"


async def test_what_was_too_much_at_once_is_tried_in_halves(logs: Logs) -> None:
    """Also by the next owner of the same process: a broker may be too slow for all that waits after an outage."""
    await logs.register(*(f"p{n}" for n in range(40)))
    process = Process(logs, commands=32)
    process.gate.fate = ["lost", "lost", "lost"]
    process.group.assign(PARTY)
    async with running(process.deciders.run) as (task, _):
        await logs.answered(task)
    assert [len(records) for records in process.gate.begun][:4] == [33, 17, 9, 5]
    assert await logs.registered() == [f"p{n}" for n in range(40)]


@pytest.mark.parametrize("standby", [False, True])
async def test_partitions_that_move_about_under_load_lose_and_double_nothing(standby: bool) -> None:
    """The group is slow and wrong now and then: two processes believe in the same partition, or none does."""
    logs = await Logs(PARTY, SITE).start()
    board, shelf, rng = Board(), Shelf(), random.Random(7)
    first, second = (Process(logs, board, shelf, standby=standby, commands=5, snapshot_every=20) for _ in range(2))
    before = asyncio.all_tasks()
    async with running(first.deciders.run) as (task, _), running(second.deciders.run):
        for n in range(120):
            await logs.register(f"p{n}")
            if n % 4 == 0:
                for process in (first, second):
                    process.group.assign(*(p for p in logs.partitions if rng.random() < 0.6))
                    if rng.random() < 0.3:
                        process.gate.fate.append(rng.choice(["stored", "lost"]))
            await asyncio.sleep(0.002)
        first.group.assign(PARTY, SITE)
        second.group.assign()
        await logs.answered(task)
        await logs.answered(task, SITE)
    assert await logs.registered() == [f"p{n}" for n in range(120)]
    for partition in logs.partitions:
        await logs.whole(partition)
    sources = [int(dict(r.headers)["source_offset"]) for r in (await logs.records())[1:]]
    assert sources == list(range(121))
    for process in (first, second):
        assert not list(process.seen.alarms()), "neither a broken chain nor a useless snapshot"
        assert {process.seen.now(f"{p.family}/0") for p in logs.partitions} <= {None, Condition.FOLLOWING}
    await turns(5)
    assert asyncio.all_tasks() == before


def test_of_families() -> None:
    assert of_families((PARTY, SITE), ()) == (PARTY, SITE)
    assert of_families((PARTY, SITE), ("site",)) == (SITE,)
