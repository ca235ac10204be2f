"""The injection that a site allots to a market reaches the market."""

from collections.abc import Iterable

from domain.policy import ENDS_HERE, Policy, Wish
from schemas.envelope import Recorded
from schemas.market.commands import RecordCapability
from schemas.market.events import CapabilityRecorded, CommandRefused
from schemas.site.events import AllotmentPurpose, CapabilityAllotted


def record_capability(fact: Recorded[CapabilityAllotted]) -> Iterable[Wish]:
    """The market may let the connection sell this much; allotments to programmes are no business of it."""
    allotted = fact.body
    if allotted.purpose is AllotmentPurpose.MARKET:
        yield (
            allotted.target,
            RecordCapability(
                allotted.connection, allotted.customer, allotted.injection_w, allotted.resources, allotted.zone
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
)
