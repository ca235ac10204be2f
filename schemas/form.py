"""What a field of a message may be: the few forms that annotations can have here, with their ranges.

Schema and checks (`schemas/shape.py`) and the generated codec (`schemas/codec_source.py`) walk these, so
there is one reading of an annotation.
"""

from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Le, MaxLen, MinLen

from schemas.values import INT64_MAX

MAX_TEXT = 4096
"""Characters of a text that declares no length."""


@dataclass(frozen=True, slots=True)
class Integer:
    """An integer from `low` to `high`."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Text:
    """Printable text of `low` to `high` characters."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Truth:
    """True or false."""


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes of any length."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One member of an enum."""

    cls: type[StrEnum]


@dataclass(frozen=True, slots=True)
class Maybe:
    """Something or none."""

    inner: "Form"


@dataclass(frozen=True, slots=True)
class Many:
    """A tuple of any length."""

    item: "Form"


@dataclass(frozen=True, slots=True)
class Part:
    """A message class: its fields in the class's order."""

    cls: Any
    fields: tuple[tuple[str, "Form"], ...]


Form = Integer | Text | Truth | Raw | Choice | Maybe | Many | Part


def form_of(annotation: Any) -> Form:
    """The form of a type annotation.

    Raises:
        TypeError: the annotation has no form in a message (float, dict, union of several types …).
    """
    return _form(annotation, ())


@cache
def part_of(cls: Any) -> Part:
    """The form of a message class.

    Raises:
        TypeError: a field has no form in a message, or the class contains itself.
    """
    return _part(cls, ())


def _part(cls: Any, within: tuple[Any, ...]) -> Part:
    if cls in within:
        raise TypeError(f"{cls.__name__} contains itself")
    hints = get_type_hints(cls, include_extras=True)
    return Part(cls, tuple((f.name, _form(hints[f.name], (*within, cls))) for f in fields(cls)))


def _form(annotation: Any, within: tuple[Any, ...]) -> Form:
    bounds: tuple[Any, ...] = ()
    if get_origin(annotation) is Annotated:
        annotation, *rest = get_args(annotation)
        bounds = tuple(rest)
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        return _maybe(annotation, bounds, within)
    if origin is tuple:
        return _many(annotation, within)
    if annotation is int:
        return _integer(bounds)
    if annotation is str:
        return _text(bounds)
    if annotation is bool:
        return Truth()
    if annotation is bytes:
        return Raw()
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return Choice(annotation)
    if is_dataclass(annotation):
        return _part(annotation, within)
    raise TypeError(f"{annotation!r} has no Avro form in a message")


def _maybe(annotation: Any, bounds: tuple[Any, ...], within: tuple[Any, ...]) -> Form:
    args = get_args(annotation)
    kept = [a for a in args if a is not NoneType]
    if len(kept) != 1 or len(args) != 2:
        raise TypeError(f"{annotation}: a union in a message is one type or null")
    return Maybe(_form(Annotated[kept[0], *bounds] if bounds else kept[0], within))


def _many(annotation: Any, within: tuple[Any, ...]) -> Form:
    item, end = get_args(annotation)
    if end is not Ellipsis:
        raise TypeError(f"{annotation}: a tuple in a message has one item type and any length")
    form = _form(item, within)
    if isinstance(form, Part) and not form.fields:
        # Items without bytes: a few bytes could claim any number of them.
        raise TypeError(f"{annotation}: the items of a tuple have at least one field")
    return Many(form)


def _integer(bounds: tuple[Any, ...]) -> Form:
    lows: list[Any] = [b.ge for b in bounds if isinstance(b, Ge)]
    highs: list[Any] = [b.le for b in bounds if isinstance(b, Le)]
    return Integer(max(lows, default=-INT64_MAX - 1), min(highs, default=INT64_MAX))


def _text(bounds: tuple[Any, ...]) -> Form:
    low = max([b.min_length for b in bounds if isinstance(b, MinLen)], default=0)
    high = min([b.max_length for b in bounds if isinstance(b, MaxLen)], default=MAX_TEXT)
    return Text(low, high)
