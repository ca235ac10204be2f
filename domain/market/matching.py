"""Continuous double auction, pay as bid (domain rules §1.1): whom an order meets, before anything is recorded."""

from dataclasses import dataclass
from typing import Final

from domain.market.book import Book, Order
from domain.market.network import Crossing
from schemas.market.events import Restriction, SelfTradeMode
from schemas.market.reasons import CancelReason

ALL_WH: Final = 10**18
"""More than any order holds: in `Bounds.taken_wh`, an order that is not there any more."""

MAX_MEETINGS: Final = 400
"""Resting orders that one order may meet; a decision is two facts for each, and a few."""

# An enum finds its members by name, every time: what every order asks for is looked up once.
_SELF_TRADES: Final = SelfTradeMode.OFF
_CANCEL_NEWEST: Final = SelfTradeMode.CANCEL_NEWEST
_CANCEL_OLDEST: Final = SelfTradeMode.CANCEL_OLDEST
_RESTS: Final = Restriction.NONE
_FOK: Final = Restriction.FOK
_AON: Final = Restriction.AON
_IOC_REST: Final = CancelReason.IOC_REST
_FOK_UNFILLABLE: Final = CancelReason.FOK_UNFILLABLE


@dataclass(slots=True)
class Matching:
    """What happens to an order at once.

    `meetings` are resting orders in the order met, each with the Wh that it trades at its own price. Where
    self-trade prevention comes instead it is 0, the resting order is taken out of the book, or −Wh: so much is
    taken from both. `rest_wh` of the order stays open, or is cancelled for the reason `ending`. `halted_at` is the
    price that would have left the halt band (none: no halt).
    """

    meetings: list[tuple[Order, int]]
    rest_wh: int
    ending: CancelReason | None
    halted_at: int | None = None


@dataclass(slots=True)
class Bounds:
    """What else may stop an order than its limit.

    At a price further than `execution_band` from the reference matching ends, further than `halt_band` the book halts
    (0: no band). `crossing` says how much can go between the order's `zone` and another (none: one zone). Only what
    was accepted before `older_than` is met (none: all), `taken_wh` says what of resting orders is spoken for, and
    behind `most` meetings the walk ends with the rest open.
    """

    zone: str
    reference_price_nano_per_kwh: int = 0
    execution_band_nano_per_kwh: int = 0
    halt_band_nano_per_kwh: int = 0
    crossing: Crossing | None = None
    older_than: int | None = None
    taken_wh: dict[str, int] | None = None
    most: int | None = None


def match(  # noqa: PLR0912  (one walk; what stops it stands in the order in which it is asked)
    book: Book,
    party: str,
    buys: bool,
    quantity_wh: int,
    limit_price_nano_per_kwh: int,
    restriction: Restriction,
    self_trade: SelfTradeMode,
    now_at: int,
    minimum_wh: int = 0,
    bounds: Bounds | None = None,
) -> Matching:
    """Walks the opposite side while prices cross, best price first and oldest first.

    Who wants all or nothing needs no walk of its own: the whole walk is a plan, and one that does not fill the order is
    thrown away, with the cancellations that self-trade prevention would have made.

    The walk is that of `Book.crossing`, written out: every order comes by here, and most meet nobody.
    """
    meetings: list[tuple[Order, int]] = []
    rest = quantity_wh
    traded = 0
    ending: CancelReason | None = None
    halted_at: int | None = None
    ladder, worst_key = (book.asks, -limit_price_nano_per_kwh) if buys else (book.bids, limit_price_nano_per_kwh)
    for resting in reversed(ladder.orders):
        if resting.key < worst_key or not rest:
            break
        open_wh = resting.rest_wh
        if not open_wh or (resting.expires_at is not None and resting.expires_at <= now_at):
            continue
        if len(meetings) == MAX_MEETINGS:
            ending = CancelReason.MATCH_LIMIT
            break
        reach_wh = rest
        if bounds is not None:
            if len(meetings) == bounds.most:
                break
            open_wh, reach_wh = _reach(bounds, resting, buys, open_wh, rest)
            if not reach_wh or not open_wh:
                continue
            away = abs(resting.limit_price_nano_per_kwh - bounds.reference_price_nano_per_kwh)
            if 0 < bounds.halt_band_nano_per_kwh < away:
                halted_at = resting.limit_price_nano_per_kwh
                break
            if 0 < bounds.execution_band_nano_per_kwh < away:
                ending = CancelReason.EXECUTION_BAND
                break
        if resting.party == party and self_trade is not _SELF_TRADES:
            if self_trade is _CANCEL_NEWEST:
                ending = CancelReason.SELF_TRADE
                break
            if self_trade is _CANCEL_OLDEST:
                meetings.append((resting, 0))
                continue
            if self_trade is SelfTradeMode.CANCEL_BOTH:
                meetings.append((resting, 0))
                ending = CancelReason.SELF_TRADE
                break
            both = min(rest, open_wh)
            meetings.append((resting, -both))
            rest -= both
            if not rest:
                ending = CancelReason.SELF_TRADE
            continue
        if resting.aon and open_wh > reach_wh:
            continue
        filled = open_wh if open_wh < reach_wh else reach_wh
        rest -= filled
        traded += filled
        meetings.append((resting, filled))
        if bounds is not None and bounds.crossing is not None:
            bounds.crossing.take(bounds.zone, resting.zone, buys, filled)
    if traded < minimum_wh:
        return Matching([], quantity_wh, CancelReason.MINIMUM_UNFILLABLE)
    if traded < quantity_wh and restriction is not _RESTS:
        if restriction is _FOK:
            return Matching([], quantity_wh, _FOK_UNFILLABLE)
        if restriction is _AON:
            return Matching([], quantity_wh, None)
        if ending is None:
            ending = _IOC_REST
    return Matching(meetings, rest, ending, halted_at)


def _reach(bounds: Bounds, resting: Order, buys: bool, open_wh: int, rest_wh: int) -> tuple[int, int]:
    """What of a resting order is there to be met, and how much of it can come to this order's zone."""
    if bounds.older_than is not None and resting.sequence >= bounds.older_than:
        return 0, 0
    if bounds.taken_wh:
        open_wh = max(0, open_wh - bounds.taken_wh.get(resting.order, 0))
    if bounds.crossing is None or resting.zone == bounds.zone:
        return open_wh, rest_wh
    return open_wh, min(rest_wh, bounds.crossing.room_wh(bounds.zone, resting.zone, buys))
