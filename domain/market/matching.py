"""Continuous double auction, pay as bid (domain rules §1.1): whom an order meets, before anything is recorded."""

from dataclasses import dataclass
from typing import Final

from domain.market.book import Book, Order
from schemas.market.events import CancelReason, Restriction, SelfTradeMode

MAX_MEETINGS: Final = 400
"""Resting orders that one order may meet; a decision is two facts for each, and a few."""


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
    """
    meetings: list[tuple[Order, int]] = []
    rest = quantity_wh
    ending: CancelReason | None = None
    for resting in book.crossing(buys, limit_price_nano_per_kwh, now_at):
        if not rest:
            break
        if len(meetings) == MAX_MEETINGS:
            ending = CancelReason.MATCH_LIMIT
            break
        if resting.party == party and self_trade is not SelfTradeMode.OFF:
            if self_trade is SelfTradeMode.CANCEL_NEWEST:
                ending = CancelReason.SELF_TRADE
                break
            meetings.append((resting, 0))
            continue
        filled = min(rest, resting.rest_wh)
        rest -= filled
        meetings.append((resting, filled))
    if rest and restriction is Restriction.FOK:
        return Matching([], quantity_wh, CancelReason.FOK_UNFILLABLE)
    if rest and restriction is Restriction.IOC and ending is None:
        ending = CancelReason.IOC_REST
    return Matching(meetings, rest, ending)
