"""The capability account: allotted never exceeds what the verified resources and the connection can do."""

from domain.policies import site_to_market, site_to_programme
from schemas.market.commands import RecordCapability
from schemas.programme.commands import EnrolSite
from schemas.site.commands import AllotCapability, VerifyResource
from schemas.site.events import AllotmentPurpose, CommandRefused, SiteRefusal
from schemas.values import ResourceType
from tests.unit.given import Scenario
from tests.unit.site.registered import allotted, gear, refused, resource, site, verified
from tests.unit.written import recorded

MARKET, PROGRAMME = AllotmentPurpose.MARKET, AllotmentPurpose.PROGRAMME
GENERATION, STORAGE, LOAD = ResourceType.GENERATION, ResourceType.STORAGE, ResourceType.LOAD

PV = (resource("pv", GENERATION, 5_000), verified("pv", GENERATION, 4_000))
BATTERY = (resource("bat", STORAGE, 3_000, 6_000), verified("bat", STORAGE, 3_000))
HEATING = (resource("heat", LOAD, 2_000), verified("heat", LOAD, 2_000))


def capability(ann: Scenario) -> tuple[int, int]:
    """(injection, reduction) as a refusal names them."""
    wish = AllotCapability(MARKET, "probe", 10**15, 0), AllotCapability(MARKET, "probe", 0, 10**15)
    found = [ann.when(w, actor="ann")[0] for w in wish]
    assert all(type(f) is CommandRefused and f.reason is SiteRefusal.CAPABILITY_EXCEEDED for f in found)
    return found[0].limit, found[1].limit


def test_what_is_not_verified_can_do_nothing() -> None:
    assert capability(site(PV[0], BATTERY[0], HEATING[0])) == (0, 0)


def test_generation_injects_a_load_reduces_storage_does_both() -> None:
    assert capability(site(*PV)) == (4_000, 0)
    assert capability(site(*HEATING)) == (0, 2_000)
    assert capability(site(*BATTERY)) == (3_000, 3_000)
    assert capability(site(*PV, *BATTERY, *HEATING)) == (7_000, 5_000)


def test_the_connection_limits_both() -> None:
    more = (resource("pv2", GENERATION, 9_000), verified("pv2", GENERATION, 9_000))
    most = (resource("oven", LOAD, 9_000), verified("oven", LOAD, 9_000))
    assert capability(site(*PV, *BATTERY, *HEATING, *more, *most)) == (10_000, 10_000)


def test_a_pure_buyer_allots_no_injection() -> None:
    assert site().when(AllotCapability(MARKET, "m1", 0, 0), actor="ann") == [allotted(MARKET, "m1", 0, 0)]


FOUND_PV = gear("pv", GENERATION, 4_000)


def test_an_allotment_replaces_the_one_before() -> None:
    ann = site(*PV)
    ann.when(AllotCapability(MARKET, "m1", 3_998, 0), actor="ann")
    assert ann.when(AllotCapability(MARKET, "m1", 3_999, 0), actor="ann") == [
        allotted(MARKET, "m1", 3_999, 0, FOUND_PV)
    ]
    assert ann.when(AllotCapability(MARKET, "m2", 2, 0), actor="ann") == refused(
        "AllotCapability", "m2", SiteRefusal.CAPABILITY_EXCEEDED, 4_000, 4_001
    )
    assert ann.when(AllotCapability(MARKET, "m2", 1, 0), actor="ann") == [allotted(MARKET, "m2", 1, 0, FOUND_PV)]


def test_a_market_and_a_programme_of_the_same_name_are_two() -> None:
    ann = site(*BATTERY)
    ann.when(AllotCapability(MARKET, "x", 3_000, 0), actor="ann")
    assert ann.when(AllotCapability(PROGRAMME, "x", 1, 0), actor="ann") == refused(
        "AllotCapability", "x", SiteRefusal.CAPABILITY_EXCEEDED, 3_000, 3_001
    )


def test_a_refused_allotment_leaves_the_one_before() -> None:
    ann = site(*PV)
    ann.when(AllotCapability(MARKET, "m1", 4_000, 0), actor="ann")
    ann.when(AllotCapability(MARKET, "m1", 4_001, 0), actor="ann")
    assert ann.when(AllotCapability(MARKET, "m2", 1, 0), actor="ann") == refused(
        "AllotCapability", "m2", SiteRefusal.CAPABILITY_EXCEEDED, 4_000, 4_001
    )


def test_an_allotment_names_the_verified_resources_sorted() -> None:
    ann = site(*PV, *BATTERY, HEATING[0])
    assert ann.when(AllotCapability(MARKET, "m1", 1, 0), actor="ann")[0].resources == ("bat", "pv")
    ann.when(VerifyResource("heat", 2_000))
    assert ann.when(AllotCapability(MARKET, "m1", 1, 0), actor="ann")[0].resources == ("bat", "heat", "pv")


def test_policies_carry_an_allotment_to_its_target_only() -> None:
    market = recorded("site", "gcp-1", allotted(MARKET, "m1", 4_000, 7, gear("pv", GENERATION, 4_000)))
    programme = recorded("site", "gcp-1", allotted(PROGRAMME, "p1", 7, 2_000, gear("heat", LOAD, 2_000)))
    assert list(site_to_market.record_capability(market)) == [
        ("m1", RecordCapability("gcp-1", "ann", 4_000, ("pv",), "lv1-101", equipment=(FOUND_PV,)))
    ]
    assert list(site_to_market.record_capability(programme)) == []
    assert list(site_to_programme.enrol(programme)) == [("p1", EnrolSite("gcp-1", "ann", "mp-1", 2_000, "lv1-101"))]
    assert list(site_to_programme.enrol(market)) == []
