"""McAfee's double auction for traders who want one unit each: nobody gains by a false price (domain rules §1.3)."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.rounding import half_up


@dataclass(frozen=True, slots=True)
class UnitTrades:
    """The `trades` dearest bids and cheapest asks trade; the operator keeps what buyers pay and sellers do not get."""

    trades: int
    buyer_pays_nano_per_kwh: int | None
    seller_gets_nano_per_kwh: int | None

    def surplus_nano_per_kwh(self) -> int:
        """What the operator keeps of all units together, never below zero."""
        if self.buyer_pays_nano_per_kwh is None or self.seller_gets_nano_per_kwh is None:
            return 0
        return self.trades * (self.buyer_pays_nano_per_kwh - self.seller_gets_nano_per_kwh)


def mcafee(bids: Sequence[int], asks: Sequence[int], tick_nano_per_kwh: int) -> UnitTrades:
    """Who trades at which prices. With k pairs that could trade, the middle of the (k+1)th pair is the price of all
    k if it suits the k-th pair; else, or without a (k+1)th pair, the k-th pair sets the prices and does not trade.

    The middle is rounded half up to the tick. Prices are of one trader each: whoever splits what he wants into
    several of them can gain by it.
    """
    dear, cheap = sorted(bids, reverse=True), sorted(asks)
    k = sum(bid >= ask for bid, ask in zip(dear, cheap, strict=False))
    if not k:
        return UnitTrades(0, None, None)
    if k < min(len(dear), len(cheap)):
        price = half_up(dear[k] + cheap[k], 2 * tick_nano_per_kwh) * tick_nano_per_kwh
        if cheap[k - 1] <= price <= dear[k - 1]:
            return UnitTrades(k, price, price)
    return UnitTrades(k - 1, dear[k - 1], cheap[k - 1])
