"""Workers: one for each partition asked for, kept going, and none of them in another's way."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import consumers.workers as module
from consumers.failures import ChainBroken
from consumers.ports import Fenced, LogDiffers, LogUnavailable, Partition
from consumers.report import Condition
from consumers.workers import Alone, NeedsOperator, Pauses, Workers, kept, until
from schemas.codec import UndecodableRecord, UnknownSchema
from tests.unit.consumers.loops import Driven, Logs, Seen, eventually, running, turns

ONE, TWO, THREE = (Partition("market", n) for n in range(3))


@pytest.fixture(autouse=True)
def _in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(module, "LONGEST_PAUSE_S", 0.008)
    monkeypatch.setattr(module, "_LOOK_S", 0.05)
    monkeypatch.setattr(module, "STOP_S", 0.2)


class Work:
    """What workers do here: nothing, until they are told to end or to fail."""

    def __init__(self) -> None:
        self.begun: list[Partition] = []
        self.now: dict[Partition, asyncio.Event] = {}
        self.fails: dict[Partition, list[Exception]] = {}
        self.hangs: set[Partition] = set()
        self.most = 0

    async def __call__(self, partition: Partition, ends: asyncio.Event) -> None:
        assert partition not in self.now, "two workers of one partition"
        self.begun.append(partition)
        self.now[partition] = ends
        try:
            if self.fails.get(partition):
                raise self.fails[partition].pop(0)
            await (asyncio.Event() if partition in self.hangs else ends).wait()
        finally:
            del self.now[partition]


class Bench:
    """Workers over three partitions, with all that they are given."""

    def __init__(self, group: Driven) -> None:
        self.group, self.work, self.seen = group, Work(), Seen()
        self.resting = dict[Partition, str]()
        self.place: Callable[[Partition], tuple[int, int] | None] = lambda _: None
        self.log = Logs(ONE, TWO, THREE)
        self.workers = Workers(
            "decide", group, (ONE, TWO, THREE), self.work, self.seen, self._place, self.log.events,
            lambda: self.resting,
        )  # fmt: skip

    def _place(self, partition: Partition) -> tuple[int, int] | None:
        return self.place(partition)

    def working(self, *partitions: Partition) -> bool:
        return set(self.work.now) == set(partitions)


@asynccontextmanager
async def at_work(*partitions: Partition) -> AsyncIterator[Bench]:
    bench = Bench(Driven())
    bench.group.assign(*partitions)
    await bench.log.start(tick=False)
    async with running(bench.workers.run):
        await eventually(lambda: bench.working(*partitions))
        yield bench


async def test_there_is_a_worker_for_each_partition_asked_for() -> None:
    async with at_work(ONE, TWO) as bench:
        assert bench.group.offered == (ONE, TWO, THREE)
        assert bench.workers.working == (ONE, TWO)
        bench.group.assign(TWO, THREE)
        await eventually(lambda: bench.working(TWO, THREE))
        assert bench.work.begun == [ONE, TWO, THREE], "who stays is not disturbed"
        await eventually(lambda: bench.seen.now("market/0") is None)
        bench.group.assign()
        await eventually(bench.working)
    assert bench.group.left
    assert set(bench.seen.parts) == {"group"}


async def test_what_the_group_shares_out_beside_it_has_no_worker() -> None:
    """A group shares out whole topics, and the clock works on one partition of one."""
    bench = Bench(Driven())
    bench.workers._partitions = (TWO,)
    bench.group.assign(ONE, TWO, THREE)
    async with running(bench.workers.run):
        await eventually(lambda: bench.working(TWO))
        await asyncio.sleep(0.1)
        assert bench.work.begun == [TWO]
        assert bench.workers.working == (TWO,)


async def test_at_the_end_all_workers_end_and_the_group_is_left() -> None:
    before = asyncio.all_tasks()
    async with at_work(ONE, TWO, THREE) as bench:
        pass
    assert bench.working()
    assert bench.group.left
    assert bench.workers.working == ()
    await turns(5)
    assert asyncio.all_tasks() == before


async def test_joining_is_tried_again() -> None:
    bench = Bench(Driven(refuses=3))
    bench.group.assign(ONE)
    async with running(bench.workers.run):
        await eventually(lambda: bench.working(ONE))
    assert bench.seen.counts["retries", "group"] == 3
    assert ("group", Condition.WAITING) in bench.seen.history
    assert bench.seen.now("group") is Condition.RUNNING


# -- errors ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError("no idea"), LogUnavailable("gone"), OSError("disk"), AssertionError("?")])
async def test_what_fails_is_tried_again_and_disturbs_nobody(error: Exception) -> None:
    async with at_work(TWO) as bench:
        bench.work.fails[ONE] = [error] * 6
        bench.group.assign(ONE, TWO)
        await eventually(lambda: bench.work.begun.count(ONE) == 7)
        assert bench.work.begun.count(TWO) == 1
        assert bench.seen.counts["retries", "market/0"] == 6
        assert bench.seen.told("waiting") == [str(error)] * 6
        assert ("market/0", Condition.WAITING) in bench.seen.history
        assert bench.seen.now("market/1") is Condition.STARTING, "told by the worker, not by what happens beside it"


def test_pauses_grow_up_to_a_limit_and_begin_again_after_a_healthy_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.1)
    monkeypatch.setattr(module, "LONGEST_PAUSE_S", 10.0)
    pauses = Pauses()
    found = [pauses.after(0.0) for _ in range(10)]
    for pause, longest in zip(found, [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10, 10], strict=True):
        assert longest / 2 <= pause <= longest
    assert len({round(pause / longest, 6) for pause, longest in zip(found[-3:], [10] * 3, strict=True)}) == 3, "jitter"
    assert pauses.after(61.0) <= 0.1


async def test_who_failed_pauses_before_it_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.1)
    monkeypatch.setattr(module, "LONGEST_PAUSE_S", 10.0)
    waited, stop, seen = list[float](), asyncio.Event(), Seen()

    async def until_noted(stop: asyncio.Event, seconds: float) -> bool:
        waited.append(seconds)
        if len(waited) == 8:
            stop.set()
        return stop.is_set()

    async def fails() -> None:
        raise ValueError("no idea")

    monkeypatch.setattr(module, "until", until_noted)
    await kept("part", fails, stop, seen)
    assert [0.05 * 2**n <= pause <= 0.1 * 2**n for n, pause in enumerate(waited[:7])] == [True] * 7
    assert 5 <= waited[7] <= 10


@pytest.mark.parametrize(("error", "called"), [(KeyError("x"), True), (LogUnavailable("away"), False)])
async def test_a_mistake_of_ours_is_tried_again_and_calls_an_operator(error: Exception, called: bool) -> None:
    seen, stop, failures = Seen(), asyncio.Event(), [error]

    async def attempt() -> None:
        if failures:
            raise failures.pop()

    await kept("part", attempt, stop, seen)
    assert seen.told("waiting") == [str(error)]
    assert list(seen.alarms()) == ["waiting"] * called


@pytest.mark.parametrize(
    "error",
    [ChainBroken("changed"), UnknownSchema(7), UndecodableRecord("bytes"), LogDiffers("other"), NeedsOperator("look")],
)
async def test_what_is_fatal_stops_one_worker_with_an_alarm(error: Exception) -> None:
    async with at_work(TWO) as bench:
        bench.work.fails[ONE] = [error]
        bench.group.assign(ONE, TWO)
        await eventually(lambda: bench.seen.now("market/0") is Condition.STOPPED)
        await asyncio.sleep(0.1)
        assert bench.work.begun.count(ONE) == 1, "trying again changes nothing"
        assert bench.seen.parts["market/0"] == (Condition.STOPPED, str(error))
        assert list(bench.seen.alarms()) == ["stopped"]
        assert bench.working(TWO)
        bench.group.assign(TWO)
        await eventually(lambda: bench.seen.now("market/0") is None)
        bench.group.assign(ONE, TWO)
        await eventually(lambda: bench.working(ONE, TWO))


async def test_who_gave_up_is_no_part_of_this_process_any_more() -> None:
    async with at_work(TWO) as bench:
        fenced = asyncio.Event()

        async def work(partition: Partition, ends: asyncio.Event) -> None:
            bench.work.begun.append(partition)
            bench.seen.condition("market/0", Condition.RUNNING)
            await fenced.wait()
            raise Fenced("somebody claimed it later")

        bench.workers._work = work
        bench.group.assign(ONE, TWO)
        await eventually(lambda: bench.work.begun.count(ONE) == 1)
        bench.group.quietly(TWO)  # the group has moved it, and nobody has looked yet
        fenced.set()
        await eventually(lambda: bench.workers.working == (TWO,))
        await asyncio.sleep(0.1)
        assert bench.work.begun.count(ONE) == 1, "it does not fence its successor"
        assert bench.seen.now("market/0") is None


async def test_who_is_fenced_and_still_asked_claims_again_in_growing_pauses() -> None:
    async with at_work(TWO) as bench:
        bench.work.fails[ONE] = [Fenced("later")] * 5
        bench.group.assign(ONE, TWO)
        await eventually(lambda: bench.work.begun.count(ONE) == 6)
        assert bench.working(ONE, TWO)


async def test_who_gave_up_and_is_asked_again_begins_again() -> None:
    async with at_work(TWO) as bench:
        bench.workers._work, before = returning_once(bench.work), bench.work.begun.copy()
        bench.group.assign(ONE, TWO)
        await eventually(lambda: bench.working(ONE, TWO))
        assert bench.work.begun == [*before, ONE, ONE]


def returning_once(work: Work) -> Any:
    """Work that has nothing to do the first time, and says so by returning."""
    returned = set[Partition]()

    async def returns(partition: Partition, ends: asyncio.Event) -> None:
        if partition not in returned:
            returned.add(partition)
            work.begun.append(partition)
            return
        await work(partition, ends)

    return returns


async def test_work_that_returns_at_once_is_no_busy_loop() -> None:
    async with at_work(TWO) as bench:
        count = 0

        async def returns(partition: Partition, ends: asyncio.Event) -> None:
            nonlocal count
            count += 1

        bench.workers._work = returns
        bench.group.assign(ONE, TWO)
        await asyncio.sleep(0.3)
        assert 1 <= count <= 8, "once a look"


# -- ends -----------------------------------------------------------------------------------------------


async def test_a_worker_that_hangs_is_cancelled_in_time() -> None:
    bench = Bench(Driven())
    bench.work.hangs = {ONE}
    bench.group.assign(ONE, TWO)
    stop = asyncio.Event()
    task = asyncio.create_task(bench.workers.run(stop))
    await eventually(lambda: bench.working(ONE, TWO))
    stop.set()
    async with asyncio.timeout(1):
        await task
    assert bench.working()
    assert bench.group.left


async def test_a_worker_that_hangs_holds_nobody_else_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STOP_S", 0.6)
    async with at_work(TWO) as bench:
        bench.work.hangs = {ONE}
        bench.group.assign(ONE, TWO)
        await eventually(lambda: bench.working(ONE, TWO))
        bench.group.assign(TWO, THREE)
        async with asyncio.timeout(0.5):
            while THREE not in bench.work.now:
                await asyncio.sleep(0.005)
        assert ONE in bench.work.now, "it still hangs"


async def test_a_partition_that_comes_back_waits_until_its_last_worker_is_gone() -> None:
    async with at_work(TWO) as bench:
        bench.work.hangs = {ONE}
        bench.group.assign(ONE, TWO)
        await eventually(lambda: bench.working(ONE, TWO))
        first = bench.work.now[ONE]
        bench.group.assign(TWO)
        await eventually(first.is_set)
        bench.work.hangs = set()
        bench.group.assign(ONE, TWO)
        await eventually(lambda: bench.work.begun.count(ONE) == 2)
        assert not bench.work.now[ONE].is_set()
        await eventually(lambda: bench.seen.now("market/0") is Condition.STARTING, "the new one is this process's")


async def test_partitions_at_rest_have_no_worker_and_say_why() -> None:
    async with at_work(ONE, TWO) as bench:
        bench.resting = {ONE: "look at it", THREE: "look too"}
        await eventually(lambda: bench.working(TWO))
        await eventually(lambda: bench.seen.parts.get("market/0") == (Condition.PAUSED, "look at it"))
        await asyncio.sleep(0.1)
        assert bench.work.begun.count(ONE) == 1
        bench.resting = {THREE: "look too"}
        await eventually(lambda: bench.working(ONE, TWO))
        assert bench.seen.now("market/2") is None, "it is somebody else's"
        bench.group.assign(ONE, TWO, THREE)
        await eventually(lambda: bench.seen.now("market/2") is Condition.PAUSED, "also one that never ran here")
        assert THREE not in bench.work.begun
        bench.group.assign(ONE, TWO)
        await eventually(lambda: bench.seen.now("market/2") is None)


# -- displays -------------------------------------------------------------------------------------------


async def test_how_far_workers_are_is_told_also_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LAG_S", 0.01)
    async with at_work(ONE, TWO) as bench:
        errors: list[Exception] = [LogUnavailable("gone"), ValueError("no idea"), LogUnavailable("gone")]

        async def end(partition: Partition) -> int:
            if errors:
                raise errors.pop(0)
            return 30

        monkeypatch.setattr(bench.log.events, "end", end)
        bench.place = {ONE: (10, 7), TWO: (31, 5)}.get
        await eventually(lambda: ("lag_records", "decide", "market", "0") in bench.seen.gauges)
        await eventually(lambda: ("lag_records", "decide", "market", "1") in bench.seen.gauges)
        assert bench.seen.gauges["lag_records", "decide", "market", "0"] == 20
        assert bench.seen.gauges["lag_records", "decide", "market", "1"] == 0
        assert bench.seen.gauges["lag_ticks", "decide", "market", "0"] == 0
        assert bench.seen.gauges["lag_ticks", "decide", "market", "1"] == 2
        assert bench.group.positions == {ONE: 10, TWO: 31}


async def test_how_far_it_was_is_not_told_of_what_was_given_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LAG_S", 0.01)
    async with at_work(ONE, TWO) as bench:

        async def end(partition: Partition) -> int:
            if partition == TWO:
                bench.group.assign(ONE)
                await eventually(lambda: bench.seen.now("market/1") is None)  # its gauges are forgotten then
            return 30

        monkeypatch.setattr(bench.log.events, "end", end)
        bench.place = {ONE: (10, 7), TWO: (20, 5)}.get
        await eventually(lambda: bench.seen.now("market/1") is None)
        await asyncio.sleep(0.05)
        assert set(bench.seen.gauges) == {(name, "decide", "market", "0") for name in ("lag_records", "lag_ticks")}


# -- parts ----------------------------------------------------------------------------------------------


async def test_until_waits_for_the_event_or_so_long() -> None:
    stop = asyncio.Event()
    assert not await until(stop, 0.001)
    assert not await until(stop, -1)
    asyncio.get_running_loop().call_later(0.01, stop.set)
    async with asyncio.timeout(1):
        assert await until(stop, 60)


async def test_what_is_kept_ends_with_its_attempt_or_with_the_event() -> None:
    seen, stop, count = Seen(), asyncio.Event(), 0

    async def attempt() -> None:
        nonlocal count
        count += 1
        if count < 4:
            raise ValueError("not yet")

    await kept("part", attempt, stop, seen)
    assert count == 4

    async def never() -> None:
        stop.set()
        raise ValueError("never")

    async with asyncio.timeout(1):
        await kept("part", never, stop, seen)
    await kept("part", never, stop, seen)
    assert seen.counts["retries", "part"] == 4


async def test_alone_a_process_works_on_everything() -> None:
    group = Alone()
    assert group.assigned == frozenset()
    await group.join((ONE, TWO))
    assert await group.changed(frozenset(), 60) == group.assigned == {ONE, TWO}
    assert await group.changed(group.assigned, 0.001) == {ONE, TWO}
    group.reached({ONE: 1})
    await group.leave()
    assert group.assigned == frozenset()
