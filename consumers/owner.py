"""The owner of a partition: claim, restore, then read, decide, append; after any doubt begin again."""

import asyncio
import time
from contextlib import suppress
from typing import Final

from consumers.failures import EvolveFailed, Poison
from consumers.follow import Follower, MakeDecider
from consumers.garbage import GARBAGE
from consumers.limits import DECIDE_SLICE, GATHER_S, LOOP_TURNS, MAX_RESTORES, OwnerLimits
from consumers.newer import NewerSchemas
from consumers.ports import Batch, CommandLog, EventLog, Fenced, LogUnavailable, NewRecord, Owner, Partition, Snapshots
from consumers.reading import news
from consumers.report import (
    APPEND,
    BATCH,
    CLAIMS,
    COMMANDS,
    DECIDE,
    FACTS,
    FENCED,
    REFUSALS,
    SET_ASIDE,
    Condition,
    Report,
    Silent,
)

__all__ = ["MakeDecider", "PartitionOwner", "TooManySetAside"]

DEFAULTS: Final = OwnerLimits()


class TooManySetAside(RuntimeError):
    """So many commands in a row were set aside that the owner rests until an operator has looked."""


class PartitionOwner:
    """Runs one partition on a pair of logs. Crash and start are one path: `start`.

    Args:
        make: makes the empty memory.
        snapshots: where restoring may begin and where memory is saved; none: everything is read again.
        limits: of its appends and snapshots.
        newer: where schemas of commands are found that this release does not know.
    """

    def __init__(
        self,
        partition: Partition,
        make: MakeDecider,
        events: EventLog,
        commands: CommandLog,
        snapshots: Snapshots | None = None,
        report: Report | None = None,
        limits: OwnerLimits = DEFAULTS,
        newer: NewerSchemas | None = None,
    ) -> None:
        self.partition, self._newer = partition, newer
        self._make, self._events, self._commands = make, events, commands
        self._snapshots, self._report, self._every = snapshots, report or Silent(), limits.snapshot_every
        self._limits = limits
        self._labels = (partition.family, str(partition.number))
        self._poison: set[Poison] = set()
        self._began = 0
        self.batch = limits.commands
        """Commands of the next append, at most: fewer after a failure, until one stands."""
        self._counted = (0, 0)
        self._owner: Owner | None = None
        self._committing: asyncio.Task[None] | None = None
        self._follower: Follower | None = None
        self.decider = make(partition, ())

    # -- claim and restore -------------------------------------------------------------------------

    async def start(self, follower: Follower | None = None) -> None:
        """Claims the partition (fences whoever had it) and restores the memory up to the log's end.

        Args:
            follower: one that has read ahead: taking over is reading what came since.

        Raises:
            ChainBroken, FactNotEvolved, UnknownSchema, UndecodableRecord: the record is not what was written, or is
                newer than this release; an owner does not go on from that.
            LogUnavailable: the log does not answer.
        """
        await self.stop()
        if self._follower is not None:
            GARBAGE.dropped()
        self._follower = follower or Follower(
            self.partition, self._make, self._events, self._snapshots, self._report, self._every
        )
        self._owner = await self._events.claim(self.partition)
        self._report.add(CLAIMS, *self._labels)
        self.decider = await self._follower.catch_up(self._poison, final=True)
        self.decider.most_aside, self.decider.most_bytes = self._limits.set_aside, self._limits.bytes

    async def stop(self) -> None:
        """Gives the partition up; the memory is gone with it."""
        owner, self._owner = self._owner, None
        committing, self._committing = self._committing, None
        if committing is not None:
            committing.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await committing
        if owner is not None:
            await owner.close()

    # -- one batch after the other -----------------------------------------------------------------

    async def step(self) -> int:
        """Decides what has arrived, at most one batch; returns the number of commands answered on the log.

        Raises:
            LogUnavailable: several restores in a row did not help.
            TooManySetAside: see there.
        """
        attempts = 0
        while True:
            try:
                if self._owner is None:
                    await self.start()
                return await self._step()
            except EvolveFailed as failure:
                self._blame(failure)
            except LogUnavailable:
                await self.stop()
                attempts += 1
                self.batch = max(1, self.batch // 2)
                if attempts == MAX_RESTORES:
                    raise

    async def _step(self) -> int:
        self._began = self.decider.source
        batch = await self._commands.read(self.partition, self.decider.source, self.batch)
        await self._look_up(batch)
        if not batch.records:
            return 0
        try:
            taken = self.decider.take(batch.records)
            await self._append(self._sealed(), taken)
        except BaseException:
            # The memory is ahead of the log, whatever it was; nobody may decide from it.
            await self.stop()
            raise
        self._look_aside()
        return taken

    def _blame(self, failure: EvolveFailed) -> None:
        # What stands before it is appended by itself, so that no process has to learn it all again.
        if failure.poison in self._poison:
            raise failure  # setting it aside has not helped: it is another mistake than the one that this is for
        self._poison.add(failure.poison)
        self.batch = max(1, failure.source - self._began)

    # -- without a pause ---------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event, follower: Follower | None = None) -> None:
        """Claims, restores, and decides until `stop`: while one append commits, what arrives is decided already.

        An append holds what arrived while the one before it was committing, within the limits. The memory is then
        ahead of the log; nothing of it is shown before the commit, and after any error it is thrown away.

        Raises:
            Fenced: somebody claimed the partition later.
            LogUnavailable: the log does not answer, or an outcome is unknown: run again.
            TooManySetAside: see there.
            ChainBroken, FactNotEvolved, UnknownSchema, UndecodableRecord: as `start`.
        """
        try:
            while not stop.is_set():
                try:
                    await self.start(follower)
                    follower = None
                    self._report.condition(str(self.partition), Condition.RUNNING)
                    await self._run(stop)
                except EvolveFailed as failure:
                    try:
                        await self._committed()
                    finally:
                        self._blame(failure)
        except Fenced:
            self._report.add(FENCED, *self._labels)
            raise
        finally:
            await self.stop()

    async def _run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self._began = self.decider.source
            taken = await self._gather(stop)
            await self._committed()
            if self._snapshot_due():
                await self._append(self._sealed(), taken)
                await self._save()
            elif taken:
                self._committing = asyncio.create_task(self._append(self._sealed(), taken))
            if self._too_many:
                await self._committed()
                self._look_aside()
        await self._committed()

    async def _gather(self, stop: asyncio.Event) -> int:
        """Decides what arrives until the append under way is done (or, when none is, until something has arrived)."""
        decider, limits, taken, spent = self.decider, self._limits, 0, 0.0
        position, more, news_there = decider.source, False, True
        while not stop.is_set():
            room = self.batch - taken
            if room <= 0 or decider.open_bytes >= limits.bytes or spent >= limits.seconds or self._too_many:
                break
            committing = self._committing
            if decider.followed_by and (taken or committing is not None):
                break  # what ended the generation stands first; only then is it said that nothing else is decided
            done = committing is None or committing.done()
            if done and taken and not (more and spent < GATHER_S):
                break
            if done and not taken and committing is not None:
                break  # it may have failed
            if not news_there:
                if committing is None:
                    GARBAGE.calm()
                await news(self._commands, self.partition, position, stop, work=committing)
                news_there = True
                continue
            wanted = min(room, DECIDE_SLICE)
            batch = await self._commands.read(self.partition, position, wanted)
            # Behind its last record there may be places that hold none: they are no news.
            position, more = batch.next, len(batch.records) == wanted
            news_there = more
            await self._look_up(batch)
            if batch.records:
                began = time.perf_counter()
                links = (stored.headers for stored in batch.records)
                with self._report.span("decide", links=links, family=self.partition.family):
                    taken += decider.take(batch.records)
                spent += time.perf_counter() - began
                await _turns(committing)
        if taken:
            self._report.add(DECIDE, self.partition.family, value=spent)
        return taken

    async def _look_up(self, batch: Batch) -> None:
        """A newer door's command is no reason to set it aside, as long as its schema is on the log."""
        if self._newer is not None:
            await self._newer.look(batch.records)

    def _sealed(self) -> list[NewRecord]:
        """The records of the next append; while it commits, the decider counts on for the one behind it."""
        self._counted = self.decider.counted()
        return self.decider.seal()

    async def _append(self, records: list[NewRecord], commands: int) -> None:
        if not records:
            return
        assert self._owner is not None
        began = time.perf_counter()
        await self._owner.append(records, self._limits.append_deadline_s)
        GARBAGE.grown(len(records))
        self.batch = self._limits.commands
        report, family = self._report, self.partition.family
        report.add(APPEND, family, value=time.perf_counter() - began)
        report.add(BATCH, family, value=commands)
        report.add(COMMANDS, *self._labels, value=commands)
        report.add(FACTS, *self._labels, value=len(records))
        refused, aside = self._counted
        report.add(REFUSALS, *self._labels, value=refused)
        report.add(SET_ASIDE, *self._labels, value=aside)

    async def _committed(self) -> None:
        """Waits for the append under way; raises what it raised."""
        committing = self._committing
        if committing is not None:
            await asyncio.wait({committing})
            self._committing = None
            committing.result()

    def _snapshot_due(self) -> bool:
        return self._follower is not None and self._follower.due

    async def _save(self) -> None:
        assert self._follower is not None
        self._follower.position = await self._events.end(self.partition)
        await self._follower.save()

    @property
    def _too_many(self) -> bool:
        return self.decider.aside > self.decider.most_aside

    def _look_aside(self) -> None:
        if self._too_many:
            raise TooManySetAside(
                f"{self.partition}: {self.decider.aside} commands in a row were set aside: look at them (`gridbook dead"
                f" list`), then `gridbook partition resume {self.partition}`"
            )


async def _turns(committing: "asyncio.Task[None] | None") -> None:
    """Lets the commit under way go on, and all others of this process."""
    await asyncio.sleep(0)
    for _ in range(LOOP_TURNS - 1):
        if committing is None or committing.done():
            return
        await asyncio.sleep(0)
