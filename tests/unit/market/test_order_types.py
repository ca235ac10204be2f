"""All-or-none, minimum quantity, and the book that they leave: no two orders rest that could lawfully trade."""

import pytest

from schemas.market.commands import OpenSession, SettleDelivery
from schemas.market.events import (
    ContractConcluded,
    OrderAccepted,
    OrderCancelled,
    OrderReduced,
    OrderTerms,
    Restriction,
    SelfTradeMode,
)
from schemas.market.reasons import CancelReason, MarketRefusal
from schemas.market.rules import TradingRules
from tests.unit.given import Scenario, only
from tests.unit.market.world import (
    CENT,
    KWH,
    NOON,
    OPERATOR,
    POLICY,
    QUARTER,
    buy,
    open_market,
    resting,
    sell,
    shown,
    submit,
    trades,
)

AON = Restriction.AON
CAPABILITY = MarketRefusal.CAPABILITY_EXCEEDED


def test_an_all_or_none_order_that_is_not_filled_whole_rests_whole() -> None:
    market = resting(("bob", 4, 10))
    facts = submit(market, buy("ann", 10, 12, restriction=AON))
    assert [type(f) for f in facts] == [OrderAccepted]
    assert shown(market) == ([("ann", 10 * KWH, 12 * CENT)], [("bob", 4 * KWH, 10 * CENT)])


def test_an_all_or_none_order_is_filled_out_of_several() -> None:
    market = resting(("bob", 4, 10), ("cyd", 7, 11))
    facts = submit(market, buy("ann", 10, 12, restriction=AON))
    assert trades(facts) == [("ann", "bob", 4, 10), ("ann", "cyd", 6, 11)]


def test_who_cannot_fill_it_passes_by_to_the_next() -> None:
    """Skipping it does not break the priority of the others (domain rules §1.1 rule 3)."""
    market = open_market("ann", "bob", "cyd", "dan")
    submit(market, sell("bob", 10, 10, restriction=AON))
    submit(market, sell("cyd", 3, 11))
    assert trades(submit(market, buy("ann", 5, 12))) == [("ann", "cyd", 3, 11)]
    assert shown(market) == ([("ann", 2 * KWH, 12 * CENT)], [("bob", 10 * KWH, 10 * CENT)])
    assert trades(submit(market, buy("dan", 10, 10))) == [("dan", "bob", 10, 10)]


def test_an_all_or_none_order_in_front_of_its_price_is_not_filled_partly() -> None:
    market = open_market("ann", "bob", "cyd")
    submit(market, sell("bob", 4, 10, restriction=AON))
    submit(market, sell("cyd", 4, 10))
    assert trades(submit(market, buy("ann", 6, 10))) == [("ann", "bob", 4, 10), ("ann", "cyd", 2, 10)]
    market = open_market("ann", "bob", "cyd")
    submit(market, sell("bob", 7, 10, restriction=AON))
    submit(market, sell("cyd", 4, 10))
    assert trades(submit(market, buy("ann", 6, 10))) == [("ann", "cyd", 4, 10)]


@pytest.mark.parametrize(("minimum", "filled"), [(4, True), (4.1, False), (6, False)])
def test_at_least_the_minimum_trades_at_once_or_nothing_does(minimum: float, filled: bool) -> None:
    market = resting(("bob", 4, 10))
    wish = buy("ann", 6, 12, terms=OrderTerms(minimum_wh=round(minimum * KWH)))
    facts = submit(market, wish)
    if filled:
        assert trades(facts) == [("ann", "bob", 4, 10)]
        assert shown(market) == ([("ann", 2 * KWH, 12 * CENT)], [])
    else:
        assert [(c.reason, c.rest_wh) for c in only(facts, OrderCancelled)] == [
            (CancelReason.MINIMUM_UNFILLABLE, 6 * KWH)
        ]
        assert shown(market) == ([], [("bob", 4 * KWH, 10 * CENT)])


@pytest.mark.parametrize(
    ("minimum_wh", "reason", "limit"),
    [(7 * KWH, MarketRefusal.MINIMUM_ABOVE_QUANTITY, 6 * KWH), (150, MarketRefusal.QUANTITY_OFF_LOT, 100)],
)
def test_a_minimum_is_part_of_the_quantity_in_lots(minimum_wh: int, reason: MarketRefusal, limit: int) -> None:
    (refused,) = submit(open_market("ann"), buy("ann", 6, 12, terms=OrderTerms(minimum_wh=minimum_wh)))
    assert (refused.reason, refused.limit, refused.found) == (reason, limit, minimum_wh)


def test_decrement_takes_the_smaller_quantity_from_both_and_goes_on() -> None:
    market = resting(("ann", 3, 10), ("bob", 5, 11), self_trade=SelfTradeMode.DECREMENT)
    facts = submit(market, buy("ann", 7, 12))
    assert trades(facts) == [("ann", "bob", 4, 11)]
    assert [(c.rest_wh, c.reason) for c in only(facts, OrderCancelled)] == [(3 * KWH, CancelReason.SELF_TRADE)]
    assert [(r.party, r.rest_wh) for r in only(facts, OrderReduced)] == [("ann", 4 * KWH)]
    assert shown(market) == ([], [("bob", 1 * KWH, 11 * CENT)])
    assert market.state.slots[NOON].used_wh["ann-cp"] == -4 * KWH


def test_decrement_fills_nobody_who_wants_all_or_nothing() -> None:
    market = resting(("ann", 3, 10), ("bob", 5, 11), self_trade=SelfTradeMode.DECREMENT)
    facts = submit(market, buy("ann", 7, 12, restriction=Restriction.FOK))
    assert [c.reason for c in only(facts, OrderCancelled)] == [CancelReason.FOK_UNFILLABLE]


def hours(*parties: str) -> Scenario:
    """Eight quarter-hours and the two hours over them; each connection injects 100 kWh a quarter-hour."""
    market = open_market(*parties, intervals=8, trading=TradingRules((30, 60), 0, 0, 0, 0, 0, 0))
    market.when(OpenSession(NOON, 2, 60), OPERATOR)
    return market


def test_an_hour_and_its_quarters_are_different_books() -> None:
    market = hours("ann", "bob")
    submit(market, sell("bob", 4, 10))
    assert trades(submit(market, buy("ann", 4, 12, duration_min=60))) == []
    facts = submit(market, sell("bob", 4, 10, duration_min=60))
    assert trades(facts) == [("ann", "bob", 4, 12)]
    (contract,) = only(facts, ContractConcluded)
    assert (contract.interval_min, contract.quantity_wh) == (15, (KWH,) * 4)


def test_what_is_sold_of_an_hour_is_sold_of_each_of_its_quarters() -> None:
    """The same capability is not sold in the 15-minute and in the 60-minute book (§8 mistake 4)."""
    market = hours("ann", "bob")
    assert only(submit(market, sell("bob", 300, 10, duration_min=60)), OrderAccepted)
    assert only(submit(market, sell("bob", 25, 10, start=NOON + QUARTER)), OrderAccepted)
    (refused,) = submit(market, sell("bob", 0.1, 10, start=NOON + QUARTER))
    assert (refused.reason, refused.limit, refused.found) == (CAPABILITY, 100 * KWH, 100 * KWH + 100)
    (refused,) = submit(market, sell("bob", 0.4, 10, duration_min=60))
    assert (refused.reason, refused.limit, refused.found) == (CAPABILITY, 100 * KWH, 100 * KWH + 100)
    assert only(submit(market, sell("bob", 25, 10, start=NOON)), OrderAccepted)


def test_a_bought_hour_may_be_sold_again_by_quarters() -> None:
    market = hours("ann", "bob", "cyd")
    submit(market, sell("bob", 400, 10, duration_min=60))
    submit(market, buy("cyd", 400, 10, duration_min=60))
    for n in range(4):
        assert only(submit(market, sell("cyd", 100, 12, start=NOON + n * QUARTER)), OrderAccepted)
        assert only(submit(market, sell("cyd", 100, 12, start=NOON + n * QUARTER)), OrderAccepted)
        (refused,) = submit(market, sell("cyd", 0.1, 12, start=NOON + n * QUARTER))
        assert refused.reason is CAPABILITY


def test_a_lot_of_an_hour_is_a_lot_of_each_quarter() -> None:
    market = hours("ann")
    (refused,) = submit(market, buy("ann", 0.5, 10, duration_min=60))
    assert (refused.reason, refused.limit) == (MarketRefusal.QUANTITY_OFF_LOT, 400)
    assert only(submit(market, buy("ann", 0.8, 10, duration_min=60)), OrderAccepted)


@pytest.mark.parametrize(("start", "duration_min"), [(NOON, 45), (NOON + QUARTER, 60), (NOON, 20)])
def test_a_session_stands_on_the_grid_of_its_duration(start: int, duration_min: int) -> None:
    market = open_market(intervals=1, trading=TradingRules((30, 60), 0, 0, 0, 0, 0, 0))
    (refused,) = market.when(OpenSession(start, 1, duration_min), OPERATOR)
    assert refused.reason is MarketRefusal.SESSION_OFF_GRID


def test_everything_of_an_hour_is_forgotten_with_its_settlement() -> None:
    market = hours("ann", "bob")
    submit(market, sell("bob", 4, 10, duration_min=60))
    submit(market, buy("ann", 4, 12, duration_min=60))
    market.later(NOON + 9 * QUARTER)
    market.when(SettleDelivery(NOON, NOON + 8 * QUARTER), POLICY)
    assert (market.state.instruments, market.state.slots) == ({}, {})
    assert {account.exposure_pico for account in market.state.accounts.values()} == {0}
