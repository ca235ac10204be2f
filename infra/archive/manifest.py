"""What an archive's folder holds, written last: a folder without it is an export that did not end."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from consumers.extent import Extent, Plan
from consumers.layout import Layout
from consumers.ports import Partition
from consumers.transfer import TransferRefused
from infra.archive.container import sha256_of

FORMAT: Final = 2
MANIFEST: Final = "manifest.json"
SCHEMAS: Final = "schemas.json"
VAULT: Final = "vault.avro"

KEY_APART: Final = (
    "The rows are encrypted as in the vault. The master key is not in this archive: keep it apart, without it nobody"
    " reads them. Who was erased after the export stands here still: erase them again after a restore."
)

Count = Annotated[int, Field(ge=0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^[a-z0-9_.-]+$")]
"""Of a file in the folder itself: nothing elsewhere is ever read."""


class _Told(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class HashedFile(_Told):
    """A file and what its bytes must be."""

    file: FileName
    bytes: Count
    sha256: Sha256


class LogFile(HashedFile):
    """A file of records; `first` and `last` are positions, none where there are no records."""

    records: Count
    first: Count | None
    last: Count | None

    @property
    def end(self) -> int:
        """The position behind the last record."""
        return 0 if self.last is None else self.last + 1


class ArchivedPartition(_Told):
    """One partition: `passed` is its last tick, `chain_head` the hash (hex) behind its last append."""

    family: str
    number: Count
    passed: Count
    chain_head: str
    commands: LogFile
    events: LogFile

    @property
    def partition(self) -> Partition:
        """The partition."""
        return Partition(self.family, self.number)


class VaultFile(HashedFile):
    """Personal data, still encrypted."""

    people: Count
    statement: str


class Manifest(_Told):
    """Everything that is in an archive.

    `tick` is the cut-off up to which every family is complete, `exported_at` the exporting machine's time
    (ISO 8601, UTC), `families` the numbers of partitions of each, generation after generation.
    """

    format: int
    deployment: str
    exported_at: str
    tick: Count
    families: dict[str, tuple[Count, ...]]
    partitions: tuple[ArchivedPartition, ...]
    schemas: HashedFile
    vault: VaultFile | None

    @property
    def files(self) -> Iterable[HashedFile]:
        """All files beside the manifest."""
        for partition in self.partitions:
            yield from (partition.commands, partition.events)
        yield self.schemas
        if self.vault is not None:
            yield self.vault

    @property
    def plan(self) -> Plan:
        """How far each partition goes."""
        return Plan(
            tuple(
                Extent(p.partition, p.events.end, p.commands.end, p.events.records, p.passed, p.chain_head)
                for p in self.partitions
            )
        )


def write_whole(path: Path, data: bytes) -> HashedFile:
    """A file that is there whole or not at all, also when the machine stops meanwhile.

    Raises:
        OSError: it is not there.
    """
    temporary = path.with_name(f"{path.name}.part")
    with temporary.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    sync_folder(path.parent)
    return HashedFile(file=path.name, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def sync_folder(folder: Path) -> None:
    """The names of the folder's files are on the disk.

    Raises:
        OSError: they may not be.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_manifest(folder: Path) -> tuple[Manifest, str]:
    """The folder's manifest and its SHA-256 (hex).

    Raises:
        TransferRefused: there is none, it is another version's, or it says what cannot be.
    """
    path = folder / MANIFEST
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise TransferRefused(
            f"{folder} has no {MANIFEST}: it is no archive, or an export that did not end; export again"
        ) from None
    except OSError as error:
        raise TransferRefused(f"{path} cannot be read ({error})") from error
    try:
        told: Any = json.loads(data)
        number = told["format"]
        if number != FORMAT:
            raise TransferRefused(f"{path}: format {number!r} is not {FORMAT}: use the release that wrote it")
        manifest = Manifest.model_validate_json(data, strict=True)
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        said = " ".join(str(error).split())[:300]
        raise TransferRefused(f"{path} is no manifest ({said}): take another copy of the archive") from error
    _demand_sense(path, manifest)
    return manifest, hashlib.sha256(data).hexdigest()


def demand_files(folder: Path, manifest: Manifest) -> None:
    """Holds every file against the manifest.

    Raises:
        TransferRefused: one is missing or has other bytes; it is named.
    """
    for told in manifest.files:
        path = folder / told.file
        try:
            size, sha256 = sha256_of(path)
        except OSError as error:
            raise TransferRefused(
                f"{path} cannot be read ({error.strerror}): the archive is not whole, take another copy of it"
            ) from error
        if (size, sha256) != (told.bytes, told.sha256):
            raise TransferRefused(
                f"{path} was changed after the export: expected {told.bytes} bytes with SHA-256 {told.sha256}, found"
                f" {size} with {sha256}; take another copy of the archive"
            )


def _demand_sense(path: Path, manifest: Manifest) -> None:
    found = [partition.partition for partition in manifest.partitions]
    if Counter(found) != Counter(Layout(manifest.families).partitions):
        raise TransferRefused(f"{path}: its partitions are not those of its families: take another copy of the archive")
    for partition in manifest.partitions:
        for part in (partition.commands, partition.events):
            if (part.last is None) is not (part.records == 0):
                raise TransferRefused(f"{path}: {part.file} has records and no positions, or positions and no records")
