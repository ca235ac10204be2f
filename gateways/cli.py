"""`gridbook`: ask the slates and the log, explain, verify, send a wish, move and keep a deployment's log."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from consumers.limits import DAY_US, WINDOW_US
from gateways import cli_log, cli_partition, cli_run, cli_topics, cli_transfer
from gateways.app import App
from gateways.cli_dead import dead_commands
from gateways.door import DoorCommand
from gateways.terminal import Data, Json, Kafka, Opened, complain, console, on, print_rows
from gateways.tree import as_tree
from projections.explain import explain as explain_line
from projections.families import QUESTIONS
from projections.view import Question

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)
verify_commands = typer.Typer(help="Prove that the record is whole and that everything follows from it.")
app.add_typer(verify_commands, name="verify")
app.add_typer(dead_commands, name="dead")
app.add_typer(cli_partition.app, name="partition")
app.command("up")(cli_run.up)
app.command("run")(cli_run.run)
app.add_typer(cli_topics.app, name="topics")
app.command("why")(cli_log.why)
app.command("log")(cli_log.log)
app.command("history")(cli_log.history_of)
app.command("state")(cli_log.state)
app.command("export")(cli_transfer.export)
app.command("import")(cli_transfer.import_log)
app.command("copy")(cli_transfer.copy_log)

_LIMIT: Final = 50
_LIMITS: Final = "At most so many rows."
_WHERE: Final = "name=value, for a view of one thing: it says what it needs."
_REPEATS: Final = (
    f"An id of your own. Sending it again within {WINDOW_US // DAY_US} days of the deployment's time changes nothing."
)


def main() -> None:
    """Entry point of the console script."""
    app()


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
        print_rows(view, [dict(row) for row in rows[:limit]], as_json)
        if len(rows) > limit and not as_json:
            console().print(f"… and more: --limit shows more than {limit}")
        return True

    on(data, kafka, ask)


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
            complain(missing)
            return False
        console().print(as_tree(tree))
        return True

    on(data, kafka, walk)


@verify_commands.command("decisions")
def verify_decisions(data: Data = None, kafka: Kafka = False) -> None:
    """Decides every command again and compares bytes; checks the chain of every partition."""

    async def verify(made: App) -> bool:
        verdicts = await made.verify_decisions()
        table = Table("partition", "commands", "records", "chain", "decisions")
        for verdict in verdicts:
            place = str(verdict.partition)
            same = "same bytes" if not verdict.differences else "DIFFER"
            table.add_row(
                place, f"{verdict.commands:,}", f"{verdict.records:,}", "whole" if verdict.chain else "BROKEN", same
            )
        screen = console()
        screen.print(table)
        for verdict in verdicts:
            for note in (*verdict.differences, *verdict.notes):
                screen.print(note, highlight=False, markup=False)
        return all(verdict.holds for verdict in verdicts)

    on(data, kafka, verify, Opened.LOGS)


@verify_commands.command("projections")
def verify_projections(data: Data = None, kafka: Kafka = False) -> None:
    """Rebuilds every view from the log beside the live ones and compares them."""

    async def verify(made: App) -> bool:
        differing = await made.verify_projections()
        for name, (live, again) in differing.items():
            console().print(f"{name}: live {live}, rebuilt {again}", highlight=False)
        console().print("every view equals its rebuild" if not differing else f"{len(differing)} views differ")
        return not differing

    on(data, kafka, verify)


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
        command_body = made.door.read(family, command, body)
        asked = DoorCommand(family, key, actor, command_id, command_body)
        if await made.runs_elsewhere():
            answers = [
                {"family": family, "key": key, "seq": meta.seq, "event": type(fact).__name__, "reason": _reason(fact)}
                for meta, fact in await made.wish(asked)
            ]
        else:
            answers = await _decided_here(made, asked)
        print_rows("answer", answers, False)
        last = [row["event"] for row in answers if row["event"] != "CommandRepeated"]
        return not last or last[-1] not in ("CommandRefused", "CommandSetAside")

    on(data, kafka, wish, Opened.LOGS)


async def _decided_here(made: App, command: DoorCommand) -> list[dict[str, Any]]:
    """Runs the deployment in this process until everything that follows is done."""
    await made.begin()
    [(partition, record)] = made.door.admit([command])
    await made.drive.send([(partition, record)])
    await made.drive.settle()
    rows = await made.views(
        "SELECT family, key, seq, event, reason FROM answers WHERE command_id = %(command_id)s"
        " AND actor = %(actor)s AND family = %(family)s AND partition = %(partition)s ORDER BY seq",
        {
            "command_id": command.command_id,
            "actor": command.actor,
            "family": command.family,
            "partition": partition.number,
        },
    )
    return [dict(row) for row in rows]


def _reason(fact: Any) -> str | None:
    reason = getattr(fact, "reason", None)
    return str(reason.value) if isinstance(reason, StrEnum) else None


def _parameters(question: Question, where: Sequence[str], limit: int) -> dict[str, Any]:
    """What the question asks for: `limit`, and the others from `name=value`."""
    given = dict[str, Any](pair.partition("=")[::2] for pair in where)
    wanted = {name: f"--where {name}=…" for name in question.parameters if name != "limit"}
    if given.keys() != wanted.keys() or not all("=" in pair for pair in where):
        expected = " ".join(wanted.values()) or "no --where"
        raise typer.BadParameter(f"{question.name}: expected {expected}, found {' '.join(where) or 'none'}")
    return given | ({"limit": limit} if "limit" in question.parameters else {})


if __name__ == "__main__":
    main()
