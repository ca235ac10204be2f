"""The product's own way from command to fact, for benchmarks: the one place that knows how an owner is driven."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace

from benchmarks.gate import CommandGate, Counted
from consumers.failures import Poison
from consumers.owner import MakeDecider, PartitionOwner
from consumers.partition import PartitionDecider
from consumers.ports import CommandLog, EventLog, Partition, Snapshots
from domain.families import DECIDERS
from infra.compiled import compiled_codec
from infra.schemas import load_codec
from schemas.codec import Codec


def product_codec() -> Codec:
    """The codec as the product has it: with compiled functions where they were chosen (`--compiled`)."""
    return load_codec(compiled_codec())


def make_decider(codec: Codec, partitions: int = 1) -> MakeDecider:
    """Makes empty memories by the product's rules."""

    def make(at: Partition, set_aside: Iterable[Poison]) -> PartitionDecider:
        return PartitionDecider(at, partitions, DECIDERS[at.family], codec, set_aside)

    return make


class Driven:
    """An owner that decides as far as it is told: in exact batches, or running by itself as in the product."""

    def __init__(
        self,
        partition: Partition,
        codec: Codec,
        events: EventLog,
        commands: CommandLog,
        partitions: int = 1,
        snapshots: Snapshots | None = None,
    ) -> None:
        make = make_decider(codec, partitions)
        self.gate, self.count = CommandGate(commands), Counted()
        self.owner = PartitionOwner(partition, make, events, self.gate, snapshots, self.count)
        self._events, self._partition = events, partition
        self._stop = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Claims and restores."""
        await self.owner.start()

    async def decide(self, end: int, batch: int) -> None:
        """Decides the commands below position `end`, `batch` in one append, the next when the last is committed."""
        self.gate.open(end)
        usual, self.owner._limits = self.owner._limits, replace(self.owner._limits, commands=batch)
        self.owner.batch = batch
        try:
            while self.owner.decider.source < end:
                await self.owner.step()
        finally:
            self.owner._limits = usual

    async def run(self) -> None:
        """From here on the owner runs by itself, as in the product, up to where `decide_running` lets it."""
        follower = self.owner._follower
        assert follower is not None
        follower.position = await self._events.end(self._partition)
        self._running = asyncio.create_task(self.owner.run(self._stop, follower))

    async def decide_running(self, end: int) -> None:
        """Lets the running owner decide the commands below position `end`; returns when the last is committed."""
        source = self.owner.decider.source
        enough = self.count.commands + end - source
        self.gate.open(end)
        waiting = asyncio.ensure_future(self.count.until(commands=enough))
        assert self._running is not None
        await asyncio.wait({waiting, self._running}, return_when=asyncio.FIRST_COMPLETED)
        if self._running.done():
            waiting.cancel()
            self._running.result()
            raise AssertionError("the owner ended by itself")

    async def stop(self) -> None:
        """Gives the partition up."""
        self._stop.set()
        self.gate.open(self.owner.decider.source)
        if self._running is not None:
            await self._running
        await self.owner.stop()
