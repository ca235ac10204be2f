"""More (or fewer) partitions for a family: the generation that it has ends at a tick, and the next one begins empty.

Everything that waits on the log is decided, reacted to and projected before; so nothing of the old generation is on
its way when it ends, and the new one goes on from what it leaves. Nothing is copied and nothing is rewritten.
"""

from collections.abc import Awaitable, Callable, Sequence

from consumers.layout import Layout, ends_of
from consumers.ports import LogDiffers, NewRecord, Partition
from consumers.reading import COMMAND_ID
from gateways.app import App
from schemas.actors import LOG
from schemas.codec import Codec
from schemas.envelope import CommandMeta
from schemas.log.commands import EndGeneration

_OPERATOR = f"{LOG}operator"

Seal = Callable[[Sequence[Partition]], Awaitable[None]]
"""Has the log take no more commands for these partitions: what is sent there would never be answered."""


class GrowthRefused(LogDiffers):
    """A family gets no other partitions now. One sentence: why and what to do."""


async def grow(app: App, family: str, partitions: int, seal: Seal) -> Layout:
    """Ends the family's generation and makes the next one, of so many partitions; interrupted, it goes on.

    Args:
        app: of a deployment whose processes are stopped; not yet started, and of no use afterwards.

    Returns:
        What every process must be told from now on.

    Raises:
        GrowthRefused: nothing has changed.
        LogUnavailable: it may have begun; do it again.
    """
    old = app.layout.of_family(family)
    if partitions == len(old):
        raise GrowthRefused(f"{family} has {partitions} partitions")
    if await app.runs_elsewhere():
        raise GrowthRefused("processes of the deployment run: stop them; they are forgotten seconds after their end")
    await app.start(growing=True)
    await _end(app, old, partitions)
    layout = Layout({**app.layout.families, family: (*app.layout.families[family], partitions)})
    await app.backend.events.create(layout.of_family(family))
    await app.backend.commands.create(layout.of_family(family))
    await seal(old)
    return layout


async def _end(app: App, old: Sequence[Partition], partitions: int) -> None:
    ends = await ends_of(old, app.codec, app.backend.events)
    begun = set(ends) - {None}
    if begun - {partitions}:
        raise GrowthRefused(f"{old[0].family} was begun to be given {begun} partitions: end that first")
    if not begun:
        await app.drive.tick(app.drive.time)  # whoever was left out when it came: all end at one tick
    last = _last_command(app.codec, old[0].generation, partitions)
    await app.drive.send([(p, last) for p, end in zip(old, ends, strict=True) if end is None])
    await app.drive.settle()


def _last_command(codec: Codec, generation: int, partitions: int) -> NewRecord:
    command_id = f"end-of-generation-{generation}"
    meta = CommandMeta(command_id, _OPERATOR, command_id, None, None, None)
    return NewRecord(b"", codec.encode(meta, EndGeneration(partitions)), ((COMMAND_ID, command_id.encode()),))
