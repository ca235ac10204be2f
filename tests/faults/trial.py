"""One life of a deployment: processes, a load, a story of faults beside it, and what is found in the end."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from examples.outside import Outside
from gateways.app import FAILURES, App
from tests.faults.checks import Found, examine
from tests.faults.load import Load, Sender
from tests.faults.processes import ROLES, Fleet, Place, Spawn
from tests.faults.witness import Witness

_AGAIN_SECONDS: Final = 0.1
_NO_PLANTS: Final[Mapping[str, Sequence[str]]] = {}


@dataclass(frozen=True, slots=True)
class Life:
    """What a story is about."""

    fleet: Fleet
    sender: Sender
    load: Load
    outside: Outside

    @property
    def sends(self) -> int:
        """How many sends the load makes."""
        return self.sender.sends_of(self.load)


Story = Callable[[Life], Coroutine[Any, Any, None]]
"""What happens to a deployment while the load goes on."""


async def lived(
    place: Place,
    spawn: Spawn,
    load: Load,
    story: Story,
    *,
    pause: float = 0.05,
    seconds: float = 200,
    plants: Mapping[str, Sequence[str]] = _NO_PLANTS,
    more: Mapping[str, str] | None = None,
    witnessed: bool = False,
) -> Found:
    """Lives through the load while the story is told, stops every process and looks at everything.

    Args:
        pause: seconds between two sends.
        seconds: for all of it; then it has failed.
        plants: role → bugs planted in its processes.
        more: processes beside one for each role, name → role.
        witnessed: somebody reads the markets all the time.
    """
    async with Fleet(place, spawn, plants) as fleet:
        fleet.start(*ROLES, **(more or {}))
        app = place.app()
        witness = Witness(app.backend.events, [p for p in app.partitions if witnessed and p.family == "market"])
        stop = asyncio.Event()
        try:
            async with asyncio.timeout(seconds):
                await _opened(app)
                outside = Outside(app, app.backend.events, app.backend.commands)
                sender = Sender(outside, app.counts, pause=pause)
                life = Life(fleet, sender, load, outside)
                async with asyncio.TaskGroup() as all_of_them:
                    all_of_them.create_task(fleet.watch(stop))
                    all_of_them.create_task(witness.watch(stop))
                    all_of_them.create_task(_told(story, life, stop))
            await fleet.stop()
        except* AssertionError as failed:
            raise failed.exceptions[0] from None
        except* TimeoutError:
            raise AssertionError(f"not quiet after {seconds:.0f} s\n{fleet.said()}") from None
        finally:
            await app.close()
    found = await _looked(place, sender, witness)
    found.tell("process", fleet.problems)
    return found


async def _told(story: Story, life: Life, stop: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as both:
        both.create_task(life.sender.live(life.load))
        both.create_task(story(life))
    stop.set()


async def _opened(app: App) -> None:
    """Returns when the deployment's log and views are there."""
    while True:
        try:
            await app.open()
            return
        except FAILURES:
            await asyncio.sleep(_AGAIN_SECONDS)


async def _looked(place: Place, sender: Sender, witness: Witness) -> Found:
    """What somebody finds who has written nothing."""
    app = place.app()
    try:
        await app.open()
        found = await examine(app, sender.sent)
        found.tell("witness", await witness.problems(app.backend.events))
    finally:
        await app.close()
    return found
