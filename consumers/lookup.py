"""Looking into the log: a record by its number, the facts of a key, the state that they make."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from consumers.ports import CommandLog, EventLog, Partition, StoredRecord
from consumers.reading import between
from domain.decider import Decider
from schemas.catalog import is_runtime_record
from schemas.codec import Codec, UndecodableRecord, UnknownSchema
from schemas.envelope import CommandMeta, FactMeta, Recorded


@dataclass(frozen=True, slots=True)
class Entry:
    """A record or a command as it stands; `meta` and `body` are none where this release cannot read it."""

    partition: Partition
    stored: StoredRecord
    meta: Any
    body: Any
    unreadable: str

    @property
    def key(self) -> str:
        """The family's key."""
        return self.stored.key.decode(errors="replace")

    @property
    def fact(self) -> Recorded[Any]:
        """The record as a fact; only of what could be read."""
        assert isinstance(self.meta, FactMeta)
        return Recorded(self.partition.family, self.partition.number, self.key, self.meta, self.body)

    @property
    def command(self) -> CommandMeta:
        """The envelope of a command; only of what could be read."""
        assert isinstance(self.meta, CommandMeta)
        return self.meta


@dataclass(frozen=True, slots=True)
class StateOfKey:
    """What the facts of a key make of it; `last` is the last of them, none when there are none."""

    state: Any
    facts: int
    last: FactMeta | None


def read(codec: Codec, partition: Partition, stored: StoredRecord) -> Entry:
    """A record with its message, if this release can read it."""
    try:
        meta, body = codec.decode(stored.value)
    except (UnknownSchema, UndecodableRecord) as error:
        return Entry(partition, stored, None, None, str(error))
    return Entry(partition, stored, meta, body, "")


async def record_at(events: EventLog, codec: Codec, partition: Partition, seq: int) -> StoredRecord | None:
    """The record with this number, found in few steps; none where the log does not reach so far.

    Raises:
        UnknownSchema, UndecodableRecord: a record on the way cannot be read.
        LogUnavailable: the log does not answer.
    """
    # Each record takes at least one position, so the number of a record is at most its position, and going on by
    # the numbers that are lacking never goes too far.
    position, end = seq, await events.end(partition)
    while position < end:
        batch = await events.read(partition, position, 1)
        if not batch.records:
            position = batch.next
            continue
        [stored] = batch.records
        lacking = seq - _seq(codec.decode_meta(stored.value))
        if lacking == 0:
            return stored
        position = stored.position + lacking
    return None


async def command_at(commands: CommandLog, codec: Codec, partition: Partition, position: int) -> Entry | None:
    """The command at a position; none where there is none."""
    found = (await commands.read(partition, position, 1)).records
    return read(codec, partition, found[0]) if found and found[0].position == position else None


async def records_from(
    events: EventLog, codec: Codec, partition: Partition, seq: int, *, runtime: bool = True
) -> AsyncIterator[Entry]:
    """The records from a number on; without `runtime` only facts, and what cannot be read."""
    first = await record_at(events, codec, partition, seq)
    if first is not None:
        async for stored in between(events, partition, first.position):
            entry = read(codec, partition, stored)
            if runtime or entry.unreadable or not is_runtime_record(entry.body):
                yield entry


async def history(events: EventLog, codec: Codec, homes: Sequence[Partition], key: str) -> AsyncIterator[Entry]:
    """The facts of a key, in order, from where it was and is; only its own records are decoded."""
    encoded = key.encode()
    for partition in homes:
        async for stored in between(events, partition, 0):
            if stored.key == encoded:
                entry = read(codec, partition, stored)
                if entry.unreadable or not is_runtime_record(entry.body):
                    yield entry


async def state_of(
    events: EventLog, codec: Codec, decider: Decider, homes: Sequence[Partition], key: str, before: int | None = None
) -> StateOfKey:
    """The state of a key as of a cut-off: what all facts with a smaller tick than `before` make of it (none: all).

    Raises:
        UnknownSchema, UndecodableRecord: a fact is newer than this release; none is passed over.
    """
    state, facts, last = decider.initial(key), 0, None
    async for entry in history(events, codec, homes, key):
        meta, body = codec.decode(entry.stored.value)
        if before is not None and meta.tick.n >= before:
            break  # ticks of a partition never go back
        fact = Recorded(entry.partition.family, entry.partition.number, key, meta, body)
        state, facts, last = decider.evolve(state, fact), facts + 1, meta
    return StateOfKey(state, facts, last)


def _seq(meta: CommandMeta | FactMeta) -> int:
    assert isinstance(meta, FactMeta), "an events log holds records"
    return meta.seq
