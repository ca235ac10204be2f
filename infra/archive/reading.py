"""An archive as a source: its two halves are read like logs."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from itertools import dropwhile, islice
from pathlib import Path
from typing import Any

from consumers.extent import Plan, Source
from consumers.ports import Batch, Partition, StoredRecord
from consumers.transfer import TransferRefused
from infra.archive.container import read_container
from infra.archive.manifest import SCHEMAS, LogFile, Manifest, demand_files, read_manifest
from infra.vault.vault import SealedPerson


class ArchivedLog:
    """One half of an archive, read from one position to another (`consumers.extent.Readable`).

    A read that goes on where an earlier one ended goes on in the file; any other begins at its beginning.
    """

    def __init__(self, folder: Path, files: Mapping[Partition, LogFile]) -> None:
        self._folder, self._files = folder, files
        self._cursors: dict[tuple[Partition, int], Iterator[StoredRecord]] = {}

    async def end(self, partition: Partition) -> int:
        """As `EventLog.end`."""
        return self._file(partition).end

    async def read(self, partition: Partition, position: int, limit: int) -> Batch:
        """As `EventLog.read`.

        Raises:
            TransferRefused: the file is not what was written.
        """
        end = self._file(partition).end
        if position >= end:
            return Batch((), position)
        cursor = self._cursors.pop((partition, position), None) or self._opened(partition, position)
        found = await asyncio.to_thread(lambda: tuple(islice(cursor, limit)))
        if not found:
            raise TransferRefused(f"{self._file(partition).file} ends before position {position}")
        behind = found[-1].position + 1
        if behind < end:
            self._cursors[partition, behind] = cursor
        return Batch(found, behind)

    def _file(self, partition: Partition) -> LogFile:
        try:
            return self._files[partition]
        except KeyError:
            raise TransferRefused(f"the archive holds no {partition}") from None

    def _opened(self, partition: Partition, position: int) -> Iterator[StoredRecord]:
        records = map(_stored, read_container(self._folder / self._file(partition).file))
        return dropwhile(lambda stored: stored.position < position, records)


class Archive:
    """A whole archive: every file is there and has the bytes that the manifest tells of."""

    def __init__(self, folder: Path, manifest: Manifest, sha256: str) -> None:
        self._folder, self.manifest = folder, manifest
        self.sha256 = sha256
        """Of the manifest."""
        events = {p.partition: p.events for p in manifest.partitions}
        commands = {p.partition: p.commands for p in manifest.partitions}
        self.source = Source(ArchivedLog(folder, events), ArchivedLog(folder, commands))

    @property
    def plan(self) -> Plan:
        """How far each partition goes."""
        return self.manifest.plan

    @property
    def origin(self) -> str:
        """The archive in words; another archive has other ones."""
        return f"the archive of {self.manifest.deployment} of {self.manifest.exported_at} ({self.sha256[:16]})"

    def people(self) -> list[SealedPerson]:
        """The vault's rows.

        Raises:
            TransferRefused: the file is not what was written.
        """
        if self.manifest.vault is None:
            return []
        return [SealedPerson(**row) for row in read_container(self._folder / self.manifest.vault.file)]

    def ledger(self) -> dict[int, Any]:
        """Schema id → schema, as of the export.

        Raises:
            TransferRefused: the file is not what was written.
        """
        path = self._folder / SCHEMAS
        try:
            return {int(n): schema for n, schema in json.loads(path.read_text()).items()}
        except (OSError, ValueError, AttributeError) as error:
            raise TransferRefused(f"{path} cannot be read ({error}): take another copy of the archive") from error


def open_archive(folder: Path) -> Archive:
    """The archive in a folder, with every file held against the manifest.

    Raises:
        TransferRefused: it is none, it is not whole, or it was changed: the file is named.
    """
    manifest, sha256 = read_manifest(folder)
    demand_files(folder, manifest)
    return Archive(folder, manifest, sha256)


def demand_readable(archive: Archive, ledger: Mapping[int, Any]) -> None:
    """Holds the archive's schemas against this release's: an id means the same for ever.

    Raises:
        TransferRefused: an id means something else here, so the values would be read wrongly.
    """
    for number, schema in archive.ledger().items():
        if number in ledger and ledger[number] != schema:
            raise TransferRefused(
                f"the archive's schema {number} is {schema.get('name')}, and here it is another one"
                f" ({ledger[number].get('name')}): import it with a release of its own line"
            )


def _stored(datum: Mapping[str, Any]) -> StoredRecord:
    headers = tuple([(header["name"], header["value"]) for header in datum["headers"]])
    return StoredRecord(datum["position"], datum["key"], datum["value"], headers)
