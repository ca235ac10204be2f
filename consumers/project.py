"""Projectors: facts become rows, rows and position become one transaction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from consumers.ports import EventLog, Partition
from consumers.reading import batches
from projections.view import Row, View
from schemas.codec import Codec
from schemas.envelope import Recorded
from schemas.log.events import TimePassed


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a partition is projected: next position to read, and the last tick that is complete."""

    position: int
    complete_tick: int


@dataclass(frozen=True, slots=True)
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

    def reached(self, partition: Partition) -> Reached:
        """How far a partition is projected."""
        return self._reached.get(partition, Reached(0, 0))

    def complete_tick(self, family: str, partitions: int) -> int:
        """The tick up to which every partition of the family is projected."""
        return min(self.reached(Partition(family, p)).complete_tick for p in range(partitions))

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
