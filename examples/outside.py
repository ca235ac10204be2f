"""The demo's day from outside: a process of its own that only sends commands and ticks to a running deployment.

`gridbook up --no-clock` (in one terminal), `python -m examples.outside` (in another). In lock-step it waits until
everything that follows from a tick is done before it sends the next one: countable, because every command
leaves a record. With `--free` it waits for nobody.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from consumers.clock import Clock
from consumers.limits import SEND_DEADLINE_S
from consumers.ports import CommandLog, EventLog, LogUnavailable, Partition
from consumers.project import Reached
from consumers.reading import SOURCE, between, last_record, recorded
from examples import account
from examples.day import Day
from examples.demo import prove
from examples.world import SAMPLE
from gateways.app import CALCULATIONS, FAILURES, App
from gateways.door import Door, DoorCommand
from gateways.roles import machine_time_us
from gateways.servers import Servers
from gateways.settings import Settings
from gateways.terminal import SAID, Data, Kafka, reached, settings_of
from schemas.envelope import Moment

_LOOK_S: Final = 0.01
_LONGEST_LOOK_S: Final = 0.2
_AGAIN_S: Final = 0.5


class Outside:
    """Whoever stands outside of a deployment: sends, and sees from the logs and the views when all is quiet."""

    def __init__(self, app: App, events: EventLog, commands: CommandLog) -> None:
        self._app, self._events, self._commands, self._codec = app, events, commands, app.codec
        self._partitions = app.layout.current
        self._clock = Clock(commands, app.codec, self._partitions)
        self._now = Moment(0, 0)
        self._answered: dict[Partition, tuple[int, int]] = {}
        self._door = Door(app.codec, app.layout, lambda: self._now, machine_time_us)
        self._calculations = {(w.calculation.family, w.calculation.on): w.calculation for w in CALCULATIONS}
        self._calculating = {family for family, _ in self._calculations}

    async def passed(self) -> int:
        """The last tick that every partition has passed, as the views know it."""
        reached = await self._app.views.reached()
        return min((reached[p].complete_tick if p in reached else 0) for p in self._partitions)

    async def tick(self, moment: Moment) -> None:
        """Sends a tick, again until it is stored: one too many is answered as repeated."""
        self._now = moment
        await self._stored(lambda: self._clock.tick(moment))

    async def send(self, moment: Moment, commands: Sequence[DoorCommand]) -> None:
        """Sends commands, again until they are stored: what stands twice is answered once."""
        self._now = moment
        admitted = self._door.admit(commands)
        await self._stored(lambda: self._commands.send(admitted, SEND_DEADLINE_S))

    async def quiet(self) -> None:
        """Returns when every command is answered, every fact reacted to, projected and calculated with."""
        pause = _LOOK_S
        while not await self._is_quiet():
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_LOOK_S)

    async def _is_quiet(self) -> bool:
        # In this order: what follows from the facts below `ends` is on the command log before its end is asked for.
        try:
            ends = await self._ends(self._events)
            reacted, calculated = await self._app.views.hints("react"), await self._app.views.hints("calculate")
            reached = await self._app.views.reached()
            for partition, end in ends.items():
                projected = reached[partition].position if partition in reached else 0
                if min(reacted.get(partition, 0), projected) < end:
                    return False
                done = calculated.get(partition, 0) if partition.family in self._calculating else end
                if done < end and not await self._waits(partition, done, end, reached):
                    return False
            waiting = await self._ends(self._commands)
            for partition, end in waiting.items():
                if await self._answered_up_to(partition, ends[partition]) < end:
                    return False
            return await self._ends(self._events) == ends
        except FAILURES:
            return False  # something is gone and will come back

    async def _waits(self, partition: Partition, position: int, end: int, reached: Mapping[Partition, Reached]) -> bool:
        """Whether what is left to calculate waits for the next tick, as the book of an auction does."""
        async for stored in between(self._events, partition, position, end):
            kind = self._codec.type_of(stored.value)
            calculation = self._calculations.get((partition.family, kind)) if kind is not None else None
            if calculation is not None:
                cutoff = calculation.cutoff(recorded(self._codec, partition, stored))
                needed = [p for p in self._partitions if p.family in calculation.needs]
                if any(p not in reached or reached[p].complete_tick < cutoff for p in needed):
                    return True
        return False

    async def _ends(self, log: EventLog | CommandLog) -> Mapping[Partition, int]:
        ends = await asyncio.gather(*(log.end(p) for p in self._partitions))
        return dict(zip(self._partitions, ends, strict=True))

    async def _answered_up_to(self, partition: Partition, end: int) -> int:
        """The position of the next command to be answered, as the partition's last record says."""
        known = self._answered.get(partition)
        if known is None or known[0] != end:
            stored = await last_record(self._events, partition)
            source = int(dict(stored.headers)[SOURCE]) + 1 if stored is not None else 0
            known = self._answered[partition] = end, source
        return known[1]

    async def _stored(self, send: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await send()
                return
            except LogUnavailable:
                await asyncio.sleep(_AGAIN_S)


async def live(outside: Outside, day: Day, free_s: float | None, say: Any) -> None:
    """Lives through the day, or goes on where an earlier process was killed; `free_s`: a pause instead of quiet."""

    async def settled() -> None:
        await (outside.quiet() if free_s is None else asyncio.sleep(free_s))

    await outside.quiet()
    passed = await outside.passed()
    title = ""
    for step in day.steps:
        if step.moment.n < passed:
            continue
        if step.moment.n > passed:
            await outside.tick(step.moment)
            await settled()
        if step.commands:
            await outside.send(step.moment, step.commands)
            await settled()
        if step.title != title:
            title = step.title
            say(f"{step.moment.n:4} {title}")
    await outside.quiet()


async def _run(places: Servers, settings: Settings, day: Day, free_s: float | None, say: Any) -> dict[str, Any]:
    backend = places.backend()
    app = App(backend, places.dsn, places.deployment, settings.layout().families)
    try:
        while True:
            try:
                await app.open()
                break
            except FAILURES as failure:
                say(f"waiting: {failure}")
                await asyncio.sleep(_AGAIN_S)
        await live(Outside(app, backend.events, backend.commands), day, free_s, say)
        found = await account.gather(app)
    finally:
        await app.close()
    proofs, chain, problems = await prove(places, settings.layout().families)
    for problem in problems:
        say(problem)
    return found | {"verified": proofs, "chain": chain}


def main(
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the account as one JSON object.")] = None,
    kafka: Kafka = False,
    data: Data = None,
    sample: Annotated[Path, typer.Option("--sample", help="The sample communities' folder.")] = SAMPLE,
    free: Annotated[float | None, typer.Option("--free", help="Seconds between sends; waits for nobody.")] = None,
) -> None:
    """Feeds a running deployment the demo's day and prints the account."""
    console = Console(width=None if sys.stdout.isatty() else 110)
    try:
        settings, folder = settings_of(data)
        with reached(settings, folder, kafka) as places:
            found = asyncio.run(_run(places, settings, Day(sample), free, console.print))
    except SAID as failure:
        console.print(str(failure), style="bold red", highlight=False, markup=False)
        raise typer.Exit(1) from None
    text = json.dumps(found, indent=1, sort_keys=True)
    console.print(text, highlight=False)
    if json_file is not None:
        json_file.write_text(text + "\n")
    if not (all(found["verified"].values()) and found["chain"]):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
