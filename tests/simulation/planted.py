"""Four bugs, each planted alone: the simulation must see every one of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from consumers.failures import Poison
from consumers.partition import PartitionDecider
from consumers.ports import Partition, StoredRecord
from consumers.project import NewRow, Reached
from schemas.envelope import Causation, CommandMeta, Recorded
from schemas.log.commands import Tick
from tests.simulation.crashes import CrashingViews
from tests.simulation.runs import SimulatedApp


class _WithDecider(SimulatedApp):
    """The composition with another `PartitionDecider`."""

    decider_kind: type[PartitionDecider]

    def _decider(self, partition: Partition, set_aside: Iterable[Poison]) -> PartitionDecider:
        from domain.families import DECIDERS

        count = self.layout.count(partition)
        return self.decider_kind(partition, count, DECIDERS[partition.family], self.codec, set_aside)


class _PositionElsewhere(PartitionDecider):
    """Takes the input position from somewhere that was saved before the last append, as group offsets are."""

    def restore(self, stored: StoredRecord) -> Recorded[Any]:
        before = self._m.source
        fact = super().restore(stored)
        self._m.source = max(0, min(before, self._m.source - 1))
        return fact


class PositionNotFromFacts(_WithDecider):
    """An owner restores facts, but not the position that they tell."""

    decider_kind = _PositionElsewhere


class _NoCursor(PartitionDecider):
    """Decides every command from inside, also one that it has decided before."""

    def _from_inside(self, key: str, meta: CommandMeta, body: Any, cause: Causation) -> None:
        self._m.cursors.clear()
        super()._from_inside(key, meta, body, cause)


class PolicyCursorMissing(_WithDecider):
    """Receivers forget which commands of a policy they have decided."""

    decider_kind = _NoCursor


class _DeafToTicks(PartitionDecider):
    """Answers ticks, but nothing that is due happens: deadlines come with the next command of the key only."""

    def _tick(self, position: int, tick: Tick) -> None:
        self._m.due.clear()
        super()._tick(position, tick)


class TickIgnored(_WithDecider):
    """Time passes and nobody acts on it."""

    decider_kind = _DeafToTicks


class _TwoTransactions(CrashingViews):
    """Rows first, the positions in another transaction."""

    async def apply(self, rows: Mapping[str, Sequence[NewRow]], reached: Mapping[Partition, Reached]) -> None:
        await super().apply({}, reached)
        await super().apply(rows, {})


class RowsAndPositionApart(SimulatedApp):
    """A crash between the two transactions loses rows."""

    views_kind = _TwoTransactions


PLANTED = {
    "position": PositionNotFromFacts,
    "views": RowsAndPositionApart,
    "cursor": PolicyCursorMissing,
    "tick": TickIgnored,
}
