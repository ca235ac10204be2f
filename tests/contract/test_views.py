"""Promises of the store of views: rows and positions are one, history is added, current is overwritten."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import psycopg
import pytest

import infra.postgres.views as module
from consumers.ports import Partition
from consumers.project import NewRow, Reached
from infra.deployment import InvalidDeployment
from infra.postgres.views import PostgresViews, ViewsUnavailable
from projections.view import Mode, SqlView, View

HISTORY = View("deeds", Mode.HISTORY, {"name": "text", "amounts": "bigint[]"}, {}, indexes=("name",))
CURRENT = View("people", Mode.CURRENT, {"person": "text", "town": "text", "age": "bigint"}, {}, key=("person",))
EVERY_TYPE = View(
    "oddities",
    Mode.HISTORY,
    {"words": "text", "number": "bigint", "small": "int", "yes": "boolean", "many": "bigint[]", "names": "text[]"},
    {},
)
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


ODD_WORDS = ["", "NULL", "null", '"', "\\", "\\N", "a,b", "{}", "ä€😀", " "]
ODD_NUMBERS = [0, 1, -1, 127, -128, 255, 2**31, -(2**31) - 1, 2**63 - 1, -(2**63)]


@pytest.fixture
async def oddities(postgres_dsn: str) -> AsyncIterator[PostgresViews]:
    made = PostgresViews(postgres_dsn, "test_views_odd", [EVERY_TYPE], [])
    await made.drop()
    await made.start()
    yield made
    await made.drop()
    await made.close()


async def test_every_value_comes_back_as_it_was(oddities: PostgresViews) -> None:
    rows: list[dict[str, object]] = [
        {
            "words": word,
            "number": number,
            "small": n - 5,
            "yes": n % 2 == 0,
            "many": ODD_NUMBERS[:n],
            "names": [word] * n,
        }
        for n, (word, number) in enumerate(zip(ODD_WORDS, ODD_NUMBERS, strict=True))
    ]
    rows += [dict.fromkeys(EVERY_TYPE.columns), {"many": list(range(-3_000, 3_000)), "names": ODD_WORDS}]
    await oddities.apply({"oddities": [row(n, values) for n, values in enumerate(rows)]}, {P0: Reached(1, 0)})
    found = await oddities("SELECT words, number, small, yes, many, names FROM oddities ORDER BY seq", {})
    assert found == [dict.fromkeys(EVERY_TYPE.columns) | values for values in rows]


WRONG: list[dict[str, object]] = [
    {"words": 1},
    {"number": "1"},
    {"number": 2**63},
    {"number": 1.5},
    {"small": 2**31},
    {"many": [1, None]},
    {"many": [1, "2"]},
    {"many": [2**63]},
    {"many": 5},
    {"names": [1]},
]


@pytest.mark.parametrize("values", WRONG, ids=repr)
async def test_a_value_of_another_type_is_refused_whole(oddities: PostgresViews, values: dict[str, object]) -> None:
    good = [row(n, {"words": "good"}) for n in range(5)]
    with pytest.raises(ViewsUnavailable) as refused:
        await oddities.apply({"oddities": [*good, row(9, values)]}, {P0: Reached(10, 0)})
    assert "oddities" in str(refused.value)
    assert await oddities.reached() == {}
    assert await oddities("SELECT * FROM oddities", {}) == []
    await oddities.apply({"oddities": good}, {P0: Reached(5, 0)})
    assert await oddities.reached() == {P0: Reached(5, 0)}


async def test_a_refused_row_moves_no_position(store: PostgresViews) -> None:
    await store.apply({"deeds": [row(1, {"name": "a"})]}, {P0: Reached(1, 0)})
    with pytest.raises(ViewsUnavailable) as refused:
        await store.apply(
            {"people": [row(2, {"person": "x"})], "deeds": [row(1, {"name": "again"})]}, {P0: Reached(2, 0)}
        )
    assert "\n" not in str(refused.value)
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
    assert (await other.checksums())["deeds"] == (await store.checksums())["deeds"] == "0 0"
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


async def test_checksums_are_of_one_moment(store: PostgresViews, postgres_dsn: str) -> None:
    """Rows of one transaction are in all tables' checksums or in none."""
    other = PostgresViews(postgres_dsn, "test_views", [HISTORY, CURRENT], [TOWNS])
    writing = asyncio.create_task(_write_pairs(other, 200))
    while not writing.done():
        sums = await store.checksums()
        assert sums["deeds"].split()[0] == sums["people"].split()[0]
    await writing
    await other.close()


async def _write_pairs(store: PostgresViews, count: int) -> None:
    for n in range(count):
        await store.apply(
            {"deeds": [row(n, {"name": "a"})], "people": [row(n, {"person": f"p{n}"})]}, {P0: Reached(n, 0)}
        )


async def test_a_projector_that_is_behind_does_not_win(store: PostgresViews, postgres_dsn: str) -> None:
    slow = PostgresViews(postgres_dsn, "test_views", [HISTORY, CURRENT], [TOWNS])
    await store.apply({"people": [row(9, {"person": "x", "age": 9})]}, {P0: Reached(10, 5), P1: Reached(2, 0)})
    for behind in (Reached(5, 5), Reached(11, 4)):
        with pytest.raises(ViewsUnavailable, match="another projector is further"):
            await slow.apply({"people": [row(4, {"person": "x", "age": 4})]}, {P0: behind, P1: Reached(3, 0)})
    assert await slow.reached() == {P0: Reached(10, 5), P1: Reached(2, 0)}
    assert await slow("SELECT age FROM people", {}) == [{"age": 9}]
    await slow.apply({"people": [row(10, {"person": "x", "age": 10})]}, {P0: Reached(11, 5)})
    await slow.close()


async def test_a_database_that_does_not_answer_is_not_waited_for_for_ever(
    store: PostgresViews, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CLOSING_S", 0.2)
    asker, loop = PostgresViews(postgres_dsn, "test_views", [HISTORY, CURRENT], [TOWNS]), asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(ViewsUnavailable):
        await asker._in_thread(asker._ask, "SELECT pg_sleep(20)", {}, patience=0.2)
    assert await asker.reached() == {}, "the next call has a connection of its own"
    asked = asyncio.create_task(asker("SELECT pg_sleep(20)", {}))
    await asyncio.sleep(0.1)
    await asker.close()
    with pytest.raises(ViewsUnavailable):
        await asked
    assert loop.time() - began < 15


CHANGED = [
    ([HISTORY, replace(CURRENT, columns={**CURRENT.columns, "shoe": "bigint"})], [TOWNS]),
    ([replace(HISTORY, indexes=()), CURRENT], [TOWNS]),
    ([HISTORY, CURRENT], [SqlView("towns", "SELECT town FROM people")]),
]


@pytest.mark.parametrize(("views", "sql_views"), CHANGED, ids=["column", "index", "sql view"])
async def test_a_changed_definition_begins_again(
    store: PostgresViews, postgres_dsn: str, views: list[View], sql_views: list[SqlView]
) -> None:
    await store.apply({"people": [row(1, {"person": "x", "age": 1})]}, {P0: Reached(2, 1)})
    await store.hint("calculator", {P0: 2})
    same = PostgresViews(postgres_dsn, "test_views", [HISTORY, CURRENT], [TOWNS])
    await same.start()
    assert await same.reached() == {P0: Reached(2, 1)}, "the same definition changes nothing"
    changed = PostgresViews(postgres_dsn, "test_views", views, sql_views)
    await changed.start()
    await changed.start()
    assert await changed.reached() == {}
    assert await changed.hints("calculator") == {P0: 2}, "readers go on where they were"
    assert await changed("SELECT * FROM people", {}) == []
    with pytest.raises(ViewsUnavailable, match="other views"):  # the old release goes on, with its position
        await store.apply({"people": [row(2, {"person": "y", "age": 2})]}, {P0: Reached(3, 1)})
    await changed.apply({"people": [row(1, {"person": "x", "age": 1})]}, {P0: Reached(2, 1)})
    await same.close()
    await changed.close()


async def test_a_schema_of_somebody_else_is_left_alone(postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA test_others")
        connection.execute("CREATE TABLE test_others.mine AS SELECT 1 AS one")
        store = PostgresViews(postgres_dsn, "test_others", [HISTORY], [])
        for destroys in (store.start, store.drop):
            with pytest.raises(ViewsUnavailable, match="not Gridbook's"):
                await destroys()
        await store.close()
        assert connection.execute("SELECT one FROM test_others.mine").fetchall() == [(1,)]
        connection.execute("DROP SCHEMA test_others CASCADE")


WRONG_FORM = ("", "Abc", "a-b", "a b", 'a"b', "a,public", "1a", "_rebuilt", "a\n", "a" * 41)
TAKEN = ("log", "vault", "public", "information_schema", "pg_temp", "log_rebuilt", "a_rebuilt_rebuilt")


@pytest.mark.parametrize("name", [*WRONG_FORM, *TAKEN])
def test_a_name_that_is_no_deployment_is_refused(name: str) -> None:
    with pytest.raises(InvalidDeployment, match="expected"):
        PostgresViews("", name, [], [])


async def test_the_rebuilt_schema_is_another_one(postgres_dsn: str) -> None:
    name = "d" * 40
    stores = [PostgresViews(postgres_dsn, schema, [HISTORY], []) for schema in (name, f"{name}_rebuilt")]
    for store in stores:
        await store.start()
    await stores[0].apply({"deeds": [row(1, {"name": "a"})]}, {P0: Reached(1, 0)})
    assert await stores[1].reached() == {}
    await stores[1].drop()
    assert await stores[0].reached() == {P0: Reached(1, 0)}
    await stores[0].drop()
    for store in stores:
        await store.close()


async def test_who_only_looks_changes_nothing_and_refuses_other_views(store: PostgresViews, postgres_dsn: str) -> None:
    await store.apply({"people": [row(1, {"person": "x"})]}, {P0: Reached(1, 0)})
    same = PostgresViews(postgres_dsn, "test_views", [HISTORY, CURRENT], [TOWNS])
    await same.look()
    assert len(await same("SELECT * FROM people", {})) == 1
    await same.close()
    other = PostgresViews(postgres_dsn, "test_views", [CURRENT], [TOWNS])
    with pytest.raises(ViewsUnavailable, match="another release"):
        await other.look()
    await other.close()
    nowhere = PostgresViews(postgres_dsn, "test_views_nowhere", [CURRENT], [])
    with pytest.raises(ViewsUnavailable, match="there are none"):
        await nowhere.look()
    await nowhere.close()
    assert len(await store("SELECT * FROM people", {})) == 1
