"""Family `community`: each refusal in the order of the enum, then what succeeds, then the slates."""

from projections.community.views import COMMUNITIES, MEMBERS, SHARING_RULES
from schemas.community.commands import AdmitMember, AdoptSharingRules, FoundCommunity
from schemas.community.events import (
    CommandRefused,
    CommunityFounded,
    CommunityRefusal,
    MemberAdmitted,
    SharingKey,
    SharingRulesAdopted,
)
from tests.unit.given import Scenario
from tests.unit.written import rebuilt, recorded

POLICY = "policy:party_to_community.admit"
FOUNDED = CommunityFounded("c1", "lv1-101", "org", "EUR")


def wished(key: SharingKey = SharingKey.DYNAMIC, valid_from: int = 100) -> AdoptSharingRules:
    return AdoptSharingRules(key, 15, 120_000_000, 110_000_000, 1, 14, valid_from)


def adopted(version: int, key: SharingKey = SharingKey.DYNAMIC, valid_from: int = 100) -> SharingRulesAdopted:
    return SharingRulesAdopted("c1", "org", version, key, 15, "EUR", 120_000_000, 110_000_000, 1, 14, valid_from)


def community(*facts: object) -> Scenario:
    return Scenario("community", "c1").given(*facts)


def refused(command: str, subject: str, reason: CommunityRefusal, limit: int = 0) -> list[CommandRefused]:
    return [CommandRefused(command, subject, reason, limit, 0)]


def test_already_founded() -> None:
    facts = community(FOUNDED).when(FoundCommunity("lv1-101", "EUR"), actor="other")
    assert facts == refused("FoundCommunity", "c1", CommunityRefusal.ALREADY_FOUNDED)


def test_community_unknown() -> None:
    assert community().when(wished(), actor="org") == refused(
        "AdoptSharingRules", "c1", CommunityRefusal.COMMUNITY_UNKNOWN
    )
    assert community().when(AdmitMember("ann"), actor="org") == refused(
        "AdmitMember", "ann", CommunityRefusal.COMMUNITY_UNKNOWN
    )


def test_not_organiser() -> None:
    assert community(FOUNDED).when(wished(), actor="operator") == refused(
        "AdoptSharingRules", "c1", CommunityRefusal.NOT_ORGANISER
    )


def test_not_authorised() -> None:
    # Not even the organiser admits who did not apply.
    assert community(FOUNDED).when(AdmitMember("ann"), actor="org") == refused(
        "AdmitMember", "ann", CommunityRefusal.NOT_AUTHORISED
    )


def test_no_terms() -> None:
    assert community(FOUNDED).when(AdmitMember("ann"), actor=POLICY) == refused(
        "AdmitMember", "ann", CommunityRefusal.NO_TERMS, limit=1
    )


def test_already_member() -> None:
    facts = community(FOUNDED, adopted(1), MemberAdmitted("c1", "ann", 1), adopted(2))
    assert facts.when(AdmitMember("ann"), actor=POLICY) == refused(
        "AdmitMember", "ann", CommunityRefusal.ALREADY_MEMBER
    )


def test_from_foundation_to_members() -> None:
    c1 = community()
    assert c1.when(FoundCommunity("lv1-101", "EUR"), actor="org") == [FOUNDED]
    assert c1.when(wished(), actor="org") == [adopted(1)]
    assert c1.when(AdmitMember("ann"), actor=POLICY) == [MemberAdmitted("c1", "ann", 1)]
    # Back-dated rules are legal: the next run settles again.
    assert c1.when(wished(SharingKey.NONE, valid_from=5), actor="org") == [adopted(2, SharingKey.NONE, 5)]
    assert c1.when(AdmitMember("bob"), actor=POLICY) == [MemberAdmitted("c1", "bob", 2)]
    assert rebuilt(c1) == c1.state
    assert c1.later(10**15) == []


def test_rows() -> None:
    def row(view: object, body: object) -> dict[str, object]:
        (found,) = view.on[type(body)](recorded("community", "c1", body))  # type: ignore[attr-defined]
        return dict(found)

    assert row(COMMUNITIES, FOUNDED) == {
        "community": "c1",
        "zone": "lv1-101",
        "organiser": "org",
        "currency": "EUR",
    }
    rules = row(SHARING_RULES, adopted(2))
    assert rules == {name: getattr(adopted(2), name) for name in SHARING_RULES.columns}
    assert type(rules["key"]) is str
    assert row(MEMBERS, MemberAdmitted("c1", "ann", 2)) == {"community": "c1", "party": "ann", "rules_version": 2}
