"""Snapshots as files of one folder: `<family>-<n>.snapshot`, each replaced as a whole.

They are written under another name, which its writer holds locked: a name that nobody holds is what a dead
process left behind. That also tells in containers, where every process has the same number.
"""

import asyncio
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from consumers.ports import Partition

_NAME: Final = "{}-{}.snapshot"
_UNFINISHED: Final = ".unfinished"


class FolderSnapshots:
    """Snapshots (`consumers/ports.py: Snapshots`) in `folder`, which is made when something is saved.

    Several processes may share it: the last save of a partition stands, whole. Whoever owns the folder alone reads it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._looked = False

    async def load(self, partition: Partition) -> bytes | None:
        """As the port says."""
        return await asyncio.to_thread(self._load, partition)

    async def save(self, partition: Partition, data: bytes) -> None:
        """As the port says; removes what dead processes left unfinished, the first time."""
        await asyncio.to_thread(self._save, partition, data)

    def _load(self, partition: Partition) -> bytes | None:
        try:
            return self._file(partition).read_bytes()
        except FileNotFoundError:
            return None

    def _save(self, partition: Partition, data: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._looked:
            self._looked = True
            self._clear()
        file = self._file(partition)
        with _held(file) as (descriptor, unfinished):
            with open(descriptor, "wb", closefd=False) as writer:
                writer.write(data)
            os.fsync(descriptor)
            unfinished.rename(file)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _clear(self) -> None:
        for path in self._folder.glob(f"*{_UNFINISHED}"):
            with suppress(OSError):  # held by its writer, finished meanwhile, or somebody else's: it harms nobody
                descriptor = os.open(path, os.O_RDWR)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()
                finally:
                    os.close(descriptor)

    def _file(self, partition: Partition) -> Path:
        return self._folder / _NAME.format(partition.family, partition.number)


@contextmanager
def _held(file: Path) -> Iterator[tuple[int, Path]]:
    """A new file beside `file`, locked by us until it is renamed or removed."""
    while True:
        path = file.with_name(f"{file.name}.{secrets.token_hex(8)}{_UNFINISHED}")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink == 0:
                continue  # somebody who tidied up was between our two calls
            try:
                yield descriptor, path
            except BaseException:
                path.unlink(missing_ok=True)
                raise
            return
        finally:
            os.close(descriptor)
