"""What a run posts: the differences of its lines against the latest posted run (domain rules §4.6, §4.9)."""

from collections.abc import Iterable, Iterator, Mapping

from domain.settlement.state import Slice
from schemas.settlement.events import PostedLine, RunStarted, SettlementLine

LINES_PER_SLICE = 200


def total(line: SettlementLine) -> PostedLine:
    """A line as it counts when its run is posted."""
    return PostedLine(
        line.line,
        line.kind,
        line.party,
        line.connection,
        line.counterparty,
        line.reference,
        line.settled_wh,
        line.amount_micro,
        line.points_micro,
    )


def differences(before: Mapping[str, PostedLine], after: Mapping[str, PostedLine]) -> list[PostedLine]:
    """Rounded total of `after` less rounded total of `before`, in order of counterparty and line.

    A line that vanished is taken back; what is equal is left out. The sum of all postings of a period
    is therefore always its last run.
    """
    made = [_less(line, before.get(name)) for name, line in after.items()]
    made += [_less(None, line) for name, line in before.items() if name not in after]
    return sorted(
        (line for line in made if line.energy_wh or line.amount_micro or line.points_micro),
        key=lambda line: (line.counterparty, line.line),
    )


def _less(line: PostedLine | None, before: PostedLine | None) -> PostedLine:
    named = line or before
    assert named is not None, "a difference is between at least one line"
    return PostedLine(
        named.line,
        named.kind,
        named.party,
        named.connection,
        named.counterparty,
        named.reference,
        (line.energy_wh if line else 0) - (before.energy_wh if before else 0),
        (line.amount_micro if line else 0) - (before.amount_micro if before else 0),
        (line.points_micro if line else 0) - (before.points_micro if before else 0),
    )


def slices(run: RunStarted, lines: Iterable[PostedLine], due_at: int) -> Iterator[Slice]:
    """Sorted differences, cut at every change of counterparty and after `LINES_PER_SLICE` lines."""
    number = 0
    pending: list[PostedLine] = []
    for line in lines:
        if pending and (len(pending) == LINES_PER_SLICE or pending[0].counterparty != line.counterparty):
            yield Slice(run, number, pending[0].counterparty, tuple(pending), due_at)
            number, pending = number + 1, []
        pending.append(line)
    if pending:
        yield Slice(run, number, pending[0].counterparty, tuple(pending), due_at)
