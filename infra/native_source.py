"""A module's source as mypyc compiles it best: what class decorators do at import stands written out.

mypyc makes native classes of plain classes and of plain `dataclass`es only, and leaves the latter an interpreted
`__init__`. Here message classes (`schemas/message.py`) and dataclasses get their `__init__` as source, and
everything else that makes them dataclasses when the module is imported, from a twin made by the library. All
lines stay where they are, so that a traceback still tells the line of the real source.
"""

import ast
from dataclasses import dataclass
from typing import Final

_DECORATORS: Final = {"value": "_Kind.VALUE", "command": "_Kind.COMMAND", "event": "_Kind.EVENT", "envelope": None}
"""The decorators of `schemas/message.py`, with the kind that each gives."""

_IMPORTS: Final = (
    "import dataclasses as _dataclasses; from typing import TYPE_CHECKING as _CHECKING, Any as _Any, "
    "ClassVar as _ClassVar; from schemas.message import Kind as _Kind; _interpreted: _Any = lambda cls: cls; "
)

_BEHIND: Final = '''
if _CHECKING:
    from mypy_extensions import mypyc_attr as _mypyc_attr


def _declare(cls: _Any, doc: str, types: dict[str, _Any], defaults: dict[str, _Any], hashed: bool) -> None:
    fields = [(n, t, _dataclasses.field(default=defaults.get(n, _dataclasses.MISSING))) for n, t in types.items()]
    twin: _Any = _dataclasses.make_dataclass(cls.__name__, fields, init=False, unsafe_hash=hashed)
    cls.__doc__, cls.__annotations__, cls.__slots__ = doc, types, tuple(types)
    for name in ("__dataclass_fields__", "__dataclass_params__", "__match_args__", "__eq__", "__hash__", "__repr__"):
        setattr(cls, name, getattr(twin, name))


def _annotate(cls: _Any, doc: str, types: dict[str, _Any]) -> None:
    """mypyc keeps only the outermost part of a dataclass's annotations."""
    cls.__doc__, cls.__annotations__ = doc, types
    for name, annotation in types.items():
        cls.__dataclass_fields__[name].type = annotation

'''


def native_source(source: str) -> str:
    """The source with the same behaviour whose classes mypyc compiles to native ones with a native `__init__`.

    Raises:
        ValueError: a class leaves no room for what must stand behind it.
    """
    body = ast.parse(source).body
    classes = [found for node in body if (found := _Class.of(node)) is not None]
    errors = [node for node in body if isinstance(node, ast.ClassDef) and _is_error(node)]
    if not classes and not errors:
        return source
    lines = [*source.splitlines(), "", ""]
    for found in classes:
        found.write_out(lines)
    for error in errors:
        lines[error.lineno - 2] = "@_interpreted"
    first = next(n for n in body if isinstance(n, ast.Import | ast.ImportFrom))
    lines[first.lineno - 1] = _IMPORTS + lines[first.lineno - 1]
    return "\n".join(lines) + _BEHIND + "\n".join(found.declaration() for found in classes) + "\n"


def _is_error(node: ast.ClassDef) -> bool:
    """Whether it is an exception: mypyc makes no native class of most, and of a class with a decorator none."""
    return not node.decorator_list and any(
        isinstance(base, ast.Name) and base.id.endswith(("Error", "Exception")) for base in node.bases
    )


@dataclass(frozen=True, slots=True)
class _Class:
    """A class with one decorator that makes it a dataclass; `plain` when mypyc's own way must do."""

    node: ast.ClassDef
    fields: list[tuple[str, str, str | None]]
    decorator: str
    plain: bool

    @classmethod
    def of(cls, node: ast.stmt) -> "_Class | None":
        if not isinstance(node, ast.ClassDef) or len(node.decorator_list) != 1:
            return None
        decorator = ast.unparse(node.decorator_list[0])
        if decorator not in _DECORATORS and decorator.split("(")[0] != "dataclass":
            return None
        fields = [
            (part.target.id, ast.unparse(part.annotation), None if part.value is None else ast.unparse(part.value))
            for part in node.body
            if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
        ]
        # Fields made by factories: their `__init__` is more than assignments.
        plain = any(default is not None and "(" in default for _, _, default in fields)
        return cls(node, fields, decorator, plain)

    def write_out(self, lines: list[str]) -> None:
        """Puts the `__init__` behind the class and another decorator before it, without moving a line."""
        if self.plain:
            return
        free = self.node.end_lineno
        assert free is not None
        if lines[free] or lines[free + 1]:
            raise ValueError(f"class {self.node.name}: two empty lines must stand behind it")
        parameters = "".join(f", {n}: {t}" + ("" if d is None else f" = {d}") for n, t, d in self.fields)
        kind = _DECORATORS.get(self.decorator)
        if kind is not None:
            lines[free] = f"    __message_kind__: _ClassVar[_Kind] = {kind}"
        lines[free + 1] = f"    def __init__(self{parameters}) -> None: " + "; ".join(
            f"self.{n} = {n}" for n, _, _ in self.fields
        )
        # Made by `__new__` alone, as pickle, copy and pydantic do; no part of a cycle, so of no interest to the
        # garbage collector (a generic one cannot say so).
        acyclic = "" if self.node.bases else ", acyclic=True"
        place = self.node.decorator_list[0].lineno - 1
        lines[place] = f"@_mypyc_attr(allow_interpreted_subclasses=True, serializable=True{acyclic})"

    def declaration(self) -> str:
        """The line that makes the class a dataclass for everybody who asks."""
        types = ", ".join(f"{n!r}: {t}" for n, t, _ in self.fields)
        told = f"{self.node.name}, {ast.get_docstring(self.node, clean=False)!r}, {{{types}}}"
        if self.plain:
            return f"_annotate({told})"
        defaults = ", ".join(f"{n!r}: {d}" for n, _, d in self.fields if d is not None)
        # Freezing is left to the type checker of the real source, as with messages.
        hashed = self.decorator in _DECORATORS or "frozen=True" in self.decorator
        return f"_declare({told}, {{{defaults}}}, {hashed})"
