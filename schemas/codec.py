"""Bytes and messages: one pair of functions for every record on the log.

A value is framed as Confluent clients frame it: `00`, the schema id (4 bytes, big endian), the Avro
record `meta` + body. Ids come from the ledger (`schemas/published/ledger.json`); a record is always
read with the schema it was written with and resolved to today's class.
"""

import io
import struct
from collections.abc import Mapping
from typing import Any, Final

import fastavro
from fastavro.read import SchemaResolutionError
from fastavro.types import Schema

from schemas.catalog import MessageType, all_messages
from schemas.envelope import CommandMeta, FactMeta
from schemas.message import Kind
from schemas.shape import InvalidMessage, Shape, record_shape

_FRAME: Final = struct.Struct(">bI")
_META_NAMESPACE: Final = "gridbook.envelope"


class UnknownSchema(ValueError):
    """The record names a schema id that the ledger does not hold."""


class UndecodableRecord(ValueError):
    """The bytes are not a record of the schema they name."""


def _meta_shapes() -> dict[Kind, Shape]:
    return {
        Kind.COMMAND: record_shape(CommandMeta, _META_NAMESPACE),
        Kind.EVENT: record_shape(FactMeta, _META_NAMESPACE),
    }


def avro_schema(message: MessageType) -> dict[str, Any]:
    """The Avro schema of a message as it travels: `meta` first, then the body's fields."""
    meta = CommandMeta if message.kind is Kind.COMMAND else FactMeta
    body = record_shape(message.cls, f"gridbook.{message.family}").schema
    fields = [{"name": "meta", "type": record_shape(meta, _META_NAMESPACE).schema}, *body["fields"]]
    doc = (message.cls.__doc__ or "").strip().splitlines()[0]
    return {"type": "record", "name": message.name, "doc": doc, "fields": fields}


def meaning(schema: Mapping[str, Any]) -> dict[str, Any]:
    """What readers go by: better words in a docstring are no new version."""
    return {name: part for name, part in schema.items() if name != "doc"}


class UnpublishedMessage(ValueError):
    """A message differs from its newest published schema: publish it (`python -m infra.schemas`)."""


class Codec:
    """Encodes and decodes every message that the ledger knows.

    Args:
        ledger: schema id → published schema (a parsed `.avsc`), every version ever written.

    Raises:
        UnpublishedMessage: today's class is not the newest published one; its bytes would lie about their schema.
    """

    def __init__(self, ledger: Mapping[int, dict[str, Any]]) -> None:
        metas = _meta_shapes()
        types = {m.name: m for m in all_messages()}
        self._written: dict[type, tuple[bytes, Schema, Shape, Shape]] = {}
        self._read: dict[int, tuple[Schema, Schema | None, Shape, Shape]] = {}
        self._types: dict[int, type] = {}
        newest: dict[str, int] = {}
        for schema_id, schema in ledger.items():
            newest[schema["name"]] = max(schema_id, newest.get(schema["name"], 0))
        for schema_id, schema in ledger.items():
            message = types.get(schema["name"])
            if message is None:
                continue
            made = avro_schema(message)
            if newest[message.name] == schema_id and meaning(made) != meaning(schema):
                raise UnpublishedMessage(f"{message.name} is not schema {schema_id}: publish its new version")
            today = fastavro.parse_schema(made)
            written = fastavro.parse_schema(schema)
            meta, body = metas[message.kind], record_shape(message.cls, f"gridbook.{message.family}")
            self._types[schema_id] = message.cls
            current = newest[message.name] == schema_id
            self._read[schema_id] = (written, None if current else today, meta, body)
            if current:
                self._written[message.cls] = (_FRAME.pack(0, schema_id), today, meta, body)

    def encode(self, meta: CommandMeta | FactMeta, body: Any) -> bytes:
        """The bytes of a record, after strict checks of types and ranges.

        Raises:
            InvalidMessage: a field has the wrong type or is out of range; nothing is written.
        """
        try:
            frame, schema, meta_shape, body_shape = self._written[type(body)]
        except KeyError:
            raise InvalidMessage("record", "a published message", type(body).__name__) from None
        return self._bytes(frame, schema, meta_shape, body_shape, meta, body)

    def encode_as(self, like: bytes, meta: CommandMeta | FactMeta, body: Any) -> bytes:
        """The bytes of a record in the schema version that another record's frame names."""
        schema, _, meta_shape, body_shape = self._read[_FRAME.unpack_from(like)[1]]
        return self._bytes(like[: _FRAME.size], schema, meta_shape, body_shape, meta, body)

    @staticmethod
    def _bytes(frame: bytes, schema: Schema, meta_shape: Shape, body_shape: Shape, meta: Any, body: Any) -> bytes:
        datum = body_shape.to_datum(body, type(body).__name__)
        datum["meta"] = meta_shape.to_datum(meta, "meta")
        out = io.BytesIO()
        out.write(frame)
        fastavro.schemaless_writer(out, schema, datum)
        return out.getvalue()

    def decode(self, value: bytes) -> tuple[Any, Any]:
        """`(meta, body)` of a record, whatever release wrote it.

        Raises:
            UnknownSchema: the frame names an id that is not in the ledger.
            UndecodableRecord: the bytes do not fit the schema, or something is left over.
        """
        if len(value) < _FRAME.size or value[0] != 0:
            raise UndecodableRecord(f"expected a frame of 00 and a 4-byte schema id, found {value[:5]!r}")
        schema_id = _FRAME.unpack_from(value)[1]
        try:
            written, today, meta_shape, body_shape = self._read[schema_id]
        except KeyError:
            raise UnknownSchema(f"schema id {schema_id} is not in the ledger of this release") from None
        stream = io.BytesIO(value)
        stream.seek(_FRAME.size)
        try:
            datum: Any = fastavro.schemaless_reader(stream, written, today)
            made = meta_shape.from_datum(datum["meta"]), body_shape.from_datum(datum)
        except (ValueError, TypeError, EOFError, LookupError, OverflowError, SchemaResolutionError) as error:
            # fastavro raises whatever its primitive readers raise; all of it means "not this schema".
            raise UndecodableRecord(f"schema id {schema_id}: {error!r}") from error
        if stream.tell() != len(value):
            raise UndecodableRecord(f"schema id {schema_id}: {len(value) - stream.tell()} bytes left over")
        return made

    def type_of(self, value: bytes) -> type | None:
        """The class of a record's body, from the frame alone; none where the frame says nothing known."""
        if len(value) < _FRAME.size or value[0] != 0:
            return None
        return self._types.get(_FRAME.unpack_from(value)[1])

    def check(self, meta: CommandMeta | FactMeta, body: Any) -> None:
        """Holds a decoded record against the ranges of its fields, which Avro does not know.

        Raises:
            InvalidMessage: a field is out of range.
        """
        _, _, meta_shape, body_shape = self._written[type(body)]
        meta_shape.to_datum(meta, "meta")
        body_shape.to_datum(body, type(body).__name__)
