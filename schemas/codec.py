"""Bytes and messages: one pair of functions for every record on the log.

A value is framed as Confluent clients frame it: `00`, the schema id (4 bytes, big endian), the Avro
record `meta` + body. Ids come from the ledger (`schemas/published/ledger.json`) or, for what a newer release
writes, from the log's own schemas (`Codec.learn`). A record is always read with the schema it was written with.

Records of a message's newest schema go through generated functions (`schemas/codec_source.py`); every other
one is resolved to today's class by fastavro.
"""

import io
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import fastavro
from fastavro.read import SchemaResolutionError
from fastavro.schema import SchemaParseException
from fastavro.types import Schema

from schemas.catalog import MessageType, all_messages
from schemas.codec_functions import Decode, Encode, Functions
from schemas.codec_versions import narrowed
from schemas.envelope import CommandMeta, FactMeta
from schemas.message import Kind
from schemas.record_schema import avro_schema, body_shape, kind_of_schema, meaning, meta_shape
from schemas.release import RELEASE
from schemas.shape import InvalidMessage

__all__ = [
    "ClashingSchema",
    "Codec",
    "Stem",
    "UndecodableRecord",
    "UnknownMessage",
    "UnknownSchema",
    "UnpublishedMessage",
    "avro_schema",
    "meaning",
]

_FRAME: Final = struct.Struct(">bI")


class UnknownSchema(ValueError):
    """The record names a schema that neither the ledger holds nor the log has told: `schema_id`."""

    def __init__(self, schema_id: int, said: str = "") -> None:
        super().__init__(said or f"schema id {schema_id} is neither in the ledger of this release nor on the log")
        self.schema_id = schema_id


class UnknownMessage(UnknownSchema):
    """The record is a message that this release has no class for: `name` (`gridbook.market.PriceSet`) of `family`.

    A view may pass over it (`Codec.decode_meta` still reads its envelope); an owner must not.
    """

    def __init__(self, schema_id: int, name: str) -> None:
        said = f"schema id {schema_id} is {name}, a message of a newer release than {RELEASE}: run that release here"
        super().__init__(schema_id, said)
        self.name, self.family = name, name.split(".")[-2]


class UndecodableRecord(ValueError):
    """The bytes are not a record of the schema they name."""


class UnpublishedMessage(ValueError):
    """A message differs from its newest published schema: publish it (`python -m infra.schemas`)."""


class ClashingSchema(ValueError):
    """Two releases gave one schema id to different schemas; records of one would be read as the other."""


@dataclass(slots=True)  # not frozen: one is made for every command
class Stem:
    """What all facts of one command share in their envelopes, as bytes already: everything but `seq` and `index`."""

    meta: FactMeta
    before: bytes
    after: bytes


@dataclass(slots=True)
class _Version:
    """A published schema; `message` is its class today, if there is one, `today` whether it is that class's newest."""

    schema_id: int
    schema: dict[str, Any]
    message: MessageType | None
    today: bool = False
    parsed: Schema | None = None

    @property
    def frame(self) -> bytes:
        return _FRAME.pack(0, self.schema_id)

    def written(self) -> Schema:
        if self.parsed is None:
            self.parsed = fastavro.parse_schema(self.schema)
        return self.parsed


class Codec:
    """Encodes and decodes every message that the ledger knows, and decodes those that it learned.

    Args:
        ledger: schema id → published schema (a parsed `.avsc`), every version ever written.
        written_since: schema id → the release that writes it first; an id that is not named is written already.
        release: the number of this release: a message is written in its newest schema that this release writes.
        compiled: the names of a module compiled from `codec_source.source`; without it the same functions run
            as plain Python.

    Raises:
        UnpublishedMessage: today's class is not the newest published one; its bytes would lie about their schema.
    """

    def __init__(
        self,
        ledger: Mapping[int, dict[str, Any]],
        written_since: Mapping[int, int] | None = None,
        release: int = RELEASE,
        compiled: Mapping[str, Any] | None = None,
    ) -> None:
        self._functions = Functions(compiled)
        self._release = release
        self._messages = {m.name: m for m in all_messages()}
        self._resolved: dict[type, Schema] = {}
        self._versions: dict[int, _Version] = {}
        self._classes: dict[bytes, type] = {}
        self._encoders: dict[type, tuple[bytes, Encode, Encode]] = {}
        self._decoders: dict[bytes, Decode] = {}
        for schema_id, schema in ledger.items():
            self._add(schema_id, schema)
        self._newest = {v.message.cls: v for _, v in sorted(self._versions.items()) if v.message is not None}
        for version in self._newest.values():
            self._demand_published(version)
            version.today = True
        since = written_since or {}
        writable = (v for n, v in sorted(self._versions.items()) if since.get(n, release) <= release)
        self._writes = {v.message.cls: v for v in writable if v.message is not None}
        self._stem = self._functions.stem()
        self._head = self._functions.stem_head()

    @staticmethod
    def _demand_published(version: _Version) -> None:
        assert version.message is not None
        if meaning(avro_schema(version.message)) != meaning(version.schema):
            raise UnpublishedMessage(
                f"{version.message.name} is not schema {version.schema_id}: publish its new version"
            )

    def _add(self, schema_id: int, schema: dict[str, Any]) -> _Version:
        version = _Version(schema_id, schema, self._messages.get(schema["name"]))
        self._versions[schema_id] = version
        if version.message is not None:
            self._classes[version.frame] = version.message.cls
        return version

    # -- writing -----------------------------------------------------------------------------------

    def encode(self, meta: CommandMeta | FactMeta, body: Any) -> bytes:
        """The bytes of a record, after strict checks of types and ranges.

        Raises:
            InvalidMessage: a field has the wrong type, is out of range, or is newer than the schema that this
                release writes; nothing is written.
        """
        frame, encode_meta, encode_body = self._encoders.get(type(body)) or self._encoder(type(body))
        head = encode_meta(frame, meta)
        if head is not None:
            value = encode_body(head, body)
            if value is not None:
                return value
        return self._reference(self._writes[type(body)], meta, body)

    def stem(self, meta: FactMeta) -> Stem:
        """What the facts of one command share, encoded once.

        Raises:
            InvalidMessage: a field of the envelope has the wrong type or is out of range.
        """
        made = self._stem(meta)
        if made is None:
            meta_shape(Kind.EVENT).to_datum(meta, "meta")
            raise InvalidMessage("meta", "the envelope of a fact", meta)
        return Stem(meta, *made)

    def encode_fact(self, stem: Stem, seq: int, index: int, body: Any) -> bytes:
        """`encode` of the stem's envelope with another `seq` and `index`.

        Raises:
            InvalidMessage: as in `encode`.
        """
        frame, _, encode_body = self._encoders.get(type(body)) or self._encoder(type(body))
        if body.__message_kind__ is Kind.EVENT:
            head = self._head(frame, seq, stem.before, index, stem.after)
            if head is not None:
                value = encode_body(head, body)
                if value is not None:
                    return value
        return self.encode(replace(stem.meta, seq=seq, index=index), body)

    def encode_as(self, like: bytes, meta: CommandMeta | FactMeta, body: Any) -> bytes:
        """The bytes of a record in the schema version that another record's frame names.

        Raises:
            InvalidMessage: that is another message's schema, or an older one that lacks what the body says.
            UnknownSchema: the frame names an id that is not in the ledger.
        """
        version = self._version(like)
        message = version.message
        if message is None or message.cls is not type(body):
            raise InvalidMessage("record", version.schema["name"], type(body).__name__)
        return self._reference(version, meta, body)

    def check(self, meta: CommandMeta | FactMeta, body: Any) -> None:
        """Holds a decoded record against the ranges of its fields, which Avro does not know.

        Raises:
            InvalidMessage: a field is out of range.
        """
        newest = self._newest.get(type(body))
        if newest is None or newest.message is None:
            raise InvalidMessage("record", "a published message", type(body).__name__)
        if self._functions.meta_encoder(newest.message.kind)(b"", meta) is None:
            meta_shape(newest.message.kind).to_datum(meta, "meta")
        if self._functions.encoder(newest.message)(b"", body) is None:
            body_shape(newest.message).to_datum(body, newest.message.cls.__name__)

    def _encoder(self, cls: type) -> tuple[bytes, Encode, Encode]:
        version = self._writes.get(cls)
        if version is None or version.message is None:
            newest = self._newest.get(cls)
            known = "a published message" if newest is None else f"a message that release {self._release} writes"
            raise InvalidMessage("record", known, cls.__name__)
        encode_meta: Encode = _elsewhere
        encode_body: Encode = _elsewhere
        if version.today:
            encode_meta = self._functions.meta_encoder(version.message.kind)
            encode_body = self._functions.encoder(version.message)
        self._encoders[cls] = made = (version.frame, encode_meta, encode_body)
        return made

    def _reference(self, version: _Version, meta: Any, body: Any) -> bytes:
        """The bytes by shape and fastavro: for older schemas, and for the words when something does not fit."""
        assert version.message is not None
        message = version.message
        datum = body_shape(message).to_datum(body, message.cls.__name__)
        datum["meta"] = meta_shape(message.kind).to_datum(meta, "meta")
        if not version.today:
            datum = narrowed(datum, avro_schema(message), version.schema, message.cls.__name__)
        out = io.BytesIO()
        out.write(version.frame)
        fastavro.schemaless_writer(out, version.written(), datum)
        return out.getvalue()

    # -- reading -----------------------------------------------------------------------------------

    def decode(self, value: bytes) -> tuple[Any, Any]:
        """`(meta, body)` of a record, whatever release wrote it.

        Raises:
            UnknownSchema: the frame names an id that is neither in the ledger nor learned.
            UnknownMessage: this release has no class for the message.
            UndecodableRecord: the bytes do not fit the schema, or something is left over.
        """
        meta, body, _ = self._decoded(value)
        return meta, body

    def decode_command(self, value: bytes) -> tuple[CommandMeta, Any]:
        """`decode` and `check` of a command in one go.

        Raises:
            UnknownSchema, UnknownMessage, UndecodableRecord: as in `decode`, or the record is no command.
            InvalidMessage: a field is out of range.
        """
        meta, body, fits = self._decoded(value)
        if type(meta) is CommandMeta:
            if not fits:
                self.check(meta, body)
            return meta, body
        self.check(meta, body)
        raise UndecodableRecord("the record is no command")

    def decode_meta(self, value: bytes) -> CommandMeta | FactMeta:
        """The envelope alone, also of a message that this release has no class for.

        Raises:
            UnknownSchema, UndecodableRecord: as in `decode`.
        """
        version = self._version(value)
        if version.message is not None:
            known: CommandMeta | FactMeta = self.decode(value)[0]
            return known
        shape = meta_shape(kind_of_schema(version.schema) or Kind.EVENT)
        only = {"type": "record", "name": version.schema["name"], "fields": [{"name": "meta", "type": shape.schema}]}
        found: CommandMeta | FactMeta = _read(
            value, version, fastavro.parse_schema(only), lambda d: shape.from_datum(d["meta"])
        )
        return found

    def type_of(self, value: bytes) -> type | None:
        """The class of a record's body, from the frame alone; none where the frame says nothing known."""
        return self._classes.get(value[:5])

    def learn(self, schema_id: int, schema: dict[str, Any]) -> None:
        """Takes a schema that stands on the log: from now on records of a newer release are read by it.

        What it has in common with today's class is read; where there is no class, `decode` says which message it is.

        Raises:
            ClashingSchema: the id is another schema's here.
            ValueError: it is no schema of a record with an envelope.
        """
        known = self._versions.get(schema_id)
        if known is None:
            if kind_of_schema(schema) is None:
                raise ValueError(f"schema id {schema_id} is no record of ours with an envelope as its first field")
            try:
                fastavro.parse_schema(schema)
            except (SchemaParseException, ValueError) as error:
                raise ValueError(f"schema id {schema_id} is no schema: {error}") from error
            self._add(schema_id, schema)
        elif meaning(known.schema) != meaning(schema):
            raise ClashingSchema(
                f"schema id {schema_id} is {schema['name']} on the log and {known.schema['name']} in the ledger of this"
                " release, with different fields: one of the releases was published without the other's ledger"
            )

    def _decoded(self, value: bytes) -> tuple[Any, Any, bool]:
        read = self._decoders.get(value[:5])
        if read is None:
            return self._decoded_first(value)
        try:
            return read(value)
        except (ValueError, IndexError, OverflowError) as error:
            raise UndecodableRecord(f"schema id {_FRAME.unpack_from(value)[1]}: {error!r}") from error

    def _decoded_first(self, value: bytes) -> tuple[Any, Any, bool]:
        version = self._version(value)
        message = version.message
        if message is None:
            raise UnknownMessage(version.schema_id, version.schema["name"])
        if version.today:
            self._decoders[version.frame] = self._functions.decoder(message)
            return self._decoded(value)
        today = self._resolved.get(message.cls)
        if today is None:
            self._resolved[message.cls] = today = fastavro.parse_schema(avro_schema(message))
        meta, body = meta_shape(message.kind), body_shape(message)
        made = _read(value, version, today, lambda d: (meta.from_datum(d["meta"]), body.from_datum(d)))
        return *made, False

    def _version(self, value: bytes) -> _Version:
        if len(value) < _FRAME.size or value[0] != 0:
            raise UndecodableRecord(f"expected a frame of 00 and a 4-byte schema id, found {value[:5]!r}")
        schema_id = _FRAME.unpack_from(value)[1]
        try:
            return self._versions[schema_id]
        except KeyError:
            raise UnknownSchema(schema_id) from None


def _elsewhere(head: bytes, part: Any) -> bytes | None:
    """Stands for an encoder of a schema that is not today's: the reference writes it."""
    return None


def _read(value: bytes, version: _Version, reader: Schema, build: Callable[[Any], Any]) -> Any:
    """A record read by the schema it was written with, resolved to `reader`'s."""
    stream = io.BytesIO(value)
    stream.seek(_FRAME.size)
    try:
        made = build(fastavro.schemaless_reader(stream, version.written(), reader))
    except (ValueError, TypeError, EOFError, LookupError, OverflowError, SchemaResolutionError) as error:
        # fastavro raises whatever its primitive readers raise; all of it means "not this schema".
        raise UndecodableRecord(f"schema id {version.schema_id}: {error!r}") from error
    if stream.tell() != len(value):
        raise UndecodableRecord(f"schema id {version.schema_id}: {len(value) - stream.tell()} bytes left over")
    return made
