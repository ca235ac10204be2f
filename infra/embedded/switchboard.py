"""The switchboard in memory: for tests, and for logs in memory; nothing survives."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from consumers.ports import Partition, ProcessReport

FRESH_SECONDS: Final = 15.0


class MemorySwitchboard:
    """What the processes of one test share. `now` are seconds that never go back."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._paused: dict[Partition, str] = {}
        self._seen: dict[str, tuple[float, ProcessReport]] = {}

    async def paused(self) -> Mapping[Partition, str]:
        """As the port says."""
        return dict(self._paused)

    async def pause(self, partition: Partition, reason: str) -> None:
        """As the port says."""
        self._paused[partition] = reason

    async def resume(self, partition: Partition) -> None:
        """As the port says."""
        self._paused.pop(partition, None)

    async def report(self, process: ProcessReport) -> None:
        """As the port says."""
        self._seen[process.name] = self._now(), process

    async def processes(self) -> Sequence[ProcessReport]:
        """As the port says, in order of role and name."""
        fresh = [process for seen, process in self._seen.values() if self._now() - seen < FRESH_SECONDS]
        return sorted(fresh, key=lambda process: (process.role, process.name))
