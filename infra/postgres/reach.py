"""Does the database answer, and which database is it?"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from infra.postgres.server import LocalPostgres

_SHOWN = ("host", "hostaddr", "port", "dbname", "user")  # never the password


class DatabaseUnreachable(RuntimeError):
    """The database does not answer. The message is one sentence: what was tried and what to do."""


@dataclass(frozen=True, slots=True)
class Database:
    """A database that answers; `stop` ends what was started for it, and nothing else."""

    dsn: str
    origin: str
    stop: Callable[[], None]


def find_database(folder: Path, environ: Mapping[str, str] = os.environ, timeout: float = 60.0) -> Database:
    """The database of `DATABASE_URL` if that is set, else a local PostgreSQL with its data in `folder`.

    Raises:
        DatabaseUnreachable: `DATABASE_URL` is set and nothing answers there.
        LocalPostgresError: the local one could not be started.
    """
    if dsn := environ.get("DATABASE_URL"):
        connect_check(dsn)
        return Database(dsn, "DATABASE_URL", lambda: None)
    server = LocalPostgres(folder)
    return Database(server.start(timeout), "local", server.stop)


def connect_check(dsn: str, timeout: int = 5) -> None:
    """Connects once and asks `SELECT 1`.

    Raises:
        DatabaseUnreachable: not a connection string, nobody answers, or not to us.
    """
    try:
        parts = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        # libpq's own message repeats the text, and a password with it
        raise DatabaseUnreachable(
            "DATABASE_URL is not a PostgreSQL connection string: write it as"
            " postgresql://user:password@host:5432/database or as key=value pairs."
        ) from None
    try:
        with psycopg.connect(dsn, connect_timeout=timeout) as connection:
            connection.execute("SELECT 1")
    except psycopg.Error as error:
        where = " ".join(f"{name}={parts[name]}" for name in _SHOWN if parts.get(name)) or "libpq's defaults"
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DatabaseUnreachable(
            f"PostgreSQL does not answer at {where} ({reason}): start it or correct DATABASE_URL;"
            " without DATABASE_URL a local one is started."
        ) from error
