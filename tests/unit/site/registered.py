"""A registered site and its facts, for the tests of the family."""

from schemas.site.events import (
    AllotmentPurpose,
    CapabilityAllotted,
    CommandRefused,
    ConnectionRegistered,
    ResourceRegistered,
    ResourceVerified,
    SharingJoined,
    SiteRefusal,
)
from schemas.values import ResourceType
from tests.unit.given import Scenario

CONNECTION = ConnectionRegistered(
    connection="gcp-1",
    zone="lv1-101",
    customer="ann",
    supplier="supplier",
    off_taker="off-taker",
    balance_responsible="brp",
    metering_point="mp-1",
    interval_min=15,
    connection_w=10_000,
    valid_from=0,
)


def site(*facts: object) -> Scenario:
    """The connection `gcp-1` of the customer `ann`, 10 kW, registered."""
    return Scenario("site", "gcp-1").given(CONNECTION, *facts)


def resource(name: str, type_: ResourceType, rated_w: int, capacity_wh: int = 0) -> ResourceRegistered:
    """Equipment of `ann`."""
    return ResourceRegistered("gcp-1", "ann", name, type_, rated_w, capacity_wh, f"mp-{name}", 15)


def verified(name: str, type_: ResourceType, power_w: int) -> ResourceVerified:
    """The operator found this power."""
    return ResourceVerified("gcp-1", "ann", name, type_, power_w)


def joined(community: str, factor_ppm: int, valid_from: int = 0) -> SharingJoined:
    """A membership of the connection."""
    return SharingJoined("gcp-1", "ann", "mp-1", community, factor_ppm, valid_from)


def allotted(
    purpose: AllotmentPurpose, target: str, injection_w: int, reduction_w: int, *resources: str
) -> CapabilityAllotted:
    """An allotment of the connection."""
    return CapabilityAllotted("gcp-1", "ann", "mp-1", purpose, target, injection_w, reduction_w, resources, "lv1-101")


def refused(command: str, subject: str, reason: SiteRefusal, limit: int = 0, found: int = 0) -> list[CommandRefused]:
    """The one fact of a refused wish."""
    return [CommandRefused(command, subject, reason, limit, found)]
