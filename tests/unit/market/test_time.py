"""What time brings about: gates, slices, expiry, and what a backlog may not do."""

from typing import Any

import pytest

from domain.market import decider, gates
from schemas.envelope import Command, CommandMeta, Moment
from schemas.market.commands import ApproveContract, CancelOrder, CancelOrders, SettleDelivery
from schemas.market.events import (
    ContractConcluded,
    ContractLapsed,
    DeliverySettled,
    GateClosed,
    OrderAccepted,
    OrderCancelled,
    OrdersCancelled,
    Restriction,
    TradeMade,
)
from schemas.market.mandate_commands import GrantMandate, PauseMandate, RecordForecast
from schemas.market.mandate_events import MandatePaused, MandateTerms
from schemas.market.package_commands import SubmitBlock
from schemas.market.reasons import CancelReason, MarketRefusal
from schemas.values import Side
from tests.unit.given import MINUTE, Scenario, only
from tests.unit.market.world import (
    CENT,
    GATE,
    MARKET,
    NOON,
    NOW,
    POLICY,
    QUARTER,
    buy,
    open_market,
    proposal,
    sell,
    shown,
    submit,
)

KWH = 1000


def test_a_gate_closes_by_itself_when_it_is_due() -> None:
    market = open_market()
    assert decider.due(market.state) == GATE
    assert market.later(GATE - 1) == []
    assert market.later(GATE) == [GateClosed(MARKET, NOON, 15, 0)]
    assert decider.due(market.state) == GATE + QUARTER
    assert market.later(GATE) == []


def test_a_tick_that_skips_several_gates_closes_them_in_order() -> None:
    assert open_market().later(NOON + 60 * MINUTE) == [GateClosed(MARKET, NOON + n * QUARTER, 15, 0) for n in range(4)]


@pytest.mark.parametrize(("resting", "slices"), [(1, [1]), (100, [100]), (101, [100, 1]), (250, [100, 100, 50])])
def test_a_closed_book_is_written_out_in_slices(resting: int, slices: list[int]) -> None:
    market = open_market("ann", "bob")
    orders = [submit(market, buy("ann", 0.1, 9) if n % 2 else sell("bob", 0.2, 11))[0].order for n in range(resting)]
    closed, *written = market.later(GATE)
    assert closed == GateClosed(MARKET, NOON, 15, resting)
    assert [len(s.orders) for s in written] == slices
    # Bids first, each side from its best order on.
    assert [o for s in written for o in s.orders] == orders[1::2] + orders[::2]
    assert [wh for s in written for wh in s.rests_wh] == [100] * (resting // 2) + [200] * ((resting + 1) // 2)
    assert {(s.delivery_start_at, s.reason) for s in written} == {(NOON, CancelReason.GATE_CLOSED)}
    assert shown(market) == ([], [])
    assert market.state.accounts["ann"].exposure_pico == 0
    assert market.state.slots[NOON].used_wh == {"bob-cp": 0}
    assert decider.due(market.state) == GATE + QUARTER


def steps(market: Scenario, at: int, limit: int) -> list[list[Any]]:
    """Calls of `advance` with this limit at one time, until nothing is left."""
    market.at = at
    found = []
    while (due := decider.due(market.state)) is not None and due <= at:
        step = list(decider.advance(market.state, market.now, limit))
        assert 0 < len(step) <= limit
        for fact in step:
            market.given(fact)
        found.append(step)
    return found


def test_any_limit_leads_to_the_same_end() -> None:
    """What a call leaves over is continued: at once, or of a closed book at the next tick."""

    def day() -> Scenario:
        market = open_market("ann", "bob")
        market.when(proposal(first_start_at=NOON + QUARTER), "ann")
        for n in range(230):
            expires_at = GATE - (n % 3) * MINUTE if n % 4 == 0 else None
            start = NOON + (n % 2) * QUARTER
            submit(market, sell("bob", 0.1, 11 + n % 5, start=start, expires_at=expires_at))
        return market

    def ended(limit: int) -> list[Any]:
        market, found = day(), []
        for tick in range(6):
            found += [fact for step in steps(market, NOON + QUARTER + tick, limit) for fact in step]
        assert market.state.orders == {}
        return found

    whole = ended(10_000)
    assert len(only(whole, OrderCancelled)) == 58
    assert len(only(whole, ContractLapsed)) == 1
    assert len(only(whole, OrdersCancelled)) == 3
    for limit in (1, 2, 7, 59, 60, 61, 100):
        chopped = ended(limit)
        assert sorted(map(repr, chopped)) == sorted(map(repr, whole))
        assert only(chopped, OrderCancelled) == only(whole, OrderCancelled)


def test_a_large_book_is_written_out_over_several_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that nobody else waits for long; nothing of it can trade or be cancelled meanwhile."""
    monkeypatch.setattr(gates, "MAX_SLICES", 2)
    market = open_market("ann", "bob")
    orders = [submit(market, buy("ann", 0.1, 9))[0].order for _ in range(450)]
    sizes = []
    for tick in range(4):
        sizes.append([len(s.orders) for s in only(market.later(GATE + tick), OrdersCancelled)])
        assert [f.reason for f in market.when(CancelOrder(orders[-1]), "ann")] == [MarketRefusal.GATE_CLOSED]
    assert sizes == [[100, 100], [100, 100], [50], []]


def test_advance_changes_nothing() -> None:
    market = open_market("ann", "bob")
    for n in range(20):
        submit(market, sell("bob", 0.1, 11 + n, expires_at=GATE - n * MINUTE))
    before = repr(market.state)
    list(decider.advance(market.state, Moment(1, NOON), 5))
    assert repr(market.state) == before


def test_at_one_time_orders_expire_then_proposals_lapse_then_gates_close() -> None:
    market = open_market("ann", "bob", approval_deadline_min=600)
    market.when(proposal(), "ann")
    late = submit(market, sell("bob", 1, 11, expires_at=GATE))[0].order
    stays = submit(market, sell("bob", 1, 12))[0].order
    early = submit(market, sell("bob", 1, 13, expires_at=GATE - 1))[0].order
    facts = market.later(GATE)
    assert [(type(f).__name__, getattr(f, "order", None)) for f in facts] == [
        ("OrderCancelled", early),
        ("OrderCancelled", late),
        ("ContractLapsed", None),
        ("GateClosed", None),
        ("OrdersCancelled", None),
    ]
    assert facts[3].resting == 1
    assert facts[4].orders == (stays,)


def test_an_order_expires_at_its_time() -> None:
    market = open_market("ann", "bob")
    order = submit(market, sell("bob", 1, 11, expires_at=NOW + MINUTE))[0].order
    assert market.later(NOW + MINUTE - 1) == []
    assert market.later(NOW + MINUTE) == [
        OrderCancelled(MARKET, order, "bob", NOON, Side.SELL, KWH, CancelReason.EXPIRED)
    ]


def test_what_ended_before_its_expiry_does_not_expire() -> None:
    market = open_market("ann", "bob")
    filled = submit(market, sell("bob", 1, 11, expires_at=NOW + MINUTE))[0].order
    submit(market, buy("ann", 1, 11, expires_at=NOW + MINUTE))
    cancelled = submit(market, sell("bob", 1, 11, expires_at=NOW + MINUTE))[0].order
    market.when(CancelOrder(cancelled), "bob")
    assert filled != cancelled
    assert decider.due(market.state) == GATE
    assert market.later(NOW + 2 * MINUTE) == []


def wish(market: Scenario, body: Any, actor: str) -> list[Any]:
    """A decision without an `advance` before it, as after one whose limit was used up by others."""
    meta = CommandMeta("late", actor, "correlation", None, None, None)
    return list(decider.decide(market.state, Command(MARKET, meta, body), market.now))


def test_an_expired_order_is_not_matched_though_its_fact_is_not_written_yet() -> None:
    """Expired at t: not matchable at times >= t (domain rules §1.1 rule 5)."""
    market = open_market("ann", "bob")
    order = submit(market, sell("bob", 1, 11, expires_at=NOW + MINUTE))[0].order
    market.at = NOW + MINUTE - 1
    assert len(only(wish(market, buy("ann", 1, 11), "ann"), TradeMade)) == 1
    market.at = NOW + MINUTE
    assert [type(f) for f in wish(market, buy("ann", 1, 11), "ann")] == [OrderAccepted]
    assert [f.reason for f in wish(market, CancelOrder(order), "bob")] == [MarketRefusal.ORDER_NOT_OPEN]


def test_the_clock_closes_the_gate_though_its_fact_is_not_written_yet() -> None:
    market = open_market("ann", "bob")
    order = submit(market, sell("bob", 1, 11))[0].order
    market.at = GATE
    assert [f.reason for f in wish(market, buy("ann", 1, 11), "ann")] == [MarketRefusal.GATE_CLOSED]
    assert [f.reason for f in wish(market, CancelOrder(order), "bob")] == [MarketRefusal.GATE_CLOSED]


def test_behind_the_gate_neither_a_mandate_nor_a_mass_cancellation_changes_anything() -> None:
    """Though its fact is not written yet: the forecast asks for less, the pause and the party for nothing."""
    market = open_market("ann", "bob")
    terms = MandateTerms(20 * CENT, None, 2_000_000, 0)
    mandate = market.when(GrantMandate("ann", "ann-cp", terms), "ann")[0].mandate
    market.when(RecordForecast(mandate, NOON, (-2 * KWH,), 1), "ann")
    market.when(SubmitBlock("ann", "ann-cp", Side.BUY, NOON, 2, 15, KWH, CENT, Restriction.AON, None), "ann")
    market.at = GATE
    _, applied = wish(market, RecordForecast(mandate, NOON, (-1 * KWH,), 2), "ann")
    assert (applied.orders, applied.reasons) == ((), (MarketRefusal.GATE_CLOSED,))
    assert [type(f) for f in wish(market, PauseMandate(mandate), "ann")] == [MandatePaused]
    assert [f.reason for f in wish(market, CancelOrders("ann", None, None, None), "ann")] == [
        MarketRefusal.NOTHING_CHANGED
    ]


def test_a_deadline_passes_though_its_lapse_is_not_written_yet() -> None:
    market = open_market("ann", "bob")
    contract = market.when(proposal(), "bob")[0].contract
    market.at = NOW + 60 * MINUTE - 1
    assert [type(f) for f in wish(market, ApproveContract(contract), "ann")] == [ContractConcluded]
    market.at = NOW + 60 * MINUTE
    refused = wish(market, ApproveContract(contract), "ann")
    assert [f.reason for f in refused] == [MarketRefusal.CONTRACT_NOT_PROPOSED]


def test_settled_deliveries_leave_nothing_behind() -> None:
    """Bounded memory: books, orders, contracts, exposures and sums of a settled period are gone."""
    market = open_market("ann", "bob")
    for n in range(4):
        start = NOON + n * QUARTER
        submit(market, sell("bob", 2, 11, start=start))
        submit(market, buy("ann", 1, 11, start=start))
    market.when(proposal(quantity_wh=(KWH, KWH)), "ann")
    market.when(proposal(first_start_at=NOON + 2 * QUARTER, quantity_wh=(KWH, KWH)), "ann")
    market.later(NOON + 4 * QUARTER)
    assert market.state.accounts["ann"].exposure_pico == 4 * KWH * 110_000_000
    assert market.state.accounts["bob"].exposure_pico == 4 * KWH * 390_000_000
    settled = market.when(SettleDelivery(NOON, NOON + 2 * QUARTER), POLICY)
    assert settled == [DeliverySettled(MARKET, NOON, NOON + 2 * QUARTER)]
    assert market.state.accounts["ann"].exposure_pico == 2 * KWH * 110_000_000
    assert sorted(market.state.instruments) == [(NOON + 2 * QUARTER, 15), (NOON + 3 * QUARTER, 15)]
    assert market.state.orders == {}
    assert [len(instrument.ended) for instrument in market.state.instruments.values()] == [2, 2]
    assert len(market.state.negotiations) == 1
    assert market.state.sessions != []
    market.when(SettleDelivery(NOON, NOON + 4 * QUARTER), POLICY)
    state = market.state
    assert (state.orders, state.instruments, state.negotiations, state.sessions) == ({}, {}, {}, [])
    assert (state.timers, state.slots) == ([], {})
    assert {a.exposure_pico for a in state.accounts.values()} == {0}
    assert decider.due(state) is None


def test_after_settlement_its_orders_and_instruments_are_unknown() -> None:
    market = open_market("ann", "bob")
    order = submit(market, sell("bob", 2, 11))[0].order
    market.later(NOON + QUARTER)
    market.when(SettleDelivery(NOON, NOON + QUARTER), POLICY)
    assert [f.reason for f in market.when(CancelOrder(order), "bob")] == [MarketRefusal.ORDER_UNKNOWN]
    assert [f.reason for f in submit(market, sell("bob", 2, 11))] == [MarketRefusal.INSTRUMENT_UNKNOWN]
    assert type(market.when(SettleDelivery(NOON, NOON + QUARTER), POLICY)[0]) is DeliverySettled


def test_a_book_that_waits_for_its_slices_outlives_its_settlement() -> None:
    """Settlement may come while the closing still waits for its turn; no order goes without its fact."""
    market = open_market("ann", "bob")
    for n in range(250):
        submit(market, sell("bob", 0.1, 11, start=NOON + (n % 2) * QUARTER))
    market.at = NOON + 2 * QUARTER
    for fact in decider.advance(market.state, market.now, 2):
        market.given(fact)
    for fact in wish(market, SettleDelivery(NOON, NOON + 2 * QUARTER), POLICY):
        market.given(fact)
    rest = [fact for tick in range(1, 4) for fact in market.later(market.at + tick)]
    assert sum(len(s.orders) for s in only(market.facts, OrdersCancelled)) == 250
    assert [(type(f), f.delivery_start_at - NOON) for f in rest] == [
        (GateClosed, QUARTER),
        (OrdersCancelled, QUARTER),
        (OrdersCancelled, QUARTER),
        (GateClosed, 2 * QUARTER),
        (OrdersCancelled, 0),
    ]
    assert sorted(market.state.instruments) == [(NOON + 2 * QUARTER, 15), (NOON + 3 * QUARTER, 15)]
    assert market.state.orders == {}
    assert market.state.accounts["bob"].exposure_pico == 0
