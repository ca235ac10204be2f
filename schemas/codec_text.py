"""Lines of generated code with their indentation, and the names that the lines use."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

from schemas.form import Choice, Form, Integer, Many, Maybe, Part, Raw, Truth
from schemas.form import Text as TextForm

EIGHT_BYTES = range(2**48, 2**55)
"""The highest integers whose varint has eight bytes: those of the times of our days."""


def alias(cls: Any) -> str:
    """The name of a message class in generated code, unique over all modules."""
    return f"{cls.__module__}_{cls.__qualname__}".replace(".", "_").replace("<locals>", "").removeprefix("schemas_")


def inside(owner: str, field: str) -> str:
    """The variable of a field of `owner`. Other variables end in `_` and a capital: none is another's.

    Raises:
        TypeError: the field's name is not lower-case words with single underscores between them.
    """
    if not re.fullmatch("[a-z][a-z0-9]*(_[a-z0-9]+)*", field):
        raise TypeError(f"{field}: a field of a message is named by lower-case words with one _ between them")
    return f"{owner}__{field}"


class Text:
    """Lines that are being written. `classes` and `tables` are what they name."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._depth = 0
        self.classes: dict[Any, None] = {}
        self.tables: dict[str, str] = {}

    def add(self, *lines: str) -> None:
        """Writes lines at the present depth."""
        self._lines += ["    " * self._depth + line for line in lines]

    @contextmanager
    def under(self, opening: str) -> Iterator[None]:
        """Writes a line and everything inside one deeper."""
        self.add(opening)
        self._depth += 1
        yield
        self._depth -= 1

    def lines(self) -> str:
        """What was written."""
        return "\n".join(self._lines)

    def cls(self, cls: Any) -> str:
        """The name by which the lines call a message class."""
        self.classes[cls] = None
        return alias(cls)

    def codes(self, cls: type[StrEnum]) -> str:
        """The name of the table from an enum's members to their bytes."""
        name, kind = f"{alias(cls)}_codes", self.cls(cls)
        self.tables[name] = f"{name}: Final[dict[{kind}, bytes]] = {{m: EVEN[n] for n, m in enumerate({kind})}}"
        return name

    def members(self, cls: type[StrEnum]) -> str:
        """The name of the table from the numbers that stand for an enum's members to them; odd numbers are nobody's."""
        name, kind = f"{alias(cls)}_members", self.cls(cls)
        self.tables[name] = f"{name}: Final[list[{kind} | None]] = [x for m in {kind} for x in (m, None)]"
        return name

    def type(self, form: Form) -> str:
        """The type of a form's values, as an annotation."""
        match form:
            case Integer():
                return "int"
            case TextForm():
                return "str"
            case Truth():
                return "bool"
            case Raw():
                return "bytes"
            case Choice(cls) | Part(cls):
                return self.cls(cls)
            case Maybe(inner):
                return f"{self.type(inner)} | None"
            case Many(item):
                return f"tuple[{self.type(item)}, ...]"
