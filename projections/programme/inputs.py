"""What a baseline reads: readings and calendar, as of the measurement's cut-off (`tick < cutoff`).

The newest version of each interval and day is chosen by the calculation, so that choosing is pure and tested.
"""

from collections.abc import Mapping
from typing import Any, Final

from projections.view import Question
from schemas.envelope import Recorded
from schemas.programme.events import MeasurementStarted

_DAY_US: Final = 86_400_000_000

_MARGIN_DAYS: Final = 2
"""A local day may begin earlier than the event's hours, and the clock may have changed since."""

INPUTS: Mapping[str, Question] = {
    "readings": Question(
        "baseline_readings",
        "SELECT metering_point, direction, start_at, interval_min, version, quality, energy_wh FROM readings"
        " WHERE metering_point = ANY(%(metering_points)s)"
        " AND direction IN ('import_from_grid', 'export_to_grid')"
        " AND start_at < %(to_at)s"
        " AND start_at + cardinality(energy_wh) * interval_min * 60000000 > %(from_at)s"
        " AND tick < %(cutoff)s",
        ("metering_points", "from_at", "to_at", "cutoff"),
    ),
    "calendar": Question(
        "baseline_calendar",
        "SELECT time_zone, first_day, last_day, version, holidays FROM calendars"
        " WHERE series = %(calendar)s AND tick < %(cutoff)s",
        ("calendar", "cutoff"),
    ),
}


def parameters(fact: Recorded[MeasurementStarted]) -> Mapping[str, Any]:
    """What the measurement's fact says about the rows that it needs."""
    started = fact.body
    method = started.terms.baseline
    return {
        "metering_points": list(started.metering_points),
        "from_at": started.start_at - (method.look_back_days + _MARGIN_DAYS) * _DAY_US,
        "to_at": started.end_at,
        "calendar": method.calendar,
        "cutoff": started.cutoff_tick,
    }
