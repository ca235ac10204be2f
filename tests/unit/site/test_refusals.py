"""Family `site`: one test for each refusal, in the order of the enum. Each wish would also break later rules."""

import pytest

from schemas.site.commands import AllotCapability, JoinSharing, RegisterConnection, RegisterResource, VerifyResource
from schemas.site.events import AllotmentPurpose, SiteRefusal
from schemas.values import ResourceType
from tests.unit.given import Scenario
from tests.unit.site.registered import allotted, gear, joined, refused, resource, site, verified

MARKET, PROGRAMME = AllotmentPurpose.MARKET, AllotmentPurpose.PROGRAMME
GENERATION, STORAGE, LOAD = ResourceType.GENERATION, ResourceType.STORAGE, ResourceType.LOAD


def test_already_registered() -> None:
    again = RegisterConnection("lv1-101", "bob", "s", "o", "b", "mp-2", 15, 1, 0)
    assert site().when(again) == refused("RegisterConnection", "gcp-1", SiteRefusal.ALREADY_REGISTERED)
    pv = RegisterResource("pv", STORAGE, 0, 0, "mp-x")
    assert site(resource("pv", GENERATION, 5_000)).when(pv) == refused(
        "RegisterResource", "pv", SiteRefusal.ALREADY_REGISTERED
    )


@pytest.mark.parametrize(
    ("wish", "subject"),
    [
        (RegisterResource("pv", STORAGE, 0, 0, "mp-x"), "pv"),
        (VerifyResource("pv", 1), "pv"),
        (JoinSharing("c1", 1, 0), "c1"),
        (AllotCapability(MARKET, "m1", 1, 1), "m1"),
    ],
)
def test_connection_unknown(wish: object, subject: str) -> None:
    nobody = Scenario("site", "gcp-1")
    assert nobody.when(wish) == refused(type(wish).__name__, subject, SiteRefusal.CONNECTION_UNKNOWN)


def test_not_authorised() -> None:
    ann = site()
    # The customer does not vouch for his own equipment …
    assert ann.when(VerifyResource("pv", 1), actor="ann") == refused("VerifyResource", "pv", SiteRefusal.NOT_AUTHORISED)
    # … and nobody else disposes of it.
    for wish, subject in ((JoinSharing("c1", 0, 0), "c1"), (AllotCapability(MARKET, "m1", 1, 0), "m1")):
        assert ann.when(wish, actor="operator") == refused(type(wish).__name__, subject, SiteRefusal.NOT_AUTHORISED)


def test_resource_unknown() -> None:
    assert site().when(VerifyResource("pv", 1)) == refused("VerifyResource", "pv", SiteRefusal.RESOURCE_UNKNOWN)


def test_already_verified() -> None:
    ann = site(resource("pv", GENERATION, 5_000), verified("pv", GENERATION, 4_000))
    assert ann.when(VerifyResource("pv", 6_000)) == refused("VerifyResource", "pv", SiteRefusal.ALREADY_VERIFIED)


def test_a_finding_of_no_power_is_a_verification() -> None:
    ann = site(resource("pv", GENERATION, 5_000))
    assert ann.when(VerifyResource("pv", 0)) == [verified("pv", GENERATION, 0)]
    assert ann.when(VerifyResource("pv", 1)) == refused("VerifyResource", "pv", SiteRefusal.ALREADY_VERIFIED)


def test_rated_power_zero() -> None:
    assert site().when(RegisterResource("bat", STORAGE, 0, 0, "mp-bat")) == refused(
        "RegisterResource", "bat", SiteRefusal.RATED_POWER_ZERO, limit=1
    )


def test_capacity_missing() -> None:
    ann = site()
    assert ann.when(RegisterResource("bat", STORAGE, 1, 0, "mp-bat")) == refused(
        "RegisterResource", "bat", SiteRefusal.CAPACITY_MISSING, limit=1
    )
    assert ann.when(RegisterResource("pv", GENERATION, 1, 0, "mp-pv")) == [resource("pv", GENERATION, 1)]
    assert ann.when(RegisterResource("bat", STORAGE, 1, 1, "mp-bat")) == [resource("bat", STORAGE, 1, 1)]


def test_verified_above_rated() -> None:
    ann = site(resource("pv", GENERATION, 5_000))
    assert ann.when(VerifyResource("pv", 5_001)) == refused(
        "VerifyResource", "pv", SiteRefusal.VERIFIED_ABOVE_RATED, 5_000, 5_001
    )
    assert ann.when(VerifyResource("pv", 5_000)) == [verified("pv", GENERATION, 5_000)]


def test_already_member() -> None:
    ann = site(joined("c1", 1_000_000, 0))
    assert ann.when(JoinSharing("c1", 1_000_000, 7), actor="ann") == refused(
        "JoinSharing", "c1", SiteRefusal.ALREADY_MEMBER, 1_000_000, 1_000_000
    )


def test_participation_exceeded() -> None:
    ann = site(joined("c1", 600_000, 0))
    assert ann.when(JoinSharing("c2", 400_001, 0), actor="ann") == refused(
        "JoinSharing", "c2", SiteRefusal.PARTICIPATION_EXCEEDED, 1_000_000, 1_000_001
    )
    assert ann.when(JoinSharing("c2", 400_000, 0), actor="ann") == [joined("c2", 400_000, 0)]


def test_capability_exceeded_names_injection_first() -> None:
    ann = site(resource("pv", GENERATION, 5_000), verified("pv", GENERATION, 4_000))
    ann.given(allotted(MARKET, "m1", 3_000, 0, gear("pv", GENERATION, 4_000)))
    assert ann.when(AllotCapability(MARKET, "m2", 1_001, 1), actor="ann") == refused(
        "AllotCapability", "m2", SiteRefusal.CAPABILITY_EXCEEDED, 4_000, 4_001
    )


def test_capability_exceeded_by_reduction() -> None:
    ann = site(resource("heat", LOAD, 5_000), verified("heat", LOAD, 2_000))
    ann.given(allotted(PROGRAMME, "p1", 0, 1_500, gear("heat", LOAD, 2_000)))
    assert ann.when(AllotCapability(PROGRAMME, "p2", 0, 501), actor="ann") == refused(
        "AllotCapability", "p2", SiteRefusal.CAPABILITY_EXCEEDED, 2_000, 2_001
    )
