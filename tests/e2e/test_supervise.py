"""`gridbook up` with real child processes: kept running, one log, one end, also when the supervisor is killed."""

import asyncio
import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from gateways.cli import app as commands
from gateways.cli_partition import app as partition_commands
from gateways.running import AlreadyRuns, running
from gateways.servers import Servers, servers
from gateways.settings import Settings
from gateways.supervise import Child, Patience, Supervisor, attributed, children_of
from infra.telemetry.logs import plain

ROOT = Path(__file__).parents[2]
TINY = [sys.executable, str(Path(__file__).with_name("tiny_role.py"))]
QUICK = Patience(first=0.02, most=0.3, well=60, kill=0.5, look=0.05, word=0.2)


def child(role: str, kind: str, *rest: object) -> Child:
    return Child(role, [*TINY, role, kind, *map(str, rest)], dict(os.environ))


class Heard:
    """A log that a test reads."""

    console = False

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        self.lines: list[str] = []

    def say(self, event: str, level: str = "info", /, **fields: object) -> None:
        self.said.append({"event": event, "level": level, **fields})

    def pass_on(self, line: str) -> None:
        self.lines.append(line)

    def events(self, event: str) -> list[dict[str, Any]]:
        return [said for said in self.said if said["event"] == event]

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not holds():
                await asyncio.sleep(0.01)


async def lived(
    children: list[Child], during: Callable[[Heard, Supervisor], Awaitable[None]], patience: Patience = QUICK
) -> tuple[int, Heard]:
    """Supervises the children until `during` is over (and the supervisor ends by itself, or is stopped)."""
    heard = Heard()
    supervisor = Supervisor(children, heard, patience)
    run = asyncio.create_task(supervisor.run())
    try:
        await during(heard, supervisor)
        supervisor.stop("test")
        return await asyncio.wait_for(run, 30), heard
    finally:
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)


# -------------------------------------------------------------------------------------- lives and deaths


async def test_ready_is_said_once_and_the_end_is_in_order() -> None:
    async def during(heard: Heard, supervisor: Supervisor) -> None:
        await heard.until(lambda: bool(heard.events("ready")))
        await asyncio.sleep(0.2)

    code, heard = await lived([child("decide", "well"), child("clock", "well")], during, Patience(kill=5, look=0.05))
    assert code == 0
    [ready] = heard.events("ready")
    assert plain(ready["health"]) == ready["health"], "the log names the addresses"
    assert sorted(where.split()[0] for where in ready["health"]) == ["clock", "decide"]
    assert all(re.fullmatch(r"\w+ http://127\.0\.0\.1:\d+", where) for where in ready["health"])
    events = [(line["role"], line["event"]) for line in map(json.loads, heard.lines)]
    assert {("decide", "ended in order"), ("clock", "ended in order")} <= set(events)
    assert not heard.events("killed")
    assert not heard.events("child died")


async def test_a_child_that_dies_is_started_again_after_growing_pauses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = itertools.cycle((0.5, 1.0, 0.75))
    monkeypatch.setattr(random, "uniform", lambda least, most: least + (most - least) * (2 * next(drawn) - 1))

    def lives() -> list[float]:
        file = tmp_path / "lives"
        return [float(line) for line in file.read_text().splitlines()] if file.exists() else []

    async def during(heard: Heard, supervisor: Supervisor) -> None:
        await heard.until(lambda: len(lives()) >= 7)

    code, heard = await lived([child("react", "dies", tmp_path)], during)
    assert code == 0
    died = heard.events("child died")
    assert {(one["of"], one["code"]) for one in died} == {("react", 3)}
    pauses = [one["again_in_s"] for one in died]
    expected = [min(0.3, 0.02 * 2**n) * part for n, part in zip(range(len(pauses)), itertools.cycle((0.5, 1, 0.75)))]
    assert pauses == pytest.approx(expected, abs=0.006)
    gaps = [after - before for before, after in zip(lives(), lives()[1:], strict=False)]
    assert all(gap >= pause - 0.02 for gap, pause in zip(gaps, pauses, strict=False))


async def test_who_lived_well_begins_again_with_a_short_pause(tmp_path: Path) -> None:
    async def during(heard: Heard, supervisor: Supervisor) -> None:
        await heard.until(lambda: len(heard.events("child died")) >= 5)

    patience = Patience(first=0.02, most=30, well=0, kill=1, look=60)
    _, heard = await lived([child("react", "dies", tmp_path)], during, patience)
    assert all(one["again_in_s"] <= 0.02 for one in heard.events("child died"))


async def test_a_configuration_error_stops_everything_with_its_sentence() -> None:
    async def during(heard: Heard, supervisor: Supervisor) -> None:
        await heard.until(lambda: bool(heard.events("stopped")))

    code, heard = await lived([child("project", "misconfigured"), child("react", "orphan")], during)
    assert code == 2
    [error] = heard.events("configuration error")
    assert error["of"] == "project"
    assert error["reason"] == "GRIDBOOK_PARTITION is no setting: did you mean GRIDBOOK_PARTITIONS?"
    assert not heard.events("child died")


async def test_what_cannot_be_started_at_all_is_said_and_tried_again() -> None:
    async def during(heard: Heard, supervisor: Supervisor) -> None:
        await heard.until(lambda: len(heard.events("child died")) >= 2)

    before = len(os.listdir("/dev/fd"))
    code, _ = await lived([Child("clock", ["/no/such/program"], {})], during)
    assert code == 0
    assert len(os.listdir("/dev/fd")) == before


async def test_who_does_not_end_is_killed() -> None:
    async def during(heard: Heard, supervisor: Supervisor) -> None:
        await heard.until(lambda: any("stubborn" in line for line in heard.lines))

    began = time.monotonic()
    code, heard = await lived([child("decide", "stubborn")], during)
    assert code == 0
    [killed] = heard.events("killed")
    assert killed["roles"] == ["decide"]
    assert time.monotonic() - began < 5
    pid = json.loads(heard.lines[0])["pid"]
    assert not psutil.pid_exists(pid)


async def test_the_second_wish_to_stop_does_not_wait() -> None:
    async def during(heard: Heard, supervisor: Supervisor) -> None:
        await heard.until(lambda: any("stubborn" in line for line in heard.lines))
        supervisor.stop("first")
        await asyncio.sleep(0.05)

    began = time.monotonic()
    code, heard = await lived([child("decide", "stubborn")], during, Patience(kill=60))
    assert code == 0
    assert time.monotonic() - began < 5
    assert not heard.events("killed")


async def test_until_all_are_ready_it_says_what_it_waits_for() -> None:
    async def during(heard: Heard, supervisor: Supervisor) -> None:
        await heard.until(lambda: bool(heard.events("not ready")))

    _, heard = await lived([child("decide", "stubborn")], during)
    assert heard.events("not ready")[0]["because"] == ["decide: no word yet"]
    assert not heard.events("ready")


async def test_without_health_nobody_waits_for_it() -> None:
    async def during(heard: Heard, supervisor: Supervisor) -> None:
        await heard.until(lambda: any("not watched" in said["event"] for said in heard.said))

    deaf = Child("decide", [*TINY, "decide", "well"], {**os.environ, "GRIDBOOK_HEALTH_PORT": "none"})
    _, heard = await lived([deaf], during, Patience(kill=5, look=0.05))
    assert not heard.events("ready")


# ------------------------------------------------------------------------------------------- one log


async def test_lines_come_as_they_were_written_with_role_and_pid() -> None:
    async def during(heard: Heard, supervisor: Supervisor) -> None:
        await heard.until(lambda: bool(heard.events("child died")))

    _, heard = await lived([child("react", "chatty")], during)
    lines = [json.loads(line) for line in heard.lines]
    assert {line["role"] for line in lines} == {"react", "other"}
    assert len({line["pid"] for line in lines}) == 2
    assert '{"role": "other", "pid": 1,   "event": "as it is"}' in heard.lines
    events = [line["event"] for line in lines]
    assert events[:2] == ["mine", "as it is"]
    assert {"{no json", "\ufffd plain", "and errors", "the last, without its end"} <= set(events)
    long = [event for event in events if event.startswith("xx")]
    assert sum(map(len, long)) == 1_500_000
    assert all(len(piece) <= 1024 * 1024 + 65_536 for piece in long)
    assert heard.events("child died")[0]["code"] == 0


def test_for_people_a_line_is_marked_with_its_role() -> None:
    assert attributed("Traceback …", "decide", 7, console=True) == "decide    | Traceback …"
    assert json.loads(attributed("[1]", "decide", 7, console=False))["event"] == "[1]"


# ---------------------------------------------------------------------------------- what children are told


def test_children_are_told_where_everything_is() -> None:
    places = Servers("host=/x", "127.0.0.1:9", "gb_1_kafka", Path("k"), (1, 1))
    made = children_of(Settings(health_port=9_000), places, True, Path("/data"), console=False)
    assert [one.role for one in made] == ["decide", "react", "project", "calculate", "clock"]
    assert [one.environ["GRIDBOOK_HEALTH_PORT"] for one in made] == ["9000", "9001", "9002", "9003", "9004"]
    for one in made:
        assert one.command[1:] == ["-m", "gateways.start", "run", one.role, "--kafka"]
        told = {name: one.environ[name] for name in ("DATABASE_URL", "KAFKA_BOOTSTRAP", "GRIDBOOK_DEPLOYMENT")}
        assert told == {
            "DATABASE_URL": "host=/x",
            "KAFKA_BOOTSTRAP": "127.0.0.1:9",
            "GRIDBOOK_DEPLOYMENT": "gb_1_kafka",
        }
        assert one.environ["GRIDBOOK_DATA"] == "/data"
        assert (one.environ["GRIDBOOK_REPLICATION_FACTOR"], one.environ["GRIDBOOK_MIN_INSYNC_REPLICAS"]) == ("1", "1")
        assert one.environ["GRIDBOOK_LOG_FORMAT"] == "json"


@pytest.mark.parametrize(("port", "given"), [(0, "0"), (None, "none")])
def test_ports_that_are_free_or_none_stay_so(port: int | None, given: str) -> None:
    places = Servers("host=/x", None, "gb_1", Path("k"))
    made = children_of(Settings(health_port=port), places, False, Path("/data"), console=True)
    assert {one.environ["GRIDBOOK_HEALTH_PORT"] for one in made} == {given}
    assert made[0].command[1:] == ["-m", "gateways.start", "run", "decide"]
    assert made[0].environ["GRIDBOOK_LOG_FORMAT"] == "console"


# ----------------------------------------------------------------------------------- a whole supervisor

SUPERVISE = """
import asyncio, os, sys
from gateways.supervise import Child, Patience, Supervisor
from infra.telemetry.logs import Logs
tiny, kinds = sys.argv[1], sys.argv[2:]
commands = {f"r{n}": [sys.executable, tiny, f"r{n}", *kind.split()] for n, kind in enumerate(kinds)}
children = [Child(role, command, dict(os.environ)) for role, command in commands.items()]
with Logs("up", "up", "json") as log:
    code = asyncio.run(Supervisor(children, log, Patience(kill=1)).run())
sys.exit(code)
"""

UP = """
import sys
from pathlib import Path
import gateways.supervise as supervise
from gateways.settings import read_settings
supervise.command_line = lambda role, kafka: [sys.executable, sys.argv[1], role, "well"]
sys.exit(supervise.up(read_settings(), False, Path(sys.argv[2])))
"""

RUN = "from gateways.cli import main; main()"
DEMO = "import typer; from examples.demo import main; typer.run(main)"


@contextmanager
def started(code: str, *words: object, **environ: str) -> Iterator["subprocess.Popen[str]"]:
    env = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "KAFKA_BOOTSTRAP")}
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)], cwd=ROOT, stdout=subprocess.PIPE, text=True, env=env | environ
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def read_until(process: "subprocess.Popen[str]", *events: str) -> list[dict[str, Any]]:
    """Lines until each of these events has come as often as it is named."""
    missing, lines = list(events), list[dict[str, Any]]()
    assert process.stdout is not None
    while missing:
        line = process.stdout.readline()
        assert line, f"ended before {missing}: {lines}"
        lines.append(json.loads(line))
        if lines[-1]["event"] in missing:
            missing.remove(lines[-1]["event"])
    return lines


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def gone(pids: list[int], seconds: float) -> bool:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        alive = [p for p in pids if _lives(p)]
        if not alive:
            return True
        time.sleep(0.02)
    return False


def test_children_end_with_a_supervisor_that_is_killed() -> None:
    tiny = Path(TINY[1])
    with started(SUPERVISE, tiny, "orphan", "orphan ignores", "orphan") as process:
        pids = [line["pid"] for line in read_until(process, *["waits"] * 3) if line["event"] == "waits"]
        assert len(set(pids)) == 3
        process.send_signal(signal.SIGKILL)
        assert gone(pids, 10), "they outlive it"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_everything_in_order(number: signal.Signals) -> None:
    with started(SUPERVISE, TINY[1], "well", "stubborn") as process:
        lines = read_until(process, "told", "stubborn")
        began = time.monotonic()
        process.send_signal(number)
        out, _ = process.communicate(timeout=10)
        assert time.monotonic() - began < 4
        assert process.returncode == 0
        events = [json.loads(line)["event"] for line in out.splitlines()]
        assert "ended in order" in events
        assert events[-1] == "stopped"
        assert gone([line["pid"] for line in lines], 0.5)


def test_a_log_that_nobody_reads_keeps_nobody_from_ending() -> None:
    with started(SUPERVISE, TINY[1], "endless", "stubborn") as process:
        [pid] = {line["pid"] for line in read_until(process, "stubborn") if line["event"] == "stubborn"}
        time.sleep(0.5)  # the pipe is full now
        process.send_signal(signal.SIGTERM)
        assert gone([process.pid, pid], 10)
        assert process.wait(1) == 0


def test_up_brings_its_servers_is_found_by_others_and_ends_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    folder = tmp_path / "data"
    with started(UP, TINY[1], folder) as process:
        lines = read_until(process, "ready")
        told = [line for line in lines if line["event"] == "told"]
        assert {line["role"] for line in told} == {"decide", "react", "project", "calculate", "clock"}
        [dsn] = {line["DATABASE_URL"] for line in told}
        [deployment] = {line["deployment"] for line in lines if line["event"] == "settings"}
        assert deployment == (folder / "deployment").read_text().strip()
        there = running(folder)
        assert there is not None
        assert (there.pid, there.dsn, there.bootstrap) == (process.pid, dsn, None)
        with psycopg.connect(dsn) as connection:
            [[cluster]] = connection.execute("SHOW data_directory").fetchall()

        with started(UP, TINY[1], folder) as second:
            out, _ = second.communicate(timeout=20)
            assert second.returncode == 1
        assert "ready" not in out

        def partition(*words: str) -> str:
            done = CliRunner().invoke(partition_commands, [*words, "--data", str(folder)])
            assert done.exit_code == 0, done.output
            return done.stdout

        assert "market/0 rests" in partition("pause", "market/0", "--reason", "look first")
        assert "look first" in partition("owner", "market/0")
        assert "goes on" in partition("resume", "market/0")
        with started(RUN, "run", "react", "--data", folder) as beside:
            read_until(beside, "running")
            beside.send_signal(signal.SIGTERM)
            assert beside.wait(10) == 0
        with started(DEMO, "--data", folder, "--fresh") as demo:
            out, _ = demo.communicate(timeout=20)
            assert demo.returncode == 1
        assert f"(process {process.pid}): stop that one first" in " ".join(out.split())
        with psycopg.connect(dsn) as connection:
            connection.execute("SELECT 1")

        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=15)
        assert time.monotonic() - began < 10
        assert process.returncode == 0
        assert gone([line["pid"] for line in told], 0.1)
        assert not (Path(cluster) / "postmaster.pid").exists(), "its server outlives it"
        assert running(folder) is None
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(dsn)


def test_nobody_disturbs_servers_that_are_starting(tmp_path: Path) -> None:
    from gateways.running import alone, announced

    assert running(tmp_path) is None
    with alone(tmp_path):
        with pytest.raises(AlreadyRuns, match="starting or stopping"):
            running(tmp_path)
        with pytest.raises(AlreadyRuns, match="another process"), alone(tmp_path):
            pass
        with announced(tmp_path, "host=/x", "127.0.0.1:1"):
            assert (tmp_path / "up.json").stat().st_mode & 0o077 == 0
            there = running(tmp_path)
            assert there is not None
            assert (there.dsn, there.bootstrap, there.pid) == ("host=/x", "127.0.0.1:1", os.getpid())
            with pytest.raises(AlreadyRuns, match=f"process {os.getpid()}"), alone(tmp_path):
                pass
    assert running(tmp_path) is None


def test_who_starts_servers_is_alone_with_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("KAFKA_BOOTSTRAP", raising=False)
    (tmp_path / "up.json").write_text('{"pid": 1, "dsn": "host=/x", "bootstrap": null}')  # of a killed one
    with servers(tmp_path, False) as places:
        with pytest.raises(AlreadyRuns, match="another process keeps the local servers"):
            running(tmp_path)
        with pytest.raises(AlreadyRuns, match="another process"), servers(tmp_path, False, Settings()):
            pass
        shown = CliRunner().invoke(commands, ["show", "parties", "--data", str(tmp_path)])
        assert shown.exit_code == 1
        assert "wait until it has ended" in shown.stderr
        with psycopg.connect(places.dsn) as connection:
            connection.execute("SELECT 1")
        given = Settings(database_url=SecretStr(places.dsn))
        with servers(tmp_path, False, given) as same:
            assert same.dsn == places.dsn
    assert running(tmp_path) is None


@pytest.mark.parametrize("words", [["up"], ["run", "clock"], ["topics"], ["export", "x"], ["copy", "--to", "kafka"]])
def test_a_folder_that_cannot_be_one_is_one_sentence(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("KAFKA_BOOTSTRAP", raising=False)
    (tmp_path / "file").write_text("")
    failed = CliRunner().invoke(commands, [*words, "--data", str(tmp_path / "file")])
    assert failed.exit_code == 1
    assert isinstance(failed.exception, SystemExit)
    assert "nothing can be kept in" in failed.stderr
    assert "choose another --data" in failed.stderr
