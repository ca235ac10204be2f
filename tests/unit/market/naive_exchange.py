"""The naive exchange: the rule book in the plainest words, beside which the product is held.

Books of several durations, all restrictions, four ways of self-trade prevention, amendments, mass cancellations, bands,
suspensions, zones with lines, baskets and blocks. What it says of a wish is a list of plain tuples.
"""

from collections.abc import Sequence

from schemas.market.commands import AmendOrder, CancelOrders, SubmitOrder
from schemas.market.events import CancelReason, MarketRefusal, Restriction
from schemas.market.package_commands import SubmitBasket, SubmitBlock
from schemas.values import Side
from tests.unit.market.naive_match import NaiveMatching, Said
from tests.unit.market.naive_state import MINUTE, Bid, Delivery, Ticket

R = MarketRefusal
SLICE = 100


def _no(reason: MarketRefusal) -> list[Said]:
    return [("refused", reason)]


class NaiveExchange(NaiveMatching):
    """One market under one rule set."""

    # -- orders ------------------------------------------------------------------------------------

    def submit(self, wish: SubmitOrder, actor: str) -> list[Said]:
        ticket = self._ticket(wish)
        reason = self.refuse(ticket, actor, [])
        return _no(reason) if reason else self._accept(ticket)

    def _ticket(self, wish: SubmitOrder) -> Ticket:
        return Ticket(
            wish.party,
            wish.connection,
            (wish.delivery_start_at, wish.duration_min),
            wish.side,
            wish.quantity_wh,
            wish.limit_price_nano_per_kwh,
            wish.restriction.value,
            wish.expires_at,
            wish.terms.minimum_wh if wish.terms else 0,
        )

    def _accept(self, ticket: Ticket) -> list[Said]:
        delivery = self.delivery(ticket.key)
        assert delivery is not None
        bid = self._stand(ticket, [delivery], ticket.restriction == "aon")
        if delivery.phase != "continuous":
            return [("accepted", bid.number)]
        self.reference_before = self.reference(delivery)
        return [("accepted", bid.number), *self.enter(bid, ticket.restriction, ticket.minimum)]

    def _stand(self, ticket: Ticket, deliveries: list[Delivery], aon: bool, block: bool = False) -> Bid:
        self.sequence += 1
        number, zone = self.sequence, self.connections[ticket.connection][3]
        whose, what = (ticket.party, ticket.connection, zone), (ticket.side, ticket.price, ticket.wh, ticket.expires)
        bid = Bid(number, number, *whose, deliveries, *what, aon, block, number)
        self.bids.append(bid)
        return bid

    def basket(self, wish: SubmitBasket, actor: str) -> list[Said]:
        tickets = [
            Ticket(
                wish.party,
                o.connection,
                (o.delivery_start_at, o.duration_min),
                o.side,
                o.quantity_wh,
                o.limit_price_nano_per_kwh,
                "fok",
                None,
            )
            for o in wish.orders
        ]
        return self._together(tickets, actor)

    def block(self, wish: SubmitBlock, actor: str) -> list[Said]:
        if wish.restriction is Restriction.NONE:
            return _no(R.RESTRICTION_NOT_IN_BLOCK)
        if wish.intervals > 100:
            return _no(R.TOO_MANY_INTERVALS)
        step = wish.duration_min * MINUTE
        tickets = [
            Ticket(
                wish.party,
                wish.connection,
                (wish.first_start_at + n * step, wish.duration_min),
                wish.side,
                wish.quantity_wh,
                wish.limit_price_nano_per_kwh,
                wish.restriction.value,
                wish.expires_at,
            )
            for n in range(wish.intervals)
        ]
        if wish.restriction is not Restriction.AON:
            return self._together(tickets, actor)
        reason = self._refuse_together(tickets, actor)
        if reason:
            return _no(reason)
        found = [self.delivery(t.key) for t in tickets]
        bid = self._stand(tickets[0], [d for d in found if d is not None], True, True)
        return [("block", bid.number), *self.enter(bid, "aon")]

    def _refuse_together(self, tickets: list[Ticket], actor: str) -> MarketRefusal | None:
        if not 0 < len(tickets) <= 100:
            return R.TOO_MANY_ORDERS
        for n, ticket in enumerate(tickets):
            if any(ticket.key == before.key for before in tickets[:n]):
                return R.BASKET_OVERLAPS
            reason = self.refuse(ticket, actor, tickets[:n])
            if reason:
                return reason
        return None

    def _together(self, tickets: list[Ticket], actor: str) -> list[Said]:
        reason = self._refuse_together(tickets, actor)
        if reason:
            return _no(reason)
        rests, sequence, bids, deals = [(b, b.rest) for b in self.bids], self.sequence, len(self.bids), len(self.deals)
        lasts = [(d, d.last) for d in self.deliveries]
        said: list[Said] = []
        for number, ticket in enumerate(tickets):
            said += self._accept(ticket)
            if ticket.restriction == "fok" and said[-1][0] == "cancelled" and said[-1][1] == self.bids[-1].number:
                for bid, rest in rests:
                    bid.rest = rest
                for delivery, last in lasts:
                    delivery.last = last
                del self.bids[bids:], self.deals[deals:]
                self.sequence = sequence
                return [("killed", number)]
        return said

    # -- the order of the checks -------------------------------------------------------------------

    def refuse(self, t: Ticket, actor: str, before: Sequence[Ticket]) -> MarketRefusal | None:
        delivery = self.delivery(t.key)
        if actor != t.party:
            return R.NOT_AUTHORISED
        if delivery is None:
            return R.INSTRUMENT_UNKNOWN
        return (
            self._refuse_time(delivery, t)
            or self._refuse_people(t)
            or self._refuse_amount(delivery, t.wh, t.minimum)
            or self._refuse_price(delivery, t.side, t.price)
            or self._refuse_expiry(delivery, t.expires)
            or self._refuse_limits(delivery, t, before)
        )

    def _refuse_time(self, delivery: Delivery, t: Ticket) -> MarketRefusal | None:
        if self.now < delivery.opens:
            return R.NOT_OPEN
        if delivery.closed or self.now >= delivery.gate:
            return R.GATE_CLOSED
        if self.suspended or delivery.phase == "suspended":
            return R.SUSPENDED
        if delivery.phase == "call" and (t.restriction != "none" or t.minimum):
            return R.RESTRICTION_NOT_IN_CALL
        return None

    def _refuse_people(self, t: Ticket) -> MarketRefusal | None:
        if t.party not in self.parties:
            return R.PARTICIPANT_UNKNOWN
        if t.connection not in self.connections or self.connections[t.connection][0] != t.party:
            return R.CONNECTION_UNKNOWN
        if t.side is Side.SELL and not self.connections[t.connection][2]:
            return R.RESOURCE_NOT_VERIFIED
        return None

    def _refuse_amount(self, delivery: Delivery, wh: int, minimum: int = 0) -> MarketRefusal | None:
        slots = len(delivery.slots)
        if wh <= 0:
            return R.QUANTITY_ZERO
        if wh % (self.rules.lot_wh * slots):
            return R.QUANTITY_OFF_LOT
        if wh > self.rules.max_quantity_wh * slots:
            return R.QUANTITY_ABOVE_MAXIMUM
        if minimum % (self.rules.lot_wh * slots):
            return R.QUANTITY_OFF_LOT
        return R.MINIMUM_ABOVE_QUANTITY if minimum > wh else None

    def _refuse_price(self, delivery: Delivery, side: Side, price: int, collar: bool = True) -> MarketRefusal | None:
        rules = self.rules
        if price % rules.tick_nano_per_kwh:
            return R.PRICE_OFF_TICK
        if not rules.min_price_nano_per_kwh <= price <= rules.max_price_nano_per_kwh:
            return R.PRICE_OUT_OF_RANGE
        if collar and rules.trading and rules.trading.collar_nano_per_kwh:
            dearer = price - self.reference(delivery) if side is Side.BUY else self.reference(delivery) - price
            if dearer > rules.trading.collar_nano_per_kwh:
                return R.PRICE_OUT_OF_COLLAR
        return None

    def _refuse_expiry(self, delivery: Delivery, expires: int | None) -> MarketRefusal | None:
        if expires is not None and expires <= self.now:
            return R.EXPIRY_IN_THE_PAST
        return R.EXPIRY_AFTER_GATE if expires is not None and expires > delivery.gate else None

    def _refuse_limits(self, delivery: Delivery, t: Ticket, before: Sequence[Ticket]) -> MarketRefusal | None:
        if t.side is Side.SELL:
            for slot in delivery.slots:
                sold = self.used(t.connection, slot) + t.wh // len(delivery.slots)
                for other in before:
                    there = self.delivery(other.key)
                    assert there is not None
                    if (other.side, other.connection) == (Side.SELL, t.connection) and slot in there.slots:
                        sold += other.wh // len(there.slots)
                if sold > self.limit(t.connection):
                    return R.CAPABILITY_EXCEEDED
        needs = sum(o.wh * self.counts(o.side, o.price) for o in (*before, t))
        return R.CREDIT_EXCEEDED if self.exposure(t.party) + needs > self.credit.get(t.party, 0) * 10**6 else None

    # -- changing what rests -----------------------------------------------------------------------

    def _standing(self, bid: Bid | None, actor: str) -> MarketRefusal | None:
        if bid is None or bid.delivery.forgotten:
            return R.ORDER_UNKNOWN
        if bid.party != actor:
            return R.NOT_AUTHORISED
        if bid.delivery.closed or self.now >= bid.delivery.gate:
            return R.GATE_CLOSED
        return R.ORDER_NOT_OPEN if not bid.rest else None

    def find(self, number: int | None) -> Bid | None:
        return next((b for b in self.bids if b.number == number), None)

    def cancel(self, number: int | None, actor: str) -> list[Said]:
        bid = self.find(number)
        reason = self._standing(bid, actor)
        if reason or bid is None:
            return _no(reason or R.ORDER_UNKNOWN)
        return [self.drop(bid, CancelReason.OWNER)]

    def cancel_block(self, number: int | None, actor: str) -> list[Said]:
        bid = self.find(number)
        if bid is None or not bid.rest:
            return _no(R.BLOCK_UNKNOWN)
        if bid.party != actor:
            return _no(R.NOT_AUTHORISED)
        return [self.drop(bid, CancelReason.OWNER)] if self.now < bid.delivery.gate else _no(R.GATE_CLOSED)

    def amend(self, number: int | None, wish: AmendOrder, actor: str) -> list[Said]:
        bid = self.find(number)
        reason = self._standing(bid, actor)
        if reason or bid is None:
            return _no(reason or R.ORDER_UNKNOWN)
        rest, price, expires = wish.rest_wh, wish.limit_price_nano_per_kwh, wish.expires_at
        if self.suspended or bid.delivery.phase == "suspended":
            return _no(R.SUSPENDED)
        if (rest, price, expires) == (bid.rest, bid.price, bid.expires):
            return _no(R.NOTHING_CHANGED)
        reason = (
            self._refuse_amount(bid.delivery, rest)
            or self._refuse_price(bid.delivery, bid.side, price, price != bid.price)
            or self._refuse_expiry(bid.delivery, expires)
            or self._refuse_more(bid, rest, price)
        )
        if reason:
            return _no(reason)
        keeps = price == bid.price and rest <= bid.rest
        if not keeps:
            self.sequence += 1
            bid.place = self.sequence
        if expires != bid.expires:
            bid.clock = bid.place
        bid.rest, bid.price, bid.expires = rest, price, expires
        said: list[Said] = [("amended", bid.number, bid.place, rest, price, expires)]
        if not keeps and bid.delivery.phase == "continuous":
            self.reference_before = self.reference(bid.delivery)
            said += self.enter(bid, "aon" if bid.aon else "none")
        return said

    def _refuse_more(self, bid: Bid, rest: int, price: int) -> MarketRefusal | None:
        if bid.side is Side.SELL and rest > bid.rest:
            for slot in bid.delivery.slots:
                more = (rest - bid.rest) // len(bid.delivery.slots)
                if self.used(bid.connection, slot) + more > self.limit(bid.connection):
                    return R.CAPABILITY_EXCEEDED
        more = rest * self.counts(bid.side, price) - bid.rest * self.counts(bid.side, bid.price)
        above = self.exposure(bid.party) + more > self.credit.get(bid.party, 0) * 10**6
        return R.CREDIT_EXCEEDED if more > 0 and above else None

    def cancel_many(self, wish: CancelOrders, actor: str) -> list[Said]:
        if actor not in (wish.party, self.rules.operator):
            return _no(R.NOT_AUTHORISED)
        one = wish.delivery_start_at is not None and wish.duration_min is not None
        if (wish.delivery_start_at is None) != (wish.duration_min is None):
            return _no(R.INSTRUMENT_UNKNOWN)
        if one and self.delivery((wish.delivery_start_at or 0, wish.duration_min or 0)) is None:
            return _no(R.INSTRUMENT_UNKNOWN)
        said: list[Said] = []
        for delivery in self.deliveries:
            named = not one or delivery.key == (wish.delivery_start_at, wish.duration_min)
            if named and not delivery.closed and self.now < delivery.gate:
                mine = [b for b in self.best_first(delivery) if b.party == wish.party and wish.side in (None, b.side)]
                said += self.take_out(delivery, mine, CancelReason.MASS_CANCELLATION)
        blocks = [] if one else [b for b in self.open_bids() if b.block and b.party == wish.party]
        blocks = [b for b in blocks if wish.side in (None, b.side)]
        if blocks:
            said.append(("blocks", CancelReason.MASS_CANCELLATION, [b.number for b in blocks]))
        for bid in blocks:
            bid.rest = 0
        return said or _no(R.NOTHING_CHANGED)

    def take_out(self, delivery: Delivery, bids: list[Bid], reason: CancelReason) -> list[Said]:
        said: list[Said] = []
        for place in range(0, len(bids), SLICE):
            part = bids[place : place + SLICE]
            said.append(("slice", delivery.start, reason, [b.number for b in part], [b.rest for b in part]))
        for bid in bids:
            bid.rest = 0
        return said
