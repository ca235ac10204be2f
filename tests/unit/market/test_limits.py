"""Capability and credit (domain rules §1.1 rules 11 and 12): what is counted, what is released and when."""

import pytest

from schemas.market.commands import CancelOrder, SettleDelivery
from schemas.market.events import (
    CapabilityRecorded,
    CreditRecorded,
    OrderAccepted,
    Restriction,
    RuleSetAdopted,
    SessionOpened,
)
from schemas.market.reasons import MarketRefusal
from tests.unit.given import Scenario
from tests.unit.market.world import (
    CENT,
    GATE,
    MARKET,
    NOON,
    NOW,
    POLICY,
    QUARTER,
    buy,
    joined,
    open_market,
    rules,
    sell,
    submit,
)

KWH = 1000
EXCEEDED = [MarketRefusal.CAPABILITY_EXCEEDED]


def accepted(market: Scenario, wish: object) -> bool:
    return type(submit(market, wish)[0]) is OrderAccepted  # type: ignore[arg-type]


def exposure(market: Scenario, party: str) -> int:
    pico: int = market.state.accounts[party].exposure_pico
    return pico


def small(party: str = "bob", injection_w: int = 20_000) -> Scenario:
    """The party can inject 5 kWh in a quarter-hour."""
    market = open_market("ann", "bob", "cyd")
    return market.given(CapabilityRecorded(MARKET, f"{party}-cp", party, injection_w, ("pv",)))


def test_resting_sales_use_capability_until_they_leave_the_book() -> None:
    market = small()
    order = submit(market, sell("bob", 3, 11))[0].order
    assert [f.reason for f in submit(market, sell("bob", 2.1, 11))] == EXCEEDED
    assert accepted(market, sell("bob", 2, 11))
    market.when(CancelOrder(order), "bob")
    assert accepted(market, sell("bob", 3, 11))


def test_a_sale_uses_the_same_capability_as_the_order_before_it() -> None:
    market = small()
    submit(market, sell("bob", 5, 11))
    submit(market, buy("ann", 4, 11))
    assert [f.reason for f in submit(market, sell("bob", 0.1, 11))] == EXCEEDED


@pytest.mark.parametrize("restriction", [Restriction.IOC, Restriction.FOK])
def test_what_never_rested_uses_nothing(restriction: Restriction) -> None:
    market = small()
    submit(market, sell("bob", 5, 11, restriction=restriction))
    assert accepted(market, sell("bob", 5, 11))


def test_bought_energy_may_be_sold_again() -> None:
    market = small()
    submit(market, sell("cyd", 3, 11))
    submit(market, buy("bob", 3, 11))
    assert [f.reason for f in submit(market, sell("bob", 8.1, 12))] == EXCEEDED
    assert accepted(market, sell("bob", 8, 12))


def test_an_open_purchase_may_not() -> None:
    market = small()
    submit(market, buy("bob", 3, 11))
    assert [f.reason for f in submit(market, sell("bob", 5.1, 12))] == EXCEEDED


def test_sold_energy_may_be_bought_back() -> None:
    market = small()
    submit(market, sell("bob", 5, 11))
    submit(market, buy("ann", 5, 11))
    submit(market, sell("cyd", 2, 11))
    submit(market, buy("bob", 2, 11))
    assert [f.reason for f in submit(market, sell("bob", 2.1, 12))] == EXCEEDED
    assert accepted(market, sell("bob", 2, 12))


def test_capability_is_per_connection_and_interval() -> None:
    market = small()
    market.given(CapabilityRecorded(MARKET, "roof", "bob", 4_000, ("pv-2",)))
    assert accepted(market, sell("bob", 5, 11))
    assert accepted(market, sell("bob", 5, 11, start=NOON + QUARTER))
    other = sell("bob", 1, 11)
    other = type(other)(
        other.party,
        "roof",
        other.delivery_start_at,
        other.side,
        other.quantity_wh,
        other.limit_price_nano_per_kwh,
        other.restriction,
        other.expires_at,
    )
    assert accepted(market, other)
    assert [f.reason for f in submit(market, other)] == EXCEEDED


@pytest.mark.parametrize(
    ("injection_w", "interval_min", "limit_wh"), [(7, 15, 1), (8, 15, 2), (11, 60, 11), (19, 30, 9)]
)
def test_capability_is_injection_times_interval(injection_w: int, interval_min: int, limit_wh: int) -> None:
    """7 W over a quarter-hour are 1.75 Wh: 1 Wh can be sold."""
    market = Scenario("market", MARKET, at=NOW)
    market.given(
        RuleSetAdopted(MARKET, 1, 0, rules(interval_min=interval_min, lot_wh=1)),
        SessionOpened(MARKET, "z", NOON, 1, interval_min, 1),
        *joined("bob", injection_w),
    )
    refused = submit(market, sell("bob", (limit_wh + 1) / 1000, 11, duration_min=interval_min))[0]
    assert (refused.limit, refused.found) == (limit_wh, limit_wh + 1)
    assert accepted(market, sell("bob", limit_wh / 1000, 11, duration_min=interval_min))


def test_a_smaller_allotment_cancels_nothing_but_admits_nothing_new() -> None:
    market = small()
    submit(market, sell("bob", 5, 11))
    market.given(CapabilityRecorded(MARKET, "bob-cp", "bob", 4_000, ("pv",)))
    assert [f.reason for f in submit(market, sell("bob", 0.1, 11))] == EXCEEDED
    assert accepted(market, buy("bob", 0.1, 9))


def test_exposure_of_a_purchase() -> None:
    """An open buy counts its limit, a made one its price; nothing is given back before settlement."""
    market = open_market("ann", "bob")
    submit(market, sell("bob", 2, 10))
    submit(market, buy("ann", 5, 12))
    assert exposure(market, "ann") == 2 * KWH * 10 * CENT + 3 * KWH * 12 * CENT
    market.later(GATE)
    assert exposure(market, "ann") == 2 * KWH * 10 * CENT
    market.later(NOON + QUARTER)
    assert exposure(market, "ann") == 2 * KWH * 10 * CENT
    market.when(SettleDelivery(NOON, NOON + QUARTER), POLICY)
    assert exposure(market, "ann") == 0


def test_exposure_of_a_sale() -> None:
    """Open at its limit, sold at its price, valued at the assumed price of 50 cents, until it is delivered."""
    market = open_market("ann", "bob")
    submit(market, buy("ann", 2, 12))
    submit(market, sell("bob", 5, 10))
    assert exposure(market, "bob") == 2 * KWH * 38 * CENT + 3 * KWH * 40 * CENT
    market.later(NOON + QUARTER)
    assert exposure(market, "bob") == 2 * KWH * 38 * CENT
    market.when(SettleDelivery(NOON, NOON + QUARTER), POLICY)
    assert exposure(market, "bob") == 0


@pytest.mark.parametrize(("cents", "counted"), [(50, 0), (60, 0), (49.9, 0.1), (0, 50), (-10, 70)])
def test_sales_above_the_assumed_price_count_nothing_and_negative_ones_twice(cents: float, counted: float) -> None:
    market = open_market("bob")
    submit(market, sell("bob", 1, cents))
    assert exposure(market, "bob") == KWH * round(counted * CENT)


def test_a_bid_at_a_negative_price_creates_no_credit() -> None:
    market = open_market("ann", "bob")
    submit(market, buy("ann", 1, 12))
    submit(market, buy("ann", 100, -50))
    assert exposure(market, "ann") == KWH * 12 * CENT
    submit(market, sell("bob", 100, -50))
    assert exposure(market, "ann") == KWH * 12 * CENT


def test_receivables_and_other_intervals_do_not_net() -> None:
    market = open_market("ann", "bob")
    submit(market, sell("bob", 1, 60))
    submit(market, buy("ann", 1, 60))
    submit(market, sell("ann", 1, 10, start=NOON + QUARTER))
    submit(market, buy("bob", 1, 10, start=NOON + QUARTER))
    assert exposure(market, "ann") == KWH * (60 + 40) * CENT
    assert exposure(market, "bob") == KWH * (0 + 10) * CENT


def test_without_an_allotment_the_limit_is_zero() -> None:
    """What cannot cost anything needs no credit."""
    market = open_market()
    market.given(*joined("ann")[:2])
    assert [f.reason for f in submit(market, buy("ann", 1, 0.1))] == [MarketRefusal.CREDIT_EXCEEDED]
    assert accepted(market, buy("ann", 1, 0))
    assert accepted(market, sell("ann", 1, 50))


def test_a_smaller_limit_cancels_nothing_but_admits_nothing_new() -> None:
    market = open_market("ann")
    submit(market, buy("ann", 10, 12))
    market.given(CreditRecorded(MARKET, "ann", "EUR", 1_000_000))
    assert exposure(market, "ann") == 10 * KWH * 12 * CENT
    refused = submit(market, buy("ann", 1, 1))[0]
    assert (refused.reason, refused.limit, refused.found) == (MarketRefusal.CREDIT_EXCEEDED, 1_000_000, 1_210_000)


def test_the_limit_itself_may_be_used() -> None:
    market = open_market()
    market.given(*joined("ann", credit_micro=1_200_000))
    assert [f.reason for f in submit(market, buy("ann", 10.1, 12))] == [MarketRefusal.CREDIT_EXCEEDED]
    assert accepted(market, buy("ann", 10, 12))
