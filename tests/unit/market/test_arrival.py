"""The order of arrival matters only through the sequence: of different prices any order of arrival gives the same."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.market.auctions import CALCULATOR
from schemas.market.enquiry_commands import AcceptOffers, CombineOffers, OfferEnergy, OpenEnquiry
from schemas.market.enquiry_events import EnquiryOpened, OfferAccepted
from schemas.market.events import TradeMade
from schemas.market.listing_commands import OpenListing, PlaceBid
from schemas.market.listing_events import BiddersNotified, ListingFormat, ListingOpened, ListingTerms
from tests.unit.given import MINUTE, only
from tests.unit.market.test_auctions import CALL_END, calling, proposals
from tests.unit.market.world import CENT, NOON, NOW, buy, connection_of, open_market, sell, submit

PARTIES = ("bob", "cyd", "dan", "eve", "fay")
Arriving = list[tuple[int, str]]
"""(place of the price, party), in the order of arrival."""

arrivals = st.permutations(list(enumerate(PARTIES)))


def called(arriving: Arriving, apart: int) -> list[Any]:
    """What each sold and bought in a call, and at which price."""
    market = calling("ann", *PARTIES)
    for n, party in arriving:
        how = sell if n % 2 else buy
        submit(market, how(party, 1 + n, 10 + apart * (n if n % 2 else -n)))
    submit(market, buy("ann", 4, 16))
    for part in proposals(market.later(CALL_END)):
        market.when(part, CALCULATOR)
    made = only(market.facts + market.later(market.at), TradeMade)
    sides = {(party, t.price_nano_per_kwh): 0 for t in made for party in (t.buyer, t.seller)}
    for t in made:
        sides[t.buyer, t.price_nano_per_kwh] += t.quantity_wh
        sides[t.seller, t.price_nano_per_kwh] -= t.quantity_wh
    return sorted(sides.items())


def awarded(arriving: Arriving, apart: int) -> list[Any]:
    """What each bidder of a sealed listing has, and what it pays."""
    market = open_market("ann", *PARTIES)
    terms = ListingTerms(ListingFormat.SEALED_SECOND_PRICE, CENT, 40_000, "any", 6)
    market.when(OpenListing("ann", "ann-cp", NOON, (6_000,), NOW + 30 * MINUTE, terms), "ann")
    [opened] = only(market.facts, ListingOpened)
    for n, party in arriving:
        price = (10 + apart * n) * CENT
        market.when(PlaceBid(opened.listing, party, connection_of(party), 1 + n % 3, 0, price), party)
    [told] = only(market.later(NOW + 30 * MINUTE), BiddersNotified)
    return sorted(zip(told.bidders, told.lots, told.prices_nano_per_kwh, strict=True))


def combined(arriving: Arriving, apart: int) -> list[Any]:
    """What is taken of each offer to an enquiry."""
    market = open_market("ann", *PARTIES)
    asked = OpenEnquiry("ann", "ann-cp", NOON, (6_000, 3_000), 0, 0, 50 * CENT, NOW + 30 * MINUTE, (), False)
    market.when(asked, "ann")
    [opened] = only(market.facts, EnquiryOpened)
    for n, party in arriving:
        row = (1_000 * (1 + n % 3), 500)
        market.when(OfferEnergy(opened.enquiry, party, connection_of(party), row, (10 + apart * n) * CENT), party)
    for wish in (CombineOffers(opened.enquiry), AcceptOffers(opened.enquiry)):
        market.when(wish, "ann")
    return sorted((f.seller, f.quantity_wh, f.price_nano_per_kwh) for f in only(market.facts, OfferAccepted))


@pytest.mark.parametrize("how", [called, awarded, combined])
@given(first=arrivals, other=arrivals)
@settings(max_examples=15)
def test_of_different_prices_any_order_of_arrival_gives_the_same(
    how: Callable[[Arriving, int], list[Any]], first: Arriving, other: Arriving
) -> None:
    assert how(first, 1) == how(other, 1) != []


@pytest.mark.parametrize("how", [awarded, combined])
def test_of_one_price_the_sequence_decides(how: Callable[[Arriving, int], list[Any]]) -> None:
    row = list(enumerate(PARTIES))
    assert how(row, 0) != how(row[::-1], 0)
    assert how(row, 1) == how(row[::-1], 1)
