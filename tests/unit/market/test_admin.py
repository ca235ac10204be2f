"""Rule sets, sessions, and what other families have to say: each refusal in the order of the checks."""

from typing import Any

import pytest

from schemas.market.commands import (
    AdmitParticipant,
    AdoptRuleSet,
    OpenSession,
    RecordCapability,
    RecordCredit,
    SettleDelivery,
)
from schemas.market.events import (
    CapabilityRecorded,
    CommandRefused,
    CreditRecorded,
    DeliverySettled,
    GateClosed,
    OrderAccepted,
    ParticipantAdmitted,
    RuleSetAdopted,
    SessionOpened,
)
from schemas.market.reasons import MarketRefusal
from tests.unit.given import MINUTE, Scenario
from tests.unit.market.world import (
    MARKET,
    NOON,
    NOW,
    OPERATOR,
    POLICY,
    QUARTER,
    RULES,
    buy,
    open_market,
    rules,
    submit,
)

R = MarketRefusal
HOUR = 60 * MINUTE
END = NOON + 4 * QUARTER
"""Of the session of `open_market`."""


def reasons(facts: list[Any]) -> list[R]:
    assert all(type(f) is CommandRefused for f in facts), facts
    return [f.reason for f in facts]


def unopened() -> Scenario:
    return Scenario("market", MARKET, at=NOW)


def test_the_first_rules_open_the_market_and_name_its_operator() -> None:
    market = unopened()
    assert market.when(AdoptRuleSet(NOW, RULES), OPERATOR) == [RuleSetAdopted(MARKET, 1, NOW, RULES)]
    assert reasons(market.when(AdoptRuleSet(END, RULES), "other")) == [R.NOT_AUTHORISED]
    assert market.when(AdoptRuleSet(END, RULES), OPERATOR) == [RuleSetAdopted(MARKET, 2, END, RULES)]


def test_nobody_opens_a_market_for_somebody_else() -> None:
    assert reasons(unopened().when(AdoptRuleSet(NOW, RULES), "other")) == [R.NOT_AUTHORISED]


def test_rules_change_for_future_deliveries_only() -> None:
    """They begin in the future, and behind every listed delivery."""
    market = open_market()
    for effective_from in (NOW, END - 1):
        assert market.when(AdoptRuleSet(effective_from, RULES), OPERATOR) == [
            CommandRefused("AdoptRuleSet", MARKET, OPERATOR, R.NOT_FUTURE, END, effective_from)
        ]
    assert type(market.when(AdoptRuleSet(END, RULES), OPERATOR)[0]) is RuleSetAdopted
    nothing_listed = unopened().given(RuleSetAdopted(MARKET, 1, 0, RULES))
    assert reasons(nothing_listed.when(AdoptRuleSet(NOW, RULES), OPERATOR)) == [R.NOT_FUTURE]


@pytest.mark.parametrize(
    "change",
    [
        {"interval_min": 7},
        {"opening_lead_min": 366 * 1440 + 1},
        {"gate_lead_min": 1440},
        {"tick_nano_per_kwh": 0},
        {"lot_wh": 0},
        {"max_quantity_wh": 99},
        {"max_price_nano_per_kwh": RULES.min_price_nano_per_kwh - 1},
        {"approval_deadline_min": 0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_invalid_rules(change: dict[str, Any]) -> None:
    assert reasons(unopened().when(AdoptRuleSet(0, rules(**change)), OPERATOR)) == [R.INVALID_RULES]


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"currency": "CHF"}, R.WRONG_CURRENCY), ({"zone": "y"}, R.INVALID_RULES), ({"operator": "x"}, R.INVALID_RULES)],
)
def test_currency_zone_and_operator_stay(change: dict[str, Any], reason: R) -> None:
    assert reasons(open_market().when(AdoptRuleSet(END, rules(**change)), OPERATOR)) == [reason]


def test_precedence_of_a_rule_set() -> None:
    market = open_market()
    wrong = rules(currency="CHF", lot_wh=0)
    assert reasons(market.when(AdoptRuleSet(NOW, wrong), "other")) == [R.NOT_AUTHORISED]
    assert reasons(market.when(AdoptRuleSet(NOW, wrong), OPERATOR)) == [R.WRONG_CURRENCY]
    assert reasons(market.when(AdoptRuleSet(NOW, rules(lot_wh=0)), OPERATOR)) == [R.NOT_FUTURE]
    assert reasons(market.when(AdoptRuleSet(END, rules(lot_wh=0)), OPERATOR)) == [R.INVALID_RULES]


def test_the_newest_rules_that_have_begun_hold() -> None:
    """A later version that begins earlier replaces what was announced."""
    market = open_market()
    market.when(AdoptRuleSet(END + 8 * QUARTER, rules(lot_wh=200)), OPERATOR)
    market.when(AdoptRuleSet(END + 4 * QUARTER, rules(lot_wh=300)), OPERATOR)
    opened = market.when(OpenSession(END, 4), OPERATOR) + market.when(OpenSession(END + 4 * QUARTER, 8), OPERATOR)
    assert [f.rules_version for f in opened] == [1, 3]
    assert market.state.instruments[END + 8 * QUARTER, 15].rules.lot_wh == 300
    assert market.state.instruments[NOON, 15].rules.lot_wh == 100


def test_a_session_lists_consecutive_intervals() -> None:
    market = open_market()
    (opened,) = market.when(OpenSession(END, 96), OPERATOR)
    assert opened == SessionOpened(MARKET, "z", END, 96, 15, 1, opened.session)
    assert sorted(market.state.instruments) == [(start, 15) for start in range(NOON, END + 96 * QUARTER, QUARTER)]


@pytest.mark.parametrize(
    ("wish", "actor", "reason"),
    [
        (OpenSession(NOW, 501), "other", R.NOT_AUTHORISED),
        (OpenSession(NOW, 501), OPERATOR, R.NOT_FUTURE),
        (OpenSession(NOW + QUARTER + 1, 501), OPERATOR, R.TOO_MANY_INTERVALS),
        (OpenSession(NOW + QUARTER, 0), OPERATOR, R.SESSION_OFF_GRID),
        (OpenSession(NOON + 1, 1), OPERATOR, R.SESSION_OFF_GRID),
        (OpenSession(END - QUARTER, 1), OPERATOR, R.SESSION_OVERLAPS),
        (OpenSession(NOW + QUARTER, 8), OPERATOR, R.SESSION_OVERLAPS),
        (OpenSession(NOW + QUARTER, 20), OPERATOR, R.SESSION_OVERLAPS),
    ],
)
def test_refused_sessions(wish: OpenSession, actor: str, reason: R) -> None:
    assert reasons(open_market().when(wish, actor)) == [reason]


def test_a_session_touches_its_neighbours() -> None:
    market = open_market()
    assert type(market.when(OpenSession(NOW + QUARTER, 7), OPERATOR)[-1]) is SessionOpened
    assert type(market.when(OpenSession(END, 1), OPERATOR)[-1]) is SessionOpened


def test_a_session_lies_under_one_rules_version() -> None:
    market = unopened().given(RuleSetAdopted(MARKET, 1, NOON, RULES), RuleSetAdopted(MARKET, 2, END, RULES))
    assert reasons(market.when(OpenSession(NOON - QUARTER, 1), OPERATOR)) == [R.SESSION_OFF_GRID]
    assert reasons(market.when(OpenSession(NOON, 5), OPERATOR)) == [R.SESSION_OFF_GRID]
    assert type(market.when(OpenSession(NOON, 4), OPERATOR)[0]) is SessionOpened


def test_an_hourly_market_has_an_hourly_grid() -> None:
    market = unopened().given(RuleSetAdopted(MARKET, 1, 0, rules(interval_min=60)))
    assert reasons(market.when(OpenSession(NOON + QUARTER, 1), OPERATOR)) == [R.SESSION_OFF_GRID]
    (opened,) = market.when(OpenSession(NOON, 2), OPERATOR)
    assert opened == SessionOpened(MARKET, "z", NOON, 2, 60, 1, opened.session)


FROM_POLICIES: tuple[tuple[Any, Any], ...] = (
    (AdmitParticipant("ann"), ParticipantAdmitted(MARKET, "ann")),
    (
        RecordCapability("cp", "ann", 5000, ("pv",), "z"),
        CapabilityRecorded(MARKET, "cp", "ann", 5000, ("pv",), "z"),
    ),
    (RecordCredit(OPERATOR, "ann", "EUR", 7), CreditRecorded(MARKET, "ann", "EUR", 7)),
    (SettleDelivery(NOW - QUARTER, NOW), DeliverySettled(MARKET, NOW - QUARTER, NOW)),
)


@pytest.mark.parametrize(("wish", "fact"), FROM_POLICIES, ids=lambda m: type(m).__name__)
def test_what_policies_bring(wish: Any, fact: Any) -> None:
    assert reasons(unopened().when(wish, "ann")) == [R.MARKET_UNKNOWN]
    for actor in ("ann", OPERATOR, "calc:policy:x"):
        assert reasons(open_market().when(wish, actor)) == [R.NOT_AUTHORISED]
    assert open_market().when(wish, POLICY) == [fact]


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        (AdmitParticipant("ann"), R.ALREADY_ADMITTED),
        (RecordCredit("another", "ann", "CHF", 7), R.NOT_AUTHORISED),
        (RecordCredit(OPERATOR, "ann", "CHF", 7), R.WRONG_CURRENCY),
        (RecordCapability("cp", "ann", 5000, ("pv",), "elsewhere"), R.WRONG_ZONE),
        (SettleDelivery(NOW - QUARTER, NOW + 1), R.DELIVERY_NOT_OVER),
        (SettleDelivery(NOW - QUARTER, NOW, "nowhere"), R.ZONE_UNKNOWN),
    ],
)
def test_refused_to_policies(wish: Any, reason: R) -> None:
    assert reasons(open_market("ann").when(wish, POLICY)) == [reason]


@pytest.mark.parametrize("wish", [OpenSession(NOON, 1), *(w for w, _ in FROM_POLICIES)], ids=lambda m: type(m).__name__)
def test_a_market_without_rules_is_unknown(wish: Any) -> None:
    assert reasons(unopened().when(wish, OPERATOR)) == [R.MARKET_UNKNOWN]


def test_allotments_may_come_before_the_admission() -> None:
    market = open_market()
    market.when(RecordCapability("ann-cp", "ann", 5000, (), "z"), POLICY)
    market.when(RecordCredit(OPERATOR, "ann", "EUR", 10**9), POLICY)
    assert reasons(submit(market, buy("ann", 1, 12))) == [R.PARTICIPANT_UNKNOWN]
    market.when(AdmitParticipant("ann"), POLICY)
    assert type(submit(market, buy("ann", 1, 12))[0]) is OrderAccepted


def test_a_session_opened_late_closes_at_once_what_has_no_time_left() -> None:
    market = unopened().given(RuleSetAdopted(MARKET, 1, 0, rules(gate_lead_min=30)))
    market.at = NOON - QUARTER
    market.when(OpenSession(NOON, 4), OPERATOR)
    assert market.later(market.at) == [
        GateClosed(MARKET, NOON, 15, 0),
        GateClosed(MARKET, NOON + QUARTER, 15, 0),
    ]
