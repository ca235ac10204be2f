"""Auctions of whole sessions with call blocks: their rules, and facts about them. Key: the market."""

from schemas.market.auction_events import CalledLevel, Rationing
from schemas.market.reasons import CancelReason
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
    Sequence,
    Side,
    TimeUs,
)


@value
class SessionAuctionRules:
    """How the books of a session are opened together by one auction over all of its deliveries.

    They open `opening_lead_min` before the session's first delivery (instead of each before its own), collect orders
    and call blocks for `opening_min` and are called. The price of a delivery is lo + k (hi - lo) of its supporting
    interval, on the tick, unless an accepted block would lose at it. A result takes `deadline_min` at most; without
    one call blocks end and the books trade on continuously.
    """

    opening_lead_min: Count
    opening_min: Count
    k_ppm: Ppm
    rationing: Rationing
    deadline_min: Count


@value
class CalledBlock:
    """A call block as it is auctioned: from the session's delivery `first_interval` (0, 1, …) on.

    `parent` is another call block of the same auction; those of one `exclusive_group` are accepted once together.
    """

    block: Id
    side: Side
    first_interval: Count
    profile_wh: tuple[EnergyWh, ...]
    limit_price_nano_per_kwh: PriceNanoPerKwh
    minimum_ppm: Ppm
    parent: Id | None = None
    exclusive_group: Id | None = None


@value
class SessionPrice:
    """What one delivery clears to; its orders buy and sell unlike amounts, call blocks the difference."""

    price_nano_per_kwh: PriceNanoPerKwh | None
    bought_wh: EnergySumWh
    sold_wh: EnergySumWh
    bids: CalledLevel
    asks: CalledLevel


@event
class CallBlockAccepted:
    """The block stands for the session's auction with time priority `sequence`; what it may need is reserved."""

    market: Id
    block: Id
    sequence: Sequence
    party: Id
    connection: Id
    side: Side
    first_start_at: TimeUs
    interval_min: Minutes
    profile_wh: tuple[EnergyWh, ...]
    limit_price_nano_per_kwh: PriceNanoPerKwh
    minimum_ppm: Ppm
    parent: Id | None = None
    exclusive_group: Id | None = None


@event
class CallBlocksEnded:
    """These call blocks stand no more, and nothing of them was accepted; `parties` are their owners."""

    market: Id
    reason: CancelReason
    blocks: tuple[Id, ...]
    parties: tuple[Id, ...]


@event
class SessionAuctionCalled:
    """All books of the session are frozen until its auction ends, at `deadline_at` at the latest."""

    market: Id
    auction: Id
    first_start_at: TimeUs
    intervals: Count
    interval_min: Minutes
    resting: Count
    blocks: Count
    tick_nano_per_kwh: Count
    lot_wh: Count
    min_price_nano_per_kwh: PriceNanoPerKwh
    max_price_nano_per_kwh: PriceNanoPerKwh
    k_ppm: Ppm
    rationing: Rationing
    deadline_at: TimeUs


@event
class SessionBookListed:
    """A slice of a frozen book of the session, in the order of acceptance; `first` is the place of its first order."""

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
class SessionBlocksListed:
    """A slice of the call blocks, in the order of acceptance; `first` is the place of its first block."""

    market: Id
    auction: Id
    first: Count
    blocks: tuple[CalledBlock, ...]


@event
class SessionAuctionStarted:
    """All frozen books and call blocks are listed: whoever calculates may read them."""

    market: Id
    auction: Id
    first_start_at: TimeUs
    intervals: Count
    interval_min: Minutes
    resting: Count
    blocks: Count
    tick_nano_per_kwh: Count
    lot_wh: Count
    min_price_nano_per_kwh: PriceNanoPerKwh
    max_price_nano_per_kwh: PriceNanoPerKwh
    k_ppm: Ppm
    rationing: Rationing


@event
class CallBlocksChecked:
    """The proposed acceptance of all blocks, in the order of acceptance, may be: ratios, links, groups, and no loss.

    `steps` are equal parts of whole lots. `priced_at` are the deliveries that have a price. Nothing gains more than
    `more_micro` over this result: the proposer's word.
    """

    market: Id
    auction: Id
    steps: tuple[Count, ...]
    priced_at: tuple[TimeUs, ...]
    prices_nano_per_kwh: tuple[PriceNanoPerKwh, ...]
    more_micro: Count


@event
class SessionBookChecked:
    """A part of the proposed result of one delivery is right; the last part of the last one makes the whole valid."""

    market: Id
    auction: Id
    delivery_start_at: TimeUs
    interval_min: Minutes
    part: Count
    parts: Count
    cleared: SessionPrice
    orders: tuple[Id, ...]
    filled_wh: tuple[EnergyWh, ...]


@event
class SessionAuctionCleared:
    """The result: so much trades over all deliveries, `accepted` call blocks among it. Trades follow in slices.

    Welfare is the limits of what buys less the limits of what sells, rounded down; nothing gains more than `bound`.
    `gap_ppm` is how much more there might be: 0 is proven.
    """

    market: Id
    auction: Id
    first_start_at: TimeUs
    intervals: Count
    interval_min: Minutes
    volume_wh: EnergySumWh
    accepted: Count
    welfare_micro: AmountMicro
    bound_micro: AmountMicro
    gap_ppm: Ppm


@event
class CallBlockFilled:
    """The block is accepted in the result: it buys or sells so much of these deliveries, each an order at its price.

    What is not accepted of it has ended.
    """

    market: Id
    auction: Id
    block: Id
    sequence: Sequence
    party: Id
    connection: Id
    side: Side
    interval_min: Minutes
    starts_at: tuple[TimeUs, ...]
    orders: tuple[Id, ...]
    quantities_wh: tuple[EnergyWh, ...]
    prices_nano_per_kwh: tuple[PriceNanoPerKwh, ...]
    accepted_ppm: Ppm


@event
class SessionAuctionFailed:
    """No result came by the deadline: the books trade on continuously."""

    market: Id
    auction: Id
    first_start_at: TimeUs
    intervals: Count
    interval_min: Minutes


@event
class SessionAuctionEnded:
    """All trades of the result are written out; the books trade on continuously."""

    market: Id
    auction: Id
    first_start_at: TimeUs
    intervals: Count
    interval_min: Minutes
