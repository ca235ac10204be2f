"""Call auctions of a market: their rules, and facts about them. Key: the market."""

from enum import StrEnum

from schemas.message import event, value
from schemas.values import (
    AmountMicro,
    Count,
    EnergySumWh,
    EnergyWh,
    Id,
    Minutes,
    Ppm,
    PriceNanoPerKwh,
    Side,
    SignedEnergyWh,
    TimeUs,
)


class Rationing(StrEnum):
    """Who is filled at the one price level that is accepted in part: by `time` the earlier, `pro_rata` all a share."""

    TIME = "time"
    PRO_RATA = "pro_rata"


class Mechanism(StrEnum):
    """How a called book is cleared.

    `uniform` trades the largest volume at one price. `mcafee` is for traders who want one unit each: nobody gains by a
    false price, and what buyers pay more than sellers get is the operator's (domain rules §1.3).
    """

    UNIFORM = "uniform"
    MCAFEE = "mcafee"


@value
class CallRules:
    """How a book is called to an auction, at its opening and at the end of a halt.

    A book collects orders for `opening_min` from its opening on before it is called (0: it opens without an auction).
    The price is lo + k (hi - lo) of the supporting interval, on the tick. A result takes `deadline_min` at most;
    without one the book trades on continuously, and what crosses meets in the order of acceptance.

    Under `mcafee` every order is `unit_wh` in each settlement interval (0: one lot), and a party has one open order a
    side in a book.
    """

    opening_min: Count
    k_ppm: Ppm
    rationing: Rationing
    deadline_min: Count
    mechanism: Mechanism = Mechanism.UNIFORM
    unit_wh: EnergyWh = 0


@value
class CalledLevel:
    """The orders of one side at exactly the price: together, filled, and the remainder that earns a lot more."""

    quantity_wh: EnergySumWh
    filled_wh: EnergySumWh
    cut: Count
    at_cut: Count


@value
class CalledLine:
    """A line between two zones and what of the auction may cross it each way: held for it until its trades stand."""

    line: Id
    from_zone: Id
    to_zone: Id
    forward_wh: EnergySumWh
    backward_wh: EnergySumWh


@value
class CalledZone:
    """What one of coupled zones clears to. It buys and sells as much as it trades with the others' balance."""

    zone: Id
    price_nano_per_kwh: PriceNanoPerKwh | None
    bought_wh: EnergySumWh
    sold_wh: EnergySumWh
    bids: CalledLevel
    asks: CalledLevel


@value
class LineFlow:
    """What crosses a line: > 0 from its first zone to its second."""

    line: Id
    flow_wh: SignedEnergyWh


@value
class CalledPrice:
    """What a book clears to; the fill of every order follows from it. Without a trade there is no price.

    Sellers get `seller_price_nano_per_kwh` where it is another one than buyers pay. Of coupled zones each has a price
    in `zones`, what crosses between them is in `flows`, and only the volume is told of all together.
    """

    price_nano_per_kwh: PriceNanoPerKwh | None
    volume_wh: EnergySumWh
    bids: CalledLevel
    asks: CalledLevel
    seller_price_nano_per_kwh: PriceNanoPerKwh | None = None
    zones: tuple[CalledZone, ...] = ()
    flows: tuple[LineFlow, ...] = ()


@event
class AuctionCalled:
    """The book is frozen: until the auction ends, at `deadline_at` at the latest, its `resting` orders stand.

    With several `zones` (the home zone first) the book is cleared by zone, coupled by what may cross the `lines`.
    """

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
    zones: tuple[Id, ...] = ()
    lines: tuple[CalledLine, ...] = ()
    mechanism: Mechanism = Mechanism.UNIFORM


@event
class AuctionBookListed:
    """A slice of the frozen book, in the order of acceptance; `first` is the place of its first order.

    `zones` are those of the orders (empty: there is one zone).
    """

    market: Id
    auction: Id
    delivery_start_at: TimeUs
    interval_min: Minutes
    first: Count
    orders: tuple[Id, ...]
    sides: tuple[Side, ...]
    limit_prices_nano_per_kwh: tuple[PriceNanoPerKwh, ...]
    rests_wh: tuple[EnergyWh, ...]
    zones: tuple[Id, ...] = ()


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
    zones: tuple[Id, ...] = ()
    lines: tuple[CalledLine, ...] = ()
    mechanism: Mechanism = Mechanism.UNIFORM


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


@value
class ClearedZone:
    """What one of coupled zones trades, and at which price (none: it takes no part)."""

    zone: Id
    price_nano_per_kwh: PriceNanoPerKwh | None
    bought_wh: EnergySumWh
    sold_wh: EnergySumWh


@event
class AuctionCleared:
    """The result: this volume trades at this one price, none where nobody could trade. Trades follow in slices.

    `gap_ppm` is how much more welfare there might be: 0 is proven. Of coupled zones each has its price in `zones`, and
    the price is the home zone's. Sellers get `seller_price_nano_per_kwh` where it is another one than buyers pay.
    `income_micro` is what all buyers pay more than all sellers get, rounded half up: the operator's.
    """

    market: Id
    auction: Id
    delivery_start_at: TimeUs
    interval_min: Minutes
    price_nano_per_kwh: PriceNanoPerKwh | None
    volume_wh: EnergySumWh
    gap_ppm: Ppm
    seller_price_nano_per_kwh: PriceNanoPerKwh | None = None
    zones: tuple[ClearedZone, ...] = ()
    flows: tuple[LineFlow, ...] = ()
    income_micro: AmountMicro = 0


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
