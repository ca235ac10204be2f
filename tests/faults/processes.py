"""Real processes of a deployment, and what a fault does to them."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import psutil

from gateways.app import App
from gateways.app.backends import kafka_backend, postgres_backend
from gateways.settings import PARENT
from schemas.catalog import FAMILIES

CHECKOUT: Final = Path(__file__).parents[2]
ROLES: Final = ("decide", "react", "project", "calculate")
"""The roles that a load needs; it sends the ticks itself."""

STANDBY: Final = "standby"
STOP_SECONDS: Final = 10.0
"""So long after SIGTERM every process must be gone."""

_LOOK_SECONDS: Final = 0.02
_WATCH_SECONDS: Final = 0.5
_SHOWN_BYTES: Final = 4_000
STOPPED: Final = b'"event": "stopped"'
_NEVER: Final = (STOPPED, b"duplicate key value")
"""What no process of a sound deployment says: that a part has stopped for good, that a fact came twice."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a deployment stands.

    `bootstrap` none: on the embedded log. `counts`: family → partitions, `copies` of a topic, and how many must stand.
    """

    name: str
    dsn: str
    bootstrap: str | None
    folder: Path
    counts: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(FAMILIES, 1) | {"market": 3, "site": 2})
    copies: tuple[int, int] = (1, 1)

    def environ(self) -> dict[str, str]:
        """What the processes of the deployment are told."""
        told = {
            "DATABASE_URL": self.dsn,
            "GRIDBOOK_DATA": str(self.folder),
            "GRIDBOOK_DEPLOYMENT": self.name,
            "GRIDBOOK_FAMILY_PARTITIONS": ",".join(f"{family}={n}" for family, n in self.counts.items()),
            "GRIDBOOK_REPLICATION_FACTOR": str(self.copies[0]),
            "GRIDBOOK_MIN_INSYNC_REPLICAS": str(self.copies[1]),
            "GRIDBOOK_SNAPSHOT_EVERY": "1000",
            "GRIDBOOK_NOTE_MS": "20",
            "GRIDBOOK_HEALTH_PORT": "none",
            "GRIDBOOK_LOG_FORMAT": "json",
        }
        return told if self.bootstrap is None else told | {"KAFKA_BOOTSTRAP": self.bootstrap}

    @property
    def snapshots(self) -> Path:
        """The folder of the snapshots."""
        return self.folder / "snapshots"

    def app(self) -> App:
        """Somebody who looks at the deployment, or sends to it."""
        if self.bootstrap is None:
            backend = postgres_backend(self.dsn, self.name)
        else:
            backend = kafka_backend(self.bootstrap, self.name, self.copies)
        return App(backend, self.dsn, self.name, self.counts)


class Child(Protocol):
    """A process, however it was started."""

    pid: int

    def code(self) -> int | None:
        """Its exit code (negative: the signal that ended it); none while it lives."""


class Spawn(Protocol):
    """Starts `gridbook` with these arguments; what it says goes to `log`."""

    def __call__(self, argv: Sequence[str], environ: dict[str, str], log: Path, plants: Sequence[str]) -> Child: ...


class _Forked:
    def __init__(self, nursery: "Nursery", pid: int) -> None:
        self._nursery, self.pid, self._code = nursery, pid, None

    def code(self) -> int | None:
        if self._code is None:
            self._code = self._nursery.ask({"ended": self.pid})
        return self._code


class Nursery:
    """A process that forks others (`tests/faults/nursery.py`), used as a context; started with the first of them.

    Args:
        always: what is planted in every process.
        checkout: the folder of the release.
    """

    def __init__(self, *always: str, checkout: Path = CHECKOUT) -> None:
        self._always, self._checkout = always, checkout
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "Nursery":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait(STOP_SECONDS)

    def ask(self, asked: dict[str, Any]) -> Any:
        """One question, one answer."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.nursery"],
                cwd=self._checkout,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def __call__(self, argv: Sequence[str], environ: dict[str, str], log: Path, plants: Sequence[str] = ()) -> Child:
        asked = {"argv": list(argv), "environ": environ, "log": str(log), "plants": [*self._always, *plants]}
        pid = int(self.ask(asked))
        assert pid > 0, f"no process has the number {pid}; a signal to it would be one to others"
        return _Forked(self, pid)


class _Started:
    def __init__(self, process: "subprocess.Popen[bytes]", line: socket.socket) -> None:
        self._process, self.pid = process, process.pid
        self._line = line  # closed when nobody holds this object any more, or when our process is gone

    def code(self) -> int | None:
        return self._process.poll()


def interpreter(argv: Sequence[str], environ: dict[str, str], log: Path, plants: Sequence[str] = ()) -> Child:
    """Starts a process as an operator would: a Python of its own. It ends with this one, however this one ends."""
    assert not plants, "bugs are planted in forked processes"
    ours, theirs = socket.socketpair()
    with log.open("ab") as output, theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateways.cli", *argv],
            cwd=CHECKOUT,
            env={**os.environ, **environ, PARENT: str(theirs.fileno())},
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return _Started(process, ours)


class Fleet:
    """The processes of one deployment, by name; used as an async context, which ends them all.

    Args:
        plants: bugs planted in every process of a role.
    """

    def __init__(self, place: Place, spawn: Spawn, plants: Mapping[str, Sequence[str]] | None = None) -> None:
        self.place, self._plants = place, plants or {}
        self.spawn = spawn
        """What the next processes come from."""
        self._children: dict[str, Child] = {}
        self._roles: dict[str, str] = {}
        self.frozen = set[str]()
        """Those that stand still now."""
        self.problems = list[str]()
        """What processes did that they must not."""

    async def __aenter__(self) -> "Fleet":
        self.place.folder.mkdir(parents=True, exist_ok=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        for name in list(self._children):
            await self.kill(name)

    def start(self, *roles: str, **more: str) -> None:
        """Starts a process for each role, named after it, and those that are named: `second="decide"`.

        One that is called `standby` follows every partition ahead of time.
        """
        for name, role in [*((role, role) for role in roles), *more.items()]:
            assert name not in self._children, f"{name} runs already"
            options = ["--kafka"] if self.place.bootstrap is not None else []
            options += ["--standby"] if name == STANDBY else []
            log = self.place.folder / f"{name}.log"
            environ = self.place.environ()
            self._children[name] = self.spawn(["run", role, *options], environ, log, self._plants.get(role, ()))
            self._roles[name] = role

    @property
    def names(self) -> tuple[str, ...]:
        """The processes there are."""
        return tuple(self._children)

    def pid(self, name: str) -> int:
        """The process of this name."""
        return self._children[name].pid

    async def watch(self, stop: asyncio.Event) -> None:
        """Until `stop`. Raises `AssertionError` when a process has ended by itself, or says that a part of it has."""
        read = dict[Path, int]()
        while not stop.is_set():
            for name, child in self._children.items():
                assert child.code() is None, f"{name} has ended by itself, with {child.code()}\n{self.said()}"
            for log in self.place.folder.glob("*.log"):
                with log.open("rb") as file:
                    file.seek(read.get(log, 0))
                    said = file.read()
                assert not any(never in said for never in _NEVER), f"a part has stopped for good\n{self.said()}"
                read[log] = read.get(log, 0) + said.rfind(b"\n") + 1
            await asyncio.sleep(_WATCH_SECONDS)

    async def says(self, name: str, text: str) -> None:
        """Returns when it has said this once more."""
        log, wanted = self.place.folder / f"{name}.log", text.encode()
        said = log.read_bytes().count(wanted)
        while log.read_bytes().count(wanted) == said:
            await asyncio.sleep(_LOOK_SECONDS)

    def role(self, name: str) -> str:
        """What it does."""
        return self._roles[name]

    def cpu_seconds(self) -> dict[str, float]:
        """What each process has used so far."""
        times = {name: psutil.Process(child.pid).cpu_times() for name, child in self._children.items()}
        return {name: used.user + used.system for name, used in times.items()}

    async def kill(self, name: str) -> None:
        """`kill -9`, also for one that stands still."""
        await self._end(name, signal.SIGKILL)

    async def restart(self, name: str, after: float = 0.0, how: signal.Signals = signal.SIGKILL) -> None:
        """Kills it (or ends it in order), and starts another one after a while."""
        role = self._roles[name]
        await self._end(name, how)
        await asyncio.sleep(after)
        self.start(**{name: role})

    async def stop(self) -> None:
        """SIGTERM to all; who does not end well and in time is a problem."""
        await asyncio.gather(*(self._end(name, signal.SIGTERM) for name in self.names))

    async def _end(self, name: str, how: signal.Signals) -> None:
        child, late = self._children.pop(name), time.monotonic() + STOP_SECONDS
        self.frozen.discard(name)
        with suppress(ProcessLookupError):
            os.kill(child.pid, how)
        while (code := child.code()) is None:
            await asyncio.sleep(_LOOK_SECONDS)
            if how is signal.SIGTERM and time.monotonic() > late:
                with suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGKILL)
        if how is signal.SIGTERM and code and self._listens(name, child.pid):
            self.problems.append(f"{name} ended with {code}, at the latest {STOP_SECONDS:.0f} s after SIGTERM")

    def _listens(self, name: str, pid: int) -> bool:
        """Whether a process has come so far that it minds signals; before, it ends by them."""
        return f'"pid": {pid}'.encode() in (self.place.folder / f"{name}.log").read_bytes()

    def freeze(self, name: str) -> None:
        """SIGSTOP: it stands still and knows nothing of it."""
        self.signal(name, signal.SIGSTOP)
        self.frozen.add(name)

    def thaw(self, name: str) -> None:
        """SIGCONT; says nothing to one that is gone."""
        if name in self._children:
            self.signal(name, signal.SIGCONT)
        self.frozen.discard(name)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Any signal; says nothing to one that has ended."""
        with suppress(ProcessLookupError):
            os.kill(self._children[name].pid, number)

    def said(self) -> str:
        """The end of what every process has said, for people who look for a failure."""
        found = []
        for log in sorted(self.place.folder.glob("*.log")):
            found.append(f"--- {log.name}\n{log.read_bytes()[-_SHOWN_BYTES:].decode(errors='replace')}")
        return "\n".join(found)
