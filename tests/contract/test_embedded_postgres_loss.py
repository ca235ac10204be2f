"""The PostgreSQL log when something breaks: deadlines, connections, the server."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from consumers.ports import Fenced, LogUnavailable, Partition
from infra.embedded.postgres import PostgresEventLog
from infra.embedded.recorder import CREATION_LOCK, FencedRecorder
from infra.postgres.server import LocalPostgres
from tests.contract.backends import (
    DEADLINE,
    P,
    PostgresBackend,
    StartedEventLog,
    append,
    numbers,
    record,
)

NINE = [Partition(f"family{n}", 0) for n in range(9)]


async def _log(postgres: PostgresBackend, deployment: str) -> StartedEventLog:
    log = await postgres.events(deployment)
    await log.create([P])
    return log


async def test_append_that_waits_too_long_is_broken_off(postgres: PostgresBackend, deployment: str) -> None:
    log = await _log(postgres, deployment)
    owner = await log.claim(P)
    with postgres.held(deployment):
        with pytest.raises(LogUnavailable, match="within"):
            await owner.append([record(1), record(2)], 0.2)
        with pytest.raises(LogUnavailable) as dead:
            await append(owner, 3)
        assert not isinstance(dead.value, Fenced)
        await postgres.until_blocked(deployment, 0)  # the server has given up too, while nobody let it pass
    new = await log.claim(P)
    assert await numbers(log) == []
    await append(new, 4)
    with pytest.raises(Fenced):
        await append(owner, 5)
    assert await numbers(log) == [4]


async def test_deadline_missed_behind_another_append_kills_the_owner_too(
    postgres: PostgresBackend, deployment: str
) -> None:
    log = await _log(postgres, deployment)
    owner = await log.claim(P)
    with postgres.held(deployment):
        first = asyncio.create_task(append(owner, 1))
        await postgres.until_blocked(deployment, 1)
        with pytest.raises(LogUnavailable):
            await owner.append([record(2)], 0.05)
    await first
    with pytest.raises(LogUnavailable):
        await append(owner, 3)
    assert await numbers(log) == [1]


async def test_one_stuck_partition_does_not_outlast_its_deadline(postgres: PostgresBackend, deployment: str) -> None:
    """What goes out together may fail together; afterwards everything goes on."""
    log = await postgres.events(deployment)
    await log.create([P, *NINE])
    owners = await asyncio.gather(*(log.claim(one) for one in [P, *NINE]))
    with postgres.held(deployment):
        fate = await asyncio.gather(*(owner.append([record(1)], 0.2) for owner in owners), return_exceptions=True)
        assert all(isinstance(one, LogUnavailable) for one in fate)
        owners = await asyncio.wait_for(asyncio.gather(*(log.claim(one) for one in NINE)), DEADLINE)
        await asyncio.gather(*(append(owner, 2) for owner in owners))
    for one in NINE:
        assert await numbers(log, one) == [2]


def _break_connections(dsn: str, deployment: str, where: str = "true") -> int:
    with psycopg.connect(dsn, autocommit=True) as other:
        found = other.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE %s AND {where}",
            [f"gridbook%{deployment}%"],
        )
        return len(found.fetchall())


@pytest.mark.parametrize("first", ["read", "end", "wait", "claim", "create"])
async def test_log_recovers_from_lost_connections(postgres: PostgresBackend, deployment: str, first: str) -> None:
    log = await _log(postgres, deployment)
    await append(await log.claim(P), 1)
    reader = await postgres.events(deployment)
    await numbers(reader)
    await reader.claim(P)
    assert _break_connections(postgres.dsn, deployment) >= 2
    if first == "read":
        assert len((await reader.read(P, 0, 10)).records) == 1
    elif first == "end":
        assert await reader.end(P) == 1
    elif first == "wait":
        assert not await reader.wait(P, 1, 0.1)
    elif first == "claim":
        await append(await reader.claim(P), 2)
    else:
        with pytest.raises(LogUnavailable):  # a write, so it is tried once
            await reader.create(NINE)
        await reader.create(NINE)
    assert (await numbers(reader))[0] == 1


async def test_append_on_a_lost_connection_kills_the_owner(postgres: PostgresBackend, deployment: str) -> None:
    log = await _log(postgres, deployment)
    owner = await log.claim(P)
    await append(owner, 1)
    _break_connections(postgres.dsn, deployment)
    with pytest.raises(LogUnavailable):
        await append(owner, 2)
    with pytest.raises(LogUnavailable):
        await append(owner, 3)
    await append(await log.claim(P), 4)
    assert await numbers(log) == [1, 4]


async def test_connection_lost_in_mid_append(postgres: PostgresBackend, deployment: str) -> None:
    log = await _log(postgres, deployment)
    owner = await log.claim(P)
    with postgres.held(deployment):
        writing = asyncio.create_task(append(owner, *range(10)))
        await postgres.until_blocked(deployment, 1)
        assert _break_connections(postgres.dsn, deployment, "wait_event_type = 'Lock'") == 1
        with pytest.raises(LogUnavailable):
            await writing
    await append(await log.claim(P), 99)
    assert await numbers(log) == [99]


async def test_send_on_a_lost_connection(postgres: PostgresBackend, deployment: str) -> None:
    log = await postgres.commands(deployment)
    await log.create([P])
    _break_connections(postgres.dsn, deployment)
    with pytest.raises(LogUnavailable):
        await log.send([(P, record(1))], DEADLINE)
    await log.send([(P, record(1))], DEADLINE)
    assert (await numbers(log))[-1] == 1


async def test_closed_log_is_unavailable(postgres: PostgresBackend, deployment: str) -> None:
    log = await _log(postgres, deployment)
    owner = await log.claim(P)
    waiting = asyncio.create_task(log.wait(P, 0, 30))
    await asyncio.sleep(0)
    await log.close()
    await log.close()
    for call in (log.read(P, 0, 1), log.end(P), log.claim(P), log.wait(P, 0, 1), append(owner, 1), waiting):
        with pytest.raises(LogUnavailable):
            await call


async def test_close_answers_everybody(postgres: PostgresBackend, deployment: str) -> None:
    log = await _log(postgres, deployment)
    await log.create(NINE)
    owner = await log.claim(P)
    with postgres.held(deployment):
        writing = asyncio.create_task(append(owner, 1))
        await postgres.until_blocked(deployment, 1)
        queued = [asyncio.create_task(log.claim(one)) for one in NINE]
        await asyncio.sleep(0)
        await log.close()
        fate = await asyncio.wait_for(asyncio.gather(writing, *queued, return_exceptions=True), DEADLINE)
        assert [type(one) for one in fate] == [LogUnavailable] * 10
    reader = await postgres.events(deployment)
    await reader.claim(P)
    assert await numbers(reader) in ([], [1])


def test_wrong_dsn_keeps_its_secret(deployment: str) -> None:
    with pytest.raises(ValueError, match="not a PostgreSQL connection string") as error:
        PostgresEventLog("password secret", deployment)
    assert "secret" not in str(error.value)


async def test_wrong_address_is_said(deployment: str) -> None:
    log = PostgresEventLog("host=/nowhere port=1 user=nobody dbname=nothing", deployment)
    with pytest.raises(LogUnavailable, match="/nowhere"):
        await log.start()
    await log.close()


# ------------------------------------------------------------------------------------------ a server of our own


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    """A server that a test may kill."""
    made = LocalPostgres(tmp_path_factory.mktemp("own"))
    made.start()
    yield made
    made.destroy()


@pytest.fixture
async def own(server: LocalPostgres) -> AsyncIterator[PostgresBackend]:
    """The backend on it."""
    made = PostgresBackend(server.dsn)
    yield made
    await made.close()


async def test_power_cut_loses_nothing_acknowledged(
    own: PostgresBackend, server: LocalPostgres, deployment: str
) -> None:
    log = await _log(own, deployment)
    owner = await log.claim(P)
    acknowledged = 0

    async def write() -> None:
        nonlocal acknowledged
        while True:
            await append(owner, acknowledged)
            acknowledged += 1

    writing = asyncio.create_task(write())
    while acknowledged < 20 and not writing.done():
        await asyncio.sleep(0.01)
    await asyncio.to_thread(server.kill)
    with pytest.raises(LogUnavailable):
        await writing
    reading = asyncio.create_task(log.end(P))  # patient while the server restarts
    await asyncio.to_thread(server.start)
    assert await reading in (acknowledged, acknowledged + 1)
    new = await log.claim(P)
    stored = await numbers(await own.events(deployment))
    assert stored in (list(range(acknowledged)), list(range(acknowledged + 1)))
    await append(new, 7)
    assert (await numbers(log))[len(stored) :] == [7]


async def test_server_that_is_gone_is_unavailable(
    own: PostgresBackend, server: LocalPostgres, deployment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.embedded.lane.CONNECT_WAITS", (0.05,))
    log = await _log(own, deployment)
    owner = await log.claim(P)
    commands = await own.commands(deployment)
    await commands.create([P])
    await asyncio.to_thread(server.stop)
    try:
        with pytest.raises(LogUnavailable):
            await append(owner, 1)
        with pytest.raises(LogUnavailable):
            await append(owner, 1)
        with pytest.raises(LogUnavailable):
            await log.read(P, 0, 1)
        with pytest.raises(LogUnavailable):
            await log.wait(P, 0, 30)
        with pytest.raises(LogUnavailable):
            await log.claim(P)
        with pytest.raises(LogUnavailable):
            await commands.send([(P, record(1))], DEADLINE)
    finally:
        await asyncio.to_thread(server.start)
    await append(await log.claim(P), 2)
    assert await numbers(log) == [2]


async def test_late_copy_of_an_append_is_fenced(own: PostgresBackend, deployment: str) -> None:
    """The server's process sleeps while the append arrives, and wakes up after somebody else's claim."""
    log = await _log(own, deployment)
    owner = await log.claim(P)
    await append(owner, 1)
    with psycopg.connect(own.dsn, autocommit=True) as other:
        found = other.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name LIKE %s",
            [f"gridbook events log of {deployment} (writing)"],
        ).fetchone()
    assert found
    os.kill(found[0], signal.SIGSTOP)
    try:
        with pytest.raises(LogUnavailable):
            await owner.append([record(2)], 0.2)
        new = await asyncio.wait_for(log.claim(P), 10)  # over a new connection: the old one was cut
        await append(new, 3)
    finally:
        os.kill(found[0], signal.SIGCONT)
    await asyncio.sleep(0.5)
    await append(new, 4)
    assert await numbers(await own.events(deployment)) == [1, 3, 4]


async def test_tables_are_created_by_many_at_once(server: LocalPostgres, deployment: str) -> None:
    with psycopg.connect(server.dsn, autocommit=True) as other:
        other.execute(f"CREATE DATABASE {deployment}")
    dsn = psycopg.conninfo.make_conninfo(server.dsn, dbname=deployment)
    with ThreadPoolExecutor(8) as pool, psycopg.connect(dsn) as first:
        # One of the others is in the middle of it.
        first.execute("SELECT pg_advisory_xact_lock(%s)", [CREATION_LOCK])
        first.execute("CREATE SCHEMA log")
        creations = [pool.submit(FencedRecorder(dsn).create_table) for _ in range(8)]
        await asyncio.sleep(0.2)
        assert not any(one.done() for one in creations)
        first.rollback()
        for one in creations:
            one.result()
    log = PostgresEventLog(dsn, deployment)
    await log.start()
    await log.create([P])
    await append(await log.claim(P), 1)
    assert await numbers(log) == [1]
    await log.close()


def test_tables_that_exist_need_no_right_to_create(server: LocalPostgres, deployment: str) -> None:
    FencedRecorder(server.dsn).create_table()
    with psycopg.connect(server.dsn, autocommit=True) as other:
        other.execute(f"CREATE ROLE {deployment} LOGIN")
        other.execute(f"GRANT USAGE ON SCHEMA log TO {deployment}")
    FencedRecorder(psycopg.conninfo.make_conninfo(server.dsn, user=deployment)).create_table()
