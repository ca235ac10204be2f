"""Which servers a deployment in a data folder runs on: the folder remembers its name and its local servers."""

import os
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateways.app import UnusableFolder
from gateways.app.backends import (
    Backend,
    find_local_broker,
    find_local_database,
    is_local,
    kafka_backend,
    postgres_backend,
)
from gateways.running import alone
from gateways.settings import Settings

_DEPLOYMENT: Final = "deployment"


@dataclass(frozen=True, slots=True)
class Servers:
    """Where PostgreSQL and (if used) Kafka answer, and the deployment's name.

    `copies` of a topic are kept, and so many must stand before an append counts.
    """

    dsn: str
    bootstrap: str | None
    deployment: str
    vault_key: Path
    copies: tuple[int, int] = (1, 1)

    def backend(self) -> Backend:
        """The pair of logs."""
        if self.bootstrap is None:
            return postgres_backend(self.dsn, self.deployment)
        return kafka_backend(self.bootstrap, self.deployment, self.copies)


def deployment_name(folder: Path) -> str:
    """The name of the folder's deployment; drawn at random once, so that shared servers may know many.

    Of several processes that draw, all get the same; a crash leaves a whole name or none. Whether a deployment may
    have the name is checked by what is made under it.

    Raises:
        UnusableFolder: nothing can be kept there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        named = folder / _DEPLOYMENT
        if not named.exists():
            name = f"gb_{secrets.token_hex(4)}"
            drawn = folder / f"{_DEPLOYMENT}.{name}"
            drawn.write_text(f"{name}\n")
            with suppress(FileExistsError):  # somebody was faster: theirs is the name
                os.link(drawn, named)
            drawn.unlink()
        return named.read_text().strip()
    except OSError as error:
        raise UnusableFolder(f"nothing can be kept in {folder} ({error}): choose another --data") from error


@contextmanager
def servers(folder: Path, kafka: bool, settings: Settings | None = None) -> Iterator[Servers]:
    """What the folder's deployment needs: as the settings name it, else started here, and ended in the end.

    Whoever starts something is alone in the folder for so long: two would end each other's servers.

    Raises:
        AlreadyRuns: somebody else is there.
        UnusableFolder, DatabaseUnreachable, LocalPostgresError, LocalBrokerError: one sentence, what was
            tried and what to do.
    """
    starts = settings is None or not all_named(settings, kafka)
    with alone(folder) if starts else nullcontext(), own_servers(folder, kafka, settings) as places:
        yield places


@contextmanager
def own_servers(folder: Path, kafka: bool, settings: Settings | None = None) -> Iterator[Servers]:
    """As `servers`, for who is alone in the folder. Starts what the settings do not name, or takes over what a killed
    process has left running, and ends both.

    Without settings the names and copies of a local deployment hold.
    """
    deployment = deployment_name(folder)
    if settings is not None and (given := _given(settings, kafka, deployment, folder)) is not None:
        yield given
        return
    with _ended_together() as ends:
        database = find_local_database(folder / "postgres")
        ends.append(database.stop)
        bootstrap, copies = None, (1, 1)
        if kafka:
            broker = find_local_broker(folder / "kafka")
            ends.append(broker.stop)
            bootstrap, deployment = broker.bootstrap, f"{deployment}_kafka"
            if settings is not None:
                copies = settings.copies(is_local(broker))
        if settings is not None and settings.deployment is not None:
            deployment = settings.deployment
        yield Servers(database.dsn, bootstrap, deployment, folder / "vault.key", copies)


@contextmanager
def _ended_together() -> Iterator[list[Callable[[], None]]]:
    """Servers, each with how it is ended; all at once, because `gridbook up` has some seconds only."""
    ends: list[Callable[[], None]] = []
    try:
        yield ends
    finally:
        with ThreadPoolExecutor() as threads:
            for ending in [threads.submit(end) for end in ends]:
                ending.result()


def all_named(settings: Settings, kafka: bool) -> bool:
    """Whether the settings name every server, so that none has to be started."""
    return settings.database_url is not None and not (kafka and settings.kafka_bootstrap is None)


def _given(settings: Settings, kafka: bool, drawn: str, folder: Path) -> Servers | None:
    """The servers that the settings name, if nothing has to be started: whether they answer now is no question here,
    because a process waits for what is gone."""
    if settings.database_url is None or not all_named(settings, kafka):
        return None
    deployment = settings.deployment or (f"{drawn}_kafka" if kafka else drawn)
    bootstrap, copies = (settings.kafka_bootstrap, settings.copies(local_broker=False)) if kafka else (None, (1, 1))
    return Servers(settings.database_url.get_secret_value(), bootstrap, deployment, folder / "vault.key", copies)
