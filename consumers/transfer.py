"""A whole log copied: embedded, Kafka and files are each a `Source` and a `Sink`, and nothing else differs.

Appends stay appends, records keep key, value, headers and number; only the header `source_offset` names the
command's new position where the target gives it one. So ids, chain and decisions stay what they were.

A log that is being filled is noted as unfinished until it is whole, and no deployment starts on it. Filling goes
on where it was interrupted: what stands already must be the beginning of what is copied.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, Protocol

from consumers.chain import Chain
from consumers.extent import Append, Extent, Plan, Source, appends, records
from consumers.limits import APPEND_DEADLINE_S, MAX_BATCH, SEND_DEADLINE_S
from consumers.ports import CommandLog, EventLog, LogUnavailable, NewRecord, Owner, Partition, StoredRecord
from consumers.reading import SOURCE, between

_AT_ONCE: Final = 8
"""Partitions copied side by side."""

_BYTES: Final = 4 * 1024 * 1024
"""Values sent or appended at once, and up to one record or append more."""


class TransferRefused(RuntimeError):
    """A log cannot be copied there or from there. One sentence: what was found and what to do."""


class LogUnfinished(LogUnavailable):
    """A log is being filled and is not whole: whoever would work on it waits."""


class Part:
    """One partition of what is copied; every call reads it again from its beginning."""

    def __init__(self, source: Source, extent: Extent) -> None:
        self._source, self.extent = source, extent
        self.partition = extent.partition

    def commands(self) -> AsyncIterator[StoredRecord]:
        """The commands, in order."""
        return records(self._source.commands, self.partition, 0, self.extent.commands_end)

    async def appends(self) -> AsyncIterator[Append]:
        """The appends, in order.

        Raises:
            ChainBroken: an append is not what was written.
            TransferRefused: the records are others than those that were planned.
        """
        chain, count = Chain(), 0
        async for append in appends(self._source.events, self.partition, 0, self.extent.events_end, chain):
            count += len(append)
            yield append
        if (count, chain.head.hex()) != (self.extent.records, self.extent.head):
            raise TransferRefused(
                f"{self.partition}: expected {self.extent.records} records that end with the hash"
                f" {self.extent.head or 'of nothing'}, found {count} that end with {chain.head.hex() or 'none'}: the"
                " source is not what it was when the copy was planned"
            )


class Sink(Protocol):
    """Where a log is copied to."""

    async def begin(self, plan: Plan) -> None:
        """Makes room, or goes on with what was begun.

        Raises:
            TransferRefused: something else stands there.
        """

    async def take(self, part: Part) -> None:
        """Takes one partition; several may be taken side by side."""

    async def finish(self, plan: Plan) -> None:
        """Says that everything is there: only now it looks whole."""

    async def close(self) -> None:
        """Lets go, finished or not; never raises."""


class Unfinished(Protocol):
    """Where it is noted that a deployment's log is being filled, outside of that log."""

    async def hold(self) -> str | None:
        """Becomes the only one who fills the log until `release`; returns what it is being filled with already.

        Raises:
            TransferRefused: somebody else is filling it now.
        """

    async def note(self, origin: str) -> None:
        """From now on the log is unfinished, and is being filled with this."""

    async def clear(self) -> None:
        """It is whole."""

    async def release(self) -> None:
        """Lets others fill it; never raises."""


async def copy(source: Source, plan: Plan, sink: Sink, also: Callable[[], Awaitable[None]] | None = None) -> None:
    """Copies everything that is planned.

    Args:
        also: copies what else belongs to the whole; runs when there is room, before anything is whole.

    Raises:
        TransferRefused, ChainBroken: see there.
        LogUnavailable: copy again, it goes on from there.
    """
    try:
        await sink.begin(plan)
        if also is not None:
            await also()
        turns = asyncio.Semaphore(_AT_ONCE)

        async def take(extent: Extent) -> None:
            async with turns:
                await sink.take(Part(source, extent))

        async with asyncio.TaskGroup() as group:
            for extent in plan.extents:
                group.create_task(take(extent))
        await sink.finish(plan)
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None  # the others were cancelled because of it
    finally:
        await sink.close()


class LogSink:
    """Fills the empty log of a deployment, or goes on filling it.

    Args:
        origin: what it is filled with, in words; an interrupted copy goes on only from the same origin.
    """

    def __init__(self, events: EventLog, commands: CommandLog, unfinished: Unfinished, origin: str) -> None:
        self._events, self._commands, self._unfinished, self._origin = events, commands, unfinished, origin

    async def begin(self, plan: Plan) -> None:
        """As `Sink.begin`; the partitions are made, as many as in the source."""
        began = await self._unfinished.hold()
        if began not in (None, self._origin):
            raise TransferRefused(
                f"a copy of {began} was begun here and is not finished: finish it, or take a deployment without records"
            )
        partitions = [extent.partition for extent in plan.extents]
        await asyncio.gather(self._events.create(partitions), self._commands.create(partitions))
        if began is None:
            await self._demand_emptiness(partitions)
            await self._unfinished.note(self._origin)

    async def _demand_emptiness(self, partitions: Sequence[Partition]) -> None:
        for log in (self._events, self._commands):
            for partition in partitions:
                # Markers that are no records may stand there; they are nothing.
                async for found in between(log, partition, 0):
                    raise TransferRefused(
                        f"{partition} holds a record already (position {found.position}): a log is copied to an"
                        " empty deployment only, so take another data folder or deployment name"
                    )

    async def take(self, part: Part) -> None:
        """As `Sink.take`: all commands, then all appends; what stands already is compared."""
        await self._send_missing(part)
        owner = await self._events.claim(part.partition)
        try:
            await self._append_missing(part, owner)
        finally:
            await owner.close()

    async def finish(self, plan: Plan) -> None:
        """As `Sink.finish`."""
        await self._unfinished.clear()

    async def close(self) -> None:
        """As `Sink.close`."""
        await self._unfinished.release()

    async def _send_missing(self, part: Part) -> None:
        standing = between(self._commands, part.partition, 0)
        lacking, size = list[tuple[Partition, NewRecord]](), 0
        async for command in part.commands():
            there = await anext(standing, None)
            if there is not None:
                self._demand_same(part, there, command.key, command.value, command.headers)
                continue
            lacking.append((part.partition, NewRecord(command.key, command.value, tuple(command.headers))))
            size += len(command.value)
            if len(lacking) == MAX_BATCH or size > _BYTES:
                await self._commands.send(lacking, SEND_DEADLINE_S)
                lacking, size = [], 0
        if lacking:
            await self._commands.send(lacking, SEND_DEADLINE_S)

    async def _append_missing(self, part: Part, owner: Owner) -> None:
        moved = _Moved(part, between(self._commands, part.partition, 0))
        standing = between(self._events, part.partition, 0)
        waiting, size = list[NewRecord](), 0
        async for append in part.appends():
            for record in [await moved.record(stored) for stored in append]:
                there = await anext(standing, None)
                if there is not None:
                    self._demand_same(part, there, record.key, record.value, record.headers)
                    continue
                waiting.append(record)
                size += len(record.value)
            if len(waiting) >= MAX_BATCH or size > _BYTES:
                await owner.append(waiting, APPEND_DEADLINE_S)
                waiting, size = [], 0
        if waiting:
            await owner.append(waiting, APPEND_DEADLINE_S)
        await moved.rest()
        if (more := await anext(standing, None)) is not None:
            raise _differs(part.partition, f"a record at position {more.position} is none of the source's")

    def _demand_same(
        self, part: Part, there: StoredRecord, key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]]
    ) -> None:
        if (there.key, there.value, tuple(there.headers)) != (key, value, tuple(headers)):
            raise _differs(part.partition, f"what stands at position {there.position} is not the source's")


class _Moved:
    """The commands of a partition at their old and at their new place, walked through side by side, once."""

    def __init__(self, part: Part, there: AsyncIterator[StoredRecord]) -> None:
        self._partition, self._here, self._there = part.partition, part.commands(), there
        self._old = self._new = -1

    async def record(self, stored: StoredRecord) -> NewRecord:
        """The record as the target has it: its command's new position in the header, all else as it was."""
        source = int(dict(stored.headers)[SOURCE])
        while self._old < source:
            if not await self._step():
                break
        if self._old != source:
            raise TransferRefused(
                f"{self._partition}: the record at position {stored.position} names the command at position"
                f" {source}, which the source does not hold"
            )
        renamed = str(self._new).encode()
        return NewRecord(
            stored.key, stored.value, tuple([(n, renamed if n == SOURCE else v) for n, v in stored.headers])
        )

    async def rest(self) -> None:
        """Walks on to the end: here and there must be the same commands, and no more."""
        while await self._step():
            pass

    async def _step(self) -> bool:
        here, there = await anext(self._here, None), await anext(self._there, None)
        if here is None and there is None:
            return False
        if here is None or there is None or (here.key, here.value) != (there.key, there.value):
            where = f"position {there.position}" if there is not None else "the end"
            raise _differs(self._partition, f"the commands differ from the source's from {where} on")
        self._old, self._new = here.position, there.position
        return True


def _differs(partition: Partition, what: str) -> TransferRefused:
    return TransferRefused(f"{partition}: {what}: begin again with an empty deployment, this one will never be whole")
