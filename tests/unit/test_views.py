"""The slates' promises: whatever fact comes, its rows fit the columns of their table, and tables have one owner.

A value under a name that is no column would be dropped without a word, so every view is tried.
"""

import importlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from projections.families import EVERYWHERE, SQL_VIEWS, VIEWS
from projections.view import Mode, Question, View
from schemas.catalog import FAMILIES, LOG, messages_of
from schemas.message import Kind
from tests.unit.any_message import any_message
from tests.unit.written import recorded

FILLED = [(family, view, fact) for family, views in VIEWS.items() for view in views for fact in view.on]
PYTHON: Mapping[str, type] = {
    "text": str,
    "bigint": int,
    "integer": int,
    "int": int,
    "boolean": bool,
    "text[]": list,
    "bigint[]": list,
}
"""Plain classes only: an enum would be written by its name in one place and by its value in another."""


def fits(column: str, value: Any) -> bool:
    """True if the value is of exactly the class that the column's type stands for."""
    if type(value) is not PYTHON[column]:
        return False
    if not isinstance(value, list):
        return True
    return all(fits(column.removesuffix("[]"), item) for item in value)


def asked(module: str) -> tuple[Question, ...]:
    """The questions of a room's module."""
    return getattr(importlib.import_module(f"projections.{module}"), "QUESTIONS", ())


QUESTIONS = [question for family in (*FAMILIES, LOG) for question in asked(f"{family}.views")]


def test_a_name_belongs_to_one_table() -> None:
    tables = [view.name for views in (*VIEWS.values(), EVERYWHERE) for view in views]
    assert twice([*tables, *(view.name for view in SQL_VIEWS)]) == []


def test_a_name_belongs_to_one_question() -> None:
    assert twice([question.name for question in QUESTIONS]) == []


def twice(names: Iterable[str]) -> list[str]:
    """The names that stand more than once."""
    return [name for name, count in Counter(names).items() if count > 1]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
def test_a_question_names_the_parameters_of_its_sql(question: Question) -> None:
    assert set(re.findall(r"%\((\w+)\)s", question.sql)) == set(question.parameters)


@pytest.mark.parametrize(("family", "view", "fact"), FILLED, ids=[f"{v.name}-{f.__name__}" for _, v, f in FILLED])
def test_rows_fit_their_table(family: str, view: View, fact: type) -> None:
    assert fact in {m.cls for m in messages_of(family) if m.kind is Kind.EVENT}

    @settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow], deadline=None)
    @given(any_message(fact))
    def check(body: Any) -> None:
        for row in view.on[fact](recorded(family, "key", body)):
            assert set(row) <= set(view.columns)
            wrong = {c: v for c, v in row.items() if v is not None and not fits(view.columns[c], v)}
            assert not wrong
            if view.mode is Mode.CURRENT:
                assert view.key
                assert all(row.get(column) is not None for column in view.key)

    check()
