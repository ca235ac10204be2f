"""A party's application reaches the market."""

from collections.abc import Iterable

from domain.policy import ENDS_HERE, Policy, Wish
from schemas.envelope import Recorded
from schemas.market.commands import AdmitParticipant
from schemas.market.events import CommandRefused, ParticipantAdmitted
from schemas.party.events import MarketApplied


def admit(fact: Recorded[MarketApplied]) -> Iterable[Wish]:
    """The market is asked to admit the applicant."""
    yield fact.body.market, AdmitParticipant(fact.body.party)


POLICIES = (
    Policy(
        name="party_to_market.admit",
        source="party",
        on=MarketApplied,
        target="market",
        sends=AdmitParticipant,
        commands=admit,
        # As with communities: the applicant reads the answer and may see why it was refused.
        answers={ParticipantAdmitted: ENDS_HERE, CommandRefused: ENDS_HERE},
    ),
)
