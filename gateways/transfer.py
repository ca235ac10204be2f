"""A deployment's log and its people, to an archive, from an archive, and from one log to another."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from consumers.extent import Plan, Source, survey
from consumers.layout import Layout
from consumers.transfer import TransferRefused, copy
from gateways.app import (
    demand_whole,
    log_sink,
    new_archive,
    open_archive,
    open_switchboard,
    open_vault,
    release_ledger,
    sealed_people,
    views_of,
)
from gateways.app.backends import Backend
from gateways.deployment import Deployment
from schemas.codec import ClashingSchema


@dataclass(frozen=True, slots=True)
class Side:
    """Where a log is copied from or to: a deployment and its logs."""

    deployment: Deployment
    backend: Backend


async def write_archive(here: Side, dsn: str, folder: Path, vault: bool = True) -> tuple[Plan, str, int | None]:
    """Exports a deployment.

    Returns:
        What was copied, the manifest's SHA-256, and how many people are in it (none: nobody was asked for).

    Raises:
        TransferRefused: the folder is not empty, or does not take it.
        LogUnfinished: the log is being filled itself.
    """
    people: int | None = None
    await demand_whole(dsn, here.deployment.name)
    async with _opened(here, create=True):
        source, plan, ledger = await _planned(here)
        sink = new_archive(folder, here.deployment.name, datetime.now(UTC), ledger)

        async def take_people() -> None:
            nonlocal people
            if vault:
                # After the survey: whoever the log knows by then is in the vault, unless erased.
                sealed = await sealed_people(dsn)
                people = len(sealed)
                await sink.take_people(sealed)

        await copy(source, plan, sink, take_people)
    return plan, sink.sha256, people


async def read_archive(
    folder: Path, there: Side, dsn: str, vault_key: Path, vault: bool = True
) -> tuple[Plan, int | None]:
    """Fills an empty deployment.

    Returns:
        What was copied, and how many people were put back (none: there is nobody in the archive).

    Raises:
        TransferRefused: the archive is not whole, the deployment is not empty, runs, or has other partitions, or the
            master key is not there.
        VaultUnavailable: the people do not fit to the vault as it is.
    """
    archive = await asyncio.to_thread(open_archive, folder)
    _demand_counts(archive.plan, there.deployment.layout)
    people = await asyncio.to_thread(archive.people) if vault else []
    if people and not await asyncio.to_thread(vault_key.exists):
        # One would be made, and would open nobody.
        raise TransferRefused(
            f"the archive holds personal data, and {vault_key} is not there: put the exported deployment's master key"
            " there first, or import with --without-vault"
        )
    put_back: int | None = None

    async def restore() -> None:
        nonlocal put_back
        await _prepare(there, dsn, archive.ledger())
        if people:
            restored = open_vault(dsn, vault_key)
            await restored.start()
            put_back = await restored.restore(people)

    await _demand_rest(there, dsn)
    async with _opened(there):
        sink = log_sink(there.backend, dsn, there.deployment.name, archive.origin)
        await copy(archive.source, archive.plan, sink, restore)
    return archive.plan, put_back


async def copy_between(here: Side, there: Side, dsn: str) -> Plan:
    """Fills the empty log of `there` with the log of `here`; returns what was copied.

    Raises:
        TransferRefused: it is not empty, or its processes run.
    """
    await _demand_rest(there, dsn)
    async with _opened(here, create=True), _opened(there):
        source, plan, ledger = await _planned(here)
        sink = log_sink(there.backend, dsn, there.deployment.name, f"the log of {here.deployment.name}")
        await copy(source, plan, sink, lambda: _prepare(there, dsn, ledger))
    return plan


async def _planned(here: Side) -> tuple[Source, Plan, dict[int, dict[str, Any]]]:
    """What there is to copy, how far, and the schemas of all of it: this release's and those on the log."""
    on_the_log = await here.backend.schemas.load()
    codec = here.deployment.codec
    try:
        for number, schema in on_the_log.items():
            codec.learn(number, schema)
    except (ClashingSchema, ValueError) as error:
        raise TransferRefused(f"the schemas of {here.deployment.name} are not this release's: {error}") from error
    source = Source(here.backend.events, here.backend.commands)
    return source, await survey(source, codec, here.deployment.layout.partitions), on_the_log | release_ledger()


async def _prepare(there: Side, dsn: str, ledger: Mapping[int, Mapping[str, Any]]) -> None:
    """Makes what comes readable, and takes away what another log of this name has left behind."""
    await there.backend.schemas.publish(ledger)
    views = views_of(dsn, there.deployment.name)
    try:
        await views.drop()  # whoever projects begins anew
    finally:
        await views.close()


async def _demand_rest(there: Side, dsn: str) -> None:
    """Whoever runs already would claim the partitions that are being filled, again and again."""
    board = open_switchboard(dsn, there.deployment.name)
    try:
        if running := await board.processes():
            raise TransferRefused(
                f"{len(running)} processes of {there.deployment.name} run ({running[0].name}, …): stop them first; they"
                " are forgotten some seconds after their end"
            )
    finally:
        await board.close()


def _demand_counts(plan: Plan, layout: Layout) -> None:
    counts = plan.layout.families
    if unknown := counts.keys() - layout.families.keys():
        raise TransferRefused(f"the archive has families that this release does not know: {', '.join(sorted(unknown))}")
    differing = {family: numbers for family, numbers in counts.items() if layout.families[family] != numbers}
    if differing:
        wanted = ",".join(f"{family}={'+'.join(map(str, numbers))}" for family, numbers in differing.items())
        raise TransferRefused(
            "the archive has other numbers of partitions than this deployment, and they are part of the record: set"
            f" GRIDBOOK_FAMILY_PARTITIONS={wanted}"
        )


@asynccontextmanager
async def _opened(side: Side, *, create: bool = False) -> AsyncIterator[None]:
    """The logs, connected; with `create` their partitions are made to exist."""
    try:
        await side.backend.start()
        if create:
            partitions = side.deployment.layout.partitions
            await asyncio.gather(side.backend.events.create(partitions), side.backend.commands.create(partitions))
        yield
    finally:
        await side.backend.close()
