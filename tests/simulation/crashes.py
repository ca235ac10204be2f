"""Crashes drawn from a seed, before and after every kind of append and commit, and half way through a send."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from consumers.ports import CommandLog, EventLog, NewRecord, Owner, Partition
from consumers.project import NewRow, Reached
from infra.postgres.views import PostgresViews


class Crash(BaseException):
    """The process died here. Not an `Exception`: no code of the product may catch it."""


class Crashes:
    """Decides at each point whether the process dies; counts the points at which it did."""

    def __init__(self, seed: int, chance: float, most: int) -> None:
        self._rng, self._chance, self._most = random.Random(seed), chance, most
        self.at: list[str] = []

    def maybe(self, point: str) -> None:
        if len(self.at) < self._most and self._rng.random() < self._chance:
            self.at.append(point)
            raise Crash(point)

    def cut(self, length: int) -> int:
        """How much of a send gets through before it dies."""
        return self._rng.randrange(length + 1)


class CrashingOwner:
    """An owner whose process may die before or after an append."""

    def __init__(self, inner: Owner, crashes: Crashes) -> None:
        self._inner, self._crashes = inner, crashes

    async def append(self, records: Sequence[NewRecord], deadline: float) -> None:
        self._crashes.maybe("before append")
        await self._inner.append(records, deadline)
        self._crashes.maybe("after append")

    async def close(self) -> None:
        await self._inner.close()


class CrashingEvents:
    """An event log around another one."""

    def __init__(self, inner: EventLog, crashes: Crashes) -> None:
        self._inner, self._crashes = inner, crashes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def claim(self, partition: Partition) -> Owner:
        return CrashingOwner(await self._inner.claim(partition), self._crashes)


class CrashingCommands:
    """A command log around another one; a send may stop half way."""

    def __init__(self, inner: CommandLog, crashes: Crashes) -> None:
        self._inner, self._crashes = inner, crashes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def send(self, commands: Sequence[tuple[Partition, NewRecord]], deadline: float) -> None:
        self._crashes.maybe("before send")
        try:
            self._crashes.maybe("within send")
        except Crash:
            await self._inner.send(commands[: self._crashes.cut(len(commands))], deadline)
            raise
        await self._inner.send(commands, deadline)
        self._crashes.maybe("after send")


class CrashingViews(PostgresViews):
    """A view store whose process may die before or after a commit."""

    crashes: Crashes | None = None

    async def apply(self, rows: Mapping[str, Sequence[NewRow]], reached: Mapping[Partition, Reached]) -> None:
        if self.crashes is not None:
            self.crashes.maybe("before projection")
        await super().apply(rows, reached)
        if self.crashes is not None:
            self.crashes.maybe("after projection")
