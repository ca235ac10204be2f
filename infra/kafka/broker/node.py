"""One Kafka server in a folder: its files, its ports and its process, whoever started it."""

import json
import signal
import subprocess
import time
from pathlib import Path

import psutil

from infra.kafka.broker.probe import free_port, is_free
from infra.kafka.broker.runtime import LocalBrokerError, Runtime
from infra.local_process import end_process, find_process, last_lines, read_pid, without_frames

Ports = tuple[int, int]
"""For clients, and for the controllers among themselves."""

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


class Node:
    """A Kafka server with everything it keeps in `folder`. Who may start it, and when, is not its business.

    Args:
        folder: absolute.
        options: of the Java machine.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self._options = options
        self._child: subprocess.Popen[bytes] | None = None
        self._properties = folder / "server.properties"
        self._log = folder / "broker.log"
        self._log_start = 0
        self._output = folder / "output.log"  # what Java itself says

    @property
    def ports(self) -> Ports | None:
        """Those of the last start; None when there was none."""
        try:
            first, second = json.loads((self.folder / "ports.json").read_text())
        except (OSError, ValueError):
            return None
        return int(first), int(second)

    @property
    def data(self) -> Path:
        """Where the server keeps its records."""
        return self.folder / "data"

    def settle_ports(self) -> Ports:
        """The ports of the last start if they are free, at the latest a second after their last user ended."""
        ends = time.monotonic() + 1
        while (ports := self.ports) is not None:
            if all(is_free(port) for port in ports):
                return ports
            if time.monotonic() > ends:
                break
            time.sleep(0.05)
        ports = free_port(), free_port()
        (self.folder / "ports.json").write_text(json.dumps(ports))
        return ports

    def has_settings(self, properties: str) -> bool:
        """Whether the last start was with these."""
        return self._properties.exists() and self._properties.read_text() == properties

    def format(self, runtime: Runtime, properties: str, cluster: str) -> None:
        """Writes the settings and gives the data folder its cluster id; half a format is done again.

        Raises:
            OSError: it cannot be formatted.
        """
        self._properties.write_text(properties)
        (self.folder / "log4j2.properties").write_text(_LOGGING)
        if (self.folder / "formatted").exists():
            return
        answer = subprocess.run(
            [*self._java(runtime), "kafka.tools.StorageTool", "format", "--ignore-formatted",
             "--cluster-id", cluster, "--config", str(self._properties)],
            check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        if answer.returncode != 0:
            raise OSError(f"formatting: {' '.join(without_frames(answer.stdout + answer.stderr)[-4:])}")
        (self.folder / "formatted").touch()

    def spawn(self, runtime: Runtime) -> None:
        """Starts the process; whether it will answer is not known yet."""
        self._log_start = self._log.stat().st_size if self._log.exists() else 0
        command = [*self._java(runtime), "kafka.Kafka", str(self._properties)]
        # The shell writes its own number and becomes the broker: however early we are killed, there is never
        # a broker without a pid file.
        script = 'echo $$ > "$0" && exec "$@"'
        with self._output.open("wb") as output:
            self._child = subprocess.Popen(
                ["/bin/sh", "-c", script, str(self.folder / "broker.pid"), *command],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=self.folder,
                start_new_session=True,
            )  # fmt: skip

    def check(self, ends: float) -> None:
        """Says nothing while there is still hope that the process will answer.

        Raises:
            OSError: it has ended, or the time `ends` has come.
        """
        assert self._child is not None, "spawn() comes first"
        gone = self._child.poll() is not None
        if gone or time.monotonic() > ends:
            said = last_lines(self._log, self._log_start) or last_lines(self._output) or "(nothing)"
            raise OSError(f"{'it ended at once' if gone else 'no answer in time'}; its log ends:\n{said}")

    def running(self) -> psutil.Process | None:
        """The server of this folder, if there is one, whoever started it."""
        pid = read_pid(self.folder / "broker.pid")
        return None if pid is None else find_process(pid, str(self._properties))

    def end(self, process: psutil.Process, patience: float = 30) -> None:
        """Ends it in order, and if that takes longer than `patience` seconds, not in order.

        Raises:
            LocalBrokerError: it does not end.
        """
        if not end_process(process, [(signal.SIGTERM, patience), (signal.SIGKILL, 10)]):
            raise LocalBrokerError(
                f"The local Kafka broker (process {process.pid}) in {self.folder} does not end: end that process."
            )

    def end_child(self) -> None:
        """Ends what `spawn` of this object started."""
        if self._child and self._child.poll() is None:
            self.end(psutil.Process(self._child.pid))
        self.reap()

    def kill(self) -> None:
        """Ends it as a power cut of its process would."""
        if process := self.running():
            end_process(process, [(signal.SIGKILL, 10)])
        self.reap()

    def reap(self) -> None:
        """Takes note of an ended child."""
        if self._child:
            self._child.wait(10)
            self._child = None

    def _java(self, runtime: Runtime) -> list[str]:
        return runtime.command(
            *self._options,
            "-XX:+ExitOnOutOfMemoryError",
            "-Djava.awt.headless=true",
            f"-Dgridbook.log={self._log}",
            f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}",
        )
