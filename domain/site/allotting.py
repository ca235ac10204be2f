"""Allotting capability, and taking it back (domain rules §1.1 rule 12).

What gives a market more, or a programme anything, is allotted at once. What would leave a market with less than it
may sell already is asked of the market first: it may have sold it. The request waits for the market's answer, the
account counts the higher of both meanwhile, and the market gets no other wish of this site: none may cross.
"""

from typing import Final

from domain.identity import born_id
from domain.site.capability import granted, window_of
from domain.site.refusals import refused
from domain.site.state import Site
from domain.site.timeline import Window
from schemas.actors import POLICY
from schemas.envelope import Command, Moment
from schemas.equipment import StoredEnergy
from schemas.site.commands import AllotCapability, LowerAllotment, RetainAllotment
from schemas.site.events import (
    AllotmentLowered,
    AllotmentPurpose,
    AllotmentReductionRequested,
    AllotmentRetained,
    CapabilityAllotted,
    CommandRefused,
    SiteRefusal,
)
from schemas.values import MINUTE_US

MAX_STEPS: Final = 1_000
"""So often the allotment of one market or programme may change over the deliveries to come."""


def allot(
    state: Site, command: Command[AllotCapability], now: Moment
) -> CapabilityAllotted | AllotmentReductionRequested | CommandRefused:
    """Allots at once, or asks the market first; or why nobody can have this."""
    wish, site = command.body, state.connection
    if site is None:
        return refused(wish, wish.target, SiteRefusal.CONNECTION_UNKNOWN)
    if command.meta.actor != site.customer:
        return refused(wish, wish.target, SiteRefusal.NOT_AUTHORISED)
    window = window_of(wish.valid_from, wish.valid_to)
    stored = _stored(state, wish, window, now)
    broken = _window(wish, window, site.interval_min, now) or _request(state, wish) or _limits(state, wish, stored)
    if broken is not None:
        return broken
    beneficiary = wish.purpose, wish.target
    wished = granted(wish.injection_w, wish.reduction_w, stored)
    equipment = state.verified()
    resources = tuple(found.resource for found in equipment)
    if wish.purpose is AllotmentPurpose.MARKET and state.account.lowers(beneficiary, window, wished, bool(stored)):
        return AllotmentReductionRequested(
            connection=state.key,
            customer=site.customer,
            request=born_id("site", command, 0),
            market=wish.target,
            injection_w=wish.injection_w,
            reduction_w=wish.reduction_w,
            valid_from=wish.valid_from,
            valid_to=wish.valid_to,
            resources=resources,
            zone=site.zone,
            equipment=equipment,
            stored=stored,
        )
    return CapabilityAllotted(
        connection=state.key,
        customer=site.customer,
        metering_point=site.metering_point,
        purpose=wish.purpose,
        target=wish.target,
        injection_w=wish.injection_w,
        reduction_w=wish.reduction_w,
        resources=resources,
        zone=site.zone,
        valid_from=wish.valid_from,
        valid_to=wish.valid_to,
        equipment=equipment,
        stored=stored,
    )


def _window(wish: AllotCapability, window: Window, interval_min: int, now: Moment) -> CommandRefused | None:
    if wish.valid_from is None and wish.valid_to is None:
        return None
    if wish.purpose is AllotmentPurpose.PROGRAMME:
        return refused(wish, wish.target, SiteRefusal.WINDOW_OF_A_PROGRAMME)
    for border in (wish.valid_from, wish.valid_to):
        if border is not None and border % (interval_min * MINUTE_US):
            return refused(wish, wish.target, SiteRefusal.WINDOW_OFF_GRID, interval_min * MINUTE_US, border)
    if window.to_at is not None and window.to_at <= window.from_at:
        return refused(wish, wish.target, SiteRefusal.WINDOW_EMPTY, window.from_at, window.to_at)
    if window.to_at is not None and window.to_at <= now.at:
        return refused(wish, wish.target, SiteRefusal.WINDOW_OVER, now.at, window.to_at)
    return None


def _request(state: Site, wish: AllotCapability) -> CommandRefused | None:
    beneficiary = wish.purpose, wish.target
    if beneficiary in state.account.waiting:
        return refused(wish, wish.target, SiteRefusal.REQUEST_WAITING)
    # A window adds two steps at most.
    steps = len(state.account.held(beneficiary).starts) + 2
    return refused(wish, wish.target, SiteRefusal.TOO_MANY_WINDOWS, MAX_STEPS, steps) if steps > MAX_STEPS else None


def _limits(state: Site, wish: AllotCapability, stored: StoredEnergy | None) -> CommandRefused | None:
    if wish.stored_wh and stored is None:
        return refused(wish, wish.target, SiteRefusal.STORAGE_MISSING, 0, wish.stored_wh)
    window = window_of(wish.valid_from, wish.valid_to)
    wished = granted(wish.injection_w, wish.reduction_w, stored)
    excess = state.account.excess((wish.purpose, wish.target), window, wished)
    if excess is None:
        return None
    limit, found = excess
    for reason, allowed, sum_ in (
        (SiteRefusal.CAPABILITY_EXCEEDED, limit.injection_w, found.injection_w),
        (SiteRefusal.CAPABILITY_EXCEEDED, limit.reduction_w, found.reduction_w),
    ):
        if sum_ > allowed:
            return refused(wish, wish.target, reason, allowed, sum_)
    return refused(wish, wish.target, SiteRefusal.STORED_ENERGY_EXCEEDED, limit.stored_wh, found.stored_wh)


def _stored(state: Site, wish: AllotCapability, window: Window, now: Moment) -> StoredEnergy | None:
    """What storage adds; none where there is none, and for a programme, which is asked for power."""
    if wish.purpose is not AllotmentPurpose.MARKET or not state.account.storages or not wish.injection_w:
        return None
    beneficiary = wish.purpose, wish.target
    return state.account.stored(beneficiary, window, wish.injection_w, wish.stored_wh, now.at)


def lower(state: Site, wish: LowerAllotment, actor: str) -> AllotmentLowered | CommandRefused:
    """The market makes do with what was requested."""
    request = _waiting(state, wish, actor)
    if isinstance(request, CommandRefused):
        return request
    return AllotmentLowered(
        connection=state.key,
        customer=request.customer,
        request=wish.request,
        market=wish.market,
        injection_w=request.injection_w,
        reduction_w=request.reduction_w,
        valid_from=request.valid_from,
        valid_to=request.valid_to,
    )


def retain(state: Site, wish: RetainAllotment, actor: str) -> AllotmentRetained | CommandRefused:
    """The market needs what it holds."""
    request = _waiting(state, wish, actor)
    if isinstance(request, CommandRefused):
        return request
    return AllotmentRetained(
        connection=state.key,
        customer=request.customer,
        request=wish.request,
        market=wish.market,
        reason=wish.reason,
        limit=wish.limit,
        found=wish.found,
        delivery_start_at=wish.delivery_start_at,
    )


def _waiting(
    state: Site, wish: LowerAllotment | RetainAllotment, actor: str
) -> AllotmentReductionRequested | CommandRefused:
    if state.connection is None:
        return refused(wish, wish.request, SiteRefusal.CONNECTION_UNKNOWN)
    if not actor.startswith(POLICY):
        return refused(wish, wish.request, SiteRefusal.NOT_AUTHORISED)
    request = state.account.waiting.get((AllotmentPurpose.MARKET, wish.market))
    if request is None or request.request != wish.request:
        return refused(wish, wish.request, SiteRefusal.REQUEST_UNKNOWN)
    return request
