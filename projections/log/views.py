"""What became of every command: one row for each record, of every family."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from projections.view import Mode, Question, Row, View
from schemas.catalog import all_messages, is_runtime_record
from schemas.envelope import Recorded
from schemas.message import Kind


def _answer(fact: Recorded[Any]) -> Iterable[Row]:
    meta, body = fact.meta, fact.body
    reason = getattr(body, "reason", None)
    yield {
        "family": fact.family,
        "key": fact.key,
        "command_id": meta.command_id,
        "actor": meta.actor,
        "correlation": meta.correlation,
        "event": type(body).__name__,
        "reason": reason.value if isinstance(reason, StrEnum) else None,
        "refused": type(body).__name__ == "CommandRefused",
        "runtime": is_runtime_record(body),
    }


ANSWERS = View(
    name="answers",
    mode=Mode.HISTORY,
    columns={
        "family": "text",
        "key": "text",
        "command_id": "text",
        "actor": "text",
        "correlation": "text",
        "event": "text",
        "reason": "text",
        "refused": "boolean",
        "runtime": "boolean",
    },
    key=("family",),
    on={m.cls: _answer for m in all_messages() if m.kind is Kind.EVENT},
    indexes=("command_id, actor",),
)

EVERYWHERE = (ANSWERS,)

QUESTIONS = (
    Question(
        "answers",
        """SELECT family, key, seq, tick, event, reason, actor, command_id FROM answers
           WHERE NOT runtime ORDER BY tick DESC, family, partition, seq DESC LIMIT %(limit)s""",
        ("limit",),
    ),
)
