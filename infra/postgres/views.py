"""Views as tables of one PostgreSQL schema: rows by COPY, current rows by MERGE, positions in the same transaction."""

import asyncio
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, cast

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from consumers.ports import Partition
from consumers.project import NewRow, Reached
from infra.deployment import REBUILT, checked
from infra.postgres.cut import cut
from infra.postgres.rows import Refused, copy_rows, quoted, teach, trusted
from projections.view import Mode, SqlView, View

_POSITIONS: Final = "reached"
_HINTS: Final = "reader_positions"
_FACT_COLUMNS: Final = {"partition": "integer", "seq": "bigint", "tick": "bigint", "at": "bigint"}
_ROW_COLUMN: Final = {"row": "integer"}
_RUNTIME: Final = (
    f"CREATE TABLE {_POSITIONS} (family text, partition integer, position bigint NOT NULL,"
    " complete_tick bigint NOT NULL, PRIMARY KEY (family, partition))",
    f"CREATE TABLE {_HINTS} (reader text, family text, partition integer,"
    " position bigint NOT NULL, PRIMARY KEY (reader, family, partition))",
)
_PATIENCE_S: Final = 30.0
"""Work on rows and positions that has not ended after so long is cut off: a frozen server would never say so."""

_QUESTION_S: Final = 600.0
"""As `_PATIENCE_S`, for questions and for making the tables: both may read or fill everything."""

_CLOSING_S: Final = 2.0
_CONNECT_S: Final = 10
_MADE_BY: Final = "obj_description(to_regnamespace(%(schema)s), 'pg_namespace')"


class ViewsUnavailable(RuntimeError):
    """PostgreSQL does not answer, or refused a transaction.

    Nothing of it stands, unless it was the answer to its COMMIT that was lost: `reached` tells. Project again from
    there.
    """


class PostgresViews:
    """A store of views (`consumers/project.py: ViewStore`) and the place where questions are asked (`Ask`).

    Args:
        dsn: where PostgreSQL is.
        schema: the schema that holds the tables, named as the deployment or that and `REBUILT`; another schema is
            another, independent store.
        views: the tables.
        sql_views: views computed from them, in the order in which they build on each other.

    Raises:
        InvalidDeployment: no schema may have this name.
    """

    def __init__(self, dsn: str, schema: str, views: Iterable[View], sql_views: Iterable[SqlView]) -> None:
        checked(schema.removesuffix(REBUILT))
        self._dsn, self._schema = dsn, schema
        self._views = {view.name: view for view in views}
        self._ddl = (*_RUNTIME, *(s for view in self._views.values() for s in _ddl(view)), *map(_computed, sql_views))
        heard = sorted(f"{v.name}: {cls.__module__}.{cls.__name__}" for v in self._views.values() for cls in v.on)
        self._definition = hashlib.sha256("\n".join((*self._ddl, *heard)).encode()).hexdigest()
        self._connection: psycopg.Connection[Any] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="views")
        self._temps: set[str] = set()
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Connects and makes schema, tables and positions exist.

        The schema remembers a hash of the statements that made it and of the facts that its views hear. Where they
        were others than today's (a view was changed) it is dropped and begins again, empty and with no position
        reached: who projects fills it from the log. Hints are kept. What a view's functions make of a fact is not in
        the hash.

        Raises:
            ViewsUnavailable: also for a schema of this name that holds somebody else's tables.
        """
        await self._in_thread(self._create)

    async def look(self) -> None:
        """Connects to views that exist; changes nothing.

        Raises:
            ViewsUnavailable: there are none, or another release's: they are filled by whoever projects.
        """
        await self._in_thread(self._look)

    async def close(self) -> None:
        """Ends the connection, and after a moment also what is under way on it; never raises for a lost one."""
        late = asyncio.get_running_loop().call_later(_CLOSING_S, self._cut)
        try:
            await self._in_thread(self._disconnect)
        finally:
            late.cancel()
        self._thread.shutdown()

    async def drop(self) -> None:
        """Destroys the schema with all rows and positions: they can be rebuilt from the log.

        Raises:
            ViewsUnavailable: also for a schema that holds somebody else's tables.
        """
        await self._in_thread(self._drop)

    async def reached(self) -> dict[Partition, Reached]:
        """How far each partition is projected; a store that is to be compared with this one is built up to there."""
        rows = await self(f"SELECT family, partition, position, complete_tick FROM {_POSITIONS}", {})
        return {Partition(r["family"], r["partition"]): Reached(r["position"], r["complete_tick"]) for r in rows}

    async def apply(self, rows: Mapping[str, Sequence[NewRow]], reached: Mapping[Partition, Reached]) -> None:
        """Adds rows and moves positions, never backwards, in one transaction.

        Raises:
            ViewsUnavailable: see there; also when another projector is further, or other definitions came.
        """
        await self._in_thread(self._apply, rows, reached, patience=_PATIENCE_S)

    async def hints(self, reader: str) -> dict[Partition, int]:
        """Where a reader without rows of its own (a calculator) may begin again; a missing one begins at 0."""
        rows = await self(f"SELECT * FROM {_HINTS} WHERE reader = %(reader)s", {"reader": reader})
        return {Partition(r["family"], r["partition"]): r["position"] for r in rows}

    async def hint(self, reader: str, positions: Mapping[Partition, int]) -> None:
        """Remembers where a reader may begin again."""
        await self._in_thread(self._hint, reader, positions, patience=_PATIENCE_S)

    async def __call__(self, sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Rows as dictionaries."""
        return cast(list[dict[str, Any]], await self._in_thread(self._ask, sql, parameters))

    async def checksums(self) -> dict[str, str]:
        """For every table: the number of its rows and a sum over their hashes, all as of one moment.

        Equal views have equal checksums. A sum knows no order and needs none: no two rows of a table are equal, their
        keys are in them. It finds what differs by mistake; who can write to the tables could make it agree.
        """
        tables = " UNION ALL ".join(
            f"SELECT '{name}' AS name, count(*) AS n, coalesce(sum(hashtextextended(t::text, 0)), 0) AS hashes"
            f" FROM {quoted(name)} AS t"
            for name in self._views
        )
        return {row["name"]: f"{row['n']} {row['hashes']}" for row in await self(tables, {})}

    async def _in_thread(self, function: Any, *args: Any, patience: float = _QUESTION_S) -> Any:
        async with self._turn:
            loop = asyncio.get_running_loop()
            late = loop.call_later(patience, self._cut)
            try:
                return await loop.run_in_executor(self._thread, self._guarded, function, *args)
            finally:
                late.cancel()

    def _cut(self) -> None:
        """Ends what is under way: its thread gets an error instead of an answer that never comes."""
        if (connection := self._connection) is not None:
            cut(connection)

    def _guarded(self, function: Any, *args: Any) -> Any:
        try:
            return function(*args)
        except psycopg.Error as error:
            # Whatever happened, the connection's state is unknown: begin again with a new one.
            self._disconnect()
            said = " ".join(str(error).split()) or type(error).__name__
            raise ViewsUnavailable(f"views in schema {self._schema}: {said}") from error

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self._dsn,
                row_factory=dict_row,
                options=f"-c search_path={quoted(self._schema)}",
                connect_timeout=_CONNECT_S,
            )
            teach(self._connection)
            self._temps.clear()
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _drop(self) -> None:
        connection = self._connected()
        with connection.transaction(), connection.cursor() as cursor:
            self._make_room(cursor)

    def _create(self) -> None:
        connection = self._connected()
        with connection.transaction(), connection.cursor() as cursor:
            # Two that look and then create would both create; one at a time.
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('gridbook views'))")
            cursor.execute(f"SELECT {_MADE_BY} AS made_by", {"schema": self._schema})
            if cursor.fetchall() == [{"made_by": self._definition}]:
                return
            kept = self._kept_hints(cursor)
            self._make_room(cursor)
            name = sql.Identifier(self._schema)
            cursor.execute(sql.SQL("CREATE SCHEMA {}").format(name))
            cursor.execute(sql.SQL("COMMENT ON SCHEMA {} IS {}").format(name, self._definition))
            for statement in self._ddl:
                cursor.execute(trusted(statement))
            cursor.executemany(f"INSERT INTO {_HINTS} VALUES (%s, %s, %s, %s)", kept)

    def _kept_hints(self, cursor: psycopg.Cursor[Any]) -> list[tuple[Any, ...]]:
        """Where readers begin again does not depend on the views: without it reactors would say everything again."""
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL AS there", (f"{self._schema}.{_HINTS}",))
        if cursor.fetchall() != [{"there": True}]:
            return []
        cursor.execute(f"SELECT reader, family, partition, position FROM {_HINTS}")
        return [tuple(row.values()) for row in cursor.fetchall()]

    def _look(self) -> None:
        connection = self._connected()
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute(f"SELECT {_MADE_BY} AS made_by", {"schema": self._schema})
            if cursor.fetchall() != [{"made_by": self._definition}]:
                raise Refused(
                    "there are none, or they were made by another release: a projector of this one makes them from the"
                    " log (`gridbook up`; `make demo` for the demo)"
                )

    def _make_room(self, cursor: psycopg.Cursor[Any]) -> None:
        cursor.execute(
            "SELECT FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND to_regclass(%s) IS NULL LIMIT 1",
            (self._schema, f"{self._schema}.{_HINTS}"),
        )
        if cursor.rowcount:
            raise Refused("the schema holds tables that are not Gridbook's: choose another deployment name")
        cursor.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(self._schema)))

    def _ask(self, sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        connection = self._connected()
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute(trusted(sql), parameters)
            return cursor.fetchall()

    def _apply(self, rows: Mapping[str, Sequence[NewRow]], reached: Mapping[Partition, Reached]) -> None:
        connection = self._connected()
        with connection.transaction(), connection.cursor() as cursor:
            for name, added in rows.items():
                if added:
                    self._add(cursor, self._views[name], added)
            self._move(cursor, reached)

    def _hint(self, reader: str, positions: Mapping[Partition, int]) -> None:
        connection = self._connected()
        with connection.transaction(), connection.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO {_HINTS} VALUES (%s, %s, %s, %s) "
                "ON CONFLICT (reader, family, partition) DO UPDATE SET position = excluded.position",
                [(reader, p.family, p.number, position) for p, position in positions.items()],
            )

    def _move(self, cursor: psycopg.Cursor[Any], reached: Mapping[Partition, Reached]) -> None:
        cursor.execute(
            f"INSERT INTO {_POSITIONS} AS was SELECT new.* FROM unnest(%(families)s::text[], %(numbers)s::int[],"
            " %(positions)s::bigint[], %(ticks)s::bigint[]) AS new"
            f" WHERE {_MADE_BY} = %(definition)s ON CONFLICT (family, partition) DO UPDATE"
            " SET position = excluded.position, complete_tick = excluded.complete_tick"
            " WHERE was.position <= excluded.position AND was.complete_tick <= excluded.complete_tick",
            {
                "families": [p.family for p in reached],
                "numbers": [p.number for p in reached],
                "positions": [r.position for r in reached.values()],
                "ticks": [r.complete_tick for r in reached.values()],
                "schema": self._schema,
                "definition": self._definition,
            },
        )
        if cursor.rowcount != len(reached):
            raise Refused(
                "another projector is further, or a release with other views began them again: only one may project"
            )

    def _add(self, cursor: psycopg.Cursor[Any], view: View, added: Sequence[NewRow]) -> None:
        if view.mode is Mode.HISTORY:
            names = tuple(view.columns)
            tuples = ((*map(r.values.get, names), r.partition, r.seq, r.tick, r.at, r.row) for r in added)
            copy_rows(cursor, view.name, {**view.columns, **_FACT_COLUMNS, **_ROW_COLUMN}, tuples)
            return
        columns = {**view.columns, **_FACT_COLUMNS}
        temp = f"new_{view.name}"
        if temp not in self._temps:
            cursor.execute(
                trusted(
                    f"CREATE TEMP TABLE IF NOT EXISTS {quoted(temp)} (LIKE {quoted(view.name)}) ON COMMIT DELETE ROWS"
                )
            )
            cursor.execute(
                trusted("; ".join(f"ALTER TABLE {quoted(temp)} ALTER {quoted(c)} DROP NOT NULL" for c in view.key))
            )
            self._temps.add(temp)
        copy_rows(cursor, temp, columns, _newest(view, added))
        cursor.execute(trusted(_merge(view, temp, list(columns))))


def _newest(view: View, added: Sequence[NewRow]) -> list[tuple[Any, ...]]:
    """One row per key: MERGE refuses two. A later fact's columns win, its missing ones leave what stands."""
    merged: dict[tuple[Any, ...], dict[str, Any]] = {}
    for new in added:
        row = merged.setdefault(tuple(new.values[c] for c in view.key), {})
        row.update({c: v for c, v in new.values.items() if v is not None})
        row.update(partition=new.partition, seq=new.seq, tick=new.tick, at=new.at)
    return [tuple(row.get(c) for c in (*view.columns, *_FACT_COLUMNS)) for row in merged.values()]


def _merge(view: View, temp: str, columns: Sequence[str]) -> str:
    table = quoted(view.name)
    on = " AND ".join(f"t.{quoted(c)} = s.{quoted(c)}" for c in view.key)
    rest = [c for c in columns if c not in view.key]
    update = ", ".join(f"{quoted(c)} = coalesce(s.{quoted(c)}, t.{quoted(c)})" for c in rest)
    names = ", ".join(map(quoted, columns))
    values = ", ".join(f"s.{quoted(c)}" for c in columns)
    return (
        f"MERGE INTO {table} AS t USING {quoted(temp)} AS s ON {on} "
        f"WHEN MATCHED THEN UPDATE SET {update} WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({values})"
    )


def _primary_key(view: View) -> tuple[str, ...]:
    return view.key if view.mode is Mode.CURRENT else (*view.key, "partition", "seq", "row")


def _ddl(view: View) -> Iterable[str]:
    columns = {**view.columns, **_FACT_COLUMNS}
    if view.mode is Mode.HISTORY:
        columns |= _ROW_COLUMN
    body = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns.items())
    key = ", ".join(map(quoted, _primary_key(view)))
    yield f"CREATE TABLE {quoted(view.name)} ({body}, PRIMARY KEY ({key}))"
    for n, index in enumerate(view.indexes):
        yield f"CREATE INDEX {quoted(f'{view.name}_{n}')} ON {quoted(view.name)} ({index})"


def _computed(view: SqlView) -> str:
    return f"CREATE VIEW {quoted(view.name)} AS {view.sql}"
