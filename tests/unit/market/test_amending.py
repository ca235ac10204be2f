"""Changing resting orders: what keeps its priority, what loses it, and cancelling many at once."""

from typing import Any

import pytest

from domain.market import amending
from schemas.market.commands import AmendOrder, CancelOrders, SubmitOrder
from schemas.market.events import (
    ContractConcluded,
    CreditRecorded,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrdersCancelled,
    Restriction,
)
from schemas.market.package_commands import SubmitBlock
from schemas.market.package_events import BlocksCancelled
from schemas.market.reasons import CancelReason, MarketRefusal
from schemas.values import Side
from tests.unit.given import MINUTE, Scenario, only
from tests.unit.market.world import (
    CENT,
    EURO_MICRO,
    GATE,
    KWH,
    NOON,
    OPERATOR,
    QUARTER,
    buy,
    open_market,
    sell,
    shown,
    submit,
    trades,
)

R = MarketRefusal


def entered(market: Scenario, wish: SubmitOrder) -> OrderAccepted:
    (accepted,) = only(submit(market, wish), OrderAccepted)
    found: OrderAccepted = accepted
    return found


def amendment(order: OrderAccepted, kwh: float, cents: float, expires_at: int | None = None) -> AmendOrder:
    return AmendOrder(order.order, round(kwh * KWH), round(cents * 10) * CENT // 10, expires_at)


def amend(market: Scenario, order: OrderAccepted, kwh: float, cents: float, expires_at: int | None = None) -> list[Any]:
    return market.when(amendment(order, kwh, cents, expires_at), order.party)


def test_v_m2_less_keeps_its_priority_more_loses_it() -> None:
    """V-M2, domain rules Annex V.1: A, B, C each sell 5 @ 10; A is reduced to 3, B raised to 6; X buys 9 @ 10."""
    market = open_market("a", "b", "c", "x", lot_wh=KWH, tick_nano_per_kwh=CENT)
    a, b, c = (entered(market, sell(party, 5, 10)) for party in "abc")
    (reduced,) = amend(market, a, 3, 10)
    (raised,) = amend(market, b, 6, 10)
    assert (reduced.sequence, raised.sequence) == (a.sequence, c.sequence + 1)
    facts = submit(market, buy("x", 9, 10))
    assert trades(facts) == [("x", "a", 3, 10), ("x", "c", 5, 10), ("x", "b", 1, 10)]
    assert shown(market) == ([], [("b", 5 * KWH, 10 * CENT)])


def test_another_price_loses_the_priority_also_back_to_the_old_one() -> None:
    market = open_market("ann", "bob", "cyd")
    first = entered(market, sell("ann", 5, 10))
    entered(market, sell("bob", 5, 10))
    amend(market, first, 5, 11)
    amend(market, first, 5, 10)
    assert [party for party, _, _ in shown(market)[1]] == ["bob", "ann"]


def test_another_expiry_keeps_the_priority_and_counts_alone() -> None:
    market = open_market("ann", "bob")
    first = entered(market, sell("ann", 5, 10, expires_at=GATE - 60 * MINUTE))
    entered(market, sell("bob", 5, 10))
    amend(market, first, 5, 10, GATE - 30 * MINUTE)
    market.later(GATE - 60 * MINUTE)
    assert [party for party, _, _ in shown(market)[1]] == ["ann", "bob"]
    (expired,) = market.later(GATE - 30 * MINUTE)
    assert (expired.order, expired.reason) == (first.order, CancelReason.EXPIRED)


def test_an_amended_order_that_crosses_trades_at_once_as_the_aggressor() -> None:
    market = open_market("ann", "bob")
    entered(market, buy("bob", 5, 9))
    order = entered(market, sell("ann", 5, 10))
    facts = amend(market, order, 7, 8)
    assert type(facts[0]) is OrderAmended
    assert trades(facts) == [("bob", "ann", 5, 9)]
    assert len(only(facts, ContractConcluded)) == 1
    assert shown(market) == ([], [("ann", 2 * KWH, 8 * CENT)])


def test_credit_and_capability_follow_the_amendment() -> None:
    market = open_market("ann", "bob")
    order = entered(market, sell("bob", 5, 10))
    amend(market, order, 8, 20)
    assert market.state.slots[NOON].used_wh["bob-cp"] == 8 * KWH
    assert market.state.accounts["bob"].exposure_pico == 8 * KWH * 30 * CENT
    amend(market, order, 2, 20)
    assert market.state.slots[NOON].used_wh["bob-cp"] == 2 * KWH
    assert market.state.accounts["bob"].exposure_pico == 2 * KWH * 30 * CENT
    bid = entered(market, buy("ann", 5, 10))
    amend(market, bid, 5, 12)
    assert market.state.accounts["ann"].exposure_pico == 5 * KWH * 12 * CENT


def test_a_smaller_all_or_none_order_may_find_somebody_who_fills_it() -> None:
    market = open_market("ann", "bob")
    order = entered(market, sell("ann", 10, 10, restriction=Restriction.AON))
    entered(market, buy("bob", 6, 12))
    amend(market, order, 6, 10)
    assert trades(market.later(market.at + MINUTE)) == [("bob", "ann", 6, 10)]


@pytest.mark.parametrize(
    ("kwh", "cents", "expires_at", "reason"),
    [
        (5, 10, None, R.NOTHING_CHANGED),
        (0, 10, None, R.QUANTITY_ZERO),
        (0.15, 10, None, R.QUANTITY_OFF_LOT),
        (101, 10, None, R.QUANTITY_ABOVE_MAXIMUM),
        (5, 101, None, R.PRICE_OUT_OF_RANGE),
        (5, 10, NOON - 180 * MINUTE, R.EXPIRY_IN_THE_PAST),
        (5, 10, GATE + 1, R.EXPIRY_AFTER_GATE),
        (100, 10, None, R.CAPABILITY_EXCEEDED),
        (90, -90, None, R.CREDIT_EXCEEDED),
    ],
)
def test_an_amendment_is_judged_like_a_new_order(kwh: float, cents: float, expires_at: int | None, reason: R) -> None:
    market = open_market("ann", "bob").given(CreditRecorded("m", "bob", "EUR", 100 * EURO_MICRO))
    entered(market, sell("bob", 5, 20))
    order = entered(market, sell("bob", 5, 10))
    before = shown(market), market.state.accounts["bob"].exposure_pico
    (refused,) = amend(market, order, kwh, cents, expires_at)
    assert refused.reason is reason
    assert (shown(market), market.state.accounts["bob"].exposure_pico) == before


def test_a_price_off_the_tick_is_refused() -> None:
    market = open_market("ann")
    order = entered(market, buy("ann", 5, 10))
    (refused,) = market.when(AmendOrder(order.order, 5 * KWH, 10 * CENT + 1, None), "ann")
    assert refused.reason is R.PRICE_OFF_TICK


def test_only_the_owner_amends_and_only_what_is_open_before_the_gate() -> None:
    market = open_market("ann", "bob")
    order = entered(market, sell("ann", 5, 10))
    assert [f.reason for f in market.when(amendment(order, 3, 10), "bob")] == [R.NOT_AUTHORISED]
    assert [f.reason for f in market.when(AmendOrder("none", 100, CENT, None), "ann")] == [R.ORDER_UNKNOWN]
    submit(market, buy("bob", 5, 10))
    assert [f.reason for f in amend(market, order, 3, 10)] == [R.ORDER_NOT_OPEN]
    later = entered(market, sell("ann", 5, 10))
    market.later(GATE)
    assert [f.reason for f in amend(market, later, 3, 10)] == [R.GATE_CLOSED]


def test_who_is_beyond_the_limit_may_still_ask_for_less() -> None:
    market = open_market("ann")
    order = entered(market, buy("ann", 5, 10))
    market.given(CreditRecorded("m", "ann", "EUR", 1))
    assert [type(f) for f in amend(market, order, 3, 10)] == [OrderAmended]
    assert [f.reason for f in amend(market, order, 4, 10)] == [R.CREDIT_EXCEEDED]


def many() -> Scenario:
    market = open_market("ann", "bob")
    for start in (NOON, NOON + QUARTER):
        submit(market, sell("ann", 1, 20, start=start))
        submit(market, buy("ann", 1, 5, start=start))
    submit(market, buy("bob", 1, 6))
    return market


@pytest.mark.parametrize(
    ("wish", "left"),
    [
        (CancelOrders("ann", None, None, None), 0),
        (CancelOrders("ann", NOON, 15, None), 2),
        (CancelOrders("ann", None, None, Side.SELL), 2),
        (CancelOrders("ann", NOON, 15, Side.BUY), 3),
    ],
)
@pytest.mark.parametrize("actor", ["ann", OPERATOR])
def test_a_party_takes_many_orders_back_at_once(wish: CancelOrders, left: int, actor: str) -> None:
    market = many()
    facts = market.when(wish, actor)
    assert {type(f) for f in facts} == {OrdersCancelled}
    assert {f.reason for f in facts} == {CancelReason.MASS_CANCELLATION}
    assert sum(order.party == "ann" for order in market.state.orders.values()) == left
    assert sum(order.party == "bob" for order in market.state.orders.values()) == 1


def test_many_orders_go_in_slices_and_what_is_left_is_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amending, "MAX_SLICES", 2)
    market = open_market("ann")
    for _ in range(250):
        submit(market, buy("ann", 0.1, 5))
    facts = market.when(CancelOrders("ann", None, None, None), "ann")
    assert [len(f.orders) for f in facts] == [100, 100]
    facts = market.when(CancelOrders("ann", None, None, None), "ann")
    assert [len(f.orders) for f in facts] == [50]


def test_blocks_go_with_the_others() -> None:
    market = many()
    market.when(SubmitBlock("ann", "ann-cp", Side.BUY, NOON, 2, 15, KWH, CENT, Restriction.AON, None), "ann")
    facts = market.when(CancelOrders("ann", None, None, Side.BUY), "ann")
    assert [len(f.blocks) for f in only(facts, BlocksCancelled)] == [1]
    assert market.state.blocks == {}


@pytest.mark.parametrize(
    ("wish", "actor", "reason"),
    [
        (CancelOrders("ann", None, None, None), "bob", R.NOT_AUTHORISED),
        (CancelOrders("ann", NOON, None, None), "ann", R.INSTRUMENT_UNKNOWN),
        (CancelOrders("ann", NOON + 1, 15, None), "ann", R.INSTRUMENT_UNKNOWN),
        (CancelOrders("cyd", None, None, None), "cyd", R.NOTHING_CHANGED),
    ],
)
def test_a_mass_cancellation_is_refused(wish: CancelOrders, actor: str, reason: R) -> None:
    (refused,) = many().when(wish, actor)
    assert refused.reason is reason


def test_there_is_nothing_to_change_in_a_market_without_rules() -> None:
    market = Scenario("market", "m")
    for wish in (AmendOrder("o", 1, 1, None), CancelOrders("ann", None, None, None)):
        assert [f.reason for f in market.when(wish, "ann")] == [R.MARKET_UNKNOWN]
    assert only(market.facts, OrderCancelled) == []
