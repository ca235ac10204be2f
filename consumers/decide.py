"""The owner of a partition: claim, restore, then read, decide, append; after any doubt begin again."""

from collections.abc import Callable, Iterable

from consumers.limits import APPEND_DEADLINE_S, MAX_BATCH, MAX_RESTORES
from consumers.partition import EvolveFailed, PartitionDecider
from consumers.ports import CommandLog, EventLog, LogUnavailable, Owner, Partition

MakeDecider = Callable[[Partition, Iterable[int]], PartitionDecider]
"""A fresh, empty `PartitionDecider` for a partition, with the commands that it must set aside."""


class PartitionOwner:
    """Runs one partition on a pair of logs. Crash and start are one path: `start`."""

    def __init__(self, partition: Partition, make: MakeDecider, events: EventLog, commands: CommandLog) -> None:
        self.partition = partition
        self._make, self._events, self._commands = make, events, commands
        self._poison: set[int] = set()
        self._owner: Owner | None = None
        self.decider = make(partition, ())

    async def start(self) -> None:
        """Claims the partition (fences whoever had it) and restores the memory up to the log's end.

        Raises:
            ChainBroken, UnknownSchema, UndecodableRecord: the record is not what was written, or is newer
                than this release; an owner does not go on from that.
            LogUnavailable: the log does not answer.
        """
        await self.stop()
        decider = self._make(self.partition, self._poison)
        self._owner = await self._events.claim(self.partition)
        position, end = 0, await self._events.end(self.partition)
        while position < end:
            batch = await self._events.read(self.partition, position, MAX_BATCH)
            for stored in batch.records:
                decider.restore(stored)
            position = batch.next
        self.decider = decider

    async def step(self) -> int:
        """Decides what has arrived, at most one batch; returns the number of commands answered on the log.

        Raises:
            LogUnavailable: several restores in a row did not help.
        """
        for attempt in range(MAX_RESTORES):
            try:
                if self._owner is None:
                    await self.start()
                return await self._step()
            except EvolveFailed as failure:
                self._poison.add(failure.source)
                await self.stop()
            except LogUnavailable:
                await self.stop()
                if attempt == MAX_RESTORES - 1:
                    raise
        raise LogUnavailable(
            f"{self.partition.family}/{self.partition.number}: {MAX_RESTORES} restores in a row did not help; "
            f"commands that make evolve raise: {sorted(self._poison)}"
        )

    async def _step(self) -> int:
        batch = await self._commands.read(self.partition, self.decider.source, MAX_BATCH)
        if not batch.records:
            return 0
        records = self.decider.decide(batch.records)
        assert self._owner is not None
        await self._owner.append(records, APPEND_DEADLINE_S)
        return len(batch.records)

    async def stop(self) -> None:
        """Gives the partition up; the memory is gone with it."""
        owner, self._owner = self._owner, None
        if owner is not None:
            await owner.close()
