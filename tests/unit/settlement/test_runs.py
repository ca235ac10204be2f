"""The life of a run: started, recorded in parts, completed or failed, approved, posted in slices."""

from dataclasses import replace

from domain.settlement.decider import CALCULATOR
from domain.settlement.posting import LINES_PER_SLICE
from domain.settlement.state import Stage
from schemas.envelope import Command, CommandMeta
from schemas.settlement.commands import ApproveRun, ReportRunProblem
from schemas.settlement.events import (
    CommandRefused,
    LineKind,
    LinesPosted,
    RunCompleted,
    RunFailed,
    RunFailure,
    RunPartRecorded,
    RunPosted,
    RunStarted,
    RunType,
    SettlementRefusal,
)
from tests.unit.given import Scenario, only
from tests.unit.settlement.runs import (
    DEADLINE,
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
from tests.unit.settlement.world import AREA, QUARTER, World
from tests.unit.settlement.world import started as frozen
from tests.unit.written import rebuilt


def test_a_run_freezes_its_inputs():
    scenario = area()
    first = started(scenario)
    wish = start_run()
    assert (first.area, first.number, first.starter, first.cutoff_tick) == (AREA, 1, "starter", 50)
    assert (first.from_at, first.to_at, first.markets, first.operator) == (0, 2 * QUARTER, wish.markets, "operator")
    scenario.when(ReportRunProblem(first.run, "x"), CALCULATOR)
    assert started(scenario).number == 2


def test_parts_are_recorded_and_the_totals_complete_the_run():
    scenario = area()
    run = started(scenario).run
    one = trade(run, {"k": 5})
    two = part(run, [balance("c", (5, 0), (0, 0))], [line(LineKind.RESIDUAL, "c", 5)], 1)
    (recorded,) = scenario.when(one, CALCULATOR)
    assert isinstance(recorded, RunPartRecorded)
    assert (recorded.part, recorded.lines, recorded.balances) == (0, one.lines, one.balances)
    assert (recorded.number, recorded.from_at, recorded.interval_min, recorded.currency) == (1, 0, 15, "EUR")
    scenario.when(two, CALCULATOR)
    (fact,) = scenario.when(totals(run, one, two), CALCULATOR)
    assert fact == RunCompleted(AREA, run, 1, 2, 3, 3, 0, 5, 5, 0)
    assert scenario.decider.due(scenario.state) is None, "a complete run waits for approval as long as it takes"


def test_a_reported_problem_ends_the_run():
    scenario = area()
    run = started(scenario).run
    scenario.when(trade(run, {"k": 5}), CALCULATOR)
    assert scenario.when(ReportRunProblem(run, "reading/m/x/0"), CALCULATOR) == [
        RunFailed(AREA, run, 1, RunFailure.INPUT_MISSING, "reading/m/x/0")
    ]
    assert scenario.state.runs[run].draft is None
    started(scenario)


def test_the_deadline_ends_an_open_run_and_no_other():
    scenario = area()
    run = started(scenario).run
    assert scenario.later(DEADLINE - 1) == []
    (failed,) = scenario.later(DEADLINE)
    assert (failed.run, failed.reason) == (run, RunFailure.DEADLINE)
    (late,) = scenario.when(trade(run, {"k": 5}), CALCULATOR)
    assert late.reason is SettlementRefusal.RUN_NOT_OPEN
    next_run = started(scenario, deadline_at=DEADLINE + 1).run
    completed(scenario, next_run, trade(next_run, {"k": 5}))
    assert scenario.later(2 * DEADLINE) == []


def test_a_posted_run_is_written_out_by_time():
    scenario = area()
    run = started(scenario).run
    completed(scenario, run, trade(run, {"k": 5}))
    assert scenario.when(ApproveRun(run), "approver") == [
        RunPosted(AREA, run, 1, "approver", 0, 2 * QUARTER, ("market",), 2)
    ]
    assert scenario.decider.due(scenario.state) == NOW
    (sliced,) = scenario.later(NOW)
    assert isinstance(sliced, LinesPosted)
    assert (sliced.slice, sliced.counterparty, sliced.currency, sliced.to_at) == (0, "issuer", "EUR", 2 * QUARTER)
    assert {(ln.kind, ln.energy_wh, ln.amount_micro, ln.points_micro) for ln in sliced.lines} == {
        (LineKind.DELIVERED_SALE, 5, 500, 5_000),
        (LineKind.DELIVERED_PURCHASE, 5, -500, -5_000),
    }
    assert scenario.decider.due(scenario.state) is None


def many(scenario: Scenario, run: str, lines: int) -> None:
    """A completed run with this many lines of each of two counterparties."""
    settled = [
        named(replace(line(LineKind.RESPONSE, "c", 1, reference=f"e{n}"), counterparty=issuer))
        for n in range(lines)
        for issuer in ("x", "y")
    ]
    completed(scenario, run, part(run, [balance("c", (0, 0), (0, 0))], settled))


def test_slices_hold_one_counterparty_and_a_limited_number_of_lines():
    scenario = area()
    run = started(scenario).run
    many(scenario, run, LINES_PER_SLICE + 1)
    scenario.when(ApproveRun(run), "approver")
    slices = only(scenario.later(NOW), LinesPosted)
    assert [(s.slice, s.counterparty, len(s.lines)) for s in slices] == [
        (0, "x", LINES_PER_SLICE),
        (1, "x", 1),
        (2, "y", LINES_PER_SLICE),
        (3, "y", 1),
    ]
    assert all({ln.counterparty for ln in s.lines} == {s.counterparty} for s in slices)
    assert all(list(s.lines) == sorted(s.lines, key=lambda ln: ln.line) for s in slices)


def test_what_one_call_leaves_over_waits_for_the_next():
    scenario = area()
    run = started(scenario).run
    many(scenario, run, LINES_PER_SLICE + 1)
    scenario.when(ApproveRun(run), "approver")
    for number in range(4):
        assert scenario.decider.due(scenario.state) == NOW
        (sliced,) = scenario.decider.advance(scenario.state, scenario.now, 1)
        assert sliced.slice == number
        scenario.given(sliced)
    assert scenario.decider.advance(scenario.state, scenario.now, 1) == []


def test_a_run_may_start_while_another_is_written_out():
    """Differences are taken against the totals of the posted run, not against what is written of it."""
    scenario = area()
    run = started(scenario).run
    many(scenario, run, LINES_PER_SLICE + 1)
    scenario.when(ApproveRun(run), "approver")
    (fact,) = scenario.decider.decide(
        scenario.state,
        _command(start_run(run_type=RunType.CORRECTION, cutoff_tick=60)),
        scenario.now,
    )
    assert isinstance(fact, RunStarted)


def _command(body):
    return Command(AREA, CommandMeta("id", "starter", "correlation", None, None, None), body)


def test_an_unapproved_run_is_discarded_by_the_next_of_its_period():
    scenario = area()
    draft = started(scenario).run
    completed(scenario, draft, trade(draft, {"k": 5}))
    other = started(scenario, from_at=2 * QUARTER, to_at=4 * QUARTER).run
    assert scenario.state.runs[draft].stage is Stage.COMPLETED, "another period disturbs nobody"
    scenario.when(ReportRunProblem(other, "x"), CALCULATOR)
    started(scenario)
    (fact,) = scenario.when(ApproveRun(draft), "approver")
    assert isinstance(fact, CommandRefused)
    assert fact.reason is SettlementRefusal.RUN_NOT_COMPLETED
    assert scenario.state.runs[draft].draft is None


def test_the_state_keeps_totals_only():
    scenario = area()
    for cutoff in (50, 60):
        run_type = RunType.INITIAL if cutoff == 50 else RunType.CORRECTION
        run = started(scenario, cutoff_tick=cutoff, run_type=run_type).run
        completed(scenario, run, trade(run, {"k": cutoff}))
        assert not scenario.state.runs[run].draft.contracts, "a complete run needs no sides of contracts"
        posted(scenario, run)
    assert all(run.draft is None for run in scenario.state.runs.values())
    assert len(scenario.state.posted) == 1


def test_the_state_is_rebuilt_from_facts_alone_in_every_stage():
    scenario = area()
    run = started(scenario).run
    assert _same(scenario)
    scenario.when(trade(run, {"k": 5}), CALCULATOR)
    assert _same(scenario)
    scenario.when(totals(run, trade(run, {"k": 5})), CALCULATOR)
    assert _same(scenario)
    scenario.later(NOW)
    posted(scenario, run)
    assert _same(scenario)


def _same(scenario: Scenario) -> bool:
    return rebuilt(scenario) == scenario.state


def test_a_computed_run_passes_the_check():
    """What the calculation proposes is what the decider records."""
    world = World(2).connect("a", "p", "f").rules("eeg").join("eeg", 700_000, "a", "p").price(5_000_000, -7_000_000)
    world.contract("k", "p", "a", 300, 400).contract("m", "p", "f", 200, 0, mode="firm")
    world.read("a", [900, 800], [0, 3]).read("p", [0, 9], [1000, 700]).read("f", [150, 70], [0, 0])
    world.perform("e", "a", [50, -20], 50)
    scenario = Scenario("settlement", AREA).given(frozen(2))
    *parts, whole = world.proposals()
    for proposal in parts:
        assert isinstance(scenario.when(proposal, CALCULATOR)[0], RunPartRecorded)
    assert isinstance(scenario.when(whole, CALCULATOR)[0], RunCompleted)
