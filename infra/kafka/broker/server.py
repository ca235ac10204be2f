"""A real Apache Kafka of our own, one node, without Docker, for the demo and the tests."""

import atexit
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from infra.kafka.broker.classes import ready_runtime
from infra.kafka.broker.node import Node, Ports
from infra.kafka.broker.probe import brokers_known
from infra.kafka.broker.runtime import LocalBrokerError, Runtime
from infra.kafka.broker.settings import local_settings, new_cluster_id, properties
from infra.local_process import exclusive

__all__ = ["LocalBroker", "LocalBrokerError"]


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
        self._node = Node(self._folder, f"-Xmx{heap}")
        self._owner = os.getpid()

    @property
    def bootstrap(self) -> str:
        """`host:port` of the broker's own listener; settled by `start()`."""
        ports = self._node.ports
        if ports is None:
            raise LocalBrokerError(f"The local Kafka broker in {self._folder} was never started: call start().")
        return f"127.0.0.1:{ports[0]}"

    @property
    def pid(self) -> int | None:
        """The broker's process, whoever started it; None when it does not run."""
        process = self._node.running()
        return process.pid if process else None

    def start(self, timeout: float = 60.0) -> str:
        """Returns the bootstrap address of a broker that answers; does nothing more when it already runs.

        The first start on a machine fetches Kafka's jars before; that time does not count.

        Raises:
            LocalBrokerError: it does not answer within `timeout` seconds, or cannot be started at all.
        """
        atexit.register(self.stop)
        try:
            runtime = ready_runtime()
            ends = time.monotonic() + timeout
            self._folder.mkdir(parents=True, exist_ok=True)
            with exclusive(self._folder / "lock", timeout):
                if not self._take_over(ends):
                    self._run_until_it_answers(runtime, ends)
        except BaseException as error:
            self._node.end_child()  # only what we started: a lock not got means that somebody else is at it
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
            if process := self._node.running():
                self._node.end(process)
            self._node.reap()

    def kill(self) -> None:
        """Ends the broker as a power cut of its process would, for tests; `start()` recovers its data."""
        self._node.kill()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _wanted(self, ports: Ports) -> str:
        return properties(local_settings(*ports, str(self._node.data), self._changes))

    def _take_over(self, ends: float) -> bool:
        """Whether a broker with these settings runs and answers; another one of this folder is ended."""
        process, ports = self._node.running(), self._node.ports
        if process is None:
            return False
        if ports and self._node.has_settings(self._wanted(ports)):
            patience = min(ends, time.monotonic() + 10)
            while self._node.running() is not None and time.monotonic() < patience:
                if brokers_known("127.0.0.1", ports[0]):
                    return True
                time.sleep(0.05)
        self._node.end(process, patience=10)
        return False

    def _run_until_it_answers(self, runtime: Runtime, ends: float) -> None:
        ports = self._node.settle_ports()
        self._node.format(runtime, self._wanted(ports), new_cluster_id())
        self._node.spawn(runtime)
        while not brokers_known("127.0.0.1", ports[0]):
            self._node.check(ends)
            time.sleep(0.05)
