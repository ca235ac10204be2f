"""How long a takeover takes: a market with 100,000 resting orders, and as many facts as fit into the time.

The facts are the real decider's: orders until so many rest, then orders that meet them, three facts each, one lot at
a time. Taken over is what an owner's `start` is, claim and all: from the first record, from a snapshot at the log's
end, from one with as many records behind it as half of what lies between two, and by a follower that has read along.
"""

import asyncio
import gc
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from itertools import islice
from secrets import token_hex
from typing import Final

from benchmarks import bids, cores, market_day
from benchmarks.bed import Bed
from benchmarks.bid_to_trade import MARKET, served
from benchmarks.figure import Figure
from benchmarks.owner_path import make_decider, product_codec
from consumers.follow import Follower
from consumers.limits import APPEND_DEADLINE_S, SNAPSHOT_EVERY
from consumers.owner import PartitionOwner
from consumers.partition import PartitionDecider
from consumers.ports import NewRecord, Owner, Snapshots, StoredRecord
from consumers.snapshot import written
from infra.kafka.command_log import KafkaCommandLog
from infra.kafka.event_log import KafkaEventLog
from infra.snapshots import FolderSnapshots
from schemas.codec import Codec
from schemas.envelope import Moment

TARGET_SNAPSHOT: Final = 20.0
TARGET_FOLLOWER_S: Final = 1.0
RESTING: Final = 100_000
MOST_FACTS: Final = 1_000_000
SECONDS: Final = 25.0
"""Of the processor for deciding, so that other work on the machine changes nothing; whoever restores needs half as long
again."""

TAIL: Final = SNAPSHOT_EVERY // 2
_BATCH: Final = 2_000
_LATER: Final = Moment(1_000, bids.START.at + 1_000_000_000)


def run(bed: Bed) -> Iterator[Figure]:
    """Seconds of each takeover, and the ratios."""
    yield from asyncio.run(_measured(bed))


async def _measured(bed: Bed) -> list[Figure]:
    async with AsyncExitStack() as stack:
        events, commands = await served(stack, bed, f"bench{token_hex(4)}")
        files = FolderSnapshots(bed.folder / "snapshots")
        taking = Taking(events, commands, product_codec(), files)
        with cores.apart(bed.servers):
            log = _Log(taking.codec, await events.claim(MARKET))
            await log.fill(SECONDS)
            facts, resting = log.decider.seq, log.resting
            if resting < RESTING:
                raise AssertionError(f"only {resting} orders rest")
            began = time.perf_counter()
            data = written(MARKET, log.decider, await events.end(MARKET))
            wrote = time.perf_counter() - began
            await files.save(MARKET, data)
            print(f"  restore: {facts} facts, {resting} orders rest, {len(data)} bytes", file=sys.stderr)
            snapshot = await taking.over(facts, snapshots=files)
            zero = await taking.over(facts)
            follower = Follower(MARKET, make_decider(taking.codec), events)
            await follower.catch_up()
            warm = await taking.over(facts, follower=follower)
            del follower
            log.owner = await events.claim(MARKET)
            await log.more(TAIL)
            behind = log.decider.seq - facts
            tail = await taking.over(facts + behind, snapshots=files)
    whole = replace(zero, wall=zero.wall * (facts + behind) / facts, cpu=zero.cpu * (facts + behind) / facts)
    return [
        Figure("restore.facts", facts, "facts", f"{resting:,} orders rest"),
        Figure("restore.zero", round(facts / zero.wall), "facts/s", f"{zero.wall:.2f} s"),
        *_beside("restore.snapshot", snapshot, zero, f"from zero, {facts:,} facts", TARGET_SNAPSHOT),
        *_beside("restore.tail", tail, whole, f"{behind:,} of {facts + behind:,} facts behind it; from zero", None),
        Figure(
            *("restore.follower", round(warm.wall, 3), "s", f"{warm.cpu:.3f} s of the processor", None),
            *(TARGET_FOLLOWER_S, warm.wall <= TARGET_FOLLOWER_S),
        ),
        Figure("restore.save", round(wrote, 3), "s", f"{len(data):,} bytes; the owner decides nothing meanwhile"),
    ]


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds by the clock, and of the processor."""

    wall: float
    cpu: float


def _beside(name: str, took: Took, zero: Took, words: str, target: float | None) -> Iterator[Figure]:
    ratio, cpu = zero.wall / took.wall, zero.cpu / took.cpu
    holds = None if target is None else ratio >= target
    yield Figure(name, round(took.wall, 3), "s", f"{words}: {zero.wall:.2f} s", round(ratio, 1), target, holds)
    yield Figure(f"{name}.cpu", round(took.cpu, 3), "s", f"{words}: {zero.cpu:.2f} s", round(cpu, 1))


class Taking:
    """Takes the partition over, each time from nothing but the logs and what is given."""

    def __init__(self, events: KafkaEventLog, commands: KafkaCommandLog, codec: Codec, files: Snapshots) -> None:
        self._events, self._commands, self.codec, self._files = events, commands, codec, files

    async def over(self, facts: int, snapshots: Snapshots | None = None, follower: Follower | None = None) -> Took:
        """How long it took until an owner could decide.

        Raises:
            AssertionError: it has not taken in so many facts.
        """
        gc.collect()
        owner = PartitionOwner(MARKET, make_decider(self.codec), self._events, self._commands, snapshots)
        wall, cpu = time.perf_counter(), time.process_time()
        await owner.start(follower)
        took = Took(time.perf_counter() - wall, time.process_time() - cpu)
        if owner.decider.seq != facts:
            raise AssertionError(f"{owner.decider.seq} facts of {facts} were taken in")
        await owner.stop()
        gc.unfreeze()
        print(f"  restore: {took.wall:.2f} s", file=sys.stderr)
        return took


class _Log:
    """A market's facts as they are decided and appended: the next batch while one is on its way."""

    def __init__(self, codec: Codec, owner: Owner) -> None:
        self.owner, self.decider = owner, make_decider(codec)(MARKET, ())
        self._codec, self._position = codec, 0
        self._hits = bids.bids(codec, MOST_FACTS, 2_073, aggressive=1.0, since=_LATER)

    @property
    def resting(self) -> int:
        """Orders that rest."""
        return resting(self.decider)

    async def fill(self, seconds: float) -> None:
        """Decides until enough orders rest, and then until there are `MOST_FACTS` or so much processor time is used."""
        began = time.process_time()
        await self._decide(bids.preparation(self._codec), sys.maxsize)
        rest = round(1.06 * RESTING / (1 - bids.AGGRESSIVE))  # some of them are met until nothing is left
        await self._decide(bids.bids(self._codec, rest), sys.maxsize)
        while self.decider.seq < MOST_FACTS and time.process_time() - began < seconds:
            await self._decide(islice(self._hits, 5 * _BATCH), MOST_FACTS)
            print(f"  restore: {self.decider.seq} facts", end="\r", file=sys.stderr)
        print(file=sys.stderr)

    async def more(self, facts: int) -> None:
        """Decides so many facts more."""
        await self._decide(self._hits, self.decider.seq + facts)

    async def _decide(self, said: Iterator[NewRecord], end: int) -> None:
        appending: asyncio.Task[None] | None = None
        while self.decider.seq < end and (some := list(islice(said, _BATCH))):
            stored = [StoredRecord(self._position + n, r.key, r.value, r.headers) for n, r in enumerate(some)]
            self._position += len(stored)
            records = self.decider.decide(stored)
            if appending is not None:
                await appending
            appending = asyncio.create_task(self.owner.append(records, APPEND_DEADLINE_S))
            await asyncio.sleep(0)
        if appending is not None:
            await appending


def resting(decider: PartitionDecider) -> int:
    """Orders that rest in the benchmark's market."""
    instruments = decider.state(market_day.MARKET).instruments.values()
    return sum(instrument.book.resting for instrument in instruments)
