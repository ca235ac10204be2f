"""Refusals of the family, in the order of `SettlementRefusal`: one test for each reason."""

from dataclasses import replace

import pytest

from domain.settlement.decider import CALCULATOR, MAX_INTERVALS
from domain.settlement.parts import PART_BYTES
from schemas.settlement.commands import ApproveRun, ReportRunProblem
from schemas.settlement.events import (
    CommandRefused,
    LineKind,
    RunCompleted,
    RunPartRecorded,
    RunPosted,
    RunStarted,
    RunType,
    SettlementRefusal,
)
from tests.unit.settlement.runs import (
    NOW,
    area,
    balance,
    completed,
    line,
    named,
    part,
    posted,
    start_run,
    started,
    totals,
    trade,
)
from tests.unit.settlement.world import QUARTER
from tests.unit.written import only_judges

RESIDUAL, SURPLUS, IMBALANCE, RESPONSE, TRANSIT, DIFFERENCE = (
    LineKind.RESIDUAL,
    LineKind.SURPLUS,
    LineKind.IMBALANCE,
    LineKind.RESPONSE,
    LineKind.TRANSIT,
    LineKind.PRICE_DIFFERENCE,
)
SALE, PURCHASE = LineKind.DELIVERED_SALE, LineKind.DELIVERED_PURCHASE
PRODUCTION, CONSUMPTION = LineKind.SHARED_PRODUCTION, LineKind.SHARED_CONSUMPTION


def why(scenario, wish, actor=CALCULATOR):
    """The reason why the wish is refused; nothing changes."""
    (fact,) = only_judges(scenario, wish, actor)
    assert isinstance(fact, CommandRefused), fact
    assert fact.command == type(wish).__name__
    return fact.reason


def opened(**overrides):
    scenario = area()
    return scenario, started(scenario, **overrides).run


def after_a_posted_run():
    """The first two quarter-hours are settled as of tick 50."""
    scenario, run = opened()
    completed(scenario, run, trade(run, {"k": 10}))
    posted(scenario, run)
    return scenario


@pytest.mark.parametrize("wish", [part("r", [], []), totals("r"), ReportRunProblem("r", "x")], ids=type)
def test_not_authorised(wish):
    scenario, run = opened()
    for actor in ("starter", "calc:other", "policy:calc:settlement.run"):
        assert why(scenario, replace(wish, run=run), actor) is SettlementRefusal.NOT_AUTHORISED


@pytest.mark.parametrize(
    "wish", [part("r", [], []), totals("r"), ReportRunProblem("r", "x"), ApproveRun("r")], ids=type
)
def test_run_unknown(wish):
    scenario, _ = opened()
    assert why(scenario, wish) is SettlementRefusal.RUN_UNKNOWN


def test_run_not_open():
    scenario, run = opened()
    completed(scenario, run, trade(run, {"k": 10}))
    assert why(scenario, trade(run, {"l": 1}, number=1)) is SettlementRefusal.RUN_NOT_OPEN
    posted(scenario, run)
    assert why(scenario, ReportRunProblem(run, "x")) is SettlementRefusal.RUN_NOT_OPEN


def test_run_still_open():
    scenario, _ = opened()
    later = start_run(from_at=10 * QUARTER, to_at=11 * QUARTER)
    assert why(scenario, later) is SettlementRefusal.RUN_STILL_OPEN


@pytest.mark.parametrize(
    "period",
    [
        {"from_at": QUARTER, "to_at": QUARTER},
        {"from_at": 2 * QUARTER, "to_at": QUARTER},
        {"to_at": QUARTER + 1},
        {"from_at": 1, "to_at": QUARTER + 1},
        {"to_at": (MAX_INTERVALS + 1) * QUARTER},
    ],
)
def test_period_invalid(period):
    assert why(area(), start_run(**period)) is SettlementRefusal.PERIOD_INVALID


def test_the_longest_period_is_valid():
    scenario = area()
    scenario.later(2 * NOW)
    wish = start_run(to_at=MAX_INTERVALS * QUARTER, deadline_at=3 * NOW)
    assert isinstance(scenario.when(wish)[0], RunStarted)


def test_cutoff_in_the_future():
    scenario = area()
    assert why(scenario, start_run(cutoff_tick=101)) is SettlementRefusal.CUTOFF_IN_THE_FUTURE
    assert isinstance(scenario.when(start_run(cutoff_tick=100))[0], RunStarted)


def test_cutoff_not_after_last():
    scenario = after_a_posted_run()
    again = start_run(run_type=RunType.CORRECTION)
    assert why(scenario, again) is SettlementRefusal.CUTOFF_NOT_AFTER_LAST
    assert isinstance(scenario.when(replace(again, cutoff_tick=51))[0], RunStarted)


def test_period_not_over():
    scenario = area()
    assert why(scenario, start_run(to_at=NOW + QUARTER)) is SettlementRefusal.PERIOD_NOT_OVER
    assert isinstance(scenario.when(start_run(to_at=NOW))[0], RunStarted)


@pytest.mark.parametrize(("first", "end"), [(0, 1), (1, 2), (1, 3), (0, 3)])
def test_period_overlaps(first, end):
    wish = start_run(from_at=first * QUARTER, to_at=end * QUARTER, cutoff_tick=60)
    assert why(after_a_posted_run(), wish) is SettlementRefusal.PERIOD_OVERLAPS


def test_the_next_period_does_not_overlap():
    wish = start_run(from_at=2 * QUARTER, to_at=3 * QUARTER)
    assert isinstance(after_a_posted_run().when(wish)[0], RunStarted)


def test_run_type_unexpected():
    """The initial run of a period comes first, and once."""
    scenario = area()
    correction = start_run(run_type=RunType.CORRECTION)
    assert why(scenario, correction) is SettlementRefusal.RUN_TYPE_UNEXPECTED
    initial = start_run(cutoff_tick=60)
    assert why(after_a_posted_run(), initial) is SettlementRefusal.RUN_TYPE_UNEXPECTED


def test_currency_differs():
    wish = start_run(run_type=RunType.CORRECTION, cutoff_tick=60, currency="KRW")
    assert why(after_a_posted_run(), wish) is SettlementRefusal.CURRENCY_DIFFERS


def test_deadline_passed():
    assert why(area(), start_run(deadline_at=NOW)) is SettlementRefusal.DEADLINE_PASSED


def test_part_unexpected():
    scenario, run = opened()
    assert why(scenario, trade(run, {"k": 1}, number=1)) is SettlementRefusal.PART_UNEXPECTED
    scenario.when(trade(run, {"k": 1}), CALCULATOR)
    assert why(scenario, trade(run, {"k": 1})) is SettlementRefusal.PART_UNEXPECTED


def test_part_unexpected_when_it_is_too_large():
    scenario, run = opened()
    many = trade(run, {f"contract-{n:04}": 1 for n in range(2_000)})
    (fact,) = scenario.when(many, CALCULATOR)
    assert (fact.reason, fact.limit) == (SettlementRefusal.PART_UNEXPECTED, PART_BYTES)
    assert fact.found > PART_BYTES


def test_connection_twice():
    scenario, run = opened()
    twice = part(run, [balance("c", (0, 0), (0, 0))] * 2, [])
    assert why(scenario, twice) is SettlementRefusal.CONNECTION_TWICE
    scenario.when(trade(run, {"k": 1}), CALCULATOR)
    assert why(scenario, trade(run, {"l": 1}, number=1)) is SettlementRefusal.CONNECTION_TWICE


def test_line_twice():
    scenario, run = opened()
    doubled = line(RESIDUAL, "c", 1)
    twice = part(run, [balance("c", (2, 0), (0, 0))], [doubled, doubled])
    assert why(scenario, twice) is SettlementRefusal.LINE_TWICE
    scenario.when(part(run, [balance("c", (1, 0), (0, 0))], [doubled]), CALCULATOR)
    again = part(run, [balance("d", (0, 0), (0, 0))], [doubled], number=1)
    assert why(scenario, again) is SettlementRefusal.LINE_TWICE


@pytest.mark.parametrize("field", ["line", "party", "counterparty", "reference", "connection"])
def test_line_misnamed(field):
    """A line that says another thing has another name."""
    scenario, run = opened()
    changed = replace(line(SALE, "c", 1, reference="k"), **{field: "x"})
    wish = part(run, [balance(changed.connection, (0, 0), (1, 0))], [changed])
    assert why(scenario, wish) is SettlementRefusal.LINE_MISNAMED


CORRECT = [line(RESIDUAL, "c", 5, 7), line(SURPLUS, "c", 1)]
METERS = balance("c", (5, 7), (1, 0))

NOT_ATTRIBUTED = {
    "a Wh too few": (METERS, [line(RESIDUAL, "c", 5, 6), CORRECT[1]]),
    "a Wh too many": (METERS, [*CORRECT, line(SALE, "c", 1, reference="k")]),
    "in the wrong interval": (METERS, [line(RESIDUAL, "c", 6, 6), CORRECT[1]]),
    "in the wrong direction": (METERS, [line(RESIDUAL, "c", 5, 7), line(PURCHASE, "c", 1, reference="k")]),
    "negative": (METERS, [*CORRECT, line(PURCHASE, "c", -1, 0, reference="k"), line(PURCHASE, "c", 1, reference="l")]),
    "beyond the run": (METERS, [CORRECT[0], line(SURPLUS, "c", 1, 0, 0)]),
    "no energy at all": (METERS, [*CORRECT, line(SALE, "c", reference="k")]),
    "meters too short": (balance("c", (5,), (1, 0)), CORRECT),
    "meters too long": (balance("c", (5, 7, 0), (1, 0)), CORRECT),
    "of a connection that is not in the part": (METERS, [*CORRECT, line(RESIDUAL, "d", 0)]),
    "settled for more than shared": (METERS, [CORRECT[0], line(PRODUCTION, "c", 1, reference="x", settled=2)]),
    "settled for less than left": (METERS, [line(RESIDUAL, "c", 5, 7, settled=11), CORRECT[1]]),
    "settled for less than delivered": (
        METERS,
        [CORRECT[0], line(SALE, "c", 1, reference="k", settled=0), line(IMBALANCE, "c", 1, reference="series")],
    ),
    "paid beyond the meter, owed by nobody": (METERS, [CORRECT[0], line(SALE, "c", 1, reference="k", settled=3)]),
    "an imbalance of nothing": (METERS, [*CORRECT, line(IMBALANCE, "c", 1, reference="series")]),
    "an imbalance that is not its sum": (
        METERS,
        [line(RESIDUAL, "c", 5, 7, reference="imbalance"), CORRECT[1],
         line(IMBALANCE, "c", -5, -7, reference="series", settled=-11)],
    ),
    "transit in and out": (METERS, [*CORRECT, line(TRANSIT, "c", 2, -1, reference="k", party="issuer")]),
    "transit settled for more than passed": (METERS, [*CORRECT, line(TRANSIT, "c", 2, reference="k", settled=3)]),
    "a difference of other energy": (METERS, [*CORRECT, line(DIFFERENCE, "c", 2, reference="k", settled=3)]),
    "a difference of less than nothing": (METERS, [*CORRECT, line(DIFFERENCE, "c", -2, reference="k")]),
    "a negative response": (METERS, [*CORRECT, line(RESPONSE, "c", -1, reference="e", settled=-1)]),
}  # fmt: skip


@pytest.mark.parametrize("what", NOT_ATTRIBUTED)
def test_energy_not_attributed(what):
    scenario, run = opened()
    meters, lines = NOT_ATTRIBUTED[what]
    assert why(scenario, part(run, [meters], lines)) is SettlementRefusal.ENERGY_NOT_ATTRIBUTED


ATTRIBUTED = {
    "to the tariff": CORRECT,
    "from a later interval on": [line(RESIDUAL, "c", 5), named(replace(
        line(RESIDUAL, "c", 7, counterparty="other"), first_interval=1)), CORRECT[1]],
    "firm, with its deviation in the imbalance": [
        line(PURCHASE, "c", 5, reference="k", settled=8), line(RESIDUAL, "c", 0, 7, reference="imbalance"),
        line(SALE, "c", 1, reference="l", settled=2), line(IMBALANCE, "c", 3 - 1, -7, reference="series"),
    ],
    "with transit on top": [
        *CORRECT, line(TRANSIT, "c", -2, 0, reference="k", party="issuer"),
        line(TRANSIT, "c", 0, 3, reference="l", party="issuer", points_micro=3),
    ],
    "with a response on top": [*CORRECT, line(RESPONSE, "c", 9, -9, 9, reference="e", settled=4)],
}  # fmt: skip


@pytest.mark.parametrize("what", ATTRIBUTED)
def test_energy_attributed(what):
    scenario, run = opened()
    (fact,) = scenario.when(part(run, [METERS], ATTRIBUTED[what]), CALCULATOR)
    assert isinstance(fact, RunPartRecorded), fact


MISPRICED = {
    "an amount of another sign": replace(line(SALE, "c", 5, reference="k"), amount_micro=-500),
    "a buyer who receives": replace(line(PURCHASE, "c", 5, reference="k"), amount_micro=500),
    "rounded down at the half": replace(line(SALE, "c", 5, reference="k", price=100_000), amount_micro=0),
    "priced for what is metered": replace(line(RESPONSE, "c", 9, reference="e", settled=5), amount_micro=900),
    "a tariff's money": replace(line(RESIDUAL, "c", 5), amount_micro=-500),
    "a tariff's price": line(RESIDUAL, "c", 5, price=1, amount_micro=0),
    "points of a buyer who gains": replace(line(PURCHASE, "c", 5, reference="k"), points_micro=1),
    "points of a producer who gives": replace(line(PRODUCTION, "c", 5, reference="x"), points_micro=-1),
    "points of nobody": replace(line(RESIDUAL, "c", 5), points_micro=1),
    "a rest of nobody's": line(RESIDUAL, "c", 5, reference="something"),
    "a rest that a supplier would bill": line(RESIDUAL, "c", 5, reference="imbalance", counterparty="supplier"),
    "an imbalance that a supplier would bill": line(IMBALANCE, "c", -5, reference="series", counterparty="supplier"),
    "a transit of somebody else's": line(TRANSIT, "c", 5, reference="k"),
    "a transit that pays for what it brings": replace(
        line(TRANSIT, "c", 5, reference="k", party="issuer"), amount_micro=-500
    ),
    "a transit that gives points for what it brings": replace(
        line(TRANSIT, "c", 5, reference="k", party="issuer"), points_micro=-1
    ),
    "a difference of somebody else's": line(DIFFERENCE, "c", 5, reference="k"),
    "a difference far from price times energy": replace(
        line(DIFFERENCE, "c", 5, reference="k", party="issuer"), amount_micro=502
    ),
    "points of a difference": replace(line(DIFFERENCE, "c", 5, reference="k", party="issuer"), points_micro=1),
    "an imbalance with a price": line(IMBALANCE, "c", -5, reference="series", price=1),
}


@pytest.mark.parametrize("what", MISPRICED)
def test_amount_not_price_times_energy(what):
    """The line stands beside others that make its energy right."""
    scenario, run = opened()
    bad = MISPRICED[what]
    lines = [bad]
    imported, exported = 0, 0
    if bad.kind in (RESIDUAL, PURCHASE):
        imported = 5
    elif bad.kind in (SALE, PRODUCTION):
        exported = 5
    if bad.kind is IMBALANCE:
        imported = 5
        lines.append(line(RESIDUAL, "c", 5, reference="imbalance"))
    elif bad.reference == "imbalance":
        lines.append(line(IMBALANCE, "c", -5, reference="series"))
    wish = part(run, [balance("c", (imported, 0), (exported, 0))], lines)
    assert why(scenario, wish) is SettlementRefusal.AMOUNT_NOT_PRICE_TIMES_ENERGY


@pytest.mark.parametrize(
    "field", ["parts", "connections", "lines", "shared_wh", "delivered_wh", "residual_wh", "surplus_wh"]
)
def test_totals_differ(field):
    scenario, run = opened()
    whole = trade(run, {"k": 5})
    scenario.when(whole, CALCULATOR)
    correct = totals(run, whole)
    wrong = replace(correct, **{field: getattr(correct, field) + 1})
    assert why(scenario, wrong) is SettlementRefusal.TOTALS_DIFFER
    assert isinstance(scenario.when(correct, CALCULATOR)[0], RunCompleted)


def test_totals_differ_of_a_run_without_parts():
    scenario, run = opened()
    assert why(scenario, totals(run)) is SettlementRefusal.TOTALS_DIFFER


def shared(produced, consumed, community="x"):
    return [line(PRODUCTION, "p", *produced, reference=community), line(CONSUMPTION, "c", *consumed, reference="x")]


def sold(wh_sold, wh_bought, **sale):
    return [
        line(SALE, "p", *wh_sold, **{"reference": "k", **sale}),
        line(PURCHASE, "c", *wh_bought, reference="k"),
    ]


def transited(wh, bought=(5, 0), **transit):
    """`c` buys from outside; `p` is not concerned."""
    return [
        line(PRODUCTION, "p", 0, reference="x"),
        line(PURCHASE, "c", *bought, reference="k"),
        line(TRANSIT, "c", *wh, **{"reference": "k", "party": "issuer", **transit}),
    ]


def kept(wh=(5, 0), price=40_000_000, **difference):
    """The buyer pays 10 ct, the seller gets 6 ct, the operator has what is left."""
    return [
        line(SALE, "p", 5, reference="k", price=60_000_000),
        line(PURCHASE, "c", 5, 0, reference="k"),
        line(DIFFERENCE, "c", *wh, reference="k", party="issuer", price=price, **difference),
    ]


NOT_BALANCED = {
    "a difference that nobody has": kept()[:2],
    "more than the difference": kept(price=40_200_000),
    "the difference of other energy": kept((4, 0), 50_000_000),
    "more consumed than produced": shared((4, 0), (5, 0)),
    "in another interval": shared((0, 5), (5, 0)),
    "in another community": shared((5, 0), (5, 0), community="y"),
    "more bought than sold": sold((4, 0), (5, 0)),
    "bought in another interval than sold": sold((0, 5), (5, 0)),
    "bought at another price than sold": sold((5, 0), (5, 0), price=1_000_000),
    "sold under another contract": sold((5, 0), (5, 0), reference="l"),
    "points that nobody gives": sold((5, 0), (5, 0), points_micro=1),
    "less brought by transit than bought": transited((4, 0)),
    "brought in another interval than bought": transited((0, 5)),
    "brought under another contract": transited((5, 0), reference="l"),
    "brought at another price": transited((5, 0), price=1_000_000),
    "taken out instead": transited((-5, 0)),
}


@pytest.mark.parametrize("what", NOT_BALANCED)
def test_not_balanced(what):
    scenario, run = opened()
    lines = NOT_BALANCED[what]
    produced = (*lines[0].energy_wh, 0)[:2]
    whole = part(run, [balance("c", lines[1].energy_wh, (0, 0)), balance("p", (0, 0), produced)], lines)
    assert isinstance(scenario.when(whole, CALCULATOR)[0], RunPartRecorded)
    assert why(scenario, totals(run, whole)) is SettlementRefusal.NOT_BALANCED


BALANCED = {
    "shared": shared((2, 3), (2, 3)),
    "sold": sold((2, 3), (2, 3)),
    "from outside": transited((2, 3), (2, 3)),
}


def test_a_contract_with_two_prices_is_balanced():
    scenario, run = opened()
    whole = part(run, [balance("c", (5, 0), (0, 0)), balance("p", (0, 0), (5, 0))], kept())
    completed(scenario, run, whole)


@pytest.mark.parametrize("what", BALANCED)
def test_balanced(what):
    scenario, run = opened()
    lines = BALANCED[what]
    produced = (*lines[0].energy_wh, 0)[:2]
    whole = part(run, [balance("c", (2, 3), (0, 0)), balance("p", (0, 0), produced)], lines)
    completed(scenario, run, whole)


def test_run_not_completed():
    scenario, run = opened()
    assert why(scenario, ApproveRun(run), "approver") is SettlementRefusal.RUN_NOT_COMPLETED
    completed(scenario, run, trade(run, {"k": 10}))
    posted(scenario, run)
    assert why(scenario, ApproveRun(run), "approver") is SettlementRefusal.RUN_NOT_COMPLETED


def test_same_person():
    scenario, run = opened()
    completed(scenario, run, trade(run, {"k": 10}))
    assert why(scenario, ApproveRun(run), "starter") is SettlementRefusal.SAME_PERSON
    assert isinstance(scenario.when(ApproveRun(run), "approver")[0], RunPosted)


def test_every_reason_has_its_test():
    names = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert {reason.value for reason in SettlementRefusal} <= names


def test_the_first_broken_rule_is_named():
    """A part with several faults is refused for the first of them."""
    scenario, run = opened()
    bad = [replace(CORRECT[0], energy_wh=(5, 6), amount_micro=1)]
    assert why(scenario, part(run, [METERS, METERS], bad, 1)) is SettlementRefusal.PART_UNEXPECTED
    assert why(scenario, part(run, [METERS, METERS], bad)) is SettlementRefusal.CONNECTION_TWICE
    assert why(scenario, part(run, [METERS], bad)) is SettlementRefusal.ENERGY_NOT_ATTRIBUTED
