"""Promises of the store of views: rows and positions are one, history is added, current is overwritten."""

from collections.abc import AsyncIterator

import psycopg
import pytest

from consumers.ports import Partition
from consumers.project import NewRow, Reached
from infra.postgres.views import PostgresViews, ViewsUnavailable
from projections.view import Mode, SqlView, View

HISTORY = View("deeds", Mode.HISTORY, {"name": "text", "amounts": "bigint[]"}, {}, indexes=("name",))
CURRENT = View("people", Mode.CURRENT, {"person": "text", "town": "text", "age": "bigint"}, {}, key=("person",))
TOWNS = SqlView("towns", "SELECT town, count(*) AS people FROM people GROUP BY town")
P0, P1 = Partition("party", 0), Partition("party", 1)


def row(seq: int, values: dict[str, object], n: int = 0, partition: int = 0) -> NewRow:
    return NewRow("party", partition, seq, seq * 10, seq * 100, n, values)


@pytest.fixture
async def store(postgres_dsn: str) -> AsyncIterator[PostgresViews]:
    made = PostgresViews(postgres_dsn, "test_views", [HISTORY, CURRENT], [TOWNS])
    await made.drop()
    await made.start()
    await made.start()
    yield made
    await made.drop()
    await made.close()


async def test_rows_and_positions_stand_together(store: PostgresViews) -> None:
    rows = {"deeds": [row(1, {"name": "a", "amounts": [1, 2]}), row(1, {"name": "b"}, n=1)], "people": []}
    await store.apply(rows, {P0: Reached(7, 3), P1: Reached(1, 0)})
    assert await store.reached() == {P0: Reached(7, 3), P1: Reached(1, 0)}
    found = await store("SELECT * FROM deeds ORDER BY seq, row", {})
    assert [(r["name"], r["amounts"], r["seq"], r["tick"], r["at"], r["row"]) for r in found] == [
        ("a", [1, 2], 1, 10, 100, 0),
        ("b", None, 1, 10, 100, 1),
    ]


async def test_a_refused_row_moves_no_position(store: PostgresViews) -> None:
    await store.apply({"deeds": [row(1, {"name": "a"})]}, {P0: Reached(1, 0)})
    with pytest.raises(ViewsUnavailable):
        await store.apply(
            {"people": [row(2, {"person": "x"})], "deeds": [row(1, {"name": "again"})]}, {P0: Reached(2, 0)}
        )
    assert await store.reached() == {P0: Reached(1, 0)}
    assert await store("SELECT * FROM people", {}) == []
    await store.apply({"people": [row(2, {"person": "x"})]}, {P0: Reached(2, 0)})
    assert (await store.reached())[P0] == Reached(2, 0)


async def test_current_rows_are_overwritten_and_missing_columns_stay(store: PostgresViews) -> None:
    await store.apply(
        {"people": [row(1, {"person": "x", "town": "A"}), row(2, {"person": "x", "age": 5}), row(3, {"person": "y"})]},
        {P0: Reached(3, 0)},
    )
    await store.apply({"people": [row(4, {"person": "x", "town": None, "age": 6})]}, {P0: Reached(4, 0)})
    found = await store("SELECT person, town, age, seq FROM people ORDER BY person", {})
    assert [tuple(r.values()) for r in found] == [("x", "A", 6, 4), ("y", None, None, 3)]
    assert await store("SELECT * FROM towns WHERE town IS NOT NULL", {}) == [{"town": "A", "people": 1}]


async def test_equal_rows_have_equal_checksums_whatever_the_batches(store: PostgresViews, postgres_dsn: str) -> None:
    rows = [row(n, {"person": f"p{n % 7}", "age": n}) for n in range(50)]
    await store.apply({"people": rows}, {P0: Reached(50, 0)})
    other = PostgresViews(postgres_dsn, "test_views_2", [HISTORY, CURRENT], [TOWNS])
    await other.drop()
    await other.start()
    for one in rows:
        await other.apply({"people": [one]}, {P0: Reached(one.seq, 0)})
    assert await other.checksums() == await store.checksums()
    await other.apply({"people": [row(60, {"person": "p1", "age": 0})]}, {})
    assert await other.checksums() != await store.checksums()
    await other.drop()
    await other.close()


async def test_hints_are_kept_per_reader(store: PostgresViews) -> None:
    await store.hint("calculator", {P0: 4})
    await store.hint("calculator", {P0: 5, P1: 1})
    assert await store.hints("calculator") == {P0: 5, P1: 1}
    assert await store.hints("another") == {}


async def test_a_lost_connection_is_named_and_the_next_call_works(store: PostgresViews, postgres_dsn: str) -> None:
    [pid] = [r["pid"] for r in await store("SELECT pg_backend_pid() AS pid", {})]
    with psycopg.connect(postgres_dsn, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", (pid,))
    with pytest.raises(ViewsUnavailable):
        await store.apply({"people": [row(1, {"person": "x"})]}, {P0: Reached(1, 0)})
    await store.apply({"people": [row(1, {"person": "x"})]}, {P0: Reached(1, 0)})
