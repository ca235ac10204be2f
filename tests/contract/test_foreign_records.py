"""What anybody's producer may write to a topic of commands: each is answered once, and nobody stops because of it."""

import contextlib

import pytest
from aiokafka import AIOKafkaProducer

from consumers.owner import PartitionOwner
from consumers.ports import Partition
from consumers.reading import CHAIN, TRACE, between
from gateways.app import deployment_of
from gateways.app.backends import kafka_backend
from infra.kafka.reader import Reader
from schemas.envelope import CommandMeta
from schemas.log.commands import Tick
from schemas.log.events import CommandSetAside, SetAsideReason, TimePassed
from schemas.party.commands import RegisterParty
from schemas.party.events import PartyRegistered, Role

P = Partition("party", 0)
LONG = 1_200_000

pytestmark = pytest.mark.asyncio


async def test_every_record_is_answered(kafka_bootstrap: str, deployment: str) -> None:
    made, backend = deployment_of(deployment, {"party": 1}), kafka_backend(kafka_bootstrap, deployment)
    codec = made.codec
    tick = codec.encode(CommandMeta("tick-1", "log:clock", "tick-1", None, None, None), Tick(1, 1))
    join = codec.encode(CommandMeta("join", "ann", "join", 2, None, None), RegisterParty((Role.SUPPLIER,)))
    wide = [(name, b"x" * (longest + 1)) for name, longest in TRACE.items()]
    written = [
        (b"", tick, [("command_id", b"tick-1")]),
        (b"k", b"nonsense", [("command_id", None)]),
        (b"k", None, []),
        (b"k", b"nonsense", [("traceparent", None), ("tracestate", None), (CHAIN, b"x"), ("source_offset", b"no")]),
        (b"k" * LONG, b"nonsense", []),
        (b"\xff" * (LONG // 3), b"nonsense", []),
        (b"k", b"x" * LONG, []),
        (b"ann", join, [("command_id", b"join"), ("tracestate", b"x" * LONG), *wide]),
    ]
    async with contextlib.AsyncExitStack() as ends:
        await backend.start()
        ends.push_async_callback(backend.close)
        await backend.events.create([P])
        await backend.commands.create([P])
        producer = AIOKafkaProducer(bootstrap_servers=kafka_bootstrap, max_request_size=2 * LONG)
        await producer.start()
        ends.push_async_callback(producer.stop)
        topic = Reader(kafka_bootstrap, f"{deployment}.commands").where(P).topic
        for key, value, headers in written:
            await producer.send_and_wait(topic, value, key, 0, headers=headers)
        owner = PartitionOwner(P, made.decider, backend.events, backend.commands)
        end = await backend.commands.end(P)
        while owner.decider.source < end:
            await owner.step()
        await owner.stop()
        records = [stored async for stored in between(backend.events, P, 0)]
        bodies = [codec.decode(stored.value)[1] for stored in records]
        again = PartitionOwner(P, made.decider, backend.events, backend.commands)
        await again.start()
        assert again.decider.image() == owner.decider.image()
        await again.stop()
    assert isinstance(bodies[1], TimePassed)
    assert [body.reason for body in bodies[2:-1] if isinstance(body, CommandSetAside)] == [
        SetAsideReason.UNDECODABLE
    ] * 6
    assert isinstance(bodies[-1], PartyRegistered)
    assert [stored.key for stored in records[2:]] == [b"k", b"k", b"k", b"", b"", b"k", b"ann"]
    assert all(len(value) < 200 for stored in records for _, value in stored.headers)
