"""House rules that no linter knows : one test for each, over the rooms."""

import ast
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from schemas.catalog import FAMILIES

ROOT = Path(__file__).parents[2]
ROOMS = ("schemas", "domain", "projections", "consumers", "infra", "gateways")
FORBIDDEN = {"utils", "util", "helpers", "helper", "common", "base", "manager", "managers", "misc"}
MAX_LINES = 400
MAX_LINES_OF_MESSAGES = 500
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def modules(*rooms: str) -> list[Path]:
    """The Python files of some rooms, by their path in the repository."""
    return sorted(p.relative_to(ROOT) for room in rooms for p in (ROOT / room).rglob("*.py"))


def each(*rooms: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("module", modules(*rooms), ids=str)


def tree(module: Path) -> ast.Module:
    return ast.parse((ROOT / module).read_text(encoding="utf-8"))


def test_there_is_something_to_look_at() -> None:
    assert len(modules("domain")) > 20
    assert set(ROOMS) == {module.parts[0] for module in modules(*ROOMS)}


@each(*ROOMS)
def test_a_file_is_one_concept(module: Path) -> None:
    messages = module.parts[0] == "schemas" and module.stem.split("_")[-1] in ("commands", "events")
    limit = MAX_LINES_OF_MESSAGES if messages else MAX_LINES
    lines = len((ROOT / module).read_text(encoding="utf-8").splitlines())
    assert lines <= limit, f"{module} has {lines} lines, its limit is {limit}: it is two concepts, split it"


@each(*ROOMS)
def test_a_name_says_what_is_inside(module: Path) -> None:
    bad = FORBIDDEN & {part.removesuffix(".py") for part in module.parts}
    assert not bad, f"{module}: {bad} says nothing; name the file after its concept"


@each("domain")
def test_numbers_of_the_domain_are_exact(module: Path) -> None:
    assert list(inexact(tree(module))) == []


@each(*ROOMS)
def test_what_is_public_has_a_docstring(module: Path) -> None:
    assert list(undocumented(tree(module))) == []


def inexact(node: ast.AST) -> Iterator[str]:
    """Places where a number may become a float: literals, the name `float`, division that is not of a `Fraction`."""
    for found in ast.walk(node):
        match found:
            case ast.Constant(value=float() | complex() as number):
                yield f"line {found.lineno}: the literal {number}"
            case ast.Name(id="float"):
                yield f"line {found.lineno}: float"
            case ast.BinOp(op=ast.Div(), left=left, right=right) if not (_exact(left) or _exact(right)):
                yield f"line {found.lineno}: true division; use // with a named rounding, or Fraction(…) / …"
            case ast.AugAssign(op=ast.Div()):
                yield f"line {found.lineno}: true division"


def _exact(operand: ast.expr) -> bool:
    return any(
        isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and part.func.id == "Fraction"
        for part in ast.walk(operand)
    )


def undocumented(module: ast.Module) -> Iterator[str]:
    """The module, its public functions and classes, and their public methods, where they promise nothing.

    Methods of a Protocol are not asked: its adapters repeat them and the promise may stand above them all.
    """
    if module.body and ast.get_docstring(module) is None:
        yield "the module itself"
    for found in _public(module.body):
        methods = _public(found.body) if isinstance(found, ast.ClassDef) and not _is_protocol(found) else ()
        for promised in (found, *methods):
            if ast.get_docstring(promised) is None:
                yield f"line {promised.lineno}: {promised.name}"


def _public(body: Iterable[ast.stmt]) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    for found in body:
        if isinstance(found, _DEFINITIONS) and not found.name.startswith("_"):
            yield found


def _is_protocol(cls: ast.ClassDef) -> bool:
    return any(ast.unparse(base).startswith("Protocol") for base in cls.bases)


@pytest.mark.parametrize(
    "planted",
    ["x = 0.5", "x = 1e3", "def f(x: float) -> int: ...", "y = float(1)", "x = 1 / 2", "x /= 2", "x = 2j"],
)
def test_the_walk_finds_what_is_inexact(planted: str) -> None:
    assert len(list(inexact(ast.parse(planted)))) == 1


def test_the_walk_lets_exact_division_pass() -> None:
    assert list(inexact(ast.parse("x = Fraction(1, 3) / 2 + 7 // 2 + 3 * Fraction(1)"))) == []


@pytest.mark.parametrize(
    "planted",
    [
        "x = 1",
        '"""m"""\ndef f(): ...',
        '"""m"""\nasync def f(): ...',
        '"""m"""\nclass C: ...',
        '"""m"""\nclass C:\n    """c"""\n    def f(self): ...',
    ],
)
def test_the_walk_finds_what_is_undocumented(planted: str) -> None:
    assert len(list(undocumented(ast.parse(planted)))) == 1


@pytest.mark.parametrize(
    "fine",
    [
        '"""m"""\ndef _f(): ...\nclass _C:\n    def f(self): ...',
        '"""m"""\nclass P(Protocol[T]):\n    """p"""\n    def f(self): ...',
        '"""m"""\nclass C:\n    """c"""\n    def __init__(self): ...\n    def _f(self): ...',
    ],
)
def test_the_walk_lets_private_names_and_protocols_pass(fine: str) -> None:
    assert list(undocumented(ast.parse(fine))) == []


def test_import_linter_keeps_every_family_apart() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [apart] = [c for c in contracts if c["id"] == "families"]
    named = {name.strip(" ()") for name in apart["layers"][1].split("|")}
    assert named == set(FAMILIES)
