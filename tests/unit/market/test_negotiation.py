"""Negotiated contracts: proposal and reservation, approval, lapse; refusals in the order of the checks."""

from itertools import combinations
from typing import Any

import pytest

from domain.market import decider
from schemas.market.commands import ApproveContract, SettleDelivery
from schemas.market.events import (
    CapabilityRecorded,
    CommandRefused,
    ContractConcluded,
    ContractLapsed,
    ContractProposed,
    CreditRecorded,
    OrderAccepted,
    RuleSetAdopted,
    SessionOpened,
)
from schemas.market.reasons import MarketRefusal
from schemas.values import DeliveryMode
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
    RULES,
    buy,
    joined,
    open_market,
    proposal,
    rules,
    sell,
    submit,
)

R = MarketRefusal
KWH = 1000
BOUGHT = 5 * KWH * 20 * CENT
SOLD = 5 * KWH * 30 * CENT


def reasons(facts: list[Any]) -> list[R]:
    return [f.reason for f in only(facts, CommandRefused)]


def exposures(market: Scenario) -> dict[str, int]:
    return {party: account.exposure_pico for party, account in market.state.accounts.items()}


def used(market: Scenario, connection: str) -> list[int]:
    slots = market.state.slots
    return [slots[start].used_wh.get(connection, 0) for start in sorted(slots)]


def proposed(proposer: str = "bob") -> tuple[Scenario, str]:
    market = open_market("ann", "bob")
    return market, market.when(PROPOSAL, proposer)[0].contract


@pytest.mark.parametrize(("proposer", "awaiting"), [("bob", "ann"), ("ann", "bob")])
def test_a_proposal_reserves_and_waits_for_the_other_party(proposer: str, awaiting: str) -> None:
    market, contract = proposed(proposer)
    assert only(market.facts, ContractProposed) == [
        ContractProposed(
            MARKET,
            contract,
            proposer,
            awaiting,
            "bob",
            "ann",
            "bob-cp",
            "ann-cp",
            NOON,
            15,
            (2 * KWH, 3 * KWH),
            "EUR",
            20 * CENT,
            NOW + 60 * MINUTE,
            "z",
        )
    ]
    assert exposures(market) == {"ann": BOUGHT, "bob": SOLD}
    assert used(market, "bob-cp") == [2 * KWH, 3 * KWH, 0, 0]
    assert used(market, "ann-cp") == [0, 0, 0, 0], "not bought before it is concluded"
    assert reasons(market.when(ApproveContract(contract), proposer)) == [R.NOT_AUTHORISED]


def test_approval_concludes_a_firm_contract_under_the_rules_of_its_intervals() -> None:
    """A book's contracts are settled as its rules say, a negotiated one is firm (domain rules §4.1)."""
    market, contract = proposed()
    assert market.when(ApproveContract(contract), "ann") == [
        ContractConcluded(
            MARKET,
            "z",
            OPERATOR,
            contract,
            None,
            "bob",
            "ann",
            "bob-cp",
            "ann-cp",
            NOON,
            15,
            (2 * KWH, 3 * KWH),
            "EUR",
            20 * CENT,
            RULES.points_per_kwh,
            DeliveryMode.FIRM,
            1,
        )
    ]
    assert exposures(market) == {"ann": BOUGHT, "bob": SOLD}
    assert used(market, "bob-cp") == [2 * KWH, 3 * KWH, 0, 0]
    assert used(market, "ann-cp") == [-2 * KWH, -3 * KWH, 0, 0]
    assert decider.due(market.state) == GATE, "nothing is left to lapse"


def test_settlement_releases_a_contract_interval_by_interval() -> None:
    market, contract = proposed()
    market.when(ApproveContract(contract), "ann")
    market.later(NOON + QUARTER)
    market.when(SettleDelivery(NOON, NOON + QUARTER), POLICY)
    assert exposures(market) == {"ann": BOUGHT * 3 // 5, "bob": SOLD * 3 // 5}
    market.later(NOON + 2 * QUARTER)
    market.when(SettleDelivery(NOON, NOON + 2 * QUARTER), POLICY)
    assert exposures(market) == {"ann": 0, "bob": 0}


def test_a_proposal_lapses_at_the_deadline() -> None:
    market, contract = proposed()
    assert decider.due(market.state) == NOW + 60 * MINUTE
    assert market.later(NOW + 60 * MINUTE - 1) == []
    assert market.later(NOW + 60 * MINUTE) == [ContractLapsed(MARKET, contract, "bob", "ann")]
    assert exposures(market) == {"ann": 0, "bob": 0}
    assert used(market, "bob-cp") == [0, 0, 0, 0]
    assert reasons(market.when(ApproveContract(contract), "ann")) == [R.CONTRACT_NOT_PROPOSED]


def test_a_proposal_lapses_at_the_first_gate_at_the_latest() -> None:
    market = open_market("ann", "bob", approval_deadline_min=10_000)
    offer = market.when(PROPOSAL, "ann")[0]
    assert offer.lapses_at == GATE
    assert ContractLapsed(MARKET, offer.contract, "bob", "ann") in market.later(GATE)


def test_refused_approvals_in_the_order_of_the_checks() -> None:
    market, contract = proposed()
    assert reasons(Scenario("market", MARKET).when(ApproveContract(contract), "ann")) == [R.MARKET_UNKNOWN]
    assert reasons(market.when(ApproveContract("nonsense"), "ann")) == [R.CONTRACT_UNKNOWN]
    for actor in ("bob", "cyd"):
        assert reasons(market.when(ApproveContract(contract), actor)) == [R.NOT_AUTHORISED]
    market.when(ApproveContract(contract), "ann")
    assert reasons(market.when(ApproveContract(contract), "ann")) == [R.CONTRACT_NOT_PROPOSED]
    assert reasons(market.when(ApproveContract(contract), "bob")) == [R.NOT_AUTHORISED]


def test_a_trades_contract_waits_for_nobody() -> None:
    market = open_market("ann", "bob")
    submit(market, sell("bob", 1, 11))
    contract = only(submit(market, buy("ann", 1, 11)), ContractConcluded)[0].contract
    assert reasons(market.when(ApproveContract(contract), "ann")) == [R.CONTRACT_UNKNOWN]


def test_book_and_negotiation_share_capability_and_credit() -> None:
    market = open_market("ann", "bob")
    market.given(CapabilityRecorded(MARKET, "bob-cp", "bob", 12_000, ("pv",)))  # 3 kWh in a quarter-hour
    market.given(CreditRecorded(MARKET, "ann", "EUR", 1_200_000))
    market.when(PROPOSAL, "ann")
    assert reasons(submit(market, sell("bob", 1.1, 20))) == [R.CAPABILITY_EXCEEDED]
    assert type(submit(market, sell("bob", 1, 20))[0]) is OrderAccepted
    assert reasons(submit(market, sell("bob", 0.1, 20, start=NOON + QUARTER))) == [R.CAPABILITY_EXCEEDED]
    assert reasons(submit(market, buy("ann", 1, 20.1))) == [R.CREDIT_EXCEEDED]
    assert type(submit(market, buy("ann", 1, 20))[0]) is OrderAccepted
    assert reasons(market.when(PROPOSAL, "ann")) == [R.CAPABILITY_EXCEEDED]


def test_bought_by_contract_may_be_sold_again() -> None:
    market, contract = proposed()
    market.given(CapabilityRecorded(MARKET, "ann-cp", "ann", 0, ("pv",)))
    assert reasons(submit(market, sell("ann", 2, 50))) == [R.CAPABILITY_EXCEEDED]
    market.when(ApproveContract(contract), "ann")
    assert reasons(submit(market, sell("ann", 2.1, 50))) == [R.CAPABILITY_EXCEEDED]
    assert type(submit(market, sell("ann", 2, 50))[0]) is OrderAccepted


def test_a_negative_price_is_the_sellers_debt() -> None:
    market = open_market("ann", "bob")
    market.when(proposal(price_nano_per_kwh=-10 * CENT), "ann")
    assert exposures(market) == {"ann": 0, "bob": 5 * KWH * (60 + 10) * CENT}


BREAKS: tuple[tuple[R, dict[str, Any]], ...] = (
    (R.MARKET_UNKNOWN, {"world": "nothing"}),
    (R.NOT_AUTHORISED, {"actor": "cyd"}),
    (R.SAME_PARTY, {"seller": "ann", "actor": "ann"}),
    (R.TOO_MANY_INTERVALS, {"quantity_wh": (KWH,) * 501}),
    (R.INSTRUMENT_UNKNOWN, {"first_start_at": NOON + 4 * QUARTER}),
    (R.NOT_OPEN, {"at": NOON - 1440 * MINUTE - 1}),
    (R.GATE_CLOSED, {"at": GATE}),
    (R.PARTICIPANT_UNKNOWN, {"buyer": "eve", "actor": "bob"}),
    (R.CONNECTION_UNKNOWN, {"seller_connection": "ann-cp"}),
    (R.CONNECTION_UNKNOWN, {"buyer_connection": "bob-cp"}),
    (R.RESOURCE_NOT_VERIFIED, {"seller": "ivy", "seller_connection": "ivy-cp", "actor": "ann"}),
    (R.QUANTITY_ZERO, {"quantity_wh": ()}),
    (R.QUANTITY_ZERO, {"quantity_wh": (150, 0)}),
    (R.QUANTITY_OFF_LOT, {"quantity_wh": (101_000, 150)}),
    (R.QUANTITY_ABOVE_MAXIMUM, {"quantity_wh": (KWH, 101_000)}),
    (R.PRICE_OFF_TICK, {"price_nano_per_kwh": 1}),
    (R.PRICE_OUT_OF_RANGE, {"price_nano_per_kwh": 101 * CENT}),
    (R.CAPABILITY_EXCEEDED, {"injection_w": 11_999}),
    (R.CREDIT_EXCEEDED, {"credit_micro": {"ann": 999_999}}),
    (R.CREDIT_EXCEEDED, {"credit_micro": {"bob": 1_499_999}}),
)


def broken(changes: dict[str, Any]) -> list[Any]:
    at = changes.get("at", NOW)
    market = Scenario("market", MARKET, at=NOON - 2000 * MINUTE)
    if changes.get("world") != "nothing":
        market.given(RuleSetAdopted(MARKET, 1, 0, RULES), SessionOpened(MARKET, "z", NOON, 4, 15, 1))
    credit = {"ann": 1_000_000, "bob": 1_500_000} | changes.get("credit_micro", {})
    for party in ("ann", "bob", "cyd"):
        market.given(*joined(party, changes.get("injection_w", 12_000), credit.get(party, 0)))
    market.given(*joined("ivy", verified=False))
    market.later(at)
    terms = {k: v for k, v in changes.items() if k in PROPOSAL.__dataclass_fields__}
    return market.when(proposal(**terms), changes.get("actor", "bob"))


def test_the_unbroken_proposal_stands() -> None:
    assert [type(f) for f in broken({})] == [ContractProposed]


@pytest.mark.parametrize(("reason", "changes"), BREAKS, ids=[f"{n}-{b[0]}" for n, b in enumerate(BREAKS)])
def test_each_broken_rule_has_its_refusal(reason: R, changes: dict[str, Any]) -> None:
    assert reasons(broken(changes)) == [reason]


PAIRS = [(a, b) for a, b in combinations(BREAKS, 2) if not set(a[1]) & set(b[1])]


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=[f"{a[0]}-{b[0]}" for a, b in PAIRS])
def test_of_two_broken_rules_the_first_is_answered(first: Any, second: Any) -> None:
    assert reasons(broken(first[1] | second[1])) == [first[0]]


def test_every_interval_is_listed_and_open() -> None:
    market = open_market("ann", "bob", at=NOON - 1440 * MINUTE)
    facts = market.when(PROPOSAL, "ann")
    assert facts == [CommandRefused("ProposeContract", "bob-cp", "ann", R.NOT_OPEN, market.at + QUARTER, market.at)]
    beyond = market.when(proposal(first_start_at=NOON + 3 * QUARTER), "ann")
    assert [(f.reason, f.found) for f in beyond] == [(R.INSTRUMENT_UNKNOWN, NOON + 4 * QUARTER)]


def test_a_contract_lies_under_one_rules_version() -> None:
    market = open_market("ann", "bob")
    end = NOON + 4 * QUARTER
    market.given(RuleSetAdopted(MARKET, 2, end, rules(lot_wh=200)), SessionOpened(MARKET, "z", end, 4, 15, 2))
    across = proposal(first_start_at=end - QUARTER)
    assert market.when(across, "ann") == [
        CommandRefused("ProposeContract", "bob-cp", "ann", R.INSTRUMENT_UNKNOWN, 0, end)
    ]
    assert type(market.when(proposal(first_start_at=end), "ann")[0]) is ContractProposed


def test_a_contract_over_several_sessions_of_one_rules_version() -> None:
    market = open_market("ann", "bob", intervals=1)
    market.given(SessionOpened(MARKET, "z", NOON + QUARTER, 1, 15, 1))
    assert type(market.when(PROPOSAL, "ann")[0]) is ContractProposed
