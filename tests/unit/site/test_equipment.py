"""Ratings of equipment: what is registered and verified is physically possible, compared in exact integers."""

from dataclasses import replace
from math import sqrt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.electrical import allowed_power_w
from projections.site.views import RESOURCES
from schemas.equipment import (
    Characteristic,
    ElectricalRating,
    EnergyCarrier,
    Equipment,
    Phases,
    StorageRating,
)
from schemas.site.commands import AllotCapability, ReassessResource, RegisterResource, VerifyResource
from schemas.site.events import (
    AllotmentPurpose,
    AllotmentReductionRequested,
    CapabilityAllotted,
    ResourceReassessed,
    ResourceRegistered,
    ResourceVerified,
    SiteRefusal,
)
from schemas.values import ResourceType
from tests.unit.given import Scenario
from tests.unit.site.registered import refused, site
from tests.unit.written import rebuilt, recorded

SINGLE = ElectricalRating(230_000, 16_000, 950_000, Phases.SINGLE)
"""230 V × 16 A × 0.95 = 3 496 W."""
THREE = ElectricalRating(400_000, 16_000, 1_000_000, Phases.THREE)
"""400 V × 16 A × √3 = 11 085.1… W."""
PV = RegisterResource(
    "pv",
    ResourceType.GENERATION,
    3_496,
    0,
    "mp-pv",
    EnergyCarrier.SOLAR,
    (Characteristic.INTERMITTENT, Characteristic.CONTROLLED_BY_GRID_OPERATOR),
    SINGLE,
)
BATTERY = RegisterResource(
    "bat", ResourceType.STORAGE, 5_000, 10_000, "mp-b", storage=StorageRating(9_000, 950_000, 940_000, 4_000)
)


def test_what_a_rating_carries() -> None:
    assert allowed_power_w(SINGLE) == 3_496
    assert allowed_power_w(THREE) == 11_085
    assert allowed_power_w(ElectricalRating(1, 1, 1_000_000, Phases.THREE)) == 0


@given(st.integers(1, 10**9), st.integers(1, 10**9), st.integers(1, 10**6))
def test_three_phases_carry_the_root_of_three_rounded_down(voltage: int, current: int, factor: int) -> None:
    power = allowed_power_w(ElectricalRating(voltage, current, factor, Phases.THREE))
    product = voltage * current * factor
    assert (power * 10**12) ** 2 <= 3 * product**2 < ((power + 1) * 10**12) ** 2
    assert power == pytest.approx(sqrt(3) * product / 10**12, rel=1e-9, abs=1)


def test_attributes_are_kept_and_handed_on() -> None:
    ann = site()
    (fact,) = ann.when(PV, actor="ann")
    assert (fact.carrier, fact.characteristics, fact.electrical) == (PV.carrier, PV.characteristics, SINGLE)
    assert ann.when(VerifyResource("pv", 3_000)) == [
        ResourceVerified("gcp-1", "ann", "pv", ResourceType.GENERATION, 3_000, SINGLE)
    ]
    ann.when(BATTERY, actor="ann")
    (allotted,) = ann.when(AllotCapability(AllotmentPurpose.MARKET, "m1", 3_000, 0), actor="ann")
    assert allotted.equipment == (
        Equipment("pv", ResourceType.GENERATION, 3_000, PV.carrier, PV.characteristics, SINGLE, None),
    )


def test_power_above_electrical() -> None:
    ann = site()
    assert ann.when(replace(PV, rated_power_w=3_497)) == refused(
        "RegisterResource", "pv", SiteRefusal.POWER_ABOVE_ELECTRICAL, 3_496, 3_497
    )
    assert type(ann.when(PV)[0]) is ResourceRegistered


def test_the_verified_rating_allows_the_verified_power() -> None:
    ann = site()
    ann.when(PV)
    found = replace(SINGLE, current_ma=10_000)
    assert ann.when(VerifyResource("pv", 2_186, found)) == refused(
        "VerifyResource", "pv", SiteRefusal.POWER_ABOVE_ELECTRICAL, 2_185, 2_186
    )
    assert ann.when(VerifyResource("pv", 2_185, found)) == [
        ResourceVerified("gcp-1", "ann", "pv", ResourceType.GENERATION, 2_185, found)
    ]
    assert ann.state.verified()[0].electrical == found


def assessed(ann: Scenario, power_w: int, actor: str = "grid") -> list[Any]:
    return ann.when(ReassessResource("pv", power_w), actor)


def refused_level(reason: SiteRefusal, limit: int = 0, found: int = 0) -> list[Any]:
    return refused("ReassessResource", "pv", reason, limit, found)


def test_the_serviceable_level_stays_current() -> None:
    ann = site()
    assert assessed(Scenario("site", "gcp-1"), 1) == refused_level(SiteRefusal.CONNECTION_UNKNOWN)
    assert assessed(ann, 1, "ann") == refused_level(SiteRefusal.NOT_AUTHORISED)
    assert assessed(ann, 1) == refused_level(SiteRefusal.RESOURCE_UNKNOWN)
    ann.when(replace(PV, rated_power_w=3_400))
    assert assessed(ann, 3_000) == refused_level(SiteRefusal.RESOURCE_NOT_VERIFIED)
    ann.when(VerifyResource("pv", 3_000, replace(SINGLE, current_ma=15_000)))
    assert assessed(ann, 3_000) == refused_level(SiteRefusal.ALREADY_VERIFIED, 3_000, 3_000)
    assert assessed(ann, 3_401) == refused_level(SiteRefusal.VERIFIED_ABOVE_RATED, 3_400, 3_401)
    assert assessed(ann, 3_278) == refused_level(SiteRefusal.POWER_ABOVE_ELECTRICAL, 3_277, 3_278)
    for power_w in (1_000, 3_277):
        fact = ResourceReassessed("gcp-1", "ann", "pv", ResourceType.GENERATION, power_w)
        assert assessed(ann, power_w) == [fact]
        assert (ann.state.account.capability.injection_w, ann.state.verified()[0].power_w) == (power_w, power_w)
        [row] = RESOURCES.on[ResourceReassessed](recorded("site", "gcp-1", fact))
        assert row == {"connection": "gcp-1", "resource": "pv", "verified_power_w": power_w}
    assert rebuilt(ann) == ann.state


def test_what_is_lost_is_not_given_out_and_may_be_taken_back() -> None:
    ann = site()
    ann.when(PV)
    ann.when(VerifyResource("pv", 3_000))
    programme, market = AllotmentPurpose.PROGRAMME, AllotmentPurpose.MARKET
    for purpose, name in ((programme, "p1"), (market, "m1")):
        ann.when(AllotCapability(purpose, name, 1_500, 0), actor="ann")
    assessed(ann, 1_000)
    more = AllotCapability(market, "m1", 1_501, 0)
    assert ann.when(more, actor="ann") == refused(
        "AllotCapability", "m1", SiteRefusal.CAPABILITY_EXCEEDED, 1_000, 3_001
    )
    assert type(ann.when(AllotCapability(programme, "p1", 1_200, 0), actor="ann")[0]) is CapabilityAllotted
    assert type(ann.when(AllotCapability(market, "m1", 0, 0), actor="ann")[0]) is AllotmentReductionRequested


def test_storage_missing() -> None:
    wrong = replace(BATTERY, type=ResourceType.GENERATION, storage=StorageRating(99_999, 0, 0, 0))
    assert site().when(wrong) == refused("RegisterResource", "bat", SiteRefusal.STORAGE_MISSING)


def test_usable_above_capacity() -> None:
    wrong = replace(BATTERY, storage=StorageRating(10_001, 0, 0, 0))
    assert site().when(wrong) == refused("RegisterResource", "bat", SiteRefusal.USABLE_ABOVE_CAPACITY, 10_000, 10_001)


@pytest.mark.parametrize("efficiencies", [(0, 1), (1, 0)])
def test_efficiency_zero(efficiencies: tuple[int, int]) -> None:
    wrong = replace(BATTERY, storage=StorageRating(10_000, *efficiencies, 0), electrical=replace(SINGLE, current_ma=0))
    assert site().when(wrong) == refused("RegisterResource", "bat", SiteRefusal.EFFICIENCY_ZERO, 1)


def test_storage_that_tells_its_capacity_only_gives_all_of_it() -> None:
    ann = site()
    ann.when(replace(BATTERY, storage=None))
    ann.when(VerifyResource("bat", 5_000))
    assert ann.state.verified()[0].storage == StorageRating(10_000, 1_000_000, 1_000_000, 5_000)


def test_ratings_stand_in_the_view() -> None:
    ann = site()
    facts = [*ann.when(PV), *ann.when(BATTERY), *ann.when(VerifyResource("pv", 3_000))]
    pv, battery, found = [dict(row) for f in facts for row in RESOURCES.on[type(f)](recorded("site", "gcp-1", f))]
    assert (pv["carrier"], pv["voltage_mv"], pv["phases"]) == ("solar", 230_000, "single")
    assert pv["characteristics"] == ["intermittent", "controlled_by_grid_operator"]
    assert (battery["usable_wh"], battery["discharge_efficiency_ppm"], battery.get("voltage_mv")) == (
        9_000,
        950_000,
        None,
    )
    assert (found["status"], found["verified_power_w"], found["current_ma"]) == ("verified", 3_000, 16_000)
