"""Is there news? Long polls for any number of positions over two connections to each broker.

A new question cannot join a poll that is already at the broker. So the positions that somebody has begun
to wait for just now are polled in short turns and the others in long ones: who waits anew is covered after
5 ms, and a quiet process asks ten times a second.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import OffsetOutOfRangeError
from aiokafka.structs import TopicPartition

from consumers.ports import LogUnavailable
from infra.kafka.connection import Fetched, fetch
from infra.kafka.errors import PositionOutOfLog

Position = tuple[TopicPartition, int]

_SHORT_MS: Final = 5
_LONG_MS: Final = 100
_FRESH_SECONDS: Final = 0.3  # longer than a long turn: nobody falls between the two
_PAUSE_SECONDS: Final = 0.1


class Watch:
    """Tells when the stable end of a partition has passed a position.

    Args:
        client: gives the connections; raises when there are none any more.
        keep: takes what a poll has brought, and the position it was asked for.
    """

    def __init__(self, client: Callable[[], AIOKafkaClient], keep: Callable[[Fetched, int], None]) -> None:
        self._client = client
        self._keep = keep
        self._news: dict[Position, asyncio.Future[None]] = {}
        self._waiting: dict[Position, int] = {}
        self._since: dict[Position, float] = {}
        self._wanted = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def wait(self, key: Position, timeout: float) -> bool:
        """True as soon as the end is beyond the position, false after `timeout` seconds.

        Raises:
            PositionOutOfLog: the log does not hold the position.
            LogUnavailable: the log is closed, or was closed meanwhile.
        """
        self._client()
        loop = asyncio.get_running_loop()
        if key not in self._news:
            self._news[key] = loop.create_future()
            self._waiting[key] = 0
            self._since[key] = loop.time()
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._short_turns()), asyncio.create_task(self._long_turns())]
        news = self._news[key]
        self._waiting[key] += 1
        self._wanted.set()
        try:
            await asyncio.wait({news}, timeout=timeout)
        finally:
            if self._news.get(key) is news:
                self._waiting[key] -= 1
                if not self._waiting[key]:
                    self._forget(key)
        if not news.done():
            return False
        news.result()
        return True

    async def close(self) -> None:
        """Ends the polls; whoever waits gets `LogUnavailable`."""
        for key, news in list(self._news.items()):
            self._forget(key)
            news.set_exception(LogUnavailable("the log was closed while somebody waited for news"))
            news.exception()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _short_turns(self) -> None:
        while True:
            await self._wanted.wait()
            await asyncio.sleep(0)  # whoever begins to wait in this turn of the loop comes along
            after = asyncio.get_running_loop().time() - _FRESH_SECONDS
            fresh = [key for key, since in self._since.items() if since > after]
            if fresh:
                await self._turn(fresh, _SHORT_MS, "short")
            else:
                self._wanted.clear()

    async def _long_turns(self) -> None:
        while True:
            if not self._news:
                await self._wanted.wait()
            await self._turn(list(self._news), _LONG_MS, "long")

    async def _turn(self, keys: Iterable[Position], wait_ms: int, lane: str) -> None:
        """Polls once; takes `wait_ms` unless there was news, also when the broker does not wait or answer."""
        loop, client = asyncio.get_running_loop(), self._client()
        ends = loop.time() + wait_ms / 1000
        by_node: dict[int, dict[TopicPartition, int]] = {}
        stale = False
        for where, position in keys:
            node = client.cluster.leader_for_partition(where)
            if node is None or node == -1:
                client.add_topic(where.topic)
                stale = True
                continue
            at = by_node.setdefault(node, {})
            # Of two positions in one partition the lower one: news for the higher is news for it too.
            at[where] = min(position, at.get(where, position))
        told = False
        for answer in await asyncio.gather(
            *(self._ask(node, at, wait_ms, lane) for node, at in by_node.items()), return_exceptions=True
        ):
            if isinstance(answer, BaseException):
                stale = True  # whoever waits learns nothing now; whoever reads gets the error
            else:
                told = told or answer
        if stale:
            client.force_metadata_update()
            ends += _PAUSE_SECONDS
        if not told and ends > loop.time():
            await asyncio.sleep(ends - loop.time())

    async def _ask(self, node: int, at: dict[TopicPartition, int], wait_ms: int, lane: str) -> bool:
        told = False
        for fetched in await fetch(self._client(), node, at, wait_ms, lane):
            position = at[fetched.where]
            if fetched.error is None:
                told = self._tell(fetched, position) or told
            elif issubclass(fetched.error, OffsetOutOfRangeError):
                told = self._fail(fetched.where, position) or told
            else:
                raise fetched.error(fetched.where)
        return told

    def _tell(self, fetched: Fetched, position: int) -> bool:
        told = [key for key in self._news if key[0] == fetched.where and key[1] < fetched.stable_end]
        for key in told:
            if key[1] == position:
                self._keep(fetched, position)
            self._forget(key).set_result(None)
        return bool(told)

    def _fail(self, where: TopicPartition, position: int) -> bool:
        if (where, position) not in self._news:
            return False
        news = self._forget((where, position))
        news.set_exception(PositionOutOfLog(f"{where.topic}-{where.partition} does not hold {position}"))
        news.exception()  # whoever waited may have gone
        return True

    def _forget(self, key: Position) -> "asyncio.Future[None]":
        del self._waiting[key], self._since[key]
        return self._news.pop(key)
