"""A transactional producer that never sends twice in silence.

aiokafka repeats a request whose answer did not come (time-out, lost connection) inside the same producer
epoch. When the first copy was only late, it acts on the *next* transaction: it ends it half written, and
`commit` or `abort` return normally all the same. (The same hole as in KAFKA-17754; the broker cannot close
it for clients of this protocol version.) Here silence is the end of the producer: nothing is sent any
more, and its successor's new epoch makes the broker refuse whatever is still under way.

The library's class is extended at five places of the instance (see the two `__init__`); no module is patched.
`tests/contract/test_kafka_producer.py` pins the sources of what is touched.
"""

import asyncio
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Final, NoReturn

from aiokafka import AIOKafkaProducer
from aiokafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced, for_code
from aiokafka.producer.message_accumulator import BatchBuilder, MessageBatch
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import (
    AddOffsetsToTxnRequest,
    AddPartitionsToTxnRequest,
    EndTxnRequest,
    InitProducerIdRequest,
    TxnOffsetCommitRequest,
)
from aiokafka.structs import TopicPartition

from consumers.ports import Fenced, LogUnavailable, NewRecord
from infra.kafka.connection import (
    CONNECT_SECONDS,
    DEFAULT_LANE,
    REQUEST_TIMEOUT_MS,
    quiet_library,
    unreachable,
)
from infra.kafka.errors import RecordTooLarge

TRANSACTION_TIMEOUT_MS: Final = 10_000
MAX_BATCH_BYTES: Final = 1024 * 1024
MAX_RECORD_BYTES: Final = 1_000_000
_STOP_SECONDS: Final = 1.0
_CONCURRENT_TRANSACTIONS: Final = 51
_CLEAR_ENDS: Final = (0, InvalidProducerEpoch.errno)
_QUICK_ASKS: Final = 20
_QUICK_WAIT, _SLOW_WAIT = 0.001, 0.01

_GUARDED: Final = (
    ProduceRequest,
    FindCoordinatorRequest,
    InitProducerIdRequest,
    AddPartitionsToTxnRequest,
    AddOffsetsToTxnRequest,
    TxnOffsetCommitRequest,
    EndTxnRequest,
)


class MortalProducer(AIOKafkaProducer):  # type: ignore[misc]
    """A producer with an end: `kill` needs no answer, `start` and `stop` come back.

    The library's `stop` waits for every batch to be delivered, also when no broker is left to take it.

    Args:
        name: how the broker's log and our errors call it.
        request_timeout_ms: how long silence is waited for.
        options: of the library's producer.
    """

    def __init__(self, bootstrap: str, name: str, request_timeout_ms: int, **options: Any) -> None:
        super().__init__(
            bootstrap_servers=bootstrap,
            client_id=name,
            enable_idempotence=True,
            request_timeout_ms=request_timeout_ms,
            compression_type="zstd",
            max_batch_size=MAX_BATCH_BYTES,
            **options,
        )
        self._bootstrap = bootstrap
        self._name = name
        self._death: LogUnavailable | None = None
        self._connect = self.client._get_conn
        self._send = self.client.send
        self.client._get_conn = self._gated_connection
        self.client.send = self._gate
        self._sender._fail_all = self._sender_ended  # before start(), which hands it to the sender's task

    @property
    def alive(self) -> bool:
        """False once it was killed, by anybody."""
        return self._death is None

    async def start(self, *topics: str, seconds: float = CONNECT_SECONDS) -> None:
        """Gets the producer id; a transactional id is taken over: earlier owners are fenced, their work ends.

        Args:
            topics: where the records will go; their metadata is fetched on the way.

        Raises:
            KafkaUnreachable: no broker answers.
            LogUnavailable: anything else; also when `seconds` are over (the library would go on for ever).
        """
        quiet_library()
        self._check_alive()
        for topic in topics:
            self.client.add_topic(topic)
        reached = False
        try:
            async with asyncio.timeout(seconds):
                await self.client.bootstrap()
                reached = True
                await self._sender.start()
        except BaseException as error:
            if not reached and isinstance(error, KafkaError | OSError | TimeoutError):
                self.kill(unreachable(self._bootstrap, seconds))
            self._die(error)

    def kill(self, reason: LogUnavailable) -> None:
        """Ends the producer at once, without waiting: nothing more leaves this process. Idempotent."""
        if self._death is not None:
            return
        self._death = reason
        self._closed = True  # what the library's destructor asks for
        for connection in list(self.client._conns.values()):
            if connection._writer is not None:
                connection._writer.transport.abort()  # also drops what is buffered and not yet sent
            for _, _, answer in connection._requests:
                # Our error, set first: the library's handlers would take their own for a reason to resend.
                if not answer.done():
                    answer.set_exception(_copy(reason))
                    _retrieve(answer)
            connection.close()
        accumulator = self._message_accumulator
        queued = [batch for batches in accumulator._batches.values() for batch in batches]
        # A batch that waits to be sent again is in the queue only, but when it fails it is taken from these.
        accumulator._pending_batches.update(queued)
        accumulator.fail_all(_copy(reason))
        for batch in queued:
            _retrieve(batch.future)
            _retrieve(batch._drain_waiter)
        if self._txn_manager._transaction_waiter is not None:
            self._txn_manager.fatal_error(_copy(reason))
            _retrieve(self._txn_manager._transaction_waiter)
        for task in self._tasks():
            task.cancel()
        # Who waits for new metadata would wait for the task that is gone, and be destroyed while waiting.
        if self.client._md_update_fut is None:
            self.client._md_update_fut = asyncio.get_running_loop().create_future()
        if not self.client._md_update_fut.done():
            self.client._md_update_fut.set_result(False)

    async def stop(self) -> None:
        """Kills and waits a moment for what that sets free; never raises, never hangs."""
        self.kill(LogUnavailable(f"{self._name}: closed"))
        if tasks := self._tasks():
            await asyncio.wait(tasks, timeout=_STOP_SECONDS)

    async def _gated_connection(self, node: int, **options: Any) -> Any:
        # A connection that comes up after the death must not carry the request that waited for it.
        connection = await self._connect(node, **options)
        if self._death is not None and connection is not None:
            connection.close()
            return None
        return connection

    async def _gate(self, node: int, request: Any, *, group: Hashable = DEFAULT_LANE) -> Any:
        """Every request goes out here, except Metadata and ApiVersions: those change nothing."""
        self._check_alive()
        task = asyncio.current_task()
        if task is not None and self._sender.sender_task is not None:
            # The sender awaits its tasks one by one: after the first error nobody looks at the others.
            task.add_done_callback(_retrieve)
        return await self._send(node, request, group=group)

    def _sender_ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            # The sender wraps what it does not expect in a KafkaError of its own.
            self.kill(_as_ours(error.__cause__ or error, self._name))

    def _tasks(self) -> list["asyncio.Task[None]"]:
        return [task for task in (self._sender.sender_task, self.client._sync_task) if task is not None]

    def _check_alive(self) -> None:
        if self._death is not None:
            raise _copy(self._death)

    def _die(self, error: BaseException) -> NoReturn:
        """Kills with the reason that `error` gives and raises it; a cancelled call stays a cancelled call."""
        self.kill(_as_ours(error, self._name))
        if not isinstance(error, Exception):
            raise error
        assert self._death is not None
        raise _copy(self._death) from error


class TransactionalProducer(MortalProducer):
    """One writer of one transactional id; `write` is its only way to write.

    After the first error, time-out or cancelled call it is dead and has released everything; every later
    call raises the reason of its death. Make a new one with the same id, start it, and read the log.

    Args:
        request_timeout_ms: silence longer than this is the end; below the deadline of every `write`.
    """

    def __init__(self, bootstrap: str, transactional_id: str, *, request_timeout_ms: int = REQUEST_TIMEOUT_MS) -> None:
        super().__init__(
            bootstrap,
            transactional_id,
            request_timeout_ms,
            transactional_id=transactional_id,
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
        )
        self.first: int | None = None
        """Where the first record must come to stand: the end of the partition, as whoever writes knows it. With
        another offset the transaction is never committed."""
        self._writing = False
        self._listed: list[MessageBatch] = []
        self._commit = self._sender._do_txn_commit
        self._append_batch = self._message_accumulator._append_batch
        self._sender._do_txn_commit = self._checked_commit
        self._message_accumulator._append_batch = self._listed_batch

    async def write(self, topic: str, partition: int, records: Sequence[NewRecord]) -> int:
        """Writes all records as one whole transaction; returns the offset behind the last one.

        Raises:
            RecordTooLarge: nothing was sent; the producer lives.
            RuntimeError: another `write` is under way; the producer lives.
            Fenced: a later producer took the id over (or the broker ended the transaction); nothing stands.
            LogUnavailable: the outcome is unknown.
        """
        self._check_alive()
        if self._writing:
            raise RuntimeError(f"{self._name}: one transaction at a time; wait for the last write")
        if not records:
            raise ValueError(f"{self._name}: a transaction has at least one record")
        builders = build_batches(self, records)
        self._writing = True
        self._listed.clear()
        try:
            await self.begin_transaction()
            acks = []
            for builder in builders:
                ack = await self.send_batch(builder, topic, partition=partition)
                ack.add_done_callback(_retrieve)
                acks.append(ack)
            # The library commits although a batch of the transaction failed: see every answer first.
            offsets = [int((await ack).offset) for ack in acks]
            if min(offsets) < 0:
                raise LogUnavailable(f"{self._name}: the broker knows this batch; the outcome is unknown")
            if self.first not in (None, offsets[0]):
                raise LogUnavailable(
                    f"{self._name}: expected to write at {self.first}, and would at {offsets[0]}: what stands between"
                    " was not known; claim again and restore"
                )
            self.first = None
            await self.commit_transaction()
        except BaseException as error:
            self._die(error)
        finally:
            self._writing = False
        return offsets[-1] + int(builders[-1].record_count())

    async def abort_transaction(self) -> None:
        """Refused: an abort after silence may end somebody's next transaction. Drop the producer."""
        raise RuntimeError(f"{self._name}: no abort; stop this producer and start a new one")

    async def send_offsets_to_transaction(self, offsets: Any, group_id: str) -> None:
        """Refused: positions follow from the records (`source_offset`), never from group offsets."""
        raise RuntimeError(f"{self._name}: no offsets inside a transaction")

    async def _gate(self, node: int, request: Any, *, group: Hashable = DEFAULT_LANE) -> Any:
        """Silence on a request that changes something is the end, whatever the library makes of it."""
        if not isinstance(request, _GUARDED):
            return await super()._gate(node, request, group=group)
        asked = 0
        while True:
            try:
                response = await super()._gate(node, request, group=group)
            except BaseException as error:
                self._die(error)
            self._check_alive()
            if not _is_concurrent(response):
                break
            # The broker has answered and done nothing: asking again is safe. Soon, because the markers of
            # the last transaction take 1 ms; the library would wait 20 or 100.
            asked += 1
            await asyncio.sleep(_QUICK_WAIT if asked <= _QUICK_ASKS else _SLOW_WAIT)
        if isinstance(request, EndTxnRequest) and response.error_code not in _CLEAR_ENDS:
            # "Not available" may come from a coordinator that has decided and could not copy it in time. Asked
            # again, it may say "fenced" of a transaction that stands.
            self._die(for_code(response.error_code)())
        return response

    async def _checked_commit(self, commit: Any) -> None:
        await self._message_accumulator.flush_for_commit()
        for batch in self._listed:
            if (error := batch.future.exception()) is not None:
                self.kill(_as_ours(error, self._name))
        self._check_alive()
        await self._commit(commit)

    def _listed_batch(self, builder: BatchBuilder, where: TopicPartition) -> MessageBatch:
        batch = self._append_batch(builder, where)
        batch.future.add_done_callback(_retrieve)
        self._listed.append(batch)
        return batch


def build_batches(producer: MortalProducer, records: Iterable[NewRecord]) -> list[BatchBuilder]:
    """The records in order, in as few batches as they fit; the stamps are the broker's (`LogAppendTime`)."""
    builders: list[BatchBuilder] = []
    for record in records:
        check_size(record)
        headers = list(record.headers)
        while not builders or not builders[-1].append(
            timestamp=None, key=record.key, value=record.value, headers=headers
        ):
            builders.append(producer.create_batch())  # the first record of a batch always fits
    for builder in builders:
        builder.close()  # a queued batch that is open takes in other people's records
    return builders


def check_size(record: NewRecord) -> None:
    """Refuses a record that the topic would refuse; a refused batch costs the whole producer.

    Raises:
        RecordTooLarge: see its name.
    """
    size = len(record.key) + len(record.value) + sum(len(name) + len(value) for name, value in record.headers)
    if size > MAX_RECORD_BYTES:
        raise RecordTooLarge(f"a record has {size} bytes, allowed are {MAX_RECORD_BYTES}: send it in parts")


def _is_concurrent(response: Any) -> bool:
    if getattr(response, "error_code", 0) == _CONCURRENT_TRANSACTIONS:
        return True
    errors = getattr(response, "errors", ())  # of AddPartitionsToTxn: one per partition
    return any(code == _CONCURRENT_TRANSACTIONS for _, partitions in errors for _, code in partitions)


def _as_ours(error: BaseException | None, name: str) -> LogUnavailable:
    """Never a KafkaError: the library's handlers swallow those and send again."""
    if isinstance(error, LogUnavailable):
        return error
    if isinstance(error, ProducerFenced):
        return Fenced(f"{name}: claimed later, or ended by the broker; nothing of the write stands")
    if isinstance(error, asyncio.CancelledError | TimeoutError):
        return LogUnavailable(f"{name}: no answer in time; the outcome is unknown")
    return LogUnavailable(f"{name}: {error!r}; the outcome is unknown")


def _copy(reason: LogUnavailable) -> LogUnavailable:
    # One object raised at several places would collect the tracebacks of all of them.
    return type(reason)(*reason.args)


def _retrieve(future: "asyncio.Future[Any]") -> None:
    """Marks an error as seen: all of them are one and the same death, which is raised once."""
    if future.done() and not future.cancelled():
        future.exception()
