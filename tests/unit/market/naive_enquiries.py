"""Enquiries in the plainest words: offers are combined lot by lot, every reserve is counted anew; no product code."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor
from typing import Any

from schemas.market.enquiry_commands import OfferEnergy, OpenEnquiry
from schemas.market.reasons import MarketRefusal

R = MarketRefusal
Said = tuple[Any, ...]
MINUTE = 60_000_000
QUARTER = 15 * MINUTE
LOT = 100
Row = tuple[int, ...]


@dataclass
class NaiveOffer:
    number: int
    seller: str
    row: Row
    price: int
    gone: bool = False


@dataclass
class NaiveEnquiry:
    """`move` is whose it is: "offers" of the sellers, "table" of the enquirer, "counter" of the awaited sellers."""

    wish: OpenEnquiry
    deadline: int
    limit: int
    move: str = "offers"
    round: int = 0
    offers: list[NaiveOffer] = field(default_factory=list)
    table: list[NaiveOffer] = field(default_factory=list)
    awaited: list[NaiveOffer] = field(default_factory=list)
    complete: bool = False
    ended: bool = False

    def standing(self) -> list[NaiveOffer]:
        return [offer for offer in self.offers if not offer.gone]


def taken(asked: Row, offers: Sequence[NaiveOffer]) -> list[tuple[NaiveOffer, Row]]:
    """Lot by lot of each interval, the cheapest first and the earlier of one price."""
    rows = {offer.number: [0] * len(asked) for offer in offers}
    for n, wh in enumerate(asked):
        lots = [offer for offer in offers for _ in range(offer.row[n] // LOT)]
        for offer in sorted(lots, key=lambda o: (o.price, o.number))[: wh // LOT]:
            rows[offer.number][n] += LOT
    row = sorted(offers, key=lambda o: (o.price, o.number))
    return [(offer, tuple(rows[offer.number])) for offer in row if any(rows[offer.number])]


def together(asked: Row, parts: Sequence[tuple[NaiveOffer, Row]]) -> Row:
    return tuple(sum(row[n] for _, row in parts) for n in range(len(asked)))


class NaiveEnquiries:
    """One enquirer's enquiries; every party has one connection with the same power."""

    def __init__(self, credit: dict[str, int], most_wh: int, assumed: int, answer: int, rounds: int, fee: int) -> None:
        self.credit, self.most_wh, self.assumed = credit, most_wh, assumed
        self.answer, self.rounds, self.fee = answer, rounds, fee
        self.enquiries: list[NaiveEnquiry] = []
        self.contracts: list[tuple[str, str, int, Row, int]] = []
        self.now = 0
        self.made = 0

    def short(self, price: int) -> int:
        return max(0, self.assumed - price) + max(0, -price)

    def exposure(self, party: str) -> int:
        total = 0
        for enquiry in self.enquiries:
            total += sum(sum(o.row) * self.short(o.price) for o in enquiry.standing() if o.seller == party)
        for seller, buyer, _, row, price in self.contracts:
            total += sum(row) * (self.short(price) * (seller == party) + max(0, price) * (buyer == party))
        return total

    def sold(self, party: str, start: int) -> int:
        rows = [(o.seller, "", e.wish.first_start_at, o.row) for e in self.enquiries for o in e.standing()]
        rows += [(seller, buyer, first, row) for seller, buyer, first, row, _ in self.contracts]
        found = 0
        for seller, buyer, first, row in rows:
            for n, wh in enumerate(row):
                found += wh * ((seller == party) - (buyer == party)) * (first + n * QUARTER == start)
        return found

    def exceeds(self, party: str, more: int) -> bool:
        return self.exposure(party) + more > self.credit[party] * 10**6

    def open(self, wish: OpenEnquiry) -> list[Said]:
        self.enquiries.append(NaiveEnquiry(wish, wish.closes_at, wish.limit_price_nano_per_kwh))
        return [("opened", len(self.enquiries))]

    def _closed_to(self, enquiry: NaiveEnquiry, *moves: str) -> bool:
        return enquiry.ended or self.now >= enquiry.deadline or enquiry.move not in moves

    # -- sellers -----------------------------------------------------------------------------------

    def offer(self, n: int, wish: OfferEnergy) -> list[Said]:
        enquiry = self.enquiries[n]
        asked, first = enquiry.wish.quantity_wh, enquiry.wish.first_start_at
        for broken, reason in (
            (lambda: wish.party == enquiry.wish.party, R.SAME_PARTY),
            (lambda: self._closed_to(enquiry, "offers"), R.ENQUIRY_NOT_OPEN),
            (lambda: len(wish.quantity_wh) != len(asked), R.PROFILE_DIFFERS),
            (lambda: not any(wish.quantity_wh), R.QUANTITY_ZERO),
            (lambda: any(wh % LOT for wh in wish.quantity_wh), R.QUANTITY_OFF_LOT),
            (lambda: any(a < b for a, b in zip(asked, wish.quantity_wh, strict=True)), R.QUANTITY_ABOVE_MAXIMUM),
            (
                lambda: any(
                    wh and self.sold(wish.party, first + n * QUARTER) + wh > self.most_wh
                    for n, wh in enumerate(wish.quantity_wh)
                ),
                R.CAPABILITY_EXCEEDED,
            ),
            (
                lambda: self.exceeds(wish.party, sum(wish.quantity_wh) * self.short(wish.price_nano_per_kwh)),
                R.CREDIT_EXCEEDED,
            ),
        ):
            if broken():
                return [("refused", reason)]
        self.made += 1
        enquiry.offers.append(NaiveOffer(self.made, wish.party, wish.quantity_wh, wish.price_nano_per_kwh))
        said: list[Said] = [("offer", self.made)]
        within = [offer for offer in enquiry.standing() if offer.price <= enquiry.limit]
        return said + (self._table(enquiry) if together(asked, taken(asked, within)) == asked else [])

    def _offer_of(self, enquiry: NaiveEnquiry, number: int, actor: str) -> NaiveOffer | MarketRefusal:
        offer = next((o for o in enquiry.standing() if o.number == number), None)
        if offer is None:
            return R.OFFER_UNKNOWN
        return offer if offer.seller == actor else R.NOT_AUTHORISED

    def withdraw(self, n: int, number: int, actor: str) -> list[Said]:
        enquiry = self.enquiries[n]
        offer = self._offer_of(enquiry, number, actor)
        if isinstance(offer, MarketRefusal):
            return [("refused", offer)]
        if self._closed_to(enquiry, "offers", "table", "counter"):
            return [("refused", R.ENQUIRY_NOT_OPEN)]
        if offer in (*enquiry.table, *enquiry.awaited):
            return [("refused", R.OFFER_BOUND)]
        offer.gone = True
        return [("withdrawn", number)]

    def revise(self, n: int, number: int, price: int, actor: str) -> list[Said]:
        enquiry = self.enquiries[n]
        offer = self._offer_of(enquiry, number, actor)
        if isinstance(offer, MarketRefusal):
            return [("refused", offer)]
        more = sum(offer.row) * (self.short(price) - self.short(offer.price))
        for broken, reason in (
            (self._closed_to(enquiry, "counter"), R.ENQUIRY_NOT_OPEN),
            (offer not in enquiry.awaited, R.ALREADY_ANSWERED),
            (price >= offer.price, R.NOTHING_CHANGED),
            (self.exceeds(actor, more), R.CREDIT_EXCEEDED),
        ):
            if broken:
                return [("refused", reason)]
        offer.price = price
        enquiry.awaited.remove(offer)
        return [("revised", number, price), *([] if enquiry.awaited else self._table(enquiry))]

    # -- the enquirer ------------------------------------------------------------------------------

    def answer_of(self, n: int, kind: str, price: int | None, actor: str) -> list[Said]:
        """Combine, accept (up to a price), counter with a price, or reject."""
        enquiry = self.enquiries[n]
        moves = {"combine": ("offers",), "accept": ("table",), "counter": ("table",)}
        if actor != enquiry.wish.party:
            return [("refused", R.NOT_AUTHORISED)]
        if self._closed_to(enquiry, *moves.get(kind, ("offers", "table", "counter"))):
            return [("refused", R.ENQUIRY_NOT_OPEN)]
        match kind:
            case "combine":
                return self._table(enquiry) if enquiry.standing() else [("refused", R.NOTHING_OFFERED)]
            case "accept":
                offers = [o for o in enquiry.table if price is None or o.price <= price]
                parts = taken(enquiry.wish.quantity_wh, offers)
                if not parts:
                    return [("refused", R.NOTHING_OFFERED)]
                if self.exceeds(actor, sum(sum(row) * max(0, o.price) for o, row in parts)):
                    return [("refused", R.CREDIT_EXCEEDED)]
                return self._accept(enquiry, parts)
            case "counter":
                assert price is not None
                return self._counter(enquiry, price)
            case _:
                fees = self._fees(enquiry)
                return [*self._end(enquiry, "rejected"), *fees]

    def _counter(self, enquiry: NaiveEnquiry, price: int) -> list[Said]:
        if enquiry.round >= self.rounds:
            return [("refused", R.ROUNDS_EXCEEDED)]
        if all(price >= offer.price for offer in enquiry.standing()):
            return [("refused", R.NOTHING_CHANGED)]
        enquiry.round += 1
        enquiry.move, enquiry.limit = "counter", price
        enquiry.awaited = [offer for offer in enquiry.standing() if offer.price > price]
        enquiry.deadline = self._until(enquiry)
        numbers = [offer.number for offer in enquiry.awaited]
        return [("asked", enquiry.round, price, numbers, enquiry.deadline)]

    def _until(self, enquiry: NaiveEnquiry) -> int:
        return min(self.now + self.answer * MINUTE, enquiry.wish.first_start_at - 5 * MINUTE)

    # -- the table ---------------------------------------------------------------------------------

    def _table(self, enquiry: NaiveEnquiry) -> list[Said]:
        asked = enquiry.wish.quantity_wh
        parts = taken(asked, enquiry.standing())
        if not parts:
            return self._end(enquiry, "unanswered")
        whole = together(asked, parts)
        enquiry.move, enquiry.awaited, enquiry.table = "table", [], [offer for offer, _ in parts]
        enquiry.complete = whole == asked and all(offer.price <= enquiry.limit for offer, _ in parts)
        enquiry.deadline = self._until(enquiry)
        worth = Fraction(sum(sum(row) * o.price for o, row in parts), sum(whole))
        shown = [(offer.number, sum(row), offer.price) for offer, row in parts]
        kind = "combined" if enquiry.complete else "short"
        said: list[Said] = [(kind, enquiry.round, sum(whole), floor(worth + Fraction(1, 2)), shown, enquiry.deadline)]
        needs = sum(sum(row) * max(0, o.price) for o, row in parts)
        if enquiry.complete and enquiry.wish.accepts_at_once and not self.exceeds(enquiry.wish.party, needs):
            said += self._accept(enquiry, parts)
        return said

    def _accept(self, enquiry: NaiveEnquiry, parts: Sequence[tuple[NaiveOffer, Row]]) -> list[Said]:
        said: list[Said] = []
        for offer, row in parts:
            offer.gone = True
            self.contracts.append((offer.seller, enquiry.wish.party, enquiry.wish.first_start_at, row, offer.price))
            said += [("accepted", offer.number, row, offer.price), ("contract", offer.seller, sum(row), offer.price)]
        return [*said, *self._end(enquiry, "accepted")]

    def _end(self, enquiry: NaiveEnquiry, how: str) -> list[Said]:
        free = [offer.number for offer in enquiry.standing()]
        for offer in enquiry.offers:
            offer.gone = True
        enquiry.ended = True
        return [("ended", how, free)]

    def _fees(self, enquiry: NaiveEnquiry) -> list[Said]:
        if enquiry.move != "table" or not enquiry.complete:
            return []
        return [("fee", seller, self.fee) for seller in dict.fromkeys(offer.seller for offer in enquiry.table)]

    def later(self, now: int) -> list[Said]:
        self.now = now
        said: list[Said] = []
        while due := [e for e in self.enquiries if not e.ended and e.deadline <= now]:
            enquiry = min(due, key=lambda e: e.deadline)
            if enquiry.move == "table":
                fees = self._fees(enquiry)
                said += [*self._end(enquiry, "lapsed"), *fees]
            else:
                said += self._table(enquiry)
        return said
