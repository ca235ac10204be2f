"""What a release publishes of its ledger (schema id → Avro schema), whatever log it stands on."""

from collections.abc import Mapping
from typing import Any

from consumers.ports import SchemasDiffer

Schema = Mapping[str, Any]
Ledger = Mapping[int, Schema]


def missing(ledger: Ledger, known: Ledger, deployment: str) -> dict[int, Schema]:
    """What of the ledger is not known yet.

    Raises:
        SchemasDiffer: something is known otherwise.
    """
    for schema_id, schema in ledger.items():
        if known.get(schema_id, schema) != schema:
            raise SchemasDiffer(
                f"schema {schema_id} is {name(known[schema_id])} on the log of {deployment}, and another"
                f" {name(schema)} in this release: two releases have given one id to two schemas; give this release's"
                " the next free id"
            )
    return {schema_id: schema for schema_id, schema in sorted(ledger.items()) if schema_id not in known}


def version(ledger: Ledger, schema_id: int) -> int:
    """Which version of its message a schema is: ids grow with versions."""
    message = name(ledger[schema_id])
    return sum(name(schema) == message for other, schema in ledger.items() if other <= schema_id)


def name(schema: Schema) -> str:
    """The message that a schema describes."""
    return str(schema.get("name", "without a name"))
