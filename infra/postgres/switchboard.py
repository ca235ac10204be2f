"""The switchboard in PostgreSQL: what operators say to running processes, and what those say of themselves.

Nothing is decided from it, so its database may be away: every call then ends in `SwitchboardUnavailable`
after some seconds, and the next one connects anew.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, LiteralString, TypeVar

import psycopg

from consumers.ports import Partition, ProcessReport, SwitchboardUnavailable
from infra.deployment import checked
from infra.postgres.cut import cut

T = TypeVar("T")

PATIENCE_SECONDS: Final = 2.0
"""For connecting, and again for a statement; half as much more for the server to say that it took too long."""

FRESH_SECONDS: Final = 15
"""A process that has said nothing for so long is shown no more."""

MAX_TEXT: Final = 500
"""Characters of a reason or a state."""

_KEPT: Final = "1 hour"
_DDL: Final[tuple[LiteralString, ...]] = (
    "CREATE SCHEMA IF NOT EXISTS switchboard",
    "CREATE TABLE IF NOT EXISTS switchboard.paused (deployment text, family text, partition integer,"
    " reason text NOT NULL, since timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (deployment, family, partition))",
    "CREATE TABLE IF NOT EXISTS switchboard.processes (deployment text, name text, role text NOT NULL,"
    " host text NOT NULL, pid integer NOT NULL, release text NOT NULL, partitions jsonb NOT NULL,"
    " state text NOT NULL, seen timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (deployment, name))",
)

Connection = psycopg.AsyncConnection[Any]


class PostgresSwitchboard:
    """A switchboard in the schema `switchboard`, which all deployments of a database share.

    One call at a time goes to the database; it never blocks the event loop, and its time is bounded, however the
    server behaves (gone, frozen, behind a dead network).

    Args:
        patience: seconds for connecting, and again for a statement; a call ends within five times that.

    Raises:
        InvalidDeployment: no deployment may have this name.
    """

    def __init__(self, dsn: str, deployment: str, patience: float = PATIENCE_SECONDS) -> None:
        self._dsn, self._deployment, self._patience = dsn, checked(deployment), patience
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()

    async def paused(self) -> Mapping[Partition, str]:
        """As the port says."""

        async def read(connection: Connection) -> dict[Partition, str]:
            rows = await connection.execute(
                "SELECT family, partition, reason FROM switchboard.paused WHERE deployment = %s", (self._deployment,)
            )
            return {Partition(family, number): reason for family, number, reason in await rows.fetchall()}

        return await self._run(read)

    async def pause(self, partition: Partition, reason: str) -> None:
        """As the port says; a later reason replaces an earlier one."""
        await self._write(
            "INSERT INTO switchboard.paused (deployment, family, partition, reason) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (deployment, family, partition) DO UPDATE SET reason = excluded.reason",
            (self._deployment, partition.family, partition.number, _shown(reason)),
        )

    async def resume(self, partition: Partition) -> None:
        """As the port says; says nothing when it was not paused."""
        await self._write(
            "DELETE FROM switchboard.paused WHERE deployment = %s AND family = %s AND partition = %s",
            (self._deployment, partition.family, partition.number),
        )

    async def report(self, process: ProcessReport) -> None:
        """As the port says; processes that have been silent for an hour are forgotten."""
        partitions = json.dumps([[p.family, p.number] for p in process.partitions])
        await self._write(
            "WITH forgotten AS (DELETE FROM switchboard.processes WHERE deployment = %(deployment)s"
            f" AND name <> %(name)s AND seen < now() - interval '{_KEPT}')"
            " INSERT INTO switchboard.processes (deployment, name, role, host, pid, release, partitions, state)"
            " VALUES (%(deployment)s, %(name)s, %(role)s, %(host)s, %(pid)s, %(release)s, %(partitions)s::jsonb,"
            " %(state)s) ON CONFLICT (deployment, name) DO UPDATE SET role = excluded.role, host = excluded.host,"
            " pid = excluded.pid, release = excluded.release, partitions = excluded.partitions,"
            " state = excluded.state, seen = now()",
            {
                "deployment": self._deployment,
                "name": process.name,
                "role": process.role,
                "host": process.host,
                "pid": process.pid,
                "release": process.release,
                "partitions": partitions,
                "state": _shown(process.state),
            },
        )

    async def processes(self) -> Sequence[ProcessReport]:
        """As the port says, by the database's clock; in order of role and name."""

        async def read(connection: Connection) -> list[ProcessReport]:
            rows = await connection.execute(
                "SELECT name, role, host, pid, release, partitions, state FROM switchboard.processes"
                f" WHERE deployment = %s AND seen > now() - interval '{FRESH_SECONDS} seconds' ORDER BY role, name",
                (self._deployment,),
            )
            return [
                ProcessReport(
                    name, role, host, pid, release, tuple(Partition(family, n) for family, n in partitions), state
                )
                for name, role, host, pid, release, partitions, state in await rows.fetchall()
            ]

        return await self._run(read)

    async def close(self) -> None:
        """Ends the connection; never raises."""
        await self._disconnect()

    # ------------------------------------------------------------------------------------ one call at a time

    async def _write(self, statement: LiteralString, values: Any) -> None:
        async def write(connection: Connection) -> None:
            await connection.execute(statement, values)

        await self._run(write)

    async def _run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        # In a task of its own: whoever stops waiting leaves a call behind that ends by itself, and no open line.
        task = asyncio.ensure_future(self._called(work))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(task)

    async def _called(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(2.5 * self._patience):
                await self._turn.acquire()
        except TimeoutError:
            raise SwitchboardUnavailable("the switchboard's database does not answer earlier questions yet") from None
        try:
            return await self._asked(work)
        except (psycopg.Error, OSError, TimeoutError) as error:
            await self._disconnect()
            said = " ".join(str(error).split()) or type(error).__name__
            raise SwitchboardUnavailable(
                f"the switchboard's database does not answer: {said}: start PostgreSQL, or correct DATABASE_URL"
            ) from error
        finally:
            self._turn.release()

    async def _asked(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        connection, known = self._connection, True
        if connection is None or connection.closed:
            connection, known = await self._connect(), False
            self._connection = connection
        # A frozen server does not even answer that the time is over, and the library would wait for that.
        late = asyncio.get_running_loop().call_later(1.5 * self._patience, cut, connection)
        try:
            if not known:
                await _make(connection)
            return await work(connection)
        finally:
            late.cancel()

    async def _connect(self) -> Connection:
        try:
            async with asyncio.timeout(self._patience):
                return await psycopg.AsyncConnection.connect(
                    self._dsn,
                    autocommit=True,
                    application_name=f"gridbook switchboard {self._deployment}",
                    options=f"-c statement_timeout={self._patience * 1000:.0f}",
                )
        except psycopg.ProgrammingError:
            # the library's own message repeats the text, and a password with it
            raise SwitchboardUnavailable("the switchboard's database is not named by a connection string") from None

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error, OSError):
                await connection.close()


async def _make(connection: Connection) -> None:
    found = await connection.execute("SELECT to_regclass('switchboard.processes') IS NOT NULL")
    if await found.fetchone() == (True,):
        return
    async with connection.transaction():
        # Two that look and then create would both create; one at a time.
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext('gridbook switchboard'))")
        for statement in _DDL:
            await connection.execute(statement)


def _shown(text: str) -> str:
    """A text for people, of bounded length, without what PostgreSQL cannot store."""
    return "".join(c if c.isprintable() else " " for c in text[:MAX_TEXT])
