"""The naive exchange with call auctions: a book collects, is frozen, is cleared by trying everything, and goes on."""

from dataclasses import dataclass, field

from schemas.market.auction_commands import ProposeClearing
from schemas.market.auction_events import CalledPrice, CallRules
from schemas.market.commands import AmendOrder, CancelOrders
from schemas.market.events import MarketRefusal, RuleSet
from schemas.values import Side
from tests.unit.market import auction_oracle
from tests.unit.market.naive_day import NaiveDay
from tests.unit.market.naive_exchange import Said
from tests.unit.market.naive_state import MINUTE, Bid, Deal, Delivery, Ticket

R = MarketRefusal
PPM = 1_000_000
DEADLINE = 32
"""Its place among what comes at one time: behind orders, gates and blocks."""


@dataclass
class Frozen:
    """A book that is called; `fills` are Wh of each of its bids, `deadline` ends the waiting for a result."""

    bids: list[Bid]
    deadline: int
    listed: bool = False
    parts: int = 0
    size: int = 0
    said: CalledPrice | None = None
    fills: list[int] = field(default_factory=list)
    price: int | None = None
    cleared: bool = False


class NaiveCalls(NaiveDay):
    """Books that are called at their opening and at the end of a halt."""

    def __init__(self, rules: RuleSet) -> None:
        super().__init__(rules)
        assert rules.auction is not None
        self.call: CallRules = rules.auction
        self.frozen: dict[tuple[int, int], Frozen] = {}

    def list_deliveries(self, first: int, count: int, minutes: int) -> None:
        super().list_deliveries(first, count, minutes)
        for delivery in self.deliveries[-count:] if self.call.opening_min else ():
            delivery.phase = "call"
            delivery.halted_until = delivery.opens + self.call.opening_min * MINUTE

    # -- time --------------------------------------------------------------------------------------

    def later(self, now: int) -> list[Said]:
        said = self._at_once()
        self.now = now
        while due := self._next_due():
            said += self._happens(*due[3:])
            if due[1] in (3, DEADLINE):
                said += self._at_once()
        return said + self._at_once()

    def _at_once(self) -> list[Said]:
        """Who can meet an older one, then auctions one after the other, by gate and name."""
        said = self.uncross()
        while waiting := [d for d in self._by_gate() if d.key in self.frozen and self._goes_on(self.frozen[d.key])]:
            said += self._step(waiting[0], self.frozen[waiting[0].key]) + self.uncross()
        return said

    def _by_gate(self) -> list[Delivery]:
        return sorted((d for d in self.deliveries if not d.closed), key=lambda d: (d.gate, f"{d.start}/{d.minutes}"))

    def _goes_on(self, frozen: Frozen) -> bool:
        return frozen.cleared or not frozen.listed

    def _next_due(self) -> tuple[int, int, int, str, Bid | Delivery] | None:
        """In a frozen book nothing expires; without a result it trades on at the deadline."""
        hidden = [(b, b.expires) for b in self.bids if not b.block and b.delivery.phase == "auction"]
        for bid, _ in hidden:
            bid.expires = None
        due = super()._next_due()
        for bid, expires in hidden:
            bid.expires = expires
        ends = [
            (f.deadline, DEADLINE, start, "fails", next(d for d in self.deliveries if d.key == (start, minutes)))
            for (start, minutes), f in self.frozen.items()
            if not f.cleared and f.deadline <= self.now
        ]
        return min([*ends, *([due] if due else [])], key=lambda w: (w[:3], self._span(w[4])), default=None)

    def _happens(self, name: str, what: Bid | Delivery) -> list[Said]:
        if name == "resumes":
            assert isinstance(what, Delivery)
            return self._called(what)
        if name == "fails":
            assert isinstance(what, Delivery)
            return [("failed", what.key), *self._continues(what)]
        return super()._happens(name, what)

    def _called(self, delivery: Delivery) -> list[Said]:
        delivery.phase = "auction"
        bids = [bid for bid in self.book(delivery) if not bid.aon]
        deadline = min(self.now + self.call.deadline_min * MINUTE, delivery.gate - 1)
        self.frozen[delivery.key] = Frozen(bids, deadline)
        return [("called", delivery.key, len(bids), deadline)]

    def _continues(self, delivery: Delivery) -> list[Said]:
        """Who would have expired meanwhile does so in the order of the places."""
        deadline = self.frozen.pop(delivery.key).deadline
        for bid in self.book(delivery):
            if bid.expires is not None and bid.expires <= deadline:
                bid.clock = bid.place
        delivery.phase = "continuous"
        return []

    def _step(self, delivery: Delivery, frozen: Frozen) -> list[Said]:
        if frozen.cleared:
            said = self._trades(delivery, frozen)
            return [*said, ("ended", delivery.key), *self._continues(delivery)]
        frozen.listed = True
        self._clear(delivery, frozen)
        if any(frozen.fills):
            return [("started", delivery.key, len(frozen.bids))]
        frozen.cleared = True
        return [("cleared", delivery.key, None, 0)]

    # -- the result, by trying everything ----------------------------------------------------------

    def _clear(self, delivery: Delivery, frozen: Frozen) -> None:
        book = [auction_oracle.Bid(b.side is Side.BUY, b.price, b.rest) for b in frozen.bids]
        lot, tick = self.rules.lot_wh * len(delivery.slots), self.rules.tick_nano_per_kwh
        frozen.fills = auction_oracle.expected(book, lot, self.call.rationing.value)
        if any(frozen.fills):
            prices = [p for p in {b.price for b in book} if auction_oracle.leaves_all_content(book, p, frozen.fills)]
            exact = min(prices) * PPM + self.call.k_ppm * (max(prices) - min(prices))
            down, rest = divmod(abs(exact), PPM * tick)
            frozen.price = (down + (2 * rest >= PPM * tick)) * tick * (1 if exact >= 0 else -1)

    def _trades(self, delivery: Delivery, frozen: Frozen) -> list[Said]:
        """In the order of acceptance, nobody with himself while there is somebody else."""
        said: list[Said] = []
        left = {bid.number: wh for bid, wh in zip(frozen.bids, frozen.fills, strict=True)}
        for buy in (b for b in frozen.bids if b.side is Side.BUY):
            while left[buy.number]:
                sells = [b for b in frozen.bids if b.side is Side.SELL and left[b.number]]
                sell = next((b for b in sells if b.party != buy.party), sells[0])
                wh = min(left[buy.number], left[sell.number])
                for bid in (buy, sell):
                    left[bid.number] -= wh
                    bid.rest -= wh
                assert frozen.price is not None
                self.deals.append(Deal(delivery, buy, sell, wh, frozen.price))
                delivery.last = frozen.price
                said.append(("trade", buy.number, sell.number, wh, frozen.price, buy.rest, sell.rest))
        return said

    def propose(self, wish: ProposeClearing, fills: list[int], ours: bool) -> list[Said]:
        """`fills` are what the parts of the wish say so far; `ours`: it names the auction that is under way."""
        frozen = self.frozen.get((wish.delivery_start_at, wish.interval_min))
        if frozen is None or not ours or not frozen.listed or frozen.cleared or self.now >= frozen.deadline:
            return [("refused", R.AUCTION_UNKNOWN)]
        if wish.part != frozen.parts + 1 or wish.part > wish.parts:
            return [("refused", R.PART_UNEXPECTED)]
        if frozen.said is not None and wish.called != frozen.said:
            return [("refused", R.PART_UNEXPECTED)]
        reached = frozen.size + len(wish.orders)
        last = wish.part == wish.parts
        volume = sum(wh for bid, wh in zip(frozen.bids, frozen.fills, strict=True) if bid.side is Side.BUY)
        right = fills == frozen.fills[frozen.size : reached]
        right &= (wish.called.price_nano_per_kwh, wish.called.volume_wh) == (frozen.price, volume)
        right &= not last or reached == len(frozen.bids)
        if not right:
            return [("refused", R.CLEARING_WRONG)]
        frozen.parts, frozen.size, frozen.said, frozen.cleared = wish.part, reached, wish.called, last
        key = wish.delivery_start_at, wish.interval_min
        return [("part", key, wish.part), *([("cleared", key, frozen.price, volume)] if last else [])]

    # -- what is refused meanwhile -----------------------------------------------------------------

    def _refuse_time(self, delivery: Delivery, t: Ticket) -> MarketRefusal | None:
        reason = super()._refuse_time(delivery, t)
        return R.AUCTION_UNDERWAY if reason is None and delivery.phase == "auction" else reason

    def _standing(self, bid: Bid | None, actor: str) -> MarketRefusal | None:
        """What expired in a frozen book is there until its end, but nobody's to touch."""
        reason = super()._standing(bid, actor)
        if reason or bid is None:
            return reason
        return R.ORDER_NOT_OPEN if bid.expires is not None and bid.expires <= self.now else None

    def _is_frozen(self, number: int | None) -> bool:
        bid = self.find(number)
        return bid is not None and bid.delivery.phase == "auction"

    def cancel(self, number: int | None, actor: str) -> list[Said]:
        bid = self.find(number)
        if self._standing(bid, actor) is None and self._is_frozen(number):
            return [("refused", R.AUCTION_UNDERWAY)]
        return super().cancel(number, actor)

    def amend(self, number: int | None, wish: AmendOrder, actor: str) -> list[Said]:
        bid = self.find(number)
        if self._standing(bid, actor) is None and self._is_frozen(number) and not self.suspended:
            return [("refused", R.AUCTION_UNDERWAY)]
        return super().amend(number, wish, actor)

    def cancel_many(self, wish: CancelOrders, actor: str) -> list[Said]:
        kept = self.deliveries
        if actor in (wish.party, self.rules.operator) and wish.delivery_start_at and wish.duration_min:
            one = self.delivery((wish.delivery_start_at, wish.duration_min))
            if one is not None and one.phase == "auction":
                return [("refused", R.AUCTION_UNDERWAY)]
        self.deliveries = [d for d in kept if d.phase != "auction"]
        said = super().cancel_many(wish, actor)
        self.deliveries = kept
        return said

    def switch(self, key: tuple[int, int] | None, suspends: bool, actor: str) -> list[Said]:
        delivery = self.delivery(key) if key and actor == self.rules.operator else None
        if delivery and not delivery.closed and self.now < delivery.gate and delivery.phase == "auction":
            return [("refused", R.AUCTION_UNDERWAY)]
        return super().switch(key, suspends, actor)
