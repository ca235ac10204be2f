"""One client and the two questions that every reader asks: what stands from here on, and where is the end.

A consumer of the library keeps a fetch open on the connection over which everything else has to go; a
broker answers one request of a connection after the other, so that each seek and each question for the end
would wait until that fetch comes back (500 ms). Here every question is one request, and those that may
wait at the broker have a lane (a connection) of their own.
"""

import asyncio
import contextlib
import logging
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.errors import (
    KafkaError,
    LeaderNotAvailableError,
    NoError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.structs import TopicPartition

from infra.kafka.errors import KafkaUnreachable

Item = TypeVar("Item")

CONNECT_SECONDS: Final = 9.0
REQUEST_TIMEOUT_MS: Final = 3_000
READ_COMMITTED: Final = 1
_LEADER_FETCH_VERSION: Final = 10
_METADATA_MS: Final = 300_000  # errors ask at once
_LATEST: Final = -1
_FETCH_BYTES: Final = 32 * 1024 * 1024
_PARTITION_FETCH_BYTES: Final = 2 * 1024 * 1024  # a whole batch always fits (`topics.MAX_BATCH_BYTES`)

DEFAULT_LANE: Final[Hashable] = ConnectionGroup.DEFAULT


@dataclass(frozen=True, slots=True)
class Fetched:
    """The answer for one partition; `stable_end` is the last stable offset, -1 together with an error."""

    where: TopicPartition
    error: type[Exception] | None
    stable_end: int
    aborted: Any
    data: bytes


class LeaderFetch(FetchRequest):  # type: ignore[misc]
    """A fetch that only the leader answers.

    Since version 11 a broker answers consumers also for a partition that it only follows, and then does not know
    yet of the newest records: who asks it by mistake would find less than the end has promised, for half a second.
    """

    def prepare(self, versions: dict[int, tuple[int, int]]) -> Any:
        """The request in the newest version that both sides know, below 11."""
        oldest, newest = versions[self.API_KEY]
        return super().prepare({self.API_KEY: (oldest, min(newest, _LEADER_FETCH_VERSION))})


def quiet_library() -> None:
    """Turns the library's own log off, unless somebody has set its level.

    Every failure comes to the caller as one exception with its cause; the library also logs it with a
    stack, once for each attempt.
    """
    logger = logging.getLogger("aiokafka")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL + 1)


async def connect(
    bootstrap: str,
    name: str,
    seconds: float = CONNECT_SECONDS,
    request_timeout_ms: int = REQUEST_TIMEOUT_MS,
    metadata_max_age_ms: int = _METADATA_MS,
) -> AIOKafkaClient:
    """A client whose brokers answer.

    Args:
        seconds: for the first answer.
        request_timeout_ms: how long silence is waited for.
        metadata_max_age_ms: who leads what is asked at least so often.

    Raises:
        KafkaUnreachable: after `seconds` at the latest, in one sentence.
    """
    quiet_library()
    client = AIOKafkaClient(
        bootstrap_servers=bootstrap,
        client_id=name,
        request_timeout_ms=request_timeout_ms,
        metadata_max_age_ms=metadata_max_age_ms,
        retry_backoff_ms=50,
    )
    try:
        async with asyncio.timeout(seconds):
            await client.bootstrap()
            # The address of the bootstrap answers; the one that the broker gives out may still be wrong.
            node = client.get_random_node()
            if await client.ready(node):
                return client
        broker = client.cluster.broker_metadata(node)
        advertised = f"{broker.host}:{broker.port}" if broker else "an unknown address"
        failure = KafkaUnreachable(
            f"Kafka answers at {bootstrap}, but nothing does at {advertised}, the address that it gives out:"
            " correct advertised.listeners of the broker"
        )
    except (KafkaError, OSError, TimeoutError):
        failure = unreachable(bootstrap, seconds)
    except BaseException:
        await disconnect(client)
        raise
    await disconnect(client)
    raise failure


def unreachable(bootstrap: str, seconds: float) -> KafkaUnreachable:
    """The one sentence for a bootstrap address at which nobody answers."""
    return KafkaUnreachable(
        f"no Kafka broker answers at {bootstrap} (refused, or silent for {seconds:.0f} s):"
        " start the broker or correct the bootstrap address"
    )


async def disconnect(client: AIOKafkaClient, seconds: float = 2.0) -> None:
    """Closes all connections; never raises, never hangs on a peer that is gone."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(seconds):
            await client.close()


async def leader(client: AIOKafkaClient, where: TopicPartition) -> int:
    """The node that answers for a partition.

    Raises:
        KafkaError: the partition is unknown or has no leader now.
    """
    node = client.cluster.leader_for_partition(where)
    if node is None or node == -1:
        client.add_topic(where.topic)
        await client.force_metadata_update()
        node = client.cluster.leader_for_partition(where)
    if node is None:
        raise UnknownTopicOrPartitionError(where)
    if node == -1:
        raise LeaderNotAvailableError(where)
    return int(node)


async def fetch(
    client: AIOKafkaClient,
    node: int,
    positions: Mapping[TopicPartition, int],
    wait_ms: int = 0,
    lane: Hashable = DEFAULT_LANE,
    bytes_each: int = _PARTITION_FETCH_BYTES,
) -> list[Fetched]:
    """What committed readers may see from each position on; waits up to `wait_ms` for the first of it."""
    request = LeaderFetch(
        wait_ms,
        1,
        _FETCH_BYTES,
        READ_COMMITTED,
        _by_topic((at.topic, (at.partition, position, bytes_each)) for at, position in positions.items()),
    )
    response = await client.send(node, request, group=lane)
    answers = []
    for topic, partitions in response.topics:
        # The middle varies with the protocol version; first and last fields are stable from version 4 on.
        for partition, code, _high, stable_end, *rest in partitions:
            aborted = rest[1] if response.API_VERSION >= 5 else rest[0]
            where = TopicPartition(topic, partition)
            answers.append(Fetched(where, _error(code), stable_end, aborted, rest[-1] or b""))
    return answers


async def stable_ends(
    client: AIOKafkaClient, node: int, wanted: Iterable[TopicPartition]
) -> dict[TopicPartition, int | type[Exception]]:
    """The last stable offset of each partition, or what the broker says against it."""
    request = OffsetRequest(-1, READ_COMMITTED, _by_topic((at.topic, (at.partition, _LATEST)) for at in wanted))
    response = await client.send(node, request)
    return {
        TopicPartition(topic, partition): _error(code) or offset
        for topic, partitions in response.topics
        for partition, code, _timestamp, offset in partitions
    }


def _error(code: int) -> type[Exception] | None:
    error: type[Exception] = for_code(code)
    return None if error is NoError else error


def _by_topic(items: Iterable[tuple[str, Item]]) -> list[tuple[str, list[Item]]]:
    topics: dict[str, list[Item]] = {}
    for topic, item in items:
        topics.setdefault(topic, []).append(item)
    return list(topics.items())
