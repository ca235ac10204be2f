"""Broker and database are killed and come back, under load: everything waits, and goes on where it was."""

import asyncio

from infra.kafka.broker import LocalBroker
from infra.postgres.server import LocalPostgres
from tests.faults.load import Load
from tests.faults.processes import Nursery, Place
from tests.faults.trial import Life, lived

AWAY_SECONDS = 2.0
BUSY = 0.35
"""A process that waits must not use more of a core than this. Trying again without a pause uses most of one."""


async def away(life: Life) -> list[str]:
    """Who works hard while something is gone."""
    before = life.fleet.cpu_seconds()
    await asyncio.sleep(AWAY_SECONDS)
    used = {name: seconds - before[name] for name, seconds in life.fleet.cpu_seconds().items()}
    return [f"{name} used {seconds:.2f} s" for name, seconds in used.items() if seconds > BUSY * AWAY_SECONDS]


async def test_servers_that_are_gone_are_waited_for(
    place: Place, nursery: Nursery, broker: LocalBroker, database: LocalPostgres
) -> None:
    busy = list[str]()

    async def story(life: Life) -> None:
        await life.sender.reached(life.sends // 4)
        await asyncio.to_thread(broker.kill)
        busy.extend(await away(life))
        await asyncio.to_thread(broker.start)
        await life.sender.reached(life.sends // 2)
        await asyncio.to_thread(database.kill)
        busy.extend(await away(life))
        await asyncio.to_thread(database.start)
        await life.sender.reached(life.sends * 3 // 4)
        await asyncio.to_thread(database.stop)
        await asyncio.to_thread(database.start)

    found = await lived(place, nursery, Load(4, whole=False), story)
    assert found.problems == []
    assert busy == []
    assert found.events["TradeMade"] > 100
