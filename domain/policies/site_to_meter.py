"""The meters of a connection and of its resources become known to their meter data (Y.2072 9.2)."""

from collections.abc import Iterable, Mapping

from domain.policy import ENDS_HERE, Policy, Wish
from schemas.envelope import Recorded
from schemas.meter.commands import RegisterMeteringPoint
from schemas.meter.events import CommandRefused, MeteringPointRegistered, MeterKind
from schemas.site.events import ConnectionRegistered, ResourceRegistered


def register_utility(fact: Recorded[ConnectionRegistered]) -> Iterable[Wish]:
    """The utility meter's point: it measures the import and the export of the site."""
    site = fact.body
    yield (
        site.metering_point,
        RegisterMeteringPoint(site.connection, MeterKind.UTILITY, site.interval_min),
    )


def register_customer(fact: Recorded[ResourceRegistered]) -> Iterable[Wish]:
    """The customer meter's point: it measures one resource."""
    resource = fact.body
    yield (
        resource.metering_point,
        RegisterMeteringPoint(resource.connection, MeterKind.CUSTOMER, resource.interval_min),
    )


# A refusal means that the point is known already: two resources may stand behind one customer meter.
# A point that belongs to somebody else shows in `metering_points`, where it keeps its own connection.
_ANSWERS: Mapping[type, str] = {MeteringPointRegistered: ENDS_HERE, CommandRefused: ENDS_HERE}

POLICIES = (
    Policy(
        name="site_to_meter.register_utility",
        source="site",
        on=ConnectionRegistered,
        target="meter",
        sends=RegisterMeteringPoint,
        commands=register_utility,
        answers=_ANSWERS,
    ),
    Policy(
        name="site_to_meter.register_customer",
        source="site",
        on=ResourceRegistered,
        target="meter",
        sends=RegisterMeteringPoint,
        commands=register_customer,
        answers=_ANSWERS,
    ),
)
