"""What became of a command, drawn as a tree for people."""

from typing import Final

from rich.markup import escape
from rich.tree import Tree

from consumers.lookup import Entry
from consumers.why import Wish
from gateways.figures import described, utc
from projections.market.sentences import CURRENCY, refusal_said
from schemas.catalog import is_runtime_record
from schemas.log.events import CommandRepeated, CommandSetAside
from schemas.market.events import CommandRefused as MarketRefused

_REFUSED: Final = "CommandRefused"


def wish_tree(wish: Wish) -> Tree:
    """The command, under it its records, under each of them the commands that it caused."""
    tree = Tree(_label(wish))
    if wish.because:
        _because(tree, wish.because)
    _into(tree, wish)
    return tree


def _because(tree: Tree, chain: tuple[Entry, ...]) -> None:
    above = tree.add("[dim]because of[/dim]")
    for entry in chain:
        by = entry.fact.meta
        text = f"{_record(entry)} [dim](command {escape(by.command_id)} of {escape(by.actor)})[/dim]"
        above = above.add(text)


def _into(tree: Tree, wish: Wish) -> None:
    for told in wish.answered:
        branch = tree.add(_record(told.entry))
        for caused in told.caused:
            _into(branch.add(_label(caused)), caused)
        if told.more:
            branch.add("[dim]… and more commands: ask for one of the ids above[/dim]")
    if wish.more:
        tree.add("[dim]… and more records[/dim]")
    if not wish.answered:
        stands = "not on the log yet" if wish.entry is None else "on the log, not answered yet"
        tree.add(f"[yellow]{stands}[/yellow]")


def _label(wish: Wish) -> str:
    place = str(wish.partition)
    where = "" if wish.entry is None else f", command at position {wish.entry.stored.position}"
    sent = f"by {escape(wish.actor)}, id {escape(wish.command_id)} [dim]({place}{where})[/dim]"
    if wish.entry is None or wish.entry.unreadable:
        kind = "a command" if wish.entry is None else "a command that this release cannot read"
        return f"{kind} for {escape(wish.key)} {sent}"
    body = wish.entry.body
    key = f" {escape(wish.key)}" if wish.key else ""
    return f"[bold]{type(body).__name__}[/bold]{key} {sent} [cyan]{escape(described(body))}[/cyan]"


def _record(entry: Entry) -> str:
    if entry.unreadable:
        return f"[red]a record that this release cannot read ({escape(entry.unreadable)})[/red]"
    fact = entry.fact
    meta = fact.meta
    kind = type(fact.body).__name__
    colour = "red" if kind == _REFUSED or isinstance(fact.body, CommandSetAside) else "green"
    if is_runtime_record(fact.body) and colour == "green":
        colour = "dim"
    place = f"{fact.family}/{fact.partition} seq {meta.seq}, tick {meta.tick.n}, {utc(meta.tick.at)}"
    key = f" {escape(fact.key)}" if fact.key else ""
    return f"[{colour}]{kind}[/{colour}]{key} [cyan]{escape(_said(fact.body))}[/cyan] [dim]({place})[/dim]"


def _said(body: object) -> str:
    if isinstance(body, CommandRepeated):
        return "answered before" + (f", by seq {body.first_seq}" if body.first_seq else "")
    if isinstance(body, MarketRefused):
        sentence = refusal_said(body.command, body.reason, body.limit, body.found)
        return f"{described(body)} {sentence.replace(CURRENCY, 'units')}"
    return described(body)
