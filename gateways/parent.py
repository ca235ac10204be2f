"""A child's side of `gridbook up`: it ends with its parent, also with one that was killed, and tells it its address.

The two ends of a socket hold them together: the kernel closes the parent's end however the parent dies.
"""

import os
import signal
import socket
import threading
import time
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Final

from gateways.settings import PARENT

LAST_SECONDS: Final = 8.0
"""So long after its parent a child may end what it has begun."""


class Parent:
    """Who has started this process; nobody in particular when `line` is none."""

    def __init__(self, line: socket.socket | None) -> None:
        self._line = line

    def tell(self, url: str | None) -> None:
        """Where this process's health is answered; never raises, never waits. None: nowhere."""
        if self._line is not None:
            with suppress(OSError):
                self._line.send(f"{url or 'none'}\n".encode())


def end_with_parent(environ: MutableMapping[str, str] = os.environ, last_seconds: float = LAST_SECONDS) -> Parent:
    """Sends this process SIGTERM when its parent is gone, and ends it hard after `last_seconds` more.

    Watched by a thread, so also while the event loop is busy. Does nothing in a process that `gridbook up` has not
    started.
    """
    descriptor = environ.pop(PARENT, None)  # children of this process are no children of its parent
    if descriptor is None:
        return Parent(None)
    line = socket.socket(fileno=int(descriptor))
    line.set_inheritable(False)
    line.setblocking(True)
    threading.Thread(target=_watch, args=(line, last_seconds), name="parent", daemon=True).start()
    return Parent(line)


def _watch(line: socket.socket, last_seconds: float) -> None:
    with suppress(OSError):
        while line.recv(64):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(last_seconds)
    os._exit(1)
