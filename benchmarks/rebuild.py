"""Facts a second from the log to the state of a partition, beside reading and decoding the same facts by fastavro."""

import asyncio
import gc
import sys
import time
from collections.abc import Awaitable, Iterator
from contextlib import AsyncExitStack
from secrets import token_hex
from statistics import median
from typing import Final

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from benchmarks import cores
from benchmarks.bed import Bed
from benchmarks.bid_to_trade import MARKET, filled, served
from benchmarks.copying import Avro, consumer
from benchmarks.figure import Figure
from benchmarks.owner_path import Driven, make_decider, product_codec
from consumers.follow import Follower
from infra.schemas import load_ledger

ORDERS: Final = 40_000
BATCH: Final = 2_000
ROUNDS: Final = 5
TARGET: Final = 0.6


def run(bed: Bed) -> Iterator[Figure]:
    """Facts a second, and the ratio to `getmany` with fastavro."""
    yield from asyncio.run(_measured(bed))


async def _measured(bed: Bed) -> list[Figure]:
    codec, avro = product_codec(), Avro(load_ledger())
    async with AsyncExitStack() as stack:
        events, commands = await served(stack, bed, f"bench{token_hex(4)}")
        await filled(commands, codec, ORDERS)
        driven = Driven(MARKET, codec, events, commands)
        await driven.start()
        print("  rebuild: deciding", file=sys.stderr)
        await driven.decide(await commands.end(MARKET), BATCH)
        facts, head = driven.owner.decider.seq, driven.owner.decider.source
        await driven.stop()
        copy = consumer(bed.bootstrap)
        await copy.start()
        stack.push_async_callback(copy.stop)
        where = TopicPartition(events.topic(MARKET), 0)
        copy.assign([where])
        ours, theirs = list[tuple[float, float]](), list[tuple[float, float]]()
        with cores.apart(bed.servers):
            for n in range(ROUNDS + 1):
                print(f"  rebuild: round {n} of {ROUNDS}", end="\r", file=sys.stderr)
                follower = Follower(MARKET, make_decider(codec), events)
                restored = await _timed(follower.catch_up())
                if (follower.decider.seq, follower.decider.source) != (facts, head):
                    raise AssertionError(f"restored {follower.decider.seq} facts of {facts}")
                gc.unfreeze()
                del follower
                read = await _timed(_read(copy, where, avro, facts))
                if n:  # the first round warms up
                    ours.append(restored)
                    theirs.append(read)
        print(file=sys.stderr)
    ratio = median(b[0] / a[0] for a, b in zip(ours, theirs, strict=True))
    cpu = median(b[1] / a[1] for a, b in zip(ours, theirs, strict=True))
    rate, other = facts / median(a[0] for a in ours), facts / median(b[0] for b in theirs)
    ours_us, theirs_us = (1e6 * median(times[1] for times in both) / facts for both in (ours, theirs))
    against = f"getmany and fastavro: {other:,.0f} facts/s"
    return [
        Figure("rebuild", round(rate), "facts/s", against, round(ratio, 3), TARGET, ratio >= TARGET),
        Figure("rebuild.cpu", round(ours_us, 2), "µs/fact", f"{theirs_us:.2f} µs/fact", round(cpu, 3)),
    ]


async def _read(copy: AIOKafkaConsumer, where: TopicPartition, avro: Avro, facts: int) -> None:
    copy.seek(where, 0)
    read = 0
    while read < facts:
        for record in (await copy.getmany(where, max_records=BATCH, timeout_ms=1_000)).get(where, ()):
            avro.decode(record.value)
            read += 1


async def _timed(work: Awaitable[object]) -> tuple[float, float]:
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    await work
    return time.perf_counter() - wall, time.process_time() - cpu
