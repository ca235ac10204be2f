"""What is kept of one market. Everything here comes from facts, and the deliveries that are settled are gone."""

from dataclasses import dataclass, field, fields
from heapq import heappush
from typing import Any, Final

from domain.market.allotment import Allotment
from domain.market.auction_state import Auction
from domain.market.block_state import Block, Span
from domain.market.book import Book, Ladder, Order, columns, orders_of
from domain.market.capability import Slot
from domain.market.contract_state import Agreements
from domain.market.credit_state import Standing
from domain.market.enquiry_state import Enquiries
from domain.market.exposure import Account
from domain.market.listing_state import Listings
from domain.market.mandate_state import Mandates
from domain.market.network import Path
from domain.market.outlet_state import Outlets
from domain.market.product_state import Product
from domain.market.session_state import SessionAuctions
from domain.market.timers import Timer
from schemas.columns import repeated, repeated_of, texts, texts_of
from schemas.equipment import Equipment
from schemas.market.events import ContractProposed, Phase, RuleSet
from schemas.market.reasons import CancelReason, MarketRefusal
from schemas.values import MINUTE_US

FAMILY: Final = "market"
MAX_INTERVALS: Final = 500
"""Of one session and of one contract: an array in a fact holds no more."""


@dataclass(frozen=True, slots=True)
class RulesVersion:
    """Rules for deliveries from `effective_from` on, until a later version's."""

    version: int
    effective_from: int
    rules: RuleSet


Key = tuple[int, int]
"""Of an instrument: start of the delivery (UTC µs) and its duration (minutes)."""


@dataclass(slots=True)
class Instrument:
    """One delivery as it is traded; `slots` are the settlement intervals that it touches, at least one.

    An order's quantity is split evenly over them. `paths` are the ways between the zones (none: there is one
    zone), `last_price_nano_per_kwh` is the reference of the bands, `written_at` when a slice of the closed book was
    written out last. `ended` is whose the orders were of which nothing is open any more. Forgotten together with it are
    `contracts`, negotiated from this delivery on, and `concluded`, whose last delivery it is. `auction` is what its
    book is called to by itself, `leaving` which of its orders leave when an auction is over, `collects_until` when its
    call or halt ends.
    """

    delivery_start_at: int
    duration_min: int
    version: int
    rules: RuleSet
    opens_at: int
    gate_at: int
    slots: tuple[Slot, ...]
    paths: dict[tuple[str, str], Path] | None
    phase: Phase = Phase.CONTINUOUS
    closed: bool = False
    settled: bool = False
    last_price_nano_per_kwh: int | None = None
    written_at: int = -1
    book: Book = field(default_factory=Book)
    ended: dict[str, str] = field(default_factory=dict)
    contracts: list[str] = field(default_factory=list)
    concluded: list[str] = field(default_factory=list)
    auction: Auction | None = None
    leaving: dict[str, CancelReason] = field(default_factory=dict)
    collects_until: int = -1

    @property
    def reference_price_nano_per_kwh(self) -> int:
        """What the bands are measured from: the last trade, before the first one the rules' reference."""
        if self.last_price_nano_per_kwh is not None or self.rules.trading is None:
            return self.last_price_nano_per_kwh or 0
        return self.rules.trading.reference_price_nano_per_kwh

    @property
    def key(self) -> Key:
        """Its place in `Market.instruments`."""
        return self.delivery_start_at, self.duration_min


@dataclass(frozen=True, slots=True)
class Session:
    """A listed range of deliveries [`from_at`, `to_at`) of one duration."""

    from_at: int
    to_at: int
    duration_min: int


@dataclass(slots=True)
class Connection:
    """Whose the connection is and what it may sell; without `verified` resources nothing.

    `injection_w` is the power at all times, unless there is an `allotted` one with windows or storage.
    """

    party: str
    injection_w: int
    verified: bool
    zone: str
    allotted: Allotment | None = None
    equipment: tuple[Equipment, ...] = ()


@dataclass(slots=True)
class Negotiation:
    """A negotiated contract; `waiting` until it is concluded or lapsed.

    The exposures are those of the buyer and of the seller per Wh.
    """

    proposed: ContractProposed
    number: int
    waiting: bool
    bought_pico_per_wh: int
    sold_pico_per_wh: int


_PACKED: Final = ("instruments", "orders", "timers")


@dataclass(slots=True)
class Market:
    """State of one market. `orders` holds every open order; (`partition`, `reached_seq`) is its last fact's place."""

    market: str
    suspended: bool = False
    versions: int = 0
    rules: list[RulesVersion] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    slots: dict[int, Slot] = field(default_factory=dict)
    instruments: dict[Key, Instrument] = field(default_factory=dict)
    participants: set[str] = field(default_factory=set)
    connections: dict[str, Connection] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)
    sequence: int = 0
    orders: dict[str, Order] = field(default_factory=dict)
    proposals: int = 0
    negotiations: dict[str, Negotiation] = field(default_factory=dict)
    blocks: dict[str, Block] = field(default_factory=dict)
    block_books: dict[Span, Book] = field(default_factory=dict)
    products: dict[str, Product] = field(default_factory=dict)
    timers: list[Timer] = field(default_factory=list)
    listings: Listings = field(default_factory=Listings)
    agreements: Agreements = field(default_factory=Agreements)
    standing: Standing = field(default_factory=Standing)
    outlets: Outlets = field(default_factory=Outlets)
    enquiries: Enquiries = field(default_factory=Enquiries)
    mandates: Mandates = field(default_factory=Mandates)
    session_auctions: SessionAuctions = field(default_factory=SessionAuctions)
    partition: int = field(default=0, compare=False, repr=False)
    reached_seq: int = field(default=0, compare=False, repr=False)
    acknowledged: dict[str, tuple[int, int]] = field(default_factory=dict)
    suspicions: dict[Key, set[tuple[str, tuple[str, ...]]]] = field(default_factory=dict)

    def __getstate__(self) -> tuple[Any, ...]:
        """What there are hundred thousands of is written down as columns, and named by its place there."""
        places = dict(zip(self.orders, range(len(self.orders)), strict=True))
        instruments = [_written(instrument, places) for instrument in self.instruments.values()]
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _PACKED}
        timers = list(zip(*self.timers, strict=True))
        return plain, timers, texts(list(self.orders)), columns(self.orders.values()), instruments

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        plain, timers, packed, values, instruments = state
        for name, value in plain.items():
            setattr(self, name, value)
        self.timers = list(zip(*timers, strict=True))
        names = texts_of(packed)
        orders = orders_of(names, values)
        self.orders = dict(zip(names, orders, strict=True))
        found = [_read(written, orders) for written in instruments]
        self.instruments = {instrument.key: instrument for instrument in found}

    def operator(self) -> str | None:
        """Who runs the market; none before its first rules, and the same for ever after."""
        return self.rules[-1].rules.operator if self.rules else None

    def why_not(self, party: str) -> MarketRefusal:
        """Why somebody who is not among the participants may not trade."""
        if party in self.standing.defaults:
            return MarketRefusal.PARTICIPANT_IN_DEFAULT
        return MarketRefusal.PARTICIPANT_UNKNOWN

    def instruments_of(self, first_start_at: int, interval_min: int, intervals: int) -> list[Instrument] | int:
        """The instruments of consecutive deliveries, or the start of the first that is not listed."""
        found = []
        for start in starts(first_start_at, interval_min, intervals):
            instrument = self.instruments.get((start, interval_min))
            if instrument is None:
                return start
            found.append(instrument)
        return found

    def slot(self, start_at: int) -> Slot:
        """A settlement interval; for `evolve`, which may make it."""
        slot = self.slots.get(start_at)
        if slot is None:
            slot = self.slots[start_at] = Slot(start_at)
        return slot

    def rules_for(self, delivery_start_at: int) -> RulesVersion | None:
        """The newest rules that hold for a delivery."""
        for version in reversed(self.rules):
            if version.effective_from <= delivery_start_at:
                return version
        return None

    def rules_change_after(self, delivery_start_at: int) -> int | None:
        """When the next rules begin that do not hold for this delivery yet."""
        later = (v.effective_from for v in self.rules if v.effective_from > delivery_start_at)
        return next(later, None)

    def listed_until(self) -> int:
        """The end of the last listed delivery, 0 without any."""
        return max((session.to_at for session in self.sessions), default=0)

    def ended(self, order: str) -> tuple[str, Instrument] | None:
        """Whose an order was of which nothing is open any more, and of which instrument; none when none is known."""
        for instrument in self.instruments.values():
            if order in instrument.ended:
                return instrument.ended[order], instrument
        return None

    def remind(self, at: int, kind: int, number: int, subject: str) -> None:
        """For `evolve`: a timer of this kind is due at `at`."""
        heappush(self.timers, (at, kind, number, subject))

    def account(self, party: str) -> Account:
        """The party's account; for `evolve`, which may make it."""
        account = self.accounts.get(party)
        if account is None:
            account = self.accounts[party] = Account()
        return account


def starts(first_start_at: int, interval_min: int, intervals: int) -> range:
    """The delivery starts (UTC µs) of consecutive intervals."""
    step = interval_min * MINUTE_US
    return range(first_start_at, first_start_at + intervals * step, step)


def _written(i: Instrument, places: dict[str, int]) -> tuple[Any, ...]:
    """An instrument; open orders are named by their places."""
    sides = []
    for side in (i.book.bids, i.book.asks):
        side.leave_out_dead()
        sides.append([places[order.order] for order in side.orders])
    plain = [getattr(i, name) for name in _PLAIN]
    return plain, texts(list(i.ended)), repeated(i.ended.values()), i.book.resting, sides


def _read(written: tuple[Any, ...], orders: list[Order]) -> Instrument:
    plain, ended, whose, resting, sides = written
    ladders = []
    for places in sides:
        row = list(map(orders.__getitem__, places))
        ladders.append(Ladder([order.key for order in row], row))
    values: dict[str, Any] = dict(zip(_PLAIN, plain, strict=True))
    whole = sum(order.aon for ladder in ladders for order in ladder.orders)
    values["book"] = Book(ladders[0], ladders[1], resting, whole)
    values["ended"] = dict(zip(texts_of(ended), repeated_of(whose), strict=True))
    return Instrument(**values)


_PLAIN: Final = tuple(f.name for f in fields(Instrument) if f.name not in ("book", "ended"))
