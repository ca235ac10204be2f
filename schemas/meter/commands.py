"""Wishes about a metering point. Key: the metering point."""

from schemas.message import command
from schemas.meter.events import MeterKind, Quality
from schemas.values import Direction, EnergyWh, Id, Minutes, TimeUs


@command
class RegisterMeteringPoint:
    """Makes the point known to its meter data (sent by a policy of the site)."""

    connection: Id
    meter_kind: MeterKind
    interval_min: Minutes


@command
class RecordReadings:
    """One source's batch: consecutive intervals of one register from `start_at` on (UTC start of the first)."""

    source: Id
    batch: Id
    direction: Direction
    start_at: TimeUs
    interval_min: Minutes
    quality: Quality
    energy_wh: tuple[EnergyWh, ...]
