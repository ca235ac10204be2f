"""From a contract to what it came of, on real tables: a trade of an auction and a later one, an award, an offer."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from consumers.ports import Partition
from consumers.project import Projector
from domain.market.auctions import CALCULATOR
from infra.postgres.views import PostgresViews
from projections.explain_origins import origin_of
from projections.families import SQL_VIEWS, VIEWS
from schemas.envelope import FactMeta, Moment, Recorded
from schemas.market.auction_events import AuctionCalled
from schemas.market.enquiry_commands import AcceptOffers
from schemas.market.events import ContractConcluded, TradeMade
from tests.unit.given import Scenario, only
from tests.unit.market import test_auctions, test_enquiries, test_listings
from tests.unit.market.world import CENT, sell, submit

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEMA = "test_explain_origins"
KWH = 1000


def auctioned() -> Scenario:
    """The book of vector V-M3 at its auction, then one trade more."""
    market, facts = test_auctions.called(*test_auctions.V_M3, lot_wh=KWH)
    for part in test_auctions.proposals(facts):
        market.when(part, CALCULATOR)
    market.later(market.at)
    submit(market, sell("dan", 5, 8))
    return market


def listed() -> Scenario:
    """Ann's bid wins three of four lots."""
    market, listing = test_listings.offered()
    test_listings.bid(market, listing, "ann", 3, 12)
    market.later(test_listings.CLOSING)
    return market


def enquired() -> Scenario:
    """North's offer is the whole of what ann asks for."""
    market, enquiry = test_enquiries.asked()
    test_enquiries.offer(market, enquiry, "north", (4, 4, 4), 15)
    market.when(AcceptOffers(enquiry), "ann")
    return market


MARKETS = {"auction": auctioned(), "listing": listed(), "enquiry": enquired()}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def slates(postgres_dsn: str) -> AsyncIterator[PostgresViews]:
    store = PostgresViews(postgres_dsn, SCHEMA, [view for family in VIEWS.values() for view in family], SQL_VIEWS)
    await store.drop()
    await store.start()
    projector = Projector(VIEWS, (), store)
    for number, market in enumerate(MARKETS.values()):
        recorded = [
            Recorded("market", number, "m", FactMeta(seq, Moment(1, 1), "c", 0, "a", "c", None, 1), body)
            for seq, body in enumerate(market.facts)
        ]
        await projector.project({Partition("market", number): (recorded, len(recorded))})
    yield store
    await store.drop()
    await store.close()


def contract(name: str) -> Any:
    [found] = only(MARKETS[name].facts, ContractConcluded)
    return found


async def test_a_trade_of_an_auction_is_told_from_a_later_one_of_its_book(slates: PostgresViews) -> None:
    [called] = only(MARKETS["auction"].facts, AuctionCalled)
    *at_auction, later = only(MARKETS["auction"].facts, TradeMade)
    for trade in at_auction:
        node = await origin_of(slates, trade.trade)
        assert node.adds_up
        assert node.what == f"Auction {called.auction} traded it at one price with all that it filled."
        assert [child.title.split()[0] for child in node.children] == ["buy", "sell"]
    assert (await origin_of(slates, later.trade)).what.startswith("The sell order came last")


async def test_a_contract_of_a_listing_came_of_a_bid_that_won(slates: PostgresViews) -> None:
    node = await origin_of(slates, contract("listing").trade)
    assert node.adds_up
    assert node.title.startswith("award of listing")
    assert (node.figures["lots"], node.figures["of_lots"], node.figures["price_nano_per_kwh"]) == (3, 4, 12 * CENT)


async def test_a_contract_of_an_enquiry_came_of_an_offer(slates: PostgresViews) -> None:
    node = await origin_of(slates, contract("enquiry").trade)
    assert node.adds_up
    assert node.title.startswith("offer")
    assert (node.figures["asked_wh"], node.figures["taken_wh"]) == (12 * KWH, 12 * KWH)


async def test_what_no_slate_knows_does_not_hold(slates: PostgresViews) -> None:
    assert not (await origin_of(slates, "nothing")).adds_up
