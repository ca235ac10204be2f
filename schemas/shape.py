"""From a message class to its Avro schema and to a strict pair of checks, mechanically.

`to_datum` refuses what Avro's encoders would bend in silence (a `bool` or `1.9` as a long, a number out
of range) and says where; `from_datum` builds the classes again. The generated codec does the same faster
and asks here for the words when something does not fit.
"""

from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, fields
from enum import StrEnum
from functools import cache
from typing import Any

from schemas.form import Choice, Form, Integer, Many, Maybe, Part, Raw, Text, Truth, form_of, part_of

Check = Callable[[Any, str], Any]
"""Takes a value and its path, returns the Avro datum or raises `InvalidMessage`."""

Build = Callable[[Any], Any]
"""Takes an Avro datum and returns the Python value."""


class InvalidMessage(ValueError):
    """A value does not fit its message. Says where, what was expected and what was found."""

    def __init__(self, path: str, expected: str, found: object) -> None:
        super().__init__(f"{path}: expected {expected}, found {found!r}")
        self.path, self.expected, self.found = path, expected, found


@dataclass(frozen=True, slots=True)
class Shape:
    """One type's Avro schema with its checker and its builder."""

    schema: Any
    to_datum: Check
    from_datum: Build


def shape_of(annotation: Any, namespace: str) -> Shape:
    """The shape of a type annotation: int, str, bool, bytes, enum, message value, optional or tuple of these.

    Raises:
        TypeError: the annotation has no Avro form here (float, dict, union of several types …).
    """
    return _shape(form_of(annotation), namespace, {})


@cache
def record_shape(cls: Any, namespace: str) -> Shape:
    """The shape of a message class; field order is the class's. Its schema is everybody's: change a copy."""
    return _record(part_of(cls), namespace, {})


def _shape(form: Form, namespace: str, seen: dict[str, type]) -> Shape:
    match form:
        case Integer(low, high):
            return _integer(low, high)
        case Text(low, high):
            return _text(low, high)
        case Truth():
            return _plain("boolean", bool)
        case Raw():
            return _plain("bytes", bytes)
        case Choice(cls):
            return _enum(cls, namespace, seen)
        case Maybe(inner):
            return _optional(_shape(inner, namespace, seen))
        case Many(item):
            made = _shape(item, namespace, seen)
            return _integers(made) if made.schema == "long" else _array(made)
        case Part():
            return _record(form, namespace, seen)


def _record(form: Part, namespace: str, seen: dict[str, type]) -> Shape:
    cls = form.cls
    name = f"{namespace}.{cls.__name__}"
    known = _named(name, cls, seen)
    names = tuple(n for n, _ in form.fields)
    shapes = tuple(_shape(part, namespace, seen) for _, part in form.fields)
    schema: Any = name
    if not known:
        schema = {
            "type": "record",
            "name": name,
            "fields": [_field(f, s) for f, s in zip(fields(cls), shapes, strict=True)],
        }
    pairs = tuple((n, s.to_datum) for n, s in zip(names, shapes, strict=True))
    builds = tuple((n, s.from_datum) for n, s in zip(names, shapes, strict=True))

    def to_datum(value: Any, path: str) -> Any:
        if type(value) is not cls:
            raise InvalidMessage(path, cls.__name__, value)
        return {n: check(getattr(value, n), f"{path}.{n}") for n, check in pairs}

    def from_datum(datum: Any) -> Any:
        return cls(*[build(datum[n]) for n, build in builds])

    return Shape(schema, to_datum, from_datum)


def _named(name: str, cls: type, seen: dict[str, type]) -> bool:
    """Whether the schema has defined this name already, so that the name alone stands for it; now it has."""
    known = name in seen
    if seen.setdefault(name, cls) is not cls:
        raise TypeError(f"two classes named {name} stand in one message")
    return known


def _field(declared: Field[Any], shape: Shape) -> dict[str, Any]:
    """A field's schema; a default in the class is the default for records written before the field existed."""
    made = {"name": declared.name, "type": shape.schema}
    if declared.default is not MISSING:
        datum = shape.to_datum(declared.default, declared.name)
        made["default"] = list(datum) if isinstance(datum, tuple) else datum
    return made


def _identity(datum: Any) -> Any:
    return datum


def _plain(avro: str, cls: type) -> Shape:
    def to_datum(value: Any, path: str) -> Any:
        if type(value) is not cls:
            raise InvalidMessage(path, cls.__name__, value)
        return value

    return Shape(avro, to_datum, _identity)


def _integer(low: int, high: int) -> Shape:
    def to_datum(value: Any, path: str) -> Any:
        if type(value) is not int or not low <= value <= high:
            raise InvalidMessage(path, f"an integer from {low} to {high}", value)
        return value

    return Shape("long", to_datum, _identity)


def _text(low: int, high: int) -> Shape:
    def to_datum(value: Any, path: str) -> Any:
        if type(value) is not str or not low <= len(value) <= high or not value.isprintable():
            # PostgreSQL takes no NUL, UTF-8 no lone surrogate, and no name of ours has a control character.
            raise InvalidMessage(path, f"printable text of {low} to {high} characters", value)
        return value

    return Shape("string", to_datum, _identity)


def _enum(cls: type[StrEnum], namespace: str, seen: dict[str, type]) -> Shape:
    name = f"{namespace}.{cls.__name__}"
    members = {m.value: m for m in cls}
    schema: Any = name
    if not _named(name, cls, seen):
        schema = {"type": "enum", "name": name, "symbols": list(members)}

    def to_datum(value: Any, path: str) -> Any:
        if type(value) is not cls:
            raise InvalidMessage(path, f"a {cls.__name__}", value)
        return value.value

    return Shape(schema, to_datum, members.__getitem__)


def _optional(inner: Shape) -> Shape:
    def to_datum(value: Any, path: str) -> Any:
        return None if value is None else inner.to_datum(value, path)

    def from_datum(datum: Any) -> Any:
        return None if datum is None else inner.from_datum(datum)

    return Shape(["null", inner.schema], to_datum, from_datum)


def _integers(item: Shape) -> Shape:
    """An array of integers: types and range of the whole at once, because meter data are nothing else."""
    check = item.to_datum

    def to_datum(value: Any, path: str) -> Any:
        if type(value) is not tuple:
            raise InvalidMessage(path, "a tuple", value)
        if value:
            place = f"{path}[]"
            for odd in value if set(map(type, value)) != {int} else (min(value), max(value)):
                check(odd, place)
        return value

    return Shape({"type": "array", "items": "long"}, to_datum, tuple)


def _array(item: Shape) -> Shape:
    check, build = item.to_datum, item.from_datum

    def to_datum(value: Any, path: str) -> Any:
        if type(value) is not tuple:
            raise InvalidMessage(path, "a tuple", value)
        return [check(v, f"{path}[]") for v in value]

    def from_datum(datum: Any) -> Any:
        return tuple(map(build, datum))

    return Shape({"type": "array", "items": item.schema}, to_datum, from_datum)
