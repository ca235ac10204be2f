"""The clock: every tick lies on one line through the last one on the log, whoever sends it and whenever."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

import pytest

import consumers.clock as module
import consumers.workers
from consumers.clock import Clock, ClockJumped, Clocks, last_tick
from consumers.layout import Layout
from consumers.limits import CLOCK_JUMP_US, DAY_US, HOUR_US, MAX_TICK_JUMP_US
from consumers.ports import LogUnavailable, NewRecord, Partition
from consumers.report import Condition
from consumers.workers import NeedsOperator
from schemas.envelope import Causation, CommandMeta, Moment
from schemas.log.commands import Tick
from schemas.log.events import TimePassed
from schemas.party.commands import RegisterParty
from schemas.party.events import Role
from tests.unit.consumers.loops import CODEC, NOW, PARTY, Driven, Logs, Seen, eventually, running, turns

SITE, METER = Partition("site", 0), Partition("meter", 0)
ALL = (PARTY, SITE, METER)
SECOND = 1_000_000
T = NOW.at


MACHINE: ContextVar["Machine"] = ContextVar("MACHINE")
"""Whose clock process this is."""


async def until(stop: asyncio.Event, seconds: float) -> bool:
    return await MACHINE.get().until(stop, seconds)


class Machine:
    """A machine whose time passes while its clock process waits, and that stops it after so many seconds."""

    def __init__(self, wall_us: int) -> None:
        self.wall_us, self.steady_us = wall_us, 0
        self.jumps: dict[int, int] = {}
        self.waits: list[float] = []
        self.left_us = 0

    def now(self) -> int:
        return self.wall_us

    async def until(self, stop: asyncio.Event, seconds: float) -> bool:
        self.waits.append(seconds)
        passed = max(0, round(seconds * SECOND))
        self.steady_us += passed
        self.wall_us += passed + self.jumps.pop(len(self.waits), 0)
        await asyncio.sleep(0)
        if self.steady_us >= self.left_us:
            stop.set()
        return stop.is_set()


@pytest.fixture
async def logs() -> Logs:
    return await Logs(*ALL).start(tick=False)


def clocks(
    logs: Logs, machine: Machine, monkeypatch: pytest.MonkeyPatch, commands: Any = None, tick_us: int = SECOND
) -> Clocks:
    MACHINE.set(machine)
    monkeypatch.setattr(module, "until", until)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: MACHINE.get().steady_us / SECOND))
    return Clocks(
        Layout.among(ALL), CODEC, logs.events, commands or logs.commands, Driven(), Seen(), machine.now, tick_us,
        {"party": 1, "site": 3, "meter": 60},
    )  # fmt: skip


async def tick_for(made: Clocks, machine: Machine, seconds: float) -> None:
    """Lets the clock process run for so long."""
    MACHINE.set(machine)
    machine.left_us = machine.steady_us + round(seconds * SECOND)
    await made._run(PARTY, asyncio.Event())


async def ticks(logs: Logs, partition: Partition = PARTY) -> list[tuple[int, int]]:
    """What the partition was told, as (n, seconds after T)."""
    told = []
    for stored in (await logs.commands.read(partition, 0, 10**6)).records:
        if CODEC.type_of(stored.value) is Tick:
            _, tick = CODEC.decode(stored.value)
            assert (tick.at - T) % SECOND == 0
            told.append((tick.n, (tick.at - T) // SECOND))
    return told


async def every_partition_has_passed(logs: Logs, n: int, at: int) -> None:
    for partition in ALL:
        await logs.tick(Moment(n, at), partition)
        await logs.answer(partition)


# -- the line --------------------------------------------------------------------------------------------


async def test_the_first_ticks_of_a_deployment(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(T + 400_000)
    await tick_for(clocks(logs, machine, monkeypatch), machine, 3.7)
    assert await ticks(logs) == [(1, 0), (2, 1), (3, 2), (4, 3), (5, 4)]
    assert await ticks(logs, SITE) == [(1, 0), (3, 2)]
    assert await ticks(logs, METER) == [(1, 0)], "everybody is told when it began"


async def test_ticks_lie_on_the_line_through_the_last_one(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    await every_partition_has_passed(logs, 100, T)
    machine = Machine(T + 999_999)
    await tick_for(clocks(logs, machine, monkeypatch), machine, 5.0)
    assert [t for t in await ticks(logs) if t[0] > 100] == [(101, 1), (102, 2), (103, 3), (104, 4), (105, 5)]
    assert max(machine.waits) <= 1.0, "no long wait: the machine's clock may be set"


async def test_after_a_pause_the_next_tick_is_where_real_time_is(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    await every_partition_has_passed(logs, 100, T)
    machine = Machine(T + 1_000 * SECOND + 300_000)
    await tick_for(clocks(logs, machine, monkeypatch), machine, 1.5)
    assert [t for t in await ticks(logs) if t[0] > 100] == [(1_100, 1_000), (1_101, 1_001)]
    assert [t for t in await ticks(logs, METER) if t[0] > 100] == [(1_100, 1_000)], "the first behind the multiples"


async def test_two_clocks_say_the_same(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    """One begins while the other is at work, and their machines do not agree; each also begins anew now and then."""
    await every_partition_has_passed(logs, 100, T)
    first, second = Machine(T + 300_000), Machine(T + 900_000)

    async def tick_on(machine: Machine, seconds: float) -> None:
        for _ in range(4):
            await tick_for(clocks(logs, machine, monkeypatch), machine, seconds)

    await asyncio.gather(tick_on(first, 3.3), tick_on(second, 4.1))
    said = await ticks(logs)
    assert len(dict(said)) < len(said), "they overlap"
    assert all(n - 100 == at for n, at in said if n > 100)
    for partition in ALL:
        await logs.answer(partition)
        assert not [b for b in await logs.bodies(partition) if type(b).__name__ == "CommandSetAside"]


async def test_two_clocks_that_begin_together_on_an_empty_log_say_the_same(
    logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither has seen a tick of the other when it begins, and their machines do not agree."""
    looked = list[Moment]()

    async def both_have_looked(*args: Any) -> Moment:
        looked.append(await last_tick(*args))
        while len(looked) < 2:
            await asyncio.sleep(0)
        return looked[0]

    monkeypatch.setattr(module, "last_tick", both_have_looked)
    first, second = Machine(T + 300_000), Machine(T + 5 * SECOND)
    began = clocks(logs, first, monkeypatch), clocks(logs, second, monkeypatch)
    lines = set[int]()
    await asyncio.gather(tick_for(began[0], first, 9.3), tick_for(began[1], second, 4.1))
    for partition in ALL:
        await logs.answer(partition)
        lines |= {b.at - b.n * SECOND for b in await logs.bodies(partition) if isinstance(b, TimePassed)}
    assert len(lines) == 1


async def test_another_length_of_a_tick_begins_at_the_last_tick(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    await every_partition_has_passed(logs, 100, T)
    machine = Machine(T + 5 * SECOND)
    await tick_for(clocks(logs, machine, monkeypatch, tick_us=5 * SECOND), machine, 10.5)
    assert [t for t in await ticks(logs) if t[0] > 100] == [(101, 5), (102, 10), (103, 15)]


async def test_a_family_gets_the_first_tick_at_or_behind_each_multiple(
    logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    await every_partition_has_passed(logs, 100, T)
    machine = Machine(T)
    await tick_for(clocks(logs, machine, monkeypatch), machine, 21)
    machine.wall_us += 50 * SECOND  # nobody was there
    await tick_for(clocks(logs, machine, monkeypatch), machine, 10)
    machine.wall_us += 100 * SECOND
    await tick_for(clocks(logs, machine, monkeypatch), machine, 2)
    told = {partition: [n for n, _ in await ticks(logs, partition) if n > 100] for partition in ALL}
    everything = sorted(set(told[PARTY]))
    for partition, m in ((PARTY, 1), (SITE, 3), (METER, 60)):
        must = {next(n for n in everything if n >= k) for k in range(101, everything[-1] + 1) if k % m == 0}
        assert must <= set(told[partition]), f"{partition.family} lacks {must - set(told[partition])}"
        assert len(set(told[partition]) - must) <= 3, "besides, once for each start"


# -- the last tick -----------------------------------------------------------------------------------------


async def test_the_last_tick_is_found_wherever_it_stands(logs: Logs) -> None:
    assert await last_tick(ALL, CODEC, logs.events, logs.commands) == Moment(0, 0)
    await logs.tick(Moment(3, T), METER)
    assert await last_tick(ALL, CODEC, logs.events, logs.commands) == Moment(3, T), "in a command that waits"
    await logs.answer(METER)
    assert await last_tick(ALL, CODEC, logs.events, logs.commands) == Moment(3, T), "passed by a partition"
    await logs.tick(Moment(9, T + 6), SITE)
    await logs.tick(Moment(8, T + 5), SITE)
    assert await last_tick(ALL, CODEC, logs.events, logs.commands) == Moment(9, T + 6)
    for partition in ALL:
        await logs.answer(partition)
    assert await last_tick(ALL, CODEC, logs.events, logs.commands) == Moment(9, T + 6)
    cause = Causation("site", 1, 0, 5, 0)
    told = CommandMeta("p", "policy:p", "x", None, Moment(12, T + 9), cause)
    await logs.send(b"ann", told, RegisterParty((Role.SUPPLIER,)))
    await logs.answer()
    assert await last_tick(ALL, CODEC, logs.events, logs.commands) == Moment(12, T + 9), "told by a policy"


async def test_commands_that_nobody_can_read_do_not_stop_the_clock(logs: Logs) -> None:
    """They will be set aside; until then they wait like any other, also one that looks like a tick."""
    await logs.tick(Moment(3, T))
    whole = (await logs.commands.read(PARTY, 0, 1)).records[0].value
    for value in (whole[:7], whole + b"more", whole[:5], b"", b"\x00\x00\x00\xff\xffx"):
        await logs.put(NewRecord(b"", value))
    assert await last_tick(ALL, CODEC, logs.events, logs.commands) == Moment(3, T)


async def test_a_tick_that_only_some_have_heard_is_said_again(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a family with a large multiple would wait a whole one longer, and every cut-off with it."""
    await every_partition_has_passed(logs, 59, T)

    class Partly:
        fails = 1

        def __getattr__(self, name: str) -> Any:
            return getattr(logs.commands, name)

        async def send(self, commands: Sequence[tuple[Partition, NewRecord]], deadline: float) -> None:
            if self.fails:
                self.fails -= 1
                await logs.commands.send(commands[:1], deadline)
                raise LogUnavailable("some may stand and some may not")
            await logs.commands.send(commands, deadline)

    machine, partly = Machine(T + SECOND), Partly()
    made = clocks(logs, machine, monkeypatch, partly)
    with pytest.raises(LogUnavailable):
        await tick_for(made, machine, 3.5)
    await tick_for(made, machine, 3.5)
    assert 60 in dict(await ticks(logs, METER))
    assert 60 in dict(await ticks(logs, SITE))
    assert [n for n, _ in await ticks(logs) if n > 60] == [61, 62, 63]


# -- clocks that lie ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump_us", [CLOCK_JUMP_US + SECOND, -CLOCK_JUMP_US - SECOND])
async def test_a_clock_that_jumps_sends_nothing_more(logs: Logs, monkeypatch: pytest.MonkeyPatch, jump_us: int) -> None:
    await every_partition_has_passed(logs, 100, T)
    machine = Machine(T)
    machine.jumps = {4: jump_us}
    with pytest.raises(ClockJumped, match=r"the machine's clock jumped by [+-]3,60[01] s"):
        await tick_for(clocks(logs, machine, monkeypatch), machine, 60)
    assert [t for t in await ticks(logs) if t[0] > 100] == [(101, 1), (102, 2), (103, 3)]
    assert issubclass(ClockJumped, NeedsOperator)


async def test_a_small_jump_forward_is_real_time(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    await every_partition_has_passed(logs, 100, T)
    machine = Machine(T)
    machine.jumps = {3: HOUR_US - SECOND}
    await tick_for(clocks(logs, machine, monkeypatch), machine, 4.5)
    assert [t for t in await ticks(logs) if t[0] > 102] == [(3_702, 3_602), (3_703, 3_603)]


async def test_a_small_jump_back_is_waited_for_and_shown(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    await every_partition_has_passed(logs, 100, T - 1_000 * SECOND)
    machine = Machine(T)
    machine.jumps = {3: -600 * SECOND}
    made = clocks(logs, machine, monkeypatch)
    seen = made._report
    assert isinstance(seen, Seen)
    await tick_for(made, machine, 100)
    assert [n for n, _ in await ticks(logs)][-1] == 1_102
    assert seen.parts["clock"][0] is Condition.WAITING
    assert "ahead of this machine's clock" in seen.parts["clock"][1]
    await tick_for(made, machine, 600)
    assert seen.now("clock") is Condition.RUNNING
    said = [t for t in await ticks(logs) if t[0] > 1_102]
    assert said[0] == (1_103, 3), "on the same line"
    assert min(machine.waits) > 0, "no busy loop"


async def test_a_log_ahead_of_the_machine_is_waited_for(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    await every_partition_has_passed(logs, 100, T + 90 * SECOND)
    machine = Machine(T)
    made = clocks(logs, machine, monkeypatch)
    seen = made._report
    assert isinstance(seen, Seen)
    await tick_for(made, machine, 60)
    assert {n for n, _ in await ticks(logs)} == {100}
    assert seen.parts["clock"] == (Condition.WAITING, "the log is 31 s ahead of this machine's clock")
    await tick_for(made, machine, 33)
    assert [t for t in await ticks(logs) if t[0] > 100] == [(101, 91), (102, 92)]
    assert seen.now("clock") is Condition.RUNNING
    assert max(machine.waits) <= 1.0


async def test_more_than_a_year_is_no_pause(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    await every_partition_has_passed(logs, 100, T)
    machine = Machine(T + MAX_TICK_JUMP_US + DAY_US)
    with pytest.raises(ClockJumped, match="367 days ago"):
        await tick_for(clocks(logs, machine, monkeypatch), machine, 5)
    assert {n for n, _ in await ticks(logs)} == {100}


# -- the process -------------------------------------------------------------------------------------------


@asynccontextmanager
async def process(logs: Logs, monkeypatch: pytest.MonkeyPatch, machine: Machine) -> AsyncIterator[tuple[Any, Seen]]:
    monkeypatch.setattr(consumers.workers, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(consumers.workers, "_LOOK_S", 0.01)
    made = clocks(logs, machine, monkeypatch)
    machine.left_us = 10**15
    seen, group = made._report, made._workers._group
    assert isinstance(seen, Seen)
    assert isinstance(group, Driven)
    async with running(made.run):
        yield group, seen


async def test_only_who_is_asked_ticks(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(T)
    async with process(logs, monkeypatch, machine) as (group, seen):
        await turns(100)
        assert group.offered == (PARTY,)
        assert await ticks(logs) == []
        group.assign(PARTY)
        await eventually(lambda: seen.counts.get(("ticks",), 0) > 3)
        assert set(seen.parts) == {"group", "clock"}, "whoever looks at it finds one clock"
        assert seen.now("clock") is Condition.RUNNING
        group.assign()
        await eventually(lambda: seen.now("clock") is None)


async def test_one_process_has_one_clock_also_when_the_group_shares_out_a_whole_topic(
    logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(T)
    async with process(logs, monkeypatch, machine) as (group, seen):
        group.assign(PARTY, Partition("party", 1), Partition("party", 2))
        await eventually(lambda: seen.counts.get(("ticks",), 0) > 5)
        group.assign()
    said = [n for n, _ in await ticks(logs)]
    assert said == sorted(set(said)), "nothing is said twice"


async def test_after_an_outage_the_clock_is_well_again(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    machine, fails, send = Machine(T), [3], logs.commands.send

    async def failing(commands: Sequence[tuple[Partition, NewRecord]], deadline: float) -> None:
        if fails[0]:
            fails[0] -= 1
            raise LogUnavailable("away")
        await send(commands, deadline)

    monkeypatch.setattr(logs.commands, "send", failing)
    async with process(logs, monkeypatch, machine) as (group, seen):
        group.assign(PARTY)
        await eventually(lambda: seen.counts.get(("ticks",), 0) > 3)
        assert ("clock", Condition.WAITING) in seen.history
        assert {part: seen.now(part) for part in seen.parts} == {
            "group": Condition.RUNNING,
            "clock": Condition.RUNNING,
        }


async def test_a_clock_that_jumped_calls_an_operator(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(T)
    machine.jumps = {3: 2 * HOUR_US}
    async with process(logs, monkeypatch, machine) as (group, seen):
        group.assign(PARTY)
        await eventually(lambda: seen.now("clock") is Condition.STOPPED)
        assert list(seen.alarms()) == ["stopped"]
        assert "start the clock again" in seen.parts["clock"][1]


async def test_a_tick_may_go_to_some_partitions_only(logs: Logs) -> None:
    clock = Clock(logs.commands, CODEC, ALL)
    await clock.tick(Moment(1, T), [SITE])
    await clock.tick(Moment(2, T + SECOND))
    assert [await ticks(logs, p) for p in ALL] == [[(2, 1)], [(1, 0), (2, 1)], [(2, 1)]]
