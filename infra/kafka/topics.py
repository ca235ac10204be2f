"""The topics of a deployment: made once with the settings that keep the record, and never silently others.

The broker's defaults destroy it: retention of 7 days (by the client's stamps), unclean elections. Writers are
idempotent, so they wait for all copies in sync (`acks=all`); how many those must be stands here.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.errors import KafkaError, NoError, NotControllerError, TopicAlreadyExistsError, for_code
from aiokafka.protocol.admin import AlterConfigsRequest, CreateTopicsRequest, DescribeConfigsRequest

from consumers.layout import Layout
from consumers.ports import LogUnavailable, Partition
from infra.kafka.connection import connect, disconnect
from infra.kafka.errors import TopicRefused
from schemas.values import MAX_PARTITIONS

_MAX_MESSAGE_BYTES: Final = 2 * 1024 * 1024  # a batch is at most 1 MiB before compression, a record less
_SECONDS: Final = 9.0
_LEADER_SECONDS: Final = 3.0  # for leaders; readers and writers have patience of their own
_PAUSE_SECONDS: Final = 0.05
_TOPIC: Final = 2
_SIZE: Final = "max.message.bytes"
_SEALED: Final = "0"
"""So nothing fits into it: what a generation was sent stays, and nothing comes to it any more."""


@dataclass(frozen=True, slots=True)
class TopicSettings:
    """How many copies there are of each partition, and how many must have a record before it stands.

    The defaults are the product's: one broker of three may be lost, and nothing of the record with it.
    """

    replication_factor: int = 3
    min_insync_replicas: int = 2

    def __post_init__(self) -> None:
        if not 1 <= self.min_insync_replicas <= self.replication_factor:
            raise ValueError(
                f"expected from 1 to {self.replication_factor} copies in sync, found {self.min_insync_replicas}:"
                " with more than there are nothing could ever be written"
            )


UNREPLICATED: Final = TopicSettings(1, 1)
"""For a broker that is alone. What has more copies is taken as well."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic that is wanted. Compacted: of each key the last record is kept; else every record, for ever."""

    name: str
    partitions: int
    compacted: bool = False

    def settings(self, settings: TopicSettings) -> dict[str, str]:
        """Settings with which it is made."""
        return self.exact() | {name: str(value) for name, value in self.least(settings).items()}

    def exact(self) -> dict[str, str]:
        """Settings that it must have as they are."""
        return {
            "retention.ms": "-1",
            "retention.bytes": "-1",
            "cleanup.policy": "compact" if self.compacted else "delete",
            "message.timestamp.type": "LogAppendTime",
            "compression.type": "producer",
            "unclean.leader.election.enable": "false",
        }

    def least(self, settings: TopicSettings) -> dict[str, int]:
        """Settings that it may exceed."""
        return {_SIZE: _MAX_MESSAGE_BYTES, "min.insync.replicas": settings.min_insync_replicas}


@dataclass(frozen=True, slots=True)
class TopicState:
    """What there is of a topic that is wanted.

    Args:
        partitions, copies: 0 when there is no such topic; copies of the partition that has the fewest.
        leaderless: partitions that cannot be read or written now.
        behind: partitions of which not all copies are in sync.
        differences: what is not as it must be, in words; none when all is well, or when nothing is there.
    """

    topic: Topic
    partitions: int = 0
    copies: int = 0
    leaderless: int = 0
    behind: int = 0
    differences: tuple[str, ...] = ()

    @property
    def exists(self) -> bool:
        """Whether there is a topic of this name."""
        return self.partitions > 0


def topic_name(prefix: str, partition: Partition) -> str:
    """The topic of a partition's generation: `<prefix>.market`, then `<prefix>.market.g2`."""
    name = f"{prefix}.{partition.family}"
    return name if partition.generation == 1 else f"{name}.g{partition.generation}"


def partition_in(prefix: str, topic: str, index: int) -> Partition | None:
    """The partition of which `topic_name` made the topic; none when it has another prefix."""
    if not topic.startswith(f"{prefix}."):
        return None
    family, _, generation = topic.removeprefix(f"{prefix}.").partition(".g")
    return Partition(family, (int(generation or 1) - 1) * MAX_PARTITIONS + index)


def topics_for(prefix: str, partitions: Iterable[Partition]) -> list[Topic]:
    """The topics of these partitions, each with as many as the highest number asks for."""
    counts: dict[str, int] = {}
    for partition in partitions:
        name = topic_name(prefix, partition)
        counts[name] = max(counts.get(name, 0), partition.index + 1)
    return [Topic(name, count) for name, count in counts.items()]


def schemas_topic(deployment: str) -> Topic:
    """The topic on which releases tell readers, and each other, how records are written."""
    return Topic(f"{deployment}.schemas", 1, compacted=True)


def deployment_topics(deployment: str, layout: Layout) -> list[Topic]:
    """All topics of a deployment: commands and events of every family, and the schemas."""
    kinds = ("commands", "events")
    topics = [topic for kind in kinds for topic in topics_for(f"{deployment}.{kind}", layout.partitions)]
    return [*topics, schemas_topic(deployment)]


class KafkaTopics:
    """The topics of one deployment, for those who set it up and look after it.

    Args:
        bootstrap: `host:port`, several divided by commas.
        deployment: the first part of every topic.
        settings: how topics are made, and what existing ones must be.
    """

    def __init__(self, bootstrap: str, deployment: str, settings: TopicSettings) -> None:
        self._bootstrap, self._deployment, self._settings = bootstrap, deployment, settings

    async def create(self, layout: Layout, seconds: float = 60.0) -> list[str]:
        """Makes all topics that are missing, and returns their names; says nothing when there are all.

        Raises:
            KafkaUnreachable: no broker answers.
            TopicRefused: one exists with other settings, or cannot be made; those before it may have been made.
            LogUnavailable: the cluster did not do it in `seconds`.
        """
        client = await connect(self._bootstrap, f"{self._deployment}.topics")
        try:
            return await create_topics(
                client, deployment_topics(self._deployment, layout), self._settings, seconds=seconds
            )
        finally:
            await disconnect(client)

    async def seal(self, partitions: Sequence[Partition]) -> None:
        """Has the topics of commands for these partitions take nothing any more; what stands there stays readable.

        Raises:
            KafkaUnreachable: no broker answers.
            LogUnavailable: the cluster does not do it.
        """
        resources = []
        for topic in topics_for(f"{self._deployment}.commands", partitions):
            configs = topic.settings(self._settings) | {
                _SIZE: _SEALED
            }  # what is not named becomes the broker's default
            resources.append((_TOPIC, topic.name, list(configs.items())))
        client = await connect(self._bootstrap, f"{self._deployment}.topics")
        try:
            response = await client.send(client.get_random_node(), AlterConfigsRequest(resources, False))
            for code, message, *_ in response.resources:
                if code:
                    raise for_code(code)(message)
        except KafkaError as error:
            raise LogUnavailable(f"Kafka does not close the topics ({error!r}): do it again") from error
        finally:
            await disconnect(client)

    async def describe(self, layout: Layout) -> list[TopicState]:
        """What there is of each topic; changes nothing.

        Raises:
            KafkaUnreachable: no broker answers.
            LogUnavailable: the cluster does not say it in time.
        """
        client = await connect(self._bootstrap, f"{self._deployment}.topics")
        try:
            return await describe_topics(client, deployment_topics(self._deployment, layout), self._settings)
        finally:
            await disconnect(client)


async def create_topics(
    client: AIOKafkaClient, topics: Sequence[Topic], settings: TopicSettings, seconds: float = _SECONDS
) -> list[str]:
    """Makes the topics that are missing, checks those that exist, and waits a moment until all have leaders.

    Returns:
        The names of those that were made.

    Raises:
        TopicRefused: a topic exists with other settings or another number of partitions, or cannot be made.
        LogUnavailable: the cluster did not do it in time.
    """
    made: list[str] = []
    last = "no answer"
    try:
        async with asyncio.timeout(seconds):
            patience = asyncio.get_running_loop().time() + _LEADER_SECONDS
            while True:
                try:
                    known = await client.fetch_all_metadata()
                    missing = [topic for topic in topics if not known.partitions_for_topic(topic.name)]
                    if missing:
                        made += await _create(client, known, missing, settings)
                        patience = asyncio.get_running_loop().time() + _LEADER_SECONDS
                    else:
                        states = await _states(client, known, topics, settings)
                        _refuse(states)
                        if not any(state.leaderless for state in states):
                            break
                        if asyncio.get_running_loop().time() > patience:
                            break
                except KafkaError as error:
                    last = repr(error)
                await asyncio.sleep(_PAUSE_SECONDS)
            for topic in topics:
                await client.add_topic(topic.name)
    except TimeoutError:
        names = ", ".join(topic.name for topic in topics)
        raise LogUnavailable(f"the topics {names} were not there within {seconds:.0f} s ({last}); try again") from None
    return made


async def describe_topics(client: AIOKafkaClient, topics: Sequence[Topic], settings: TopicSettings) -> list[TopicState]:
    """What there is of each topic, in the same order; changes nothing.

    Raises:
        LogUnavailable: the cluster does not say it in time.
    """
    last = "no answer"
    try:
        async with asyncio.timeout(_SECONDS):
            while True:
                try:
                    return await _states(client, await client.fetch_all_metadata(), topics, settings)
                except KafkaError as error:
                    last = repr(error)
                await asyncio.sleep(_PAUSE_SECONDS)
    except TimeoutError:
        raise LogUnavailable(f"the cluster has not described its topics for {_SECONDS:.0f} s ({last})") from None


def _refuse(states: Iterable[TopicState]) -> None:
    for state in states:
        if state.differences:
            raise TopicRefused(
                f"the topic {state.topic.name} exists, but {' and '.join(state.differences)}: it is another"
                " deployment's, or its record is not safe; choose another deployment name, or move the log to a new"
                " topic"
            )


async def _create(
    client: AIOKafkaClient, known: ClusterMetadata, topics: Iterable[Topic], settings: TopicSettings
) -> list[str]:
    wanted: list[Any] = []
    for topic in topics:
        configs = topic.settings(settings)
        wanted.append((topic.name, topic.partitions, settings.replication_factor, [], list(configs.items())))
    if known.controller is None:
        raise NotControllerError("the cluster has no controller now")
    response = await client.send(known.controller.nodeId, CreateTopicsRequest(wanted, int(_SECONDS * 1000), False))
    made, later = [], None
    for name, code, message in response.topic_errors:
        error = for_code(code)
        if error is NoError:
            made.append(name)
        elif error is TopicAlreadyExistsError:  # somebody was faster: it is checked like any other
            continue
        elif error.retriable:
            later = error(name)
        else:
            raise TopicRefused(f"Kafka does not make the topic {name}: {message or error.__name__}")
    if later is not None and not made:
        raise later
    return made


async def _states(
    client: AIOKafkaClient, known: ClusterMetadata, topics: Sequence[Topic], settings: TopicSettings
) -> list[TopicState]:
    there = [topic.name for topic in topics if known.partitions_for_topic(topic.name)]
    found: dict[str, dict[str, str | None]] = {}
    if there:
        response = await client.send(
            client.get_random_node(), DescribeConfigsRequest([(_TOPIC, name, None) for name in there], False)
        )
        for code, message, _, name, entries in response.resources:
            if code:
                raise for_code(code)(message)
            found[name] = {entry[0]: entry[1] for entry in entries}
    return [_state(known, topic, found.get(topic.name), settings) for topic in topics]


def _state(
    known: ClusterMetadata, topic: Topic, found: Mapping[str, str | None] | None, settings: TopicSettings
) -> TopicState:
    if found is None:
        return TopicState(topic)
    partitions = list(known._partitions[topic.name].values())
    copies = min(len(partition.replicas) for partition in partitions)
    differences = []
    if len(partitions) != topic.partitions:
        differences.append(f"it has {len(partitions)} partitions instead of {topic.partitions}")
    if copies < settings.replication_factor:
        differences.append(f"it has {copies} copies instead of at least {settings.replication_factor}")
    differences += [
        f"{name} is {found.get(name)} instead of {value}"
        for name, value in topic.exact().items()
        if found.get(name) != value
    ]
    differences += [
        f"{name} is {found.get(name)} instead of at least {value}"
        for name, value in topic.least(settings).items()
        if int(found.get(name) or 0) < value and (name, found.get(name)) != (_SIZE, _SEALED)
    ]
    return TopicState(
        topic,
        len(partitions),
        copies,
        leaderless=sum(partition.leader == -1 for partition in partitions),
        behind=sum(len(partition.isr) < len(partition.replicas) for partition in partitions),
        differences=tuple(differences),
    )
