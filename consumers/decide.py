"""The owner of a partition: claim, restore, then read, decide, append; after any doubt begin again."""

from collections.abc import Callable, Iterable

from consumers.limits import APPEND_DEADLINE_S, MAX_BATCH, MAX_RESTORES
from consumers.partition import EvolveFailed, PartitionDecider, Poison
from consumers.ports import CommandLog, EventLog, LogUnavailable, Owner, Partition
from consumers.reading import between

MakeDecider = Callable[[Partition, Iterable[Poison]], PartitionDecider]
"""A fresh, empty `PartitionDecider` for a partition, with what it must set aside."""


class PartitionOwner:
    """Runs one partition on a pair of logs. Crash and start are one path: `start`."""

    def __init__(self, partition: Partition, make: MakeDecider, events: EventLog, commands: CommandLog) -> None:
        self.partition = partition
        self._make, self._events, self._commands = make, events, commands
        self._poison: set[Poison] = set()
        self._batch, self._began = MAX_BATCH, 0
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
        async for stored in between(self._events, self.partition, 0):
            decider.restore(stored)
        decider.restored()
        self.decider = decider

    async def step(self) -> int:
        """Decides what has arrived, at most one batch; returns the number of commands answered on the log.

        Raises:
            LogUnavailable: several restores in a row did not help.
        """
        attempts = 0
        while True:
            try:
                if self._owner is None:
                    await self.start()
                answered = await self._step()
                self._batch = MAX_BATCH
                return answered
            except EvolveFailed as failure:
                # What stands before it is appended by itself, so that no process has to learn it all again.
                self._poison.add(failure.poison)
                self._batch = max(1, failure.source - self._began)
            except LogUnavailable:
                await self.stop()
                attempts += 1
                self._batch = max(1, self._batch // 2)
                if attempts == MAX_RESTORES:
                    raise

    async def _step(self) -> int:
        self._began = self.decider.source
        batch = await self._commands.read(self.partition, self.decider.source, self._batch)
        if not batch.records:
            return 0
        try:
            records = self.decider.decide(batch.records)
            assert self._owner is not None
            await self._owner.append(records, APPEND_DEADLINE_S)
        except BaseException:
            # The memory is ahead of the log, whatever it was; nobody may decide from it.
            await self.stop()
            raise
        return len(batch.records)

    async def stop(self) -> None:
        """Gives the partition up; the memory is gone with it."""
        owner, self._owner = self._owner, None
        if owner is not None:
            await owner.close()
