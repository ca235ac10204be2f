"""Fees and taxes in the exposure, margin calls, default, close-out and who bears the loss, reinstatement."""

from dataclasses import replace
from typing import Any

import pytest

from domain.market.exposure import bought_pico_per_wh
from schemas.envelope import Command, CommandMeta
from schemas.market.commands import AdmitParticipant, ApproveContract, CancelOrder, RecordCredit, SettleDelivery
from schemas.market.contract_commands import AgreeRevision, AssignContract, ProposeCancellation, ProposeChange
from schemas.market.contract_events import ContractRevised, ContractState, RevisionEnded, RevisionEnding
from schemas.market.credit_commands import ReinstateParticipant
from schemas.market.credit_events import (
    DefaultSettled,
    LossAllocated,
    LossLayer,
    MarginCalled,
    MarginCallMet,
    ParticipantDefaulted,
    ParticipantReinstated,
    PositionClosed,
)
from schemas.market.events import (
    CommandRefused,
    ContractConcluded,
    ContractLapsed,
    CreditRecorded,
    OrderAccepted,
    OrderCancelled,
    OrdersCancelled,
    Restriction,
)
from schemas.market.listing_commands import OpenListing, PlaceBid
from schemas.market.listing_events import (
    BidWithdrawn,
    ListingClosed,
    ListingFormat,
    ListingOpened,
    ListingTerms,
    WithdrawalReason,
)
from schemas.market.package_commands import SubmitBlock
from schemas.market.package_events import BlocksCancelled
from schemas.market.reasons import CancelReason, MarketRefusal
from schemas.market.rules import CreditRules
from schemas.values import Side
from tests.unit.given import MINUTE, Scenario, only
from tests.unit.market.world import (
    CENT,
    EURO_MICRO,
    GATE,
    MARKET,
    NOON,
    NOW,
    OPERATOR,
    POLICY,
    PROPOSAL,
    QUARTER,
    buy,
    joined,
    open_market,
    proposal,
    sell,
    submit,
)
from tests.unit.written import rebuilt

R = MarketRefusal
KWH = 1000
CREDIT = CreditRules(0, 0, 30, 25 * CENT, 100_000)
"""Half an hour for a margin call, 25 cents at close-out, a fund of 10 cents."""


def reasons(facts: list[Any]) -> list[R]:
    return [f.reason for f in only(facts, CommandRefused)]


def allot(found: Scenario, party: str, euros: float) -> list[Any]:
    """The ledger allots credit; what follows from it is due at once."""
    wish = RecordCredit(OPERATOR, party, "EUR", round(euros * EURO_MICRO))
    return [*found.when(wish, POLICY), *found.later(found.at)]


def indebted(**changes: Any) -> Scenario:
    """Ann has bought 2 and 3 kWh from bob at 20 cents (1.00), and bids for 10 kWh at 12 cents (1.20)."""
    found = open_market("ann", "bob", "cyd", "dan", credit=replace(CREDIT, **changes))
    offer = found.when(PROPOSAL, "bob")[0]
    found.when(ApproveContract(offer.contract), "ann")
    submit(found, buy("ann", 10, 12))
    return found


# ------------------------------------------------------------------------------------------ fees and taxes


@pytest.mark.parametrize(
    ("price", "fee", "tax_ppm", "cost"),
    [(100, 0, 0, 100), (-100, 0, 0, 0), (100, 7, 0, 107), (-100, 7, 0, 7), (100, 0, 200_000, 120),
     (101, 0, 100_000, 112), (-100, 10, 100_000, 11)],
)  # fmt: skip
def test_a_purchase_costs_its_price_with_fee_and_tax_rounded_up(price: int, fee: int, tax_ppm: int, cost: int) -> None:
    assert bought_pico_per_wh(price, CreditRules(fee, tax_ppm, 0, 0, 0)) == cost
    assert bought_pico_per_wh(price, None) == max(0, price)


def test_fee_and_tax_are_exposed_open_and_bought_and_released_together() -> None:
    found = open_market("ann", "bob", credit=CreditRules(2 * CENT, 100_000, 0, 0, 0))
    submit(found, sell("bob", 1, 8))
    submit(found, buy("ann", 3, 18))
    # (8 + 2) x 1.1 of what is bought, (18 + 2) x 1.1 of what is open; bob sold 50 - 8 below the assumed price.
    assert found.state.accounts["ann"].exposure_pico == KWH * 11 * CENT + 2 * KWH * 22 * CENT
    assert found.state.accounts["bob"].exposure_pico == KWH * 42 * CENT
    found.when(ApproveContract(found.when(PROPOSAL, "bob")[0].contract), "ann")
    assert found.state.accounts["ann"].exposure_pico == (11 + 44 + 121) * KWH * CENT, "5 kWh at 22 x 1.1"
    found.later(NOON + 2 * QUARTER)
    found.when(SettleDelivery(NOON, NOON + 2 * QUARTER), POLICY)
    assert found.state.accounts["ann"].exposure_pico == 0


def test_fee_and_tax_count_against_the_limit() -> None:
    found = open_market(credit=CreditRules(2 * CENT, 100_000, 0, 0, 0))
    found.given(*joined("ann", credit_micro=1_100_000))
    assert reasons(submit(found, buy("ann", 10.1, 8))) == [R.CREDIT_EXCEEDED]
    assert type(submit(found, buy("ann", 10, 8))[0]) is OrderAccepted


# ------------------------------------------------------------------------------------------- margin calls


def test_a_lowered_limit_calls_who_is_beyond_it() -> None:
    found = indebted()
    assert only(allot(found, "ann", 2.2), MarginCalled) == [], "the limit itself may be used"
    assert only(allot(found, "ann", 2), MarginCalled) == [
        MarginCalled(MARKET, "ann", "EUR", 2_200_000, 2_000_000, NOW + 30 * MINUTE)
    ]
    assert only(allot(found, "ann", 1.5), MarginCalled) == [], "once is enough"


def test_without_such_a_rule_nobody_is_called() -> None:
    assert only(allot(indebted(margin_deadline_min=0), "ann", 0), MarginCalled) == []


def test_two_lowered_limits_before_the_next_tick_are_one_call() -> None:
    found = indebted()
    found.given(CreditRecorded(MARKET, "ann", "EUR", 1), CreditRecorded(MARKET, "ann", "EUR", 2))
    assert len(only(found.later(found.at), MarginCalled)) == 1
    found.given(CreditRecorded(MARKET, "bob", "EUR", 1), CreditRecorded(MARKET, "bob", "EUR", 10**9))
    assert found.later(found.at) == [], "within the limit again before anybody was called"


@pytest.mark.parametrize("how", ["credit", "order", "settlement"])
def test_a_call_is_met_when_the_exposure_fits_again(how: str) -> None:
    found = indebted(margin_deadline_min=10_000)
    allot(found, "ann", 1.9)
    if how == "credit":
        facts = allot(found, "ann", 2.2)
    elif how == "order":
        found.when(CancelOrder(only(found.facts, OrderAccepted)[0].order), "ann")
        facts = found.later(found.at)
    else:
        found.later(GATE - 1)
        assert only(found.facts, MarginCallMet) == []
        facts = found.later(GATE)  # the order leaves the book; the rest is 1.00
    assert [fact.party for fact in only(facts, MarginCallMet)] == ["ann"]
    assert not found.state.standing.calls
    found.later(NOON + 20_000 * MINUTE)
    assert only(found.facts, ParticipantDefaulted) == []


def test_a_call_is_not_met_by_less_than_what_is_missing() -> None:
    found = indebted()
    allot(found, "ann", 1)
    assert only(allot(found, "ann", 2.1), MarginCallMet) == []
    assert list(found.state.standing.calls) == ["ann"]


def test_a_call_that_is_met_twice_before_the_next_tick_is_met_once() -> None:
    found = indebted()
    allot(found, "ann", 1)
    found.given(*[CreditRecorded(MARKET, "ann", "EUR", euros * EURO_MICRO) for euros in (3, 1, 3)])
    assert [type(fact) for fact in found.later(found.at)] == [MarginCallMet]
    allot(found, "ann", 1)
    found.given(*[CreditRecorded(MARKET, "ann", "EUR", euros * EURO_MICRO) for euros in (3, 1)])
    assert found.later(found.at) == [], "beyond the limit again before anybody said so"
    assert list(found.state.standing.calls) == ["ann"]


def test_what_frees_enough_at_the_deadline_itself_comes_first() -> None:
    """An order expires at the deadline: what is left is within the limit."""
    found = open_market("ann", credit=CREDIT)
    submit(found, buy("ann", 10, 12, expires_at=NOW + 30 * MINUTE))
    submit(found, buy("ann", 5, 12))
    allot(found, "ann", 1)
    facts = found.later(NOW + 30 * MINUTE)
    assert [type(fact) for fact in facts] == [OrderCancelled, MarginCallMet]


# ------------------------------------------------------------------------------------------------ default


def defaulted(euros: float = 0.9, **changes: Any) -> tuple[Scenario, list[Any]]:
    """Ann does not come back within her limit; what happens at the deadline."""
    found = indebted(**changes)
    allot(found, "ann", euros)
    assert only(found.later(NOW + 30 * MINUTE - 1), ParticipantDefaulted) == []
    return found, found.later(NOW + 30 * MINUTE)


def test_a_default_ends_what_the_party_has_open() -> None:
    found, facts = defaulted()
    assert facts[0] == ParticipantDefaulted(MARKET, "ann", "EUR", 2_200_000, 900_000, 1, 1)
    (orders,) = only(facts, OrdersCancelled)
    assert (orders.reason, orders.rests_wh) == (CancelReason.DEFAULT, (10 * KWH,))
    (revised,) = only(facts, ContractRevised)
    (closed,) = only(facts, PositionClosed)
    assert revised.state is ContractState.CANCELLED
    assert (closed.contract, closed.version, closed.other, closed.side) == (revised.contract, 2, "bob", Side.BUY)
    assert (closed.quantity_wh, closed.price_nano_per_kwh) == (5 * KWH, 20 * CENT)
    assert found.state.accounts["ann"].exposure_pico == found.state.accounts["bob"].exposure_pico == 0
    assert not found.state.timers or found.state.timers[0][0] > found.at
    assert rebuilt(found) == found.state


@pytest.mark.parametrize(("close_out", "loss"), [(25, -250_000), (12, 400_000), (20, 0), (-10, 1_500_000)])
def test_the_other_side_loses_the_difference_to_the_close_out_price(close_out: int, loss: int) -> None:
    """Bob sold 5 kWh at 20 cents and sells them again at the close-out price."""
    _, facts = defaulted(close_out_price_nano_per_kwh=close_out * CENT)
    assert [closed.loss_micro for closed in only(facts, PositionClosed)] == [loss]
    assert [settled.loss_micro for settled in only(facts, DefaultSettled)] == [loss]


def test_a_defaulted_seller_leaves_the_buyer_the_dearer_energy() -> None:
    found = open_market("ann", "bob", credit=CREDIT)
    found.when(ApproveContract(found.when(PROPOSAL, "bob")[0].contract), "ann")
    allot(found, "bob", 1)
    (closed,) = only(found.later(NOW + 30 * MINUTE), PositionClosed)
    assert (closed.party, closed.other, closed.side, closed.loss_micro) == ("bob", "ann", Side.SELL, 250_000)


def test_what_is_delivered_already_is_not_closed_out() -> None:
    found = indebted(margin_deadline_min=1)
    found.later(NOON)
    allot(found, "ann", 0)
    facts = found.later(NOON + MINUTE)
    (revised,) = only(facts, ContractRevised)
    assert (revised.quantity_wh, revised.state) == ((2 * KWH, 0), ContractState.CONCLUDED)
    assert only(facts, PositionClosed)[0].quantity_wh == 3 * KWH
    assert found.state.accounts["ann"].exposure_pico == 2 * KWH * 20 * CENT
    found.later(NOON + 2 * QUARTER)
    found.when(SettleDelivery(NOON, NOON + 2 * QUARTER), POLICY)
    assert found.state.accounts["ann"].exposure_pico == 0


def test_proposals_of_a_defaulted_party_are_void() -> None:
    found = indebted()
    other = open_contract(found, "bob", "cyd")
    found.when(proposal(seller="bob", buyer="ann", quantity_wh=(1000,)), "ann")
    found.when(AssignContract(other, 1, "ann", "ann-cp"), "cyd")
    mine = only(found.facts, ContractConcluded)[0].contract
    found.when(ProposeCancellation(mine, 1), "bob")
    allot(found, "ann", 0)
    facts = found.later(NOW + 30 * MINUTE)
    assert len(only(facts, ContractLapsed)) == 1
    assert {(end.contract, end.ending) for end in only(facts, RevisionEnded)} == {
        (other, RevisionEnding.DEFAULT), (mine, RevisionEnding.DEFAULT),
    }  # fmt: skip
    assert [closed.contract for closed in only(facts, PositionClosed)] == [mine]
    assert found.state.accounts["ann"].exposure_pico == 0


def open_contract(found: Scenario, seller: str, buyer: str) -> str:
    wish = proposal(
        seller=seller, buyer=buyer, seller_connection=f"{seller}-cp", buyer_connection=f"{buyer}-cp",
        quantity_wh=(1000,),
    )  # fmt: skip
    contract: str = found.when(wish, seller)[0].contract
    found.when(ApproveContract(contract), buyer)
    return contract


def test_blocks_listings_and_bids_of_a_defaulted_party_end() -> None:
    found = open_market("ann", "bob", "cyd", credit=CREDIT)
    found.when(SubmitBlock("ann", "ann-cp", Side.BUY, NOON, 3, 15, KWH, 10 * CENT, Restriction.AON, None), "ann")
    terms = ListingTerms(ListingFormat.SEALED_FIRST_PRICE, 10 * CENT, 40_000, "solar", lots=4)
    for seller in ("ann", "bob"):
        found.when(OpenListing(seller, f"{seller}-cp", NOON, (4 * KWH,), NOW + 60 * MINUTE, terms), seller)
    mine, other = only(found.facts, ListingOpened)
    found.when(PlaceBid(mine.listing, "cyd", "cyd-cp", 2, 0, 20 * CENT), "cyd")
    found.when(PlaceBid(other.listing, "ann", "ann-cp", 2, 0, 20 * CENT), "ann")
    allot(found, "ann", 0)
    facts = found.later(NOW + 30 * MINUTE)
    assert [fact.reason for fact in only(facts, BlocksCancelled)] == [CancelReason.DEFAULT]
    assert [(fact.listing, fact.cause) for fact in only(facts, ListingClosed)] == [
        (mine.listing, WithdrawalReason.DEFAULT)
    ]
    assert [(fact.listing, fact.bidder) for fact in only(facts, BidWithdrawn)] == [(other.listing, "ann")]
    assert found.state.accounts["ann"].exposure_pico == found.state.accounts["cyd"].exposure_pico == 0
    assert found.state.standing.defaults["ann"].over


# ----------------------------------------------------------------------------------- who bears the loss


def waterfall(limit: float, close_out: int = 0, fund: int = 100_000) -> tuple[DefaultSettled, list[LossAllocated]]:
    """Bob loses 1.00 by ann's default; cyd bids for 1.00, dan for 2.00 euros."""
    found = indebted(close_out_price_nano_per_kwh=close_out * CENT, default_fund_micro=fund)
    for party, kwh in (("cyd", 10), ("dan", 20)):
        submit(found, buy(party, kwh, 10, start=NOON + QUARTER))
    allot(found, "ann", limit)
    facts = found.later(NOW + 30 * MINUTE)
    (settled,) = only(facts, DefaultSettled)
    return settled, only(facts, LossAllocated)


def test_collateral_bears_first_then_the_fund_then_the_others_by_exposure() -> None:
    settled, slices = waterfall(limit=0.5)
    assert (settled.loss_micro, settled.collateral_micro, settled.fund_micro, settled.others_micro) == (
        1_000_000, 500_000, 100_000, 400_000,
    )  # fmt: skip
    assert [(s.layer, s.parties, s.amounts_micro) for s in slices] == [
        (LossLayer.COLLATERAL, ("ann",), (500_000,)),
        (LossLayer.FUND, (OPERATOR,), (100_000,)),
        (LossLayer.OTHERS, ("cyd", "dan"), (133_333, 266_667)),
    ]


@pytest.mark.parametrize(
    ("limit", "fund", "layers"),
    [(1.5, 100_000, (1_000_000, 0, 0)), (0.95, 100_000, (950_000, 50_000, 0)), (0, 0, (0, 0, 1_000_000))],
)
def test_a_layer_bears_only_what_the_one_before_leaves(limit: float, fund: int, layers: tuple[int, ...]) -> None:
    settled, slices = waterfall(limit, fund=fund)
    assert (settled.collateral_micro, settled.fund_micro, settled.others_micro) == layers
    assert sum(sum(s.amounts_micro) for s in slices) == settled.loss_micro == sum(layers)


def test_a_gain_is_the_collaterals() -> None:
    settled, slices = waterfall(limit=0.5, close_out=25)
    assert settled.loss_micro == settled.collateral_micro == -250_000
    assert [(s.layer, s.parties, s.amounts_micro) for s in slices] == [(LossLayer.COLLATERAL, ("ann",), (-250_000,))]


def test_collateral_that_delivered_energy_needs_bears_nothing() -> None:
    """The first quarter (0.40) is delivered and unpaid: of a limit of 0.50 only 0.10 is left for the loss of 0.60."""
    found = indebted(margin_deadline_min=1, close_out_price_nano_per_kwh=0)
    found.later(NOON)
    allot(found, "ann", 0.5)
    (settled,) = only(found.later(NOON + MINUTE), DefaultSettled)
    assert (settled.loss_micro, settled.collateral_micro) == (600_000, 100_000)


def test_who_is_in_default_bears_nothing_of_anothers() -> None:
    found = indebted(margin_deadline_min=1, close_out_price_nano_per_kwh=0, default_fund_micro=0)
    open_contract(found, "bob", "cyd")
    submit(found, buy("dan", 1, 10, start=NOON + 3 * QUARTER))
    found.later(NOON)
    for party in ("cyd", "ann"):
        allot(found, party, 0)
        found.later(found.at + MINUTE)
    assert found.state.accounts["cyd"].exposure_pico > 0, "delivered and unpaid"
    (slice_,) = only(found.facts, LossAllocated)
    assert (slice_.party, slice_.parties) == ("ann", ("bob", "dan")), "bob sold what is delivered and not settled"


def test_without_anybody_else_exposed_the_fund_bears_the_rest() -> None:
    settled = only(defaulted(euros=0, close_out_price_nano_per_kwh=0)[1], DefaultSettled)[0]
    assert (settled.loss_micro, settled.fund_micro, settled.others_micro) == (1_000_000, 1_000_000, 0)


def test_shares_stand_as_the_exposures_were_whatever_follows() -> None:
    """Slices that wait are not changed by what the others do meanwhile."""
    found = indebted(close_out_price_nano_per_kwh=0, default_fund_micro=0)
    for n in range(250):
        found.given(*joined(f"p{n:03}"))
        submit(found, buy(f"p{n:03}", 1, 1, start=NOON + QUARTER))
    allot(found, "ann", 0)
    found.at = NOW + 30 * MINUTE
    while not found.state.standing.defaults or not found.state.standing.defaults["ann"].settled:
        found.given(*list(found.decider.advance(found.state, found.now, 100)))
    (first,) = found.decider.advance(found.state, found.now, 1)
    found.given(first)
    found.given(*[
        OrderCancelled(MARKET, order.order, order.party, NOON + QUARTER, Side.BUY, order.rest_wh, CancelReason.OWNER)
        for order in list(found.state.orders.values())
    ])  # fmt: skip
    slices = [first, *only(found.later(found.at), LossAllocated)]
    assert [len(s.parties) for s in slices] == [100, 100, 50]
    assert {amount for s in slices for amount in s.amounts_micro} == {4000}
    assert sum(sum(s.amounts_micro) for s in slices) == 1_000_000


def test_a_default_of_many_orders_and_contracts_is_written_out_in_slices() -> None:
    found = open_market("ann", "bob", credit=replace(CREDIT, close_out_price_nano_per_kwh=0))
    for _ in range(120):
        submit(found, sell("bob", 0.1, 10))
        submit(found, buy("ann", 0.1, 10))
    for n in range(250):
        submit(found, buy("ann", 0.1, 1 + n % 5))
    allot(found, "ann", 0)
    found.at = NOW + 30 * MINUTE
    calls = []
    while (due := found.decider.due(found.state)) is not None and due <= found.at:
        step = list(found.decider.advance(found.state, found.now, 100))
        assert 0 < len(step) <= 100
        calls.append(len(step))
        found.given(*step)
    assert calls == [1, 99, 100, 44, 1, 1], "the default, 3 slices of orders and 120 pairs, the sum, the fund"
    assert len(only(found.facts, PositionClosed)) == 120
    assert found.state.accounts["ann"].exposure_pico == found.state.accounts["bob"].exposure_pico == 0
    assert only(found.facts, DefaultSettled)[0].loss_micro == 1_200_000


# ---------------------------------------------------------------------------------------- reinstatement


def test_who_is_in_default_may_do_nothing_until_reinstated() -> None:
    found, _ = defaulted()
    other = open_contract(found, "bob", "cyd")
    found.given(CreditRecorded(MARKET, "ann", "EUR", 10 * EURO_MICRO))
    in_default = [R.PARTICIPANT_IN_DEFAULT]
    assert reasons(submit(found, buy("ann", 1, 1))) == in_default
    assert reasons(submit(found, sell("ann", 1, 60))) == in_default
    assert reasons(found.when(PROPOSAL, "bob")) == in_default
    assert reasons(found.when(AssignContract(other, 1, "ann", "ann-cp"), "cyd")) == in_default
    assert reasons(found.when(AdmitParticipant("ann"), POLICY)) == [R.ALREADY_ADMITTED]
    assert found.when(ReinstateParticipant("ann"), OPERATOR) == [ParticipantReinstated(MARKET, "ann")]
    assert type(submit(found, buy("ann", 1, 1))[0]) is OrderAccepted


def test_a_contract_of_a_defaulted_party_is_nobodys_to_change() -> None:
    """Its delivery has begun, so it is not closed out as a whole; the gate refuses the rest."""
    found = indebted()
    contract = open_contract(found, "ann", "cyd")
    waiting = found.when(ProposeChange(contract, 1, (2000,), 20 * CENT), "cyd")[0]
    allot(found, "ann", 0)
    found.later(NOW + 30 * MINUTE)
    assert reasons(found.when(AgreeRevision(contract, waiting.revision), "ann")) == [R.REVISION_NOT_WAITING]
    assert reasons(found.when(ProposeChange(contract, 2, (2000,), 20 * CENT), "cyd")) == [R.CONTRACT_NOT_CONCLUDED]


def test_refused_reinstatements_in_the_order_of_the_checks() -> None:
    found = indebted(close_out_price_nano_per_kwh=0)
    wish = ReinstateParticipant("ann")
    assert reasons(Scenario("market", MARKET).when(wish, OPERATOR)) == [R.MARKET_UNKNOWN]
    assert reasons(found.when(wish, "ann")) == [R.NOT_AUTHORISED]
    assert reasons(found.when(wish, OPERATOR)) == [R.NOT_IN_DEFAULT]
    allot(found, "ann", 0)
    assert reasons(found.when(wish, OPERATOR)) == [R.NOT_IN_DEFAULT], "called is not in default"
    found.at = NOW + 30 * MINUTE
    found.given(*list(found.decider.advance(found.state, found.now, 100)))
    assert list(found.state.standing.defaults) == ["ann"]
    (refused,) = found.decider.decide(found.state, _command(wish), found.now)
    assert refused.reason is R.DEFAULT_STILL_OPEN
    found.later(found.at)
    assert found.when(wish, OPERATOR) == [ParticipantReinstated(MARKET, "ann")]


def test_nobody_is_reinstated_beyond_the_limit() -> None:
    found = indebted(margin_deadline_min=1)
    found.later(NOON)
    allot(found, "ann", 0.39)
    found.later(NOON + MINUTE)
    wish = ReinstateParticipant("ann")
    assert reasons(found.when(wish, OPERATOR)) == [R.CREDIT_EXCEEDED]
    allot(found, "ann", 0.4)
    assert found.when(wish, OPERATOR) == [ParticipantReinstated(MARKET, "ann")]


def _command(body: Any) -> Any:
    return Command(MARKET, CommandMeta("id", OPERATOR, "correlation", None, None, None), body)
