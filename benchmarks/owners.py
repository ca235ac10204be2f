"""What more partitions and processes cost: processor time of an order, four in two processes beside one in one.

The processes are real (`gridbook run decide`), share the partitions by their group, and stay for all rounds. In a
round each partition gets as many orders, so that books grow alike; what a process spends from the first order sent
until the last one is answered counts, whatever it spends it on.
"""

import asyncio
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import count, islice
from secrets import token_hex
from statistics import median
from typing import Final

import psutil

from benchmarks import bids, market_day
from benchmarks.bed import Bed
from benchmarks.bid_to_trade import MARKET
from benchmarks.figure import Figure
from benchmarks.owner_path import product_codec
from benchmarks.product import gridbook
from consumers.limits import SEND_DEADLINE_S
from consumers.ports import NewRecord, Partition
from consumers.reading import SOURCE, last_record
from infra.kafka.command_log import KafkaCommandLog
from infra.kafka.event_log import KafkaEventLog
from infra.postgres.switchboard import PostgresSwitchboard
from schemas.codec import Codec
from schemas.partition import partition_of

TARGET: Final = 1.1
ROUNDS: Final = 3
ORDERS: Final = 8_000
"""Of each partition in each round; the first round warms up."""

_TOGETHER: Final = 1_000
_PATIENCE_S: Final = 60.0
_LOOK_S: Final = 0.05


def run(bed: Bed) -> Iterator[Figure]:
    """µs an order, and the ratio."""
    yield from asyncio.run(_measured(bed))


async def _measured(bed: Bed) -> list[Figure]:
    codec = product_codec()
    async with AsyncExitStack() as stack:
        one, four = Crowd(bed, codec, 1, 1), Crowd(bed, codec, 4, 2)
        for crowd in (one, four):
            await crowd.start(stack)
        for crowd in (one, four):
            await crowd.ready()
        took: dict[Crowd, list[float]] = {one: [], four: []}
        for n in range(ROUNDS + 1):
            print(f"  owners: round {n} of {ROUNDS}", end="\r", file=sys.stderr)
            for crowd, times in took.items():
                seconds = await crowd.round()
                if n:
                    times.append(seconds)
        print(file=sys.stderr)
    ratio = median(b / a for a, b in zip(took[one], took[four], strict=True))
    alone, shared = (1e6 * median(took[crowd]) for crowd in (one, four))
    against = f"1 partition in 1 process: {alone:.1f} µs/order"
    return [Figure("owners", round(shared, 1), "µs/order", against, round(ratio, 3), TARGET, ratio <= TARGET)]


@dataclass(eq=False)
class Crowd:
    """A deployment of so many market partitions and processes, with a market in each partition."""

    bed: Bed
    codec: Codec
    partitions: int
    processes: int
    name: str = field(default_factory=lambda: f"bench{token_hex(4)}")
    _pids: list[int] = field(default_factory=list)

    async def start(self, stack: AsyncExitStack) -> None:
        """Begins the processes and makes the logs exist."""
        markets = [Partition(MARKET.family, n) for n in range(self.partitions)]
        self._markets = dict(zip(markets, keys(self.partitions), strict=True))
        self._orders = {
            at: bids.bids(self.codec, (ROUNDS + 1) * ORDERS, 2_072 + at.number, market=key)
            for at, key in self._markets.items()
        }
        where = self.bed.bootstrap, self.name
        self._events, self._commands = KafkaEventLog(*where), KafkaCommandLog(*where)
        for log in (self._events, self._commands):
            await log.start()
            stack.push_async_callback(log.close)
            await log.create(markets)
        settings = {"GRIDBOOK_FAMILY_PARTITIONS": f"{MARKET.family}={self.partitions}"}
        words = ["run", "decide", "--family", MARKET.family]
        for _ in range(self.processes):
            process, _ = stack.enter_context(gridbook(self.bed, words, self.name, settings))
            self._pids.append(process.pid)

    async def ready(self) -> None:
        """Waits until the partitions are shared out evenly, and prepares the markets."""
        print(f"  owners: waiting for {self.processes} of {self.name}", file=sys.stderr)
        switchboard = PostgresSwitchboard(self.bed.dsn, self.name)
        share, ends = self.partitions // self.processes, time.monotonic() + _PATIENCE_S
        try:
            while [len(report.partitions) for report in await switchboard.processes()] != [share] * self.processes:
                if time.monotonic() > ends:
                    raise AssertionError(f"the processes of {self.name} do not share {self.partitions} partitions")
                await asyncio.sleep(0.25)
        finally:
            await switchboard.close()
        await self._answered({at: list(bids.preparation(self.codec, key)) for at, key in self._markets.items()})

    async def round(self) -> float:
        """Processor seconds of an order, in all processes."""
        said = {at: list(islice(orders, ORDERS)) for at, orders in self._orders.items()}
        before = self._spent()
        await self._answered(said)
        return (self._spent() - before) / (ORDERS * self.partitions)

    def _spent(self) -> float:
        return sum(times.user + times.system for times in (psutil.Process(pid).cpu_times() for pid in self._pids))

    async def _answered(self, said: Mapping[Partition, Sequence[NewRecord]]) -> None:
        """Sends commands to every partition in turn, and waits until all are answered."""
        for begin in range(0, max(map(len, said.values())), _TOGETHER):
            some = [(at, record) for at, records in said.items() for record in records[begin : begin + _TOGETHER]]
            await self._commands.send(some, SEND_DEADLINE_S)
        ends = time.monotonic() + _PATIENCE_S
        for at in said:
            last = await self._commands.end(at) - 1
            while await self._source(at) < last:
                if time.monotonic() > ends:
                    raise AssertionError(f"{at} of {self.name} is not answered")
                await asyncio.sleep(_LOOK_S)

    async def _source(self, at: Partition) -> int:
        record = await last_record(self._events, at)
        return -1 if record is None else int(dict(record.headers)[SOURCE])


def keys(partitions: int) -> list[str]:
    """A market's key for each partition, in their order."""
    found = dict[int, str]()
    for n in count():
        if len(found) == partitions:
            return [found[number] for number in range(partitions)]
        key = f"{market_day.MARKET}-{n}"
        found.setdefault(partition_of(key, partitions), key)
    raise AssertionError("never")
