"""Hints: where a reader without rows of its own may begin again. They save work; losing them costs time only."""

import time
from collections.abc import Mapping
from typing import Protocol

from consumers.limits import HINT_EVERY_S, IDLE_WAIT_S
from consumers.ports import Partition
from consumers.report import Report


class Hints(Protocol):
    """Where readers without rows of their own may begin again."""

    async def hints(self, reader: str) -> Mapping[Partition, int]:
        """Partition → next position to read; a missing one begins at 0."""

    async def hint(self, reader: str, positions: Mapping[Partition, int]) -> None:
        """Remembers next positions."""


class Notes:
    """The positions of one reader in all partitions of a process: those that have moved are noted together."""

    def __init__(self, reader: str, hints: Hints, report: Report, every_s: float = HINT_EVERY_S) -> None:
        self._reader, self._hints, self._report, self._every_s = reader, hints, report, every_s
        self._noted: dict[Partition, int] = {}
        self._moved: dict[Partition, int] = {}
        self._at = 0.0

    async def load(self, partition: Partition) -> int:
        """The last position noted. Raises what the store raises."""
        self._noted[partition] = (await self._hints.hints(self._reader)).get(partition, 0)
        return self._noted[partition]

    async def note(self, partition: Partition, position: int, *, last: bool = False) -> None:
        """Notes a position, not too often unless it is the last one; never raises.

        Also who is never behind must not write at every fact: what is not noted is read again, and receivers know it.
        """
        now = time.monotonic()
        if position == self._noted.get(partition, 0):
            self._moved.pop(partition, None)
            return
        self._moved[partition] = position
        if now - self._at < self._every_s and not last:
            return
        self._at, moved = now, dict(self._moved)
        try:
            await self._hints.hint(self._reader, moved)
        except Exception as error:  # the next one will do; meanwhile nothing needs it
            self._report.say("position not noted", reader=self._reader, reason=str(error))
        else:
            self._noted |= moved
            self._moved = {p: at for p, at in self._moved.items() if moved.get(p) != at}
        if last:  # whoever works here next notes for itself
            self._moved.pop(partition, None)

    def patience(self, partition: Partition, position: int) -> float:
        """Seconds that a reader at this position may wait for news: not longer than until it can be noted."""
        if position == self._noted.get(partition, 0):
            return IDLE_WAIT_S
        return min(IDLE_WAIT_S, max(0.001, self._at + self._every_s - time.monotonic()))
