"""Programmes, offers, events with their set-points, and what was measured.

`performances` of a measurement count once it is in `measurements`: parts of one that is still running, or
was abandoned, stand there too.
"""

from collections.abc import Iterable

from projections.view import Mode, Question, Row, SqlView, View, copied, fields_of
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
        **fields_of(fact.body, "programme", "version"),
        **fields_of(terms, "operator", "zone", "currency", "interval_min", "min_notice_min"),
        **fields_of(terms, "incentive_nano_per_kwh", "netting"),
        "method": method.name,
        "method_version": method.version,
        "calendar": method.calendar,
    }


def _called(fact: Recorded[EventCalled]) -> Iterable[Row]:
    yield {
        **fields_of(fact.body, "event", "programme", "terms_version", "start_at", "end_at", "target_w"),
        "state": "called",
        "unserved_w": 0,
        "sites": len(fact.body.connections),
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


def _measured(fact: Recorded[MeasurementCompleted]) -> Iterable[Row]:
    yield {"event": fact.body.event, "measurement": "completed", "measured_version": fact.body.version}


def _notified(fact: Recorded[EventCalled]) -> Iterable[Row]:
    return _notifications(fact.body, 1)


def _assigned(fact: Recorded[SetPointsAssigned]) -> Iterable[Row]:
    return _notifications(fact.body, fact.body.version)


def _notifications(asked: EventCalled | SetPointsAssigned, version: int) -> Iterable[Row]:
    for connection, party, set_point_w in zip(asked.connections, asked.parties, asked.set_points_w, strict=True):
        yield {
            "programme": asked.programme,
            "event": asked.event,
            "version": version,
            "connection": connection,
            "party": party,
            "set_point_w": set_point_w,
            "opted_out": False,
        }


def _performed(fact: Recorded[PerformanceRecorded]) -> Iterable[Row]:
    of_part = {
        **fields_of(fact.body, "programme", "measurement", "event", "version", "part", "operator", "zone", "currency"),
        **fields_of(fact.body, "incentive_nano_per_kwh", "start_at", "interval_min"),
    }
    for site in fact.body.sites:
        yield {
            **of_part,
            **fields_of(site, "connection", "party", "status", "reference_days", "excluded_days", "exclusion_reasons"),
            **fields_of(site, "baseline_wh", "metered_wh", "response_wh", "paid_wh"),
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
    on={SiteEnrolled: copied("programme", "connection", "party", "metering_point", "reduction_w")},
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
        EventStarted: copied("event", state="started"),
        EventCompleted: copied("event", state="completed"),
        MeasurementStarted: copied("event", measurement="running"),
        MeasurementCompleted: _measured,
        MeasurementAbandoned: copied("event", measurement="abandoned"),
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
    on={
        EventCalled: _notified,
        SetPointsAssigned: _assigned,
        SiteOptedOut: copied("programme", "event", "version", "connection", "party", set_point_w=0, opted_out=True),
    },
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

_MEASUREMENTS_COLUMNS = {
    "programme": "text",
    "measurement": "text",
    "event": "text",
    "version": "bigint",
    "sites": "bigint",
    "response_wh": "bigint",
    "paid_wh": "bigint",
}

MEASUREMENTS = View(
    name="measurements",
    mode=Mode.HISTORY,
    columns=_MEASUREMENTS_COLUMNS,
    on={MeasurementCompleted: copied(*_MEASUREMENTS_COLUMNS)},
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
