"""The own producer: what it builds on in aiokafka, what it refuses, and what a killed process leaves."""

import asyncio
import hashlib
import inspect
import sys
from collections.abc import AsyncIterator
from importlib import import_module
from importlib.metadata import version
from typing import Any

import pytest
from aiokafka.protocol.transaction import EndTxnRequest
from aiokafka.structs import TopicPartition

from consumers.ports import Fenced, LogUnavailable, NewRecord, Partition
from infra.kafka.errors import RecordTooLarge
from infra.kafka.event_log import KafkaEventLog
from infra.kafka.producer import MAX_RECORD_BYTES, TransactionalProducer
from tests.contract.backends import read_all

MARKET = Partition("market", 0)
ROOT = __file__.rsplit("/tests/", 1)[0]

# When one of these changes, read it again against `infra/kafka/producer.py`, `reader.py` and `watch.py`, run
# `test_kafka_silence.py`, and only then write the new hash here.
TOUCHED = {
    "aiokafka.client.AIOKafkaClient.send": "246b277687d7b687",
    "aiokafka.client.AIOKafkaClient._get_conn": "68ce5d8391719d33",
    "aiokafka.client.AIOKafkaClient.bootstrap": "198943b004e55849",
    "aiokafka.client.AIOKafkaClient.add_topic": "b054eda662913f08",
    "aiokafka.client.AIOKafkaClient._md_synchronizer": "e0421bffa9a7735a",
    "aiokafka.conn.AIOKafkaConnection.send": "5909ea32f4efca49",
    "aiokafka.conn.AIOKafkaConnection.close": "28f164aa1e4f0bbc",
    "aiokafka.producer.producer.AIOKafkaProducer.send_batch": "bf42b0f0c5c0646d",
    "aiokafka.producer.producer.AIOKafkaProducer.begin_transaction": "f5128199fc271ddc",
    "aiokafka.producer.producer.AIOKafkaProducer.commit_transaction": "c7f9677c89413f97",
    "aiokafka.producer.sender.Sender.start": "ef0a0cbbf1f69e7d",
    "aiokafka.producer.sender.Sender._fail_all": "5a67e3b6f87be0c5",
    "aiokafka.producer.sender.Sender._sender_routine": "2380dc5e333d9ebd",
    "aiokafka.producer.sender.Sender._do_txn_commit": "8263eaebb7c30ea1",
    "aiokafka.producer.sender.BaseHandler.do": "1106439a38fe7943",
    "aiokafka.producer.sender.EndTxnHandler.handle_response": "89bd9721c28ec792",
    "aiokafka.producer.sender.AddPartitionsToTxnHandler.handle_response": "67266db24da2dfaf",
    "aiokafka.producer.sender.SendProduceReqHandler.do": "2dccd3d56b1607fb",
    "aiokafka.producer.sender.SendProduceReqHandler.handle_response": "850323cc8f77abc3",
    "aiokafka.producer.message_accumulator.MessageAccumulator._append_batch": "4762abfc42cbaa15",
    "aiokafka.producer.message_accumulator.MessageAccumulator.add_batch": "5ed1c5b1367ad854",
    "aiokafka.producer.message_accumulator.MessageAccumulator.fail_all": "f1e12e8100bfcb8c",
    "aiokafka.producer.message_accumulator.MessageAccumulator.flush_for_commit": "39683730fcffc2a4",
    "aiokafka.producer.message_accumulator.MessageBatch.failure": "719b2122c318e955",
    "aiokafka.producer.transaction_manager.TransactionManager.fatal_error": "8e9fd08dc50042c4",
    "aiokafka.consumer.fetcher.PartitionRecords": "94aa0da0dbec8d1b",
}


@pytest.fixture
async def log(kafka_bootstrap: str, deployment: str) -> AsyncIterator[KafkaEventLog]:
    made = KafkaEventLog(kafka_bootstrap, deployment)
    await made.start()
    await made.create([MARKET])
    yield made
    await made.close()


def test_version_is_the_one_that_was_read() -> None:
    assert version("aiokafka") == "0.14.0"


@pytest.mark.parametrize("name", TOUCHED)
def test_source_is_the_one_that_was_read(name: str) -> None:
    found: Any = None
    for part in name.split("."):
        found = getattr(found, part, None) or import_module(f"{found.__name__}.{part}" if found else part)
    assert hashlib.sha256(inspect.getsource(found).encode()).hexdigest()[:16] == TOUCHED[name]


async def test_private_fields_are_there(log: KafkaEventLog) -> None:
    owner = await log.claim(MARKET)
    await owner.append([NewRecord(b"key", b"value")], 5)
    producer = owner.producer
    connections = producer.client._conns.values()
    assert len(connections) == 2  # one for records, one for the coordinator
    for connection in connections:
        assert not connection._requests
        assert callable(connection._writer.transport.abort)
    assert not producer.client._sync_task.done()
    assert not producer._sender.sender_task.done()
    assert producer._txn_manager._transaction_waiter.done()
    assert producer._message_accumulator._batches == {}
    assert producer._listed[0].future.done()
    assert producer._listed[0]._drain_waiter.done()
    cluster = producer.client.cluster
    assert cluster.leader_for_partition(TopicPartition(log.topic(MARKET), 0)) is not None
    assert list(cluster._partitions[log.topic(MARKET)]) == [0]


async def test_what_it_cannot_do_safely_is_refused(log: KafkaEventLog) -> None:
    owner = await log.claim(MARKET)
    with pytest.raises(RuntimeError, match="no offsets"):
        await owner.producer.send_offsets_to_transaction({}, "group")
    with pytest.raises(RuntimeError, match="no abort"):
        await owner.producer.abort_transaction()
    with pytest.raises(ValueError, match="at least one record"):
        await owner.append([], 5)
    large = NewRecord(b"key", bytes(MAX_RECORD_BYTES))
    with pytest.raises(RecordTooLarge, match="send it in parts"):
        await owner.append([NewRecord(b"key", b"small"), large], 5)
    assert owner.alive
    await owner.append([NewRecord(b"key", b"a")], 5)
    assert await everything(log) == [b"a"]


async def test_one_transaction_at_a_time(log: KafkaEventLog) -> None:
    owner = await log.claim(MARKET)
    topic = log.topic(MARKET)
    writing = asyncio.create_task(owner.producer.write(topic, 0, [NewRecord(b"key", b"a")]))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="one transaction at a time"):
        await owner.producer.write(topic, 0, [NewRecord(b"key", b"b")])
    await writing
    # Appends of one owner take turns by themselves.
    await asyncio.gather(*(owner.append([NewRecord(b"key", b"%d" % n)], 5) for n in range(5)))
    assert await everything(log) == [b"a", b"0", b"1", b"2", b"3", b"4"]


async def test_a_refused_batch_is_not_committed_around(log: KafkaEventLog) -> None:
    # Two batches, of which the broker refuses the second: plain aiokafka commits the first alone.
    owner = await log.claim(MARKET)
    producer = owner.producer
    topic = log.topic(MARKET)
    await producer.begin_transaction()
    await producer.send_and_wait(topic, b"small", partition=0)
    producer._max_request_size = 64 * 1024 * 1024
    producer._compression_type = None
    noise = hashlib.shake_128(b"noise").digest(4 * 1024 * 1024)
    refused = await producer.send(topic, noise, partition=0)
    with pytest.raises(LogUnavailable, match="MessageSizeTooLarge"):
        await producer.commit_transaction()
    assert "MessageSizeTooLarge" in repr(refused.exception())
    assert not owner.alive
    await log.claim(MARKET)
    assert await everything(log) == []


async def test_a_commit_that_may_have_been_decided_is_not_asked_for_again(
    log: KafkaEventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = await log.claim(MARKET)
    send, asked = owner.producer._send, 0

    async def decided_but_not_available(node: int, request: Any, **options: Any) -> Any:
        nonlocal asked
        response = await send(node, request, **options)
        if isinstance(request, EndTxnRequest):
            asked += 1
            response.error_code = 15
        return response

    monkeypatch.setattr(owner.producer, "_send", decided_but_not_available)
    with pytest.raises(LogUnavailable, match="CoordinatorNotAvailable") as unknown:
        await owner.append([NewRecord(b"key", b"value")], 5)
    assert not isinstance(unknown.value, Fenced)
    assert asked == 1
    await log.claim(MARKET)
    assert await everything(log) == [b"value"]


async def test_the_dead_say_why_and_release_everything(log: KafkaEventLog) -> None:
    first = await log.claim(MARKET)
    await log.claim(MARKET)
    for _ in range(2):
        with pytest.raises(Fenced, match="nothing of the write stands"):
            await first.append([NewRecord(b"key", b"late")], 5)
    await asyncio.sleep(0.05)
    assert first.producer._sender.sender_task.done()
    assert first.producer.client._sync_task.done()
    assert not any(connection.connected() for connection in first.producer.client._conns.values())


KILLED = """
import asyncio, sys
from consumers.ports import NewRecord, Partition
from infra.kafka.event_log import KafkaEventLog

async def main(bootstrap, deployment):
    log = KafkaEventLog(bootstrap, deployment)
    await log.start()
    owner = await log.claim(Partition("market", 0))
    await owner.append([NewRecord(b"key", b"whole")], 5)

    async def stop_before_commit(result):
        print("open", flush=True)
        await asyncio.sleep(60)

    owner.producer._sender._do_txn_commit = stop_before_commit
    await owner.append([NewRecord(b"key", b"half")] * 3, 8)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_nothing_is_seen_of_a_process_killed_in_mid_transaction(
    kafka_bootstrap: str, deployment: str, log: KafkaEventLog
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, kafka_bootstrap, deployment, stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None
    try:
        assert await asyncio.wait_for(process.stdout.readline(), 30) == b"open\n"
        assert await everything(log) == [b"whole"]
    finally:
        process.kill()
        await process.wait()
    # At once: not when the broker gives the transaction up after its 10 s.
    owner = await asyncio.wait_for(log.claim(MARKET), 5)
    assert await everything(log) == [b"whole"]
    await owner.append([NewRecord(b"key", b"next")], 5)
    assert await everything(log) == [b"whole", b"next"]


async def test_a_start_without_an_answer_ends(silent_port: int) -> None:
    producer = TransactionalProducer(f"127.0.0.1:{silent_port}", "silent")
    with pytest.raises(LogUnavailable, match="no Kafka broker answers"):
        await producer.start("topic", seconds=0.3)
    await asyncio.wait_for(producer.stop(), 2)


@pytest.fixture
async def silent_port() -> AsyncIterator[int]:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def everything(log: KafkaEventLog) -> list[bytes]:
    return [one.value for one in await read_all(log, MARKET)]
