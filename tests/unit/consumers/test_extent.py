"""How far a log is copied: everything copied has its causes beside it, whenever one looks."""

from collections.abc import Sequence
from typing import Any

import pytest

from consumers.causes import again, attempt_of, caused_in
from consumers.chain import Chain
from consumers.extent import Extent, Plan, Source, survey
from consumers.failures import ChainBroken
from consumers.layout import Layout
from consumers.ports import Batch, LogUnavailable, Partition, StoredRecord
from consumers.reading import CHAIN, SOURCE
from schemas.envelope import Causation, CommandMeta, FactMeta, Moment
from schemas.log.events import CommandRepeated, TimePassed
from schemas.party.commands import RegisterParty
from schemas.party.events import Role
from schemas.shape import InvalidMessage
from tests.unit.written import codec

A, B = Partition("party", 0), Partition("market", 0)


class Growing:
    """Records at even positions; whoever asks for the end is told less of it than there is, at first.

    Args:
        seen: for each question for the end of a partition one answer, in records; later ones see everything.
    """

    def __init__(self, records: dict[Partition, list[StoredRecord]], seen: dict[Partition, list[int]]) -> None:
        self._records, self._seen = records, seen

    async def end(self, partition: Partition) -> int:
        seen = self._seen.get(partition) or [len(self._records[partition])]
        count = seen.pop(0)
        return self._records[partition][count - 1].position + 1 if count else 0

    async def read(self, partition: Partition, position: int, limit: int) -> Batch:
        found = tuple(r for r in self._records[partition] if r.position >= position)[:limit]
        return Batch(found, found[-1].position + 1 if found else position)


def cause(partition: Partition, seq: int) -> Causation:
    return Causation(partition.family, 1, partition.number, seq, 0)


def events(*appends: Sequence[Causation | int | None]) -> list[StoredRecord]:
    """Appends of records: a tick passed (a number), or a record that a fact has caused (or none)."""
    chain, made = Chain(), list[StoredRecord]()
    for append in appends:
        for n, what in enumerate(append):
            seq = len(made)
            causation = what if isinstance(what, Causation) else None
            body: Any = TimePassed(what, what) if isinstance(what, int) else CommandRepeated(0)
            meta = FactMeta(seq, Moment(1, 1), "c", 0, "policy:x", "c", causation, 1)
            value = codec().encode(meta, body)
            chain.add(b"", value)
            headers: tuple[tuple[str, bytes], ...] = ((SOURCE, str(seq * 10).encode()),)
            if n == len(append) - 1:
                headers += ((CHAIN, chain.close()),)
            made.append(StoredRecord(seq * 2, b"", value, headers))
    return made


def commands(*causes: Causation | None) -> list[StoredRecord]:
    made = []
    for n, one in enumerate(causes):
        meta = CommandMeta(
            "c", "policy:x" if one else "ann", "c", None if one else 9, Moment(1, 1) if one else None, one
        )
        made.append(StoredRecord(n * 10, b"ann", codec().encode(meta, RegisterParty((Role.SUPPLIER,))), ()))
    return made


async def surveyed(
    recorded: dict[Partition, list[StoredRecord]],
    wished: dict[Partition, list[StoredRecord]] | None = None,
    seen: dict[Partition, list[int]] | None = None,
) -> dict[Partition, Extent]:
    none: dict[Partition, list[StoredRecord]] = {partition: [] for partition in recorded}
    source = Source(Growing(recorded, seen or {}), Growing(none | (wished or {}), {}))
    return {extent.partition: extent for extent in (await survey(source, codec(), list(recorded))).extents}


async def test_a_log_that_stands_still_is_copied_as_a_whole() -> None:
    found = await surveyed({A: events([3, None], [7]), B: []}, {A: commands(None, None, None, None), B: commands(None)})
    assert (found[A].events_end, found[A].commands_end, found[A].records, found[A].passed) == (5, 31, 3, 7)
    assert (found[B].events_end, found[B].commands_end, found[B].records, found[B].passed) == (0, 1, 0, 0)
    assert (len(found[A].head), found[B].head) == (64, "")


def test_the_cut_off_is_the_tick_that_all_have_passed() -> None:
    plan = Plan(tuple(Extent(p, 0, 0, 0, tick, "") for p, tick in ((A, 5), (Partition("party", 1), 4), (B, 9))))
    assert plan.tick == 4
    assert plan.layout == Layout.of({"party": 2, "market": 1})


def test_a_generation_that_has_passed_no_tick_yet_goes_on_from_the_one_before() -> None:
    first, third = [Partition("party", n) for n in (0, 1)], [Partition("party", n) for n in (1_000, 1_001, 1_002)]
    ticks = [(first[0], 5), (first[1], 5), *((p, 0) for p in third), (B, 9)]
    plan = Plan(tuple(Extent(p, 0, 0, 0, tick, "") for p, tick in ticks))
    assert plan.layout == Layout.of({"party": (2, 3), "market": 1})
    assert plan.tick == 5
    assert Plan((*plan.extents[:2], *(Extent(p, 0, 0, 0, 7, "") for p in third))).tick == 7
    assert Plan(()).tick == 0


async def test_a_cause_behind_the_end_is_copied_too_with_its_whole_append() -> None:
    recorded = {A: events([None], [None, None], [None]), B: events([cause(A, 1)])}
    found = await surveyed(recorded, seen={A: [1]})
    assert (found[A].records, found[B].records) == (3, 1), "and not one append more"
    assert found[A].events_end == 5


async def test_causes_of_causes_are_copied_too() -> None:
    recorded = {A: events([None], [cause(B, 1)], [None]), B: events([cause(A, 1)], [None], [None])}
    found = await surveyed(recorded, seen={A: [1], B: [1]})
    assert (found[A].records, found[B].records) == (2, 2)


async def test_a_retry_names_its_cause_as_well() -> None:
    recorded = {A: events([None], [None]), B: events([again(cause(A, 1), 2)])}
    found = await surveyed(recorded, seen={A: [1]})
    assert found[A].records == 2


@pytest.mark.parametrize(
    ("nowhere", "copied"),
    [(cause(A, 10**12), 3), (cause(Partition("party", 7), 0), 2), (cause(Partition("x", 0), 0), 2)],
)
async def test_a_cause_that_stands_nowhere_stops_nobody(nowhere: Causation, copied: int) -> None:
    recorded = {A: events([None], [None], [None]), B: events([nowhere, cause(A, 1)])}
    found = await surveyed(recorded, seen={A: [1]})
    assert found[A].records == copied, "what a true cause asks for is there"
    assert found[B].records == 2


async def test_waiting_commands_are_copied_up_to_the_first_without_its_cause() -> None:
    recorded = {A: events([None], [None]), B: events([None])}
    wished = {B: commands(None, None, cause(A, 0), cause(A, 1), None)}
    found = await surveyed(recorded, wished, seen={A: [1]})
    assert found[B].commands_end == 21, "the command at 30 is the effect of a fact that is not copied"
    found = await surveyed(recorded, wished)
    assert found[B].commands_end == 41


async def test_a_waiting_command_that_nobody_can_read_is_copied() -> None:
    unread = StoredRecord(10, b"ann", b"\x00\x00\x00\xff\xffnew", ())
    found = await surveyed({B: events([None])}, {B: [*commands(None), unread]})
    assert found[B].commands_end == 11


async def test_a_log_that_is_not_what_was_written_is_not_copied() -> None:
    whole = events([None, None], [None])
    changed = [whole[0], StoredRecord(2, b"x", whole[1].value, whole[1].headers), whole[2]]
    with pytest.raises(ChainBroken, match="party/0: a record at positions 0 to 2 was changed"):
        await surveyed({A: changed})
    with pytest.raises(ChainBroken, match="no hash behind the records from position 0 on"):
        await surveyed({A: whole[:1]})
    other = events([None])
    with pytest.raises(ChainBroken, match="was changed"):
        await surveyed({A: [*other, *other]})


async def test_a_log_that_lost_its_end_meanwhile_is_said() -> None:
    class Shrinking(Growing):
        ends = iter([9, 1, 1])

        async def end(self, partition: Partition) -> int:
            return next(self.ends)

    source = Source(Shrinking({A: events([None])}, {}), Growing({A: []}, {}))
    with pytest.raises(LogUnavailable, match="ends before position 9"):
        await survey(source, codec(), [A])


def test_a_retry_has_a_line_of_its_own_for_each_command_and_attempt() -> None:
    first = cause(A, 120)
    lines = [again(c, n) for n in (1, 2) for c in (first, cause(A, 12), Causation("party", 1, 0, 120, 1))]
    assert len({(line.family, line.generation, line.partition) for line in [*lines, first]}) == 7
    assert [attempt_of(line) for line in lines] == [1, 1, 1, 2, 2, 2]
    assert attempt_of(first) == 0
    assert {caused_in(line) for line in [*lines, first]} == {A}
    assert again(again(first, 1), 2) == again(first, 2)


def test_the_name_of_a_line_fits_the_envelope() -> None:
    longest = again(Causation("p" * 40, 1, 0, 2**63 - 1, 2**63 - 1), 999)
    meta = CommandMeta("c", "policy:x", "c", None, Moment(1, 1), longest)
    try:
        codec().encode(meta, RegisterParty((Role.SUPPLIER,)))
    except InvalidMessage as error:
        pytest.fail(str(error))


@pytest.mark.parametrize("odd", ["party~againx.1.2", "party~again.1.2", "party~other"])
def test_a_line_that_nobody_here_has_named_is_no_retry(odd: str) -> None:
    named = Causation(odd, 1, 0, 1, 2)
    assert attempt_of(named) == 0
