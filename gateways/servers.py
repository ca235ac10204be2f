"""Which servers a deployment in a data folder runs on: the folder remembers its name and its local servers."""

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateways.app import (
    Backend,
    UnusableFolder,
    find_local_broker,
    find_local_database,
    kafka_backend,
    postgres_backend,
)

_DEPLOYMENT: Final = "deployment"


@dataclass(frozen=True, slots=True)
class Servers:
    """Where PostgreSQL and (if used) Kafka answer, and the deployment's name."""

    dsn: str
    bootstrap: str | None
    deployment: str
    vault_key: Path

    def backend(self) -> Backend:
        """The pair of logs."""
        if self.bootstrap is None:
            return postgres_backend(self.dsn, self.deployment)
        return kafka_backend(self.bootstrap, self.deployment)


def deployment_name(folder: Path) -> str:
    """The name of the folder's deployment; drawn at random once, so that shared servers may know many.

    Of several processes that draw, all get the same; a crash leaves a whole name or none. Whether a deployment may
    have the name is checked by what is made under it.
    """
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


@contextmanager
def servers(folder: Path, kafka: bool) -> Iterator[Servers]:
    """Starts (or takes over) what the folder's deployment needs, and ends what it started.

    Raises:
        UnusableFolder, DatabaseUnreachable, LocalPostgresError, LocalBrokerError: one sentence, what was
            tried and what to do.
    """
    try:
        deployment = deployment_name(folder)
    except OSError as error:
        raise UnusableFolder(f"nothing can be kept in {folder} ({error}): choose another --data") from error
    with ExitStack() as ends:
        database = find_local_database(folder / "postgres")
        ends.callback(database.stop)
        bootstrap = None
        if kafka:
            broker = find_local_broker(folder / "kafka")
            ends.callback(broker.stop)
            bootstrap, deployment = broker.bootstrap, f"{deployment}_kafka"
        yield Servers(database.dsn, bootstrap, deployment, folder / "vault.key")
