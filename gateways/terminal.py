"""What every command of `gridbook` shares: its options, a deployment to work on, and how things are shown."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from consumers.ports import SwitchboardUnavailable
from gateways.app import FAILURES, App
from gateways.door import InvalidCommand
from gateways.running import AlreadyRuns, running
from gateways.servers import Servers, all_named, deployment_name, servers
from gateways.settings import InvalidSettings, Settings, read_settings

Data = Annotated[Path | None, typer.Option("--data", help="Data folder (default: GRIDBOOK_DATA or .gridbook/demo).")]
Kafka = Annotated[bool, typer.Option("--kafka", help="The deployment's log on Kafka instead of the embedded one.")]
Json = Annotated[bool, typer.Option("--json", help="Rows as JSON lines, for programs.")]

SAID: Final[tuple[type[Exception], ...]] = (
    *FAILURES,
    InvalidCommand,
    InvalidSettings,
    AlreadyRuns,
    SwitchboardUnavailable,
)
"""Exceptions whose message is a sentence for people."""


class Opened(Enum):
    """How much of a deployment a command needs."""

    LOGS = "logs"
    READING = "logs and views"


def settings_of(data: Path | None) -> tuple[Settings, Path]:
    """The settings, and the data folder that is named or set.

    Raises:
        InvalidSettings: see there.
    """
    settings = read_settings()
    return settings, data or settings.data


@contextmanager
def reached(settings: Settings, folder: Path, kafka: bool) -> Iterator[Servers]:
    """The servers of the deployment: those that the settings name, those of a `gridbook up` that runs on the folder, or
    started for this.

    Raises:
        AlreadyRuns: somebody else is in the folder who starts or stops servers, or uses servers that the settings here
            do not name.
    """
    there = None if all_named(settings, kafka) else running(folder)
    if there is None:
        with servers(folder, kafka, settings) as places:
            yield places
        return
    given = settings.database_url
    dsn = there.dsn or (None if given is None else given.get_secret_value())
    bootstrap = (there.bootstrap or settings.kafka_bootstrap) if kafka else None
    if dsn is None or (kafka and bootstrap is None):
        raise AlreadyRuns(
            f"`gridbook up` (process {there.pid}) runs on {folder} with other servers: set DATABASE_URL and"
            " KAFKA_BOOTSTRAP as it has them, and name --kafka only if it did"
        )
    drawn = deployment_name(folder)
    name = settings.deployment or (f"{drawn}_kafka" if kafka else drawn)
    yield Servers(dsn, bootstrap, name, folder / "vault.key", settings.copies(there.bootstrap is not None))


def on(data: Path | None, kafka: bool, work: Callable[[App], Awaitable[bool]], opened: Opened = Opened.READING) -> None:
    """Runs `work` on an opened deployment; exits with 1 when it returns false or a pipe fails."""

    async def run(settings: Settings, folder: Path) -> bool:
        with reached(settings, folder, kafka) as places:
            made = App(places.backend(), places.dsn, places.deployment, settings.layout().families)
            try:
                await (made.open_logs() if opened is Opened.LOGS else made.open())
                return await work(made)
            finally:
                await made.close()

    def found() -> bool:
        settings, folder = settings_of(data)
        if not folder.exists():
            raise typer.BadParameter(f"{folder} does not exist: run `make demo`, or name a folder with --data")
        return asyncio.run(run(settings, folder))

    ends(found)


def ends(work: Callable[[], bool]) -> None:
    """Runs `work`; exits with 1 when it returns false, or with one sentence when something fails that can."""
    try:
        holds = work()
    except SAID as failure:
        complain(failure)
        raise typer.Exit(1) from None
    if not holds:
        raise typer.Exit(1)


def complain(failure: Exception) -> None:
    """One sentence for whoever sits at the terminal."""
    Console(stderr=True).print(str(failure), style="bold red", highlight=False, markup=False, soft_wrap=True)


def console() -> Console:
    """The terminal; as wide as needed when it is none."""
    return Console(width=None if sys.stdout.isatty() else 1_000)


def print_rows(title: str, rows: Sequence[dict[str, Any]], as_json: bool) -> None:
    """Rows as a table, or as JSON lines."""
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row, default=str))
        return
    if not rows:
        console().print(f"{title}: nothing yet", markup=False)
        return
    table = Table(title=title)
    for name in rows[0]:
        table.add_column(name, overflow="fold")  # an id that is cut is no id
    for row in rows:
        table.add_row(*(Text("" if value is None else str(value)) for value in row.values()))
    console().print(table)
