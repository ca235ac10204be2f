"""What the loops run on in tests: small, whole implementations of the ports, driven by a test, that note everything.

Logs are the real ones in memory. Nothing here waits for the machine's clock: a test waits until something is so.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Any, Final

from consumers.failures import Poison
from consumers.partition import PartitionDecider
from consumers.ports import (
    Fenced,
    Headers,
    LogUnavailable,
    NewRecord,
    Owner,
    Partition,
    ProcessReport,
    StoredRecord,
    SwitchboardUnavailable,
)
from consumers.report import Condition, Metric
from domain.families import DECIDERS
from infra.embedded.memory import MemoryCommandLog, MemoryEventLog, MemoryStore
from schemas.catalog import all_messages
from schemas.codec import Codec, avro_schema
from schemas.envelope import CommandMeta, Moment
from schemas.log.commands import Tick
from schemas.party.commands import ApplyForMembership, RegisterParty
from schemas.party.events import PartyRegistered, Role

CODEC: Final = Codec({n: avro_schema(m) for n, m in enumerate(all_messages(), 1)})
PARTY: Final = Partition("party", 0)
NOW: Final = Moment(1, 1_466_460_000_000_000)
FAR: Final = NOW.at + 1
"""Until when the commands here are valid."""

PATIENCE_S: Final = 5.0


def make(partition: Partition, set_aside: Iterable[Poison]) -> PartitionDecider:
    """A fresh decider of a family with one partition."""
    return PartitionDecider(partition, 1, DECIDERS[partition.family], CODEC, set_aside)


async def eventually(holds: Callable[[], object], what: str = "") -> None:
    """Waits until it holds; fails when it does not within some seconds."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.001)
    assert holds(), what


async def turns(count: int = 50) -> None:
    """Lets everything run that can run without waiting."""
    for _ in range(count):
        await asyncio.sleep(0)


@asynccontextmanager
async def running(
    run: Callable[[asyncio.Event], Awaitable[Any]],
) -> AsyncIterator[tuple[asyncio.Future[Any], asyncio.Event]]:
    """Runs a loop beside the test and stops it at the end; gives the task and the event."""
    stop = asyncio.Event()
    task = asyncio.ensure_future(run(stop))
    try:
        yield task, stop
    except BaseException:
        task.cancel()
        await asyncio.wait({task})
        raise
    stop.set()
    _, late = await asyncio.wait({task}, timeout=PATIENCE_S)
    if late:
        task.cancel()
        await asyncio.wait({task})
    assert not late, "it did not stop"
    task.result()


class Logs:
    """A pair of logs in memory; partitions exist, and every one has been told the first tick."""

    def __init__(self, *partitions: Partition) -> None:
        self.partitions = partitions or (PARTY,)
        self.store = MemoryStore()
        self.events = MemoryEventLog("test", self.store)
        self.commands = MemoryCommandLog("test", self.store)

    async def start(self, tick: bool = True) -> "Logs":
        for log in (self.events, self.commands):
            await log.start()
            await log.create(self.partitions)
        for partition in self.partitions if tick else ():
            await self.tick(NOW, partition)
        return self

    async def tick(self, moment: Moment, partition: Partition = PARTY) -> None:
        name = f"tick-{moment.n}"
        await self.send(b"", CommandMeta(name, "log:clock", name, None, None, None), Tick(*_both(moment)), partition)

    async def register(self, *names: str) -> None:
        for name in names:
            meta = CommandMeta(f"reg-{name}", name, "x", FAR, None, None)
            await self.send(name.encode(), meta, RegisterParty((Role.SUPPLIER,)))

    async def apply(self, name: str, community: str) -> None:
        meta = CommandMeta(f"{name}-to-{community}", name, "x", FAR, None, None)
        await self.send(name.encode(), meta, ApplyForMembership(community))

    async def send(self, key: bytes, meta: CommandMeta, body: Any, partition: Partition = PARTY) -> None:
        await self.put(NewRecord(key, CODEC.encode(meta, body)), partition)

    async def put(self, record: NewRecord, partition: Partition = PARTY) -> None:
        await self.commands.send([(partition, record)], 1.0)

    async def answer(self, partition: Partition = PARTY, batch: int = 10**6) -> None:
        """Decides and appends what waits, in appends of at most `batch` commands, as a deployment did before."""
        decider = make(partition, ())
        for stored in await self.records(partition):
            decider.restore(stored)
        owner = await self.events.claim(partition)
        while found := (await self.commands.read(partition, decider.source, batch)).records:
            await owner.append(decider.decide(found), 1.0)

    async def records(self, partition: Partition = PARTY) -> tuple[StoredRecord, ...]:
        return (await self.events.read(partition, 0, 10**6)).records

    async def bodies(self, partition: Partition = PARTY) -> list[Any]:
        return [CODEC.decode(r.value)[1] for r in await self.records(partition)]

    async def registered(self) -> list[str]:
        return [b.party for b in await self.bodies() if isinstance(b, PartyRegistered)]

    async def appends(self, partition: Partition = PARTY) -> list[int]:
        """The number of records of each append, by the chain hash that ends it."""
        sizes, open_ = list[int](), 0
        for stored in await self.records(partition):
            open_ += 1
            if "chain" in dict(stored.headers):
                sizes.append(open_)
                open_ = 0
        assert open_ == 0
        return sizes

    async def answered(self, task: "asyncio.Future[Any]", partition: Partition = PARTY) -> None:
        """Waits until every command has its answer on the log, or until the task that should answer has ended."""
        async with asyncio.timeout(PATIENCE_S):
            while not task.done():
                records = await self.records(partition)
                last = int(dict(records[-1].headers)["source_offset"]) if records else -1
                if last + 1 == await self.commands.end(partition):
                    return
                await asyncio.sleep(0.001)

    async def whole(self, partition: Partition = PARTY) -> PartitionDecider:
        """The memory that the records give; every chain hash and number is looked at."""
        decider = make(partition, ())
        for stored in await self.records(partition):
            decider.restore(stored)
        decider.restored()
        return decider


def _both(moment: Moment) -> tuple[int, int]:
    return moment.n, moment.at


class Gate:
    """An event log whose appends wait at a gate while it is closed; `fate` says what becomes of each.

    `stored` and `lost`: the append stands, or not, and its owner hears that nobody knows. `fenced`: somebody
    claims first. Nothing or `ok`: it is written.
    """

    def __init__(self, inner: MemoryEventLog) -> None:
        self.inner = inner
        self.open = asyncio.Event()
        self.open.set()
        self.fate: list[str] = []
        self.begun: list[list[NewRecord]] = []
        self.ended = 0
        self.unavailable = 0
        """So many calls of `end` fail."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def close(self) -> None:
        self.open.clear()

    @property
    def waiting(self) -> int:
        """Appends that have begun and not ended."""
        return len(self.begun) - self.ended

    async def end(self, partition: Partition) -> int:
        if self.unavailable:
            self.unavailable -= 1
            raise LogUnavailable("no end")
        return await self.inner.end(partition)

    async def claim(self, partition: Partition) -> Owner:
        return Gated(self, partition, await self.inner.claim(partition))


class Gated:
    """An owner behind a `Gate`."""

    def __init__(self, gate: Gate, partition: Partition, inner: Owner) -> None:
        self._gate, self._partition, self._inner = gate, partition, inner

    async def append(self, records: Sequence[NewRecord], deadline: float) -> None:
        gate = self._gate
        gate.begun.append(list(records))
        try:
            await gate.open.wait()
            fate = gate.fate.pop(0) if gate.fate else "ok"
            if fate == "fenced":
                await gate.inner.claim(self._partition)
                raise Fenced("somebody claimed it later")
            if fate != "lost":
                await self._inner.append(records, deadline)
            if fate != "ok":
                raise LogUnavailable("nobody knows")
        finally:
            gate.ended += 1

    async def close(self) -> None:
        await self._inner.close()


class Driven:
    """A group of which the test says who is asked for what; joining fails `refuses` times."""

    def __init__(self, refuses: int = 0) -> None:
        self._assigned = frozenset[Partition]()
        self._again = asyncio.Event()
        self.offered: tuple[Partition, ...] = ()
        self.joined = self.left = False
        self.refuses = refuses
        self.positions: dict[Partition, int] = {}

    def assign(self, *partitions: Partition) -> None:
        """Asks for exactly these from now on."""
        self._assigned = frozenset(partitions)
        self._again.set()

    def quietly(self, *partitions: Partition) -> None:
        """The same, but whoever waits for a change is not told yet."""
        self._assigned = frozenset(partitions)

    @property
    def assigned(self) -> frozenset[Partition]:
        return self._assigned if self.joined else frozenset()

    async def join(self, partitions: Sequence[Partition]) -> None:
        if self.refuses:
            self.refuses -= 1
            raise LogUnavailable("no coordinator")
        self.joined, self.offered = True, tuple(partitions)

    async def changed(self, known: frozenset[Partition], timeout: float) -> frozenset[Partition]:
        if self.assigned == known:
            self._again.clear()
            try:
                async with asyncio.timeout(timeout):
                    await self._again.wait()
            except TimeoutError:
                pass
        return self.assigned

    def reached(self, positions: Mapping[Partition, int]) -> None:
        self.positions |= positions

    async def leave(self) -> None:
        self.joined, self.left = False, True


class Shelf:
    """Snapshots in a dict; `refuses` says which calls (`load`, `save`) fail, `saved` notes each one in order."""

    def __init__(self) -> None:
        self.kept: dict[Partition, bytes] = {}
        self.saved: list[bytes] = []
        self.refuses: set[str] = set()

    async def load(self, partition: Partition) -> bytes | None:
        await asyncio.sleep(0)
        if "load" in self.refuses:
            raise OSError("read-only shelf")
        return self.kept.get(partition)

    async def save(self, partition: Partition, data: bytes) -> None:
        await asyncio.sleep(0)
        if "save" in self.refuses:
            raise OSError("read-only shelf")
        self.kept[partition] = data
        self.saved.append(data)


class Board:
    """A switchboard that takes a moment to answer, as one in a database does; it may be away."""

    def __init__(self) -> None:
        self.rests: dict[Partition, str] = {}
        self.away = False
        self.asked = 0

    async def _answer(self) -> None:
        await turns(3)
        if self.away:
            raise SwitchboardUnavailable("nobody answers")

    async def paused(self) -> Mapping[Partition, str]:
        self.asked += 1
        found = dict(self.rests)
        await self._answer()
        return found

    async def pause(self, partition: Partition, reason: str) -> None:
        await self._answer()
        self.rests[partition] = reason

    async def resume(self, partition: Partition) -> None:
        await self._answer()
        self.rests.pop(partition, None)

    async def report(self, process: ProcessReport) -> None:
        await self._answer()

    async def processes(self) -> Sequence[ProcessReport]:
        return ()


class Notes:
    """Positions of readers in a dict; `refuses` says which calls (`hints`, `hint`) fail, `count` how often one came."""

    def __init__(self) -> None:
        self.noted: dict[tuple[str, Partition], int] = {}
        self.refuses: set[str] = set()
        self.count = 0

    async def hints(self, reader: str) -> Mapping[Partition, int]:
        await asyncio.sleep(0)
        if "hints" in self.refuses:
            raise RuntimeError("views are away")
        return {partition: position for (who, partition), position in self.noted.items() if who == reader}

    async def hint(self, reader: str, positions: Mapping[Partition, int]) -> None:
        await asyncio.sleep(0)
        self.count += 1
        if "hint" in self.refuses:
            raise RuntimeError("views are away")
        self.noted |= {(reader, partition): position for partition, position in positions.items()}


class Seen:
    """A report that remembers everything."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, ...], float] = {}
        self.values: dict[str, list[float]] = {}
        self.gauges: dict[tuple[str, ...], float] = {}
        self.parts: dict[str, tuple[Condition, str]] = {}
        self.history: list[tuple[str, Condition]] = []
        self.said: list[tuple[str, bool, Mapping[str, object]]] = []

    def add(self, metric: Metric, *labels: str, value: float = 1) -> None:
        assert len(labels) == len(metric.labels), f"{metric.name} has the labels {metric.labels}"
        key = (metric.name, *labels)
        self.counts[key] = self.counts.get(key, 0) + value
        self.values.setdefault(metric.name, []).append(value)

    def set(self, metric: Metric, *labels: str, value: float) -> None:
        assert len(labels) == len(metric.labels), f"{metric.name} has the labels {metric.labels}"
        self.gauges[(metric.name, *labels)] = value

    def condition(self, part: str, condition: Condition, text: str = "") -> None:
        self.parts[part] = condition, text
        self.history.append((part, condition))

    def gone(self, part: str) -> None:
        self.parts.pop(part, None)

    def say(self, event: str, *, alarm: bool = False, **fields: object) -> None:
        self.said.append((event, alarm, fields))

    def span(
        self, name: str, *, links: Iterable[Headers] = (), parent: Headers = (), **about: str | int
    ) -> AbstractContextManager[Headers]:
        return nullcontext(parent)

    def told(self, event: str) -> list[str]:
        """The reasons of all sentences of this kind."""
        return [str(fields.get("reason", "")) for said, _, fields in self.said if said == event]

    def alarms(self) -> Iterator[str]:
        """The kinds of all alarms."""
        return (event for event, alarm, _ in self.said if alarm)

    def now(self, part: str) -> Condition | None:
        """How the part is."""
        return self.parts[part][0] if part in self.parts else None
