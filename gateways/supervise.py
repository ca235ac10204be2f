"""`gridbook up`: every role as a process of its own on this machine, kept running, in one log, stopped as one.

A child that dies is started again after a growing pause; one that cannot be started as it is configured stops
everything. Children end with their supervisor, also when it is killed (`gateways/parent.py`).
"""

import asyncio
import http.client
import json
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from gateways.app.processes import process_log
from gateways.roles import ROLES
from gateways.running import alone, announced
from gateways.servers import Servers, own_servers
from gateways.settings import PARENT, PREFIX, Settings

CONFIGURATION: Final = 2
"""The exit code of a process that cannot run as it is configured: starting it again changes nothing."""

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

MAX_LINE: Final = 1024 * 1024
"""Bytes of a line; a longer one is passed on in pieces."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: the first pause before a restart, the longest, the life after which a child counts as well again;
    from the wish to stop to the kill, after which the servers still have to end within the ten; between two looks at
    health, and between two words about it."""

    first: float = 0.5
    most: float = 30.0
    well: float = 60.0
    kill: float = 5.0
    look: float = 0.25
    word: float = 30.0


@dataclass(frozen=True, slots=True)
class Child:
    """A process to be kept running."""

    role: str
    command: Sequence[str]
    environ: Mapping[str, str]


class Log(Protocol):
    """Where all lines go."""

    @property
    def console(self) -> bool:
        """Whether people read it; else it is JSON lines."""

    def say(self, event: str, level: str = "info", /, **fields: object) -> None:
        """Writes a line of one's own."""

    def pass_on(self, line: str) -> None:
        """Writes somebody else's."""


def up(settings: Settings, kafka: bool, data: Path | None = None, roles: Sequence[str] = ROLES) -> int:
    """Runs the deployment of a data folder until SIGTERM or SIGINT; returns the exit code.

    Starts what servers are missing, and ends what it started. Everything is down within ten seconds.

    Raises:
        AlreadyRuns: see there.
        UnusableFolder, DatabaseUnreachable, LocalPostgresError, LocalBrokerError: as `servers`.
    """
    signal.signal(signal.SIGTERM, _interrupt)  # while servers start: what is started is ended
    folder = data or settings.data
    log = process_log("up", settings)
    with log:
        try:
            with alone(folder), own_servers(folder, kafka, settings) as places:
                # Only our own: somebody's DATABASE_URL may hold a password, which is not for files.
                dsn = places.dsn if settings.database_url is None else None
                bootstrap = places.bootstrap if settings.kafka_bootstrap is None else None
                with announced(folder, dsn, bootstrap):
                    children = children_of(settings, places, kafka, folder, log.console, roles)
                    code = asyncio.run(Supervisor(children, log).run())
                    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the servers end now, and end whole
                    return code
        except KeyboardInterrupt:
            log.say("stopped while starting")
            return 0


def command_line(role: str, kafka: bool) -> list[str]:
    """How a role is run."""
    return [sys.executable, "-m", "gateways.start", "run", role, *(["--kafka"] if kafka else [])]


def children_of(
    settings: Settings, places: Servers, kafka: bool, folder: Path, console: bool, roles: Sequence[str] = ROLES
) -> list[Child]:
    """The processes of a deployment, told where everything is; every other setting they have from our environment."""
    told = {
        "DATABASE_URL": places.dsn,
        f"{PREFIX}DATA": str(folder),
        f"{PREFIX}DEPLOYMENT": places.deployment,
        f"{PREFIX}LOG_FORMAT": "console" if console else "json",
    }
    if places.bootstrap is not None:
        copies, insync = places.copies
        told |= {
            "KAFKA_BOOTSTRAP": places.bootstrap,
            f"{PREFIX}REPLICATION_FACTOR": str(copies),
            f"{PREFIX}MIN_INSYNC_REPLICAS": str(insync),
        }
    children = []
    for n, role in enumerate(roles):
        port = settings.health_port
        own = {f"{PREFIX}HEALTH_PORT": "none" if port is None else str(port and port + n)}
        children.append(Child(role, command_line(role, kafka), {**os.environ, **told, **own}))
    return children


class Supervisor:
    """Keeps children running until a signal, or until one of them cannot be started as it is configured."""

    def __init__(self, children: Sequence[Child], log: Log, patience: Patience | None = None) -> None:
        self._children, self._log, self._patience = children, log, patience or Patience()
        self._stop = asyncio.Event()
        self._alive: dict[str, asyncio.subprocess.Process] = {}
        self._urls: dict[str, str] = {}
        self._code = 0

    async def run(self) -> int:
        """Until the end of all; returns the exit code: 0 after a signal, 2 after a configuration error."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self.stop, number.name)
        watching = asyncio.create_task(self._watch())
        keeping = [asyncio.create_task(self._keep(child)) for child in self._children]
        try:
            await self._stop.wait()
            await self._end(keeping)
        finally:
            watching.cancel()
            self._kill()
            await asyncio.gather(*keeping, watching, return_exceptions=True)
            for number in _SIGNALS:
                loop.remove_signal_handler(number)
        self._log.say("stopped", code=self._code)
        return self._code

    def stop(self, why: str) -> None:
        """Has everything end in order; the second time at once."""
        if self._stop.is_set():
            self._kill()
        else:
            self._log.say("stopping", why=why)
            self._stop.set()

    # ------------------------------------------------------------------------------------------- the end

    async def _end(self, keeping: Sequence[asyncio.Task[None]]) -> None:
        for process in self._alive.values():
            with suppress(ProcessLookupError):
                process.terminate()
        _, late = await asyncio.wait(keeping, timeout=self._patience.kill)
        if late:
            self._log.say("killed", "warning", roles=sorted(self._alive), after_s=self._patience.kill)
            self._kill()
            await asyncio.wait(late, timeout=1)

    def _kill(self) -> None:
        for process in self._alive.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    # ---------------------------------------------------------------------------------------- one child

    async def _keep(self, child: Child) -> None:
        restarts = 0
        while not self._stop.is_set():
            began = time.monotonic()
            code, last = await self._live(child)
            lived = time.monotonic() - began
            if self._stop.is_set():
                return
            if code == CONFIGURATION:
                self._log.say("configuration error", "error", alarm=True, of=child.role, reason=last)
                self._code = CONFIGURATION
                self._stop.set()
                return
            restarts = 0 if lived >= self._patience.well else restarts
            pause = min(self._patience.most, self._patience.first * 2 ** min(restarts, 16)) * random.uniform(0.5, 1)
            restarts += 1
            self._log.say(
                "child died", "error", of=child.role, code=code, lived_s=round(lived, 1), again_in_s=round(pause, 2)
            )
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause)

    async def _live(self, child: Child) -> tuple[int, str]:
        """One life of a child: its exit code (negative: the signal that ended it) and the last line it said."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        reading, writing = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *child.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=writing,
                stderr=asyncio.subprocess.STDOUT,
                env={**child.environ, PARENT: str(theirs.fileno())},
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # a Ctrl-C at the terminal is for us; we tell them
            )
        except OSError as error:
            os.close(reading)
            ours.close()
            return 1, str(error)
        finally:
            theirs.close()
            os.close(writing)
        self._alive[child.role] = process
        if self._stop.is_set():
            process.terminate()
        passing = asyncio.create_task(self._pass_on(child.role, process.pid, reading))
        hearing = asyncio.create_task(self._hear(child.role, ours))
        try:
            code = await process.wait()
        finally:
            del self._alive[child.role]
            self._urls.pop(child.role, None)
            hearing.cancel()
            ours.close()
            await asyncio.wait({passing}, timeout=1)  # what it said last; a child of its own may hold the pipe
            passing.cancel()
            [last] = await asyncio.gather(passing, return_exceptions=True)
        return code, last if isinstance(last, str) else ""

    async def _hear(self, role: str, line: socket.socket) -> None:
        with suppress(OSError):
            while said := await asyncio.get_running_loop().sock_recv(line, 4096):
                self._urls[role] = said.decode().split()[-1]

    async def _pass_on(self, role: str, pid: int, descriptor: int) -> str:
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", 0)
        )
        rest, last = b"", ""
        try:
            while data := await reader.read(65_536):
                *lines, rest = (rest + data).split(b"\n")
                if len(rest) > MAX_LINE:
                    lines, rest = [*lines, rest], b""
                for line in lines:
                    last = line.decode(errors="replace")
                    self._log.pass_on(attributed(last, role, pid, self._log.console))
            if rest:
                last = rest.decode(errors="replace")
                self._log.pass_on(attributed(last, role, pid, self._log.console))
        finally:
            transport.close()
        return last

    # ------------------------------------------------------------------------------------------- health

    async def _watch(self) -> None:
        """Says once that everything is ready, and until then now and then what it waits for."""
        began = said = time.monotonic()
        while True:
            await asyncio.sleep(self._patience.look)
            urls = dict(self._urls)
            if "none" in urls.values():
                self._log.say("readiness is not watched, because health is answered nowhere")
                return
            silent = [f"{child.role}: no word yet" for child in self._children if child.role not in urls]
            against = silent or await asyncio.to_thread(_against, urls)
            if not against:
                where = [f"{role} {url}" for role, url in urls.items()]
                self._log.say("ready", after_s=round(time.monotonic() - began, 1), health=where)
                return
            if time.monotonic() - said >= self._patience.word:
                said = time.monotonic()
                self._log.say("not ready", "warning", because=against)


def attributed(line: str, role: str, pid: int, console: bool) -> str:
    """A child's line in the one log: JSON stays JSON and names role and pid; other text is marked with its role.

    Where the log is JSON, text becomes the event of a JSON line, so that every line can be read by one reader.
    """
    if console:
        return f"{role:<9} | {line}"
    try:
        found: Any = json.loads(line) if line.startswith("{") else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
        found = {"time": now, "level": "info", "role": role, "pid": pid, "event": line}
    elif {"role", "pid"} <= found.keys():
        return line
    return json.dumps({"role": role, "pid": pid} | found, ensure_ascii=False)


def _against(urls: Mapping[str, str]) -> list[str]:
    """What keeps each child from being ready."""
    return [f"{role}: {why}" for role, url in urls.items() for why in _why_not(url)]


def _why_not(url: str) -> list[str]:
    try:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=2)
        try:
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            body = json.loads(answer.read())
            return [] if answer.status == 200 else [str(why) for why in body["because"]] or ["not ready"]
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        return [f"no answer ({type(error).__name__})"]


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
