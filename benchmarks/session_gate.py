"""What a closing gate costs the others: 200,000 orders rest in one book while orders for another one go on.

One owner's partition, as in the product: decode, decide, evolve, encode, chain. Orders for the other books arrive at
half of what the partition can take at most, and a tick every second; each append takes as long as it is decided, and a
small transaction as the broker of the same run needs it, and all that arrive meanwhile wait for the next one. This is
measured before the gate, and from the tick of the gate on until the whole book is written out.
"""

import asyncio
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from statistics import median
from typing import Final

from benchmarks import bids
from benchmarks.bed import Bed
from benchmarks.figure import Figure
from benchmarks.latency import Small
from benchmarks.market_day import INTERVALS, MARKET, MIDNIGHT, MINUTE, QUARTER
from benchmarks.owner_path import product_codec
from consumers.garbage import GARBAGE
from consumers.limits import MAX_BATCH
from consumers.partition import PartitionDecider
from consumers.ports import NewRecord, Partition, StoredRecord
from domain.families import DECIDERS
from schemas.envelope import Moment

RESTING: Final = 200_000
GATE_LEAD_MIN: Final = 15
SECOND: Final = 1_000_000
ORDERS: Final = 20_000
ROUNDS: Final = 2
TARGET: Final = 2.0


def run(bed: Bed) -> Iterator[Figure]:
    """p99 of the orders' waiting while a large book closes, beside that of the same rate undisturbed."""
    market = _Market(asyncio.run(_transaction(bed)))
    ratios, calm, closing = list[float](), list[float](), list[float]()
    for n in range(ROUNDS):
        market.fill(n)
        most = market.most(n)
        quiet = _percentile(market.waits(n, most / 2, None), 99)
        disturbed = _percentile(market.waits(n, most / 2, _gate_at(n)), 99)
        if market.resting(n):
            raise AssertionError(f"{market.resting(n)} orders still rest behind their gate")
        ratios.append(disturbed / quiet)
        calm.append(quiet)
        closing.append(disturbed)
        said = f"{most:,.0f} orders/s at most; p99 {1000 * quiet:.2f} ms, while it closes {1000 * disturbed:.2f} ms"
        print(f"  gate: round {n + 1} of {ROUNDS}, {said}", file=sys.stderr)
    against = f"undisturbed p99: {1000 * median(calm):.2f} ms"
    ratio = median(ratios)
    yield Figure("gate.p99", round(1000 * median(closing), 2), "ms", against, round(ratio, 2), TARGET, ratio <= TARGET)


class _Market:
    """One partition with one market, and the clock of its ticks."""

    def __init__(self, transaction: float) -> None:
        self._transaction = transaction
        self._codec = product_codec()
        self._partition = PartitionDecider(Partition("market", 0), 1, DECIDERS["market"], self._codec)
        self._position = 0
        self._now = bids.START
        self._decide(list(bids.preparation(self._codec)))

    def fill(self, n: int) -> None:
        """`RESTING` orders that meet nobody, all for the n-th delivery."""
        start = MIDNIGHT + n * QUARTER
        made = bids.bids(self._codec, RESTING, n, aggressive=0, since=self._now, starts=(start,))
        batch = list[NewRecord]()
        for record in made:
            batch.append(record)
            if len(batch) == MAX_BATCH:
                self._decide(batch)
                batch.clear()
        self._decide(batch)
        self._now = self._partition.time

    def resting(self, n: int) -> int:
        """Open orders of the n-th delivery."""
        instrument = self._partition.state(MARKET).instruments.get((MIDNIGHT + n * QUARTER, 15))
        return 0 if instrument is None else instrument.book.resting

    def most(self, n: int) -> float:
        """Orders for other deliveries that are decided in a second."""
        orders = self._orders(n)
        began = time.process_time()
        for place in range(0, len(orders), MAX_BATCH):
            self._decide(orders[place : place + MAX_BATCH])
        appends = -(-len(orders) // MAX_BATCH)
        return len(orders) / (time.process_time() - began + appends * self._transaction)

    def waits(self, n: int, rate: float, gate_at: int | None) -> list[float]:
        """Seconds from an order's arrival to the end of its append: deciding as it is timed, and a transaction.

        With `gate_at` the first tick has that time, and it goes on until the n-th delivery's book is written out.
        """
        waits, clock, ticks, done = list[float](), 0.0, 0, 0
        at = gate_at or self._now.at
        while done < ORDERS or (gate_at is not None and self.resting(n)):
            orders = self._orders(n)
            first, end = done, done + len(orders)
            while done < end:
                clock = max(clock, done / rate)
                batch = list[NewRecord]()
                if clock >= ticks:
                    self._now = Moment(self._now.n + 1, at + ticks * SECOND)
                    batch.append(bids.tick(self._codec, self._now))
                    ticks += 1
                arrived = min(end, max(done + 1, int(clock * rate)), done + MAX_BATCH)
                clock += self._transaction + self._timed([*batch, *orders[done - first : arrived - first]])
                waits += [clock - place / rate for place in range(done, arrived)]
                done = arrived
        return sorted(waits)

    def _orders(self, n: int) -> list[NewRecord]:
        starts = tuple(MIDNIGHT + later * QUARTER for later in range(n + ROUNDS, INTERVALS))
        seed = time.perf_counter_ns()
        return list(bids.bids(self._codec, ORDERS, seed, since=self._now, starts=starts, ticks=False))

    def _timed(self, records: Sequence[NewRecord]) -> float:
        began = time.process_time()
        self._decide(records)
        return time.process_time() - began

    def _decide(self, records: Sequence[NewRecord]) -> None:
        first = self._position
        stored = [StoredRecord(first + n, r.key, r.value, r.headers) for n, r in enumerate(records)]
        answers = self._partition.decide(stored)
        self._position += len(records)
        GARBAGE.grown(len(answers))


async def _transaction(bed: Bed) -> float:
    """Seconds of a small transaction on the broker, median."""
    async with AsyncExitStack() as stack:
        return await (await Small.started(stack, bed)).median()


def _gate_at(n: int) -> int:
    return MIDNIGHT + n * QUARTER - GATE_LEAD_MIN * MINUTE


def _percentile(waits: Sequence[float], percent: int) -> float:
    return waits[len(waits) * percent // 100]
