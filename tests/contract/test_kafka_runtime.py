"""What local brokers start from: an archive of Kafka's classes saves half of a start, and is never needed."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from infra.kafka.broker import classes
from infra.kafka.broker.classes import ready_runtime
from infra.kafka.broker.node import Node
from infra.kafka.broker.runtime import KAFKA_VERSION, Runtime


@pytest.mark.timeout(600)  # the first time on a machine fetches the jars and makes the archive
def test_brokers_start_from_an_archive_of_classes() -> None:
    runtime = ready_runtime()
    assert runtime.archive is not None, "this Java cannot make one: it has no archive of its own classes"
    # Without a fitting archive this fails; brokers get `-Xshare:auto`, as every Java program.
    command = [*runtime.command("-Xshare:on"), "kafka.Kafka", "--version"]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert KAFKA_VERSION in answer.stdout


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Where brokers have run to make an archive, each in vain; archives are kept in a folder of the test's."""
    found: list[Path] = []

    def fail(bare: Runtime, node: Node) -> None:
        found.append(node.folder)
        raise OSError("it ended at once")

    monkeypatch.setattr(classes, "_run_once", fail)
    monkeypatch.setattr(classes, "cache_folder", lambda: tmp_path)
    return found


def test_a_java_that_cannot_make_one_is_asked_once(tmp_path: Path, runs: list[Path]) -> None:
    for _ in range(3):
        assert ready_runtime().archive is None
    assert len(runs) == 1
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".jsa", ".lock", ".sha256"]


def test_a_damaged_archive_is_never_used(tmp_path: Path, runs: list[Path]) -> None:
    assert ready_runtime().archive is None
    (archive,) = tmp_path.glob("*.jsa")
    archive.write_bytes(b"whole")
    archive.with_suffix(".sha256").write_text(hashlib.sha256(b"whole").hexdigest())
    assert ready_runtime().archive == archive
    archive.write_bytes(b"who")
    assert ready_runtime().archive is None
    assert len(runs) == 2, "it is made again"


def test_what_cannot_be_kept_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classes, "cache_folder", lambda: tmp_path / "not" / "there")
    assert ready_runtime().archive is None
