"""Call auctions of a market: their rules, and facts about them. Key: the market."""

from enum import StrEnum

from schemas.message import event, value
from schemas.values import Count, EnergySumWh, EnergyWh, Id, Minutes, Ppm, PriceNanoPerKwh, Side, TimeUs


class Rationing(StrEnum):
    """Who is filled at the one price level that is accepted in part: by `time` the earlier, `pro_rata` all a share."""

    TIME = "time"
    PRO_RATA = "pro_rata"


@value
class CallRules:
    """How a book is called to an auction, at its opening and at the end of a halt.

    A book collects orders for `opening_min` from its opening on before it is called (0: it opens without an auction).
    The price is lo + k (hi - lo) of the supporting interval, on the tick. A result takes `deadline_min` at most;
    without one the book trades on continuously, and what crosses meets in the order of acceptance.
    """

    opening_min: Count
    k_ppm: Ppm
    rationing: Rationing
    deadline_min: Count


@value
class CalledLevel:
    """The orders of one side at exactly the price: together, filled, and the remainder that earns a lot more."""

    quantity_wh: EnergySumWh
    filled_wh: EnergySumWh
    cut: Count
    at_cut: Count


@value
class CalledPrice:
    """What a book clears to; the fill of every order follows from it. Without a trade there is no price."""

    price_nano_per_kwh: PriceNanoPerKwh | None
    volume_wh: EnergySumWh
    bids: CalledLevel
    asks: CalledLevel


@event
class AuctionCalled:
    """The book is frozen: until the auction ends, at `deadline_at` at the latest, its `resting` orders stand."""

    market: Id
    auction: Id
    delivery_start_at: TimeUs
    interval_min: Minutes
    resting: Count
    tick_nano_per_kwh: Count
    lot_wh: Count
    k_ppm: Ppm
    rationing: Rationing
    deadline_at: TimeUs


@event
class AuctionBookListed:
    """A slice of the frozen book, in the order of acceptance; `first` is the place of its first order."""

    market: Id
    auction: Id
    delivery_start_at: TimeUs
    interval_min: Minutes
    first: Count
    orders: tuple[Id, ...]
    sides: tuple[Side, ...]
    limit_prices_nano_per_kwh: tuple[PriceNanoPerKwh, ...]
    rests_wh: tuple[EnergyWh, ...]


@event
class AuctionStarted:
    """The whole frozen book is listed: whoever calculates may read it."""

    market: Id
    auction: Id
    delivery_start_at: TimeUs
    interval_min: Minutes
    resting: Count
    tick_nano_per_kwh: Count
    lot_wh: Count
    k_ppm: Ppm
    rationing: Rationing


@event
class AuctionPartChecked:
    """A part of a proposed result is right as far as it can be judged by itself; the last part makes it valid."""

    market: Id
    auction: Id
    delivery_start_at: TimeUs
    interval_min: Minutes
    part: Count
    parts: Count
    called: CalledPrice
    orders: tuple[Id, ...]
    filled_wh: tuple[EnergyWh, ...]


@event
class AuctionCleared:
    """The result: this volume trades at this one price, none where nobody could trade. Trades follow in slices.

    `gap_ppm` is how much more welfare there might be: 0 is proven.
    """

    market: Id
    auction: Id
    delivery_start_at: TimeUs
    interval_min: Minutes
    price_nano_per_kwh: PriceNanoPerKwh | None
    volume_wh: EnergySumWh
    gap_ppm: Ppm


@event
class AuctionFailed:
    """No result came by the deadline: the book trades on continuously."""

    market: Id
    auction: Id
    delivery_start_at: TimeUs
    interval_min: Minutes


@event
class AuctionEnded:
    """All trades of the result are written out; the book trades on continuously."""

    market: Id
    auction: Id
    delivery_start_at: TimeUs
    interval_min: Minutes
