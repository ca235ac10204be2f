"""The reduction that a site allots to a demand-response programme reaches the programme."""

from collections.abc import Iterable

from domain.policy import ENDS_HERE, Policy, Wish
from schemas.envelope import Recorded
from schemas.programme.commands import EnrolSite
from schemas.programme.events import CommandRefused, SiteEnrolled
from schemas.site.events import AllotmentPurpose, CapabilityAllotted


def enrol(fact: Recorded[CapabilityAllotted]) -> Iterable[Wish]:
    """The programme may ask the site for this much; its response is measured at the utility meter's point."""
    allotted = fact.body
    if allotted.purpose is AllotmentPurpose.PROGRAMME:
        yield (
            allotted.target,
            EnrolSite(
                allotted.connection, allotted.customer, allotted.metering_point, allotted.reduction_w, allotted.zone
            ),
        )


POLICIES = (
    Policy(
        name="site_to_programme.enrol",
        source="site",
        on=CapabilityAllotted,
        target="programme",
        sends=EnrolSite,
        commands=enrol,
        # Refused: the site keeps the allotment, unused, until its customer allots something else.
        answers={SiteEnrolled: ENDS_HERE, CommandRefused: ENDS_HERE},
    ),
)
