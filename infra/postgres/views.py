"""Views as tables of one PostgreSQL schema: rows by COPY, current rows by MERGE, positions in the same transaction."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, LiteralString, cast

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from consumers.ports import Partition
from consumers.project import NewRow, Reached
from projections.view import Mode, SqlView, View

_POSITIONS: Final = "reached"
_HINTS: Final = "reader_positions"
_FACT_COLUMNS: Final = {"partition": "integer", "seq": "bigint", "tick": "bigint", "at": "bigint"}


class ViewsUnavailable(RuntimeError):
    """PostgreSQL does not answer, or refused a transaction. Nothing of it stands; project again from `reached`."""


class PostgresViews:
    """A store of views (`consumers/project.py: ViewStore`) and the place where questions are asked (`Ask`).

    Args:
        dsn: where PostgreSQL is.
        schema: the schema that holds the tables; another schema is another, independent store.
        views: the tables.
        sql_views: views computed from them, in the order in which they build on each other.
    """

    def __init__(self, dsn: str, schema: str, views: Iterable[View], sql_views: Iterable[SqlView]) -> None:
        self._dsn, self._schema = dsn, schema
        self._views = {view.name: view for view in views}
        self._sql_views = tuple(sql_views)
        self._connection: psycopg.Connection[Any] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="views")
        self._temps: set[str] = set()

    async def start(self) -> None:
        """Connects and makes schema, tables and positions exist."""
        await self._in_thread(self._create)

    async def close(self) -> None:
        """Ends the connection; never raises for a lost one."""
        await self._in_thread(self._disconnect)
        self._thread.shutdown()

    async def drop(self) -> None:
        """Destroys the schema with all rows and positions: they can be rebuilt from the log."""
        await self._in_thread(self._drop)

    async def reached(self) -> dict[Partition, Reached]:
        """How far each partition is projected."""
        rows = await self(f"SELECT family, partition, position, complete_tick FROM {_POSITIONS}", {})
        return {Partition(r["family"], r["partition"]): Reached(r["position"], r["complete_tick"]) for r in rows}

    async def apply(self, rows: Mapping[str, Sequence[NewRow]], reached: Mapping[Partition, Reached]) -> None:
        """Adds rows and moves positions in one transaction.

        Raises:
            ViewsUnavailable: nothing was written.
        """
        await self._in_thread(self._apply, rows, reached)

    async def hints(self, reader: str) -> dict[Partition, int]:
        """Where a reader without rows of its own (a calculator) may begin again; a missing one begins at 0."""
        rows = await self(f"SELECT * FROM {_HINTS} WHERE reader = %(reader)s", {"reader": reader})
        return {Partition(r["family"], r["partition"]): r["position"] for r in rows}

    async def hint(self, reader: str, positions: Mapping[Partition, int]) -> None:
        """Remembers where a reader may begin again."""
        await self._in_thread(self._hint, reader, positions)

    async def __call__(self, sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Rows as dictionaries."""
        return cast(list[dict[str, Any]], await self._in_thread(self._ask, sql, parameters))

    async def checksums(self) -> dict[str, str]:
        """For every table: number of rows and a hash over them in key order. Equal views have equal checksums."""
        found = {}
        for view in self._views.values():
            order = ", ".join(_quoted(c) for c in _primary_key(view))
            table = _quoted(view.name)
            rows = await self(
                f"SELECT count(*) AS n, coalesce(md5(string_agg(t::text, E'\\n' ORDER BY {order})), '') AS hash "
                f"FROM {table} AS t",
                {},
            )
            found[view.name] = f"{rows[0]['n']} {rows[0]['hash']}"
        return found

    async def _in_thread(self, function: Any, *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._guarded, function, *args)

    def _guarded(self, function: Any, *args: Any) -> Any:
        try:
            return function(*args)
        except psycopg.Error as error:
            # Whatever happened, the connection's state is unknown: begin again with a new one.
            self._disconnect()
            raise ViewsUnavailable(f"views in schema {self._schema}: {error}".strip()) from error

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self._dsn, row_factory=dict_row, options=f"-c search_path={self._schema}"
            )
            self._temps.clear()
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _drop(self) -> None:
        with self._connected() as _, self._connected().cursor() as cursor:
            cursor.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(self._schema)))

    def _create(self) -> None:
        connection = self._connected()
        with connection.transaction(), connection.cursor() as cursor:
            # CREATE … IF NOT EXISTS races with itself; one at a time.
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('gridbook views'))")
            cursor.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(self._schema)))
            cursor.execute(
                f"CREATE TABLE IF NOT EXISTS {_POSITIONS} (family text, partition integer, position bigint NOT NULL,"
                " complete_tick bigint NOT NULL, PRIMARY KEY (family, partition))"
            )
            cursor.execute(
                f"CREATE TABLE IF NOT EXISTS {_HINTS} (reader text, family text, partition integer,"
                " position bigint NOT NULL, PRIMARY KEY (reader, family, partition))"
            )
            for view in self._views.values():
                for statement in _ddl(view):
                    cursor.execute(_trusted(statement))
            for computed in self._sql_views:
                cursor.execute(_trusted(f"CREATE OR REPLACE VIEW {_quoted(computed.name)} AS {computed.sql}"))

    def _ask(self, sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        connection = self._connected()
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute(_trusted(sql), parameters)
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
            f"INSERT INTO {_POSITIONS} SELECT * FROM unnest(%s::text[], %s::int[], %s::bigint[], %s::bigint[]) "
            "ON CONFLICT (family, partition) DO UPDATE "
            "SET position = excluded.position, complete_tick = excluded.complete_tick",
            (
                [p.family for p in reached],
                [p.number for p in reached],
                [r.position for r in reached.values()],
                [r.complete_tick for r in reached.values()],
            ),
        )

    def _add(self, cursor: psycopg.Cursor[Any], view: View, added: Sequence[NewRow]) -> None:
        names = list(view.columns)
        if view.mode is Mode.HISTORY:
            columns = [*names, *_FACT_COLUMNS, "row"]
            tuples = [(*(r.values.get(c) for c in names), r.partition, r.seq, r.tick, r.at, r.row) for r in added]
            _copy(cursor, view.name, columns, tuples)
            return
        columns = [*names, *_FACT_COLUMNS]
        temp = f"new_{view.name}"
        if temp not in self._temps:
            cursor.execute(
                _trusted(
                    f"CREATE TEMP TABLE IF NOT EXISTS {_quoted(temp)} (LIKE {_quoted(view.name)}) ON COMMIT DELETE ROWS"
                )
            )
            cursor.execute(
                _trusted("; ".join(f"ALTER TABLE {_quoted(temp)} ALTER {_quoted(c)} DROP NOT NULL" for c in view.key))
            )
            self._temps.add(temp)
        _copy(cursor, temp, columns, _newest(view, added))
        cursor.execute(_trusted(_merge(view, temp, columns)))


def _newest(view: View, added: Sequence[NewRow]) -> list[tuple[Any, ...]]:
    """One row per key: MERGE refuses two. A later fact's columns win, its missing ones leave what stands."""
    merged: dict[tuple[Any, ...], dict[str, Any]] = {}
    for new in added:
        row = merged.setdefault(tuple(new.values[c] for c in view.key), {})
        row.update({c: v for c, v in new.values.items() if v is not None})
        row.update(partition=new.partition, seq=new.seq, tick=new.tick, at=new.at)
    return [tuple(row.get(c) for c in (*view.columns, *_FACT_COLUMNS)) for row in merged.values()]


def _merge(view: View, temp: str, columns: Sequence[str]) -> str:
    table = _quoted(view.name)
    on = " AND ".join(f"t.{_quoted(c)} = s.{_quoted(c)}" for c in view.key)
    rest = [c for c in columns if c not in view.key]
    update = ", ".join(f"{_quoted(c)} = coalesce(s.{_quoted(c)}, t.{_quoted(c)})" for c in rest)
    names = ", ".join(map(_quoted, columns))
    values = ", ".join(f"s.{_quoted(c)}" for c in columns)
    return (
        f"MERGE INTO {table} AS t USING {_quoted(temp)} AS s ON {on} "
        f"WHEN MATCHED THEN UPDATE SET {update} WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({values})"
    )


def _copy(cursor: psycopg.Cursor[Any], table: str, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    names = ", ".join(map(_quoted, columns))
    with cursor.copy(_trusted(f"COPY {_quoted(table)} ({names}) FROM STDIN")) as copy:
        for row in rows:
            copy.write_row(row)


def _primary_key(view: View) -> tuple[str, ...]:
    return view.key if view.mode is Mode.CURRENT else (*view.key, "partition", "seq", "row")


def _ddl(view: View) -> Iterable[str]:
    columns = {**view.columns, **_FACT_COLUMNS}
    if view.mode is Mode.HISTORY:
        columns["row"] = "integer"
    body = ", ".join(f"{_quoted(name)} {kind}" for name, kind in columns.items())
    key = ", ".join(map(_quoted, _primary_key(view)))
    yield f"CREATE TABLE IF NOT EXISTS {_quoted(view.name)} ({body}, PRIMARY KEY ({key}))"
    for n, index in enumerate(view.indexes):
        yield f"CREATE INDEX IF NOT EXISTS {_quoted(f'{view.name}_{n}')} ON {_quoted(view.name)} ({index})"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _trusted(statement: str) -> LiteralString:
    """SQL that comes from the code of this repository (view definitions and questions), never from outside."""
    return statement
