"""What the demo's meters report: whole days of readings, the response to the event, one late correction."""

from collections.abc import Iterator, Mapping, Sequence

from examples.agents import responded_wh
from examples.sample_energy import Register
from examples.sample_files import INTERVAL_MIN
from examples.world import Place, Wishes, metering_point
from gateways.door import DoorCommand
from schemas.meter.commands import RecordReadings
from schemas.meter.events import Quality
from schemas.values import Direction

_RESOURCE_REGISTERS: Mapping[Register, Direction] = {
    "consumption": Direction.RESOURCE_CONSUMPTION,
    "generation": Direction.RESOURCE_GENERATION,
    "charge": Direction.RESOURCE_CONSUMPTION,
    "discharge": Direction.RESOURCE_GENERATION,
}

Registers = Mapping[tuple[str, Direction], Sequence[int]]
"""(metering point, register) → Wh per interval of the whole period."""


def measured(place: Place, followers: Sequence[str], event: slice) -> Registers:
    """Every register of a community. Followers of the event consume less in its intervals (simulated)."""
    follow = set(followers)
    found: dict[tuple[str, Direction], Sequence[int]] = {}
    lowered: dict[str, list[int]] = {}
    party = {c.connection: c.party for c in place.community.connections}
    for r in place.community.resources:
        for register, direction in _RESOURCE_REGISTERS.items():
            series: Sequence[int] | None = place.energy.registers.get((r.resource, register))
            if series is None:
                continue
            if register == "consumption" and r.connection in follow:
                values = list(series)
                for i in range(event.start, event.stop):
                    values[i] = responded_wh(party[r.connection], values[i])
                saved = lowered.setdefault(r.connection, [0] * len(values))
                for i in range(event.start, event.stop):
                    saved[i] += series[i] - values[i]
                series = values
            found[metering_point(r.resource), direction] = series
    for connection, energy in place.energy.connections.items():
        imports, exports = energy.import_from_grid_wh, energy.export_to_grid_wh
        if connection in lowered:
            nets = [i - e - s for i, e, s in zip(imports, exports, lowered[connection], strict=True)]
            imports, exports = tuple(max(0, n) for n in nets), tuple(max(0, -n) for n in nets)
        found[metering_point(connection), Direction.IMPORT_FROM_GRID] = imports
        found[metering_point(connection), Direction.EXPORT_TO_GRID] = exports
    return found


def readings(wish: Wishes, place: Place, registers: Registers, days: range, batch: str) -> Iterator[DoorCommand]:
    """One batch per register for consecutive local days (an index range of the community's days)."""
    first, last = place.community.day_slice(days[0]), place.community.day_slice(days[-1])
    start_at = place.community.start_utc_us(first.start)
    for (point, direction), series in registers.items():
        values = tuple(series[first.start : last.stop])
        body = RecordReadings("head-end", batch, direction, start_at, INTERVAL_MIN, Quality.VALID, values)
        yield wish("meter", point, "head-end", body)


def corrected(
    wish: Wishes, place: Place, registers: Registers, connection: str, intervals: slice, percent: int
) -> DoorCommand:
    """The late correction: the connection drew `percent` of what was reported in these intervals."""
    series = registers[metering_point(connection), Direction.IMPORT_FROM_GRID]
    values = tuple(v * percent // 100 for v in series[intervals.start : intervals.stop])
    start_at = place.community.start_utc_us(intervals.start)
    body = RecordReadings(
        "head-end", "correction", Direction.IMPORT_FROM_GRID, start_at, INTERVAL_MIN, Quality.EDITED, values
    )
    return wish("meter", metering_point(connection), "head-end", body)
