"""Real processes under load: killed at any moment, and frozen so that others take over and they wake too late."""

import asyncio
import random
from collections.abc import Awaitable, Sequence

import pytest

from tests.faults.checks import Found
from tests.faults.load import Load
from tests.faults.planted import APART
from tests.faults.processes import ROLES, Nursery, Place
from tests.faults.trial import Life, Story, lived

MORE = 5
"""Sends while an owner stands still."""


def kills(seed: int, times: int, roles: Sequence[str] = ROLES, *, first: int = 3) -> Story:
    """`kill -9` of a process of every role, so many times, at moments that the seed draws.

    Args:
        first: how much of the load comes before; what is left is divided by `times`, with a kill in each part.
    """

    async def story(life: Life) -> None:
        rng, part = random.Random(f"{seed} kills"), (life.sends - first) // times
        moments = [(first + n * part + rng.randrange(part), role) for role in roles for n in range(times)]
        for sends, role in sorted(moments):
            await life.sender.reached(sends)
            await asyncio.sleep(rng.uniform(0, 0.1))
            await life.fleet.restart(role)

    return story


async def test_whoever_is_killed_nothing_is_lost_or_doubled(place: Place, nursery: Nursery) -> None:
    found = await lived(place, nursery, Load(1), kills(1, times=2))
    assert found.problems == []
    assert found.events["TradeMade"] > 100
    assert found.events["RunPosted"] == 4


async def in_between(life: Life) -> None:
    """`kill -9` of a projector whose position is ahead of its rows."""
    await life.sender.reached(life.founded)
    for _ in range(3):
        await life.fleet.says("project", APART)
        await life.fleet.restart("project")


@pytest.mark.long
@pytest.mark.parametrize(
    ("plant", "role", "story", "what"),
    [
        ("group_offsets", "decide", kills(1, 3, ["decide"], first=20), "decided again: "),
        ("rows_apart", "project", in_between, "view: "),
    ],
)
async def test_a_bug_that_only_a_kill_shows_is_found(
    place: Place, nursery: Nursery, plant: str, role: str, story: Story, what: str
) -> None:
    load = Load(1, markets=2, homes=4, orders=12, whole=False)
    found = await lived(place, nursery, load, story, pause=0.1, plants={role: [plant]})
    assert any(what in problem for problem in found.problems), found.problems


def freezes(seed: int, times: int) -> Story:
    """A decider stands still in the middle of its work; others answer everything meanwhile, and then it wakes up."""

    async def story(life: Life) -> None:
        rng = random.Random(f"{seed} freezes")
        first, part = life.founded, (life.sends - life.founded) // (2 * times)
        for n in range(times):
            await life.sender.reached(first + n * part + rng.randrange(1, part))
            name = rng.choice(["decide", "second"])
            await asyncio.sleep(rng.uniform(0, 0.05))
            life.fleet.freeze(name)
            life.sender.allow(MORE)
            await life.sender.reached(life.sender.sends + MORE)
            await life.sender.quiet()  # all that was sent is answered: somebody else has taken over
            life.fleet.thaw(name)  # it finds work of before, and work that was done meanwhile
            life.sender.allow()

    return story


async def test_nothing_of_a_frozen_owner_becomes_visible(place: Place, nursery: Nursery) -> None:
    load, more = Load(2, orders=60, whole=False), {"second": "decide"}
    found = await lived(place, nursery, load, freezes(2, times=3), pause=0, more=more, witnessed=True)
    assert found.problems == []


@pytest.mark.long
async def test_a_frozen_owner_that_nobody_fences_is_found(place: Place, nursery: Nursery) -> None:
    load, more = Load(2, orders=60, whole=False), {"second": "decide"}
    plants = {"decide": ["unfenced"]}
    story = freezes(2, times=2)
    problems = await problems_of(lived(place, nursery, load, story, pause=0, plants=plants, more=more, witnessed=True))
    assert problems != []


async def problems_of(life: Awaitable[Found]) -> list[str]:
    """What is found in the end, or what has ended it before."""
    try:
        return (await life).problems
    except AssertionError as failed:
        return [str(failed)]
