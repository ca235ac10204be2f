"""A whole log moved and kept: embedded, Kafka and files are the same log, backups are whole or refused."""

import asyncio
import random
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from consumers.extent import Source, survey
from consumers.ports import Partition, StoredRecord
from consumers.reading import CHAIN, SOURCE, between
from consumers.transfer import copy
from gateways.app import App, deployment_of, log_sink, release_ledger
from gateways.app.backends import (
    Backend,
    kafka_backend,
    memory_backend,
    postgres_backend,
)
from gateways.transfer import Side, copy_between, read_archive, write_archive
from infra.embedded.memory import MemoryStore
from tests.simulation.runs import examine
from tests.simulation.world import World

PARTITIONS = 2
NEWER = 9_999

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True, slots=True)
class Day:
    """A short day that was lived through on a log in memory; `account` is every fact of every key."""

    name: str
    store: MemoryStore
    dsn: str
    account: dict[tuple[str, str], list[str]]

    @property
    def side(self) -> Side:
        """The deployment that has lived."""
        return Side(deployment_of(self.name, PARTITIONS), memory_backend(self.name, self.store))

    def embedded(self, name: str) -> Side:
        """The deployment of this name in PostgreSQL, as another process would see it."""
        return Side(deployment_of(name, PARTITIONS), postgres_backend(self.dsn, name))

    def on_kafka(self, bootstrap: str, name: str) -> Side:
        """The deployment of this name on Kafka, as another process would see it."""
        return Side(deployment_of(name, PARTITIONS), kafka_backend(bootstrap, name))

    def fresh(self) -> str:
        """A name that nobody has used."""
        return f"{self.name}_{secrets.token_hex(2)}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def day(postgres_dsn: str) -> AsyncIterator[Day]:
    name, store = f"moved_{secrets.token_hex(4)}", MemoryStore()
    app = App(memory_backend(name, store), postgres_dsn, name, PARTITIONS)
    await app.start()
    for step in World(1).steps:
        await app.drive.tick(step.moment)
        await app.drive.send(app.door.admit(step.commands))
        await app.drive.settle()
    account, problems = await examine(app)
    assert problems == []
    yield Day(name, store, postgres_dsn, account)
    await app.views.drop()
    await app.close()


async def everything(backend: Backend, partitions: tuple[Partition, ...]) -> dict[Partition, tuple[Any, Any]]:
    """Every command and record, without positions: a record names its command's place among the commands."""
    found: dict[Partition, tuple[Any, Any]] = {}
    await asyncio.gather(backend.events.start(), backend.commands.start())
    for partition in partitions:
        commands = [one async for one in between(backend.commands, partition, 0)]
        place = {one.position: n for n, one in enumerate(commands)}
        records = [one async for one in between(backend.events, partition, 0)]
        found[partition] = (
            [(one.key, one.value, tuple(one.headers)) for one in commands],
            [(one.key, one.value, _placed(one, place)) for one in records],
        )
    await asyncio.gather(backend.events.close(), backend.commands.close())
    return found


def _placed(record: StoredRecord, place: dict[int, int]) -> tuple[tuple[str, object], ...]:
    return tuple((name, place[int(value)] if name == SOURCE else value) for name, value in record.headers)


async def verified(backend: Backend, dsn: str, name: str) -> None:
    """Every decision made again by a process that wrote nothing gives the same bytes."""
    reading = App(backend, dsn, name, PARTITIONS)
    await reading.open_logs()
    try:
        verdicts = await reading.verify_decisions()
        assert [verdict.differences for verdict in verdicts if not verdict.holds] == []
        assert sum(verdict.records for verdict in verdicts) > 800
    finally:
        await reading.close()


async def proved(backend: Backend, dsn: str, name: str) -> dict[tuple[str, str], list[str]]:
    """The account of a deployment that was filled: every decision made again, every view rebuilt and compared."""
    running = App(backend, dsn, name, PARTITIONS)
    await running.start()
    try:
        account, problems = await examine(running)
        assert problems == []
        return account
    finally:
        await running.views.drop()
        await running.close()


async def test_embedded_to_files_to_kafka_and_back_is_the_same_log(
    day: Day, kafka_bootstrap: str, tmp_path: Path
) -> None:
    embedded, kafka, back = day.fresh(), day.fresh(), day.fresh()
    partitions = day.side.deployment.layout.partitions
    expected = await everything(day.side.backend, partitions)
    await copy_between(day.side, day.embedded(embedded), day.dsn)
    assert await everything(day.embedded(embedded).backend, partitions) == expected
    await published(day.embedded(embedded))
    plan, _, _ = await write_archive(day.embedded(embedded), day.dsn, tmp_path / "one", vault=False)
    assert plan.tick == World(1).steps[-1].moment.n
    await read_archive(tmp_path / "one", day.on_kafka(kafka_bootstrap, kafka), day.dsn, tmp_path / "key")
    assert await everything(day.on_kafka(kafka_bootstrap, kafka).backend, partitions) == expected
    assert (await read(day.on_kafka(kafka_bootstrap, kafka)))[NEWER] == newer_schema()
    await verified(day.on_kafka(kafka_bootstrap, kafka).backend, day.dsn, kafka)
    await copy_between(day.on_kafka(kafka_bootstrap, kafka), day.embedded(back), day.dsn)
    assert await everything(day.embedded(back).backend, partitions) == expected
    assert await read(day.embedded(back)) == release_ledger() | {NEWER: newer_schema()}
    await write_archive(day.embedded(back), day.dsn, tmp_path / "two", vault=False)
    assert files(tmp_path / "one") == files(tmp_path / "two"), "the same files as before the journey"
    assert await proved(day.embedded(back).backend, day.dsn, back) == day.account


def newer_schema() -> dict[str, Any]:
    """A message that this release does not know, as a newer one has published it on the log."""
    known = next(schema for schema in release_ledger().values() if schema["name"] == "gridbook.party.PartyRegistered")
    return {**known, "name": "gridbook.party.PartyRenamed"}


async def published(side: Side) -> None:
    await side.backend.schemas.start()
    await side.backend.schemas.publish({NEWER: newer_schema()})
    await side.backend.schemas.close()


async def read(side: Side) -> dict[int, dict[str, Any]]:
    await side.backend.schemas.start()
    found = await side.backend.schemas.load()
    await side.backend.schemas.close()
    return found


def files(archive: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in archive.glob("*-*.avro")}


class Early:
    """An events log whose ends are first seen somewhere in its past, as those of a running deployment are."""

    def __init__(self, backend: Backend, rng: random.Random) -> None:
        self._events, self._rng = backend.events, rng
        self._asked: set[Partition] = set()

    async def read(self, partition: Partition, position: int, limit: int) -> Any:
        return await self._events.read(partition, position, limit)

    async def end(self, partition: Partition) -> int:
        if partition in self._asked:
            return await self._events.end(partition)
        self._asked.add(partition)
        records = [one async for one in between(self._events, partition, 0)]
        borders = [one.position + 1 for one in records if any(name == CHAIN for name, _ in one.headers)]
        return self._rng.choice(borders[len(borders) // 2 :])


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_copy_of_a_running_deployment_lives_on(day: Day, seed: int) -> None:
    name, store, source = day.fresh(), MemoryStore(), day.side.backend
    made = deployment_of(name, PARTITIONS)
    await asyncio.gather(source.events.start(), source.commands.start())
    logs = Source(Early(source, random.Random(seed)), source.commands)
    plan = await survey(logs, made.codec, made.layout.partitions)
    target = memory_backend(name, store)
    await asyncio.gather(target.events.start(), target.commands.start())
    await copy(logs, plan, log_sink(target, day.dsn, name, "a running one"))
    whole = [await source.events.end(extent.partition) for extent in plan.extents]
    assert any(extent.events_end < end for extent, end in zip(plan.extents, whole, strict=True))
    app = App(memory_backend(name, store), day.dsn, name, PARTITIONS)
    await app.start()
    try:
        assert app.drive.passed >= plan.tick > 0
        for step in World(1).steps:
            if step.moment.n > app.drive.passed:
                await app.drive.tick(step.moment)
                await app.drive.send(app.door.admit(step.commands))
                await app.drive.settle()
        account, problems = await examine(app)
        assert problems == []
        assert app.drive.passed == World(1).steps[-1].moment.n
        assert account.keys() <= day.account.keys()
    finally:
        await app.views.drop()
        await app.close()
