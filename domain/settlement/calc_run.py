"""The calculation of a settlement run: from a run's frozen inputs to the parts that the decider checks."""

from collections.abc import Iterable

from domain.calculation import Calculation, Inputs
from domain.settlement.attribution import Attributed, attribute
from domain.settlement.known import InputMissing
from domain.settlement.parts import PART_BYTES, encoded_size, packed
from schemas.envelope import Recorded
from schemas.settlement.commands import ProposeRunPart, ProposeRunTotals, ReportRunProblem
from schemas.settlement.events import LineKind, RunStarted

_LONGEST_NAME = 96

Proposal = ProposeRunPart | ProposeRunTotals | ReportRunProblem


def compute(fact: Recorded[RunStarted], inputs: Inputs) -> Iterable[Proposal]:
    """Parts 0, 1, … and the totals, or the first thing that is missing: what is not known is never zero.

    A connection whose lines do not fit into one part (`PART_BYTES`, some 1,800 contracts) is a problem
    named `part_size/<connection>`: such a period is settled in shorter ones.
    """
    run = fact.body
    try:
        connections = attribute(run, inputs)
        return list(_proposals(run.run, connections))
    except InputMissing as missing:
        return [ReportRunProblem(run.run, missing.name[:_LONGEST_NAME])]


def _proposals(run: str, connections: list[Attributed]) -> Iterable[Proposal]:
    by_id = {found.balance.connection: found for found in connections}
    parts = list(packed({connection: _size(found) for connection, found in by_id.items()}))
    for part, group in enumerate(parts):
        balances = tuple(by_id[connection].balance for connection in group)
        yield ProposeRunPart(run, part, balances, tuple(line for c in group for line in by_id[c].lines))
    settled = dict.fromkeys(LineKind, 0)
    for connection in connections:
        for line in connection.lines:
            settled[line.kind] += line.settled_wh
    yield ProposeRunTotals(
        run=run,
        parts=len(parts),
        connections=len(connections),
        lines=sum(len(connection.lines) for connection in connections),
        shared_wh=settled[LineKind.SHARED_CONSUMPTION],
        delivered_wh=settled[LineKind.DELIVERED_PURCHASE],
        residual_wh=settled[LineKind.RESIDUAL],
        surplus_wh=settled[LineKind.SURPLUS],
    )


def _size(found: Attributed) -> int:
    size = encoded_size(found.balance) + sum(map(encoded_size, found.lines))
    if size > PART_BYTES:
        raise InputMissing("part_size", found.balance.connection)
    return size


CALCULATION = Calculation(
    name="settlement.run",
    family="settlement",
    on=RunStarted,
    needs=("site", "community", "market", "meter", "reference", "programme"),
    cutoff=lambda fact: fact.body.cutoff_tick,
    compute=compute,
)
