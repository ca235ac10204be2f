"""While a book waits for the result of its auction nothing leaves it: what was to leave goes when the auction ends."""

from typing import Any

import pytest

from domain.market.auctions import CALCULATOR
from schemas.equipment import EnergyCarrier, Equipment
from schemas.market.auction_events import AuctionEnded
from schemas.market.commands import RecordCapability, RecordCredit
from schemas.market.credit_events import DefaultSettled, ParticipantDefaulted
from schemas.market.events import OrdersCancelled, OrderTerms, TradeMade
from schemas.market.product_commands import RegisterProduct, RetireProduct, VerifyProduct
from schemas.market.product_events import ProductMember, ProductRetired, ProductTerms
from schemas.market.reasons import CancelReason
from schemas.market.rules import CreditRules
from schemas.market.session_events import SessionAuctionEnded
from schemas.values import ResourceType
from tests.unit.given import MINUTE, Scenario, only
from tests.unit.market.session_world import CALLED, cleared, collecting
from tests.unit.market.test_auctions import CALL, proposals
from tests.unit.market.world import CENT, KWH, NOON, OPERATOR, POLICY, buy, open_market, sell, submit

MARGIN = CreditRules(0, 0, 5, 60 * CENT, 0)
ROOF = ProductTerms(
    members=(ProductMember("bob-cp", "bob-pv"),),
    zone="z",
    carrier=EnergyCarrier.SOLAR,
    characteristics=(),
    electrical=None,
    max_power_w=400_000,
    capacity_wh=0,
    schedule_from_at=0,
    schedule_wh=(),
    availability_ppm=900_000,
    quality_class=1,
    lowest_price_nano_per_kwh=0,
    bids_until_at=NOON,
)


def single() -> Scenario:
    """One book that is called by itself."""
    return open_market("ann", "bob", intervals=1, auction=CALL, credit=MARGIN)


def whole() -> Scenario:
    """One book that is called with its session."""
    return collecting("ann", "bob", intervals=1, credit=MARGIN)


def result(market: Scenario, facts: list[Any]) -> list[Any]:
    """What the result of either auction brings about."""
    if market.state.session_auctions.known:
        return cleared(market, facts)
    return [f for part in proposals(facts) for f in market.when(part, CALCULATOR)] + market.later(market.at)


def behind(facts: list[Any]) -> list[Any]:
    """What comes after the auction's end."""
    end = next(n for n, fact in enumerate(facts) if type(fact) in (AuctionEnded, SessionAuctionEnded))
    assert only(facts[:end], OrdersCancelled) == []
    return facts[end + 1 :]


@pytest.mark.parametrize("opened", [single, whole])
def test_a_product_that_ends_waits_with_its_orders(opened: Any) -> None:
    market = opened()
    gear = (Equipment("bob-pv", ResourceType.GENERATION, 400_000, EnergyCarrier.SOLAR, (), None, None),)
    market.when(RecordCapability("bob-cp", "bob", 400_000, ("bob-pv",), "z", equipment=gear), POLICY)
    market.when(RegisterProduct("roof", ROOF), "bob")
    market.when(VerifyProduct("roof", 1), OPERATOR)
    for cents in (10, 90):
        submit(market, sell("bob", 5, cents, terms=OrderTerms(product="roof")))
    submit(market, buy("ann", 5, 20))
    facts = market.later(CALLED)
    told = market.when(RetireProduct("roof"), "bob") + market.later(CALLED + MINUTE)
    assert [type(fact) for fact in told] == [ProductRetired]
    facts = result(market, facts)
    assert [trade.seller for trade in only(facts, TradeMade)] == ["bob"]
    [gone] = only(behind(facts), OrdersCancelled)
    assert (gone.reason, gone.rests_wh) == (CancelReason.PRODUCT_ENDED, (5 * KWH,))


@pytest.mark.parametrize("opened", [single, whole])
def test_a_default_waits_with_its_orders(opened: Any) -> None:
    market = opened()
    for wish in (buy("ann", 5, 20), buy("ann", 1, 1), sell("bob", 5, 10)):
        submit(market, wish)
    facts = market.later(CALLED)
    market.when(RecordCredit(OPERATOR, "ann", "EUR", 0), POLICY)
    market.later(market.at)
    told = market.later(CALLED + 5 * MINUTE)
    assert type(told[-1]) is ParticipantDefaulted
    facts = result(market, facts)
    assert [trade.buyer for trade in only(facts, TradeMade)] == ["ann"]
    [gone] = only(behind(facts), OrdersCancelled)
    assert (gone.reason, gone.rests_wh) == (CancelReason.DEFAULT, (KWH,))
    assert len(only(behind(facts), DefaultSettled)) == 1
