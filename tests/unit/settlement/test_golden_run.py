"""A sequence of runs that never changes: whoever changes what the decider says raises `LOGIC` and adds a digest."""

from dataclasses import replace
from hashlib import blake2b
from itertools import pairwise
from random import Random

from domain.settlement import decider
from schemas.settlement.commands import ApproveRun, ReportRunProblem
from schemas.settlement.events import LineKind, LinesPosted, RunType
from tests.unit.given import Scenario, only
from tests.unit.settlement.runs import (
    DEADLINE,
    area,
    balance,
    line,
    named,
    part,
    start_run,
    totals,
)

GOLDEN = {1: "3998a0c967b84366eecc51c7ae49ffff"}
"""The digest of the facts by `LOGIC`."""

CONNECTIONS = [f"c{n:02}" for n in range(60)]


def proposals(run: str, draw: Random) -> list[object]:
    """Every kind of line at sixty connections, in three parts; each connection sells to the next one."""
    imports = {c: [draw.randrange(900) for _ in range(2)] for c in CONNECTIONS}
    exports = {c: [draw.randrange(900) for _ in range(2)] for c in CONNECTIONS}
    metered = [balance(c, imports[c], exports[c]) for c in CONNECTIONS]
    lines = {c: [line(LineKind.RESPONSE, c, draw.randrange(90), reference="e")] for c in CONNECTIONS}
    for seller, buyer in pairwise(CONNECTIONS):
        price = draw.randrange(-(10**6), 10**9)
        wh = draw.randrange(min(exports[seller][0], imports[buyer][0]) + 1)
        exports[seller][0] -= wh
        imports[buyer][0] -= wh
        for kind, at in ((LineKind.DELIVERED_SALE, seller), (LineKind.DELIVERED_PURCHASE, buyer)):
            lines[at].append(line(kind, at, wh, reference=f"k-{seller}", price=price))
        wh = draw.randrange(min(exports[seller][1], imports[buyer][1]) + 1)
        exports[seller][1] -= wh
        imports[buyer][1] -= wh
        for kind, at in ((LineKind.SHARED_PRODUCTION, seller), (LineKind.SHARED_CONSUMPTION, buyer)):
            lines[at].append(line(kind, at, 0, wh, reference=f"community-{seller}"))
    for c in CONNECTIONS:
        supplier = f"supplier-{draw.randrange(3)}"
        if draw.random() < 0.2:
            lines[c].append(line(LineKind.RESIDUAL, c, *imports[c], reference="imbalance"))
            lines[c].append(line(LineKind.IMBALANCE, c, *(-wh for wh in imports[c]), reference="series"))
        else:
            lines[c].append(named(replace(line(LineKind.RESIDUAL, c, *imports[c]), counterparty=supplier)))
        lines[c].append(named(replace(line(LineKind.SURPLUS, c, *exports[c]), counterparty=supplier)))
    by_connection = {b.connection: b for b in metered}
    parts = [
        part(run, [by_connection[c] for c in group], [ln for c in group for ln in lines[c]], n)
        for n, group in enumerate((CONNECTIONS[:20], CONNECTIONS[20:40], CONNECTIONS[40:]))
    ]
    return [*parts, totals(run, *parts)]


def sequence() -> Scenario:
    """Runs that are posted, refused, discarded, in want of input and too late."""
    draw, scenario = Random(2072), area()
    for number in range(1, 7):
        run_type = RunType.CORRECTION if scenario.state.posted else RunType.INITIAL
        (started,) = scenario.when(start_run(cutoff_tick=10 * number, run_type=run_type), "starter")
        run = started.run
        if number == 3:
            scenario.when(ReportRunProblem(run, "reading/x/import_from_grid/0"), decider.CALCULATOR)
        else:
            for proposal in proposals(run, draw):
                scenario.when(proposal, decider.CALCULATOR)
                scenario.when(proposal, decider.CALCULATOR)
        scenario.when(ApproveRun(run), "starter")
        if number != 2:
            scenario.when(ApproveRun(run), "approver")
            scenario.later(scenario.at)
    scenario.when(start_run(cutoff_tick=99, run_type=RunType.CORRECTION), "starter")
    scenario.later(DEADLINE)
    return scenario


def test_the_golden_run():
    facts = sequence().facts
    assert len(only(facts, LinesPosted)) > 12
    digest = blake2b("\n".join(map(repr, facts)).encode(), digest_size=16).hexdigest()
    assert digest == GOLDEN.get(decider.LOGIC)
