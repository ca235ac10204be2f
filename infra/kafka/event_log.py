"""Facts on Kafka: topics `<deployment>.events.<family>`, one transactional id for each partition."""

import asyncio
from collections.abc import Sequence
from typing import Final

from consumers.ports import Batch, LogUnavailable, NewRecord, Partition
from infra.kafka.errors import RecordTooLarge
from infra.kafka.producer import TRANSACTION_TIMEOUT_MS, TransactionalProducer
from infra.kafka.reader import Reader
from infra.kafka.topics import UNREPLICATED, TopicSettings, create_topics, topics_for

_MAX_DEADLINE: Final = TRANSACTION_TIMEOUT_MS / 1000 - 2


class KafkaOwner:
    """The one writer of an events partition; see `consumers.ports.Owner`."""

    def __init__(self, producer: TransactionalProducer, reader: Reader, partition: Partition) -> None:
        self.producer = producer
        self._reader = reader
        self._partition = partition
        self._name = f"{partition.family}-{partition.number}"
        self._turn = asyncio.Lock()

    async def append(self, records: Sequence[NewRecord], deadline: float) -> None:
        """One transaction; when it returns, every reader sees it.

        Args:
            records: at least one.
            deadline: seconds; never longer than 8 s, so that the broker does not end the transaction first.

        Raises:
            RecordTooLarge: nothing was written; the owner lives.
            Fenced: a later claim exists, or the broker ended the transaction; nothing was written. It does
                not prove another owner: a late request of an earlier claim fences too. Claim again.
            LogUnavailable: the outcome is unknown; the owner is dead.
        """
        if not records:
            raise ValueError("an append has at least one record")
        try:
            async with asyncio.timeout(min(deadline, _MAX_DEADLINE)), self._turn:
                where = self._reader.where(self._partition)
                behind = await self.producer.write(where.topic, where.partition, records)
                await self._reader.shown(self._partition, behind)
        except RecordTooLarge:
            raise
        except BaseException as error:
            # Whatever stopped it, also a caller that went away: what stands is not for this owner to say.
            reason = LogUnavailable(f"{self._name}: no answer within {deadline:g} s; the outcome is unknown")
            self.producer.kill(reason)
            if isinstance(error, TimeoutError):
                raise reason from None
            raise

    @property
    def alive(self) -> bool:
        """False after the first error of any kind."""
        return self.producer.alive

    async def close(self) -> None:
        """Gives the partition up; never raises."""
        await self.producer.stop()


class KafkaEventLog:
    """`consumers.ports.EventLog` on a Kafka cluster.

    Args:
        bootstrap: `host:port`, several divided by commas.
        deployment: the first part of every topic and transactional id.
        settings: how topics are made, and what existing ones must be at least.
    """

    def __init__(self, bootstrap: str, deployment: str, settings: TopicSettings = UNREPLICATED) -> None:
        self._bootstrap = bootstrap
        self._deployment = deployment
        self._settings = settings
        self._reader = Reader(bootstrap, f"{deployment}.events")
        self._owners: list[KafkaOwner] = []

    async def start(self) -> None:
        """Connects.

        Raises:
            KafkaUnreachable: no broker answers.
        """
        await self._reader.start()

    async def close(self) -> None:
        """Ends all owners and connections; never raises."""
        await asyncio.gather(*(owner.close() for owner in self._owners))
        self._owners.clear()
        await self._reader.close()

    async def create(self, partitions: Sequence[Partition]) -> None:
        """Makes the topics with as many partitions as the highest number asks for.

        Raises:
            TopicRefused: a topic exists with other settings or another number of partitions.
        """
        topics = topics_for(f"{self._deployment}.events", partitions)
        await create_topics(self._reader.client, topics, self._settings)

    async def claim(self, partition: Partition) -> KafkaOwner:
        """Starts a producer with the partition's id, which fences the last one and ends what it had open.

        Raises:
            KafkaUnreachable: no broker answers.
            LogUnavailable: the partition does not exist, or the broker did not answer in time.
        """
        self._reader.client  # noqa: B018  (raises when this log is not started, or closed)
        name = f"{self._deployment}.decide.{partition.family}.{partition.number}"
        producer = TransactionalProducer(self._bootstrap, name)
        try:
            await producer.start(self.topic(partition))
            # It answers, nothing is open now, and nobody else writes any more: this is the end, unless the broker
            # that says so does not lead any more. Then what is restored up to it lacks facts, and the first write
            # finds that out.
            producer.first = await self._reader.end(partition)
        except BaseException:
            await producer.stop()
            raise
        self._owners = [owner for owner in self._owners if owner.alive]
        owner = KafkaOwner(producer, self._reader, partition)
        self._owners.append(owner)
        return owner

    def topic(self, partition: Partition) -> str:
        """The topic that a partition belongs to."""
        return str(self._reader.where(partition).topic)

    async def read(self, partition: Partition, position: int, limit: int) -> Batch:
        """As `EventLog.read`; below the end it finds a record or moves `next` beyond markers.

        Raises:
            PositionOutOfLog: the log does not hold the position; nothing is reset.
            LogUnavailable: no answer.
        """
        return await self._reader.read(partition, position, limit)

    async def end(self, partition: Partition) -> int:
        """As `EventLog.end`: the last stable offset. Below it, records and the markers of transactions."""
        return await self._reader.end(partition)

    async def wait(self, partition: Partition, position: int, timeout: float) -> bool:
        """As `EventLog.wait`; a marker counts, because it moves the end."""
        return await self._reader.wait(partition, position, timeout)
