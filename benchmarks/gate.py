"""What lets a running part of the product be measured in rounds: logs that show themselves bit by bit, and a count."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from consumers.ports import Batch, CommandLog, EventLog, NewRecord, Owner, Partition
from consumers.report import BATCH, COMMANDS, PROJECTED, Metric, Silent


class _Log(Protocol):
    async def create(self, partitions: Sequence[Partition]) -> None: ...

    async def read(self, partition: Partition, position: int, limit: int) -> Batch: ...

    async def end(self, partition: Partition) -> int: ...

    async def wait(self, partition: Partition, position: int, timeout: float) -> bool: ...


class Gate:
    """A log that shows what stands before `end` only, until it is opened further; of every partition the same."""

    def __init__(self, log: _Log, end: int = 0) -> None:
        self._log, self._end = log, end
        self._opened = asyncio.Event()

    def open(self, end: int) -> None:
        """Shows everything before `end`."""
        self._end = end
        self._opened.set()
        self._opened = asyncio.Event()

    async def create(self, partitions: Sequence[Partition]) -> None:
        """As the log."""
        await self._log.create(partitions)

    async def read(self, partition: Partition, position: int, limit: int) -> Batch:
        """As the log, up to the gate."""
        end = self._end
        if position >= end:
            return Batch((), position)
        batch = await self._log.read(partition, position, limit)
        if not batch.records or batch.records[-1].position < end:
            return Batch(batch.records, min(batch.next, end))
        return Batch(tuple(stored for stored in batch.records if stored.position < end), end)

    async def end(self, partition: Partition) -> int:
        """As the log, up to the gate."""
        return min(self._end, await self._log.end(partition))

    async def wait(self, partition: Partition, position: int, timeout: float) -> bool:
        """As the log, up to the gate."""
        if position < self._end:
            return await self._log.wait(partition, position, timeout)
        opened = self._opened
        try:
            await asyncio.wait_for(opened.wait(), timeout)
        except TimeoutError:
            return False
        return position < self._end


class CommandGate(Gate):
    """A command log behind a gate."""

    def __init__(self, log: CommandLog) -> None:
        super().__init__(log)
        self._commands = log

    async def send(self, commands: Sequence[tuple[Partition, NewRecord]], deadline: float) -> None:
        """As the log."""
        await self._commands.send(commands, deadline)


class EventGate(Gate):
    """An event log behind a gate."""

    def __init__(self, log: EventLog) -> None:
        super().__init__(log)
        self._events = log

    async def claim(self, partition: Partition) -> Owner:
        """As the log."""
        return await self._events.claim(partition)


class Counted(Silent):
    """Counts what the parts tell: commands answered on the log, appends, facts projected."""

    def __init__(self) -> None:
        self.commands = self.appends = self.projected = 0
        self._changed = asyncio.Event()

    def add(self, metric: Metric, *labels: str, value: float = 1) -> None:
        """Takes a number in."""
        if metric is COMMANDS:
            self.commands += int(value)
        elif metric is BATCH:
            self.appends += 1
        elif metric is PROJECTED:
            self.projected += int(value)
        else:
            return
        self._changed.set()

    async def until(self, *, commands: int = 0, projected: int = 0) -> None:
        """Waits until so many are answered and projected, all in all."""
        while self.commands < commands or self.projected < projected:
            self._changed.clear()
            await self._changed.wait()
