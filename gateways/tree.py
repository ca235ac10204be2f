"""An explanation drawn as a tree in the terminal."""

from rich.markup import escape
from rich.tree import Tree

from projections.explained import ExplainNode


def as_tree(node: ExplainNode) -> Tree:
    """Each node says what it is, its figures, and where it stands on the log."""
    tree = Tree(_label(node))
    for child in node.children:
        tree.children.append(as_tree(child))
    return tree


def _label(node: ExplainNode) -> str:
    figures = ", ".join(f"{name} {value:,}" for name, value in node.figures.items())
    at = node.position
    place = f" [dim]({at.family}/{at.partition} seq {at.seq}, tick {at.tick})[/dim]" if at else ""
    return f"[bold]{escape(node.title)}[/bold] {escape(node.what)} [cyan]{figures}[/cyan]{place}"
