"""The topics of a deployment: made once with the settings that keep the record, and never silently others.

The broker's defaults destroy it: retention of 7 days (by the client's stamps), unclean elections.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.errors import KafkaError, NoError, NotControllerError, TopicAlreadyExistsError, for_code
from aiokafka.protocol.admin import CreateTopicsRequest, DescribeConfigsRequest

from consumers.ports import LogUnavailable, Partition
from infra.kafka.errors import TopicRefused

_MAX_MESSAGE_BYTES: Final = 2 * 1024 * 1024  # a batch is at most 1 MiB before compression, a record less
_SECONDS: Final = 9.0
_PAUSE_SECONDS: Final = 0.05
_TOPIC: Final = 2


@dataclass(frozen=True, slots=True)
class TopicSettings:
    """What may differ between clusters. On three brokers: 3 copies, 2 in sync."""

    replication_factor: int = 1
    min_insync_replicas: int = 1

    def exact(self) -> dict[str, str]:
        """Settings that an existing topic must have as they are."""
        return {
            "retention.ms": "-1",
            "retention.bytes": "-1",
            "cleanup.policy": "delete",
            "message.timestamp.type": "LogAppendTime",
            "compression.type": "producer",
            "unclean.leader.election.enable": "false",
        }

    def least(self) -> dict[str, int]:
        """Settings that an existing topic may exceed."""
        return {"max.message.bytes": _MAX_MESSAGE_BYTES, "min.insync.replicas": self.min_insync_replicas}


def partition_counts(partitions: Iterable[Partition]) -> dict[str, int]:
    """Family → number of partitions: the highest number that is named, plus one."""
    counts: dict[str, int] = {}
    for partition in partitions:
        counts[partition.family] = max(counts.get(partition.family, 0), partition.number + 1)
    return counts


async def create_topics(client: AIOKafkaClient, topics: Mapping[str, int], settings: TopicSettings) -> None:
    """Makes the topics that are missing, checks those that exist, and waits until all have leaders.

    Args:
        topics: name → number of partitions.

    Raises:
        TopicRefused: a topic exists with other settings or another number of partitions, or cannot be made.
        LogUnavailable: the cluster did not do it in time.
    """
    last = "no answer"
    try:
        async with asyncio.timeout(_SECONDS):
            while True:
                try:
                    known = await client.fetch_all_metadata()
                    missing = {name: n for name, n in topics.items() if not known.partitions_for_topic(name)}
                    if missing:
                        await _create(client, known, missing, settings)
                    elif all(known.available_partitions_for_topic(name) for name in topics):
                        await _check(client, known, topics, settings)
                        break
                except KafkaError as error:
                    last = repr(error)
                await asyncio.sleep(_PAUSE_SECONDS)
            for name in topics:
                await client.add_topic(name)
    except TimeoutError:
        raise LogUnavailable(
            f"the topics {', '.join(topics)} were not there within {_SECONDS:.0f} s ({last}); try again"
        ) from None


async def _create(
    client: AIOKafkaClient, known: ClusterMetadata, topics: Mapping[str, int], settings: TopicSettings
) -> None:
    configs = list((settings.exact() | {name: str(value) for name, value in settings.least().items()}).items())
    wanted: list[Any] = [(name, count, settings.replication_factor, [], configs) for name, count in topics.items()]
    if known.controller is None:
        raise NotControllerError("the cluster has no controller now")
    response = await client.send(known.controller.nodeId, CreateTopicsRequest(wanted, int(_SECONDS * 1000), False))
    for name, code, message in response.topic_errors:
        error = for_code(code)
        if error in (NoError, TopicAlreadyExistsError):  # somebody was faster: it is checked like any other
            continue
        if error.retriable:
            raise error(name)
        raise TopicRefused(f"Kafka does not make the topic {name}: {message or error.__name__}")


async def _check(
    client: AIOKafkaClient, known: ClusterMetadata, topics: Mapping[str, int], settings: TopicSettings
) -> None:
    response = await client.send(
        client.get_random_node(), DescribeConfigsRequest([(_TOPIC, name, None) for name in topics], False)
    )
    for code, message, _, name, entries in response.resources:
        if code:
            raise for_code(code)(message)
        found = {entry[0]: entry[1] for entry in entries}
        differences = [
            *_differing_shape(known, name, topics[name], settings),
            *(
                f"{key} is {found.get(key)} instead of {value}"
                for key, value in settings.exact().items()
                if found.get(key) != value
            ),
            *(
                f"{key} is {found.get(key)} instead of at least {value}"
                for key, value in settings.least().items()
                if int(found.get(key) or 0) < value
            ),
        ]
        if differences:
            raise TopicRefused(
                f"the topic {name} exists, but {' and '.join(differences)}: it is another deployment's, or its"
                " record is not safe; choose another deployment name, or move the log to a new topic"
            )


def _differing_shape(known: ClusterMetadata, topic: str, count: int, settings: TopicSettings) -> Iterable[str]:
    partitions = known._partitions[topic]
    if len(partitions) != count:
        yield f"it has {len(partitions)} partitions instead of {count}"
    copies = min(len(partition.replicas) for partition in partitions.values())
    if copies < settings.replication_factor:
        yield f"it has {copies} copies instead of at least {settings.replication_factor}"
