"""Any message of a class, within the ranges of its fields and up to their ends."""

from dataclasses import fields
from enum import StrEnum
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Le, MaxLen, MinLen
from hypothesis import strategies as st

from schemas.values import INT64_MAX


def any_message(cls: Any) -> st.SearchStrategy[Any]:
    """Any message of a class. Its arrays have one length: where there are several they run side by side."""
    hints = get_type_hints(cls, include_extras=True)
    # A slate has a row for each of so many intervals: no domain lets more through than a message could list.
    few = Annotated[int, Ge(0), Le(3)]
    annotations = [few if f.name == "intervals" else hints[f.name] for f in fields(cls)]
    arrays = any(get_origin(a) is tuple for a in annotations)
    lengths = st.integers(0, 3) if arrays else st.just(0)
    return lengths.flatmap(lambda length: st.builds(cls, *[_anything(a, length) for a in annotations]))


def _anything(annotation: Any, length: int) -> st.SearchStrategy[Any]:
    """Values of a message's field, within its ranges and up to their ends; arrays of this length."""
    bounds: tuple[Any, ...] = ()
    if get_origin(annotation) is Annotated:
        annotation, *rest = get_args(annotation)
        bounds = tuple(rest)
    if get_origin(annotation) in (Union, UnionType):
        (kept,) = (a for a in get_args(annotation) if a is not NoneType)
        return st.none() | _anything(Annotated[kept, *bounds] if bounds else kept, length)
    if get_origin(annotation) is tuple:
        item = _anything(get_args(annotation)[0], length)
        return st.lists(item, min_size=length, max_size=length).map(tuple)
    if annotation is int:
        low = max((b.ge for b in bounds if isinstance(b, Ge)), default=-INT64_MAX - 1)  # type: ignore[type-var]
        high = min((b.le for b in bounds if isinstance(b, Le)), default=INT64_MAX)  # type: ignore[type-var]
        return st.integers(low, high)  # type: ignore[arg-type]
    if annotation is str:
        shortest = max((b.min_length for b in bounds if isinstance(b, MinLen)), default=0)
        longest = min((b.max_length for b in bounds if isinstance(b, MaxLen)), default=96)
        return st.text("abc-/", min_size=shortest, max_size=longest)
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return st.sampled_from(annotation)
    if annotation in (bool, bytes):
        return st.from_type(annotation)
    return any_message(annotation)
