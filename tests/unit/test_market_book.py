"""The rule book of a market names only tests that exist, and every refusal."""

import ast
import re
from dataclasses import fields
from pathlib import Path

from schemas.market.events import MarketRefusal, RuleSet

ROOT = Path(__file__).parent.parent.parent
NODE = re.compile(r"`([^`]+\.py)::([A-Za-z0-9_]+)`")


def test_every_rule_names_a_test_that_exists() -> None:
    nodes = NODE.findall((ROOT / "docs" / "market.md").read_text())
    assert nodes
    for file, name in nodes:
        tree = ast.parse((ROOT / file).read_text())
        tests = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert name in tests, f"{file}::{name}"


def test_every_paragraph_of_rules_names_a_test() -> None:
    text = (ROOT / "docs" / "market.md").read_text()
    rules = [line for line in text.splitlines() if line.startswith("- ")]
    assert [rule for rule in rules if not NODE.search(rule) and "UTC" not in rule] == []


def test_every_refusal_has_its_rule_and_its_meaning() -> None:
    text = (ROOT / "docs" / "market.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \|$", text, re.MULTILINE)
    assert rows == [reason.value for reason in MarketRefusal]


def test_every_field_of_the_rules_is_told() -> None:
    text = (ROOT / "docs" / "market.md").read_text()
    told = set(re.findall(r"`(?:\w+\.)?(\w+)`", text)) | set(re.findall(r"`(\w+)\.\w+`", text))
    assert [f.name for f in fields(RuleSet) if f.name not in told] == []
