"""`gridbook run decide`: an owner for every partition that this process is asked for, followers for the others.

The group suggests, fencing decides. A standby reads and evolves every partition of its families ahead of
time, and joins the group only when it has caught up; so does a new release.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from consumers.follow import Follower, MakeDecider
from consumers.limits import SNAPSHOT_EVERY
from consumers.owner import PartitionOwner, TooManySetAside
from consumers.ports import (
    CommandLog,
    EventLog,
    Group,
    Partition,
    Snapshots,
    Switchboard,
    SwitchboardUnavailable,
)
from consumers.report import Report
from consumers.workers import Place, Workers, kept, named, until

_SWITCHES_S = 2.0


class Deciders:
    """Every owner and follower of one process.

    Args:
        partitions: of the families that this process decides.
        standby: follow what is not owned.
        every: records between two snapshots.
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
        every: int = SNAPSHOT_EVERY,
    ) -> None:
        self._partitions, self._standby = tuple(partitions), standby
        self._make, self._events, self._commands = make, events, commands
        self._snapshots, self._switchboard, self._report, self._every = snapshots, switchboard, report, every
        self._owners: dict[Partition, PartitionOwner] = {}
        self._followers: dict[Partition, tuple[Follower, asyncio.Task[None], asyncio.Event]] = {}
        self._paused: Mapping[Partition, str] = {}
        self._workers = Workers(
            "decide", group, self._partitions, self._own, report, self._place, commands, self._resting
        )

    @property
    def working(self) -> tuple[Partition, ...]:
        """The partitions that this process owns or is claiming."""
        return self._workers.working

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; then every append under way is finished and the partitions are given back."""
        switches = asyncio.create_task(self._watch_switches(stop))
        try:
            if self._standby:
                await asyncio.gather(*(self._caught_up(p, stop) for p in self._partitions))
            await self._workers.run(stop)
        finally:
            switches.cancel()
            await asyncio.gather(*(self._unfollow(p) for p in tuple(self._followers)))

    # -- owners ------------------------------------------------------------------------------------

    async def _own(self, partition: Partition, ends: asyncio.Event) -> None:
        follower = await self._unfollow(partition)
        owner = PartitionOwner(
            partition, self._make, self._events, self._commands, self._snapshots, self._report, self._every
        )
        self._owners[partition] = owner
        try:
            await owner.run(ends, follower)
        except TooManySetAside as many:
            reason = str(many)
            self._report.say("paused", part=named(partition), reason=reason, alarm=True)
            self._paused = {**self._paused, partition: reason}
            await kept(named(partition), lambda: self._switchboard.pause(partition, reason), ends, self._report)
            await ends.wait()
        finally:
            del self._owners[partition]
            if self._standby:
                self._follow(partition)

    def _place(self, partition: Partition) -> Place | None:
        owner = self._owners.get(partition)
        return None if owner is None else (owner.decider.source, owner.decider.passed)

    # -- followers ---------------------------------------------------------------------------------

    async def _caught_up(self, partition: Partition, stop: asyncio.Event) -> None:
        follower = self._follow(partition)
        while not follower.caught_up and not await until(stop, 0.05):
            pass

    def _follow(self, partition: Partition) -> Follower:
        follower = Follower(partition, self._make, self._events, self._snapshots, self._report, self._every)
        ends = asyncio.Event()
        task = asyncio.create_task(kept(named(partition), lambda: follower.follow(ends), ends, self._report))
        self._followers[partition] = follower, task, ends
        return follower

    async def _unfollow(self, partition: Partition) -> Follower | None:
        """Ends a follower; it stands between two batches then, and an owner can go on with it."""
        if partition not in self._followers:
            return None
        follower, task, ends = self._followers.pop(partition)
        ends.set()
        await asyncio.wait({task})
        return follower if follower.caught_up else None

    # -- switches ----------------------------------------------------------------------------------

    def _resting(self) -> frozenset[Partition]:
        return frozenset(self._paused)

    async def _watch_switches(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            with suppress(SwitchboardUnavailable):  # what was known last still holds
                self._paused = await self._switchboard.paused()
            await until(stop, _SWITCHES_S)


def of_families(partitions: Iterable[Partition], families: Sequence[str]) -> tuple[Partition, ...]:
    """The partitions of these families; all without any."""
    return tuple(p for p in partitions if not families or p.family in families)
