"""The connections of a run: who stood behind them and what was metered, interval by interval."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from domain.calculation import Inputs, Row
from domain.settlement.known import InputMissing, Period, Timeline, readings, timelines
from schemas.settlement.events import ConnectionBalance
from schemas.values import Direction

_UTILITY = "utility"


@dataclass(frozen=True, slots=True)
class Site:
    """A connection. `masters` holds its version per interval, none where it was not part of the area."""

    connection: str
    masters: Sequence[Row | None]
    import_wh: Sequence[int]
    export_wh: Sequence[int]

    def balance(self) -> ConnectionBalance:
        """Its metered energy, as the run records it."""
        last = next(master for master in reversed(self.masters) if master is not None)
        return ConnectionBalance(self.connection, last["customer"], tuple(self.import_wh), tuple(self.export_wh))


def sites(area: str, inputs: Inputs, period: Period) -> dict[str, Site]:
    """The area's connections by id, with both registers of their utility meters.

    Raises:
        InputMissing: there is no connection, or one without a reading for an interval.
    """
    registers = readings((row for row in inputs["readings"] if row["meter_kind"] == _UTILITY), period)
    found: dict[str, Site] = {}
    for connection, timeline in timelines(inputs["connections"], "connection").items():
        masters = list(_masters(timeline, area, period))
        if any(master is not None for master in masters):
            found[connection] = Site(
                connection,
                masters,
                _metered(masters, registers, Direction.IMPORT_FROM_GRID, period),
                _metered(masters, registers, Direction.EXPORT_TO_GRID, period),
            )
    if not found:
        raise InputMissing("connections", area)
    return found


def _masters(timeline: Timeline, area: str, period: Period) -> Iterable[Row | None]:
    for interval in range(period.count):
        master = timeline.at(period.start_of(interval))
        yield master if master is not None and master["zone"] == area else None


def _metered(
    masters: Sequence[Row | None],
    registers: Mapping[tuple[str, str], Sequence[int | None]],
    direction: Direction,
    period: Period,
) -> list[int]:
    metered = []
    for interval, master in enumerate(masters):
        if master is None:
            metered.append(0)
            continue
        point = master["metering_point"]
        values = registers.get((point, direction))
        energy = None if values is None else values[interval]
        if energy is None:
            raise InputMissing("reading", point, direction, period.start_of(interval))
        metered.append(energy)
    return metered
