"""The backends of the two logs' contracts."""

import uuid
from collections.abc import AsyncIterator

import pytest

from tests.contract.backends import Backend, KafkaBackend, MemoryBackend, PostgresBackend


def _made(name: str, request: pytest.FixtureRequest) -> Backend:
    if name == "memory":
        return MemoryBackend()
    if name == "postgres":
        return PostgresBackend(request.getfixturevalue("postgres_dsn"))
    return KafkaBackend(request.getfixturevalue("kafka_bootstrap"))


@pytest.fixture(params=["memory", "postgres", "kafka"])
def _any_backend(request: pytest.FixtureRequest) -> Backend:
    return _made(request.param, request)


@pytest.fixture(params=["postgres", "kafka"])
def _transactional_backend(request: pytest.FixtureRequest) -> Backend:
    return _made(request.param, request)


@pytest.fixture
async def backend(_any_backend: Backend) -> AsyncIterator[Backend]:
    """Each store in turn."""
    yield _any_backend
    await _any_backend.close()


@pytest.fixture
async def transactional(_transactional_backend: Backend) -> AsyncIterator[Backend]:
    """Each store in which a write can be open."""
    yield _transactional_backend
    await _transactional_backend.close()


@pytest.fixture
async def postgres(postgres_dsn: str) -> AsyncIterator[PostgresBackend]:
    """PostgreSQL alone."""
    made = PostgresBackend(postgres_dsn)
    yield made
    await made.close()


@pytest.fixture
def deployment() -> str:
    """A name that nobody has used."""
    return f"t{uuid.uuid4().hex[:12]}"
