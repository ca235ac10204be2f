"""What brokers start from, made ready: Java, Kafka's jars, and an archive of the classes in them.

Half of a broker's start, and more on a machine that is busy, is Java reading classes. An archive of what a
broker has loaded once (`-XX:ArchiveClassesAtExit`) saves that; it is made once on a machine, and never needed.
"""

import hashlib
import os
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from infra.kafka.broker.node import Node
from infra.kafka.broker.probe import brokers_known
from infra.kafka.broker.runtime import (
    KAFKA_VERSION,
    LocalBrokerError,
    Runtime,
    cache_folder,
    class_path,
    find_java,
)
from infra.kafka.broker.settings import local_settings, new_cluster_id, properties
from infra.local_process import exclusive

_SECONDS: Final = 90.0


def ready_runtime() -> Runtime:
    """Java and Kafka, fetched where they are missing; safe for several processes at once.

    Raises:
        LocalBrokerError: one of them is not to be had.
    """
    java = find_java()
    bare = Runtime(java, class_path(java))
    return Runtime(java, bare.jars, _archive(bare))


def _archive(bare: Runtime) -> Path | None:
    """None where this Java can make none: an empty file remembers that."""
    java = bare.java.resolve()
    fits = hashlib.sha256(f"{java} {java.stat().st_mtime_ns} {bare.jars}".encode()).hexdigest()[:12]
    archive = cache_folder() / f"kafka-{KAFKA_VERSION}-{fits}.jsa"
    with suppress(OSError):  # TimeoutError is one: somebody else is at it for very long
        if not _is_whole(archive):
            with exclusive(archive.with_suffix(".lock"), _SECONDS):
                if not _is_whole(archive):
                    _make(bare, archive)
        if archive.stat().st_size:
            return archive
    return None


def _is_whole(archive: Path) -> bool:
    """Java does without an archive that does not fit, but one that is damaged ends it; 47 MB take 50 ms."""
    try:
        return archive.with_suffix(".sha256").read_text() == _digest(archive)
    except FileNotFoundError:
        return False


def _digest(archive: Path) -> str:
    with archive.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _make(bare: Runtime, archive: Path) -> None:
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix=f"{archive.stem}.") as work:
        made, folder = Path(work) / "classes.jsa", Path(work) / "node"
        folder.mkdir()
        node = Node(folder, "-Xmx512m", f"-XX:ArchiveClassesAtExit={made}")
        try:
            _run_once(bare, node)
            _try(Runtime(bare.java, bare.jars, made))
        except (OSError, subprocess.SubprocessError, LocalBrokerError):
            node.kill()
            made.write_bytes(b"")
        os.replace(made, archive)
        archive.with_suffix(".sha256").write_text(_digest(archive))


def _try(runtime: Runtime) -> None:
    command = [*runtime.command("-Xshare:on"), "kafka.Kafka", "--version"]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS)


def _run_once(bare: Runtime, node: Node) -> None:
    ports = node.settle_ports()
    settings = properties(local_settings(*ports, str(node.data), {}))
    Node(node.folder).format(bare, settings, new_cluster_id())
    node.spawn(bare)
    ends = time.monotonic() + _SECONDS
    while not brokers_known("127.0.0.1", ports[0]):
        node.check(ends)
        time.sleep(0.05)
    if process := node.running():
        node.end(process, _SECONDS)
    node.reap()
