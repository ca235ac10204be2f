"""Readings a second from Kafka to rows in PostgreSQL, beside a raw binary COPY of the same rows into the same table.

The projector does all it does in the product: reads committed facts, decodes, fills `readings` and `answers`
(one row for each record), moves the position in the same transaction. The raw copy has its rows ready as
tuples and fills `readings` only, in one transaction a round.
"""

import asyncio
import gc
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from secrets import token_hex
from statistics import median
from typing import Any, Final

import psycopg
from psycopg import sql

from benchmarks import cores, readings
from benchmarks.bed import Bed
from benchmarks.figure import Figure
from benchmarks.gate import Counted, EventGate
from benchmarks.owner_path import product_codec
from benchmarks.readings import METER
from consumers.layout import Layout
from consumers.limits import APPEND_DEADLINE_S
from consumers.ports import StoredRecord
from consumers.project import Projectors
from consumers.reading import between
from consumers.workers import Alone
from infra.kafka.event_log import KafkaEventLog
from infra.postgres.views import PostgresViews
from projections.families import EVERYWHERE, SQL_VIEWS, VIEWS
from projections.meter.views import READINGS
from schemas.codec import Codec
from schemas.meter.events import ReadingsRecorded

TARGET: Final = 0.5
ROUNDS: Final = 3
SHAPES: Final = {96: 12_000, 1: 6_000}
"""Readings in a record (a day's file; a single live value) → records a round."""

_OTHER: Final = 1
"""The partition in the raw copy's rows: the same keys in the same table, and no row twice."""


def run(bed: Bed) -> Iterator[Figure]:
    """Readings a second for whole days a record, and for single values."""
    for values, records in SHAPES.items():
        yield from asyncio.run(_measured(bed, values, records))


async def _measured(bed: Bed, values: int, records: int) -> list[Figure]:
    name = f"bench{token_hex(4)}"
    codec = product_codec()
    async with AsyncExitStack() as stack:
        events = KafkaEventLog(bed.bootstrap, name)
        await events.start()
        stack.push_async_callback(events.close)
        await events.create([METER])
        cuts = await _filled(events, codec, values, records)
        store = _store(bed, name)
        await store.start()
        stack.push_async_callback(store.close)
        stack.push_async_callback(store.drop)
        gate, count, stop = EventGate(events), Counted(), asyncio.Event()
        projectors = Projectors(
            [METER], Layout.of({"meter": 1}), VIEWS, EVERYWHERE, store, codec, gate, Alone(), count, lambda: 0
        )
        running = asyncio.create_task(projectors.run(stop))
        stack.push_async_callback(_ended, running, stop, gate)
        ours, raw = list[Took](), list[Took]()
        with cores.apart(bed.servers), psycopg.connect(bed.dsn) as connection:
            for n, (begin, end) in enumerate(cuts):
                print(f"  project_readings: {values} a record, round {n} of {ROUNDS}", end="\r", file=sys.stderr)
                rows, facts = await _rows(events, codec, begin, end)
                gc.collect()
                began = _now()
                gate.open(end)
                await count.until(projected=count.projected + facts)
                middle = _now()
                _raw_copy(connection, name, rows)
                ended, read = _now(), len(rows) * values
                if n:  # the first round warms up
                    ours.append(_took(began, middle, read))
                    raw.append(_took(middle, ended, read))
        print(file=sys.stderr)
        await _compared(store)
    return list(_figures(values, ours, raw))


Took = tuple[float, float]
"""Seconds a reading: by the clock, and of the processor (of this process: PostgreSQL's are not in it)."""


def _now() -> Took:
    return time.perf_counter(), time.process_time()


def _took(began: Took, ended: Took, count: int) -> Took:
    return (ended[0] - began[0]) / count, (ended[1] - began[1]) / count


def _figures(values: int, ours: Sequence[Took], raw: Sequence[Took]) -> Iterator[Figure]:
    ratio, cpu = (median(b[n] / a[n] for a, b in zip(ours, raw, strict=True)) for n in (0, 1))
    name, rate = f"project_readings.{values}", 1 / median(wall for wall, _ in ours)
    against = f"raw binary COPY of the same rows: {1 / median(wall for wall, _ in raw):,.0f} readings/s"
    target, holds = (TARGET, ratio >= TARGET) if values > 1 else (None, None)
    yield Figure(name, round(rate), "readings/s", against, round(ratio, 3), target, holds)
    mine, theirs = (1e6 * values * median(cpu for _, cpu in times) for times in (ours, raw))
    yield Figure(f"{name}.cpu", round(mine, 1), "µs/record", f"{theirs:.1f} µs/record", round(cpu, 3))


async def _ended(running: "asyncio.Task[None]", stop: asyncio.Event, gate: EventGate) -> None:
    stop.set()
    gate.open(0)
    await running


def _store(bed: Bed, name: str) -> PostgresViews:
    views = [view for family in VIEWS.values() for view in family]
    return PostgresViews(bed.dsn, name, [*views, *EVERYWHERE], SQL_VIEWS)


async def _filled(events: KafkaEventLog, codec: Codec, values: int, records: int) -> list[tuple[int, int]]:
    """Writes the facts of all rounds; the positions between which each round's stand."""
    owner = await events.claim(METER)
    cuts, begin, written = list[tuple[int, int]](), 0, 0
    for append in readings.facts(codec, records * (ROUNDS + 1), values):
        await owner.append(append, APPEND_DEADLINE_S)
        written += len(append)
        print(f"  {written} records are on the log", end="\r", file=sys.stderr)
        if written >= records * (len(cuts) + 1) and len(cuts) < ROUNDS:
            cuts.append((begin, await events.end(METER)))
            begin = cuts[-1][1]
    print(file=sys.stderr)
    await owner.close()
    return [*cuts, (begin, await events.end(METER))]


Row = tuple[Any, ...]


async def _rows(events: KafkaEventLog, codec: Codec, begin: int, end: int) -> tuple[list[Row], int]:
    """The rows of the raw copy, and how many facts stand there."""
    rows, facts = list[Row](), 0
    stored: StoredRecord
    async for stored in between(events, METER, begin, end):
        facts += 1
        meta, body = codec.decode(stored.value)
        if type(body) is ReadingsRecorded:
            columns = [getattr(body, name) for name in READINGS.columns]
            plain = [list(value) if isinstance(value, tuple) else value for value in columns]
            rows.append((*plain, _OTHER, meta.seq, meta.tick.n, meta.tick.at, 0))
    return rows, facts


def _raw_copy(connection: psycopg.Connection[Any], schema: str, rows: Sequence[Row]) -> None:
    names = [*READINGS.columns, "partition", "seq", "tick", "at", "row"]
    types = [*READINGS.columns.values(), "integer", "bigint", "bigint", "bigint", "integer"]
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
        sql.Identifier(schema, READINGS.name), sql.SQL(", ").join(map(sql.Identifier, names))
    )
    with connection.transaction(), connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)


async def _compared(store: PostgresViews) -> None:
    """Both must have written the same, or one of them was measured for nothing."""
    columns = ", ".join(f'"{name}"' for name in READINGS.columns)
    found = await store(
        f"SELECT count(*) AS n FROM (SELECT {columns}, seq FROM readings WHERE partition = 0"
        f" EXCEPT SELECT {columns}, seq FROM readings WHERE partition = {_OTHER}) AS missing",
        {},
    )
    counts = await store("SELECT partition, count(*) AS n FROM readings GROUP BY partition ORDER BY partition", {})
    if found[0]["n"] or len(counts) != 2 or counts[0]["n"] != counts[1]["n"]:
        raise AssertionError(f"the projector and the raw copy differ: {found}, {counts}")
