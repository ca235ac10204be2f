"""How long an order waits for its answer: appended to the command log → readable by another reader of the facts.

The owner runs as in the product, on a core for itself; a program beside it (`benchmarks/outside.py`) sends orders
by the clock and reads the facts, at half of what the owner did at most, measured in the same run. Beside it, the
median of a transaction with one record of 100 bytes, on the same broker while nothing else happens.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import asdict
from secrets import token_bytes, token_hex
from statistics import median
from typing import Final

from benchmarks import cores
from benchmarks.bed import Bed
from benchmarks.bid_to_trade import MARKET, filled, served
from benchmarks.figure import Figure
from benchmarks.outside import Asked, Seen
from benchmarks.owner_path import Driven
from consumers.ports import NewRecord
from infra.kafka.producer import TransactionalProducer
from infra.schemas import load_codec

TARGET: Final = 10.0
AT_MOST: Final = 24_000
"""Orders by which the maximum is measured, after as many to warm up as a quarter of that."""

WARM_S: Final = 2.0
SECONDS: Final = 12.0
TRANSACTIONS: Final = 400
_BYTES: Final = 100


def run(bed: Bed) -> Iterator[Figure]:
    """ms from the command's acknowledgement to its answer, median and 99th percentile, and the ratio."""
    yield from asyncio.run(_measured(bed))


async def _measured(bed: Bed) -> list[Figure]:
    codec = load_codec()
    async with AsyncExitStack() as stack:
        name = f"bench{token_hex(4)}"
        events, commands = await served(stack, bed, name)
        warm = AT_MOST // 4
        begin = await filled(commands, codec, warm + AT_MOST)
        driven = Driven(MARKET, codec, events, commands)
        await driven.start()
        stack.push_async_callback(driven.stop)
        await driven.decide(begin, begin)
        with cores.apart(bed.servers):
            small = await _small(stack, bed)
            await driven.run()
            await driven.decide_running(begin + warm)
            began = time.perf_counter()
            await driven.decide_running(begin + warm + AT_MOST)
            most = AT_MOST / (time.perf_counter() - began)
            rate = most / 2
            print(f"  latency: at most {most:,.0f} orders/s; {rate:,.0f} are sent", file=sys.stderr)
            asked = Asked(bed.bootstrap, name, warm + AT_MOST, round(WARM_S * rate), round(SECONDS * rate), rate)
            batches = driven.count.appends
            seen = await _outside(asked, driven)
            batch = (asked.warm + asked.count) / (driven.count.appends - batches)
    return list(figures(seen, small, rate, batch))


def figures(seen: Seen, small: float, rate: float, batch: float) -> Iterator[Figure]:
    """The figures; `small` in seconds."""
    against = f"median of a transaction of one {_BYTES}-byte record: {1000 * small:.2f} ms"
    for part, times in (("", seen.appended), (".sent", seen.sent)):
        for percent in (50, 99):
            found = times[min(len(times) - 1, len(times) * percent // 100)]
            ratio = found / small
            target = TARGET if (part, percent) == ("", 99) else None
            holds = None if target is None else ratio <= target
            value = round(1000 * found, 2)
            yield Figure(f"latency{part}.p{percent}", value, "ms", against, round(ratio, 2), target, holds)
    yield Figure("latency.max", round(1000 * seen.appended[-1], 1), "ms")
    yield Figure("latency.rate", round(rate), "orders/s", f"the sender was {1000 * seen.behind:.0f} ms late at most")
    yield Figure("latency.batch", round(batch, 1), "orders/append")


async def _small(stack: AsyncExitStack, bed: Bed) -> float:
    """Seconds of a small transaction, median."""
    log, _ = await served(stack, bed, f"bench{token_hex(4)}")
    topic = log.topic(MARKET)
    producer = TransactionalProducer(bed.bootstrap, f"{topic}.small")
    await producer.start(topic)
    stack.push_async_callback(producer.stop)
    took = list[float]()
    for _ in range(TRANSACTIONS):
        record = NewRecord(b"", token_bytes(_BYTES), ())
        began = time.perf_counter()
        await producer.write(topic, 0, [record])
        took.append(time.perf_counter() - began)
    return median(took[TRANSACTIONS // 4 :])


async def _outside(asked: Asked, driven: Driven) -> Seen:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.outside", json.dumps(asdict(asked))),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**27,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        print("  latency: the sender prepares its orders", file=sys.stderr)
        if await process.stdout.readline() != b"ready\n":
            raise AssertionError("the sender did not begin")
        driven.gate.open(sys.maxsize)
        process.stdin.write(b"go\n")
        print(f"  latency: {WARM_S + SECONDS:.0f} s of orders", file=sys.stderr)
        line = await process.stdout.readline()
        if not line:
            raise AssertionError("the sender has seen no answers")
        return Seen(**json.loads(line))
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
