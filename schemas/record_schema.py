"""The Avro schema of a message as it travels, and which of it readers go by."""

from collections.abc import Mapping
from typing import Any, Final

from schemas.catalog import MessageType
from schemas.envelope import CommandMeta, FactMeta
from schemas.message import Kind
from schemas.shape import Shape, record_shape

METAS: Final[dict[Kind, Any]] = {Kind.COMMAND: CommandMeta, Kind.EVENT: FactMeta}
"""The class of the envelope by the kind of message."""


def meta_shape(kind: Kind) -> Shape:
    """The shape of an envelope."""
    return record_shape(METAS[kind], "gridbook.envelope")


def body_shape(message: MessageType) -> Shape:
    """The shape of a message without its envelope."""
    return record_shape(message.cls, f"gridbook.{message.family}")


def avro_schema(message: MessageType) -> dict[str, Any]:
    """The Avro schema of a message as it travels: `meta` first, then the body's fields."""
    fields = [{"name": "meta", "type": meta_shape(message.kind).schema}, *body_shape(message).schema["fields"]]
    doc = (message.cls.__doc__ or "").strip().splitlines()[0]
    return {"type": "record", "name": message.name, "doc": doc, "fields": fields}


def meaning(schema: Mapping[str, Any]) -> dict[str, Any]:
    """What readers go by: better words in a docstring are no new version."""
    return {name: part for name, part in schema.items() if name != "doc"}


def kind_of_schema(schema: Any) -> Kind | None:
    """Whether a schema is a command's or a fact's, by its envelope; none if it is no record of ours."""
    try:
        named, meta = schema["name"].count(".") > 1, schema["fields"][0]
        kinds = {meta_shape(kind).schema["name"]: kind for kind in METAS}
        ours = schema["type"] == "record" and named and meta["name"] == "meta"
        return kinds.get(meta["type"]["name"]) if ours else None
    except (KeyError, IndexError, TypeError, AttributeError):
        return None


def definitions(schema: Any) -> dict[str, Any]:
    """Every named type of a schema by its name; elsewhere in the schema the name stands for it."""
    found: dict[str, Any] = {}
    open_ = [schema]
    while open_:
        schema = open_.pop()
        if isinstance(schema, list):
            open_ += schema
        elif isinstance(schema, dict):
            if "name" in schema:
                found[schema["name"]] = schema
            open_ += [field["type"] for field in schema.get("fields", ())]
            open_ += [schema["items"]] if "items" in schema else []
    return found
