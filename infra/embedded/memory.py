"""The logs in memory, on the `eventsourcing` library's plain-object recorder: for tests; nothing survives."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from eventsourcing.persistence import StoredEvent
from eventsourcing.popo import POPOAggregateRecorder

from consumers.ports import Batch, LogUnavailable, NewRecord, Partition
from infra.embedded.ends import Ends
from infra.embedded.frame import pack, unpack
from infra.embedded.stream import OPEN, Fence, Kind, OwnerRow, Streams, dead, differing, elsewhere, fenced, missing

Listener = Callable[[str, int], None]


class MemoryStore(POPOAggregateRecorder):
    """What the log objects of one process share, as others share a database; may be used by several threads.

    The library's list of events and its index are the storage. The owner rows stand beside them; its seams
    hold the fence: `_assert_uniqueness` judges and `_update_table` writes, both under its one lock.
    """

    def __init__(self) -> None:
        super().__init__()
        self._rows: dict[str, OwnerRow] = {}
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Calls `listener(stream, end)` after each write, in the writer's thread and under the lock."""
        with self._database_lock:
            self._listeners.append(listener)

    def unlisten(self, listener: Listener) -> None:
        """Ends that; says nothing when it never listened."""
        with self._database_lock:
            self._listeners = [known for known in self._listeners if known != listener]

    def create(self, streams: Sequence[str]) -> None:
        """Makes the streams of whole families exist.

        Raises:
            PartitionsDiffer: a family exists with more or fewer.
        """
        with self._database_lock:
            if differs := differing(streams, self._rows):
                raise differs
            for stream in streams:
                self._rows.setdefault(stream, OwnerRow(0, 0))

    def claim(self, stream: str) -> OwnerRow:
        """Raises the epoch."""
        with self._database_lock:
            row = self.owner_row(stream)
            self._rows[stream] = claimed = OwnerRow(row.epoch + 1, row.next)
            return claimed

    def owner_row(self, stream: str) -> OwnerRow:
        """Epoch and end of a stream."""
        try:
            return self._rows[stream]
        except KeyError:
            raise missing(stream) from None

    def append(self, states: Sequence[bytes], fence: Fence) -> int:
        """Stores all states or none; answers with the new end.

        Raises:
            Fenced: the stream was claimed later.
            LogUnavailable: the stream does not exist, or does not end where the fence expects it.
        """
        with self._database_lock:
            start = self.owner_row(fence.stream).next if fence.next == OPEN else fence.next
            self.insert_events(
                [StoredEvent(fence.stream, start + k, "", state) for k, state in enumerate(states)],
                fence=fence,
            )
            return start + len(states)

    def states(self, stream: str, position: int, limit: int) -> Sequence[bytes]:
        """At most `limit` states from `position` on.

        `select_events` finds a position by counting from the first event; a log is mostly read at its end.
        """
        with self._database_lock:
            stop = min(position + limit, self.owner_row(stream).next)
            index = self._stored_events_index[stream]
            return [self._stored_events[index[n]].state for n in range(position, stop)]

    # A write that names no fence must fail, so the argument is required where the library has none.
    def _assert_uniqueness(  # type: ignore[override]
        self, stored_events: Sequence[StoredEvent], *, fence: Fence, **_: Any
    ) -> None:
        row = self.owner_row(fence.stream)
        if fence.epoch not in (OPEN, row.epoch):
            raise fenced(fence, row)
        if fence.next not in (OPEN, row.next):
            raise elsewhere(fence, row)
        super()._assert_uniqueness(stored_events)

    def _update_table(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        fence: Fence = kwargs["fence"]
        super()._update_table(stored_events)
        row = self.owner_row(fence.stream)
        self._rows[fence.stream] = OwnerRow(row.epoch, row.next + len(stored_events))
        for listener in self._listeners:
            listener(fence.stream, row.next + len(stored_events))
        return None


class _MemoryLog:
    """What both logs have in common. Every call gives the loop one turn, as on a real pipe."""

    def __init__(self, deployment: str, kind: Kind, store: MemoryStore | None) -> None:
        self._streams = Streams(deployment, kind)
        self._store = store or MemoryStore()
        self._ends = Ends(poll=None)
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Must be called before anything else, in the loop that uses this object."""
        self._loop = asyncio.get_running_loop()
        self._store.listen(self._heard)

    async def close(self) -> None:
        """Lets go of the store; what is stored stays there."""
        self._store.unlisten(self._heard)
        await self._ends.close()

    async def create(self, partitions: Sequence[Partition]) -> None:
        """As the port says."""
        await asyncio.sleep(0)
        self._store.create(self._streams.of_families(partitions))

    async def read(self, partition: Partition, position: int, limit: int) -> Batch:
        """As the port says."""
        if position < 0 or limit < 1:
            raise ValueError(f"expected a position from 0 and a limit from 1, found {position} and {limit}")
        await asyncio.sleep(0)
        states = self._store.states(self._streams.id_of(partition), position, limit)
        records = tuple(unpack(position + k, state) for k, state in enumerate(states))
        return Batch(records, position + len(records))

    async def end(self, partition: Partition) -> int:
        """As the port says."""
        await asyncio.sleep(0)
        return self._store.owner_row(self._streams.id_of(partition)).next

    async def wait(self, partition: Partition, position: int, timeout: float) -> bool:
        """As the port says."""
        if await self.end(partition) > position:
            return True
        return timeout > 0 and await self._ends.wait(self._streams.id_of(partition), position, timeout)

    def _heard(self, stream: str, end: int) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ends.saw, stream, end)


class MemoryEventLog(_MemoryLog):
    """`EventLog` in memory; objects with the same `store` are the same log."""

    def __init__(self, deployment: str, store: MemoryStore | None = None) -> None:
        super().__init__(deployment, "events", store)

    async def claim(self, partition: Partition) -> "MemoryOwner":
        """As the port says."""
        await asyncio.sleep(0)
        stream = self._streams.id_of(partition)
        return MemoryOwner(self._store, stream, self._store.claim(stream))


class MemoryOwner:
    """`Owner` in memory. No append stays unknown here, but after an error it is as dead as elsewhere."""

    def __init__(self, store: MemoryStore, stream: str, row: OwnerRow) -> None:
        self._store = store
        self._stream = stream
        self._row = row
        self._turn = asyncio.Lock()
        self._asking = False
        self._dead = False

    async def append(self, records: Sequence[NewRecord], deadline: float) -> None:
        """As the port says; a deadline of 0 or less is missed."""
        if not records:
            raise ValueError("expected at least one record, found none")
        states = [pack(record) for record in records]
        async with self._turn:
            fence = Fence(self._stream, self._row.epoch, self._row.next, len(states))
            if self._dead or self._asking:  # still asking in our turn: the last one went away
                row = self._store.owner_row(self._stream)
                raise fenced(fence, row) if row.epoch != fence.epoch else dead(fence)
            self._asking = True
            await asyncio.sleep(0)
            if deadline <= 0:
                raise LogUnavailable(f"{self._stream}: the deadline had passed; nothing was written")
            self._row = OwnerRow(fence.epoch, self._store.append(states, fence))
            self._asking = False

    async def close(self) -> None:
        """As the port says."""
        self._dead = True


class MemoryCommandLog(_MemoryLog):
    """`CommandLog` in memory; objects with the same `store` are the same log."""

    def __init__(self, deployment: str, store: MemoryStore | None = None) -> None:
        super().__init__(deployment, "commands", store)

    async def send(self, commands: Sequence[tuple[Partition, NewRecord]], deadline: float) -> None:
        """As the port says; a deadline of 0 or less is missed."""
        states: dict[str, list[bytes]] = {}
        for partition, record in commands:
            states.setdefault(self._streams.id_of(partition), []).append(pack(record))
        await asyncio.sleep(0)
        if deadline <= 0:
            raise LogUnavailable("the deadline had passed; nothing was written")
        for stream, of_stream in states.items():
            self._store.append(of_stream, Fence(stream, OPEN, OPEN, len(of_stream)))
