"""The market's answer to a site that wants some of its allotment back reaches the site."""

from collections.abc import Iterable

from domain.policy import ENDS_HERE, Policy, Wish
from schemas.envelope import Recorded
from schemas.market.capability_events import CapabilityLowered, CapabilityRetained
from schemas.site.commands import LowerAllotment, RetainAllotment
from schemas.site.events import AllotmentLowered, AllotmentRetained, CommandRefused


def lower(fact: Recorded[CapabilityLowered]) -> Iterable[Wish]:
    """The market makes do with less: the site's request is granted."""
    yield fact.body.connection, LowerAllotment(fact.body.request, fact.body.market)


def retain(fact: Recorded[CapabilityRetained]) -> Iterable[Wish]:
    """The market needs what it holds: the site's request is not granted, and the customer learns why."""
    kept = fact.body
    yield (
        kept.connection,
        RetainAllotment(
            request=kept.request,
            market=kept.market,
            reason=kept.reason.value,
            limit=kept.limit,
            found=kept.found,
            delivery_start_at=kept.delivery_start_at,
        ),
    )


# A request is answered once; another answer to it is refused and changes nothing.
POLICIES = (
    Policy(
        name="market_to_site.lower",
        source="market",
        on=CapabilityLowered,
        target="site",
        sends=LowerAllotment,
        commands=lower,
        answers={AllotmentLowered: ENDS_HERE, CommandRefused: ENDS_HERE},
    ),
    Policy(
        name="market_to_site.retain",
        source="market",
        on=CapabilityRetained,
        target="site",
        sends=RetainAllotment,
        commands=retain,
        answers={AllotmentRetained: ENDS_HERE, CommandRefused: ENDS_HERE},
    ),
)
