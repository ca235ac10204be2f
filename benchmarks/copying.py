"""Programs that only copy: read a batch, perhaps through Avro, write it in one transaction. What we are held against.

They read with the library's consumer (`getmany`) and write with the product's own transactional producer, in
the same batches as the owner, but wait for nothing else: no reader has to see what they wrote.
"""

import asyncio
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import fastavro
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition
from fastavro.types import Schema

from consumers.ports import NewRecord, StoredRecord
from consumers.reading import SOURCE
from infra.kafka.producer import MAX_BATCH_BYTES, TransactionalProducer

_FRAME: Final = 5
_FETCH_BYTES: Final = 2 * MAX_BATCH_BYTES


class Avro:
    """fastavro both ways, as any other program uses it: dictionaries, the schema by the id in the frame."""

    def __init__(self, ledger: Mapping[int, dict[str, Any]]) -> None:
        self._schemas: dict[bytes, Schema] = {
            b"\0" + schema_id.to_bytes(4, "big"): fastavro.parse_schema(schema) for schema_id, schema in ledger.items()
        }

    def decode(self, value: bytes) -> Any:
        """The record as a dictionary."""
        stream = io.BytesIO(value)
        return fastavro.schemaless_reader(stream, self._schemas[stream.read(_FRAME)], None)

    def encode(self, frame: bytes, datum: Any) -> bytes:
        """A dictionary as a record in the schema of the frame."""
        stream = io.BytesIO()
        stream.write(frame)
        fastavro.schemaless_writer(stream, self._schemas[frame], datum)
        return stream.getvalue()


@dataclass(frozen=True, slots=True)
class Answered:
    """What an owner wrote for one command, ready to be written again by a copy: records, and their datums."""

    records: tuple[NewRecord, ...]
    datums: tuple[tuple[bytes, Any], ...]


def answers(avro: Avro, facts: Sequence[StoredRecord], first: int, count: int) -> list[Answered]:
    """The owner's records by command, for the commands from position `first` on."""
    by_command: list[list[StoredRecord]] = [[] for _ in range(count)]
    for fact in facts:
        by_command[int(dict(fact.headers)[SOURCE]) - first].append(fact)
    return [
        Answered(
            tuple(NewRecord(fact.key, fact.value, fact.headers) for fact in mine),
            tuple((fact.value[:_FRAME], avro.decode(fact.value)) for fact in mine),
        )
        for mine in by_command
    ]


class Transform(Protocol):
    """What a copy makes of its input; `answered` is what the owner wrote for the same commands."""

    def __call__(self, read: Sequence[Any], answered: Sequence[Answered]) -> list[NewRecord]: ...


def raw_same(read: Sequence[Any], answered: Sequence[Answered]) -> list[NewRecord]:
    """No decoding; as many records and bytes as the owner wrote."""
    return [record for answer in answered for record in answer.records]


def raw_each(read: Sequence[Any], answered: Sequence[Answered]) -> list[NewRecord]:
    """No decoding; every message once, as it came."""
    return [NewRecord(r.key, r.value, r.headers) for r in read]


def avro_same(avro: Avro) -> Transform:
    """Every command decoded, as many records and bytes encoded as the owner wrote."""

    def transform(read: Sequence[Any], answered: Sequence[Answered]) -> list[NewRecord]:
        made, decode, encode = list[NewRecord](), avro.decode, avro.encode
        for record, answer in zip(read, answered, strict=True):
            decode(record.value)
            for old, (frame, datum) in zip(answer.records, answer.datums, strict=True):
                made.append(NewRecord(old.key, encode(frame, datum), old.headers))
        return made

    return transform


def avro_each(avro: Avro) -> Transform:
    """Every command decoded and encoded again, once."""

    def transform(read: Sequence[Any], answered: Sequence[Answered]) -> list[NewRecord]:
        decode, encode = avro.decode, avro.encode
        return [NewRecord(r.key, encode(r.value[:_FRAME], decode(r.value)), r.headers) for r in read]

    return transform


class Copy:
    """One copying program from one topic into one of its own."""

    def __init__(self, bootstrap: str, source: str, target: str, transform: Transform) -> None:
        self._where = TopicPartition(source, 0)
        self._target, self._transform = target, transform
        self._producer = TransactionalProducer(bootstrap, f"{target}.copy")
        self._consumer = consumer(bootstrap)

    async def start(self, position: int) -> None:
        """Connects; the first message to copy is at `position`."""
        await self._producer.start(self._target)
        await self._consumer.start()
        self._consumer.assign([self._where])
        self._consumer.seek(self._where, position)

    async def stop(self) -> None:
        """Ends the connections."""
        await self._consumer.stop()
        await self._producer.stop()

    async def copy(self, count: int, batch: int, answered: Sequence[Answered], *, overlaps: bool) -> None:
        """Copies the next `count` messages, `batch` a transaction; returns when the last one is committed.

        Args:
            overlaps: whether the next batch is made while the last one is being committed.
        """
        committing: asyncio.Task[int] | None = None
        for begin in range(0, count, batch):
            size = min(batch, count - begin)
            made = self._transform(await self._read(size), answered[begin : begin + size])
            if committing is not None:
                await committing
            committing = asyncio.create_task(self._producer.write(self._target, 0, made))
            if not overlaps:
                await committing
            else:
                await asyncio.sleep(0)  # so that it is sent before the next batch is made
        if committing is not None:
            await committing

    async def _read(self, size: int) -> list[Any]:
        read = list[Any]()
        while len(read) < size:
            found = await self._consumer.getmany(self._where, max_records=size - len(read), timeout_ms=1_000)
            read += found.get(self._where, ())
        return read


def consumer(bootstrap: str) -> AIOKafkaConsumer:
    """The library's consumer of committed records, with fetches as large as the product's; not started."""
    return AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="none",
        max_partition_fetch_bytes=_FETCH_BYTES,
    )
