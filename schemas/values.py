"""The numbers and names of messages, each with its unit, its range and one meaning.

Energy, power and money are integers (`docs/decisions.md`, "Integers"). Injection is positive.
The ranges hold at the doors (pydantic) and before a record is encoded (`schemas/codec.py`).
"""

from enum import StrEnum
from typing import Annotated

from annotated_types import Ge, Le, MaxLen, MinLen

INT64_MAX = 2**63 - 1

MINUTE_US = 60_000_000
"""Intervals are told in minutes, times in microseconds."""
# A value times a price, summed over a run's intervals, stays within 64 bits: 10¹⁰ Wh × 10¹² nano × 500.
_MAX_ENERGY_WH = 10**10
_MAX_ENERGY_SUM_WH = 10**18
_MAX_PRICE_NANO = 10**12
_MAX_MONEY = 5 * 10**18
_MAX_POINTS_PER_KWH = 1_000
_MAX_TIME_US = 4_102_444_800_000_000  # 2100-01-01

MAX_ID_LENGTH = 96

Id = Annotated[str, MinLen(1), MaxLen(MAX_ID_LENGTH)]
"""A name given by its owner or derived from the command that caused it; never a person's name."""

Name = Annotated[str, MinLen(1), MaxLen(MAX_ID_LENGTH)]
"""A technical word (a command's type, a method, a series), never free text."""

Currency = Annotated[str, MinLen(3), MaxLen(6)]
"""ISO 4217 code, or `POINT` for energy points."""

Count = Annotated[int, Ge(0), Le(INT64_MAX)]
EnergyWh = Annotated[int, Ge(0), Le(_MAX_ENERGY_WH)]
"""Of one interval: 10 GWh is more than any connection moves in a quarter-hour."""

SignedEnergyWh = Annotated[int, Ge(-_MAX_ENERGY_SUM_WH), Le(_MAX_ENERGY_SUM_WH)]
"""Differences and sums of energy."""

EnergySumWh = Annotated[int, Ge(0), Le(_MAX_ENERGY_SUM_WH)]
PointsPerKwh = Annotated[int, Ge(0), Le(_MAX_POINTS_PER_KWH)]
PowerW = Annotated[int, Ge(0), Le(_MAX_ENERGY_WH)]
PriceNanoPerKwh = Annotated[int, Ge(-_MAX_PRICE_NANO), Le(_MAX_PRICE_NANO)]
"""10⁻⁹ currency units per kWh: 0.12 EUR/kWh is 120_000_000."""

FeeNanoPerKwh = Annotated[int, Ge(0), Le(_MAX_PRICE_NANO)]
"""10⁻⁹ currency units per kWh that are always paid, never received."""

AmountMicro = Annotated[int, Ge(-_MAX_MONEY), Le(_MAX_MONEY)]
"""Accruals: 10⁻⁶ currency units."""

AmountMinor = Annotated[int, Ge(-_MAX_MONEY), Le(_MAX_MONEY)]
"""Documents: the currency's minor unit (cent; energy points have none)."""

VoltageMv = Annotated[int, Ge(0), Le(10**9)]
"""Millivolt, up to 1,000 kV."""

CurrentMa = Annotated[int, Ge(0), Le(10**9)]
"""Milliampere, up to 1,000 kA."""

Ppm = Annotated[int, Ge(0), Le(1_000_000)]
TimeUs = Annotated[int, Ge(0), Le(_MAX_TIME_US)]
"""UTC microseconds since 1970-01-01."""

Minutes = Annotated[int, Ge(1), Le(1440)]
TickNumber = Annotated[int, Ge(0), Le(INT64_MAX)]
MAX_PARTITIONS = 1_000
PartitionCount = Annotated[int, Ge(1), Le(MAX_PARTITIONS)]
"""Of one generation of a family."""

Sequence = Annotated[int, Ge(0), Le(INT64_MAX)]

PRICED_AS_IMBALANCE = "imbalance"
"""The reference of a residual or surplus line whose energy is paid within an imbalance line: no tariff prices it."""


class Side(StrEnum):
    """Which way energy moves for the owner of an order."""

    BUY = "buy"
    SELL = "sell"


class Direction(StrEnum):
    """The direction of a register at the grid connection point (IEC 61968-9 flow direction, in plain words)."""

    IMPORT_FROM_GRID = "import_from_grid"
    EXPORT_TO_GRID = "export_to_grid"
    RESOURCE_CONSUMPTION = "resource_consumption"
    RESOURCE_GENERATION = "resource_generation"


class ResourceType(StrEnum):
    """Y.2072 6.2.2: the equipment that a participant registers."""

    GENERATION = "generation"
    STORAGE = "storage"
    LOAD = "load"


class DeliveryMode(StrEnum):
    """How a contract is settled against the meters."""

    FIRM = "firm"
    AS_DELIVERED = "as_delivered"
