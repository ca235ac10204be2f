"""Promises of the schema log, in every store: what a release publishes, every release can read; ids are for ever."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from consumers.ports import LogDiffers, LogUnavailable, NewRecord, Partition, SchemaLog, SchemasDiffer
from infra.embedded.schemas import MemorySchemas, PostgresSchemas
from infra.kafka.producer import TransactionalProducer
from infra.kafka.schemas_topic import KafkaSchemas
from infra.kafka.topics import schemas_topic
from infra.schemas import load_ledger

Store = Callable[[str], Any]
OLD = {
    1: {"type": "record", "name": "gridbook.market.Opened", "fields": []},
    2: {"type": "record", "name": "gridbook.market.Closed", "fields": [{"name": "größe", "type": "long"}]},
}
NEW = OLD | {3: {"type": "record", "name": "gridbook.market.Opened", "fields": [{"name": "tick", "type": "long"}]}}


@pytest.fixture(params=["memory", "postgres", "kafka"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """Makes an object on one store, as another process would."""
    opened: list[Any] = []
    shared: dict[str, Any] = {}
    make: Store
    if request.param == "memory":
        make = lambda deployment: MemorySchemas(deployment, shared)  # noqa: E731
    elif request.param == "postgres":
        dsn = request.getfixturevalue("postgres_dsn")
        make = lambda deployment: PostgresSchemas(dsn, deployment)  # noqa: E731
    else:
        bootstrap = request.getfixturevalue("kafka_bootstrap")
        make = lambda deployment: KafkaSchemas(bootstrap, deployment)  # noqa: E731

    def opening(deployment: str) -> Any:
        opened.append(make(deployment))
        return opened[-1]

    yield opening
    for log in opened:
        await log.close()


async def started(store: Store, deployment: str) -> SchemaLog:
    log = store(deployment)
    await log.start()
    return log  # type: ignore[no-any-return]


async def test_what_one_release_publishes_another_reads(store: Store, deployment: str) -> None:
    old, new = await started(store, deployment), await started(store, deployment)
    assert await old.load() == {}
    await new.publish(NEW)
    assert await old.find(3) == NEW[3]
    assert await old.find(4) is None
    assert await old.load() == NEW
    assert await (await started(store, deployment)).load() == NEW
    assert await (await started(store, f"{deployment}_2")).load() == {}


async def test_publishing_again_is_nothing_new(store: Store, deployment: str) -> None:
    log = await started(store, deployment)
    await log.publish(OLD)
    await log.publish(OLD)
    await log.publish(NEW)
    await (await started(store, deployment)).publish(OLD)  # an older release beside a newer one
    assert await log.load() == NEW


async def test_one_id_has_one_meaning(store: Store, deployment: str) -> None:
    mine, theirs = await started(store, deployment), await started(store, deployment)
    await mine.publish(NEW)
    other = OLD | {3: OLD[2], 4: OLD[1]}
    with pytest.raises(SchemasDiffer, match=r"schema 3 is gridbook\.market\.Opened on the log of .*next free id"):
        await theirs.publish(other)
    assert await mine.load() == NEW, "nothing of a ledger that differs is written"


async def test_processes_that_start_at_once_publish_once(store: Store, deployment: str) -> None:
    logs = [await started(store, deployment) for _ in range(5)]
    ledgers = [OLD, OLD, OLD, NEW, NEW]
    await asyncio.gather(*(log.publish(ledger) for log, ledger in zip(logs, ledgers, strict=True)))
    assert await logs[0].load() == NEW


async def test_of_two_releases_that_disagree_at_once_one_gives_way(store: Store, deployment: str) -> None:
    logs = [await started(store, deployment) for _ in range(2)]
    ledgers = [OLD | {3: OLD[1]}, OLD | {3: OLD[2]}]
    outcomes = await asyncio.gather(
        *(log.publish(ledger) for log, ledger in zip(logs, ledgers, strict=True)), return_exceptions=True
    )
    (loser,) = [n for n, outcome in enumerate(outcomes) if outcome is not None]
    assert isinstance(outcomes[loser], SchemasDiffer)
    assert await logs[loser].load() == ledgers[1 - loser]


async def test_the_ledger_of_this_release_fits(store: Store, deployment: str) -> None:
    ledger = load_ledger()
    await (await started(store, deployment)).publish(ledger)
    assert await (await started(store, deployment)).load() == ledger


# ------------------------------------------------------------------------------------------------ one store


async def test_on_kafka_other_languages_can_read_it(kafka_bootstrap: str, deployment: str) -> None:
    log = KafkaSchemas(kafka_bootstrap, deployment)
    await log.start()
    await log.publish(OLD)
    await log.publish(NEW)
    await log.close()

    topic = f"{deployment}.schemas"
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka_bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign([TopicPartition(topic, 0)])
    found = {}
    while len(found) < 3:
        record = await asyncio.wait_for(consumer.getone(), 5)
        assert record.key not in found, "what stands is not written again"
        found[record.key] = json.loads(record.value)
    await consumer.stop()
    assert found == {
        bytes([0, 0, 0, n]): {"id": n, "name": NEW[n]["name"], "version": 2 if n == 3 else 1, "schema": NEW[n]}
        for n in (1, 2, 3)
    }

    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    settings = {entry[0]: entry[1] for entry in answer.resources[0][4]}
    assert settings["cleanup.policy"] == "compact"
    assert settings["retention.ms"] == "-1"
    await admin.close()


async def test_a_stranger_on_the_topic_is_named(kafka_bootstrap: str, deployment: str) -> None:
    log = KafkaSchemas(kafka_bootstrap, deployment)
    await log.start()
    stranger = TransactionalProducer(kafka_bootstrap, f"{deployment}.stranger")
    await stranger.start()
    topic, record = schemas_topic(deployment).name, NewRecord(b"\0\0\0\1", b'{"id": 2, "schema": {}}')
    await log._reader.shown(Partition("schemas", 0), await stranger.write(topic, 0, [record]))
    await stranger.stop()
    with pytest.raises(LogDiffers, match=r"the record at 0 of .* is no schema"):
        await log.load()
    await log.close()


@pytest.mark.parametrize("step", ["start", "write"])
async def test_what_another_release_publishes_meanwhile_is_seen(
    kafka_bootstrap: str, deployment: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The worst moments: between this one's first look and its claim, and between its last look and its write.
    mine, theirs = KafkaSchemas(kafka_bootstrap, deployment), KafkaSchemas(kafka_bootstrap, deployment)
    await asyncio.gather(mine.start(), theirs.start())
    original = getattr(TransactionalProducer, step)

    async def late(producer: Any, *arguments: Any) -> Any:
        monkeypatch.setattr(TransactionalProducer, step, original)
        await theirs.publish(NEW)
        return await original(producer, *arguments)

    monkeypatch.setattr(TransactionalProducer, step, late)
    with pytest.raises(SchemasDiffer):
        await mine.publish(OLD | {3: OLD[1]})
    assert await mine.load() == NEW
    await asyncio.gather(mine.close(), theirs.close())


async def test_a_store_that_is_away_is_one_exception(deployment: str) -> None:
    with pytest.raises(LogUnavailable, match=f"the schemas of {deployment}: .*refused"):
        await PostgresSchemas("postgresql://x@127.0.0.1:1/x", deployment).start()
    log = KafkaSchemas("127.0.0.1:1", deployment)
    with pytest.raises(LogUnavailable, match="not started"):
        await log.publish(OLD)
    await log.close()
