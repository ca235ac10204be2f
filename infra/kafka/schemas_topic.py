"""The schemas of a deployment on Kafka: topic `<deployment>.schemas`, one partition, compacted.

A record's key is the schema's id, 4 bytes, big-endian, as in the frame of every other record; its value is
JSON: `{"id": 7, "name": "gridbook.market.OrderAccepted", "version": 2, "schema": {...}}`. Any language reads it.

Writing is the one thing besides deciding that uses a transactional id, `<deployment>.schemas`: whoever starts
to write fences whoever else does, so that nothing comes between looking and writing.
"""

import asyncio
import json
import random
from typing import Any, Final

from consumers.ports import LogDiffers, LogUnavailable, NewRecord, Partition, StoredRecord
from infra.kafka.producer import TransactionalProducer
from infra.kafka.reader import Reader
from infra.kafka.topics import UNREPLICATED, TopicSettings, create_topics, schemas_topic
from infra.ledger import Ledger, missing, name, version

_ONE: Final = Partition("schemas", 0)
_READ_RECORDS: Final = 1_000
_ATTEMPTS: Final = 8
_WRITE_SECONDS: Final = 8.0
_FIRST_PAUSE_SECONDS: Final = 0.05


class KafkaSchemas:
    """`consumers.ports.SchemaLog` on a Kafka cluster.

    Args:
        bootstrap: `host:port`, several divided by commas.
        deployment: the first part of the topic.
        settings: how the topic is made, and what an existing one must be at least.
    """

    def __init__(self, bootstrap: str, deployment: str, settings: TopicSettings = UNREPLICATED) -> None:
        self._bootstrap, self._deployment, self._settings = bootstrap, deployment, settings
        self._topic = schemas_topic(deployment)
        self._reader = Reader(bootstrap, deployment)
        self._known: dict[int, dict[str, Any]] = {}
        self._next = 0
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Connects, and makes the topic if there is none.

        Raises:
            KafkaUnreachable: no broker answers.
            TopicRefused: the topic exists with other settings.
        """
        await self._reader.start()
        await create_topics(self._reader.client, [self._topic], self._settings)

    async def close(self) -> None:
        """Ends all connections; never raises."""
        await self._reader.close()

    async def publish(self, ledger: Ledger) -> None:
        """As `SchemaLog.publish`."""
        await self._read_on()
        pause = _FIRST_PAUSE_SECONDS
        for attempt in range(1, _ATTEMPTS + 1):
            if not missing(ledger, self._known, self._deployment):
                return
            try:
                async with asyncio.timeout(_WRITE_SECONDS):
                    await self._write(ledger)
                return
            except (LogUnavailable, TimeoutError) as error:
                # Another process fenced this one, or nobody knows what stands: looking again tells.
                if isinstance(error, LogDiffers):
                    raise
                if attempt == _ATTEMPTS:
                    said = str(error) or "no answer in time"
                    raise LogUnavailable(f"{self._topic.name}: {said}; publish again") from error
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))
            pause *= 2
            await self._read_on()

    async def load(self) -> dict[int, dict[str, Any]]:
        """As `SchemaLog.load`.

        Raises:
            LogDiffers: what stands there is nothing that a release has published.
            LogUnavailable: no answer.
        """
        await self._read_on()
        return dict(self._known)

    async def find(self, schema_id: int) -> dict[str, Any] | None:
        """As `SchemaLog.find`."""
        if schema_id not in self._known:
            await self._read_on()
        return self._known.get(schema_id)

    async def _write(self, ledger: Ledger) -> None:
        producer = TransactionalProducer(self._bootstrap, self._topic.name)
        try:
            await producer.start(self._topic.name)
            await self._read_on()  # nobody else can write any more
            if news := missing(ledger, self._known, self._deployment):
                records = [_record(ledger, schema_id) for schema_id in news]
                behind = await producer.write(self._topic.name, _ONE.number, records)
                await self._reader.shown(_ONE, behind)
        finally:
            await producer.stop()

    async def _read_on(self) -> None:
        async with self._turn:
            end = await self._reader.end(_ONE)
            while self._next < end:
                batch = await self._reader.read(_ONE, self._next, _READ_RECORDS)
                for stored in batch.records:
                    schema_id, schema = self._parsed(stored)
                    missing({schema_id: schema}, self._known, self._deployment)
                    self._known[schema_id] = schema
                self._next = batch.next

    def _parsed(self, stored: StoredRecord) -> tuple[int, dict[str, Any]]:
        try:
            found = json.loads(stored.value)
            schema_id, schema = found["id"], found["schema"]
            if stored.key == schema_id.to_bytes(4, "big") and isinstance(schema, dict):
                return schema_id, schema
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            pass
        raise LogDiffers(
            f"the record at {stored.position} of {self._topic.name} is no schema that a release of ours has"
            " published: find out who writes there, and choose another deployment name"
        )


def _record(ledger: Ledger, schema_id: int) -> NewRecord:
    schema = ledger[schema_id]
    value = {"id": schema_id, "name": name(schema), "version": version(ledger, schema_id), "schema": schema}
    return NewRecord(schema_id.to_bytes(4, "big"), json.dumps(value, ensure_ascii=False).encode())
