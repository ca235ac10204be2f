"""Who is in default enters nothing new, and all that the party had ends: every wish of every stream."""

from typing import Any

import pytest

from domain.market import decider
from schemas.envelope import Command, CommandMeta
from schemas.market.commands import (
    AmendOrder,
    ApproveContract,
    CancelOrder,
    CancelOrders,
)
from schemas.market.contract_commands import (
    AgreeRevision,
    AssignContract,
    ProposeCancellation,
    ProposeChange,
    RefuseRevision,
    WithdrawContract,
)
from schemas.market.contract_events import RevisionEnded
from schemas.market.credit_events import DefaultSettled, MarginCalled, ParticipantDefaulted, PositionClosed
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
    CounterOfferMade,
    EnquiryClosed,
    EnquiryEnd,
    OfferMade,
    OffersCombined,
    OfferWithdrawn,
)
from schemas.market.events import (
    CapabilityRecorded,
    CommandRefused,
    ContractLapsed,
    CreditRecorded,
    OrdersCancelled,
    Restriction,
    TradeMade,
)
from schemas.market.information_commands import AcknowledgeNotifications
from schemas.market.listing_commands import OpenListing, PlaceBid, WithdrawBid, WithdrawListing
from schemas.market.listing_events import BidWithdrawn, ListingClosed, ListingFormat, ListingTerms
from schemas.market.mandate_commands import GrantMandate, PauseMandate, RecordForecast, ResumeMandate, RevokeMandate
from schemas.market.mandate_events import MandateRevoked, MandateTerms
from schemas.market.negotiation_commands import RejectContract
from schemas.market.outlet_commands import (
    ApproveOutlet,
    NominateOutlet,
    ProposeOutlet,
    RecordExternalTrade,
    RefuseOutlet,
)
from schemas.market.outlet_events import OutletKind
from schemas.market.package_commands import CancelBlock, SubmitBasket, SubmitBlock
from schemas.market.package_events import BasketOrder, BlocksCancelled
from schemas.market.product_commands import (
    AmendProduct,
    RegisterProduct,
    ResumeProduct,
    RetireProduct,
    SuspendProduct,
)
from schemas.market.reasons import MarketRefusal
from schemas.market.rules import CreditRules, NegotiationRules
from schemas.market.session_commands import CancelCallBlock, SubmitCallBlock
from schemas.market.session_events import CallBlocksEnded
from schemas.values import Side
from tests.unit.given import MINUTE, Scenario, only
from tests.unit.market.offered import ROOF, terms
from tests.unit.market.session_world import buys, called, cleared, collecting, said, sells
from tests.unit.market.world import (
    CENT,
    KWH,
    MARKET,
    NOON,
    NOW,
    QUARTER,
    open_market,
    proposal,
    sell,
    submit,
)
from tests.unit.written import rebuilt

CLOSING = NOW + 50 * MINUTE
SEALED = ListingTerms(ListingFormat.SEALED_FIRST_PRICE, 10 * CENT, 40_000, "solar", lots=1)


def ask(party: str, closes_at: int) -> OpenEnquiry:
    return OpenEnquiry(party, f"{party}-cp", NOON, (2 * KWH,), 0, 0, 90 * CENT, closes_at, (), False)


def everything() -> tuple[Scenario, dict[str, str]]:
    """Bob takes part in everything that there is; the names of all that he has."""
    market = open_market("ann", "bob", "cyd", credit=CreditRules(0, 0, 10, 25 * CENT, 0),
                         negotiation=NegotiationRules(40, 2, 1000))  # fmt: skip
    market.given(CapabilityRecorded(MARKET, "bob-cp", "bob", 400_000, ("pv",), "z", equipment=(ROOF,)))
    for more in ("bob-2", "bob-3"):
        market.given(CapabilityRecorded(MARKET, more, "bob", 400_000, ("more",), "z"))
    n: dict[str, str] = {}
    n["traded"] = market.when(proposal(), "bob")[0].contract
    market.when(ApproveContract(n["traded"]), "ann")
    n["revised"] = market.when(proposal(), "bob")[0].contract
    market.when(ApproveContract(n["revised"]), "ann")
    n["revision"] = market.when(ProposeCancellation(n["revised"], 1), "ann")[0].revision
    n["proposal"] = market.when(proposal(), "ann")[0].contract
    n["order"] = submit(market, sell("bob", 1, 90))[0].order
    n["block"] = market.when(a_block("bob"), "bob")[0].block
    listing = OpenListing("bob", "bob-cp", NOON, (KWH,), CLOSING, SEALED)
    n["listing"] = market.when(listing, "bob")[0].listing
    n["other"] = market.when(OpenListing("cyd", "cyd-cp", NOON, (KWH,), CLOSING, SEALED), "cyd")[0].listing
    n["bid"] = market.when(PlaceBid(n["other"], "bob", "bob-cp", 1, 0, 11 * CENT), "bob")[0].bid
    for name in ("enquiry", "tabled"):
        n[name] = market.when(ask("bob", CLOSING), "bob")[0].enquiry
        market.when(OfferEnergy(n[name], "cyd", "cyd-cp", (KWH,), 90 * CENT), "cyd")
    for name in ("asked", "short", "countered"):
        n[name] = market.when(ask("ann", CLOSING), "ann")[0].enquiry
        offers = market.when(OfferEnergy(n[name], "bob", "bob-cp", (KWH,), 80 * CENT), "bob")
        n[f"{name} offer"] = only(offers, OfferMade)[0].offer
        if name != "asked":
            market.when(OfferEnergy(n[name], "cyd", "cyd-cp", (KWH,), 70 * CENT), "cyd")
    market.when(CombineOffers(n["tabled"]), "bob")
    market.when(CounterOffers(n["countered"], 69 * CENT), "ann")
    paused = MandateTerms(None, 95 * CENT, 0, 0, agent="agent")
    n["mandate"] = market.when(GrantMandate("bob", "bob-cp", paused), "bob")[0].mandate
    market.when(RecordForecast(n["mandate"], NOON, (KWH,), 1), "agent")
    n["paused"] = market.when(GrantMandate("bob", "bob-2", paused), "bob")[0].mandate
    market.when(PauseMandate(n["paused"]), "bob")
    market.when(RegisterProduct("roof", terms()), "bob")
    market.when(SuspendProduct("roof"), "bob")
    outlet = ProposeOutlet(
        OutletKind.UTILITY_FEED_IN, "cyd", "bob", ("cyd-cp",), NOON, NOON + QUARTER, "day", 0, 1_000_000
    )
    n["outlet"] = market.when(outlet, "cyd")[0].outlet
    return market, n


def a_block(party: str) -> SubmitBlock:
    return SubmitBlock(party, f"{party}-cp", Side.SELL, NOON, 2, 15, KWH, 90 * CENT, Restriction.AON, None)


def wishes(n: dict[str, str]) -> list[Any]:
    """Everything that bob could still wish to enter, agree to or change, one of each kind."""
    return [
        sell("bob", 1, 90),
        AmendOrder(n["order"], 500, 90 * CENT, None),
        SubmitBasket("bob", (BasketOrder("bob-cp", NOON, 15, Side.BUY, KWH, CENT),)),
        a_block("bob"),
        proposal(),
        ApproveContract(n["proposal"]),
        ProposeChange(n["traded"], 1, (KWH, KWH), 20 * CENT),
        ProposeCancellation(n["traded"], 1),
        AssignContract(n["traded"], 1, "cyd", "cyd-cp"),
        WithdrawContract(n["traded"], 1),
        AgreeRevision(n["revised"], n["revision"]),
        OpenListing("bob", "bob-cp", NOON, (KWH,), CLOSING, SEALED),
        PlaceBid(n["other"], "bob", "bob-cp", 1, 0, 12 * CENT),
        ask("bob", CLOSING),
        OfferEnergy(n["asked"], "bob", "bob-cp", (KWH,), 80 * CENT),
        CombineOffers(n["enquiry"]),
        AcceptOffers(n["tabled"]),
        CounterOffers(n["tabled"], 60 * CENT),
        ReviseOffer(n["countered"], n["countered offer"], 60 * CENT),
        GrantMandate("bob", "bob-3", MandateTerms(None, 95 * CENT, 0, 0)),
        RecordForecast(n["mandate"], NOON, (2 * KWH,), 2),
        ResumeMandate(n["paused"]),
        RegisterProduct("shed", terms()),
        AmendProduct("roof", terms(max_power_w=5_000, schedule_wh=())),
        ResumeProduct("roof"),
        ProposeOutlet(OutletKind.UTILITY_FEED_IN, "bob", "cyd", ("bob-2",), NOON, NOON + QUARTER, "day", 0, 1_000_000),
        ApproveOutlet(n["outlet"]),
        AcknowledgeNotifications("bob", 0, 1),
    ]


GIVES_BACK = {
    CancelOrder, CancelOrders, CancelBlock, RejectContract, RefuseRevision, WithdrawBid, WithdrawListing, WithdrawOffer,
    RejectOffers, PauseMandate, RevokeMandate, SuspendProduct, RetireProduct, RefuseOutlet, CancelCallBlock,
}  # fmt: skip
"""Whoever gives back what is theirs may do so."""

TELLS = {NominateOutlet, RecordExternalTrade}
"""The off-taker tells of what an agreed outlet led to."""


OTHERS = {
    "AdoptRuleSet", "OpenSession", "SuspendTrading", "ResumeTrading", "PublishLineCapacity", "CancelTrade",
    "VerifyProduct", "ReinstateParticipant", "AdmitParticipant", "RecordCredit", "RecordCapability", "LowerCapability",
    "SettleDelivery", "ProposeClearing", "ReportSuspicion", "ProposeCallBlocks", "ProposeSessionBook",
}  # fmt: skip
"""What the operator, policies and calculations wish."""

COLLECTED = {SubmitCallBlock}
"""What only a session takes that is opened by one auction, see below."""


def in_default() -> tuple[Scenario, dict[str, str]]:
    """The default stands, nothing of it is written out yet."""
    market, n = everything()
    market.given(CreditRecorded(MARKET, "bob", "EUR", 0), MarginCalled(MARKET, "bob", "EUR", 1, 0, market.at))
    return market.given(ParticipantDefaulted(MARKET, "bob", "EUR", 1, 0, 1, 1)), n


def test_every_wish_of_a_market_is_looked_at() -> None:
    named = {type(wish) for wish in wishes(everything()[1])} | GIVES_BACK | TELLS | COLLECTED
    rest = {kind.__name__ for kind in decider.OUTCOMES if kind not in named}
    assert rest == OTHERS


@pytest.mark.parametrize("kind", [type(wish) for wish in wishes(everything()[1])])
def test_who_is_in_default_enters_nothing(kind: type) -> None:
    """Also before the first slice of the default is written out; without the default the same wish is fine."""
    for market, n in (in_default(), everything()):
        [wish] = [found for found in wishes(n) if type(found) is kind]
        meta = CommandMeta("x", "bob", "correlation", None, None, None)
        facts = list(decider.decide(market.state, Command(MARKET, meta, wish), market.now))
        reasons = [f.reason for f in only(facts, CommandRefused)]
        in_trouble = "bob" in market.state.standing.defaults
        assert reasons == ([MarketRefusal.PARTICIPANT_IN_DEFAULT] if in_trouble else [])


def test_who_is_in_default_enters_no_call_block_and_loses_those_it_has() -> None:
    market = collecting(credit=CreditRules(0, 0, 10, 25 * CENT, 0))
    mine = said(market, sells("bob", [1, 1], 5)).block
    theirs = said(market, sells("cyd", [1, 1], 5)).block
    market.given(CreditRecorded(MARKET, "bob", "EUR", 0), MarginCalled(MARKET, "bob", "EUR", 1, 0, market.at))
    market.given(ParticipantDefaulted(MARKET, "bob", "EUR", 1, 0, 1, 1))
    facts = market.when(sells("bob", [1, 1], 5), "bob")
    assert [fact.reason for fact in only(facts, CommandRefused)] == [MarketRefusal.PARTICIPANT_IN_DEFAULT]
    assert [fact.blocks for fact in only(facts, CallBlocksEnded)] == [(mine,)]
    [auction] = market.state.session_auctions.known.values()
    assert set(auction.blocks) == {theirs}


def test_a_called_block_of_who_is_in_default_waits_for_the_end_of_the_auction() -> None:
    """It may trade in it; the default is settled behind it."""
    market, facts = called(sells("bob", [1, 1], 5), buys("ann", [1, 1], 9), credit=CreditRules(0, 0, 10, 25 * CENT, 0))
    market.given(CreditRecorded(MARKET, "bob", "EUR", 0), MarginCalled(MARKET, "bob", "EUR", 1, 0, market.at))
    market.given(ParticipantDefaulted(MARKET, "bob", "EUR", 1, 0, 1, 1))
    assert market.later(market.at) == []
    after = cleared(market, facts)
    assert {(fact.buyer, fact.seller) for fact in only(after, TradeMade)} == {("ann", "bob")}
    closed = [fact for fact in after + market.later(market.at + MINUTE) if isinstance(fact, PositionClosed)]
    assert sum(fact.quantity_wh for fact in closed) == 2 * KWH
    assert len(only(after, DefaultSettled)) == 1


def test_all_that_the_party_has_ends() -> None:
    market, n = in_default()
    facts = market.later(market.at)
    assert {o for f in only(facts, OrdersCancelled) for o in f.orders} >= {n["order"]}
    assert [f.blocks for f in only(facts, BlocksCancelled)] == [(n["block"],)]
    assert [f.listing for f in only(facts, ListingClosed)] == [n["listing"]]
    assert [f.bid for f in only(facts, BidWithdrawn)] == [n["bid"]]
    ended = [(f.enquiry, f.ending) for f in only(facts, EnquiryClosed)]
    assert ended == [(n["enquiry"], EnquiryEnd.DEFAULT), (n["tabled"], EnquiryEnd.DEFAULT)]
    assert {f.offer for f in only(facts, OfferWithdrawn)} == {
        n[f"{name} offer"] for name in ("asked", "short", "countered")
    }
    assert {f.mandate for f in only(facts, MandateRevoked)} == {n["mandate"], n["paused"]}
    assert [f.contract for f in only(facts, ContractLapsed)] == [n["proposal"]]
    assert [f.revision for f in only(facts, RevisionEnded)] == [n["revision"]]
    assert len(only(facts, DefaultSettled)) == 1
    assert market.state.accounts["bob"].exposure_pico == 0
    assert market.state.slots[NOON].used_wh["bob-cp"] == 0
    assert rebuilt(market) == market.state


def test_what_was_combined_with_its_offers_is_combined_anew() -> None:
    """Of bob's and cyd's kWh on the table cyd's alone is a counter-offer; ann's counter-offer still awaits cyd."""
    market, n = in_default()
    facts = market.later(market.at)
    assert [(f.enquiry, f.sellers) for f in only(facts, CounterOfferMade)] == [(n["short"], ("cyd",))]
    assert only(facts, OffersCombined) == []
    kept = market.state.enquiries.known[n["countered"]]
    assert [kept.offers[offer].seller for offer in kept.awaited] == ["cyd"]
    [accepted, *_] = market.when(AcceptOffers(n["short"]), "ann")
    assert (accepted.seller, accepted.quantity_wh) == ("cyd", (KWH,))


def test_the_sum_is_drawn_when_the_last_offer_has_gone() -> None:
    """Each call of `advance` sees what the one before has freed."""
    market = open_market("ann", "bob", credit=CreditRules(0, 0, 10, 25 * CENT, 0))
    enquiry = market.when(ask("ann", CLOSING), "ann")[0].enquiry
    market.when(OfferEnergy(enquiry, "bob", "bob-cp", (KWH,), 40 * CENT), "bob")
    market.given(CreditRecorded(MARKET, "bob", "EUR", 0), MarginCalled(MARKET, "bob", "EUR", 1, 0, market.at))
    market.given(ParticipantDefaulted(MARKET, "bob", "EUR", 1, 0, 0, 0))
    for kind in (OfferWithdrawn, DefaultSettled):
        step = list(decider.advance(market.state, market.now, 100))
        assert [type(f) for f in step] == [kind]
        market.given(*step)
    assert market.state.standing.defaults["bob"].over
