"""What the naive exchange does beside orders: time, the operator's switches, lines, allotments, settlement."""

from schemas.market.commands import RecordCapability
from schemas.market.events import CancelReason, MarketRefusal
from schemas.market.phase_commands import PublishLineCapacity
from schemas.values import Side
from tests.unit.market.naive_exchange import NaiveExchange, Said
from tests.unit.market.naive_state import MINUTE, Bid, Delivery

R = MarketRefusal


class NaiveDay(NaiveExchange):
    """The exchange from the opening to the settlement of its deliveries."""

    def later(self, now: int) -> list[Said]:
        """Everything that is due by then, by time and kind; whoever can meet an older one meets it."""
        said = self.uncross()
        self.now = now
        while due := self._next_due():
            said += self._happens(*due[3:])
            if due[1] == 3:
                said += self.uncross()
        return said + self.uncross()

    def _next_due(self) -> tuple[int, int, int, str, Bid | Delivery] | None:
        what: list[tuple[int, int, int, str, Bid | Delivery]] = []
        for bid in self.open_bids():
            if bid.expires is not None:
                what.append((bid.expires, 4 if bid.block else 0, bid.clock, "expires", bid))
            if bid.block:
                what.append((bid.delivery.gate, 5, bid.delivery.start, "block_gate", bid))
        for delivery in self.deliveries:
            if not delivery.closed:
                what.append((delivery.gate, 2, delivery.start, "gate", delivery))
            if delivery.phase == "call" and not delivery.closed:
                what.append((delivery.halted_until, 3, delivery.start, "resumes", delivery))
        due = [w for w in what if w[0] <= self.now]
        return min(due, key=lambda w: (w[:3], self._span(w[4]))) if due else None

    def _span(self, what: Bid | Delivery) -> str:
        """What stands at one time and start is told by its name."""
        if isinstance(what, Delivery):
            return str(what.minutes)
        return f"{what.delivery.start}/{what.delivery.minutes}/{len(what.deliveries)}"

    def _happens(self, name: str, what: Bid | Delivery) -> list[Said]:
        if isinstance(what, Bid):
            if name == "expires":
                return [self.drop(what, CancelReason.EXPIRED)]
            together = [b for b in self.open_bids() if b.block and b.deliveries == what.deliveries]
            together.sort(key=lambda b: (b.side is Side.SELL, -b.price if b.side is Side.BUY else b.price, b.place))
            for bid in together:
                bid.rest = 0
            return [("blocks", CancelReason.GATE_CLOSED, [b.number for b in together])]
        if name == "resumes":
            what.phase = "continuous"
            return [("resumed", what.key)]
        what.closed = True
        left = self.best_first(what)
        return [("gate", what.key, len(left)), *self.take_out(what, left, CancelReason.GATE_CLOSED)]

    def switch(self, key: tuple[int, int] | None, suspends: bool, actor: str) -> list[Said]:
        """The operator suspends or resumes one book (none: all)."""
        if actor != self.rules.operator:
            return [("refused", R.NOT_AUTHORISED)]
        delivery = self.delivery(key) if key else None
        if key and delivery is None:
            return [("refused", R.INSTRUMENT_UNKNOWN)]
        if delivery and (delivery.closed or self.now >= delivery.gate):
            return [("refused", R.GATE_CLOSED)]
        if delivery and delivery.phase == "call":
            return [("refused", R.AUCTION_UNDERWAY)]
        now = delivery.phase == "suspended" if delivery else self.suspended
        if now is suspends:
            return [("refused", R.SUSPENDED if suspends else R.NOT_SUSPENDED)]
        if delivery:
            delivery.phase = "suspended" if suspends else "continuous"
        else:
            self.suspended = suspends
        return [("suspended" if suspends else "resumed", key or (None, None))]

    def carry(self, wish: PublishLineCapacity, actor: str) -> list[Said]:
        """The operator says what a line carries."""
        link = next((x for x in self.links if x.name == wish.line), None)
        if actor != self.rules.operator:
            return [("refused", R.NOT_AUTHORISED)]
        if link is None:
            return [("refused", R.LINE_UNKNOWN)]
        step = self.rules.interval_min * MINUTE
        for n, (forward, backward) in enumerate(zip(wish.forward_w, wish.backward_w, strict=True)):
            hours = self.rules.interval_min
            link.carries[wish.first_start_at + n * step] = (forward * hours // 60, backward * hours // 60)
        return [("carries", wish.line)]

    def allot(self, wish: RecordCapability) -> list[Said]:
        """A site's allotment, unless more of an interval to come is in use."""
        step = self.rules.interval_min * MINUTE
        coming = {s for d in self.deliveries if not d.forgotten for s in d.slots if s + step > self.now}
        limit = wish.injection_w * self.rules.interval_min // 60
        if wish.connection in self.connections and any(self.used(wish.connection, s) > limit for s in coming):
            return [("refused", R.CAPABILITY_IN_USE)]
        self.connections[wish.connection] = (wish.party, wish.injection_w, bool(wish.resources), wish.zone)
        return [("allotted", wish.connection)]

    def settle(self, from_at: int, to_at: int) -> None:
        for delivery in self.deliveries:
            delivery.forgotten |= from_at <= delivery.start < to_at
