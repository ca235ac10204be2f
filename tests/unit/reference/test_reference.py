"""Family `reference`: each refusal in the order of the enum, then what succeeds, then the slates."""

import pytest

from domain.reference.decider import MAX_VALUES
from projections.reference.views import CALENDARS, PRICES, SERIES
from schemas.reference.commands import DefineSeries, PublishCalendar, PublishPrices
from schemas.reference.events import (
    CalendarPublished,
    CommandRefused,
    PricesPublished,
    ReferenceRefusal,
    SeriesDefined,
    SeriesKind,
    ValueQuality,
)
from tests.unit.given import MINUTE, Scenario
from tests.unit.written import rebuilt, recorded

QUARTER = 15 * MINUTE
PRELIMINARY, FINAL = ValueQuality.PRELIMINARY, ValueQuality.FINAL
PRICE_SERIES = SeriesDefined("s1", "tso", SeriesKind.IMBALANCE_PRICE, "lv1-101", "EUR", 15)
CALENDAR = SeriesDefined("s1", "tso", SeriesKind.CALENDAR, "lv1-101", "EUR", 15)


def series(*facts: object) -> Scenario:
    return Scenario("reference", "s1").given(*facts)


def refused(
    command: str, reason: ReferenceRefusal, limit: int = 0, found: int = 0, subject: str = "s1"
) -> list[CommandRefused]:
    return [CommandRefused(command, subject, reason, limit, found)]


def calendar(*holidays: str, first: str = "2025-05-01", last: str = "2025-05-31") -> PublishCalendar:
    return PublishCalendar("Europe/Berlin", first, last, holidays)


def test_already_defined() -> None:
    wish = DefineSeries(SeriesKind.CALENDAR, "lv1-101", "EUR", 15)
    assert series(PRICE_SERIES).when(wish) == refused("DefineSeries", ReferenceRefusal.ALREADY_DEFINED)


def test_series_unknown() -> None:
    assert series().when(PublishPrices(1, FINAL, ())) == refused("PublishPrices", ReferenceRefusal.SERIES_UNKNOWN)
    assert series().when(calendar("x")) == refused("PublishCalendar", ReferenceRefusal.SERIES_UNKNOWN)


def test_not_publisher() -> None:
    assert series(CALENDAR).when(PublishPrices(1, FINAL, ())) == refused(
        "PublishPrices", ReferenceRefusal.NOT_PUBLISHER
    )
    assert series(PRICE_SERIES).when(calendar("x")) == refused("PublishCalendar", ReferenceRefusal.NOT_PUBLISHER)


def test_wrong_kind() -> None:
    assert series(CALENDAR).when(PublishPrices(1, FINAL, ()), actor="tso") == refused(
        "PublishPrices", ReferenceRefusal.WRONG_KIND
    )
    assert series(PRICE_SERIES).when(calendar("x"), actor="tso") == refused(
        "PublishCalendar", ReferenceRefusal.WRONG_KIND
    )


def test_off_grid_start() -> None:
    assert series(PRICE_SERIES).when(PublishPrices(QUARTER + 1, FINAL, ()), actor="tso") == refused(
        "PublishPrices", ReferenceRefusal.OFF_GRID_START, found=1
    )


def test_empty_publication() -> None:
    assert series(PRICE_SERIES).when(PublishPrices(QUARTER, FINAL, ()), actor="tso") == refused(
        "PublishPrices", ReferenceRefusal.EMPTY_PUBLICATION, limit=1
    )


def test_publication_too_large() -> None:
    prices, holidays = (0,) * (MAX_VALUES + 1), ("x",) * (MAX_VALUES + 1)
    assert series(PRICE_SERIES).when(PublishPrices(0, FINAL, prices), actor="tso") == refused(
        "PublishPrices", ReferenceRefusal.PUBLICATION_TOO_LARGE, MAX_VALUES, MAX_VALUES + 1
    )
    assert series(CALENDAR).when(calendar(*holidays), actor="tso") == refused(
        "PublishCalendar", ReferenceRefusal.PUBLICATION_TOO_LARGE, MAX_VALUES, MAX_VALUES + 1
    )


@pytest.mark.parametrize(
    "wrong",
    [
        "20250501",
        "2025-W18-4",
        "2025-5-1",
        "2025-02-29",
        "2025-05-32",
        "2025-13-01",
        "0000-01-01",
        "2025-05-01 ",
        "2025-05-01T00:00",
        "２０２５-05-01",
        "may day",
    ],
)
def test_not_a_date(wrong: str) -> None:
    s1 = series(CALENDAR)
    expected = refused("PublishCalendar", ReferenceRefusal.NOT_A_DATE, subject=wrong)
    assert s1.when(calendar("2025-05-01", wrong), actor="tso") == expected
    assert s1.when(calendar(first=wrong), actor="tso") == expected
    assert s1.when(calendar(last=wrong), actor="tso") == expected


def test_outside_calendar() -> None:
    outside = calendar("2025-04-30", "2025-05-01", "2025-05-31", "2025-06-01")
    assert series(CALENDAR).when(outside, actor="tso") == refused(
        "PublishCalendar", ReferenceRefusal.OUTSIDE_CALENDAR, found=2
    )
    backwards = calendar(first="2025-05-02", last="2025-05-01")
    assert series(CALENDAR).when(backwards, actor="tso") == refused(
        "PublishCalendar", ReferenceRefusal.OUTSIDE_CALENDAR, found=1
    )


def test_each_publication_is_a_version() -> None:
    s1 = series()
    wish = DefineSeries(SeriesKind.IMBALANCE_PRICE, "lv1-101", "EUR", 15)
    assert s1.when(wish, actor="tso") == [PRICE_SERIES]
    first = s1.when(PublishPrices(4 * QUARTER, PRELIMINARY, (-5, 7)), actor="tso")
    second = s1.when(PublishPrices(5 * QUARTER, FINAL, (8,)), actor="tso")
    shape = ("s1", SeriesKind.IMBALANCE_PRICE, "lv1-101", "EUR", 15)
    assert first == [PricesPublished(*shape, 4 * QUARTER, PRELIMINARY, 1, (-5, 7))]
    assert second == [PricesPublished(*shape, 5 * QUARTER, FINAL, 2, (8,))]
    assert rebuilt(s1) == s1.state
    assert s1.later(10**15) == []


def test_holidays_are_recorded_sorted_and_once() -> None:
    s1 = series(CALENDAR)
    wish = calendar("2025-05-29", "2025-05-01", "2025-05-29")
    expected = ("2025-05-01", "2025-05-31")
    assert s1.when(wish, actor="tso") == [
        CalendarPublished("s1", "lv1-101", "Europe/Berlin", *expected, 1, ("2025-05-01", "2025-05-29"))
    ]
    assert s1.when(calendar(), actor="tso") == [CalendarPublished("s1", "lv1-101", "Europe/Berlin", *expected, 2, ())]
    assert rebuilt(s1) == s1.state


def test_a_leap_day_is_a_date() -> None:
    wish = calendar("2024-02-29", first="2024-02-29", last="2024-02-29")
    assert type(series(CALENDAR).when(wish, actor="tso")[0]) is CalendarPublished


def test_the_largest_publication_is_accepted() -> None:
    facts = series(PRICE_SERIES).when(PublishPrices(0, FINAL, (1,) * MAX_VALUES), actor="tso")
    assert type(facts[0]) is PricesPublished


def test_rows() -> None:
    def row(view: object, body: object) -> dict[str, object]:
        (found,) = view.on[type(body)](recorded("reference", "s1", body))  # type: ignore[attr-defined]
        return dict(found)

    assert row(SERIES, PRICE_SERIES) == {name: getattr(PRICE_SERIES, name) for name in SERIES.columns}
    prices = PricesPublished("s1", SeriesKind.IMBALANCE_PRICE, "z", "EUR", 15, 0, FINAL, 3, (1, 2))
    assert row(PRICES, prices) == {
        **{name: getattr(prices, name) for name in PRICES.columns},
        "price_nano_per_kwh": [1, 2],
    }
    days = CalendarPublished("s1", "z", "Asia/Seoul", "2025-05-01", "2025-05-31", 2, ("2025-05-05",))
    assert row(CALENDARS, days) == {
        **{name: getattr(days, name) for name in CALENDARS.columns},
        "holidays": ["2025-05-05"],
    }
