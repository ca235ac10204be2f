"""House rules of messages that no Avro checker knows: units in names, tense, a docstring for everybody."""

from collections.abc import Iterable
from typing import Any, Final

from schemas.catalog import MessageType
from schemas.message import Kind
from schemas.record_schema import avro_schema

UNITS: Final = (
    "_wh",
    "_w",
    "_mv",
    "_ma",
    "_nano_per_kwh",
    "_micro",
    "_minor",
    "_ppm",
    "_percent",
    "_at",
    "_us",
    "_min",
    "_days",
)
"""An integer with a physical or monetary meaning ends in its unit (or is an array of such)."""

COUNTS: Final = frozenset(
    [
        "n",
        "seq",
        "first_seq",
        "sequence",
        "index",
        "version",
        "version_before",
        "rules_version",
        "tariff_version",
        "terms_version",
        "run_version",
        "number",
        "run_number",
        "part",
        "parts",
        "slice",
        "intervals",
        "first_interval",
        "generation",
        "partition",
        "partitions",
        "logic",
        "tick",
        "cutoff_tick",
        "connections",
        "sites",
        "lines",
        "resting",
        "first",
        "cut",
        "at_cut",
        "parties",
        "orders",
        "blocks",
        "steps",
        "accepted",
        "layering_orders",
        "contracts",
        "invoices",
        "credit_notes",
        "differing_lines",
        "measurement",
        "minor_digits",
        "drop_highest",
        "drop_lowest",
        "points_per_kwh",
        "quality_class",
        "minimum_class",
        "limit",
        "found",
        "lots",
        "minimum_lots",
        "bids",
        "round",
        "rounds",
        "at",
        "valid_until",
        "valid_from",
        "valid_to",
        "effective_from",
    ]
)
"""Plain counts, ordinals and times whose meaning is their name; `limit` and `found` carry the refused field's unit."""

PAST: Final = ("ed", "Made", "Met", "Withdrawn", "Aside", "Unchanged", "OptedOut")
"""How the names of facts end."""


def problems(message: MessageType) -> list[str]:
    """What breaks the house rules in a message; empty when nothing does."""
    found = []
    if not (message.cls.__doc__ or "").strip() or (message.cls.__doc__ or "").startswith(f"{message.cls.__name__}("):
        found.append(f"{message.name}: no docstring")
    if message.kind is Kind.EVENT and not message.cls.__name__.endswith(PAST):
        found.append(f"{message.name}: a fact is named by a noun and a past")
    if message.kind is Kind.COMMAND and message.cls.__name__.endswith("ed"):
        found.append(f"{message.name}: a wish is named by an imperative and a noun")
    schema = avro_schema(message)
    found += [f"{message.name}.{name}: an integer without a unit" for name in _unitless(schema["fields"][1:])]
    return found


def _unitless(fields: Iterable[dict[str, Any]]) -> Iterable[str]:
    for field in fields:
        kind = _inner(field["type"])
        if kind == "long" and not field["name"].endswith(UNITS) and field["name"] not in COUNTS:
            yield field["name"]
        if isinstance(kind, dict) and kind["type"] == "record":
            yield from _unitless(kind["fields"])


def _inner(kind: Any) -> Any:
    if isinstance(kind, list):
        return _inner(next(k for k in kind if k != "null"))
    if isinstance(kind, dict) and kind["type"] == "array":
        return _inner(kind["items"])
    return kind
