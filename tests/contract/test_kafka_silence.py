"""After a request without an answer nothing of that producer's epoch leaves this process any more.

A proxy between client and broker holds requests back, loses them, or loses their answers. Plain aiokafka
goes through the same questions and fails them: that is the planted bug which shows that they ask.
"""

import asyncio
import contextlib
import gc
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from consumers.ports import LogUnavailable, NewRecord, Partition
from infra.kafka.command_log import KafkaCommandLog
from infra.kafka.event_log import KafkaEventLog
from infra.kafka.producer import TransactionalProducer
from tests.contract.backends import read_all
from tests.faults.proxy import (
    ADD_PARTITIONS,
    END_TXN,
    FIND_COORDINATOR,
    INIT_PRODUCER_ID,
    METADATA,
    PRODUCE,
    SILENCES,
    Proxy,
)

GUARDED = (PRODUCE, FIND_COORDINATOR, INIT_PRODUCER_ID, ADD_PARTITIONS, 25, END_TXN, 28)
MARKET = Partition("market", 0)
TIMEOUT_MS = 400
RESEND_SECONDS = 0.3  # aiokafka sends again after 0.1


@pytest.fixture
async def proxy(kafka_bootstrap: str) -> AsyncIterator[Proxy]:
    made = Proxy(kafka_bootstrap)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def log(kafka_bootstrap: str, deployment: str) -> AsyncIterator[KafkaEventLog]:
    made = KafkaEventLog(kafka_bootstrap, deployment)
    await made.start()
    await made.create([MARKET])
    # The first write to a topic takes a cold broker longer than the time-outs of these tests.
    await (await made.claim(MARKET)).append(values(b"warm"), 5)
    yield made
    await made.close()


@pytest.fixture
async def commands(kafka_bootstrap: str, deployment: str) -> AsyncIterator[KafkaCommandLog]:
    made = KafkaCommandLog(kafka_bootstrap, deployment)
    await made.start()
    await made.create([MARKET])
    await made.send([(MARKET, one) for one in values(b"warm")], 5)
    yield made
    await made.close()


@pytest.fixture
async def unseen() -> list[dict[str, Any]]:
    """What the loop complains of: errors that nobody has looked at, producers that nobody has closed."""
    found: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: found.append(context))
    return found


def plain(bootstrap: str, name: str) -> AIOKafkaProducer:
    return AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=name, request_timeout_ms=TIMEOUT_MS)


async def write(producer: AIOKafkaProducer, topic: str) -> None:
    if isinstance(producer, TransactionalProducer):
        await producer.write(topic, 0, [NewRecord(b"key", b"1"), NewRecord(b"key", b"2")])
        return
    await producer.begin_transaction()
    await producer.send_and_wait(topic, b"1", partition=0)
    await producer.commit_transaction()


async def sent_after_silence(
    producer: AIOKafkaProducer, proxy: Proxy, topic: str, kind: int, silence: str
) -> tuple[list[int], Exception | None]:
    """What the producer sends after a request of this kind got no answer, and what it says about it."""
    proxy.carry(producer)
    starting = kind in (FIND_COORDINATOR, INIT_PRODUCER_ID)
    if not starting:
        await producer.start()
        await write(producer, topic)
    proxy.trouble(kind, silence)
    said = None
    try:
        async with asyncio.timeout(TIMEOUT_MS / 1000 + RESEND_SECONDS):
            await (producer.start() if starting else write(producer, topic))
    except Exception as error:
        said = error
    await asyncio.sleep(RESEND_SECONDS)
    seen = [each for each in proxy.seen if each in GUARDED]
    with contextlib.suppress(Exception):
        await asyncio.wait_for(producer.stop(), 1)
    return seen[seen.index(kind) + 1 :], said


KINDS = pytest.mark.parametrize("kind", [FIND_COORDINATOR, INIT_PRODUCER_ID, ADD_PARTITIONS, PRODUCE, END_TXN])


@KINDS
@pytest.mark.parametrize("silence", SILENCES)
async def test_nothing_follows_a_silent_request(
    kafka_bootstrap: str,
    log: KafkaEventLog,
    proxy: Proxy,
    kind: int,
    silence: str,
    unseen: list[dict[str, Any]],
) -> None:
    producer = TransactionalProducer(kafka_bootstrap, str(uuid.uuid4()), request_timeout_ms=TIMEOUT_MS)
    sent, said = await sent_after_silence(producer, proxy, log.topic(MARKET), kind, silence)
    assert sent == []
    assert isinstance(said, LogUnavailable)
    assert not producer.alive
    del producer, said
    gc.collect()
    await asyncio.sleep(0)
    assert unseen == []


@pytest.mark.parametrize("kind", [INIT_PRODUCER_ID, ADD_PARTITIONS, PRODUCE, END_TXN])
async def test_the_question_finds_the_planted_bug(
    kafka_bootstrap: str, log: KafkaEventLog, proxy: Proxy, kind: int
) -> None:
    producer = plain(kafka_bootstrap, str(uuid.uuid4()))
    sent, _ = await sent_after_silence(producer, proxy, log.topic(MARKET), kind, "answer lost")
    assert kind in sent, "plain aiokafka does not send again any more: is the own producer still needed?"


@pytest.mark.parametrize("kind", [ADD_PARTITIONS, PRODUCE, END_TXN])
async def test_a_late_request_changes_nothing(
    kafka_bootstrap: str, log: KafkaEventLog, proxy: Proxy, kind: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await log.claim(MARKET)
    proxy.carry(first.producer)
    await first.append(values(b"a1", b"a2"), 5)
    proxy.trouble(kind, "held back")
    with pytest.raises(LogUnavailable, match="outcome is unknown"):
        await first.append(values(b"b1", b"b2"), TIMEOUT_MS / 1000)

    second = await log.claim(MARKET)
    assert await everything(log) == [b"warm", b"a1", b"a2"]
    commit = second.producer._sender._do_txn_commit

    async def late_then_commit(result: Any) -> None:
        # The records of the next transaction are at the broker, its commit is not: the worst moment.
        await proxy.deliver_late()
        assert await everything(log) == [b"warm", b"a1", b"a2"]
        await commit(result)

    monkeypatch.setattr(second.producer._sender, "_do_txn_commit", late_then_commit)
    await second.append(values(b"c1", b"c2"), 5)
    assert await everything(log) == [b"warm", b"a1", b"a2", b"c1", b"c2"]


async def test_the_late_request_tears_a_transaction_of_plain_aiokafka(
    kafka_bootstrap: str, log: KafkaEventLog, proxy: Proxy
) -> None:
    producer, topic = plain(kafka_bootstrap, str(uuid.uuid4())), log.topic(MARKET)
    proxy.carry(producer)
    await producer.start()
    proxy.trouble(END_TXN, "held back")
    await write(producer, topic)  # its second copy is answered: it seems to be all right

    await producer.begin_transaction()
    await producer.send_and_wait(topic, b"half", partition=0)
    await proxy.deliver_late()
    await asyncio.sleep(0.2)
    torn = await everything(log)
    with contextlib.suppress(Exception):
        await asyncio.wait_for(producer.stop(), 1)
    assert torn == [b"warm", b"1", b"half"], (
        "half a transaction is not visible any more: is the own producer still needed?"
    )


async def test_a_sender_repeats_a_command_whose_answer_is_lost_and_it_stands_once(
    commands: KafkaCommandLog, proxy: Proxy
) -> None:
    assert commands.producer is not None
    proxy.carry(commands.producer)
    proxy.trouble(PRODUCE, "answer lost")
    await commands.send([(MARKET, one) for one in values(b"a", b"b")], 5)
    assert proxy.seen.count(PRODUCE) == 2
    await commands.send([(MARKET, one) for one in values(b"c")], 5)
    assert [one.value for one in await read_all(commands, MARKET)] == [b"warm", b"a", b"b", b"c"]


async def test_a_sender_whose_partition_loses_its_leader_starts_anew(
    commands: KafkaCommandLog, proxy: Proxy, unseen: list[dict[str, Any]]
) -> None:
    assert commands.producer is not None
    proxy.carry(commands.producer)
    proxy.trouble(PRODUCE, "request lost")
    cluster = commands.producer.client.cluster
    leader = cluster.leader_for_partition
    cluster.leader_for_partition = lambda where: -1 if PRODUCE in proxy.seen else leader(where)
    with pytest.raises(LogUnavailable):
        await commands.send([(MARKET, one) for one in values(b"a")], 0.4)
    await commands.send([(MARKET, one) for one in values(b"b")], 5)
    assert [one.value for one in await read_all(commands, MARKET)] == [b"warm", b"b"]
    await commands.close()
    gc.collect()
    await asyncio.sleep(0)
    assert unseen == []


async def test_a_sender_that_gets_no_metadata_starts_anew(
    commands: KafkaCommandLog, proxy: Proxy, unseen: list[dict[str, Any]]
) -> None:
    assert commands.producer is not None
    proxy.carry(commands.producer)
    proxy.trouble(PRODUCE, "request lost")
    sending = asyncio.create_task(commands.send([(MARKET, one) for one in values(b"a")], 0.4))
    while PRODUCE not in proxy.seen:
        await asyncio.sleep(0)
    proxy.trouble(METADATA, "held back")
    with pytest.raises(LogUnavailable):
        await sending
    await commands.close()
    del sending
    commands.producer = None  # so that it is collected, and says what it still had open
    await asyncio.sleep(0)
    gc.collect()
    await asyncio.sleep(0)
    assert unseen == []


async def test_a_sender_without_an_answer_starts_anew(
    commands: KafkaCommandLog, proxy: Proxy, unseen: list[dict[str, Any]]
) -> None:
    assert commands.producer is not None
    proxy.carry(commands.producer)
    proxy.trouble(PRODUCE, "held back")
    waiting = [commands.send([(MARKET, one)], 0.2 + n / 10) for n, one in enumerate(values(b"a", b"b", b"c"))]
    for outcome in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(outcome, LogUnavailable)
        assert "send all of them again" in str(outcome)
    await commands.send([(MARKET, one) for one in values(b"a", b"b", b"c")], 5)
    assert [one.value for one in await read_all(commands, MARKET)] == [b"warm", b"a", b"b", b"c"]
    await commands.close()
    gc.collect()
    await asyncio.sleep(0)
    assert unseen == []


def values(*values: bytes) -> list[NewRecord]:
    return [NewRecord(b"key", value) for value in values]


async def everything(log: KafkaEventLog) -> list[bytes]:
    return [one.value for one in await read_all(log, MARKET)]
