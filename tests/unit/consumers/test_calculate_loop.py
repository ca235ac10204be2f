"""Calculators on a log: they wait for inputs, forget nothing while they wait, and tell what could not be computed."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

import consumers.calculate as module
import consumers.workers
from consumers.calculate import Calculators, WiredCalculation
from consumers.layout import Layout
from consumers.limits import HINT_EVERY_S
from consumers.ports import LogUnavailable, NewRecord, Owner, Partition
from consumers.project import Reached
from consumers.report import Condition
from domain.calculation import Calculation, Inputs
from projections.view import Question
from schemas.envelope import FactMeta, Moment, Recorded
from schemas.log.events import TimePassed
from schemas.party.commands import ApplyForMembership
from schemas.party.events import MembershipApplied
from tests.unit.consumers.loops import CODEC, PARTY, Driven, Logs, Notes, Seen, eventually, running, turns

OTHER = Partition("party", 1)
SITE, FAR_SITE, METER = Partition("site", 0), Partition("site", 1), Partition("meter", 0)
LAYOUT = Layout.of({"party": 2, "site": 2, "meter": 1})


def compute(fact: Recorded[MembershipApplied], inputs: Inputs) -> Sequence[Any]:
    return [ApplyForMembership(f"{fact.body.community}-{row['n']}") for row in inputs["rows"]]


WIRED = WiredCalculation(
    Calculation("party.sum", "party", MembershipApplied, ("site", "meter"), lambda f: int(f.body.community), compute),
    {"rows": Question("rows", "SELECT", ("cutoff",))},
    lambda fact: {"cutoff": int(fact.body.community)},
)
"""The community of an application says as of which tick it is calculated."""


class Slate(Notes):
    """Views that are complete up to a tick of each partition and answer every question with two rows."""

    def __init__(self) -> None:
        super().__init__()
        self.complete: dict[Partition, int] = {}
        self.asked = self.looked = 0

    async def __call__(self, sql: str, parameters: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        await asyncio.sleep(0)
        if "ask" in self.refuses:
            raise RuntimeError("views are away")
        self.asked += 1
        return [{"n": 0}, {"n": 1}]

    async def reached(self) -> Mapping[Partition, Reached]:
        await asyncio.sleep(0)
        self.looked += 1
        if "reached" in self.refuses:
            raise RuntimeError("views are away")
        return {partition: Reached(0, tick) for partition, tick in self.complete.items()}

    def up_to(self, tick: int) -> None:
        self.complete = {SITE: tick, FAR_SITE: tick, METER: tick}


@pytest.fixture(autouse=True)
def _in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("FIRST_PAUSE_S", 0.001), ("LONGEST_PAUSE_S", 0.004), ("_LOOK_S", 0.01), ("STOP_S", 0.3)):
        monkeypatch.setattr(consumers.workers, name, seconds)
    monkeypatch.setattr(module, "_LOOK_S", 0.01)


class Bench:
    """Facts in two partitions, written as an owner would, and processes of calculators that read them."""

    def __init__(self) -> None:
        self.logs, self.slate = Logs(PARTY, OTHER), Slate()
        self._owners: dict[Partition, Owner] = {}
        self._seq = dict.fromkeys(self.logs.partitions, 0)

    async def start(self) -> "Bench":
        await self.logs.start(tick=False)
        for partition in self.logs.partitions:
            self._owners[partition] = await self.logs.events.claim(partition)
        return self

    async def say(self, body: Any, partition: Partition = PARTY, key: str = "ann") -> None:
        seq = self._seq[partition]
        self._seq[partition] += 1
        meta = FactMeta(seq, Moment(3, 3), f"c{seq}", 0, "ann", "x", None, 1)
        await self._owners[partition].append([NewRecord(key.encode(), CODEC.encode(meta, body))], 1.0)

    async def start_calculation(self, cutoff: int, partition: Partition = PARTY) -> None:
        await self.say(MembershipApplied("ann", str(cutoff)), partition)

    def process(self, wired: WiredCalculation = WIRED, commands: Any = None) -> "Process":
        return Process(self, wired, commands)

    async def sent(self) -> list[str]:
        """What was proposed in all partitions, in order."""
        found = []
        for partition in self.logs.partitions:
            for stored in (await self.logs.commands.read(partition, 0, 10**6)).records:
                found.append(CODEC.decode(stored.value)[1].community)
        return found

    async def until_sent(self, *communities: str) -> None:
        async with asyncio.timeout(5):
            while await self.sent() != list(communities):
                await asyncio.sleep(0.001)


class Process:
    """One process of calculators."""

    def __init__(self, bench: Bench, wired: WiredCalculation, commands: Any) -> None:
        self.group, self.seen = Driven(), Seen()
        self.group.assign(PARTY)
        logs = bench.logs
        self.calculators = Calculators(
            (*logs.partitions, SITE), [wired], CODEC, LAYOUT, logs.events, commands or logs.commands, self.group,
            bench.slate, self.seen, note_every_s=HINT_EVERY_S,
        )  # fmt: skip

    @property
    def waiting(self) -> float:
        return self.seen.gauges.get(("calculations_waiting",), 0)


@pytest.fixture
async def bench() -> Bench:
    return await Bench().start()


async def test_a_calculation_waits_until_its_inputs_are_complete(bench: Bench) -> None:
    bench.slate.up_to(4)
    process = bench.process()
    async with running(process.calculators.run):
        await bench.start_calculation(5)
        await eventually(lambda: process.waiting == 1)
        assert process.group.offered == (PARTY, OTHER), "families without calculations are not read"
        await eventually(lambda: bench.slate.looked > 3)
        assert await bench.sent() == []
        bench.slate.up_to(5)
        await bench.until_sent("5-0", "5-1")
        await eventually(lambda: process.waiting == 0)
        assert process.seen.counts["calculations",] == 1
        assert process.seen.now("party/0") is Condition.RUNNING
        await bench.start_calculation(2)
        await bench.until_sent("5-0", "5-1", "2-0", "2-1")


async def test_a_family_is_complete_when_each_of_its_partitions_is(bench: Bench) -> None:
    bench.slate.complete = {SITE: 9}
    process = bench.process()
    async with running(process.calculators.run):
        await bench.start_calculation(5)
        await eventually(lambda: bench.slate.looked > 3)
        assert await bench.sent() == [], "nothing is known of the other family"
        bench.slate.complete = {SITE: 9, FAR_SITE: 4, METER: 9}
        before = bench.slate.looked
        await eventually(lambda: bench.slate.looked > before + 2)
        assert await bench.sent() == [], "one partition is behind"
        bench.slate.up_to(9)
        await bench.until_sent("5-0", "5-1")


async def test_no_position_is_noted_beyond_a_fact_that_waits(bench: Bench) -> None:
    """Who dies while it waits is followed by one that finds the fact again."""
    bench.slate.up_to(4)
    await bench.start_calculation(3)
    async with running(bench.process().calculators.run):
        await bench.until_sent("3-0", "3-1")
        await turns()
    assert bench.slate.noted["calculate", PARTY] == 1
    process = bench.process()
    async with running(process.calculators.run):
        await bench.start_calculation(5)
        for _ in range(20):
            await bench.say(TimePassed(3, 3))
        await bench.start_calculation(4)
        await eventually(lambda: process.waiting == 2)
        await turns()
    assert bench.slate.noted["calculate", PARTY] == 1, "also not at the end"
    bench.slate.up_to(5)
    async with running(bench.process().calculators.run):
        await bench.until_sent("3-0", "3-1", "5-0", "5-1", "4-0", "4-1")
        await turns()
    assert bench.slate.noted["calculate", PARTY] == 23
    async with running(bench.process().calculators.run):
        await turns(200)
    assert len(await bench.sent()) == 6


async def test_what_is_done_before_a_fact_that_waits_is_noted(bench: Bench) -> None:
    """Whoever comes next begins at the earliest fact that waits, and others see what is left."""
    bench.slate.up_to(4)
    process = bench.process()
    async with running(process.calculators.run):
        await bench.start_calculation(5)
        await eventually(lambda: process.waiting == 1)
        await bench.start_calculation(9)
        await eventually(lambda: process.waiting == 2)
        bench.slate.up_to(5)
        await bench.until_sent("5-0", "5-1")
        await eventually(lambda: bench.slate.noted.get(("calculate", PARTY)) == 1)
        assert process.waiting == 1


@pytest.mark.parametrize("away", ["hints", "reached", "ask"])
async def test_views_that_are_away_are_waited_for(bench: Bench, away: str) -> None:
    bench.slate.up_to(9)
    bench.slate.refuses = {away}
    process = bench.process()
    async with running(process.calculators.run):
        await bench.start_calculation(5)
        await eventually(lambda: process.seen.counts.get(("retries", "party/0"), 0) > 2)
        assert process.seen.now("party/0") is Condition.WAITING
        assert await bench.sent() == []
        bench.slate.refuses.clear()
        await bench.until_sent("5-0", "5-1")
        assert process.seen.now("party/0") is Condition.RUNNING


async def test_commands_whose_sending_failed_are_sent_again_with_the_same_bytes(bench: Bench) -> None:
    bench.slate.up_to(9)
    failures = [2, 1]

    class Unsure:
        def __getattr__(self, name: str) -> Any:
            return getattr(bench.logs.commands, name)

        async def send(self, commands: Sequence[tuple[Partition, NewRecord]], deadline: float) -> None:
            await bench.logs.commands.send(commands[: failures[-1] if failures else None], deadline)
            if failures:
                failures.pop()
                raise LogUnavailable("some may stand and some may not")

    process = bench.process(commands=Unsure())
    async with running(process.calculators.run):
        await bench.start_calculation(5)
        await bench.until_sent("5-0", "5-0", "5-1", "5-0", "5-1")
    values = [r.value for r in (await bench.logs.commands.read(PARTY, 0, 10)).records]
    assert len(set(values)) == 2
    assert process.seen.counts["calculations",] == 1


def failing(where: str) -> WiredCalculation:
    def raises(*_: Any) -> Any:
        raise ZeroDivisionError("nothing to share")

    if where == "compute":
        return replace(WIRED, calculation=replace(WIRED.calculation, compute=raises))
    return replace(WIRED, parameters=raises)


@pytest.mark.parametrize("where", ["compute", "parameters"])
async def test_what_cannot_be_computed_is_told_and_stops_nobody(bench: Bench, where: str) -> None:
    bench.slate.up_to(9)
    process = bench.process(failing(where))
    async with running(process.calculators.run):
        await bench.start_calculation(5)
        await bench.start_calculation(6)
        await eventually(lambda: process.seen.counts.get(("calculations_failed",), 0) == 2)
        assert process.seen.now("party/0") is Condition.RUNNING
        assert list(process.seen.alarms()) == ["calculation failed"] * 2
        reason = "party.sum for party/0 seq 0: ZeroDivisionError: nothing to share"
        assert process.seen.told("calculation failed")[0] == reason
    assert bench.slate.noted["calculate", PARTY] == 2, "it is not tried again"
    assert await bench.sent() == []


async def test_how_many_wait_is_told_of_all_partitions_together(bench: Bench) -> None:
    bench.slate.up_to(4)
    process = bench.process()
    process.group.assign(PARTY, OTHER)
    async with running(process.calculators.run):
        await bench.start_calculation(5)
        await bench.start_calculation(5)
        await eventually(lambda: process.waiting == 2)
        await bench.say(TimePassed(3, 3), OTHER)
        await turns(200)
        assert process.waiting == 2, "the other partition has nothing to wait for"
        await bench.start_calculation(6, OTHER)
        await eventually(lambda: process.waiting == 3)
        process.group.assign(OTHER)
        await eventually(lambda: process.waiting == 1)


async def test_while_it_waits_the_views_are_not_asked_all_the_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOOK_S", 0.05)
    process = bench.process()
    async with running(process.calculators.run):
        await bench.start_calculation(5)
        await eventually(lambda: process.waiting == 1)
        before = bench.slate.looked
        await asyncio.sleep(0.21)
        assert 1 <= bench.slate.looked - before <= 5
        bench.slate.up_to(9)
        await bench.until_sent("5-0", "5-1")
        await turns()
        before = bench.slate.looked
        await turns(500)
        assert bench.slate.looked == before, "nothing waits"


async def test_a_long_computation_does_not_stop_the_others(bench: Bench) -> None:
    import threading

    go = threading.Event()

    def slow(fact: Recorded[MembershipApplied], inputs: Inputs) -> Sequence[Any]:
        assert go.wait(5)
        return compute(fact, inputs)

    bench.slate.up_to(9)
    process = bench.process(replace(WIRED, calculation=replace(WIRED.calculation, compute=slow)))
    async with running(process.calculators.run):
        await bench.start_calculation(5)
        await eventually(lambda: bench.slate.asked == 1)
        await turns(200)
        assert await bench.sent() == []
        go.set()
        await bench.until_sent("5-0", "5-1")
