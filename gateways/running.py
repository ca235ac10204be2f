"""One process at a time keeps the local servers of a data folder; `gridbook up` says there where they answer.

Other commands on the same folder use the servers of `gridbook up` instead of taking them over, which would end them;
beside any other process they are refused.
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

from gateways.app import UnusableFolder

_LOCK: Final = "up.lock"
_FILE: Final = "up.json"
_SECONDS: Final = 0.5


class AlreadyRuns(RuntimeError):
    """Another process keeps the data folder's servers and must not be disturbed; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Running:
    """Where the servers that a running `gridbook up` has started answer; none: it uses another, or does without."""

    pid: int
    dsn: str | None
    bootstrap: str | None


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keeps everybody else off the local servers of the data folder; a killed process keeps nobody off.

    Raises:
        AlreadyRuns: somebody is there.
        UnusableFolder: it is no folder in which something can be kept.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / _LOCK).open("a")
    except OSError as error:
        raise UnusableFolder(f"nothing can be kept in {folder} ({error}): choose another --data") from error
    with lock:
        ends = time.monotonic() + _SECONDS
        while not _locked(lock.fileno(), fcntl.LOCK_EX):  # somebody may just be looking
            if time.monotonic() > ends:
                raise _runs(folder, there) if (there := _read(folder)) else _busy(folder)
            time.sleep(0.02)
        (folder / _FILE).unlink(missing_ok=True)  # what a killed one has announced
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
        AlreadyRuns: one is starting or stopping, or another command is at work: the servers must be left alone.
    """
    try:
        with (folder / _LOCK).open() as lock:
            if _locked(lock.fileno(), fcntl.LOCK_SH):
                return None
    except OSError:
        return None
    there = _read(folder)
    if there is None:
        raise _busy(folder)
    return there


def demand_nobody(folder: Path) -> None:
    """Nobody may keep the servers of the folder now.

    Raises:
        AlreadyRuns: somebody does.
    """
    if there := running(folder):
        raise _runs(folder, there)


def _runs(folder: Path, there: Running) -> AlreadyRuns:
    return AlreadyRuns(f"`gridbook up` runs on {folder} already (process {there.pid}): stop that one first")


def _busy(folder: Path) -> AlreadyRuns:
    return AlreadyRuns(
        f"another process keeps the local servers of {folder} (a demo, a command, or a `gridbook up` that is starting"
        " or stopping): wait until it has ended, or start `gridbook up`, beside which others may work"
    )


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
