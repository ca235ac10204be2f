"""Rules of the family `site`: one grid connection point with its resources, memberships and capability.

Who may wish what: the customer behind the connection shares and allots; the operator verifies, which is
anybody but the customer, so that nobody vouches for his own equipment; anybody may register, because
what is registered may not be used before it is verified (Y.2072 6.2.2).
"""

from collections.abc import Iterable, Mapping
from typing import Any, assert_never

from domain.site import allotting, equipment
from domain.site.capability import granted, window_of
from domain.site.refusals import refused
from domain.site.sharing import WHOLE_PPM
from domain.site.state import Connection, Resource, Site
from schemas.envelope import Command, Moment, Recorded
from schemas.site.commands import (
    AllotCapability,
    JoinSharing,
    LowerAllotment,
    ReassessResource,
    RegisterConnection,
    RegisterResource,
    RetainAllotment,
    VerifyResource,
)
from schemas.site.events import (
    AllotmentLowered,
    AllotmentPurpose,
    AllotmentReductionRequested,
    AllotmentRetained,
    CapabilityAllotted,
    CommandRefused,
    ConnectionRegistered,
    ResourceReassessed,
    ResourceRegistered,
    ResourceVerified,
    SharingJoined,
    SiteRefusal,
)

LOGIC = 2

OUTCOMES: Mapping[type, tuple[type, ...]] = {
    RegisterConnection: (ConnectionRegistered, CommandRefused),
    RegisterResource: (ResourceRegistered, CommandRefused),
    VerifyResource: (ResourceVerified, CommandRefused),
    ReassessResource: (ResourceReassessed, CommandRefused),
    JoinSharing: (SharingJoined, CommandRefused),
    AllotCapability: (CapabilityAllotted, AllotmentReductionRequested, CommandRefused),
    LowerAllotment: (AllotmentLowered, CommandRefused),
    RetainAllotment: (AllotmentRetained, CommandRefused),
}

Wish = (
    RegisterConnection
    | RegisterResource
    | VerifyResource
    | ReassessResource
    | JoinSharing
    | AllotCapability
    | LowerAllotment
    | RetainAllotment
)
Fact = (
    ConnectionRegistered
    | ResourceRegistered
    | ResourceVerified
    | ResourceReassessed
    | SharingJoined
    | CapabilityAllotted
    | AllotmentReductionRequested
    | AllotmentLowered
    | AllotmentRetained
    | CommandRefused
)


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
            return (equipment.register(state, wish),)
        case VerifyResource():
            return (equipment.verify(state, wish, actor),)
        case ReassessResource():
            return (equipment.reassess(state, wish, actor),)
        case JoinSharing():
            return (_join(state, wish, actor),)
        case AllotCapability():
            return (allotting.allot(state, command, now),)
        case LowerAllotment():
            return (allotting.lower(state, wish, actor),)
        case RetainAllotment():
            return (allotting.retain(state, wish, actor),)
        case _:
            assert_never(wish)


def _register_connection(state: Site, wish: RegisterConnection) -> Fact:
    if state.connection is not None:
        return refused(wish, state.key, SiteRefusal.ALREADY_REGISTERED)
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


def _join(state: Site, wish: JoinSharing, actor: str) -> Fact:
    site = state.connection
    if site is None:
        return refused(wish, wish.community, SiteRefusal.CONNECTION_UNKNOWN)
    if actor != site.customer:
        return refused(wish, wish.community, SiteRefusal.NOT_AUTHORISED)
    factor = state.memberships.factor_at(wish.community, wish.valid_from)
    if factor == wish.factor_ppm:
        return refused(wish, wish.community, SiteRefusal.ALREADY_MEMBER, factor, wish.factor_ppm)
    peak = state.memberships.peak_with(wish.community, wish.factor_ppm, wish.valid_from)
    if peak > WHOLE_PPM:
        return refused(wish, wish.community, SiteRefusal.PARTICIPATION_EXCEEDED, WHOLE_PPM, peak)
    return SharingJoined(
        connection=state.key,
        customer=site.customer,
        metering_point=site.metering_point,
        community=wish.community,
        factor_ppm=wish.factor_ppm,
        valid_from=wish.valid_from,
    )


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
            storage = equipment.storage_of(body)
            told = body.carrier, body.characteristics, body.electrical
            state.resources[body.resource] = Resource(body.type, body.rated_power_w, *told, storage)
        case ResourceVerified() as body:
            resource = state.resources[body.resource]
            resource.verified_w = body.verified_power_w
            resource.electrical = body.electrical or resource.electrical
            state.account.verify(body.type, body.verified_power_w, resource.storage)
        case ResourceReassessed() as body:
            resource = state.resources[body.resource]
            before_w, resource.verified_w = resource.verified_w or 0, body.serviceable_power_w
            state.account.verify(body.type, body.serviceable_power_w - before_w, None)
        case SharingJoined() as body:
            state.memberships.join(body.community, body.factor_ppm, body.valid_from)
        case CapabilityAllotted() as body:
            held = granted(body.injection_w, body.reduction_w, body.stored)
            window = window_of(body.valid_from, body.valid_to)
            state.account.allot((body.purpose, body.target), window, held, fact.meta.tick.at)
        case AllotmentReductionRequested() as body:
            state.account.waiting[AllotmentPurpose.MARKET, body.market] = body
        case AllotmentLowered() as body:
            market = AllotmentPurpose.MARKET, body.market
            request = state.account.waiting.pop(market)
            held = granted(request.injection_w, request.reduction_w, request.stored)
            window = window_of(request.valid_from, request.valid_to)
            state.account.allot(market, window, held, fact.meta.tick.at)
        case AllotmentRetained() as body:
            del state.account.waiting[AllotmentPurpose.MARKET, body.market]
        case CommandRefused():
            pass
        case _:
            assert_never(fact.body)
    return state
