"""The stores behind the ports, and what a test does to them besides calling the port."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString, Protocol

import psycopg
from psycopg import Connection

from consumers.ports import CommandLog, EventLog, NewRecord, Owner, Partition, StoredRecord
from infra.embedded.frame import pack
from infra.embedded.memory import MemoryCommandLog, MemoryEventLog, MemoryStore
from infra.embedded.postgres import PostgresCommandLog, PostgresEventLog
from infra.embedded.recorder import Append, FencedRecorder, connect
from infra.embedded.stream import OPEN, Fence

P = Partition("market", 0)
DEADLINE = 5.0  # seconds; far above what an append takes, far below what a test may take


class Lifecycle(Protocol):
    """What every adapter has besides its port."""

    async def start(self) -> None: ...

    async def close(self) -> None: ...


class StartedEventLog(EventLog, Lifecycle, Protocol):
    """An event log with its life."""


class StartedCommandLog(CommandLog, Lifecycle, Protocol):
    """A command log with its life."""


class Log(Protocol):
    """What both logs have in common."""

    async def create(self, partitions: Sequence[Partition]) -> None: ...

    async def read(self, partition: Partition, position: int, limit: int) -> Any: ...

    async def end(self, partition: Partition) -> int: ...

    async def wait(self, partition: Partition, position: int, timeout: float) -> bool: ...


@dataclass(frozen=True, slots=True)
class OpenWrite:
    """A write that has reached the store and may still vanish."""

    commit: Callable[[], Awaitable[None]]
    rollback: Callable[[], Awaitable[None]]


class Backend:
    """One store; every call of `events` or `commands` makes a log object as another process would.

    Args:
        name: memory, postgres or kafka.
        exact_ends: positions are dense, and `end` moves with records only.
    """

    def __init__(
        self,
        name: str,
        events: Callable[[str], StartedEventLog],
        commands: Callable[[str], StartedCommandLog],
        exact_ends: bool,
    ) -> None:
        self.name = name
        self.exact_ends = exact_ends
        self._events = events
        self._commands = commands
        self._opened: list[Lifecycle] = []

    async def events(self, deployment: str) -> StartedEventLog:
        """A new event log object on the store, started."""
        log = self._events(deployment)
        self._opened.append(log)
        await log.start()
        return log

    async def commands(self, deployment: str) -> StartedCommandLog:
        """A new command log object on the store, started."""
        log = self._commands(deployment)
        self._opened.append(log)
        await log.start()
        return log

    async def close(self) -> None:
        """Closes every log object."""
        for log in self._opened:
            await log.close()

    def open_append(self, deployment: str, records: Sequence[NewRecord]) -> AbstractAsyncContextManager[OpenWrite]:
        """An append to `P` whose commit the test decides on; only where there is such a thing."""
        raise NotImplementedError(f"a write to {self.name} is never half done")


class MemoryBackend(Backend):
    """Writes are atomic here: there are no open ones."""

    def __init__(self) -> None:
        store = MemoryStore()
        super().__init__(
            "memory",
            lambda deployment: MemoryEventLog(deployment, store),
            lambda deployment: MemoryCommandLog(deployment, store),
            exact_ends=True,
        )


class PostgresBackend(Backend):
    """An open write is an open database transaction."""

    def __init__(self, dsn: str) -> None:
        super().__init__(
            "postgres",
            lambda deployment: PostgresEventLog(dsn, deployment),
            lambda deployment: PostgresCommandLog(dsn, deployment),
            exact_ends=True,
        )
        self.dsn = dsn

    def stream(self, deployment: str) -> str:
        """The id of `P` in the tables."""
        return f"{deployment}.events.{P.family}/{P.number}"

    @contextmanager
    def held(
        self, deployment: str, how: LiteralString = "SELECT FROM log.owner WHERE partition = %s FOR UPDATE"
    ) -> Iterator[Connection[Any]]:
        """A transaction that has locked the owner row of `P`; it commits at the end of the block."""
        with connect(self.dsn) as connection:
            connection.execute("BEGIN")
            connection.execute(how, [self.stream(deployment)])
            yield connection
            connection.execute("COMMIT")

    async def until_blocked(self, deployment: str, count: int) -> None:
        """Returns when so many of the deployment's statements wait for a lock."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            while True:
                row = connection.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE %s AND wait_event_type = 'Lock'",
                    [f"gridbook%{deployment}%"],
                ).fetchone()
                if row == (count,):
                    return
                await asyncio.sleep(0.02)

    @asynccontextmanager
    async def open_append(self, deployment: str, records: Sequence[NewRecord]) -> AsyncIterator[OpenWrite]:
        """By the statement that the log itself uses."""
        with connect(self.dsn) as connection:
            connection.execute("BEGIN")
            fence = Fence(self.stream(deployment), OPEN, OPEN, len(records))
            FencedRecorder(self.dsn).append(
                connection.cursor(binary=True), [Append(fence, [pack(record) for record in records])]
            )

            async def commit() -> None:
                connection.execute("COMMIT")

            async def rollback() -> None:
                connection.execute("ROLLBACK")

            yield OpenWrite(commit, rollback)


class KafkaBackend(Backend):
    """An open write is an open Kafka transaction, of a producer that is none of ours."""

    def __init__(self, bootstrap: str) -> None:
        from infra.kafka.command_log import KafkaCommandLog
        from infra.kafka.event_log import KafkaEventLog

        super().__init__(
            "kafka",
            lambda deployment: KafkaEventLog(bootstrap, deployment),
            lambda deployment: KafkaCommandLog(bootstrap, deployment),
            exact_ends=False,
        )
        self._bootstrap = bootstrap

    @asynccontextmanager
    async def open_append(self, deployment: str, records: Sequence[NewRecord]) -> AsyncIterator[OpenWrite]:
        """Flushed to the broker, not committed."""
        from aiokafka import AIOKafkaProducer

        producer = AIOKafkaProducer(bootstrap_servers=self._bootstrap, transactional_id=f"open-{uuid.uuid4().hex}")
        await producer.start()
        try:
            await producer.begin_transaction()
            for record in records:
                await producer.send_and_wait(
                    f"{deployment}.events.{P.family}",
                    record.value,
                    key=record.key,
                    partition=P.number,
                    headers=list(record.headers),
                )
            yield OpenWrite(producer.commit_transaction, producer.abort_transaction)
        finally:
            await producer.stop()


def record(n: int, size: int = 8) -> NewRecord:
    """A record that can be told from others by its number."""
    return NewRecord(b"key", n.to_bytes(8, "big") + bytes(size - 8), (("n", str(n).encode()),))


def number(stored: StoredRecord) -> int:
    """The number that `record` gave it."""
    return int.from_bytes(stored.value[:8], "big")


async def read_all(log: Log, partition: Partition = P, position: int = 0, limit: int = 500) -> list[StoredRecord]:
    """Every record from `position` to the end as it is now.

    Raises:
        AssertionError: the log keeps back what `end` has promised, or moves backwards.
    """
    end = await log.end(partition)
    records: list[StoredRecord] = []
    quiet = 0
    while position < end:
        batch = await log.read(partition, position, limit)
        assert len(batch.records) <= limit
        assert batch.next >= position
        assert all(position <= one.position < batch.next for one in batch.records)
        quiet = 0 if batch.next > position else quiet + 1
        assert quiet < 100, f"nothing to read at {position} although the end is {end}"
        if quiet:
            await asyncio.sleep(0.02)
        records += batch.records
        position = batch.next
    positions = [one.position for one in records]
    assert positions == sorted(set(positions)), "positions do not increase"
    return records


async def numbers(log: Log, partition: Partition = P) -> list[int]:
    """The numbers of all records, in the order of the log."""
    return [number(one) for one in await read_all(log, partition)]


async def append(owner: Owner, *what: int) -> None:
    """Appends the records with these numbers as one whole."""
    await owner.append([record(n) for n in what], DEADLINE)
