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

    @property
    def sends(self) -> int:
        """How many sends the load makes."""
        return self.sender.sends_of(self.load.steps)

    @property
    def founded(self) -> int:
        """How many it has made when the markets are open."""
        return self.sender.sends_of(self.load.founding)


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
        events, commands = app.backend.events, app.backend.commands
        witness = Witness(events, [p for p in app.layout.partitions if witnessed and p.family == "market"])
        sender = Sender(Outside(app, events, commands), app.layout, pause=pause)
        stop = asyncio.Event()

        async def live() -> None:
            await _opened(app)
            async with asyncio.TaskGroup() as three:
                witnessing = three.create_task(witness.watch(stop))
                told = three.create_task(story(Life(fleet, sender, load)))
                await sender.live(load)
                await told
                stop.set()
                await witnessing

        try:
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as both:
                both.create_task(fleet.watch(stop))
                both.create_task(live())
            await fleet.stop()
        except TimeoutError:
            raise AssertionError(f"not quiet after {seconds:.0f} s\n{fleet.said()}") from None
        except ExceptionGroup as failures:
            raise _first(failures) from None
        finally:
            await app.close()
    found = await _looked(place, sender, witness)
    found.tell("process", fleet.problems)
    return found


def _first(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


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
