"""From a message class to its Avro schema and to a strict pair of checks, mechanically.

`Shape` walks the type annotations once. `to_datum` refuses what Avro's encoders would bend in
silence (a `bool` or `1.9` as a long, a number out of range); `from_datum` builds the classes again.
"""

from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from enum import StrEnum
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Le, MaxLen, MinLen

from schemas.values import INT64_MAX

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


def shape_of(annotation: Any, namespace: str, seen: dict[str, type] | None = None) -> Shape:
    """The shape of a type annotation: int, str, bool, bytes, enum, message value, optional or tuple of these.

    Raises:
        TypeError: the annotation has no Avro form here (float, dict, union of several types …).
    """
    seen = {} if seen is None else seen
    bounds: tuple[Any, ...] = ()
    if get_origin(annotation) is Annotated:
        annotation, *rest = get_args(annotation)
        bounds = tuple(rest)
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        return _optional(annotation, bounds, namespace, seen)
    if origin is tuple:
        item, end = get_args(annotation)
        if end is not Ellipsis:
            raise TypeError(f"{annotation}: a tuple in a message has one item type and any length")
        inner = shape_of(item, namespace, seen)
        return _integers(inner) if inner.schema == "long" else _array(inner)
    if annotation is bool:
        return _plain("boolean", bool)
    if annotation is int:
        return _integer(bounds)
    if annotation is str:
        return _text(bounds)
    if annotation is bytes:
        return _plain("bytes", bytes)
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return _enum(annotation, namespace, seen)
    if is_dataclass(annotation):
        return record_shape(annotation, namespace, seen)
    raise TypeError(f"{annotation!r} has no Avro form in a message")


class _Unfinished:
    """Stands for a record whose fields are still being looked at."""


def record_shape(cls: Any, namespace: str, seen: dict[str, type] | None = None) -> Shape:
    """The shape of a message class; field order is the class's."""
    seen = {} if seen is None else seen
    name = f"{namespace}.{cls.__name__}"
    hints = get_type_hints(cls, include_extras=True)
    names = tuple(f.name for f in fields(cls))
    known = seen.get(name) is cls
    if not known and name in seen:
        raise TypeError(f"{name} contains itself, or two classes of this name stand in one message")
    seen[name] = _Unfinished if not known else cls
    shapes = tuple(shape_of(hints[n], namespace, seen) for n in names)
    seen[name] = cls
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


def _integer(bounds: tuple[Any, ...]) -> Shape:
    lows: list[Any] = [b.ge for b in bounds if isinstance(b, Ge)]
    highs: list[Any] = [b.le for b in bounds if isinstance(b, Le)]
    low, high = max(lows, default=-INT64_MAX - 1), min(highs, default=INT64_MAX)

    def to_datum(value: Any, path: str) -> Any:
        if type(value) is not int or not low <= value <= high:
            raise InvalidMessage(path, f"an integer from {low} to {high}", value)
        return value

    return Shape("long", to_datum, _identity)


def _text(bounds: tuple[Any, ...]) -> Shape:
    low = max([b.min_length for b in bounds if isinstance(b, MinLen)], default=0)
    high = min([b.max_length for b in bounds if isinstance(b, MaxLen)], default=4096)

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
    if seen.get(name) is not cls:
        schema = {"type": "enum", "name": name, "symbols": list(members)}
        seen[name] = cls

    def to_datum(value: Any, path: str) -> Any:
        if type(value) is not cls:
            raise InvalidMessage(path, f"a {cls.__name__}", value)
        return value.value

    return Shape(schema, to_datum, members.__getitem__)


def _optional(annotation: Any, bounds: tuple[Any, ...], namespace: str, seen: dict[str, type]) -> Shape:
    args = get_args(annotation)
    kept = [a for a in args if a is not NoneType]
    if len(kept) != 1 or len(args) != 2:
        raise TypeError(f"{annotation}: a union in a message is one type or null")
    inner = shape_of(Annotated[kept[0], *bounds] if bounds else kept[0], namespace, seen)

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
