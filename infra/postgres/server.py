"""A real PostgreSQL from a wheel, for the demo and the tests: one data folder, one Unix socket."""

import atexit
import os
import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from infra.local_process import end_process, exclusive, find_process, last_lines, read_pid
from infra.postgres.installation import (
    Account,
    LocalPostgresError,
    programs,
    server_account,
    shared_folder,
)

__all__ = ["LocalPostgres", "LocalPostgresError"]

_SUPERUSER = "postgres"
# The socket is this folder plus `/.s.PGSQL.5432`; the kernel takes 107 bytes, other systems 103.
_LONGEST_SOCKET_FOLDER = 103 - len("/.s.PGSQL.5432")
_NO_PROCESS = 2**31 - 1  # above every system's highest process number
# What children of a killed server still hold; they notice its death within a second or two.
_STILL_ENDING = ("pre-existing shared memory block", "is still in use")

# A small machine, nothing lost at a crash: durability stays on, memory and planner are modest. No parallel
# workers: they need shared memory that containers do not give, and sum in another order each time.
_SETTINGS = """\
listen_addresses = ''
unix_socket_permissions = 0700
max_connections = 100
shared_buffers = 128MB
effective_cache_size = 1GB
work_mem = 16MB
maintenance_work_mem = 128MB
fsync = on
synchronous_commit = on
full_page_writes = on
wal_level = minimal
max_wal_senders = 0
max_wal_size = 1GB
checkpoint_timeout = 15min
log_checkpoints = off
max_parallel_workers_per_gather = 0
max_parallel_maintenance_workers = 0
random_page_cost = 1.1
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
"""


class LocalPostgres:
    """A PostgreSQL server with its data in `folder`; one owner at a time.

    `start()` starts it, or takes over the one a killed owner left behind. It ends with `stop()`, and at the
    latest when this process ends normally. Data survive both, `destroy()` removes them. Only processes of
    this user (and root) reach it. All calls block: `await asyncio.to_thread(server.start)` in a coroutine.

    Where the server's account cannot enter `folder`, or its path is too long for a socket, the data or the
    socket lie in a private folder under /var/tmp; the file `elsewhere` in `folder` names it.
    """

    def __init__(self, folder: Path, database: str = "gridbook") -> None:
        self._folder = folder.expanduser().resolve()
        self._database = database
        self._child: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()
        self._cluster = self._folder / "cluster"
        self._sockets = self._folder / "socket"

    @property
    def dsn(self) -> str:
        """The libpq connection string (key=value); settled by `start()`."""
        return self._dsn(self._database)

    @property
    def pid(self) -> int | None:
        """The server's process, whoever started it; None when it does not run."""
        process = self._running()
        return process.pid if process else None

    def start(self, timeout: float = 60.0) -> str:
        """Returns the DSN of a server that answers; does nothing more when it already runs.

        Raises:
            LocalPostgresError: it does not answer within `timeout` seconds, or cannot be started at all.
        """
        ends = time.monotonic() + timeout
        atexit.register(self.stop)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with exclusive(self._folder / "lock", timeout):
                account = self._settle()
                binaries = programs(account)
                self._initialise(account, binaries, ends)
                self._run_until_it_answers(account, binaries, ends)
                self._make_database()
        except (OSError, TimeoutError, psycopg.Error) as error:
            self._reap()  # only what we started: a lock not got means that somebody else is at it
            atexit.unregister(self.stop)
            raise LocalPostgresError(
                f"The local PostgreSQL with its data in {self._folder} could not be started ({error}):"
                " free that folder, choose another one, or set DATABASE_URL."
            ) from error
        return self.dsn

    def stop(self) -> None:
        """Ends the server after its open transactions are broken off and everything is on disk; idempotent.

        Raises:
            LocalPostgresError: it does not end.
        """
        atexit.unregister(self.stop)
        if os.getpid() != self._owner:  # a forked child inherits the exit handler, not the server
            return
        if not self._folder.exists():
            return
        with exclusive(self._folder / "lock", 60):
            self._end()

    def kill(self) -> None:
        """Ends the server as a power cut would, for tests; the data folder is then recovered by `start()`."""
        if process := self._running():
            end_process(process, [(signal.SIGKILL, 10)])
        self._reap()

    def destroy(self) -> None:
        """Stops the server and removes its data."""
        self.stop()
        if elsewhere := self._elsewhere():
            shutil.rmtree(elsewhere, ignore_errors=True)
        for name in ("cluster", "cluster.new", "socket"):
            shutil.rmtree(self._folder / name, ignore_errors=True)
        for name in ("elsewhere", "lock", "log"):
            (self._folder / name).unlink(missing_ok=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # ------------------------------------------------------------------------------------------- places

    def _settle(self) -> Account:
        """Decides where data and socket lie, and makes those folders."""
        elsewhere = self._elsewhere()
        if elsewhere and (elsewhere / "cluster").exists():
            self._cluster = elsewhere / "cluster"
        account = server_account(self._cluster)
        if not account.reaches(self._cluster):
            elsewhere = elsewhere or self._make_elsewhere(account)
            self._cluster = elsewhere / "cluster"
        self._sockets = self._cluster.with_name("socket")
        # libpq reads a comma as the end of a host.
        if len(os.fsencode(self._sockets)) > _LONGEST_SOCKET_FOLDER or "," in str(self._sockets):
            elsewhere = elsewhere or self._make_elsewhere(account)
            self._sockets = elsewhere / "socket"
        account.make_private(self._sockets)
        return account

    def _elsewhere(self) -> Path | None:
        try:
            return Path((self._folder / "elsewhere").read_text().strip())
        except OSError:
            return None

    def _make_elsewhere(self, account: Account) -> Path:
        # A new name for every new data folder: whoever removes that folder must not meet its old data again.
        folder = shared_folder() / secrets.token_hex(8)
        account.make_private(folder)
        marker = self._folder / "elsewhere"
        marker.with_suffix(".new").write_text(f"{folder}\n")
        marker.with_suffix(".new").rename(marker)
        return folder

    def _initialise(self, account: Account, binaries: Path, ends: float) -> None:
        if not self._cluster.exists():
            # Under another name until it is whole: initdb may be killed in the middle.
            half = self._cluster.with_name("cluster.new")
            shutil.rmtree(half, ignore_errors=True)
            account.make_private(half)
            command = [
                str(binaries / "initdb"), "--pgdata", str(half), "--username", _SUPERUSER, "--auth", "trust",
                "--encoding", "UTF8", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8",
                "--locale", "C", "--set", "include_if_exists=gridbook.conf",
            ]  # fmt: skip
            try:
                subprocess.run(
                    command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                    timeout=max(ends - time.monotonic(), 1), **account.process_options(),
                )  # fmt: skip
            except subprocess.CalledProcessError as error:
                raise OSError(f"initdb: {' '.join(str(error.stderr).split())}") from None
            except subprocess.TimeoutExpired as error:
                raise TimeoutError(str(error)) from None
            half.rename(self._cluster)
        quoted = str(self._sockets).replace("'", "''")
        (self._cluster / "gridbook.conf").write_text(f"{_SETTINGS}unix_socket_directories = '{quoted}'\n")
        (self._cluster / "gridbook.conf").chmod(0o644)

    # ------------------------------------------------------------------------------------------- process

    def _run_until_it_answers(self, account: Account, binaries: Path, ends: float) -> None:
        """Takes over a running server, else starts one: again while children of the last one still end."""
        log = self._folder / "log"
        log_start = log.stat().st_size if log.exists() else 0
        while True:
            failure = self._connect_failure()
            if failure is None:
                return
            if time.monotonic() > ends:
                raise TimeoutError(f"no answer in time: {failure}")
            if self._child and self._child.poll() is not None:
                said = last_lines(log, log_start)
                if not any(text in said for text in _STILL_ENDING):
                    raise OSError(f"it ended at once; its log ends:\n{said}")
                self._child = None
                time.sleep(0.2)
                log_start = log.stat().st_size
            if self._child is None and self._running() is None:
                self._spawn(account, binaries, log)
            time.sleep(0.03)

    def _spawn(self, account: Account, binaries: Path, log: Path) -> None:
        pid_file = self._cluster / "postmaster.pid"
        pid = read_pid(pid_file)
        if pid is not None and psutil.pid_exists(pid):
            # The number lives but is not this server: another program since the machine restarted, or a
            # zombie nobody reaps. PostgreSQL would refuse, so give it a number that never lives. The rest
            # of the file stays: by the shared memory named there, PostgreSQL sees whether children of the
            # old server still run.
            pid_file.write_text("\n".join([str(_NO_PROCESS), *pid_file.read_text().split("\n")[1:]]))
        # The socket's lock file has the same flaw; nobody else uses this folder.
        (self._sockets / ".s.PGSQL.5432.lock").unlink(missing_ok=True)
        log.touch(mode=0o600)  # it repeats statements
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                [str(binaries / "postgres"), "-D", str(self._cluster)],
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True, **account.process_options(),
            )  # fmt: skip

    def _running(self) -> psutil.Process | None:
        """The server of this cluster, if there is one, whoever started it."""
        pid = read_pid(self._cluster / "postmaster.pid")
        return None if pid is None else find_process(pid, str(self._cluster))

    def _end(self) -> None:
        process = self._running()
        # Fast shutdown, then immediate, which the next start recovers from. SIGKILL would leave children.
        if process and not end_process(process, [(signal.SIGINT, 30), (signal.SIGQUIT, 10)]):
            raise LocalPostgresError(
                f"The local PostgreSQL (process {process.pid}) does not end: see {self._folder / 'log'},"
                " then end that process."
            )
        self._reap()

    def _reap(self) -> None:
        if self._child:
            if self._child.poll() is None:  # it had not written its pid file yet
                self._child.send_signal(signal.SIGQUIT)
            self._child.wait(10)
            self._child = None

    # ------------------------------------------------------------------------------------------ database

    def _dsn(self, database: str) -> str:
        return make_conninfo(host=str(self._sockets), port=5432, user=_SUPERUSER, dbname=database)

    def _connect_failure(self) -> str | None:
        try:
            psycopg.connect(self._dsn("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError as error:
            return " ".join(str(error).split())
        return None

    def _make_database(self) -> None:
        with psycopg.connect(self._dsn("postgres"), autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [self._database])
            if known.fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self._database)))
