"""Facts about a site. Key: the grid connection point."""

from enum import StrEnum

from schemas.equipment import (
    Characteristic,
    ElectricalRating,
    EnergyCarrier,
    Equipment,
    StorageRating,
    StoredEnergy,
)
from schemas.message import event
from schemas.values import EnergyWh, Id, Minutes, Name, PowerW, Ppm, ResourceType, TimeUs


class AllotmentPurpose(StrEnum):
    """Who may use a part of the site's capability."""

    MARKET = "market"
    PROGRAMME = "programme"


class SiteRefusal(StrEnum):
    """Why a wish of this family was refused, in the order of the checks; new ones stand at the end.

    An allotment's window and waiting request are checked before its capability.
    """

    ALREADY_REGISTERED = "already_registered"
    CONNECTION_UNKNOWN = "connection_unknown"
    NOT_AUTHORISED = "not_authorised"
    RESOURCE_UNKNOWN = "resource_unknown"
    ALREADY_VERIFIED = "already_verified"
    RATED_POWER_ZERO = "rated_power_zero"
    CAPACITY_MISSING = "capacity_missing"
    VERIFIED_ABOVE_RATED = "verified_above_rated"
    ALREADY_MEMBER = "already_member"
    PARTICIPATION_EXCEEDED = "participation_exceeded"
    CAPABILITY_EXCEEDED = "capability_exceeded"
    STORAGE_MISSING = "storage_missing"
    USABLE_ABOVE_CAPACITY = "usable_above_capacity"
    EFFICIENCY_ZERO = "efficiency_zero"
    POWER_ABOVE_ELECTRICAL = "power_above_electrical"
    WINDOW_OF_A_PROGRAMME = "window_of_a_programme"
    WINDOW_EMPTY = "window_empty"
    WINDOW_OFF_GRID = "window_off_grid"
    WINDOW_OVER = "window_over"
    REQUEST_WAITING = "request_waiting"
    TOO_MANY_WINDOWS = "too_many_windows"
    STORED_ENERGY_EXCEEDED = "stored_energy_exceeded"
    REQUEST_UNKNOWN = "request_unknown"
    RESOURCE_NOT_VERIFIED = "resource_not_verified"


@event
class ConnectionRegistered:
    """The grid connection point and who stands behind it from `valid_from` on."""

    connection: Id
    zone: Id
    customer: Id
    supplier: Id
    off_taker: Id
    balance_responsible: Id
    metering_point: Id
    interval_min: Minutes
    connection_w: PowerW
    valid_from: TimeUs


@event
class ResourceRegistered:
    """Equipment stands behind the connection, not yet verified."""

    connection: Id
    customer: Id
    resource: Id
    type: ResourceType
    rated_power_w: PowerW
    capacity_wh: EnergyWh
    metering_point: Id
    interval_min: Minutes
    carrier: EnergyCarrier = EnergyCarrier.UNSPECIFIED
    characteristics: tuple[Characteristic, ...] = ()
    electrical: ElectricalRating | None = None
    storage: StorageRating | None = None


@event
class ResourceVerified:
    """The operator found the resource able to deliver this power; from now on it may be allotted.

    `electrical` is the rating found, none where nobody named one.
    """

    connection: Id
    customer: Id
    resource: Id
    type: ResourceType
    verified_power_w: PowerW
    electrical: ElectricalRating | None = None


@event
class ResourceReassessed:
    """The resource delivers this power now; who may use it learns of it with the next allotment."""

    connection: Id
    customer: Id
    resource: Id
    type: ResourceType
    serviceable_power_w: PowerW


@event
class SharingJoined:
    """The connection is a member of the community with this factor from `valid_from` on (valid time).

    In force at t is, of the facts of this connection and community with `valid_from` <= t, the one with
    the latest `valid_from`, of several with the same the last recorded. A factor of 0 is no membership.
    """

    connection: Id
    customer: Id
    metering_point: Id
    community: Id
    factor_ppm: Ppm
    valid_from: TimeUs


@event
class CapabilityAllotted:
    """The target may use this much of the site's capability; the sum over targets stays within it.

    For deliveries in [valid_from, valid_to); none is no border. `resources` are the site's verified resources at
    this time, `equipment` says what was found of each, `stored` what storage adds to a market's injection.
    """

    connection: Id
    customer: Id
    metering_point: Id
    purpose: AllotmentPurpose
    target: Id
    injection_w: PowerW
    reduction_w: PowerW
    resources: tuple[Id, ...]
    zone: Id
    valid_from: TimeUs | None = None
    valid_to: TimeUs | None = None
    equipment: tuple[Equipment, ...] = ()
    stored: StoredEnergy | None = None


@event
class AllotmentReductionRequested:
    """The market is asked to make do with this; until it answers, the account counts the higher of both.

    The fields are those of the allotment as it would be.
    """

    connection: Id
    customer: Id
    request: Id
    market: Id
    injection_w: PowerW
    reduction_w: PowerW
    valid_from: TimeUs | None
    valid_to: TimeUs | None
    resources: tuple[Id, ...]
    zone: Id
    equipment: tuple[Equipment, ...]
    stored: StoredEnergy | None


@event
class AllotmentLowered:
    """The market makes do with less: what was requested is the allotment now, and the rest is free."""

    connection: Id
    customer: Id
    request: Id
    market: Id
    injection_w: PowerW
    reduction_w: PowerW
    valid_from: TimeUs | None
    valid_to: TimeUs | None


@event
class AllotmentRetained:
    """The market needs what it holds: the allotment stays as it was.

    `reason`, `limit` and `found` are the market's, of the delivery interval at `delivery_start_at`.
    """

    connection: Id
    customer: Id
    request: Id
    market: Id
    reason: Name
    limit: int
    found: int
    delivery_start_at: TimeUs


@event
class CommandRefused:
    """A wish that a rule of this family forbids; nothing else changed."""

    command: Name
    subject: Id
    reason: SiteRefusal
    limit: int
    found: int
