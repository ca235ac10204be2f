"""The logs in one PostgreSQL database, shared by any number of deployments and processes.

Two lanes each: what a write waits for must not keep readers waiting. Calls of one loop turn (also of
several owners) become one statement; a partition's promises stay its own.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from consumers.ports import Batch, LogUnavailable, NewRecord, Partition
from infra.embedded.ends import Ends
from infra.embedded.frame import pack
from infra.embedded.lane import Job, Lane
from infra.embedded.recorder import Append, FencedRecorder, Span, connect
from infra.embedded.stream import Fence, Kind, OwnerRow, PartitionsDiffer, Streams, dead, fenced
from infra.embedded.tail import Tail

CLAIM_SECONDS: Final = 30.0  # for an append in flight, and for the answer
READ_SECONDS: Final = 10.0
BATCH_BYTES: Final = 16 * 1024 * 1024  # of states in one statement
BATCH_RECORDS: Final = 50_000  # read by one statement
_ROW_BYTES: Final = 100  # what a record weighs beside its state

Store = Callable[[Fence, Sequence[NewRecord], float], Awaitable[int]]
Look = Callable[[str], Awaitable[OwnerRow]]


class _PostgresLog:
    """What both logs have in common."""

    def __init__(self, dsn: str, deployment: str, kind: Kind) -> None:
        try:
            conninfo_to_dict(dsn)
        except psycopg.ProgrammingError:  # whose message repeats the text, and a password with it
            raise ValueError("the log's DSN is not a PostgreSQL connection string") from None
        self._streams = Streams(deployment, kind)
        self._recorder = FencedRecorder(dsn)
        writing, reading = f"{kind} log of {deployment} (writing)", f"{kind} log of {deployment} (reading)"
        self._write = Lane(writing, lambda: connect(dsn, writing), BATCH_BYTES)
        self._reads = Lane(reading, lambda: connect(dsn, reading), BATCH_RECORDS)
        self._ends = Ends(self._ask_ends)
        self._tail = Tail()
        self._known: set[str] = set()  # streams that exist; none ever ceases to
        self._create = Job(self._create_each, again=False)
        self._owner = Job(self._recorder.owner_row, again=True)
        self._read = Job(self._recorder.read, again=True)

    async def start(self) -> None:
        """Creates the tables if there are none; comes first, in the loop that uses this object.

        Raises:
            LogUnavailable: the database does not answer, or does not let us create them.
        """
        try:
            await asyncio.to_thread(self._recorder.create_table)
        except psycopg.Error as error:
            said = " ".join(str(error).split())
            raise LogUnavailable(f"the log's tables cannot be created or found: {said}") from error
        self._write.start()
        self._reads.start()

    async def close(self) -> None:
        """Lets go of the database; later calls, and those that wait for their turn, end in LogUnavailable."""
        await self._ends.close()
        await self._write.close()
        await self._reads.close()

    async def create(self, partitions: Sequence[Partition]) -> None:
        """As the port says; families get as many partitions as the highest number asks for.

        Raises:
            PartitionsDiffer: a family exists with another number of partitions; nothing was made.
        """
        streams = self._streams.of_families(partitions)
        await self._write.ask(self._create, streams, weight=0, timeout=CLAIM_SECONDS)
        self._known.update(streams)

    async def read(self, partition: Partition, position: int, limit: int) -> Batch:
        """As the port says; one question for all partitions that are read in the same turn of the loop.

        No question at all for what this object wrote last.
        """
        if position < 0 or limit < 1:
            raise ValueError(f"expected a position from 0 and a limit from 1, found {position} and {limit}")
        stream = await self._existing(partition)
        if own := self._tail.read(stream, position, limit):
            return Batch(own, position + len(own))
        batch = await self._reads.ask(self._read, Span(stream, position, limit), weight=limit, timeout=READ_SECONDS)
        if batch.records:
            self._ends.saw(stream, batch.next)
        return batch

    async def end(self, partition: Partition) -> int:
        """As the port says; always asks, because other processes may write."""
        return (await self._owner_row(self._streams.id_of(partition))).next

    async def wait(self, partition: Partition, position: int, timeout: float) -> bool:
        """As the port says: at once after a write through this object, else within POLL_SECONDS."""
        stream = await self._existing(partition)
        if timeout <= 0:
            return await self.end(partition) > position
        return await self._ends.wait(stream, position, timeout)

    def _create_each(
        self, curs: psycopg.Cursor[Any], requests: Sequence[Sequence[str]]
    ) -> list[PartitionsDiffer | None]:
        return [self._recorder.create(curs, streams) for streams in requests]

    def _wrote(self, stream: str, end: int, records: Sequence[NewRecord]) -> None:
        self._tail.wrote(stream, end - len(records), records)
        self._ends.saw(stream, end)

    async def _existing(self, partition: Partition) -> str:
        stream = self._streams.id_of(partition)
        if stream not in self._known:
            await self._owner_row(stream)
        return stream

    async def _owner_row(self, stream: str) -> OwnerRow:
        row = await self._reads.ask(self._owner, stream, weight=1, timeout=READ_SECONDS)
        self._known.add(stream)
        self._ends.saw(stream, row.next)
        return row

    async def _ask_ends(self, streams: Sequence[str]) -> Mapping[str, int]:
        rows = await asyncio.gather(*(self._owner_row(stream) for stream in streams))
        return {stream: row.next for stream, row in zip(streams, rows, strict=True)}


class PostgresEventLog(_PostgresLog):
    """`EventLog` in PostgreSQL.

    Args:
        dsn: a libpq connection string.
        deployment: its name (`infra/deployment.py`); deployments in one database know nothing of each other.
    """

    def __init__(self, dsn: str, deployment: str) -> None:
        super().__init__(dsn, deployment, "events")
        self._claim = Job(self._recorder.claim, again=False)
        self._append = Job(self._recorder.append, again=False)

    async def claim(self, partition: Partition) -> "PostgresOwner":
        """As the port says.

        Raises:
            LogUnavailable: no such partition, or the database does not answer: claim again.
        """
        stream = self._streams.id_of(partition)
        # A connection may have been lost since it was last used. To find that out now, by a question, leaves
        # the claim itself with one attempt.
        await self._write.ask(self._owner, stream, weight=1, timeout=READ_SECONDS)
        row = await self._write.ask(self._claim, stream, weight=1, timeout=CLAIM_SECONDS)
        self._known.add(stream)
        self._ends.saw(stream, row.next)
        return PostgresOwner(stream, row, self._store, self._owner_row)

    async def _store(self, fence: Fence, records: Sequence[NewRecord], deadline: float) -> int:
        states = [pack(record) for record in records]
        end = await self._write.ask(self._append, Append(fence, states), weight=_weight(states), timeout=deadline)
        self._wrote(fence.stream, end, records)
        return end


class PostgresOwner:
    """`Owner` in PostgreSQL: an epoch, and the number of its next record."""

    def __init__(self, stream: str, row: OwnerRow, store: Store, look: Look) -> None:
        self._stream = stream
        self._row = row
        self._store = store
        self._look = look
        self._turn = asyncio.Lock()
        self._asking = False
        self._dead = False

    async def append(self, records: Sequence[NewRecord], deadline: float) -> None:
        """As the port says; the deadline counts from the call, also behind another append of this owner."""
        if not records:
            raise ValueError("expected at least one record, found none")
        try:
            async with asyncio.timeout(deadline), self._turn:
                await self._append(records, deadline)
        except TimeoutError:
            self._dead = True
            raise LogUnavailable(
                f"{self._stream}: no answer to an append within {deadline} s; what became of it is not known"
            ) from None

    async def close(self) -> None:
        """As the port says."""
        self._dead = True

    async def _append(self, records: Sequence[NewRecord], deadline: float) -> None:
        fence = Fence(self._stream, self._row.epoch, self._row.next, len(records))
        if self._dead or self._asking:  # still asking in our turn: the last one went away without an answer
            row = await self._look(self._stream)
            raise fenced(fence, row) if row.epoch != fence.epoch else dead(fence)
        self._asking = True
        self._row = OwnerRow(fence.epoch, await self._store(fence, records, deadline))
        self._asking = False


class PostgresCommandLog(_PostgresLog):
    """`CommandLog` in PostgreSQL; arguments as for `PostgresEventLog`.

    Here a `send` stands whole or not at all. Sends of one loop turn are stored in the order of their calls.
    """

    def __init__(self, dsn: str, deployment: str) -> None:
        super().__init__(dsn, deployment, "commands")
        self._send = Job(self._recorder.send, again=False)

    async def send(self, commands: Sequence[tuple[Partition, NewRecord]], deadline: float) -> None:
        """As the port says."""
        records: dict[str, list[NewRecord]] = {}
        for partition, record in commands:
            records.setdefault(self._streams.id_of(partition), []).append(record)
        states = {stream: [pack(record) for record in of_stream] for stream, of_stream in records.items()}
        weight = sum(_weight(of_stream) for of_stream in states.values())
        try:
            async with asyncio.timeout(deadline):
                ends = await self._write.ask(self._send, states, weight=weight, timeout=deadline)
        except TimeoutError:
            raise LogUnavailable(f"no answer to {len(commands)} commands within {deadline} s: send all again") from None
        for stream, end in ends.items():
            self._known.add(stream)
            self._wrote(stream, end, records[stream])


def _weight(states: Sequence[bytes]) -> int:
    return sum(map(len, states)) + _ROW_BYTES * len(states)
