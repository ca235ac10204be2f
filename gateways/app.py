"""The composition root: the one place that names concrete adapters. A plain table, no container."""

import asyncio
import shutil
import zoneinfo
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from consumers.calculate import Calculator, WiredCalculation
from consumers.decide import PartitionOwner
from consumers.drive import LockStep
from consumers.partition import ChainBroken, PartitionDecider, Poison
from consumers.ports import CommandLog, EventLog, LogUnavailable, Partition
from consumers.project import Projector, Reached
from consumers.react import Reactor
from consumers.replay import Verdict, verify_decisions
from domain.families import DECIDERS
from domain.policies.table import POLICIES
from domain.programme.calc_baseline import CALCULATION as BASELINE
from domain.settlement.calc_run import CALCULATION as RUN
from gateways.door import Door
from infra.deployment import REBUILT, InvalidDeployment, checked
from infra.embedded.memory import MemoryCommandLog, MemoryEventLog, MemoryStore
from infra.embedded.postgres import PostgresCommandLog, PostgresEventLog
from infra.kafka.broker import Broker, LocalBroker, LocalBrokerError, find_broker
from infra.kafka.command_log import KafkaCommandLog
from infra.kafka.event_log import KafkaEventLog
from infra.postgres.reach import Database, DatabaseUnreachable, find_database
from infra.postgres.server import LocalPostgres, LocalPostgresError
from infra.postgres.views import PostgresViews, ViewsUnavailable
from infra.schemas import load_codec
from infra.vault.vault import Vault, VaultUnavailable, master_key
from projections.families import EVERYWHERE, SQL_VIEWS, VIEWS
from projections.programme import inputs as baseline_inputs
from projections.settlement import inputs as run_inputs
from schemas.catalog import FAMILIES
from schemas.codec import Codec, UndecodableRecord, UnknownSchema

CALCULATIONS: tuple[WiredCalculation, ...] = (
    WiredCalculation(BASELINE, baseline_inputs.INPUTS, baseline_inputs.parameters),
    WiredCalculation(RUN, run_inputs.INPUTS, run_inputs.parameters),
)


def use_pinned_time_zones() -> None:
    """Time zone rules come from the package `tzdata` of the lock, not from what this machine happens to have.

    Calculations on local days must not differ between machines.
    """
    zoneinfo.reset_tzpath(())


class ServedEventLog(EventLog, Protocol):
    """An event log with a life."""

    async def start(self) -> None: ...

    async def close(self) -> None: ...


class ServedCommandLog(CommandLog, Protocol):
    """A command log with a life."""

    async def start(self) -> None: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Backend:
    """The pair of logs that a deployment stands on."""

    events: ServedEventLog
    commands: ServedCommandLog


def memory_backend(deployment: str, store: MemoryStore | None = None) -> Backend:
    """Logs in this process's memory, for tests and simulations; what shares a `store` is the same log."""
    store = store or MemoryStore()
    return Backend(MemoryEventLog(deployment, store), MemoryCommandLog(deployment, store))


def postgres_backend(dsn: str, deployment: str) -> Backend:
    """The embedded default: logs in PostgreSQL."""
    return Backend(PostgresEventLog(dsn, deployment), PostgresCommandLog(dsn, deployment))


def kafka_backend(bootstrap: str, deployment: str) -> Backend:
    """The product: logs on Kafka."""
    return Backend(KafkaEventLog(bootstrap, deployment), KafkaCommandLog(bootstrap, deployment))


def find_local_database(folder: Path) -> Database:
    """The database of `DATABASE_URL`, else a local one with its data in `folder`."""
    return find_database(folder)


def find_local_broker(folder: Path) -> Broker:
    """The broker of `KAFKA_BOOTSTRAP`, else a local one with its data in `folder`."""
    return find_broker(folder, keep_data=True)


class UnusableFolder(ValueError):
    """A data folder that is none, or cannot be one: says which and what to do."""


def forget_local(folder: Path) -> None:
    """Ends the local servers that still run on a data folder and removes what a deployment keeps there.

    Raises:
        UnusableFolder: the folder holds things, but no deployment; nothing is removed.
    """
    mine = ("deployment", "postgres", "kafka", "vault.key", "sample")
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


FAILURES: tuple[type[Exception], ...] = (
    ChainBroken,
    DatabaseUnreachable,
    InvalidDeployment,
    LocalBrokerError,
    LocalPostgresError,
    LogUnavailable,
    UndecodableRecord,
    UnknownSchema,
    UnusableFolder,
    VaultUnavailable,
    ViewsUnavailable,
)
"""What the log and the pipes may say: each message is a sentence for people."""


class App:
    """A whole deployment in one process, run in lock-step.

    Args:
        backend: the logs.
        dsn: PostgreSQL, for the views.
        deployment: its name; the views live in the schema of this name.
        partitions: partitions a family.
    """

    def __init__(self, backend: Backend, dsn: str, deployment: str, partitions: int = 1) -> None:
        use_pinned_time_zones()
        self._backend, self._dsn, self._deployment = backend, dsn, checked(deployment)
        self.codec: Codec = load_codec()
        self._counts: Mapping[str, int] = dict.fromkeys(FAMILIES, partitions)
        self.partitions = tuple(Partition(family, n) for family in FAMILIES for n in range(partitions))
        self.views = self._store(deployment)
        owners = [PartitionOwner(p, self._decider, backend.events, backend.commands) for p in self.partitions]
        self.drive = LockStep(
            owners,
            backend.events,
            backend.commands,
            self.codec,
            Reactor(POLICIES, self.codec, self._counts),
            Projector(VIEWS, EVERYWHERE, self.views),
            Calculator(CALCULATIONS, self.codec, self._counts, self.views),
            self.views,
        )
        self.door = Door(self.codec, self._counts, lambda: self.drive.time)

    def _store(self, schema: str, kind: type[PostgresViews] = PostgresViews) -> PostgresViews:
        views = [view for family in FAMILIES for view in VIEWS[family]]
        return kind(self._dsn, schema, [*views, *EVERYWHERE], SQL_VIEWS)

    def _decider(self, partition: Partition, set_aside: Iterable[Poison]) -> PartitionDecider:
        family = partition.family
        return PartitionDecider(partition, self._counts[family], DECIDERS[family], self.codec, set_aside)

    async def start(self) -> None:
        """Makes logs and views exist, claims every partition, catches up."""
        await self._open_logs()
        await self.views.start()
        await self.drive.start()

    async def open(self) -> None:
        """Connects to logs and views without claiming or changing anything: enough to read and to verify.

        Raises:
            ViewsUnavailable: there are no views, or they are another release's.
        """
        await self._open_logs()
        await self.views.look()

    async def _open_logs(self) -> None:
        await asyncio.gather(self._backend.events.start(), self._backend.commands.start())
        await asyncio.gather(
            self._backend.events.create(self.partitions), self._backend.commands.create(self.partitions)
        )

    async def close(self) -> None:
        """Gives everything back."""
        await self.drive.stop()
        await asyncio.gather(self._backend.events.close(), self._backend.commands.close(), self.views.close())

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
            for p in self.partitions
        ]

    async def verify_projections(self) -> dict[str, tuple[str, str]]:
        """Rebuilds every view from the log in a schema of its own; returns the tables that differ (live, rebuilt).

        A partition whose log goes on behind what is projected is named too: nothing is known of the rest.
        """
        rebuilt = self._store(f"{self._deployment}{REBUILT}")
        await rebuilt.drop()
        await rebuilt.start()
        try:
            projector, reached = Projector(VIEWS, EVERYWHERE, rebuilt), await self.views.reached()
            for partition, live_at in reached.items():
                await projector.catch_up(partition, live_at.position, self._backend.events, self.codec)
            live, again = await self.views.checksums(), await rebuilt.checksums()
        finally:
            await rebuilt.drop()
            await rebuilt.close()
        differing = {name: (live[name], again[name]) for name in live if live[name] != again[name]}
        return differing | await self._not_projected(reached)

    async def _not_projected(self, reached: Mapping[Partition, Reached]) -> dict[str, tuple[str, str]]:
        behind = dict[str, tuple[str, str]]()
        for p in self.partitions:
            position = reached[p].position if p in reached else 0
            if (await self._backend.events.read(p, position, 1)).records:
                behind[f"{p.family}/{p.number}"] = (f"projected to position {position}", "the log goes on")
        return behind
