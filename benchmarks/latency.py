"""How long an order waits for its answer: appended to the command log → readable by another reader of the facts.

The owner runs as in the product, on a core for itself; a program beside it (`benchmarks/outside.py`) sends orders
by the clock and reads the facts. In every round three things are measured one after the other: the median of a
transaction with one record of 100 bytes, how many orders a second go the whole way at most (sent without a pause),
and what orders wait at half of that. The median of the rounds' ratios counts.
"""

import asyncio
import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from secrets import token_bytes, token_hex
from statistics import median
from typing import Final, Self

from benchmarks import cores
from benchmarks.bed import Bed
from benchmarks.bid_to_trade import MARKET, filled, served
from benchmarks.figure import Figure
from benchmarks.outside import Asked, Seen
from benchmarks.owner_path import Driven, product_codec
from consumers.ports import NewRecord
from infra.kafka.producer import TransactionalProducer

TARGET: Final = 10.0
ROUNDS: Final = 3
MOST: Final = 10_000
"""Orders by which the maximum is measured; the sender has them ready, as with all others."""

WARM_S: Final = 1.0
SECONDS: Final = 4.0
TRANSACTIONS: Final = 100
_BYTES: Final = 100


@dataclass(frozen=True, slots=True)
class Round:
    """What was seen in one round; `small` in seconds, `rate` in orders a second, `batch` in orders an append."""

    seen: Seen
    small: float
    rate: float
    batch: float


def run(bed: Bed) -> Iterator[Figure]:
    """ms from the command's acknowledgement to its answer, median and 99th percentile, and the ratio."""
    yield from figures(asyncio.run(_measured(bed)))


def figures(rounds: Sequence[Round]) -> Iterator[Figure]:
    """The medians over the rounds."""
    small = 1000 * median(one.small for one in rounds)
    against = f"median of a transaction of one {_BYTES}-byte record: {small:.2f} ms"
    for part in ("appended", "sent"):
        for percent in (50, 99):
            found = [_percentile(getattr(one.seen, part), percent) for one in rounds]
            ratio = median(wait / one.small for wait, one in zip(found, rounds, strict=True))
            name = f"latency.p{percent}" if part == "appended" else f"latency.sent.p{percent}"
            target = TARGET if name == "latency.p99" else None
            holds = None if target is None else ratio <= target
            yield Figure(name, round(1000 * median(found), 2), "ms", against, round(ratio, 2), target, holds)
    yield Figure("latency.max", round(1000 * max(one.seen.appended[-1] for one in rounds), 1), "ms")
    late = max(one.seen.behind for one in rounds)
    rate, batch = median(one.rate for one in rounds), median(one.batch for one in rounds)
    yield Figure("latency.rate", round(rate), "orders/s", f"the sender was {1000 * late:.0f} ms late at most")
    yield Figure("latency.batch", round(batch, 1), "orders/append")


def _percentile(times: Sequence[float], percent: int) -> float:
    return times[min(len(times) - 1, len(times) * percent // 100)]


async def _measured(bed: Bed) -> list[Round]:
    codec = product_codec()
    async with AsyncExitStack() as stack:
        name = f"bench{token_hex(4)}"
        events, commands = await served(stack, bed, name)
        begin = await filled(commands, codec, 0)
        driven = Driven(MARKET, codec, events, commands)
        await driven.start()
        stack.push_async_callback(driven.stop)
        await driven.decide(begin, begin)
        await driven.run()
        with cores.apart(bed.servers):
            small = await Small.started(stack, bed)
            beside = await _Beside.started(stack, bed.bootstrap, name)
            rounds = list[Round]()
            for n in range(ROUNDS + 1):
                # The first round warms up; it is as the others, but shorter.
                transaction = await small.median()
                most = MOST / (await beside.do(Asked(2 * n, 0, MOST, math.inf), driven)).took
                count = round(SECONDS * most / 2) if n else 2_000
                asked = Asked(2 * n + 1, round(WARM_S * most / 2), count, most / 2)
                appends = driven.count.appends
                seen = await beside.do(asked, driven)
                batch = (asked.warm + asked.count) / (driven.count.appends - appends)
                if n:
                    rounds.append(Round(seen, transaction, asked.rate, batch))
                print(f"  latency: round {n} of {ROUNDS}, {asked.rate:,.0f} orders/s", file=sys.stderr)
    return rounds


class Small:
    """Small transactions, one after the other, on a topic of their own."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._topic, self._producer = topic, TransactionalProducer(bootstrap, f"{topic}.small")

    @classmethod
    async def started(cls, stack: AsyncExitStack, bed: Bed) -> Self:
        log, _ = await served(stack, bed, f"bench{token_hex(4)}")
        made = cls(bed.bootstrap, log.topic(MARKET))
        await made._producer.start(made._topic)
        stack.push_async_callback(made._producer.stop)
        return made

    async def median(self) -> float:
        """Seconds of one, median."""
        took = list[float]()
        for _ in range(TRANSACTIONS):
            record = NewRecord(b"", token_bytes(_BYTES), ())
            began = time.perf_counter()
            await self._producer.write(self._topic, 0, [record])
            took.append(time.perf_counter() - began)
        return median(took)


class _Beside:
    """The program that sends and reads."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._say, self._hear = process.stdin, process.stdout

    @classmethod
    async def started(cls, stack: AsyncExitStack, bootstrap: str, deployment: str) -> Self:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.outside", bootstrap, deployment),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=2**27,
        )
        stack.push_async_callback(_ended, process)
        return cls(process)

    async def do(self, asked: Asked, driven: Driven) -> Seen:
        """Has it send and read, while the owner decides whatever comes."""
        self._say.write(json.dumps(asdict(asked)).encode() + b"\n")
        if await self._hear.readline() != b"ready\n":
            raise AssertionError("the sender did not begin")
        driven.gate.open(sys.maxsize)
        self._say.write(b"go\n")
        line = await self._hear.readline()
        if not line:
            raise AssertionError("the sender has seen no answers")
        return Seen(**json.loads(line))


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()
