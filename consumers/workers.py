"""One worker for each partition that this process is asked to work on, kept going until it is asked no more.

What goes wrong with one partition stops no other. What will come back (a log, a database) is waited for, in
growing pauses with jitter; what does not go away by itself stops the worker and calls an operator.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from consumers.failures import ChainBroken, FactNotEvolved
from consumers.limits import FIRST_PAUSE_S, LONGEST_PAUSE_S, STOP_S
from consumers.newer import NewerSchemas
from consumers.ports import CommandLog, EventLog, Group, LogDiffers, LogUnavailable, Partition
from consumers.report import LAG, LAG_TICKS, RETRIES, Condition, Report
from schemas.codec import UndecodableRecord, UnknownSchema

Work = Callable[[Partition, asyncio.Event], Awaitable[None]]
"""Works on a partition until the event is set, or raises."""

Place = tuple[int, int]
"""The next position to read, and the last tick passed."""


class NeedsOperator(RuntimeError):
    """What goes on only after somebody has looked; the message says at what."""


FATAL: Final = (ChainBroken, FactNotEvolved, UnknownSchema, UndecodableRecord, LogDiffers, NeedsOperator)
"""The record is not what was written, newer than this release, or another log's: trying again changes nothing."""

_MISTAKES: Final = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, TypeError, ValueError)
"""What nothing that is away would raise: it is ours, and somebody must look, though trying again may help."""

_LOOK_S: Final = 1.0
_LAG_S: Final = 5.0
_HEALTHY_S: Final = 60.0


class Pauses:
    """Growing pauses between attempts, with jitter, so that many who wait do not come back at once."""

    def __init__(self) -> None:
        self._next = FIRST_PAUSE_S

    def after(self, seconds: float) -> float:
        """The pause after an attempt that lasted so long; a long one was healthy, and the count begins again."""
        if seconds > _HEALTHY_S:
            self._next = FIRST_PAUSE_S
        pause, self._next = self._next, min(self._next * 2, LONGEST_PAUSE_S)
        return pause * random.uniform(0.5, 1.0)


async def until(stop: asyncio.Event, seconds: float) -> bool:
    """Waits for the event, not longer than `seconds`; returns whether it is set."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
    return stop.is_set()


async def kept(
    part: str,
    attempt: Callable[[], Awaitable[None]],
    stop: asyncio.Event,
    report: Report,
    newer: NewerSchemas | None = None,
) -> None:
    """Runs `attempt` until it returns, again and again while what it needs is gone; stops at what is fatal.

    A record of a schema that this release does not know is fatal only when `newer` does not find it on the log.
    """
    pauses = Pauses()
    while not stop.is_set():
        began = time.monotonic()
        try:
            try:
                await attempt()
                return
            except UnknownSchema as unknown:
                if newer is None or not await newer.learned(unknown):
                    raise
        except FATAL as error:
            report.condition(part, Condition.STOPPED, str(error))
            report.say("stopped", part=part, reason=str(error), alarm=True)
            await stop.wait()
            return
        except Exception as error:
            # Also what nobody has foreseen: a part that comes back by itself is better than one that is dead.
            report.add(RETRIES, part)
            report.condition(part, Condition.WAITING, str(error))
            alarm = isinstance(error, _MISTAKES)
            report.say("waiting", part=part, reason=str(error), kind=type(error).__name__, alarm=alarm)
            await until(stop, pauses.after(time.monotonic() - began))


class Workers:
    """Keeps a worker running for each partition assigned and not at rest.

    Args:
        role: as in names of groups.
        group: says which partitions.
        partitions: all there are.
        work: what a worker does.
        place: how far a worker is, for displays.
        log: where the end of what it reads is, for displays.
        resting: partitions whose workers rest now, each with the reason.
        part: what a worker is called when it tells how it is.
        newer: where schemas are found that this release does not know.
    """

    def __init__(
        self,
        role: str,
        group: Group,
        partitions: Sequence[Partition],
        work: Work,
        report: Report,
        place: Callable[[Partition], Place | None],
        log: EventLog | CommandLog,
        resting: Callable[[], Mapping[Partition, str]] = dict,
        part: Callable[[Partition], str] | None = None,
        newer: NewerSchemas | None = None,
    ) -> None:
        self._role, self._group, self._partitions, self._work = role, group, partitions, work
        self._report, self._place, self._log, self._resting = report, place, log, resting
        self._part, self._newer = part or str, newer
        self._running: dict[Partition, tuple[asyncio.Task[None], asyncio.Event]] = {}
        self._ending: dict[Partition, asyncio.Task[None]] = {}
        self._at_rest = set[Partition]()

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; then every worker ends what it has begun, and the group is left."""
        lag = asyncio.create_task(self._show_lag())
        try:
            await kept("group", self._join, stop, self._report)
            assigned = self._group.assigned
            while not stop.is_set():
                self._follow(assigned)
                assigned = await self._group.changed(assigned, _LOOK_S)
        finally:
            lag.cancel()
            self._follow(frozenset())
            if self._ending:
                await asyncio.wait(set(self._ending.values()))
            await self._group.leave()

    @property
    def working(self) -> tuple[Partition, ...]:
        """The partitions that have a worker now."""
        return tuple(self._running)

    async def _join(self) -> None:
        await self._group.join(self._partitions)
        self._report.condition("group", Condition.RUNNING)

    def _follow(self, assigned: frozenset[Partition]) -> None:
        assigned &= frozenset(self._partitions)  # a group shares out whole topics
        resting = self._resting()
        for partition in [p for p, (task, _) in self._running.items() if task.done()]:
            del self._running[partition]  # it gave up; if it is asked again, it begins again
            self._report.gone(self._part(partition))
        for partition in self._running.keys() - (assigned - resting.keys()):
            self._ending[partition] = asyncio.create_task(self._end(partition, *self._running.pop(partition)))
        free = assigned - self._running.keys() - self._ending.keys()  # who ends is waited for
        self._show_rest({p: reason for p, reason in resting.items() if p in free})
        for partition in sorted(free - resting.keys(), key=lambda p: (p.family, p.number)):
            ends = asyncio.Event()
            self._running[partition] = asyncio.create_task(self._keep(partition, ends)), ends

    def _show_rest(self, at_rest: Mapping[Partition, str]) -> None:
        for partition in self._at_rest - at_rest.keys():
            self._report.gone(self._part(partition))
        for partition in at_rest.keys() - self._at_rest:
            self._report.condition(self._part(partition), Condition.PAUSED, at_rest[partition])
        self._at_rest = set(at_rest)

    async def _end(self, partition: Partition, task: asyncio.Task[None], ends: asyncio.Event) -> None:
        ends.set()
        _, late = await asyncio.wait({task}, timeout=STOP_S)
        if late:
            task.cancel()
            await asyncio.wait({task})
        self._report.gone(self._part(partition))
        del self._ending[partition]

    async def _keep(self, partition: Partition, ends: asyncio.Event) -> None:
        part = self._part(partition)
        self._report.condition(part, Condition.STARTING)

        async def attempt() -> None:
            try:
                await self._work(partition, ends)
            except LogUnavailable:
                # Fenced, or a log away. Who is not asked any more gives up; the next look at the group ends it.
                if partition not in self._group.assigned:
                    return
                raise

        await kept(part, attempt, ends, self._report, self._newer)

    async def _show_lag(self) -> None:
        while True:
            await asyncio.sleep(_LAG_S)
            try:
                await self._show_lag_once()
            except LogUnavailable:
                continue  # those who work say so
            except Exception as error:
                self._report.say("lag not shown", reason=repr(error))

    async def _show_lag_once(self) -> None:
        places = {p: place for p in self.working if (place := self._place(p)) is not None}
        self._group.reached({p: position for p, (position, _) in places.items()})
        newest = max((tick for _, tick in places.values()), default=0)
        for partition, (position, tick) in places.items():
            labels = (self._role, partition.family, str(partition.number))
            behind = await self._log.end(partition) - position
            if partition in self._running:  # else it was given away meanwhile, and its gauges with it
                self._report.set(LAG_TICKS, *labels, value=newest - tick)
                self._report.set(LAG, *labels, value=max(0, behind))


class Alone:
    """A group of one: this process works on everything. For logs that serve one machine."""

    def __init__(self) -> None:
        self.assigned = frozenset[Partition]()

    async def join(self, partitions: Sequence[Partition]) -> None:
        """Is asked for all of them at once."""
        self.assigned = frozenset(partitions)

    async def changed(self, known: frozenset[Partition], timeout: float) -> frozenset[Partition]:
        """As `Group.changed`; nothing changes but by `join` and `leave`."""
        await asyncio.sleep(timeout if known == self.assigned else 0)
        return self.assigned

    def reached(self, positions: Any) -> None:
        """Nobody looks."""

    async def leave(self) -> None:
        """Is asked for nothing any more."""
        self.assigned = frozenset()
