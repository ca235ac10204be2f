"""A registered site and its facts, for the tests of the family."""

from typing import Any

from schemas.equipment import EnergyCarrier, Equipment, StorageRating
from schemas.site.events import (
    AllotmentPurpose,
    AllotmentReductionRequested,
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


def gear(name: str, type_: ResourceType, power_w: int, storage: StorageRating | None = None) -> Equipment:
    """A verified resource as an allotment names it; storage gives all of its 6 kWh unless it says otherwise."""
    if type_ is ResourceType.STORAGE and storage is None:
        storage = StorageRating(6_000, 1_000_000, 1_000_000, power_w)
    return Equipment(name, type_, power_w, EnergyCarrier.UNSPECIFIED, (), None, storage)


def allotted(
    purpose: AllotmentPurpose, target: str, injection_w: int, reduction_w: int, *equipment: Equipment, **more: Any
) -> CapabilityAllotted:
    """An allotment of the connection."""
    names = tuple(found.resource for found in equipment)
    what = purpose, target, injection_w, reduction_w, names, "lv1-101"
    return CapabilityAllotted("gcp-1", "ann", "mp-1", *what, equipment=equipment, **more)


def requested(
    request: str, market: str, injection_w: int, reduction_w: int, *equipment: Equipment, **more: Any
) -> AllotmentReductionRequested:
    """A request to the market that waits for its answer."""
    names = tuple(found.resource for found in equipment)
    window = more.pop("valid_from", None), more.pop("valid_to", None)
    what = request, market, injection_w, reduction_w, *window, names, "lv1-101", equipment, more.pop("stored", None)
    return AllotmentReductionRequested("gcp-1", "ann", *what)


def refused(command: str, subject: str, reason: SiteRefusal, limit: int = 0, found: int = 0) -> list[CommandRefused]:
    """The one fact of a refused wish."""
    return [CommandRefused(command, subject, reason, limit, found)]
