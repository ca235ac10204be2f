"""Facts about a site. Key: the grid connection point."""

from enum import StrEnum

from schemas.message import event
from schemas.values import EnergyWh, Id, Minutes, Name, PowerW, Ppm, ResourceType, TimeUs


class AllotmentPurpose(StrEnum):
    """Who may use a part of the site's capability."""

    MARKET = "market"
    PROGRAMME = "programme"


class SiteRefusal(StrEnum):
    """Why a wish of this family was refused, in the order of the checks."""

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


@event
class ResourceVerified:
    """The operator found the resource able to deliver this power; from now on it may be allotted."""

    connection: Id
    customer: Id
    resource: Id
    type: ResourceType
    verified_power_w: PowerW


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

    `resources` are the site's verified resources at this time.
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


@event
class CommandRefused:
    """A wish that a rule of this family forbids; nothing else changed."""

    command: Name
    subject: Id
    reason: SiteRefusal
    limit: int
    found: int
