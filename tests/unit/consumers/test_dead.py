"""Retries: under which id or on which line a command comes again, so that it is decided, and once."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from consumers import memory
from consumers.answers import Answers
from consumers.causes import again, attempt_of
from consumers.dead import FOR_GOOD, CannotRetry, Dead, DeadCommands, Decided, ToDoor, ToLog
from consumers.layout import Layout
from consumers.partition import PartitionDecider
from consumers.ports import NewRecord, Partition, StoredRecord
from consumers.reading import SOURCE
from domain.community import decider as community
from domain.party import decider as party
from infra.embedded.memory import MemoryCommandLog, MemoryEventLog, MemoryStore
from schemas.community.commands import AdmitMember
from schemas.envelope import Causation, CommandMeta, Moment
from schemas.log.commands import Tick
from schemas.log.events import CommandSetAside, SetAsideReason
from schemas.party.commands import RegisterParty
from schemas.party.events import Role
from schemas.values import MAX_ID_LENGTH
from tests.unit.written import codec

PARTY, COMMUNITY = Partition("party", 0), Partition("community", 0)
NOW = 1_466_460_000_000_000
REGISTER = RegisterParty((Role.SUPPLIER,))
DECIDERS = {"party": party, "community": community}


class Log:
    """One partition that decides what it is sent at once; nothing is projected, so everything is read from the log."""

    def __init__(self, partition: Partition) -> None:
        store = MemoryStore()
        self.partition = partition
        self.events, self.commands = MemoryEventLog("d", store), MemoryCommandLog("d", store)
        self.core = PartitionDecider(partition, 1, DECIDERS[partition.family], codec())

    async def start(self) -> "Log":
        for log in (self.events, self.commands):
            await log.start()
            await log.create([self.partition])
        self.owner = await self.events.claim(self.partition)
        await self.send(self.wish("", "tick", Tick(1, NOW), actor="log:clock", until=None))
        return self

    def wish(self, key: str, command_id: str, body: Any, actor: str = "ann", until: int | None = NOW + 9) -> NewRecord:
        meta = CommandMeta(command_id, actor, command_id, until, None, None)
        return NewRecord(key.encode(), codec().encode(meta, body), (("command_id", command_id.encode()),))

    def inside(self, seq: int, n: int = 0, cause: Causation | None = None) -> NewRecord:
        caused = cause or Causation("party", 1, 0, seq, n)
        meta = CommandMeta(f"c{seq}.{n}", "policy:admit", "x", None, Moment(1, NOW), caused)
        return NewRecord(b"green", codec().encode(meta, AdmitMember(f"p{seq}.{n}")), ())

    async def send(self, *records: NewRecord) -> list[Any]:
        """Sends and decides; returns the bodies of the answers."""
        await self.commands.send([(self.partition, record) for record in records], 5)
        found = (await self.commands.read(self.partition, self.core.source, 100)).records
        answers = self.core.decide(found)
        await self.owner.append(answers, 5)
        return [codec().decode(record.value)[1] for record in answers]

    async def dead(self) -> list[Dead]:
        return list(reversed(await self._dead().newest(100)))

    async def retry(self, dead: Dead) -> ToDoor | ToLog | Decided:
        return await self._dead().retry(dead)

    async def send_again(self, dead: Dead) -> list[Any]:
        """As the command line does it."""
        sent = await self.retry(dead)
        assert not isinstance(sent, Decided)
        if isinstance(sent, ToLog):
            return await self.send(sent.record)
        return await self.send(self.wish(sent.key, sent.command_id, sent.body, sent.actor))

    def _dead(self) -> DeadCommands:
        async def ask(sql: str, parameters: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
            return ()

        async def reached() -> dict[Partition, Any]:
            return {}

        answers = Answers(ask, reached, self.events, self.commands, codec(), [self.partition])
        layout = Layout.of({self.partition.family: 1})
        return DeadCommands(self.events, self.commands, codec(), layout, answers)


def plant(monkeypatch: pytest.MonkeyPatch, module: Any, times: int = 1) -> list[int]:
    """Makes the family's `decide` raise so many times."""
    healthy, left = module.decide, [times]

    def decide(state: Any, command: Any, now: Any) -> Any:
        if left[0] > 0:
            left[0] -= 1
            raise ZeroDivisionError
        return healthy(state, command, now)

    monkeypatch.setattr(module, "decide", decide)
    return left


def kinds(bodies: list[Any]) -> list[str]:
    return [type(body).__name__ for body in bodies]


def test_after_these_reasons_an_id_is_taken() -> None:
    assert frozenset(memory._JUDGED) == FOR_GOOD


async def test_a_judged_command_comes_again_under_another_id(monkeypatch: pytest.MonkeyPatch) -> None:
    log = await Log(PARTY).start()
    plant(monkeypatch, party, times=3)
    assert kinds(await log.send(log.wish("ann", "join", REGISTER))) == ["CommandSetAside"]
    [first] = await log.dead()
    sent = await log.retry(first)
    assert sent == ToDoor("party", "ann", "ann", "join~retry1", REGISTER)
    assert kinds(await log.send_again(first)) == ["CommandSetAside"], "the bug is still there"
    [_, second] = await log.dead()
    for dead in (first, second):  # both records lead to the same next id
        assert await log.retry(dead) == ToDoor("party", "ann", "ann", "join~retry2", REGISTER)
    assert kinds(await log.send_again(second)) == ["CommandSetAside"]
    assert kinds(await log.send_again(first)) == ["PartyRegistered"]
    for dead in await log.dead():
        decided = await log.retry(dead)
        assert isinstance(decided, Decided)
        assert decided.command_id == "join~retry3"


@pytest.mark.parametrize("length", [MAX_ID_LENGTH - 9, MAX_ID_LENGTH - 8, MAX_ID_LENGTH])
async def test_an_id_stays_short_enough_and_leads_to_one_line(monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    log, long = await Log(PARTY).start(), "x" * length
    plant(monkeypatch, party, times=2)
    await log.send(log.wish("ann", long, REGISTER))
    [first] = await log.dead()
    await log.send_again(first)
    [_, second] = await log.dead()
    by_first, by_second = await log.retry(first), await log.retry(second)
    assert by_first == by_second
    assert isinstance(by_first, ToDoor)
    assert by_first.command_id.endswith("~retry2")
    assert len(by_first.command_id) <= MAX_ID_LENGTH
    assert kinds(await log.send_again(first)) == ["PartyRegistered"]
    assert isinstance(await log.retry(second), Decided)


async def test_an_unjudged_command_comes_again_under_its_own_id() -> None:
    log = await Log(PARTY).start()
    assert kinds(await log.send(log.wish("ann", "join", REGISTER, until=NOW - 1))) == ["CommandSetAside"]
    [expired] = await log.dead()
    assert expired.body.reason is SetAsideReason.EXPIRED
    for answer in ("PartyRegistered", "CommandRepeated"):  # also while the first is not answered yet
        sent = ToDoor("party", "ann", "ann", "join", REGISTER)
        assert await log.retry(expired) == sent or answer == "CommandRepeated"
        assert kinds(await log.send(log.wish(sent.key, sent.command_id, sent.body))) == [answer]
    assert isinstance(await log.retry(expired), Decided)


async def test_what_was_decided_before_it_came_too_late_is_not_decided_again() -> None:
    log = await Log(PARTY).start()
    await log.send(log.wish("ann", "join", REGISTER))
    await log.send(log.wish("ann", "join", REGISTER, until=NOW - 1))
    [late] = await log.dead()
    decided = await log.retry(late)
    assert isinstance(decided, Decided)
    assert decided.place.seq == 2


async def test_a_command_from_inside_is_decided_though_its_line_has_gone_on(monkeypatch: pytest.MonkeyPatch) -> None:
    log = await Log(COMMUNITY).start()
    left = plant(monkeypatch, community, times=2)
    assert kinds(await log.send(log.inside(5), log.inside(6))) == ["CommandSetAside", "CommandSetAside"]
    assert kinds(await log.send(log.inside(7))) == ["CommandRefused"]
    assert kinds(await log.send(log.inside(5))) == ["CommandRepeated"], "the line has passed it"
    later, earlier = reversed(await log.dead())
    left[0] = 1
    assert kinds(await log.send_again(later)) == ["CommandSetAside"], "the bug is still there"
    assert kinds(await log.send_again(later)) == ["CommandRefused"]
    assert kinds(await log.send_again(earlier)) == ["CommandRefused"], "though a later one was retried first"
    for dead in (earlier, later):
        assert isinstance(await log.retry(dead), Decided)
    assert kinds(await log.send(log.inside(8))) == ["CommandRefused"], "and the line goes on"


async def test_a_retry_from_inside_that_is_sent_twice_is_decided_once(monkeypatch: pytest.MonkeyPatch) -> None:
    log = await Log(COMMUNITY).start()
    plant(monkeypatch, community)
    await log.send(log.inside(5))
    [dead] = await log.dead()
    first, second = await log.retry(dead), await log.retry(dead)
    assert first == second
    assert isinstance(first, ToLog)
    assert kinds(await log.send(first.record)) == ["CommandRefused"]
    assert kinds(await log.send(first.record)) == ["CommandRepeated"]


async def test_a_retry_from_inside_keeps_everything_but_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    log = await Log(COMMUNITY).start()
    plant(monkeypatch, community)
    await log.send(log.inside(5, 2))
    [dead] = await log.dead()
    sent = await log.retry(dead)
    assert isinstance(sent, ToLog)
    meta, body = codec().decode(sent.record.value)
    assert body == AdmitMember("p5.2")
    assert meta.causation == again(Causation("party", 1, 0, 5, 2), 1)
    assert attempt_of(meta.causation) == 1
    assert replace(meta, causation=dead.command.meta.causation) == dead.command.meta
    assert (sent.partition, sent.record.key, sent.command_id) == (COMMUNITY, b"green", "c5.2")


async def test_what_cannot_be_sent_again_says_why() -> None:
    log = await Log(PARTY).start()
    await log.send(NewRecord(b"ann", b"\x00\x00\x00\xff\xff", ()))
    await log.send(log.wish("", "tick-0", Tick(2, NOW - 5), actor="log:clock", until=None))
    unread, tick = await log.dead()
    with pytest.raises(CannotRetry, match="this release cannot read the command"):
        await log.retry(unread)
    with pytest.raises(CannotRetry, match="a tick is not sent again"):
        await log.retry(tick)


async def test_what_a_newer_release_reads_can_be_sent_again() -> None:
    log = await Log(PARTY).start()
    await log.send(NewRecord(b"ann", b"\x00\x00\x00\xff\xff", (("command_id", b"join"),)))
    [dead] = await log.dead()
    readable = log.wish("ann", "join", REGISTER)
    command = replace(
        dead.command,
        stored=StoredRecord(0, readable.key, readable.value, readable.headers),
        meta=codec().decode(readable.value)[0],
        body=REGISTER,
        unreadable="",
    )
    assert await log.retry(replace(dead, command=command)) == ToDoor("party", "ann", "ann", "join", REGISTER)


async def test_only_what_was_set_aside_is_dead() -> None:
    log = await Log(PARTY).start()
    await log.send(log.wish("ann", "join", REGISTER))
    for seq in (0, 2, 99):
        with pytest.raises(LookupError, match=f"party/0 seq {seq} sets no command aside"):
            await log._dead().at(PARTY, seq)
    for nowhere in (Partition("party", 1), Partition("meter", 0)):
        with pytest.raises(LookupError, match="there is no partition"):
            await log._dead().at(nowhere, 0)
    aside = CommandSetAside(SetAsideReason.EXPIRED, "x", "x", "x")
    [first, *_] = (await log.events.read(PARTY, 0, 1)).records
    meta = codec().decode(first.value)[0]
    lost = NewRecord(b"", codec().encode(replace(meta, seq=3), aside), ((SOURCE, b"77"),))
    await log.owner.append([lost], 5)
    with pytest.raises(LookupError, match="names the command at position 77, where none stands"):
        await log._dead().at(PARTY, 3)
