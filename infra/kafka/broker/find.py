"""Which broker the demo and the tests use. There is one order, and they never go without."""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from infra.kafka.broker.probe import brokers_known, free_port, listens
from infra.kafka.broker.runtime import KAFKA_VERSION, LocalBrokerError
from infra.kafka.broker.server import LocalBroker
from infra.kafka.broker.settings import ONE_BROKER

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

_IMAGE = f"apache/kafka:{KAFKA_VERSION}"


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker that answers; `stop` ends what was started for it, and nothing else."""

    bootstrap: str
    origin: str
    stop: Callable[[], None]


def find_broker(
    folder: Path,
    environ: Mapping[str, str] = os.environ,
    *,
    keep_data: bool = False,
    timeout: float = 60.0,
) -> Broker:
    """The broker of `KAFKA_BOOTSTRAP`; else one in Docker; else one run by Java with its data in `folder`.

    With `keep_data` (the demo, which goes on where it was killed) Docker is left out: a container's data go
    with it.

    Raises:
        LocalBrokerError: none of them; the message says what was tried and what to do.
    """
    if bootstrap := environ.get("KAFKA_BOOTSTRAP"):
        if not listens(bootstrap):
            raise LocalBrokerError(
                f"KAFKA_BOOTSTRAP is {bootstrap}, but nothing listens there: start that broker,"
                " or unset KAFKA_BOOTSTRAP to have a local one started."
            )
        return Broker(bootstrap, "KAFKA_BOOTSTRAP", lambda: None)
    tried = "KAFKA_BOOTSTRAP is not set"
    if not keep_data:
        if _docker_answers():
            return _start_container(timeout)
        tried += ", no Docker engine answers"
    local = LocalBroker(folder)
    try:
        return Broker(local.start(timeout), "Java", local.stop)
    except LocalBrokerError as error:
        raise LocalBrokerError(f"No Kafka broker: {tried}. {error}") from error


def _docker_answers() -> bool:
    try:
        import docker
    except ImportError:
        return False
    try:
        client = docker.from_env(timeout=3)
    except (docker.errors.DockerException, OSError):
        return False
    try:
        return bool(client.ping())
    except (docker.errors.DockerException, OSError):
        return False
    finally:
        with suppress(OSError):
            client.close()


def _start_container(timeout: float) -> Broker:
    container, port = _container()
    try:
        container.start()
    except Exception as error:  # what the engine and the container library raise has no common type
        raise LocalBrokerError(
            f"Docker answers but could not run {_IMAGE} ({error}): correct that, stop Docker to have"
            " the broker run by Java, or set KAFKA_BOOTSTRAP."
        ) from error
    if not _answers_in_time(port, timeout):
        container.stop()
        raise LocalBrokerError(
            f"The broker in Docker ({_IMAGE}) did not answer at 127.0.0.1:{port} within {timeout:.0f} s:"
            " look at the engine's log, stop Docker to have it run by Java, or set KAFKA_BOOTSTRAP."
        )
    return Broker(f"127.0.0.1:{port}", "Docker", container.stop)


def _container() -> "tuple[DockerContainer, int]":
    from testcontainers.core.container import DockerContainer

    port = free_port()  # chosen here, because the broker must advertise it
    settings = {
        **ONE_BROKER,
        "listeners": "PLAINTEXT://0.0.0.0:9092,CONTROLLER://127.0.0.1:9093",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.quorum.voters": "1@127.0.0.1:9093",
    }
    container = DockerContainer(_IMAGE).with_bind_ports(9092, port)
    for name, value in settings.items():
        container = container.with_env("KAFKA_" + name.upper().replace(".", "_"), value)
    return container, port


def _answers_in_time(port: int, timeout: float) -> bool:
    ends = time.monotonic() + timeout
    while time.monotonic() < ends:
        if brokers_known("127.0.0.1", port):
            return True
        time.sleep(0.1)
    return False
