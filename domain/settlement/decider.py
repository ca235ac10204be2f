"""Rules of the family `settlement` (Y.2072 6.2.1 settle, 7.5: settlement with incentives as conditions were met).

A run freezes its inputs by a cut-off, is computed outside, comes back in parts that are checked and
recorded, is approved by somebody else, and posts the differences against the run before it.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, assert_never

from domain.identity import born_id
from domain.settlement.check import Objection, check_part, check_totals
from domain.settlement.lines import CONTRACTED, SHARED, SIGN
from domain.settlement.posting import differences, slices, total
from domain.settlement.state import Area, Draft, Posted, Run, Stage
from schemas.actors import CALCULATION
from schemas.envelope import Command, Moment, Recorded
from schemas.settlement.commands import (
    ApproveRun,
    ProposeRunPart,
    ProposeRunTotals,
    ReportRunProblem,
    StartRun,
)
from schemas.settlement.events import (
    CommandRefused,
    LinesPosted,
    RunCompleted,
    RunFailed,
    RunFailure,
    RunPartRecorded,
    RunPosted,
    RunStarted,
    RunType,
    SettlementLine,
    SettlementRefusal,
)
from schemas.values import MINUTE_US

LOGIC = 1

FAMILY = "settlement"
CALCULATOR = f"{CALCULATION}settlement.run"
MAX_INTERVALS = 500
"""The longest run: five days of quarter-hours; a longer period is settled in several."""

_NO_RESULT = "result"

OUTCOMES: Mapping[type, tuple[type, ...]] = {
    StartRun: (RunStarted, CommandRefused),
    ProposeRunPart: (RunPartRecorded, CommandRefused),
    ProposeRunTotals: (RunCompleted, CommandRefused),
    ReportRunProblem: (RunFailed, CommandRefused),
    ApproveRun: (RunPosted, CommandRefused),
}

Wish = StartRun | ProposeRunPart | ProposeRunTotals | ReportRunProblem | ApproveRun
Proposal = ProposeRunPart | ProposeRunTotals | ReportRunProblem
Fact = (
    RunStarted | RunPartRecorded | RunCompleted | RunFailed | RunPosted | LinesPosted | CommandRefused
)  # fmt: skip


def initial(key: str) -> Area:
    """An area without runs."""
    return Area(key)


def decide(state: Area, command: Command[Any], now: Moment) -> Iterable[Fact]:
    """One fact for each wish: what follows, or why not."""
    wish: Wish = command.body
    match wish:
        case StartRun():
            objection = next(_against_start(state, wish, now), None)
        case ApproveRun():
            objection = _against_approval(state, wish, command.meta.actor)
        case ProposeRunPart() | ProposeRunTotals() | ReportRunProblem():
            objection = _against_proposal(state, wish, command.meta.actor)
        case _:
            assert_never(wish)
    if objection is not None:
        return (
            CommandRefused(type(wish).__name__, objection.subject, objection.reason, objection.limit, objection.found),
        )
    return (_outcome(state, wish, command),)


def _outcome(state: Area, wish: Wish, command: Command[Any]) -> Fact:
    if isinstance(wish, StartRun):
        return _started(state, wish, command)
    run = state.runs[wish.run]
    match wish:
        case ProposeRunPart():
            return _recorded(run, wish)
        case ProposeRunTotals():
            return _completed(run, wish)
        case ReportRunProblem():
            return _failed(run, RunFailure.INPUT_MISSING, wish.missing)
        case ApproveRun():
            return _posted(state, run, command.meta.actor)
        case _:
            assert_never(wish)


# ------------------------------------------------------------------------------------------- refusals


def _against_start(state: Area, wish: StartRun, now: Moment) -> Iterator[Objection]:
    refusal = SettlementRefusal
    before = state.posted.get((wish.from_at, wish.to_at))
    if state.open_run is not None:
        yield Objection(refusal.RUN_STILL_OPEN, state.open_run)
    length, step = wish.to_at - wish.from_at, wish.interval_min * MINUTE_US
    if length <= 0 or length % step or wish.from_at % step or length // step > MAX_INTERVALS:
        yield Objection(refusal.PERIOD_INVALID, state.area, MAX_INTERVALS, length // step)
    if wish.cutoff_tick > now.n:
        yield Objection(refusal.CUTOFF_IN_THE_FUTURE, state.area, now.n, wish.cutoff_tick)
    if before is not None and wish.cutoff_tick <= before.run.cutoff_tick:
        yield Objection(refusal.CUTOFF_NOT_AFTER_LAST, before.run.run, before.run.cutoff_tick, wish.cutoff_tick)
    if wish.to_at > now.at:
        yield Objection(refusal.PERIOD_NOT_OVER, state.area, now.at, wish.to_at)
    for other in state.posted.values():
        if other is not before and _overlap((other.run.from_at, other.run.to_at), (wish.from_at, wish.to_at)):
            yield Objection(refusal.PERIOD_OVERLAPS, other.run.run, other.run.to_at, wish.from_at)
    if (before is None) is not (wish.run_type is RunType.INITIAL):
        yield Objection(refusal.RUN_TYPE_UNEXPECTED, state.area)
    if before is not None and wish.currency != before.run.currency:
        yield Objection(refusal.CURRENCY_DIFFERS, before.run.run)
    if wish.deadline_at <= now.at:
        yield Objection(refusal.DEADLINE_PASSED, state.area, now.at, wish.deadline_at)


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _against_proposal(state: Area, wish: Proposal, actor: str) -> Objection | None:
    if actor != CALCULATOR:
        return Objection(SettlementRefusal.NOT_AUTHORISED, wish.run)
    run = state.runs.get(wish.run)
    if run is None:
        return Objection(SettlementRefusal.RUN_UNKNOWN, wish.run)
    if run.stage is not Stage.OPEN or run.draft is None:
        return Objection(SettlementRefusal.RUN_NOT_OPEN, wish.run)
    match wish:
        case ProposeRunPart():
            return check_part(run, run.draft, wish)
        case ProposeRunTotals():
            return check_totals(run.draft, wish)
        case ReportRunProblem():
            return None
        case _:
            assert_never(wish)


def _against_approval(state: Area, wish: ApproveRun, actor: str) -> Objection | None:
    run = state.runs.get(wish.run)
    if run is None:
        return Objection(SettlementRefusal.RUN_UNKNOWN, wish.run)
    if run.stage is not Stage.COMPLETED:
        return Objection(SettlementRefusal.RUN_NOT_COMPLETED, wish.run)
    if actor == run.started.starter:
        return Objection(SettlementRefusal.SAME_PERSON, wish.run)
    return None


# ---------------------------------------------------------------------------------------------- facts


def _started(state: Area, wish: StartRun, command: Command[Any]) -> RunStarted:
    return RunStarted(
        area=state.area,
        run=born_id(FAMILY, command, 0),
        number=len(state.runs) + 1,
        run_type=wish.run_type,
        starter=command.meta.actor,
        from_at=wish.from_at,
        to_at=wish.to_at,
        interval_min=wish.interval_min,
        cutoff_tick=wish.cutoff_tick,
        currency=wish.currency,
        operator=wish.operator,
        imbalance_series=wish.imbalance_series,
        markets=wish.markets,
        deadline_at=wish.deadline_at,
    )


def _recorded(run: Run, wish: ProposeRunPart) -> RunPartRecorded:
    started = run.started
    return RunPartRecorded(
        started.area,
        started.run,
        started.number,
        wish.part,
        started.from_at,
        started.interval_min,
        started.currency,
        wish.balances,
        wish.lines,
    )


def _completed(run: Run, wish: ProposeRunTotals) -> RunCompleted:
    return RunCompleted(
        run.started.area,
        run.started.run,
        run.started.number,
        wish.parts,
        wish.connections,
        wish.lines,
        wish.shared_wh,
        wish.delivered_wh,
        wish.residual_wh,
        wish.surplus_wh,
    )


def _failed(run: Run, reason: RunFailure, missing: str) -> RunFailed:
    return RunFailed(run.started.area, run.started.run, run.started.number, reason, missing)


def _posted(state: Area, run: Run, approver: str) -> RunPosted:
    started = run.started
    return RunPosted(
        started.area,
        started.run,
        started.number,
        approver,
        started.from_at,
        started.to_at,
        started.markets,
        len(_differences(state, run)),
    )


def _differences(state: Area, run: Run) -> list[Any]:
    before = state.posted.get(run.period)
    assert run.draft is not None, "only a run with a draft is posted"
    return differences(before.totals if before else {}, run.draft.totals)


# ----------------------------------------------------------------------------------------------- time


def advance(state: Area, now: Moment, limit: int) -> Iterable[Fact]:
    """The slices of posted runs, then the end of an open run whose result did not come in time."""
    facts: list[Fact] = []
    for pending in state.slices:
        if len(facts) == limit:
            return facts
        started = pending.run
        facts.append(
            LinesPosted(
                started.area,
                started.run,
                started.number,
                pending.number,
                pending.counterparty,
                started.from_at,
                started.to_at,
                started.currency,
                pending.lines,
            )
        )
    if state.open_run is not None and len(facts) < limit:
        run = state.runs[state.open_run]
        if now.at >= run.started.deadline_at:
            facts.append(_failed(run, RunFailure.DEADLINE, _NO_RESULT))
    return facts


def due(state: Area) -> int | None:
    """Since when slices wait, or when the open run ends without a result."""
    times = [state.slices[0].due_at] if state.slices else []
    if state.open_run is not None:
        times.append(state.runs[state.open_run].started.deadline_at)
    return min(times, default=None)


# --------------------------------------------------------------------------------------------- evolve


def evolve(state: Area, fact: Recorded[Fact]) -> Area:
    """The area after a fact."""
    body = fact.body
    match body:
        case RunStarted():
            _discard_overlapping(state, body)
            state.runs[body.run] = Run(body)
            state.open_run = body.run
        case RunPartRecorded():
            _add_part(state.runs[body.run], body)
        case RunCompleted():
            run = state.runs[body.run]
            run.stage, state.open_run = Stage.COMPLETED, None
            assert run.draft is not None, "a run is completed once"
            run.draft = Draft(totals=run.draft.totals)
        case RunFailed():
            run = state.runs[body.run]
            run.stage, run.draft, state.open_run = Stage.ENDED, None, None
        case RunPosted():
            run = state.runs[body.run]
            assert run.draft is not None, "a run is posted once"
            state.slices.extend(slices(run.started, _differences(state, run), fact.meta.tick.at))
            state.posted[run.period] = Posted(run.started, run.draft.totals)
            run.stage, run.draft = Stage.POSTED, None
        case LinesPosted():
            state.slices.popleft()
        case CommandRefused():
            pass
        case _:
            assert_never(body)
    return state


def _discard_overlapping(state: Area, started: RunStarted) -> None:
    for run in state.runs.values():
        if run.stage is Stage.COMPLETED and _overlap(run.period, (started.from_at, started.to_at)):
            run.stage, run.draft = Stage.ENDED, None


def _add_part(run: Run, body: RunPartRecorded) -> None:
    draft = run.draft
    assert draft is not None, "only an open run gets parts"
    draft.parts += 1
    draft.connections.update(balance.connection for balance in body.balances)
    for line in body.lines:
        draft.totals[line.line] = total(line)
        draft.settled_wh[line.kind] += line.settled_wh
        if line.kind in SHARED:
            _add_shared(draft, line, run.intervals)
        elif line.kind in CONTRACTED:
            draft.contracts.setdefault(line.reference, []).append(line)


def _add_shared(draft: Draft, line: SettlementLine, intervals: int) -> None:
    net = draft.shared_net_wh.setdefault(line.reference, [0] * intervals)
    for interval, energy in enumerate(line.energy_wh, line.first_interval):
        net[interval] -= energy * SIGN[line.kind]
