"""The tree that explains an amount: every node says one sentence, shows figures and where its fact stands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from projections.view import Row

MAX_CHILDREN: Final = 12
"""Nodes of one kind that are shown under a node; a summary node stands for the rest, with its sums."""

_ADDITIVE: Final = ("energy_wh", "amount_micro", "intervals")


@dataclass(frozen=True, slots=True)
class Position:
    """Where the fact behind a node stands on the log."""

    family: str
    partition: int
    seq: int
    tick: int


@dataclass(frozen=True, slots=True)
class ExplainNode:
    """One step of an explanation.

    `amount_pico` is the node's part of the explained amount in 10⁻¹² of the currency, or none where a
    node is evidence (an order, a batch of readings) and no part of the sum. `holds` is a check of the
    node's own (the same figure told twice is equal). `adds_up`: everything in this tree holds, and
    wherever an amount is split the parts add up to it.
    """

    title: str
    what: str
    figures: Mapping[str, int] = field(default_factory=dict)
    position: Position | None = None
    children: tuple["ExplainNode", ...] = ()
    amount_pico: int | None = None
    holds: bool = True
    adds_up: bool = field(init=False)

    def __post_init__(self) -> None:
        parts = [child.amount_pico for child in self.children if child.amount_pico is not None]
        whole = not parts or sum(parts) == self.amount_pico
        adds_up = self.holds and whole and all(child.adds_up for child in self.children)
        object.__setattr__(self, "adds_up", adds_up)

    def leaves(self) -> list["ExplainNode"]:
        """The nodes whose amounts are not split any further: they add up to the node's."""
        if self.amount_pico is None:
            return []
        return [leaf for child in self.children for leaf in child.leaves()] or [self]


def position_of(family: str, row: Row) -> Position:
    """The position of the fact that a row was made from."""
    return Position(family, row["partition"], row["seq"], row["tick"])


def rounding(sum_pico: int, unit_pico: int, unit: str) -> ExplainNode:
    """What rounding a sum half up (away from zero) to a unit adds, reckoned here again from the sum alone."""
    magnitude = (2 * abs(sum_pico) + unit_pico) // (2 * unit_pico) * unit_pico
    rounded = magnitude if sum_pico >= 0 else -magnitude
    return ExplainNode(
        title="rounding",
        what=f"The sum is rounded once to {unit}, halves away from zero.",
        figures={"sum_pico": sum_pico, "rounded_pico": rounded},
        amount_pico=rounded - sum_pico,
    )


def missing(title: str, what: str) -> ExplainNode:
    """A node for a fact that is not on the slates: the explanation is then not whole."""
    return ExplainNode(title=title, what=what, holds=False)


def shown(nodes: Sequence[ExplainNode], plural: str) -> tuple[ExplainNode, ...]:
    """The first `MAX_CHILDREN` nodes and a summary of the rest; all of them if the rest were a single one."""
    if len(nodes) <= MAX_CHILDREN + 1:
        return tuple(nodes)
    return (*nodes[:MAX_CHILDREN], _summary(nodes[MAX_CHILDREN:], plural))


def _summary(rest: Sequence[ExplainNode], plural: str) -> ExplainNode:
    """One node for several: their sums of energy and money, and of their leaves by title."""
    figures = {"count": len(rest)}
    for name in _ADDITIVE:
        if any(name in node.figures for node in rest):
            figures[name] = sum(node.figures.get(name, 0) for node in rest)
    amounts = [node.amount_pico for node in rest if node.amount_pico is not None]
    leaves: dict[str, int] = {}
    for node in rest:
        for leaf in node.leaves():
            if leaf is not node:
                leaves[leaf.title] = leaves.get(leaf.title, 0) + (leaf.amount_pico or 0)
    return ExplainNode(
        title=f"{len(rest)} more {plural}",
        what=f"{len(rest)} more {plural}, summed.",
        figures=figures,
        children=tuple(
            ExplainNode(title=title, what=f"The sum of {title} over these.", amount_pico=amount)
            for title, amount in leaves.items()
        ),
        amount_pico=sum(amounts) if amounts else None,
        holds=all(node.adds_up for node in rest),
    )
