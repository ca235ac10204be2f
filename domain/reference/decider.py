"""Rules of the family `reference`: a series of prices, or a calendar, of one named publisher, in versions.

Settlement has no other prices (domain rules, 10). A correction is a new version and is settled again
like a corrected reading; nothing is ever changed in place.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, assert_never

from domain.reference.calendar import count_outside, first_that_is_no_date
from schemas.envelope import Command, Moment, Recorded
from schemas.reference.commands import DefineSeries, PublishCalendar, PublishPrices
from schemas.reference.events import (
    CalendarPublished,
    CommandRefused,
    PricesPublished,
    ReferenceRefusal,
    SeriesDefined,
    SeriesKind,
)
from schemas.values import MINUTE_US

LOGIC = 1

OUTCOMES: Mapping[type, tuple[type, ...]] = {
    DefineSeries: (SeriesDefined, CommandRefused),
    PublishPrices: (PricesPublished, CommandRefused),
    PublishCalendar: (CalendarPublished, CommandRefused),
}

Wish = DefineSeries | PublishPrices | PublishCalendar
Fact = SeriesDefined | PricesPublished | CalendarPublished | CommandRefused

MAX_VALUES: Final = 10_000
"""Values of one publication: a hundred days of quarter-hours, and well below the largest record."""


@dataclass(slots=True)
class Series:
    """State of one series: its definition (none before it) and how many publications there are."""

    series: str
    definition: SeriesDefined | None = None
    versions: int = 0


def initial(key: str) -> Series:
    """A series nobody defined yet."""
    return Series(key)


def decide(state: Series, command: Command[Any], now: Moment) -> Iterable[Fact]:
    """One fact for each wish: what was asked for, or why not."""
    wish: Wish = command.body
    actor = command.meta.actor
    match wish:
        case DefineSeries():
            return (_define(state, wish, actor),)
        case PublishPrices():
            return (_publish_prices(state, wish, actor),)
        case PublishCalendar():
            return (_publish_calendar(state, wish, actor),)
        case _:
            assert_never(wish)


def _define(state: Series, wish: DefineSeries, actor: str) -> Fact:
    if state.definition is not None:
        return _refused(wish, state, ReferenceRefusal.ALREADY_DEFINED)
    return SeriesDefined(state.series, actor, wish.kind, wish.zone, wish.currency, wish.interval_min)


def _publish_prices(state: Series, wish: PublishPrices, actor: str) -> Fact:
    series = state.definition
    if series is None:
        return _refused(wish, state, ReferenceRefusal.SERIES_UNKNOWN)
    if actor != series.publisher:
        return _refused(wish, state, ReferenceRefusal.NOT_PUBLISHER)
    if series.kind is SeriesKind.CALENDAR:
        return _refused(wish, state, ReferenceRefusal.WRONG_KIND)
    past_grid_us = wish.start_at % (series.interval_min * MINUTE_US)
    if past_grid_us:
        return _refused(wish, state, ReferenceRefusal.OFF_GRID_START, found=past_grid_us)
    count = len(wish.price_nano_per_kwh)
    if count == 0:
        return _refused(wish, state, ReferenceRefusal.EMPTY_PUBLICATION, limit=1)
    if count > MAX_VALUES:
        return _refused(wish, state, ReferenceRefusal.PUBLICATION_TOO_LARGE, MAX_VALUES, count)
    return PricesPublished(
        series=state.series,
        kind=series.kind,
        zone=series.zone,
        currency=series.currency,
        interval_min=series.interval_min,
        start_at=wish.start_at,
        quality=wish.quality,
        version=state.versions + 1,
        price_nano_per_kwh=wish.price_nano_per_kwh,
    )


def _publish_calendar(state: Series, wish: PublishCalendar, actor: str) -> Fact:
    series = state.definition
    if series is None:
        return _refused(wish, state, ReferenceRefusal.SERIES_UNKNOWN)
    if actor != series.publisher:
        return _refused(wish, state, ReferenceRefusal.NOT_PUBLISHER)
    if series.kind is not SeriesKind.CALENDAR:
        return _refused(wish, state, ReferenceRefusal.WRONG_KIND)
    if len(wish.holidays) > MAX_VALUES:
        return _refused(wish, state, ReferenceRefusal.PUBLICATION_TOO_LARGE, MAX_VALUES, len(wish.holidays))
    wrong = first_that_is_no_date((wish.first_day, wish.last_day, *wish.holidays))
    if wrong is not None:
        return CommandRefused(type(wish).__name__, wrong, ReferenceRefusal.NOT_A_DATE, 0, 0)
    # Against the first day the last one is outside too when the calendar runs backwards.
    outside = count_outside((wish.last_day, *wish.holidays), wish.first_day, wish.last_day)
    if outside:
        return _refused(wish, state, ReferenceRefusal.OUTSIDE_CALENDAR, found=outside)
    return CalendarPublished(
        series=state.series,
        zone=series.zone,
        time_zone=wish.time_zone,
        first_day=wish.first_day,
        last_day=wish.last_day,
        version=state.versions + 1,
        # A set of days: the order in which they were listed says nothing.
        holidays=tuple(sorted(set(wish.holidays))),
    )


def _refused(wish: Wish, state: Series, reason: ReferenceRefusal, limit: int = 0, found: int = 0) -> Fact:
    return CommandRefused(type(wish).__name__, state.series, reason, limit, found)


def advance(state: Series, now: Moment, limit: int) -> Iterable[Fact]:
    """Time brings nothing about here."""
    return ()


def due(state: Series) -> int | None:
    """Never."""
    return None


def evolve(state: Series, fact: Recorded[Fact]) -> Series:
    """The series after a fact."""
    match fact.body:
        case SeriesDefined() as body:
            state.definition = body
        case PricesPublished() as body:
            state.versions = body.version
        case CalendarPublished() as body:
            state.versions = body.version
        case CommandRefused():
            pass
        case _:
            assert_never(fact.body)
    return state
