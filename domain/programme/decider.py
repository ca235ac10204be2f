"""Rules of the family `programme`: terms, offers, events with their set-points, measured performance.

Y.2072 C5 and 8.1.7: an event becomes set-points whose sum is the target, or the operator hears how much
is not served; the response is what the meters show against the baseline of the terms.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, assert_never

from domain.identity import born_id
from domain.programme import dispatch, performance, timeline
from domain.programme.evolution import Fact, evolve
from domain.programme.state import Offer, Programme
from domain.programme.terms import MAX_LOOK_BACK_DAYS, first_flaw
from schemas.actors import CALCULATION as CALCULATOR
from schemas.actors import POLICY
from schemas.envelope import Command, Moment
from schemas.programme.commands import (
    AdoptTerms,
    CallEvent,
    EnrolSite,
    MeasurePerformance,
    OptOut,
    ProposePerformance,
)
from schemas.programme.events import (
    CommandRefused,
    EventCalled,
    MeasurementCompleted,
    MeasurementStarted,
    PerformanceRecorded,
    ProgrammeRefusal,
    SetPointsAssigned,
    SiteEnrolled,
    SiteOptedOut,
    TermsAdopted,
)
from schemas.values import MINUTE_US

__all__ = ["LOGIC", "OUTCOMES", "advance", "decide", "due", "evolve", "initial"]

LOGIC = 1

OUTCOMES: Mapping[type, tuple[type, ...]] = {
    AdoptTerms: (TermsAdopted, CommandRefused),
    EnrolSite: (SiteEnrolled, CommandRefused),
    CallEvent: (EventCalled, CommandRefused),
    OptOut: (SiteOptedOut, SetPointsAssigned, CommandRefused),
    MeasurePerformance: (MeasurementStarted, CommandRefused),
    ProposePerformance: (PerformanceRecorded, MeasurementCompleted, CommandRefused),
}

FAMILY: Final = "programme"


CALCULATION: Final = f"{CALCULATOR}{performance.CALCULATION_NAME}"
"""The only actor that proposes performance."""

MAX_SITES: Final = 500
"""Sites of a programme: an event names all that it asks in one fact."""

MAX_EVENTS: Final = 500
"""Events within the longest look-back: a measurement names all that its baseline must avoid in one fact."""

MAX_EVENT_MIN: Final = 1440
"""An event of a day or less never meets itself on the day before."""

Wish = AdoptTerms | EnrolSite | CallEvent | OptOut | MeasurePerformance | ProposePerformance


def initial(key: str) -> Programme:
    """A programme without terms."""
    return Programme(key)


def decide(state: Programme, command: Command[Any], now: Moment) -> Iterable[Fact]:
    """What was asked for, or why not."""
    wish: Wish = command.body
    actor = command.meta.actor
    match wish:
        case AdoptTerms():
            return (_adopt_terms(state, wish, actor),)
        case EnrolSite():
            return (_enrol_site(state, wish, actor),)
        case CallEvent():
            return (_call_event(state, wish, actor, now, born_id(FAMILY, command, 0)),)
        case OptOut():
            return _opt_out(state, wish, actor, now)
        case MeasurePerformance():
            return (_measure(state, wish, actor, now, born_id(FAMILY, command, 0)),)
        case ProposePerformance():
            return _propose(state, wish, actor, now)
        case _:
            assert_never(wish)


def _adopt_terms(state: Programme, wish: AdoptTerms, actor: str) -> Fact:
    operator = wish.terms.operator if state.terms is None else state.terms.operator
    if actor != operator or wish.terms.operator != operator:
        return _refused(wish, state.key, ProgrammeRefusal.NOT_AUTHORISED)
    # The sites behind a programme lie in its zone; settlement finds the responses of an area by it.
    if state.terms is not None and wish.terms.zone != state.terms.zone:
        return _refused(wish, "zone", ProgrammeRefusal.INVALID_TERMS)
    flaw = first_flaw(wish.terms)
    if flaw is not None:
        field, limit, found = flaw
        return _refused(wish, field, ProgrammeRefusal.INVALID_TERMS, limit, found)
    return TermsAdopted(state.key, state.terms_version + 1, wish.terms)


def _enrol_site(state: Programme, wish: EnrolSite, actor: str) -> Fact:
    if state.terms is None:
        return _refused(wish, wish.connection, ProgrammeRefusal.PROGRAMME_UNKNOWN)
    # What a site can reduce was verified at the site; only its allotment, carried by a policy, leads here.
    if not actor.startswith(POLICY):
        return _refused(wish, wish.connection, ProgrammeRefusal.NOT_AUTHORISED)
    if wish.zone != state.terms.zone:
        # The programme is settled with its zone; a site of another one would not be among its connections.
        return _refused(wish, wish.connection, ProgrammeRefusal.WRONG_ZONE)
    offer = Offer(wish.party, wish.metering_point, wish.reduction_w)
    held = state.offers.get(wish.connection)
    if held == offer:
        return _refused(wish, wish.connection, ProgrammeRefusal.ALREADY_ENROLLED, held.reduction_w, wish.reduction_w)
    if held is None and wish.reduction_w and len(state.offers) >= MAX_SITES:
        return _refused(wish, wish.connection, ProgrammeRefusal.PROGRAMME_FULL, MAX_SITES, len(state.offers) + 1)
    return SiteEnrolled(state.key, wish.connection, wish.party, wish.metering_point, wish.reduction_w)


def _call_event(state: Programme, wish: CallEvent, actor: str, now: Moment, id_: str) -> Fact:
    terms = state.terms
    if terms is None:
        return _refused(wish, state.key, ProgrammeRefusal.PROGRAMME_UNKNOWN)
    if actor != terms.operator:
        return _refused(wish, state.key, ProgrammeRefusal.NOT_AUTHORISED)
    length_us, interval_us = wish.end_at - wish.start_at, terms.interval_min * MINUTE_US
    if wish.start_at % interval_us or length_us % interval_us or length_us <= 0:
        return _refused(wish, state.key, ProgrammeRefusal.EVENT_OFF_GRID, terms.interval_min)
    if length_us > MAX_EVENT_MIN * MINUTE_US:
        return _refused(wish, state.key, ProgrammeRefusal.EVENT_TOO_LONG, MAX_EVENT_MIN, length_us // MINUTE_US)
    events = len(state.windows_before(wish.start_at, MAX_LOOK_BACK_DAYS)) + sum(
        not event.started for event in state.live.values()
    )
    if events >= MAX_EVENTS:
        return _refused(wish, state.key, ProgrammeRefusal.TOO_MANY_EVENTS, MAX_EVENTS, events + 1)
    for other in state.live.values():
        if wish.start_at < other.end_at and other.start_at < wish.end_at:
            return _refused(wish, other.id, ProgrammeRefusal.EVENT_OVERLAPS, other.end_at, wish.start_at)
    notice_us = wish.start_at - now.at
    if notice_us < terms.min_notice_min * MINUTE_US:
        return _refused(
            wish, state.key, ProgrammeRefusal.NOTICE_TOO_SHORT, terms.min_notice_min, notice_us // MINUTE_US
        )
    if wish.target_w == 0:
        return _refused(wish, state.key, ProgrammeRefusal.TARGET_ZERO, limit=1)
    offered = {connection: offer.reduction_w for connection, offer in state.offers.items()}
    if wish.target_w > sum(offered.values()):
        return _refused(wish, state.key, ProgrammeRefusal.TARGET_ABOVE_ENROLLED, sum(offered.values()), wish.target_w)
    asked = {c: w for c, w in sorted(dispatch.set_points(wish.target_w, offered).items()) if w}
    return EventCalled(
        programme=state.key,
        event=id_,
        terms_version=state.terms_version,
        start_at=wish.start_at,
        end_at=wish.end_at,
        target_w=wish.target_w,
        connections=tuple(asked),
        parties=tuple(state.offers[connection].party for connection in asked),
        set_points_w=tuple(asked.values()),
    )


def _opt_out(state: Programme, wish: OptOut, actor: str, now: Moment) -> tuple[Fact, ...]:
    if state.terms is None:
        return (_refused(wish, wish.event, ProgrammeRefusal.PROGRAMME_UNKNOWN),)
    event = state.event(wish.event)
    asked = None if event is None else event.sites.get(wish.connection)
    offer = state.offers.get(wish.connection) if asked is None else asked.offer
    if offer is not None and actor != offer.party:
        return (_refused(wish, wish.connection, ProgrammeRefusal.NOT_AUTHORISED),)
    if event is None:
        return (_refused(wish, wish.event, ProgrammeRefusal.EVENT_UNKNOWN),)
    if asked is None:
        return (_refused(wish, wish.connection, ProgrammeRefusal.SITE_NOT_ASKED),)
    if asked.opted_out:
        return (_refused(wish, wish.connection, ProgrammeRefusal.ALREADY_OPTED_OUT),)
    if now.at >= event.start_at:
        return (_refused(wish, wish.event, ProgrammeRefusal.EVENT_STARTED, event.start_at, now.at),)
    followers = {connection: site for connection, site in event.followers.items() if connection != wish.connection}
    # Split by what was offered when the event was called; who has withdrawn since is not asked for more than he offers.
    weights = {connection: site.offer.reduction_w for connection, site in followers.items()}
    caps = {connection: min(weight, _offered_now(state, connection)) for connection, weight in weights.items()}
    parts = dispatch.water_fill(event.target_w, weights, caps)
    version = event.set_points_version + 1
    return (
        SiteOptedOut(state.key, event.id, version, wish.connection, asked.offer.party),
        SetPointsAssigned(
            programme=state.key,
            event=event.id,
            version=version,
            connections=tuple(followers),
            parties=tuple(site.offer.party for site in followers.values()),
            set_points_w=tuple(parts[connection] for connection in followers),
            unserved_w=event.target_w - sum(parts.values()),
        ),
    )


def _offered_now(state: Programme, connection: str) -> int:
    offer = state.offers.get(connection)
    return 0 if offer is None else offer.reduction_w


def _measure(state: Programme, wish: MeasurePerformance, actor: str, now: Moment, id_: str) -> Fact:
    if state.terms is None:
        return _refused(wish, wish.event, ProgrammeRefusal.PROGRAMME_UNKNOWN)
    if actor != state.terms.operator:
        return _refused(wish, wish.event, ProgrammeRefusal.NOT_AUTHORISED)
    event = state.event(wish.event)
    if event is None:
        return _refused(wish, wish.event, ProgrammeRefusal.EVENT_UNKNOWN)
    if event.id in state.live:
        return _refused(wish, event.id, ProgrammeRefusal.EVENT_NOT_COMPLETED, event.end_at, now.at)
    cutoff = wish.cutoff_tick
    if cutoff > now.n:
        return _refused(wish, event.id, ProgrammeRefusal.CUTOFF_IN_THE_FUTURE, now.n, cutoff)
    if cutoff <= event.measured_cutoff:
        return _refused(wish, event.id, ProgrammeRefusal.CUTOFF_NOT_AFTER_LAST, event.measured_cutoff, cutoff)
    running = next((each for each in state.running.values() if each.event == event.id), None)
    if running is not None:
        return _refused(wish, running.id, ProgrammeRefusal.MEASUREMENT_RUNNING, running.deadline_at, now.at)
    # Members that were not asked are not measured (domain rules, 6).
    sites = {connection: site.offer for connection, site in event.followers.items() if site.set_point_w}
    return MeasurementStarted(
        programme=state.key,
        measurement=id_,
        event=event.id,
        version=event.measurements + 1,
        cutoff_tick=cutoff,
        start_at=event.start_at,
        end_at=event.end_at,
        connections=tuple(sites),
        parties=tuple(offer.party for offer in sites.values()),
        metering_points=tuple(offer.metering_point for offer in sites.values()),
        earlier_events_start_at=tuple(start for start, _ in event.earlier),
        earlier_events_end_at=tuple(end for _, end in event.earlier),
        terms_version=event.terms_version,
        terms=event.terms,
        deadline_at=now.at + event.terms.measurement_wait_min * MINUTE_US,
    )


def _propose(state: Programme, wish: ProposePerformance, actor: str, now: Moment) -> tuple[Fact, ...]:
    if state.terms is None:
        return (_refused(wish, wish.measurement, ProgrammeRefusal.PROGRAMME_UNKNOWN),)
    if actor != CALCULATION:
        return (_refused(wish, wish.measurement, ProgrammeRefusal.NOT_AUTHORISED),)
    running = state.running.get(wish.measurement)
    if running is None or now.at >= running.deadline_at:
        return (_refused(wish, wish.measurement, ProgrammeRefusal.MEASUREMENT_UNKNOWN),)
    if wish.part != running.parts + 1 or wish.part > wish.parts:
        return (_refused(wish, wish.measurement, ProgrammeRefusal.PART_UNEXPECTED, running.parts + 1, wish.part),)
    stranger = next((s.connection for s in wish.sites if running.owed.get(s.connection) != s.party), None)
    if stranger is not None:
        return (_refused(wish, stranger, ProgrammeRefusal.SITES_DIFFER),)
    found, count = {site.connection for site in wish.sites}, len(wish.sites)
    if len(found) != count:
        return (_refused(wish, wish.measurement, ProgrammeRefusal.SITES_DIFFER, len(found), count),)
    last, left = wish.part == wish.parts, len(running.owed) - count
    # The last part leaves nobody over; any other brings the end nearer and leaves somebody for the next.
    if last != (left == 0) or (not count and running.owed):
        return (_refused(wish, wish.measurement, ProgrammeRefusal.SITES_DIFFER, 0 if last else 1, left),)
    event = state.completed[running.event]
    for site in wish.sites:
        difference = performance.first_difference(site, event.intervals, event.terms)
        if difference is not None:
            return (_refused(wish, site.connection, ProgrammeRefusal.ARITHMETIC, *difference),)
    recorded = PerformanceRecorded(
        programme=state.key,
        measurement=running.id,
        event=event.id,
        version=running.version,
        part=wish.part,
        operator=event.terms.operator,
        zone=event.terms.zone,
        currency=event.terms.currency,
        incentive_nano_per_kwh=event.terms.incentive_nano_per_kwh,
        start_at=event.start_at,
        interval_min=event.terms.interval_min,
        sites=wish.sites,
    )
    if not last:
        return (recorded,)
    completed = MeasurementCompleted(
        programme=state.key,
        measurement=running.id,
        event=event.id,
        version=running.version,
        sites=running.sites,
        response_wh=running.response_wh + sum(sum(site.response_wh) for site in wish.sites),
        paid_wh=running.paid_wh + sum(site.paid_wh for site in wish.sites),
    )
    return recorded, completed


def _refused(wish: Wish, subject: str, reason: ProgrammeRefusal, limit: int = 0, found: int = 0) -> CommandRefused:
    return CommandRefused(type(wish).__name__, subject, reason, limit, found)


def advance(state: Programme, now: Moment, limit: int) -> Iterable[Fact]:
    """Events start and end at their times, measurements lapse at their deadlines; in the order of time."""
    return timeline.reached(state, now.at)[:limit]


def due(state: Programme) -> int | None:
    """The next start, end or deadline."""
    return timeline.next_at(state)
