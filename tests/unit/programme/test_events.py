"""Family `programme`: the course of an event, of its set-points and of its measurement; rebuilt from facts alone."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from domain.programme import decider
from domain.programme.state import MEASURABLE_DAYS
from schemas.programme.commands import AdoptTerms, CallEvent, EnrolSite, MeasurePerformance, OptOut
from schemas.programme.events import (
    EventCalled,
    EventCompleted,
    EventStarted,
    MeasurementAbandoned,
    MeasurementCompleted,
    MeasurementStarted,
    Netting,
    PerformanceRecorded,
    PerformanceStatus,
    SetPointsAssigned,
    SiteOptedOut,
)
from tests.unit.given import Scenario, only
from tests.unit.programme.programmes import (
    CALCULATION,
    CALL,
    DAY,
    HOUR,
    KEY,
    NOON,
    OFFERS,
    OPERATOR,
    POLICY,
    TERMS,
    adopted,
    busy_day,
    called,
    completed,
    enrolled,
    measuring,
    performance,
    programme,
    proposal,
    unmeasured,
)
from tests.unit.written import only_judges, rebuilt


def test_terms_then_offers() -> None:
    p1 = Scenario("programme", KEY, NOON)
    assert only_judges(p1, AdoptTerms(TERMS), OPERATOR) == [adopted()]
    assert only_judges(p1, EnrolSite("a", "party-a", "mp-a", 7, TERMS.zone), POLICY) == [enrolled("a", 7)]
    assert only_judges(p1, AdoptTerms(TERMS), OPERATOR) == [adopted(version=2)]


def test_an_event_names_everybody_it_asks() -> None:
    p1 = programme()
    (fact,) = only_judges(p1, CALL, OPERATOR)
    assert fact == EventCalled(
        programme=KEY,
        event=fact.event,
        terms_version=1,
        start_at=CALL.start_at,
        end_at=CALL.end_at,
        target_w=110_000,
        connections=("a", "b", "c", "d"),
        parties=("party-a", "party-b", "party-c", "party-d"),
        set_points_w=(50_000, 30_000, 20_000, 10_000),
    )


def test_an_event_starts_and_ends_at_its_times() -> None:
    p1 = programme()
    event = called(p1)
    assert decider.due(p1.state) == CALL.start_at
    assert p1.later(CALL.start_at - 1) == []
    assert p1.later(CALL.start_at) == [EventStarted(KEY, event)]
    assert decider.due(p1.state) == CALL.end_at
    assert p1.later(CALL.end_at - 1) == []
    assert p1.later(CALL.end_at) == [EventCompleted(KEY, event)]
    assert decider.due(p1.state) is None


def test_what_was_missed_comes_in_the_order_of_time_the_old_event_first() -> None:
    p1 = programme()
    second = called(p1, CallEvent(CALL.end_at, CALL.end_at + HOUR, 1))
    first = called(p1)
    started, ended = EventStarted, EventCompleted
    everything = [started(KEY, first), ended(KEY, first), started(KEY, second), ended(KEY, second)]
    p1.at = CALL.end_at + HOUR
    assert list(decider.advance(p1.state, p1.now, 100)) == everything
    for n in range(1, 4):
        assert list(decider.advance(p1.state, p1.now, n)) == everything[:n]
    assert p1.later(p1.at) == everything


# ---------------------------------------------------------------------------------------- opting out


def test_an_opt_out_is_taken_over_by_the_others() -> None:
    p1 = programme()
    event = called(p1)
    p1.later(CALL.start_at - 1)
    facts = only_judges(p1, OptOut(event, "d"), "party-d")
    assert facts == [
        SiteOptedOut(KEY, event, 2, "d", "party-d"),
        SetPointsAssigned(
            programme=KEY,
            event=event,
            version=2,
            connections=("a", "b", "c"),
            parties=("party-a", "party-b", "party-c"),
            set_points_w=(55_000, 33_000, 22_000),
            unserved_w=0,
        ),
    ]


def test_what_the_others_cannot_take_over_is_unserved() -> None:
    p1 = programme()
    event = called(p1, replace(CALL, target_w=200_000))
    out, assigned = p1.when(OptOut(event, "b"), "party-b")
    assert (assigned.set_points_w, assigned.unserved_w) == ((100_000, 40_000, 20_000), 40_000)
    out, assigned = p1.when(OptOut(event, "a"), "party-a")
    assert (out.version, assigned.version) == (3, 3)
    assert (assigned.set_points_w, assigned.unserved_w) == ((40_000, 20_000), 140_000)
    p1.when(OptOut(event, "c"), "party-c")
    out, assigned = p1.when(OptOut(event, "d"), "party-d")
    assert (assigned.connections, assigned.set_points_w, assigned.unserved_w) == ((), (), 200_000)


def test_who_offers_less_by_now_is_not_asked_for_more() -> None:
    """V-A3 (domain rules, Annex V.5): registered 100/60/40/20 kW, a has 30 kW left; here e leaves the event."""
    p1 = programme(offers={**OFFERS, "e": 2})
    event = called(p1, replace(CALL, target_w=110_000))
    p1.when(EnrolSite("a", "party-a", "mp-a", 30_000, TERMS.zone), POLICY)
    p1.when(EnrolSite("b", "party-b", "mp-b", 90_000, TERMS.zone), POLICY)
    # e's share of 110 kW is almost a watt; the largest remainder makes it one.
    assert only(p1.facts, EventCalled)[0].connections == ("a", "b", "c", "d", "e")
    _, assigned = p1.when(OptOut(event, "e"), "party-e")
    assert assigned.connections == ("a", "b", "c", "d")
    assert assigned.set_points_w == (30_000, 40_000, 26_667, 13_333)
    assert assigned.unserved_w == 0


def test_who_withdrew_altogether_is_neither_asked_nor_measured() -> None:
    p1 = programme()
    event = called(p1)
    p1.when(EnrolSite("a", "party-a", "mp-a", 0, TERMS.zone), POLICY)
    _, assigned = p1.when(OptOut(event, "d"), "party-d")
    assert assigned.set_points_w == (0, 60_000, 40_000)
    assert assigned.unserved_w == 10_000
    p1.later(CALL.end_at)
    assert measuring(p1, event).connections == ("b", "c")


def test_an_offer_taken_back_leaves_a_called_event_alone() -> None:
    p1 = programme()
    event = called(p1)
    p1.when(EnrolSite("a", "party-z", "mp-z", 0, TERMS.zone), POLICY)
    p1.later(CALL.end_at)
    started = measuring(p1, event)
    assert (started.connections[0], started.parties[0], started.metering_points[0]) == ("a", "party-a", "mp-a")


@given(st.integers(1, 220_000), st.permutations("abcd"), st.integers(0, 4))
def test_set_points_and_the_unserved_sum_to_the_target(target_w: int, order: list[str], leaving: int) -> None:
    p1 = programme()
    event = called(p1, replace(CALL, target_w=target_w))
    asked = set(only(p1.facts, EventCalled)[0].connections)
    left = [site for site in order if site in asked][:leaving]
    for n, site in enumerate(left):
        out, assigned = p1.when(OptOut(event, site), f"party-{site}")
        assert out == SiteOptedOut(KEY, event, n + 2, site, f"party-{site}")
        assert set(assigned.connections) == asked - set(left[: n + 1])
        assert sum(assigned.set_points_w) + assigned.unserved_w == target_w
        for connection, set_point_w in zip(assigned.connections, assigned.set_points_w, strict=True):
            assert set_point_w <= OFFERS[connection]
        if assigned.unserved_w:
            assert assigned.set_points_w == tuple(OFFERS[connection] for connection in assigned.connections)


# -------------------------------------------------------------------------------------- measurement


def test_a_measurement_freezes_its_inputs() -> None:
    p1 = programme()
    first = completed(p1)
    call = CallEvent(CALL.start_at + DAY, CALL.end_at + DAY, 110_000)
    event = called(p1, call)
    p1.when(OptOut(event, "d"), "party-d")
    p1.when(AdoptTerms(replace(TERMS, measurement_wait_min=1)), OPERATOR)
    p1.later(call.end_at)
    completed(p1, CallEvent(CALL.start_at + 2 * DAY, CALL.end_at + 2 * DAY, 1))
    p1.later(NOON + 3 * DAY)
    (started,) = only_judges(p1, MeasurePerformance(event, 2), OPERATOR)
    assert started == MeasurementStarted(
        programme=KEY,
        measurement=started.measurement,
        event=event,
        version=1,
        cutoff_tick=2,
        start_at=call.start_at,
        end_at=call.end_at,
        connections=("a", "b", "c"),
        parties=("party-a", "party-b", "party-c"),
        metering_points=("mp-a", "mp-b", "mp-c"),
        earlier_events_start_at=(CALL.start_at,),
        earlier_events_end_at=(CALL.end_at,),
        terms_version=1,
        terms=TERMS,
        deadline_at=p1.at + 2 * HOUR,
    )
    assert first != event


def test_parts_make_a_measurement() -> None:
    p1 = programme()
    event = completed(p1)
    started = measuring(p1, event, 0)
    part = proposal(started, 1, 2, performance("c"), unmeasured("a", PerformanceStatus.MISSING_EVENT_DATA))
    (recorded,) = only_judges(p1, part, CALCULATION)
    assert recorded == PerformanceRecorded(
        programme=KEY,
        measurement=started.measurement,
        event=event,
        version=1,
        part=1,
        operator=OPERATOR,
        zone="lv5-201",
        currency="EUR",
        incentive_nano_per_kwh=400_000_000,
        start_at=CALL.start_at,
        interval_min=15,
        sites=part.sites,
    )
    last = proposal(started, 2, 2, performance("d"), performance("b", metered_wh=(0, 0, 0, -300)))
    recorded, done = only_judges(p1, last, CALCULATION)
    assert (recorded.part, recorded.sites) == (2, last.sites)
    # 60 and 80 Wh of c and d, 100 + 100 + 100 + 400 of b.
    assert done == MeasurementCompleted(KEY, started.measurement, event, 1, 4, 60 + 60 + 700, 80 + 80 + 700)
    assert decider.due(p1.state) is None


def test_netting_over_the_event() -> None:
    p1 = programme(replace(TERMS, netting=Netting.EVENT_TOTAL))
    started = measuring(p1, completed(p1), 0)
    sites = [performance(site, netting=Netting.EVENT_TOTAL) for site in "abcd"]
    *_, done = p1.when(proposal(started, 1, 1, *sites), CALCULATION)
    assert (done.response_wh, done.paid_wh) == (240, 240)


def test_an_event_that_everybody_left_is_measured_with_nobody() -> None:
    p1 = programme(offers={"a": 10})
    event = called(p1, replace(CALL, target_w=1))
    p1.when(OptOut(event, "a"), "party-a")
    p1.later(CALL.end_at)
    started = measuring(p1, event)
    assert started.connections == ()
    recorded, done = p1.when(proposal(started, 1, 1), CALCULATION)
    assert (recorded.sites, done.sites, done.paid_wh) == ((), 0, 0)


def test_a_measurement_that_does_not_come_is_abandoned_and_can_be_asked_for_again() -> None:
    p1 = programme()
    event = completed(p1)
    started = measuring(p1, event)
    p1.when(proposal(started, 1, 2, performance("a")), CALCULATION)
    assert decider.due(p1.state) == CALL.end_at + 2 * HOUR
    assert p1.later(CALL.end_at + 2 * HOUR - 1) == []
    gone = MeasurementAbandoned(KEY, started.measurement, event, 1)
    assert p1.later(CALL.end_at + 2 * HOUR) == [gone]
    again = measuring(p1, event)
    assert (again.version, again.cutoff_tick, again.measurement != started.measurement) == (2, 1, True)
    *_, done = p1.when(proposal(again, 1, 1, *map(performance, "abcd")), CALCULATION)
    assert (done.version, done.sites, done.paid_wh) == (2, 4, 320)


def test_two_events_are_measured_side_by_side() -> None:
    p1 = programme()
    one = completed(p1)
    two = completed(p1, CallEvent(CALL.end_at + HOUR, CALL.end_at + 2 * HOUR, 110_000))
    first, second = measuring(p1, one), measuring(p1, two)
    p1.when(proposal(second, 1, 1, *map(performance, "abcd")), CALCULATION)
    *_, done = p1.when(proposal(first, 1, 1, *map(performance, "abcd")), CALCULATION)
    assert done.event == one


# ---------------------------------------------------------------------------------------- bounded state


def test_only_events_of_the_look_back_are_named() -> None:
    p1 = programme()
    times = [NOON + day * DAY for day in (1, 97, 140, 145, 190)]
    events = [completed(p1, CallEvent(at, at + HOUR, 110_000)) for at in times]
    started = measuring(p1, events[-1])
    # 45 days and two days' margin before the last event.
    assert started.earlier_events_start_at == (times[3],)
    assert measuring(p1, events[1]).earlier_events_start_at == ()
    assert measuring(p1, events[3]).earlier_events_start_at == (times[2],)
    # Nothing behind the longest look-back of all is kept.
    assert [start for start, _ in p1.state.past] == times[1:]


def test_what_is_too_old_to_be_measured_is_forgotten() -> None:
    p1 = programme()
    old = completed(p1)
    p1.later(CALL.end_at + (MEASURABLE_DAYS - 1) * DAY)
    one = called(p1, CallEvent(p1.at + HOUR, p1.at + 2 * HOUR, 1))
    two = called(p1, CallEvent(p1.at + 2 * HOUR, p1.at + 3 * HOUR, 1))
    p1.later(p1.at + 2 * HOUR)
    assert set(p1.state.completed) == {old, one}
    assert measuring(p1, old).event == old
    p1.later(p1.at + 2 * HOUR)
    assert set(p1.state.completed) == {old, one, two}
    three = called(p1, CallEvent(p1.at + HOUR, p1.at + 2 * HOUR, 1))
    p1.later(CALL.end_at + MEASURABLE_DAYS * DAY)
    assert set(p1.state.completed) == {old, one, two, three}
    four = called(p1, CallEvent(p1.at + HOUR, p1.at + 2 * HOUR, 1))
    p1.later(p1.at + 2 * HOUR)
    assert set(p1.state.completed) == {one, two, three, four}


def test_an_event_of_the_last_measurable_moment_is_kept() -> None:
    for late, kept in ((0, True), (1, False)):
        p1 = programme()
        old = completed(p1)
        p1.later(CALL.end_at + MEASURABLE_DAYS * DAY - 2 * HOUR)
        called(p1, CallEvent(p1.at + HOUR, p1.at + 2 * HOUR, 1))
        p1.later(p1.at + 2 * HOUR + late)
        assert (old in p1.state.completed) is kept


def test_an_event_right_before_is_an_earlier_one() -> None:
    p1 = programme()
    completed(p1)
    event = completed(p1, CallEvent(CALL.end_at + HOUR, CALL.end_at + 2 * HOUR, 110_000))
    after = CallEvent(CALL.end_at + 5 * HOUR, CALL.end_at + 6 * HOUR, 110_000)
    called(p1, after)
    last = completed(p1, CallEvent(after.end_at, after.end_at + HOUR, 110_000))
    assert measuring(p1, event).earlier_events_start_at == (CALL.start_at,)
    assert measuring(p1, last).earlier_events_end_at == (CALL.end_at, CALL.end_at + 2 * HOUR, after.end_at)


def test_an_event_under_measurement_is_not_forgotten() -> None:
    p1 = programme(replace(TERMS, measurement_wait_min=10 * 1440))
    old = completed(p1)
    p1.later(CALL.end_at + MEASURABLE_DAYS * DAY)
    started = measuring(p1, old)
    completed(p1, CallEvent(p1.at - p1.at % HOUR + 2 * HOUR, p1.at - p1.at % HOUR + 3 * HOUR, 1))
    p1.when(proposal(started, 1, 1, *map(performance, "abcd")), CALCULATION)
    assert len(only(p1.facts, MeasurementCompleted)) == 1


# ---------------------------------------------------------------------------------------- rebuilt


def test_the_programme_is_rebuilt_from_its_facts_alone() -> None:
    p1 = busy_day()
    again: Any = rebuilt(p1)
    assert again == p1.state
    assert decider.due(again) == decider.due(p1.state)
    assert len(p1.state.running) == 1
    assert len(p1.state.live) == 1
