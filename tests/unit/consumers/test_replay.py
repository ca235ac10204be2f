"""Verification: an honest record holds, and every way of changing it is noticed."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from consumers.chain import Chain
from consumers.failures import Poison
from consumers.partition import PartitionDecider
from consumers.ports import Batch, NewRecord, Partition, StoredRecord
from consumers.reading import CHAIN, SOURCE
from consumers.replay import Verdict, verify_decisions
from domain.party import decider as party
from schemas.catalog import all_messages
from schemas.codec import Codec, avro_schema
from schemas.envelope import CommandMeta
from schemas.log.commands import Tick
from schemas.log.events import CommandSetAside, LogicAdopted, SetAsideReason
from schemas.party.commands import ApplyForMembership, RegisterParty
from schemas.party.events import PartyRegistered, Role

LEDGER = {n: avro_schema(m) for n, m in enumerate(all_messages(), 1)}
CODEC = Codec(LEDGER)
PARTITION = Partition("party", 0)
NOW = 1_466_460_000_000_000
HEADERS = 1


class ListLog:
    """A partition as a list."""

    def __init__(self, records: Iterable[StoredRecord]) -> None:
        self.records = list(records)

    async def read(self, partition: Partition, position: int, limit: int) -> Batch:
        found = tuple(self.records[position : position + limit])
        return Batch(found, position + len(found))

    async def end(self, partition: Partition) -> int:
        return len(self.records)


def make(partition: Partition, set_aside: Iterable[Poison], codec: Codec = CODEC) -> PartitionDecider:
    return PartitionDecider(partition, 1, party, codec, set_aside)


def command(position: int, key: str, actor: str, command_id: str, body: Any, codec: Codec = CODEC) -> StoredRecord:
    door = not actor.startswith("log:")
    meta = CommandMeta(command_id, actor, "x", NOW + 1 if door else None, None, None)
    return StoredRecord(position, key.encode(), codec.encode(meta, body), ())


def wishes(codec: Codec = CODEC) -> list[StoredRecord]:
    register = RegisterParty((Role.SUPPLIER,))
    return [
        command(0, "", "log:clock", "t1", Tick(1, NOW), codec),
        command(1, "ann", "ann", "c1", register, codec),
        command(2, "bob", "bob", "c2", register, codec),
        command(3, "ann", "ann", "c3", ApplyForMembership("green"), codec),
        command(4, "ann", "ann", "c1", register, codec),
    ]


def decided(commands: list[StoredRecord], codec: Codec = CODEC) -> list[NewRecord]:
    core = make(PARTITION, (), codec)
    return [record for one in commands for record in core.decide([one])]


def stored(records: list[NewRecord]) -> list[StoredRecord]:
    return [StoredRecord(n, r.key, r.value, r.headers) for n, r in enumerate(records)]


def chained(records: list[NewRecord]) -> list[NewRecord]:
    """Every hash made anew, as a forger would: it has no key."""
    chain, made = Chain(), []
    for r in records:
        chain.add(r.key, r.value)
        others = tuple(h for h in r.headers if h[0] != CHAIN)
        closes = len(others) != len(r.headers)
        made.append(NewRecord(r.key, r.value, (*others, (CHAIN, chain.close())) if closes else others))
    return made


async def verdict(
    records: list[NewRecord], commands: list[StoredRecord] | None = None, codec: Codec = CODEC
) -> Verdict:
    events, wished = ListLog(stored(records)), ListLog(wishes() if commands is None else commands)

    def fresh(partition: Partition, set_aside: Iterable[Poison]) -> PartitionDecider:
        return make(partition, set_aside, codec)

    return await verify_decisions(PARTITION, fresh, codec, events, wished)  # type: ignore[arg-type]


def body_changed(record: NewRecord, change: Callable[[Any, Any], tuple[Any, Any]]) -> NewRecord:
    return NewRecord(record.key, CODEC.encode(*change(*CODEC.decode(record.value))), record.headers)


async def test_an_honest_record_holds() -> None:
    found = await verdict(decided(wishes()))
    assert found.holds
    assert (found.commands, found.records, found.taken, found.unanswered) == (5, 6, 0, 0)
    assert len(found.head) == 64


@pytest.mark.parametrize("rechained", [False, True])
async def test_a_changed_fact_is_named(rechained: bool) -> None:
    records = decided(wishes())
    records[2] = body_changed(records[2], lambda meta, body: (meta, PartyRegistered("ann", (Role.SUPPLIER,) * 2)))
    found = await verdict(chained(records) if rechained else records)
    assert not found.holds
    assert found.chain is rechained
    assert any("party/0 position 2" in d for d in found.differences)


async def test_a_swapped_deleted_or_added_record_is_noticed() -> None:
    records = decided(wishes())
    for forged in (
        [*records[:2], records[3], records[2], *records[4:]],
        [*records[:3], *records[4:]],
        [*records, records[-1]],
        [*records[:4], records[3], *records[4:]],
    ):
        assert not (await verdict(chained(forged))).holds


async def test_a_set_aside_that_blames_evolve_must_show_it() -> None:
    records = decided(wishes())
    aside = CommandSetAside(SetAsideReason.EVOLVE_RAISED, "RegisterParty", "ann", "c1")
    records[2] = body_changed(records[2], lambda meta, body: (meta, aside))
    found = await verdict(chained(records[:4]), wishes()[:3])
    assert not found.holds
    assert any("does no harm" in d for d in found.differences)


async def test_what_evolve_really_could_not_take_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    healthy = party.evolve

    def evolve(state: Any, fact: Any) -> Any:
        if fact.key == "bob":
            raise KeyError
        return healthy(state, fact)

    monkeypatch.setattr(party, "evolve", evolve)
    core = make(PARTITION, [(2, "bob")])
    records = [record for one in wishes() for record in core.decide([one])]
    assert (await verdict(records)).holds


@pytest.mark.parametrize("logic", [0, 99])
async def test_another_logic_number_switches_nothing_off_unseen(logic: int) -> None:
    records = decided(wishes())
    records[0] = body_changed(records[0], lambda meta, body: (meta, LogicAdopted(logic)))
    found = await verdict(chained(records))
    assert not found.holds
    assert found.differences, "its records still say that this logic decided them"


async def test_what_an_older_logic_decided_is_taken_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    records = decided(wishes())
    monkeypatch.setattr(party, "LOGIC", party.LOGIC + 1)
    found = await verdict(records)
    assert (found.differences, found.taken, found.chain) == ((), 6, True)
    assert not found.holds
    assert "logic 1 from position 0" in found.notes[0]


async def test_a_log_without_hashes_or_with_an_open_end_is_not_whole() -> None:
    records = decided(wishes())
    bare = [NewRecord(r.key, r.value, tuple(h for h in r.headers if h[0] != CHAIN)) for r in records]
    for forged in (bare, [*records[:-1], bare[-1]]):
        found = await verdict(forged)
        assert not found.chain
        assert "no chain hash" in found.differences[0]


async def test_a_headers_change_is_noticed() -> None:
    records = decided(wishes())
    for headers in (((SOURCE, b"0"), *records[3].headers[1:]), records[3].headers[HEADERS:], ()):
        forged = [*records]
        forged[3] = records[3]._replace(headers=headers)
        assert not (await verdict(forged)).holds


async def test_a_changed_command_is_noticed() -> None:
    commands = wishes()
    commands[3] = command(3, "ann", "ann", "c3", ApplyForMembership("blue"))
    assert not (await verdict(decided(wishes()), commands)).holds


async def test_commands_that_nobody_answered_yet_are_no_difference() -> None:
    found = await verdict(decided(wishes()[:3]))
    assert (found.differences, found.unanswered) == ((), 2)


async def test_a_record_is_compared_in_its_own_schema_version() -> None:
    older = {
        n: {**s, "fields": [*s["fields"][:1], *reversed(s["fields"][1:])]}
        if s["name"] == "gridbook.party.PartyRegistered"
        else s
        for n, s in LEDGER.items()
    }
    today = next(s for s in LEDGER.values() if s["name"] == "gridbook.party.PartyRegistered")
    both = Codec(older | {1000: today})
    [old_id] = [n for n, s in older.items() if s["name"] == "gridbook.party.PartyRegistered"]
    records = decided(wishes(both), both)
    frame = b"\x00" + old_id.to_bytes(4, "big")
    as_then = [
        NewRecord(r.key, both.encode_as(frame, *both.decode(r.value)), r.headers)
        if both.type_of(r.value) is PartyRegistered
        else r
        for r in records
    ]
    assert as_then != records
    assert (await verdict(chained(as_then), wishes(both), both)).holds


async def test_what_could_not_be_read_then_is_taken_and_what_follows_is_decided_from_there() -> None:
    unread = NewRecord(b"bob", b"\x00\x00\x00\xff\xffnew", ())
    commands = wishes()
    then = [*commands]
    then[2] = StoredRecord(2, unread.key, unread.value, ())
    found = await verdict(decided(then), commands)
    assert (found.differences, found.taken) == ((), 1)
    assert not found.holds


async def test_a_forged_blame_beside_a_true_one_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = wishes()[:3]
    healthy = party.evolve

    def evolve(state: Any, fact: Any) -> Any:
        if fact.key == "ann":
            raise KeyError
        return healthy(state, fact)

    monkeypatch.setattr(party, "evolve", evolve)
    core = make(PARTITION, [(1, "ann"), (2, "bob")])
    records = [record for one in commands for record in core.decide([one])]
    found = await verdict(records, commands)
    assert any("'bob'" in d for d in found.differences)
    assert not any("'ann'" in d for d in found.differences)


async def test_ranges_of_an_older_logic_may_be_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = wishes()
    core = make(PARTITION, ())
    first = core.decide(commands[:1])
    monkeypatch.setattr(party, "LOGIC", party.LOGIC + 1)
    middle = core.decide(commands[1:3])
    monkeypatch.setattr(party, "LOGIC", party.LOGIC - 1)
    last = core.decide(commands[3:])
    monkeypatch.setattr(party, "LOGIC", party.LOGIC + 1)
    found = await verdict([*first, *middle, *last], commands)
    assert (found.differences, found.chain) == ((), True)
    assert found.taken == len(first) + len(last)
