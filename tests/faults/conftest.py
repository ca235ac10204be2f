"""Servers of these tests' own, because they are killed, and a nursery for processes, because those are too."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.kafka.broker import LocalBroker, LocalBrokerError
from infra.postgres.server import LocalPostgres, LocalPostgresError
from tests.faults.processes import Nursery, Place


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    """A broker that may be killed, and that misses dead members of a group sooner than others allow."""
    made = LocalBroker(tmp_path_factory.mktemp("broker"), {"group.min.session.timeout.ms": "500"}, heap="512m")
    try:
        made.start()
    except LocalBrokerError as error:
        pytest.fail(str(error), pytrace=False)
    yield made
    made.stop()


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    """A PostgreSQL that may be killed."""
    made = LocalPostgres(tmp_path_factory.mktemp("database"))
    try:
        made.start()
    except LocalPostgresError as error:
        pytest.fail(str(error), pytrace=False)
    yield made
    made.destroy()


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Processes of the product, quickly."""
    with Nursery("brisk") as made:
        yield made


@pytest.fixture
def place(broker: LocalBroker, database: LocalPostgres, tmp_path: Path) -> Place:
    """A new deployment on Kafka."""
    return Place(f"f_{uuid.uuid4().hex[:12]}", database.dsn, broker.bootstrap, tmp_path / "data")
