"""Meter data as facts on the log: a day of quarter-hours in each record, decided by the real rules."""

from collections.abc import Iterator
from random import Random
from typing import Final

from consumers.partition import PartitionDecider
from consumers.ports import NewRecord, Partition, StoredRecord
from domain.families import DECIDERS
from schemas.codec import Codec
from schemas.envelope import Causation, CommandMeta, Moment
from schemas.log.commands import Tick
from schemas.meter.commands import RecordReadings, RegisterMeteringPoint
from schemas.meter.events import MeterKind, Quality
from schemas.values import Direction

METER: Final = Partition("meter", 0)
POINTS: Final = 200
MINUTE: Final = 60_000_000
DAY: Final = 1_440 * MINUTE
FIRST_DAY: Final = 1_767_225_600_000_000
_VALID: Final = DAY
_POLICY: Final = "policy:site_to_meter"


def facts(codec: Codec, batches: int, values: int, interval_min: int = 15) -> Iterator[list[NewRecord]]:
    """The records of `batches` batches of `values` readings, day by day and point by point, in appends."""
    decider = PartitionDecider(METER, 1, DECIDERS[METER.family], codec)
    draw, position, sent = Random(2072), 0, 0
    points = [f"{draw.getrandbits(128):032x}" for _ in range(POINTS)]
    number, at = 0, FIRST_DAY
    while sent < batches:
        number, at = number + 1, at + values * interval_min * MINUTE
        said = [_tick(codec, Moment(number, at))]
        for n, point in enumerate(points):
            if number == 1:
                said.append(_register(codec, point, n, Moment(number, at), interval_min))
            if sent < batches:
                start_at = at - values * interval_min * MINUTE
                said.append(_batch(codec, draw, point, at, start_at, values, interval_min))
                sent += 1
        stored = [StoredRecord(position + n, r.key, r.value, r.headers) for n, r in enumerate(said)]
        position += len(said)
        yield decider.decide(stored)


def _tick(codec: Codec, moment: Moment) -> NewRecord:
    meta = CommandMeta(f"tick-{moment.n}", "log:clock", f"tick-{moment.n}", None, None, None)
    return NewRecord(b"", codec.encode(meta, Tick(moment.n, moment.at)))


def _register(codec: Codec, point: str, n: int, moment: Moment, interval_min: int) -> NewRecord:
    meta = CommandMeta(f"register-{n}", _POLICY, f"register-{n}", None, moment, Causation("site", 0, 0, n, 0))
    wish = RegisterMeteringPoint(f"connection-{n:03}-0123456789", MeterKind.UTILITY, interval_min)
    return NewRecord(point.encode(), codec.encode(meta, wish))


def _batch(
    codec: Codec, draw: Random, point: str, now: int, start_at: int, values: int, interval_min: int
) -> NewRecord:
    command_id = f"{draw.getrandbits(128):032x}"
    meta = CommandMeta(command_id, "operator", command_id, now + _VALID, None, None)
    energy_wh = tuple(draw.randrange(2_000) for _ in range(values))
    wish = RecordReadings(
        "head-end", f"file-{start_at}", Direction.IMPORT_FROM_GRID, start_at, interval_min, Quality.VALID, energy_wh
    )
    return NewRecord(point.encode(), codec.encode(meta, wish))
