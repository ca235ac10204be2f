"""Standing mandates: a forecast becomes orders within price and budget; changes, pauses, refusals."""

from dataclasses import replace
from typing import Any

import pytest

from domain.market import mandate_plan
from schemas.market.events import (
    CapabilityRecorded,
    CommandRefused,
    CreditRecorded,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderTerms,
    TradeMade,
)
from schemas.market.mandate_commands import GrantMandate, PauseMandate, RecordForecast, ResumeMandate, RevokeMandate
from schemas.market.mandate_events import (
    DayType,
    ForecastRecorded,
    MandateApplied,
    MandateGranted,
    MandatePaused,
    MandateRevoked,
    MandateTerms,
)
from schemas.market.phase_commands import SuspendTrading
from schemas.market.reasons import CancelReason, MarketRefusal
from schemas.values import Side
from tests.unit.given import MINUTE, Scenario, only
from tests.unit.market.world import CENT, GATE, MARKET, NOON, OPERATOR, QUARTER, buy, open_market, sell, shown, submit

R = MarketRefusal
KWH = 1000
TERMS = MandateTerms(20 * CENT, 10 * CENT, 2_000_000, NOON - 1440 * MINUTE, agent="agent")
GRANT = GrantMandate("ann", "ann-cp", TERMS)
"""Ann buys up to 20 cents for at most 2 euros a day and sells from 10 cents; 2026-01-01 is a Thursday."""
SECOND = NOON + QUARTER


def why(facts: list[Any]) -> R:
    [refused] = only(facts, CommandRefused)
    reason: R = refused.reason
    return reason


def granted(**changes: Any) -> tuple[Scenario, str]:
    market = open_market("ann", "bob")
    [fact] = market.when(replace(GRANT, terms=replace(TERMS, **changes)), "ann")
    return market, fact.mandate


def forecast(market: Scenario, mandate: str, version: int, *wh: int, start: int = NOON, by: str = "agent") -> list[Any]:
    return market.when(RecordForecast(mandate, start, wh, version), by)


def skipped(facts: list[Any]) -> list[tuple[int, int, R]]:
    [told] = only(facts, MandateApplied)
    return list(zip(told.skipped_at, told.skipped_wh, told.reasons, strict=True))


def test_a_forecast_becomes_an_order_for_each_delivery_naming_mandate_and_forecast() -> None:
    market, mandate = granted()
    facts = forecast(market, mandate, 1, 2 * KWH, -3 * KWH, 0, 99)
    [recorded] = only(facts, ForecastRecorded)
    orders = only(facts, OrderAccepted)
    assert [(o.side, o.delivery_start_at, o.quantity_wh, o.limit_price_nano_per_kwh) for o in orders] == [
        (Side.SELL, NOON, 2 * KWH, 10 * CENT),
        (Side.BUY, SECOND, 3 * KWH, 20 * CENT),
    ]
    assert {o.terms for o in orders} == {OrderTerms(mandate=mandate, forecast=recorded.forecast)}
    assert [o.sequence for o in orders] == [1, 2]
    assert len({recorded.forecast, *(o.order for o in orders)}) == 3
    [applied] = only(facts, MandateApplied)
    assert (applied.orders, applied.deliveries_at) == (tuple(o.order for o in orders), (NOON, SECOND))
    assert skipped(facts) == [], "less than a lot is neither ordered nor named"


def test_a_newer_forecast_lessens_raises_turns_and_drops_what_is_open() -> None:
    market, mandate = granted()
    forecast(market, mandate, 1, 4 * KWH, 4 * KWH, 4 * KWH, 4 * KWH)
    first = {o.delivery_start_at: o.order for o in only(market.facts, OrderAccepted)}
    facts = forecast(market, mandate, 2, 3 * KWH, 5 * KWH, -2 * KWH)
    [amended] = only(facts, OrderAmended)
    assert (amended.order, amended.rest_wh, amended.sequence) == (first[NOON], 3 * KWH, 1), "it keeps its priority"
    gone = {o.delivery_start_at: (o.order, o.reason) for o in only(facts, OrderCancelled)}
    assert gone == {s: (first[s], CancelReason.AMENDED) for s in (SECOND, SECOND + QUARTER, SECOND + 2 * QUARTER)}
    assert [(o.side, o.quantity_wh) for o in only(facts, OrderAccepted)] == [(Side.SELL, 5 * KWH), (Side.BUY, 2 * KWH)]
    assert shown(market, SECOND + QUARTER) == ([("ann", 2 * KWH, 20 * CENT)], []), "it did not meet its own old order"
    same = forecast(market, mandate, 3, 3 * KWH, 5 * KWH, -2 * KWH)
    assert [type(f) for f in same] == [ForecastRecorded, MandateApplied], "nothing has changed"


def test_what_is_traded_counts_against_the_forecast() -> None:
    market, mandate = granted()
    submit(market, buy("bob", 3, 12))
    facts = forecast(market, mandate, 1, 4 * KWH)
    assert [t.quantity_wh for t in only(facts, TradeMade)] == [3 * KWH]
    assert [type(f) for f in forecast(market, mandate, 2, 4 * KWH)] == [ForecastRecorded, MandateApplied]
    facts = forecast(market, mandate, 3, 2 * KWH)
    assert [(o.side, o.quantity_wh) for o in only(facts, OrderAccepted)] == [(Side.BUY, KWH)], "sold too much"


def test_the_buys_of_a_day_stay_within_its_budget() -> None:
    """2 euros are 10 kWh at 20 cents; what is traded cheaper leaves more."""
    market, mandate = granted()
    submit(market, sell("bob", 4, 5))
    facts = forecast(market, mandate, 1, -4 * KWH, -7 * KWH)
    assert [o.quantity_wh for o in only(facts, OrderAccepted)] == [4 * KWH, 6 * KWH]
    assert skipped(facts) == [(SECOND, -KWH, R.BUDGET_EXCEEDED)]
    facts = forecast(market, mandate, 2, -4 * KWH, -12 * KWH)
    assert [o.quantity_wh for o in only(facts, OrderAccepted)] == [9 * KWH], "20 cents are spent, 1.80 are left"
    assert skipped(facts) == [(SECOND, -3 * KWH, R.BUDGET_EXCEEDED)]


def test_days_have_a_budget_of_their_own() -> None:
    market, mandate = granted(budget_micro=200_000, utc_offset_min=705)
    facts = forecast(market, mandate, 1, -KWH, -KWH, -KWH)
    assert [o.delivery_start_at for o in only(facts, OrderAccepted)] == [NOON, SECOND]
    assert skipped(facts) == [(SECOND + QUARTER, -KWH, R.BUDGET_EXCEEDED)], "the next day begins at 12:15 UTC"


def test_what_no_check_of_an_order_allows_is_named() -> None:
    market, mandate = granted()
    market.given(CapabilityRecorded(MARKET, "ann-cp", "ann", 8000, ("pv",)))  # 2 kWh in a quarter-hour
    facts = forecast(market, mandate, 1, 3 * KWH, 2 * KWH, 2 * KWH, 2 * KWH, KWH)
    assert skipped(facts) == [
        (NOON + 4 * QUARTER, KWH, R.INSTRUMENT_UNKNOWN),
        (NOON, 3 * KWH, R.CAPABILITY_EXCEEDED),
    ]
    market.given(CreditRecorded(MARKET, "ann", "EUR", 3 * 800_000))
    facts = forecast(market, mandate, 2, 0, -2 * KWH, -2 * KWH, -8 * KWH)
    assert skipped(facts) == [(NOON + 3 * QUARTER, -2 * KWH, R.BUDGET_EXCEEDED)], "what it dropped is free for it"
    market.given(CreditRecorded(MARKET, "ann", "EUR", 1_000_000))
    facts = forecast(market, mandate, 3, -2 * KWH, -2 * KWH, -2 * KWH)
    assert skipped(facts) == [(NOON, -2 * KWH, R.CREDIT_EXCEEDED)]
    market.later(GATE)
    assert skipped(forecast(market, mandate, 4, -KWH)) == [(NOON, -KWH, R.GATE_CLOSED)]


def test_what_one_decision_has_no_room_for_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mandate_plan, "MAX_FACTS", 9)
    market, mandate = granted()
    for start in (NOON, SECOND):
        for _ in range(2):
            submit(market, sell("bob", 1, 10, start=start))
    facts = forecast(market, mandate, 1, -2 * KWH, -2 * KWH)
    assert len(only(facts, TradeMade)) == 2
    assert skipped(facts) == [(SECOND, -2 * KWH, R.TOO_MANY_ORDERS)]


@pytest.mark.parametrize(
    "changes",
    [
        {"day_types": (DayType.SATURDAY, DayType.SUNDAY)},
        {"sell_from_nano_per_kwh": None},
        {"valid_from": SECOND},
        {"valid_until": NOON},
    ],
)
def test_outside_its_terms_a_mandate_orders_nothing(changes: dict[str, Any]) -> None:
    market, mandate = granted(**changes)
    facts = forecast(market, mandate, 1, KWH)
    assert (only(facts, OrderAccepted), skipped(facts)) == ([], [(NOON, KWH, R.OUTSIDE_MANDATE)])
    assert only(forecast(*granted(day_types=(DayType.WEEKDAY,)), 1, KWH), OrderAccepted) != []


def test_a_pause_cancels_what_is_open_and_resuming_orders_the_newest_forecast() -> None:
    market, mandate = granted()
    forecast(market, mandate, 1, KWH, -KWH)
    market.later(GATE)
    facts = market.when(PauseMandate(mandate), "ann")
    assert [(f.delivery_start_at, f.reason) for f in only(facts, OrderCancelled)] == [
        (SECOND, CancelReason.MANDATE_ENDED)
    ], "the first gate is closed"
    assert type(facts[-1]) is MandatePaused
    assert why(market.when(PauseMandate(mandate), "ann")) is R.NOTHING_CHANGED
    assert [type(f) for f in forecast(market, mandate, 2, KWH, 2 * KWH)] == [ForecastRecorded]
    facts = market.when(ResumeMandate(mandate), "ann")
    assert [(o.side, o.quantity_wh) for o in only(facts, OrderAccepted)] == [(Side.SELL, 2 * KWH)]
    assert why(market.when(ResumeMandate(mandate), "ann")) is R.NOTHING_CHANGED


def test_in_a_suspended_book_a_mandate_takes_back_and_changes_nothing() -> None:
    market, mandate = granted()
    forecast(market, mandate, 1, -2 * KWH)
    market.when(SuspendTrading(NOON, 15), OPERATOR)
    facts = forecast(market, mandate, 2, -1 * KWH)
    assert [c.rest_wh for c in only(facts, OrderCancelled)] == [2 * KWH]
    assert skipped(facts) == [(NOON, -1 * KWH, R.SUSPENDED)]
    assert only(facts, OrderAmended) == []


def test_a_revoked_mandate_is_no_more() -> None:
    market, mandate = granted()
    forecast(market, mandate, 1, KWH, -KWH)
    facts = market.when(RevokeMandate(mandate), "ann")
    assert [type(f) for f in facts] == [OrderCancelled, OrderCancelled, MandateRevoked]
    assert market.state.accounts["ann"].exposure_pico == 0
    assert why(forecast(market, mandate, 2, KWH)) is R.MANDATE_UNKNOWN
    assert type(market.when(GRANT, "ann")[0]) is MandateGranted


def test_an_order_that_only_claims_a_mandate_takes_nothing_of_its_budget() -> None:
    market, mandate = granted()
    submit(market, sell("ann", 1, 5))
    submit(market, buy("bob", 1, 5, terms=OrderTerms(mandate=mandate)))
    assert market.state.mandates.known[mandate].spent_pico == {}


GRANTS: tuple[tuple[R, dict[str, Any], str], ...] = (
    (R.NOT_AUTHORISED, {}, "bob"),
    (R.PARTICIPANT_UNKNOWN, {"party": "eve"}, "eve"),
    (R.CONNECTION_UNKNOWN, {"connection": "bob-cp"}, "ann"),
    (R.PRICE_OFF_TICK, {"terms": replace(TERMS, buy_up_to_nano_per_kwh=1)}, "ann"),
    (R.PRICE_OUT_OF_RANGE, {"terms": replace(TERMS, sell_from_nano_per_kwh=101 * CENT)}, "ann"),
    (R.INVALID_MANDATE, {"terms": replace(TERMS, budget_micro=-1)}, "ann"),
    (R.INVALID_MANDATE, {"terms": replace(TERMS, valid_until=TERMS.valid_from)}, "ann"),
    (
        R.INVALID_MANDATE,
        {"terms": replace(TERMS, buy_up_to_nano_per_kwh=None, sell_from_nano_per_kwh=None)},
        "ann",
    ),
)


@pytest.mark.parametrize(("reason", "changes", "actor"), GRANTS)
def test_refused_grants(reason: R, changes: dict[str, Any], actor: str) -> None:
    market = open_market("ann", "bob")
    before = repr(market.state)
    assert why(market.when(replace(GRANT, **changes), actor)) is reason
    assert repr(market.state) == before


def test_refused_moves() -> None:
    market, mandate = granted()
    assert why(Scenario("market", MARKET).when(GRANT, "ann")) is R.MARKET_UNKNOWN
    assert why(market.when(GRANT, "ann")) is R.MANDATE_STANDS
    for wish in (PauseMandate(mandate), ResumeMandate(mandate), RevokeMandate(mandate)):
        assert why(market.when(wish, "agent")) is R.NOT_AUTHORISED, "the agent forecasts only"
        assert why(market.when(replace(wish, mandate="nonsense"), "ann")) is R.MANDATE_UNKNOWN
    assert why(forecast(market, mandate, 1, KWH, by="bob")) is R.NOT_AUTHORISED
    assert why(forecast(market, mandate, 1, *(KWH,) * 97)) is R.TOO_MANY_INTERVALS
    assert type(forecast(market, mandate, 2, *(KWH,) * 96, by="ann")[0]) is ForecastRecorded
    assert why(forecast(market, mandate, 2, KWH)) is R.FORECAST_OUTDATED


def test_a_forecast_before_all_rules_is_refused() -> None:
    market, mandate = granted()
    market.state.rules[0] = replace(market.state.rules[0], effective_from=NOON)
    assert why(forecast(market, mandate, 1, KWH, start=0)) is R.INSTRUMENT_UNKNOWN
