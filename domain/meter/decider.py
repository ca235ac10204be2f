"""Rules of the family `meter`: a metering point's readings, immutable, in versions (domain rules, 4.7).

A value is never changed: a batch that differs is a new version of all its intervals, one that does not
is noted as unchanged. Intervals that nobody reported are missing, never zero.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, assert_never

from domain.meter.register import Register
from schemas.actors import POLICY
from schemas.envelope import Command, Moment, Recorded
from schemas.meter.commands import RecordReadings, RegisterMeteringPoint
from schemas.meter.events import (
    CommandRefused,
    MeteringPointRegistered,
    MeterKind,
    MeterRefusal,
    ReadingsRecorded,
    ReadingsUnchanged,
)
from schemas.values import MINUTE_US, Direction

LOGIC = 1

OUTCOMES: Mapping[type, tuple[type, ...]] = {
    RegisterMeteringPoint: (MeteringPointRegistered, CommandRefused),
    RecordReadings: (ReadingsRecorded, ReadingsUnchanged, CommandRefused),
}

Wish = RegisterMeteringPoint | RecordReadings
Fact = MeteringPointRegistered | ReadingsRecorded | ReadingsUnchanged | CommandRefused

MAX_VALUES: Final = 10_000
"""Values of one batch: a hundred days of quarter-hours."""


REGISTERS: Final[Mapping[MeterKind, tuple[Direction, ...]]] = {
    MeterKind.UTILITY: (Direction.IMPORT_FROM_GRID, Direction.EXPORT_TO_GRID),
    MeterKind.CUSTOMER: (Direction.RESOURCE_CONSUMPTION, Direction.RESOURCE_GENERATION),
}
"""What each of the two meters measures (Y.2072 9.2)."""


@dataclass(slots=True)
class Point:
    """What the registration says of the metering point."""

    connection: str
    meter_kind: MeterKind
    interval_min: int

    @property
    def interval_us(self) -> int:
        """Length of an interval in microseconds."""
        return self.interval_min * MINUTE_US


@dataclass(slots=True)
class Meter:
    """State of one metering point; `point` is none before its registration."""

    key: str
    point: Point | None = None
    registers: dict[Direction, Register] = field(default_factory=dict)


def initial(key: str) -> Meter:
    """A metering point nobody registered yet."""
    return Meter(key)


def decide(state: Meter, command: Command[Any], now: Moment) -> Iterable[Fact]:
    """One fact for each wish: what was asked for, that nothing is new, or why not."""
    wish: Wish = command.body
    match wish:
        case RegisterMeteringPoint():
            return (_register(state, wish, command.meta.actor),)
        case RecordReadings():
            return (_record(state, wish, now),)
        case _:
            assert_never(wish)


def _register(state: Meter, wish: RegisterMeteringPoint, actor: str) -> Fact:
    # A point stands behind a connection; only the site's policy says which.
    if not actor.startswith(POLICY):
        return _refused(wish, state, MeterRefusal.NOT_AUTHORISED)
    if state.point is not None:
        return _refused(wish, state, MeterRefusal.ALREADY_REGISTERED)
    return MeteringPointRegistered(state.key, wish.connection, wish.meter_kind, wish.interval_min)


def _record(state: Meter, wish: RecordReadings, now: Moment) -> Fact:
    point = state.point
    if point is None:
        return _refused(wish, state, MeterRefusal.METERING_POINT_UNKNOWN)
    if wish.interval_min != point.interval_min:
        return _refused(wish, state, MeterRefusal.INTERVAL_MISMATCH, point.interval_min, wish.interval_min)
    first, past_grid_us = divmod(wish.start_at, point.interval_us)
    if past_grid_us:
        return _refused(wish, state, MeterRefusal.OFF_GRID_START, found=past_grid_us)
    count = len(wish.energy_wh)
    if count == 0:
        return _refused(wish, state, MeterRefusal.EMPTY_BATCH, limit=1)
    if count > MAX_VALUES:
        return _refused(wish, state, MeterRefusal.BATCH_TOO_LARGE, MAX_VALUES, count)
    if wish.direction not in REGISTERS[point.meter_kind]:
        return _refused(wish, state, MeterRefusal.DIRECTION_MISMATCH)
    end_at = wish.start_at + count * point.interval_us
    if end_at > now.at:
        return _refused(wish, state, MeterRefusal.IN_THE_FUTURE, now.at, end_at)
    register = state.registers.get(wish.direction)
    if register is not None and register.holds(first, wish.energy_wh, wish.quality):
        return ReadingsUnchanged(state.key, wish.source, wish.batch, wish.direction, wish.start_at)
    latest = 0 if register is None else register.latest_version(first, count)
    return ReadingsRecorded(
        metering_point=state.key,
        connection=point.connection,
        meter_kind=point.meter_kind,
        source=wish.source,
        batch=wish.batch,
        direction=wish.direction,
        start_at=wish.start_at,
        interval_min=wish.interval_min,
        quality=wish.quality,
        version=latest + 1,
        energy_wh=wish.energy_wh,
    )


def _refused(wish: Wish, state: Meter, reason: MeterRefusal, limit: int = 0, found: int = 0) -> Fact:
    return CommandRefused(type(wish).__name__, state.key, reason, limit, found)


def advance(state: Meter, now: Moment, limit: int) -> Iterable[Fact]:
    """Time brings nothing about here."""
    return ()


def due(state: Meter) -> int | None:
    """Never."""
    return None


def evolve(state: Meter, fact: Recorded[Fact]) -> Meter:
    """The metering point after a fact."""
    match fact.body:
        case MeteringPointRegistered() as body:
            state.point = Point(body.connection, body.meter_kind, body.interval_min)
        case ReadingsRecorded() as body:
            register = state.registers.setdefault(body.direction, Register(body.interval_min))
            first = body.start_at // (body.interval_min * MINUTE_US)
            register.put(first, body.energy_wh, body.quality, body.version)
        case ReadingsUnchanged() | CommandRefused():
            pass
        case _:
            assert_never(fact.body)
    return state
