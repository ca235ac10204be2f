"""The programme after a fact. Judges nothing."""

from typing import assert_never

from domain.programme.state import AskedSite, DrEvent, Measurement, Offer, Programme
from schemas.envelope import Recorded
from schemas.programme.events import (
    CommandRefused,
    EventCalled,
    EventCompleted,
    EventStarted,
    MeasurementAbandoned,
    MeasurementCompleted,
    MeasurementStarted,
    PerformanceRecorded,
    SetPointsAssigned,
    SiteEnrolled,
    SiteOptedOut,
    TermsAdopted,
)

Fact = (
    TermsAdopted
    | SiteEnrolled
    | EventCalled
    | SiteOptedOut
    | SetPointsAssigned
    | EventStarted
    | EventCompleted
    | MeasurementStarted
    | PerformanceRecorded
    | MeasurementCompleted
    | MeasurementAbandoned
    | CommandRefused
)


def evolve(state: Programme, fact: Recorded[Fact]) -> Programme:
    """The programme after a fact."""
    match fact.body:
        case TermsAdopted() as body:
            state.terms, state.terms_version = body.terms, body.version
        case SiteEnrolled() as body:
            _enrol(state, body)
        case EventCalled() as body:
            _call(state, body)
        case SiteOptedOut() as body:
            state.live[body.event].sites[body.connection].opted_out = True
        case SetPointsAssigned() as body:
            event = state.live[body.event]
            event.set_points_version = body.version
            for connection, set_point_w in zip(body.connections, body.set_points_w, strict=True):
                event.sites[connection].set_point_w = set_point_w
        case EventStarted() as body:
            state.start(state.live[body.event])
        case EventCompleted() as body:
            state.complete(state.live[body.event], fact.meta.tick.at)
        case MeasurementStarted() as body:
            _start_measurement(state, body)
        case PerformanceRecorded() as body:
            _record(state.running[body.measurement], body)
        case MeasurementCompleted() as body:
            running = state.running.pop(body.measurement)
            state.completed[body.event].measured_cutoff = running.cutoff_tick
        case MeasurementAbandoned() as body:
            del state.running[body.measurement]
        case CommandRefused():
            pass
        case _:
            assert_never(fact.body)
    return state


def _enrol(state: Programme, body: SiteEnrolled) -> None:
    if body.reduction_w:
        state.offers[body.connection] = Offer(body.party, body.metering_point, body.reduction_w)
    else:
        state.offers.pop(body.connection, None)


def _call(state: Programme, body: EventCalled) -> None:
    assert state.terms is not None
    state.live[body.event] = DrEvent(
        id=body.event,
        start_at=body.start_at,
        end_at=body.end_at,
        target_w=body.target_w,
        terms_version=body.terms_version,
        terms=state.terms,
        sites={
            connection: AskedSite(state.offers[connection], set_point_w)
            for connection, set_point_w in zip(body.connections, body.set_points_w, strict=True)
        },
    )


def _start_measurement(state: Programme, body: MeasurementStarted) -> None:
    state.completed[body.event].measurements = body.version
    state.running[body.measurement] = Measurement(
        id=body.measurement,
        event=body.event,
        version=body.version,
        cutoff_tick=body.cutoff_tick,
        deadline_at=body.deadline_at,
        sites=len(body.connections),
        owed=dict(zip(body.connections, body.parties, strict=True)),
    )


def _record(running: Measurement, body: PerformanceRecorded) -> None:
    running.parts = body.part
    for site in body.sites:
        del running.owed[site.connection]
        running.response_wh += sum(site.response_wh)
        running.paid_wh += site.paid_wh
