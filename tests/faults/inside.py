"""One owner in this process, on a real broker and under a load whose outcome is known byte by byte."""

import asyncio
from collections.abc import Callable, Coroutine
from itertools import zip_longest
from typing import Any, Final

from consumers.failures import ChainBroken
from consumers.limits import OwnerLimits
from consumers.owner import PartitionOwner
from consumers.ports import CommandLog, EventLog, LogUnavailable, Partition, Snapshots
from consumers.reading import SOURCE, between, last_record
from consumers.report import Metric, Silent
from tests.faults.recording import Recording
from tests.faults.witness import Witness

MARKET: Final = Partition("market", 0)
SEND_SECONDS: Final = 5.0
FEED: Final = 4
"""Commands of one send."""
_PAUSE_SECONDS: Final = 0.05


class Noted(Silent):
    """A report that counts, and remembers what was said."""

    def __init__(self) -> None:
        self.counts: dict[str, float] = {}
        self.said: list[str] = []

    def add(self, metric: Metric, *labels: str, value: float = 1) -> None:
        self.counts[metric.name] = self.counts.get(metric.name, 0) + value

    def say(self, event: str, *, alarm: bool = False, **fields: object) -> None:
        self.said.append(event)


class OwnerLife:
    """Owners of one partition, one after the other, as after a crash; fed with a recording.

    Args:
        pause: seconds between two sends, as long as the story lasts.
    """

    def __init__(
        self,
        recording: Recording,
        events: EventLog,
        commands: CommandLog,
        limits: OwnerLimits,
        *,
        owner: type[PartitionOwner] = PartitionOwner,
        snapshots: Snapshots | None = None,
        pause: float = 0.03,
    ) -> None:
        self._recording, self._events, self._commands = recording, events, commands
        self._limits, self._owner, self._snapshots, self._pause = limits, owner, snapshots, pause
        self._fed = recording.commands[MARKET]
        self._stop = asyncio.Event()
        self._owning: asyncio.Task[None] | None = None
        self.report = Noted()
        self.problems = list[str]()

    def kill(self) -> None:
        """The owner's process is gone, in the middle of whatever it did."""
        assert self._owning is not None
        self._owning.cancel()

    async def live(self, story: "Story", seconds: float = 40) -> list[str]:
        """Tells the story under load; then the rest is decided and held against the recording. Returns what differs."""
        witness = Witness(self._events, [MARKET])
        owning, watching = asyncio.create_task(self._own()), asyncio.create_task(witness.watch(self._stop))
        try:
            async with asyncio.timeout(seconds):
                telling = asyncio.create_task(story(self))
                feeding = asyncio.create_task(self._feed(telling))
                done, _ = await asyncio.wait({owning, feeding}, return_when=asyncio.FIRST_COMPLETED)
                telling.cancel()
                if feeding in done:
                    feeding.result()
                    await self._quiet(owning)
        except TimeoutError:
            self.problems.append(f"not done after {seconds:.0f} s")
        finally:
            self._stop.set()
            self.kill()
            await asyncio.gather(owning, watching, return_exceptions=True)
        return [*self.problems, *await witness.problems(self._events), *await self._compared()]

    async def _feed(self, telling: asyncio.Task[None]) -> None:
        for first in range(0, len(self._fed), FEED):
            chunk = [(MARKET, record) for record in self._fed[first : first + FEED]]
            await self._commands.send(chunk, SEND_SECONDS)
            if not telling.done():
                await asyncio.wait({telling}, timeout=self._pause)
        if not telling.done():
            self.problems.append("the load was over before the story was")

    async def _own(self) -> None:
        while not self._stop.is_set():
            deciders = self._recording.deployment.decider
            made = self._owner(
                MARKET, deciders, self._events, self._commands, self._snapshots, self.report, self._limits
            )
            self._owning = asyncio.create_task(made.run(self._stop))
            await asyncio.wait({self._owning})
            if self._owning.cancelled():
                continue
            try:
                self._owning.result()
            except LogUnavailable:
                await asyncio.sleep(_PAUSE_SECONDS)
            except ChainBroken as broken:
                self.problems.append(f"the owner stopped: {broken}")
                return

    async def _quiet(self, owning: asyncio.Task[None]) -> None:
        while not owning.done():
            last = await last_record(self._events, MARKET)
            if last is not None and int(dict(last.headers)[SOURCE]) == len(self._fed) - 1:
                return
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _compared(self) -> list[str]:
        records = [stored async for stored in between(self._events, MARKET, 0)]
        written = [(s.key, s.value, dict(s.headers)[SOURCE]) for s in records]
        expected = self._recording.written[MARKET]
        for n, (there, wanted) in enumerate(zip_longest(written, expected)):
            if there != wanted:
                return [f"fact {n} of {len(expected)} answers {there and there[2]!r}, not as recorded"]
        return []


Story = Callable[[OwnerLife], Coroutine[Any, Any, None]]
"""What happens to an owner while it decides."""
