"""Records as they are read: headers by name, decoding, and a partition from one position to another."""

from collections.abc import AsyncIterator
from typing import Any, Final

from consumers.limits import MAX_BATCH
from consumers.ports import CommandLog, EventLog, Partition, StoredRecord
from schemas.codec import Codec
from schemas.envelope import Recorded

CHAIN: Final = "chain"
SOURCE: Final = "source_offset"
COMMAND_ID: Final = "command_id"


def recorded(codec: Codec, partition: Partition, stored: StoredRecord) -> Recorded[Any]:
    """A stored record as a fact with its envelope.

    Raises:
        UnknownSchema, UndecodableRecord: the bytes are no record of this or an older release.
    """
    meta, body = codec.decode(stored.value)
    return Recorded(partition.family, partition.number, stored.key.decode(errors="replace"), meta, body)


async def batches(
    log: EventLog, codec: Codec, partition: Partition, position: int, end: int | None = None
) -> AsyncIterator[tuple[list[Recorded[Any]], int]]:
    """The facts that `between` finds, at most `MAX_BATCH` at a time, each time with the next position to read."""
    facts, behind = list[Recorded[Any]](), position
    async for stored in between(log, partition, position, end):
        facts.append(recorded(codec, partition, stored))
        behind = stored.position + 1
        if len(facts) == MAX_BATCH:
            yield facts, behind
            facts = []
    if facts:
        yield facts, behind


async def between(
    log: EventLog | CommandLog, partition: Partition, position: int, end: int | None = None
) -> AsyncIterator[StoredRecord]:
    """The records from `position` on that stand before `end` (none: what is the end now), batch by batch."""
    if end is None:
        end = await log.end(partition)
    while position < end:
        batch = await log.read(partition, position, MAX_BATCH)
        for stored in batch.records:
            if stored.position >= end:
                return
            yield stored
        position = batch.next
