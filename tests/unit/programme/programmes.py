"""A programme to begin a test with: terms, offers, an event, and performances that keep to the arithmetic."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from domain.programme.performance import paid_of, response_of
from schemas.programme.commands import AdoptTerms, CallEvent, EnrolSite, MeasurePerformance, OptOut, ProposePerformance
from schemas.programme.events import (
    BaselineMethod,
    CommandRefused,
    EventCalled,
    MeasurementStarted,
    Netting,
    PerformanceStatus,
    ProgrammeRefusal,
    SiteEnrolled,
    SitePerformance,
    Terms,
    TermsAdopted,
)
from tests.unit.given import MINUTE, Scenario

KEY, OPERATOR = "p1", "aggregator"
POLICY, CALCULATION = "policy:site_to_programme.enrol", "calc:programme.baseline"
HOUR, DAY = 60 * MINUTE, 1440 * MINUTE
NOON = 20_000 * DAY + 12 * HOUR
"""Thursday 2024-10-03, 12:00 UTC."""

KPX_MID_6_OF_10 = BaselineMethod("kpx_mid_6_of_10", 1, "days", 45, 20, 10, 2, 2, 75)
TERMS = Terms(OPERATOR, "lv5-201", "EUR", 15, 60, 120, 400_000_000, Netting.INTERVAL_FLOOR, KPX_MID_6_OF_10)
CALL = CallEvent(NOON + 2 * HOUR, NOON + 3 * HOUR, 110_000)
OFFERS = {"a": 100_000, "b": 60_000, "c": 40_000, "d": 20_000}
"""The registered capacities of V-A3, in W."""


def adopted(terms: Terms = TERMS, version: int = 1) -> TermsAdopted:
    return TermsAdopted(KEY, version, terms)


def enrolled(connection: str, reduction_w: int) -> SiteEnrolled:
    return SiteEnrolled(KEY, connection, f"party-{connection}", f"mp-{connection}", reduction_w)


def programme(terms: Terms = TERMS, offers: Mapping[str, int] = OFFERS) -> Scenario:
    """A programme at noon, before any event."""
    facts = [enrolled(connection, reduction_w) for connection, reduction_w in offers.items()]
    return Scenario("programme", KEY, NOON).given(adopted(terms), *facts)


def called(scenario: Scenario, call: CallEvent = CALL) -> str:
    """Calls an event and returns its id."""
    (fact,) = scenario.when(call, OPERATOR)
    assert isinstance(fact, EventCalled)
    return fact.event


def completed(scenario: Scenario, call: CallEvent = CALL) -> str:
    """Calls an event and lets it pass; returns its id."""
    event = called(scenario, call)
    scenario.later(call.end_at)
    return event


def measuring(scenario: Scenario, event: str, cutoff_tick: int = 1) -> MeasurementStarted:
    """Starts a measurement."""
    (fact,) = scenario.when(MeasurePerformance(event, cutoff_tick), OPERATOR)
    assert isinstance(fact, MeasurementStarted)
    return fact


def performance(
    connection: str,
    baseline_wh: tuple[int, ...] = (100, 100, 100, 100),
    metered_wh: tuple[int, ...] = (50, 120, 70, 100),
    netting: Netting = Netting.INTERVAL_FLOOR,
    status: PerformanceStatus = PerformanceStatus.MEASURED,
    days: int = 6,
) -> SitePerformance:
    """A performance whose numbers agree; by default +50, -20, +30 and 0 Wh."""
    response = response_of(baseline_wh, metered_wh)
    return SitePerformance(
        connection,
        f"party-{connection}",
        status,
        tuple(f"2024-09-{n + 10}" for n in range(days)),
        ("2024-09-02",),
        ("holiday",),
        baseline_wh,
        metered_wh,
        response,
        paid_of(netting, response),
    )


def unmeasured(connection: str, status: PerformanceStatus) -> SitePerformance:
    """A site that could not be measured."""
    return performance(connection, (), (), status=status, days=0)


def proposal(started: MeasurementStarted, part: int, parts: int, *sites: SitePerformance) -> ProposePerformance:
    return ProposePerformance(started.measurement, part, parts, sites)


def refused(command: str, subject: str, reason: ProgrammeRefusal, limit: int = 0, found: int = 0) -> list[Any]:
    return [CommandRefused(command, subject, reason, limit, found)]


def busy_day() -> Scenario:
    """Everything that can happen to a programme, one thing still running at the end."""
    p1 = programme()
    event = called(p1)
    p1.when(OptOut(event, "c"), "party-c")
    p1.when(AdoptTerms(replace(TERMS, netting=Netting.EVENT_TOTAL)), OPERATOR)
    p1.when(EnrolSite("e", "party-e", "mp-e", 5_000, TERMS.zone), POLICY)
    p1.when(EnrolSite("d", "party-d", "mp-d", 0, TERMS.zone), POLICY)
    p1.when(OptOut(event, "b"), "party-b")
    p1.when(CALL, OPERATOR)
    p1.later(CALL.end_at)
    later = called(p1, CallEvent(CALL.end_at + HOUR, CALL.end_at + 2 * HOUR, 100_001))
    started = measuring(p1, event)
    p1.when(proposal(started, 1, 1, performance("a")), CALCULATION)
    p1.later(CALL.end_at + HOUR + MINUTE)
    p1.when(OptOut(later, "a"), "party-a")
    p1.later(CALL.end_at + 2 * HOUR)
    lapsed = measuring(p1, later)
    p1.later(lapsed.deadline_at)
    running = measuring(p1, later)
    sites = [performance(site, netting=Netting.EVENT_TOTAL) for site in "abce"]
    p1.when(proposal(running, 1, 2, *sites[:3]), CALCULATION)
    called(p1, CallEvent(CALL.end_at + DAY, CALL.end_at + DAY + HOUR, 7))
    return p1
