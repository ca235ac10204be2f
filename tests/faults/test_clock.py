"""The machine's clock jumps: partitions never hear of a time that no clock should tell, and time never goes back."""

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from consumers.clock import Clocks
from consumers.limits import CLOCK_JUMP_US, HOUR_US
from consumers.ports import Partition
from consumers.reading import between
from consumers.report import Condition
from consumers.workers import Alone
from gateways.app import Backend, deployment_of, memory_backend
from gateways.roles import machine_time_us
from schemas.log.commands import Tick
from tests.faults.inside import Noted
from tests.simulation.world import T0

P = Partition("market", 0)
TICK_US = 10_000
_LOOK_SECONDS = 0.005


class Watch:
    """A clock on the wall that somebody sets."""

    def __init__(self) -> None:
        self._ahead_us = T0 - machine_time_us()

    def __call__(self) -> int:
        return machine_time_us() + self._ahead_us

    def jump(self, us: int) -> None:
        self._ahead_us += us


class Conditions(Noted):
    """Remembers how the parts were."""

    def __init__(self) -> None:
        super().__init__()
        self.conditions: list[Condition] = []

    def condition(self, part: str, condition: Condition, text: str = "") -> None:
        self.conditions.append(condition)


class Clockwork:
    """A clock, and the owner of a partition that hears it, in memory.

    Args:
        watch: what the clock looks at.
    """

    def __init__(self, watch: Watch) -> None:
        self.watch, self.report = watch, Conditions()
        self._deployment = deployment_of("clock", {"market": 1})
        self._backend: Backend = memory_backend("clock")

    async def live(self, story: Callable[["Clockwork"], Any]) -> list[str]:
        """Tells the story beside a running clock; returns what is wrong with the ticks and with their answers."""
        backend, deployment = self._backend, self._deployment
        await backend.events.create(deployment.partitions)
        await backend.commands.create(deployment.partitions)
        stop = asyncio.Event()
        owner = PartitionOwner(P, deployment.decider, backend.events, backend.commands)
        tasks = [asyncio.create_task(self.clock().run(stop)), asyncio.create_task(owner.run(stop))]
        try:
            await asyncio.wait_for(story(self), 20)
        finally:
            stop.set()
            await asyncio.gather(*tasks)
        return await self._problems()

    def clock(self) -> Clocks:
        """Another clock of the same deployment."""
        return Clocks(
            self._deployment.partitions,
            self._deployment.codec,
            self._backend.events,
            self._backend.commands,
            Alone(),
            self.report,
            self.watch,
            TICK_US,
            {},
        )

    async def ticks(self) -> list[Tick]:
        """All that were sent."""
        decode = self._deployment.codec.decode
        return [decode(stored.value)[1] async for stored in between(self._backend.commands, P, 0)]

    async def more(self, count: int = 5) -> None:
        """Returns when so many more ticks were sent."""
        before = len(await self.ticks())
        while len(await self.ticks()) < before + count:
            await asyncio.sleep(_LOOK_SECONDS)

    async def _problems(self) -> list[str]:
        ticks, problems = await self.ticks(), list[str]()
        problems += [f"{tick} is not on the line" for tick in ticks if tick.at - T0 // TICK_US * TICK_US != 0]
        answers = [recorded(self._deployment.codec, P, s) async for s in between(self._backend.events, P, 0)]
        for before, after in pairwise(answers):
            if after.meta.tick.at < before.meta.tick.at:
                problems.append(f"time goes back at {after.meta.seq}")
        odd = [a.body for a in answers if not isinstance(a.body, TimePassed | CommandRepeated | LogicAdopted)]
        return [*problems, *map(repr, odd)]
