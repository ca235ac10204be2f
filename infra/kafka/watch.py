"""Is there news? Polls that wait at the broker, for any number of positions.

A new question cannot join a poll that is already at the broker. So there are a few lanes (connections) to
each broker, whose polls wait there for a shorter or a longer time. Who begins to wait goes into the longest
free lane but the last; what was asked for in vain moves on into the last one when that is free. So who waits
anew is covered after 5 ms at the latest, and a quiet process asks each broker once a second.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import OffsetOutOfRangeError
from aiokafka.structs import TopicPartition

from consumers.ports import LogUnavailable
from infra.kafka.connection import Fetched, fetch
from infra.kafka.errors import PositionOutOfLog

Position = tuple[TopicPartition, int]

LANES_MS: Final = (5, 25, 125, 1_000)
"""How long the polls of each lane wait at the broker; the last well below the time-out of a request."""

_LAST: Final = len(LANES_MS) - 1
_GRACE_SECONDS: Final = 0.25  # who waits in turns is not asked for anew in each
_GATHER_SECONDS: Final = 0.005  # news seldom comes alone, and many positions make a costly poll
_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 1.0


class _Wait:
    """A position that somebody waits for, or did a moment ago."""

    __slots__ = ("lanes", "left", "news", "node", "quiet", "settled", "waiters")

    def __init__(self, news: "asyncio.Future[None]") -> None:
        self.news = news
        self.waiters = 0
        self.left = 0.0  # when the last one went
        self.node = -1  # who leads the partition, as far as we know
        self.lanes = 0  # a bit for each lane in which it is at that broker now
        self.settled = False  # it was asked for in vain
        self.quiet = 0.0  # at this time nothing was there


class Watch:
    """Tells when the stable end of a partition has passed a position.

    Args:
        client: gives the connections; raises when there are none any more.
        keep: takes what a poll has brought, and the position it was asked for.
    """

    def __init__(self, client: Callable[[], AIOKafkaClient], keep: Callable[[Fetched, int], None]) -> None:
        self._client = client
        self._keep = keep
        self._waits: dict[Position, _Wait] = {}
        self._busy: set[tuple[int, int]] = set()  # node and lane
        self._gathering: set[int] = set()  # nodes whose last lane takes breath
        self._tasks: set[asyncio.Task[None]] = set()
        self._next_look: asyncio.Handle | None = None
        self._pauses: dict[int | None, float] = {}  # by node; None: those that have no leader
        self._resting: set[int | None] = set()

    async def wait(self, key: Position, timeout: float) -> bool | None:
        """True as soon as the end is beyond the position; after `timeout` seconds false, or None: nobody said so.

        Raises:
            PositionOutOfLog: the log does not hold the position.
            LogUnavailable: the log is closed, or was closed meanwhile.
        """
        self._client()
        loop = asyncio.get_running_loop()
        began = loop.time()
        wait = self._waits.get(key)
        if wait is None:
            wait = self._waits[key] = _Wait(loop.create_future())
        wait.waiters += 1
        if not wait.lanes:
            self._look_soon()
        try:
            await asyncio.wait({wait.news}, timeout=timeout)
        finally:
            wait.waiters -= 1
            wait.left = loop.time()
        if wait.news.done():
            wait.news.result()
            return True
        return False if wait.quiet >= began else None

    async def close(self) -> None:
        """Ends the polls; whoever waits gets `LogUnavailable`."""
        for wait in self._waits.values():
            wait.news.set_exception(LogUnavailable("the log was closed while somebody waited for news"))
            wait.news.exception()
        self._waits.clear()
        if self._next_look is not None:
            self._next_look.cancel()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # ------------------------------------------------------------------ which poll next

    def _look_soon(self) -> None:
        """Whoever begins to wait in this turn of the loop comes along."""
        if self._next_look is None:
            self._next_look = asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        """Sends the polls that are to be sent now."""
        self._next_look = None
        now = asyncio.get_running_loop().time()
        for key in [key for key, wait in self._waits.items() if not wait.waiters and wait.left + _GRACE_SECONDS < now]:
            del self._waits[key]
        for node, keys in self._by_leader().items():
            if node in self._resting:
                continue
            for lane in range(_LAST, -1, -1):
                if (node, lane) in self._busy:
                    continue
                waits = [(key, self._waits[key]) for key in keys]
                if lane < _LAST and node in self._gathering:  # the last lane comes soon, and is for these
                    waits = [(key, wait) for key, wait in waits if not wait.settled]
                # Those in longer polls are covered; a poll that goes out takes over from the shorter ones.
                waits = [(key, wait) for key, wait in waits if wait.lanes < 1 << lane]
                if any(wait.settled if lane == _LAST else not wait.lanes for _, wait in waits):
                    self._send(node, lane, [key for key, _ in waits])

    def _by_leader(self) -> dict[int, list[Position]]:
        client = self._client()
        found: dict[int, list[Position]] = {}
        lost: set[str] = set()
        for key, wait in self._waits.items():
            node = client.cluster.leader_for_partition(key[0])
            if node is None or node == -1:
                lost.add(key[0].topic)
                continue
            if node != wait.node:
                wait.node, wait.lanes = node, 0
            found.setdefault(node, []).append(key)
        if not lost:
            self._pauses.pop(None, None)
        elif None not in self._resting:
            for topic in lost:
                client.add_topic(topic)
            self._rest(None)
        return found

    def _send(self, node: int, lane: int, keys: Iterable[Position]) -> None:
        at: dict[TopicPartition, int] = {}
        for key in keys:
            where, position = key
            # Of two positions in one partition the lower one: news for the higher is news for it too.
            at[where] = min(position, at.get(where, position))
            self._waits[key].lanes |= 1 << lane
        self._busy.add((node, lane))
        task = asyncio.create_task(self._fly(node, lane, at))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ------------------------------------------------------------------ one poll

    async def _fly(self, node: int, lane: int, at: Mapping[TopicPartition, int]) -> None:
        """Polls once; takes its time unless there was something new, also when the broker does not wait."""
        loop = asyncio.get_running_loop()
        began, ends = loop.time(), loop.time() + LANES_MS[lane] / 1000
        news = failed = False
        try:
            for fetched in await fetch(self._client(), node, at, LANES_MS[lane], f"watch {lane}"):
                position = at[fetched.where]
                if fetched.error is None:
                    news = news or fetched.stable_end > position
                    self._tell(fetched, position)
                elif issubclass(fetched.error, OffsetOutOfRangeError):
                    self._fail(fetched.where, position)
                else:
                    failed = True
        except Exception:
            failed = True  # whoever waits learns nothing now; whoever reads gets the error
        for (where, _), wait in self._waits.items():
            if where in at and wait.node == node:
                wait.lanes &= ~(1 << lane)
        if failed:
            self._rest(node)
        else:
            self._pauses.pop(node, None)
            early = ends - loop.time()
            if not news:
                self._heard_nothing(at, began if early > 0 else ends)
                if early > 0:
                    await asyncio.sleep(min(early, _FIRST_PAUSE_SECONDS))
            elif lane == _LAST:
                self._gathering.add(node)
                self._look_soon()
                await asyncio.sleep(_GATHER_SECONDS)
                self._gathering.discard(node)
        self._busy.discard((node, lane))
        self._look_soon()

    def _heard_nothing(self, at: Mapping[TopicPartition, int], when: float) -> None:
        for (where, position), wait in self._waits.items():
            if at.get(where) == position:
                wait.settled = True
                wait.quiet = max(wait.quiet, when)

    def _rest(self, node: int | None) -> None:
        """Lets a broker alone for a moment, longer each time, and asks meanwhile who leads."""
        pause = self._pauses.get(node, _FIRST_PAUSE_SECONDS)
        self._pauses[node] = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        self._resting.add(node)
        self._client().force_metadata_update()
        asyncio.get_running_loop().call_later(pause, self._wake, node)

    def _wake(self, node: int | None) -> None:
        self._resting.discard(node)
        if self._waits:
            self._look_soon()

    def _tell(self, fetched: Fetched, position: int) -> None:
        if fetched.stable_end <= position:
            return
        for key in [key for key in self._waits if key[0] == fetched.where and key[1] < fetched.stable_end]:
            if key[1] == position:
                self._keep(fetched, position)
            self._waits.pop(key).news.set_result(None)

    def _fail(self, where: TopicPartition, position: int) -> None:
        if (wait := self._waits.pop((where, position), None)) is not None:
            wait.news.set_exception(PositionOutOfLog(f"{where.topic}-{where.partition} does not hold {position}"))
            wait.news.exception()  # whoever waited may have gone
