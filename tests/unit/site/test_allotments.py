"""Allotments over delivery time, and how a market gives some of one back: asked first, answered once."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.site.allotments import ALLOTMENT_CHANGES, ALWAYS_TO
from schemas.equipment import StorageRating, StoredEnergy
from schemas.site.commands import AllotCapability, LowerAllotment, RetainAllotment
from schemas.site.events import (
    AllotmentLowered,
    AllotmentPurpose,
    AllotmentReductionRequested,
    AllotmentRetained,
    CapabilityAllotted,
    CommandRefused,
    ResourceRegistered,
    SiteRefusal,
)
from schemas.values import ResourceType
from tests.unit.given import MINUTE, Scenario
from tests.unit.site.registered import allotted, gear, refused, requested, resource, site, verified
from tests.unit.written import rebuilt, recorded

MARKET, PROGRAMME = AllotmentPurpose.MARKET, AllotmentPurpose.PROGRAMME
Q = 15 * MINUTE
POLICY = "policy:market_to_site.test"
FOUND_PV = gear("pv", ResourceType.GENERATION, 4_000)


def pv() -> Scenario:
    """Ann can inject 4 kW."""
    return site(resource("pv", ResourceType.GENERATION, 4_000), verified("pv", ResourceType.GENERATION, 4_000))


def wish(market: str, injection_w: int, valid_from: int | None = None, valid_to: int | None = None) -> AllotCapability:
    return AllotCapability(MARKET, market, injection_w, 0, valid_from, valid_to)


def ask(ann: Scenario, body: AllotCapability) -> str:
    """A wish that the market is asked about; returns the request."""
    (fact,) = ann.when(body, actor="ann")
    assert type(fact) is AllotmentReductionRequested
    return fact.request


def exceeded(market: str, found: int, limit: int = 4_000) -> list[CommandRefused]:
    return refused("AllotCapability", market, SiteRefusal.CAPABILITY_EXCEEDED, limit, found)


def test_different_hours_go_to_different_markets() -> None:
    ann = pv()
    day, night = wish("m1", 4_000, 4 * Q, 8 * Q), wish("m2", 4_000, 8 * Q, 12 * Q)
    for one, market in ((day, "m1"), (night, "m2")):
        window = {"valid_from": one.valid_from, "valid_to": one.valid_to}
        assert ann.when(one, actor="ann") == [allotted(MARKET, market, 4_000, 0, FOUND_PV, **window)]
    assert ann.when(wish("m3", 1, 7 * Q, 9 * Q), actor="ann") == exceeded("m3", 4_001)
    assert type(ann.when(wish("m3", 4_000, 12 * Q), actor="ann")[0]) is CapabilityAllotted


def test_a_window_leaves_what_stands_outside() -> None:
    ann = pv()
    ann.when(wish("m1", 1_000), actor="ann")
    ann.when(wish("m1", 3_000, 2 * Q, 4 * Q), actor="ann")
    assert ann.when(wish("m2", 1_001, 3 * Q, 6 * Q), actor="ann") == exceeded("m2", 4_001)
    assert type(ann.when(wish("m2", 3_000, 4 * Q, 6 * Q), actor="ann")[0]) is CapabilityAllotted
    assert ann.when(wish("m2", 3_001, 0, 2 * Q), actor="ann") == exceeded("m2", 4_001)


def test_raising_is_allotted_at_once_lowering_asks_the_market() -> None:
    ann = pv()
    ann.when(wish("m1", 2_000), actor="ann")
    assert ann.when(wish("m1", 3_000), actor="ann") == [allotted(MARKET, "m1", 3_000, 0, FOUND_PV)]
    request = ask(ann, wish("m1", 1_000))
    assert ann.facts[-1] == requested(request, "m1", 1_000, 0, FOUND_PV)


def test_a_window_that_lowers_any_interval_asks() -> None:
    ann = pv()
    ann.when(wish("m1", 1_000), actor="ann")
    ann.when(wish("m1", 3_000, 4 * Q, 5 * Q), actor="ann")
    assert type(ann.when(wish("m1", 2_000, 5 * Q, 8 * Q), actor="ann")[0]) is CapabilityAllotted
    ask(ann, wish("m1", 2_000, 3 * Q, 5 * Q))


def test_while_the_market_is_asked_the_higher_counts() -> None:
    ann = pv()
    ann.when(wish("m1", 4_000), actor="ann")
    ask(ann, wish("m1", 1_000))
    assert ann.when(wish("m2", 1), actor="ann") == exceeded("m2", 4_001)


def test_while_the_market_is_asked_what_would_be_raised_counts_too() -> None:
    ann = pv()
    ann.when(wish("m1", 4_000, 0, Q), actor="ann")
    ask(ann, wish("m1", 3_000))
    assert ann.when(wish("m2", 1_001, 8 * Q, 9 * Q), actor="ann") == exceeded("m2", 4_001)


def test_a_request_counts_from_its_own_beginning() -> None:
    ann = pv()
    ann.when(wish("m1", 2_000, 4 * Q, 5 * Q), actor="ann")
    ask(ann, wish("m1", 1_000, 2 * Q, 6 * Q))
    assert ann.when(wish("m2", 3_001, 0, 4 * Q), actor="ann") == exceeded("m2", 4_001)
    assert type(ann.when(wish("m2", 3_001, 0, 2 * Q), actor="ann")[0]) is CapabilityAllotted


def test_what_the_market_makes_do_without_is_free() -> None:
    ann = pv()
    ann.when(wish("m1", 4_000), actor="ann")
    request = ask(ann, wish("m1", 1_000))
    assert ann.when(LowerAllotment(request, "m1"), actor=POLICY) == [
        AllotmentLowered("gcp-1", "ann", request, "m1", 1_000, 0, None, None)
    ]
    assert ann.when(wish("m2", 3_001), actor="ann") == exceeded("m2", 4_001)
    assert type(ann.when(wish("m2", 3_000), actor="ann")[0]) is CapabilityAllotted


def test_what_the_market_needs_it_keeps_and_says_why() -> None:
    ann = pv()
    ann.when(wish("m1", 4_000), actor="ann")
    request = ask(ann, wish("m1", 1_000))
    told = "capability_in_use", 250, 300, 7 * Q
    assert ann.when(RetainAllotment(request, "m1", *told), actor=POLICY) == [
        AllotmentRetained("gcp-1", "ann", request, "m1", *told)
    ]
    assert ann.when(wish("m2", 1), actor="ann") == exceeded("m2", 4_001)
    # The market may be asked again.
    assert ask(ann, wish("m1", 2_000)) != request


def test_a_wish_that_crosses_a_request_is_refused() -> None:
    ann = pv()
    ann.when(wish("m1", 3_000), actor="ann")
    ask(ann, wish("m1", 1_000))
    for crossing in (wish("m1", 500), wish("m1", 3_500), wish("m1", 3_500, 8 * Q, 9 * Q)):
        assert ann.when(crossing, actor="ann") == refused("AllotCapability", "m1", SiteRefusal.REQUEST_WAITING)
    assert type(ann.when(wish("m2", 1_000), actor="ann")[0]) is CapabilityAllotted


def test_a_programme_is_lowered_at_once() -> None:
    ann = site(resource("heat", ResourceType.LOAD, 2_000), verified("heat", ResourceType.LOAD, 2_000))
    ann.when(AllotCapability(PROGRAMME, "p1", 0, 2_000), actor="ann")
    assert type(ann.when(AllotCapability(PROGRAMME, "p1", 0, 500), actor="ann")[0]) is CapabilityAllotted
    assert type(ann.when(AllotCapability(PROGRAMME, "p2", 0, 1_500), actor="ann")[0]) is CapabilityAllotted


@pytest.mark.parametrize(
    "answer", [LowerAllotment("x", "m1"), RetainAllotment("x", "m1", "capability_in_use", 1, 2, 3)]
)
def test_only_the_market_answers_and_only_what_was_asked(answer: LowerAllotment | RetainAllotment) -> None:
    name = type(answer).__name__
    assert Scenario("site", "gcp-1").when(answer, actor=POLICY) == refused(name, "x", SiteRefusal.CONNECTION_UNKNOWN)
    ann = pv()
    ann.when(wish("m1", 4_000), actor="ann")
    ask(ann, wish("m1", 1_000))
    assert ann.when(answer, actor="ann") == refused(name, "x", SiteRefusal.NOT_AUTHORISED)
    assert ann.when(answer, actor=POLICY) == refused(name, "x", SiteRefusal.REQUEST_UNKNOWN)


def test_a_request_is_answered_once() -> None:
    ann = pv()
    ann.when(wish("m1", 4_000), actor="ann")
    request = ask(ann, wish("m1", 1_000))
    ann.when(LowerAllotment(request, "m1"), actor=POLICY)
    assert ann.when(RetainAllotment(request, "m1", "capability_in_use", 1, 2, 3), actor=POLICY) == refused(
        "RetainAllotment", request, SiteRefusal.REQUEST_UNKNOWN
    )


@pytest.mark.parametrize(
    ("body", "reason", "limit", "found"),
    [
        (AllotCapability(PROGRAMME, "m1", 0, 9_999, 1, 1), SiteRefusal.WINDOW_OF_A_PROGRAMME, 0, 0),
        (wish("m1", 9_999, 1, 0), SiteRefusal.WINDOW_OFF_GRID, Q, 1),
        (wish("m1", 9_999, Q, Q + 1), SiteRefusal.WINDOW_OFF_GRID, Q, Q + 1),
        (wish("m1", 9_999, Q, Q), SiteRefusal.WINDOW_EMPTY, Q, Q),
        (wish("m1", 9_999, None, Q), SiteRefusal.WINDOW_OVER, Q, Q),
    ],
)
def test_a_window_is_of_whole_intervals_to_come(
    body: AllotCapability, reason: SiteRefusal, limit: int, found: int
) -> None:
    ann = pv()
    ann.at = Q
    assert ann.when(body, actor="ann") == refused("AllotCapability", "m1", reason, limit, found)


def test_changes_have_a_limit_and_what_is_over_is_forgotten() -> None:
    ann = pv()
    # 499 windows with gaps are 998 steps behind the first one.
    ann.given(*(allotted(MARKET, "m1", 1, 0, valid_from=2 * n * Q, valid_to=(2 * n + 1) * Q) for n in range(1, 500)))
    more = wish("m1", 1, 2_000 * Q, 2_001 * Q)
    assert ann.when(more, actor="ann") == refused("AllotCapability", "m1", SiteRefusal.TOO_MANY_WINDOWS, 1_000, 1_001)
    ann.later(100 * Q)
    assert ann.when(wish("m2", 4_000, 200 * Q, 202 * Q), actor="ann") == exceeded("m2", 4_001)
    # The next fact about m1 leaves out what is over.
    ann.given(allotted(MARKET, "m1", 1, 0, valid_from=998 * Q, valid_to=999 * Q))
    assert type(ann.when(more, actor="ann")[0]) is CapabilityAllotted


RATING = StorageRating(8_000, 900_000, 950_000, 2_500)


def battery() -> ResourceRegistered:
    found = resource("bat", ResourceType.STORAGE, 3_000, 10_000)
    return ResourceRegistered(*(getattr(found, name) for name in found.__slots__[:-1]), storage=RATING)


def home() -> Scenario:
    """PV of 4 kW and a battery of 3 kW with 8 kWh usable."""
    return pv().given(battery(), verified("bat", ResourceType.STORAGE, 3_000))


def stored(stored_wh: int, generation_w: int, at: int = 0, usable_wh: int = 8_000) -> StoredEnergy:
    return StoredEnergy(at, stored_wh, usable_wh, 900_000, 950_000, 2_500, generation_w)


def told(ann: Scenario, body: AllotCapability) -> StoredEnergy | None:
    (fact,) = ann.when(body, actor="ann")
    assert isinstance(fact, CapabilityAllotted | AllotmentReductionRequested)
    return fact.stored


def test_storage_adds_all_it_can_unless_less_is_told() -> None:
    assert told(home(), wish("m1", 7_000)) == stored(8_000, 4_000)
    assert told(home(), wish("m1", 3_000, 8 * Q)) == stored(8_000, 3_000, 8 * Q)
    assert told(home(), AllotCapability(MARKET, "m1", 7_000, 0, stored_wh=500)) == stored(500, 4_000)
    assert told(home(), wish("m1", 0)) is None
    assert told(home(), AllotCapability(PROGRAMME, "p1", 1_000, 0)) is None
    assert told(pv(), wish("m1", 1_000)) is None


def test_stored_energy_begins_now_at_the_earliest() -> None:
    ann = home()
    ann.at = 3 * Q
    assert told(ann, wish("m1", 7_000)) == stored(8_000, 4_000, 3 * Q)


def test_generation_and_stored_energy_are_given_out_once() -> None:
    ann = home()
    assert told(ann, AllotCapability(MARKET, "m1", 3_000, 0, stored_wh=5_000)) == stored(5_000, 3_000)
    # Of 4 kW of generation m1 has 3, of 8 kWh it has 5.
    assert told(ann, wish("m2", 2_000)) == stored(3_000, 1_000, usable_wh=3_000)
    more = AllotCapability(MARKET, "m3", 1, 0, stored_wh=1)
    assert ann.when(more, actor="ann") == refused(
        "AllotCapability", "m3", SiteRefusal.STORED_ENERGY_EXCEEDED, 8_000, 8_001
    )


def test_generation_is_what_others_leave_at_all_times() -> None:
    ann = home()
    ann.when(AllotCapability(MARKET, "m1", 1_000, 0, stored_wh=1_000), actor="ann")
    ann.when(AllotCapability(MARKET, "m2", 2_000, 0, 4 * Q, 5 * Q, stored_wh=2_000), actor="ann")
    assert told(ann, wish("m3", 4_000)) == stored(5_000, 1_000, usable_wh=5_000)


def test_what_storage_adds_is_told_anew_only_after_the_markets_answer() -> None:
    ann = home()
    ann.when(wish("m1", 5_000), actor="ann")
    request = ask(ann, AllotCapability(MARKET, "m1", 6_000, 0, stored_wh=2_000))
    assert ann.when(AllotCapability(MARKET, "m2", 1, 0, stored_wh=1), actor="ann") == refused(
        "AllotCapability", "m2", SiteRefusal.STORED_ENERGY_EXCEEDED, 8_000, 8_001
    )
    ann.when(LowerAllotment(request, "m1"), actor=POLICY)
    assert told(ann, AllotCapability(MARKET, "m2", 1, 0, stored_wh=6_000)) == stored(6_000, 0, usable_wh=6_000)


def test_stored_energy_without_storage() -> None:
    body = AllotCapability(MARKET, "m1", 1_000, 0, stored_wh=1)
    assert pv().when(body, actor="ann") == refused("AllotCapability", "m1", SiteRefusal.STORAGE_MISSING, 0, 1)


def test_changes_are_told_in_a_view() -> None:
    ann = pv()
    ann.when(wish("m1", 4_000), actor="ann")
    request = ask(ann, wish("m1", 1_000, 4 * Q))
    ann.when(RetainAllotment(request, "m1", "capability_in_use", 250, 300, 7 * Q), actor=POLICY)
    ann.when(LowerAllotment(ask(ann, wish("m1", 3_000)), "m1"), actor=POLICY)
    on = ALLOTMENT_CHANGES.on
    rows = [dict(row) for f in ann.facts if type(f) in on for row in on[type(f)](recorded("site", "gcp-1", f))]
    assert [(r["status"], r.get("injection_w"), r.get("valid_from"), r.get("valid_to")) for r in rows] == [
        ("allotted", 4_000, 0, ALWAYS_TO),
        ("requested", 1_000, 4 * Q, ALWAYS_TO),
        ("retained", None, None, None),
        ("requested", 3_000, 0, ALWAYS_TO),
        ("lowered", 3_000, 0, ALWAYS_TO),
    ]
    assert (rows[2]["reason"], rows[2]["limit"], rows[2]["found"]) == ("capability_in_use", 250, 300)


STEP = st.tuples(
    st.sampled_from(["m1", "m2", "m3"]),
    st.sampled_from([0, 500, 1_000, 2_500, 4_000]),
    st.sampled_from([None, 0, 1, 2, 5]),
    st.sampled_from([None, 1, 3, 6]),
    st.sampled_from(["lower", "retain", None]),
)


@given(st.lists(STEP, max_size=20))
def test_no_interval_is_allotted_twice_whatever_markets_answer(
    steps: list[tuple[str, int, int | None, int | None, str | None]],
) -> None:
    """A naive account: for each quarter and market the most that the market may believe it has."""
    ann = pv()
    holds: Counter[tuple[str, int]] = Counter()
    waiting: dict[str, AllotmentReductionRequested] = {}
    for market, injection_w, first, last, answer in steps:
        body = wish(market, injection_w, *(None if n is None else n * Q for n in (first, last)))
        (fact,) = ann.when(body, actor="ann")
        quarters = [n for n in range(8) if (first or 0) <= n < (8 if last is None else last)]
        if type(fact) is CapabilityAllotted:
            assert all(holds[market, n] <= injection_w for n in quarters)
            holds.update({(market, n): injection_w - holds[market, n] for n in quarters})
        elif type(fact) is AllotmentReductionRequested:
            waiting[market] = fact
        if answer and market in waiting:
            request = waiting.pop(market)
            if answer == "lower":
                ann.when(LowerAllotment(request.request, market), actor=POLICY)
                held = range((request.valid_from or 0) // Q, 8 if request.valid_to is None else request.valid_to // Q)
                holds.update({(market, n): request.injection_w - holds[market, n] for n in held})
            else:
                ann.when(RetainAllotment(request.request, market, "r", 0, 0, 0), actor=POLICY)
        for n in range(8):
            counted = Counter({m: w for (m, of), w in holds.items() if of == n})
            for market_, request in waiting.items():
                if (request.valid_from or 0) <= n * Q < (request.valid_to or 8 * Q):
                    counted[market_] = max(counted[market_], request.injection_w)
            assert sum(counted.values()) <= 4_000
    assert rebuilt(ann) == ann.state
    for timeline in ann.state.account.allotments.values():
        assert all(one < other for one, other in pairwise(timeline.starts))
