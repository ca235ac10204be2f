"""`gridbook up` runs once on a data folder, and says there where its local servers answer.

Other commands on the same folder use those servers instead of taking them over, which would end them.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

_LOCK: Final = "up.lock"
_FILE: Final = "up.json"
_SECONDS: Final = 0.5


class AlreadyRuns(RuntimeError):
    """A `gridbook up` is on the data folder and must not be disturbed; the message says how."""


@dataclass(frozen=True, slots=True)
class Running:
    """Where the servers that a running `gridbook up` has started answer; none: it uses another, or does without."""

    pid: int
    dsn: str | None
    bootstrap: str | None


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keeps every other `gridbook up` off the data folder; a killed one keeps nobody off.

    Raises:
        AlreadyRuns: one is there.
    """
    with (folder / _LOCK).open("a") as lock:
        ends = time.monotonic() + _SECONDS
        while not _locked(lock.fileno(), fcntl.LOCK_EX):  # somebody may just be looking
            if time.monotonic() > ends:
                there = _read(folder)
                who = f"process {there.pid}" if there else "another process"
                raise AlreadyRuns(f"`gridbook up` runs on {folder} already ({who}): stop that one first")
            time.sleep(0.02)
        yield


@contextmanager
def announced(folder: Path, dsn: str | None, bootstrap: str | None) -> Iterator[None]:
    """Says where one's own local servers are, to this user only; to be called by who is `alone`."""
    file, new = folder / _FILE, folder / f"{_FILE}.new"
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as writer:
        json.dump(asdict(Running(os.getpid(), dsn, bootstrap)), writer)
    new.rename(file)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def running(folder: Path) -> Running | None:
    """The `gridbook up` that runs on the data folder now, if there is one.

    Raises:
        AlreadyRuns: one is starting or stopping: its servers must be left alone.
    """
    try:
        with (folder / _LOCK).open() as lock:
            if _locked(lock.fileno(), fcntl.LOCK_SH):
                return None
    except OSError:
        return None
    there = _read(folder)
    if there is None:
        raise AlreadyRuns(f"`gridbook up` is starting or stopping on {folder}: try again in some seconds")
    return there


def _locked(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(folder: Path) -> Running | None:
    try:
        return Running(**json.loads((folder / _FILE).read_text()))
    except (OSError, ValueError, TypeError):
        return None
