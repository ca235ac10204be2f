"""Facts about a reference series. Key: the series."""

from enum import StrEnum

from schemas.message import event
from schemas.values import Count, Currency, Id, Minutes, Name, PriceNanoPerKwh, TimeUs


class SeriesKind(StrEnum):
    """What a series tells."""

    IMBALANCE_PRICE = "imbalance_price"
    CALENDAR = "calendar"


class ValueQuality(StrEnum):
    """Preliminary values are replaced by final ones; a correction is settled again."""

    PRELIMINARY = "preliminary"
    FINAL = "final"


class ReferenceRefusal(StrEnum):
    """Why a wish of this family was refused, in the order of the checks."""

    ALREADY_DEFINED = "already_defined"
    SERIES_UNKNOWN = "series_unknown"
    NOT_PUBLISHER = "not_publisher"
    WRONG_KIND = "wrong_kind"
    OFF_GRID_START = "off_grid_start"
    EMPTY_PUBLICATION = "empty_publication"
    PUBLICATION_TOO_LARGE = "publication_too_large"
    NOT_A_DATE = "not_a_date"
    OUTSIDE_CALENDAR = "outside_calendar"


@event
class SeriesDefined:
    """The series exists; only `publisher` publishes in it."""

    series: Id
    publisher: Id
    kind: SeriesKind
    zone: Id
    currency: Currency
    interval_min: Minutes


@event
class PricesPublished:
    """Version `version` of the series: consecutive values from `start_at` on.

    Versions count publications; of an interval the value of the highest version counts.
    """

    series: Id
    kind: SeriesKind
    zone: Id
    currency: Currency
    interval_min: Minutes
    start_at: TimeUs
    quality: ValueQuality
    version: Count
    price_nano_per_kwh: tuple[PriceNanoPerKwh, ...]


@event
class CalendarPublished:
    """Version `version` of the calendar: its non-working days between the two local dates, sorted, each once.

    Of a day the highest version that reaches over it counts.
    """

    series: Id
    zone: Id
    time_zone: Name
    first_day: Name
    last_day: Name
    version: Count
    holidays: tuple[Name, ...]


@event
class CommandRefused:
    """A wish that a rule of this family forbids; nothing else changed."""

    command: Name
    subject: Id
    reason: ReferenceRefusal
    limit: int
    found: int
