"""Listings in the plainest words: awards by trying every allocation, every reserve counted anew; no product code."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from schemas.market.listing_commands import OpenListing, PlaceBid
from schemas.market.listing_events import BidOutcome, ListingFormat, WithdrawalReason
from schemas.market.reasons import MarketRefusal

R = MarketRefusal
Said = tuple[Any, ...]
MINUTE = 60_000_000
QUARTER = 15 * MINUTE


@dataclass
class Rules:
    """What of a rule set matters here; prices in nano per kWh, quantities in Wh."""

    tick: int
    lot: int
    assumed: int
    gate_min: int
    approval_min: int

    def owed_by_seller(self, price: int) -> int:
        return max(0, self.assumed - price) + max(0, -price)


@dataclass
class NaiveBid:
    number: int
    place: int
    party: str
    lots: int
    least: int
    price: int
    gone: bool = False


@dataclass
class NaiveListing:
    number: int
    wish: OpenListing
    closes: int
    bids: list[NaiveBid] = field(default_factory=list)
    placed: int = 0
    ended: bool = False
    told: bool = False

    def standing(self) -> list[NaiveBid]:
        return [bid for bid in self.bids if not bid.gone]

    def part(self, lots: int) -> tuple[int, ...]:
        return tuple(wh * lots // self.wish.terms.lots for wh in self.wish.quantity_wh)


@dataclass
class Award:
    """What a winner has: a contract at once, or while it `waits` a proposal that ends at `until`."""

    seller: str
    buyer: str
    start: int
    wh: tuple[int, ...]
    price: int
    until: int | None
    waits: bool
    lapsed: bool = False


def dearest_first(bids: Sequence[NaiveBid]) -> list[NaiveBid]:
    return sorted(bids, key=lambda bid: (-bid.price, bid.place))


def allocation(bids: Sequence[NaiveBid], lots: int) -> list[tuple[NaiveBid, int]]:
    """Of every way to give lots away, the one that gives the dearest bid most, then the next one, and so on."""
    row = dearest_first(bids)
    ways = product(*[(0, *range(max(bid.least, 1), bid.lots + 1)) for bid in row])
    best = max(way for way in ways if sum(way) <= lots)
    return [(bid, given) for bid, given in zip(row, best, strict=True) if given]


def prices(listing: NaiveListing, won: Sequence[tuple[NaiveBid, int]]) -> list[int]:
    """Their own, or for all the dearest price of which a lot lost, between the reserve and the lowest winner's."""
    if listing.wish.terms.format is not ListingFormat.SEALED_SECOND_PRICE:
        return [bid.price for bid, _ in won]
    given = {bid.number: lots for bid, lots in won}
    lost = [bid.price for bid in listing.standing() for _ in range(bid.lots - given.get(bid.number, 0))]
    one = max([listing.wish.terms.reserve_price_nano_per_kwh, *lost])
    return [min(one, *(bid.price for bid, _ in won)) for _ in won]


class NaiveListings:
    """All listings of a market whose parties have one connection each."""

    def __init__(self, rules: Rules, credit: dict[str, int], most_wh: int) -> None:
        self.rules, self.credit, self.most_wh = rules, credit, most_wh
        self.listings: list[NaiveListing] = []
        self.awards: list[Award] = []
        self.proposals: list[Award] = []
        self.now = 0
        self.bids = 0

    # -- sums --------------------------------------------------------------------------------------

    def exposure(self, party: str) -> int:
        total = 0
        for listing in self.listings:
            if not listing.ended and listing.wish.party == party:
                price = listing.wish.terms.reserve_price_nano_per_kwh
                total += sum(listing.wish.quantity_wh) * self.rules.owed_by_seller(price)
            if not listing.ended:
                total += sum(
                    sum(listing.part(b.lots)) * max(0, b.price) for b in listing.standing() if b.party == party
                )
        for award in (a for a in self.awards if not a.lapsed):
            total += sum(award.wh) * self.rules.owed_by_seller(award.price) if award.seller == party else 0
            total += sum(award.wh) * max(0, award.price) if award.buyer == party else 0
        return total

    def sold(self, party: str, start: int) -> int:
        """Offered and sold less bought of one quarter-hour."""
        offers = [(x.wish.first_start_at, x.wish.quantity_wh, x.wish.party, "") for x in self.listings if not x.ended]
        offers += [(a.start, a.wh, a.seller, "" if a.waits else a.buyer) for a in self.awards if not a.lapsed]
        total = 0
        for first, row, seller, buyer in offers:
            for n, wh in enumerate(row):
                if first + n * QUARTER == start:
                    total += wh * ((seller == party) - (buyer == party))
        return total

    # -- wishes ------------------------------------------------------------------------------------

    def open(self, wish: OpenListing) -> list[Said]:
        terms, step = wish.terms, self.rules.lot * wish.terms.lots
        gate = wish.first_start_at - self.rules.gate_min * MINUTE
        need = sum(wish.quantity_wh) * self.rules.owed_by_seller(terms.reserve_price_nano_per_kwh)
        starts = [wish.first_start_at + n * QUARTER for n in range(len(wish.quantity_wh))]
        for broken, reason in (
            (any(wh % step for wh in wish.quantity_wh), R.QUANTITY_OFF_LOT),
            (max(wish.quantity_wh) > terms.capacity_w // 4, R.CAPACITY_EXCEEDED),
            (wish.closes_at <= self.now, R.EXPIRY_IN_THE_PAST),
            ((terms.latest_closes_at or wish.closes_at) >= gate, R.EXPIRY_AFTER_GATE),
            (
                any(
                    self.sold(wish.party, start) + wh > self.most_wh
                    for start, wh in zip(starts, wish.quantity_wh, strict=True)
                ),
                R.CAPABILITY_EXCEEDED,
            ),
            (self.exposure(wish.party) + need > self.credit[wish.party] * 10**6, R.CREDIT_EXCEEDED),
        ):
            if broken:
                return [("refused", reason)]
        self.listings.append(NaiveListing(len(self.listings) + 1, wish, wish.closes_at))
        return [("opened", len(self.listings))]

    def find(self, number: int) -> NaiveListing | None:
        return next((x for x in self.listings if x.number == number), None)

    def bid(self, number: int, wish: PlaceBid, actor: str) -> list[Said]:
        listing = self.find(number)
        if listing is None:
            return [("refused", R.LISTING_UNKNOWN)]
        terms = listing.wish.terms
        mine = next((b for b in listing.standing() if b.party == wish.party), None)
        free = sum(listing.part(mine.lots)) * max(0, mine.price) if mine else 0
        new = NaiveBid(self.bids + 1, listing.placed + 1, wish.party, wish.lots, wish.minimum_lots, 0)
        new.price = wish.price_nano_per_kwh
        for broken, reason in (
            (lambda: actor != wish.party, R.NOT_AUTHORISED),
            (lambda: wish.party == listing.wish.party, R.SAME_PARTY),
            (lambda: listing.ended or self.now >= listing.closes, R.LISTING_NOT_OPEN),
            (lambda: wish.lots == 0, R.QUANTITY_ZERO),
            (lambda: wish.lots > terms.lots, R.QUANTITY_ABOVE_MAXIMUM),
            (lambda: wish.minimum_lots > wish.lots, R.MINIMUM_ABOVE_QUANTITY),
            (lambda: wish.price_nano_per_kwh % self.rules.tick, R.PRICE_OFF_TICK),
            (lambda: wish.price_nano_per_kwh < terms.reserve_price_nano_per_kwh, R.BELOW_RESERVE),
            (lambda: not self._rises(listing, new, mine), R.BELOW_INCREMENT),
            (
                lambda: (
                    self.exposure(wish.party) - free + sum(listing.part(wish.lots)) * max(0, new.price)
                    > self.credit[wish.party] * 10**6
                ),
                R.CREDIT_EXCEEDED,
            ),
        ):
            if broken():
                return [("refused", reason)]
        self.bids += 1
        listing.placed += 1
        if mine:
            mine.gone = True
        listing.bids.append(new)
        said: list[Said] = [("bid", new.number, new.place, mine.number if mine else None)]
        if terms.format is ListingFormat.OPEN_ASCENDING:
            leading = [bid for bid, _ in allocation(listing.standing(), terms.lots)]
            out = [bid for bid in listing.standing() if bid not in leading]
            for bid in out:
                bid.gone = True
            said += [("displaced", [bid.number for bid in out])] if out else []
            moved = min(self.now + terms.extension_min * MINUTE, terms.latest_closes_at or listing.closes)
            if moved > listing.closes:
                listing.closes = moved
                said.append(("extended", moved))
        return said

    def _rises(self, listing: NaiveListing, new: NaiveBid, mine: NaiveBid | None) -> bool:
        """It takes what nobody leads, or beats the lowest of the others by the increment; nobody retreats."""
        terms = listing.wish.terms
        if terms.format is not ListingFormat.OPEN_ASCENDING:
            return True
        others = [bid for bid in listing.standing() if bid is not mine]
        leading = allocation(others, terms.lots)
        least = 0 if mine is None else mine.price + terms.increment_nano_per_kwh
        if terms.lots - sum(lots for _, lots in leading) < max(new.least, 1):
            least = max(least, min(bid.price for bid, _ in leading) + terms.increment_nano_per_kwh)
        leads = any(bid is new for bid, _ in allocation([*others, new], terms.lots))
        return new.price >= least and leads and (mine is None or new.lots >= mine.lots)

    def withdraw_bid(self, number: int, bid_number: int, actor: str) -> list[Said]:
        listing = self.find(number)
        if listing is None:
            return [("refused", R.LISTING_UNKNOWN)]
        bid = next((b for b in listing.bids if b.number == bid_number), None)
        if bid is None:
            return [("refused", R.BID_NOT_STANDING)]
        if bid.party != actor:
            return [("refused", R.NOT_AUTHORISED)]
        if listing.ended or self.now >= listing.closes:
            return [("refused", R.LISTING_NOT_OPEN)]
        if bid.gone or listing.wish.terms.format is ListingFormat.OPEN_ASCENDING:
            return [("refused", R.BID_NOT_STANDING if bid.gone else R.BID_LEADS)]
        bid.gone = True
        return [("taken back", bid.number)]

    def withdraw(self, number: int, cause: WithdrawalReason | None, actor: str) -> list[Said]:
        listing = self.find(number)
        if listing is None:
            return [("refused", R.LISTING_UNKNOWN)]
        if actor != listing.wish.party:
            return [("refused", R.NOT_AUTHORISED)]
        if listing.ended or self.now >= listing.closes:
            return [("refused", R.LISTING_NOT_OPEN)]
        if listing.placed and cause is None:
            return [("refused", R.REASON_MISSING)]
        listing.ended = True
        return [("closed", number, [], listing.part(listing.wish.terms.lots))]

    def approve(self, number: int, actor: str) -> list[Said]:
        if not 0 < number <= len(self.proposals):
            return [("refused", R.CONTRACT_UNKNOWN)]
        award = self.proposals[number - 1]
        if award.buyer != actor:
            return [("refused", R.NOT_AUTHORISED)]
        if not award.waits:
            return [("refused", R.CONTRACT_NOT_PROPOSED)]
        award.waits = False
        return [("contract", award.seller, award.buyer, award.wh, award.price)]

    # -- time --------------------------------------------------------------------------------------

    def later(self, now: int) -> list[Said]:
        """Bidders are told at once; then proposals lapse and listings close, by time."""
        self.now = now
        said: list[Said] = []
        for listing in self.listings:
            if listing.ended and not listing.told:
                said += self._tell(listing, [])
        while due := self._due():
            _, kind, _, what = min(due, key=lambda d: d[:3])
            said += self._lapse(what) if kind == 1 else self._close(what)
        return said

    def _due(self) -> list[tuple[int, int, int, Any]]:
        lapsing = [(a.until or 0, 1, n, a) for n, a in enumerate(self.awards) if a.waits]
        closing = [(x.closes, 20, x.number, x) for x in self.listings if not x.ended]
        return [due for due in (*lapsing, *closing) if due[0] <= self.now]

    def _lapse(self, award: Award) -> list[Said]:
        award.waits, award.lapsed = False, True
        return [("lapsed", award.seller, award.buyer)]

    def _close(self, listing: NaiveListing) -> list[Said]:
        won = allocation(listing.standing(), listing.wish.terms.lots)
        paid = prices(listing, won)
        listing.ended = True
        unsold = listing.part(listing.wish.terms.lots - sum(lots for _, lots in won))
        rows = [(bid.number, lots, price) for (bid, lots), price in zip(won, paid, strict=True)]
        return [("closed", listing.number, rows, unsold), *self._tell(listing, rows)]

    def _tell(self, listing: NaiveListing, rows: list[tuple[int, int, int]]) -> list[Said]:
        listing.told = True
        if not listing.standing():
            return []
        won = {number: (lots, price) for number, lots, price in rows}
        told: list[Said] = []
        made: list[Said] = []
        for bid in listing.standing():
            lots, price = won.get(bid.number, (0, bid.price))
            outcome = BidOutcome.WON if lots == bid.lots else BidOutcome.PARTIAL if lots else BidOutcome.LOST
            if self.now < listing.closes:
                outcome = BidOutcome.LISTING_WITHDRAWN
            told.append((bid.number, outcome, lots, price))
            if lots:
                made.append(self._award(listing, bid, lots, price))
        return [("told", told), *made]

    def _award(self, listing: NaiveListing, bid: NaiveBid, lots: int, price: int) -> Said:
        wish, waits = listing.wish, listing.wish.terms.needs_approval
        gate = wish.first_start_at - self.rules.gate_min * MINUTE
        until = min(self.now + self.rules.approval_min * MINUTE, gate) if waits else None
        award = Award(wish.party, bid.party, wish.first_start_at, listing.part(lots), price, until, waits)
        self.awards.append(award)
        who = award.seller, award.buyer, award.wh, price
        if not waits:
            return ("contract", *who)
        self.proposals.append(award)
        return ("proposed", len(self.proposals), *who, until)
