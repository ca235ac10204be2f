"""Runs of a simulated day in one process: in lock-step or by chance, undisturbed or dying all the time.

A process that dies leaves two things: the logs (in memory, shared by its successors) and the views (in
PostgreSQL). Everything else begins again.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from consumers.calculate import Calculator
from consumers.clock import Clock
from consumers.ports import NewRecord, Partition
from consumers.project import Projector
from consumers.react import Reactor
from consumers.reading import recorded
from gateways.app import CALCULATIONS, EVERYWHERE, POLICIES, VIEWS, App, views_of
from gateways.app.backends import Backend, memory_backend
from gateways.door import Door
from infra.embedded.memory import MemoryStore
from infra.postgres.views import PostgresViews
from schemas.catalog import is_runtime_record
from schemas.envelope import Moment, Recorded
from schemas.log.events import CommandRepeated, CommandSetAside
from tests.simulation.crashes import Crash, Crashes, CrashingCommands, CrashingEvents, CrashingViews
from tests.simulation.world import Step, World


class SimulatedApp(App):
    """The product's composition with crash points around its logs and views; parts can be planted."""

    views_kind: type[CrashingViews] = CrashingViews

    def __init__(self, backend: Backend, dsn: str, name: str, partitions: int, crashes: Crashes) -> None:
        self._crashes = crashes
        events, commands = CrashingEvents(backend.events, crashes), CrashingCommands(backend.commands, crashes)
        super().__init__(Backend(events, commands), dsn, name, partitions)  # type: ignore[arg-type]

    def _store(self, schema: str) -> PostgresViews:
        made = views_of(self._dsn, schema, self.views_kind)
        assert isinstance(made, CrashingViews)
        if not schema.endswith("_rebuilt"):
            made.crashes = self._crashes
        return made


@dataclass(slots=True)
class Outcome:
    """What a run left behind."""

    facts: dict[tuple[str, str], list[str]]
    problems: list[str]
    crashed_at: list[str]


Make = Callable[..., SimulatedApp]


class Simulation:
    """One world, one pair of logs, one schema of views; `run_*` may be called once."""

    def __init__(self, world: World, dsn: str, name: str, partitions: int, crashes: Crashes, make: Make) -> None:
        self.world, self._dsn, self._name, self._partitions = world, dsn, name, partitions
        self._crashes, self._make = crashes, make
        self._store = MemoryStore()
        self.quiet = Crashes(0, 0.0, 0)

    def app(self, crashes: Crashes | None = None) -> SimulatedApp:
        """A process on the shared logs and views."""
        backend = memory_backend(self._name, self._store)
        return self._make(backend, self._dsn, self._name, self._partitions, crashes or self._crashes)

    async def run_in_lock_step(self) -> Outcome:
        """Every process goes on where the one before died, until the day is over."""
        await self.app(self.quiet).views.drop()
        while True:
            app = self.app()
            try:
                await app.start()
                for step in self.world.steps:
                    if step.moment.n < app.drive.passed:
                        continue
                    if step.moment.n > app.drive.passed:
                        await app.drive.tick(step.moment)
                    await app.drive.send(app.door.admit(step.commands))
                    await app.drive.settle()
                return await self._outcome()
            except Crash:
                continue

    async def run_by_chance(self, seed: int) -> Outcome:
        """Every part runs when chance says so, each from its own position; only invariants hold afterwards."""
        await self.app(self.quiet).views.drop()
        rng = random.Random(seed)
        sent = 0
        while True:
            app = self.app()
            try:
                free = FreeRun(app, rng)
                await free.start()
                while sent < len(self.world.steps):
                    await free.wish(self.world.steps[sent])
                    sent += 1
                    await free.some_turns()
                await free.until_quiet()
                return await self._outcome()
            except Crash:
                continue

    async def _outcome(self) -> Outcome:
        app = self.app(self.quiet)
        await app.open()
        facts, problems = await examine(app)
        await app.views.drop()
        await app.close()
        return Outcome(facts, problems, list(self._crashes.at))


class FreeRun:
    """The parts of one process, run one at a time by chance."""

    def __init__(self, app: App, rng: random.Random) -> None:
        self._app, self._rng = app, rng
        self._owners = list(app.drive._owners.values())
        self._events, self._commands = app._backend.events, app._backend.commands
        self._reactor = Reactor(POLICIES, app.codec, app.layout)
        self._projector = Projector(VIEWS, EVERYWHERE, app.views)
        self._calculator = Calculator(CALCULATIONS, app.codec, app.layout, app.views)
        self._clock = Clock(self._commands, app.codec, app.layout.partitions)
        self._at: dict[tuple[str, Partition], int] = {}
        self._now = Moment(0, 0)

    async def start(self) -> None:
        """Reactors and calculators begin at zero: receivers know repeats."""
        await self._app.open_logs()
        await self._app.views.start()
        for owner in self._owners:
            await owner.start()
            self._now = max(self._now, owner.decider.time, key=lambda moment: moment.n)
        await self._projector.start()

    async def wish(self, step: Step) -> None:
        """A tick, then its wishes; several doors re-order them between partitions, never within one."""
        self._now = step.moment
        await self._clock.tick(step.moment)
        door = Door(self._app.codec, self._app.layout, lambda: step.moment)
        by_partition: dict[Partition, list[tuple[Partition, NewRecord]]] = {}
        for partition, record in door.admit(step.commands):
            by_partition.setdefault(partition, []).append((partition, record))
        queues = list(by_partition.values())
        self._rng.shuffle(queues)
        for queue in queues:
            await self._commands.send(queue, 1.0)

    async def some_turns(self) -> None:
        """Enough turns that a step's effects are mostly there before the next, in any order."""
        for _ in range(self._rng.randrange(20, 120)):
            await self._turn(self._rng.choice(self._owners).partition)
        if self._rng.random() < 0.7:
            await self.until_quiet()

    async def _turn(self, partition: Partition) -> bool:
        turns = [self._decide, self._react, self._project, self._calculate]
        self._rng.shuffle(turns)
        return any([await turn(partition) for turn in turns[: self._rng.randrange(1, 5)]])

    async def until_quiet(self) -> None:
        """Until nothing moves any more."""
        while True:
            moved = False
            for owner in self._owners:
                for turn in (self._decide, self._react, self._project, self._calculate):
                    moved |= await turn(owner.partition)
            if not moved:
                return

    async def _decide(self, partition: Partition) -> bool:
        owner = next(o for o in self._owners if o.partition == partition)
        return bool(await owner.step())

    async def _read(self, reader: str, partition: Partition, position: int | None = None) -> list[Recorded[Any]]:
        at = self._at.get((reader, partition), 0) if position is None else position
        batch = await self._events.read(partition, at, self._rng.randrange(1, 40))
        self._at[reader, partition] = batch.next
        return [recorded(self._app.codec, partition, stored) for stored in batch.records]

    async def _react(self, partition: Partition) -> bool:
        facts = await self._read("react", partition)
        commands = self._reactor.commands(facts)
        if commands:
            await self._commands.send(commands, 1.0)
        return bool(facts)

    async def _project(self, partition: Partition) -> bool:
        facts = await self._read("project", partition, self._projector.reached(partition).position)
        if facts:
            await self._projector.project({partition: (facts, self._at["project", partition])})
        return bool(facts)

    async def _calculate(self, partition: Partition) -> bool:
        facts = await self._read("calculate", partition)
        self._calculator.offer(facts)

        def complete(family: str) -> int:
            return self._projector.complete_tick(self._app.layout.of_family(family))

        commands = await self._calculator.run_ready(complete)
        if commands:
            await self._commands.send(commands, 1.0)
        self._calculator.sent()
        return bool(facts or commands)


async def examine(app: App) -> tuple[dict[tuple[str, str], list[str]], list[str]]:
    """All facts by key, and everything that breaks a promise: proofs, conservation, one answer a command."""
    problems = [d for verdict in await app.verify_decisions() for d in verdict.differences]
    problems += [f"view {name} differs from its rebuild" for name in await app.verify_projections()]
    facts: dict[tuple[str, str], list[str]] = {}
    for partition in app.layout.partitions:
        problems += await _examine_partition(app, partition, facts)
    for question in (
        "SELECT sum(amount_micro) AS n FROM ledger GROUP BY issuer, currency HAVING sum(amount_micro) <> 0",
        "SELECT run FROM energy_balances WHERE unattributed_wh <> 0",
        "SELECT party FROM positions WHERE bought_wh < 0 OR sold_wh < 0",
        "SELECT command_id FROM answers WHERE event = 'CommandSetAside'",
    ):
        problems += [f"{question}: {dict(row)}" for row in await app.views(question, {})]
    return facts, problems


async def _examine_partition(app: App, partition: Partition, facts: dict[tuple[str, str], list[str]]) -> Sequence[str]:
    """Every command of the partition is answered, and decided exactly once however often it came."""
    codec, backend = app.codec, app._backend
    wished: set[tuple[str, str]] = set()
    for stored in (await backend.commands.read(partition, 0, 10**9)).records:
        meta, _ = codec.decode(stored.value)
        wished.add((meta.actor, meta.command_id))
    decided: Counter[tuple[str, str]] = Counter()
    answered: set[tuple[str, str]] = set()
    for stored in (await backend.events.read(partition, 0, 10**9)).records:
        fact = recorded(codec, partition, stored)
        identity = (fact.meta.actor, fact.meta.command_id)
        answered.add(identity)
        if not isinstance(fact.body, CommandRepeated | CommandSetAside) and fact.meta.index == 0:
            decided[identity] += fact.meta.actor.startswith("log:") is False
        if not is_runtime_record(fact.body):
            facts.setdefault((fact.family, fact.key), []).append(repr(fact.body))
    place = str(partition)
    problems = [f"{place}: no answer to {identity}" for identity in wished - answered]
    return problems + [f"{place}: {identity} decided {n} times" for identity, n in decided.items() if n > 1]


def run_account(outcome: Outcome) -> dict[tuple[str, str], list[str]]:
    """The facts of every key without their order, in which policies of several families may arrive."""
    return {key: sorted(bodies) for key, bodies in outcome.facts.items()}
