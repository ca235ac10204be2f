"""Enquiries: offers of several sellers combined, accepted, countered, lapsed; what is reserved; every refusal."""

from dataclasses import replace
from typing import Any

import pytest

from domain.market import decider, enquiry_refusals
from schemas.market.commands import ApproveContract, SettleDelivery
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
    EnquiryOpened,
    OfferAccepted,
    OfferMade,
    OfferRevised,
    OffersCombined,
    OfferWithdrawn,
)
from schemas.market.events import (
    CapabilityRecorded,
    CommandRefused,
    ContractConcluded,
    ContractLapsed,
    CreditRecorded,
    OrderAccepted,
    Phase,
)
from schemas.market.negotiation_commands import RejectContract
from schemas.market.negotiation_events import ContractRejected, LapseFeeCharged
from schemas.market.reasons import MarketRefusal
from schemas.market.rules import NegotiationRules
from schemas.values import DeliveryMode, Side
from tests.unit.given import MINUTE, Scenario, only
from tests.unit.market.world import (
    CENT,
    GATE,
    MARKET,
    NOON,
    NOW,
    POLICY,
    PROPOSAL,
    QUARTER,
    joined,
    open_market,
    proposal,
    sell,
    submit,
)

R = MarketRefusal
KWH = 1000
FEE = 250_000
NEGOTIATION = NegotiationRules(answer_min=20, rounds=2, lapse_fee_micro=FEE)
CLOSING = NOW + 30 * MINUTE
ASKED = OpenEnquiry("ann", "ann-cp", NOON, (4 * KWH,) * 3, 0, 0, 20 * CENT, CLOSING, (), False)
"""Ann asks for 4 kWh in each of three quarter-hours at 20 cents or less; the assumed price is 50."""


def why(facts: list[Any]) -> R:
    [refused] = only(facts, CommandRefused)
    reason: R = refused.reason
    return reason


def exposures(market: Scenario) -> dict[str, int]:
    return {party: account.exposure_pico for party, account in market.state.accounts.items() if account.exposure_pico}


def used(market: Scenario, connection: str) -> list[int]:
    slots = market.state.slots
    return [slots[start].used_wh.get(connection, 0) for start in sorted(slots)]


def asked(**changes: Any) -> tuple[Scenario, str]:
    """A market with the enquiry open, and the enquiry's id."""
    market = open_market("ann", "north", "south", "west", negotiation=NEGOTIATION)
    [opened] = market.when(replace(ASKED, **changes), "ann")
    return market, opened.enquiry


def offer(
    market: Scenario, enquiry: str, party: str, kwh: tuple[int, ...], cents: int, actor: str | None = None
) -> list[Any]:
    wish = OfferEnergy(enquiry, party, f"{party}-cp", tuple(wh * KWH for wh in kwh), cents * CENT)
    return market.when(wish, actor or party)


def offer_of(market: Scenario, seller: str) -> str:
    return [f.offer for f in only(market.facts, OfferMade) if f.seller == seller][-1]


def short() -> tuple[Scenario, str]:
    """At the deadline: north has 3 kWh twice at 15 cents, south 4 kWh in the second at 30."""
    market, enquiry = asked()
    offer(market, enquiry, "north", (3, 3, 0), 15)
    offer(market, enquiry, "south", (0, 4, 0), 30)
    market.later(CLOSING)
    return market, enquiry


def test_an_enquiry_reserves_nothing() -> None:
    market, enquiry = asked(addressed=("north", "south"))
    assert only(market.facts, EnquiryOpened) == [
        EnquiryOpened(
            MARKET,
            enquiry,
            "ann",
            "ann-cp",
            "z",
            NOON,
            15,
            (4 * KWH,) * 3,
            "EUR",
            20 * CENT,
            CLOSING,
            ("north", "south"),
            False,
        )
    ]
    assert exposures(market) == {}


def test_a_power_over_a_duration_is_an_amount() -> None:
    market, _ = asked(quantity_wh=(), power_w=16_000, intervals=2)
    assert only(market.facts, EnquiryOpened)[0].quantity_wh == (4 * KWH, 4 * KWH)


def test_an_offer_reserves_capability_and_the_sellers_credit_while_it_stands() -> None:
    market, enquiry = asked()
    market.given(CapabilityRecorded(MARKET, "north-cp", "north", 16_000, ("pv",)))
    [made] = offer(market, enquiry, "north", (3, 4, 0), 15)
    assert used(market, "north-cp") == [3 * KWH, 4 * KWH, 0, 0]
    assert exposures(market) == {"north": 7 * KWH * 35 * CENT}
    assert why(submit(market, sell("north", 1.1, 20))) is R.CAPABILITY_EXCEEDED
    assert market.when(WithdrawOffer(enquiry, made.offer), "north") == [
        OfferWithdrawn(MARKET, enquiry, made.offer, "north")
    ]
    assert (used(market, "north-cp"), exposures(market)) == ([0] * 4, {})
    assert type(submit(market, sell("north", 4, 20))[0]) is OrderAccepted


def test_offers_of_several_sellers_are_combined_cheapest_first() -> None:
    """West's dearer offer is needed for the rest only; the last one that is not needed is no part of it."""
    market, enquiry = asked()
    offer(market, enquiry, "north", (3, 3, 1), 15)
    offer(market, enquiry, "west", (2, 2, 2), 20)
    facts = offer(market, enquiry, "south", (0, 4, 3), 18)
    [combined] = only(facts, OffersCombined)
    assert (combined.first_start_at, combined.quantity_wh) == (NOON, (4 * KWH,) * 3)
    ids = tuple(offer_of(market, party) for party in ("north", "south", "west"))
    assert (combined.offers, combined.sellers) == (ids, ("north", "south", "west"))
    assert combined.offered_wh == (7 * KWH, 4 * KWH, KWH)
    assert combined.prices_nano_per_kwh == (15 * CENT, 18 * CENT, 20 * CENT)
    assert combined.price_nano_per_kwh == (7 * 15 + 4 * 18 + 20) * CENT // 12 + 1, "the average, half-up"
    assert combined.lapses_at == NOW + 20 * MINUTE
    assert "ann" not in exposures(market), "she has not accepted"


def test_the_acceptance_posts_a_contract_for_each_offer_with_its_own_profile_and_price() -> None:
    market, enquiry = asked()
    offer(market, enquiry, "north", (4, 4, 0), 15)
    offer(market, enquiry, "west", (4, 0, 0), 20)
    offer(market, enquiry, "south", (0, 1, 4), 18)
    facts = market.when(AcceptOffers(enquiry), "ann")
    assert [type(f) for f in facts] == [OfferAccepted, ContractConcluded] * 2 + [EnquiryClosed]
    contracts = {c.seller: c for c in only(facts, ContractConcluded)}
    found = {who: (c.first_start_at, c.quantity_wh, c.price_nano_per_kwh) for who, c in contracts.items()}
    assert found == {
        "north": (NOON, (4 * KWH, 4 * KWH), 15 * CENT),
        "south": (NOON + 2 * QUARTER, (4 * KWH,), 18 * CENT),
    }
    assert {c.trade for c in contracts.values()} == {f.offer for f in only(facts, OfferAccepted)}
    assert {c.delivery_mode for c in contracts.values()} == {DeliveryMode.FIRM}
    assert [c.contract for c in contracts.values()] == [f.contract for f in only(facts, OfferAccepted)]
    assert (facts[-1].ending, facts[-1].sellers) == (EnquiryEnd.ACCEPTED, ("west",))
    assert used(market, "north-cp") == [4 * KWH, 4 * KWH, 0, 0]
    assert used(market, "south-cp") == [0, 0, 4 * KWH, 0], "what was not taken of the offer is free"
    assert used(market, "west-cp") == [0] * 4
    assert used(market, "ann-cp") == [-4 * KWH] * 3 + [0]
    assert exposures(market) == {
        "north": 8 * KWH * 35 * CENT,
        "south": 4 * KWH * 32 * CENT,
        "ann": (8 * 15 + 4 * 18) * KWH * CENT,
    }
    assert why(market.when(AcceptOffers(enquiry), "ann")) is R.ENQUIRY_NOT_OPEN, "twice"
    market.later(NOON + 3 * QUARTER)
    market.when(SettleDelivery(NOON, NOON + 3 * QUARTER), POLICY)
    assert exposures(market) == {}


def test_what_reaches_the_amount_is_accepted_at_once_where_the_enquirer_said_so() -> None:
    market, enquiry = asked(accepts_at_once=True)
    facts = offer(market, enquiry, "north", (4, 4, 4), 20)
    assert [type(f) for f in facts] == [OfferMade, OffersCombined, OfferAccepted, ContractConcluded, EnquiryClosed]
    poor, enquiry = asked(accepts_at_once=True)
    poor.given(CreditRecorded(MARKET, "ann", "EUR", 2_399_999))
    assert [type(f) for f in offer(poor, enquiry, "north", (4, 4, 4), 20)] == [OfferMade, OffersCombined]
    assert why(poor.when(AcceptOffers(enquiry), "ann")) is R.CREDIT_EXCEEDED
    poor.given(CreditRecorded(MARKET, "ann", "EUR", 2_400_000))
    assert only(poor.when(AcceptOffers(enquiry), "ann"), ContractConcluded) != []


def test_what_falls_short_is_a_counter_offer_of_the_actual_amount_duration_and_price() -> None:
    market, enquiry = short()
    [counter] = only(market.facts, CounterOfferMade)
    assert (counter.by, counter.round, counter.first_start_at) == (Side.SELL, 0, NOON)
    assert counter.quantity_wh == (3 * KWH, 4 * KWH), "two intervals instead of three"
    assert counter.price_nano_per_kwh == 171_428_571, "(6 × 15 + 30) / 7 cents"
    assert (counter.sellers, counter.lapses_at) == (("north", "south"), CLOSING + 20 * MINUTE)
    facts = market.when(AcceptOffers(enquiry), "ann")
    assert [(c.seller, c.first_start_at, c.quantity_wh) for c in only(facts, ContractConcluded)] == [
        ("north", NOON, (3 * KWH, 3 * KWH)),
        ("south", NOON + QUARTER, (KWH,)),
    ]


def test_the_enquirer_may_ask_for_the_combination_before_the_deadline_or_take_its_cheaper_part() -> None:
    market, enquiry = asked()
    assert why(market.when(CombineOffers(enquiry), "ann")) is R.NOTHING_OFFERED
    offer(market, enquiry, "north", (3, 3, 0), 15)
    offer(market, enquiry, "south", (0, 0, 4), 21)
    assert [type(f) for f in market.when(CombineOffers(enquiry), "ann")] == [CounterOfferMade]
    assert why(offer(market, enquiry, "west", (4, 4, 4), 10)) is R.ENQUIRY_NOT_OPEN
    assert why(market.when(AcceptOffers(enquiry, 14 * CENT), "ann")) is R.NOTHING_OFFERED
    facts = market.when(AcceptOffers(enquiry, 20 * CENT), "ann")
    assert [c.seller for c in only(facts, ContractConcluded)] == ["north"]
    assert facts[-1].sellers == ("south",)


def test_a_counter_of_the_enquirer_is_answered_once_by_each_dearer_seller() -> None:
    market, enquiry = short()
    [counter] = market.when(CounterOffers(enquiry, 14 * CENT), "ann")
    assert (counter.by, counter.round, counter.sellers) == (Side.BUY, 1, ("north", "south"))
    assert why(market.when(AcceptOffers(enquiry), "ann")) is R.ENQUIRY_NOT_OPEN, "it is the sellers' move"
    north, south = offer_of(market, "north"), offer_of(market, "south")
    assert why(market.when(ReviseOffer(enquiry, north, 15 * CENT), "north")) is R.NOTHING_CHANGED
    assert market.when(ReviseOffer(enquiry, north, 14 * CENT), "north") == [
        OfferRevised(MARKET, enquiry, north, "north", 14 * CENT)
    ]
    assert exposures(market)["north"] == 6 * KWH * 36 * CENT
    assert why(market.when(ReviseOffer(enquiry, north, 13 * CENT), "north")) is R.ALREADY_ANSWERED
    facts = market.when(ReviseOffer(enquiry, south, 20 * CENT), "south")
    assert [type(f) for f in facts] == [OfferRevised, CounterOfferMade], "the last answer puts it on the table"
    assert (facts[1].by, facts[1].prices_nano_per_kwh) == (Side.SELL, (14 * CENT, 20 * CENT))
    [again] = market.when(CounterOffers(enquiry, 18 * CENT), "ann")
    assert (again.sellers, again.round) == (("south",), 2)
    facts = market.later(again.lapses_at)
    assert [type(f) for f in facts] == [CounterOfferMade], "south keeps its price"
    assert why(market.when(CounterOffers(enquiry, 17 * CENT), "ann")) is R.ROUNDS_EXCEEDED
    facts = market.later(facts[0].lapses_at)
    assert [(f.ending, f.sellers) for f in facts] == [(EnquiryEnd.LAPSED, ("north", "south"))]
    assert (exposures(market), used(market, "north-cp")) == ({}, [0] * 4)
    assert why(market.when(AcceptOffers(enquiry), "ann")) is R.ENQUIRY_NOT_OPEN, "lapsed"


def test_sellers_who_come_down_to_the_price_may_be_accepted_at_once() -> None:
    market, enquiry = asked(accepts_at_once=True)
    offer(market, enquiry, "north", (4, 4, 4), 25)
    market.later(CLOSING)
    market.when(CounterOffers(enquiry, 22 * CENT), "ann")
    facts = market.when(ReviseOffer(enquiry, offer_of(market, "north"), 22 * CENT), "north")
    assert [type(f) for f in facts][1:] == [OffersCombined, OfferAccepted, ContractConcluded, EnquiryClosed]


def test_an_enquiry_without_offers_ends_at_its_deadline() -> None:
    market, enquiry = asked()
    facts = market.later(CLOSING)
    assert facts == [EnquiryClosed(MARKET, enquiry, "ann", EnquiryEnd.UNANSWERED, (), ())]
    assert decider.due(market.state) == GATE


@pytest.mark.parametrize("says_no", [True, False])
def test_to_let_a_complete_offer_lapse_costs_a_fee_to_each_who_reserved(says_no: bool) -> None:
    market, enquiry = asked()
    offer(market, enquiry, "north", (4, 4, 0), 15)
    offer(market, enquiry, "west", (0, 0, 1), 20)
    offer(market, enquiry, "south", (0, 0, 4), 18)
    facts = market.when(RejectOffers(enquiry), "ann") if says_no else market.later(NOW + 20 * MINUTE)
    assert facts[0].ending is (EnquiryEnd.REJECTED if says_no else EnquiryEnd.LAPSED)
    assert facts[1:] == [LapseFeeCharged(MARKET, enquiry, "ann", who, "EUR", FEE) for who in ("north", "south")]
    assert (exposures(market), used(market, "south-cp")) == ({}, [0] * 4)
    assert why(market.when(RejectOffers(enquiry), "ann")) is R.ENQUIRY_NOT_OPEN


def test_what_is_less_than_asked_may_be_refused_for_nothing() -> None:
    market, enquiry = short()
    assert [type(f) for f in market.when(RejectOffers(enquiry), "ann")] == [EnquiryClosed]


def test_an_answer_comes_before_the_first_gate() -> None:
    market, enquiry = asked(closes_at=GATE - 1)
    offer(market, enquiry, "north", (4, 4, 0), 15)
    market.later(GATE - MINUTE)
    assert only(offer(market, enquiry, "south", (0, 0, 4), 15), OffersCombined)[0].lapses_at == GATE
    assert EnquiryEnd.LAPSED in [f.ending for f in only(market.later(GATE), EnquiryClosed)]


def test_an_offer_on_the_table_is_bound() -> None:
    market, enquiry = short()
    north, south = offer_of(market, "north"), offer_of(market, "south")
    assert why(market.when(WithdrawOffer(enquiry, north), "north")) is R.OFFER_BOUND
    market.when(CounterOffers(enquiry, 20 * CENT), "ann")
    assert why(market.when(WithdrawOffer(enquiry, south), "south")) is R.OFFER_BOUND
    other, enquiry = asked()
    offer(other, enquiry, "north", (4, 4, 4), 15)
    assert why(other.when(WithdrawOffer(enquiry, offer_of(other, "north")), "north")) is R.OFFER_BOUND


def test_without_rules_of_negotiation_nobody_counters_and_a_lapse_is_free() -> None:
    market = open_market("ann", "north")
    enquiry = market.when(ASKED, "ann")[0].enquiry
    [_, combined] = offer(market, enquiry, "north", (4, 4, 4), 20)
    assert combined.lapses_at == NOW + 60 * MINUTE, "the approval deadline"
    assert why(market.when(CounterOffers(enquiry, CENT), "ann")) is R.ROUNDS_EXCEEDED
    assert [type(f) for f in market.later(NOW + 60 * MINUTE)] == [EnquiryClosed]


def test_an_ended_enquiry_is_remembered_until_its_first_delivery_is_settled() -> None:
    market, _ = asked(closes_at=NOW + MINUTE)
    market.when(ASKED, "ann")
    assert len(market.state.enquiries.known) == 2
    market.later(NOON + QUARTER)
    market.when(SettleDelivery(NOON, NOON + QUARTER), POLICY)
    market.given(
        *(replace(f, enquiry="new", first_start_at=NOON + QUARTER) for f in only(market.facts[:20], EnquiryOpened)[:1])
    )
    assert list(market.state.enquiries.known) == ["new"]


OPENINGS: tuple[tuple[R, dict[str, Any]], ...] = (
    (R.NOT_AUTHORISED, {"actor": "north"}),
    (R.AMOUNT_UNCLEAR, {"power_w": 1000, "intervals": 2}),
    (R.TOO_MANY_ADDRESSED, {"addressed": ("north",) * 501}),
    (R.TOO_MANY_INTERVALS, {"quantity_wh": (), "intervals": 501, "power_w": 4000}),
    (R.INSTRUMENT_UNKNOWN, {"first_start_at": NOON + 4 * QUARTER}),
    (R.NOT_OPEN, {"at": NOON - 1440 * MINUTE - 1}),
    (R.GATE_CLOSED, {"at": GATE}),
    (R.SUSPENDED, {"phase": Phase.SUSPENDED}),
    (R.PARTICIPANT_UNKNOWN, {"party": "eve", "actor": "eve"}),
    (R.CONNECTION_UNKNOWN, {"connection": "north-cp"}),
    (R.QUANTITY_ZERO, {"quantity_wh": ()}),
    (R.QUANTITY_ZERO, {"quantity_wh": (KWH, 0)}),
    (R.QUANTITY_OFF_LOT, {"quantity_wh": (50,)}),
    (R.QUANTITY_OFF_LOT, {"quantity_wh": (), "power_w": 4001, "intervals": 1}),
    (R.QUANTITY_ABOVE_MAXIMUM, {"quantity_wh": (100_100,)}),
    (R.PRICE_OFF_TICK, {"limit_price_nano_per_kwh": 1}),
    (R.PRICE_OUT_OF_RANGE, {"limit_price_nano_per_kwh": 101 * CENT}),
    (R.EXPIRY_IN_THE_PAST, {"closes_at": NOW}),
    (R.EXPIRY_AFTER_GATE, {"closes_at": GATE}),
)


@pytest.mark.parametrize(("reason", "changes"), OPENINGS)
def test_refused_enquiries_change_nothing(reason: R, changes: dict[str, Any]) -> None:
    changes = dict(changes)
    market = open_market("ann", "north", at=NOON - 2000 * MINUTE)
    market.later(changes.pop("at", NOW))
    for instrument in market.state.instruments.values():
        instrument.phase = changes.get("phase", Phase.CONTINUOUS)
    changes.pop("phase", None)
    actor = changes.pop("actor", "ann")
    before = repr(market.state)
    assert why(market.when(replace(ASKED, **changes), actor)) is reason
    assert repr(market.state) == before


OFFERS: tuple[tuple[R, dict[str, Any]], ...] = (
    (R.NOT_AUTHORISED, {"actor": "south"}),
    (R.NOT_ADDRESSED, {"party": "west"}),
    (R.SAME_PARTY, {"party": "ann"}),
    (R.ENQUIRY_NOT_OPEN, {"at": CLOSING}),
    (R.PARTICIPANT_UNKNOWN, {"party": "eve"}),
    (R.CONNECTION_UNKNOWN, {"connection": "south-cp"}),
    (R.WRONG_ZONE, {"party": "far"}),
    (R.RESOURCE_NOT_VERIFIED, {"party": "ivy"}),
    (R.TOO_MANY_OFFERS, {"limit": 0}),
    (R.PROFILE_DIFFERS, {"quantity_wh": (KWH, KWH)}),
    (R.QUANTITY_ZERO, {"quantity_wh": (0, 0, 0)}),
    (R.QUANTITY_OFF_LOT, {"quantity_wh": (0, 50, 0)}),
    (R.QUANTITY_ABOVE_MAXIMUM, {"quantity_wh": (0, 4100, 0)}),
    (R.PRICE_OFF_TICK, {"price_nano_per_kwh": 1}),
    (R.PRICE_OUT_OF_RANGE, {"price_nano_per_kwh": 101 * CENT}),
    (R.CAPABILITY_EXCEEDED, {"injection_w": 15_999}),
    (R.CREDIT_EXCEEDED, {"credit_micro": 2_399_999}),
)


@pytest.mark.parametrize(("reason", "changes"), OFFERS)
def test_refused_offers_change_nothing(reason: R, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    changes = dict(changes)
    monkeypatch.setattr(enquiry_refusals, "MAX_OFFERS", changes.pop("limit", 40))
    market, enquiry = asked(addressed=("north", "south", "ann", "eve", "far", "ivy"))
    injection_w, credit_micro = changes.pop("injection_w", 16_000), changes.pop("credit_micro", 2_400_000)
    market.given(*joined("north", injection_w, credit_micro), *joined("far"), *joined("ivy", verified=False))
    market.given(CapabilityRecorded(MARKET, "far-cp", "far", 99_000, ("pv",), "elsewhere"))
    lawful = OfferEnergy(enquiry, "north", "north-cp", (4 * KWH, 2 * KWH, 0), 10 * CENT)
    market.later(changes.pop("at", NOW))
    before = repr(market.state)
    party = changes.get("party", "north")
    actor = changes.pop("actor", party)
    wish = replace(lawful, **{"connection": f"{party}-cp"} | changes)
    assert why(market.when(wish, actor)) is reason
    assert repr(market.state) == before


def test_the_lawful_offer_of_those_refusals_is_accepted() -> None:
    market, enquiry = asked()
    market.given(*joined("north", 16_000, 2_400_000))
    wish = OfferEnergy(enquiry, "north", "north-cp", (4 * KWH, 2 * KWH, 0), 10 * CENT)
    assert [type(f) for f in market.when(wish, "north")] == [OfferMade]


def test_refused_moves() -> None:
    nowhere, market = Scenario("market", MARKET), open_market("ann")
    wishes = (
        OfferEnergy("x", "ann", "ann-cp", (), 0),
        WithdrawOffer("x", "y"),
        CombineOffers("x"),
        AcceptOffers("x"),
        CounterOffers("x", 0),
        ReviseOffer("x", "y", 0),
        RejectOffers("x"),
    )
    for wish in wishes:
        assert why(nowhere.when(wish, "ann")) is R.MARKET_UNKNOWN
        assert why(market.when(wish, "ann")) is R.ENQUIRY_UNKNOWN
    assert why(nowhere.when(ASKED, "ann")) is R.MARKET_UNKNOWN
    market, enquiry = short()
    north = offer_of(market, "north")
    for wish in (CombineOffers(enquiry), AcceptOffers(enquiry), CounterOffers(enquiry, CENT), RejectOffers(enquiry)):
        assert why(market.when(wish, "north")) is R.NOT_AUTHORISED
    for wish in (WithdrawOffer(enquiry, north), ReviseOffer(enquiry, north, CENT)):
        assert why(market.when(wish, "south")) is R.NOT_AUTHORISED
        assert why(market.when(replace(wish, offer="nonsense"), "south")) is R.OFFER_UNKNOWN
    assert why(market.when(CombineOffers(enquiry), "ann")) is R.ENQUIRY_NOT_OPEN
    assert why(market.when(ReviseOffer(enquiry, north, CENT), "north")) is R.ENQUIRY_NOT_OPEN
    assert why(market.when(CounterOffers(enquiry, 1), "ann")) is R.PRICE_OFF_TICK
    assert why(market.when(CounterOffers(enquiry, 30 * CENT), "ann")) is R.NOTHING_CHANGED
    market.when(CounterOffers(enquiry, CENT), "ann")
    assert why(market.when(ReviseOffer(enquiry, north, 1), "north")) is R.PRICE_OFF_TICK
    market.given(CreditRecorded(MARKET, "north", "EUR", 2_100_000))
    assert why(market.when(ReviseOffer(enquiry, north, 14 * CENT), "north")) is R.CREDIT_EXCEEDED


def test_the_awaited_party_may_reject_a_proposed_contract_for_the_fee() -> None:
    market = open_market("ann", "bob", negotiation=NEGOTIATION)
    contract = market.when(PROPOSAL, "bob")[0].contract
    assert why(market.when(RejectContract(contract), "bob")) is R.NOT_AUTHORISED
    assert why(market.when(RejectContract("nonsense"), "ann")) is R.CONTRACT_UNKNOWN
    assert why(Scenario("market", MARKET).when(RejectContract(contract), "ann")) is R.MARKET_UNKNOWN
    assert market.when(RejectContract(contract), "ann") == [
        ContractRejected(MARKET, contract, "bob", "ann"),
        LapseFeeCharged(MARKET, contract, "ann", "bob", "EUR", FEE),
    ]
    assert (exposures(market), used(market, "bob-cp")) == ({}, [0] * 4)
    assert why(market.when(ApproveContract(contract), "ann")) is R.CONTRACT_NOT_PROPOSED
    assert why(market.when(RejectContract(contract), "ann")) is R.CONTRACT_NOT_PROPOSED
    assert only(market.later(GATE - 1), ContractLapsed) == []


def test_a_lapsed_proposal_costs_the_awaited_party_the_fee() -> None:
    market = open_market("ann", "bob", negotiation=NEGOTIATION)
    for _ in range(60):
        market.when(proposal(quantity_wh=(100,)), "ann")
    facts = market.later(NOW + 60 * MINUTE)
    assert [type(f) for f in facts] == [ContractLapsed, LapseFeeCharged] * 60, "in calls of at most 100 facts"
    assert {(f.debtor, f.creditor, f.amount_micro) for f in only(facts, LapseFeeCharged)} == {("bob", "ann", FEE)}
