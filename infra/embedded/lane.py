"""One database connection in one thread; what is asked for in one turn of the loop goes out together.

A statement for nine partitions costs little more than one for a single partition, and far less than nine.
So requests are collected until the loop has run every task that is ready, and then, or when the connection
is free again, those for the same job become one call of it.
"""

import asyncio
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Final, Generic, TypeVar

import psycopg
from psycopg import Connection, Cursor

from consumers.ports import LogUnavailable

A = TypeVar("A")
R = TypeVar("R")

QUEUE: Final = 10_000  # requests; more than that wait only when nobody drains them
CONNECT_WAITS: Final = (
    0.05,
    0.1,
    0.2,
    0.4,
    0.8,
    1.6,
    2.0,
)  # seconds between attempts: a restart takes 1 to 2
ATTEMPTS: Final = 3  # of a job that may be asked again
GRACE_SECONDS: Final = 1.0  # by which the server's answer to a time-out may be late


@dataclass(frozen=True, slots=True)
class Job(Generic[A, R]):
    """A function that answers many requests by one statement, one answer or error each, in their order.

    Args:
        again: asking twice does no harm, so a lost connection is no error yet.
    """

    run: "Callable[[Cursor[Any], Sequence[A]], Sequence[R | LogUnavailable]]"
    again: bool


@dataclass(slots=True, eq=False)
class _Request:
    job: Job[Any, Any]
    argument: Any
    weight: int
    until: float  # of time.monotonic()
    answer: asyncio.Future[Any]


_Answer = tuple[_Request, Any]


class Lane:
    """Runs jobs one batch after the other.

    Args:
        name: for error messages and the thread.
        connect: makes a connection in autocommit mode; called in the thread, again after a lost one.
        most: the weight of a batch; a heavier request goes alone.
    """

    def __init__(self, name: str, connect: Callable[[], Connection[Any]], most: int) -> None:
        self._name = name
        self._connect = connect
        self._most = most
        self._pending: deque[_Request] = deque()
        self._scheduled = False  # a flush is on its way, or the thread is busy and will call for one
        self._closing = threading.Event()
        self._inbox: SimpleQueue[list[_Request] | None] = SimpleQueue()
        self._line = _Line()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped: asyncio.Future[None] | None = None
        self._watch: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Starts the thread; it connects when it is first asked something."""
        self._loop = asyncio.get_running_loop()
        self._stopped = self._loop.create_future()
        arguments = (self._loop, self._stopped)
        threading.Thread(target=self._work, args=arguments, name=f"lane {self._name}", daemon=True).start()

    def ask(self, job: Job[A, R], argument: A, *, weight: int, timeout: float) -> asyncio.Future[R]:
        """The job's answer for this argument.

        Args:
            timeout: seconds after which the server breaks the statement off, at the latest when it has done
                so for the most patient request beside this one. Who cannot wait for that cancels the future.

        Raises:
            LogUnavailable: no connection, a lost one, an error of the database, too long a queue. What became
                of a write is then not known.
        """
        if self._loop is None or self._closing.is_set():
            raise LogUnavailable(f"the {self._name} is not open: start() comes before its use, close() after")
        if len(self._pending) >= QUEUE:
            raise LogUnavailable(f"the {self._name} has {QUEUE} requests waiting: ask less, or wait for answers")
        answer: asyncio.Future[R] = self._loop.create_future()
        self._pending.append(_Request(job, argument, weight, time.monotonic() + timeout, answer))
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)
        return answer

    async def close(self) -> None:
        """Ends the thread when its batch has ended, at the latest after GRACE_SECONDS."""
        if self._stopped is None or self._closing.is_set():
            return
        self._closing.set()
        self._inbox.put(None)
        for request in self._pending:
            if not request.answer.done():
                request.answer.set_exception(LogUnavailable(f"the {self._name} was closed"))
        self._pending.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE_SECONDS):
                await asyncio.shield(self._stopped)
        if not self._stopped.done():
            self._line.cut()
            with suppress(TimeoutError):
                async with asyncio.timeout(GRACE_SECONDS):
                    await asyncio.shield(self._stopped)

    # ------------------------------------------------------------------------------- in the loop's thread

    def _flush(self) -> None:
        if self._closing.is_set():
            return  # the thread takes nothing more; close() answers
        batch: list[_Request] = []
        weight = 0
        while self._pending and (not batch or weight + self._pending[0].weight <= self._most):
            request = self._pending.popleft()
            if not request.answer.done():
                batch.append(request)
                weight += request.weight
        if not batch or self._loop is None:
            self._scheduled = False
            return
        patience = max(request.until for request in batch) - time.monotonic()
        # The server breaks off what takes too long; if even that answer stays away, the line is dead.
        self._watch = self._loop.call_later(2 * max(patience, 0) + GRACE_SECONDS, self._line.cut)
        self._inbox.put(batch)

    def _answered(self, answers: Sequence[_Answer]) -> None:
        if self._watch is not None:
            self._watch.cancel()
        for request, answer in answers:
            if request.answer.done():
                continue
            if isinstance(answer, Exception):
                request.answer.set_exception(answer)
            else:
                request.answer.set_result(answer)
        if self._loop is not None:  # behind the tasks that these answers wake, to take what they ask for along
            self._loop.call_soon(self._flush)

    # ------------------------------------------------------------------------------- in the lane's thread

    def _work(self, loop: asyncio.AbstractEventLoop, stopped: asyncio.Future[None]) -> None:
        # The loop may be closed when an answer comes; then nobody waits for it.
        with suppress(RuntimeError):
            while (batch := self._inbox.get()) is not None:
                loop.call_soon_threadsafe(self._answered, self._answers(batch))
        self._line.close()
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(stopped.set_result, None)

    def _answers(self, batch: Sequence[_Request]) -> list[_Answer]:
        by_job: dict[int, list[_Request]] = {}
        for request in batch:
            by_job.setdefault(id(request.job), []).append(request)
        answers: list[_Answer] = []
        for requests in by_job.values():
            try:
                answers += self._run(requests)
            except psycopg.Error as error:
                said = " ".join(str(error).split()) or type(error).__name__
                answers += [(one, LogUnavailable(f"the {self._name} failed: {said}")) for one in requests]
            except Exception as error:  # our own mistake: the callers must see it, the thread must live on
                answers += [(one, error) for one in requests]
        return answers

    def _run(self, requests: Sequence[_Request]) -> Sequence[_Answer]:
        job = requests[0].job
        until = max(request.until for request in requests)
        attempt = 1
        while True:
            cursor = self._cursor(until)
            try:
                self._line.limit(until)
                waited_for = [request for request in requests if not request.answer.done()]
                given = job.run(cursor, [request.argument for request in waited_for]) if waited_for else []
                return list(zip(waited_for, given, strict=True))
            except psycopg.OperationalError:
                if not (job.again and self._line.lost()) or attempt == ATTEMPTS or self._closing.is_set():
                    raise
                attempt += 1

    def _cursor(self, until: float) -> Cursor[Any]:
        """A cursor on an open connection, made anew if the last one was lost."""
        for wait in CONNECT_WAITS:
            try:
                return self._line.cursor(self._connect)
            except psycopg.OperationalError:
                if time.monotonic() + wait > until or self._closing.wait(wait):
                    raise
        return self._line.cursor(self._connect)


class _Line:
    """The connection of a lane, with a handle by which another thread can break it."""

    def __init__(self) -> None:
        self._connection: Connection[Any] | None = None
        self._cursor: Cursor[Any] | None = None
        self._socket: socket.socket | None = None
        self._milliseconds = 0

    def cursor(self, connect: Callable[[], Connection[Any]]) -> Cursor[Any]:
        """The one cursor of the connection."""
        if self._cursor is None or self.lost():
            self.close()
            self._connection = connect()
            self._socket = socket.fromfd(self._connection.fileno(), socket.AF_UNIX, socket.SOCK_STREAM)
            self._cursor = self._connection.cursor(binary=True)
            self._milliseconds = 0
        return self._cursor

    def limit(self, until: float) -> None:
        """Lets the server break off every following statement after at least the time left.

        In powers of two, so that it is seldom set anew: who cannot wait so long has stopped waiting himself.
        """
        milliseconds = 1 << max(int((until - time.monotonic()) * 1000), 1).bit_length()
        if milliseconds != self._milliseconds and self._cursor is not None:
            self._cursor.execute("SELECT set_config('statement_timeout', %s, false)", [str(milliseconds)])
            self._milliseconds = milliseconds

    def lost(self) -> bool:
        """Whether the connection is gone."""
        return self._connection is None or self._connection.closed or self._connection.broken

    def cut(self) -> None:
        """Breaks the connection under whoever waits for it, from any thread."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Closes what is open."""
        if self._socket is not None:
            self._socket.close()
        if self._connection is not None:
            self._connection.close()
        self._connection = self._cursor = self._socket = None
