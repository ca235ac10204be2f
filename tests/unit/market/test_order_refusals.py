"""Every refusal of an order, in the order of the checks, and which one wins when two rules are broken."""

from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import pytest

from schemas.market.commands import SubmitOrder
from schemas.market.events import (
    CapabilityRecorded,
    CommandRefused,
    CreditRecorded,
    GateClosed,
    OrderAccepted,
    ParticipantAdmitted,
    Restriction,
    RuleSetAdopted,
    SessionOpened,
)
from schemas.market.reasons import MarketRefusal
from schemas.values import INT64_MAX, Side
from tests.unit.given import MINUTE, Scenario, only
from tests.unit.market.world import CENT, GATE, MARKET, NOON, NOW, OPERATOR, QUARTER, RULES, open_market, sell, submit

R = MarketRefusal


@dataclass(frozen=True)
class Case:
    """A market and a lawful offer of 10 kWh at 12 cents in it; each break makes one thing unlawful."""

    rules: bool = True
    actor: str = "ann"
    start: int = NOON
    at: int = NOW
    admitted: bool = True
    owner: str = "ann"
    verified: bool = True
    quantity_wh: int = 10_000
    price: int = 12 * CENT
    expires_at: int | None = None
    injection_w: int = 40_000
    credit_micro: int = 10_000_000

    def run(self) -> list[Any]:
        market = Scenario("market", MARKET, at=NOON - 2000 * MINUTE)
        if self.rules:
            market.given(RuleSetAdopted(MARKET, 1, 0, RULES), SessionOpened(MARKET, "z", NOON, 4, 15, 1))
        if self.admitted:
            market.given(ParticipantAdmitted(MARKET, "ann"))
        resources = ("pv",) if self.verified else ()
        market.given(CapabilityRecorded(MARKET, "cp", self.owner, self.injection_w, resources))
        market.given(CreditRecorded(MARKET, "ann", "EUR", self.credit_micro))
        market.later(self.at)
        before = repr(market.state)
        wish = SubmitOrder(
            "ann", "cp", self.start, Side.SELL, self.quantity_wh, self.price, Restriction.NONE, self.expires_at
        )
        facts = market.when(wish, actor=self.actor)
        assert type(facts[-1]) is OrderAccepted or repr(market.state) == before, "a refusal changed the state"
        return facts


OPENING = NOON - 1440 * MINUTE
UNLISTED = NOON + 4 * QUARTER
BREAKS: tuple[tuple[R, dict[str, Any], int, int], ...] = (
    (R.MARKET_UNKNOWN, {"rules": False}, 0, 0),
    (R.NOT_AUTHORISED, {"actor": "eve"}, 0, 0),
    (R.INSTRUMENT_UNKNOWN, {"start": UNLISTED}, 0, UNLISTED),
    (R.NOT_OPEN, {"at": OPENING - 1}, OPENING, OPENING - 1),
    (R.GATE_CLOSED, {"at": GATE}, GATE, GATE),
    (R.PARTICIPANT_UNKNOWN, {"admitted": False}, 0, 0),
    (R.CONNECTION_UNKNOWN, {"owner": "bob"}, 0, 0),
    (R.RESOURCE_NOT_VERIFIED, {"verified": False}, 0, 0),
    (R.QUANTITY_ZERO, {"quantity_wh": 0}, 1, 0),
    (R.QUANTITY_OFF_LOT, {"quantity_wh": 10_050}, 100, 10_050),
    (R.QUANTITY_ABOVE_MAXIMUM, {"quantity_wh": 100_100}, 100_000, 100_100),
    (R.PRICE_OFF_TICK, {"price": 12 * CENT + 1}, CENT // 10, 12 * CENT + 1),
    (R.PRICE_OUT_OF_RANGE, {"price": 101 * CENT}, 100 * CENT, 101 * CENT),
    (R.EXPIRY_IN_THE_PAST, {"expires_at": OPENING - 2}, NOW, OPENING - 2),
    (R.EXPIRY_AFTER_GATE, {"expires_at": GATE + 1}, GATE, GATE + 1),
    (R.CAPABILITY_EXCEEDED, {"injection_w": 39_999}, 9_999, 10_000),
    # (50 − 12) cents assumed loss on 10 kWh
    (R.CREDIT_EXCEEDED, {"credit_micro": 3_799_999}, 3_799_999, 3_800_000),
)


def test_the_unbroken_case_is_accepted() -> None:
    assert [type(f) for f in Case().run()] == [OrderAccepted]
    assert type(Case(credit_micro=3_800_000).run()[-1]) is OrderAccepted
    assert type(Case(at=OPENING).run()[-1]) is OrderAccepted
    assert type(Case(at=GATE - 1, expires_at=GATE).run()[-1]) is OrderAccepted


@pytest.mark.parametrize(("reason", "broken", "limit", "found"), BREAKS, ids=[b[0] for b in BREAKS])
def test_each_broken_rule_has_its_refusal(reason: R, broken: dict[str, Any], limit: int, found: int) -> None:
    facts = replace(Case(), **broken).run()
    assert facts == [CommandRefused("SubmitOrder", "cp", "ann", reason, limit, found)]


def test_the_table_follows_the_enum() -> None:
    """The order is written down once, in the enum; this file and `validation.py` follow it."""
    members = list(MarketRefusal)
    places = [members.index(reason) for reason, *_ in BREAKS]
    assert places == sorted(places)


PAIRS = [(a, b) for a, b in combinations(BREAKS, 2) if not set(a[1]) & set(b[1])]


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=[f"{a[0]}-{b[0]}" for a, b in PAIRS])
def test_of_two_broken_rules_the_first_is_answered(first: Any, second: Any) -> None:
    facts = replace(Case(), **first[1], **second[1]).run()
    assert [f.reason for f in facts] == [first[0]]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"quantity_wh": 100_150}, R.QUANTITY_OFF_LOT),
        ({"price": 101 * CENT + 1}, R.PRICE_OFF_TICK),
        ({"price": -101 * CENT}, R.PRICE_OUT_OF_RANGE),
        ({"expires_at": NOW}, R.EXPIRY_IN_THE_PAST),
        ({"at": GATE, "expires_at": GATE}, R.GATE_CLOSED),
    ],
)
def test_the_same_number_may_break_two_rules(broken: dict[str, Any], reason: R) -> None:
    assert [f.reason for f in replace(Case(), **broken).run()] == [reason]


def test_everything_broken_at_once_peels_off_in_order() -> None:
    """Breaks all that can be broken together, then mends the first, and so on."""
    together = [b for b in BREAKS if b[0] not in (R.NOT_OPEN, R.QUANTITY_ZERO, R.QUANTITY_OFF_LOT, R.PRICE_OFF_TICK)]
    together = [b for b in together if b[0] is not R.EXPIRY_IN_THE_PAST]
    for n, (reason, *_) in enumerate(together):
        broken = {name: value for _, change, *_ in together[n:] for name, value in change.items()}
        assert [f.reason for f in replace(Case(), **broken).run()] == [reason]


def test_a_recorded_closure_wins_over_the_clock() -> None:
    """Domain rules §1.1 rule 6: a closure on the log holds even where the clock is behind it."""
    market = open_market("ann").given(GateClosed(MARKET, NOON, 15, 0))
    assert [f.reason for f in submit(market, sell("ann", 1, 12))] == [R.GATE_CLOSED]


def test_a_connection_without_resources_buys_only() -> None:
    case = Case(verified=False)
    assert [f.reason for f in case.run()] == [R.RESOURCE_NOT_VERIFIED]
    market = open_market("ann")
    market.given(CapabilityRecorded(MARKET, "ann-cp", "ann", 0, ()))
    wish = SubmitOrder("ann", "ann-cp", NOON, Side.BUY, 1000, 12 * CENT, Restriction.NONE, None)
    assert type(submit(market, wish)[-1]) is OrderAccepted


def test_an_absurd_need_of_credit_still_has_a_64_bit_answer() -> None:
    market = open_market("ann", max_quantity_wh=10**15, max_price_nano_per_kwh=10**15, min_price_nano_per_kwh=0)
    wish = SubmitOrder("ann", "ann-cp", NOON, Side.BUY, 10**15, 10**15, Restriction.NONE, None)
    refused = submit(market, wish)[-1]
    assert (refused.reason, refused.found) == (R.CREDIT_EXCEEDED, INT64_MAX)


def test_another_operator_than_the_party_may_not_bid_for_it() -> None:
    market = open_market("ann")
    facts = market.when(sell("ann", 1, 12), actor=OPERATOR)
    assert [f.reason for f in only(facts, CommandRefused)] == [R.NOT_AUTHORISED]
