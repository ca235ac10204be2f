"""Which core works for whom: what is measured has one for itself, its servers have the others."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

MEASURED: Final = 0
"""The place of the measured core among those this process may use; the servers get all others."""


def usable() -> tuple[int, ...]:
    """The cores that this process may use, in order; empty where the system does not tell."""
    return tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()


@contextmanager
def apart(servers: Iterable[int]) -> Iterator[bool]:
    """This process alone on one core, the servers (process ids) on the others, until the block ends.

    Gives whether that was possible: with one core, or without the system's help, everything stays as it is.
    """
    cores = usable()
    if len(cores) < 2:
        print("  no second core to set the servers apart", file=sys.stderr)
        yield False
        return
    pids = tuple(servers)
    for pid in pids:
        _move(pid, set(cores) - {cores[MEASURED]})
    _move(os.getpid(), {cores[MEASURED]})
    try:
        yield True
    finally:
        for pid in (*pids, os.getpid()):
            _move(pid, set(cores))


def beside() -> None:
    """Moves this process to where the servers are: it sends or reads, and is not what is measured."""
    cores = set(range(os.cpu_count() or 1)) if hasattr(os, "sched_setaffinity") else set[int]()
    if len(cores) > 1:
        _move(os.getpid(), cores - {MEASURED})


def _move(pid: int, cores: set[int]) -> None:
    """Moves every thread of a process; those it starts later go with them."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            os.sched_setaffinity(int(task.name), cores)
        except ProcessLookupError:
            continue  # it ended meanwhile
