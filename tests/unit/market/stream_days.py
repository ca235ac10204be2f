"""Parts of the golden day: what the streams beside the books add to it, half an hour before the first delivery."""

from dataclasses import replace

from schemas.equipment import EnergyCarrier, Equipment
from schemas.market.commands import AdoptRuleSet, OpenSession, RecordCapability
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
from schemas.market.enquiry_events import OfferMade
from schemas.market.events import OrderTerms
from schemas.market.listing_commands import OpenListing, PlaceBid, WithdrawBid, WithdrawListing
from schemas.market.listing_events import (
    BidPlaced,
    ListingFormat,
    ListingOpened,
    ListingTerms,
    WithdrawalReason,
)
from schemas.market.mandate_commands import GrantMandate, PauseMandate, RecordForecast, ResumeMandate, RevokeMandate
from schemas.market.mandate_events import MandateTerms
from schemas.market.negotiation_commands import RejectContract
from schemas.market.product_commands import (
    AmendProduct,
    RegisterProduct,
    ResumeProduct,
    RetireProduct,
    SuspendProduct,
    VerifyProduct,
)
from schemas.market.product_events import ProductMember, ProductTerms
from schemas.market.rules import NegotiationRules
from schemas.values import ResourceType
from tests.unit.given import MINUTE, Scenario, only
from tests.unit.market.world import CENT, NOON, OPERATOR, POLICY, QUARTER, proposal, rules, sell, submit

_END = NOON + 4 * QUARTER
_HALF_PAST = NOON - 30 * MINUTE


def offer_and_bid(market: Scenario) -> None:
    """Three listings: one sold under seal, one ascending that is extended and waits, one taken back with a notice."""
    sealed = ListingTerms(ListingFormat.SEALED_SECOND_PRICE, 10 * CENT, 40_000, "solar", lots=2)
    offer = OpenListing("cyd", "cyd-cp", _END, (2000, 4000), _HALF_PAST + 5 * MINUTE, sealed)
    rising = ListingTerms(
        ListingFormat.OPEN_ASCENDING, 5 * CENT, 16_000, "any", 1, True, CENT, 5, _HALF_PAST + 8 * MINUTE
    )
    wishes = (offer, replace(offer, terms=rising), replace(offer, quantity_wh=(2000,)))
    first, second, third = (market.when(wish, "cyd")[-1].listing for wish in wishes)
    for party, lots, cents in (("ann", 1, 14), ("dan", 2, 13), ("bob", 1, 20), ("ann", 1, 15), ("cyd", 1, 20)):
        market.when(PlaceBid(first, party, f"{party}-cp", lots, 0, cents * CENT), party)
    bob = next(f.bid for f in only(market.facts, BidPlaced) if f.bidder == "bob")
    for actor in ("ann", "bob", "bob"):
        market.when(WithdrawBid(first, bob), actor)
    market.later(_HALF_PAST + 2 * MINUTE)
    for party, cents in (("ann", 5), ("dan", 5), ("dan", 6)):
        market.when(PlaceBid(second, party, f"{party}-cp", 1, 0, cents * CENT), party)
    market.when(PlaceBid(third, "ann", "ann-cp", 1, 0, 11 * CENT), "ann")
    for cause in (None, WithdrawalReason.OUTAGE):
        market.when(WithdrawListing(third, cause), "cyd")
    market.later(_HALF_PAST + 9 * MINUTE)
    assert len(only(market.facts, ListingOpened)) == 3


def sell_a_product(market: Scenario) -> None:
    """A product is registered, verified, named by an order, amended, suspended, resumed and retired."""
    roof = ProductTerms(
        members=(ProductMember("dan-cp", "dan-pv"),),
        zone="z",
        carrier=EnergyCarrier.SOLAR,
        characteristics=(),
        electrical=None,
        max_power_w=4_000,
        capacity_wh=0,
        schedule_from_at=0,
        schedule_wh=(),
        availability_ppm=900_000,
        quality_class=1,
        lowest_price_nano_per_kwh=0,
        bids_until_at=_END,
    )
    market.when(RegisterProduct("roof", roof), "dan")
    gear = (Equipment("dan-pv", ResourceType.GENERATION, 5_000, EnergyCarrier.SOLAR, (), None, None),)
    market.when(RecordCapability("dan-cp", "dan", 120_000, ("dan-pv",), "z", equipment=gear), POLICY)
    market.when(VerifyProduct("roof", 1), OPERATOR)
    submit(market, sell("dan", 1, 40, start=NOON + 3 * QUARTER, terms=OrderTerms(product="roof")))
    market.when(AmendProduct("roof", replace(roof, max_power_w=3_000)), "dan")
    for wish in (SuspendProduct("roof"), ResumeProduct("roof"), RetireProduct("roof")):
        market.when(wish, "dan")


_AFTER = _END + 2 * QUARTER


def enquire(market: Scenario) -> None:
    """Rules with a fee; an enquiry of two sellers that is countered and accepted, one that is refused; a rejection."""
    charged = rules(gate_lead_min=10, negotiation=NegotiationRules(answer_min=5, rounds=1, lapse_fee_micro=100_000))
    market.when(AdoptRuleSet(_AFTER, charged), OPERATOR)
    market.when(OpenSession(_AFTER, 2), OPERATOR)
    asked = OpenEnquiry("ann", "ann-cp", _AFTER, (2000, 2000), 0, 0, 20 * CENT, _HALF_PAST + 12 * MINUTE, (), False)
    enquiry = market.when(asked, "ann")[-1].enquiry
    for party, quantity_wh, cents in (("bob", (1000, 1000), 25), ("cyd", (500, 0), 30), ("dan", (500, 0), 19)):
        market.when(OfferEnergy(enquiry, party, f"{party}-cp", quantity_wh, cents * CENT), party)
    offers = {f.seller: f.offer for f in only(market.facts, OfferMade)}
    market.when(WithdrawOffer(enquiry, offers["dan"]), "dan")
    for wish in (CombineOffers(enquiry), CounterOffers(enquiry, 24 * CENT), AcceptOffers(enquiry)):
        market.when(wish, "ann")
    for party, cents in (("bob", 24), ("bob", 23), ("cyd", 29)):
        market.when(ReviseOffer(enquiry, offers[party], cents * CENT), party)
    for wish in (CounterOffers(enquiry, 20 * CENT), AcceptOffers(enquiry), AcceptOffers(enquiry)):
        market.when(wish, "ann")
    power = replace(asked, quantity_wh=(), power_w=4000, intervals=1, addressed=("dan",))
    enquiry = market.when(power, "ann")[-1].enquiry
    for party in ("bob", "dan"):
        market.when(OfferEnergy(enquiry, party, f"{party}-cp", (1000,), 19 * CENT), party)
    market.when(RejectOffers(enquiry), "ann")
    contract = market.when(proposal(first_start_at=_AFTER), "bob")[-1].contract
    for party in ("bob", "ann"):
        market.when(RejectContract(contract), party)


def mandate(market: Scenario) -> None:
    """A household's mandate: forecasts, a budget that binds, a pause, and its end."""
    terms = MandateTerms(20 * CENT, 30 * CENT, 400_000, _HALF_PAST, agent="agent")
    granted = market.when(GrantMandate("dan", "dan-cp", terms), "dan")[-1].mandate
    market.when(GrantMandate("dan", "dan-cp", terms), "dan")
    market.when(RecordForecast(granted, _AFTER, (-1000, -2000, 500), 1), "agent")
    market.when(RecordForecast(granted, _AFTER, (-1200, 700), 2), "agent")
    market.when(RecordForecast(granted, _AFTER, (-1200, 700), 2), "agent")
    for wish in (PauseMandate(granted), PauseMandate(granted), ResumeMandate(granted), RevokeMandate(granted)):
        market.when(wish, "dan")
