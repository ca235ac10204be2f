"""A deliberately naive market: lists, sorted anew for every order, every sum computed from the beginning.

The oracle of the property tests and the yardstick of the benchmark. It shares no code with
`domain/market`, only the messages' values; what it says about a wish is a list of plain tuples.
"""

from dataclasses import dataclass, field
from typing import Any

from schemas.market.commands import ProposeContract, SubmitOrder
from schemas.market.events import Restriction, RuleSet, SelfTradeMode
from schemas.market.reasons import CancelReason, MarketRefusal
from schemas.values import Side

Outcome = tuple[Any, ...]
MINUTE = 60_000_000
SLICE = 100
MOST_MEETINGS = 400


@dataclass
class NaiveOrder:
    """An order with its number of acceptance."""

    number: int
    party: str
    connection: str
    start: int
    side: Side
    price: int
    rest: int
    expires_at: int | None = None


@dataclass
class NaiveBook:
    """The resting orders of one instrument in one list."""

    orders: list[NaiveOrder] = field(default_factory=list)

    def opposite(self, side: Side, price: int) -> list[NaiveOrder]:
        """Who crosses, best price first, then first come."""
        if side is Side.BUY:
            crossing = [o for o in self.orders if o.side is Side.SELL and o.price <= price]
            return sorted(crossing, key=lambda o: (o.price, o.number))
        crossing = [o for o in self.orders if o.side is Side.BUY and o.price >= price]
        return sorted(crossing, key=lambda o: (-o.price, o.number))

    def submit(self, order: NaiveOrder, restriction: Restriction, mode: SelfTradeMode) -> list[Outcome]:
        """Trades and cancellations, in order."""
        fillable = 0
        for other in self.opposite(order.side, order.price)[:MOST_MEETINGS]:
            if other.party == order.party and mode is SelfTradeMode.CANCEL_NEWEST:
                break
            if other.party != order.party or mode is SelfTradeMode.OFF:
                fillable += other.rest
        if restriction is Restriction.FOK and fillable < order.rest:
            return [self._cancel(order, CancelReason.FOK_UNFILLABLE)]
        found: list[Outcome] = []
        for met, other in enumerate(self.opposite(order.side, order.price)):
            if order.rest == 0:
                return found
            if met == MOST_MEETINGS:
                return [*found, self._cancel(order, CancelReason.MATCH_LIMIT)]
            if other.party == order.party and mode is SelfTradeMode.CANCEL_NEWEST:
                return [*found, self._cancel(order, CancelReason.SELF_TRADE)]
            if other.party == order.party and mode is SelfTradeMode.CANCEL_OLDEST:
                found.append(self._cancel(other, CancelReason.SELF_TRADE))
                continue
            found.append(self._trade(order, other))
        if order.rest and restriction is Restriction.IOC:
            found.append(self._cancel(order, CancelReason.IOC_REST))
        if order.rest:
            self.orders.append(order)
        return found

    def _trade(self, order: NaiveOrder, other: NaiveOrder) -> Outcome:
        quantity = min(order.rest, other.rest)
        order.rest -= quantity
        other.rest -= quantity
        self.orders = [o for o in self.orders if o.rest]
        buyer, seller = (order, other) if order.side is Side.BUY else (other, order)
        return ("trade", buyer.number, seller.number, quantity, other.price, buyer.rest, seller.rest)

    def _cancel(self, order: NaiveOrder, reason: CancelReason) -> Outcome:
        rest, order.rest = order.rest, 0
        self.orders = [o for o in self.orders if o.rest]
        return ("cancelled", order.number, rest, reason)

    def cancel(self, order: NaiveOrder, reason: CancelReason) -> Outcome:
        return self._cancel(order, reason)


@dataclass
class Deal:
    """Energy of one interval that changed hands, or (while `waiting`) may."""

    start: int
    seller: str
    seller_connection: str
    buyer: str
    buyer_connection: str
    quantity: int
    price: int
    waiting: bool = False
    settled: bool = False


@dataclass
class Offer:
    """A proposed contract."""

    number: int
    awaiting: str
    lapses_at: int
    deals: list[Deal]
    state: str = "waiting"
    settled: bool = False


class NaiveMarket:
    """One market under one rule set with instruments at `starts`."""

    def __init__(self, rules: RuleSet, starts: list[int]) -> None:
        self.rules = rules
        self.books = {start: NaiveBook() for start in starts}
        self.closed: set[int] = set()
        self.forgotten: set[int] = set()
        self.participants: set[str] = set()
        self.connections: dict[str, tuple[str, int, bool]] = {}
        self.credits: dict[str, int] = {}
        self.orders: list[NaiveOrder] = []
        self.deals: list[Deal] = []
        self.offers: list[Offer] = []
        self.now = 0

    def gate(self, start: int) -> int:
        return start - self.rules.gate_lead_min * MINUTE

    def buys_at(self, price: int) -> int:
        return max(0, price)

    def sells_at(self, price: int) -> int:
        return max(0, self.rules.assumed_price_nano_per_kwh - price) + max(0, -price)

    def exposure(self, party: str) -> int:
        """All open orders, deals and offers of the party."""
        total = 0
        for order in self.orders:
            if order.party == party and order.start not in self.forgotten:
                each = self.buys_at(order.price) if order.side is Side.BUY else self.sells_at(order.price)
                total += order.rest * each
        for deal in self.deals:
            if not deal.settled:
                total += deal.quantity * self.buys_at(deal.price) if deal.buyer == party else 0
                total += deal.quantity * self.sells_at(deal.price) if deal.seller == party else 0
        return total

    def used(self, connection: str, start: int) -> int:
        """Sold, resting and offered sales minus what was bought."""
        total = 0
        for order in self.orders:
            if (order.connection, order.start, order.side) == (connection, start, Side.SELL):
                total += order.rest
        for deal in self.deals:
            if deal.start == start:
                total += deal.quantity if deal.seller_connection == connection else 0
                total -= deal.quantity if deal.buyer_connection == connection and not deal.waiting else 0
        return total

    def submit(self, wish: SubmitOrder, actor: str) -> list[Outcome]:
        selling = wish.side is Side.SELL
        sums = [wish.quantity_wh]
        reason = (
            self._standing(actor == wish.party, [wish.delivery_start_at])
            or self._people([(wish.party, wish.connection)], wish.connection if selling else None)
            or self._amounts(sums, wish.limit_price_nano_per_kwh)
            or self._expiry(wish)
        )
        price, start = wish.limit_price_nano_per_kwh, wish.delivery_start_at
        if reason is None and selling and self._oversold(wish.connection, start, wish.quantity_wh):
            reason = MarketRefusal.CAPABILITY_EXCEEDED
        need = wish.quantity_wh * (self.sells_at(price) if selling else self.buys_at(price))
        if reason is None and self._too_exposed(wish.party, need):
            reason = MarketRefusal.CREDIT_EXCEEDED
        if reason is not None:
            return [("refused", reason)]
        order = NaiveOrder(
            len(self.orders) + 1,
            wish.party,
            wish.connection,
            start,
            wish.side,
            price,
            wish.quantity_wh,
            wish.expires_at,
        )
        self.orders.append(order)
        found = self.books[start].submit(order, wish.restriction, self.rules.self_trade)
        for _, buy_number, sell_number, quantity, at, *_ in (f for f in found if f[0] == "trade"):
            buy, sell = self.orders[buy_number - 1], self.orders[sell_number - 1]
            self.deals.append(Deal(start, sell.party, sell.connection, buy.party, buy.connection, quantity, at))
        return [("accepted", order.number), *found]

    def cancel(self, number: int | None, actor: str) -> list[Outcome]:
        order = self.orders[number - 1] if number else None
        if order is None or order.start in self.forgotten:
            return [("refused", MarketRefusal.ORDER_UNKNOWN)]
        if order.party != actor:
            return [("refused", MarketRefusal.NOT_AUTHORISED)]
        if self.now >= self.gate(order.start):
            return [("refused", MarketRefusal.GATE_CLOSED)]
        if order.rest == 0:
            return [("refused", MarketRefusal.ORDER_NOT_OPEN)]
        return [self.books[order.start].cancel(order, CancelReason.OWNER)]

    def propose(self, wish: ProposeContract, actor: str) -> list[Outcome]:
        step = self.rules.interval_min * MINUTE
        starts = [wish.first_start_at + n * step for n in range(len(wish.quantity_wh))]
        people = [(wish.seller, wish.seller_connection), (wish.buyer, wish.buyer_connection)]
        whole, price = sum(wish.quantity_wh), wish.price_nano_per_kwh
        reason = None
        if actor not in (wish.seller, wish.buyer):
            reason = MarketRefusal.NOT_AUTHORISED
        elif wish.seller == wish.buyer:
            reason = MarketRefusal.SAME_PARTY
        reason = (
            reason
            or self._standing(True, starts)
            or self._people(people, wish.seller_connection)
            or self._amounts(list(wish.quantity_wh), price)
        )
        if reason is None and any(
            self._oversold(wish.seller_connection, start, quantity)
            for start, quantity in zip(starts, wish.quantity_wh, strict=True)
        ):
            reason = MarketRefusal.CAPABILITY_EXCEEDED
        if reason is None and (
            self._too_exposed(wish.buyer, whole * self.buys_at(price))
            or self._too_exposed(wish.seller, whole * self.sells_at(price))
        ):
            reason = MarketRefusal.CREDIT_EXCEEDED
        if reason is not None:
            return [("refused", reason)]
        deals = [
            Deal(start, *people[0], *people[1], quantity, price, waiting=True)
            for start, quantity in zip(starts, wish.quantity_wh, strict=True)
        ]
        self.deals += deals
        lapses_at = min(self.now + self.rules.approval_deadline_min * MINUTE, self.gate(starts[0]))
        awaiting = wish.buyer if actor == wish.seller else wish.seller
        self.offers.append(Offer(len(self.offers) + 1, awaiting, lapses_at, deals))
        return [("proposed", len(self.offers), awaiting, lapses_at)]

    def approve(self, number: int | None, actor: str) -> list[Outcome]:
        offer = self.offers[number - 1] if number else None
        if offer is None or offer.deals[0].start in self.forgotten:
            return [("refused", MarketRefusal.CONTRACT_UNKNOWN)]
        if actor != offer.awaiting:
            return [("refused", MarketRefusal.NOT_AUTHORISED)]
        if offer.state != "waiting":
            return [("refused", MarketRefusal.CONTRACT_NOT_PROPOSED)]
        offer.state = "concluded"
        for deal in offer.deals:
            deal.waiting = False
        return [("concluded", number)]

    def later(self, now: int) -> list[Outcome]:
        """Everything that is due, by time; expiries before lapses before gates."""
        self.now = now
        what: list[tuple[int, int, int, Any]] = []
        for order in self.orders:
            if order.rest and order.expires_at is not None:
                what.append((order.expires_at, 0, order.number, order))
        for offer in self.offers:
            if offer.state == "waiting":
                what.append((offer.lapses_at, 1, offer.number, offer))
        for start in self.books:
            if start not in self.closed:
                what.append((self.gate(start), 2, start, start))
        found: list[Outcome] = []
        for at, kind, number, thing in sorted(what, key=lambda w: w[:3]):
            if at > now:
                break
            if kind == 0:
                found.append(self.books[thing.start].cancel(thing, CancelReason.EXPIRED))
            elif kind == 1:
                thing.state = "lapsed"
                self.deals = [d for d in self.deals if all(d is not gone for gone in thing.deals)]
                found.append(("lapsed", number))
            else:
                found += self._close(start=thing)
        return found

    def _close(self, start: int) -> list[Outcome]:
        self.closed.add(start)
        orders = self.books[start].orders
        bids = sorted((o for o in orders if o.side is Side.BUY), key=lambda o: (-o.price, o.number))
        resting = bids + sorted((o for o in orders if o.side is Side.SELL), key=lambda o: (o.price, o.number))
        found: list[Outcome] = [("gate", start, len(resting))]
        for place in range(0, len(resting), SLICE):
            part = resting[place : place + SLICE]
            found.append(("slice", start, [o.number for o in part], [o.rest for o in part]))
        for order in resting:
            self.books[start].cancel(order, CancelReason.GATE_CLOSED)
        return found

    def settle(self, from_at: int, to_at: int) -> None:
        for start in self.books:
            if from_at <= start < to_at:
                self.forgotten.add(start)
        for deal in self.deals:
            if deal.start in self.forgotten:
                deal.settled = True

    def _standing(self, authorised: bool, starts: list[int]) -> MarketRefusal | None:
        if not authorised:
            return MarketRefusal.NOT_AUTHORISED
        if any(start not in self.books or start in self.forgotten for start in starts):
            return MarketRefusal.INSTRUMENT_UNKNOWN
        if any(self.now < start - self.rules.opening_lead_min * MINUTE for start in starts):
            return MarketRefusal.NOT_OPEN
        if any(self.now >= self.gate(start) for start in starts):
            return MarketRefusal.GATE_CLOSED
        return None

    def _people(self, people: list[tuple[str, str]], selling: str | None) -> MarketRefusal | None:
        if any(party not in self.participants for party, _ in people):
            return MarketRefusal.PARTICIPANT_UNKNOWN
        for party, connection in people:
            if connection not in self.connections or self.connections[connection][0] != party:
                return MarketRefusal.CONNECTION_UNKNOWN
        if selling is not None and not self.connections[selling][2]:
            return MarketRefusal.RESOURCE_NOT_VERIFIED
        return None

    def _amounts(self, quantities: list[int], price: int) -> MarketRefusal | None:
        rules = self.rules
        if any(q == 0 for q in quantities):
            return MarketRefusal.QUANTITY_ZERO
        if any(q % rules.lot_wh for q in quantities):
            return MarketRefusal.QUANTITY_OFF_LOT
        if any(q > rules.max_quantity_wh for q in quantities):
            return MarketRefusal.QUANTITY_ABOVE_MAXIMUM
        if price % rules.tick_nano_per_kwh:
            return MarketRefusal.PRICE_OFF_TICK
        if not rules.min_price_nano_per_kwh <= price <= rules.max_price_nano_per_kwh:
            return MarketRefusal.PRICE_OUT_OF_RANGE
        return None

    def _expiry(self, wish: SubmitOrder) -> MarketRefusal | None:
        if wish.expires_at is not None and wish.expires_at <= self.now:
            return MarketRefusal.EXPIRY_IN_THE_PAST
        if wish.expires_at is not None and wish.expires_at > self.gate(wish.delivery_start_at):
            return MarketRefusal.EXPIRY_AFTER_GATE
        return None

    def record(self, connection: str, injection_w: int, to: tuple[str, int, bool]) -> bool:
        """Whether a connection may be left with so much power in every interval that is not over."""
        interval_min = self.rules.interval_min
        coming = {of.start for of in (*self.orders, *self.deals) if of.start + interval_min * MINUTE > self.now}
        if any(self.used(connection, start) * 60 > injection_w * interval_min for start in coming):
            return False
        self.connections[connection] = to
        return True

    def _oversold(self, connection: str, start: int, quantity: int) -> bool:
        injection_w = self.connections[connection][1]
        return (self.used(connection, start) + quantity) * 60 > injection_w * self.rules.interval_min

    def _too_exposed(self, party: str, need: int) -> bool:
        return self.exposure(party) + need > self.credits.get(party, 0) * 10**6
