"""Members of one group on Kafka, and a way to the broker that can be closed."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiokafka.structs import BrokerMetadata

from consumers.ports import Group, Partition
from infra.kafka.event_log import KafkaEventLog
from infra.kafka.group import KafkaGroup

MARKET = [Partition("market", n) for n in range(4)]
METER = [Partition("meter", n) for n in range(2)]
GROWN = [Partition("meter", 1_000 + n) for n in range(3)]
NOTHING: frozenset[Partition] = frozenset()
SOON = 5.0  # seconds; below a session, so that nothing here waits for one to expire
# The least session of a broker of our own is 1 s, that of others 6 s.
SHORT: dict[str, Any] = {"session_ms": 6_000} if "KAFKA_BOOTSTRAP" in os.environ else {"session_ms": 1_000}
SHORT |= {"heartbeat_ms": 100}
EXPIRED = SHORT["session_ms"] / 1000 + 5

Make = Callable[..., KafkaGroup]


async def members(bootstrap: str, deployment: str) -> AsyncIterator[Make]:
    """Makes members of one group, and has them leave in the end."""
    log = KafkaEventLog(bootstrap, deployment)
    await log.start()
    await log.create([*MARKET, *METER, *GROWN])
    await log.close()
    made: list[KafkaGroup] = []

    def member(**settings: Any) -> KafkaGroup:
        made.append(KafkaGroup(bootstrap, deployment, "react", "events", **settings))
        return made[-1]

    yield member
    await asyncio.gather(*(one.leave() for one in made))


async def until(group: Group, asked: Callable[[frozenset[Partition]], bool], seconds: float = SOON) -> None:
    """Returns as soon as the assignment is such."""
    async with asyncio.timeout(seconds):
        while not asked(group.assigned):
            await group.changed(group.assigned, seconds)


def family(assigned: frozenset[Partition], name: str) -> int:
    """How many partitions of a family."""
    return sum(partition.family == name for partition in assigned)


class Gate:
    """A way to the broker that can be closed: everything that goes through it breaks, and nobody is let in."""

    def __init__(self, upstream: str) -> None:
        host, port = upstream.rsplit(":", 1)
        self._upstream, self._server = (host, int(port)), None
        self._ways: set[asyncio.StreamWriter] = set()
        self._open = asyncio.Event()
        self.port = 0
        self.entered = 0

    async def open(self) -> None:
        self._open.set()
        if self._server is None:
            self._server: Any = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for way in self._ways:
            way.transport.abort()

    def freeze(self) -> None:
        """Lets everybody in, and nothing through."""
        self._open.clear()

    def lead(self, member: KafkaGroup) -> KafkaGroup:
        """Lets a member that has just joined reach the broker through this gate only."""
        assert member._client is not None
        member._client.cluster.broker_metadata = lambda node: BrokerMetadata(node, "127.0.0.1", self.port, None)
        for connection in member._client._conns.values():
            connection.close()
        return member

    async def _serve(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        self.entered += 1
        self._ways.add(answers)
        broker, requests = await asyncio.open_connection(*self._upstream)
        self._ways.add(requests)
        await asyncio.gather(self._pump(client, requests), self._pump(broker, answers), return_exceptions=True)
        self._ways -= {answers, requests}

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                await self._open.wait()
                target.write(data)
        target.close()
