"""`gridbook run decide`: an owner for every partition that this process is asked for, followers for the others.

The group suggests, fencing decides. A standby reads and evolves every partition of its families ahead of
time, and joins the group only when it has caught up; so does a new release.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from consumers.follow import Follower, MakeDecider
from consumers.garbage import GARBAGE
from consumers.limits import OwnerLimits
from consumers.newer import NewerSchemas
from consumers.owner import DEFAULTS, PartitionOwner, TooManySetAside
from consumers.ports import (
    CommandLog,
    EventLog,
    Group,
    LogUnavailable,
    Partition,
    Snapshots,
    Switchboard,
    SwitchboardUnavailable,
)
from consumers.report import Report
from consumers.workers import Place, Workers, kept, until

_SWITCHES_S = 2.0


class Deciders:
    """Every owner and follower of one process.

    Args:
        partitions: of the families that this process decides.
        standby: follow what is not owned.
        limits: of its owners.
    """

    def __init__(
        self,
        partitions: Sequence[Partition],
        make: MakeDecider,
        events: EventLog,
        commands: CommandLog,
        group: Group,
        snapshots: Snapshots,
        switchboard: Switchboard,
        report: Report,
        standby: bool = False,
        limits: OwnerLimits = DEFAULTS,
        newer: NewerSchemas | None = None,
    ) -> None:
        self._partitions, self._standby = tuple(partitions), standby
        self._make, self._events, self._commands = make, events, commands
        self._snapshots, self._switchboard, self._report, self._limits = snapshots, switchboard, report, limits
        self._owners: dict[Partition, PartitionOwner] = {}
        self._followers: dict[Partition, tuple[Follower, asyncio.Task[None], asyncio.Event]] = {}
        self._paused: Mapping[Partition, str] = {}
        self._newer, self._pauses = newer, 0
        self._sizes: dict[Partition, int] = {}
        self._stop = asyncio.Event()
        self._workers = Workers(
            "decide", group, self._partitions, self._own, report, self._place, commands, self._resting, newer=newer
        )

    @property
    def working(self) -> tuple[Partition, ...]:
        """The partitions that this process owns or is claiming."""
        return self._workers.working

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; then every append under way is finished and the partitions are given back."""
        self._stop = stop
        with suppress(TimeoutError):  # who rests must not begin before that is known; who is away stops nobody
            await asyncio.wait_for(self._read_switches(), _SWITCHES_S)
        switches = asyncio.create_task(self._watch_switches(stop))
        try:
            with GARBAGE.watched():
                await self._work(stop)
        finally:
            switches.cancel()
            await self._end_followers()

    async def _work(self, stop: asyncio.Event) -> None:
        if self._standby:
            await asyncio.gather(*(self._caught_up(p, stop) for p in self._partitions))
        await self._workers.run(stop)

    # -- owners ------------------------------------------------------------------------------------

    async def _own(self, partition: Partition, ends: asyncio.Event) -> None:
        follower = await self._unfollow(partition)
        self._owners[partition] = owner = PartitionOwner(
            partition,
            self._make,
            self._events,
            self._commands,
            self._snapshots,
            self._report,
            self._limits,
            self._newer,
        )
        owner.batch = self._sizes.get(partition, owner.batch)
        try:
            await owner.run(ends, follower)
        except LogUnavailable:
            # It may have been too much for a slow broker: half of it the next time, and all of it when that stands.
            self._sizes[partition] = max(1, owner.batch // 2)
            raise
        except TooManySetAside as many:
            await self._rest(partition, str(many), ends)
        finally:
            self._owners.pop(partition, None)
            if self._standby and not self._stop.is_set():
                # Who could not claim has decided nothing yet, and its follower is as warm as before.
                warm = follower is not None and owner.decider is not follower.decider
                self._follow(partition, follower if warm else None)

    async def _rest(self, partition: Partition, reason: str, ends: asyncio.Event) -> None:
        """Writes down that the partition rests, however long that takes, and waits until it is to go on."""
        self._report.say("paused", part=str(partition), reason=reason, alarm=True)
        await kept(str(partition), lambda: self._switchboard.pause(partition, reason), ends, self._report)
        self._pauses += 1
        self._paused = {**self._paused, partition: reason}
        while partition in self._paused and not await until(ends, _SWITCHES_S):
            pass

    def _place(self, partition: Partition) -> Place | None:
        owner = self._owners.get(partition)
        return None if owner is None else (owner.decider.source, owner.decider.passed)

    # -- followers ---------------------------------------------------------------------------------

    async def _caught_up(self, partition: Partition, stop: asyncio.Event) -> None:
        # Who cannot take a partition in stops here and asks for none: whoever owns it goes on, and an alarm calls.
        follower = self._follow(partition)
        while not follower.caught_up and not await until(stop, 0.05):
            pass

    def _follow(self, partition: Partition, follower: Follower | None = None) -> Follower:
        every = self._limits.snapshot_every
        follower = follower or Follower(partition, self._make, self._events, self._snapshots, self._report, every)
        ends = asyncio.Event()
        work = kept(str(partition), lambda: follower.follow(ends), ends, self._report, self._newer)
        task = asyncio.create_task(work)
        self._followers[partition] = follower, task, ends
        return follower

    async def _unfollow(self, partition: Partition) -> Follower | None:
        """Ends a follower; it stands between two batches then, and an owner can go on with it."""
        if partition not in self._followers:
            return None
        follower, task, ends = self._followers.pop(partition)
        ends.set()
        try:
            await asyncio.wait({task})
        finally:
            task.cancel()
        return follower if follower.caught_up else None

    async def _end_followers(self) -> None:
        """They have nothing to finish, and may have far to go."""
        tasks = [task for _, task, _ in self._followers.values()]
        self._followers.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- switches ----------------------------------------------------------------------------------

    def _resting(self) -> Mapping[Partition, str]:
        return self._paused

    async def _watch_switches(self, stop: asyncio.Event) -> None:
        while not await until(stop, _SWITCHES_S):
            await self._read_switches()

    async def _read_switches(self) -> None:
        pauses = self._pauses
        try:
            paused = await self._switchboard.paused()
        except SwitchboardUnavailable:
            return  # what was known last still holds
        except Exception as error:
            self._report.say("switches not read", reason=repr(error))
            return
        if pauses == self._pauses:  # else the answer may be from before a pause of this process
            self._paused = paused


def of_families(partitions: Iterable[Partition], families: Sequence[str]) -> tuple[Partition, ...]:
    """The partitions of these families; all without any."""
    return tuple(p for p in partitions if not families or p.family in families)
