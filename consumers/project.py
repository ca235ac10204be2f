"""Projectors: facts become rows, rows and position become one transaction."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from consumers.layout import Layout
from consumers.limits import MAX_BATCH
from consumers.newer import NewerSchemas
from consumers.ports import Batch, EventLog, Group, Headers, Partition
from consumers.reading import SENT, USUAL_HEADERS, batches, news, recorded
from consumers.report import END_TO_END, PROJECT, PROJECTED, Condition, Report
from consumers.workers import Place, Workers, kept, until
from projections.view import Row, View
from schemas.codec import Codec, UnknownMessage
from schemas.envelope import Recorded
from schemas.log.events import TimePassed

_LOOK_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a partition is projected: next position to read, and the last tick that is complete."""

    position: int
    complete_tick: int


@dataclass(slots=True)  # not frozen: two are made for most records, in a fifth of the time
class NewRow:
    """A row of a view with the fact it comes from; `row` is its place among the fact's rows of the view."""

    family: str
    partition: int
    seq: int
    tick: int
    at: int
    row: int
    values: Row


class ViewStore(Protocol):
    """Tables of views with the positions they stand at."""

    async def reached(self) -> Mapping[Partition, Reached]:
        """How far each partition is projected; a partition never projected is missing."""

    async def apply(self, rows: Mapping[str, Sequence[NewRow]], reached: Mapping[Partition, Reached]) -> None:
        """Adds the rows (view name → rows, in the order of their facts) and moves the positions: all or nothing."""


class StartedViews(ViewStore, Protocol):
    """A store that makes its tables itself."""

    async def start(self) -> None:
        """Makes the tables exist."""


class Projector:
    """Projects the facts of any number of partitions into one store."""

    def __init__(self, views: Mapping[str, Sequence[View]], everywhere: Iterable[View], store: ViewStore) -> None:
        self._store = store
        shared = tuple(everywhere)
        self._reached: dict[Partition, Reached] = {}
        self._by_fact: dict[tuple[str, type], list[View]] = {}
        for family, family_views in views.items():
            for view in (*family_views, *shared):
                for kind in view.on:
                    self._by_fact.setdefault((family, kind), []).append(view)

    async def start(self) -> None:
        """Reads how far the store is."""
        self._reached = dict(await self._store.reached())

    async def look(self, partition: Partition) -> None:
        """Reads how far the store is in one partition: another process may have gone on there."""
        self._reached[partition] = (await self._store.reached()).get(partition, Reached(0, 0))

    def reached(self, partition: Partition) -> Reached:
        """How far a partition is projected."""
        return self._reached.get(partition, Reached(0, 0))

    def complete_tick(self, partitions: Iterable[Partition]) -> int:
        """The tick up to which every one of these partitions is projected."""
        return min(self.reached(partition).complete_tick for partition in partitions)

    async def project(self, read: Mapping[Partition, tuple[Sequence[Recorded[Any]], int]]) -> None:
        """Projects facts and moves to the next positions, in one transaction for all partitions given."""
        rows: dict[str, list[NewRow]] = {}
        moved: dict[Partition, Reached] = {}
        for partition, (facts, position) in read.items():
            tick = self.reached(partition).complete_tick
            for fact in facts:
                if type(fact.body) is TimePassed:
                    tick = fact.body.n
                self._rows_of(fact, rows)
            moved[partition] = Reached(position, tick)
        await self._store.apply(rows, moved)
        self._reached.update(moved)

    async def catch_up(self, partition: Partition, end: int, events: EventLog, codec: Codec) -> None:
        """Projects a partition from where the store is up to `end`, batch by batch."""
        async for facts, position in batches(events, codec, partition, self.reached(partition).position, end):
            await self.project({partition: (facts, position)})
        await self.project({partition: ((), end)})

    def _rows_of(self, fact: Recorded[Any], rows: dict[str, list[NewRow]]) -> None:
        meta = fact.meta
        for view in self._by_fact.get((fact.family, type(fact.body)), ()):
            into = rows.setdefault(view.name, [])
            for n, values in enumerate(view.on[type(fact.body)](fact)):
                into.append(NewRow(fact.family, fact.partition, meta.seq, meta.tick.n, meta.tick.at, n, values))


@dataclass(frozen=True, slots=True)
class _Offer:
    """What a partition has to project; `done` says that it stands, or why not."""

    facts: Sequence[Recorded[Any]]
    position: int
    links: Sequence[Headers]
    done: "asyncio.Future[None]"


class _Together:
    """Puts what several partitions have to project into one transaction: whoever comes while one is under way
    waits for the next.

    Who was in one that failed may be the reason for it, and goes alone until one of its own has stood.
    """

    def __init__(self, projector: Projector, report: Report) -> None:
        self._projector, self._report = projector, report
        self._waiting: dict[Partition, _Offer] = {}
        self._alone = set[Partition]()
        self._task: asyncio.Task[None] | None = None

    def offer(
        self, partition: Partition, facts: Sequence[Recorded[Any]], position: int, links: Sequence[Headers] = ()
    ) -> "asyncio.Future[None]":
        """Done when it stands; of one partition one offer at a time."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.add_done_callback(_seen)
        self._waiting[partition] = _Offer(facts, position, links, done)
        if self._task is None:
            self._task = asyncio.create_task(self._apply_all())
        return done

    async def _apply_all(self) -> None:
        while self._waiting:
            offers = self._next()
            began = time.perf_counter()
            links = (headers for offer in offers.values() for headers in offer.links)
            try:
                with self._report.span("project", links=links):
                    await self._projector.project({p: (offer.facts, offer.position) for p, offer in offers.items()})
            except Exception as error:
                self._alone |= offers.keys()
                for offer in offers.values():
                    offer.done.set_exception(error)
                continue
            self._alone -= offers.keys()
            for offer in offers.values():
                offer.done.set_result(None)
            self._report.add(PROJECT, value=time.perf_counter() - began)
            self._report.add(PROJECTED, value=sum(len(offer.facts) for offer in offers.values()))
        self._task = None

    def _next(self) -> dict[Partition, _Offer]:
        """Who has waited longest, and whoever may go with it."""
        first = next(iter(self._waiting))
        chosen = [first] if first in self._alone else [p for p in self._waiting if p not in self._alone]
        return {p: self._waiting.pop(p) for p in chosen}


def _seen(done: "asyncio.Future[None]") -> None:
    if not done.cancelled():
        done.exception()  # its worker gets it; one that was ended does not ask any more


class Projectors:
    """`gridbook run project`: a projector for each events partition that this process is asked for.

    While one transaction is under way the next records are read and decoded.

    Args:
        now: the machine's time (UTC µs), to measure how long an answer took; nothing is decided by it.
    """

    def __init__(
        self,
        partitions: Sequence[Partition],
        layout: Layout,
        views: Mapping[str, Sequence[View]],
        everywhere: Sequence[View],
        store: StartedViews,
        codec: Codec,
        events: EventLog,
        group: Group,
        report: Report,
        now: Callable[[], int],
        newer: NewerSchemas | None = None,
    ) -> None:
        self._projector = Projector(views, everywhere, store)
        self._store, self._codec, self._events, self._report, self._now = store, codec, events, report, now
        self._layout = layout
        self._passed_over = set[str]()
        self._together = _Together(self._projector, report)
        self._workers = Workers("project", group, partitions, self._project, report, self._place, events, newer=newer)

    @property
    def working(self) -> tuple[Partition, ...]:
        """The partitions that this process projects."""
        return self._workers.working

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; makes the tables exist first."""
        await kept("views", self._store.start, stop, self._report)
        self._report.gone("views")
        await self._workers.run(stop)

    async def _project(self, partition: Partition, ends: asyncio.Event) -> None:
        """What this raises is tried again from where the store is."""
        await self._earlier_ones(partition, ends)
        await self._projector.look(partition)
        position = self._projector.reached(partition).position
        self._report.condition(str(partition), Condition.RUNNING)
        under_way: asyncio.Future[None] | None = None
        while not ends.is_set():
            batch = await self._events.read(partition, position, MAX_BATCH)
            facts = self._read(partition, batch)
            if under_way is not None:
                await asyncio.shield(under_way)
                under_way = None
            if batch.next > position:
                position = batch.next
                links = [stored.headers for stored in batch.records if len(stored.headers) > USUAL_HEADERS]
                under_way = self._together.offer(partition, facts, position, links)
                self._measure(batch, under_way)
            else:
                await news(self._events, partition, position, ends)
        if under_way is not None:
            await asyncio.shield(under_way)

    async def _earlier_ones(self, partition: Partition, ends: asyncio.Event) -> None:
        """Waits until the generation before is projected, here or elsewhere: a key's facts come in their order."""
        for earlier in self._layout.before(partition):
            end = await self._events.end(earlier)
            while (await self._store.reached()).get(earlier, Reached(0, 0)).position < end:
                self._report.condition(str(partition), Condition.WAITING, f"for {earlier}, which comes first")
                if await until(ends, _LOOK_S):
                    return

    def _read(self, partition: Partition, batch: Batch) -> list[Recorded[Any]]:
        """The facts of a batch. A message that this release has no class for is passed over: the release that has one
        projects from the beginning, because it has other views."""
        facts = []
        for stored in batch.records:
            try:
                facts.append(recorded(self._codec, partition, stored))
            except UnknownMessage as unknown:
                if unknown.name not in self._passed_over:
                    self._passed_over.add(unknown.name)
                    self._report.say("passed over", name=unknown.name, alarm=True)
        return facts

    def _measure(self, batch: Batch, transaction: "asyncio.Future[None]") -> None:
        """Notes how long the way from door to view took, for the first record that tells when it was sent."""
        for stored in batch.records:
            if len(stored.headers) > USUAL_HEADERS and (sent := dict(stored.headers).get(SENT, b"")).isdigit():
                transaction.add_done_callback(partial(self._arrived, int(sent)))
                return

    def _arrived(self, sent_at: int, transaction: "asyncio.Future[None]") -> None:
        if not transaction.cancelled() and transaction.exception() is None:
            self._report.add(END_TO_END, value=(self._now() - sent_at) / 1_000_000)

    def _place(self, partition: Partition) -> Place | None:
        reached = self._projector.reached(partition)
        return reached.position, reached.complete_tick
