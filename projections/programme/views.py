"""Programmes, offers, events with their set-points, and what was measured.

`performances` of a measurement count once it is in `measurements`: parts of one that is still running, or
was abandoned, stand there too.
"""

from collections.abc import Iterable

from projections.view import Mode, Question, Row, SqlView, View
from schemas.envelope import Recorded
from schemas.programme.events import (
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


def _terms(fact: Recorded[TermsAdopted]) -> Iterable[Row]:
    terms, method = fact.body.terms, fact.body.terms.baseline
    yield {
        "programme": fact.body.programme,
        "version": fact.body.version,
        "operator": terms.operator,
        "zone": terms.zone,
        "currency": terms.currency,
        "interval_min": terms.interval_min,
        "min_notice_min": terms.min_notice_min,
        "incentive_nano_per_kwh": terms.incentive_nano_per_kwh,
        "netting": terms.netting.value,
        "method": method.name,
        "method_version": method.version,
        "calendar": method.calendar,
    }


def _enrolled(fact: Recorded[SiteEnrolled]) -> Iterable[Row]:
    site = fact.body
    yield {
        "programme": site.programme,
        "connection": site.connection,
        "party": site.party,
        "metering_point": site.metering_point,
        "reduction_w": site.reduction_w,
    }


def _called(fact: Recorded[EventCalled]) -> Iterable[Row]:
    called = fact.body
    yield {
        "event": called.event,
        "programme": called.programme,
        "terms_version": called.terms_version,
        "state": "called",
        "start_at": called.start_at,
        "end_at": called.end_at,
        "target_w": called.target_w,
        "unserved_w": 0,
        "sites": len(called.connections),
        "set_points_version": 1,
        "measurement": "none",
    }


def _assigned_event(fact: Recorded[SetPointsAssigned]) -> Iterable[Row]:
    assigned = fact.body
    yield {
        "event": assigned.event,
        "unserved_w": assigned.unserved_w,
        "sites": len(assigned.connections),
        "set_points_version": assigned.version,
    }


def _started(fact: Recorded[EventStarted]) -> Iterable[Row]:
    yield {"event": fact.body.event, "state": "started"}


def _completed(fact: Recorded[EventCompleted]) -> Iterable[Row]:
    yield {"event": fact.body.event, "state": "completed"}


def _measuring(fact: Recorded[MeasurementStarted]) -> Iterable[Row]:
    yield {"event": fact.body.event, "measurement": "running"}


def _measured(fact: Recorded[MeasurementCompleted]) -> Iterable[Row]:
    yield {"event": fact.body.event, "measurement": "completed", "measured_version": fact.body.version}


def _abandoned(fact: Recorded[MeasurementAbandoned]) -> Iterable[Row]:
    yield {"event": fact.body.event, "measurement": "abandoned"}


def _notified(fact: Recorded[EventCalled]) -> Iterable[Row]:
    called = fact.body
    for connection, party, set_point_w in zip(called.connections, called.parties, called.set_points_w, strict=True):
        yield _notification(called.programme, called.event, 1, connection, party, set_point_w)


def _assigned(fact: Recorded[SetPointsAssigned]) -> Iterable[Row]:
    new = fact.body
    for connection, party, set_point_w in zip(new.connections, new.parties, new.set_points_w, strict=True):
        yield _notification(new.programme, new.event, new.version, connection, party, set_point_w)


def _opted_out(fact: Recorded[SiteOptedOut]) -> Iterable[Row]:
    out = fact.body
    yield _notification(out.programme, out.event, out.version, out.connection, out.party, 0, opted_out=True)


def _notification(
    programme: str,
    event: str,
    version: int,
    connection: str,
    party: str,
    set_point_w: int,
    opted_out: bool = False,
) -> Row:
    return {
        "programme": programme,
        "event": event,
        "version": version,
        "connection": connection,
        "party": party,
        "set_point_w": set_point_w,
        "opted_out": opted_out,
    }


def _performed(fact: Recorded[PerformanceRecorded]) -> Iterable[Row]:
    part = fact.body
    for site in part.sites:
        yield {
            "programme": part.programme,
            "measurement": part.measurement,
            "event": part.event,
            "version": part.version,
            "part": part.part,
            "operator": part.operator,
            "zone": part.zone,
            "currency": part.currency,
            "incentive_nano_per_kwh": part.incentive_nano_per_kwh,
            "start_at": part.start_at,
            "interval_min": part.interval_min,
            "connection": site.connection,
            "party": site.party,
            "status": site.status.value,
            "reference_days": list(site.reference_days),
            "excluded_days": list(site.excluded_days),
            "exclusion_reasons": list(site.exclusion_reasons),
            "baseline_wh": list(site.baseline_wh),
            "metered_wh": list(site.metered_wh),
            "response_wh": list(site.response_wh),
            "paid_wh": site.paid_wh,
        }


def _totals(fact: Recorded[MeasurementCompleted]) -> Iterable[Row]:
    done = fact.body
    yield {
        "programme": done.programme,
        "measurement": done.measurement,
        "event": done.event,
        "version": done.version,
        "sites": done.sites,
        "response_wh": done.response_wh,
        "paid_wh": done.paid_wh,
    }


PROGRAMMES = View(
    name="programmes",
    mode=Mode.CURRENT,
    columns={
        "programme": "text",
        "version": "bigint",
        "operator": "text",
        "zone": "text",
        "currency": "text",
        "interval_min": "bigint",
        "min_notice_min": "bigint",
        "incentive_nano_per_kwh": "bigint",
        "netting": "text",
        "method": "text",
        "method_version": "bigint",
        "calendar": "text",
    },
    key=("programme",),
    on={TermsAdopted: _terms},
)

ENROLMENTS = View(
    name="enrolments",
    mode=Mode.CURRENT,
    columns={
        "programme": "text",
        "connection": "text",
        "party": "text",
        "metering_point": "text",
        "reduction_w": "bigint",
    },
    key=("programme", "connection"),
    on={SiteEnrolled: _enrolled},
)

DR_EVENTS = View(
    name="dr_events",
    mode=Mode.CURRENT,
    columns={
        "event": "text",
        "programme": "text",
        "terms_version": "bigint",
        "state": "text",
        "start_at": "bigint",
        "end_at": "bigint",
        "target_w": "bigint",
        "unserved_w": "bigint",
        "sites": "bigint",
        "set_points_version": "bigint",
        "measurement": "text",
        "measured_version": "bigint",
    },
    key=("event",),
    on={
        EventCalled: _called,
        SetPointsAssigned: _assigned_event,
        EventStarted: _started,
        EventCompleted: _completed,
        MeasurementStarted: _measuring,
        MeasurementCompleted: _measured,
        MeasurementAbandoned: _abandoned,
    },
)

NOTIFICATIONS = View(
    name="notifications",
    mode=Mode.HISTORY,
    columns={
        "programme": "text",
        "event": "text",
        "version": "bigint",
        "connection": "text",
        "party": "text",
        "set_point_w": "bigint",
        "opted_out": "boolean",
    },
    on={EventCalled: _notified, SetPointsAssigned: _assigned, SiteOptedOut: _opted_out},
    indexes=("party", "event"),
)

PERFORMANCES = View(
    name="performances",
    mode=Mode.HISTORY,
    columns={
        "programme": "text",
        "measurement": "text",
        "event": "text",
        "version": "bigint",
        "part": "bigint",
        "operator": "text",
        "zone": "text",
        "currency": "text",
        "incentive_nano_per_kwh": "bigint",
        "start_at": "bigint",
        "interval_min": "bigint",
        "connection": "text",
        "party": "text",
        "status": "text",
        "reference_days": "text[]",
        "excluded_days": "text[]",
        "exclusion_reasons": "text[]",
        "baseline_wh": "bigint[]",
        "metered_wh": "bigint[]",
        "response_wh": "bigint[]",
        "paid_wh": "bigint",
    },
    on={PerformanceRecorded: _performed},
    indexes=("zone, start_at", "event"),
)

MEASUREMENTS = View(
    name="measurements",
    mode=Mode.HISTORY,
    columns={
        "programme": "text",
        "measurement": "text",
        "event": "text",
        "version": "bigint",
        "sites": "bigint",
        "response_wh": "bigint",
        "paid_wh": "bigint",
    },
    on={MeasurementCompleted: _totals},
    indexes=("event", "measurement"),
)

VIEWS = (PROGRAMMES, ENROLMENTS, DR_EVENTS, NOTIFICATIONS, PERFORMANCES, MEASUREMENTS)

CURRENT_PERFORMANCES = SqlView(
    name="current_performances",
    sql="""
SELECT p.programme, p.event, p.version, p.operator, p.zone, p.currency, p.incentive_nano_per_kwh, p.start_at,
       p.interval_min, p.connection, p.party, p.status, p.reference_days, p.excluded_days, p.exclusion_reasons,
       p.baseline_wh, p.metered_wh, p.response_wh, p.paid_wh, p.partition, p.seq, p."row", p.tick
FROM performances p
JOIN (SELECT DISTINCT ON (event) measurement FROM measurements ORDER BY event, version DESC) AS newest
USING (measurement)
""",
)

SQL_VIEWS = (CURRENT_PERFORMANCES,)

QUESTIONS = (
    Question(
        "programmes",
        "SELECT programme, version, operator, zone, currency, interval_min, min_notice_min,"
        " incentive_nano_per_kwh, netting, method, method_version, calendar FROM programmes ORDER BY programme",
    ),
    Question(
        "enrolments",
        "SELECT programme, connection, party, reduction_w FROM enrolments ORDER BY programme, connection",
    ),
    Question(
        "events",
        "SELECT event, programme, state, start_at, end_at, target_w, unserved_w, sites, measurement, measured_version"
        " FROM dr_events ORDER BY start_at, event",
    ),
    Question(
        "notifications",
        "SELECT event, version, connection, party, set_point_w, opted_out, at"
        ' FROM notifications ORDER BY event, version, partition, seq, "row"',
    ),
    Question(
        "performances",
        "SELECT event, version, connection, party, status,"
        " (SELECT sum(wh)::bigint FROM unnest(baseline_wh) AS wh) AS baseline_wh,"
        " (SELECT sum(wh)::bigint FROM unnest(metered_wh) AS wh) AS metered_wh,"
        " (SELECT sum(wh)::bigint FROM unnest(response_wh) AS wh) AS response_wh, paid_wh, reference_days"
        " FROM current_performances ORDER BY start_at, event, connection",
    ),
    Question(
        "measurements",
        "SELECT event, version, sites, response_wh, paid_wh, at FROM measurements ORDER BY event, version",
    ),
)
