"""What the slates make of the golden day."""

from dataclasses import fields
from typing import Any

import pytest

from projections.market.access import (
    CREDITS,
    GATES,
    MARKET_REFUSALS,
    MARKET_RULES,
    PARTICIPANTS,
    SESSIONS,
)
from projections.market.capability import CAPABILITIES, CAPABILITY_CHANGES
from projections.market.trading import CONTRACTS, ORDERS, PROPOSALS, TRADES
from projections.market.views import VIEWS
from projections.view import Mode, View
from schemas.catalog import messages_of
from schemas.market.commands import AmendOrder
from schemas.market.events import (
    CommandRefused,
    ContractConcluded,
    GateClosed,
    OrderAccepted,
    RuleSetAdopted,
    SessionOpened,
    TradeMade,
)
from schemas.message import Kind
from tests.unit.given import Scenario, only
from tests.unit.market.test_golden_day import day
from tests.unit.market.world import CENT, GATE, MARKET, buy, open_market, sell, submit
from tests.unit.written import recorded


@pytest.fixture(scope="module", name="market")
def golden_market() -> Scenario:
    return day()


def table(view: View, market: Scenario) -> list[dict[str, Any]]:
    """The rows of a view; of a current one the last values by key, a missing one leaves what stands."""
    rows = [
        dict(row)
        for body in market.facts
        if type(body) in view.on
        for row in view.on[type(body)](recorded("market", MARKET, body))
    ]
    if view.mode is Mode.HISTORY:
        return rows
    current: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        kept = {column: value for column, value in row.items() if value is not None}
        current.setdefault(tuple(row[column] for column in view.key), {}).update(kept)
    return list(current.values())


def test_every_fact_of_the_family_is_on_a_slate(market: Scenario) -> None:
    of_all = {kind for view in VIEWS for kind in view.on}
    assert of_all == {m.cls for m in messages_of("market") if m.kind is Kind.EVENT}


@pytest.mark.parametrize(
    ("view", "fact"),
    [(CONTRACTS, ContractConcluded), (TRADES, TradeMade), (SESSIONS, SessionOpened), (GATES, GateClosed)],
    ids=lambda found: getattr(found, "name", ""),
)
def test_a_slate_of_facts_has_every_field_under_its_own_name(view: View, fact: type, market: Scenario) -> None:
    """Settlement reads `contracts` by these names."""
    names = [field.name for field in fields(fact)]
    assert [name for name in view.columns if name not in ("version", "state")] == names
    found = table(view, market)
    assert len(found) == len(only(market.facts, fact)) > 0
    for row, body in zip(found, only(market.facts, fact), strict=True):
        for name in names:
            value = getattr(body, name)
            assert row[name] == (list(value) if isinstance(value, tuple) else value)


def test_orders_end_as_the_facts_say(market: Scenario) -> None:
    orders = {row["order"]: row for row in table(ORDERS, market)}
    assert list(orders) == [fact.order for fact in only(market.facts, OrderAccepted)]
    for fact in only(market.facts, OrderAccepted):
        row = orders[fact.order]
        assert (row["sequence"], row["party"], row["quantity_wh"]) == (fact.sequence, fact.party, fact.quantity_wh)
        traded = sum(t.quantity_wh for t in only(market.facts, TradeMade) if fact.order in (t.buy_order, t.sell_order))
        assert row["rest_wh"] == fact.quantity_wh - traded
        assert (row["state"] == "filled") is (row["rest_wh"] == 0)
        assert (row["state"] == "cancelled") is ("reason" in row)
    assert {row.get("reason") for row in orders.values()} == {
        None,
        "owner",
        "ioc_rest",
        "fok_unfillable",
        "self_trade",
        "expired",
        "gate_closed",
        "product_amended",
        "amended",
        "mandate_ended",
    }


def test_an_order_is_open_until_it_ends() -> None:
    market = open_market("ann", "bob", "cyd")
    for wish in (sell("bob", 4, 12), sell("cyd", 5, 10), buy("ann", 7, 11.5)):
        submit(market, wish)
    states = [(row["sequence"], row["state"], row["rest_wh"]) for row in table(ORDERS, market)]
    assert states == [(1, "open", 4000), (2, "filled", 0), (3, "open", 2000)]


def test_an_order_shows_the_expiry_that_it_has_and_none_when_it_is_cleared() -> None:
    market = open_market("ann")
    (order,) = submit(market, buy("ann", 4, 12, expires_at=GATE))
    seen = []
    for rest_wh, expires_at in ((3000, GATE - 1), (2000, None), (1000, GATE)):
        seen.append([row["expires_at"] for row in table(ORDERS, market)])
        market.when(AmendOrder(order.order, rest_wh, 12 * CENT, expires_at), "ann")
    seen.append([row["expires_at"] for row in table(ORDERS, market)])
    assert seen == [[GATE], [GATE - 1], [0], [GATE]]


def test_proposals_and_what_became_of_them(market: Scenario) -> None:
    found = {(row["awaiting"], row["state"]): row["quantity_wh"] for row in table(PROPOSALS, market)}
    assert found == {
        ("ann", "concluded"): [2000, 3000],
        ("bob", "lapsed"): [500, 500, 500],
        ("dan", "lapsed"): [2000, 4000],
        ("ann", "rejected"): [2000, 3000],
    }


def test_rules_participants_and_allotments(market: Scenario) -> None:
    assert [(r["version"], r["gate_lead_min"], r["self_trade"]) for r in table(MARKET_RULES, market)] == [
        (1, 5, "cancel_newest"),
        (2, 10, "cancel_oldest"),
        (3, 10, "cancel_newest"),
    ]
    assert set(MARKET_RULES.columns) == {"market", "version", "effective_from"} | {
        field.name for field in fields(only(market.facts, RuleSetAdopted)[0].rules)
    }
    parties = ["ann", "bob", "cyd", "dan"]
    assert [row["party"] for row in table(PARTICIPANTS, market)] == parties
    assert [(row["party"], row["injection_w"], row["resources"]) for row in table(CAPABILITIES, market)] == [
        (party, 40_000 * n, [f"{party}-pv"] if n else []) for n, party in enumerate(parties)
    ]
    changes = table(CAPABILITY_CHANGES, market)
    assert [row["status"] for row in changes] == ["recorded"] * 4 + ["lowered", "retained", "recorded"]
    assert changes[-2]["reason"] == "capability_in_use"
    assert [(row["party"], row["limit_micro"]) for row in table(CREDITS, market)] == [(p, 20_000_000) for p in parties]


def test_refusals_carry_the_rule_and_what_was_found(market: Scenario) -> None:
    refused = only(market.facts, CommandRefused)
    assert [
        (row["command"], row["reason"], row["limit_value"], row["found_value"])
        for row in table(MARKET_REFUSALS, market)
    ] == [(fact.command, fact.reason, fact.limit, fact.found) for fact in refused]
