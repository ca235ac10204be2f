"""McAfee's double auction for traders who want one unit each: nobody gains by a false price (domain rules §1.3).

Of equal prices the earlier one counts as the better. With k pairs that could trade, the middle of the (k+1)th pair is
the price of all k if it suits the k-th pair; else, or without a (k+1)th pair, the k-th pair sets the prices and does
not trade. Prices are of one trader each: whoever splits what he wants into several of them can gain by it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from domain.rounding import half_up


class Pair(NamedTuple):
    """A bid and an ask of the same rank."""

    bid: int
    ask: int


@dataclass(frozen=True, slots=True)
class UnitTrades:
    """The `trades` dearest bids and cheapest asks trade; the operator keeps what buyers pay and sellers do not get.

    Prices without trades are those of the pair that set them.
    """

    trades: int
    buyer_pays_nano_per_kwh: int | None
    seller_gets_nano_per_kwh: int | None

    def surplus_nano_per_kwh(self) -> int:
        """What the operator keeps of all units together, never below zero."""
        if self.buyer_pays_nano_per_kwh is None or self.seller_gets_nano_per_kwh is None:
            return 0
        return self.trades * (self.buyer_pays_nano_per_kwh - self.seller_gets_nano_per_kwh)


def mcafee(bids: Sequence[int], asks: Sequence[int], tick_nano_per_kwh: int) -> UnitTrades:
    """Who trades at which prices."""
    pairs = [Pair(*pair) for pair in zip(sorted(bids, reverse=True), sorted(asks), strict=False)]
    k = sum(pair.bid >= pair.ask for pair in pairs)
    if not k:
        return UnitTrades(0, None, None)
    last = pairs[k - 1]
    price = middle(pairs[k] if k < len(pairs) else None, tick_nano_per_kwh)
    if price is not None and suits(price, last):
        return UnitTrades(k, price, price)
    return UnitTrades(k - 1, last.bid, last.ask)


def middle(pair: Pair | None, tick_nano_per_kwh: int) -> int | None:
    """The price between a bid and an ask, rounded half up to the tick; none without such a pair."""
    return None if pair is None else half_up(pair.bid + pair.ask, 2 * tick_nano_per_kwh) * tick_nano_per_kwh


def suits(price_nano_per_kwh: int, pair: Pair) -> bool:
    """Whether both of the pair gain by the price, or lose nothing."""
    return pair.ask <= price_nano_per_kwh <= pair.bid
