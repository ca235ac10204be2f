"""Calculators: a fact freezes the inputs, the work is done outside, the proposal comes back as commands.

Inputs are read from history views as of the fact's cut-off tick, once every partition of the families
it needs is complete up to that tick. Repeating a calculation is harmless: the same inputs give the same
commands, and receivers keep a cursor.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from consumers.hints import Hints, Notes
from consumers.layout import Layout
from consumers.limits import MAX_BATCH, SEND_DEADLINE_S
from consumers.newer import NewerSchemas
from consumers.ports import CommandLog, EventLog, Group, Headers, NewRecord, Partition
from consumers.project import Reached
from consumers.react import Traces, heard, inside_command
from consumers.reading import news
from consumers.report import CALCULATED, FAILED, WAITING, Condition, Report
from consumers.workers import Place, Workers, until
from domain.calculation import Calculation
from projections.view import Ask, Question
from schemas.actors import CALCULATION
from schemas.codec import Codec
from schemas.envelope import Recorded

Complete = Callable[[str], int]
"""The tick up to which every partition of a family is in the views."""


@dataclass(frozen=True, slots=True)
class WiredCalculation:
    """A calculation with the questions that give its inputs and the parameters that the fact gives them."""

    calculation: Calculation
    questions: Mapping[str, Question]
    parameters: Callable[[Recorded[Any]], Mapping[str, Any]]


_Call = tuple[WiredCalculation, Recorded[Any], Headers]
"""A calculation, the fact that starts it, and that fact's trace."""


class Calculator:
    """Collects the facts that start calculations and runs those whose inputs are complete."""

    def __init__(self, wired: Iterable[WiredCalculation], codec: Codec, layout: Layout, ask: Ask) -> None:
        self._codec, self._layout, self._ask = codec, layout, ask
        self._by_fact = {(w.calculation.family, w.calculation.on): w for w in wired}
        self._waiting: list[_Call] = []
        self._still = self._waiting
        self.failures: list[str] = []
        """Calculations that could not be computed, for whoever watches."""

    def offer(self, facts: Sequence[Recorded[Any]], traces: Traces | None = None) -> None:
        """Takes facts (of one partition, where they have traces) as they are read; those that start no calculation
        are passed over."""
        for fact in facts:
            wired = self._by_fact.get((fact.family, type(fact.body)))
            if wired is not None and wired.calculation.concerns(fact):
                self._waiting.append((wired, fact, (traces or {}).get(fact.meta.seq, ())))

    def listens_to(self, family: str, kind: type | None = None) -> bool:
        """Whether facts of this family (and of this type, if it is known) can start a calculation."""
        if kind is not None:
            return (family, kind) in self._by_fact
        return any(source == family for source, _ in self._by_fact)

    @property
    def waiting(self) -> int:
        """How many calculations wait for their inputs."""
        return len(self._waiting)

    @property
    def first_waiting(self) -> int | None:
        """The `seq` of the earliest fact that waits."""
        return min((fact.meta.seq for _, fact, _ in self._waiting), default=None)

    async def run_ready(self, complete: Complete) -> list[tuple[Partition, NewRecord]]:
        """The commands of every calculation whose inputs are complete; the others go on waiting.

        Of one calculation and partition they come in the order of their facts: the receiver's cursor would
        take what comes later for a repeat. What ran stays waiting until `sent` says that it is on the log.
        """
        commands: list[tuple[Partition, NewRecord]] = []
        still: list[_Call] = []
        held: set[tuple[str, str, int]] = set()
        for wired, fact, trace in self._waiting:
            line = (wired.calculation.name, fact.family, fact.partition)
            cutoff = wired.calculation.cutoff(fact)
            if line not in held and all(complete(family) >= cutoff for family in wired.calculation.needs):
                commands += await self._run(wired, fact, trace)
            else:
                held.add(line)
                still.append((wired, fact, trace))
        self._still = still
        return commands

    def sent(self) -> None:
        """The commands of the last `run_ready` are on the log."""
        self._waiting = self._still

    def forget(self) -> None:
        """Nothing waits any more: the facts are offered again from the log."""
        self._waiting = self._still = []

    async def _run(
        self, wired: WiredCalculation, fact: Recorded[Any], trace: Headers
    ) -> list[tuple[Partition, NewRecord]]:
        calculation = wired.calculation
        try:
            parameters = wired.parameters(fact)
        except Exception as error:
            return self._failed(calculation, fact, error)
        inputs = {name: await self._ask(q.sql, parameters) for name, q in wired.questions.items()}
        actor = f"{CALCULATION}{calculation.name}"
        there = self._layout.route(calculation.family, fact.key)
        try:
            # In a thread: a settlement run may take longer than a group waits for a sign of life.
            bodies = await asyncio.to_thread(lambda: list(calculation.compute(fact, inputs)))
            return [
                inside_command(self._codec, fact, actor, n, fact.key, body, there, trace)
                for n, body in enumerate(bodies)
            ]
        except Exception as error:
            return self._failed(calculation, fact, error)

    def _failed(
        self, calculation: Calculation, fact: Recorded[Any], error: Exception
    ) -> list[tuple[Partition, NewRecord]]:
        # Our own mistake, or numbers beyond every range: it must stop nobody else. No proposal comes, and
        # the deadline that the decider keeps for it is the way out.
        place = f"{fact.family}/{fact.partition} seq {fact.meta.seq}"
        self.failures.append(f"{calculation.name} for {place}: {type(error).__name__}: {error}")
        return []


_LOOK_S: Final = 0.1
"""While a calculation waits for its inputs, the views are asked so often how far they are."""


class CompleteViews(Hints, Protocol):
    """The views as a calculator needs them: answers, how far they are, and a place for its position."""

    async def __call__(self, sql: str, parameters: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]: ...

    async def reached(self) -> Mapping[Partition, Reached]: ...


class Calculators:
    """`gridbook run calculate`: a calculator for each events partition whose facts can start calculations."""

    def __init__(
        self,
        partitions: Sequence[Partition],
        wired: Sequence[WiredCalculation],
        codec: Codec,
        layout: Layout,
        events: EventLog,
        commands: CommandLog,
        group: Group,
        views: CompleteViews,
        report: Report,
        newer: NewerSchemas | None = None,
        *,
        note_every_s: float,
    ) -> None:
        self._notes = Notes("calculate", views, report, note_every_s)
        self._wired, self._codec, self._layout = wired, codec, layout
        self._events, self._commands, self._views, self._report = events, commands, views, report
        families = {w.calculation.family for w in wired}
        self._places: dict[Partition, Place] = {}
        self._waiting: dict[Partition, int] = {}
        mine = [p for p in partitions if p.family in families]
        self._workers = Workers(
            "calculate", group, mine, self._calculate, report, self._places.get, events, newer=newer
        )

    @property
    def working(self) -> tuple[Partition, ...]:
        """The partitions that this process calculates for."""
        return self._workers.working

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`."""
        await self._workers.run(stop)

    async def _calculate(self, partition: Partition, ends: asyncio.Event) -> None:
        """What this raises is tried again from the last position noted: the same inputs give the same commands."""
        try:
            await self._calculate_on(partition, ends)
        finally:
            self._show_waiting(partition, 0)

    async def _calculate_on(self, partition: Partition, ends: asyncio.Event) -> None:
        calculator = Calculator(self._wired, self._codec, self._layout, self._views)
        position, tick = await self._notes.load(partition), 0
        # The first fact (`seq`) and the position of each batch in which a fact may wait.
        done, batches = position, list[tuple[int, int]]()
        self._report.condition(str(partition), Condition.RUNNING)
        while not ends.is_set():
            batch = await self._events.read(partition, position, MAX_BATCH)
            facts, traces = heard(self._codec, partition, batch, calculator.listens_to)
            calculator.offer(facts, traces)
            if facts:
                batches.append((facts[0].meta.seq, position))
            position = batch.next
            tick = facts[-1].meta.tick.n if facts else tick
            self._places[partition] = position, tick
            if calculator.waiting:
                await self._run_ready(calculator)
            self._show_waiting(partition, calculator.waiting)
            while batches and _is_done(batches, calculator.first_waiting):
                del batches[0]
            done = batches[0][1] if batches else position
            await self._notes.note(partition, done)
            if batch.records:
                continue
            if calculator.waiting:
                await until(ends, _LOOK_S)
            else:
                await news(self._events, partition, position, ends, self._notes.patience(partition, position))
        await self._notes.note(partition, done, last=True)

    def _show_waiting(self, partition: Partition, count: int) -> None:
        self._waiting[partition] = count
        self._report.set(WAITING, value=sum(self._waiting.values()))

    async def _run_ready(self, calculator: Calculator) -> None:
        reached = await self._views.reached()

        def complete(family: str) -> int:
            places = (reached.get(partition) for partition in self._layout.of_family(family))
            return min(place.complete_tick if place else 0 for place in places)

        before = calculator.waiting
        commands = await calculator.run_ready(complete)
        if commands:
            await self._commands.send(commands, SEND_DEADLINE_S)
        calculator.sent()
        self._report.add(CALCULATED, value=before - calculator.waiting)
        for failure in calculator.failures:
            self._report.add(FAILED)
            self._report.say("calculation failed", reason=failure, alarm=True)
        calculator.failures.clear()


def _is_done(batches: Sequence[tuple[int, int]], first_waiting: int | None) -> bool:
    """Whether no fact of the first batch waits: what waits, if anything, is in a later one."""
    return first_waiting is None or (len(batches) > 1 and batches[1][0] <= first_waiting)
