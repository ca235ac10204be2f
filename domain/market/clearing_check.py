"""Is a proposed clearing right? It comes in parts, and each is judged by itself (domain rules §1.2).

The parts list every offer of the frozen book in the order of sequence with its filled Wh. What is remembered between
them is a handful of integers, however large the book is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from domain.market.clearing import AuctionRules, Clearing, LevelSoFar, Offer, fill, price_in, take


class Flaw(StrEnum):
    """Why a proposal is wrong, in the order of the checks."""

    LIST = "list"
    """An offer is missing, doubled or out of order, or has no fill."""
    FILL = "fill"
    """An offer is not filled as the price and the rationing say."""
    TOTALS = "totals"
    """The parts do not add up to what the proposal says; bought is not sold."""
    VOLUME = "volume"
    """A willing pair is left untraded."""
    PRICE = "price"
    """Not the price of the rule, or a price without a trade."""


@dataclass(frozen=True, slots=True)
class Ends:
    """The prices of the worst accepted and the best rejected (also in part) offer of each side, where there is one."""

    bid_accepted: int | None
    bid_rejected: int | None
    ask_accepted: int | None
    ask_rejected: int | None

    def lowest(self) -> int | None:
        """The lower end of the supporting prices; none: there is none."""
        return max((p for p in (self.ask_accepted, self.bid_rejected) if p is not None), default=None)

    def highest(self) -> int | None:
        """The upper end of the supporting prices; none: there is none."""
        return min((p for p in (self.bid_accepted, self.ask_rejected) if p is not None), default=None)


@dataclass(slots=True)
class ClearingCheck:
    """What is known of a proposal behind the parts that have been taken; of one book, or of one zone of many."""

    rules: AuctionRules
    clearing: Clearing
    count: int = 0
    last_sequence: int = -1
    bought_wh: int = 0
    sold_wh: int = 0
    bids: LevelSoFar = field(default_factory=LevelSoFar)
    asks: LevelSoFar = field(default_factory=LevelSoFar)

    def judge(self, offers: Sequence[Offer], filled_wh: Sequence[int]) -> Flaw | None:
        """What is wrong with the next part; changes nothing."""
        return self.copy().take(offers, filled_wh)

    def take(self, offers: Sequence[Offer], filled_wh: Sequence[int]) -> Flaw | None:
        """Takes in the next part; the first thing wrong with it, behind which nothing of it is taken."""
        if len(offers) != len(filled_wh):
            return Flaw.LIST
        for offer, filled in zip(offers, filled_wh, strict=True):
            so_far = self.bids if offer.buys else self.asks
            if offer.sequence <= self.last_sequence:
                return Flaw.LIST
            if filled != fill(offer, self.clearing, so_far, self.rules):
                return Flaw.FILL
            take(offer, filled, self.clearing, so_far, self.rules)
            self.last_sequence = offer.sequence
            self.count += 1
            if offer.buys:
                self.bought_wh += filled
            else:
                self.sold_wh += filled
        return None

    def finish(self, count: int) -> Flaw | None:
        """What is wrong with the whole, of a book of `count` offers that is coupled to no other."""
        flaw = self.totals(count)
        if flaw is not None:
            return flaw
        if self.bought_wh != self.sold_wh:
            return Flaw.TOTALS
        ends = self.ends()
        bid, ask = ends.bid_rejected, ends.ask_rejected
        if bid is not None and ask is not None and bid >= ask:
            return Flaw.VOLUME
        lowest, highest = ends.lowest(), ends.highest()
        if not self.bought_wh:
            rule = None
        else:
            assert lowest is not None, "something is sold"
            assert highest is not None, "something is bought"
            rule = price_in(lowest, highest, self.rules)
        return None if self.clearing.price_nano_per_kwh == rule else Flaw.PRICE

    def totals(self, count: int) -> Flaw | None:
        """What is wrong with the sums over `count` offers; says nothing about volume and price."""
        if self.count != count:
            return Flaw.LIST
        clearing = self.clearing
        if (self.bought_wh, self.sold_wh) != (clearing.bought_wh, clearing.sold_wh):
            return Flaw.TOTALS
        for level, so_far in ((clearing.bids, self.bids), (clearing.asks, self.asks)):
            if (level.quantity_wh, level.filled_wh) != (so_far.quantity_wh, so_far.filled_wh):
                return Flaw.TOTALS
            if level.at_cut != so_far.at_cut:
                return Flaw.TOTALS
        return None

    def ends(self) -> Ends:
        """The accepted and rejected prices next to the point where the book is cut."""
        price = self.clearing.price_nano_per_kwh
        (bid_accepted, bid_rejected), (ask_accepted, ask_rejected) = _ends(self.bids, price), _ends(self.asks, price)
        return Ends(bid_accepted, bid_rejected, ask_accepted, ask_rejected)

    def copy(self) -> "ClearingCheck":
        """The same, to go on with by itself."""
        copied = ClearingCheck(self.rules, self.clearing, self.count, self.last_sequence, self.bought_wh, self.sold_wh)
        copied.bids, copied.asks = replace(self.bids), replace(self.asks)
        return copied


def _ends(so_far: LevelSoFar, price: int | None) -> tuple[int | None, int | None]:
    accepted = price if so_far.filled_wh else so_far.better_nano_per_kwh
    rejected = price if so_far.filled_wh < so_far.quantity_wh else so_far.worse_nano_per_kwh
    return accepted, rejected
