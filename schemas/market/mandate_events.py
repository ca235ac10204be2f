"""Facts about standing mandates. Key: the market."""

from enum import StrEnum
from typing import Annotated

from annotated_types import Ge, Le

from schemas.market.reasons import MarketRefusal
from schemas.message import event, value
from schemas.values import AmountMicro, Count, Id, Minutes, PriceNanoPerKwh, SignedEnergyWh, TimeUs

OffsetMinutes = Annotated[int, Ge(-840), Le(840)]
"""Of a place's days against UTC."""


class DayType(StrEnum):
    """Of the day on which a delivery starts."""

    WEEKDAY = "weekday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


@value
class MandateTerms:
    """What a mandate may order: buys up to a price, sells from a price (none: not at all), in a period, on some days.

    `budget_micro` bounds what the buys of a day may cost: what is open at its limit and what is traded, with fee and
    tax. A day begins at midnight of a place `utc_offset_min` ahead of UTC; without `day_types` every day counts.
    `agent` may bring forecasts beside the party.
    """

    buy_up_to_nano_per_kwh: PriceNanoPerKwh | None
    sell_from_nano_per_kwh: PriceNanoPerKwh | None
    budget_micro: AmountMicro
    valid_from: TimeUs
    valid_until: TimeUs | None = None
    day_types: tuple[DayType, ...] = ()
    utc_offset_min: OffsetMinutes = 0
    agent: Id | None = None


@event
class MandateGranted:
    """The market orders for the connection within these terms, as forecasts come."""

    market: Id
    mandate: Id
    party: Id
    connection: Id
    terms: MandateTerms


@event
class MandatePaused:
    """Nothing is ordered under the mandate until it is resumed."""

    market: Id
    mandate: Id
    party: Id


@event
class MandateResumed:
    """The mandate orders again."""

    market: Id
    mandate: Id
    party: Id


@event
class MandateRevoked:
    """The mandate is no more."""

    market: Id
    mandate: Id
    party: Id


@event
class ForecastRecorded:
    """What the connection is expected to have over (+) or to need (−) per interval."""

    market: Id
    mandate: Id
    forecast: Id
    version: Count
    first_start_at: TimeUs
    interval_min: Minutes
    energy_wh: tuple[SignedEnergyWh, ...]


@event
class MandateApplied:
    """The orders that stand for a forecast now, by their deliveries, and what could not be ordered, with the reason.

    Of what is skipped, + is a surplus that is not offered, − a need for which nothing is bid; less than a lot is
    neither ordered nor named.
    """

    market: Id
    mandate: Id
    forecast: Id
    orders: tuple[Id, ...]
    deliveries_at: tuple[TimeUs, ...]
    skipped_at: tuple[TimeUs, ...]
    skipped_wh: tuple[SignedEnergyWh, ...]
    reasons: tuple[MarketRefusal, ...]
