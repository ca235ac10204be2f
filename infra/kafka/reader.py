"""Reading the partitions of one deployment: what stands from a position on, where the end is, is there news.

Positions are Kafka offsets. Readers see committed records only, and never pass over a transaction that is
still open: the end is the last stable offset. Control markers and aborted records take offsets too, so
"read to the end" is `Batch.next == end`, never "offset of the last record + 1".

A broker that was cut off answers as a leader for a moment after others have made another one. So an end that
was seen once holds: who answers less is not believed, and the leader is looked for again.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, Generic, TypeVar

from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.errors import KafkaError, OffsetOutOfRangeError, StaleMetadata, UnknownTopicOrPartitionError
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from consumers.ports import Batch, LogUnavailable, Partition, StoredRecord
from infra.kafka.connection import (
    READ_COMMITTED,
    Fetched,
    connect,
    disconnect,
    fetch,
    leader,
    stable_ends,
)
from infra.kafka.errors import PositionOutOfLog
from infra.kafka.topics import topic_name
from infra.kafka.watch import Watch

Position = tuple[TopicPartition, int]
Key = TypeVar("Key")
Answer = TypeVar("Answer")

_PATIENCE_SECONDS: Final = 8.0
_PAUSE_SECONDS: Final = 0.05
_MARKER_SECONDS: Final = 0.001
_UNKNOWN_SECONDS: Final = 1.0  # a topic that was just created, or a new leader, is known everywhere by then
_STRETCHES_BYTES: Final = 64 * 1024 * 1024


class Stretch:
    """Records that were fetched and not read yet, from one position on."""

    def __init__(self, fetched: Fetched, position: int) -> None:
        # The library's iterator leaves out markers and aborted records and knows where it is.
        self._records = PartitionRecords(
            fetched.where,
            MemoryRecords(fetched.data),
            fetched.aborted,
            position,
            None,
            None,
            True,
            READ_COMMITTED,
        )
        self._ahead: Any = next(self._records, None)
        self.size = len(fetched.data)

    @property
    def next(self) -> int:
        """The position of the next record; behind the last one, beyond its markers."""
        return int(self._ahead.offset if self._ahead is not None else self._records.next_fetch_offset)

    @property
    def empty(self) -> bool:
        """Nothing is left to read."""
        return self._ahead is None

    def take(self, limit: int) -> tuple[StoredRecord, ...]:
        """At most `limit` records, in order."""
        taken: list[StoredRecord] = []
        record = self._ahead
        while record is not None and len(taken) < limit:
            headers = record.headers
            for _, value in headers:
                if value is None:  # as anybody's producer may write
                    headers = tuple((name, value or b"") for name, value in headers)
                    break
            taken.append(StoredRecord(record.offset, record.key or b"", record.value or b"", headers))
            record = next(self._records, None)
        self._ahead = record
        return tuple(taken)


class Reader:
    """Reads any number of partitions over a few connections to each broker; calls may run in parallel.

    Args:
        bootstrap: `host:port`, several divided by commas.
        prefix: with what topics begin (`topic_name`).
    """

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self._bootstrap = bootstrap
        self._prefix = prefix
        self._client: AIOKafkaClient | None = None
        self._stretches: OrderedDict[Position, Stretch] = OrderedDict()
        self._stretches_bytes = 0
        self._seen: dict[TopicPartition, int] = {}  # the highest end
        self._fetches: Questions[Position, Fetched] = Questions(lambda key: self._leader(key[0]), self._ask)
        self._ends: Questions[TopicPartition, int] = Questions(self._leader, self._ask_ends)
        self._watch = Watch(lambda: self.client, self._keep)

    async def start(self) -> None:
        """Connects, if it is not.

        Raises:
            KafkaUnreachable: no broker answers.
        """
        if self._client is None:
            self._client = await connect(self._bootstrap, f"{self._prefix}.reader")

    async def close(self) -> None:
        """Never raises; whoever waits gets `LogUnavailable`."""
        if self._client is not None:
            client, self._client = self._client, None
            await self._watch.close()
            await disconnect(client)
            self._stretches.clear()

    @property
    def client(self) -> AIOKafkaClient:
        """The connections.

        Raises:
            LogUnavailable: not started, or closed.
        """
        if self._client is None:
            raise LogUnavailable(f"{self._prefix}: this log is not started, or closed")
        return self._client

    def where(self, partition: Partition) -> TopicPartition:
        """The partition in Kafka's words."""
        return TopicPartition(topic_name(self._prefix, partition), partition.index)

    async def read(self, partition: Partition, position: int, limit: int) -> Batch:
        """As `EventLog.read`; below the end it finds a record or moves `next`."""
        key = (self.where(partition), position)
        return await self._patiently(key[0], lambda: self._read(key, limit))

    async def end(self, partition: Partition) -> int:
        """As `EventLog.end`; never less than it was."""
        where = self.where(partition)
        return await self._patiently(where, lambda: self._end(where))

    async def shown(self, partition: Partition, position: int) -> None:
        """Returns when the end is beyond `position`: the markers of a commit follow it a moment later."""
        while await self.end(partition) <= position:
            await asyncio.sleep(_MARKER_SECONDS)

    async def wait(self, partition: Partition, position: int, timeout: float) -> bool:
        """As `EventLog.wait`; a marker counts, because it moves the end.

        Raises:
            PositionOutOfLog: the log does not hold the position.
            LogUnavailable: the time is up and the broker does not say whether there is news; or closed.
        """
        key = (self.where(partition), position)
        if key in self._stretches:
            return True
        told = await self._watch.wait(key, timeout) if timeout > 0 else None
        # "No" is a promise too: a poll that is still at the broker when the time is up has said nothing.
        return await self.end(partition) > position if told is None else told

    # ------------------------------------------------------------------ one question

    async def _read(self, key: Position, limit: int) -> Batch:
        where, position = key
        while True:
            stretch = self._take_stretch(key)
            if stretch is None:
                fetched = await self._fetches.ask(key)
                stretch = Stretch(fetched, position)
                if stretch.empty and stretch.next == position:
                    if position < fetched.stable_end:
                        continue  # others filled the answer: ask again
                    if position < self._seen.get(where, 0):
                        raise StaleMetadata(f"nothing stands at {position}, where something has stood")
            records = stretch.take(limit)
            if not stretch.empty:
                self._keep_stretch((where, stretch.next), stretch)
            return Batch(records, stretch.next)

    async def _end(self, where: TopicPartition) -> int:
        end, seen = await self._ends.ask(where), self._seen.get(where, 0)
        if end < seen:
            raise StaleMetadata(f"it ends at {end}, and has ended at {seen}")
        self._seen[where] = end
        return end

    def _keep(self, fetched: Fetched, position: int) -> None:
        """What a long poll brought need not be fetched a second time."""
        stretch = Stretch(fetched, position)
        if not stretch.empty:
            self._keep_stretch((fetched.where, position), stretch)

    def _keep_stretch(self, key: Position, stretch: Stretch) -> None:
        self._take_stretch(key)
        self._stretches[key] = stretch
        self._stretches_bytes += stretch.size
        while self._stretches_bytes > _STRETCHES_BYTES:
            self._take_stretch(next(iter(self._stretches)))  # the oldest: its reader fetches again

    def _take_stretch(self, key: Position) -> Stretch | None:
        stretch = self._stretches.pop(key, None)
        self._stretches_bytes -= stretch.size if stretch is not None else 0
        return stretch

    async def _leader(self, where: TopicPartition) -> int:
        return await leader(self.client, where)

    async def _ask(self, node: int, keys: Iterable[Position]) -> dict[Position, Fetched | Exception]:
        # Two readers of one partition at different positions do not fit into one request.
        client, rest = self.client, list(keys)
        answers: dict[Position, Fetched | Exception] = {}
        while rest:
            positions: dict[TopicPartition, int] = {}
            for where, position in rest:
                positions.setdefault(where, position)
            for fetched in await fetch(client, node, positions):
                key = (fetched.where, positions[fetched.where])
                answers[key] = fetched.error(key) if fetched.error else fetched
            rest = [key for key in rest if positions[key[0]] != key[1]]
        return answers

    async def _ask_ends(self, node: int, keys: Iterable[TopicPartition]) -> dict[TopicPartition, int | Exception]:
        answers = await stable_ends(self.client, node, keys)
        return {where: end if isinstance(end, int) else end(where) for where, end in answers.items()}

    # ------------------------------------------------------------------ patience

    async def _patiently(self, where: TopicPartition, question: Callable[[], Awaitable[Answer]]) -> Answer:
        """Asks until there is an answer: reading changes nothing, so a lost answer may be asked for again.

        Raises:
            PositionOutOfLog: see its name.
            LogUnavailable: there was no answer for `_PATIENCE_SECONDS`.
        """
        last = "no answer"
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while True:
                    try:
                        return await question()
                    except OffsetOutOfRangeError as error:
                        position, waited = error.args[0][1], asyncio.get_running_loop().time() - began
                        if position > self._seen.get(where, 0) or waited > _UNKNOWN_SECONDS:
                            raise PositionOutOfLog(
                                f"{where.topic}-{where.partition} does not hold the position {position}: records"
                                " are gone, or the position is another log's; rebuild from 0 or restore"
                            ) from error
                        self.client.force_metadata_update()
                    except UnknownTopicOrPartitionError as error:
                        if asyncio.get_running_loop().time() > began + _UNKNOWN_SECONDS:
                            raise LogUnavailable(
                                f"there is no {where.topic}-{where.partition}: create it first"
                            ) from error
                        self.client.force_metadata_update()
                    except KafkaError as error:
                        last = repr(error)
                        self.client.force_metadata_update()
                    await asyncio.sleep(_PAUSE_SECONDS)
        except TimeoutError:
            raise LogUnavailable(
                f"{where.topic}-{where.partition} at {self._bootstrap} has not answered for"
                f" {_PATIENCE_SECONDS:.0f} s ({last}): is the broker up, was the topic created?"
            ) from None


class Questions(Generic[Key, Answer]):
    """Puts questions that come while one is under way into the next request, one request a broker at a time.

    Args:
        leader: the node that knows the answer.
        ask: asks one node; for each key an answer or an error.
    """

    def __init__(
        self,
        leader: Callable[[Key], Awaitable[int]],
        ask: Callable[[int, Iterable[Key]], Awaitable[dict[Key, Answer | Exception]]],
    ) -> None:
        self._leader = leader
        self._ask = ask
        self._waiting: dict[int, dict[Key, asyncio.Future[Answer]]] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def ask(self, key: Key) -> Answer:
        """The answer as of now or later; raises what the broker said."""
        node = await self._leader(key)
        waiting = self._waiting.setdefault(node, {})
        if key not in waiting:
            waiting[key] = asyncio.get_running_loop().create_future()
        if node not in self._tasks:
            self._tasks[node] = asyncio.create_task(self._serve(node))
        return await asyncio.shield(waiting[key])  # others may wait for the same answer

    async def _serve(self, node: int) -> None:
        await asyncio.sleep(0)  # whoever asks in this turn of the loop comes along
        while asked := self._waiting.pop(node, None):
            answers: dict[Key, Answer | Exception] = {}
            failure: Exception = LogUnavailable("the broker has left this question out of its answer")
            try:
                answers = await self._ask(node, asked)
            except Exception as error:
                failure = error
            for key, future in asked.items():
                answer = answers.get(key, failure)
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                    future.exception()  # nobody may be waiting any more
                else:
                    future.set_result(answer)
        del self._tasks[node]
