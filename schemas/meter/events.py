"""Facts about a metering point. Key: the metering point."""

from enum import StrEnum

from schemas.message import event
from schemas.values import Count, Direction, EnergyWh, Id, Minutes, Name, TimeUs


class MeterKind(StrEnum):
    """Y.2072 9.2: the utility meter measures the site, the customer meter each resource."""

    UTILITY = "utility"
    CUSTOMER = "customer"


class Quality(StrEnum):
    """What a value is worth (IEC 61968-9 categories, in words)."""

    VALID = "valid"
    ESTIMATED = "estimated"
    EDITED = "edited"


class MeterRefusal(StrEnum):
    """Why a wish of this family was refused, in the order of the checks."""

    NOT_AUTHORISED = "not_authorised"
    ALREADY_REGISTERED = "already_registered"
    METERING_POINT_UNKNOWN = "metering_point_unknown"
    INTERVAL_MISMATCH = "interval_mismatch"
    OFF_GRID_START = "off_grid_start"
    EMPTY_BATCH = "empty_batch"
    BATCH_TOO_LARGE = "batch_too_large"
    DIRECTION_MISMATCH = "direction_mismatch"
    IN_THE_FUTURE = "in_the_future"


@event
class MeteringPointRegistered:
    """Meter data of this point are accepted from now on."""

    metering_point: Id
    connection: Id
    meter_kind: MeterKind
    interval_min: Minutes


@event
class ReadingsRecorded:
    """A batch stands: version `version` (1 = first) of these intervals of this register.

    The version is one above the highest that any of the intervals had; of an interval the value of the
    highest version counts.
    """

    metering_point: Id
    connection: Id
    meter_kind: MeterKind
    source: Id
    batch: Id
    direction: Direction
    start_at: TimeUs
    interval_min: Minutes
    quality: Quality
    version: Count
    energy_wh: tuple[EnergyWh, ...]


@event
class ReadingsUnchanged:
    """The batch holds nothing new: every value and its quality equal the current ones."""

    metering_point: Id
    source: Id
    batch: Id
    direction: Direction
    start_at: TimeUs


@event
class CommandRefused:
    """A wish that a rule of this family forbids; nothing else changed."""

    command: Name
    subject: Id
    reason: MeterRefusal
    limit: int
    found: int
