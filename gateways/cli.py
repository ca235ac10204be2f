"""`gridbook`: ask the slates, explain a bill line, verify, send a wish, on the deployment of a data folder."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from consumers.limits import DAY_US, WINDOW_US
from gateways.app import FAILURES, App
from gateways.door import DoorCommand, InvalidCommand
from gateways.servers import servers
from gateways.settings import Settings
from gateways.tree import as_tree
from projections.explain import explain as explain_line
from projections.families import QUESTIONS
from projections.view import Question

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)
verify_commands = typer.Typer(help="Prove that the record is whole and that everything follows from it.")
app.add_typer(verify_commands, name="verify")

Data = Annotated[Path | None, typer.Option("--data", help="Data folder (default: GRIDBOOK_DATA or .gridbook/demo).")]
Kafka = Annotated[bool, typer.Option("--kafka", help="The deployment's log on Kafka instead of the embedded one.")]
Json = Annotated[bool, typer.Option("--json", help="Rows as JSON lines, for programs.")]

_LIMIT: Final = 50
_LIMITS: Final = "At most so many rows."
_WHERE: Final = "name=value, for a view of one thing: it says what it needs."
_REPEATS: Final = (
    f"An id of your own. Sending it again within {WINDOW_US // DAY_US} days of the deployment's time changes nothing."
)
_FAILURES: Final[tuple[type[Exception], ...]] = (*FAILURES, InvalidCommand)


def main() -> None:
    """Entry point of the console script."""
    app()


def _on(data: Path | None, kafka: bool, work: Callable[[App], Awaitable[bool]], *, run_it: bool = False) -> None:
    """Runs `work` on the opened (`run_it`: running) deployment; exits with 1 when it or a pipe fails."""
    settings = Settings()
    folder = data or settings.data

    async def run() -> bool:
        with servers(folder, kafka) as places:
            made = App(places.backend(), places.dsn, places.deployment, settings.partitions)
            try:
                await (made.start() if run_it else made.open())
                return await work(made)
            finally:
                await made.close()

    try:
        if not folder.exists():
            raise typer.BadParameter(f"{folder} does not exist: run `make demo`, or name a folder with --data")
        holds = asyncio.run(run())
    except _FAILURES as failure:
        _complain(failure)
        raise typer.Exit(1) from None
    if not holds:
        raise typer.Exit(1)


@app.command()
def show(
    view: Annotated[str, typer.Argument(help=f"One of: {', '.join(sorted(QUESTIONS))}.")],
    data: Data = None,
    kafka: Kafka = False,
    limit: Annotated[int, typer.Option(help=_LIMITS, min=1, max=100_000)] = _LIMIT,
    where: Annotated[list[str] | None, typer.Option(help=_WHERE)] = None,
    as_json: Json = False,
) -> None:
    """Prints a view."""
    question = QUESTIONS.get(view)
    if question is None:
        raise typer.BadParameter(f"no view {view!r}: expected one of {', '.join(sorted(QUESTIONS))}")
    parameters = _parameters(question, where or (), limit + 1)

    async def ask(made: App) -> bool:
        rows = await made.views(question.sql, parameters)
        _print_rows(view, [dict(row) for row in rows[:limit]], as_json)
        if len(rows) > limit and not as_json:
            _console().print(f"… and more: --limit shows more than {limit}")
        return True

    _on(data, kafka, ask)


@app.command()
def explain(
    invoice: Annotated[str, typer.Argument(help="The invoice's id (see `gridbook show invoices`).")],
    line: Annotated[int, typer.Argument(help="The line's number.", min=1)],
    data: Data = None,
    kafka: Kafka = False,
) -> None:
    """Walks a bill line back to run, contract, trade, both orders, rules and readings."""

    async def walk(made: App) -> bool:
        try:
            tree = await explain_line(made.views, invoice, line)
        except LookupError as missing:
            _complain(missing)
            return False
        _console().print(as_tree(tree))
        return True

    _on(data, kafka, walk)


@verify_commands.command("decisions")
def verify_decisions(data: Data = None, kafka: Kafka = False) -> None:
    """Decides every command again and compares bytes; checks the chain of every partition."""

    async def verify(made: App) -> bool:
        verdicts = await made.verify_decisions()
        table = Table("partition", "commands", "records", "chain", "decisions")
        for verdict in verdicts:
            place = f"{verdict.partition.family}/{verdict.partition.number}"
            same = "same bytes" if not verdict.differences else "DIFFER"
            table.add_row(
                place, f"{verdict.commands:,}", f"{verdict.records:,}", "whole" if verdict.chain else "BROKEN", same
            )
        console = _console()
        console.print(table)
        for verdict in verdicts:
            for note in (*verdict.differences, *verdict.notes):
                console.print(note, highlight=False, markup=False)
        return all(verdict.holds for verdict in verdicts)

    _on(data, kafka, verify)


@verify_commands.command("projections")
def verify_projections(data: Data = None, kafka: Kafka = False) -> None:
    """Rebuilds every view from the log beside the live ones and compares them."""

    async def verify(made: App) -> bool:
        differing = await made.verify_projections()
        for name, (live, again) in differing.items():
            _console().print(f"{name}: live {live}, rebuilt {again}", highlight=False)
        _console().print("every view equals its rebuild" if not differing else f"{len(differing)} views differ")
        return not differing

    _on(data, kafka, verify)


@app.command()
def send(
    family: Annotated[str, typer.Argument(help="The family, for example `market`.")],
    key: Annotated[str, typer.Argument(help="The family's key, for example the market's name.")],
    command: Annotated[str, typer.Argument(help="The command, for example `CancelOrder`.")],
    body: Annotated[str, typer.Argument(help="Its fields as JSON.")],
    actor: Annotated[str, typer.Option(help="The party that wishes.")],
    command_id: Annotated[str, typer.Option(help=_REPEATS)],
    data: Data = None,
    kafka: Kafka = False,
) -> None:
    """Sends one wish and prints its answer; exits with 1 when it was refused or set aside."""

    async def wish(made: App) -> bool:
        content = made.door.read(family, command, body)
        [(partition, record)] = made.door.admit([DoorCommand(family, key, actor, command_id, content)])
        await made.drive.send([(partition, record)])
        await made.drive.settle()
        rows = await made.views(
            "SELECT family, key, seq, event, reason FROM answers WHERE command_id = %(command_id)s"
            " AND actor = %(actor)s AND family = %(family)s AND partition = %(partition)s ORDER BY seq",
            {"command_id": command_id, "actor": actor, "family": family, "partition": partition.number},
        )
        _print_rows("answer", [dict(row) for row in rows], False)
        answers = [row["event"] for row in rows if row["event"] != "CommandRepeated"]
        return answers[-1] not in ("CommandRefused", "CommandSetAside")

    _on(data, kafka, wish, run_it=True)


def _parameters(question: Question, where: Sequence[str], limit: int) -> dict[str, Any]:
    """What the question asks for: `limit`, and the others from `name=value`."""
    given = dict[str, Any](pair.partition("=")[::2] for pair in where)
    wanted = {name: f"--where {name}=…" for name in question.parameters if name != "limit"}
    if given.keys() != wanted.keys() or not all("=" in pair for pair in where):
        expected = " ".join(wanted.values()) or "no --where"
        raise typer.BadParameter(f"{question.name}: expected {expected}, found {' '.join(where) or 'none'}")
    return given | ({"limit": limit} if "limit" in question.parameters else {})


def _complain(failure: Exception) -> None:
    Console(stderr=True).print(str(failure), style="bold red", highlight=False, markup=False, soft_wrap=True)


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else 1_000)


def _print_rows(title: str, rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row, default=str))
        return
    if not rows:
        _console().print(f"{title}: nothing yet")
        return
    table = Table(title=title)
    for name in rows[0]:
        table.add_column(name, overflow="fold")  # an id that is cut is no id
    for row in rows:
        table.add_row(*(Text("" if value is None else str(value)) for value in row.values()))
    _console().print(table)
