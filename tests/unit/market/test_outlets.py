"""Outlets: off-taker contracts for a list of connections' output, nominations, trades elsewhere."""

import pickle
from dataclasses import replace
from typing import Any

import pytest

from schemas.envelope import Command, CommandMeta
from schemas.market.commands import SettleDelivery
from schemas.market.events import CapabilityRecorded, CommandRefused
from schemas.market.outlet_commands import (
    ApproveOutlet,
    NominateOutlet,
    ProposeOutlet,
    RecordExternalTrade,
    RefuseOutlet,
)
from schemas.market.outlet_events import (
    ExternalTradeRecorded,
    OutletConcluded,
    OutletEnded,
    OutletEnding,
    OutletKind,
    OutletNominated,
    OutletProposed,
)
from schemas.market.reasons import MarketRefusal
from schemas.values import Side
from tests.unit.given import MINUTE, Scenario
from tests.unit.market.world import CENT, MARKET, NOON, NOW, POLICY, QUARTER, joined, open_market
from tests.unit.written import rebuilt

R = MarketRefusal
END = NOON + 4 * QUARTER
OFFER = ProposeOutlet(
    OutletKind.UTILITY_FEED_IN, "bob", "dan", ("bob-cp", "roof"), NOON, END, "day-ahead", -CENT, 970_000
)  # fmt: skip
"""Dan takes what bob's two connections feed in during one hour, a cent below the index, 3 % lost on the way."""


def market() -> Scenario:
    found = open_market("ann", "bob", "dan")
    found.given(*joined("ivy", verified=False))
    return found.given(CapabilityRecorded(MARKET, "roof", "bob", 1_000, ("pv-2",)))


def reasons(facts: list[Any]) -> list[R]:
    return [fact.reason for fact in facts if type(fact) is CommandRefused]


def agreed() -> tuple[Scenario, str]:
    found = market()
    outlet = found.when(OFFER, "bob")[0].outlet
    found.when(ApproveOutlet(outlet), "dan")
    return found, outlet


def nomination(outlet: str, **changes: Any) -> NominateOutlet:
    return replace(NominateOutlet(outlet, NOON, 15, (500, 600)), **changes)


def trade(outlet: str, **changes: Any) -> RecordExternalTrade:
    wish = RecordExternalTrade(outlet, "exchange", "4711", Side.SELL, NOON, 60, (2000,), "EUR", 8 * CENT)
    return replace(wish, **changes)


@pytest.mark.parametrize(("proposer", "awaiting"), [("bob", "dan"), ("dan", "bob")])
def test_an_outlet_is_proposed_and_approved_by_the_other_side(proposer: str, awaiting: str) -> None:
    found = market()
    (fact,) = found.when(OFFER, proposer)
    assert fact == OutletProposed(
        MARKET, fact.outlet, OutletKind.UTILITY_FEED_IN, proposer, awaiting, "bob", "dan", ("bob-cp", "roof"),
        NOON, END, "EUR", "day-ahead", -CENT, 970_000, NOW + 60 * MINUTE,
    )  # fmt: skip
    assert found.when(ApproveOutlet(fact.outlet), awaiting) == [OutletConcluded(MARKET, fact.outlet)]


def test_an_outlet_is_no_exposure_and_no_capability_of_the_book() -> None:
    found, _ = agreed()
    assert not any(account.exposure_pico for account in found.state.accounts.values())
    assert not any(wh for slot in found.state.slots.values() for wh in slot.used_wh.values())


@pytest.mark.parametrize("actor", ["bob", "dan"])
def test_a_proposal_may_be_refused_or_taken_back(actor: str) -> None:
    found = market()
    outlet = found.when(OFFER, "bob")[0].outlet
    assert found.when(RefuseOutlet(outlet), actor) == [OutletEnded(MARKET, outlet, OutletEnding.REFUSED)]
    assert reasons(found.when(ApproveOutlet(outlet), "dan")) == [R.OUTLET_UNKNOWN]


def test_a_proposal_lapses_at_the_deadline_or_when_its_period_begins() -> None:
    found = market()
    outlet = found.when(OFFER, "bob")[0].outlet
    assert found.later(NOW + 60 * MINUTE - 1) == []
    assert found.later(NOW + 60 * MINUTE) == [OutletEnded(MARKET, outlet, OutletEnding.LAPSED)]
    found.later(NOON - 1)
    assert found.when(OFFER, "bob")[0].lapses_at == NOON


def test_nominations_and_trades_elsewhere_are_recorded() -> None:
    found, outlet = agreed()
    assert found.when(nomination(outlet), "dan") == [OutletNominated(MARKET, outlet, "dan", NOON, 15, (500, 600))]
    assert found.when(trade(outlet), "dan") == [
        ExternalTradeRecorded(
            MARKET, outlet, "dan", "exchange", "4711", Side.SELL, NOON, 60, (2000,), "EUR", 8 * CENT
        )
    ]  # fmt: skip
    assert reasons(found.when(trade(outlet), "dan")) == [R.NOTHING_CHANGED], "it is one trade, told twice"
    assert type(found.when(trade(outlet, reference="4712"), "dan")[0]) is ExternalTradeRecorded
    assert rebuilt(found) == found.state == pickle.loads(pickle.dumps(found.state))


def test_a_settled_period_is_forgotten() -> None:
    found, outlet = agreed()
    found.later(END)
    found.when(SettleDelivery(NOON, END - QUARTER), POLICY)
    assert type(found.when(nomination(outlet), "dan")[0]) is OutletNominated
    found.when(SettleDelivery(NOON, END), POLICY)
    assert not found.state.outlets.known


PROPOSALS: dict[str, tuple[R, dict[str, Any]]] = {
    "of somebody else": (R.NOT_AUTHORISED, {"actor": "ann", "off_taker": "bob"}),
    "with oneself": (R.SAME_PARTY, {"off_taker": "bob", "to_at": NOON}),
    "of no time": (R.PERIOD_INVALID, {"to_at": NOON}),
    "off the grid": (R.PERIOD_INVALID, {"to_at": END + 1, "from_at": NOW}),
    "begun already": (R.NOT_FUTURE, {"from_at": NOW, "off_taker": "eve"}),
    "with a stranger": (R.PARTICIPANT_UNKNOWN, {"off_taker": "eve", "connections": ()}),
    "of nothing": (R.TOO_MANY_CONNECTIONS, {"connections": ()}),
    "of one connection twice": (R.TOO_MANY_CONNECTIONS, {"connections": ("roof", "roof")}),
    "of too many": (R.TOO_MANY_CONNECTIONS, {"connections": tuple(f"c{n}" for n in range(501))}),
    "of another's connection": (R.CONNECTION_UNKNOWN, {"connections": ("roof", "ann-cp")}),
    "of no connection": (R.CONNECTION_UNKNOWN, {"connections": ("nonsense",)}),
    "of what is not verified": (
        R.RESOURCE_NOT_VERIFIED, {"seller": "ivy", "connections": ("ivy-cp",), "actor": "ivy"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", PROPOSALS)
def test_each_broken_rule_of_a_proposal_has_its_refusal(what: str) -> None:
    reason, changes = PROPOSALS[what]
    actor = changes.get("actor", "bob")
    wish = replace(OFFER, **{name: value for name, value in changes.items() if name != "actor"})
    assert reasons(market().when(wish, actor)) == [reason]


@pytest.mark.parametrize("waiting", [True, False])
def test_what_a_connection_feeds_in_has_one_outlet_at_a_time(waiting: bool) -> None:
    found = market() if waiting else agreed()[0]
    if waiting:
        found.when(OFFER, "bob")
    again = replace(OFFER, connections=("roof",), from_at=END - QUARTER, to_at=END + QUARTER)
    (refused,) = found.when(again, "dan")
    assert (refused.reason, refused.limit, refused.found) == (R.OUTLET_OVERLAPS, END, END - QUARTER)
    assert type(found.when(replace(again, from_at=END), "dan")[0]) is OutletProposed
    before = replace(again, from_at=NOON - QUARTER, to_at=NOON)
    assert type(found.when(before, "dan")[0]) is OutletProposed


def test_refused_answers_in_the_order_of_the_checks() -> None:
    found = market()
    outlet = found.when(OFFER, "bob")[0].outlet
    for wish in (ApproveOutlet, RefuseOutlet):
        assert reasons(Scenario("market", MARKET).when(wish(outlet), "dan")) == [R.MARKET_UNKNOWN]
        assert reasons(found.when(wish("nonsense"), "dan")) == [R.OUTLET_UNKNOWN]
        assert reasons(found.when(wish(outlet), "ann")) == [R.NOT_AUTHORISED]
    assert reasons(found.when(ApproveOutlet(outlet), "bob")) == [R.NOT_AUTHORISED]
    found.when(ApproveOutlet(outlet), "dan")
    for wish in (ApproveOutlet, RefuseOutlet):
        assert reasons(found.when(wish(outlet), "dan")) == [R.OUTLET_NOT_PROPOSED]


def test_an_answer_at_the_deadline_is_late_even_before_the_lapse_is_written() -> None:
    found = market()
    outlet = found.when(OFFER, "bob")[0]
    found.at = outlet.lapses_at
    wish = Command(MARKET, CommandMeta("id", "dan", "c", None, None, None), ApproveOutlet(outlet.outlet))
    assert reasons(found.decider.decide(found.state, wish, found.now)) == [R.OUTLET_NOT_PROPOSED]


def test_who_is_in_default_gets_no_outlet() -> None:
    found = market()
    outlet = found.when(OFFER, "bob")[0].outlet
    found.state.participants.discard("bob")
    assert reasons(found.when(ApproveOutlet(outlet), "dan")) == [R.PARTICIPANT_UNKNOWN]


TOLD: dict[str, tuple[R, dict[str, Any]]] = {
    "off-taker": (R.NOT_AUTHORISED, {"actor": "bob", "quantity_wh": ()}),
    "too many": (R.TOO_MANY_INTERVALS, {"quantity_wh": (1,) * 501}),
    "nothing": (R.PERIOD_INVALID, {"quantity_wh": ()}),
    "before": (R.PERIOD_INVALID, {"first_start_at": NOON - 60 * MINUTE}),
    "beyond": (R.PERIOD_INVALID, {"quantity_wh": (1,) * 5}),
    "off the grid": (R.PERIOD_INVALID, {"first_start_at": NOON + 1, "quantity_wh": (1,)}),
}


@pytest.mark.parametrize("what", TOLD)
@pytest.mark.parametrize("kind", [nomination, trade])
def test_each_broken_rule_of_what_is_told_has_its_refusal(what: str, kind: Any) -> None:
    reason, changes = TOLD[what]
    found, outlet = agreed()
    changed = kind(outlet, **{name: value for name, value in changes.items() if name != "actor"})
    assert reasons(found.when(changed, changes.get("actor", "dan"))) == [reason]


@pytest.mark.parametrize("kind", [nomination, trade])
def test_only_what_is_agreed_is_told_of(kind: Any) -> None:
    found = market()
    outlet = found.when(OFFER, "bob")[0].outlet
    assert reasons(Scenario("market", MARKET).when(kind(outlet), "dan")) == [R.MARKET_UNKNOWN]
    assert reasons(found.when(kind("nonsense"), "dan")) == [R.OUTLET_UNKNOWN]
    assert reasons(found.when(kind(outlet), "dan")) == [R.OUTLET_NOT_CONCLUDED]


@pytest.mark.parametrize(
    ("reason", "changes"), [(R.WRONG_CURRENCY, {"currency": "CHF", "quantity_wh": (0,)}),
                            (R.QUANTITY_ZERO, {"quantity_wh": (0,)})],
)  # fmt: skip
def test_a_trade_elsewhere_is_of_something_in_the_markets_currency(reason: R, changes: dict[str, Any]) -> None:
    found, outlet = agreed()
    assert reasons(found.when(trade(outlet, **changes), "dan")) == [reason]
