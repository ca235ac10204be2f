"""Wishes about a reference series. Key: the series."""

from schemas.message import command
from schemas.reference.events import SeriesKind, ValueQuality
from schemas.values import Currency, Id, Minutes, Name, PriceNanoPerKwh, TimeUs


@command
class DefineSeries:
    """Defines a series; the actor is its publisher. A calendar's currency and interval say nothing."""

    kind: SeriesKind
    zone: Id
    currency: Currency
    interval_min: Minutes


@command
class PublishPrices:
    """Consecutive values of a price series from `start_at` on; a later publication replaces earlier values."""

    start_at: TimeUs
    quality: ValueQuality
    price_nano_per_kwh: tuple[PriceNanoPerKwh, ...]


@command
class PublishCalendar:
    """The resolved non-working days of a legal calendar between two local dates, both included (`2025-05-01`)."""

    time_zone: Name
    first_day: Name
    last_day: Name
    holidays: tuple[Name, ...]
