"""Family `site`: what succeeds, how it is rebuilt, what the policies and the slates make of it."""

from hypothesis import given
from hypothesis import strategies as st

from domain.policies import site_to_meter
from projections.site.allotments import CAPABILITY_ALLOTMENTS
from projections.site.views import CONNECTIONS, RESOURCES, SHARING_MEMBERSHIPS, VIEWS
from schemas.catalog import messages_of
from schemas.message import Kind
from schemas.meter.commands import RegisterMeteringPoint
from schemas.meter.events import MeterKind
from schemas.site.commands import AllotCapability, JoinSharing, RegisterConnection, RegisterResource, VerifyResource
from schemas.site.events import (
    AllotmentPurpose,
    CapabilityAllotted,
    CommandRefused,
    ResourceVerified,
)
from schemas.values import ResourceType
from tests.unit.given import Scenario, only
from tests.unit.site.registered import CONNECTION, allotted, gear, joined, resource, site, verified
from tests.unit.written import only_judges, rebuilt, recorded

REGISTER = RegisterConnection(
    "lv1-101", "ann", "supplier", "off-taker", "brp", "mp-1", interval_min=15, connection_w=10_000, valid_from=0
)


def test_from_registration_to_allotment() -> None:
    ann = Scenario("site", "gcp-1")
    assert ann.when(REGISTER, actor="grid") == [CONNECTION]
    pv = RegisterResource("pv", ResourceType.GENERATION, 5_000, 0, "mp-pv")
    assert ann.when(pv, actor="ann") == [resource("pv", ResourceType.GENERATION, 5_000)]
    assert ann.when(VerifyResource("pv", 4_500), actor="grid") == [verified("pv", ResourceType.GENERATION, 4_500)]
    assert ann.when(JoinSharing("c1", 1_000_000, 3), actor="ann") == [joined("c1", 1_000_000, 3)]
    assert ann.when(AllotCapability(AllotmentPurpose.MARKET, "m1", 4_500, 0), actor="ann") == [
        allotted(AllotmentPurpose.MARKET, "m1", 4_500, 0, gear("pv", ResourceType.GENERATION, 4_500))
    ]
    assert ann.later(10**15) == []


def test_both_meters_become_known() -> None:
    connection = recorded("site", "gcp-1", CONNECTION)
    pv = recorded("site", "gcp-1", resource("pv", ResourceType.GENERATION, 5_000))
    assert list(site_to_meter.register_utility(connection)) == [
        ("mp-1", RegisterMeteringPoint("gcp-1", MeterKind.UTILITY, 15))
    ]
    assert list(site_to_meter.register_customer(pv)) == [
        ("mp-pv", RegisterMeteringPoint("gcp-1", MeterKind.CUSTOMER, 15))
    ]


def test_rows() -> None:
    def rows(view: object, body: object) -> list[dict[str, object]]:
        return [dict(row) for row in view.on[type(body)](recorded("site", "gcp-1", body))]  # type: ignore[attr-defined]

    (row,) = rows(CONNECTIONS, CONNECTION)
    assert row == {name: getattr(CONNECTION, name) for name in CONNECTIONS.columns}
    (row,) = rows(SHARING_MEMBERSHIPS, joined("c1", 5, 7))
    assert row == {
        "connection": "gcp-1",
        "customer": "ann",
        "metering_point": "mp-1",
        "community": "c1",
        "factor_ppm": 5,
        "valid_from": 7,
    }
    (row,) = rows(RESOURCES, resource("bat", ResourceType.STORAGE, 3_000, 6_000))
    assert (row["status"], row["type"], row.get("verified_power_w")) == ("registered", "storage", None)
    (row,) = rows(RESOURCES, verified("bat", ResourceType.STORAGE, 2_500))
    assert row == {"connection": "gcp-1", "resource": "bat", "status": "verified", "verified_power_w": 2_500}
    heat = gear("heat", ResourceType.LOAD, 2_000)
    (row,) = rows(CAPABILITY_ALLOTMENTS, allotted(AllotmentPurpose.PROGRAMME, "p1", 0, 9, heat))
    assert (row["purpose"], row["target"], row["resources"]) == ("programme", "p1", ["heat"])
    facts = {m.cls for m in messages_of("site") if m.kind is Kind.EVENT} - {CommandRefused}
    assert {kind for view in VIEWS for kind in view.on} == facts


POWER = st.sampled_from([0, 1, 2_000, 6_000, 12_000])
ACTOR = st.sampled_from(["ann", "operator"])
WISH = st.one_of(
    st.just(REGISTER),
    st.builds(
        RegisterResource,
        st.sampled_from(["r1", "r2", "r3"]),
        st.sampled_from(ResourceType),
        POWER,
        st.sampled_from([0, 5_000]),
        st.just("mp-x"),
    ),
    st.builds(VerifyResource, st.sampled_from(["r1", "r2", "r3"]), POWER),
    st.builds(
        JoinSharing,
        st.sampled_from(["c1", "c2"]),
        st.sampled_from([0, 400_000, 600_001, 1_000_000]),
        st.integers(0, 3),
    ),
    st.builds(AllotCapability, st.sampled_from(AllotmentPurpose), st.sampled_from(["t1", "t2"]), POWER, POWER),
)


@given(st.lists(st.tuples(WISH, ACTOR), max_size=25))
def test_facts_alone_rebuild_the_state_and_allotments_stay_within_capability(
    wishes: list[tuple[object, str]],
) -> None:
    ann = site()
    for wish, actor in wishes:
        only_judges(ann, wish, actor)
    assert rebuilt(ann) == ann.state

    found = only(ann.facts, ResourceVerified)
    newest = {(a.purpose, a.target): a for a in only(ann.facts, CapabilityAllotted)}
    can_inject = sum(v.verified_power_w for v in found if v.type is not ResourceType.LOAD)
    can_reduce = sum(v.verified_power_w for v in found if v.type is not ResourceType.GENERATION)
    assert sum(a.injection_w for a in newest.values()) <= min(10_000, can_inject)
    assert sum(a.reduction_w for a in newest.values()) <= min(10_000, can_reduce)
