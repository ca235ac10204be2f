"""What the slates make of the facts, and what the calculation's questions are asked with."""

from collections.abc import Mapping
from typing import Any

from projections.programme.inputs import INPUTS, parameters
from projections.programme.views import (
    DR_EVENTS,
    ENROLMENTS,
    MEASUREMENTS,
    NOTIFICATIONS,
    PERFORMANCES,
    PROGRAMMES,
    QUESTIONS,
    VIEWS,
)
from projections.view import Mode, View
from schemas.programme.events import (
    CommandRefused,
    EventCalled,
    PerformanceRecorded,
)
from schemas.values import Direction
from tests.unit.given import only
from tests.unit.programme.measured import started
from tests.unit.programme.programmes import CALL, DAY, KEY, OPERATOR, TERMS, adopted, busy_day, enrolled
from tests.unit.written import recorded


def rows(view: View, *facts: Any) -> list[dict[str, Any]]:
    return [
        dict(row)
        for body in facts
        if type(body) in view.on
        for row in view.on[type(body)](recorded("programme", KEY, body))
    ]


def current(view: View, *facts: Any) -> Mapping[tuple[Any, ...], dict[str, Any]]:
    """A current view after the facts: a missing column leaves what stands."""
    table: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows(view, *facts):
        table.setdefault(tuple(row[column] for column in view.key), {}).update(row)
    return table


def test_every_row_has_known_columns_and_its_key() -> None:
    facts = busy_day().facts
    seen = set()
    for view in VIEWS:
        for row in rows(view, *facts):
            seen.add(view.name)
            assert row.keys() <= view.columns.keys()
            assert view.mode is Mode.CURRENT or row.keys() == view.columns.keys()
            assert all(row.get(column) is not None for column in view.key)
    assert seen == {view.name for view in VIEWS}
    assert {type(fact) for fact in facts} - {CommandRefused} == {kind for view in VIEWS for kind in view.on}


def test_programme_and_offers() -> None:
    (row,) = rows(PROGRAMMES, adopted(version=3))
    assert (row["programme"], row["version"], row["operator"], row["netting"], row["method"]) == (
        KEY,
        3,
        OPERATOR,
        "interval_floor",
        "kpx_mid_6_of_10",
    )
    assert row["incentive_nano_per_kwh"] == TERMS.incentive_nano_per_kwh
    (row,) = rows(ENROLMENTS, enrolled("a", 7))
    assert row == {
        "programme": KEY,
        "connection": "a",
        "party": "party-a",
        "metering_point": "mp-a",
        "reduction_w": 7,
    }


def test_an_event_from_its_call_to_its_measurement() -> None:
    facts = busy_day().facts
    first, later, newest = (fact.event for fact in only(facts, EventCalled))
    table = current(DR_EVENTS, *facts)
    names = ("state", "measurement", "sites", "set_points_version", "unserved_w", "target_w")
    assert tuple(table[first,][name] for name in names) == ("completed", "completed", 2, 3, 10_000, 110_000)
    assert table[first,]["measured_version"] == 1
    assert tuple(table[later,][name] for name in names) == ("completed", "running", 4, 1, 0, 100_001)
    assert "measured_version" not in table[later,]
    assert tuple(table[newest,][name] for name in names)[:2] == ("called", "none")
    assert (table[first,]["start_at"], table[first,]["end_at"]) == (CALL.start_at, CALL.end_at)


def test_an_abandoned_measurement_shows() -> None:
    facts = busy_day().facts
    until_abandoned = facts[: [type(f).__name__ for f in facts].index("MeasurementAbandoned") + 1]
    later = only(facts, EventCalled)[1].event
    assert current(DR_EVENTS, *until_abandoned)[later,]["measurement"] == "abandoned"


def test_every_site_is_told_every_version_of_its_set_point() -> None:
    facts = busy_day().facts
    first = only(facts, EventCalled)[0].event
    told = [row for row in rows(NOTIFICATIONS, *facts) if row["event"] == first]
    found = [(r["version"], r["connection"], r["set_point_w"], r["opted_out"]) for r in told]
    assert found == [
        (1, "a", 50_000, False),
        (1, "b", 30_000, False),
        (1, "c", 20_000, False),
        (1, "d", 10_000, False),
        (2, "c", 0, True),
        (2, "a", 61_111, False),
        (2, "b", 36_667, False),
        (2, "d", 12_222, False),
        (3, "b", 0, True),
        (3, "a", 100_000, False),
        (3, "d", 0, False),
    ]
    assert {row["party"] for row in told} == {"party-a", "party-b", "party-c", "party-d"}


def test_performances_have_all_that_settlement_reads() -> None:
    facts = busy_day().facts
    part = only(facts, PerformanceRecorded)[0]
    (row,) = rows(PERFORMANCES, part)
    (site,) = part.sites
    assert row == {
        "programme": KEY,
        "measurement": part.measurement,
        "event": part.event,
        "version": 1,
        "part": 1,
        "operator": OPERATOR,
        "zone": "lv5-201",
        "currency": "EUR",
        "incentive_nano_per_kwh": 400_000_000,
        "start_at": CALL.start_at,
        "interval_min": 15,
        "connection": "a",
        "party": "party-a",
        "status": "measured",
        "reference_days": list(site.reference_days),
        "excluded_days": ["2024-09-02"],
        "exclusion_reasons": ["holiday"],
        "baseline_wh": [100, 100, 100, 100],
        "metered_wh": [50, 120, 70, 100],
        "response_wh": [50, -20, 30, 0],
        "paid_wh": 80,
    }
    (total,) = rows(MEASUREMENTS, *facts)
    assert (total["measurement"], total["sites"], total["response_wh"], total["paid_wh"]) == (
        part.measurement,
        1,
        60,
        80,
    )


def test_the_inputs_are_asked_for_what_the_measurement_froze() -> None:
    fact = started("ab")
    asked = parameters(recorded("programme", KEY, fact))
    assert asked == {
        "metering_points": ["mp-a", "mp-b"],
        "from_at": fact.start_at - 47 * DAY,
        "to_at": fact.end_at,
        "calendar": "days",
        "cutoff": 9,
    }
    assert INPUTS.keys() == {"readings", "calendar"}
    for question in INPUTS.values():
        assert set(question.parameters) <= asked.keys()
        assert all(f"%({name})s" in question.sql for name in question.parameters)
    for direction in (Direction.IMPORT_FROM_GRID, Direction.EXPORT_TO_GRID):
        assert f"'{direction.value}'" in INPUTS["readings"].sql


def test_questions_for_people() -> None:
    assert {"events", "performances", "programmes"} <= {question.name for question in QUESTIONS}
