"""Continuous double auction, pay as bid (domain rules §1.1): whom an order meets, before anything is recorded."""

from dataclasses import dataclass
from typing import Final

from domain.market.book import Book, Order
from schemas.market.events import CancelReason, Restriction, SelfTradeMode

MAX_MEETINGS: Final = 400
"""Resting orders that one order may meet; a decision is two facts for each, and a few."""

# An enum finds its members by name, every time: what every order asks for is looked up once.
_SELF_TRADES: Final = SelfTradeMode.OFF
_CANCEL_NEWEST: Final = SelfTradeMode.CANCEL_NEWEST
_RESTS: Final = Restriction.NONE


@dataclass(slots=True)
class Matching:
    """What happens to an order at once.

    `meetings` are resting orders in the order met, each with the Wh that it trades at its own price; 0 Wh
    where self-trade prevention takes it out of the book instead. `rest_wh` of the order stays open, or is
    cancelled for the reason `ending`.
    """

    meetings: list[tuple[Order, int]]
    rest_wh: int
    ending: CancelReason | None


def match(
    book: Book,
    party: str,
    buys: bool,
    quantity_wh: int,
    limit_price_nano_per_kwh: int,
    restriction: Restriction,
    self_trade: SelfTradeMode,
    now_at: int,
) -> Matching:
    """Walks the opposite side while prices cross, best price first and oldest first.

    Fill-or-kill needs no walk of its own: the whole walk is a plan, and one that does not fill the
    order is thrown away, with the cancellations that self-trade prevention would have made.

    The walk is that of `Book.crossing`, written out: every order comes by here, and most meet nobody.
    """
    meetings: list[tuple[Order, int]] = []
    rest = quantity_wh
    ending: CancelReason | None = None
    ladder, worst_key = (book.asks, -limit_price_nano_per_kwh) if buys else (book.bids, limit_price_nano_per_kwh)
    for resting in reversed(ladder.orders):
        if resting.key < worst_key or not rest:
            break
        if not resting.rest_wh or (resting.expires_at is not None and resting.expires_at <= now_at):
            continue
        if len(meetings) == MAX_MEETINGS:
            ending = CancelReason.MATCH_LIMIT
            break
        if resting.party == party and self_trade is not _SELF_TRADES:
            if self_trade is _CANCEL_NEWEST:
                ending = CancelReason.SELF_TRADE
                break
            meetings.append((resting, 0))
            continue
        filled = min(rest, resting.rest_wh)
        rest -= filled
        meetings.append((resting, filled))
    if rest and restriction is not _RESTS:
        if restriction is Restriction.FOK:
            return Matching([], quantity_wh, CancelReason.FOK_UNFILLABLE)
        if ending is None:
            ending = CancelReason.IOC_REST
    return Matching(meetings, rest, ending)
