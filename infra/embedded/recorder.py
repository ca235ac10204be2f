"""The logs' tables and statements in PostgreSQL, on the `eventsourcing` library's aggregate recorder.

`log.stored_events` is the library's table, one stream a partition. `log.owner` has one row a partition; who
writes updates it in the same statement, so PostgreSQL's row lock lets one writer of a partition pass after
the other, and a writer of an older epoch not at all. The numbers of a partition's committed records are
therefore always 0, 1, 2, … without a gap, in every snapshot.

The functions that take a cursor are run by `Lane` on connections of its own. The library's ways to write
and read would try again after a lost answer, and so report as refused what stands in the log.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Final, LiteralString, NoReturn, cast

import psycopg
from eventsourcing.persistence import ProgrammingError, StoredEvent
from eventsourcing.postgres import PostgresAggregateRecorder, PostgresDatastore
from psycopg import Connection, Cursor
from psycopg.rows import DictRow, dict_row
from psycopg.sql import SQL

from consumers.ports import Batch, LogUnavailable
from infra.embedded.arrays import bigints, byteas, register, texts
from infra.embedded.frame import UnreadableFrame, unpack
from infra.embedded.stream import (
    OPEN,
    Fence,
    OwnerRow,
    PartitionsDiffer,
    differing,
    elsewhere,
    family_of,
    fenced,
    missing,
)

_SCHEMA: Final = "log"
_CONNECT_SECONDS: Final = 5
CREATION_LOCK: Final = 0x6772_6964_626F_6F6B  # any number that nobody else locks: "gridbook"

# Commits wait for the disk, and a statement that waited for a row lock looks at the row again, whatever the
# server's defaults are. All access is by the primary keys, also while the tables are too small for the
# planner to see the use: plans are made once. Compiling them costs more than running them.
_SESSION: Final[LiteralString] = """
    SELECT set_config('default_transaction_isolation', 'read committed', false),
           set_config('synchronous_commit',
                      replace(current_setting('synchronous_commit'), 'off', 'on'), false),
           set_config('plan_cache_mode', 'force_generic_plan', false),
           set_config('enable_seqscan', 'off', false),
           set_config('enable_bitmapscan', 'off', false),
           set_config('jit', 'off', false)"""

_CREATE_OWNER: Final[LiteralString] = """
    CREATE TABLE IF NOT EXISTS log.owner (
        partition text PRIMARY KEY,
        epoch bigint NOT NULL DEFAULT 0,
        next bigint NOT NULL DEFAULT 0
    ) WITH (fillfactor = 20)"""  # every append updates a row; the new version should find room in its page

_CREATE: Final[LiteralString] = """
    INSERT INTO log.owner (partition) SELECT * FROM unnest(%s) ON CONFLICT DO NOTHING"""

_OF_FAMILIES: Final[LiteralString] = "SELECT partition FROM log.owner WHERE split_part(partition, '/', 1) = ANY(%s)"

_CLAIM: Final[LiteralString] = """
    WITH wanted AS MATERIALIZED (SELECT * FROM unnest(%s, %s) AS w(partition, claims)),
    locked AS (
        SELECT partition FROM log.owner WHERE partition IN (SELECT partition FROM wanted)
        ORDER BY partition FOR NO KEY UPDATE)
    UPDATE log.owner o SET epoch = o.epoch + w.claims
    FROM wanted w JOIN locked USING (partition)
    WHERE o.partition = w.partition
    RETURNING o.partition, o.epoch, o.next"""

_OWNERS: Final[LiteralString] = "SELECT partition, epoch, next FROM log.owner WHERE partition = ANY(%s)"

_READ: Final[LiteralString] = """
    SELECT w.i, e.originator_version, e.state
    FROM unnest(%s, %s, %s) WITH ORDINALITY AS w(stream, first, most, i)
    CROSS JOIN LATERAL (
        SELECT originator_version, state FROM log.stored_events
        WHERE originator_id = w.stream AND originator_version >= w.first
        ORDER BY originator_version LIMIT w.most) e
    ORDER BY w.i, e.originator_version"""


@dataclass(frozen=True, slots=True)
class Append:
    """States to be stored behind a fence."""

    fence: Fence
    states: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Span:
    """At most `limit` records of a stream from `position` on."""

    stream: str
    position: int
    limit: int


def connect(dsn: str, name: str = "") -> Connection[Any]:
    """A connection for the functions below: autocommit, durable, read committed.

    Args:
        name: by which the server's lists of connections show it.
    """
    connection = psycopg.connect(
        dsn,
        autocommit=True,
        prepare_threshold=0,
        connect_timeout=_CONNECT_SECONDS,
        application_name=f"gridbook {name}",
    )
    register(connection)
    connection.execute(_SESSION, prepare=False)
    return connection


class FencedRecorder(PostgresAggregateRecorder):
    """The library's recorder with a fence in front of the table."""

    # Both rows of `wanted` that name one partition cannot pass: at most one has the row's epoch and number.
    # All rows are locked in one order first, or two writers of several partitions could wait for each other.
    append_statement: ClassVar[LiteralString] = """
        WITH wanted AS MATERIALIZED (
            SELECT * FROM unnest(%s, %s, %s, %s) WITH ORDINALITY AS w(partition, epoch, next, count, i)),
        locked AS (
            SELECT partition FROM log.owner WHERE partition IN (SELECT partition FROM wanted)
            ORDER BY partition FOR NO KEY UPDATE),
        passed AS (
            UPDATE log.owner o SET next = o.next + w.count
            FROM wanted w JOIN locked USING (partition)
            WHERE o.partition = w.partition AND (w.epoch = -1 OR (o.epoch = w.epoch AND o.next = w.next))
            RETURNING w.i, o.partition, o.next,
                CASE w.epoch WHEN -1 THEN o.next - w.count ELSE 0 END AS shift),
        stored AS (
            INSERT INTO log.stored_events (originator_id, originator_version, topic, state)
            SELECT p.partition, p.shift + r.version, '', r.state
            FROM unnest(%s, %s, %s) AS r(i, version, state) JOIN passed p USING (i))
        SELECT i, next FROM passed"""

    def __init__(self, dsn: str) -> None:
        super().__init__(_Datastore(dsn))
        self.sql_create_statements.pop()  # the library's composite type; we send arrays
        self.sql_create_statements.append(SQL(_CREATE_OWNER).format())

    def create_table(self) -> None:
        """Makes schema and tables, also when several processes do so at once; leaves existing ones alone."""
        with self.datastore.transaction(commit=True) as curs:
            curs.execute("SELECT pg_advisory_xact_lock(%s)", [CREATION_LOCK])
            curs.execute("SELECT to_regclass('log.stored_events') AS events, to_regclass('log.owner') AS owner")
            row = curs.fetchone()
            if row and row["events"] and row["owner"]:
                return  # nothing to do, so no right to create anything is needed either
            curs.execute("CREATE SCHEMA IF NOT EXISTS log")
            self._create_table(curs)

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> NoReturn:
        """Refused: the library's version tries again after a lost answer. Use `append`."""
        raise ProgrammingError("a fenced log is written through PostgresEventLog and PostgresCommandLog only")

    def append(self, curs: Cursor[Any], appends: Sequence[Append]) -> list[int | LogUnavailable]:
        """Stores each append whose fence holds; answers with its new end, or with the reason why not.

        A stream that is named twice is written in two statements, in the order given.
        """
        answers: list[int | LogUnavailable | None] = [None] * len(appends)
        left = list(range(len(appends)))
        while left:
            streams: set[str] = set()
            now: list[int] = []
            later: list[int] = []
            for n in left:
                stream = appends[n].fence.stream
                (later if stream in streams else now).append(n)
                streams.add(stream)
            events = [event for n in now for event in _events(appends[n])]
            self._insert_stored_events(curs, events, fence=[appends[n].fence for n in now])
            for i, end in curs.fetchall():
                answers[now[i - 1]] = end
            left = later
        refused = [append.fence.stream for append, answer in zip(appends, answers, strict=True) if answer is None]
        rows = self.owner_rows(curs, refused) if refused else {}
        return [
            answer if answer is not None else _why(append.fence, rows.get(append.fence.stream))
            for append, answer in zip(appends, answers, strict=True)
        ]

    def send(
        self, curs: Cursor[Any], sends: Sequence[Mapping[str, Sequence[bytes]]]
    ) -> list[Mapping[str, int] | LogUnavailable]:
        """Stores states behind the ends of their streams, in the order given.

        Answers each send with the ends of its streams right behind its own states.
        """
        states: dict[str, list[bytes]] = {}
        for one in sends:
            for stream, of_one in one.items():
                states.setdefault(stream, []).extend(of_one)
        given = self.append(curs, [Append(Fence(s, OPEN, OPEN, len(of)), of) for s, of in states.items()])
        ends = dict(zip(states, given, strict=True))
        behind = {stream: len(of_stream) for stream, of_stream in states.items()}
        answers: list[Mapping[str, int] | LogUnavailable] = []
        for one in sends:
            lacking = [end for stream in one if isinstance(end := ends[stream], LogUnavailable)]
            if lacking:
                answers.append(lacking[0])
                continue
            mine = {}
            for stream, of_one in one.items():
                behind[stream] -= len(of_one)
                mine[stream] = cast(int, ends[stream]) - behind[stream]
            answers.append(mine)
        return answers

    # A write that names no fence must fail, so the argument is required where the library has none.
    def _insert_stored_events(  # type: ignore[override]
        self, curs: Cursor[Any], stored_events: Sequence[StoredEvent], *, fence: Sequence[Fence], **_: Any
    ) -> None:
        """One statement for many streams, each named by one fence; leaves (fence from 1, end) of the stored.

        Behind an open fence the versions of the events count from the stream's end.
        """
        number = {one.stream: i for i, one in enumerate(fence, start=1)}
        parameters = (
            texts([one.stream for one in fence]),
            bigints([one.epoch for one in fence]),
            bigints([one.next for one in fence]),
            bigints([one.count for one in fence]),
            bigints([number[str(event.originator_id)] for event in stored_events]),
            bigints([event.originator_version for event in stored_events]),
            byteas([event.state for event in stored_events]),
        )
        curs.execute(self.append_statement, parameters)

    def create(self, curs: Cursor[Any], streams: Sequence[str]) -> PartitionsDiffer | None:
        """Makes the owner rows of whole families exist, or says why not; one caller at a time."""
        with curs.connection.transaction():
            curs.execute("SELECT pg_advisory_xact_lock(%s)", [CREATION_LOCK])
            curs.execute(_OF_FAMILIES, [texts([*{family_of(stream) for stream in streams}])])
            differs = differing(streams, [stream for (stream,) in curs.fetchall()])
            if differs is None:
                curs.execute(_CREATE, [texts(streams)])
            return differs

    def claim(self, curs: Cursor[Any], streams: Sequence[str]) -> list[OwnerRow | LogUnavailable]:
        """Raises the epoch of each stream; waits for appends in flight, so `next` is the true end.

        A stream that is named twice gets two epochs, in the order given.
        """
        claims: dict[str, int] = {}
        for stream in streams:
            claims[stream] = claims.get(stream, 0) + 1
        curs.execute(_CLAIM, [texts(list(claims)), bigints(list(claims.values()))])
        rows = {stream: OwnerRow(epoch, end) for stream, epoch, end in curs.fetchall()}
        answers: list[OwnerRow | LogUnavailable] = []
        for stream in streams:
            claims[stream] -= 1
            row = rows.get(stream)
            answers.append(OwnerRow(row.epoch - claims[stream], row.next) if row else missing(stream))
        return answers

    def owner_rows(self, curs: Cursor[Any], streams: Sequence[str]) -> dict[str, OwnerRow]:
        """The committed owner rows of those streams that exist."""
        curs.execute(_OWNERS, [texts(streams)])
        return {stream: OwnerRow(epoch, end) for stream, epoch, end in curs.fetchall()}

    def owner_row(self, curs: Cursor[Any], streams: Sequence[str]) -> list[OwnerRow | LogUnavailable]:
        """As `owner_rows`, one answer for each stream."""
        rows = self.owner_rows(curs, streams)
        return [rows.get(stream) or missing(stream) for stream in streams]

    def read(self, curs: Cursor[Any], spans: Sequence[Span]) -> list[Batch | LogUnavailable]:
        """The committed records of each span, as one snapshot sees them."""
        curs.execute(
            _READ,
            [
                texts([span.stream for span in spans]),
                bigints([span.position for span in spans]),
                bigints([span.limit for span in spans]),
            ],
        )
        found: list[list[tuple[int, bytes]]] = [[] for _ in spans]
        for i, position, state in curs.fetchall():
            found[i - 1].append((position, state))
        return [_batch(span, rows) for span, rows in zip(spans, found, strict=True)]


class _Datastore(PostgresDatastore):
    """Connects by a libpq connection string, anew each time: only creation and tools use it."""

    def __init__(self, dsn: str) -> None:
        super().__init__("", "", "", "", "", schema=_SCHEMA, originator_id_type="text")
        self._dsn = dsn

    def register_type_adapters(self) -> None:
        """Nothing: we have no composite types. The library's version connects as soon as a recorder is made."""

    @contextmanager
    def get_connection(self) -> Iterator[Connection[DictRow]]:
        with psycopg.connect(
            self._dsn, autocommit=True, connect_timeout=_CONNECT_SECONDS, row_factory=dict_row
        ) as connection:
            yield connection


def _events(append: Append) -> list[StoredEvent]:
    first = 0 if append.fence.next == OPEN else append.fence.next
    stream = append.fence.stream
    return [StoredEvent(stream, first + k, "", state) for k, state in enumerate(append.states)]


def _why(fence: Fence, row: OwnerRow | None) -> LogUnavailable:
    if row is None:
        return missing(fence.stream)
    return fenced(fence, row) if row.epoch != fence.epoch else elsewhere(fence, row)


def _batch(span: Span, rows: Sequence[tuple[int, bytes]]) -> Batch | LogUnavailable:
    # Costs nothing and holds the promise against damage: a row deleted by hand is never read over.
    if rows and (rows[0][0] != span.position or rows[-1][0] - span.position >= len(rows)):
        return LogUnavailable(f"{span.stream}: records are missing from {span.position} on: restore the database")
    try:
        records = tuple([unpack(position, state) for position, state in rows])
    except UnreadableFrame as error:
        return LogUnavailable(f"{span.stream}: {error}")
    return Batch(records, span.position + len(records))
