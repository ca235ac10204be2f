"""The state of a key drawn as a tree: whatever a family keeps, by the names of its fields."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import fields, is_dataclass
from enum import Enum
from inspect import get_annotations
from typing import Any, Final

from rich.markup import escape
from rich.tree import Tree

from gateways.figures import figure, label, utc

_ITEMS: Final = 50
"""Entries of one collection that are shown; the others are counted."""

_DEPTH: Final = 12
_TIMES_US: Final = range(946_684_800_000_000, 4_102_444_800_000_000)
"""A number like this as a key is a time between 2000 and 2100."""


def state_tree(title: str, state: Any) -> Tree:
    """A branch for each object and collection, a leaf for each figure; empty collections are named as empty."""
    tree = Tree(title)
    _into(tree, "", state, _DEPTH)
    return tree


def _into(tree: Tree, name: str, value: Any, depth: int) -> None:
    parts = list(_parts(name, value))
    for part_name, shown_as, part in parts[:_ITEMS]:
        _add(tree, part_name, shown_as, part, depth)
    if len(parts) > _ITEMS:
        tree.add(f"[dim]… and {len(parts) - _ITEMS:,} more[/dim]")


def _add(tree: Tree, name: str, shown_as: str, part: Any, depth: int) -> None:
    if _is_leaf(part):
        tree.add(f"{escape(shown_as)} [cyan]{escape(_figure(name, part))}[/cyan]".strip())
    elif depth == 0:
        tree.add(f"{escape(shown_as)} [dim]…[/dim]")
    elif not list(_parts(name, part)):
        tree.add(f"{escape(shown_as)} [dim]empty[/dim]")
    else:
        _into(tree.add(f"[bold]{escape(shown_as)}[/bold]"), name, part, depth - 1)


def _figure(name: str, value: Any) -> str:
    """By the unit in the name; numbers that can only be times, in a collection that names none, as times."""
    if isinstance(value, tuple | list) and all(type(item) is int and item in _TIMES_US for item in value):
        return f"[{', '.join(map(utc, value))}]"
    return figure(name, value)


def _is_leaf(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return bool(value) and all(isinstance(item, int | str | bool | Enum) for item in value)
    return isinstance(value, int | str | bytes | bool | Enum) or value is None


def _parts(name: str, value: Any) -> Iterable[tuple[str, str, Any]]:
    """The parts of an object or collection: the name that says their unit, the words for it, the part."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield name, _key(key), part
    elif isinstance(value, Set):
        for part in sorted(value, key=str):
            yield name, "·", part
    elif isinstance(value, Iterable):
        for n, part in enumerate(value):
            yield name, f"{n}", part
    else:
        for field in _fields(type(value)):
            if hasattr(value, field):
                yield field, label(field).strip(), getattr(value, field)


def _fields(cls: type) -> list[str]:
    """What an object of the class keeps, in the order in which it is declared; nothing that is hidden."""
    if is_dataclass(cls):
        names = [field.name for field in fields(cls)]
    else:
        slots = [getattr(above, "__slots__", ()) for above in reversed(cls.__mro__)]
        names = [name for each in slots for name in ([each] if isinstance(each, str) else each)]
        names += get_annotations(cls)
    return [name for name in dict.fromkeys(names) if not name.startswith("_")]


def _key(key: Any) -> str:
    if isinstance(key, tuple):
        return ", ".join(map(_key, key))
    if isinstance(key, int) and not isinstance(key, bool) and key in _TIMES_US:
        return utc(key)
    return str(key.value) if isinstance(key, Enum) else str(key)
