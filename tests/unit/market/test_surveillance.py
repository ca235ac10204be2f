"""Each pattern is found with exactly its orders, honest trading is not, and nobody else may report."""

from dataclasses import asdict, replace
from json import dumps
from typing import Any

import pytest

from consumers.calculate import Calculator, WiredCalculation
from consumers.layout import Layout
from domain.market.calc_surveillance import CALCULATION
from domain.market.surveillance import ACTOR, MAX_EVIDENCE
from infra.schemas import load_codec
from projections.market.order_events import ORDER_EVENTS
from projections.market.surveillance import VERIFIED_CAPABILITIES, parameters
from projections.market.trading import CONTRACTS
from projections.view import View
from schemas.market.commands import CancelOrder
from schemas.market.events import (
    CapabilityRecorded,
    CommandRefused,
    GateClosed,
    MarketRefusal,
    OrderAccepted,
    SelfTradeMode,
)
from schemas.market.surveillance_commands import ReportSuspicion
from schemas.market.surveillance_events import SurveillanceRules, SuspicionKind, SuspicionRaised
from tests.unit.given import MINUTE, Scenario, only
from tests.unit.market.world import CENT, MARKET, NOON, QUARTER, RULES, buy, open_market, sell, submit
from tests.unit.written import only_judges, read_again, rebuilt, recorded

WASH, LAYERS, WITHHELD = SuspicionKind.WASH_TRADE, SuspicionKind.LAYERING, SuspicionKind.WITHHELD_CAPABILITY
THRESHOLDS = SurveillanceRules(
    wash_wh=1000,
    round_trip_min=10,
    layering_wh=5000,
    layering_min=5,
    layering_orders=2,
    withheld_wh=0,
    fair_price_nano_per_kwh=20 * CENT,
)


def watched(*parties: str, self_trade: Any = SelfTradeMode.CANCEL_NEWEST, **changes: Any) -> Scenario:
    thresholds = replace(THRESHOLDS, **changes)
    return open_market(*parties, surveillance=thresholds, self_trade=self_trade)


def orders(market: Scenario, party: str = "") -> tuple[str, ...]:
    return tuple(f.order for f in only(market.facts, OrderAccepted) if party in ("", f.party))


def rows_of(view: View, market: Scenario) -> list[dict[str, Any]]:
    """As the slate has them before the first gate closed."""
    found = []
    for seq, (body, tick) in enumerate(zip(market.facts, market.moments, strict=True)):
        if isinstance(body, GateClosed):
            break
        if type(body) in view.on:
            for row in view.on[type(body)](recorded("market", MARKET, body, seq, tick)):
                found.append({**dict.fromkeys(view.columns), **row, "at": tick.at, "version": row.get("version", 0)})
    return found


def found(market: Scenario) -> list[ReportSuspicion]:
    """What is reported when the gate of noon closes."""
    market.later(NOON - 5 * MINUTE)
    closed = only(market.facts, GateClosed)[0]
    rules = market.state.rules[-1].rules
    inputs = {
        "rules": [
            {
                "interval_min": 15,
                "surveillance": None if rules.surveillance is None else dumps(asdict(rules.surveillance)),
            }
        ],
        "orders": rows_of(ORDER_EVENTS, market),
        "contracts": rows_of(CONTRACTS, market),
        "capabilities": rows_of(VERIFIED_CAPABILITIES, market),
    }
    return list(CALCULATION.compute(recorded("market", MARKET, closed), inputs))


def alert(kind: SuspicionKind, parties: tuple[str, ...], evidence: tuple[str, ...]) -> ReportSuspicion:
    return ReportSuspicion(NOON, 15, kind, parties, evidence)


def test_a_trade_with_oneself_is_a_wash_trade() -> None:
    market = watched("ann", "bob", self_trade=SelfTradeMode.OFF)
    submit(market, sell("bob", 2, 10))
    submit(market, buy("bob", 2, 10))
    assert found(market) == [alert(WASH, ("bob",), orders(market)[::-1])]


def test_a_quick_round_trip_at_one_price_is_a_wash_trade() -> None:
    market = watched("ann", "bob", "cyd")
    submit(market, sell("cyd", 2, 10))
    submit(market, buy("ann", 2, 10))
    submit(market, sell("bob", 2, 10))
    submit(market, buy("ann", 2, 10))
    market.later(market.at + 9 * MINUTE)
    submit(market, sell("ann", 2, 10))
    submit(market, buy("bob", 2, 10))
    (said,) = found(market)
    assert (said.kind, said.parties) == (WASH, ("ann", "bob"))
    assert set(said.orders) == set(orders(market)[2:])


@pytest.mark.parametrize(("minutes", "kwh", "cents"), [(11, 2, 10), (1, 0.5, 10), (1, 2, 10.5)])
def test_a_slow_or_small_or_dearer_way_back_is_trading(minutes: int, kwh: float, cents: float) -> None:
    market = watched("ann", "bob")
    submit(market, sell("bob", 2, 10))
    submit(market, buy("ann", 2, 10))
    market.later(market.at + minutes * MINUTE)
    submit(market, sell("ann", kwh, cents))
    submit(market, buy("bob", kwh, cents))
    assert found(market) == []


def layered(minutes: int = 2, layers: int = 2, kwh: float = 6, cents: float = 9) -> Scenario:
    """Ann's bids look like demand; when somebody has bought from her, they are gone."""
    market = watched("ann", "bob", "cyd")
    submit(market, buy("bob", 1, 10))
    for n in range(layers):
        submit(market, buy("ann", kwh, cents - n / 10))
    submit(market, sell("ann", 1, 12))
    submit(market, buy("cyd", 1, 12))
    market.later(market.at + minutes * MINUTE)
    for order in orders(market, "ann")[:layers]:
        market.when(CancelOrder(order), "ann")
    return market


def test_layers_that_go_after_the_trade_on_the_other_side() -> None:
    market = layered()
    assert found(market) == [alert(LAYERS, ("ann",), orders(market, "ann")[:2])]


@pytest.mark.parametrize("honest", [{"minutes": 6}, {"layers": 1}, {"kwh": 4}, {"cents": 11}])
def test_orders_that_stay_or_are_few_or_small_or_best_are_no_layers(honest: dict[str, Any]) -> None:
    assert found(layered(**honest)) == []


def test_large_orders_that_are_taken_back_without_a_trade_are_no_layers() -> None:
    market = watched("ann", "bob")
    submit(market, buy("bob", 1, 10))
    for cents in (9, 8):
        submit(market, buy("ann", 6, cents))
    for order in orders(market, "ann"):
        market.when(CancelOrder(order), "ann")
    assert found(market) == []


def test_who_traded_on_the_same_side_has_no_layers() -> None:
    market = watched("ann", "bob", "cyd")
    submit(market, buy("bob", 1, 10))
    for cents in (9, 8):
        submit(market, buy("ann", 6, cents))
    submit(market, buy("ann", 1, 11))
    submit(market, sell("cyd", 1, 11))
    for order in orders(market, "ann")[:2]:
        market.when(CancelOrder(order), "ann")
    assert found(market) == []


def dear_day(offered_kwh: float, offered_cents: float, price: float = 30) -> Scenario:
    """Each connection can inject 100 kWh; ann and bob trade 95 of bob's."""
    market = watched("ann", "bob", "cyd", withheld_wh=10_000)
    market.given(*no_capability("ann"))
    submit(market, sell("bob", 95, price))
    submit(market, buy("ann", 20, price))
    submit(market, buy("cyd", 20, price))
    submit(market, buy("ann", 20, price))
    submit(market, buy("cyd", 20, price))
    submit(market, buy("ann", 15, price))
    submit(market, sell("cyd", offered_kwh, offered_cents))
    return market


def no_capability(party: str) -> tuple[Any, ...]:
    return (CapabilityRecorded(MARKET, f"{party}-cp", party, 400_000, ()),)


def test_capability_that_is_offered_too_dear_is_withheld() -> None:
    market = dear_day(100, 50)
    assert found(market) == [alert(WITHHELD, ("cyd",), orders(market, "cyd")[2:])]


def test_capability_that_is_not_offered_is_withheld() -> None:
    market = dear_day(5, 19)
    assert found(market) == [alert(WITHHELD, ("cyd",), ())]


@pytest.mark.parametrize(("kwh", "cents", "price"), [(95, 20, 30), (5, 19, 20)])
def test_what_is_on_offer_or_cheap_anyway_is_not_withheld(kwh: float, cents: float, price: float) -> None:
    assert found(dear_day(kwh, cents, price)) == []


def test_without_rules_nothing_is_watched() -> None:
    market = open_market("ann", "bob", self_trade=SelfTradeMode.OFF)
    submit(market, sell("bob", 2, 10))
    submit(market, buy("bob", 2, 10))
    assert found(market) == []


@pytest.mark.parametrize(
    ("market", "asks"),
    [
        (open_market("ann"), False),
        (watched("ann"), True),
        (watched("ann", wash_wh=0, layering_wh=0, withheld_wh=1), True),
        (watched("ann", wash_wh=0, layering_wh=0), False),
    ],
)
def test_only_a_gate_that_is_watched_asks_for_anything(market: Scenario, asks: bool) -> None:
    market.later(NOON - 5 * MINUTE)
    (closed,) = only(market.facts, GateClosed)[:1]
    wired = WiredCalculation(CALCULATION, {}, parameters)
    calculator = Calculator([wired], load_codec(), Layout.of({"market": 1}), no_answer)
    calculator.offer([recorded("market", MARKET, closed)])
    assert calculator.waiting == asks


async def no_answer(sql: str, parameters: Any) -> list[Any]:
    raise AssertionError(sql, parameters)


def test_the_inputs_are_asked_as_of_the_gate() -> None:
    closed = recorded("market", MARKET, GateClosed(MARKET, NOON, 15, 0))
    assert parameters(closed) == {
        "market": MARKET,
        "cutoff": closed.meta.tick.n,
        "start_at": NOON,
        "end_at": NOON + QUARTER,
    }
    assert CALCULATION.cutoff(closed) == closed.meta.tick.n


REPORT = alert(WASH, ("ann", "bob"), ("o1", "o2"))


def test_an_alert_is_recorded() -> None:
    market = watched("ann", "bob")
    assert market.when(REPORT, ACTOR) == [SuspicionRaised(MARKET, NOON, 15, WASH, ("ann", "bob"), ("o1", "o2"))]
    assert rebuilt(market) == market.state
    assert read_again(market.facts[-1]) == market.facts[-1]


def reason(market: Scenario, wish: ReportSuspicion = REPORT, actor: str = ACTOR) -> tuple[MarketRefusal, int, int]:
    (fact,) = only_judges(market, wish, actor)
    assert isinstance(fact, CommandRefused)
    return fact.reason, fact.limit, fact.found


def test_market_unknown() -> None:
    assert reason(Scenario("market", MARKET)) == (MarketRefusal.MARKET_UNKNOWN, 0, 0)


@pytest.mark.parametrize("actor", ["op", "ann", "calc:programme.baseline", "policy:test"])
def test_a_report_of_somebody_else_is_refused(actor: str) -> None:
    assert reason(watched("ann", "bob"), actor=actor) == (MarketRefusal.NOT_AUTHORISED, 0, 0)


def test_instrument_unknown() -> None:
    wish = replace(REPORT, delivery_start_at=NOON - QUARTER)
    assert reason(watched("ann", "bob"), wish) == (MarketRefusal.INSTRUMENT_UNKNOWN, 0, NOON - QUARTER)


def test_surveillance_off() -> None:
    assert RULES.surveillance is None
    assert reason(open_market("ann", "bob")) == (MarketRefusal.SURVEILLANCE_OFF, 0, 0)
    wish = replace(REPORT, kind=WITHHELD)
    assert reason(watched("ann", "bob"), wish) == (MarketRefusal.SURVEILLANCE_OFF, 0, 0)


@pytest.mark.parametrize("parties", [(), ("ann", "eve")])
def test_participant_unknown(parties: tuple[str, ...]) -> None:
    wish = replace(REPORT, parties=parties)
    assert reason(watched("ann", "bob"), wish) == (MarketRefusal.PARTICIPANT_UNKNOWN, 0, 0)


def test_too_many_orders() -> None:
    wish = replace(REPORT, orders=tuple(map(str, range(MAX_EVIDENCE + 1))))
    assert reason(watched("ann", "bob"), wish) == (MarketRefusal.TOO_MANY_ORDERS, MAX_EVIDENCE, MAX_EVIDENCE + 1)


def test_already_reported() -> None:
    market = watched("ann", "bob")
    market.when(REPORT, ACTOR)
    assert reason(market, replace(REPORT, orders=())) == (MarketRefusal.ALREADY_REPORTED, 0, 0)
    for change in ({"kind": LAYERS}, {"parties": ("ann",)}, {"delivery_start_at": NOON + QUARTER}):
        other = replace(REPORT, **change)  # type: ignore[arg-type]
        assert type(market.when(other, ACTOR)[-1]) is SuspicionRaised
