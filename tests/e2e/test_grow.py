"""A family gets other partitions: nothing is lost, nothing is decided twice, everything goes on as if it had not."""

import pickle
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from consumers.drive import LockStep
from consumers.failures import GenerationIsOver
from consumers.layout import Layout, LayoutDiffers
from consumers.lookup import history, state_of
from consumers.memory import Memory
from consumers.ports import LogUnavailable, NewRecord, Partition, ProcessReport
from consumers.react import Reactor
from consumers.reading import batches
from domain.families import DECIDERS
from domain.policies.table import POLICIES
from gateways.app import App, deployment_of
from gateways.app.backends import Backend, kafka_backend, memory_backend
from gateways.grow import GrowthRefused, grow
from gateways.transfer import Side, copy_between
from infra.embedded.memory import MemoryStore
from infra.kafka.topics import KafkaTopics, TopicSettings
from infra.postgres.switchboard import PostgresSwitchboard
from schemas.catalog import FAMILIES
from schemas.partition import partition_of
from tests.simulation.runs import examine
from tests.simulation.world import Step, World

GROWTHS = (("market", 3), ("meter", 5), ("market", 1), ("party", 4))
"""Between the five parts of the day; one family twice, once to fewer."""

pytestmark = pytest.mark.asyncio(loop_scope="module")

Account = dict[tuple[str, str], list[str]]


@dataclass
class Place:
    """A deployment that is stopped and started again, each time with the partitions that it was told last."""

    dsn: str
    backend: Callable[[str], Backend]
    name: str = field(default_factory=lambda: f"grown_{secrets.token_hex(4)}")
    layout: Layout = field(default_factory=lambda: Layout.of(dict.fromkeys(FAMILIES, 2)))
    sealed: list[Partition] = field(default_factory=list)

    def app(self) -> App:
        """As a process that starts now."""
        return App(self.backend(self.name), self.dsn, self.name, self.layout.families)

    def side(self) -> Side:
        """As something to be copied from or to."""
        return Side(deployment_of(self.name, self.layout.families), self.backend(self.name))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[App]:
        """While it runs."""
        app = self.app()
        try:
            await app.start()
            yield app
        finally:
            await app.close()

    async def live(self, steps: Sequence[Step], again: Sequence[Step] = ()) -> None:
        """Some of the day, in lock-step; first what was said before comes again."""
        async with self.running() as app:
            await app.drive.send([command for step in again for command in app.door.admit(step.commands)])
            await app.drive.settle()
            for step in steps:
                await app.drive.tick(step.moment)
                await app.drive.send(app.door.admit(step.commands))
                await app.drive.settle()

    async def seal(self, partitions: Sequence[Partition]) -> None:
        """Remembers what was asked."""
        self.sealed += partitions

    async def grow(self, family: str, partitions: int, seal: Any = None) -> None:
        """As `gridbook topics grow`."""
        app = self.app()
        try:
            self.layout = await grow(app, family, partitions, seal or self.seal)
        finally:
            await app.close()

    async def account(self) -> Account:
        """Every key's facts without their order; everything must hold, as somebody sees it who wrote nothing."""
        app = self.app()
        try:
            await app.open()
            facts, problems = await examine(app)
        finally:
            await app.views.drop()
            await app.close()
        assert problems == []
        return {key: sorted(bodies) for key, bodies in facts.items()}


def in_memory(dsn: str) -> Place:
    """On a log in memory that outlives its processes."""
    store = MemoryStore()
    return Place(dsn, lambda name: memory_backend(name, store))


def parts() -> list[Sequence[Step]]:
    """The day in as many parts as there are growths, and one."""
    steps, count = World(1).steps, len(GROWTHS) + 1
    return [steps[n * len(steps) // count : (n + 1) * len(steps) // count] for n in range(count)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def undisturbed(postgres_dsn: str) -> Account:
    place = in_memory(postgres_dsn)
    for steps in parts():
        await place.live(steps)
    return await place.account()


async def test_a_day_with_growths_between_is_the_same_day(postgres_dsn: str, undisturbed: Account) -> None:
    place = in_memory(postgres_dsn)
    before, *rest = parts()
    await place.live(before)
    for (family, partitions), steps in zip(GROWTHS, rest, strict=True):
        old = place.layout.of_family(family)
        await place.grow(family, partitions)
        assert place.sealed[-len(old) :] == list(old)
        await place.live(steps, again=before)
        before = steps
    assert place.layout.families["market"] == (2, 3, 1)
    assert await place.account() == undisturbed


async def test_a_key_is_found_in_every_generation(postgres_dsn: str, undisturbed: Account) -> None:
    place, steps = in_memory(postgres_dsn), World(1).steps
    await place.live(steps[: len(steps) // 2])
    await place.grow("market", 3)
    await place.live(steps[len(steps) // 2 :])
    async with place.running() as app:
        for family, key in (one for one in undisturbed if one[0] == "market"):
            homes, events = app.layout.lineage(family, key), app.backend.events
            found = [repr(entry.body) async for entry in history(events, app.codec, homes, key)]
            assert sorted(found) == undisturbed[family, key]
            made = await state_of(events, app.codec, DECIDERS[family], homes, key)
            assert made.facts == len(found)
            owner = app.drive._owners[app.layout.route(family, key)]
            assert owner.decider.state(key) == made.state


async def test_what_was_known_is_known(postgres_dsn: str) -> None:
    """State, deadlines, what was answered, how far each policy was heard, and the time."""
    place, steps = in_memory(postgres_dsn), World(1).steps
    await place.live(steps[: len(steps) // 2])

    async def memories() -> list[Memory]:
        async with place.running() as app:
            return [app.drive._owners[p].decider._m for p in app.layout.of_family("market")]

    old = await memories()
    await place.grow("market", 3)
    new = await memories()
    known = [{key: state for one in some for key, state in one.states.items()} for some in (old, new)]
    assert known[0] == known[1] != {}
    due = [{key: at for one in some for key, at in one.due.items()} for some in (old, new)]
    assert due[0] == due[1] != {}
    answered = [sorted(answer for one in some for answer in one.answered) for some in (old, new)]
    assert answered[0] == answered[1] != []
    assert [pickle.loads(pickle.dumps(one)) for one in new] == new, "as a snapshot has them"
    for cursors in (one.cursors for one in new):
        assert cursors == {c: max(o.cursors.get(c, (-1, -1)) for o in old) for one in old for c in one.cursors} != {}
    assert {(one.time, one.passed) for one in old} == {(one.time, one.passed) for one in new}
    for memory, number in zip(new, range(3), strict=True):
        assert {partition_of(key, 3) for key in memory.states} <= {number}


async def test_whoever_reacts_again_from_the_beginning_changes_nothing(postgres_dsn: str) -> None:
    place, steps = in_memory(postgres_dsn), World(1).steps
    await place.live(steps[: 3 * len(steps) // 4])
    await place.grow("market", 3)
    await place.grow("party", 1)
    async with place.running() as app:
        reactor = Reactor(POLICIES, app.codec, app.layout)
        seen = 0
        for partition in app.layout.partitions:
            async for facts, _ in batches(app.backend.events, app.codec, partition, 0):
                commands = reactor.commands(facts)
                seen += len(commands)
                await app.drive.send(commands)
                assert await app.drive.settle() == []
        assert seen > 30


async def test_nobody_works_by_another_layout(postgres_dsn: str) -> None:
    place = in_memory(postgres_dsn)
    old = place.layout
    await place.live(parts()[0])
    place.layout = Layout({**old.families, "market": (2, 3)})
    with pytest.raises(LayoutDiffers, match=r"generation 1 of market has not ended in every partition.*topics grow"):
        await place.live([])
    place.layout = old
    with pytest.raises(GrowthRefused, match="market has 2 partitions"):
        await place.grow("market", 2)
    await place.grow("market", 3)
    new, place.layout = place.layout, old
    with pytest.raises(LayoutDiffers, match=r"set GRIDBOOK_FAMILY_PARTITIONS=market=2\+3$"):
        await place.live([])
    place.layout = Layout({**old.families, "market": (2, 4)})
    with pytest.raises(LayoutDiffers, match=r"set GRIDBOOK_FAMILY_PARTITIONS=market=2\+3$"):
        await place.live([])
    place.layout = new
    await place.live([])


async def test_a_growth_that_was_interrupted_goes_on(postgres_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place = in_memory(postgres_dsn)
    await place.live(parts()[0])
    send = LockStep.send

    async def one_only(drive: LockStep, commands: Sequence[tuple[Partition, NewRecord]]) -> None:
        await send(drive, commands[:1])
        await drive.settle()
        raise LogUnavailable("the broker is away")

    with monkeypatch.context() as patched:
        patched.setattr(LockStep, "send", one_only)
        with pytest.raises(LogUnavailable):
            await place.grow("market", 3)
    with pytest.raises(LayoutDiffers, match="not ended in every partition"):
        await place.live([])
    with pytest.raises(GrowthRefused, match="was begun to be given"):
        await place.grow("market", 4)
    await place.grow("market", 3)
    await place.live(parts()[1], again=parts()[0])
    await place.account()


async def test_a_deployment_that_runs_gets_no_other_partitions(postgres_dsn: str) -> None:
    place = in_memory(postgres_dsn)
    board = PostgresSwitchboard(postgres_dsn, place.name)
    try:
        await board.report(ProcessReport("decide@h:1", "decide", "h", 1, "1", (), "running"))
        with pytest.raises(GrowthRefused, match="stop them"):
            await place.grow("market", 3)
    finally:
        await board.close()


async def test_a_grown_log_is_moved_to_kafka_and_grows_there(
    postgres_dsn: str, kafka_bootstrap: str, undisturbed: Account
) -> None:
    """And comes back from there: to the same account, with the topics of ended generations closed."""
    here, steps = in_memory(postgres_dsn), World(1).steps
    await here.live(steps[: len(steps) // 3])
    await here.grow("market", 3)
    there = Place(postgres_dsn, lambda name: kafka_backend(kafka_bootstrap, name), layout=here.layout)
    await copy_between(here.side(), there.side(), postgres_dsn)
    await there.live(steps[len(steps) // 3 : 2 * len(steps) // 3], again=steps[: len(steps) // 3])
    old, topics = there.layout, KafkaTopics(kafka_bootstrap, there.name, TopicSettings(1, 1))
    await there.grow("meter", 3, topics.seal)
    await there.live(steps[2 * len(steps) // 3 :], again=steps[len(steps) // 3 : 2 * len(steps) // 3])

    # Who was told nothing cannot send where nobody reads, and is told why.
    backend = kafka_backend(kafka_bootstrap, there.name)
    await backend.start()
    with pytest.raises(GenerationIsOver, match="start this process again"):
        await backend.commands.send([(old.of_family("meter")[0], NewRecord(b"k", b"v"))], 5)
    await backend.close()
    states = {state.topic.name: state for state in await topics.describe(there.layout)}
    assert not any(state.differences for state in states.values())
    assert states[f"{there.name}.events.meter.g2"].partitions == 3
    new, there.layout = there.layout, old
    with pytest.raises(LayoutDiffers, match=r"generation 1 of meter has ended.*meter=2\+3$"):
        await there.live([])
    there.layout = new

    back = in_memory(postgres_dsn)
    back.layout = new
    await copy_between(there.side(), back.side(), postgres_dsn)
    await back.live([])
    assert await there.account() == await back.account() == undisturbed
