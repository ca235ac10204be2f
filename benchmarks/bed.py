"""The test bed: one broker and one database for all benchmarks of a run, started when the first asks."""

import shutil
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psutil
import psycopg

from infra.kafka.broker.find import Broker, find_broker
from infra.local_process import read_pid
from infra.postgres.reach import Database, find_database
from infra.postgres.server import LocalPostgres

FOLDER: Final = Path(__file__).parent.parent / ".gridbook" / "bench"
"""What survives a run (environments of other people's programs) and the folders of runs."""


class Bed:
    """Servers for benchmarks; a context. What was started is stopped and removed in the end."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self.lasting = folder
        self._folder: Path | None = None
        self._broker: Broker | None = None
        self._database: Database | None = None

    @property
    def folder(self) -> Path:
        """A folder of this run only."""
        if self._folder is None:
            self.lasting.mkdir(parents=True, exist_ok=True)
            self._folder = Path(tempfile.mkdtemp(prefix="run-", dir=self.lasting))
        return self._folder

    @property
    def bootstrap(self) -> str:
        """Where the broker answers: that of `KAFKA_BOOTSTRAP`, else a local one."""
        if self._broker is None:
            print("  starting the broker", file=sys.stderr)
            self._broker = find_broker(self.folder / "kafka")
        return self._broker.bootstrap

    @property
    def dsn(self) -> str:
        """Where the database answers: that of `DATABASE_URL`, else a local one."""
        if self._database is None:
            print("  starting the database", file=sys.stderr)
            self._database = find_database(self.folder / "postgres")
        return self._database.dsn

    @property
    def broker_pid(self) -> int | None:
        """The broker's process, when it was started here."""
        mine = self._broker is not None and self._broker.origin == "Java"
        return read_pid(self.folder / "kafka" / "broker.pid") if mine else None

    @property
    def postgres_pid(self) -> int | None:
        """The database's first process, when it was started here."""
        if self._database is None or self._database.origin != "local":
            return None
        with psycopg.connect(self._database.dsn) as connection:
            # Its folder may lie elsewhere: it is the parent of whoever serves us.
            return psutil.Process(connection.info.backend_pid).ppid()

    @property
    def servers(self) -> tuple[int, ...]:
        """The processes of this machine that were started here; somebody else's are not ours to move."""
        return tuple(pid for pid in (self.broker_pid, self.postgres_pid) if pid is not None)

    def postgres_version(self) -> str | None:
        """The database's own word, when one was used."""
        if self._database is None:
            return None
        with psycopg.connect(self._database.dsn) as connection:
            return connection.info.parameter_status("server_version")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._broker is not None:
            self._broker.stop()
        if self._database is not None:
            self._database.stop()
            if self._database.origin == "local":
                LocalPostgres(self.folder / "postgres").destroy()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
