"""A party's application reaches the community."""

from collections.abc import Iterable

from domain.policy import ENDS_HERE, Policy, Wish
from schemas.community.commands import AdmitMember
from schemas.community.events import CommandRefused, MemberAdmitted
from schemas.envelope import Recorded
from schemas.party.events import MembershipApplied


def admit(fact: Recorded[MembershipApplied]) -> Iterable[Wish]:
    """The community is asked to admit the applicant."""
    yield fact.body.community, AdmitMember(fact.body.party)


POLICIES = (
    Policy(
        name="party_to_community.admit",
        source="party",
        on=MembershipApplied,
        target="community",
        sends=AdmitMember,
        commands=admit,
        # The applicant reads the answer in the view `answers`; applying again is up to them.
        answers={MemberAdmitted: ENDS_HERE, CommandRefused: ENDS_HERE},
    ),
)
