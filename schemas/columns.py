"""Many values of a kind as columns: a snapshot of them is smaller, and quicker to take in, than one by one."""

from collections.abc import Hashable, Iterable
from typing import TypeVar

Value = TypeVar("Value", bound=Hashable)

Texts = str | list[str]
"""Texts with a line's end between two; as they are where one holds one itself."""


def texts(values: list[str]) -> Texts:
    """Texts of which no two are alike."""
    one = "\n".join(values)
    return one if one.count("\n") == len(values) - 1 else values


def texts_of(packed: Texts) -> list[str]:
    """The texts again."""
    return packed.split("\n") if isinstance(packed, str) else packed


def repeated(values: Iterable[Value]) -> tuple[list[Value], list[int]]:
    """Values of which many are alike: each of them once, and for every place which one stands there."""
    numbers: dict[Value, int] = {}
    places = [numbers.setdefault(value, len(numbers)) for value in values]
    return list(numbers), places


def repeated_of(packed: tuple[list[Value], list[int]]) -> list[Value]:
    """The values again; those that are alike are one object."""
    found, places = packed
    return list(map(found.__getitem__, places))
