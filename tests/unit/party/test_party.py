"""Family `party`: each refusal in the order of the enum, then what succeeds, then the slates."""

from domain.policies import party_to_community, party_to_market
from projections.party.views import APPLICATIONS, PARTIES
from schemas.community.commands import AdmitMember
from schemas.market.commands import AdmitParticipant
from schemas.party.commands import ApplyForMarket, ApplyForMembership, RegisterParty
from schemas.party.events import (
    CommandRefused,
    MarketApplied,
    MembershipApplied,
    PartyRefusal,
    PartyRegistered,
    Role,
)
from tests.unit.given import Scenario
from tests.unit.written import rebuilt, recorded

ROLES = (Role.PARTY_CONNECTED_TO_GRID, Role.SUPPLIER)
REGISTERED = PartyRegistered("ann", ROLES)


class Ann(Scenario):
    """The party wishes for itself unless told."""

    def when(self, body: object, actor: str = "ann", command_id: str | None = None) -> list[object]:
        return super().when(body, actor, command_id)


def party(*facts: object) -> Ann:
    made = Ann("party", "ann")
    made.given(*facts)
    return made


def refused(command: str, subject: str, reason: PartyRefusal, limit: int = 0) -> list[object]:
    return [CommandRefused(command, subject, reason, limit, 0)]


def test_already_registered() -> None:
    # Also without roles: the order of the checks is the order of the enum.
    facts = party(REGISTERED).when(RegisterParty(()))
    assert facts == refused("RegisterParty", "ann", PartyRefusal.ALREADY_REGISTERED)


def test_party_unknown() -> None:
    assert party().when(ApplyForMembership("c1")) == refused("ApplyForMembership", "c1", PartyRefusal.PARTY_UNKNOWN)
    assert party().when(ApplyForMarket("m1")) == refused("ApplyForMarket", "m1", PartyRefusal.PARTY_UNKNOWN)


def test_not_authorised() -> None:
    ann = party(REGISTERED)
    assert ann.when(ApplyForMembership("c1"), actor="bob") == refused(
        "ApplyForMembership", "c1", PartyRefusal.NOT_AUTHORISED
    )
    assert ann.when(ApplyForMarket("m1"), actor="bob") == refused("ApplyForMarket", "m1", PartyRefusal.NOT_AUTHORISED)


def test_no_role() -> None:
    assert party().when(RegisterParty(())) == refused("RegisterParty", "ann", PartyRefusal.NO_ROLE)


def test_who_applied_too_early_applies_again() -> None:
    ann = party(REGISTERED, MembershipApplied("ann", "c1"), MarketApplied("ann", "m1"))
    assert ann.when(ApplyForMembership("c1")) == [MembershipApplied("ann", "c1")]
    assert ann.when(ApplyForMarket("m1")) == [MarketApplied("ann", "m1")]


def test_membership_required() -> None:
    assert party(REGISTERED).when(ApplyForMarket("m1")) == refused(
        "ApplyForMarket", "m1", PartyRefusal.MEMBERSHIP_REQUIRED, limit=1
    )


def test_first_the_community_then_the_market() -> None:
    ann = party()
    assert ann.when(RegisterParty(ROLES)) == [REGISTERED]
    assert ann.when(ApplyForMembership("c1")) == [MembershipApplied("ann", "c1")]
    assert ann.when(ApplyForMarket("m1")) == [MarketApplied("ann", "m1")]
    assert ann.when(ApplyForMarket("m2")) == [MarketApplied("ann", "m2")]
    assert rebuilt(ann) == ann.state


def test_a_refusal_changes_nothing() -> None:
    ann = party()
    ann.when(ApplyForMembership("c1"))
    assert ann.when(RegisterParty(ROLES)) == [REGISTERED]
    assert ann.when(ApplyForMembership("c1")) == [MembershipApplied("ann", "c1")]


def test_a_role_named_twice_is_recorded_once() -> None:
    wished = (Role.SUPPLIER, Role.MARKET_OPERATOR, Role.SUPPLIER)
    assert party().when(RegisterParty(wished)) == [PartyRegistered("ann", (Role.SUPPLIER, Role.MARKET_OPERATOR))]


def test_time_brings_nothing_about() -> None:
    ann = party(REGISTERED)
    assert ann.later(10**15) == []


def test_policies_carry_applications() -> None:
    membership = recorded("party", "ann", MembershipApplied("ann", "c1"))
    market = recorded("party", "ann", MarketApplied("ann", "m1"))
    assert list(party_to_community.admit(membership)) == [("c1", AdmitMember("ann"))]
    assert list(party_to_market.admit(market)) == [("m1", AdmitParticipant("ann"))]


def test_rows() -> None:
    rows = list(PARTIES.on[PartyRegistered](recorded("party", "ann", REGISTERED)))
    assert rows == [{"party": "ann", "roles": ["party_connected_to_grid", "supplier"]}]
    applied = [MembershipApplied("ann", "c1"), MarketApplied("ann", "m1")]
    rows = [row for body in applied for row in APPLICATIONS.on[type(body)](recorded("party", "ann", body))]
    assert rows == [
        {"party": "ann", "kind": "community", "applied_to": "c1"},
        {"party": "ann", "kind": "market", "applied_to": "m1"},
    ]
