"""Three real brokers on this machine, for faults that one broker cannot have: leaders that move, copies that lag."""

import atexit
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psutil

from infra.kafka.broker.classes import ready_runtime
from infra.kafka.broker.node import Node, Ports
from infra.kafka.broker.probe import brokers_known
from infra.kafka.broker.runtime import LocalBrokerError, Runtime
from infra.kafka.broker.settings import local_settings, new_cluster_id, properties
from infra.local_process import exclusive

NODES: Final = (1, 2, 3)
"""Their numbers, as Kafka says them too; each is broker and controller."""

# Little memory, and no compiler that takes the processor away from what is tested.
_OPTIONS: Final = ("-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_STOP_SECONDS: Final = 10.0

_COPIES: Final[Mapping[str, str]] = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "share.coordinator.state.topic.replication.factor": "3",
    "share.coordinator.state.topic.min.isr": "2",
    # Nearly fifty threads in each of three processes would be for the disks of a data centre.
    "num.network.threads": "2",
    "num.io.threads": "4",
    "num.recovery.threads.per.data.dir": "1",
}


class LocalCluster:
    """Three Kafka brokers with their data in `folder`; one owner at a time. Every topic may have three copies.

    It ends with `stop()`, and at the latest when this process ends normally. Data and ports survive. What a
    killed owner left running is ended by the next `start()`. All calls block, as those of `LocalBroker`.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self._folder = folder.expanduser().resolve()
        self._changes = dict(settings or {})
        self._nodes = {number: Node(self._folder / str(number), *_OPTIONS) for number in NODES}
        self._ports: dict[int, Ports] = {}
        self._owner = os.getpid()

    @property
    def bootstrap(self) -> str:
        """`host:port,host:port,host:port`; settled by `start()`."""
        if not self._ports:
            raise LocalBrokerError(f"The local Kafka cluster in {self._folder} was never started: call start().")
        return ",".join(f"127.0.0.1:{self._ports[number][0]}" for number in NODES)

    def pid(self, number: int) -> int | None:
        """The process of a broker; None when it does not run."""
        process = self._nodes[number].running()
        return process.pid if process else None

    def start(self, timeout: float = 120.0) -> str:
        """Returns the bootstrap address when all three know each other.

        Raises:
            LocalBrokerError: they do not within `timeout` seconds, or cannot be started at all.
        """
        atexit.register(self.stop)
        try:
            runtime = ready_runtime()
            ends = time.monotonic() + timeout
            for node in self._nodes.values():
                node.folder.mkdir(parents=True, exist_ok=True)
            with exclusive(self._folder / "lock", timeout):
                self._end(NODES)
                self._ports = {number: node.settle_ports() for number, node in self._nodes.items()}
                with ThreadPoolExecutor(len(NODES)) as together:
                    cluster = self._cluster_id()
                    list(together.map(lambda number: self._format(number, runtime, cluster), NODES))
                for node in self._nodes.values():
                    node.spawn(runtime)
                self._wait(NODES, len(NODES), ends)
        except BaseException as error:
            for node in self._nodes.values():
                node.kill()
            atexit.unregister(self.stop)
            if isinstance(error, OSError | subprocess.SubprocessError):
                raise LocalBrokerError(
                    f"The local Kafka cluster with its data in {self._folder} could not be started ({error}):"
                    " free that folder or choose another one."
                ) from error
            raise
        return self.bootstrap

    def stop(self) -> None:
        """Ends all brokers, in order as far as they can do it without each other; idempotent."""
        atexit.unregister(self.stop)
        if os.getpid() != self._owner or not self._folder.exists():
            return
        with exclusive(self._folder / "lock", 60):
            self._end(NODES)

    def kill(self, number: int) -> None:
        """Ends a broker as a power cut of its process would."""
        self._nodes[number].kill()

    def restart(self, number: int, timeout: float = 60.0) -> None:
        """Starts a killed (or ends and starts a running) broker; returns when it is one of the cluster again.

        Raises:
            LocalBrokerError: it is not within `timeout` seconds.
        """
        runtime = ready_runtime()
        self._end([number])
        self._nodes[number].spawn(runtime)
        try:
            self._wait([number], 1, time.monotonic() + timeout)
        except OSError as error:
            raise LocalBrokerError(f"Broker {number} of the cluster in {self._folder}: {error}") from error

    def pause(self, number: int) -> None:
        """Stops a broker in the middle of what it does: it keeps its connections and says nothing."""
        self._send(number, signal.SIGSTOP)

    def resume(self, number: int) -> None:
        """Lets a paused broker go on, which does not know that time has passed."""
        self._send(number, signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _cluster_id(self) -> str:
        path = self._folder / "cluster"
        if not path.exists():
            path.write_text(new_cluster_id())
        return path.read_text()

    def _format(self, number: int, runtime: Runtime, cluster: str) -> None:
        node = self._nodes[number]
        settings = _settings(number, self._ports, str(node.data), self._changes)
        node.format(runtime, properties(settings), cluster)

    def _wait(self, numbers: Iterable[int], count: int, ends: float) -> None:
        for number in numbers:
            while brokers_known("127.0.0.1", self._ports[number][0]) < count:
                self._nodes[number].check(ends)
                time.sleep(0.05)

    def _send(self, number: int, what: signal.Signals) -> None:
        if (process := self._nodes[number].running()) is None:
            raise LocalBrokerError(f"Broker {number} of the cluster in {self._folder} does not run.")
        process.send_signal(what)

    def _end(self, numbers: Iterable[int]) -> None:
        """All at once: the last one could not wait for a majority of controllers that is gone."""
        running = [(node, process) for node in map(self._nodes.get, numbers) if node and (process := node.running())]
        for _, process in running:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)  # a paused one would not hear
                process.send_signal(signal.SIGTERM)
        ends = time.monotonic() + _STOP_SECONDS
        for node, process in running:
            node.end(process, max(0.1, ends - time.monotonic()))
            node.reap()


def _settings(node: int, ports: Mapping[int, tuple[int, int]], data: str, changes: Mapping[str, str]) -> dict[str, str]:
    """The settings of broker `node` of several on the loopback interface; `changes` win.

    Args:
        ports: of every node, for clients and for controllers.
    """
    port, controller_port = ports[node]
    voters = ",".join(f"{number}@127.0.0.1:{controller}" for number, (_, controller) in ports.items())
    several = {**_COPIES, "node.id": str(node), "controller.quorum.voters": voters}
    return local_settings(port, controller_port, data, {**several, **changes})
