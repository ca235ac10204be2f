"""A real Apache Kafka of our own, one node, without Docker, for the demo and the tests."""

import atexit
import base64
import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from infra.kafka.broker.probe import free_port, is_free, knows_a_broker
from infra.kafka.broker.runtime import LocalBrokerError, class_path, find_java
from infra.kafka.broker.settings import local_settings, properties
from infra.local_process import end_process, exclusive, find_process, last_lines, read_pid, without_frames

__all__ = ["LocalBroker", "LocalBrokerError"]

# Warnings only, in one file that cannot grow without end.
_LOGGING = """\
status=error
name=broker
appender.file.type=RollingFile
appender.file.name=file
appender.file.fileName=${sys:gridbook.log}
appender.file.filePattern=${sys:gridbook.log}.%i
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=%d{ISO8601} %p %c{1}: %m%n%throwable{12}
appender.file.policies.type=Policies
appender.file.policies.size.type=SizeBasedTriggeringPolicy
appender.file.policies.size.size=10MB
appender.file.strategy.type=DefaultRolloverStrategy
appender.file.strategy.max=1
rootLogger.level=warn
rootLogger.appenderRef.file.ref=file
"""


class LocalBroker:
    """A Kafka broker with its data in `folder`; one owner at a time.

    `start()` starts it, or takes over the one a killed owner left behind (replaces it when it does not
    answer or has other settings). It ends with `stop()`, and at the latest when this process ends normally.
    Data survive both, and the ports stay the same where they are still free. `settings` change or add
    broker settings, for example `advertised.listeners` to put a proxy in between. All calls block:
    `await asyncio.to_thread(broker.start)` in a coroutine.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None, heap: str = "1g") -> None:
        self._folder = folder.expanduser().resolve()
        self._changes = dict(settings or {})
        self._heap = heap
        self._child: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()
        self._properties = self._folder / "server.properties"
        self._log = self._folder / "broker.log"
        self._output = self._folder / "output.log"  # what Java itself says

    @property
    def bootstrap(self) -> str:
        """`host:port` of the broker's own listener; settled by `start()`."""
        ports = self._ports()
        if ports is None:
            raise LocalBrokerError(f"The local Kafka broker in {self._folder} was never started: call start().")
        return f"127.0.0.1:{ports[0]}"

    @property
    def pid(self) -> int | None:
        """The broker's process, whoever started it; None when it does not run."""
        process = self._running()
        return process.pid if process else None

    def start(self, timeout: float = 60.0) -> str:
        """Returns the bootstrap address of a broker that answers; does nothing more when it already runs.

        The first start on a machine fetches Kafka's jars before; that time does not count.

        Raises:
            LocalBrokerError: it does not answer within `timeout` seconds, or cannot be started at all.
        """
        atexit.register(self.stop)
        try:
            java = find_java()
            jars = class_path(java)
            ends = time.monotonic() + timeout
            self._folder.mkdir(parents=True, exist_ok=True)
            with exclusive(self._folder / "lock", timeout):
                if not self._take_over(ends):
                    self._format(java, jars)
                    self._run_until_it_answers(java, jars, ends)
        except BaseException as error:
            self._end_child()  # only what we started: a lock not got means that somebody else is at it
            atexit.unregister(self.stop)
            if isinstance(error, OSError | subprocess.SubprocessError):  # TimeoutError is an OSError
                raise LocalBrokerError(
                    f"The local Kafka broker with its data in {self._folder} could not be started ({error}):"
                    " free that folder, choose another one, or set KAFKA_BOOTSTRAP."
                ) from error
            raise
        return self.bootstrap

    def stop(self) -> None:
        """Ends the broker in order; idempotent.

        Raises:
            LocalBrokerError: it does not end.
        """
        atexit.unregister(self.stop)
        # A forked child inherits the exit handler, not the broker.
        if os.getpid() != self._owner or not self._folder.exists():
            return
        with exclusive(self._folder / "lock", 60):
            if process := self._running():
                self._end(process)
            self._reap()

    def kill(self) -> None:
        """Ends the broker as a power cut of its process would, for tests; `start()` recovers its data."""
        if process := self._running():
            end_process(process, [(signal.SIGKILL, 10)])
        self._reap()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # ----------------------------------------------------------------------------------------- settings

    def _ports(self) -> tuple[int, int] | None:
        try:
            first, second = json.loads((self._folder / "ports.json").read_text())
        except (OSError, ValueError):
            return None
        return int(first), int(second)

    def _settle_ports(self) -> tuple[int, int]:
        """The ports of the last start if they are free, at the latest a second after their last user ended."""
        ends = time.monotonic() + 1
        while (ports := self._ports()) is not None:
            if all(is_free(port) for port in ports):
                return ports
            if time.monotonic() > ends:
                break
            time.sleep(0.05)
        ports = free_port(), free_port()
        (self._folder / "ports.json").write_text(json.dumps(ports))
        return ports

    def _wanted(self, ports: tuple[int, int]) -> str:
        return properties(local_settings(*ports, str(self._folder / "data"), self._changes))

    def _format(self, java: Path, jars: str) -> None:
        """Gives the data folder its cluster id; half a format is done again."""
        ports = self._settle_ports()
        self._properties.write_text(self._wanted(ports))
        (self._folder / "log4j2.properties").write_text(_LOGGING)
        identity = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if identity.startswith("-"):  # would be read as an option
            identity = "A" + identity[1:]
        if (self._folder / "formatted").exists():
            return
        answer = subprocess.run(
            [*self._java(java, jars), "kafka.tools.StorageTool", "format", "--ignore-formatted",
             "--cluster-id", identity, "--config", str(self._properties)],
            check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        if answer.returncode != 0:
            raise OSError(f"formatting: {' '.join(without_frames(answer.stdout + answer.stderr)[-4:])}")
        (self._folder / "formatted").touch()

    def _java(self, java: Path, jars: str) -> list[str]:
        return [
            str(java), f"-Xmx{self._heap}", "-XX:+ExitOnOutOfMemoryError", "-Djava.awt.headless=true",
            f"-Dgridbook.log={self._log}", f"-Dlog4j2.configurationFile={self._folder / 'log4j2.properties'}",
            "-cp", jars,
        ]  # fmt: skip

    # ------------------------------------------------------------------------------------------ process

    def _take_over(self, ends: float) -> bool:
        """Whether a broker with these settings runs and answers; another one of this folder is ended."""
        process, ports = self._running(), self._ports()
        if process is None:
            return False
        if ports and self._properties.exists() and self._properties.read_text() == self._wanted(ports):
            patience = min(ends, time.monotonic() + 10)
            while self._running() is not None and time.monotonic() < patience:
                if knows_a_broker("127.0.0.1", ports[0]):
                    return True
                time.sleep(0.05)
        self._end(process, patience=10)
        return False

    def _run_until_it_answers(self, java: Path, jars: str, ends: float) -> None:
        ports = self._ports()
        assert ports is not None, "_format() chose them"
        log_start = self._log.stat().st_size if self._log.exists() else 0
        self._spawn(java, jars)
        assert self._child is not None
        while not knows_a_broker("127.0.0.1", ports[0]):
            gone = self._child.poll() is not None
            if gone or time.monotonic() > ends:
                said = last_lines(self._log, log_start) or last_lines(self._output) or "(nothing)"
                raise OSError(f"{'it ended at once' if gone else 'no answer in time'}; its log ends:\n{said}")
            time.sleep(0.05)

    def _spawn(self, java: Path, jars: str) -> None:
        command = [*self._java(java, jars), "kafka.Kafka", str(self._properties)]
        # The shell writes its own number and becomes the broker: however early we are killed, there is never
        # a broker without a pid file.
        script = 'echo $$ > "$0" && exec "$@"'
        with self._output.open("wb") as output:
            self._child = subprocess.Popen(
                ["/bin/sh", "-c", script, str(self._folder / "broker.pid"), *command],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=self._folder,
                start_new_session=True,
            )  # fmt: skip

    def _running(self) -> psutil.Process | None:
        """The broker of this folder, if there is one, whoever started it."""
        pid = read_pid(self._folder / "broker.pid")
        return None if pid is None else find_process(pid, str(self._properties))

    def _end(self, process: psutil.Process, patience: float = 30) -> None:
        if not end_process(process, [(signal.SIGTERM, patience), (signal.SIGKILL, 10)]):
            raise LocalBrokerError(
                f"The local Kafka broker (process {process.pid}) in {self._folder} does not end: end that process."
            )

    def _end_child(self) -> None:
        if self._child and self._child.poll() is None:
            self._end(psutil.Process(self._child.pid))
        self._reap()

    def _reap(self) -> None:
        if self._child:
            self._child.wait(10)
            self._child = None
