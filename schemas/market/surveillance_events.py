"""Facts about what looks like abuse of a market, and its thresholds. Key: the market."""

from enum import StrEnum

from schemas.message import event, value
from schemas.values import Count, EnergyWh, Id, Minutes, PriceNanoPerKwh, TimeUs


class SuspicionKind(StrEnum):
    """What it looks like.

    `wash_trade`: one owner on both sides, or back and forth between two at one price. `layering`: large orders away
    from the best price that go as soon as their owner has traded on the other side. `withheld_capability`: what could
    be sold was not offered while it was dear.
    """

    WASH_TRADE = "wash_trade"
    LAYERING = "layering"
    WITHHELD_CAPABILITY = "withheld_capability"


@value
class SurveillanceRules:
    """From where on something is reported. A quantity of 0 turns its kind off.

    A round trip within `round_trip_min` counts from `wash_wh` on. Orders of at least `layering_wh` count that go within
    `layering_min` after the trade, from `layering_orders` of them on. Withheld is what is neither sold nor on offer at
    `fair_price_nano_per_kwh` or less: from `withheld_wh` per settlement interval on, when the mean price was above it.
    """

    wash_wh: EnergyWh
    round_trip_min: Count
    layering_wh: EnergyWh
    layering_min: Count
    layering_orders: Count
    withheld_wh: EnergyWh
    fair_price_nano_per_kwh: PriceNanoPerKwh


@event
class SuspicionRaised:
    """Something in the book of a closed instrument looks like abuse: by whom, and the orders that show it.

    It is an alert for the operator and judges nobody.
    """

    market: Id
    delivery_start_at: TimeUs
    interval_min: Minutes
    kind: SuspicionKind
    parties: tuple[Id, ...]
    orders: tuple[Id, ...]
