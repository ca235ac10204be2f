"""What a view is: a table, and for each event type a function from the fact to rows.

*History* views are append-only; a row is known by (partition, seq, row) and carries the tick, so that
a question can be asked as of tick k. *Current* views are overwritten, one row per key, for people.
Rows are made from the fact alone: no memory, no look-ups.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from operator import attrgetter
from typing import Any, Protocol

from schemas.envelope import Recorded
from schemas.form import Choice, Form, Many, Maybe, part_of

Row = Mapping[str, Any]
"""Column → value. In a current view a missing or null column leaves what stands there."""

Rows = Callable[[Recorded[Any]], Iterable[Row]]
"""What a fact becomes. Where a column is a field of the fact under the same name, `copied` says so."""


_Change = Callable[[Any], Any]


class Mode(StrEnum):
    """Whether rows are added for ever or overwritten."""

    HISTORY = "history"
    CURRENT = "current"


@dataclass(frozen=True, slots=True)
class View:
    """A table `name` (plural noun), its columns (name → PostgreSQL type) and who fills it.

    Every view also has the columns `partition int`, `seq bigint`, `tick bigint` and `at bigint` of the
    fact (for a current row: of the last one); a history view also `row int` (the row's place among the
    fact's rows) and the primary key (`key`, partition, seq, row), where `key` is empty unless several
    families fill the view. `key` is the primary key of a current view and must contain the family's
    key or be born from it: two projectors never write the same row. `indexes` are column lists.
    """

    name: str
    mode: Mode
    columns: Mapping[str, str]
    on: Mapping[type, Rows]
    key: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()


def copied(*names: str, **constants: str | int) -> Rows:
    """One row a fact: these fields of its body, and columns that hold the same for every fact of its type."""

    def rows(fact: Recorded[Any]) -> Iterable[Row]:
        row = fields_of(fact.body, *names)
        if constants:
            row |= constants
        return (row,)

    return rows


def fields_of(message: Any, *names: str) -> dict[str, Any]:
    """These fields of a fact's body, or of a value in it, as columns hold them: enums as text, tuples as lists."""
    kind: Any = type(message)
    read, changes = _reading(kind, names)
    values = read(message)
    row = dict(zip(names, values, strict=True)) if len(names) > 1 else {names[0]: values}
    for name, change in changes:
        row[name] = change(row[name])
    return row


@cache
def _reading(cls: Any, names: tuple[str, ...]) -> tuple[Callable[[Any], Any], tuple[tuple[str, _Change], ...]]:
    """How these fields are read, and which of them a column holds in another form: decided once, by their types."""
    forms = dict(part_of(cls).fields)
    changes = ((name, change) for name in names if (change := _change(forms[name])) is not None)
    return attrgetter(*names), tuple(changes)


def _change(form: Form) -> _Change | None:
    match form:
        case Choice():
            return attrgetter("value")
        case Many(Choice()):
            return _values
        case Many():
            return list
        case Maybe(inner):
            change = _change(inner)
            return None if change is None else lambda value: None if value is None else change(value)
        case _:
            return None


def _values(choices: Iterable[StrEnum]) -> list[str]:
    return [choice.value for choice in choices]


@dataclass(frozen=True, slots=True)
class SqlView:
    """A view computed by PostgreSQL from others (sums over partitions, the newest version …)."""

    name: str
    sql: str


@dataclass(frozen=True, slots=True)
class Question:
    """A named question with its SQL (psycopg's `%(name)s` parameters); the answer is rows."""

    name: str
    sql: str
    parameters: tuple[str, ...] = field(default=())


class Ask(Protocol):
    """Asks the slates: SQL and parameters in, rows out."""

    async def __call__(self, sql: str, parameters: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]: ...
