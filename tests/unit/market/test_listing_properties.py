"""Any sequence of wishes about listings and enquiries: what is reserved is what the facts say, and ends with them."""

from collections import defaultdict
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.market.commands import SettleDelivery
from schemas.market.enquiry_commands import (
    AcceptOffers,
    CombineOffers,
    CounterOffers,
    OfferEnergy,
    OpenEnquiry,
    RejectOffers,
    ReviseOffer,
    WithdrawOffer,
)
from schemas.market.enquiry_events import (
    EnquiryClosed,
    EnquiryOpened,
    OfferAccepted,
    OfferMade,
    OfferRevised,
    OfferWithdrawn,
)
from schemas.market.events import ContractConcluded, ContractLapsed, ContractProposed, DeliverySettled
from schemas.market.listing_commands import OpenListing, PlaceBid, WithdrawBid, WithdrawListing
from schemas.market.listing_events import (
    BiddersNotified,
    BidPlaced,
    BidsDisplaced,
    BidWithdrawn,
    ListingClosed,
    ListingFormat,
    ListingOpened,
    ListingTerms,
    WithdrawalReason,
)
from schemas.market.rules import NegotiationRules
from schemas.values import MINUTE_US
from tests.unit.given import Scenario, only
from tests.unit.market.world import CENT, MARKET, NOON, POLICY, QUARTER, connection_of, joined, open_market

PARTIES = ("ann", "bob", "cyd")
STARTS = [NOON + n * QUARTER for n in range(3)]
END = NOON + 3 * QUARTER
ASSUMED = 50 * CENT
Claims = list[tuple[str, int, tuple[int, ...], int, int]]
"""(party, first start, Wh per interval, what a Wh counts, sign of what the party's connection sells)."""

parties, numbers = st.sampled_from(PARTIES), st.integers(0, 4)
steps = st.lists(
    st.tuples(st.sampled_from("LBBBBBBbwEOOOOoCCAAAKKRRXt"), parties, numbers, st.integers(1, 4), st.integers(8, 30)),
    min_size=20,
    max_size=50,
)


def claims(facts: list[Any]) -> Claims:  # noqa: PLR0912  (one case for each fact)
    """What everybody has reserved or contracted after these facts, told anew from the first one."""
    held: dict[str, Claims] = {}
    opened: dict[str, Any] = {}
    bids: dict[str, Any] = {}
    for fact in facts:
        match fact:
            case ListingOpened():
                opened[fact.listing] = fact
                held[fact.listing] = [_sale(fact.seller, fact.first_start_at, fact.quantity_wh, _reserve(fact))]
            case BidPlaced():
                held.pop(fact.replaces or "", None)
                bids[fact.bid] = fact
                held[fact.bid] = [_bid(opened[fact.listing], fact)]
            case BidWithdrawn():
                del held[fact.bid]
            case BidsDisplaced():
                for bid in fact.bids:
                    del held[bid]
            case ListingClosed():
                listing = opened[fact.listing]
                sold = tuple(a - b for a, b in zip(listing.quantity_wh, fact.unsold_wh, strict=True))
                held[fact.listing] = [_sale(listing.seller, listing.first_start_at, sold, _reserve(listing))]
            case BiddersNotified():
                listing = opened[fact.listing]
                for bid, lots in zip(fact.bids, fact.lots, strict=True):
                    del held[bid]
                    part = tuple(-wh // listing.terms.lots * lots for wh in listing.quantity_wh)
                    held[fact.listing].append(_sale(listing.seller, listing.first_start_at, part, _reserve(listing)))
            case EnquiryOpened():
                opened[fact.enquiry] = fact
            case OfferMade():
                opened[fact.offer] = fact
                start = opened[fact.enquiry].first_start_at
                held[fact.offer] = [_sale(fact.seller, start, fact.quantity_wh, fact.price_nano_per_kwh)]
            case OfferRevised():
                made, start = opened[fact.offer], opened[fact.enquiry].first_start_at
                held[fact.offer] = [_sale(fact.seller, start, made.quantity_wh, fact.price_nano_per_kwh)]
            case OfferWithdrawn() | OfferAccepted():
                del held[fact.offer]
            case EnquiryClosed():
                for offer in fact.offers:
                    del held[offer]
            case ContractProposed():
                what = fact.first_start_at, fact.quantity_wh
                held[fact.contract] = [
                    _sale(fact.seller, *what, fact.price_nano_per_kwh),
                    (fact.buyer, *what, fact.price_nano_per_kwh, 0),
                ]
            case ContractLapsed():
                del held[fact.contract]
            case ContractConcluded():
                what, price = (fact.first_start_at, fact.quantity_wh), fact.price_nano_per_kwh
                held[fact.contract] = [_sale(fact.seller, *what, price), (fact.buyer, *what, price, -1)]
            case _:
                pass
    return [claim for found in held.values() for claim in found]


def _reserve(listing: ListingOpened) -> int:
    return listing.terms.reserve_price_nano_per_kwh


def _sale(party: str, start: int, wh: tuple[int, ...], price: int) -> tuple[str, int, tuple[int, ...], int, int]:
    return party, start, wh, max(0, ASSUMED - price), 1


def _bid(listing: ListingOpened, bid: BidPlaced) -> tuple[str, int, tuple[int, ...], int, int]:
    wh = tuple(wh // listing.terms.lots * bid.lots for wh in listing.quantity_wh)
    return bid.bidder, listing.first_start_at, wh, bid.price_nano_per_kwh, 0


def hold_the_promises(market: Scenario) -> None:
    """Credit and capability are those of the facts; no listing sells more than its schedule."""
    exposure: dict[str, int] = defaultdict(int)
    used: dict[tuple[str, int], int] = defaultdict(int)
    for party, start, quantity_wh, pico, sign in claims(market.facts):
        for n, wh in enumerate(quantity_wh):
            exposure[party] += wh * pico
            used[connection_of(party), start + n * QUARTER] += sign * wh
    for party in PARTIES:
        assert market.state.accounts[party].exposure_pico == exposure[party]
        for start in STARTS:
            found = market.state.slots[start].used_wh.get(connection_of(party), 0)
            assert found == used[connection_of(party), start] <= 4000
    opened = {f.listing: f for f in only(market.facts, ListingOpened)}
    for closed in only(market.facts, ListingClosed):
        lots = opened[closed.listing].terms.lots
        assert sum(closed.lots) <= lots
        left = tuple(wh // lots * (lots - sum(closed.lots)) for wh in opened[closed.listing].quantity_wh)
        assert closed.unsold_wh == left


def say(market: Scenario, kind: str, party: str, which: int, lots: int, cents: int) -> None:
    """One wish about something that there is, lawful or not."""
    listings = [f.listing for f in only(market.facts, ListingOpened)] or ["none"]
    enquiries = [f.enquiry for f in only(market.facts, EnquiryOpened)] or ["none"]
    bids = only(market.facts, BidPlaced)
    offers = only(market.facts, OfferMade)
    listing, enquiry, price = (
        listings[-1 - which // 4 % len(listings)],
        enquiries[-1 - which // 4 % len(enquiries)],
        cents * CENT,
    )
    at = market.at + 5 * MINUTE_US
    buyer = next((f.enquirer for f in only(market.facts, EnquiryOpened) if f.enquiry == enquiry), party)
    match kind:
        case "L":
            mode = list(ListingFormat)[which % 3]
            rises = CENT if mode is ListingFormat.OPEN_ASCENDING else 0
            terms = ListingTerms(mode, 10 * CENT, 40_000, "any", lots, which == 4, rises)
            wish: Any = OpenListing(party, connection_of(party), STARTS[which % 2], (1200, 600 * lots), at, terms)
        case "B":
            wish = PlaceBid(listing, party, connection_of(party), lots, which % 3, price)
        case "b":
            bid = bids[-1 - which % len(bids)] if bids else None
            wish = WithdrawBid(bid.listing if bid else "none", bid.bid if bid else "none")
            party = bid.bidder if bid else party
        case "w":
            wish = WithdrawListing(listing, WithdrawalReason.OUTAGE if which else None)
            party = next((f.seller for f in only(market.facts, ListingOpened) if f.listing == listing), party)
        case "E":
            asked = (500 * lots, 1000)
            wish = OpenEnquiry(party, connection_of(party), STARTS[which % 2], asked, 0, 0, price, at, (), which > 2)
        case "O":
            party = next(other for other in (party, *PARTIES) if other != buyer)
            wish = OfferEnergy(enquiry, party, connection_of(party), (500 * (lots - 1), 500 * (which % 3)), price)
        case "o" | "R":
            offer = offers[-1 - which % len(offers)] if offers else None
            name, of = (offer.offer, offer.enquiry) if offer else ("none", "none")
            wish = WithdrawOffer(of, name) if kind == "o" else ReviseOffer(of, name, price)
            party = offer.seller if offer else party
        case "t":
            market.later(market.at + which * MINUTE_US)
            return
        case _:
            wish = {
                "C": CombineOffers(enquiry),
                "A": AcceptOffers(enquiry),
                "K": CounterOffers(enquiry, price),
                "X": RejectOffers(enquiry),
            }[kind]
            party = buyer
    market.when(wish, party)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=steps)
def test_reserves_are_those_of_the_facts_and_end_with_them(steps: list[Any]) -> None:
    market = open_market(intervals=3, negotiation=NegotiationRules(5, 2, 1))
    for party in PARTIES:
        market.given(*joined(party, 16_000, 3_000_000))
    for step in steps:
        say(market, *step)
        hold_the_promises(market)
    market.later(NOON)
    hold_the_promises(market)
    market.later(END)
    [settled] = only(market.when(SettleDelivery(NOON, END), POLICY), DeliverySettled)
    assert settled.market == MARKET
    assert {account.exposure_pico for account in market.state.accounts.values()} == {0}
