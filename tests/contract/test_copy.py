"""Promises of a copied log: the same records and decisions at new positions, whole or named as unfinished."""

import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any

import pytest

from consumers.extent import Plan, Source, survey
from consumers.failures import Poison
from consumers.partition import PartitionDecider
from consumers.ports import Batch, Fenced, LogUnavailable, NewRecord, Partition, StoredRecord
from consumers.reading import CHAIN, SOURCE
from consumers.replay import verify_decisions
from consumers.transfer import LogSink, TransferRefused, copy
from domain.party import decider as party
from gateways.app import demand_whole
from infra.archive.unfinished import PostgresUnfinished
from infra.embedded.memory import MemoryCommandLog, MemoryEventLog, MemoryStore
from schemas.envelope import CommandMeta
from schemas.log.commands import Tick
from schemas.party.commands import ApplyForMembership, RegisterParty
from schemas.party.events import Role
from tests.contract.backends import Backend, StartedCommandLog, StartedEventLog, read_all
from tests.unit.written import codec

P, Q = Partition("party", 0), Partition("meter", 0)
NOW = 1_466_460_000_000_000
STEP = 7


class Written:
    """One half of a log as lists."""

    def __init__(self, records: dict[Partition, list[StoredRecord]]) -> None:
        self.records = records

    async def end(self, partition: Partition) -> int:
        return max((record.position + 1 for record in self.records[partition]), default=0)

    async def read(self, partition: Partition, position: int, limit: int) -> Batch:
        found = tuple(r for r in self.records[partition] if r.position >= position)[:limit]
        return Batch(found, found[-1].position + 1 if found else max(position, await self.end(partition)))


def make(partition: Partition, set_aside: Iterable[Poison]) -> PartitionDecider:
    return PartitionDecider(partition, 1, party, codec(), set_aside)


def wishes(count: int) -> list[StoredRecord]:
    """Commands at positions with gaps, as a log with markers has them; each with a trace of its own."""
    bodies: list[tuple[str, Any]] = [("", Tick(1, NOW))]
    for n in range(count):
        bodies += [(f"p{n}", RegisterParty((Role.SUPPLIER,))), (f"p{n}", ApplyForMembership("green"))]
    made = []
    for n, (key, body) in enumerate(bodies):
        meta = CommandMeta(f"c{n}", key or "log:clock", "x", NOW + 1 if key else None, None, None)
        headers = (("traceparent", f"00-{n}".encode()),)
        made.append(StoredRecord(n * STEP + 3, key.encode(), codec().encode(meta, body), headers))
    return made


def decided(commands: Sequence[StoredRecord], sizes: int) -> list[StoredRecord]:
    core, made = make(P, ()), list[NewRecord]()
    for first in range(0, len(commands), sizes):
        made += core.decide(commands[first : first + sizes])
    return [StoredRecord(n * 2, r.key, r.value, r.headers) for n, r in enumerate(made)]


async def lived(unanswered: int = 3) -> tuple[Source, Plan]:
    """A log of about 250 records in appends of four commands, with commands that wait behind it."""
    commands = wishes(62)
    source = Source(
        Written({P: decided(commands[: len(commands) - unanswered], 4), Q: []}), Written({P: commands, Q: []})
    )
    return source, await survey(source, codec(), [P, Q])


def moved(records: Iterable[StoredRecord], new: Callable[[int], int]) -> list[tuple[Any, ...]]:
    """Key, value and headers, where the header of the source has the new position."""
    return [
        (r.key, r.value, tuple((n, str(new(int(v))).encode() if n == SOURCE else v) for n, v in r.headers))
        for r in records
    ]


class Target:
    """A deployment on one of the backends, empty."""

    def __init__(self, events: StartedEventLog, commands: StartedCommandLog, dsn: str, name: str) -> None:
        self.events, self.commands, self.dsn, self.name = events, commands, dsn, name

    def sink(self, origin: str = "a log", events: Any = None, commands: Any = None) -> LogSink:
        unfinished = PostgresUnfinished(self.dsn, self.name)
        return LogSink(events or self.events, commands or self.commands, unfinished, origin)

    async def demand_copied(self, source: Source) -> None:
        """The target is the source at other positions, and decides as it did."""
        old, new = source.commands.records[P], await read_all(self.commands, P)  # type: ignore[attr-defined]
        assert [(r.key, r.value, tuple(r.headers)) for r in new] == [(r.key, r.value, r.headers) for r in old]
        position = {o.position: n.position for o, n in zip(old, new, strict=True)}
        recorded = await read_all(self.events, P)
        expected = moved(source.events.records[P], position.__getitem__)  # type: ignore[attr-defined]
        assert [(r.key, r.value, tuple(r.headers)) for r in recorded] == expected
        verdict = await verify_decisions(P, make, codec(), self.events, self.commands)
        assert verdict.holds, verdict.differences
        await demand_whole(self.dsn, self.name)


@pytest.fixture
async def target(backend: Backend, postgres_dsn: str) -> Target:
    name = f"t{secrets.token_hex(6)}"
    return Target(await backend.events(name), await backend.commands(name), postgres_dsn, name)


@pytest.fixture
async def small(postgres_dsn: str) -> AsyncIterator[Target]:
    """A target in memory, where it does not matter which."""
    name, store = f"t{secrets.token_hex(6)}", MemoryStore()
    made = Target(MemoryEventLog(name, store), MemoryCommandLog(name, store), postgres_dsn, name)
    await made.events.start()
    await made.commands.start()
    yield made
    await made.events.close()
    await made.commands.close()


async def test_a_copy_is_the_same_log_at_other_positions(target: Target) -> None:
    source, plan = await lived()
    await copy(source, plan, target.sink())
    await target.demand_copied(source)
    verdict = await verify_decisions(P, make, codec(), target.events, target.commands)
    assert verdict.unanswered == 3
    assert verdict.head == plan.extents[0].head


async def test_a_log_is_copied_to_an_empty_deployment_only(target: Target) -> None:
    source, plan = await lived()
    await copy(source, plan, target.sink())
    before = await target.events.end(P), await target.commands.end(P)
    with pytest.raises(TransferRefused, match="holds a record already"):
        await copy(source, plan, target.sink())
    assert (await target.events.end(P), await target.commands.end(P)) == before
    await demand_whole(target.dsn, target.name)


class Failing:
    """A log, or an owner, that fails at its n-th write: before it, or behind it as if the answer had been lost."""

    def __init__(self, inner: Any, fail_in: list[int], late: bool) -> None:
        self._inner, self._fail_in, self._late = inner, fail_in, late

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def claim(self, partition: Partition) -> "Failing":
        return Failing(await self._inner.claim(partition), self._fail_in, self._late)

    async def append(self, records: Sequence[NewRecord], deadline: float) -> None:
        await self._written(self._inner.append(records, deadline))

    async def send(self, commands: Sequence[tuple[Partition, NewRecord]], deadline: float) -> None:
        await self._written(self._inner.send(commands, deadline))

    async def _written(self, write: Any) -> None:
        self._fail_in[0] -= 1
        if self._fail_in[0] == 0 and not self._late:
            write.close()
            raise LogUnavailable("nothing was written")
        await write
        if self._fail_in[0] == 0:
            raise LogUnavailable("nobody knows")


@pytest.mark.parametrize("late", [False, True])
async def test_an_interrupted_copy_looks_unfinished_and_goes_on(
    small: Target, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    monkeypatch.setattr("consumers.transfer.MAX_BATCH", 20)
    source, plan = await lived()
    interrupted = 0
    for fail_in in (1, 3, 2, 4, 3):
        failing = [fail_in]
        sink = small.sink("a log", Failing(small.events, failing, late), Failing(small.commands, failing, late))
        with pytest.raises(LogUnavailable):
            await copy(source, plan, sink)
        interrupted += 1
        with pytest.raises(LogUnavailable, match="is being filled with a log and is not whole"):
            await demand_whole(small.dsn, small.name)
    await copy(source, plan, small.sink())
    assert interrupted == 5
    await small.demand_copied(source)


async def test_what_was_begun_with_one_log_is_not_finished_with_another(small: Target) -> None:
    source, plan = await lived()
    with pytest.raises(LogUnavailable):
        await copy(source, plan, small.sink("the archive of May", Failing(small.events, [1], False)))
    with pytest.raises(TransferRefused, match="a copy of the archive of May was begun here and is not finished"):
        await copy(source, plan, small.sink("the archive of June"))


async def test_two_do_not_fill_one_log_at_once(small: Target) -> None:
    source, plan = await lived()
    first, second = small.sink(), small.sink()
    await first.begin(plan)
    with pytest.raises(TransferRefused, match="somebody else fills the log"):
        await copy(source, plan, second)
    await first.close()
    await copy(source, plan, second)
    await small.demand_copied(source)


async def test_whoever_claims_meanwhile_ends_the_copy(small: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumers.transfer.MAX_BATCH", 20)

    class Stolen(Failing):
        async def claim(self, partition: Partition) -> Any:
            owner = await self._inner.claim(partition)
            await self._inner.claim(partition)
            return owner

    source, plan = await lived()
    with pytest.raises(Fenced):
        await copy(source, plan, small.sink("a log", Stolen(small.events, [0], False)))
    with pytest.raises(LogUnavailable, match="is not whole"):
        await demand_whole(small.dsn, small.name)


async def begun(target: Target) -> tuple[Source, Plan]:
    """A copy whose commands all stand, and none of whose records."""
    source, plan = await lived()
    with pytest.raises(LogUnavailable):
        await copy(source, plan, target.sink("a log", Failing(target.events, [1], False)))
    return source, plan


async def test_a_command_that_came_twice_or_from_elsewhere_is_noticed(small: Target) -> None:
    source, plan = await begun(small)
    [last, *_] = reversed(await read_all(small.commands, P))
    await small.commands.send([(P, NewRecord(last.key, last.value, tuple(last.headers)))], 5)
    for _ in range(2):
        with pytest.raises(TransferRefused, match=r"party/0: the commands differ .*: begin again with an empty"):
            await copy(source, plan, small.sink())
    with pytest.raises(LogUnavailable, match="is not whole"):
        await demand_whole(small.dsn, small.name)


async def test_other_commands_and_records_are_noticed(small: Target) -> None:
    source, plan = await begun(small)
    commands, records = source.commands, source.events
    assert isinstance(commands, Written)
    assert isinstance(records, Written)
    first = commands.records[P][0]
    commands.records[P][0] = StoredRecord(first.position, first.key, first.value, (("traceparent", b"other"),))
    with pytest.raises(TransferRefused, match="party/0: what stands at position 0 is not the source's"):
        await copy(source, plan, small.sink())
    commands.records[P][0] = first
    owner = await small.events.claim(P)
    await owner.append([NewRecord(b"", b"foreign")], 5)
    with pytest.raises(TransferRefused, match="party/0: what stands at position 0 is not the source's"):
        await copy(source, plan, small.sink())


async def test_a_record_more_than_the_source_has_is_noticed(small: Target) -> None:
    source, _ = await begun(small)
    empty = Source(Written({P: [], Q: []}), source.commands)
    owner = await small.events.claim(P)
    await owner.append([NewRecord(b"", b"foreign")], 5)
    none = await survey(empty, codec(), [P, Q])
    with pytest.raises(TransferRefused, match="a record at position 0 is none of the source's"):
        await copy(empty, none, small.sink())


async def test_a_record_without_its_command_is_not_copied(small: Target) -> None:
    source, plan = await lived()
    commands = source.commands
    assert isinstance(commands, Written)
    del commands.records[P][20]
    with pytest.raises(
        TransferRefused, match=f"names the command at position {20 * STEP + 3}, which the source does not"
    ):
        await copy(source, plan, small.sink())


async def test_a_record_that_is_not_what_was_written_is_not_copied(small: Target) -> None:
    source, plan = await lived()
    records = source.events
    assert isinstance(records, Written)
    old = records.records[P][50]
    records.records[P][50] = StoredRecord(old.position, old.key, old.value + b"\0", old.headers)
    with pytest.raises(RuntimeError, match=r"party/0: a record at positions \d+ to \d+ was changed"):
        await copy(source, plan, small.sink())


async def test_what_else_belongs_to_it_is_copied_before_it_is_whole(small: Target) -> None:
    source, plan = await lived()

    async def people() -> None:
        with pytest.raises(LogUnavailable, match="is not whole"):
            await demand_whole(small.dsn, small.name)
        raise RuntimeError("the vault is away")

    with pytest.raises(RuntimeError, match="the vault is away"):
        await copy(source, plan, small.sink(), people)
    assert await small.commands.end(P) == 0
    with pytest.raises(LogUnavailable, match="is not whole"):
        await demand_whole(small.dsn, small.name)


async def test_appends_are_borders_of_the_chain_not_of_writes(small: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many appends of the source may be written at once; each still ends with its own hash."""
    writes = list[int]()

    class Counting(Failing):
        async def claim(self, partition: Partition) -> Any:
            return Counting(await self._inner.claim(partition), [0], False)

        async def append(self, records: Sequence[NewRecord], deadline: float) -> None:
            writes.append(len(records))
            assert any(name == CHAIN for name, _ in records[-1].headers)
            await self._inner.append(records, deadline)

    monkeypatch.setattr("consumers.transfer.MAX_BATCH", 100)
    source, plan = await lived()
    await copy(source, plan, small.sink("a log", Counting(small.events, [0], False)))
    assert len(writes) == 2
    await small.demand_copied(source)
