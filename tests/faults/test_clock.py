"""The machine's clock jumps: partitions never hear of a time that no clock should tell, and time never goes back."""

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from consumers import clock, workers
from consumers.clock import Clocks
from consumers.limits import CLOCK_JUMP_US, HOUR_US
from consumers.owner import PartitionOwner
from consumers.ports import Partition
from consumers.reading import between, recorded
from consumers.report import Condition
from consumers.workers import Alone
from gateways.app import deployment_of
from gateways.app.backends import Backend, memory_backend
from gateways.roles import machine_time_us
from schemas.log.commands import Tick
from schemas.log.events import CommandRepeated, LogicAdopted, TimePassed
from tests.faults.inside import Noted
from tests.simulation.world import T0

P = Partition("market", 0)
TICK_US = 10_000
_LOOK_SECONDS = 0.005


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_LOOK_S", 0.05)  # at the group; so a clock ends sooner


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
        await backend.events.create(deployment.layout.partitions)
        await backend.commands.create(deployment.layout.partitions)
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
            self._deployment.layout,
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
        ticks, read = await self.ticks(), between(self._backend.events, P, 0)
        answers = [recorded(self._deployment.codec, P, stored) async for stored in read]
        lines = {tick.at - tick.n * TICK_US for tick in ticks}
        problems = [] if len(lines) == 1 else [f"the ticks lie on {len(lines)} lines"]
        if ticks[-1].at > T0 + CLOCK_JUMP_US:
            problems.append("time went where the watch jumped to")
        if any(later.meta.tick.at < earlier.meta.tick.at for earlier, later in pairwise(answers)):
            problems.append("time went back")
        return problems + [
            repr(a.body) for a in answers if type(a.body) not in (TimePassed, CommandRepeated, LogicAdopted)
        ]


async def until_stopped(it: Clockwork) -> None:
    while Condition.STOPPED not in it.report.conditions:
        await asyncio.sleep(_LOOK_SECONDS)


@pytest.mark.parametrize("hours", [240, -240])
async def test_no_tick_is_sent_any_more(hours: int) -> None:
    async def story(it: Clockwork) -> None:
        await it.more()
        it.watch.jump(hours * HOUR_US)
        await until_stopped(it)
        sent = len(await it.ticks())
        await asyncio.sleep(20 * TICK_US / 1_000_000)
        assert len(await it.ticks()) == sent

    it = Clockwork(Watch())
    assert await it.live(story) == []
    assert "stopped" in it.report.said


async def test_a_small_jump_is_time_and_a_step_back_is_waited_out() -> None:
    async def story(it: Clockwork) -> None:
        await it.more()
        it.watch.jump(HOUR_US // 2)
        await it.more()
        it.watch.jump(-HOUR_US // 4)
        while Condition.WAITING not in it.report.conditions:
            await asyncio.sleep(_LOOK_SECONDS)
        sent = len(await it.ticks())
        await asyncio.sleep(10 * TICK_US / 1_000_000)
        assert len(await it.ticks()) == sent
        it.watch.jump(HOUR_US // 4)
        await it.more()

    assert await Clockwork(Watch()).live(story) == []


async def test_two_clocks_that_overlap_say_the_same() -> None:
    async def story(it: Clockwork) -> None:
        await it.more()
        ends = asyncio.Event()
        second = asyncio.create_task(it.clock().run(ends))
        await it.more()
        it.watch.jump(HOUR_US // 4)
        await it.more(20)
        ends.set()
        await second

    it = Clockwork(Watch())
    assert await it.live(story) == []
    numbers = [tick.n for tick in await it.ticks()]
    assert len(numbers) > len(set(numbers)), "both have ticked"


async def test_a_clock_that_believes_its_machine_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "CLOCK_JUMP_US", 10**18)

    async def story(it: Clockwork) -> None:
        await it.more()
        it.watch.jump(240 * HOUR_US)
        await it.more()

    assert await Clockwork(Watch()).live(story) == ["time went where the watch jumped to"]
