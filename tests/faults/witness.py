"""Somebody who reads partitions as they grow: what was seen stays, and the end always stands behind a whole append."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from consumers.ports import EventLog, LogUnavailable, Partition, StoredRecord
from consumers.reading import CHAIN, between, news

TORN: Final = "within an append"
_PAUSE_SECONDS: Final = 0.05


class Witness:
    """Reads some partitions of an event log from their beginning.

    Args:
        events: not closed before `watch` has ended.
    """

    def __init__(self, events: EventLog, partitions: Sequence[Partition]) -> None:
        self._events = events
        self._seen: dict[Partition, list[StoredRecord]] = {p: [] for p in partitions}
        self._torn = list[str]()

    async def watch(self, stop: asyncio.Event) -> None:
        """Until `stop`."""
        await asyncio.gather(*(self._watch(p, stop) for p in self._seen))

    async def problems(self, events: EventLog) -> list[str]:
        """What it has seen and should not have: held against the log as it is in the end."""
        found = list(self._torn)
        for p, seen in self._seen.items():
            records = [stored async for stored in between(events, p, 0)]
            if records[: len(seen)] != seen:
                first = next((n for n, one in enumerate(seen) if records[n : n + 1] != [one]), 0)
                found.append(f"{p}: record {first} was seen and does not stand there")
        return found

    async def _watch(self, partition: Partition, stop: asyncio.Event) -> None:
        position, seen = 0, self._seen[partition]
        while not stop.is_set():
            with suppress(LogUnavailable):
                end = await self._events.end(partition)
                found = [stored async for stored in between(self._events, partition, position, end)]
                seen += found
                if found and CHAIN not in dict(found[-1].headers):
                    self._torn.append(f"{partition}: the end stood at {end}, {TORN}")
                position = end
                await news(self._events, partition, position, stop)
                continue
            await asyncio.sleep(_PAUSE_SECONDS)
