"""Replay: every decision made again must give the same bytes, every record must stand in its chain."""

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass

from consumers.chain import Chain
from consumers.limits import MAX_BATCH
from consumers.partition import CHAIN, SOURCE, EvolveFailed, PartitionDecider
from consumers.ports import CommandLog, EventLog, NewRecord, Partition, StoredRecord
from schemas.codec import Codec
from schemas.log.events import CommandSetAside, LogicAdopted, SetAsideReason

MakeDecider = Callable[[Partition, Iterable[int]], PartitionDecider]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification of one partition found. `differences` is empty when all is as recorded.

    `other_logic` names ranges of records that another release decided: they were taken as they stand.
    """

    partition: Partition
    commands: int
    records: int
    chain: bool
    differences: tuple[str, ...]
    other_logic: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Everything decided again is byte-equal and the chain is whole."""
        return self.chain and not self.differences


async def verify_chain(partition: Partition, events: EventLog) -> tuple[bool, str]:
    """Whether the chain is whole, else the append (as a range of positions) in which a record was changed."""
    chain, first = Chain(), 0
    async for stored in _all(events, partition):
        chain.add(stored.key, stored.value)
        claimed = dict(stored.headers).get(CHAIN)
        if claimed is not None:
            if claimed != chain.close():
                place = f"{partition.family}/{partition.number}"
                return False, f"{place}: a record at positions {first} to {stored.position} was changed"
            first = stored.position + 1
    return True, ""


class _Verifier:
    """Decides the commands of one partition again and holds every record against the recorded one."""

    def __init__(self, partition: Partition, make: MakeDecider, codec: Codec, set_aside: frozenset[int]) -> None:
        self.decider = make(partition, set_aside)
        self.partition, self._codec = partition, codec
        self.records, self.differences, self.other_logic = 0, list[str](), list[str]()
        self._foreign = False

    def command(self, command: StoredRecord, recorded: list[StoredRecord], logic: int) -> None:
        """One command and the records that name it as their source."""
        self.records += len(recorded)
        for stored in recorded:
            if self._codec.type_of(stored.value) is LogicAdopted:
                body = self._codec.decode(stored.value)[1]
                self._foreign = body.n != logic
                if self._foreign:
                    self.other_logic.append(f"logic {body.n} from position {stored.position}")
        if self._foreign:
            for stored in recorded:
                self.decider.restore(stored)
            return
        try:
            decided = self.decider.decide([command])
        except EvolveFailed as failure:
            self.differences.append(f"{self.place(recorded, command)}: {failure}")
            return
        self._compare(command, decided, recorded)

    def _compare(self, command: StoredRecord, decided: list[NewRecord], recorded: list[StoredRecord]) -> None:
        for new, old in zip(decided, recorded, strict=False):
            if (new.key, new.value) != (old.key, old.value):
                self.differences.append(
                    f"{self.place([old], command)}: recorded {self._shown(old)}, decided again {self._shown(new)}"
                )
                return
        if len(decided) != len(recorded):
            self.differences.append(
                f"{self.place(recorded, command)}: {len(recorded)} records, decided again {len(decided)}"
            )

    def place(self, recorded: list[StoredRecord], command: StoredRecord) -> str:
        """Where on the log a difference stands."""
        where = f"position {recorded[0].position}" if recorded else "no record"
        return f"{self.partition.family}/{self.partition.number} {where} (command at {command.position})"

    def _shown(self, record: NewRecord | StoredRecord) -> str:
        try:
            meta, body = self._codec.decode(record.value)
        except ValueError as error:
            return f"something undecodable ({error})"
        return f"seq {meta.seq} {body!r}"


async def verify_decisions(
    partition: Partition, make: MakeDecider, codec: Codec, events: EventLog, commands: CommandLog, logic: int
) -> Verdict:
    """Decides every command of the partition again and compares key and value bytes with the record.

    Stops at the first difference (what follows rests on it). Ranges of another logic are evolved, not decided.
    """
    whole, broken = await verify_chain(partition, events)
    verifier = _Verifier(partition, make, codec, await _set_aside(partition, codec, events))
    recorded = _grouped(events, partition)
    group = await anext(recorded, None)
    count = 0
    async for command in _all(commands, partition):
        mine: list[StoredRecord] = []
        while group is not None and group[0] <= command.position:
            mine += group[1]
            group = await anext(recorded, None)
        try:
            verifier.command(command, mine, logic)
        except Exception as error:  # a changed record may be anything; the verdict names where
            verifier.differences.append(f"{verifier.place(mine, command)}: {type(error).__name__}: {error}")
        count += 1
        if verifier.differences:
            break
    if group is not None and not verifier.differences:
        verifier.differences.append(f"{partition.family}/{partition.number}: records without a command")
    found = ([broken] if broken else []) + verifier.differences
    return Verdict(partition, count, verifier.records, whole, tuple(found), tuple(verifier.other_logic))


async def _set_aside(partition: Partition, codec: Codec, events: EventLog) -> frozenset[int]:
    """Commands that made `evolve` raise when they were decided: deciding again would end the same way."""
    found = set()
    async for stored in _all(events, partition):
        if codec.type_of(stored.value) is not CommandSetAside:
            continue
        try:
            body: CommandSetAside = codec.decode(stored.value)[1]
        except ValueError:
            continue  # what a record has become is found when it is compared
        if body.reason is SetAsideReason.EVOLVE_RAISED:
            found.add(int(dict(stored.headers)[SOURCE]))
    return frozenset(found)


async def _grouped(events: EventLog, partition: Partition) -> AsyncIterator[tuple[int, list[StoredRecord]]]:
    """The records of each command: (position of the command, records)."""
    source, group = -1, list[StoredRecord]()
    async for stored in _all(events, partition):
        here = int(dict(stored.headers)[SOURCE])
        if here != source and group:
            yield source, group
            group = []
        source = here
        group.append(stored)
    if group:
        yield source, group


async def _all(log: EventLog | CommandLog, partition: Partition) -> AsyncIterator[StoredRecord]:
    position, end = 0, await log.end(partition)
    while position < end:
        batch = await log.read(partition, position, MAX_BATCH)
        for stored in batch.records:
            yield stored
        position = batch.next
