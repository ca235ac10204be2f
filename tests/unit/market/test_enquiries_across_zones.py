"""Enquiries that sellers of several zones serve: the lines carry what is offered, and each zone settles its own end."""

from typing import Any

import pytest

from schemas.market.enquiry_commands import AcceptOffers, OfferEnergy, OpenEnquiry, RejectOffers, WithdrawOffer
from schemas.market.enquiry_events import OfferMade, OffersCombined
from schemas.market.events import CapabilityRecorded, CommandRefused, ContractConcluded, TradeMade
from schemas.market.phase_commands import PublishLineCapacity
from schemas.market.reasons import MarketRefusal
from schemas.market.rules import Line, NegotiationRules, NetworkRules
from schemas.values import DeliveryMode
from tests.unit.given import MINUTE, Scenario, only
from tests.unit.market.world import CENT, MARKET, NOON, NOW, OPERATOR, buy, open_market, sell, submit

KWH = 1000
LINE = "y-z"
CLOSING = NOW + 30 * MINUTE


def asked(capacity_wh: int = 3 * KWH) -> tuple[Scenario, str]:
    """Ann and dan in z, bob in y, cyd where no line goes; ann asks for 4 kWh in each of two quarter-hours."""
    network = NetworkRules(("y", "x"), (Line(LINE, "y", "z"),))
    market = open_market("ann", "bob", "cyd", "dan", network=network, negotiation=NegotiationRules(20, 1, 0))
    for party, zone in (("bob", "y"), ("cyd", "x")):
        market.given(CapabilityRecorded(MARKET, f"{party}-cp", party, 400_000, (f"{party}-pv",), zone))
    capacity_w = (4 * capacity_wh,) * 4
    market.when(PublishLineCapacity(LINE, NOON, capacity_w, capacity_w), OPERATOR)
    wish = OpenEnquiry("ann", "ann-cp", NOON, (4 * KWH,) * 2, 0, 0, 20 * CENT, CLOSING, (), False)
    [opened] = market.when(wish, "ann")
    return market, opened.enquiry


def offer(market: Scenario, enquiry: str, party: str, kwh: int, cents: int) -> list[Any]:
    return market.when(OfferEnergy(enquiry, party, f"{party}-cp", (kwh * KWH,) * 2, cents * CENT), party)


def flows(market: Scenario) -> list[int]:
    slots = market.state.slots
    return [slots[start].flow_wh.get(LINE, 0) for start in sorted(slots)]


def test_sellers_of_two_zones_serve_it_with_a_contract_in_each() -> None:
    """Bob's contract is of both zones and firm; of the line only what is taken of his offer stays in use."""
    market, enquiry = asked()
    offer(market, enquiry, "bob", 3, 12)
    assert flows(market) == [3 * KWH, 3 * KWH, 0, 0]
    [_, combined] = offer(market, enquiry, "dan", 2, 10)
    assert isinstance(combined, OffersCombined)
    assert combined.sellers == ("dan", "bob")
    contracts = only(market.when(AcceptOffers(enquiry), "ann"), ContractConcluded)
    assert [(c.seller, c.zone, c.buyer_zone, c.quantity_wh, c.delivery_mode) for c in contracts] == [
        ("dan", "z", None, (2 * KWH,) * 2, DeliveryMode.FIRM),
        ("bob", "y", "z", (2 * KWH,) * 2, DeliveryMode.FIRM),
    ]
    assert flows(market) == [2 * KWH, 2 * KWH, 0, 0]


@pytest.mark.parametrize(
    ("party", "kwh", "reason"),
    [("bob", 4, MarketRefusal.LINE_EXCEEDED), ("cyd", 1, MarketRefusal.WRONG_ZONE)],
)
def test_no_more_is_offered_than_lines_carry_and_nothing_from_where_none_goes(
    party: str, kwh: int, reason: MarketRefusal
) -> None:
    market, enquiry = asked()
    before = repr(market.state)
    [refused] = only(offer(market, enquiry, party, kwh, 12), CommandRefused)
    assert refused.reason is reason
    assert repr(market.state) == before


def test_what_trades_left_of_the_line_is_the_limit() -> None:
    market, enquiry = asked()
    submit(market, sell("bob", 1, 10))
    submit(market, buy("ann", 1, 10))
    [refused] = only(offer(market, enquiry, "bob", 3, 12), CommandRefused)
    assert (refused.reason, refused.limit, refused.found) == (MarketRefusal.LINE_EXCEEDED, 3 * KWH, 4 * KWH)


@pytest.mark.parametrize("ends", ["withdrawn", "rejected"])
def test_an_offer_that_ends_gives_the_line_back_and_who_waits_is_served(ends: str) -> None:
    market, enquiry = asked()
    [made] = only(offer(market, enquiry, "bob", 3, 12), OfferMade)
    submit(market, sell("bob", 2, 9))
    assert only(submit(market, buy("ann", 2, 9)), TradeMade) == []
    if ends == "withdrawn":
        market.when(WithdrawOffer(enquiry, made.offer), "bob")
    else:
        market.when(RejectOffers(enquiry), "ann")
    market.later(market.at + 1)
    assert [(t.seller, t.quantity_wh) for t in only(market.facts, TradeMade)] == [("bob", 2 * KWH)]
    assert flows(market) == [2 * KWH, 0, 0, 0]
