"""What only the PostgreSQL log can show: the fence at the exact moment, and one statement for many."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any, LiteralString

import psycopg
import pytest
from eventsourcing.persistence import ProgrammingError

from consumers.ports import Batch, Fenced, LogUnavailable, Partition
from infra.embedded.arrays import bigints, byteas, texts
from infra.embedded.frame import pack, unpack
from infra.embedded.recorder import FencedRecorder, connect
from tests.contract.backends import (
    DEADLINE,
    P,
    PostgresBackend,
    StartedEventLog,
    append,
    numbers,
    read_all,
    record,
)
from tests.contract.race import race

NINE = [Partition(f"family{n}", 0) for n in range(9)]

# Fences that look right. Both read the epoch and move the number in one statement, as the real one does; but
# what they read may be old by the time they write, because a claim does not wait for such a reader.
_BROKEN: LiteralString = """
    WITH wanted AS MATERIALIZED (
        SELECT * FROM unnest(%s, %s, %s, %s) WITH ORDINALITY AS w(partition, epoch, next, count, i)),
    passed AS MATERIALIZED (
        SELECT w.i, o.partition, o.next + w.count AS next FROM log.owner o JOIN wanted w USING (partition)
        WHERE o.epoch = w.epoch AND o.next = w.next {lock}),
    moved AS (UPDATE log.owner o SET next = p.next FROM passed p WHERE o.partition = p.partition),
    stored AS (
        INSERT INTO log.stored_events (originator_id, originator_version, topic, state)
        SELECT p.partition, r.version, '', r.state
        FROM unnest(%s, %s, %s) AS r(i, version, state) JOIN passed p USING (i))
    SELECT i, next FROM passed"""
PLANTED = {
    "plain read": _BROKEN.replace("{lock}", ""),
    "for key share": _BROKEN.replace("{lock}", "FOR KEY SHARE OF o"),
}


async def _log(postgres: PostgresBackend, deployment: str) -> StartedEventLog:
    log = await postgres.events(deployment)
    await log.create([P])
    return log


async def _claimed_under_an_append(postgres: PostgresBackend, deployment: str) -> bool:
    """An append meets a claim that is written and not yet committed; was the append refused?"""
    log = await _log(postgres, deployment)
    old = await log.claim(P)
    with postgres.held(deployment, "UPDATE log.owner SET epoch = epoch + 1 WHERE partition = %s"):
        writing = asyncio.create_task(append(old, 1))
        await postgres.until_blocked(deployment, 1)
        assert not writing.done()
    refused = isinstance((await asyncio.gather(writing, return_exceptions=True))[0], Fenced)
    assert await numbers(log) == ([] if refused else [1])
    return refused


# ------------------------------------------------------------------------------------------------ the fence


async def test_append_that_waited_for_a_claim_is_fenced(postgres: PostgresBackend, deployment: str) -> None:
    assert await _claimed_under_an_append(postgres, deployment)


@pytest.mark.parametrize("fault", PLANTED)
async def test_that_check_catches(
    postgres: PostgresBackend,
    deployment: str,
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(FencedRecorder, "append_statement", PLANTED[fault])
    assert not await _claimed_under_an_append(postgres, deployment)


@pytest.mark.parametrize("fault", PLANTED)
async def test_the_race_catches(
    postgres: PostgresBackend, deployment: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FencedRecorder, "append_statement", PLANTED[fault])
    wrong: list[str] = []
    for attempt in range(10):  # chance is against a broken fence, but not in every round
        logs = [await _log(postgres, f"{deployment}{attempt}") for _ in range(3)]
        wrong = await race(logs, P, 100, random.Random(attempt))
        if wrong:
            break
    assert wrong


async def test_claim_waits_for_an_append_in_flight(postgres: PostgresBackend, deployment: str) -> None:
    log = await _log(postgres, deployment)
    async with postgres.open_append(deployment, [record(1), record(2)]) as write:
        claiming = asyncio.create_task(log.claim(P))
        await postgres.until_blocked(deployment, 1)
        assert not claiming.done()
        await write.commit()
        new = await claiming
    await append(new, 3)
    assert await numbers(log) == [1, 2, 3]


async def test_write_behind_the_owner_is_noticed(postgres: PostgresBackend, deployment: str) -> None:
    log = await _log(postgres, deployment)
    owner = await log.claim(P)
    await append(owner, 1)
    async with postgres.open_append(deployment, [record(2)]) as write:  # by nobody who has claimed
        await write.commit()
    with pytest.raises(LogUnavailable, match="something else writes") as unavailable:
        await append(owner, 3)
    assert not isinstance(unavailable.value, Fenced)
    assert await numbers(log) == [1, 2]


async def test_writers_in_opposite_orders_never_block_each_other(postgres: PostgresBackend, deployment: str) -> None:
    logs = [await postgres.commands(deployment) for _ in range(2)]
    await logs[0].create(NINE)
    orders = [NINE, NINE[::-1]]
    for n in range(200):
        await asyncio.gather(
            *(log.send([(one, record(n)) for one in order], DEADLINE) for log, order in zip(logs, orders, strict=True))
        )
    assert len(await read_all(logs[0], NINE[4])) == 400


def test_arrays_arrive(postgres_dsn: str) -> None:
    numbers_ = [0, 1, -1, 2**63 - 1, -(2**63)]
    names = ["", "a", "käse-Ω", "x" * 1000]
    blobs = [b"", bytes(range(256)), b"\x00" * 100_000]
    with connect(postgres_dsn) as connection:
        row = connection.execute("SELECT %s, %s, %s", [bigints(numbers_), texts(names), byteas(blobs)]).fetchone()
    assert row == (numbers_, names, blobs)


def test_sessions_are_durable_and_look_again_whatever_the_defaults(postgres_dsn: str) -> None:
    weak = "-c synchronous_commit=off -c default_transaction_isolation=serializable"
    with connect(psycopg.conninfo.make_conninfo(postgres_dsn, options=weak)) as connection:
        found = connection.execute(
            "SELECT current_setting('synchronous_commit'), current_setting('transaction_isolation')"
        ).fetchone()
    assert found == ("on", "read committed")


def test_write_without_a_fence_fails(postgres_dsn: str) -> None:
    recorder = FencedRecorder(postgres_dsn)
    with pytest.raises(ProgrammingError):
        recorder.insert_events([])
    with pytest.raises(TypeError, match="fence"):
        recorder._insert_stored_events(None, [])  # type: ignore[call-arg, arg-type]


async def test_the_library_reads_the_table(postgres: PostgresBackend, deployment: str) -> None:
    log = await _log(postgres, deployment)
    await append(await log.claim(P), *range(10))
    events = FencedRecorder(postgres.dsn).select_events(postgres.stream(deployment), gt=2, limit=5)
    assert [event.state for event in events] == [pack(record(n)) for n in range(3, 8)]
    assert [unpack(event.originator_version, event.state) for event in events] == (await read_all(log))[3:8]


async def test_missing_rows_are_an_error_and_no_gap(postgres: PostgresBackend, deployment: str) -> None:
    log = await _log(postgres, deployment)
    await append(await log.claim(P), *range(10))
    with connect(postgres.dsn) as other:
        other.execute(
            "DELETE FROM log.stored_events WHERE originator_id = %s AND originator_version = 4",
            [postgres.stream(deployment)],
        )
    reader = await postgres.events(deployment)
    assert len((await reader.read(P, 0, 4)).records) == 4
    for position, limit in ((0, 10), (3, 2), (4, 1)):
        with pytest.raises(LogUnavailable, match="missing"):
            await reader.read(P, position, limit)


async def test_record_of_a_newer_release_stops_its_partition_only(postgres: PostgresBackend, deployment: str) -> None:
    log, reader = await postgres.events(deployment), await postgres.events(deployment)
    await log.create([P, *NINE])
    for one in [P, *NINE]:
        await append(await log.claim(one), 1, 2)
    with connect(postgres.dsn) as other:
        other.execute(
            "UPDATE log.stored_events SET state = '\\x02' WHERE originator_id = %s AND originator_version = 1",
            [postgres.stream(deployment)],
        )
    fate = await asyncio.gather(*(reader.read(one, 0, 9) for one in [P, *NINE]), return_exceptions=True)
    assert isinstance(fate[0], LogUnavailable)
    assert [len(one.records) for one in fate[1:] if isinstance(one, Batch)] == [2] * 9
    assert len((await reader.read(P, 0, 1)).records) == 1


# ------------------------------------------------------------------------------------------- one statement


async def test_calls_of_one_turn_are_one_statement(
    postgres: PostgresBackend, deployment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: dict[str, list[int]] = {}

    def counted(name: str) -> None:
        inner = getattr(FencedRecorder, name)

        def outer(self: FencedRecorder, curs: Any, arguments: Sequence[Any]) -> Any:
            calls.setdefault(name, []).append(len(arguments))
            return inner(self, curs, arguments)

        monkeypatch.setattr(FencedRecorder, name, outer)

    for name in ("append", "send", "read", "owner_row", "claim"):
        counted(name)
    log, commands = await postgres.events(deployment), await postgres.commands(deployment)
    await log.create(NINE)
    await commands.create(NINE)
    owners = await asyncio.gather(*(log.claim(one) for one in NINE))
    assert calls.pop("claim") == [9]
    await asyncio.gather(*(commands.send([(one, record(1))], DEADLINE) for one in NINE))
    assert calls.pop("send") == [9]
    calls.clear()
    await asyncio.gather(*(append(owner, 1, 2) for owner in owners))
    assert calls.pop("append") == [9]
    reader = await postgres.events(deployment)
    calls.clear()
    assert await asyncio.gather(*(reader.end(one) for one in NINE)) == [2] * 9
    assert calls.pop("owner_row") == [9]
    await asyncio.gather(*(reader.read(one, 0, 10) for one in NINE))
    assert calls.pop("read") == [9]
    await asyncio.gather(*(log.read(one, 0, 10) for one in NINE))
    assert calls == {}, "what a log wrote itself it need not ask for"


async def test_each_send_of_a_statement_learns_its_own_end(postgres: PostgresBackend, deployment: str) -> None:
    one, two = f"{deployment}.commands.a/0", f"{deployment}.commands.b/0"
    recorder = FencedRecorder(postgres.dsn)
    with connect(postgres.dsn) as connection, connection.cursor(binary=True) as curs:
        recorder.create_table()
        recorder.create(curs, [one, two])
        recorder.send(curs, [{one: [b"x"]}])
        sends = [{one: [b"a"], two: [b"b", b"c"]}, {two: [b"d"]}, {one: [b"e", b"f"]}]
        assert recorder.send(curs, sends) == [{one: 2, two: 2}, {two: 3}, {one: 4}]
    events = [*recorder.select_events(one), *recorder.select_events(two)]
    assert [event.state for event in events] == [b"x", b"a", b"e", b"f", b"b", b"c", b"d"]


async def test_more_than_a_batch(postgres: PostgresBackend, deployment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.embedded.postgres.BATCH_BYTES", 5_000)
    monkeypatch.setattr("infra.embedded.postgres.BATCH_RECORDS", 20)
    log = await postgres.events(deployment)
    await log.create(NINE)
    owners = await asyncio.gather(*(log.claim(one) for one in NINE))
    await asyncio.gather(*(append(owner, *range(30)) for owner in owners))
    reader = await postgres.events(deployment)
    for found in await asyncio.gather(*(numbers(reader, one) for one in NINE)):
        assert found == list(range(30))
