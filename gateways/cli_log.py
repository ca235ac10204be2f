"""`gridbook why|log|history|state`: what stands on the log, and what follows from it."""

import re
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated, Any, Final

import typer
from rich.markup import escape

from consumers.answers import Answers
from consumers.lookup import Entry, history, read, records_from, state_of
from consumers.ports import Partition
from consumers.react import Reactor
from consumers.reading import between
from consumers.why import Why
from domain.families import DECIDERS
from domain.policies.table import POLICIES
from gateways.app import CALCULATIONS, App
from gateways.figures import described, utc
from gateways.state_tree import state_tree
from gateways.terminal import Data, Json, Kafka, Opened, complain, console, on, print_rows
from gateways.wish_tree import wish_tree
from schemas.catalog import FAMILIES
from schemas.envelope import FactMeta

Limit = Annotated[int, typer.Option(help="At most so many.", min=1, max=1_000_000)]
Family = Annotated[str, typer.Argument(help=f"One of: {', '.join(FAMILIES)}.")]
Key = Annotated[str, typer.Argument(help="The family's key, for example the market's name.")]

_LIMIT: Final = 50
_PLACE: Final = re.compile(r"([a-z][a-z0-9_]*)(?:/(\d+))?")


def partitions_of(made: App, place: str) -> list[Partition]:
    """The partitions that `market` or `market/0` names.

    Raises:
        typer.BadParameter: there are none.
    """
    named = _PLACE.fullmatch(place)
    family, number = named.groups() if named is not None else (None, None)
    found = [p for p in made.layout.partitions if p.family == family and number in (None, str(p.number))]
    if not found:
        raise typer.BadParameter(f"no {place!r}: expected a family or family/number, of {', '.join(FAMILIES)}")
    return found


def answers_of(made: App) -> Answers:
    """Where the records of commands stand."""
    backend = made.backend
    return Answers(made.views, made.views.reached, backend.events, backend.commands, made.codec, made.layout.partitions)


def why(
    command_id: Annotated[str, typer.Argument(help="The command's id.")],
    actor: Annotated[str | None, typer.Option(help="Who sent it, where several used the same id.")] = None,
    data: Data = None,
    kafka: Kafka = False,
) -> None:
    """Tells what became of a command: its facts, what they caused in other families, and what became of that."""

    async def tell(made: App) -> bool:
        backend = made.backend
        reactor = Reactor(POLICIES, made.codec, made.layout)
        walk = Why(backend.events, backend.commands, made.codec, made.layout, answers_of(made), reactor, CALCULATIONS)
        found = await walk.tell(command_id, actor)
        if not found:
            by = f" by {actor}" if actor is not None else ""
            complain(LookupError(f"no command {command_id!r}{by} stands on the log"))
            return False
        for wish in found:
            console().print(wish_tree(wish))
        return True

    on(data, kafka, tell)


def log(
    place: Annotated[str, typer.Argument(help="A family, or one partition of it: `market`, `market/0`.")],
    first: Annotated[int, typer.Option("--from", help="From this number on (a position with --commands).", min=0)] = 0,
    limit: Limit = _LIMIT,
    commands: Annotated[bool, typer.Option("--commands", help="The commands instead of the records.")] = False,
    runtime: Annotated[bool, typer.Option("--runtime", help="Also ticks, repeats and what was set aside.")] = False,
    as_json: Json = False,
    data: Data = None,
    kafka: Kafka = False,
) -> None:
    """Prints records as they stand, partition by partition."""

    async def show(made: App) -> bool:
        rows, more = list[dict[str, Any]](), False
        for partition in partitions_of(made, place):
            found = _commands(made, partition, first) if commands else _records(made, partition, first, runtime)
            async for entry in found:
                more = len(rows) == limit
                if more:
                    break
                rows.append(_row(entry, as_json))
        print_rows(place, rows, as_json)
        if more and not as_json:
            console().print(f"… and more: --limit shows more than {limit}, --from goes on behind the last one")
        return True

    on(data, kafka, show, Opened.LOGS)


def history_of(
    family: Family, key: Key, limit: Limit = 1_000, as_json: Json = False, data: Data = None, kafka: Kafka = False
) -> None:
    """Prints the facts of one key, in order."""

    async def show(made: App) -> bool:
        homes = _of_key(made, family, key)
        rows, more = list[dict[str, Any]](), False
        async for entry in history(made.backend.events, made.codec, homes, key):
            more = len(rows) == limit
            if more:
                break
            rows.append(_row(entry, as_json))
        print_rows(f"{family} {key}", rows, as_json)
        if more and not as_json:
            console().print(f"… and more: --limit shows more than {limit}")
        return bool(rows)

    on(data, kafka, show, Opened.LOGS)


def state(
    family: Family,
    key: Key,
    at: Annotated[int | None, typer.Option(help="A cut-off: what facts with a smaller tick made of it.", min=0)] = None,
    data: Data = None,
    kafka: Kafka = False,
) -> None:
    """Prints the state of a key, made again from its facts."""

    async def show(made: App) -> bool:
        homes = _of_key(made, family, key)
        made_again = await state_of(made.backend.events, made.codec, DECIDERS[family], homes, key, at)
        as_of = "now" if at is None else f"cut-off tick {at}"
        last = made_again.last
        stands = (
            "no facts: the state that every key begins with"
            if last is None
            else f"{made_again.facts:,} facts, the last one seq {last.seq}, tick {last.tick.n}, {utc(last.tick.at)}"
        )
        title = f"[bold]{escape(family)} {escape(key)}[/bold] {as_of} [dim]({stands})[/dim]"
        console().print(state_tree(title, made_again.state))
        return True

    on(data, kafka, show, Opened.LOGS)


def _of_key(made: App, family: str, key: str) -> tuple[Partition, ...]:
    if family not in made.layout.families:
        raise typer.BadParameter(f"no family {family!r}: expected one of {', '.join(made.layout.families)}")
    return made.layout.lineage(family, key)


def _records(made: App, partition: Partition, seq: int, runtime: bool) -> AsyncIterator[Entry]:
    return records_from(made.backend.events, made.codec, partition, seq, runtime=runtime)


async def _commands(made: App, partition: Partition, position: int) -> AsyncIterator[Entry]:
    end = await made.backend.commands.end(partition)
    async for stored in between(made.backend.commands, partition, min(position, end), end):
        yield read(made.codec, partition, stored)


def _row(entry: Entry, as_json: bool) -> dict[str, Any]:
    place = {"partition": str(entry.partition)}
    if entry.unreadable:
        unread = {"position": entry.stored.position, "key": entry.key, "unreadable": entry.unreadable}
        return place | unread if as_json else place | _blank(entry) | {"body": entry.unreadable}
    meta = entry.meta
    number = {"seq": meta.seq} if isinstance(meta, FactMeta) else {"position": entry.stored.position}
    if as_json:
        message = {"type": type(entry.body).__name__, "body": asdict(entry.body)}
        return place | number | {"key": entry.key, "meta": asdict(meta)} | message
    moment = meta.tick
    told = {
        "tick": "" if moment is None else moment.n,
        "time": "" if moment is None else utc(moment.at),
        "key": entry.key,
        "actor": meta.actor,
        "command": meta.command_id,
    }
    return place | number | told | {"type": type(entry.body).__name__, "body": described(entry.body)}


def _blank(entry: Entry) -> dict[str, Any]:
    names = ("tick", "time", "key", "actor", "command", "type")
    return {"seq": f"position {entry.stored.position}"} | dict.fromkeys(names, "") | {"key": entry.key}
