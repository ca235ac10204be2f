"""Records as they are read: headers by name, decoding, and a partition from one position to another."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final

from consumers.limits import IDLE_WAIT_S, MAX_BATCH
from consumers.ports import CommandLog, EventLog, Headers, LogUnavailable, Partition, StoredRecord
from schemas.codec import Codec
from schemas.envelope import Recorded

CHAIN: Final = "chain"
SOURCE: Final = "source_offset"
COMMAND_ID: Final = "command_id"
SENT: Final = "sent_at"
"""When a door sent a command (UTC µs, text); on one command of a batch, to measure the whole way."""

TRACE: Final = {"traceparent": 64, "tracestate": 512, SENT: 20}
"""Trace context (W3C) and sending time, each with its longest: what follows from a record carries them on; nobody
judges by them."""


USUAL_HEADERS: Final = 2
"""Of a fact: its source and its command's id. Only one with more can have a trace."""


def traced(headers: Headers) -> Headers:
    """The trace context among the headers; mostly there is none. What is longer than it can be is none: it would be
    in every fact that follows."""
    if len(headers) == 1:  # the command id, as from every door that traces nothing
        return ()
    return tuple((name, value) for name, value in headers if len(value) <= TRACE.get(name, -1))


def handed_on(headers: Headers) -> Headers:
    """The trace context for what a record causes; when it was sent is its own."""
    return tuple(header for header in traced(headers) if header[0] != SENT)


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


async def last_record(log: EventLog | CommandLog, partition: Partition, end: int | None = None) -> StoredRecord | None:
    """The last record before `end` (default: the end now), looked for backwards in growing steps; none without any."""
    if end is None:
        end = await log.end(partition)
    begin, step = end, 1
    while begin > 0:
        begin, step = max(0, begin - step), step * 8
        last = None
        async for stored in between(log, partition, begin, end):
            last = stored
        if last is not None:
            return last
    return None


async def news(
    log: EventLog | CommandLog,
    partition: Partition,
    position: int,
    stop: asyncio.Event,
    timeout: float = IDLE_WAIT_S,
    work: "asyncio.Future[Any] | None" = None,
) -> None:
    """Waits until something stands at `position` or behind it, or until `stop`; not longer than `timeout` seconds,
    and not longer than `work` is under way.

    Raises:
        LogUnavailable: the log does not answer.
    """
    waiting = asyncio.ensure_future(log.wait(partition, position, timeout))
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({waiting, stopped, work or waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
        if not waiting.done():
            waiting.cancel()
            with suppress(asyncio.CancelledError, LogUnavailable):
                await waiting
    if not waiting.cancelled():
        waiting.result()
