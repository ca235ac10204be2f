"""Reactors die, double and begin again; receivers decide every policy's command once."""

import asyncio
import functools
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest

import consumers.workers
from consumers.layout import Layout
from consumers.limits import HINT_EVERY_S
from consumers.ports import LogUnavailable, NewRecord, Partition
from consumers.react import Reactor, Reactors, heard
from consumers.reading import recorded
from consumers.report import Condition
from domain.policies.table import POLICIES
from schemas.catalog import FAMILIES
from schemas.log.events import CommandRepeated, LogicAdopted, TimePassed
from schemas.party.events import MembershipApplied
from tests.unit.consumers.loops import CODEC, PARTY, Driven, Logs, Notes, Seen, eventually, running, turns

COMMUNITY = Partition("community", 0)
ONE_OF_EACH = Layout.of(dict.fromkeys(FAMILIES, 1))


@pytest.fixture(autouse=True)
def _in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("FIRST_PAUSE_S", 0.001), ("LONGEST_PAUSE_S", 0.004), ("_LOOK_S", 0.01), ("STOP_S", 0.3)):
        monkeypatch.setattr(consumers.workers, name, seconds)


@pytest.fixture
async def logs() -> Logs:
    """Five parties have applied to a community."""
    made = await Logs(PARTY, COMMUNITY).start()
    await made.register(*(f"p{n}" for n in range(5)))
    for n in range(5):
        await made.apply(f"p{n}", "green")
    await made.answer(batch=3)
    return made


class Process:
    """One process of reactors."""

    def __init__(self, logs: Logs, notes: Notes, commands: Any = None, events: Any = None) -> None:
        self.group, self.seen = Driven(), Seen()
        self.group.assign(PARTY)
        self.reactors = Reactors(
            logs.partitions, Reactor(POLICIES, CODEC, ONE_OF_EACH), CODEC, events or logs.events,
            commands or logs.commands, self.group, notes, self.seen, note_every_s=HINT_EVERY_S,
        )  # fmt: skip


async def sent(logs: Logs) -> list[bytes]:
    """The commands of policies that stand on the log, in order."""
    return [r.value for r in (await logs.commands.read(COMMUNITY, 0, 10**6)).records[1:]]


async def caused(logs: Logs) -> list[bytes]:
    """What the facts cause, each once."""
    facts = [recorded(CODEC, PARTY, stored) for stored in await logs.records()]
    return [record.value for _, record in Reactor(POLICIES, CODEC, ONE_OF_EACH).commands(facts)]


async def assert_each_is_decided_once(logs: Logs) -> int:
    """Returns how many were repeats."""
    await logs.answer(COMMUNITY)
    decided, repeats = Counter[str](), 0
    for stored in await logs.records(COMMUNITY):
        meta, body = CODEC.decode(stored.value)
        if isinstance(body, CommandRepeated):
            repeats += 1
        elif not isinstance(body, TimePassed | LogicAdopted) and meta.index == 0:
            decided[meta.command_id] += 1
    wished = [CODEC.decode(value)[0].command_id for value in await caused(logs)]
    assert decided == dict.fromkeys(wished, 1)
    return repeats


async def until_sent(logs: Logs, what: Callable[[list[bytes]], bool]) -> None:
    async with asyncio.timeout(5):
        while not what(await sent(logs)):
            await asyncio.sleep(0.001)


def so_many(count: int, found: list[bytes]) -> bool:
    return len(found) == count


async def test_facts_become_commands_in_their_order_once(logs: Logs) -> None:
    notes = Notes()
    process = Process(logs, notes)
    async with running(process.reactors.run):
        await until_sent(logs, lambda found: len(found) == 5)
        assert process.reactors.working == (PARTY,)
        assert process.seen.now("party/0") is Condition.RUNNING
        await logs.apply("p1", "blue")
        await logs.answer()
        await until_sent(logs, lambda found: len(found) == 6)
    assert await sent(logs) == await caused(logs)
    assert process.seen.counts["reactor_commands", "party"] == 6
    assert notes.noted["react", PARTY] == await logs.events.end(PARTY), "the last position is noted at the end"
    assert await assert_each_is_decided_once(logs) == 0


async def test_who_begins_again_begins_where_it_was(logs: Logs) -> None:
    notes = Notes()
    for _ in range(3):
        async with running(Process(logs, notes).reactors.run):
            await until_sent(logs, lambda found: len(found) == 5)
            await turns()
    assert len(await sent(logs)) == 5


class Deadly:
    """A command log on which a sender dies: before it sends, after a part, or after all and before anything else."""

    def __init__(self, inner: Any, deaths: Sequence[str], die: Callable[[], None]) -> None:
        self._inner, self._deaths, self._die = inner, list(deaths), die

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def send(self, commands: Sequence[tuple[Partition, NewRecord]], deadline: float) -> None:
        death = self._deaths.pop(0) if self._deaths else "none"
        if death == "none":
            await self._inner.send(commands, deadline)
            return
        part = {"before": 0, "within": len(commands) // 2, "after": len(commands)}[death]
        if part:
            await self._inner.send(commands[:part], deadline)
        self._die()
        await asyncio.Event().wait()


@pytest.mark.parametrize("death", ["before", "within", "after"])
async def test_whoever_dies_between_sending_and_noting_is_followed_by_one_that_repeats(logs: Logs, death: str) -> None:
    notes, dead = Notes(), asyncio.Event()
    first = Process(logs, notes, Deadly(logs.commands, [death], dead.set))
    task = asyncio.create_task(first.reactors.run(asyncio.Event()))
    await asyncio.wait_for(dead.wait(), 5)
    task.cancel()
    await asyncio.wait({task})
    assert not notes.noted, "nothing was noted of what may not stand"
    async with running(Process(logs, notes).reactors.run):
        await until_sent(logs, lambda found: len(found) == {"before": 5, "within": 7, "after": 10}[death])
    assert await assert_each_is_decided_once(logs) == {"before": 0, "within": 2, "after": 5}[death]


async def test_a_send_of_unknown_outcome_is_repeated_in_order(logs: Logs) -> None:
    notes, failures = Notes(), [True, True, False, True]

    class Unsure:
        def __getattr__(self, name: str) -> Any:
            return getattr(logs.commands, name)

        async def send(self, commands: Sequence[tuple[Partition, NewRecord]], deadline: float) -> None:
            await logs.commands.send(commands if len(failures) % 2 else commands[:3], deadline)
            if failures:
                failures.pop()
                raise LogUnavailable("some may stand and some may not")

    process = Process(logs, notes, Unsure())
    async with running(process.reactors.run):
        await eventually(lambda: not failures)
        await eventually(lambda: process.seen.counts.get(("reactor_commands", "party"), 0) == 5)
    assert await assert_each_is_decided_once(logs) > 5
    assert process.seen.counts["retries", "party/0"] == 4


async def test_two_reactors_at_once_do_no_harm(logs: Logs) -> None:
    """The group is between two minds; one of them is also slow."""
    notes = Notes()
    first, second = Process(logs, notes), Process(logs, Notes())
    async with running(first.reactors.run), running(second.reactors.run):
        for n in range(20):
            await logs.apply(f"p{n % 5}", f"town{n}")
            await logs.answer()
            await logs.answer(COMMUNITY)
            if n == 10:
                second.group.assign()
            await turns(n % 5)
        await until_sent(logs, lambda found: len(set(found)) == 25)
        await eventually(lambda: first.seen.counts["reactor_commands", "party"] == 25)
    assert await assert_each_is_decided_once(logs) > 5


async def test_hints_that_are_away_hold_nobody_up_who_is_at_work(logs: Logs) -> None:
    notes = Notes()
    notes.refuses = {"hint"}
    process = Process(logs, notes)
    async with running(process.reactors.run):
        for n in range(5):
            await logs.apply(f"p{n}", "blue")
            await logs.answer()
        await until_sent(logs, lambda found: len(found) == 10)
    assert not notes.noted
    async with running(Process(logs, notes).reactors.run):
        await until_sent(logs, lambda found: len(found) == 20)
    assert await assert_each_is_decided_once(logs) == 10


async def test_hints_that_are_away_at_the_beginning_are_waited_for(logs: Logs) -> None:
    notes = Notes()
    notes.refuses, notes.noted["react", PARTY] = {"hints"}, 10
    process = Process(logs, notes)
    async with running(process.reactors.run):
        await eventually(lambda: process.seen.counts.get(("retries", "party/0"), 0) > 3)
        assert process.seen.now("party/0") is Condition.WAITING
        assert await sent(logs) == []
        notes.refuses.clear()
        await until_sent(logs, lambda found: len(found) == 2)
        assert process.seen.now("party/0") is Condition.RUNNING


async def test_a_reader_that_is_never_behind_does_not_note_at_every_fact(logs: Logs) -> None:
    notes = Notes()
    process = Process(logs, notes)
    async with running(process.reactors.run):
        await until_sent(logs, lambda found: len(found) == 5)
        for n in range(50):
            await logs.apply("p1", f"town{n}")
            await logs.answer()
            await until_sent(logs, functools.partial(so_many, 6 + n))
    assert notes.count < 10


# -- facts that cannot be read ----------------------------------------------------------------------------


async def fact_in_place_of(logs: Logs, kind: type, value: Callable[[bytes], bytes]) -> Any:
    """The events, one record of this type with other bytes."""
    records = await logs.records()
    at = next(r.position for r in records if CODEC.type_of(r.value) is kind)

    class Other:
        def __getattr__(self, name: str) -> Any:
            return getattr(logs.events, name)

        async def read(self, partition: Partition, position: int, limit: int) -> Any:
            found = await logs.events.read(partition, position, limit)
            others = [type(r)(r.position, r.key, value(r.value), r.headers) if r.position == at else r for r in
                      found.records]  # fmt: skip
            return type(found)(tuple(others), found.next)

    return Other()


async def test_a_message_of_a_newer_release_stops_a_reactor_and_is_not_passed_over(logs: Logs) -> None:
    events = await fact_in_place_of(logs, MembershipApplied, lambda value: b"\x00\x00\x00\xff\xff" + value[5:])
    notes = Notes()
    process = Process(logs, notes, events=events)
    async with running(process.reactors.run):
        await eventually(lambda: process.seen.now("party/0") is Condition.STOPPED)
        await turns()
        assert list(process.seen.alarms()) == ["stopped"]
    assert await sent(logs) == []
    assert not notes.noted
    async with running(Process(logs, notes).reactors.run):
        await until_sent(logs, lambda found: len(found) == 5)


async def test_a_damaged_fact_that_would_be_heard_stops_a_reactor(logs: Logs) -> None:
    events = await fact_in_place_of(logs, MembershipApplied, lambda value: value[:-2])
    process = Process(logs, Notes(), events=events)
    async with running(process.reactors.run):
        await eventually(lambda: process.seen.now("party/0") is Condition.STOPPED)
    assert await sent(logs) == []


async def test_what_nobody_listens_to_is_not_decoded(logs: Logs) -> None:
    reactor = Reactor(POLICIES, CODEC, ONE_OF_EACH)
    batch = await logs.events.read(PARTY, 0, 100)
    bodies = [type(fact.body) for fact in heard(CODEC, PARTY, batch, reactor.listens_to)[0]]
    assert bodies == [TimePassed] + [MembershipApplied] * 5
