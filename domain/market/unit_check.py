"""Is a proposed result of McAfee's auction right? It comes in parts, and what is remembered is a handful of integers.

Who trades is in front of who does not, by price and then by sequence; the worst that trade and the two best that do
not are all that the rule asks for.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field

from domain.market.clearing import Offer
from domain.market.clearing_check import Flaw
from domain.market.mcafee import Pair, middle, suits
from schemas.market.auction_events import CalledLevel, CalledPrice

_NOTHING = CalledLevel(0, 0, 0, 0)


def unit_price(pays_nano_per_kwh: int | None, gets_nano_per_kwh: int | None, volume_wh: int) -> CalledPrice:
    """A result in the terms of messages; without a trade there are no prices."""
    gets = None if gets_nano_per_kwh == pays_nano_per_kwh or not volume_wh else gets_nano_per_kwh
    return CalledPrice(pays_nano_per_kwh if volume_wh else None, volume_wh, _NOTHING, _NOTHING, gets)


@dataclass(slots=True)
class UnitSide:
    """What has been listed of one side. Ranks are prices, of asks negated: the larger is the better.

    `last_traded` and `first_left` are sequences at those two ranks; `second_left` is the best rank behind that order.
    """

    count: int = 0
    worst_traded: int | None = None
    last_traded: int = -1
    best_left: int | None = None
    first_left: int = -1
    second_left: int | None = None

    def trades(self, rank: int, sequence: int) -> None:
        """One more that trades."""
        self.count += 1
        if self.worst_traded is None or rank <= self.worst_traded:
            self.worst_traded, self.last_traded = rank, sequence

    def leaves(self, rank: int, sequence: int) -> None:
        """One more that does not."""
        if self.best_left is None or rank > self.best_left:
            self.second_left = self.best_left
            self.best_left, self.first_left = rank, sequence
        elif self.second_left is None or rank > self.second_left:
            self.second_left = rank

    def in_order(self) -> bool:
        """Nobody trades while a better one, or an earlier one of the same price, does not."""
        if self.worst_traded is None or self.best_left is None:
            return True
        return (self.worst_traded, self.first_left) > (self.best_left, self.last_traded)


@dataclass(slots=True)
class UnitCheck:
    """What is known of a proposal behind the parts that have been taken."""

    tick_nano_per_kwh: int
    unit_wh: int
    called: CalledPrice
    count: int = 0
    bids: UnitSide = field(default_factory=UnitSide)
    asks: UnitSide = field(default_factory=UnitSide)

    def take(self, zones: Sequence[str], offers: Sequence[Offer], filled_wh: Sequence[int]) -> Flaw | None:
        """Takes in the next part; the first thing wrong with it, behind which nothing of it is taken."""
        if len(offers) != len(filled_wh):
            return Flaw.LIST
        for offer, filled in zip(offers, filled_wh, strict=True):
            side = self.bids if offer.buys else self.asks
            rank = offer.price_nano_per_kwh if offer.buys else -offer.price_nano_per_kwh
            if filled == self.unit_wh:
                side.trades(rank, offer.sequence)
            elif not filled:
                side.leaves(rank, offer.sequence)
            else:
                return Flaw.FILL
            self.count += 1
        return None

    def finish(self, count: int) -> Flaw | None:
        """What is wrong with the whole, of a book of `count` offers."""
        bids, asks = self.bids, self.asks
        if self.count != count:
            return Flaw.LIST
        if not (bids.in_order() and asks.in_order()):
            return Flaw.FILL
        if bids.count != asks.count or self.called.volume_wh != bids.count * self.unit_wh:
            return Flaw.TOTALS
        last = _pair(bids.worst_traded, asks.worst_traded)
        left, behind = _pair(bids.best_left, asks.best_left), _pair(bids.second_left, asks.second_left)
        found: tuple[int | None, int | None] = None, None
        if last is not None and last.bid < last.ask:
            return Flaw.VOLUME
        if left is None or left.bid < left.ask:
            price = middle(left, self.tick_nano_per_kwh)
            if last is not None and (price is None or not suits(price, last)):
                return Flaw.VOLUME  # the last pair sets the prices, and does not trade
            found = price, price
        else:
            price = middle(behind, self.tick_nano_per_kwh)
            if (behind is not None and behind.bid >= behind.ask) or (price is not None and suits(price, left)):
                return Flaw.VOLUME
            found = left.bid, left.ask
        return None if unit_price(*found, self.called.volume_wh) == self.called else Flaw.PRICE

    def income_pico(self) -> int:
        """What all buyers pay more than all sellers get, in 10⁻¹² currency units."""
        called = self.called
        if called.price_nano_per_kwh is None or called.seller_price_nano_per_kwh is None:
            return 0
        return called.volume_wh * (called.price_nano_per_kwh - called.seller_price_nano_per_kwh)

    def copy(self) -> "UnitCheck":
        """The same, to go on with by itself."""
        copied = copy(self)
        copied.bids, copied.asks = copy(self.bids), copy(self.asks)
        return copied


def _pair(bid: int | None, ask: int | None) -> Pair | None:
    """Of ranks: an ask's is its price negated."""
    return None if bid is None or ask is None else Pair(bid, -ask)
