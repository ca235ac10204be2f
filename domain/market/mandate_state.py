"""What is kept of the mandates of a market: their terms, the newest forecast, what they ordered and what came of it."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from domain.market.book import Order
from schemas.market.mandate_events import DayType, ForecastRecorded, MandateGranted
from schemas.values import MINUTE_US

Key = tuple[int, int]

_DAY_US: Final = 1440 * MINUTE_US
_THURSDAY: Final = 3
"""Of the first day of 1970, Monday being 0."""
_SATURDAY: Final = 5


@dataclass(slots=True)
class Mandate:
    """A standing mandate.

    `orders` are the last ones it has for each delivery, `sold_wh` what it sold less what it bought by the start of the
    delivery, `spent_pico` what its trades cost by day.
    """

    granted: MandateGranted
    paused: bool = False
    forecast: ForecastRecorded | None = None
    orders: dict[Key, str] = field(default_factory=dict)
    sold_wh: dict[int, int] = field(default_factory=dict)
    spent_pico: dict[int, int] = field(default_factory=dict)

    def day(self, start_at: int) -> int:
        """The number of the day of a delivery at the mandate's place."""
        return (start_at + self.granted.terms.utc_offset_min * MINUTE_US) // _DAY_US

    def covers(self, start_at: int) -> bool:
        """Whether the mandate is for deliveries at this time."""
        terms = self.granted.terms
        if start_at < terms.valid_from or (terms.valid_until is not None and start_at >= terms.valid_until):
            return False
        return not terms.day_types or _type_of(self.day(start_at)) in terms.day_types


@dataclass(slots=True)
class Mandates:
    """By their ids; `of` are those that stand, by party and connection."""

    known: dict[str, Mandate] = field(default_factory=dict)
    of: dict[tuple[str, str], str] = field(default_factory=dict)

    def filled(self, order: Order, quantity_wh: int, exposure_pico: int) -> None:
        """For `evolve`: so much of an order is traded; of a mandate's own it counts against forecast and budget."""
        mandate = None if order.terms is None or order.terms.mandate is None else self.known.get(order.terms.mandate)
        if mandate is None or (mandate.granted.party, mandate.granted.connection) != (order.party, order.connection):
            return
        start = order.instrument[0]
        mandate.sold_wh[start] = mandate.sold_wh.get(start, 0) + (-quantity_wh if order.buys else quantity_wh)
        if order.buys:
            day = mandate.day(start)
            mandate.spent_pico[day] = mandate.spent_pico.get(day, 0) + exposure_pico

    def forget_settled(self, mandate: Mandate, instruments: Collection[Key]) -> None:
        """For `evolve`: what was traded of deliveries that are forgotten, and of the days before the first known."""
        first = min((mandate.day(start) for start, _ in instruments), default=0)
        starts = {start for start, _ in instruments}
        mandate.sold_wh = {start: wh for start, wh in mandate.sold_wh.items() if start in starts}
        mandate.spent_pico = {day: spent for day, spent in mandate.spent_pico.items() if day >= first}


def _type_of(day: int) -> DayType:
    weekday = (day + _THURSDAY) % 7
    if weekday < _SATURDAY:
        return DayType.WEEKDAY
    return DayType.SATURDAY if weekday == _SATURDAY else DayType.SUNDAY
