"""The composition root: the one place that names concrete adapters. A plain table, no container."""

import asyncio
import shutil
import zoneinfo
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from consumers.calculate import Calculator, WiredCalculation
from consumers.drive import LockStep
from consumers.failures import ChainBroken, FactNotEvolved, Poison
from consumers.layout import Counts, demand_generation
from consumers.newer import NewerSchemas
from consumers.owner import PartitionOwner
from consumers.partition import PartitionDecider
from consumers.ports import LogUnavailable, Partition, Snapshots
from consumers.project import Projector, Reached
from consumers.react import Reactor
from consumers.replay import Verdict, verify_decisions
from consumers.report import Silent
from consumers.transfer import LogSink, LogUnfinished, TransferRefused
from domain.market.calc_call import CALCULATION as CLEARING
from domain.market.calc_session import CALCULATION as SESSION
from domain.market.calc_surveillance import CALCULATION as SURVEILLANCE
from domain.policies.table import POLICIES
from domain.programme.calc_baseline import CALCULATION as BASELINE
from domain.settlement.calc_run import CALCULATION as RUN
from gateways.app.backends import Backend
from gateways.deployment import Deployment
from gateways.door import Door, DoorCommand
from gateways.wish import wish
from infra.archive.reading import Archive, demand_readable
from infra.archive.reading import open_archive as read_archive
from infra.archive.unfinished import PostgresUnfinished
from infra.archive.writing import ArchiveSink
from infra.compiled import compiled_codec
from infra.deployment import REBUILT, InvalidDeployment, checked
from infra.kafka.broker import LocalBroker, LocalBrokerError
from infra.postgres.reach import DatabaseUnreachable
from infra.postgres.server import LocalPostgres, LocalPostgresError
from infra.postgres.switchboard import PostgresSwitchboard
from infra.postgres.views import PostgresViews, ViewsUnavailable
from infra.schemas import load_codec, load_ledger
from infra.vault.vault import SealedPerson, Vault, VaultUnavailable, master_key
from infra.vault.vault import sealed_people as read_sealed_people
from projections.families import EVERYWHERE, SQL_VIEWS, VIEWS
from projections.market import inputs as clearing_inputs
from projections.market import sessions, surveillance
from projections.programme import inputs as baseline_inputs
from projections.settlement import inputs as run_inputs
from schemas.catalog import FAMILIES
from schemas.codec import Codec, UndecodableRecord, UnknownSchema
from schemas.envelope import FactMeta

CALCULATIONS: tuple[WiredCalculation, ...] = (
    WiredCalculation(BASELINE, baseline_inputs.INPUTS, baseline_inputs.parameters),
    WiredCalculation(CLEARING, clearing_inputs.INPUTS, clearing_inputs.parameters),
    WiredCalculation(SESSION, sessions.INPUTS, sessions.parameters),
    WiredCalculation(RUN, run_inputs.INPUTS, run_inputs.parameters),
    WiredCalculation(SURVEILLANCE, surveillance.INPUTS, surveillance.parameters),
)


def use_pinned_time_zones() -> None:
    """Time zone rules come from the package `tzdata` of the lock, not from what this machine happens to have.

    Calculations on local days must not differ between machines.
    """
    zoneinfo.reset_tzpath(())


class UnusableFolder(ValueError):
    """A data folder that is none, or cannot be one: says which and what to do."""


def forget_local(folder: Path) -> None:
    """Ends the local servers that still run on a data folder and removes what a deployment keeps there.

    Raises:
        UnusableFolder: the folder holds things, but no deployment; nothing is removed.
    """
    mine = ("deployment", "postgres", "kafka", "vault.key", "sample", "snapshots", "up.lock", "up.json")
    if any(folder.iterdir()) and not (folder / "deployment").exists():
        raise UnusableFolder(f"{folder} holds no deployment of ours and is left alone: choose another --data")
    LocalPostgres(folder / "postgres").destroy()
    LocalBroker(folder / "kafka").stop()
    for path in (folder / name for name in mine):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def open_vault(dsn: str, key_file: Path) -> Vault:
    """The vault in the deployment's database, under the master key of `key_file`."""
    return Vault(dsn, master_key(key_file))


def open_archive(folder: Path) -> Archive:
    """The archive in a folder, held against its own manifest and against this release's schemas.

    Raises:
        TransferRefused: it is not whole, or says what this release would misread.
    """
    archive = read_archive(folder)
    demand_readable(archive, load_ledger())
    return archive


def release_ledger() -> dict[int, dict[str, Any]]:
    """Schema id → schema, as this release has published them."""
    return load_ledger()


def new_archive(
    folder: Path, deployment: str, exported_at: datetime, ledger: Mapping[int, Mapping[str, Any]]
) -> ArchiveSink:
    """An archive to be written into a new or empty folder, with the schemas of what it holds."""
    return ArchiveSink(folder, deployment, exported_at, ledger)


async def sealed_people(dsn: str) -> list[SealedPerson]:
    """The vault's rows, encrypted as they are."""
    return await read_sealed_people(dsn)


def log_sink(backend: Backend, dsn: str, deployment: str, origin: str) -> LogSink:
    """A deployment's empty log, to be filled."""
    return LogSink(backend.events, backend.commands, PostgresUnfinished(dsn, deployment), origin)


async def demand_whole(dsn: str, deployment: str) -> None:
    """Comes before anybody works on a log.

    Raises:
        LogUnfinished: a copy into it was begun and is not finished.
    """
    if (origin := await PostgresUnfinished(dsn, deployment).found()) is not None:
        raise LogUnfinished(
            f"the log of {deployment} is being filled with {origin} and is not whole: let the import end, or begin it"
            " again, it goes on where it was"
        )


FAILURES: tuple[type[Exception], ...] = (
    ChainBroken,
    DatabaseUnreachable,
    FactNotEvolved,
    InvalidDeployment,
    LocalBrokerError,
    LocalPostgresError,
    LogUnavailable,
    TransferRefused,
    UndecodableRecord,
    UnknownSchema,
    UnusableFolder,
    VaultUnavailable,
    ViewsUnavailable,
)
"""What the log and the pipes may say: each message is a sentence for people."""


def deployment_of(name: str, partitions: int | Counts) -> Deployment:
    """A deployment of this release's messages and rules.

    Raises:
        InvalidDeployment: no deployment may have this name.
    """
    use_pinned_time_zones()
    return Deployment.of(checked(name), load_codec(compiled_codec()), partitions)


async def open_log(deployment: Deployment, backend: Backend, growing: bool = False) -> None:
    """Makes the deployment's partitions exist, and looks whether they are the log's (unless a family is growing).

    Raises:
        LogDiffers: they are not.
        LogUnavailable: the log does not answer.
    """
    layout = deployment.layout
    for generation in range(1, layout.generations + 1):
        partitions = layout.of_generation(generation)
        await asyncio.gather(backend.events.create(partitions), backend.commands.create(partitions))
        if not growing:
            await demand_generation(layout, generation, deployment.codec, backend.events)


def views_of(dsn: str, schema: str, kind: type[PostgresViews] = PostgresViews) -> PostgresViews:
    """Every family's views in a schema."""
    views = [view for family in FAMILIES for view in VIEWS[family]]
    return kind(dsn, schema, [*views, *EVERYWHERE], SQL_VIEWS)


def open_switchboard(dsn: str, deployment: str) -> PostgresSwitchboard:
    """What operators say to the deployment's processes, and what those say of themselves."""
    return PostgresSwitchboard(dsn, checked(deployment))


class App:
    """A whole deployment in one process, run in lock-step.

    Args:
        backend: the logs.
        dsn: PostgreSQL, for the views.
        deployment: its name; the views live in the schema of this name.
        partitions: partitions a family, or family → partitions.
        snapshots: where restoring may begin and where memory is saved.
    """

    def __init__(
        self,
        backend: Backend,
        dsn: str,
        deployment: str,
        partitions: int | Counts = 1,
        snapshots: Snapshots | None = None,
    ) -> None:
        self._backend, self._dsn = backend, dsn
        self._deployment = deployment_of(deployment, partitions)
        self.codec: Codec = self._deployment.codec
        self._newer = NewerSchemas(self.codec, backend.schemas, load_ledger(), Silent())
        self.layout = self._deployment.layout
        self.views = self._store(deployment)
        layout = self.layout
        owners = [PartitionOwner(p, self._decider, backend.events, backend.commands, snapshots) for p in layout.current]
        self.drive = LockStep(
            owners,
            backend.events,
            backend.commands,
            self.codec,
            Reactor(POLICIES, self.codec, layout),
            Projector(VIEWS, EVERYWHERE, self.views),
            Calculator(CALCULATIONS, self.codec, layout, self.views),
            self.views,
            layout.ended,
        )
        self.door = Door(self.codec, layout, lambda: self.drive.time)

    @property
    def backend(self) -> Backend:
        """The logs."""
        return self._backend

    def _store(self, schema: str) -> PostgresViews:
        return views_of(self._dsn, schema)

    def _decider(self, partition: Partition, set_aside: Iterable[Poison]) -> PartitionDecider:
        return self._deployment.decider(partition, set_aside)

    async def start(self, growing: bool = False) -> None:
        """Makes logs and views exist, claims every partition, catches up.

        Args:
            growing: a family may have ended some of its partitions and not yet all.
        """
        await self._open_logs(growing)
        await self.begin()

    async def begin(self) -> None:
        """The rest of `start`, behind `open_logs`: from here on this process runs the deployment."""
        await self._newer.publish()
        await self.views.start()
        await self.drive.start()

    async def open(self) -> None:
        """Connects to logs and views without claiming or changing anything: enough to read and to verify.

        Raises:
            ViewsUnavailable: there are no views, or they are another release's.
        """
        await self._open_logs()
        await self.views.look()

    async def open_logs(self) -> None:
        """Connects to the logs alone: enough to read them.

        Raises:
            LogUnfinished: they are being filled.
        """
        await self._open_logs()

    async def _open_logs(self, growing: bool = False) -> None:
        await demand_whole(self._dsn, self._deployment.name)
        await self._backend.start()
        await open_log(self._deployment, self._backend, growing)
        await self._newer.learn()

    async def runs_elsewhere(self) -> bool:
        """Whether processes of this deployment have reported in the last seconds."""
        board = open_switchboard(self._dsn, self._deployment.name)
        try:
            return bool(await board.processes())
        finally:
            await board.close()

    async def wish(self, command: DoorCommand) -> list[tuple[FactMeta, Any]]:
        """Sends a command to the processes that run the deployment; returns the records that answer it.

        Raises: as `gateways.wish.wish`.
        """
        return await wish(self._deployment, self._backend.events, self._backend.commands, command)

    async def close(self) -> None:
        """Gives everything back."""
        await self.drive.stop()
        await asyncio.gather(self._backend.close(), self.views.close())

    async def verify_decisions(self) -> list[Verdict]:
        """Decides every command of every partition again and compares bytes and chain.

        To be asked of an `App` that wrote nothing: a writer may remember its last records and not look.
        """
        return [
            await verify_decisions(
                p,
                self._decider,
                self.codec,
                self._backend.events,
                self._backend.commands,
            )
            for p in self.layout.partitions
        ]

    async def verify_projections(self) -> dict[str, tuple[str, str]]:
        """Rebuilds every view from the log in a schema of its own; returns the tables that differ (live, rebuilt).

        A partition whose log goes on behind what is projected is named too: nothing is known of the rest.
        """
        rebuilt = self._store(f"{self._deployment.name}{REBUILT}")
        await rebuilt.drop()
        await rebuilt.start()
        try:
            projector, reached = Projector(VIEWS, EVERYWHERE, rebuilt), await self.views.reached()
            for partition, live_at in sorted(reached.items(), key=lambda one: one[0].number):
                await projector.catch_up(partition, live_at.position, self._backend.events, self.codec)
            live, again = await self.views.checksums(), await rebuilt.checksums()
        finally:
            await rebuilt.drop()
            await rebuilt.close()
        differing = {name: (live[name], again[name]) for name in live if live[name] != again[name]}
        return differing | await self._not_projected(reached)

    async def _not_projected(self, reached: Mapping[Partition, Reached]) -> dict[str, tuple[str, str]]:
        behind = dict[str, tuple[str, str]]()
        for p in self.layout.partitions:
            position = reached[p].position if p in reached else 0
            if (await self._backend.events.read(p, position, 1)).records:
                behind[str(p)] = (f"projected to position {position}", "the log goes on")
        return behind
