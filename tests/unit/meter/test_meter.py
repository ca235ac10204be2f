"""Family `meter`: each refusal in the order of the enum, then versions, then the slates."""

from dataclasses import replace

import pytest

from domain.meter.decider import MAX_VALUES
from projections.meter.views import METERING_POINTS, READINGS
from schemas.meter.commands import RecordReadings, RegisterMeteringPoint
from schemas.meter.events import (
    CommandRefused,
    MeteringPointRegistered,
    MeterKind,
    MeterRefusal,
    Quality,
    ReadingsRecorded,
    ReadingsUnchanged,
)
from schemas.values import Direction
from tests.unit.given import MINUTE, Scenario
from tests.unit.written import rebuilt, recorded

QUARTER = 15 * MINUTE
DAY = 96 * QUARTER
NOW = 10 * DAY
POLICY = "policy:site_to_meter.register_utility"
IMPORT, EXPORT = Direction.IMPORT_FROM_GRID, Direction.EXPORT_TO_GRID
UTILITY = MeteringPointRegistered("mp-1", "gcp-1", MeterKind.UTILITY, 15)
CUSTOMER = MeteringPointRegistered("mp-1", "gcp-1", MeterKind.CUSTOMER, 15)
VALID, ESTIMATED = Quality.VALID, Quality.ESTIMATED


def meter(*facts: object) -> Scenario:
    return Scenario("meter", "mp-1", at=NOW).given(*facts)


def batch(
    *energy_wh: int,
    start_at: int = DAY,
    direction: Direction = IMPORT,
    quality: Quality = VALID,
    interval_min: int = 15,
) -> RecordReadings:
    return RecordReadings("head-end", "b1", direction, start_at, interval_min, quality, energy_wh)


def stands(wish: RecordReadings, version: int, kind: MeterKind = MeterKind.UTILITY) -> list[ReadingsRecorded]:
    return [
        ReadingsRecorded(
            "mp-1",
            "gcp-1",
            kind,
            wish.source,
            wish.batch,
            wish.direction,
            wish.start_at,
            wish.interval_min,
            wish.quality,
            version,
            wish.energy_wh,
        )
    ]


def unchanged(wish: RecordReadings) -> list[ReadingsUnchanged]:
    return [ReadingsUnchanged("mp-1", wish.source, wish.batch, wish.direction, wish.start_at)]


def refused(command: str, reason: MeterRefusal, limit: int = 0, found: int = 0) -> list[CommandRefused]:
    return [CommandRefused(command, "mp-1", reason, limit, found)]


def test_not_authorised() -> None:
    wish = RegisterMeteringPoint("gcp-1", MeterKind.UTILITY, 15)
    assert meter().when(wish, actor="ann") == refused("RegisterMeteringPoint", MeterRefusal.NOT_AUTHORISED)


def test_already_registered() -> None:
    wish = RegisterMeteringPoint("gcp-1", MeterKind.CUSTOMER, 15)
    assert meter(UTILITY).when(wish, actor=POLICY) == refused("RegisterMeteringPoint", MeterRefusal.ALREADY_REGISTERED)


def test_metering_point_unknown() -> None:
    assert meter().when(batch()) == refused("RecordReadings", MeterRefusal.METERING_POINT_UNKNOWN)


def test_interval_mismatch() -> None:
    assert meter(UTILITY).when(batch(interval_min=30, start_at=1)) == refused(
        "RecordReadings", MeterRefusal.INTERVAL_MISMATCH, 15, 30
    )


def test_off_grid_start() -> None:
    assert meter(UTILITY).when(batch(start_at=DAY + 7)) == refused(
        "RecordReadings", MeterRefusal.OFF_GRID_START, found=7
    )


def test_empty_batch() -> None:
    assert meter(UTILITY).when(batch(direction=Direction.RESOURCE_GENERATION)) == refused(
        "RecordReadings", MeterRefusal.EMPTY_BATCH, limit=1
    )


def test_batch_too_large() -> None:
    wish = batch(*[1] * (MAX_VALUES + 1), direction=Direction.RESOURCE_GENERATION)
    assert meter(UTILITY).when(wish) == refused(
        "RecordReadings", MeterRefusal.BATCH_TOO_LARGE, MAX_VALUES, MAX_VALUES + 1
    )
    long_ago = Scenario("meter", "mp-1", at=200 * DAY).given(UTILITY)
    wish = batch(*[1] * MAX_VALUES)
    assert long_ago.when(wish) == stands(wish, 1)


@pytest.mark.parametrize("direction", list(Direction))
def test_direction_mismatch(direction: Direction) -> None:
    wish = batch(1, direction=direction, start_at=NOW)
    of_site = direction in (IMPORT, EXPORT)
    wrong, right = (CUSTOMER, UTILITY) if of_site else (UTILITY, CUSTOMER)
    assert meter(wrong).when(wish) == refused("RecordReadings", MeterRefusal.DIRECTION_MISMATCH)
    wish = batch(1, direction=direction)
    assert meter(right).when(wish) == stands(wish, 1, right.meter_kind)


def test_in_the_future() -> None:
    # The last interval must be over; over now is over.
    wish = batch(1, 2, start_at=NOW - QUARTER)
    assert meter(UTILITY).when(wish) == refused("RecordReadings", MeterRefusal.IN_THE_FUTURE, NOW, NOW + QUARTER)
    wish = batch(1, 2, start_at=NOW - 2 * QUARTER)
    assert meter(UTILITY).when(wish) == stands(wish, 1)


def test_registration() -> None:
    wish = RegisterMeteringPoint("gcp-1", MeterKind.UTILITY, 15)
    mp1 = meter()
    assert mp1.when(wish, actor=POLICY) == [UTILITY]
    assert mp1.later(NOW + DAY) == []


def test_the_same_batch_again_is_nothing_new() -> None:
    mp1, wish = meter(UTILITY), batch(5, 0, 7)
    assert mp1.when(wish) == stands(wish, 1)
    assert mp1.when(wish) == unchanged(wish)
    # Another batch with a part of the same values, too.
    part = replace(wish, batch="b2", start_at=DAY + QUARTER, energy_wh=(0,))
    assert mp1.when(part) == unchanged(part)


def test_a_missing_value_is_not_zero() -> None:
    mp1 = meter(UTILITY)
    zero = batch(0)
    assert mp1.when(zero) == stands(zero, 1)
    beside = batch(0, 0)
    assert mp1.when(beside) == stands(beside, 2)
    other_register = batch(0, direction=EXPORT)
    assert mp1.when(other_register) == stands(other_register, 1)


def test_a_confirmed_estimate_is_something_new() -> None:
    mp1 = meter(UTILITY)
    mp1.when(batch(5, 6, quality=ESTIMATED))
    confirmed = batch(5, 6)
    assert mp1.when(confirmed) == stands(confirmed, 2)
    assert mp1.when(confirmed) == unchanged(confirmed)


def test_a_version_is_above_every_touched_one() -> None:
    mp1 = meter(UTILITY)
    for n, value in enumerate((1, 2, 3), start=1):
        wish = batch(value, start_at=DAY + 5 * QUARTER)
        assert mp1.when(wish) == stands(wish, n)
    untouched = batch(1, 1, 1)
    assert mp1.when(untouched) == stands(untouched, 1)
    across = batch(*range(10, 20))
    assert mp1.when(across) == stands(across, 4)
    beside = batch(1, start_at=DAY + 10 * QUARTER)
    assert mp1.when(beside) == stands(beside, 1)


def test_a_batch_over_midnight_is_one_batch() -> None:
    mp1 = meter(UTILITY)
    mp1.when(batch(1, start_at=2 * DAY))
    mp1.when(batch(2, start_at=2 * DAY))
    wish = batch(*range(200), start_at=2 * DAY - 50 * QUARTER)
    assert mp1.when(wish) == stands(wish, 3)
    assert mp1.when(wish) == unchanged(wish)
    changed = replace(wish, energy_wh=(*wish.energy_wh[:-1], 7))
    assert mp1.when(changed) == stands(changed, 4)


def test_an_interval_that_divides_no_day() -> None:
    uneven = MeteringPointRegistered("mp-1", "gcp-1", MeterKind.UTILITY, 7)
    mp1 = meter(uneven)
    wish = batch(*range(300), interval_min=7, start_at=7 * MINUTE * 1_000)
    assert mp1.when(wish) == stands(wish, 1)
    assert mp1.when(wish) == unchanged(wish)
    assert rebuilt(mp1) == mp1.state


def test_a_refused_batch_leaves_the_values() -> None:
    mp1, wish = meter(UTILITY), batch(5)
    mp1.when(wish)
    mp1.when(batch(6, start_at=NOW))
    assert mp1.when(wish) == unchanged(wish)


def test_rows() -> None:
    (row,) = METERING_POINTS.on[MeteringPointRegistered](recorded("meter", "mp-1", UTILITY))
    assert row == {
        "metering_point": "mp-1",
        "connection": "gcp-1",
        "meter_kind": "utility",
        "interval_min": 15,
    }
    (fact,) = stands(batch(5, 6), 3)
    (row,) = READINGS.on[ReadingsRecorded](recorded("meter", "mp-1", fact))
    assert row == {**{name: getattr(fact, name) for name in READINGS.columns}, "energy_wh": [5, 6]}
    # Of an unchanged batch the slates need no row: it changed nothing.
    assert set(READINGS.on) == {ReadingsRecorded}
