"""Generations of partitions: where a key belongs, when one ends, and who works on what."""

import asyncio
from collections.abc import Iterable

import pytest

from consumers.failures import GenerationIsOver, Poison
from consumers.follow import Follower
from consumers.layout import Layout, ends_of
from consumers.owner import PartitionOwner
from consumers.partition import PartitionDecider
from consumers.ports import Partition
from consumers.report import Condition
from consumers.workers import kept
from domain.party import decider as party
from schemas.actors import LOG
from schemas.envelope import CommandMeta
from schemas.log.commands import EndGeneration
from schemas.log.events import CommandRepeated, GenerationEnded, LogicAdopted
from schemas.partition import partition_of
from schemas.party.commands import RegisterParty
from schemas.party.events import Role
from schemas.shape import InvalidMessage
from schemas.values import MAX_PARTITIONS
from tests.unit.consumers.loops import CODEC, FAR, PARTY, Logs, Seen, eventually

GROWN = Layout.of({"party": (2, 3, 1), "site": 1})
NAMES = [f"p{n}" for n in range(20)]
END = CommandMeta("end", f"{LOG}operator", "end", None, None, None)


def make(partition: Partition, set_aside: Iterable[Poison]) -> PartitionDecider:
    """As a deployment whose party family began with one partition and has two."""
    earlier = 1 if partition.generation == 2 else 0
    return PartitionDecider(partition, partition.generation, party, CODEC, set_aside, earlier=earlier)


@pytest.fixture
async def logs() -> Logs:
    return await Logs(PARTY, *(Partition("party", 1_000 + n) for n in range(2))).start()


def test_a_number_tells_the_generation() -> None:
    assert [(p.generation, p.index) for p in GROWN.partitions if p.family == "party"] == [
        (1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (3, 0),
    ]  # fmt: skip
    assert [str(p) for p in GROWN.current] == ["party/2000", "site/0"]
    assert [p.number for p in GROWN.ended] == [0, 1, 1_000, 1_001, 1_002]
    assert Layout.among(reversed(GROWN.partitions)) == GROWN
    assert (GROWN.generations, [str(p) for p in GROWN.of_generation(1)]) == (3, ["party/0", "party/1", "site/0"])


def test_a_key_has_one_place_in_every_generation() -> None:
    for key in NAMES:
        assert [p.number for p in GROWN.lineage("party", key)] == [
            partition_of(key, 2),
            1_000 + partition_of(key, 3),
            2_000,
        ]
        assert GROWN.route("party", key) == Partition("party", 2_000)
    assert [p.number for p in GROWN.before(Partition("party", 1_001))] == [0, 1]
    assert GROWN.before(Partition("party", 1)) == ()
    assert GROWN.count(Partition("party", 1_002)) == 3


async def test_what_comes_behind_the_end_is_not_decided(logs: Logs) -> None:
    """Also when it is read together with it."""
    await logs.register("ann")
    await logs.send(b"", END, EndGeneration(2))
    await logs.register("bob")
    seen = Seen()
    owner, stop = PartitionOwner(PARTY, make, logs.events, logs.commands, report=seen), asyncio.Event()
    task = asyncio.create_task(kept("party/0", lambda: owner.run(stop), stop, seen))
    await eventually(lambda: seen.now("party/0") is Condition.STOPPED)
    assert await logs.registered() == ["ann"]
    assert (await logs.bodies())[-1] == GenerationEnded(2)
    assert await ends_of(logs.partitions, CODEC, logs.events) == [2, None, None]
    told = seen.told("stopped")
    assert "party/0 has ended, and 2 partitions follow it: start this process again" in str(told)
    stop.set()
    await task


async def test_the_next_generation_goes_on_from_what_the_last_one_leaves(logs: Logs) -> None:
    await logs.register(*NAMES)
    await logs.send(b"", END, EndGeneration(2))
    await logs.answer()
    for partition in logs.partitions[1:]:
        mine = [name for name in NAMES if partition_of(name, 2) == partition.index]
        memory = await Follower(partition, make, logs.events).catch_up()
        assert sorted(memory._m.states) == sorted(mine) != []
        assert {key for key, _, _ in memory._m.answered} == set(mine)
        name = mine[0]
        meta = CommandMeta(f"reg-{name}", name, "x", FAR, None, None)
        await logs.send(name.encode(), meta, RegisterParty((Role.SUPPLIER,)), partition)
        owner = PartitionOwner(partition, make, logs.events, logs.commands)
        assert await owner.step() == 2  # the tick, which has passed already, and the command of before
        await owner.stop()
        assert await logs.bodies(partition) == [LogicAdopted(party.LOGIC), CommandRepeated(0), CommandRepeated(0)]
        assert (await Follower(partition, make, logs.events).catch_up()).image() == owner.decider.image()


async def test_nothing_begins_before_the_last_generation_has_ended(logs: Logs) -> None:
    await logs.register(*NAMES)
    await logs.answer()
    with pytest.raises(GenerationIsOver, match="party/0 should be followed by 2 partitions, and is by none"):
        await Follower(logs.partitions[1], make, logs.events).catch_up()


async def test_a_generation_is_ended_for_a_number_that_can_be(logs: Logs) -> None:
    for count in (0, MAX_PARTITIONS + 1):
        with pytest.raises(InvalidMessage, match="partitions"):
            await logs.send(b"", END, EndGeneration(count))
