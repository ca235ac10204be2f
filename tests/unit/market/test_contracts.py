"""Contracts after their conclusion: change, assignment, cancellation, withdrawal, manifest error, rebids."""

import pickle
from typing import Any

import pytest

from schemas.envelope import Command, CommandMeta
from schemas.market.commands import ApproveContract, CancelOrder, SettleDelivery
from schemas.market.contract_commands import (
    AgreeRevision,
    AssignContract,
    CancelTrade,
    ProposeCancellation,
    ProposeChange,
    RefuseRevision,
    WithdrawContract,
)
from schemas.market.contract_events import (
    CancellationFeeCharged,
    ContractRevised,
    ContractState,
    RevisionEnded,
    RevisionEnding,
    RevisionProposed,
    RevisionReason,
)
from schemas.market.events import (
    CapabilityRecorded,
    CommandRefused,
    ContractConcluded,
    CreditRecorded,
    OrderAccepted,
    OrderTerms,
    SessionOpened,
)
from schemas.market.reasons import MarketRefusal
from schemas.market.rules import ContractRules, Line, NetworkRules, TradingRules
from tests.unit.given import MINUTE, Scenario, only
from tests.unit.market.world import (
    CENT,
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
    sell,
    submit,
)
from tests.unit.written import rebuilt

R = MarketRefusal
KWH = 1000
RULES = {
    "contracts": ContractRules("mid_6_10", 100_000, 1_500_000, 3 * CENT),
    "trading": TradingRules((), 0, 0, 0, 0, 0, 10),
}


def market(**changes: Any) -> Scenario:
    """Bob has sold ann 2 and 3 kWh at 20 cents; cyd may come in."""
    found = open_market("ann", "bob", "cyd", **{**RULES, **changes})
    offer = found.when(PROPOSAL, "bob")[0]
    found.when(ApproveContract(offer.contract), "ann")
    return found


def the_contract(found: Scenario) -> str:
    return only(found.facts, ContractConcluded)[-1].contract


def reasons(facts: list[Any]) -> list[R]:
    return [f.reason for f in only(facts, CommandRefused)]


def exposures(found: Scenario) -> dict[str, int]:
    return {party: account.exposure_pico for party, account in found.state.accounts.items() if account.exposure_pico}


def used(found: Scenario, connection: str) -> list[int]:
    return [slot.used_wh.get(connection, 0) for _, slot in sorted(found.state.slots.items())][:2]


def change(found: Scenario, *quantity_wh: int, cents: int = 20, version: int = 1) -> ProposeChange:
    return ProposeChange(the_contract(found), version, quantity_wh, cents * CENT)


def proposed(found: Scenario, wish: Any, actor: str = "bob") -> RevisionProposed:
    (fact,) = found.when(wish, actor)
    assert isinstance(fact, RevisionProposed), fact
    return fact


def agree(found: Scenario, revision: RevisionProposed) -> ContractRevised:
    (fact,) = found.when(AgreeRevision(revision.contract, revision.revision), revision.awaiting)
    assert isinstance(fact, ContractRevised), fact
    return fact


def test_a_contract_names_what_its_rules_say() -> None:
    contract = only(market().facts, ContractConcluded)[0]
    assert (contract.baseline_method, contract.tolerance_ppm, contract.penalty_ppm) == ("mid_6_10", 100_000, 1_500_000)
    traded = open_market("ann", "bob", **RULES)
    submit(traded, sell("bob", 1, 10))
    submit(traded, buy("ann", 1, 10))
    contract = only(traded.facts, ContractConcluded)[0]
    assert (contract.baseline_method, contract.tolerance_ppm, contract.penalty_ppm) == ("mid_6_10", 100_000, 1_500_000)


def test_an_agreed_change_is_the_next_version() -> None:
    found = market()
    before = only(found.facts, ContractConcluded)[0]
    fact = agree(found, proposed(found, change(found, 4 * KWH, 1 * KWH, cents=30)))
    assert (fact.version, fact.version_before, fact.reason) == (2, 1, RevisionReason.CHANGED)
    assert (fact.quantity_wh, fact.price_nano_per_kwh, fact.state) == ((4000, 1000), 30 * CENT, ContractState.CONCLUDED)
    assert (fact.contract, fact.seller, fact.rules_version) == (before.contract, "bob", before.rules_version)
    assert exposures(found) == {"ann": 5 * KWH * 30 * CENT, "bob": 5 * KWH * 20 * CENT}
    assert used(found, "bob-cp") == [4000, 1000]
    assert used(found, "ann-cp") == [-4000, -1000]
    again = agree(found, proposed(found, change(found, 1000, 1000, version=2), "ann"))
    assert (again.version, again.version_before) == (3, 2)


def test_a_waiting_change_reserves_what_it_takes_more() -> None:
    found = market()
    fact = proposed(found, change(found, 4 * KWH, 1 * KWH, cents=30))
    assert (fact.proposer, fact.awaiting, fact.lapses_at) == ("bob", "ann", NOW + 60 * MINUTE)
    assert used(found, "bob-cp") == [4000, 3000], "the second quarter needs no more, and gives nothing back yet"
    assert used(found, "ann-cp") == [-2000, -1000], "what ann would not get any more she cannot sell meanwhile"
    # By quarter: ann needs 120 - 40 and 30 - 60, bob 80 - 60 and 20 - 90 cent-kWh.
    more = 80 * KWH * CENT
    assert exposures(found) == {"ann": 5 * KWH * 20 * CENT + more, "bob": 5 * KWH * 30 * CENT + 20 * KWH * CENT}


@pytest.mark.parametrize("how", ["refused", "taken back", "lapsed", "lapsed at the gate"])
def test_what_was_reserved_is_free_when_nothing_comes_of_it(how: str) -> None:
    found = market(approval_deadline_min=10_000) if how == "lapsed at the gate" else market()
    before = exposures(found), used(found, "bob-cp"), used(found, "ann-cp")
    fact = proposed(found, change(found, 4 * KWH, 1 * KWH, cents=30))
    if how == "lapsed":
        assert found.later(fact.lapses_at - 1) == []
        ended = only(found.later(fact.lapses_at), RevisionEnded)
    elif how == "lapsed at the gate":
        assert fact.lapses_at == GATE
        ended = only(found.later(GATE), RevisionEnded)
    else:
        ended = found.when(RefuseRevision(fact.contract, fact.revision), "ann" if how == "refused" else "bob")
    ending = RevisionEnding.LAPSED if how.startswith("lapsed") else RevisionEnding.REFUSED
    assert ended == [RevisionEnded(MARKET, fact.contract, fact.revision, 1, ending)]
    assert (exposures(found), used(found, "bob-cp"), used(found, "ann-cp")) == before
    assert reasons(found.when(AgreeRevision(fact.contract, fact.revision), "ann")) == [R.REVISION_NOT_WAITING]


def test_an_agreed_cancellation_frees_both_sides_and_costs_nothing() -> None:
    found = market()
    fact = agree(found, proposed(found, ProposeCancellation(the_contract(found), 1), "ann"))
    assert (fact.state, fact.reason, fact.quantity_wh) == (
        ContractState.CANCELLED, RevisionReason.CANCELLED, PROPOSAL.quantity_wh,
    )  # fmt: skip
    assert exposures(found) == {}
    assert used(found, "bob-cp") == used(found, "ann-cp") == [0, 0]
    assert not only(found.facts, CancellationFeeCharged)
    assert reasons(found.when(change(found, 1000, 1000, version=2), "ann")) == [R.CONTRACT_NOT_CONCLUDED]


def test_what_was_resold_cannot_be_cancelled() -> None:
    found = market()
    found.given(CapabilityRecorded(MARKET, "ann-cp", "ann", 0, ("pv",)))
    assert type(submit(found, sell("ann", 2, 50))[0]) is OrderAccepted
    for wish in (ProposeCancellation, WithdrawContract):
        assert reasons(found.when(wish(the_contract(found), 1), "bob")) == [R.CAPABILITY_EXCEEDED]


@pytest.mark.parametrize(("debtor", "creditor"), [("ann", "bob"), ("bob", "ann")])
def test_who_withdraws_owes_the_fee_to_the_other_side(debtor: str, creditor: str) -> None:
    found = market()
    revised, fee = found.when(WithdrawContract(the_contract(found), 1), debtor)
    assert (revised.state, revised.reason) == (ContractState.CANCELLED, RevisionReason.WITHDRAWN)
    assert fee == CancellationFeeCharged(
        MARKET, the_contract(found), 2, debtor, creditor, "EUR", 5 * KWH, 3 * CENT, 150_000
    )
    assert exposures(found) == {}


def test_without_such_a_rule_leaving_costs_nothing() -> None:
    found = market(contracts=None)
    assert len(found.when(WithdrawContract(the_contract(found), 1), "ann")) == 1


def test_an_assigned_sale_moves_capability_and_credit() -> None:
    found = market()
    fact = proposed(found, AssignContract(the_contract(found), 1, "cyd", "cyd-cp"), "bob")
    assert fact.awaiting == "cyd"
    sold = 5 * KWH * 30 * CENT
    assert exposures(found) == {"ann": 5 * KWH * 20 * CENT, "bob": sold, "cyd": sold}
    assert used(found, "cyd-cp") == used(found, "bob-cp") == [2000, 3000]
    revised = agree(found, fact)
    assert (revised.seller, revised.seller_connection, revised.buyer) == ("cyd", "cyd-cp", "ann")
    assert exposures(found) == {"ann": 5 * KWH * 20 * CENT, "cyd": sold}
    assert (used(found, "cyd-cp"), used(found, "bob-cp")) == ([2000, 3000], [0, 0])
    assert reasons(found.when(ProposeCancellation(fact.contract, 2), "bob")) == [R.NOT_AUTHORISED]
    found.later(NOON + 2 * QUARTER)
    found.when(SettleDelivery(NOON, NOON + 2 * QUARTER), POLICY)
    assert exposures(found) == {}
    assert not found.state.agreements.contracts, "what is settled is forgotten"


def test_an_assigned_purchase_moves_the_buyers_side() -> None:
    found = market()
    revised = agree(found, proposed(found, AssignContract(the_contract(found), 1, "cyd", "cyd-cp"), "ann"))
    assert (revised.buyer, revised.buyer_connection, revised.buyer_zone) == ("cyd", "cyd-cp", None)
    assert used(found, "cyd-cp") == [-2000, -3000]
    assert used(found, "ann-cp") == [0, 0]


NETWORK = NetworkRules(("y", "far"), (Line("zy", "z", "y"),))


def test_an_assignment_across_a_line_takes_its_room() -> None:
    found = market(network=NETWORK)
    found.given(CapabilityRecorded(MARKET, "cyd-cp", "cyd", 400_000, ("pv",), "y"))
    wish = AssignContract(the_contract(found), 1, "cyd", "cyd-cp")
    assert reasons(found.when(wish, "ann")) == [R.LINE_EXCEEDED]
    for start, wh in ((NOON, 2000), (NOON + QUARTER, 3000)):
        found.state.slots[start].capacity_wh["zy"] = (wh, 0)
    fact = proposed(found, wish, "ann")
    flows = [found.state.slots[start].flow_wh.get("zy") for start in (NOON, NOON + QUARTER)]
    assert flows == [2000, 3000]
    revised = agree(found, fact)
    assert (revised.zone, revised.buyer_zone) == ("z", "y")
    assert [found.state.slots[start].flow_wh["zy"] for start in (NOON, NOON + QUARTER)] == flows
    found.when(WithdrawContract(fact.contract, 2), "cyd")
    assert [found.state.slots[start].flow_wh["zy"] for start in (NOON, NOON + QUARTER)] == [0, 0]


@pytest.mark.parametrize("zone", ["far", "y"])
def test_an_assignment_needs_a_way_and_a_firm_contract(zone: str) -> None:
    found = open_market("ann", "bob", "cyd", network=NETWORK)
    found.given(CapabilityRecorded(MARKET, "cyd-cp", "cyd", 400_000, ("pv",), zone))
    submit(found, sell("bob", 1, 10))
    submit(found, buy("ann", 1, 10))
    wish = AssignContract(the_contract(found), 1, "cyd", "cyd-cp")
    assert reasons(found.when(wish, "ann")) == [R.WRONG_ZONE]


def traded(**changes: Any) -> Scenario:
    """Bob has sold ann 2 kWh at 11 cents in the book; cyd has offered 1 kWh more."""
    found = open_market("ann", "bob", "cyd", **{**RULES, **changes})
    submit(found, sell("bob", 2, 11))
    submit(found, sell("cyd", 1, 12))
    submit(found, buy("ann", 2, 11))
    return found


def test_a_trade_of_manifest_error_is_void() -> None:
    found = traded()
    (fact,) = found.when(CancelTrade(the_contract(found)), OPERATOR)
    assert (fact.version, fact.version_before) == (2, 1)
    assert (fact.state, fact.reason) == (ContractState.CANCELLED, RevisionReason.MANIFEST_ERROR)
    assert exposures(found) == {"cyd": KWH * 38 * CENT}
    assert used(found, "bob-cp") == used(found, "ann-cp") == [0, 0]


def test_a_void_trade_ends_what_waits_about_it() -> None:
    found = traded()
    waiting = proposed(found, change(found, 3 * KWH, cents=11), "ann")
    ended, revised = found.when(CancelTrade(the_contract(found)), OPERATOR)
    assert ended == RevisionEnded(MARKET, waiting.contract, waiting.revision, 1, RevisionEnding.OVERTAKEN)
    assert revised.state is ContractState.CANCELLED
    assert exposures(found) == {"cyd": KWH * 38 * CENT}


def test_the_window_of_manifest_errors() -> None:
    found = traded()
    found.later(NOW + 10 * MINUTE - 1)
    assert reasons(found.when(CancelTrade(the_contract(found)), "ann")) == [R.NOT_AUTHORISED]
    assert reasons(found.when(CancelTrade("nonsense"), OPERATOR)) == [R.CONTRACT_UNKNOWN]
    assert reasons(Scenario("market", MARKET).when(CancelTrade("k"), OPERATOR)) == [R.MARKET_UNKNOWN]
    late = traded()
    late.later(NOW + 10 * MINUTE)
    (refused,) = late.when(CancelTrade(the_contract(late)), OPERATOR)
    assert (refused.reason, refused.limit) == (R.WINDOW_OVER, NOW + 10 * MINUTE)
    assert type(found.when(CancelTrade(the_contract(found)), OPERATOR)[0]) is ContractRevised
    assert reasons(found.when(CancelTrade(the_contract(found)), OPERATOR)) == [R.CONTRACT_NOT_CONCLUDED]


def test_no_trade_is_void_after_its_gate_and_no_negotiation_at_all() -> None:
    found = traded(trading=TradingRules((), 0, 0, 0, 0, 0, 10_000))
    found.later(GATE)
    assert reasons(found.when(CancelTrade(the_contract(found)), OPERATOR)) == [R.GATE_CLOSED]
    assert reasons(market().when(CancelTrade(the_contract(market())), OPERATOR)) == [R.WINDOW_OVER]


def test_an_hours_contract_moves_in_each_of_its_quarters() -> None:
    found = open_market("ann", "bob", trading=TradingRules((60,), 0, 0, 0, 0, 0, 10))
    found.given(SessionOpened(MARKET, "z", NOON, 1, 60, 1))
    submit(found, sell("bob", 4, 10, duration_min=60))
    submit(found, buy("ann", 4, 10, duration_min=60))
    assert used(found, "bob-cp") == [1000, 1000]
    before = exposures(found)
    fact = agree(found, proposed(found, change(found, 2000, 1000, 1000, 1000, cents=10)))
    assert fact.quantity_wh == (2000, 1000, 1000, 1000)
    assert used(found, "bob-cp") == [2000, 1000]
    assert exposures(found) == {party: pico * 5 // 4 for party, pico in before.items()}
    each = [slot.committed(("z", "z"))["ann"] for slot in found.state.slots.values()]
    assert each == [2000 * 10 * CENT, *[1000 * 10 * CENT] * 3], "each quarter is settled by itself"
    found.when(CancelTrade(fact.contract), OPERATOR)
    assert exposures(found) == {}


def test_a_rebid_names_what_was_the_partys() -> None:
    found = traded()
    contract = the_contract(found)
    found.given(CapabilityRecorded(MARKET, "ann-cp", "ann", 0, ("pv",)))
    (fact,) = submit(found, sell("ann", 2, 15, terms=OrderTerms(rebid_of=contract)))
    assert fact.terms.rebid_of == contract
    found.when(CancelOrder(fact.order), "ann")
    assert type(submit(found, sell("ann", 2, 15, terms=OrderTerms(rebid_of=fact.order)))[0]) is OrderAccepted
    for before in (contract, fact.order, "nonsense"):
        assert reasons(submit(found, sell("cyd", 1, 15, terms=OrderTerms(rebid_of=before)))) == [R.REBID_UNFOUNDED]


# ------------------------------------------------------------------------------------- refusals in order


def broken(wish: Any, actor: str = "bob", **world: Any) -> list[R]:
    """The wish in a market where everything else is right."""
    found = market(network=NETWORK)
    found.given(*joined("ivy", verified=False))
    found.given(CapabilityRecorded(MARKET, "far-cp", "cyd", 400_000, ("pv",), "far"))
    contract = the_contract(found)
    if world.get("waiting"):
        proposed(found, ProposeCancellation(contract, 1), "ann")
    if world.get("cancelled"):
        found.when(WithdrawContract(contract, 1), "ann")
    for party, credit in world.get("credit", {}).items():
        found.given(CreditRecorded(MARKET, party, "EUR", credit))
    if "injection_w" in world:
        found.given(CapabilityRecorded(MARKET, "bob-cp", "bob", world["injection_w"], ("pv",)))
    found.later(world.get("at", NOW))
    return reasons(found.when(wish(contract), actor))


def bigger(contract: str, **more: Any) -> ProposeChange:
    return ProposeChange(**{"contract": contract, "version": 1, "quantity_wh": (4000, 4000),
                            "price_nano_per_kwh": 20 * CENT, **more})  # fmt: skip


def to_cyd(contract: str, **more: Any) -> AssignContract:
    return AssignContract(**{"contract": contract, "version": 1, "party": "cyd", "connection": "cyd-cp", **more})


REFUSED: dict[str, tuple[R, Any, dict[str, Any]]] = {
    "unknown": (R.CONTRACT_UNKNOWN, lambda _: bigger("nonsense"), {}),
    "nobody's": (R.NOT_AUTHORISED, bigger, {"actor": "cyd", "cancelled": True}),
    "cancelled": (R.CONTRACT_NOT_CONCLUDED, lambda c: bigger(c, version=7), {"cancelled": True}),
    "another version": (R.VERSION_OUTDATED, lambda c: bigger(c, version=2), {"waiting": True}),
    "something waits": (R.REVISION_WAITING, bigger, {"waiting": True}),
    "after the gate": (R.GATE_CLOSED, lambda c: bigger(c, quantity_wh=(0,)), {"at": GATE}),
    "to oneself": (R.SAME_PARTY, lambda c: to_cyd(c, party="bob"), {}),
    "to the other side": (R.SAME_PARTY, lambda c: to_cyd(c, party="ann"), {}),
    "to nobody": (R.PARTICIPANT_UNKNOWN, lambda c: to_cyd(c, party="eve"), {}),
    "to a stranger's connection": (R.CONNECTION_UNKNOWN, lambda c: to_cyd(c, connection="ann-cp"), {}),
    "to what is not verified": (
        R.RESOURCE_NOT_VERIFIED, lambda c: to_cyd(c, party="ivy", connection="ivy-cp"), {},
    ),
    "to where no line goes": (R.WRONG_ZONE, lambda c: to_cyd(c, connection="far-cp"), {}),
    "fewer intervals": (R.INTERVALS_DIFFER, lambda c: bigger(c, quantity_wh=(0,)), {}),
    "nothing": (R.QUANTITY_ZERO, lambda c: bigger(c, quantity_wh=(150, 0)), {}),
    "off the lot": (R.QUANTITY_OFF_LOT, lambda c: bigger(c, quantity_wh=(200_000, 150)), {}),
    "too much": (R.QUANTITY_ABOVE_MAXIMUM, lambda c: bigger(c, quantity_wh=(200_000, 100), price_nano_per_kwh=1), {}),
    "off the tick": (R.PRICE_OFF_TICK, lambda c: bigger(c, price_nano_per_kwh=1), {}),
    "out of the range": (R.PRICE_OUT_OF_RANGE, lambda c: bigger(c, price_nano_per_kwh=101 * CENT), {}),
    "the same": (R.NOTHING_CHANGED, lambda c: bigger(c, quantity_wh=(2000, 3000)), {}),
    "more than the seller can": (R.CAPABILITY_EXCEEDED, bigger, {"injection_w": 15_999, "credit": {"ann": 0}}),
    "more than the buyer may owe": (R.CREDIT_EXCEEDED, bigger, {"credit": {"ann": 1_599_999}}),
    "more than the seller may": (R.CREDIT_EXCEEDED, bigger, {"credit": {"bob": 2_399_999}}),
    "more than the new party may": (R.CREDIT_EXCEEDED, to_cyd, {"credit": {"cyd": 1_499_999}}),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_each_broken_rule_has_its_refusal(what: str) -> None:
    reason, wish, world = REFUSED[what]
    assert broken(wish, **world) == [reason]


@pytest.mark.parametrize("world", [{"injection_w": 16_000}, {"credit": {"ann": 1_600_000, "bob": 2_400_000}}])
def test_the_limits_themselves_may_be_used(world: dict[str, Any]) -> None:
    assert broken(bigger, **world) == []


def test_no_wish_without_a_market() -> None:
    for wish in (bigger("k"), to_cyd("k"), ProposeCancellation("k", 1), WithdrawContract("k", 1),
                 AgreeRevision("k", "r"), RefuseRevision("k", "r")):  # fmt: skip
        assert reasons(Scenario("market", MARKET).when(wish, "bob")) == [R.MARKET_UNKNOWN]


def test_only_who_is_awaited_agrees() -> None:
    found = market()
    fact = proposed(found, change(found, 1000, 1000))
    assert reasons(found.when(AgreeRevision("nonsense", fact.revision), "ann")) == [R.CONTRACT_UNKNOWN]
    assert reasons(found.when(AgreeRevision(fact.contract, "another"), "ann")) == [R.REVISION_NOT_WAITING]
    for actor in ("bob", "cyd"):
        assert reasons(found.when(AgreeRevision(fact.contract, fact.revision), actor)) == [R.NOT_AUTHORISED]
    assert reasons(found.when(RefuseRevision(fact.contract, fact.revision), "cyd")) == [R.NOT_AUTHORISED]
    agree(found, fact)
    assert reasons(found.when(AgreeRevision(fact.contract, fact.revision), "ann")) == [R.REVISION_NOT_WAITING]


def test_an_answer_at_the_deadline_is_late_even_before_the_lapse_is_written() -> None:
    found = market()
    fact = proposed(found, change(found, 1000, 1000))
    wish = Command(MARKET, CommandMeta("id", "ann", "c", None, None, None), AgreeRevision(fact.contract, fact.revision))
    found.at = fact.lapses_at
    assert reasons(found.decider.decide(found.state, wish, found.now)) == [R.REVISION_NOT_WAITING]


def test_a_party_that_only_looks_on_wishes_nothing_about_an_assignment() -> None:
    """The side that stays is not asked, but what it would change waits behind the assignment."""
    found = market()
    fact = proposed(found, AssignContract(the_contract(found), 1, "cyd", "cyd-cp"))
    assert reasons(found.when(AgreeRevision(fact.contract, fact.revision), "ann")) == [R.NOT_AUTHORISED]
    assert reasons(found.when(change(found, 1000, 1000), "ann")) == [R.REVISION_WAITING]


@pytest.mark.parametrize("waiting", [False, True])
def test_memory_of_contracts_is_written_and_read_again(waiting: bool) -> None:
    found = traded()
    submit(found, buy("ann", 1, 12))
    first = only(found.facts, ContractConcluded)[0]
    if waiting:
        proposed(found, ProposeChange(first.contract, 1, (3 * KWH,), 11 * CENT), "ann")
    again = pickle.loads(pickle.dumps(found.state))
    assert again == found.state
    assert list(again.agreements.contracts) == list(found.state.agreements.contracts)
    assert rebuilt(found) == found.state
