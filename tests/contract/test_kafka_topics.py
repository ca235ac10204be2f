"""Topics keep the record or are refused; a broker that is not there is one sentence."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest

from consumers.layout import Layout
from consumers.ports import LogUnavailable, NewRecord, Partition
from infra.kafka.command_log import KafkaCommandLog
from infra.kafka.connection import connect
from infra.kafka.errors import KafkaUnreachable, PositionOutOfLog, TopicRefused
from infra.kafka.event_log import KafkaEventLog
from infra.kafka.topics import UNREPLICATED, KafkaTopics, TopicSettings, TopicState

MARKET = [Partition("market", 0), Partition("market", 2)]


@pytest.fixture
async def log(kafka_bootstrap: str, deployment: str) -> AsyncIterator[KafkaEventLog]:
    made = KafkaEventLog(kafka_bootstrap, deployment)
    await made.start()
    yield made
    await made.close()


@pytest.fixture
async def admin(kafka_bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    made = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await made.start()
    yield made
    await made.close()


async def test_settings_keep_the_record(log: KafkaEventLog, admin: AIOKafkaAdminClient) -> None:
    await log.create(MARKET)
    topic = log.topic(MARKET[0])
    (described,) = await admin.describe_topics([topic])
    assert len(described["partitions"]) == 3  # the highest number, plus one
    (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    found = {entry[0]: entry[1] for entry in answer.resources[0][4]}
    assert {name: found[name] for name in found if name in EXPECTED} == EXPECTED


EXPECTED = {
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "cleanup.policy": "delete",
    "message.timestamp.type": "LogAppendTime",
    "compression.type": "producer",
    "unclean.leader.election.enable": "false",
    "min.insync.replicas": "1",
    "max.message.bytes": "2097152",
}


async def test_creating_again_says_nothing(log: KafkaEventLog, kafka_bootstrap: str, deployment: str) -> None:
    other = KafkaEventLog(kafka_bootstrap, deployment)
    await other.start()
    await asyncio.gather(log.create(MARKET), other.create(MARKET), log.create(MARKET))
    await other.close()
    assert await log.end(MARKET[1]) == 0


async def test_another_number_of_partitions_is_refused(log: KafkaEventLog) -> None:
    await log.create(MARKET)
    with pytest.raises(TopicRefused, match="it has 3 partitions instead of 4") as refused:
        await log.create([Partition("market", 3)])
    assert one_sentence(refused.value)
    with pytest.raises(TopicRefused, match="it has 3 partitions instead of 1"):
        await log.create([Partition("market", 0)])


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"retention.ms": "604800000"}, "retention.ms is 604800000 instead of -1"),
        ({"message.timestamp.type": "CreateTime"}, "message.timestamp.type is CreateTime instead of Log"),
        ({"cleanup.policy": "compact"}, "cleanup.policy is compact instead of delete"),
        ({"max.message.bytes": "1000"}, "max.message.bytes is 1000 instead of at least 2097152"),
        ({"unclean.leader.election.enable": "true"}, "unclean.leader.election.enable is true instead of false"),
        ({"retention.bytes": "1000000"}, "retention.bytes is 1000000 instead of -1"),
    ],
)
async def test_other_settings_are_refused(
    log: KafkaEventLog, admin: AIOKafkaAdminClient, setting: dict[str, str], said: str
) -> None:
    keeps = EXPECTED | setting
    await admin.create_topics([NewTopic(log.topic(MARKET[0]), 3, 1, topic_configs=keeps)])
    with pytest.raises(TopicRefused, match=said) as refused:
        await log.create(MARKET)
    assert one_sentence(refused.value)
    assert " and " not in str(refused.value).split(":")[0]


async def test_more_copies_than_brokers_are_refused(kafka_bootstrap: str, deployment: str) -> None:
    log = KafkaEventLog(kafka_bootstrap, deployment, TopicSettings(30, 1))
    await log.start()
    with pytest.raises(TopicRefused, match="Kafka does not make the topic"):
        await log.create(MARKET)
    await log.close()


async def test_fewer_copies_than_asked_for_are_refused(
    log: KafkaEventLog, kafka_bootstrap: str, deployment: str
) -> None:
    await log.create(MARKET)
    other = KafkaEventLog(kafka_bootstrap, deployment, TopicSettings())
    await other.start()
    with pytest.raises(TopicRefused, match=r"1 copies instead of at least 3 and min\.insync\.replicas is 1 .* least 2"):
        await other.create(MARKET)
    await other.close()


def test_the_product_keeps_three_copies_and_needs_two() -> None:
    assert TopicSettings() == TopicSettings(replication_factor=3, min_insync_replicas=2)
    for impossible in ((1, 2), (3, 0)):
        with pytest.raises(ValueError, match="copies in sync"):
            TopicSettings(*impossible)


async def test_a_deployment_has_commands_events_and_schemas(kafka_bootstrap: str, deployment: str) -> None:
    topics, counts = KafkaTopics(kafka_bootstrap, deployment, UNREPLICATED), Layout.of({"market": 2, "meter": 1})
    before = await topics.describe(counts)
    assert [(state.topic.name, state.exists) for state in before] == [
        (f"{deployment}.commands.market", False),
        (f"{deployment}.commands.meter", False),
        (f"{deployment}.events.market", False),
        (f"{deployment}.events.meter", False),
        (f"{deployment}.schemas", False),
    ]
    log = KafkaEventLog(kafka_bootstrap, deployment)
    await log.start()
    await log.create([Partition("market", 1)])  # one was there before
    assert sorted(await topics.create(counts)) == sorted(
        state.topic.name for state in before if state.topic.name != log.topic(Partition("market", 0))
    )
    assert await topics.create(counts) == []
    assert await topics.describe(counts) == [
        TopicState(state.topic, partitions=state.topic.partitions, copies=1) for state in before
    ]
    assert [state.topic.compacted for state in before] == [False, False, False, False, True]
    await log.close()


async def test_what_differs_is_described(kafka_bootstrap: str, deployment: str, admin: AIOKafkaAdminClient) -> None:
    topics = KafkaTopics(kafka_bootstrap, deployment, UNREPLICATED)
    await topics.create(Layout.of({"market": 1}))
    schemas = f"{deployment}.schemas"
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, schemas, {"cleanup.policy": "delete"})])
    (commands, events, compacted) = await topics.describe(Layout.of({"market": 2}))
    assert commands.differences == events.differences == ("it has 1 partitions instead of 2",)
    assert "cleanup.policy is delete instead of compact" in compacted.differences
    with pytest.raises(TopicRefused, match=r"cleanup\.policy is delete instead of compact"):
        await topics.create(Layout.of({"market": 1}))


async def test_every_write_waits_for_all_copies(
    log: KafkaEventLog, kafka_bootstrap: str, deployment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    send = AIOKafkaClient.send

    async def seen(client: AIOKafkaClient, node: int, request: Any, **options: Any) -> Any:
        if isinstance(request, ProduceRequest):
            asked.append(request.required_acks)
        return await send(client, node, request, **options)

    monkeypatch.setattr(AIOKafkaClient, "send", seen)
    commands = KafkaCommandLog(kafka_bootstrap, deployment)
    await commands.start()
    await asyncio.gather(log.create(MARKET), commands.create(MARKET))
    await (await log.claim(MARKET[0])).append([NewRecord(b"key", b"value")], 5)
    await commands.send([(MARKET[0], NewRecord(b"key", b"value"))], 5)
    await commands.close()
    assert asked == [-1, -1]


async def test_a_position_of_another_log_is_an_error(log: KafkaEventLog) -> None:
    await log.create(MARKET)
    with pytest.raises(PositionOutOfLog, match="does not hold the position 7"):
        await log.read(MARKET[0], 7, 10)
    with pytest.raises(PositionOutOfLog):
        await log.wait(MARKET[0], 7, 5)


async def test_a_reader_that_is_behind_pays_for_each_record_once(log: KafkaEventLog) -> None:
    await log.create(MARKET)
    owner = await log.claim(MARKET[0])
    for _ in range(3):
        await owner.append([NewRecord(b"key", b"value")] * 100, 5)
    fetches, position, end = 0, 0, await log.end(MARKET[0])
    ask = log._reader._ask

    async def counted(*asked: Any) -> Any:
        nonlocal fetches
        fetches += 1
        return await ask(*asked)

    log._reader._fetches._ask = counted
    reads = 0
    while position < end:
        position = (await log.read(MARKET[0], position, 7)).next
        reads += 1
    assert reads == 43  # ceil(300 / 7): no read for markers alone
    assert fetches == 1


# ------------------------------------------------------------------------------------------------ unreachable


def one_sentence(error: Exception) -> bool:
    text = str(error)
    return "\n" not in text and ". " not in text and 40 < len(text) < 300


@pytest.mark.parametrize("make", [KafkaEventLog, KafkaCommandLog])
async def test_an_unreachable_broker_is_one_sentence(
    make: Callable[[str, str], Any], caplog: pytest.LogCaptureFixture, unseen: list[dict[str, Any]]
) -> None:
    caplog.set_level(logging.DEBUG, "asyncio")
    with pytest.raises(
        KafkaUnreachable, match=r"no Kafka broker answers at 127\.0\.0\.1:1 .* start the broker"
    ) as said:
        await asyncio.wait_for(make("127.0.0.1:1", "nowhere").start(), 11)
    assert one_sentence(said.value)
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []
    gc.collect()
    await asyncio.sleep(0)
    assert unseen == []


async def test_a_broker_that_says_nothing_is_unreachable_too() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(KafkaUnreachable, match="no Kafka broker answers"):
        await connect(f"127.0.0.1:{port}", "test", seconds=0.3)
    server.close()


async def test_a_wrong_advertised_address_is_named(kafka_bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def not_ready(self: AIOKafkaClient, node: int, **_: Any) -> bool:
        return False

    monkeypatch.setattr(AIOKafkaClient, "ready", not_ready)
    with pytest.raises(KafkaUnreachable, match=r"advertised\.listeners") as said:
        await connect(kafka_bootstrap, "test")
    assert one_sentence(said.value)


async def test_what_is_not_started_or_closed_says_so(kafka_bootstrap: str, deployment: str) -> None:
    log, commands = KafkaEventLog(kafka_bootstrap, deployment), KafkaCommandLog(kafka_bootstrap, deployment)
    for action in (
        lambda: log.end(MARKET[0]),
        lambda: log.read(MARKET[0], 0, 1),
        lambda: log.wait(MARKET[0], 0, 1),
        lambda: log.create(MARKET),
        lambda: commands.send([(MARKET[0], NewRecord(b"", b""))], 5),
    ):
        with pytest.raises(LogUnavailable, match="not started, or closed"):
            await action()
    await log.close()
    await commands.close()


async def test_who_waits_hears_of_the_close(log: KafkaEventLog) -> None:
    await log.create(MARKET)
    waiting = asyncio.create_task(log.wait(MARKET[0], 0, 30))
    await asyncio.sleep(0.05)
    await log.close()
    with pytest.raises(LogUnavailable, match="closed"):
        await asyncio.wait_for(waiting, 2)


@pytest.fixture
async def unseen() -> list[dict[str, Any]]:
    """What the loop complains of: errors that nobody has looked at."""
    found: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: found.append(context))
    return found
