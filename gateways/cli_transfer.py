"""`gridbook export|import|copy`: a whole log to files, from files, and between the embedded log and Kafka."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from consumers.extent import Plan
from consumers.layout import Layout
from gateways.app import deployment_of
from gateways.servers import Servers, deployment_name
from gateways.terminal import Data, Kafka, console, ends, reached, settings_of
from gateways.transfer import Side, copy_between, read_archive, write_archive

WithoutVault = Annotated[bool, typer.Option("--without-vault", help="The log alone, without personal data.")]

_VERIFY: Final = "`gridbook verify decisions` decides all of it again and compares"


def export(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    without_vault: WithoutVault = False,
    data: Data = None,
    kafka: Kafka = False,
) -> None:
    """Writes the whole log and the encrypted personal data into a folder, also while the deployment runs."""

    async def run(places: Servers, layout: Layout) -> None:
        plan, sha256, people = await write_archive(_side(places, layout), places.dsn, folder, not without_vault)
        _say(f"exported {_size(plan)} to {folder}; SHA-256 of its manifest {sha256}")
        if people:
            _say(f"{people} people, encrypted; the master key is not there but in {places.vault_key}: keep it apart")
        elif people == 0:
            _say("the vault holds nobody: there are no personal data in it, and no master key is needed")

    _on_servers(data, kafka, run)


def import_log(
    folder: Annotated[Path, typer.Argument(help="The archive's folder.")],
    without_vault: WithoutVault = False,
    data: Data = None,
    kafka: Kafka = False,
) -> None:
    """Fills an empty deployment with an archive; an interrupted import goes on when it is begun again."""

    async def run(places: Servers, layout: Layout) -> None:
        there, key = _side(places, layout), places.vault_key
        plan, people = await read_archive(folder, there, places.dsn, key, not without_vault)
        _say(f"imported {_size(plan)} from {folder}; {_VERIFY}")
        if people is not None:
            _say(f"{people} people put back, encrypted; whoever was erased after the export has to be erased again")

    _on_servers(data, kafka, run)


def copy_log(
    to: Annotated[Literal["kafka", "embedded"], typer.Option(help="Where to: from the folder's other log.")],
    data: Data = None,
) -> None:
    """Copies the data folder's embedded log to its empty deployment on Kafka, or back."""

    async def run(places: Servers, layout: Layout) -> None:
        embedded = _side(replace(places, bootstrap=None, deployment=_embedded_name(data)), layout)
        on_kafka = _side(places, layout)
        here, there = (embedded, on_kafka) if to == "kafka" else (on_kafka, embedded)
        plan = await copy_between(here, there, places.dsn)
        _say(f"copied {_size(plan)} of {here.deployment.name} to {there.deployment.name}; {_VERIFY}")

    _on_servers(data, True, run)


def _side(places: Servers, layout: Layout) -> Side:
    return Side(deployment_of(places.deployment, layout.families), places.backend())


def _embedded_name(data: Path | None) -> str:
    settings, folder = settings_of(data)
    return settings.deployment or deployment_name(folder)


def _on_servers(data: Path | None, kafka: bool, work: Callable[[Servers, Layout], Awaitable[None]]) -> None:
    async def run(places: Servers, layout: Layout) -> bool:
        await work(places, layout)
        return True

    def found() -> bool:
        settings, folder = settings_of(data)
        with reached(settings, folder, kafka) as places:
            return asyncio.run(run(places, settings.layout()))

    ends(found)


def _size(plan: Plan) -> str:
    records = sum(extent.records for extent in plan.extents)
    return f"{records:,} records of {len(plan.extents)} partitions, complete up to tick {plan.tick}"


def _say(sentence: str) -> None:
    console().print(sentence, highlight=False, markup=False, soft_wrap=True)
