"""The legal local clock: domain rules, 3.1 rule 5, 4.8 and V-S6."""

from datetime import UTC, date, datetime, time, timedelta

import pytest

from domain.programme.calendar import DayType, LegalCalendar
from domain.programme.local_clock import EventHours, LocalClock

HOUR_US = 3_600_000_000


def at(text: str) -> int:
    """UTC µs of an ISO time in UTC."""
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def clock(name: str) -> LocalClock:
    found = LocalClock.named(name)
    assert found is not None
    return found


def hours(zone: str, start: str, intervals: int = 1, interval_min: int = 60) -> EventHours:
    starts = [at(start) + n * interval_min * 60_000_000 for n in range(intervals)]
    return EventHours.of(clock(zone), starts, interval_min)


BERLIN = "Europe/Berlin"


@pytest.mark.parametrize("name", ["Europe/Nowhere", "", "../etc/passwd", "Europe", "a b", "/etc/passwd"])
def test_no_such_zone(name: str) -> None:
    assert LocalClock.named(name) is None


def test_the_same_local_hours_across_a_clock_change() -> None:
    """Reading days by UTC would be one hour off (domain rules, 3.1 rule 5)."""
    event = hours(BERLIN, "2025-04-01T10:00", 2)
    assert event.times == ((0, time(12)), (0, time(13)))
    assert event.starts_on(date(2025, 3, 31)) == (at("2025-03-31T10:00"), at("2025-03-31T11:00"))
    assert event.starts_on(date(2025, 3, 28)) == (at("2025-03-28T11:00"), at("2025-03-28T12:00"))


def test_a_missing_hour_excludes_the_day() -> None:
    event = hours(BERLIN, "2025-04-01T00:15", interval_min=15)
    assert event.times == ((0, time(2, 15)),)
    assert event.starts_on(date(2025, 3, 30)) is None
    assert event.starts_on(date(2025, 3, 29)) == (at("2025-03-29T01:15"),)
    around = hours(BERLIN, "2025-04-01T01:00", interval_min=15)
    assert around.starts_on(date(2025, 3, 30)) == (at("2025-03-30T01:00"),)


def test_a_doubled_hour_excludes_the_day() -> None:
    event = hours(BERLIN, "2025-10-28T01:45", interval_min=15)
    assert event.times == ((0, time(2, 45)),)
    assert event.starts_on(date(2025, 10, 26)) is None
    assert event.starts_on(date(2025, 10, 25)) == (at("2025-10-25T00:45"),)
    before = hours(BERLIN, "2025-10-28T00:45", interval_min=15)
    assert before.starts_on(date(2025, 10, 26)) == (at("2025-10-25T23:45"),)
    after = hours(BERLIN, "2025-10-28T02:00", interval_min=15)
    assert after.starts_on(date(2025, 10, 26)) == (at("2025-10-26T02:00"),)


def test_one_bad_interval_spoils_the_day() -> None:
    event = hours(BERLIN, "2025-04-01T23:00", 4)
    assert event.times == ((0, time(1)), (0, time(2)), (0, time(3)), (0, time(4)))
    assert event.starts_on(date(2025, 3, 30)) is None


def test_the_last_interval_before_a_change_is_whole() -> None:
    event = hours(BERLIN, "2025-04-01T23:00")
    assert event.starts_on(date(2025, 3, 30)) == (at("2025-03-30T00:00"),)


def test_a_change_inside_an_interval_excludes_the_day() -> None:
    """Lord Howe (V-S6) moves by 30 minutes: on 2025-10-05 02:00 becomes 02:30."""
    event = hours("Australia/Lord_Howe", "2025-10-01T15:00")
    assert event.times == ((0, time(1, 30)),)
    assert event.starts_on(date(2025, 10, 5)) is None
    assert event.starts_on(date(2025, 10, 6)) == (at("2025-10-05T14:30"),)


def test_an_event_over_midnight() -> None:
    event = hours(BERLIN, "2025-07-16T21:00", 3)
    assert event.times == ((0, time(23)), (1, time(0)), (1, time(1)))
    assert event.days_on(date(2025, 7, 10)) == {date(2025, 7, 10), date(2025, 7, 11)}
    assert event.starts_on(date(2025, 7, 10)) == tuple(at("2025-07-10T21:00") + n * HOUR_US for n in range(3))


def test_the_days_of_an_event_end_before_its_end() -> None:
    berlin = clock(BERLIN)
    assert berlin.days_of(at("2025-07-16T20:00"), at("2025-07-16T22:00")) == {date(2025, 7, 16)}
    assert berlin.days_of(at("2025-07-16T20:00"), at("2025-07-16T22:15")) == {date(2025, 7, 16), date(2025, 7, 17)}


# ------------------------------------------------------------------------------------- the calendar


def row(version: int, first: str, last: str, *holidays: str, zone: str = BERLIN) -> dict[str, object]:
    return {"time_zone": zone, "first_day": first, "last_day": last, "version": version, "holidays": list(holidays)}


NIGHT = at("2025-07-15T22:30")
"""Berlin: 16 July, 00:30."""


def test_of_a_day_the_highest_version_that_reaches_over_it_counts() -> None:
    rows = [
        row(1, "2025-01-01", "2025-12-31", "2025-07-03", "2025-05-01"),
        row(3, "2025-06-01", "2025-07-31", "2025-07-04"),
        row(2, "2025-07-01", "2025-07-31", "2025-07-02"),
    ]
    found = LegalCalendar.over(rows, NIGHT)
    assert found is not None
    types = {day: found.type_of(date(2025, 7, day)) for day in (2, 3, 4, 5, 6)}
    assert types == {
        2: DayType.WEEKDAY,
        3: DayType.WEEKDAY,
        4: DayType.HOLIDAY,
        5: DayType.WEEKEND,
        6: DayType.WEEKEND,
    }
    assert found.type_of(date(2025, 5, 1)) is DayType.HOLIDAY
    assert found.type_of(date(2025, 1, 1)) is DayType.WEEKDAY
    assert found.type_of(date(2025, 12, 31)) is DayType.WEEKDAY
    assert found.type_of(date(2026, 1, 1)) is DayType.UNKNOWN
    assert found.type_of(date(2024, 12, 31)) is DayType.UNKNOWN


def test_the_calendar_must_reach_over_the_local_day_of_the_event() -> None:
    assert LegalCalendar.over([], NIGHT) is None
    assert LegalCalendar.over([row(1, "2025-01-01", "2025-07-15")], NIGHT) is None
    assert LegalCalendar.over([row(1, "2025-07-17", "2025-12-31")], NIGHT) is None
    assert LegalCalendar.over([row(1, "2025-07-16", "2025-07-16")], NIGHT) is not None


def test_a_calendar_of_no_zone_reaches_over_nothing() -> None:
    nowhere = row(2, "2025-01-01", "2025-12-31", zone="Europe/Nowhere")
    assert LegalCalendar.over([nowhere], NIGHT) is None
    found = LegalCalendar.over([nowhere, row(1, "2025-01-01", "2025-12-31", "2025-07-10")], NIGHT)
    assert found is not None
    assert found.clock == clock(BERLIN)
