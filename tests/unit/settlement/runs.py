"""An area through the door: runs that are started, proposed by hand, approved and posted."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from domain.rounding import half_up
from domain.settlement.decider import CALCULATOR
from domain.settlement.lines import line_id
from schemas.settlement.commands import ApproveRun, ProposeRunPart, ProposeRunTotals, StartRun
from schemas.settlement.events import (
    ConnectionBalance,
    LineKind,
    LinesPosted,
    PostedLine,
    RunCompleted,
    RunPosted,
    RunStarted,
    RunType,
    SettlementLine,
)
from tests.unit.given import Scenario, only
from tests.unit.settlement.world import AREA, CURRENCY, OPERATOR, QUARTER, SERIES

NOW, DEADLINE = 400 * QUARTER, 500 * QUARTER
PRICE = 100_000_000
_PAYS = (LineKind.SHARED_CONSUMPTION, LineKind.DELIVERED_PURCHASE)
_UNPRICED = (LineKind.RESIDUAL, LineKind.SURPLUS, LineKind.IMBALANCE)


def area() -> Scenario:
    """An area after 100 ticks, when 400 quarter-hours are over."""
    scenario = Scenario("settlement", AREA)
    for _ in range(100):
        scenario.later(NOW)
    return scenario


def start_run(intervals: int = 2, **overrides: Any) -> StartRun:
    """A wish for the initial run of the first intervals."""
    fields: dict[str, Any] = {
        "run_type": RunType.INITIAL,
        "from_at": 0,
        "to_at": intervals * QUARTER,
        "interval_min": 15,
        "cutoff_tick": 50,
        "currency": CURRENCY,
        "operator": OPERATOR,
        "imbalance_series": SERIES,
        "markets": ("market",),
        "deadline_at": DEADLINE,
    }
    return StartRun(**{**fields, **overrides})


def started(scenario: Scenario, **overrides: Any) -> RunStarted:
    """A run that is open now."""
    (fact,) = scenario.when(start_run(**overrides), "starter")
    assert isinstance(fact, RunStarted), fact
    return fact


def line(
    kind: LineKind,
    connection: str,
    *energy_wh: int,
    reference: str = "tariff",
    settled: int | None = None,
    price: int | None = None,
    **overrides: Any,
) -> SettlementLine:
    """A line that keeps every rule, named and priced after what is given."""
    settled = sum(energy_wh) if settled is None else settled
    price = (0 if kind in _UNPRICED else PRICE) if price is None else price
    amount = half_up(price * settled, 10**6) * (-1 if kind in _PAYS else 1)
    counterparty = OPERATOR if kind is LineKind.IMBALANCE or reference == "imbalance" else "issuer"
    fields: dict[str, Any] = {
        "line": "",
        "kind": kind,
        "party": f"party-{connection}",
        "connection": connection,
        "counterparty": counterparty,
        "reference": reference,
        "first_interval": 0,
        "energy_wh": energy_wh,
        "settled_wh": settled,
        "price_nano_per_kwh": price,
        "amount_micro": amount,
        "points_micro": 0,
    }
    return named(SettlementLine(**{**fields, **overrides}))


def named(unnamed: SettlementLine, from_at: int = 0) -> SettlementLine:
    """The line under the name that its fields give it."""
    found = unnamed
    name = line_id(
        from_at, found.kind, found.connection, found.party, found.counterparty, found.reference,
        found.price_nano_per_kwh,
    )  # fmt: skip
    return replace(found, line=name)


def balance(connection: str, imported: Iterable[int], exported: Iterable[int]) -> ConnectionBalance:
    """A connection's meters."""
    return ConnectionBalance(connection, f"party-{connection}", tuple(imported), tuple(exported))


def part(
    run: str, balances: Iterable[ConnectionBalance], lines: Iterable[SettlementLine], number: int = 0
) -> ProposeRunPart:
    """A part of a result."""
    return ProposeRunPart(run, number, tuple(balances), tuple(lines))


def totals(run: str, *parts: ProposeRunPart, **overrides: int) -> ProposeRunTotals:
    """The totals of these parts."""
    lines = [li for p in parts for li in p.lines]

    def settled(kind: LineKind) -> int:
        return sum(li.settled_wh for li in lines if li.kind is kind)

    fields: dict[str, int] = {
        "parts": len(parts),
        "connections": sum(len(p.balances) for p in parts),
        "lines": len(lines),
        "shared_wh": settled(LineKind.SHARED_CONSUMPTION),
        "delivered_wh": settled(LineKind.DELIVERED_PURCHASE),
        "residual_wh": settled(LineKind.RESIDUAL),
        "surplus_wh": settled(LineKind.SURPLUS),
    }
    return ProposeRunTotals(run=run, **{**fields, **overrides})


def trade(run: str, sold_wh: Mapping[str, int], price: int = PRICE, number: int = 0) -> ProposeRunPart:
    """A part in which `s` sells to `b` under contracts, exactly as metered, in the first of two intervals."""
    whole = sum(sold_wh.values())
    lines = [
        line(kind, connection, wh, reference=contract, price=price, points_micro=sign * wh * 1000)
        for contract, wh in sold_wh.items()
        for kind, connection, sign in (
            (LineKind.DELIVERED_SALE, "s", 1),
            (LineKind.DELIVERED_PURCHASE, "b", -1),
        )
    ]
    return part(run, [balance("b", (whole, 0), (0, 0)), balance("s", (0, 0), (whole, 0))], lines, number)


def completed(scenario: Scenario, run: str, *parts: ProposeRunPart) -> RunCompleted:
    """Proposes everything; the run is complete."""
    for proposal in parts:
        scenario.when(proposal, CALCULATOR)
    (fact,) = scenario.when(totals(run, *parts), CALCULATOR)
    assert isinstance(fact, RunCompleted), fact
    return fact


def posted(scenario: Scenario, run: str) -> list[PostedLine]:
    """Approves a run and lets it be written out; returns the differences."""
    (fact,) = scenario.when(ApproveRun(run), "approver")
    assert isinstance(fact, RunPosted), fact
    lines = [li for sliced in only(scenario.later(scenario.at), LinesPosted) for li in sliced.lines]
    assert len(lines) == fact.differing_lines
    return lines
