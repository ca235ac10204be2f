"""Wishes on Kafka: topics `<deployment>.commands.<family>`, many senders, at least once.

Senders use no transactions: one left open over other people's partitions would stop every reader there.
An idempotent producer keeps the order of what it sends, also when it has to send again.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from consumers.failures import GenerationIsOver
from consumers.ports import Batch, LogUnavailable, NewRecord, Partition
from infra.kafka.connection import REQUEST_TIMEOUT_MS
from infra.kafka.producer import MortalProducer, build_batches, check_size
from infra.kafka.reader import Reader
from infra.kafka.topics import UNREPLICATED, TopicSettings, create_topics, topics_for

_FEW: Final = 8


class KafkaCommandLog:
    """`consumers.ports.CommandLog` on a Kafka cluster.

    Args:
        bootstrap: `host:port`, several divided by commas.
        deployment: the first part of every topic.
        settings: how topics are made, and what existing ones must be at least.
    """

    def __init__(self, bootstrap: str, deployment: str, settings: TopicSettings = UNREPLICATED) -> None:
        self._bootstrap = bootstrap
        self._name = f"{deployment}.commands"
        self._settings = settings
        self._reader = Reader(bootstrap, self._name)
        self.producer: MortalProducer | None = None
        self._starting = asyncio.Lock()
        self._queueing: defaultdict[Partition, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def start(self) -> None:
        """Connects.

        Raises:
            KafkaUnreachable: no broker answers.
        """
        await self._reader.start()

    async def close(self) -> None:
        """Ends all connections; never raises. What `send` has not confirmed may be lost."""
        if self.producer is not None:
            await self.producer.stop()
        await self._reader.close()

    async def create(self, partitions: Sequence[Partition]) -> None:
        """Makes the topics with as many partitions as the highest number asks for.

        Raises:
            TopicRefused: a topic exists with other settings or another number of partitions.
        """
        await create_topics(self._reader.client, topics_for(self._name, partitions), self._settings)

    async def send(self, commands: Sequence[tuple[Partition, NewRecord]], deadline: float) -> None:
        """As `CommandLog.send`; after `LogUnavailable` the next call has a new producer.

        Raises:
            RecordTooLarge: nothing was written.
            GenerationIsOver: the topic is closed; what goes to others may stand.
            LogUnavailable: some may stand and some may not; sending all again is right.
        """
        self._reader.client  # noqa: B018  (raises when this log is not started, or closed)
        by_partition: dict[Partition, list[NewRecord]] = {}
        for partition, record in commands:
            check_size(record)
            by_partition.setdefault(partition, []).append(record)
        producer: MortalProducer | None = None
        try:
            async with asyncio.timeout(deadline):
                producer = await self._ready()
                await asyncio.gather(*(self._send(producer, at, some) for at, some in by_partition.items()))
        except MessageSizeTooLargeError as error:  # of what is small enough: it is closed
            raise GenerationIsOver(
                f"{self._name}: a topic takes no more commands, because its family has other partitions now: start"
                " this process again with the family's new partitions"
            ) from error
        except (KafkaError, TimeoutError, LogUnavailable) as error:
            reason = error if isinstance(error, LogUnavailable) else self._unknown(error)
            if producer is not None:
                # It would go on trying for ever, and its late success would come after later commands.
                producer.kill(reason)
            raise reason from (None if reason is error else error)

    async def read(self, partition: Partition, position: int, limit: int) -> Batch:
        """As `CommandLog.read`.

        Raises:
            PositionOutOfLog: the log does not hold the position; nothing is reset.
            LogUnavailable: no answer.
        """
        return await self._reader.read(partition, position, limit)

    async def end(self, partition: Partition) -> int:
        """As `CommandLog.end`."""
        return await self._reader.end(partition)

    async def wait(self, partition: Partition, position: int, timeout: float) -> bool:
        """As `CommandLog.wait`."""
        return await self._reader.wait(partition, position, timeout)

    def _unknown(self, error: Exception) -> LogUnavailable:
        cause = "no answer in time" if isinstance(error, TimeoutError) else repr(error)
        return LogUnavailable(f"{self._name}: {cause}; some commands may stand, send all of them again")

    async def _ready(self) -> MortalProducer:
        async with self._starting:
            if self.producer is None or not self.producer.alive:
                self.producer = MortalProducer(self._bootstrap, f"{self._name}.sender", REQUEST_TIMEOUT_MS)
                await self.producer.start()
            return self.producer

    async def _send(self, producer: MortalProducer, at: Partition, records: list[NewRecord]) -> None:
        topic, index = self._reader.where(at)
        if index not in await producer.partitions_for(topic):
            raise LogUnavailable(f"there is no {topic}-{index}: create it first")
        acks: list[asyncio.Future[Any]] = []
        # One after the other: whoever waits for room while others take it is charged the whole time for each of them
        # by the library, and told after a moment that its time is up.
        async with self._queueing[at]:
            if len(records) <= _FEW:
                # Joins the batch that is forming: many doors with one command each share a request.
                for r in records:
                    acks.append(await producer.send(topic, r.value, r.key, index, headers=list(r.headers)))
            else:
                for batch in build_batches(producer, records):
                    acks.append(await producer.send_batch(batch, topic, partition=index))
        await asyncio.gather(*acks)
