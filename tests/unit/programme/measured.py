"""A finished event of SITE-A (table D.0) with readings and calendar, as a calculation finds them."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from domain.programme.calc_baseline import CALCULATION
from schemas.programme.commands import ProposePerformance
from schemas.programme.events import MeasurementStarted, Netting, SitePerformance, Terms
from tests.unit.programme.loads import EARLIER_EVENT, EVENT_DAY, FIRST_HE, HOLIDAY, LOAD_KWH
from tests.unit.programme.programmes import KEY, KPX_MID_6_OF_10, TERMS
from tests.unit.written import recorded

SEOUL = "Asia/Seoul"
HOURLY = replace(TERMS, interval_min=60, netting=Netting.EVENT_TOTAL, baseline=KPX_MID_6_OF_10)

Row = dict[str, Any]


def local(day: str, hour: int, zone: str = SEOUL, minute: int = 0) -> int:
    """UTC µs of a local time."""
    wall = datetime.fromisoformat(day).replace(hour=hour, minute=minute, tzinfo=ZoneInfo(zone))
    return (wall - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def batch(
    start_at: int,
    values: Iterable[int],
    direction: str = "import_from_grid",
    point: str = "mp-a",
    minutes: int = 60,
    version: int = 1,
    quality: str = "valid",
) -> Row:
    return {
        "metering_point": point,
        "direction": direction,
        "start_at": start_at,
        "interval_min": minutes,
        "version": version,
        "quality": quality,
        "energy_wh": list(values),
    }


def site_a(point: str = "mp-a", zone: str = SEOUL) -> list[Row]:
    """Table D.0 in Wh, one batch a day; HE9 begins at 08:00."""
    return [
        batch(local(day, FIRST_HE - 1, zone), (1000 * kwh for kwh in loads), point=point)
        for day, loads in LOAD_KWH.items()
    ]


def calendar(
    first: str = "2025-01-01", last: str = "2025-12-31", *holidays: str, zone: str = SEOUL, version: int = 1
) -> Row:
    return {
        "time_zone": zone,
        "first_day": first,
        "last_day": last,
        "version": version,
        "holidays": list(holidays) or [HOLIDAY],
    }


def started(
    sites: Iterable[str] = "a",
    terms: Terms = HOURLY,
    hours: tuple[int, int] = (13, 17),
    day: str = EVENT_DAY,
    earlier: Iterable[tuple[int, int]] | None = None,
    zone: str = SEOUL,
) -> MeasurementStarted:
    """The event HE14 to HE17 of 2025-07-16, with an event on 2025-07-08 before it."""
    names = tuple(sites)
    windows = [(local(EARLIER_EVENT, 13, zone), local(EARLIER_EVENT, 17, zone))] if earlier is None else list(earlier)
    return MeasurementStarted(
        programme=KEY,
        measurement="m1",
        event="e1",
        version=1,
        cutoff_tick=9,
        start_at=local(day, hours[0], zone),
        end_at=local(day, hours[1], zone),
        connections=names,
        parties=tuple(f"party-{name}" for name in names),
        metering_points=tuple(f"mp-{name}" for name in names),
        earlier_events_start_at=tuple(start for start, _ in windows),
        earlier_events_end_at=tuple(end for _, end in windows),
        terms_version=1,
        terms=terms,
        deadline_at=10**15,
    )


def computed(
    fact: MeasurementStarted, readings: Iterable[Row], calendars: Iterable[Row] | None = None
) -> list[ProposePerformance]:
    """What the calculation proposes."""
    known = [calendar()] if calendars is None else list(calendars)
    inputs: Mapping[str, list[Row]] = {"readings": list(readings), "calendar": known}
    return list(CALCULATION.compute(recorded("programme", KEY, fact), inputs))


def of_a(
    readings: Iterable[Row], calendars: Iterable[Row] | None = None, fact: MeasurementStarted | None = None
) -> SitePerformance:
    """The performance of site a alone."""
    (proposal,) = computed(fact or started(), readings, calendars)
    (site,) = proposal.sites
    return site


def reasons(site: SitePerformance) -> Mapping[str, str]:
    """Excluded day → reason."""
    return dict(zip(site.excluded_days, site.exclusion_reasons, strict=True))
