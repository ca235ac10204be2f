"""Promises of the switchboard: what operators say is there for every process, and its loss is one exception, soon."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from consumers.ports import Partition, ProcessReport, Switchboard, SwitchboardUnavailable
from infra.deployment import InvalidDeployment
from infra.postgres.switchboard import PostgresSwitchboard

M0, M1 = Partition("market", 0), Partition("market", 1)
ANN = ProcessReport("decide@here:1", "decide", "here", 1, "0.1.0", (M0, M1), "running")
PATIENCE = 0.2


class Place:
    """Where switchboards live, seen by a test."""

    def __init__(self, dsn: str, deployment: str) -> None:
        self.dsn, self.deployment = dsn, deployment
        self.opened: list[PostgresSwitchboard] = []

    def open(self) -> Switchboard:
        self.opened.append(PostgresSwitchboard(self.dsn, self.deployment))
        return self.opened[-1]

    async def age(self, seconds: float) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as other:
            other.execute(
                "UPDATE switchboard.processes SET seen = seen - make_interval(secs => %s) WHERE deployment = %s",
                (seconds, self.deployment),
            )


@pytest.fixture
async def place(postgres_dsn: str, deployment: str) -> AsyncIterator[Place]:
    made = Place(postgres_dsn, deployment)
    yield made
    for board in made.opened:
        await board.close()


# -------------------------------------------------------------------------------- every switchboard


async def test_who_pauses_is_heard_by_everybody_until_who_resumes(place: Place) -> None:
    operator, process = place.open(), place.open()
    assert await process.paused() == {}
    await operator.pause(M0, "look at it first")
    await operator.pause(M1, "that one too")
    assert await process.paused() == {M0: "look at it first", M1: "that one too"}
    await operator.pause(M0, "another reason")
    assert (await process.paused())[M0] == "another reason"
    await operator.resume(M0)
    assert await process.paused() == {M1: "that one too"}
    await operator.resume(M0)
    assert await process.paused() == {M1: "that one too"}


async def test_a_process_is_what_it_said_last(place: Place) -> None:
    process, operator = place.open(), place.open()
    assert list(await operator.processes()) == []
    await process.report(ANN)
    assert list(await operator.processes()) == [ANN]
    later = replace(ANN, partitions=(), state="waiting", role="project", release="0.2.0", pid=2, host="there")
    await process.report(later)
    assert list(await operator.processes()) == [later]


async def test_who_has_been_silent_for_fifteen_seconds_is_not_shown(place: Place) -> None:
    process, operator = place.open(), place.open()
    bob = replace(ANN, name="decide@here:2")
    await process.report(ANN)
    await place.age(10)
    await process.report(bob)
    await place.age(4)
    assert list(await operator.processes()) == [ANN, bob]
    await place.age(2)
    assert list(await operator.processes()) == [bob]
    await process.report(ANN)
    assert list(await operator.processes()) == [ANN, bob]


async def test_processes_come_by_role_and_name(place: Place) -> None:
    board = place.open()
    for role, name in (("react", "a"), ("decide", "c"), ("decide", "b")):
        await board.report(replace(ANN, role=role, name=name))
    assert [process.name for process in await board.processes()] == ["b", "c", "a"]


# ------------------------------------------------------------------------------------- PostgreSQL


async def test_deployments_of_a_database_do_not_hear_each_other(postgres_dsn: str, deployment: str) -> None:
    one, other = PostgresSwitchboard(postgres_dsn, deployment), PostgresSwitchboard(postgres_dsn, f"{deployment}_b")
    try:
        await one.pause(M0, "only here")
        await one.report(ANN)
        assert await other.paused() == {}
        assert list(await other.processes()) == []
        await other.resume(M0)
        assert await one.paused() == {M0: "only here"}
    finally:
        await one.close()
        await other.close()


async def test_what_was_said_outlives_the_connection(postgres_dsn: str, deployment: str) -> None:
    first = PostgresSwitchboard(postgres_dsn, deployment)
    await first.pause(M0, "for good")
    await first.close()
    second = PostgresSwitchboard(postgres_dsn, deployment)
    assert await second.paused() == {M0: "for good"}
    await second.close()


async def test_many_that_come_first_all_find_their_tables(postgres_dsn: str, deployment: str) -> None:
    with psycopg.connect(postgres_dsn, autocommit=True) as other:
        other.execute("DROP SCHEMA IF EXISTS switchboard CASCADE")
    boards = [PostgresSwitchboard(postgres_dsn, deployment) for _ in range(6)]
    await asyncio.gather(*(board.paused() for board in boards))
    await asyncio.gather(*(board.report(replace(ANN, name=f"n{n}")) for n, board in enumerate(boards)))
    assert len(await boards[0].processes()) == 6
    await asyncio.gather(*(board.close() for board in boards))


async def test_long_and_unprintable_texts_are_stored_as_people_may_see_them(postgres_dsn: str, deployment: str) -> None:
    board = PostgresSwitchboard(postgres_dsn, deployment)
    await board.pause(M0, "a\0b\nc")
    await board.pause(M1, "x" * 10_000)
    paused = await board.paused()
    assert paused[M0] == "a b c"
    assert 0 < len(paused[M1]) <= 1_000
    await board.close()


async def test_the_old_are_forgotten(postgres_dsn: str, deployment: str) -> None:
    place = Place(postgres_dsn, deployment)
    board = place.open()
    await board.report(ANN)
    await place.age(2 * 3_600)
    await board.report(replace(ANN, name="new"))
    with psycopg.connect(postgres_dsn) as other:
        found = other.execute("SELECT name FROM switchboard.processes WHERE deployment = %s", (deployment,)).fetchall()
    assert found == [("new",)]
    await place.opened[0].close()


def test_a_deployment_cannot_have_its_name(postgres_dsn: str) -> None:
    with pytest.raises(InvalidDeployment):
        PostgresSwitchboard(postgres_dsn, "switchboard")


# --------------------------------------------------------------------------- when PostgreSQL is away


class Wire:
    """The way to PostgreSQL, which can be cut and frozen."""

    def __init__(self, folder: Path, dsn: str) -> None:
        self._folder, self._dsn = folder, dsn
        self._server: asyncio.Server | None = None
        self._passing = asyncio.Event()
        self._passing.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def dsn(self) -> str:
        return make_conninfo(self._dsn, host=str(self._folder), port=5432, hostaddr=None)

    async def up(self) -> None:
        self._server = await asyncio.start_unix_server(self._accept, self._folder / ".s.PGSQL.5432")

    async def down(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        (self._folder / ".s.PGSQL.5432").unlink(missing_ok=True)

    def freeze(self) -> None:
        self._passing.clear()

    def thaw(self) -> None:
        self._passing.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parts = conninfo_to_dict(self._dsn)
        host, port = str(parts.get("host", "127.0.0.1")), parts.get("port", 5432)
        if host.startswith("/"):
            inner, outer = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        else:
            inner, outer = await asyncio.open_connection(host, int(port or 5432))
        self._writers |= {writer, outer}
        for source, sink in ((reader, outer), (inner, writer)):
            task = asyncio.create_task(self._pass(source, sink))
            self._tasks.add(task)

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                await self._passing.wait()
                sink.write(data)
                await sink.drain()
        sink.close()


@pytest.fixture
async def wire(tmp_path: Path, postgres_dsn: str) -> AsyncIterator[Wire]:
    made = Wire(tmp_path, postgres_dsn)
    await made.up()
    yield made
    made.thaw()
    await made.down()


@asynccontextmanager
async def away(call: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
    """While the call fails as it may, the event loop lives on."""
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0.01)
            beats += 1

    beating = asyncio.create_task(beat())
    began = time.monotonic()
    with pytest.raises(SwitchboardUnavailable, match="the switchboard's database does not answer"):
        await call()
    took = time.monotonic() - began
    beating.cancel()
    assert took < 5 * PATIENCE + 1
    assert beats >= took / 0.01 / 4 - 1
    yield


async def test_a_database_that_is_away_is_one_exception_and_then_it_is_back(wire: Wire, deployment: str) -> None:
    board = PostgresSwitchboard(wire.dsn, deployment, PATIENCE)
    await board.pause(M0, "before")
    await wire.down()
    calls: list[Callable[[], Awaitable[object]]] = [
        board.paused,
        board.processes,
        lambda: board.pause(M1, "meanwhile"),
        lambda: board.resume(M0),
        lambda: board.report(ANN),
    ]
    for call in calls:
        async with away(call):
            pass
    await wire.up()
    assert await board.paused() == {M0: "before"}
    await board.close()


@pytest.mark.parametrize("connected", [True, False])
async def test_a_frozen_database_is_one_exception_and_then_it_is_back(
    wire: Wire, deployment: str, connected: bool
) -> None:
    board = PostgresSwitchboard(wire.dsn, deployment, PATIENCE)
    if connected:
        assert await board.paused() == {}
    wire.freeze()
    async with away(board.paused):
        wire.thaw()
    assert await board.paused() == {}
    await board.close()


async def test_who_waits_behind_a_frozen_call_waits_no_longer_than_promised(wire: Wire, deployment: str) -> None:
    board = PostgresSwitchboard(wire.dsn, deployment, PATIENCE)
    assert await board.paused() == {}
    wire.freeze()
    began = time.monotonic()
    fates = await asyncio.gather(*(board.paused() for _ in range(20)), return_exceptions=True)
    assert time.monotonic() - began < 5 * PATIENCE + 1
    assert all(isinstance(fate, SwitchboardUnavailable) for fate in fates)
    wire.thaw()
    assert await board.paused() == {}
    await board.close()


async def test_who_stops_waiting_leaves_no_harm_behind(wire: Wire, deployment: str) -> None:
    board = PostgresSwitchboard(wire.dsn, deployment, PATIENCE)
    assert await board.paused() == {}
    wire.freeze()
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await board.paused()
    assert time.monotonic() - began < PATIENCE
    wire.thaw()
    assert await board.paused() == {}
    await board.close()


async def test_a_table_that_somebody_holds_is_one_exception(postgres_dsn: str, deployment: str) -> None:
    board = PostgresSwitchboard(postgres_dsn, deployment, PATIENCE)
    assert await board.paused() == {}
    with psycopg.connect(postgres_dsn) as other:
        other.execute("LOCK TABLE switchboard.paused IN ACCESS EXCLUSIVE MODE")
        async with away(board.paused):
            pass
    assert await board.paused() == {}
    await board.close()


async def test_tables_that_could_not_be_made_at_first_are_made_later(postgres_dsn: str, deployment: str) -> None:
    board = PostgresSwitchboard(postgres_dsn, deployment, PATIENCE)
    with psycopg.connect(postgres_dsn) as other:
        other.execute("DROP SCHEMA IF EXISTS switchboard CASCADE")
        other.execute("SELECT pg_advisory_lock(hashtext('gridbook switchboard'))")
        other.commit()
        async with away(board.paused):
            pass
    assert await board.paused() == {}
    await board.close()


async def test_an_address_at_which_nobody_is_is_one_exception_without_the_password(deployment: str) -> None:
    board = PostgresSwitchboard("postgresql://ann:s3cret@127.0.0.1:1/none", deployment, PATIENCE)
    with pytest.raises(SwitchboardUnavailable) as away:
        await board.paused()
    assert "s3cret" not in str(away.value)
    broken = PostgresSwitchboard("postgresql://ann:s3cret@[127.0.0.1:1/none", deployment, PATIENCE)
    with pytest.raises(SwitchboardUnavailable) as wrong:
        await broken.paused()
    assert "s3cret" not in str(wrong.value)
