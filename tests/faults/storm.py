"""Faults of all kinds, drawn from a seed, as long as a load lasts."""

import asyncio
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiokafka.client import CoordinationType
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from consumers.ports import LogUnavailable
from infra.kafka.connection import connect, disconnect, leader
from infra.postgres.server import LocalPostgres
from tests.cluster import LocalCluster
from tests.faults.processes import STOPPED
from tests.faults.trial import Life

NODES: Final = (1, 2, 3)
GAP_SECONDS: Final = (0.5, 5.0)
"""Between two faults."""

PATIENCE_SECONDS: Final = 20.0
"""A load that has not moved for so long gets time to breathe: no fault begins until it moves."""

FREEZE_SECONDS: Final = (7.0, 12.0)
"""Longer than the session of a group (6 s): somebody else takes over."""

PAUSE_SECONDS: Final = (4.0, 9.0)
"""Of a broker; longer than a request may take (3 s)."""

CLOCK_SECONDS: Final = 30.0
"""For a clock to see how far it is ahead; brokers may be away."""

REST_SECONDS: Final = 6.0
"""Between two faults of brokers: two at once are an outage, and copies have to catch up."""

_LOOK_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault. Of those with the same `alone` one happens at a time; `weight` against the others."""

    name: str
    weight: float
    alone: str
    does: Callable[["Storm", Life], Awaitable[str]]
    """Does it and undoes it; returns what was hit."""


class Storm:
    """What happens to a deployment on three brokers and a database.

    Args:
        say: hears of every fault when it is over: the kind, and what was hit.
    """

    def __init__(
        self, seed: int, cluster: LocalCluster, database: LocalPostgres, say: Callable[[str, str], None]
    ) -> None:
        self._rng, self._cluster, self._database, self._say = random.Random(f"{seed} storm"), cluster, database, say
        self._running: dict[str, asyncio.Task[None]] = {}
        self.counts = Counter[str]()
        """Kind → how often."""
        self.killed = Counter[str]()
        """Who was killed by SIGKILL (a role, a broker, the database) → how often."""

    async def __call__(self, life: Life) -> None:
        """Until the load is over; then everything is put right again."""
        moved, sends = time.monotonic(), 0
        while not life.sender.ended.is_set():
            if life.sender.sends != sends:
                moved, sends = time.monotonic(), life.sender.sends
            await asyncio.sleep(self._rng.uniform(*GAP_SECONDS))
            if time.monotonic() - moved < PATIENCE_SECONDS and not life.sender.ended.is_set():
                self._begin(life)
        await asyncio.gather(*self._running.values())

    def _begin(self, life: Life) -> None:
        kind = self._rng.choices(KINDS, [kind.weight for kind in KINDS])[0]
        if (under_way := self._running.get(kind.alone)) is not None and not under_way.done():
            kind = KINDS[0]
            if kind.alone in self._running and not self._running[kind.alone].done():
                return
        self._running[kind.alone] = asyncio.create_task(self._do(kind, life))

    async def _do(self, kind: Kind, life: Life) -> None:
        hit = await kind.does(self, life)
        self.counts[kind.name] += 1
        self._say(kind.name, hit)
        if kind.alone == "broker":
            await asyncio.sleep(REST_SECONDS)

    # -- processes ---------------------------------------------------------------------------------

    async def kill_process(self, life: Life) -> str:
        """`kill -9`, and another one at once or a little later."""
        name = self._rng.choice([name for name in life.fleet.names if name not in life.fleet.frozen])
        self.killed[life.fleet.role(name)] += 1
        await life.fleet.restart(name, self._rng.choice([0.0, 0.0, self._rng.uniform(0, 3)]))
        return name

    async def end_process(self, life: Life) -> str:
        """SIGTERM, as for an upgrade, and another one."""
        name = self._rng.choice([name for name in life.fleet.names if name not in life.fleet.frozen])
        await life.fleet.restart(name, how=signal.SIGTERM)
        return name

    async def freeze_process(self, life: Life) -> str:
        """SIGSTOP, until others have taken over, and SIGCONT."""
        frozen = ("decide", "decide", "react")  # owners more often: their fence is what is tried
        roles = {name: life.fleet.role(name) for name in life.fleet.names}
        name = self._rng.choice([name for role in frozen for name in roles if roles[name] == role])
        life.fleet.freeze(name)
        await asyncio.sleep(self._rng.uniform(*FREEZE_SECONDS))
        life.fleet.thaw(name)
        return name

    async def refuse_snapshots(self, life: Life) -> str:
        """A file in the place of the folder: it can neither be read nor written, also by root."""
        folder = life.fleet.place.snapshots
        aside = folder.with_name("aside")
        await asyncio.to_thread(_put_aside, folder, aside)
        await asyncio.sleep(self._rng.uniform(2, 8))
        folder.unlink()
        with suppress(OSError):  # somebody has made the folder meanwhile, and begins anew
            aside.rename(folder)
        return "file in its place"

    async def start_clock(self, life: Life) -> str:
        """A clock whose machine is years ahead of the log: it must send nothing, and call an operator.

        A tick of today would be set aside, and found.
        """
        said = life.fleet.place.folder / "clock.said"  # not among the logs of those that must not stop
        said.unlink(missing_ok=True)
        clock = life.fleet.spawn(["run", "clock", "--kafka"], life.fleet.place.environ(), said, ())
        ends, stopped = time.monotonic() + CLOCK_SECONDS, False
        while not stopped and time.monotonic() < ends and clock.code() is None:
            await asyncio.sleep(_LOOK_SECONDS)
            stopped = STOPPED in said.read_bytes()
        with suppress(ProcessLookupError):
            os.kill(clock.pid, signal.SIGKILL)
        while clock.code() is None:
            await asyncio.sleep(_LOOK_SECONDS)
        self.killed["clock"] += 1
        return "has stopped" if stopped else "has not come so far"

    # -- brokers -----------------------------------------------------------------------------------

    async def kill_leader(self, life: Life) -> str:
        """The broker that answers for a partition of the market."""
        topic = f"{life.fleet.place.name}.{self._rng.choice(['events', 'commands'])}.market"
        where = TopicPartition(topic, self._rng.randrange(life.fleet.place.counts["market"]))
        return await self._kill_broker(await self._asked(lambda client: leader(client, where)))

    async def kill_coordinator(self, life: Life) -> str:
        """The broker that coordinates a group, or the transactions of an owner."""
        deployment, number = life.fleet.place.name, self._rng.randrange(life.fleet.place.counts["market"])
        kind, key = self._rng.choice(
            [
                (CoordinationType.GROUP, f"{deployment}.decide"),
                (CoordinationType.TRANSACTION, f"{deployment}.decide.market.{number}"),
            ]
        )
        return await self._kill_broker(await self._asked(lambda client: client.coordinator_lookup(kind, key)))

    async def pause_broker(self, life: Life) -> str:
        """SIGSTOP for longer than a request may take: it keeps its connections and says nothing."""
        node = self._rng.choice(NODES)
        self._cluster.pause(node)
        await asyncio.sleep(self._rng.uniform(*PAUSE_SECONDS))
        self._cluster.resume(node)
        return f"broker {node}"

    async def _kill_broker(self, node: int) -> str:
        await asyncio.to_thread(self._cluster.kill, node)
        self.killed["broker"] += 1
        await asyncio.sleep(self._rng.uniform(0, 6))
        await asyncio.to_thread(self._cluster.restart, node)
        return f"broker {node}"

    async def _asked(self, question: Callable[[Any], Awaitable[int]]) -> int:
        """A broker by what it does; when nobody can tell now, any."""
        try:
            client = await connect(self._cluster.bootstrap, "storm")
        except LogUnavailable:
            return self._rng.choice(NODES)
        try:
            return await asyncio.wait_for(question(client), 5)
        except (KafkaError, TimeoutError):
            return self._rng.choice(NODES)
        finally:
            await disconnect(client)

    # -- database ----------------------------------------------------------------------------------

    async def kill_database(self, life: Life) -> str:
        """As a power cut, and again after a while."""
        await asyncio.to_thread(self._database.kill)
        self.killed["database"] += 1
        await asyncio.sleep(self._rng.uniform(0, 4))
        await asyncio.to_thread(self._database.start)
        return "killed"

    async def restart_database(self, life: Life) -> str:
        """In order, as for an upgrade."""
        await asyncio.to_thread(self._database.stop)
        await asyncio.to_thread(self._database.start)
        return "restarted"


KINDS: Final = (
    Kind("process killed", 12, "kill", Storm.kill_process),
    Kind("process ended", 1.5, "kill", Storm.end_process),
    Kind("process frozen", 3, "freeze", Storm.freeze_process),
    Kind("clock ahead", 0.7, "clock", Storm.start_clock),
    Kind("snapshots refused", 0.7, "snapshots", Storm.refuse_snapshots),
    Kind("leader killed", 2, "broker", Storm.kill_leader),
    Kind("coordinator killed", 2, "broker", Storm.kill_coordinator),
    Kind("broker paused", 2, "broker", Storm.pause_broker),
    Kind("database killed", 1, "database", Storm.kill_database),
    Kind("database restarted", 0.5, "database", Storm.restart_database),
)
"""The first is what happens where another cannot."""


def _put_aside(folder: Path, aside: Path) -> None:
    shutil.rmtree(aside, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    folder.rename(aside)
    folder.touch()
