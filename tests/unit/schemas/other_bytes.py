"""Messages by other ways than the codec's: by fastavro, by hand in an unusual but legal layout; extreme values."""

import io
from collections.abc import Iterator
from typing import Any

import fastavro

from schemas.catalog import MessageType
from schemas.form import Choice, Form, Integer, Many, Maybe, Part, Raw, Text, Truth, part_of
from schemas.record_schema import METAS, avro_schema, body_shape, meta_shape

FRAME = b"\x00\x00\x00\x00\x07"


def datum_of(message: MessageType, meta: Any, body: Any) -> dict[str, Any]:
    """A record as fastavro takes it, after the checks of its shape."""
    datum: dict[str, Any] = body_shape(message).to_datum(body, message.cls.__name__)
    return datum | {"meta": meta_shape(message.kind).to_datum(meta, "meta")}


def by_fastavro(message: MessageType, datum: dict[str, Any]) -> bytes:
    """The bytes behind the frame."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(avro_schema(message)), datum)
    return out.getvalue()


def read_by_fastavro(message: MessageType, value: bytes) -> tuple[Any, Any]:
    """The message that these bytes (behind the frame) are, built by its shape."""
    schema = fastavro.parse_schema(avro_schema(message))
    datum: Any = fastavro.schemaless_reader(io.BytesIO(value), schema, None)
    return meta_shape(message.kind).from_datum(datum["meta"]), body_shape(message).from_datum(datum)


def oddly(message: MessageType, meta: Any, body: Any) -> bytes:
    """The record with every number one byte longer than need be and every array in blocks of one item with its size."""
    return _odd(part_of(METAS[message.kind]), meta) + _odd(part_of(message.cls), body)


def varint(z: int, padded: bool = False) -> bytes:
    """An unsigned number as Avro writes it, or one byte longer."""
    out = bytearray()
    while z > 127:
        out.append(z & 127 | 128)
        z >>= 7
    out.append(z)
    if padded and len(out) < 10:
        out[-1] |= 128
        out.append(0)
    return bytes(out)


def zigzag(value: int) -> int:
    """An integer as an unsigned number."""
    return value << 1 if value >= 0 else ~(value << 1)


def _odd(form: Form, value: Any) -> bytes:
    match form:
        case Integer():
            return varint(zigzag(value), padded=True)
        case Text():
            return _odd(Raw(), value.encode())
        case Raw():
            return varint(2 * len(value), padded=True) + bytes(value)
        case Truth():
            return bytes([value])
        case Choice(cls):
            return varint(2 * list(cls).index(value))
        case Maybe(inner):
            return b"\x00" if value is None else b"\x02" + _odd(inner, value)
        case Many(inner):
            items = [_odd(inner, item) for item in value]
            return b"".join(varint(zigzag(-1)) + varint(2 * len(item)) + item for item in items) + b"\x00"
        case Part(_, fields):
            return b"".join(_odd(part, getattr(value, name)) for name, part in fields)


def extreme(form: Form, high: bool, length: int) -> Any:
    """The lowest or highest value of a form; its arrays have this length."""
    match form:
        case Integer(low, most):
            return most if high else low
        case Text(low, most):
            return "€𝄞" * (most // 2) if high else "é" * low
        case Raw():
            return b"\xff" * 300 if high else b""
        case Truth():
            return high
        case Choice(cls):
            return list(cls)[-1 if high else 0]
        case Maybe(inner):
            return extreme(inner, high, length) if high else None
        case Many(item):
            return tuple(extreme(item, high, length) for _ in range(length))
        case Part(cls, fields):
            return cls(*[extreme(part, high, length) for _, part in fields])


def extremes(message: MessageType) -> Iterator[tuple[Any, Any]]:
    """Envelopes and messages at the ends of their ranges, with arrays of three lengths."""
    for high in (False, True):
        for length in (0, 1, 40):
            yield extreme(part_of(METAS[message.kind]), high, 0), extreme(part_of(message.cls), high, length)
