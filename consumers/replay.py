"""Replay: every decision made again must give the same bytes, every record must stand in its chain."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from consumers.chain import Chain
from consumers.failures import EvolveFailed, Poison
from consumers.follow import MakeDecider, inherit
from consumers.ports import CommandLog, EventLog, NewRecord, Partition, StoredRecord
from consumers.reading import CHAIN, COMMAND_ID, SOURCE, between
from schemas.codec import Codec
from schemas.log.events import CommandSetAside, LogicAdopted, SetAsideReason
from schemas.shape import InvalidMessage


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification of one partition found. `differences` is empty when all is as recorded.

    `taken` counts records that stand as they are, because another release decided them or could not read
    the command: `notes` says which. `unanswered` counts commands behind the last record. `head` is the
    chain's last hash (hex): who kept an earlier one can tell whether the log was cut.
    """

    partition: Partition
    commands: int
    records: int
    chain: bool
    differences: tuple[str, ...]
    taken: int
    notes: tuple[str, ...]
    unanswered: int
    head: str

    @property
    def holds(self) -> bool:
        """The chain is whole and every record was decided again with the same bytes."""
        return self.chain and not self.differences and not self.taken


class _Verifier:
    """Decides the commands of one partition again and holds every record against the recorded one."""

    def __init__(self, partition: Partition, make: MakeDecider, codec: Codec, set_aside: frozenset[Poison]) -> None:
        self.decider = make(partition, set_aside)
        self.partition, self._codec, self._set_aside = partition, codec, set_aside
        self.records, self.taken = 0, 0
        self.differences, self.notes = list[str](), list[str]()
        self._foreign = False

    def command(self, command: StoredRecord, recorded: list[StoredRecord]) -> None:
        """One command and the records that name it as their source."""
        self.records += len(recorded)
        for stored in recorded:
            if self._codec.type_of(stored.value) is LogicAdopted:
                self._adopt(stored)
        if self._foreign:
            self._take(command, recorded)
            return
        self._demand_failures(command, recorded)
        if self._unread_then(command, recorded):
            self._take(command, recorded)
            self.notes.append(f"{self.place(recorded, command)}: the release of that time could not read the command")
            return
        decided = self.decider.decide([command])
        self._compare(command, decided, recorded)

    def _adopt(self, stored: StoredRecord) -> None:
        logic = self._codec.decode(stored.value)[1].n
        self._foreign = logic != self.decider.logic
        if self._foreign:
            self.notes.append(f"logic {logic} from position {stored.position}: only its release can decide it again")
        if logic > self.decider.logic:
            self.differences.append(
                f"{self.partition} position {stored.position}: logic {logic} is newer"
                f" than this release's {self.decider.logic}"
            )

    def _take(self, command: StoredRecord, recorded: list[StoredRecord]) -> None:
        for stored in recorded:
            logic = self._codec.decode(stored.value)[0].logic
            if self._foreign == (logic == self.decider.logic):
                self.differences.append(f"{self.place([stored], command)}: logic {logic} in a range of another one")
            self.decider.restore(stored, chained=False)
        self.taken += len(recorded)

    def _demand_failures(self, command: StoredRecord, recorded: list[StoredRecord]) -> None:
        """Each record that says `evolve` raised is believed only when it alone raises again."""
        blamed = {poison for poison in self._set_aside if poison[0] == command.position}
        for poison in sorted(blamed):
            try:
                self.decider.probe(blamed - {poison}).decide([command])
            except EvolveFailed as failure:
                if failure.poison == poison:
                    continue
            self.differences.append(
                f"{self.place(recorded, command)}: key {poison[1]!r} was set aside, but decided again it does no harm"
            )

    def _unread_then(self, command: StoredRecord, recorded: list[StoredRecord]) -> bool:
        """An older release set aside what it could not read; this one reads it. What it would decide was not."""
        if len(recorded) != 1 or self._codec.type_of(recorded[0].value) is not CommandSetAside:
            return False
        reason = self._codec.decode(recorded[0].value)[1].reason
        if reason not in (SetAsideReason.UNDECODABLE, SetAsideReason.INVALID):
            return False
        return [new.value for new in self.decider.probe().decide([command])] != [recorded[0].value]

    def _compare(self, command: StoredRecord, decided: list[NewRecord], recorded: list[StoredRecord]) -> None:
        for new, old in zip(decided, recorded, strict=False):
            same = new.key == old.key and self._in_words_of(new.value, old.value) == old.value
            if not same or dict(new.headers)[COMMAND_ID] != dict(old.headers).get(COMMAND_ID):
                self.differences.append(
                    f"{self.place([old], command)}: recorded {self._shown(old)}, decided again {self._shown(new)}"
                )
                return
        if len(decided) != len(recorded):
            self.differences.append(
                f"{self.place(recorded, command)}: {len(recorded)} records, decided again {len(decided)}"
            )

    def _in_words_of(self, value: bytes, old: bytes) -> bytes:
        """The record encoded with the recorded one's own schema id, which may be an older version's."""
        if value[:5] == old[:5]:
            return value
        try:
            return self._codec.encode_as(old, *self._codec.decode(value))
        except InvalidMessage:
            return value  # of another message, or of a schema that cannot say this: they differ

    def place(self, recorded: list[StoredRecord], command: StoredRecord) -> str:
        """Where on the log a difference stands."""
        where = f"position {recorded[0].position}" if recorded else "no record"
        return f"{self.partition} {where} (command at {command.position})"

    def _shown(self, record: NewRecord | StoredRecord) -> str:
        try:
            meta, body = self._codec.decode(record.value)
        except ValueError as error:
            return f"something undecodable ({error})"
        return f"seq {meta.seq} of {meta.actor} {meta.command_id}: {body!r}"


async def verify_decisions(
    partition: Partition, make: MakeDecider, codec: Codec, events: EventLog, commands: CommandLog
) -> Verdict:
    """Decides every command of the partition again and compares key and value bytes with the record.

    Stops at the first difference (what follows rests on it). What another logic decided is evolved as it
    stands and counted as taken.
    """
    chain, broken, set_aside = await _surveyed(partition, codec, events)
    verifier = _Verifier(partition, make, codec, set_aside)
    await inherit(verifier.decider, make, events)
    groups = _grouped(events, partition)
    group = await anext(groups, None)
    count = unanswered = 0
    async for command in between(commands, partition, 0):
        if group is None:
            unanswered += 1
            continue
        mine: list[StoredRecord] = []
        while group is not None and group[0] <= command.position:
            mine += group[1]
            group = await anext(groups, None)
        try:
            verifier.command(command, mine)
        except Exception as error:  # a changed record may be anything; the verdict names where
            verifier.differences.append(f"{verifier.place(mine, command)}: {type(error).__name__}: {error}")
        count += 1
        if verifier.differences:
            break
    if group is not None and not verifier.differences:
        verifier.differences.append(f"{partition}: records without a command")
    return Verdict(
        partition,
        count,
        verifier.records,
        not broken,
        tuple([broken] * bool(broken) + verifier.differences),
        verifier.taken,
        tuple(verifier.notes),
        unanswered,
        chain.head.hex(),
    )


async def _surveyed(partition: Partition, codec: Codec, events: EventLog) -> tuple[Chain, str, frozenset[Poison]]:
    """One look over all records: the chain, what is wrong with it, and of what the record says `evolve` raised.

    The text names the append in which a record was changed, or is empty; the chain ends there.
    """
    chain, first, place = Chain(), 0, str(partition)
    broken, blamed = "", set[Poison]()
    async for stored in between(events, partition, 0):
        blamed |= _blamed(codec, stored)
        if broken:
            continue
        chain.add(stored.key, stored.value)
        claimed = dict(stored.headers).get(CHAIN)
        if claimed is not None:
            if claimed != chain.close():
                broken = f"{place}: a record at positions {first} to {stored.position} was changed"
            first = stored.position + 1
    if chain.open:
        broken = f"{place}: no chain hash behind the records from position {first} on"
    return chain, broken, frozenset(blamed)


def _blamed(codec: Codec, stored: StoredRecord) -> set[Poison]:
    """The command and key that a record says `evolve` could not take, if it says so."""
    if codec.type_of(stored.value) is not CommandSetAside:
        return set()
    try:
        body: CommandSetAside = codec.decode(stored.value)[1]
    except ValueError:
        return set()  # what a record has become is found when it is compared
    if body.reason is not SetAsideReason.EVOLVE_RAISED:
        return set()
    return {(_source(stored), stored.key.decode(errors="replace"))}


def _source(stored: StoredRecord) -> int:
    """The command that a record names; -1 where it names none, so that it stands before every command."""
    named = dict(stored.headers).get(SOURCE, b"")
    return int(named) if named.isdigit() else -1


async def _grouped(events: EventLog, partition: Partition) -> AsyncIterator[tuple[int, list[StoredRecord]]]:
    """The records of each command: (position of the command, records)."""
    source, group = -1, list[StoredRecord]()
    async for stored in between(events, partition, 0):
        here = _source(stored)
        if here != source and group:
            yield source, group
            group = []
        source = here
        group.append(stored)
    if group:
        yield source, group
