"""Rules of the family `site`: one grid connection point with its resources, memberships and capability.

Who may wish what: the customer behind the connection shares and allots; the operator verifies, which is
anybody but the customer, so that nobody vouches for his own equipment; anybody may register, because
what is registered may not be used before it is verified (Y.2072 6.2.2).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, assert_never

from domain.site.capability import Capability, CapabilityAccount
from domain.site.sharing import WHOLE_PPM, Memberships
from schemas.envelope import Command, Moment, Recorded
from schemas.site.commands import (
    AllotCapability,
    JoinSharing,
    RegisterConnection,
    RegisterResource,
    VerifyResource,
)
from schemas.site.events import (
    CapabilityAllotted,
    CommandRefused,
    ConnectionRegistered,
    ResourceRegistered,
    ResourceVerified,
    SharingJoined,
    SiteRefusal,
)
from schemas.values import ResourceType

LOGIC = 1

OUTCOMES: Mapping[type, tuple[type, ...]] = {
    RegisterConnection: (ConnectionRegistered, CommandRefused),
    RegisterResource: (ResourceRegistered, CommandRefused),
    VerifyResource: (ResourceVerified, CommandRefused),
    JoinSharing: (SharingJoined, CommandRefused),
    AllotCapability: (CapabilityAllotted, CommandRefused),
}

Wish = RegisterConnection | RegisterResource | VerifyResource | JoinSharing | AllotCapability
Fact = (
    ConnectionRegistered | ResourceRegistered | ResourceVerified | SharingJoined | CapabilityAllotted | CommandRefused
)


@dataclass(slots=True)
class Connection:
    """What later facts repeat of the registration."""

    customer: str
    zone: str
    metering_point: str
    interval_min: int


@dataclass(slots=True)
class Resource:
    """Equipment behind the connection; `verified` once its power was found."""

    type: ResourceType
    rated_power_w: int
    verified: bool = False


@dataclass(slots=True)
class Site:
    """State of one grid connection point; `connection` is none before its registration."""

    key: str
    connection: Connection | None = None
    resources: dict[str, Resource] = field(default_factory=dict)
    memberships: Memberships = field(default_factory=Memberships)
    account: CapabilityAccount = field(default_factory=lambda: CapabilityAccount(connection_w=0))


def initial(key: str) -> Site:
    """A connection point nobody registered yet."""
    return Site(key)


def decide(state: Site, command: Command[Any], now: Moment) -> Iterable[Fact]:
    """One fact for each wish: what was asked for, or why not."""
    wish: Wish = command.body
    actor = command.meta.actor
    match wish:
        case RegisterConnection():
            return (_register_connection(state, wish),)
        case RegisterResource():
            return (_register_resource(state, wish),)
        case VerifyResource():
            return (_verify(state, wish, actor),)
        case JoinSharing():
            return (_join(state, wish, actor),)
        case AllotCapability():
            return (_allot(state, wish, actor),)
        case _:
            assert_never(wish)


def _register_connection(state: Site, wish: RegisterConnection) -> Fact:
    if state.connection is not None:
        return _refused(wish, state.key, SiteRefusal.ALREADY_REGISTERED)
    return ConnectionRegistered(
        connection=state.key,
        zone=wish.zone,
        customer=wish.customer,
        supplier=wish.supplier,
        off_taker=wish.off_taker,
        balance_responsible=wish.balance_responsible,
        metering_point=wish.metering_point,
        interval_min=wish.interval_min,
        connection_w=wish.connection_w,
        valid_from=wish.valid_from,
    )


def _register_resource(state: Site, wish: RegisterResource) -> Fact:
    site = state.connection
    if wish.resource in state.resources:
        return _refused(wish, wish.resource, SiteRefusal.ALREADY_REGISTERED)
    if site is None:
        return _refused(wish, wish.resource, SiteRefusal.CONNECTION_UNKNOWN)
    if wish.rated_power_w == 0:
        return _refused(wish, wish.resource, SiteRefusal.RATED_POWER_ZERO, limit=1)
    if wish.type is ResourceType.STORAGE and wish.capacity_wh == 0:
        return _refused(wish, wish.resource, SiteRefusal.CAPACITY_MISSING, limit=1)
    return ResourceRegistered(
        connection=state.key,
        customer=site.customer,
        resource=wish.resource,
        type=wish.type,
        rated_power_w=wish.rated_power_w,
        capacity_wh=wish.capacity_wh,
        metering_point=wish.metering_point,
        interval_min=site.interval_min,
    )


def _verify(state: Site, wish: VerifyResource, actor: str) -> Fact:
    site, resource = state.connection, state.resources.get(wish.resource)
    if site is None:
        return _refused(wish, wish.resource, SiteRefusal.CONNECTION_UNKNOWN)
    if actor == site.customer:
        return _refused(wish, wish.resource, SiteRefusal.NOT_AUTHORISED)
    if resource is None:
        return _refused(wish, wish.resource, SiteRefusal.RESOURCE_UNKNOWN)
    if resource.verified:
        return _refused(wish, wish.resource, SiteRefusal.ALREADY_VERIFIED)
    rated, found = resource.rated_power_w, wish.verified_power_w
    if found > rated:
        return _refused(wish, wish.resource, SiteRefusal.VERIFIED_ABOVE_RATED, rated, found)
    return ResourceVerified(state.key, site.customer, wish.resource, resource.type, found)


def _join(state: Site, wish: JoinSharing, actor: str) -> Fact:
    site = state.connection
    if site is None:
        return _refused(wish, wish.community, SiteRefusal.CONNECTION_UNKNOWN)
    if actor != site.customer:
        return _refused(wish, wish.community, SiteRefusal.NOT_AUTHORISED)
    factor = state.memberships.factor_at(wish.community, wish.valid_from)
    if factor == wish.factor_ppm:
        return _refused(wish, wish.community, SiteRefusal.ALREADY_MEMBER, factor, wish.factor_ppm)
    peak = state.memberships.peak_with(wish.community, wish.factor_ppm, wish.valid_from)
    if peak > WHOLE_PPM:
        return _refused(wish, wish.community, SiteRefusal.PARTICIPATION_EXCEEDED, WHOLE_PPM, peak)
    return SharingJoined(
        connection=state.key,
        customer=site.customer,
        metering_point=site.metering_point,
        community=wish.community,
        factor_ppm=wish.factor_ppm,
        valid_from=wish.valid_from,
    )


def _allot(state: Site, wish: AllotCapability, actor: str) -> Fact:
    site = state.connection
    if site is None:
        return _refused(wish, wish.target, SiteRefusal.CONNECTION_UNKNOWN)
    if actor != site.customer:
        return _refused(wish, wish.target, SiteRefusal.NOT_AUTHORISED)
    limit = state.account.capability
    found = state.account.allotted_with((wish.purpose, wish.target), Capability(wish.injection_w, wish.reduction_w))
    if found.injection_w > limit.injection_w:
        return _refused(wish, wish.target, SiteRefusal.CAPABILITY_EXCEEDED, limit.injection_w, found.injection_w)
    if found.reduction_w > limit.reduction_w:
        return _refused(wish, wish.target, SiteRefusal.CAPABILITY_EXCEEDED, limit.reduction_w, found.reduction_w)
    return CapabilityAllotted(
        connection=state.key,
        customer=site.customer,
        metering_point=site.metering_point,
        purpose=wish.purpose,
        target=wish.target,
        injection_w=wish.injection_w,
        reduction_w=wish.reduction_w,
        resources=tuple(sorted(name for name, found in state.resources.items() if found.verified)),
        zone=site.zone,
    )


def _refused(wish: Wish, subject: str, reason: SiteRefusal, limit: int = 0, found: int = 0) -> Fact:
    return CommandRefused(type(wish).__name__, subject, reason, limit, found)


def advance(state: Site, now: Moment, limit: int) -> Iterable[Fact]:
    """Time brings nothing about here."""
    return ()


def due(state: Site) -> int | None:
    """Never."""
    return None


def evolve(state: Site, fact: Recorded[Fact]) -> Site:
    """The site after a fact."""
    match fact.body:
        case ConnectionRegistered() as body:
            state.connection = Connection(body.customer, body.zone, body.metering_point, body.interval_min)
            state.account.connection_w = body.connection_w
        case ResourceRegistered() as body:
            state.resources[body.resource] = Resource(body.type, body.rated_power_w)
        case ResourceVerified() as body:
            state.resources[body.resource].verified = True
            state.account.verify(body.type, body.verified_power_w)
        case SharingJoined() as body:
            state.memberships.join(body.community, body.factor_ppm, body.valid_from)
        case CapabilityAllotted() as body:
            granted = Capability(body.injection_w, body.reduction_w)
            state.account.allot((body.purpose, body.target), granted)
        case CommandRefused():
            pass
        case _:
            assert_never(fact.body)
    return state
