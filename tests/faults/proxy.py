"""A proxy between a client and a Kafka broker: holds a request back, loses it, loses or invents its answer."""

import asyncio
import contextlib
import io
import struct
from collections.abc import Sequence
from typing import Any, Final

from aiokafka.protocol import produce
from aiokafka.structs import BrokerMetadata

PRODUCE, METADATA, FIND_COORDINATOR, INIT_PRODUCER_ID, ADD_PARTITIONS, END_TXN = 0, 3, 10, 22, 24, 26

HELD_BACK, REQUEST_LOST, ANSWER_LOST, REFUSED = "held back", "request lost", "answer lost", "refused"
SILENCES: Final = (HELD_BACK, REQUEST_LOST, ANSWER_LOST)

_MESSAGE_TOO_LARGE: Final = 10
_HEADER: Final = struct.Struct(">ihhih")  # size, kind, version, number, length of the client's name
_LATE_SECONDS: Final = 5.0


class _Moment:
    """When requests of these kinds have come in this order, within one transaction."""

    def __init__(self, kinds: Sequence[int]) -> None:
        self._kinds, self._at = kinds, 0

    def is_now(self, kind: int) -> bool:
        """Whether the last of them has come with this request."""
        if kind == self._kinds[self._at]:
            self._at += 1
            return self._at == len(self._kinds)
        if kind == END_TXN:
            self._at = 0
        return False


class Proxy:
    """Passes requests on to one broker, except the one it is told to make trouble with."""

    def __init__(self, upstream: str) -> None:
        host, port = upstream.rsplit(":", 1)
        self._upstream = host, int(port)
        self._trouble: tuple[_Moment, str] | None = None
        self._late: tuple[bytes, asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._late_before: _Moment | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.seen: list[int] = []
        """The kinds of requests that clients have sent, in order."""
        self.delivered = 0
        """How many requests came late."""

    async def start(self) -> None:
        """Listens on a free port of the loopback interface."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Cuts every connection."""
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def carry(self, producer: Any) -> None:
        """Lets a producer reach every broker through this proxy (only the bootstrap goes round it)."""
        cluster = producer.client.cluster
        cluster.broker_metadata = lambda node: BrokerMetadata(node, "127.0.0.1", self.port, None)
        for connection in producer.client._conns.values():
            connection.close()  # idle; the next request opens one through the proxy

    def trouble(self, kind: int, silence: str, behind: Sequence[int] = ()) -> None:
        """The next request of this kind gets no answer, or a refusal; what was seen before is forgotten.

        Args:
            behind: kinds that come before it in its transaction, and are let pass.
        """
        self._trouble, self._late, self._late_before, self.seen = (_Moment((*behind, kind)), silence), None, None, []

    @property
    def troubling(self) -> bool:
        """Whether no request of the kind has come yet."""
        return self._trouble is not None

    @property
    def held(self) -> bool:
        """Whether a request is held back now."""
        return self._late is not None

    async def deliver_late(self) -> None:
        """Gives the broker the request that was held back, and waits until it has acted on it."""
        assert self._late is not None, "no request was held back"
        (frame, reader, writer), self._late = self._late, None
        writer.write(frame)
        await asyncio.wait_for(_frame(reader), _LATE_SECONDS)
        self.delivered += 1

    def deliver_late_before(self, *kinds: int) -> None:
        """Does so when requests of these kinds have come in a transaction, and the last was not passed on yet."""
        self._late_before = _Moment(kinds)

    async def _serve(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        broker, requests = await asyncio.open_connection(*self._upstream)
        back = asyncio.create_task(_pump(broker, answers))
        self._tasks.add(back)
        try:
            while True:
                frame = await _frame(client)
                kind = int.from_bytes(frame[4:6], "big")
                self.seen.append(kind)
                if self._late is not None and self._late_before is not None and self._late_before.is_now(kind):
                    await self.deliver_late()
                if self._trouble is None or not self._trouble[0].is_now(kind):
                    requests.write(frame)
                    continue
                silence, self._trouble = self._trouble[1], None
                if silence == REFUSED:
                    answers.write(_refusal(frame))
                    continue
                back.cancel()
                await asyncio.wait({back})
                if silence == HELD_BACK:
                    self._late = frame, broker, requests
                    await client.read()  # until the client gives up; the way to the broker stays open
                    return
                if silence == ANSWER_LOST:
                    requests.write(frame)
                    await _frame(broker)
                answers.transport.abort()
                requests.close()
                return
        except (asyncio.IncompleteReadError, ConnectionError):
            back.cancel()
            requests.close()


async def _frame(reader: asyncio.StreamReader) -> bytes:
    size = await reader.readexactly(4)
    return size + await reader.readexactly(int.from_bytes(size, "big"))


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(65536):
            target.write(data)
    target.close()


def _refusal(frame: bytes) -> bytes:
    """A broker's answer to a Produce request that refuses every batch of it as too large."""
    _size, kind, version, number, name_length = _HEADER.unpack_from(frame)
    assert kind == PRODUCE, "only Produce can be refused"
    asked = getattr(produce, f"ProduceRequest_v{version}")
    *_, topics = asked.SCHEMA.decode(io.BytesIO(frame[_HEADER.size + max(0, name_length) :]))
    nowhere = (-1,) * (3 if version >= 5 else 2)  # offset, time of the append, start of the log
    refused = [
        (topic, [(partition, _MESSAGE_TOO_LARGE, *nowhere) for partition, _ in batches]) for topic, batches in topics
    ]
    body = asked.RESPONSE_TYPE(topics=refused, throttle_time_ms=0).encode()
    return struct.pack(">ii", len(body) + 4, number) + bytes(body)
