"""An archive that is being written: `consumers.transfer.Sink` into a folder."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from consumers.extent import Plan
from consumers.limits import MAX_BATCH
from consumers.ports import Partition, StoredRecord
from consumers.transfer import Part, TransferRefused
from infra.archive.container import PERSON, RECORD, ContainerWriter
from infra.archive.manifest import (
    FORMAT,
    KEY_APART,
    MANIFEST,
    SCHEMAS,
    VAULT,
    ArchivedPartition,
    LogFile,
    Manifest,
    VaultFile,
    sync_folder,
    write_whole,
)
from infra.vault.vault import SealedPerson

_INDENT: Final = 1


class ArchiveSink:
    """Writes a log into a folder, which must be new or empty.

    Args:
        deployment: whose log it is.
        exported_at: the caller's time, with its zone.
        ledger: schema id → published schema: with it the values can be read for ever.
    """

    def __init__(
        self, folder: Path, deployment: str, exported_at: datetime, ledger: Mapping[int, Mapping[str, Any]]
    ) -> None:
        self._folder, self._deployment, self._exported_at, self._ledger = folder, deployment, exported_at, ledger
        self._done: dict[Partition, ArchivedPartition] = {}
        self._open: set[ContainerWriter] = set()
        self._vault: VaultFile | None = None
        self.sha256 = ""
        """Of the manifest, when it is written: who keeps it can tell whether anything was changed since."""

    async def begin(self, plan: Plan) -> None:
        """As `Sink.begin`.

        Raises:
            TransferRefused: the folder holds something, or cannot be made.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            holds = next(self._folder.iterdir(), None)
        except OSError as error:
            raise TransferRefused(f"nothing can be exported to {self._folder} ({error})") from error
        if holds is not None:
            raise TransferRefused(
                f"{self._folder} is not empty ({holds.name}): name a new folder; an export that did not end is worth"
                " nothing and may be removed"
            )

    async def take(self, part: Part) -> None:
        """As `Sink.take`.

        Raises:
            TransferRefused: the folder does not take it.
        """
        partition, extent = part.partition, part.extent
        commands = await self._write("commands", partition, _singly(part.commands()))
        events = await self._write("events", partition, part.appends())
        self._done[partition] = ArchivedPartition(
            family=partition.family,
            number=partition.number,
            passed=extent.passed,
            chain_head=extent.head,
            commands=commands,
            events=events,
        )

    async def take_people(self, people: Sequence[SealedPerson]) -> None:
        """Takes the vault's rows, encrypted as they are."""

        def write() -> VaultFile:
            container = self._new(VAULT, PERSON)
            container.add(asdict(person) for person in people)
            sha256 = self._finished(container)
            return VaultFile(
                file=VAULT, bytes=container.size, sha256=sha256, people=container.count, statement=KEY_APART
            )

        self._vault = await self._in_thread(write)

    async def finish(self, plan: Plan) -> None:
        """As `Sink.finish`: writes the schemas, and last the manifest."""

        def write() -> str:
            schemas = json.dumps({str(n): schema for n, schema in sorted(self._ledger.items())}, indent=_INDENT)
            manifest = Manifest(
                format=FORMAT,
                deployment=self._deployment,
                exported_at=f"{self._exported_at:%Y-%m-%dT%H:%M:%S%z}".replace("+0000", "Z"),
                tick=plan.tick,
                families=dict(plan.layout.families),
                partitions=tuple(self._done[extent.partition] for extent in plan.extents),
                schemas=write_whole(self._folder / SCHEMAS, schemas.encode()),
                vault=self._vault,
            )
            sync_folder(self._folder)  # the other files' names, before the one that vouches for them
            return write_whole(self._folder / MANIFEST, manifest.model_dump_json(indent=_INDENT).encode()).sha256

        self.sha256 = await self._in_thread(write)

    async def close(self) -> None:
        """As `Sink.close`; without a manifest what is there is no archive."""
        for container in self._open:
            container.abandon()
        self._open.clear()

    async def _write(self, kind: str, partition: Partition, groups: AsyncIterator[Sequence[StoredRecord]]) -> LogFile:
        name = f"{kind}.{partition.family}-{partition.number}.avro"
        container = await self._in_thread(lambda: self._new(name, RECORD))
        first: int | None = None
        last: int | None = None
        waiting = list[StoredRecord]()
        async for group in groups:
            waiting += group
            first, last = group[0].position if first is None else first, group[-1].position
            if len(waiting) >= MAX_BATCH:
                await self._in_thread(lambda some=waiting: container.add(map(_datum, some)))
                waiting = []

        def end() -> str:
            container.add(map(_datum, waiting))
            return self._finished(container)

        sha256 = await self._in_thread(end)
        return LogFile(file=name, bytes=container.size, sha256=sha256, records=container.count, first=first, last=last)

    def _new(self, name: str, schema: Any) -> ContainerWriter:
        container = ContainerWriter(self._folder / name, schema)
        self._open.add(container)
        return container

    def _finished(self, container: ContainerWriter) -> str:
        sha256 = container.finish()
        self._open.discard(container)
        return sha256

    async def _in_thread(self, work: Any) -> Any:
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            raise TransferRefused(
                f"the export to {self._folder} did not end ({error}): make room, export again"
            ) from error


async def _singly(records: AsyncIterator[StoredRecord]) -> AsyncIterator[Sequence[StoredRecord]]:
    async for stored in records:
        yield (stored,)


def _datum(stored: StoredRecord) -> dict[str, Any]:
    headers: Iterable[tuple[str, bytes]] = stored.headers
    return {
        "key": stored.key,
        "value": stored.value,
        "headers": [{"name": name, "value": value} for name, value in headers],
        "position": stored.position,
    }
