"""Any day of listings: bids, awards, prices, notices and what is reserved are those of the naive market."""

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.market.commands import ApproveContract
from schemas.market.events import CommandRefused, ContractConcluded, ContractLapsed, ContractProposed
from schemas.market.listing_commands import OpenListing, PlaceBid, WithdrawBid, WithdrawListing
from schemas.market.listing_events import (
    BiddersNotified,
    BidPlaced,
    BidsDisplaced,
    BidWithdrawn,
    ListingClosed,
    ListingExtended,
    ListingFormat,
    ListingOpened,
    ListingTerms,
    WithdrawalReason,
)
from tests.unit.given import MINUTE
from tests.unit.market.naive_listings import NaiveListings, Rules, Said
from tests.unit.market.world import CENT, NOON, QUARTER, connection_of, joined, open_market
from tests.unit.written import rebuilt

PARTIES = ("sol", "ann", "bob", "cyd", "dan")
CREDIT = {"sol": 1_500_000, "ann": 900_000, "bob": 500_000, "cyd": 250_000, "dan": 10**7}
MOST_WH = 3_000
FIRST = NOON - 120 * MINUTE
BIDDING = [("bid", 16), ("open", 2), ("withdraw_bid", 1), ("withdraw", 0.3), ("approve", 1), ("wait", 2)]


class ListingDay:
    """The product and the naive listings side by side."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.market = open_market(at=FIRST, approval_deadline_min=20)
        for party in PARTIES:
            self.market.given(*joined(party, 4 * MOST_WH, CREDIT[party]))
        self.naive = NaiveListings(Rules(CENT // 10, 100, 50 * CENT, 5, 20), CREDIT, MOST_WH)
        self.naive.now = FIRST
        self.listings: dict[str, int] = {}
        self.bids: dict[str, int] = {}
        self.proposals: dict[str, int] = {}
        self.said: list[Said] = []

    def told(self, fact: Any) -> Said | None:  # noqa: PLR0911  (a table)
        match fact:
            case CommandRefused():
                return ("refused", fact.reason)
            case ListingOpened():
                self.listings[fact.listing] = len(self.listings) + 1
                return ("opened", self.listings[fact.listing])
            case BidPlaced():
                self.bids[fact.bid] = len(self.bids) + 1
                return ("bid", self.bids[fact.bid], fact.sequence, self.bids.get(fact.replaces or ""))
            case BidsDisplaced():
                return ("displaced", [self.bids[bid] for bid in fact.bids])
            case ListingExtended():
                return ("extended", fact.closes_at)
            case BidWithdrawn():
                return ("taken back", self.bids[fact.bid])
            case ListingClosed():
                winners = [self.bids[bid] for bid in fact.winners]
                won = list(zip(winners, fact.lots, fact.prices_nano_per_kwh, strict=True))
                return ("closed", self.listings[fact.listing], won, fact.unsold_wh)
            case BiddersNotified():
                rows = zip(fact.bids, fact.outcomes, fact.lots, fact.prices_nano_per_kwh, strict=True)
                return ("told", [(self.bids[bid], *rest) for bid, *rest in rows])
            case ContractProposed():
                number = self.proposals[fact.contract] = len(self.proposals) + 1
                what = fact.quantity_wh, fact.price_nano_per_kwh
                return ("proposed", number, fact.seller, fact.buyer, *what, fact.lapses_at)
            case ContractConcluded():
                return ("contract", fact.seller, fact.buyer, fact.quantity_wh, fact.price_nano_per_kwh)
            case ContractLapsed():
                return ("lapsed", fact.seller, fact.buyer)
            case _:
                return None

    # -- one wish of both --------------------------------------------------------------------------

    def wish(self, body: Any, actor: str, answer: list[Said]) -> None:
        self.hear(self.market.when(body, actor), answer, body)

    def hear(self, facts: list[Any], expected: list[Said], what: Any) -> None:
        found = [said for fact in facts if (said := self.told(fact)) is not None]
        assert found == expected, what
        self.said += found

    def wait(self, minutes: float | None = None) -> None:
        wished = self.draw.choice((1, 2, 3, 5)) if minutes is None else minutes
        at = self.market.at + int(wished * MINUTE)
        self.hear(self.market.later(at), self.naive.later(at), "time")

    def open(self) -> None:
        draw, at = self.draw, self.market.at
        form, lots = draw.choice(tuple(ListingFormat)), draw.randint(1, 4)
        rises, closes = form is ListingFormat.OPEN_ASCENDING, at + draw.choice((6, 6, 9, 9, 12, 15, 0, 200)) * MINUTE
        extension = draw.choice((0, 5, 8)) if rises else 0
        latest = closes + draw.choice((4, 8)) * MINUTE if extension else None
        terms = ListingTerms(
            form,
            draw.choice((0, 10, 10, 20)) * CENT,
            draw.choice((*[12_000] * 9, 2_000)),
            "any",
            lots,
            draw.random() < 0.3,
            CENT if rises else 0,
            extension,
            latest,
        )
        step = draw.choice((*[100] * 12, 50))
        row = tuple(draw.randint(1, 4) * lots * step for _ in range(draw.randint(1, 2)))
        start = NOON + draw.randrange(3) * QUARTER
        seller = draw.choice(("sol", "sol", "ann"))
        body = OpenListing(seller, connection_of(seller), start, row, closes, terms)
        self.wish(body, seller, self.naive.open(body))

    def one(self, known: dict[str, int]) -> tuple[str, int]:
        """Mostly one of the last."""
        rows = list(known.items())[-3:]
        return self.draw.choice(rows) if rows and self.draw.random() < 0.95 else ("none", 0)

    def bid(self) -> None:
        if all(listing.ended for listing in self.naive.listings) and self.draw.random() < 0.9:
            self.open()
        draw, (name, number) = self.draw, self.one(self.listings)
        party = draw.choice(PARTIES)
        listing = self.naive.find(number)
        most = listing.wish.terms.lots if listing else 1
        lots, least = draw.choice((1, 1, most, most, 3, 0)), draw.choice((0, 0, 1, 2))
        price = draw.choice((9, 10, 11, 12, 13, 14, 20, 22)) * CENT + draw.choice((0, 0, 0, 0, 1))
        body = PlaceBid(name, party, connection_of(party), lots, least, price)
        actor = draw.choice((*[party] * 9, "bob"))
        self.wish(body, actor, self.naive.bid(number, body, actor))

    def withdraw_bid(self) -> None:
        bid, bid_number = self.one(self.bids)
        number = next((x.number for x in self.naive.listings if any(b.number == bid_number for b in x.bids)), 0)
        name = next((name for name, at in self.listings.items() if at == number), "none")
        owner = next((b.party for x in self.naive.listings for b in x.bids if b.number == bid_number), "ann")
        actor = self.draw.choice((owner, owner, owner, "cyd"))
        self.wish(WithdrawBid(name, bid), actor, self.naive.withdraw_bid(number, bid_number, actor))

    def withdraw(self) -> None:
        name, number = self.one(self.listings)
        listing = self.naive.find(number)
        cause = self.draw.choice((None, WithdrawalReason.OUTAGE))
        actor = self.draw.choice((listing.wish.party if listing else "sol",) * 4 + ("bob",))
        self.wish(WithdrawListing(name, cause), actor, self.naive.withdraw(number, cause, actor))

    def approve(self) -> None:
        name, number = self.one(self.proposals)
        buyer = self.naive.proposals[number - 1].buyer if number else "ann"
        actor = self.draw.choice((buyer, buyer, buyer, "sol"))
        self.wish(ApproveContract(name), actor, self.naive.approve(number, actor))

    def holds(self) -> None:
        """What is reserved of credit and capability is what stands."""
        self.wait(0)
        for party in PARTIES:
            assert self.market.state.accounts[party].exposure_pico == self.naive.exposure(party)
            for n in range(4):
                used = self.market.state.slots[NOON + n * QUARTER].used_wh.get(connection_of(party), 0)
                assert used == self.naive.sold(party, NOON + n * QUARTER) <= MOST_WH


def listing_day(seed: int, steps: int = 60) -> ListingDay:
    day = ListingDay(random.Random(seed))
    for _ in range(steps):
        (name,) = day.draw.choices([name for name, _ in BIDDING], [weight for _, weight in BIDDING])
        getattr(day, name)()
        day.holds()
    day.wait((NOON - day.market.at) / MINUTE)
    day.holds()
    return day


@settings(max_examples=60)
@given(st.integers(0, 2**32))
def test_a_day_of_listings_is_that_of_the_oracle(seed: int) -> None:
    day = listing_day(seed)
    assert rebuilt(day.market) == day.market.state


def test_enough_is_awarded_on_such_days() -> None:
    """All formats, awards in part, extensions and displaced bids."""
    said = [what for seed in range(20) for what in listing_day(seed).said]
    names = {what[0] for what in said}
    assert names >= {"opened", "bid", "displaced", "extended", "taken back", "closed", "told", "proposed", "lapsed"}
    outcomes = {row[1].value for what in said if what[0] == "told" for row in what[1]}
    assert outcomes == {"won", "partial", "lost", "listing_withdrawn"}
