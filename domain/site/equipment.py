"""Equipment behind a connection (Y.2072 6.2.2, stage 2): registered by anybody, verified by anybody but its owner.

What is registered must be possible: storage keeps no more than its capacity, and voltage × current × power factor
carry the rated power. What is verified must be possible too, with the rating that was found.
"""

from domain.electrical import allowed_power_w
from domain.site.refusals import refused
from domain.site.state import Site
from schemas.equipment import ElectricalRating, StorageRating
from schemas.site.commands import ReassessResource, RegisterResource, VerifyResource
from schemas.site.events import CommandRefused, ResourceReassessed, ResourceRegistered, ResourceVerified, SiteRefusal
from schemas.values import ResourceType


def register(state: Site, wish: RegisterResource) -> ResourceRegistered | CommandRefused:
    """The resource stands behind the connection, not yet verified; or why it cannot."""
    site = state.connection
    if wish.resource in state.resources:
        return refused(wish, wish.resource, SiteRefusal.ALREADY_REGISTERED)
    if site is None:
        return refused(wish, wish.resource, SiteRefusal.CONNECTION_UNKNOWN)
    if wish.rated_power_w == 0:
        return refused(wish, wish.resource, SiteRefusal.RATED_POWER_ZERO, limit=1)
    if wish.type is ResourceType.STORAGE and wish.capacity_wh == 0:
        return refused(wish, wish.resource, SiteRefusal.CAPACITY_MISSING, limit=1)
    broken = _storage(wish) or _electrical(wish, wish.electrical, wish.rated_power_w)
    if broken is not None:
        return broken
    return ResourceRegistered(
        connection=state.key,
        customer=site.customer,
        resource=wish.resource,
        type=wish.type,
        rated_power_w=wish.rated_power_w,
        capacity_wh=wish.capacity_wh,
        metering_point=wish.metering_point,
        interval_min=site.interval_min,
        carrier=wish.carrier,
        characteristics=wish.characteristics,
        electrical=wish.electrical,
        storage=wish.storage,
    )


def verify(state: Site, wish: VerifyResource, actor: str) -> ResourceVerified | CommandRefused:
    """The resource delivers this power; or why that cannot be."""
    site, resource = state.connection, state.resources.get(wish.resource)
    if site is None:
        return refused(wish, wish.resource, SiteRefusal.CONNECTION_UNKNOWN)
    if actor == site.customer:
        return refused(wish, wish.resource, SiteRefusal.NOT_AUTHORISED)
    if resource is None:
        return refused(wish, wish.resource, SiteRefusal.RESOURCE_UNKNOWN)
    if resource.verified_w is not None:
        return refused(wish, wish.resource, SiteRefusal.ALREADY_VERIFIED)
    rated, found = resource.rated_power_w, wish.verified_power_w
    if found > rated:
        return refused(wish, wish.resource, SiteRefusal.VERIFIED_ABOVE_RATED, rated, found)
    electrical = wish.electrical or resource.electrical
    broken = _electrical(wish, electrical, found)
    if broken is not None:
        return broken
    return ResourceVerified(state.key, site.customer, wish.resource, resource.type, found, electrical)


def reassess(state: Site, wish: ReassessResource, actor: str) -> ResourceReassessed | CommandRefused:
    """The resource delivers another power now (Y.2072 6.2.2: the serviceable level stays current); or why that
    cannot be."""
    site, resource = state.connection, state.resources.get(wish.resource)
    if site is None:
        return refused(wish, wish.resource, SiteRefusal.CONNECTION_UNKNOWN)
    if actor == site.customer:
        return refused(wish, wish.resource, SiteRefusal.NOT_AUTHORISED)
    if resource is None:
        return refused(wish, wish.resource, SiteRefusal.RESOURCE_UNKNOWN)
    found = wish.serviceable_power_w
    if resource.verified_w is None:
        return refused(wish, wish.resource, SiteRefusal.RESOURCE_NOT_VERIFIED)
    if found == resource.verified_w:
        return refused(wish, wish.resource, SiteRefusal.ALREADY_VERIFIED, resource.verified_w, found)
    if found > resource.rated_power_w:
        return refused(wish, wish.resource, SiteRefusal.VERIFIED_ABOVE_RATED, resource.rated_power_w, found)
    broken = _electrical(wish, resource.electrical, found)
    if broken is not None:
        return broken
    return ResourceReassessed(state.key, site.customer, wish.resource, resource.type, found)


def storage_of(fact: ResourceRegistered) -> StorageRating | None:
    """What a registered storage gives back, if only its capacity was told: all of it, at its rated power."""
    if fact.type is not ResourceType.STORAGE:
        return None
    return fact.storage or StorageRating(fact.capacity_wh, _WHOLE_PPM, _WHOLE_PPM, fact.rated_power_w)


_WHOLE_PPM = 1_000_000


def _storage(wish: RegisterResource) -> CommandRefused | None:
    storage = wish.storage
    if storage is None:
        return None
    if wish.type is not ResourceType.STORAGE:
        return refused(wish, wish.resource, SiteRefusal.STORAGE_MISSING)
    if storage.usable_wh > wish.capacity_wh:
        reason = SiteRefusal.USABLE_ABOVE_CAPACITY
        return refused(wish, wish.resource, reason, wish.capacity_wh, storage.usable_wh)
    if not storage.discharge_efficiency_ppm or not storage.charge_efficiency_ppm:
        return refused(wish, wish.resource, SiteRefusal.EFFICIENCY_ZERO, limit=1)
    return None


def _electrical(
    wish: RegisterResource | VerifyResource | ReassessResource, rating: ElectricalRating | None, power_w: int
) -> CommandRefused | None:
    if rating is None:
        return None
    allowed = allowed_power_w(rating)
    if power_w <= allowed:
        return None
    return refused(wish, wish.resource, SiteRefusal.POWER_ABOVE_ELECTRICAL, allowed, power_w)
