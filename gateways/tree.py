"""An explanation drawn as a tree in the terminal, its figures in the units that people read."""

from datetime import UTC, datetime
from typing import Final

from rich.markup import escape
from rich.tree import Tree

from gateways.figures import decimal, words
from projections.explained import ExplainNode

_DIGITS: Final = {"_pico": 12, "_micro": 6}
_HIDDEN: Final = frozenset({"minor_digits"})


def as_tree(node: ExplainNode) -> Tree:
    """Each node says what it is, its figures, and where it stands on the log."""
    tree = Tree(_label(node))
    for child in node.children:
        tree.children.append(as_tree(child))
    return tree


def _label(node: ExplainNode) -> str:
    digits = node.figures.get("minor_digits", 0)
    figures = ", ".join(shown for name, value in node.figures.items() if (shown := _figure(name, value, digits)))
    at = node.position
    place = f" [dim]({at.family}/{at.partition} seq {at.seq}, tick {at.tick})[/dim]" if at else ""
    return f"[bold]{escape(node.title)}:[/bold] {escape(node.what)} [cyan]{figures}[/cyan]{place}"


def _figure(name: str, value: int, minor_digits: int) -> str:
    """A figure by the unit in its name; empty where it says nothing (a price of 0 where several are summed)."""
    if name in _HIDDEN or (name.endswith("_nano_per_kwh") and value == 0):
        return ""
    if name.endswith("_nano_per_kwh"):
        return f"{words(name, '_nano_per_kwh')} {decimal(value, 9)} per kWh"
    if name.endswith("_wh"):
        return f"{words(name, '_wh')} {value:,} Wh"
    if name.endswith("_at") or name == "valid_from":
        moment = datetime.fromtimestamp(value // 1_000_000, UTC)
        return f"{words(name, '_at')} {moment:%Y-%m-%d %H:%M} UTC"
    if name.endswith("_minor"):
        return f"{words(name, '_minor')} {decimal(value, minor_digits)}"
    for unit, digits in _DIGITS.items():
        if name.endswith(unit):
            return f"{words(name, unit)} {decimal(value, digits)}"
    return f"{words(name)} {value:,}"
