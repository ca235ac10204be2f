"""A small open market for the tests: four quarter-hours around noon, parties with credit and connections."""

from dataclasses import replace
from typing import Any

from schemas.market.commands import ProposeContract, SubmitOrder
from schemas.market.events import (
    CapabilityRecorded,
    CreditRecorded,
    ParticipantAdmitted,
    Restriction,
    RuleSet,
    RuleSetAdopted,
    SelfTradeMode,
    SessionOpened,
    TradeMade,
)
from schemas.values import DeliveryMode, Side
from tests.unit.given import MINUTE, Scenario, only

MARKET = "m"
OPERATOR = "op"
POLICY = "policy:test"
NOON = 1_767_268_800_000_000
"""2026-01-01T12:00Z, the start of the first delivery."""
QUARTER = 15 * MINUTE
NOW = NOON - 120 * MINUTE
GATE = NOON - 5 * MINUTE
CENT = 10_000_000
"""Of a currency with 100 cents, per kWh, in 10⁻⁹ units."""
EURO_MICRO = 10**6
KWH = 1000

RULES = RuleSet(
    zone="z",
    operator=OPERATOR,
    currency="EUR",
    interval_min=15,
    opening_lead_min=1440,
    gate_lead_min=5,
    tick_nano_per_kwh=CENT // 10,
    lot_wh=100,
    max_quantity_wh=100_000,
    min_price_nano_per_kwh=-100 * CENT,
    max_price_nano_per_kwh=100 * CENT,
    self_trade=SelfTradeMode.CANCEL_NEWEST,
    assumed_price_nano_per_kwh=50 * CENT,
    points_per_kwh=10,
    book_delivery_mode=DeliveryMode.AS_DELIVERED,
    approval_deadline_min=60,
)


def rules(**changes: Any) -> RuleSet:
    """The rules of this market with some of them changed."""
    return replace(RULES, **changes)


def connection_of(party: str) -> str:
    return f"{party}-cp"


def joined(
    party: str, injection_w: int = 400_000, credit_micro: int = 1000 * EURO_MICRO, verified: bool = True
) -> tuple[Any, ...]:
    """The facts that let a party trade: 400 kW are 100 kWh in a quarter-hour."""
    resources = (f"{party}-pv",) if verified else ()
    return (
        ParticipantAdmitted(MARKET, party),
        CapabilityRecorded(MARKET, connection_of(party), party, injection_w, resources),
        CreditRecorded(MARKET, party, "EUR", credit_micro),
    )


def open_market(*parties: str, at: int = NOW, intervals: int = 4, **changes: Any) -> Scenario:
    """A market with a session from noon on, in which the parties may trade."""
    held = rules(**changes)
    market = Scenario("market", MARKET, at=at)
    market.given(RuleSetAdopted(MARKET, 1, 0, held), SessionOpened(MARKET, "z", NOON, intervals, held.interval_min, 1))
    for party in parties:
        market.given(*joined(party))
    return market


def order(
    party: str,
    side: Side,
    kwh: float,
    cents: float,
    restriction: Restriction = Restriction.NONE,
    start: int = NOON,
    expires_at: int | None = None,
    **more: Any,
) -> SubmitOrder:
    """An order in kWh and cents per kWh (both exact in Wh and in tenths of a cent)."""
    return SubmitOrder(
        party,
        connection_of(party),
        start,
        side,
        round(kwh * 1000),
        round(cents * 10) * CENT // 10,
        restriction,
        expires_at,
        **more,
    )


def buy(party: str, kwh: float, cents: float, **more: Any) -> SubmitOrder:
    return order(party, Side.BUY, kwh, cents, **more)


def sell(party: str, kwh: float, cents: float, **more: Any) -> SubmitOrder:
    return order(party, Side.SELL, kwh, cents, **more)


PROPOSAL = ProposeContract("bob", "ann", "bob-cp", "ann-cp", NOON, (2000, 3000), 20 * CENT)
"""Bob sells ann 2 and 3 kWh at 20 cents; the assumed price is 50."""


def proposal(**changes: Any) -> ProposeContract:
    return replace(PROPOSAL, **changes)


def submit(market: Scenario, wish: SubmitOrder) -> list[Any]:
    """The owner sends the order."""
    return market.when(wish, actor=wish.party)


def shown(market: Scenario, start: int = NOON) -> tuple[list[tuple[str, int, int]], list[tuple[str, int, int]]]:
    """Bids and asks of a book, best first: (party, Wh, nano per kWh)."""
    book = market.state.instruments[start, 15].book
    return (
        [(o.party, o.rest_wh, o.limit_price_nano_per_kwh) for o in book.crossing(False, -(10**15), market.at)],
        [(o.party, o.rest_wh, o.limit_price_nano_per_kwh) for o in book.crossing(True, 10**15, market.at)],
    )


def resting(*offers: tuple[str, float, float], **changes: Any) -> Scenario:
    """A market in which these offers (party, kWh, cents) rest and ann, bob, cyd and dan may trade."""
    market = open_market("ann", "bob", "cyd", "dan", **changes)
    for party, kwh, cents in offers:
        submit(market, sell(party, kwh, cents))
    return market


def trades(facts: list[Any]) -> list[tuple[str, str, int, int]]:
    """(buyer, seller, kWh, cents) of each trade."""
    return [(t.buyer, t.seller, t.quantity_wh // KWH, t.price_nano_per_kwh // CENT) for t in only(facts, TradeMade)]
