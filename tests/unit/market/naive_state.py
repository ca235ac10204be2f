"""What the naive exchange keeps: lists of orders, deals, deliveries and lines; every sum is made from the beginning.

It shares no code with `domain/market`, only the messages' values.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil

from schemas.market.events import OrderTerms, RuleSet
from schemas.values import Side

MINUTE = 60_000_000


@dataclass
class Delivery:
    """One instrument."""

    start: int
    minutes: int
    opens: int
    gate: int
    slots: list[int]
    phase: str = "continuous"
    halted_until: int = 0
    closed: bool = False
    forgotten: bool = False
    last: int | None = None

    @property
    def key(self) -> tuple[int, int]:
        return self.start, self.minutes


@dataclass
class Bid:
    """An accepted order, or a block: then `deliveries` are several and `rest` is of each.

    Who expires at the same time does so in the order of `clock`: the place when the expiry was said.
    """

    number: int
    place: int
    party: str
    connection: str
    zone: str
    deliveries: list[Delivery]
    side: Side
    price: int
    rest: int
    expires: int | None
    aon: bool
    block: bool = False
    clock: int = 0

    @property
    def delivery(self) -> Delivery:
        return self.deliveries[0]

    def crosses(self, other: "Bid") -> bool:
        buy, sell = (self, other) if self.side is Side.BUY else (other, self)
        return buy.side is not sell.side and buy.price >= sell.price


@dataclass
class Deal:
    """Energy of one delivery that changed hands."""

    delivery: Delivery
    buyer: Bid
    seller: Bid
    wh: int
    price: int


@dataclass
class Link:
    """A line: what it carries in each settlement interval, that way and back."""

    name: str
    first: str
    second: str
    carries: dict[int, tuple[int, int]] = field(default_factory=dict)


@dataclass
class Ticket:
    """A wish for one delivery as the rules look at it."""

    party: str
    connection: str
    key: tuple[int, int]
    side: Side
    wh: int
    price: int
    restriction: str
    expires: int | None
    minimum: int = 0
    terms: OrderTerms | None = None


class NaiveState:
    """Everything there is, and what it adds up to."""

    def __init__(self, rules: RuleSet) -> None:
        self.rules = rules
        self.deliveries: list[Delivery] = []
        self.bids: list[Bid] = []
        self.deals: list[Deal] = []
        self.links: list[Link] = []
        if rules.network:
            self.links = [Link(line.line, line.from_zone, line.to_zone) for line in rules.network.lines]
        self.parties: set[str] = set()
        self.connections: dict[str, tuple[str, int, bool, str]] = {}
        self.credit: dict[str, int] = {}
        self.suspended = False
        self.sequence = 0
        self.now = 0

    def list_deliveries(self, first: int, count: int, minutes: int) -> None:
        rules = self.rules
        for start in range(first, first + count * minutes * MINUTE, minutes * MINUTE):
            slots = list(range(start, start + minutes * MINUTE, rules.interval_min * MINUTE))
            opens, gate = start - rules.opening_lead_min * MINUTE, start - rules.gate_lead_min * MINUTE
            self.deliveries.append(Delivery(start, minutes, opens, gate, slots))

    def delivery(self, key: tuple[int, int]) -> Delivery | None:
        return next((d for d in self.deliveries if d.key == key and not d.forgotten), None)

    def open_bids(self) -> list[Bid]:
        return [b for b in self.bids if b.rest]

    def book(self, delivery: Delivery) -> list[Bid]:
        """What rests in the book of a delivery, in the order of its places."""
        return sorted((b for b in self.open_bids() if not b.block and b.delivery is delivery), key=lambda b: b.place)

    def best_first(self, delivery: Delivery) -> list[Bid]:
        """As it stands: bids from the best one on, then asks."""
        book = self.book(delivery)
        return sorted(book, key=lambda b: (b.side is Side.SELL, -b.price if b.side is Side.BUY else b.price, b.place))

    def reference(self, delivery: Delivery) -> int:
        if delivery.last is not None:
            return delivery.last
        return self.rules.trading.reference_price_nano_per_kwh if self.rules.trading else 0

    # -- sums --------------------------------------------------------------------------------------

    def counts_bought(self, price: int) -> int:
        """The credit that a bought Wh needs: price, fee and tax."""
        credit = self.rules.credit
        cost = max(0, price) + (credit.fee_nano_per_kwh if credit else 0)
        return ceil(cost * (1 + Fraction(credit.tax_ppm if credit else 0, 10**6)))

    def counts_sold(self, price: int) -> int:
        return max(0, self.rules.assumed_price_nano_per_kwh - price) + max(0, -price)

    def counts(self, side: Side, price: int) -> int:
        return self.counts_bought(price) if side is Side.BUY else self.counts_sold(price)

    def exposure(self, party: str) -> int:
        total = 0
        for bid in self.bids:
            if bid.party == party:
                total += bid.rest * len(bid.deliveries) * self.counts(bid.side, bid.price)
        for deal in self.deals:
            if not deal.delivery.forgotten:
                total += deal.wh * self.counts_bought(deal.price) if deal.buyer.party == party else 0
                total += deal.wh * self.counts_sold(deal.price) if deal.seller.party == party else 0
        return total

    def used(self, connection: str, slot: int) -> int:
        """Sold and offered for sale, minus bought, in one settlement interval."""
        total = Fraction(0)
        for bid in self.bids:
            if bid.connection == connection and bid.side is Side.SELL:
                total += sum(Fraction(bid.rest, len(d.slots)) for d in bid.deliveries if slot in d.slots)
        for deal in self.deals:
            if slot in deal.delivery.slots:
                each = Fraction(deal.wh, len(deal.delivery.slots))
                total += each if deal.seller.connection == connection else 0
                total -= each if deal.buyer.connection == connection else 0
        assert total.denominator == 1
        return int(total)

    def limit(self, connection: str) -> int:
        return self.connections[connection][1] * self.rules.interval_min // 60

    def way(self, here: str, there: str, without: str = "") -> list[tuple[Link, int]] | None:
        """The lines from one zone to another: +1 where one is gone from its first zone to its second."""
        if here == there:
            return []
        for link in self.links:
            for near, far, sign in ((link.first, link.second, 1), (link.second, link.first, -1)):
                if near == here and link.name != without:
                    onward = self.way(far, there, link.name)
                    if onward is not None:
                        return [(link, sign), *onward]
        return None

    def flow(self, link: Link, slot: int) -> int:
        """What goes over a line net, from its first zone to its second."""
        total = 0
        for deal in self.deals:
            if slot in deal.delivery.slots:
                way = self.way(deal.seller.zone, deal.buyer.zone) or []
                total += sum(sign for over, sign in way if over is link) * deal.wh // len(deal.delivery.slots)
        return total

    def room(self, deliveries: list[Delivery], seller_zone: str, buyer_zone: str) -> int | None:
        """Wh of each of these deliveries that can still go from zone to zone; none: any amount."""
        way = self.way(seller_zone, buyer_zone)
        if way is None:
            return 0
        if not way:
            return None
        rooms = []
        for delivery in deliveries:
            for slot in delivery.slots:
                for link, sign in way:
                    forward, backward = link.carries.get(slot, (0, 0))
                    flow = self.flow(link, slot)
                    rooms.append(forward - flow if sign > 0 else backward + flow)
        lot, slots = self.rules.lot_wh, len(deliveries[0].slots)
        return max(0, min(rooms)) // lot * lot * slots
