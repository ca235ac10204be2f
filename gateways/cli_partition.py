"""`gridbook partition`: has the deciders of a partition rest and go on, and tells who works on it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from consumers.ports import Partition, Switchboard, SwitchboardUnavailable
from gateways.app import open_switchboard
from gateways.running import AlreadyRuns, running
from gateways.servers import deployment_name, servers
from gateways.settings import InvalidSettings, Settings
from gateways.terminal import SAID, Data, Json, Kafka, complain, print_rows, settings_of

app = typer.Typer(help="Have a partition's deciders rest or go on; see who owns what.", no_args_is_help=True)

Named = Annotated[str, typer.Argument(metavar="FAMILY/N", help="The partition, for example `market/0`.")]

_SAID: Final[tuple[type[Exception], ...]] = (*SAID, AlreadyRuns, SwitchboardUnavailable)
_BY_OPERATOR: Final = "paused by an operator"
_CONFIGURATION: Final = 2


@app.command()
def pause(
    partition: Named,
    reason: Annotated[str, typer.Option(help="For whoever asks why.")] = _BY_OPERATOR,
    data: Data = None,
    kafka: Kafka = False,
) -> None:
    """Has the partition's deciders finish what they have begun and rest until `resume`; survives restarts."""

    async def switch(board: Switchboard, settings: Settings) -> None:
        named = _partition(partition, settings)
        await board.pause(named, reason)
        typer.echo(f"{partition} rests within some seconds: {reason}")

    _on(data, kafka, switch)


@app.command()
def resume(partition: Named, data: Data = None, kafka: Kafka = False) -> None:
    """Lets the partition's deciders go on."""

    async def switch(board: Switchboard, settings: Settings) -> None:
        named = _partition(partition, settings)
        was = (await board.paused()).get(named)
        await board.resume(named)
        typer.echo(f"{partition} goes on within some seconds" if was else f"{partition} was not paused")

    _on(data, kafka, switch)


@app.command()
def owner(
    partition: Annotated[str | None, typer.Argument(metavar="FAMILY/N", help="Only this partition.")] = None,
    data: Data = None,
    kafka: Kafka = False,
    as_json: Json = False,
) -> None:
    """Which process decides each partition, as the processes said in the last 15 seconds, and what is paused."""

    async def ask(board: Switchboard, settings: Settings) -> None:
        wanted = {_partition(partition, settings)} if partition else _all(settings)
        paused, deciders = await board.paused(), [p for p in await board.processes() if p.role == "decide"]
        owned = [(p, process) for process in deciders for p in process.partitions if p in wanted]
        nobody = wanted - {p for p, _ in owned}
        rows = [(p, {"process": d.name, "state": d.state, "release": d.release}) for p, d in owned]
        rows += [(p, {"process": "nobody", "state": "", "release": ""}) for p in nobody]
        rows.sort(key=lambda row: (row[0].family, row[0].number, row[1]["process"]))
        shown = [{"partition": str(p)} | row | {"paused": paused.get(p, "")} for p, row in rows]
        print_rows("owners", shown, as_json)

    _on(data, kafka, ask)


def _on(data: Path | None, kafka: bool, work: Callable[[Switchboard, Settings], Awaitable[None]]) -> None:
    async def run(dsn: str, deployment: str, settings: Settings) -> None:
        board = open_switchboard(dsn, deployment)
        try:
            await work(board, settings)
        finally:
            await board.close()

    try:
        settings, folder = settings_of(data)
        with _database(settings, folder) as dsn:
            asyncio.run(run(dsn, _deployment(settings, folder, kafka), settings))
    except InvalidSettings as failure:
        complain(failure)
        raise typer.Exit(_CONFIGURATION) from None
    except _SAID as failure:
        complain(failure)
        raise typer.Exit(1) from None


@contextmanager
def _database(settings: Settings, folder: Path) -> Iterator[str]:
    """The database of DATABASE_URL, of the `gridbook up` that runs on the folder, or a local one for this question."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
    elif there := running(folder):
        if there.dsn is None:
            raise AlreadyRuns(f"`gridbook up` runs on {folder} with a DATABASE_URL: set the same one here")
        yield there.dsn
    else:
        if not folder.exists():
            raise typer.BadParameter(f"{folder} does not exist: name the folder with --data, or set DATABASE_URL")
        with servers(folder, False, settings) as places:
            yield places.dsn


def _deployment(settings: Settings, folder: Path, kafka: bool) -> str:
    if settings.deployment is not None:
        return settings.deployment
    return f"{deployment_name(folder)}_kafka" if kafka else deployment_name(folder)


def _all(settings: Settings) -> set[Partition]:
    return set(settings.layout().current)


def _partition(text: str, settings: Settings) -> Partition:
    family, _, number = text.partition("/")
    layout = settings.layout()
    known = layout.of_family(family) if family in layout.families else ()
    found = [partition for partition in known if str(partition.number) == number]
    if not found:
        there = [f"{family}/{partition.number}" for partition in known] or layout.families
        raise typer.BadParameter(f"expected FAMILY/N, one of {', '.join(there)}, found {text!r}")
    return found[0]
