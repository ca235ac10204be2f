"""The injection that a site allots to a market reaches the market, and what the site wants back of it."""

from collections.abc import Iterable

from domain.policy import ENDS_HERE, Policy, Wish
from schemas.envelope import Recorded
from schemas.market.capability_commands import LowerCapability
from schemas.market.capability_events import CapabilityLowered, CapabilityRetained
from schemas.market.commands import RecordCapability
from schemas.market.events import CapabilityRecorded, CommandRefused
from schemas.site.events import AllotmentPurpose, AllotmentReductionRequested, CapabilityAllotted


def record_capability(fact: Recorded[CapabilityAllotted]) -> Iterable[Wish]:
    """The market may let the connection sell this much; allotments to programmes are no business of it."""
    allotted = fact.body
    if allotted.purpose is AllotmentPurpose.MARKET:
        yield (
            allotted.target,
            RecordCapability(
                connection=allotted.connection,
                party=allotted.customer,
                injection_w=allotted.injection_w,
                resources=allotted.resources,
                zone=allotted.zone,
                valid_from=allotted.valid_from,
                valid_to=allotted.valid_to,
                equipment=allotted.equipment,
                stored=allotted.stored,
            ),
        )


def lower_capability(fact: Recorded[AllotmentReductionRequested]) -> Iterable[Wish]:
    """The market is asked whether it can make do with less."""
    wanted = fact.body
    yield (
        wanted.market,
        LowerCapability(
            request=wanted.request,
            connection=wanted.connection,
            party=wanted.customer,
            injection_w=wanted.injection_w,
            resources=wanted.resources,
            valid_from=wanted.valid_from,
            valid_to=wanted.valid_to,
            equipment=wanted.equipment,
            stored=wanted.stored,
        ),
    )


POLICIES = (
    Policy(
        name="site_to_market.record_capability",
        source="site",
        on=CapabilityAllotted,
        target="market",
        sends=RecordCapability,
        commands=record_capability,
        # Refused: the site keeps the allotment, unused, until its customer allots something else.
        answers={CapabilityRecorded: ENDS_HERE, CommandRefused: ENDS_HERE},
    ),
    Policy(
        name="site_to_market.lower_capability",
        source="site",
        on=AllotmentReductionRequested,
        target="market",
        sends=LowerCapability,
        commands=lower_capability,
        # Only a wish that no policy sent is refused.
        answers={
            CapabilityLowered: "market_to_site.lower",
            CapabilityRetained: "market_to_site.retain",
            CommandRefused: ENDS_HERE,
        },
    ),
)
