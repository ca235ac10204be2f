"""Which deployments' logs are being filled: noted in PostgreSQL, beside every deployment's views.

On the log itself nothing can be noted: it must end up byte for byte what it is copied from.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, LiteralString, TypeVar

import psycopg

from consumers.ports import LogUnavailable
from consumers.transfer import TransferRefused
from infra.deployment import checked

T = TypeVar("T")

_TABLE: Final[LiteralString] = """
    CREATE SCHEMA IF NOT EXISTS log;
    CREATE TABLE IF NOT EXISTS log.unfinished (deployment text PRIMARY KEY, origin text NOT NULL)"""
_NOTE: Final[LiteralString] = """
    INSERT INTO log.unfinished VALUES (%s, %s) ON CONFLICT (deployment) DO UPDATE SET origin = excluded.origin"""
_LOCK: Final[LiteralString] = "SELECT pg_try_advisory_lock(hashtext('gridbook filling'), hashtext(%s))"
_UNLOCK: Final[LiteralString] = "SELECT pg_advisory_unlock(hashtext('gridbook filling'), hashtext(%s))"
_CONNECT_SECONDS: Final = 5


class PostgresUnfinished:
    """`consumers.transfer.Unfinished` for one deployment. Who holds it keeps a connection, and with it a lock.

    Raises:
        LogUnavailable: from every method but `release`: the database does not answer.
        InvalidDeployment: no deployment may have this name.
    """

    def __init__(self, dsn: str, deployment: str) -> None:
        self._dsn, self._deployment = dsn, checked(deployment)
        self._held: psycopg.Connection[Any] | None = None

    async def found(self) -> str | None:
        """What the deployment's log is being filled with; none when it is whole."""

        def look() -> str | None:
            with self._connected() as connection:
                return self._origin(connection)

        return await _in_thread(look)

    async def hold(self) -> str | None:
        """As `Unfinished.hold`."""

        def take() -> str | None:
            connection = self._connected()
            if connection.execute(_LOCK, [self._deployment]).fetchone() != (True,):
                connection.close()
                raise TransferRefused(f"somebody else fills the log of {self._deployment} now: wait until that ends")
            self._held = connection
            connection.execute(_TABLE)
            return self._origin(connection)

        return await _in_thread(take)

    async def note(self, origin: str) -> None:
        """As `Unfinished.note`."""
        await _in_thread(lambda: self._mine().execute(_NOTE, [self._deployment, origin]))

    async def clear(self) -> None:
        """As `Unfinished.clear`."""
        await _in_thread(
            lambda: self._mine().execute("DELETE FROM log.unfinished WHERE deployment = %s", [self._deployment])
        )

    async def release(self) -> None:
        """As `Unfinished.release`."""
        held, self._held = self._held, None
        if held is None:
            return

        def let_go() -> None:
            with suppress(psycopg.Error):
                # The server notices a closed connection a moment later; who comes next need not wait for that.
                held.execute(_UNLOCK, [self._deployment])
            held.close()

        await asyncio.to_thread(let_go)

    def _connected(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self._dsn, autocommit=True, connect_timeout=_CONNECT_SECONDS)

    def _mine(self) -> psycopg.Connection[Any]:
        assert self._held is not None, "hold comes first"
        return self._held

    def _origin(self, connection: psycopg.Connection[Any]) -> str | None:
        if connection.execute("SELECT to_regclass('log.unfinished')").fetchone() == (None,):
            return None
        found = connection.execute("SELECT origin FROM log.unfinished WHERE deployment = %s", [self._deployment])
        row = found.fetchone()
        return None if row is None else str(row[0])


async def _in_thread(work: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(work)
    except psycopg.Error as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise LogUnavailable(
            f"whether the log is whole is noted in PostgreSQL, which does not answer: {said}: start PostgreSQL, or"
            " correct DATABASE_URL"
        ) from error
