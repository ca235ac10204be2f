"""Rows from facts alone, and the questions that a run asks."""

import re
from dataclasses import asdict

import pytest

from projections.settlement.inputs import INPUTS, parameters
from projections.settlement.views import (
    CONNECTION_BALANCES,
    POSTED_LINES,
    RUNS,
    SETTLEMENT_LINES,
    VIEWS,
)
from projections.view import Mode
from schemas.settlement.events import (
    LineKind,
    LinesPosted,
    PostedLine,
    RunCompleted,
    RunFailed,
    RunFailure,
    RunPartRecorded,
    RunPosted,
)
from tests.unit.settlement.runs import balance, line
from tests.unit.settlement.world import World, started
from tests.unit.written import recorded

PART = RunPartRecorded(
    "zone", "run", 4, 0, 7, 15, "EUR", (balance("c", (1, 2), (3, 4)),),
    (line(LineKind.RESIDUAL, "c", 1, 2), line(LineKind.DELIVERED_SALE, "c", 3, 4, reference="k", settled=9)),
)  # fmt: skip


def rows(view, body):
    found = [dict(row) for row in view.on[type(body)](recorded("settlement", "zone", body))]
    for row in found:
        assert set(row) <= set(view.columns)
        if view.mode is Mode.HISTORY:
            assert set(row) == set(view.columns), "a history row has every column"
        for value in row.values():
            assert type(value) in (int, str, list), "plain values: the database knows no enum of ours"
    return found


def test_a_line_becomes_a_row_with_all_its_fields():
    first, second = rows(SETTLEMENT_LINES, PART)
    assert first.items() >= {"run": "run", "number": 4, "from_at": 7, "interval_min": 15, "currency": "EUR"}.items()
    for row, settled in zip((first, second), PART.lines, strict=True):
        fields = {**asdict(settled), "energy_wh": list(settled.energy_wh), "kind": settled.kind.value}
        assert row.items() >= fields.items()
    assert (second["total_wh"], second["settled_wh"]) == (7, 9)


def test_a_balance_becomes_a_row():
    (row,) = rows(CONNECTION_BALANCES, PART)
    assert (row["connection"], row["party"], row["import_wh"], row["export_wh"]) == ("c", "party-c", [1, 2], [3, 4])


def test_a_posted_line_becomes_a_row():
    posted = PostedLine("l", LineKind.SURPLUS, "party", "c", "issuer", "tariff", 7, 8, 9)
    (row,) = rows(POSTED_LINES, LinesPosted("zone", "run", 1, 2, "issuer", 5, 6, "EUR", (posted,)))
    assert row.items() >= {**asdict(posted), "kind": "surplus"}.items()
    assert (row["run"], row["number"], row["slice"], row["from_at"], row["to_at"]) == ("run", 1, 2, 5, 6)


def test_a_run_is_one_row_that_changes():
    bodies = (
        started(),
        RunCompleted("zone", "run", 1, 2, 3, 4, 5, 6, 7, 8),
        RunPosted("zone", "run", 1, "approver", 0, 9, ("m",), 11),
        RunFailed("zone", "run", 1, RunFailure.DEADLINE, "result"),
    )
    found = [row for body in bodies for row in rows(RUNS, body)]
    assert [row["status"] for row in found] == ["started", "completed", "posted", "failed"]
    assert {row["run"] for row in found} == {"run"}
    assert found[1]["surplus_wh"] == 8
    assert (found[2]["approver"], found[2]["differing_lines"]) == ("approver", 11)
    assert (found[3]["failure"], found[3]["missing"]) == ("deadline", "result")


def test_every_fact_of_a_result_has_a_view():
    assert {fact.__name__ for view in VIEWS for fact in view.on} == {
        "RunStarted", "RunPartRecorded", "RunCompleted", "RunFailed", "RunPosted", "LinesPosted",
    }  # fmt: skip


def test_the_inputs_are_what_the_calculation_reads():
    assert set(INPUTS) == set(World().inputs)


@pytest.mark.parametrize("name", INPUTS)
def test_an_input_is_asked_as_of_the_cutoff_with_the_parameters_it_names(name):
    question = INPUTS[name]
    used = set(re.findall(r"%\((\w+)\)s", question.sql))
    assert used == set(question.parameters)
    assert "tick < %(cutoff)s" in question.sql
    fact = recorded("settlement", "zone", started(cutoff_tick=17))
    assert used <= set(parameters(fact))
    assert parameters(fact)["cutoff"] == 17


@pytest.mark.parametrize("name", INPUTS)
def test_an_input_has_the_columns_that_the_calculation_uses(name):
    world = World().connect("c").join("x", 1, "c").rules("x").contract("k", "c", "c", 1)
    world.read("c", [1], [1]).price(1).perform("e", "c", [1], 1)
    columns = re.search(r"SELECT(.*?)FROM", INPUTS[name].sql, re.DOTALL)[1].replace('"', "")
    assert {column.strip() for column in columns.split(",")} == set(world.inputs[name][0])
