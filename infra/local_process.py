"""Servers of our own on this machine: whose process is it, how does it end, who may touch its folder now."""

import fcntl
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

_POLL_SECONDS = 0.02


def find_process(pid: int, argument: str) -> psutil.Process | None:
    """The running process with this number whose command line contains `argument`, else None.

    A number alone proves nothing: after a restart it belongs to somebody else.
    """
    try:
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE and any(argument in part for part in process.cmdline()):
            return process
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        pass
    return None


def read_pid(path: Path) -> int | None:
    """The number in the first line of a pid file; None when there is no file or no number yet."""
    try:
        return int(path.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None


def end_process(process: psutil.Process, steps: Sequence[tuple[signal.Signals, float]]) -> bool:
    """Sends each signal in turn and waits for its seconds; True as soon as the process has ended."""
    for number, seconds in steps:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            return True
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            if _has_ended(process):
                return True
            time.sleep(_POLL_SECONDS)
    return _has_ended(process)


def _has_ended(process: psutil.Process) -> bool:
    # A taken-over server is nobody's child: where the first process does not reap, it stays a zombie.
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextmanager
def exclusive(path: Path, timeout: float) -> Iterator[None]:
    """Holds the lock file `path`; a killed holder frees it.

    Raises:
        TimeoutError: another process held it for the whole time.
    """
    ends = time.monotonic() + timeout
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > ends:
                    raise TimeoutError(f"another process has held {path} for {timeout:.0f} s") from None
                time.sleep(_POLL_SECONDS)
        yield  # closing the file frees the lock


def last_lines(path: Path, start: int = 0, count: int = 8) -> str:
    """The last lines of a log, without stack frames, not looking before the byte `start`; may be empty."""
    try:
        with path.open("rb") as file:
            file.seek(max(start, path.stat().st_size - 16_384))
            return "\n".join(without_frames(file.read().decode(errors="replace"))[-count:])
    except OSError:
        return ""


def without_frames(text: str) -> list[str]:
    """The lines of a program's output that say something: no blank ones, no frames of a Java stack."""
    return [line for line in text.splitlines() if line.strip() and not line.startswith("\tat ")]
