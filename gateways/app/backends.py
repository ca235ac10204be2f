"""Which pipes a deployment can stand on: logs in memory, embedded in PostgreSQL, or on Kafka; and local servers."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from consumers.ports import CommandLog, EventLog, Group, SchemaLog
from consumers.workers import Alone
from gateways.roles import READS_COMMANDS
from infra.embedded.memory import MemoryCommandLog, MemoryEventLog, MemoryStore
from infra.embedded.postgres import PostgresCommandLog, PostgresEventLog
from infra.embedded.schemas import MemorySchemas, PostgresSchemas
from infra.kafka.broker import Broker, find_broker
from infra.kafka.command_log import KafkaCommandLog
from infra.kafka.event_log import KafkaEventLog
from infra.kafka.group import KafkaGroup
from infra.kafka.schemas_topic import KafkaSchemas
from infra.kafka.topics import TopicSettings
from infra.postgres.reach import Database, find_database


class ServedEventLog(EventLog, Protocol):
    """An event log with a life."""

    async def start(self) -> None: ...

    async def close(self) -> None: ...


class ServedCommandLog(CommandLog, Protocol):
    """A command log with a life."""

    async def start(self) -> None: ...

    async def close(self) -> None: ...


class ServedSchemaLog(SchemaLog, Protocol):
    """A log of schemas with a life."""

    async def start(self) -> None: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Backend:
    """The logs that a deployment stands on; alone in this process unless told."""

    events: ServedEventLog
    commands: ServedCommandLog
    schemas: ServedSchemaLog = field(default_factory=lambda: MemorySchemas("alone"))
    group: Callable[[str], Group] = lambda _: Alone()
    """The group of a role."""

    async def start(self) -> None:
        """Connects all three."""
        await asyncio.gather(self.events.start(), self.commands.start(), self.schemas.start())

    async def close(self) -> None:
        """Ends all connections; never raises."""
        await asyncio.gather(self.events.close(), self.commands.close(), self.schemas.close())


def memory_backend(deployment: str, store: MemoryStore | None = None) -> Backend:
    """Logs in this process's memory, for tests and simulations; what shares a `store` is the same log."""
    store = store or MemoryStore()
    return Backend(MemoryEventLog(deployment, store), MemoryCommandLog(deployment, store), MemorySchemas(deployment))


def postgres_backend(dsn: str, deployment: str) -> Backend:
    """The embedded default: logs in PostgreSQL."""
    events, commands = PostgresEventLog(dsn, deployment), PostgresCommandLog(dsn, deployment)
    return Backend(events, commands, PostgresSchemas(dsn, deployment))


def kafka_backend(bootstrap: str, deployment: str, copies: tuple[int, int] = (1, 1)) -> Backend:
    """The product: logs on Kafka; `copies` of a topic, and how many must stand."""
    settings = TopicSettings(*copies)

    def group(role: str) -> Group:
        return KafkaGroup(bootstrap, deployment, role, "commands" if role in READS_COMMANDS else "events")

    events, commands = KafkaEventLog(bootstrap, deployment, settings), KafkaCommandLog(bootstrap, deployment, settings)
    return Backend(events, commands, KafkaSchemas(bootstrap, deployment, settings), group)


def find_local_database(folder: Path) -> Database:
    """The database of `DATABASE_URL`, else a local one with its data in `folder`."""
    return find_database(folder)


def find_local_broker(folder: Path) -> Broker:
    """The broker of `KAFKA_BOOTSTRAP`, else a local one with its data in `folder`."""
    return find_broker(folder, keep_data=True)


def is_local(broker: Broker) -> bool:
    """Whether the broker is one that was started for this: alone, it keeps one copy of everything."""
    return broker.origin != "KAFKA_BOOTSTRAP"
