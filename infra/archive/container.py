"""One file of an archive: an Avro object container, hashed while it is written and read from its beginning."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import fastavro
from fastavro.types import Schema
from fastavro.write import Writer

from consumers.transfer import TransferRefused

RECORD: Final[Schema] = {
    "type": "record",
    "name": "gridbook.archive.Record",
    "doc": "A record of a commands or events partition as it stands on the log; `value` is framed Avro.",
    "fields": [
        {"name": "key", "type": "bytes"},
        {"name": "value", "type": "bytes"},
        {
            "name": "headers",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "gridbook.archive.Header",
                    "fields": [{"name": "name", "type": "string"}, {"name": "value", "type": "bytes"}],
                },
            },
        },
        {"name": "position", "type": "long"},
    ],
}
PERSON: Final[Schema] = {
    "type": "record",
    "name": "gridbook.archive.SealedPerson",
    "doc": "A person's data encrypted under a key of their own, and that key encrypted under the vault's master key.",
    "fields": [
        {"name": "person", "type": "string"},
        {"name": "wrapped", "type": "bytes"},
        {"name": "data", "type": "bytes"},
    ],
}

_BLOCK_BYTES: Final = 256 * 1024
_MARKER_BYTES: Final = 16
_READ_BYTES: Final = 1024 * 1024


class ContainerWriter:
    """A new file. The same content gives the same bytes: nothing in it is drawn by chance.

    Args:
        path: must not exist yet.

    Raises:
        OSError: from every method; the file is then of no use.
    """

    def __init__(self, path: Path, schema: Schema) -> None:
        self._file = path.open("xb")
        self._sha = hashlib.sha256()
        self.size = self.count = 0
        marker = hashlib.sha256(path.name.encode()).digest()[:_MARKER_BYTES]
        self._writer = Writer(
            self,  # type: ignore[arg-type]  # it only writes
            fastavro.parse_schema(schema),
            codec="deflate",
            sync_interval=_BLOCK_BYTES,
            sync_marker=marker,
        )

    def write(self, data: bytes) -> int:
        """Takes the container's bytes from the library."""
        self._sha.update(data)
        self.size += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        """Called by the library behind each block."""

    def seekable(self) -> bool:
        """Asked by the library, which would go on with a file that holds something."""
        return False

    def add(self, data: Iterable[dict[str, Any]]) -> None:
        """Adds records as the schema describes them."""
        for datum in data:
            self._writer.write(datum)
            self.count += 1

    def finish(self) -> str:
        """Everything is on the disk when it returns; the answer is the file's SHA-256 (hex)."""
        self._writer.flush()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self._sha.hexdigest()

    def abandon(self) -> None:
        """Closes a file that will not be finished; it stays where it is."""
        self._file.close()


def read_container(path: Path) -> Iterator[dict[str, Any]]:
    """The file's records, in order; the file is closed behind the last one.

    Raises:
        TransferRefused: it is no such file, or it is damaged.
    """
    try:
        with path.open("rb") as file:
            yield from fastavro.reader(file)  # type: ignore[misc]  # records, by our schemas
    except (OSError, ValueError, TypeError, EOFError, LookupError, AttributeError) as error:
        # fastavro raises whatever its readers raise; all of it means that this is not what was written
        raise TransferRefused(f"{path}: it cannot be read ({error!r}): take another copy of the archive") from error


def sha256_of(path: Path) -> tuple[int, str]:
    """Size and SHA-256 (hex) of a file.

    Raises:
        OSError: it cannot be read.
    """
    sha, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while data := file.read(_READ_BYTES):
            sha.update(data)
            size += len(data)
    return size, sha.hexdigest()
