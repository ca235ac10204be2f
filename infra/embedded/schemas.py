"""The schemas of a deployment beside the embedded logs: a table in PostgreSQL, or memory for tests."""

import asyncio
import copy
from collections.abc import Awaitable, Callable
from typing import Any, Final, LiteralString, TypeVar

import psycopg
from psycopg.types.json import Json

from consumers.ports import LogUnavailable
from infra.deployment import checked
from infra.embedded.recorder import CREATION_LOCK
from infra.ledger import Ledger, missing, name, version

Answer = TypeVar("Answer")

SECONDS: Final = 10.0
"""For connecting and everything that a call does."""

_CREATE: Final[LiteralString] = """
    CREATE TABLE IF NOT EXISTS log.schema (
        deployment text,
        id integer,
        name text NOT NULL,
        version integer NOT NULL,
        schema json NOT NULL,
        PRIMARY KEY (deployment, id)
    )"""

_PUBLISH: Final[LiteralString] = """
    INSERT INTO log.schema (deployment, id, name, version, schema) VALUES (%s, %s, %s, %s, %s)
    ON CONFLICT (deployment, id) DO NOTHING"""

_LOAD: Final[LiteralString] = "SELECT id, schema FROM log.schema WHERE deployment = %s ORDER BY id"

Connection = psycopg.AsyncConnection[Any]


class PostgresSchemas:
    """`consumers.ports.SchemaLog` in the database of the logs; connects anew for each call, of which there are few.

    Args:
        dsn: a libpq connection string.
        deployment: its name.

    Raises:
        InvalidDeployment: no deployment may have this name.
    """

    def __init__(self, dsn: str, deployment: str) -> None:
        self._dsn, self._deployment = dsn, checked(deployment)
        self._known: dict[int, dict[str, Any]] = {}

    async def start(self) -> None:
        """Makes the table if there is none.

        Raises:
            LogUnavailable: the database does not answer, or does not let us make it.
        """

        async def create(connection: Connection) -> None:
            rows = await connection.execute("SELECT to_regclass('log.schema')")
            if await rows.fetchone() == (None,):  # else no right to create anything is needed
                await connection.execute("SELECT pg_advisory_xact_lock(%s)", [CREATION_LOCK])
                await connection.execute("CREATE SCHEMA IF NOT EXISTS log")
                await connection.execute(_CREATE)

        await self._run(create)

    async def close(self) -> None:
        """Nothing is open between calls."""

    async def publish(self, ledger: Ledger) -> None:
        """As `SchemaLog.publish`: one transaction, and what others publish at the same time is waited for."""
        rows = [
            (self._deployment, schema_id, name(schema), version(ledger, schema_id), Json(schema))
            for schema_id, schema in sorted(ledger.items())
        ]

        async def write(connection: Connection) -> None:
            if missing(ledger, await self._load(connection), self._deployment):
                await connection.cursor().executemany(_PUBLISH, rows)
                missing(ledger, await self._load(connection), self._deployment)

        await self._run(write)

    async def load(self) -> dict[int, dict[str, Any]]:
        """As `SchemaLog.load`."""
        self._known = await self._run(self._load)
        return dict(self._known)

    async def find(self, schema_id: int) -> dict[str, Any] | None:
        """As `SchemaLog.find`."""
        if schema_id not in self._known:
            await self.load()
        return self._known.get(schema_id)

    async def _load(self, connection: Connection) -> dict[int, dict[str, Any]]:
        return dict(await (await connection.execute(_LOAD, [self._deployment])).fetchall())

    async def _run(self, work: Callable[[Connection], Awaitable[Answer]]) -> Answer:
        """In one transaction, which stands as a whole or not at all."""
        try:
            async with (
                asyncio.timeout(SECONDS),
                await psycopg.AsyncConnection.connect(
                    self._dsn, application_name=f"gridbook schemas of {self._deployment}"
                ) as connection,
            ):
                return await work(connection)
        except (psycopg.Error, OSError) as error:  # TimeoutError is an OSError
            said = " ".join(str(error).split()) or f"no answer within {SECONDS:.0f} s"
            raise LogUnavailable(f"the schemas of {self._deployment}: {said}") from error


class MemorySchemas:
    """`consumers.ports.SchemaLog` in memory; objects with the same `store` are the same log."""

    def __init__(self, deployment: str, store: dict[str, dict[int, dict[str, Any]]] | None = None) -> None:
        self._deployment = deployment
        self._known = (store if store is not None else {}).setdefault(deployment, {})

    async def start(self) -> None:
        """Nothing is to be done."""

    async def close(self) -> None:
        """What is stored stays with the store."""

    async def publish(self, ledger: Ledger) -> None:
        """As `SchemaLog.publish`."""
        news = missing(ledger, self._known, self._deployment)
        self._known.update({schema_id: copy.deepcopy(dict(schema)) for schema_id, schema in news.items()})

    async def load(self) -> dict[int, dict[str, Any]]:
        """As `SchemaLog.load`."""
        return copy.deepcopy(self._known)

    async def find(self, schema_id: int) -> dict[str, Any] | None:
        """As `SchemaLog.find`."""
        return copy.deepcopy(self._known.get(schema_id))
