"""The conformance table names only tests that exist, and clause ids once each."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
ROW = re.compile(r"^\| ([A-Z][A-Z0-9b-]*) \| (.+) \| (.+) \| (.+) \|$")
NODE = re.compile(r"`([^`]+\.py)::([A-Za-z0-9_]+)`")
FIRST_FORM = {"S0", "S1", "S2", "S4", "S6", "M2", "M3", "M4", "O1", "P-TRADE", "P-MEASURE", "P-SETTLE", "P-BILL"}


def rows() -> list[tuple[str, str]]:
    text = (ROOT / "docs" / "conformance.md").read_text()
    found = [ROW.match(line) for line in text.splitlines()]
    return [(m.group(1), m.group(4)) for m in found if m]


def functions(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text())
    return {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_named_test_exists() -> None:
    for clause, shown_by in rows():
        nodes = NODE.findall(shown_by)
        assert nodes, f"{clause} names no test"
        for file, name in nodes:
            assert (ROOT / file).exists(), f"{clause}: {file}"
            assert name in functions(file), f"{clause}: {file}::{name}"


def test_clauses_stand_once_and_the_first_form_is_whole() -> None:
    clauses = [clause for clause, _ in rows()]
    assert len(clauses) == len(set(clauses))
    assert set(clauses) >= FIRST_FORM
