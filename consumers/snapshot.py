"""Snapshots: a partition's memory as bytes, and back only when everything about it fits.

A snapshot saves work, it is never truth: whatever does not fit (another release's classes or logic, a
damaged file, another log) is left aside with a sentence, and the memory is built from the records.
"""

import enum
import hashlib
import importlib
import io
import json
import pickle
import pkgutil
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Any, Final

from consumers.garbage import kept
from consumers.memory import Memory
from consumers.partition import PartitionDecider
from consumers.ports import Partition

_FORMAT: Final = 2
"""Raised with what `__getstate__` of a class in a memory writes; its fields are in the shape."""

_ROOMS: Final = ("schemas", "domain", "consumers.memory")
_PLAIN: Final = frozenset({("collections", "deque"), ("array", "array"), ("array", "_array_reconstructor")})


class UnusableSnapshot(ValueError):
    """A snapshot does not fit; the message says why. The records are there: build the memory from them."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a snapshot stands: the next record's position on the log and its number."""

    position: int
    seq: int


def written(partition: Partition, decider: PartitionDecider, position: int) -> bytes:
    """The memory of a decider that has taken in everything before `position`, and nothing behind it."""
    memory, head = decider.image()
    body = pickle.dumps((memory, head), protocol=5)
    told = {
        "format": _FORMAT,
        "family": partition.family,
        "partition": partition.number,
        "position": position,
        "seq": decider.seq,
        "logic": decider.logic,
        "shape": shape(partition.family),
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    return json.dumps(told).encode() + b"\n" + body


def taken(partition: Partition, decider: PartitionDecider, data: bytes) -> Position:
    """Puts the memory of a snapshot into a fresh decider; returns where to go on.

    Raises:
        UnusableSnapshot: nothing was put in.
    """
    line, _, body = data.partition(b"\n")
    try:
        told: dict[str, Any] = json.loads(line)
        found = {name: told[name] for name in ("format", "family", "partition", "logic", "shape", "sha256")}
        position = Position(int(told["position"]), int(told["seq"]))
    except (ValueError, KeyError, TypeError) as error:
        raise UnusableSnapshot(f"it does not begin as a snapshot does ({error!r})") from error
    expected = {
        "format": _FORMAT,
        "family": partition.family,
        "partition": partition.number,
        "logic": decider.logic,
        "shape": shape(partition.family),
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    for name, value in expected.items():
        if found[name] != value:
            raise UnusableSnapshot(f"its {name} is {found[name]!r}, expected {value!r}")
    try:
        with kept():
            memory, head = _Reader(io.BytesIO(body), partition.family).load()
    except Exception as error:  # a pickle raises whatever it meets
        raise UnusableSnapshot(f"it cannot be read ({error!r})") from error
    if not isinstance(memory, Memory) or not isinstance(head, bytes) or memory.seq != position.seq:
        raise UnusableSnapshot("its memory is not the one that its first line tells of")
    decider.resume(memory, head)
    return position


class _Reader(pickle.Unpickler):
    """Makes objects of the family's own classes and nothing else: a pickle from elsewhere could run anything.

    A name is looked up in a table and never followed: from any class a dotted path leads to every other one.
    """

    def __init__(self, body: io.BytesIO, family: str) -> None:
        super().__init__(body)
        self._ours = {(cls.__module__, cls.__qualname__): cls for cls in _classes(family)}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _PLAIN:
            return super().find_class(module, name)
        found = self._ours.get((module, name))
        if found is None:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of a memory")
        return found


@cache
def shape(family: str) -> str:
    """A hash over the names, fields and types of every class that a memory of the family may hold."""
    lines = sorted(_described(cls) for cls in _classes(family))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]


def _classes(family: str) -> set[type]:
    modules = ["consumers.memory", "schemas.values", "schemas.equipment", "schemas.envelope"]
    for package in (f"domain.{family}", f"schemas.{family}", "schemas.log"):
        modules.append(package)
        path = importlib.import_module(package).__path__
        modules += [found.name for found in pkgutil.walk_packages(path, f"{package}.")]
    held = set[type]()
    for module in modules:
        for cls in vars(importlib.import_module(module)).values():
            if isinstance(cls, type) and cls.__module__.startswith(_ROOMS):
                held.add(cls)
    return held


def _described(cls: type) -> str:
    name = f"{cls.__module__}.{cls.__qualname__}"
    if issubclass(cls, enum.Enum):
        return f"{name}: {[(m.name, m.value) for m in cls]}"
    if is_dataclass(cls):
        return f"{name}: {[(f.name, str(f.type)) for f in fields(cls)]}"
    return f"{name}: {getattr(cls, '__annotations__', {})} {getattr(cls, '__slots__', ())}"
