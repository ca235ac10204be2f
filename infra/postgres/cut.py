"""Ending what is under way on a connection to a server that does not even answer that the time is over."""

import socket
from contextlib import suppress
from typing import Any

import psycopg


def cut(connection: "psycopg.Connection[Any] | psycopg.AsyncConnection[Any]") -> None:
    """Whoever waits for an answer gets an error instead; from any thread, and nothing on a closed connection."""
    with (
        suppress(OSError, psycopg.Error),
        socket.fromfd(connection.fileno(), socket.AF_UNIX, socket.SOCK_STREAM) as line,
    ):
        line.shutdown(socket.SHUT_RDWR)
