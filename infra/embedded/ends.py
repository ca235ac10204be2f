"""How far the partitions reach, as this process has seen it, and who waits for more."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from consumers.ports import LogUnavailable

POLL_SECONDS: Final = 0.02

Poll = Callable[[Sequence[str]], Awaitable[Mapping[str, int]]]


class Ends:
    """Wakes waiters when a partition's end is seen to grow, by a write of this process or by a poll.

    What it knows is a lower bound: other processes write too. So it may say "there is something" by itself,
    and never "there is nothing".

    Args:
        poll: asks the store for the ends of some streams; None when `saw` is told of every write.
    """

    def __init__(self, poll: Poll | None) -> None:
        self._poll = poll
        self._seen: dict[str, int] = {}
        self._waiting: dict[str, dict[asyncio.Future[bool], int]] = {}
        self._poller: asyncio.Task[None] | None = None
        self._closed = False

    def saw(self, stream: str, end: int) -> None:
        """Takes note that records up to `end` are stored, committed and readable."""
        if end <= self._seen.get(stream, 0):
            return
        self._seen[stream] = end
        for waiter, position in self._waiting.get(stream, {}).items():
            if position < end and not waiter.done():
                waiter.set_result(True)

    async def wait(self, stream: str, position: int, timeout: float) -> bool:
        """True as soon as the stream is seen to reach beyond `position`, false after `timeout` seconds.

        Raises:
            LogUnavailable: the store does not answer the polls, or the log was closed.
        """
        if self._seen.get(stream, 0) > position:
            return True
        if self._closed:
            raise LogUnavailable("the log is closed")
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        waiters = self._waiting.setdefault(stream, {})
        waiters[waiter] = position
        if self._poll and (self._poller is None or self._poller.done()):
            self._poller = asyncio.create_task(self._ask_again_and_again(self._poll))
        try:
            async with asyncio.timeout(timeout):
                return await waiter
        except TimeoutError:
            return False
        finally:
            del waiters[waiter]
            if not waiters:
                self._waiting.pop(stream, None)

    async def close(self) -> None:
        """Ends the poll; who still waits gets LogUnavailable."""
        self._closed = True
        self._fail(LogUnavailable("the log was closed"))
        if self._poller:
            self._poller.cancel()
            with suppress(asyncio.CancelledError):
                await self._poller

    async def _ask_again_and_again(self, poll: Poll) -> None:
        """Runs while somebody waits; one question for all streams that are waited for."""
        while self._waiting:
            try:
                ends = await poll(list(self._waiting))
            except Exception as error:  # whoever waits must hear of it, whatever it is
                self._fail(error)
                return
            for stream, end in ends.items():
                self.saw(stream, end)
            await asyncio.sleep(POLL_SECONDS)

    def _fail(self, error: Exception) -> None:
        for waiters in self._waiting.values():
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_exception(error)
