"""Reference series: what they are, and every version of their prices and calendars."""

from collections.abc import Iterable

from projections.view import Mode, Question, Row, View
from schemas.envelope import Recorded
from schemas.reference.events import CalendarPublished, PricesPublished, SeriesDefined


def _series(fact: Recorded[SeriesDefined]) -> Iterable[Row]:
    series = fact.body
    yield {
        "series": series.series,
        "publisher": series.publisher,
        "kind": series.kind.value,
        "zone": series.zone,
        "currency": series.currency,
        "interval_min": series.interval_min,
    }


def _prices(fact: Recorded[PricesPublished]) -> Iterable[Row]:
    prices = fact.body
    yield {
        "series": prices.series,
        "kind": prices.kind.value,
        "zone": prices.zone,
        "currency": prices.currency,
        "start_at": prices.start_at,
        "interval_min": prices.interval_min,
        "quality": prices.quality.value,
        "version": prices.version,
        "price_nano_per_kwh": list(prices.price_nano_per_kwh),
    }


def _calendar(fact: Recorded[CalendarPublished]) -> Iterable[Row]:
    calendar = fact.body
    yield {
        "series": calendar.series,
        "zone": calendar.zone,
        "time_zone": calendar.time_zone,
        "first_day": calendar.first_day,
        "last_day": calendar.last_day,
        "version": calendar.version,
        "holidays": list(calendar.holidays),
    }


SERIES = View(
    name="series",
    mode=Mode.CURRENT,
    columns={
        "series": "text",
        "publisher": "text",
        "kind": "text",
        "zone": "text",
        "currency": "text",
        "interval_min": "bigint",
    },
    key=("series",),
    on={SeriesDefined: _series},
)

PRICES = View(
    name="prices",
    mode=Mode.HISTORY,
    columns={
        "series": "text",
        "kind": "text",
        "zone": "text",
        "currency": "text",
        "start_at": "bigint",
        "interval_min": "bigint",
        "quality": "text",
        "version": "bigint",
        "price_nano_per_kwh": "bigint[]",
    },
    on={PricesPublished: _prices},
    indexes=("series, start_at",),
)

CALENDARS = View(
    name="calendars",
    mode=Mode.HISTORY,
    columns={
        "series": "text",
        "zone": "text",
        "time_zone": "text",
        "first_day": "text",
        "last_day": "text",
        "version": "bigint",
        "holidays": "text[]",
    },
    on={CalendarPublished: _calendar},
    indexes=("series",),
)

VIEWS = (SERIES, PRICES, CALENDARS)

QUESTIONS = (
    Question("series", "SELECT series, kind, zone, publisher, currency, interval_min FROM series ORDER BY series"),
    Question(
        "prices",
        "SELECT series, start_at, interval_min, cardinality(price_nano_per_kwh) AS intervals, currency,"
        " (SELECT min(p) FROM unnest(price_nano_per_kwh) AS p) AS lowest_nano_per_kwh,"
        " (SELECT max(p) FROM unnest(price_nano_per_kwh) AS p) AS highest_nano_per_kwh, quality, version"
        " FROM prices ORDER BY series, version",
    ),
    Question(
        "calendars",
        "SELECT series, zone, time_zone, first_day, last_day, cardinality(holidays) AS days, holidays, version"
        " FROM calendars ORDER BY series, version",
    ),
)
