"""The calculation `programme.baseline`: baseline and response of every asked site of a completed event."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from domain.calculation import Calculation, Inputs
from domain.programme.baseline import Candidate, Exclusion, baseline
from domain.programme.calendar import DayType, LegalCalendar
from domain.programme.local_clock import EventHours
from domain.programme.performance import CALCULATION_NAME, paid_of, response_of
from domain.programme.withdrawal import Withdrawals
from schemas.envelope import Recorded
from schemas.programme.commands import ProposePerformance
from schemas.programme.events import MeasurementStarted, PerformanceStatus, SitePerformance
from schemas.values import MINUTE_US

MAX_SITES_PER_PART: Final = 50
"""Sites of one proposed part: with their days a record of some 100 kB."""

MAX_VALUES_PER_PART: Final = 20_000
"""Energy values of one proposed part: a few sites, even with a day of minutes."""

READINGS: Final = "readings"
CALENDAR: Final = "calendar"


def compute(fact: Recorded[Any], inputs: Inputs) -> Iterator[ProposePerformance]:
    """The performance of the measurement's sites in numbered parts, at least one."""
    started: MeasurementStarted = fact.body
    starts = _starts(started)
    sites = tuple(_sites(started, starts, inputs))
    size = min(MAX_SITES_PER_PART, MAX_VALUES_PER_PART // (3 * len(starts)))
    parts = max(1, -(-len(sites) // size))
    for n in range(parts):
        yield ProposePerformance(started.measurement, n + 1, parts, sites[n * size : (n + 1) * size])


def _starts(started: MeasurementStarted) -> tuple[int, ...]:
    return tuple(range(started.start_at, started.end_at, started.terms.interval_min * MINUTE_US))


@dataclass(frozen=True, slots=True)
class _Day:
    """A candidate day, the same for every site: where its hours are, or why it has no use."""

    day: str
    starts: tuple[int, ...]
    exclusion: Exclusion | None


def _sites(started: MeasurementStarted, starts: tuple[int, ...], inputs: Inputs) -> Iterator[SitePerformance]:
    calendar = LegalCalendar.over(inputs[CALENDAR], started.start_at)
    days = () if calendar is None else tuple(_days(started, starts, calendar))
    interval_min = started.terms.interval_min
    hours = [*starts, *(start for day in days for start in day.starts)]
    withdrawals = Withdrawals(inputs[READINGS], hours, interval_min)
    for connection, party, point in zip(started.connections, started.parties, started.metering_points, strict=True):
        if calendar is None:
            yield _unmeasured(connection, party, PerformanceStatus.CALENDAR_MISSING)
            continue
        yield _site(started, starts, days, withdrawals, (connection, party, point))


def _days(started: MeasurementStarted, starts: tuple[int, ...], calendar: LegalCalendar) -> Iterator[_Day]:
    """The weekdays of the look-back, the most recent first; none if the event itself is not on a weekday."""
    hours = EventHours.of(calendar.clock, starts, started.terms.interval_min)
    if calendar.type_of(hours.day) is not DayType.WEEKDAY:
        return
    earlier = zip(started.earlier_events_start_at, started.earlier_events_end_at, strict=True)
    event_days = {day for window in earlier for day in calendar.clock.days_of(*window)}
    for back in range(1, started.terms.baseline.look_back_days + 1):
        day = hours.day - timedelta(days=back)
        kind, name = calendar.type_of(day), day.isoformat()
        if kind is DayType.WEEKEND:
            continue
        if kind is DayType.UNKNOWN:
            yield _Day(name, (), Exclusion.CALENDAR_MISSING)
        elif kind is DayType.HOLIDAY:
            yield _Day(name, (), Exclusion.HOLIDAY)
        elif event_days & hours.days_on(day):
            yield _Day(name, (), Exclusion.EVENT_DAY)
        elif (on_day := hours.starts_on(day)) is None:
            yield _Day(name, (), Exclusion.CLOCK_CHANGE)
        else:
            yield _Day(name, on_day, None)


def _site(
    started: MeasurementStarted,
    starts: tuple[int, ...],
    days: tuple[_Day, ...],
    withdrawals: Withdrawals,
    site: tuple[str, str, str],
) -> SitePerformance:
    connection, party, point = site
    metered = withdrawals.net(point, starts)
    if metered is Exclusion.MISSING_DATA:
        return _unmeasured(connection, party, PerformanceStatus.MISSING_EVENT_DATA)
    if isinstance(metered, Exclusion):
        return _unmeasured(connection, party, PerformanceStatus.ESTIMATED_EVENT_DATA)
    found = baseline(_candidates(days, withdrawals, point), started.terms.baseline)
    excluded = tuple(day for day, _ in found.exclusions)
    reasons = tuple(reason.value for _, reason in found.exclusions)
    if not found.complete:
        return _unmeasured(
            connection,
            party,
            PerformanceStatus.TOO_FEW_REFERENCE_DAYS,
            found.reference_days,
            excluded,
            reasons,
        )
    response = response_of(found.rounded_wh, metered)
    return SitePerformance(
        connection=connection,
        party=party,
        status=PerformanceStatus.MEASURED,
        reference_days=found.reference_days,
        excluded_days=excluded,
        exclusion_reasons=reasons,
        baseline_wh=found.rounded_wh,
        metered_wh=metered,
        response_wh=response,
        paid_wh=paid_of(started.terms.netting, response),
    )


def _candidates(days: Iterable[_Day], withdrawals: Withdrawals, point: str) -> Iterator[Candidate]:
    for day in days:
        if day.exclusion is not None:
            yield Candidate(day.day, (), day.exclusion)
            continue
        net = withdrawals.net(point, day.starts)
        if isinstance(net, Exclusion):
            yield Candidate(day.day, (), net)
        else:
            yield Candidate(day.day, net)


def _unmeasured(
    connection: str,
    party: str,
    status: PerformanceStatus,
    reference_days: tuple[str, ...] = (),
    excluded_days: tuple[str, ...] = (),
    exclusion_reasons: tuple[str, ...] = (),
) -> SitePerformance:
    return SitePerformance(connection, party, status, reference_days, excluded_days, exclusion_reasons, (), (), (), 0)


def _cutoff(fact: Recorded[Any]) -> int:
    started: MeasurementStarted = fact.body
    return started.cutoff_tick


CALCULATION = Calculation(
    name=CALCULATION_NAME,
    family="programme",
    on=MeasurementStarted,
    needs=("meter", "reference"),
    cutoff=_cutoff,
    compute=compute,
)
