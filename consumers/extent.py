"""How far a log is copied: an end for each partition, so that everything copied has its causes beside it.

There is no moment at which all partitions of a running deployment stand still. So each events partition is
copied up to its end as it is found, and on from there as far as a record that is copied names a later fact as
its cause; always whole appends. Commands are copied up to the last one that is answered, and behind it those
that wait, up to the first one whose cause is not copied. That is a state in which a crash could have left the
deployment: whatever is missing follows again from what is there, and nothing that is there rests on something
that might follow differently. Of a stopped deployment it is the whole log.

`Plan.tick` is the cut-off: every family is complete up to it.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from consumers.causes import caused_in
from consumers.chain import Chain
from consumers.failures import ChainBroken
from consumers.layout import Layout
from consumers.limits import MAX_BATCH
from consumers.ports import Batch, LogUnavailable, Partition, StoredRecord
from consumers.reading import CHAIN, SOURCE
from schemas.codec import Codec, UndecodableRecord, UnknownSchema
from schemas.envelope import FactMeta
from schemas.log.events import TimePassed

Append = tuple[StoredRecord, ...]
"""The records of one append; the last one has the chain hash."""


class Readable(Protocol):
    """What can be read from one position to another: a log of either kind, or an archive's."""

    async def read(self, partition: Partition, position: int, limit: int) -> Batch:
        """As `EventLog.read`."""

    async def end(self, partition: Partition) -> int:
        """As `EventLog.end`."""


@dataclass(frozen=True, slots=True)
class Source:
    """The pair of logs that is copied."""

    events: Readable
    commands: Readable


@dataclass(frozen=True, slots=True)
class Extent:
    """How far one partition is copied.

    `events_end` and `commands_end` are the positions behind the last record and command, `records` is the
    number of records (and the next `seq`), `passed` the last tick passed, `head` the chain's hash (hex) at the end.
    """

    partition: Partition
    events_end: int
    commands_end: int
    records: int
    passed: int
    head: str


@dataclass(frozen=True, slots=True)
class Plan:
    """How far every partition is copied."""

    extents: tuple[Extent, ...]

    @property
    def tick(self) -> int:
        """The tick that every partition has passed: what is before it is complete, of every family."""
        passed, layout = {extent.partition: extent.passed for extent in self.extents}, self.layout
        # A partition that has passed none yet goes on from where the generation before ended.
        before = {p: min((passed[earlier] for earlier in layout.before(p)), default=0) for p in layout.current}
        return min((max(passed[p], before[p]) for p in layout.current), default=0)

    @property
    def layout(self) -> Layout:
        """The partitions of every family."""
        return Layout.among(extent.partition for extent in self.extents)


async def records(log: Readable, partition: Partition, position: int, end: int) -> AsyncIterator[StoredRecord]:
    """The records that stand from `position` on before `end`.

    Raises:
        LogUnavailable: the log ends before; whoever planned with that end saw another log.
    """
    while position < end:
        batch = await log.read(partition, position, MAX_BATCH)
        if not batch.records and batch.next <= position and await log.end(partition) < end:
            raise LogUnavailable(f"{partition} ends before position {end}: records are gone")
        for stored in batch.records:
            if stored.position >= end:
                return
            yield stored
        position = batch.next


async def appends(log: Readable, partition: Partition, position: int, end: int, chain: Chain) -> AsyncIterator[Append]:
    """The appends from `position` on that stand before `end`, held against their hashes; `chain` goes along.

    Raises:
        ChainBroken: an append is not what was written, or the last one has no hash behind it.
    """
    place, open_append = str(partition), list[StoredRecord]()
    async for stored in records(log, partition, position, end):
        chain.add(stored.key, stored.value)
        open_append.append(stored)
        claimed = dict(stored.headers).get(CHAIN)
        if claimed is None:
            continue
        if claimed != chain.close():
            first = open_append[0].position
            raise ChainBroken(f"{place}: a record at positions {first} to {stored.position} was changed")
        yield tuple(open_append)
        open_append = []
    if open_append:
        raise ChainBroken(f"{place}: no hash behind the records from position {open_append[0].position} on")


async def survey(source: Source, codec: Codec, partitions: Sequence[Partition]) -> Plan:
    """How far a log can be copied now.

    Raises:
        ChainBroken: the log is not what was written; there is nothing to be gained from a copy of it.
        UnknownSchema, UndecodableRecord: nobody has published how a record is written, so its cause is not known.
        LogUnavailable: the log does not answer.
    """
    looks = {partition: _Look(source, codec, partition) for partition in partitions}
    for look in looks.values():
        await look.read_on()
    while any([await _follow(looks, partition, seq) for partition, seq in _latest_causes(looks.values()).items()]):
        pass
    return Plan(tuple([await look.extent(looks) for look in looks.values()]))


class _Look:
    """What one partition's records say of how far the others must be copied."""

    def __init__(self, source: Source, codec: Codec, partition: Partition) -> None:
        self._source, self._codec, self._partition = source, codec, partition
        self._position = self._passed = self._answered = self.seq = 0
        self._chain = Chain()
        self.causes: dict[Partition, int] = {}

    async def read_on(self, seq: int | None = None) -> bool:
        """Goes on to the log's end, or to the end of the append that holds `seq`; says whether it moved."""
        before, end = self._position, await self._source.events.end(self._partition)
        async for append in appends(self._source.events, self._partition, self._position, end, self._chain):
            for stored in append:
                self._take(stored)
            self._position = append[-1].position + 1
            if seq is not None and self.seq > seq:
                break
        return self._position > before

    def _take(self, stored: StoredRecord) -> None:
        meta = self._codec.decode_meta(stored.value)
        if not isinstance(meta, FactMeta) or meta.seq != self.seq:
            place = f"{self._partition} position {stored.position}"
            raise ChainBroken(f"{place}: expected a record with seq {self.seq}, found another")
        self.seq += 1
        self._answered = int(dict(stored.headers)[SOURCE]) + 1
        if self._codec.type_of(stored.value) is TimePassed:
            self._passed = self._codec.decode(stored.value)[1].n
        if meta.causation is not None:
            there = caused_in(meta.causation)
            self.causes[there] = max(self.causes.get(there, -1), meta.causation.seq)

    async def extent(self, looks: "Mapping[Partition, _Look]") -> Extent:
        """How far this partition is copied, when all the others have been looked at."""
        commands_end, log = self._answered, self._source.commands
        async for waiting in records(log, self._partition, self._answered, await log.end(self._partition)):
            if not self._has_its_cause(waiting, looks):
                break
            commands_end = waiting.position + 1
        head = self._chain.head.hex()
        return Extent(self._partition, self._position, commands_end, self.seq, self._passed, head)

    def _has_its_cause(self, waiting: StoredRecord, looks: "Mapping[Partition, _Look]") -> bool:
        try:
            cause = self._codec.decode_meta(waiting.value).causation
        except (UnknownSchema, UndecodableRecord):
            return True  # it will be set aside, whatever caused it
        if cause is None:
            return True
        there = looks.get(caused_in(cause))
        return there is None or cause.seq < there.seq


async def _follow(looks: Mapping[Partition, _Look], partition: Partition, seq: int) -> bool:
    """Has the partition copied up to the fact `seq`, which somebody names as a cause; says whether it was missing."""
    there = looks.get(partition)
    if there is None or seq < there.seq:
        return False
    moved = await there.read_on(seq)
    if there.seq <= seq:
        # A cause stands on the log before its effect can: this one is somebody's invention, and nothing is added.
        for look in looks.values():
            look.causes[partition] = min(look.causes.get(partition, -1), there.seq - 1)
    return moved


def _latest_causes(looks: Iterable[_Look]) -> dict[Partition, int]:
    latest = dict[Partition, int]()
    for look in looks:
        for partition, seq in look.causes.items():
            latest[partition] = max(latest.get(partition, -1), seq)
    return latest
