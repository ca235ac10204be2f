"""What a posted run frees: each settlement interval by itself, and of the area that it settled only."""

from typing import Any

import pytest

from schemas.market.commands import ApproveContract, OpenSession, RecordCredit, SettleDelivery
from schemas.market.contract_commands import AgreeRevision, ProposeChange
from schemas.market.contract_events import ContractRevised, RevisionEnded
from schemas.market.credit_events import PositionClosed
from schemas.market.events import ContractConcluded, ContractLapsed, DeliverySettled, GateClosed
from schemas.market.rules import CreditRules, TradingRules
from tests.unit.given import MINUTE, Scenario, only
from tests.unit.market.test_phases import publish, zoned
from tests.unit.market.world import (
    CENT,
    GATE,
    KWH,
    MARKET,
    NOON,
    OPERATOR,
    POLICY,
    QUARTER,
    buy,
    open_market,
    proposal,
    sell,
    submit,
    trades,
)

HOUR_WH = 4 * KWH
BOUGHT = KWH * 10 * CENT
"""A kWh of ann at 10 cents."""
SOLD = KWH * 40 * CENT
"""A kWh of a seller at 10 cents, with an assumed price of 50."""


def exposure(market: Scenario, party: str) -> int:
    pico: int = market.state.accounts[party].exposure_pico
    return pico


def an_hour_sold(**changes: Any) -> Scenario:
    """Bob sells ann 4 kWh of the hour from noon on, both in z."""
    market = open_market("ann", "bob", trading=TradingRules((60,), 0, 0, 0, 0, 0, 0), **changes)
    market.when(OpenSession(NOON, 1, 60), OPERATOR)
    submit(market, sell("bob", 4, 10, duration_min=60))
    assert trades(submit(market, buy("ann", 4, 10, duration_min=60))) == [("ann", "bob", 4, 10)]
    return market


def test_an_hour_is_freed_quarter_by_quarter() -> None:
    market = an_hour_sold()
    market.later(NOON + 4 * QUARTER)
    for settled in range(1, 5):
        market.when(SettleDelivery(NOON, NOON + settled * QUARTER), POLICY)
        assert exposure(market, "ann") == (4 - settled) * BOUGHT
        assert exposure(market, "bob") == (4 - settled) * SOLD
        assert ((NOON, 60) in market.state.instruments) is (settled < 4)


def test_an_hour_keeps_its_capability_until_its_last_quarter_is_settled() -> None:
    market = an_hour_sold()
    market.later(NOON + QUARTER)
    market.when(SettleDelivery(NOON, NOON + QUARTER), POLICY)
    used = {(start - NOON) // QUARTER: slot.used_wh.get("bob-cp") for start, slot in market.state.slots.items()}
    assert used == {0: KWH, 1: KWH, 2: KWH, 3: KWH}
    market.later(NOON + 4 * QUARTER)
    market.when(SettleDelivery(NOON + QUARTER, NOON + 4 * QUARTER), POLICY)
    assert market.state.slots == {}


def test_a_close_out_takes_nothing_of_what_is_settled() -> None:
    """Ann is in default when the first quarter of her hour is settled; the hour is forgotten with its last one."""
    market = an_hour_sold(credit=CreditRules(0, 0, 1, 10 * CENT, 0))
    market.later(NOON + QUARTER)
    market.when(SettleDelivery(NOON, NOON + QUARTER), POLICY)
    market.when(RecordCredit(OPERATOR, "ann", "EUR", 0), POLICY)
    market.later(NOON + QUARTER)
    market.later(NOON + QUARTER + MINUTE)
    assert [f.quantity_wh for f in only(market.facts, PositionClosed)] == [2 * KWH]
    market.later(NOON + 4 * QUARTER)
    market.when(SettleDelivery(NOON + QUARTER, NOON + 4 * QUARTER), POLICY)
    assert (exposure(market, "ann"), exposure(market, "bob")) == (0, 0)
    assert (market.state.instruments, market.state.slots) == ({}, {})


def across() -> Scenario:
    """Of one quarter-hour bob in y sells ann in z 1 kWh, and dan sells her another at home."""
    market = zoned(("zy", 0, 3000))
    submit(market, sell("bob", 1, 10))
    submit(market, sell("dan", 1, 10))
    assert len(trades(submit(market, buy("ann", 2, 10)))) == 2
    market.later(NOON + QUARTER)
    return market


@pytest.mark.parametrize("first", ["z", "y"])
def test_what_an_area_settled_is_free_and_what_crosses_when_both_have(first: str) -> None:
    market = across()
    market.when(SettleDelivery(NOON, NOON + QUARTER, first), POLICY)
    at_home = first == "z"
    assert exposure(market, "ann") == (1 if at_home else 2) * BOUGHT
    assert exposure(market, "dan") == (0 if at_home else SOLD)
    assert exposure(market, "bob") == SOLD
    assert (NOON, 15) in market.state.instruments
    market.when(SettleDelivery(NOON, NOON + QUARTER, first), POLICY)
    assert exposure(market, "bob") == SOLD, "the same area again"
    market.when(SettleDelivery(NOON, NOON + QUARTER, "y" if at_home else "z"), POLICY)
    assert {exposure(market, party) for party in ("ann", "bob", "dan")} == {0}
    assert (NOON, 15) not in market.state.instruments


def test_an_area_without_contracts_keeps_nothing_waiting() -> None:
    market = zoned()
    market.later(NOON + QUARTER)
    market.when(SettleDelivery(NOON, NOON + QUARTER, "z"), POLICY)
    assert (NOON, 15) not in market.state.instruments


def test_a_run_that_names_no_area_settles_all_of_them() -> None:
    market = across()
    market.when(SettleDelivery(NOON, NOON + QUARTER), POLICY)
    assert {exposure(market, party) for party in ("ann", "bob", "dan")} == {0}


def test_a_revision_takes_nothing_of_what_is_settled() -> None:
    """A contract over two quarters: the first is settled in z, the second is still to come."""
    market = zoned(("zy", 0, 5000))
    contract = market.when(proposal(), "bob")[0].contract
    market.when(ApproveContract(contract), "ann")
    (wish,) = market.when(ProposeChange(contract, 1, (2 * KWH, KWH), 20 * CENT), "bob")
    assert only(market.when(AgreeRevision(contract, wish.revision), "ann"), ContractRevised)
    assert market.state.slots[NOON + QUARTER].flow_wh == {"zy": -KWH}
    market.later(NOON + QUARTER)
    for area in ("z", "y"):
        market.when(SettleDelivery(NOON, NOON + QUARTER, area), POLICY)
    assert exposure(market, "ann") == KWH * 20 * CENT


def test_a_negotiated_contract_holds_the_line_from_its_proposal_on() -> None:
    market = zoned(("zy", 0, 3000))
    wish = proposal(quantity_wh=(2 * KWH, 3 * KWH))
    (fact,) = market.when(wish, "bob")
    assert (fact.zone, fact.buyer_zone) == ("y", "z")
    assert [market.state.slots[NOON + n * QUARTER].flow_wh for n in range(2)] == [{"zy": -2000}, {"zy": -3000}]
    submit(market, sell("bob", 2, 10))
    assert trades(submit(market, buy("ann", 2, 10))) == [("ann", "bob", 1, 10)]
    (contract,) = market.when(ApproveContract(fact.contract), "ann")
    assert type(contract) is ContractConcluded
    assert (contract.zone, contract.buyer_zone) == ("y", "z")
    assert market.state.slots[NOON].flow_wh == {"zy": -3000}


def test_a_proposal_that_lapses_gives_the_line_back_to_who_waits() -> None:
    market = zoned(("zy", 0, 3000))
    market.when(proposal(quantity_wh=(3 * KWH,)), "bob")
    submit(market, sell("bob", 2, 10))
    assert trades(submit(market, buy("ann", 2, 10))) == []
    assert trades(market.later(market.at + 60 * 60_000_000)) == [("ann", "bob", 2, 10)]
    assert market.state.slots[NOON].flow_wh == {"zy": -2000}


def test_a_proposal_beyond_the_line_is_refused() -> None:
    market = zoned(("zy", 0, 3000))
    (refused,) = market.when(proposal(quantity_wh=(KWH, 4 * KWH)), "bob")
    assert (refused.reason.name, refused.limit, refused.found) == ("LINE_EXCEEDED", 3000, 4000)
    publish(market, "zy", 0, 4000)
    assert market.when(proposal(quantity_wh=(KWH, 4 * KWH)), "bob")[0].zone == "y"


def test_a_proposal_to_where_no_line_goes_is_refused() -> None:
    (refused,) = zoned(lines=()).when(proposal(), "bob")
    assert refused.reason.name == "WRONG_ZONE"


def test_what_waits_for_an_answer_lapses_before_its_delivery_is_forgotten() -> None:
    """Settlement may come before the gate is written out, as after a long silence: then both end in one call."""
    market = open_market("ann", "bob")
    (agreed,) = market.when(proposal(quantity_wh=(KWH,)), "bob")
    market.when(ApproveContract(agreed.contract), "ann")
    market.later(GATE - MINUTE)
    (change,) = market.when(ProposeChange(agreed.contract, 1, (2 * KWH,), 20 * CENT), "bob")
    assert change.lapses_at == GATE
    market.given(DeliverySettled(MARKET, NOON, NOON + QUARTER))
    assert [type(f) for f in market.later(GATE)] == [GateClosed, RevisionEnded]
    assert market.state.agreements.contracts == {}
    assert (exposure(market, "ann"), exposure(market, "bob")) == (0, 0)


def test_a_proposal_that_waits_keeps_its_delivery() -> None:
    market = open_market("ann", "bob")
    market.when(proposal(quantity_wh=(KWH,)), "bob")
    market.given(GateClosed(MARKET, NOON, 15, 0), DeliverySettled(MARKET, NOON, NOON + QUARTER))
    assert (NOON, 15) in market.state.instruments
    assert [type(f) for f in market.later(GATE)][:1] == [ContractLapsed]
    assert (NOON, 15) not in market.state.instruments
    assert (exposure(market, "ann"), exposure(market, "bob")) == (0, 0)


def test_what_is_published_of_a_line_for_settled_intervals_is_not_kept() -> None:
    market = zoned()
    market.later(NOON + 4 * QUARTER)
    market.when(SettleDelivery(NOON, NOON + 2 * QUARTER), POLICY)
    publish(market, "zy", 1000, 1000)
    market.when(SettleDelivery(NOON + 2 * QUARTER, NOON + 4 * QUARTER), POLICY)
    assert market.state.slots == {}
