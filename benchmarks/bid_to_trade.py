"""Orders a second from Kafka to Kafka on one core, beside programs that only copy the same messages.

In every round each contender does the same commands in the same batches, one after the other, so that a
disturbance of the machine meets all; medians over the rounds count. The measured process has a core for
itself, the broker has the other.

Twice with exact batches, each decided when the last one is committed; and once as the product runs, where an
append holds what was read while the last one was committing, beside copies that overlap as well, with batches
as large as the owner's were on average.
"""

import asyncio
import gc
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from secrets import token_hex
from statistics import median
from typing import Final

from benchmarks import bids, cores
from benchmarks.bed import Bed
from benchmarks.copying import Answered, Avro, Copy, answers, avro_each, avro_same, raw_each, raw_same
from benchmarks.figure import Figure
from benchmarks.owner_path import Driven, product_codec
from consumers.limits import SEND_DEADLINE_S
from consumers.ports import NewRecord, Partition
from consumers.reading import between
from infra.kafka.command_log import KafkaCommandLog
from infra.kafka.event_log import KafkaEventLog
from infra.schemas import load_ledger
from schemas.codec import Codec

BATCHES: Final = (500, 2_000)
RUNNING: Final = 0
"""Instead of a batch size: as the product runs."""

SEGMENT: Final = 6_000
"""Commands that each contender does in one round; a whole number of every batch."""

ROUNDS: Final = 4
TARGETS: Final = {"avro_same": 1.0, "raw_same": 0.35}
MARKET: Final = Partition("market", 0)
_SEND: Final = 5_000


@dataclass(slots=True)
class Times:
    """What one contender needed for one command, round by round: seconds by the clock, and of the processor."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    batch: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Commands a second, median."""
        return 1 / median(self.wall)

    @property
    def cpu_us(self) -> float:
        """Processor time of a command in µs, median."""
        return 1e6 * median(self.cpu)


def run(bed: Bed) -> Iterator[Figure]:
    """Orders a second with each batch size, and the ratios to the copies."""
    yield from asyncio.run(_measured(bed))


async def _measured(bed: Bed) -> list[Figure]:
    async with AsyncExitStack() as stack:
        race = await stack.enter_async_context(_race(bed))
        figures = list[Figure]()
        with cores.apart(bed.servers):
            times = {batch: await race.rounds(batch) for batch in (*BATCHES, RUNNING)}
        for batch, by_name in times.items():
            figures += _figures(batch, by_name)
        figures.append(Figure("bid_to_trade.facts_an_order", round(race.records / race.orders, 2), "records/order"))
        figures.append(Figure("bid_to_trade.bytes_an_order", round(race.bytes / race.orders), "bytes/order"))
        return figures


_OTHERS: Final = {
    "avro_same": "Avro copy, records and bytes out as the owner's",
    "raw_same": "raw copy, records and bytes out as the owner's",
    "avro_each": "Avro copy, every message once",
    "raw_each": "raw copy, every message once",
}


def _figures(batch: int, times: Mapping[str, Times]) -> Iterator[Figure]:
    ours = times["owner"]
    name = f"bid_to_trade.{batch or 'running'}"
    yield Figure(f"{name}.batch", round(median(ours.batch)), "orders/append")
    for other, words in _OTHERS.items():
        theirs, target = times[other], TARGETS.get(other)
        ratio = median(b / a for a, b in zip(ours.wall, theirs.wall, strict=True))
        holds = None if target is None else ratio >= target
        against = f"{words}: {theirs.rate:,.0f} messages/s"
        yield Figure(f"{name}.{other}", round(ours.rate), "orders/s", against, round(ratio, 3), target, holds)
    for other, words in _OTHERS.items():
        # How much of a core it is: other work on the machine does not count, waiting for the broker neither.
        theirs = times[other]
        ratio = median(b / a for a, b in zip(ours.cpu, theirs.cpu, strict=True))
        against = f"{words}: {theirs.cpu_us:.2f} µs/message"
        yield Figure(f"{name}.{other}.cpu", round(ours.cpu_us, 2), "µs/order", against, round(ratio, 3))


class Race:
    """The owner and the copies behind the same command log, all at the same place."""

    def __init__(
        self, owner: Driven, events: KafkaEventLog, copies: Mapping[str, Copy], avro: Avro, position: int
    ) -> None:
        self._owner, self._events, self._copies, self._avro = owner, events, copies, avro
        self._position = position
        self.orders = self.records = self.bytes = 0

    async def rounds(self, batch: int) -> dict[str, Times]:
        """One round to warm up, then `ROUNDS` that count."""
        if batch == RUNNING:
            await self._owner.run()
        times = {name: Times() for name in ("owner", *self._copies)}
        for n in range(ROUNDS + 1):
            words = f"{batch} a transaction" if batch else "as it runs"
            print(f"  bid_to_trade: {words}, round {n} of {ROUNDS}", end="\r", file=sys.stderr)
            await self._round(batch, times if n else None)
        print(file=sys.stderr)
        return times

    async def _round(self, batch: int, times: Mapping[str, Times] | None) -> None:
        first, end = self._position, self._position + SEGMENT
        before, appends = await self._events.end(MARKET), self._owner.count.appends
        took = {"owner": await _timed(lambda: self._decide(end, batch))}
        mean = SEGMENT / (self._owner.count.appends - appends)
        facts = [stored async for stored in between(self._events, MARKET, before)]
        answered = answers(self._avro, facts, first, SEGMENT)
        for name, copy in self._copies.items():
            took[name] = await _timed(_copying(copy, batch or round(mean), answered, overlaps=not batch))
        self._position = end
        if times is None:
            return
        self.orders += SEGMENT
        self.records += len(facts)
        self.bytes += sum(len(fact.value) for fact in facts)
        for name, (wall, cpu) in took.items():
            times[name].wall.append(wall / SEGMENT)
            times[name].cpu.append(cpu / SEGMENT)
            times[name].batch.append(mean)

    async def _decide(self, end: int, batch: int) -> None:
        if batch:
            await self._owner.decide(end, batch)
        else:
            await self._owner.decide_running(end)


def _copying(
    copy: Copy, batch: int, answered: Sequence[Answered], *, overlaps: bool
) -> Callable[[], Awaitable[object]]:
    return lambda: copy.copy(SEGMENT, batch, answered, overlaps=overlaps)


async def _timed(work: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    await work()
    return time.perf_counter() - wall, time.process_time() - cpu


@asynccontextmanager
async def _race(bed: Bed) -> AsyncIterator[Race]:
    codec, ledger = product_codec(), load_ledger()
    name = f"bench{token_hex(4)}"
    count = SEGMENT * (ROUNDS + 1) * (len(BATCHES) + 1)
    async with AsyncExitStack() as stack:
        events, commands = await served(stack, bed, name)
        begin = await filled(commands, codec, count)
        owner = Driven(MARKET, codec, events, commands)
        await owner.start()
        stack.push_async_callback(owner.stop)
        await owner.decide(begin, begin)
        avro = Avro(ledger)
        ways = {
            "avro_same": avro_same(avro),
            "raw_same": raw_same,
            "avro_each": avro_each(avro),
            "raw_each": raw_each,
        }
        copies = dict[str, Copy]()
        source = f"{name}.commands.market"
        for way, transform in ways.items():
            target, _ = await served(stack, bed, f"{name}{way.replace('_', '')}")
            copy = Copy(bed.bootstrap, source, target.topic(MARKET), transform)
            await copy.start(begin)
            stack.push_async_callback(copy.stop)
            copies[way] = copy
        yield Race(owner, events, copies, avro, begin)


async def served(stack: AsyncExitStack, bed: Bed, deployment: str) -> tuple[KafkaEventLog, KafkaCommandLog]:
    """A pair of logs with one market partition; they end with the stack."""
    events, commands = KafkaEventLog(bed.bootstrap, deployment), KafkaCommandLog(bed.bootstrap, deployment)
    for log in (events, commands):
        await log.start()
        stack.push_async_callback(log.close)
        await log.create([MARKET])
    return events, commands


async def filled(commands: KafkaCommandLog, codec: Codec, count: int) -> int:
    """Sends the preparation and `count` commands behind it; the position of the first of those."""
    prepared = list(bids.preparation(codec))
    await commands.send([(MARKET, record) for record in prepared], SEND_DEADLINE_S)
    begin = await commands.end(MARKET)
    said: Iterator[NewRecord] = bids.bids(codec, count)
    sent = 0
    while some := [(MARKET, record) for record in islice(said, _SEND)]:
        await commands.send(some, SEND_DEADLINE_S)
        sent += len(some)
        print(f"  {sent} of {count} commands are on the log", end="\r", file=sys.stderr)
    print(file=sys.stderr)
    return begin
