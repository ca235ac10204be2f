"""Lines to a stream, written by a thread of their own: who says something never waits for who listens."""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Final, TextIO

MAX_LINES: Final = 10_000
"""Lines that wait while nobody reads the stream; what comes on top is counted and dropped."""

CLOSE_SECONDS: Final = 1.0
"""Time for what still waits when the process ends."""

_AT_ONCE: Final = 500


class Lines:
    """A bounded queue of lines in front of a stream.

    Args:
        stream: where they go, at once.
        lost: the line that tells how many lines were dropped, once they flow again.
    """

    def __init__(self, stream: TextIO, lost: Callable[[int], str], most: int = MAX_LINES) -> None:
        self._write, self._lost_line, self._most = _writer(stream), lost, most
        self._queue: SimpleQueue[str | None] = SimpleQueue()
        self._unsaid = 0
        self._gone = False
        self.lost = 0
        """Lines dropped so far."""
        self._thread = threading.Thread(target=self._write_all, name="log lines", daemon=True)
        self._thread.start()

    def put(self, line: str) -> None:
        """Takes a line without its end; never waits, never raises."""
        if self._gone or self._queue.qsize() >= self._most:
            self.lost += 1
            self._unsaid += 1
        else:
            self._queue.put(line)

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Ends the thread when everything is written, or after `seconds`; what is said afterwards is lost."""
        self._queue.put(None)
        self._thread.join(seconds)
        self._gone = True

    def _write_all(self) -> None:
        ended = False
        while not ended:
            lines = [self._queue.get()]
            with suppress(Empty):
                while len(lines) < _AT_ONCE:
                    lines.append(self._queue.get_nowait())
            ended = lines[-1] is None
            text = "".join(f"{line}\n" for line in lines if line is not None)
            if self._unsaid and self._queue.empty():
                unsaid, self._unsaid = self._unsaid, 0
                text += f"{self._lost_line(unsaid)}\n"
            try:
                self._write(text)
            except (OSError, ValueError):  # whoever listened is gone, or the stream is closed: the work goes on
                self._unsaid += len(lines)
                self.lost += len(lines)
                time.sleep(0.05)  # a full disk may have room again; nothing here may spin


def _writer(stream: TextIO) -> Callable[[str], None]:
    encoding = stream.encoding or "utf-8"
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):  # a stream in memory

        def write(text: str) -> None:
            stream.write(text)
            stream.flush()

        return write

    def write_through(text: str) -> None:
        # Not through the stream's buffer: a thread that waits inside it would break the end of the process.
        data = memoryview(text.encode(encoding, "backslashreplace"))
        while data:
            try:
                data = data[os.write(descriptor, data) :]
            except BlockingIOError:
                time.sleep(0.01)

    return write_through
