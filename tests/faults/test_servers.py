"""Broker and database are killed and come back, under load: everything waits, and goes on where it was."""

import asyncio

from infra.kafka.broker import LocalBroker
from infra.postgres.server import LocalPostgres
from tests.faults.load import Load
from tests.faults.processes import Nursery, Place
from tests.faults.trial import Life, lived

AWAY_SECONDS = 2.0
BUSY = 0.5
"""A process that waits must not use more of a core than this."""


async def test_servers_that_are_gone_are_waited_for(
    place: Place, nursery: Nursery, broker: LocalBroker, database: LocalPostgres
) -> None:
    used = list[str]()

    async def away(life: Life) -> None:
        before = life.fleet.cpu_seconds()
        await asyncio.sleep(AWAY_SECONDS)
        for name, seconds in life.fleet.cpu_seconds().items():
            if seconds - before[name] > BUSY * AWAY_SECONDS:
                used.append(f"{name} used {seconds - before[name]:.1f} s of {AWAY_SECONDS:.0f}")

    async def story(life: Life) -> None:
        await life.sender.reached(life.sends // 4)
        await asyncio.to_thread(broker.kill)
        await away(life)
        await asyncio.to_thread(broker.start)
        await life.sender.reached(life.sends // 2)
        await asyncio.to_thread(database.kill)
        await away(life)
        await asyncio.to_thread(database.start)
        await life.sender.reached(life.sends * 3 // 4)
        await asyncio.to_thread(database.stop)
        await asyncio.to_thread(database.start)

    found = await lived(place, nursery, Load(4, whole=False), story)
    assert found.problems == []
    assert used == []
    assert found.events["TradeMade"] > 100
