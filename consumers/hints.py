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


class HintedPosition:
    """The position of one reader in one partition, noted now and then."""

    def __init__(
        self, reader: str, partition: Partition, hints: Hints, report: Report, every_s: float = HINT_EVERY_S
    ) -> None:
        self._reader, self._partition, self._hints, self._report = reader, partition, hints, report
        self._noted, self._at, self._every_s = 0, 0.0, every_s

    async def load(self) -> int:
        """The last position noted. Raises what the store raises."""
        self._noted = (await self._hints.hints(self._reader)).get(self._partition, 0)
        return self._noted

    async def note(self, position: int, *, last: bool = False) -> None:
        """Notes a position, not too often unless it is the last one; never raises.

        Also who is never behind must not write at every fact: what is not noted is read again, and receivers know it.
        """
        now = time.monotonic()
        if position == self._noted or (now - self._at < self._every_s and not last):
            return
        self._at = now
        try:
            await self._hints.hint(self._reader, {self._partition: position})
        except Exception as error:  # the next one will do; meanwhile nothing needs it
            self._report.say("position not noted", reader=self._reader, reason=str(error))
            return
        self._noted = position

    def patience(self, position: int) -> float:
        """Seconds that a reader at this position may wait for news: not longer than until it can be noted."""
        if position == self._noted:
            return IDLE_WAIT_S
        return min(IDLE_WAIT_S, max(0.001, self._at + self._every_s - time.monotonic()))
