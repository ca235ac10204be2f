"""Reference series: what they are, and every version of their prices and calendars."""

from projections.view import Mode, Question, View, copied
from schemas.reference.events import CalendarPublished, PricesPublished, SeriesDefined

_SERIES_COLUMNS = {
    "series": "text",
    "publisher": "text",
    "kind": "text",
    "zone": "text",
    "currency": "text",
    "interval_min": "bigint",
}

SERIES = View(
    name="series",
    mode=Mode.CURRENT,
    columns=_SERIES_COLUMNS,
    key=("series",),
    on={SeriesDefined: copied(*_SERIES_COLUMNS)},
)

_PRICES_COLUMNS = {
    "series": "text",
    "kind": "text",
    "zone": "text",
    "currency": "text",
    "start_at": "bigint",
    "interval_min": "bigint",
    "quality": "text",
    "version": "bigint",
    "price_nano_per_kwh": "bigint[]",
}

PRICES = View(
    name="prices",
    mode=Mode.HISTORY,
    columns=_PRICES_COLUMNS,
    on={PricesPublished: copied(*_PRICES_COLUMNS)},
    indexes=("series, start_at",),
)

_CALENDARS_COLUMNS = {
    "series": "text",
    "zone": "text",
    "time_zone": "text",
    "first_day": "text",
    "last_day": "text",
    "version": "bigint",
    "holidays": "text[]",
}

CALENDARS = View(
    name="calendars",
    mode=Mode.HISTORY,
    columns=_CALENDARS_COLUMNS,
    on={CalendarPublished: copied(*_CALENDARS_COLUMNS)},
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
