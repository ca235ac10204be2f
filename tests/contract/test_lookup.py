"""Looking into a log: a record is found by its number on every backend, whatever stands between the records."""

import pytest

from consumers.limits import APPEND_DEADLINE_S
from consumers.lookup import command_at, history, record_at, records_from, state_of
from consumers.ports import NewRecord, Partition
from consumers.reading import SOURCE
from domain.party import decider as party
from schemas.codec import UnknownSchema
from schemas.envelope import CommandMeta, FactMeta, Moment
from schemas.log.commands import Tick
from schemas.log.events import TimePassed
from schemas.party.events import MembershipApplied, PartyRegistered, Role
from tests.contract.backends import Backend
from tests.unit.written import codec

P, EMPTY = Partition("party", 0), Partition("meter", 0)
SIZES = (1, 1, 3, 1, 40, 1, 1, 1, 20, 1)
"""Appends: on Kafka a marker that is no record follows each."""


def fact(seq: int) -> NewRecord:
    key, tick = f"p{seq % 3}", Moment(seq // 10, seq * 1_000_000)
    body = PartyRegistered(key, (Role.SUPPLIER,)) if seq < 3 else MembershipApplied(key, f"c{seq}")
    if seq % 7 == 6:
        key, body = "", TimePassed(tick.n, tick.at)
    meta = FactMeta(seq, tick, f"c{seq}", 0, "ann", "x", None, 1)
    return NewRecord(key.encode(), codec().encode(meta, body), ((SOURCE, str(seq).encode()),))


@pytest.fixture
async def written(backend: Backend, deployment: str) -> Backend:
    """A log whose records stand in appends of `SIZES`, some of them after an owner that was fenced."""
    events = await backend.events(deployment)
    await events.create([P, EMPTY])
    seq, owner = 0, await events.claim(P)
    for n, size in enumerate(SIZES):
        if n % 3 == 2:
            owner = await events.claim(P)
        await owner.append([fact(seq + k) for k in range(size)], APPEND_DEADLINE_S)
        seq += size
    return backend


async def test_a_record_is_found_by_its_number(written: Backend, deployment: str) -> None:
    events = await written.events(deployment)
    for seq in range(sum(SIZES)):
        stored = await record_at(events, codec(), P, seq)
        assert stored is not None
        assert stored.value == fact(seq).value
    for nowhere in (sum(SIZES), sum(SIZES) + 1, 10**9):
        assert await record_at(events, codec(), P, nowhere) is None
    assert await record_at(events, codec(), EMPTY, 0) is None


async def test_records_keys_and_states(written: Backend, deployment: str) -> None:
    events, count = await written.events(deployment), sum(SIZES)
    assert [e.fact.meta.seq async for e in records_from(events, codec(), P, 60)] == list(range(60, count))
    facts = [e.fact.meta.seq async for e in records_from(events, codec(), P, 60, runtime=False)]
    assert facts == [seq for seq in range(60, count) if seq % 7 != 6]
    mine = [seq for seq in range(count) if seq % 3 == 1 and seq % 7 != 6]
    assert [e.fact.meta.seq async for e in history(events, codec(), [P], "p1")] == mine
    whole = await state_of(events, codec(), party, [P], "p1")
    assert (whole.facts, whole.last.seq if whole.last else None) == (len(mine), mine[-1])
    assert whole.state.communities == {f"c{seq}" for seq in mine if seq >= 3}
    early = await state_of(events, codec(), party, [P], "p1", before=2)
    assert (early.facts, early.last.seq if early.last else None) == (len([s for s in mine if s < 20]), 19)
    none = await state_of(events, codec(), party, [P], "nobody")
    assert (none.state, none.facts, none.last) == (party.initial("nobody"), 0, None)


async def test_no_fact_is_passed_over(written: Backend, deployment: str) -> None:
    events = await written.events(deployment)
    owner = await events.claim(P)
    await owner.append([NewRecord(b"p1", b"\x00\x00\x00\xff\xff", ())], APPEND_DEADLINE_S)
    [*_, last] = [entry async for entry in history(events, codec(), [P], "p1")]
    assert "65535" in last.unreadable
    with pytest.raises(UnknownSchema):
        await state_of(events, codec(), party, [P], "p1")
    assert (await state_of(events, codec(), party, [P], "p2")).facts > 0


async def test_a_command_is_found_by_its_position_only(backend: Backend, deployment: str) -> None:
    commands = await backend.commands(deployment)
    await commands.create([P])
    meta = CommandMeta("tick-1", "log:clock", "tick-1", None, None, None)
    await commands.send([(P, NewRecord(b"", codec().encode(meta, Tick(1, 1)))), (P, NewRecord(b"k", b"odd"))], 5)
    first, odd = await command_at(commands, codec(), P, 0), await command_at(commands, codec(), P, 1)
    assert first is not None
    assert odd is not None
    assert (first.command, first.body, first.unreadable) == (meta, Tick(1, 1), "")
    assert (odd.key, odd.meta, odd.stored.value) == ("k", None, b"odd")
    assert "expected a frame" in odd.unreadable
    assert await command_at(commands, codec(), P, 2) is None
