"""What every test may use: hypothesis without chance, and one real PostgreSQL and one real Kafka a session."""

import os
import zoneinfo
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# As the product's processes do: rules of time zones come from the lock, not from the machine.
zoneinfo.reset_tzpath(())

# A failure must come back on the next run and on every machine; machines are slow when they like.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

# Also where somebody has compiled: what is tested is the source. The tests of the compiled modules ask for them.
os.environ.setdefault("GRIDBOOK_COMPILED", "no")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--seeds N`: how many seeds the simulation runs."""
    parser.addoption("--seeds", default="10", help="seeds of the simulation (default 10)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What one worker runs by itself: a file, so that its fixtures are made once, or all that share servers.

    Tests that kill servers have their own, so they go on beside those that use the shared ones.
    """
    for item in items:
        folder = item.path.relative_to(config.rootpath).parts[1]
        group = {"contract": "servers", "e2e": "servers", "faults": "faults"}.get(folder, str(item.path))
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def postgres_dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The database of DATABASE_URL, else one that is started for this session; without either a test fails."""
    from infra.postgres.installation import LocalPostgresError
    from infra.postgres.reach import DatabaseUnreachable, find_database
    from infra.postgres.server import LocalPostgres

    folder = tmp_path_factory.mktemp("postgres")
    try:
        database = find_database(folder)
    except (DatabaseUnreachable, LocalPostgresError) as error:
        pytest.fail(str(error), pytrace=False)
    yield database.dsn
    database.stop()
    if database.origin == "local":
        LocalPostgres(folder).destroy()


@pytest.fixture(scope="session")
def kafka_bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The broker of KAFKA_BOOTSTRAP, else one in Docker or run by Java; without all of them a test fails."""
    from infra.kafka.broker.find import find_broker
    from infra.kafka.broker.runtime import LocalBrokerError

    folder: Path = tmp_path_factory.mktemp("kafka")
    try:
        broker = find_broker(folder)
    except LocalBrokerError as error:
        pytest.fail(str(error), pytrace=False)
    yield broker.bootstrap
    broker.stop()
