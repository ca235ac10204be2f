"""How the naive exchange matches: it trades step by step, and takes everything back where that was not lawful."""

from typing import Any

from schemas.market.events import CancelReason, SelfTradeMode
from schemas.values import Side
from tests.unit.market.naive_state import MINUTE, Bid, Deal, Delivery, NaiveState

Said = tuple[Any, ...]


class NaiveMatching(NaiveState):
    """Who meets whom."""

    def opposite(self, bid: Bid, older_only: bool = False) -> list[Bid]:
        """Whom it could meet, best price first and then the older one."""
        found = [
            b
            for b in self.open_bids()
            if b is not bid
            and b.block == bid.block
            and b.deliveries == bid.deliveries
            and bid.crosses(b)
            and (b.expires is None or b.expires > self.now)
            and (not older_only or b.place < bid.place)
        ]
        return sorted(found, key=lambda b: (b.price if bid.side is Side.BUY else -b.price, b.place))

    def enter(self, bid: Bid, restriction: str, minimum: int = 0, older_only: bool = False) -> list[Said]:
        """What becomes of an order that comes in; it is in the list already."""
        whole, memory = bid.rest, [(b, b.rest) for b in self.bids]
        deals, last, phase = len(self.deals), bid.delivery.last, bid.delivery.phase
        said, ending = self._walk(bid, older_only)
        traded = sum(s[3] for s in said if s[0] in ("trade", "block_trade"))
        all_or_nothing = restriction in ("fok", "aon")
        if traded < minimum or (traded < whole and all_or_nothing):
            for other, rest in memory:
                other.rest = rest
            del self.deals[deals:]
            bid.delivery.last, bid.delivery.phase = last, phase
            if traded < minimum:
                return [self.drop(bid, CancelReason.MINIMUM_UNFILLABLE)]
            return [] if restriction == "aon" else [self.drop(bid, CancelReason.FOK_UNFILLABLE)]
        if bid.rest and ending is None and restriction == "ioc":
            ending = CancelReason.IOC_REST
        if bid.rest and ending is not None:
            said.append(self.drop(bid, ending))
        return said

    def _walk(self, bid: Bid, older_only: bool) -> tuple[list[Said], CancelReason | None]:
        said: list[Said] = []
        for other in self.opposite(bid, older_only):
            if not bid.rest:
                break
            buy, sell = (bid, other) if bid.side is Side.BUY else (other, bid)
            room = self.room(bid.deliveries, sell.zone, buy.zone)
            reach = bid.rest if room is None else min(room, bid.rest)
            if not reach:
                continue
            stopped = self._banded(bid, other)
            if stopped == "halt":
                said.append(self._halt(bid, other))
                break
            if stopped == "end":
                return said, CancelReason.EXECUTION_BAND
            if bid.party == other.party and self.rules.self_trade is not SelfTradeMode.OFF:
                ended = self._prevent(bid, other, said)
                if ended:
                    return said, CancelReason.SELF_TRADE
                continue
            if other.aon and other.rest > reach:
                continue
            said.append(self._trade(bid, other, min(reach, other.rest)))
        return said, None

    def _prevent(self, bid: Bid, other: Bid, said: list[Said]) -> bool:
        """Self-trade prevention; whether the newer order ends with it."""
        mode, reason = self.rules.self_trade, CancelReason.SELF_TRADE
        if mode is SelfTradeMode.DECREMENT:
            both = min(bid.rest, other.rest)
            for one in (other, bid):
                if one.rest == both:
                    said.append(self.drop(one, reason))
                else:
                    one.rest -= both
                    said.append(("reduced", one.number, one.rest, reason))
            return False
        if mode in (SelfTradeMode.CANCEL_OLDEST, SelfTradeMode.CANCEL_BOTH):
            said.append(self.drop(other, reason))
        return mode is not SelfTradeMode.CANCEL_OLDEST

    def _banded(self, bid: Bid, other: Bid) -> str | None:
        trading = self.rules.trading
        if trading is None or bid.block:
            return None
        away = abs(other.price - self.reference_before)
        if trading.halt_band_nano_per_kwh and away > trading.halt_band_nano_per_kwh:
            return "halt"
        return "end" if trading.execution_band_nano_per_kwh and away > trading.execution_band_nano_per_kwh else None

    reference_before = 0
    """What bands are measured from: the last trade before the order came."""

    def _halt(self, bid: Bid, other: Bid) -> Said:
        assert self.rules.trading is not None
        delivery = bid.delivery
        delivery.phase = "call"
        delivery.halted_until = min(self.now + self.rules.trading.halt_min * MINUTE, delivery.gate)
        return ("halted", delivery.key, self.reference_before, other.price, delivery.halted_until)

    def _trade(self, bid: Bid, other: Bid, wh: int) -> Said:
        """At the price of the one that waited."""
        buy, sell = (bid, other) if bid.side is Side.BUY else (other, bid)
        bid.rest -= wh
        other.rest -= wh
        for delivery in bid.deliveries:
            self.deals.append(Deal(delivery, buy, sell, wh, other.price))
        if bid.block:
            return ("block_trade", buy.number, sell.number, wh, other.price, buy.rest, sell.rest)
        bid.delivery.last = other.price
        return ("trade", buy.number, sell.number, wh, other.price, buy.rest, sell.rest)

    def drop(self, bid: Bid, reason: CancelReason) -> Said:
        rest, bid.rest = bid.rest, 0
        if bid.block:
            return ("blocks", reason, [bid.number])
        return ("cancelled", bid.number, rest, reason)

    def uncross(self) -> list[Said]:
        """Until nobody who rests could meet an older one: the oldest who can comes in as if anew."""
        said: list[Said] = []
        again = True
        while again:
            again = False
            for delivery in sorted(self.deliveries, key=lambda d: (d.gate, f"{d.start}/{d.minutes}")):
                found = self._first_who_meets(delivery)
                if found:
                    said += found
                    again = True
                    break
            if not again and (found := self._first_block_that_meets()):
                said += found
                again = True
        return said

    def _first_block_that_meets(self) -> list[Said]:
        """Blocks of the same deliveries one after the other, in the order of their names."""

        def name(bid: Bid) -> tuple[int, str]:
            return bid.delivery.start, f"{bid.delivery.start}/{bid.delivery.minutes}/{len(bid.deliveries)}"

        blocks = [b for b in self.open_bids() if b.block and (b.expires is None or b.expires > self.now)]
        for bid in sorted(blocks, key=lambda b: (name(b), b.place)):
            goes_on = all(d.phase == "continuous" and not d.closed and self.now < d.gate for d in bid.deliveries)
            if goes_on and not self.suspended and (said := self.enter(bid, "aon", older_only=True)):
                return said
        return []

    def _first_who_meets(self, delivery: Delivery) -> list[Said]:
        if self.suspended or delivery.phase != "continuous" or delivery.closed or self.now >= delivery.gate:
            return []
        for bid in self.book(delivery):
            if bid.expires is None or bid.expires > self.now:
                self.reference_before = self.reference(delivery)
                said = self.enter(bid, "aon" if bid.aon else "none", older_only=True)
                if said:
                    return said
        return []
