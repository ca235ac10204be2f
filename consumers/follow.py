"""Followers: memory built from records, ahead of a takeover or because of one.

Whoever owns a partition was its follower first: from a snapshot where one fits, else from the first
record, up to the log's end. A standby does the same all the time and takes over in one step.
"""

import asyncio
import time
from collections.abc import Callable, Iterable

from consumers.failures import GenerationIsOver, Poison
from consumers.garbage import GARBAGE
from consumers.limits import MAX_BATCH, SNAPSHOT_EVERY
from consumers.partition import PartitionDecider
from consumers.ports import EventLog, Partition, Snapshots
from consumers.reading import CHAIN, last_record, news
from consumers.report import RESTORE, SNAPSHOT, Condition, Report, Silent
from consumers.snapshot import Position, UnusableSnapshot, taken, written
from schemas.values import MAX_PARTITIONS

MakeDecider = Callable[[Partition, Iterable[Poison]], PartitionDecider]
"""A fresh, empty `PartitionDecider` for a partition, with what it must set aside."""


class Follower:
    """The memory of one partition as its records tell it, up to `position`.

    Args:
        make: makes the empty memory.
        snapshots: where to begin and where to save; without it everything is read.
        every: records between two snapshots.
    """

    def __init__(
        self,
        partition: Partition,
        make: MakeDecider,
        events: EventLog,
        snapshots: Snapshots | None = None,
        report: Report | None = None,
        every: int = SNAPSHOT_EVERY,
    ) -> None:
        self.partition, self._make, self._events = partition, make, events
        self._snapshots, self._report, self._every = snapshots, report or Silent(), every
        self._saved_seq = 0
        self._started = self._caught_up = False
        self.position = 0
        self.decider = make(partition, ())

    async def catch_up(self, poison: Iterable[Poison] = (), *, final: bool = False) -> PartitionDecider:
        """Takes in everything up to the log's end as it is now; the first call begins with the snapshot.

        Args:
            final: nobody writes any more. Else the memory may stand amid an append that came while it was read.

        Raises:
            ChainBroken, FactNotEvolved, UnknownSchema, UndecodableRecord: the record is not what was written, or is
                newer than this release; nobody goes on from that.
            LogUnavailable: the log does not answer.
        """
        began, first = time.perf_counter(), not self._caught_up
        if not self._started:
            self.position = await self._load()
            self._started = True
        self.decider.also_set_aside(poison)
        await self._read_to(await self._events.end(self.partition))
        if final:
            self.decider.restored()
        self._caught_up = True
        if first:
            self._report.add(RESTORE, self.partition.family, value=time.perf_counter() - began)
        return self.decider

    async def follow(self, stop: asyncio.Event) -> None:
        """Goes on reading until `stop`, saving snapshots on the way.

        Raises: as `catch_up`.
        """
        while not stop.is_set():
            await self.catch_up()
            await self.save()
            self._report.condition(str(self.partition), Condition.FOLLOWING)
            await news(self._events, self.partition, self.position, stop)

    @property
    def caught_up(self) -> bool:
        """Whether the memory has once stood at the log's end."""
        return self._caught_up

    @property
    def due(self) -> bool:
        """Whether enough has happened since the last snapshot."""
        return self._snapshots is not None and self.decider.seq - self._saved_seq >= self._every

    async def save(self) -> None:
        """Saves a snapshot if one is due and the memory stands at the end of an append."""
        if self._snapshots is None or not self.due or not self.decider.whole:
            return
        self._saved_seq = self.decider.seq
        began = time.perf_counter()
        try:
            data = written(self.partition, self.decider, self.position)
            await self._snapshots.save(self.partition, data)
        except Exception as error:  # also what has no bytes: a snapshot saves work, and nobody stops for want of it
            self._report.say("snapshot not written", partition=str(self.partition), reason=str(error), alarm=True)
            return
        self._report.add(SNAPSHOT, self.partition.family, value=time.perf_counter() - began)

    async def _load(self) -> int:
        """Begins with the snapshot, else with what earlier generations leave; returns the next position."""
        self.decider = self._make(self.partition, ())
        try:
            data = None if self._snapshots is None else await self._snapshots.load(self.partition)
            if data is not None:
                place = taken(self.partition, self.decider, data)
                await self._recognise(place)
                self._saved_seq = place.seq
                return place.position
        except (OSError, UnusableSnapshot) as error:
            self._report.say("snapshot ignored", partition=str(self.partition), reason=str(error), alarm=True)
            self.decider = self._make(self.partition, ())
        await inherit(self.decider, self._make, self._events, self._snapshots, self._report)
        return 0

    async def _recognise(self, place: Position) -> None:
        """Holds a snapshot against the log: the hash that it ends with must stand right before its position.

        Numbers and positions say nothing: another log of this name has the same ones. And who was stopped between
        an append and the look at its position has labelled with what a successor wrote.
        """
        if place.position > await self._events.end(self.partition):
            raise UnusableSnapshot(f"it stands at position {place.position}, behind the log's end")
        last = await last_record(self._events, self.partition, place.position)
        _, head = self.decider.image()
        if (b"" if last is None else dict(last.headers).get(CHAIN)) != head:
            raise UnusableSnapshot(f"what the log holds before position {place.position} is not what it has taken in")

    async def _read_to(self, end: int) -> None:
        while self.position < end:
            batch = await self._events.read(self.partition, self.position, MAX_BATCH)
            for stored in batch.records:
                self.decider.restore(stored)
                self.position = stored.position + 1  # so that a record which is read later is the next one
            self.position = batch.next
            GARBAGE.grown(len(batch.records))
            await asyncio.sleep(0)  # the heartbeats of this process go on


async def inherit(
    decider: PartitionDecider,
    make: MakeDecider,
    events: EventLog,
    snapshots: Snapshots | None = None,
    report: Report | None = None,
) -> None:
    """Puts into an empty memory what the generations before leave to its partition; nothing for the first one.

    Raises:
        GenerationIsOver: the one before has not ended.
        ChainBroken, FactNotEvolved, UnknownSchema, UndecodableRecord, LogUnavailable: as `Follower.catch_up`.
    """
    first = (decider.partition.generation - 2) * MAX_PARTITIONS
    for number in range(first, first + decider.earlier):  # one after the other: each is as large as the whole may be
        parent = Partition(decider.partition.family, number)
        memory = await Follower(parent, make, events, snapshots, report).catch_up(final=True)
        if memory.followed_by != decider.partitions:
            raise GenerationIsOver(
                f"{parent} should be followed by {decider.partitions} partitions, and is by"
                f" {memory.followed_by or 'none'}: end its generation with `gridbook topics grow`, or correct"
                " GRIDBOOK_FAMILY_PARTITIONS"
            )
        decider.take_over(memory)
