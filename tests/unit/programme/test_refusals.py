"""Every refusal of the family `programme`, in the order of its enum."""

from dataclasses import replace
from typing import Any

import pytest

from domain.programme import decider
from domain.programme.terms import MAX_LOOK_BACK_DAYS
from schemas.envelope import Command, CommandMeta
from schemas.programme.commands import (
    AdoptTerms,
    CallEvent,
    EnrolSite,
    MeasurePerformance,
    OptOut,
    ProposePerformance,
)
from schemas.programme.events import (
    EventStarted,
    MeasurementStarted,
    PerformanceStatus,
    ProgrammeRefusal,
)
from tests.unit.given import MINUTE, Scenario, only
from tests.unit.programme.programmes import (
    CALCULATION,
    CALL,
    DAY,
    HOUR,
    KEY,
    KPX_MID_6_OF_10,
    NOON,
    OPERATOR,
    POLICY,
    TERMS,
    adopted,
    called,
    completed,
    enrolled,
    measuring,
    performance,
    programme,
    proposal,
    refused,
    unmeasured,
)

R = ProgrammeRefusal
MEASURE = MeasurePerformance("e", 0)
PROPOSE = ProposePerformance("m", 1, 1, ())
ENROL = EnrolSite("a", "party-a", "mp-a", 5, TERMS.zone)


@pytest.mark.parametrize(
    ("wish", "actor", "subject"),
    [
        (ENROL, "somebody", "a"),
        (CallEvent(1, 0, 0), "somebody", KEY),
        (OptOut("e", "a"), "somebody", "e"),
        (MEASURE, "somebody", "e"),
        (PROPOSE, "somebody", "m"),
    ],
)
def test_programme_unknown(wish: Any, actor: str, subject: str) -> None:
    assert Scenario("programme", KEY, NOON).when(wish, actor) == refused(
        type(wish).__name__, subject, R.PROGRAMME_UNKNOWN
    )


@pytest.mark.parametrize(
    ("wish", "actor", "subject"),
    [
        (AdoptTerms(replace(TERMS, interval_min=7)), "somebody", KEY),
        (AdoptTerms(replace(TERMS, operator="somebody", interval_min=7)), OPERATOR, KEY),
        (AdoptTerms(replace(TERMS, operator="somebody", interval_min=7)), "somebody", KEY),
        (EnrolSite("a", "party-a", "mp-a", 100_000, TERMS.zone), "party-a", "a"),
        (CallEvent(1, 0, 0), "party-a", KEY),
        (OptOut("e", "a"), "party-b", "a"),
        (MEASURE, "party-a", "e"),
        (PROPOSE, OPERATOR, "m"),
        (PROPOSE, "calc:settlement.run", "m"),
    ],
)
def test_not_authorised(wish: Any, actor: str, subject: str) -> None:
    assert programme().when(wish, actor) == refused(type(wish).__name__, subject, R.NOT_AUTHORISED)


def test_the_first_terms_name_their_actor_as_operator() -> None:
    assert Scenario("programme", KEY).when(AdoptTerms(TERMS), "somebody") == refused(
        "AdoptTerms", KEY, R.NOT_AUTHORISED
    )


@pytest.mark.parametrize(
    ("change", "subject", "limit", "found"),
    [
        ({"interval_min": 7}, "interval_min", 0, 5),
        ({"measurement_wait_min": 0}, "measurement_wait_min", 1, 0),
        ({"measurement_wait_min": 366 * 1440 + 1}, "measurement_wait_min", 366 * 1440, 366 * 1440 + 1),
        ({"incentive_nano_per_kwh": -1}, "incentive_nano_per_kwh", 0, -1),
    ],
)
def test_invalid_terms(change: dict[str, Any], subject: str, limit: int, found: int) -> None:
    assert Scenario("programme", KEY).when(AdoptTerms(replace(TERMS, **change)), OPERATOR) == refused(
        "AdoptTerms", subject, R.INVALID_TERMS, limit, found
    )


@pytest.mark.parametrize(
    ("change", "subject", "limit", "found"),
    [
        ({"look_back_days": MAX_LOOK_BACK_DAYS + 1}, "baseline.look_back_days", MAX_LOOK_BACK_DAYS, 93),
        ({"pool_days": 46}, "baseline.pool_days", 45, 46),
        ({"reference_days": 21}, "baseline.reference_days", 20, 21),
        ({"drop_highest": 8}, "baseline.drop_highest", 9, 10),
        ({"drop_lowest": 8}, "baseline.drop_highest", 9, 10),
        ({"reference_days": 0, "drop_highest": 0, "drop_lowest": 0}, "baseline.drop_highest", -1, 0),
        ({"low_usage_percent": 101}, "baseline.low_usage_percent", 100, 101),
    ],
)
def test_invalid_method(change: dict[str, Any], subject: str, limit: int, found: int) -> None:
    wish = AdoptTerms(replace(TERMS, baseline=replace(KPX_MID_6_OF_10, **change)))
    assert programme().when(wish, OPERATOR) == refused("AdoptTerms", subject, R.INVALID_TERMS, limit, found)


def test_the_limits_themselves_are_valid() -> None:
    edge = replace(
        KPX_MID_6_OF_10,
        look_back_days=MAX_LOOK_BACK_DAYS,
        pool_days=MAX_LOOK_BACK_DAYS,
        reference_days=MAX_LOOK_BACK_DAYS,
        drop_highest=1,
        drop_lowest=MAX_LOOK_BACK_DAYS - 2,
        low_usage_percent=100,
    )
    terms = replace(TERMS, baseline=edge, measurement_wait_min=1, incentive_nano_per_kwh=0, interval_min=1440)
    assert programme().when(AdoptTerms(terms), OPERATOR) == [adopted(terms, 2)]


def test_terms_of_another_zone_are_invalid() -> None:
    assert programme().when(AdoptTerms(replace(TERMS, zone="lv1-101")), OPERATOR) == refused(
        "AdoptTerms", "zone", R.INVALID_TERMS
    )


def test_wrong_zone() -> None:
    elsewhere = EnrolSite("a", "party-a", "mp-a", 100_000, "elsewhere")
    assert programme().when(elsewhere, POLICY) == refused("EnrolSite", "a", R.WRONG_ZONE)


def test_already_enrolled() -> None:
    assert programme().when(EnrolSite("a", "party-a", "mp-a", 100_000, TERMS.zone), POLICY) == refused(
        "EnrolSite", "a", R.ALREADY_ENROLLED, 100_000, 100_000
    )


@pytest.mark.parametrize(
    "wish",
    [
        EnrolSite("a", "party-a", "mp-a", 99_999, TERMS.zone),
        EnrolSite("a", "party-z", "mp-a", 100_000, TERMS.zone),
        EnrolSite("a", "party-a", "mp-z", 100_000, TERMS.zone),
        EnrolSite("a", "party-a", "mp-a", 0, TERMS.zone),
        EnrolSite("z", "party-z", "mp-z", 0, TERMS.zone),
    ],
)
def test_another_offer_replaces_the_one_before(wish: EnrolSite) -> None:
    (fact,) = programme().when(wish, POLICY)
    assert (fact.connection, fact.party, fact.metering_point, fact.reduction_w) == (
        wish.connection,
        wish.party,
        wish.metering_point,
        wish.reduction_w,
    )


def test_programme_full() -> None:
    full = programme(offers={f"c{n}": 1 for n in range(decider.MAX_SITES)})
    more = EnrolSite("z", "party-z", "mp-z", 1, TERMS.zone)
    assert full.when(more, POLICY) == refused("EnrolSite", "z", R.PROGRAMME_FULL, 500, 501)
    assert full.when(EnrolSite("c0", "party-c0", "mp-c0", 2, TERMS.zone), POLICY) == [enrolled("c0", 2)]
    assert full.when(EnrolSite("c0", "party-c0", "mp-c0", 0, TERMS.zone), POLICY) == [enrolled("c0", 0)]
    assert full.when(more, POLICY) == [enrolled("z", 1)]


def test_event_unknown() -> None:
    p1 = programme()
    assert p1.when(OptOut("e", "a"), "party-a") == refused("OptOut", "e", R.EVENT_UNKNOWN)
    assert p1.when(OptOut("e", "z"), "party-a") == refused("OptOut", "e", R.EVENT_UNKNOWN)
    assert p1.when(MEASURE, OPERATOR) == refused("MeasurePerformance", "e", R.EVENT_UNKNOWN)


def test_site_not_asked() -> None:
    p1 = programme(offers={"a": 1_000_000, "b": 1})
    event = called(p1, replace(CALL, target_w=3))
    assert p1.when(OptOut(event, "z"), "party-a") == refused("OptOut", "z", R.SITE_NOT_ASKED)
    # Its share is nothing, so it was not asked.
    assert p1.when(OptOut(event, "b"), "party-b") == refused("OptOut", "b", R.SITE_NOT_ASKED)


def test_already_opted_out() -> None:
    p1 = programme()
    event = called(p1)
    p1.when(OptOut(event, "a"), "party-a")
    assert p1.when(OptOut(event, "a"), "party-a") == refused("OptOut", "a", R.ALREADY_OPTED_OUT)


def test_event_started() -> None:
    p1 = programme()
    event = called(p1)
    p1.at = CALL.start_at
    assert p1.when(OptOut(event, "a"), "party-a") == [
        EventStarted(KEY, event),
        *refused("OptOut", event, R.EVENT_STARTED, CALL.start_at, CALL.start_at),
    ]
    p1.later(CALL.end_at)
    assert p1.when(OptOut(event, "a"), "party-a") == refused(
        "OptOut", event, R.EVENT_STARTED, CALL.start_at, CALL.end_at
    )


def test_an_event_whose_start_is_not_recorded_yet_has_started() -> None:
    """What `advance` left over is judged by the time all the same."""
    p1 = programme()
    event = called(p1)
    command = _command(OptOut(event, "a"), "party-a")
    p1.at = CALL.start_at
    facts = list(decider.decide(p1.state, command, p1.now))
    assert facts == refused("OptOut", event, R.EVENT_STARTED, CALL.start_at, CALL.start_at)


def test_event_not_completed() -> None:
    p1 = programme()
    event = called(p1)
    found = NOON
    assert p1.when(MeasurePerformance(event, 0), OPERATOR) == refused(
        "MeasurePerformance", event, R.EVENT_NOT_COMPLETED, CALL.end_at, found
    )
    p1.later(CALL.end_at - 1)
    assert p1.when(MeasurePerformance(event, 0), OPERATOR) == refused(
        "MeasurePerformance", event, R.EVENT_NOT_COMPLETED, CALL.end_at, CALL.end_at - 1
    )
    p1.later(CALL.end_at)
    assert only(p1.when(MeasurePerformance(event, 0), OPERATOR), MeasurementStarted)


@pytest.mark.parametrize(
    ("start_at", "end_at"),
    [
        (CALL.start_at + MINUTE, CALL.end_at + MINUTE),
        (CALL.start_at + 1, CALL.end_at),
        (CALL.start_at, CALL.end_at + 1),
        (CALL.start_at, CALL.start_at),
        (CALL.end_at, CALL.start_at),
    ],
)
def test_event_off_grid(start_at: int, end_at: int) -> None:
    assert programme().when(CallEvent(start_at, end_at, 10**9), OPERATOR) == refused(
        "CallEvent", KEY, R.EVENT_OFF_GRID, 15
    )


def test_event_too_long() -> None:
    p1 = programme()
    start_at = CALL.start_at
    assert p1.when(CallEvent(start_at, start_at + DAY + 15 * MINUTE, 10**9), OPERATOR) == refused(
        "CallEvent", KEY, R.EVENT_TOO_LONG, 1440, 1455
    )
    called(p1, CallEvent(start_at, start_at + DAY, 1))


def test_too_many_events() -> None:
    p1 = programme()
    calls = [CallEvent(NOON + n * HOUR, NOON + n * HOUR + 15 * MINUTE, 1) for n in range(1, 502)]
    for call in calls[:250]:
        called(p1, call)
    p1.later(calls[100].start_at)
    for call in calls[250:500]:
        called(p1, call)
    assert p1.when(calls[500], OPERATOR) == refused("CallEvent", KEY, R.TOO_MANY_EVENTS, 500, 501)
    p1.later(NOON + 95 * DAY)
    called(p1, CallEvent(NOON + 96 * DAY, NOON + 96 * DAY + HOUR, 1))


@pytest.mark.parametrize(("from_min", "to_min"), [(0, 60), (-15, 15), (45, 75), (15, 30), (-15, 75), (0, 15), (45, 60)])
def test_event_overlaps(from_min: int, to_min: int) -> None:
    p1 = programme()
    event = called(p1)
    wish = CallEvent(CALL.start_at + from_min * MINUTE, CALL.start_at + to_min * MINUTE, 10**9)
    for _ in range(2):
        assert p1.when(wish, OPERATOR) == refused("CallEvent", event, R.EVENT_OVERLAPS, CALL.end_at, wish.start_at)
    called(p1, CallEvent(CALL.end_at, CALL.end_at + HOUR, 1))
    called(p1, CallEvent(CALL.start_at - HOUR, CALL.start_at, 1))


def test_notice_too_short() -> None:
    p1 = programme()
    p1.at = CALL.start_at - HOUR + 1
    assert p1.when(CALL, OPERATOR) == refused("CallEvent", KEY, R.NOTICE_TOO_SHORT, 60, 59)
    p1.at = CALL.start_at + 15 * MINUTE
    assert p1.when(CALL, OPERATOR) == refused("CallEvent", KEY, R.NOTICE_TOO_SHORT, 60, -15)
    p1.at = CALL.start_at - HOUR
    called(p1)


def test_target_zero() -> None:
    assert programme(offers={}).when(replace(CALL, target_w=0), OPERATOR) == refused("CallEvent", KEY, R.TARGET_ZERO, 1)


def test_target_above_enrolled() -> None:
    p1 = programme()
    assert p1.when(replace(CALL, target_w=220_001), OPERATOR) == refused(
        "CallEvent", KEY, R.TARGET_ABOVE_ENROLLED, 220_000, 220_001
    )
    called(p1, replace(CALL, target_w=220_000))


def test_cutoff_in_the_future() -> None:
    p1 = programme()
    event = completed(p1)
    now = p1.now.n
    assert p1.when(MeasurePerformance(event, now + 1), OPERATOR) == refused(
        "MeasurePerformance", event, R.CUTOFF_IN_THE_FUTURE, now, now + 1
    )
    assert measuring(p1, event, now).cutoff_tick == now


def test_cutoff_not_after_last() -> None:
    p1 = programme()
    event = completed(p1)
    for later in range(1, 4):
        p1.later(CALL.end_at + later)
    started = measuring(p1, event, 2)
    p1.when(proposal(started, 1, 1, *map(performance, "abcd")), CALCULATION)
    assert p1.when(MeasurePerformance(event, 2), OPERATOR) == refused(
        "MeasurePerformance", event, R.CUTOFF_NOT_AFTER_LAST, 2, 2
    )
    assert measuring(p1, event, 3).version == 2


def test_measurement_running() -> None:
    p1 = programme()
    event = completed(p1)
    started = measuring(p1, event, 0)
    assert p1.when(MeasurePerformance(event, 0), OPERATOR) == refused(
        "MeasurePerformance", started.measurement, R.MEASUREMENT_RUNNING, CALL.end_at + 2 * HOUR, CALL.end_at
    )


def test_measurement_unknown() -> None:
    p1 = programme()
    event = completed(p1)
    started = measuring(p1, event, 0)
    assert p1.when(PROPOSE, CALCULATION) == refused("ProposePerformance", "m", R.MEASUREMENT_UNKNOWN)
    whole = proposal(started, 1, 1, *map(performance, "abcd"))
    p1.when(whole, CALCULATION)
    assert p1.when(whole, CALCULATION) == refused("ProposePerformance", started.measurement, R.MEASUREMENT_UNKNOWN)


def test_a_proposal_at_the_deadline_comes_too_late() -> None:
    p1 = programme()
    started = measuring(p1, completed(p1), 0)
    whole = proposal(started, 1, 1, *map(performance, "abcd"))
    p1.at = started.deadline_at
    facts = list(decider.decide(p1.state, _command(whole, CALCULATION), p1.now))
    assert facts == refused("ProposePerformance", started.measurement, R.MEASUREMENT_UNKNOWN)


@pytest.mark.parametrize(("part", "parts"), [(0, 1), (2, 2), (1, 0)])
def test_part_unexpected(part: int, parts: int) -> None:
    p1 = programme()
    started = measuring(p1, completed(p1), 0)
    assert p1.when(proposal(started, part, parts, *map(performance, "abcd")), CALCULATION) == refused(
        "ProposePerformance", started.measurement, R.PART_UNEXPECTED, 1, part
    )


def test_a_part_comes_once() -> None:
    p1 = programme()
    started = measuring(p1, completed(p1), 0)
    first = proposal(started, 1, 2, *map(performance, "ab"))
    p1.when(first, CALCULATION)
    assert p1.when(first, CALCULATION) == refused("ProposePerformance", started.measurement, R.PART_UNEXPECTED, 2, 1)


@pytest.mark.parametrize(
    ("parts", "sites", "subject", "limit", "found"),
    [
        (1, "abz", "z", 0, 0),
        (1, "abcdd", None, 4, 5),
        (1, "abc", None, 0, 1),
        (2, "abcd", None, 1, 0),
        (2, "", None, 1, 4),
    ],
)
def test_sites_differ(parts: int, sites: str, subject: str | None, limit: int, found: int) -> None:
    p1 = programme()
    started = measuring(p1, completed(p1), 0)
    assert p1.when(proposal(started, 1, parts, *map(performance, sites)), CALCULATION) == refused(
        "ProposePerformance", subject or started.measurement, R.SITES_DIFFER, limit, found
    )


def test_a_site_belongs_to_one_part_and_to_its_party() -> None:
    p1 = programme()
    started = measuring(p1, completed(p1), 0)
    p1.when(proposal(started, 1, 2, *map(performance, "ab")), CALCULATION)
    assert p1.when(proposal(started, 2, 2, *map(performance, "bcd")), CALCULATION) == refused(
        "ProposePerformance", "b", R.SITES_DIFFER
    )
    thief = replace(performance("c"), party="party-a")
    assert p1.when(proposal(started, 2, 2, thief, performance("d")), CALCULATION) == refused(
        "ProposePerformance", "c", R.SITES_DIFFER
    )


MISSING = PerformanceStatus.MISSING_EVENT_DATA


@pytest.mark.parametrize(
    ("change", "limit", "found"),
    [
        ({"exclusion_reasons": ()}, 1, 0),
        ({"reference_days": ("2024-09-10",) * 5}, 6, 5),
        ({"baseline_wh": (100, 100, 100)}, 4, 3),
        ({"metered_wh": (50, 120, 70, 100, 0)}, 4, 5),
        ({"response_wh": (50, -20, 30)}, 4, 3),
        ({"response_wh": (50, -20, 31, 0)}, 30, 31),
        ({"response_wh": (50, 0, 30, 0)}, -20, 0),
        ({"paid_wh": 60}, 80, 60),
        ({"status": MISSING}, 0, 4),
    ],
)
def test_arithmetic(change: dict[str, Any], limit: int, found: int) -> None:
    p1 = programme()
    started = measuring(p1, completed(p1), 0)
    wrong = replace(performance("d"), **change)
    assert p1.when(proposal(started, 1, 1, *map(performance, "abc"), wrong), CALCULATION) == refused(
        "ProposePerformance", "d", R.ARITHMETIC, limit, found
    )


@pytest.mark.parametrize(
    ("change", "limit", "found"),
    [({"paid_wh": 1}, 0, 1), ({"metered_wh": (0,)}, 0, 1), ({"response_wh": (9, 9, 9, 9)}, 0, 4)],
)
def test_missing_data_are_paid_nothing(change: dict[str, Any], limit: int, found: int) -> None:
    p1 = programme()
    started = measuring(p1, completed(p1), 0)
    wrong = replace(unmeasured("d", MISSING), **change)
    assert p1.when(proposal(started, 1, 1, *map(performance, "abc"), wrong), CALCULATION) == refused(
        "ProposePerformance", "d", R.ARITHMETIC, limit, found
    )


def test_order_of_the_checks() -> None:
    """What breaks several rules is refused by the first of them."""
    order = list(ProgrammeRefusal)
    p1 = programme()
    called(p1)
    worst = CallEvent(CALL.start_at + 1, CALL.start_at + 2 * DAY, 0)
    milder = replace(worst, start_at=CALL.start_at)
    mildest = CallEvent(CALL.start_at, CALL.end_at, 0)
    found = [p1.when(wish, OPERATOR)[0].reason for wish in (worst, milder, mildest)]
    p1.at = CALL.start_at - HOUR
    late = CallEvent(CALL.start_at - HOUR, CALL.start_at, 0)
    unserved = replace(late, start_at=CALL.end_at, end_at=CALL.end_at + HOUR)
    found += [p1.when(wish, OPERATOR)[0].reason for wish in (late, unserved)]
    assert found == [R.EVENT_OFF_GRID, R.EVENT_TOO_LONG, R.EVENT_OVERLAPS, R.NOTICE_TOO_SHORT, R.TARGET_ZERO]
    assert found == sorted(found, key=order.index)


def test_a_refusal_changes_nothing() -> None:
    p1 = programme()
    before = repr(p1.state)
    p1.when(replace(CALL, target_w=0), OPERATOR)
    assert repr(p1.state) == before


def _command(wish: Any, actor: str) -> Any:
    return Command(KEY, CommandMeta("late", actor, "correlation", None, None, None), wish)
