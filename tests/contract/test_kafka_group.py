"""Promises of a group on Kafka: who is asked for what, and that nothing ends a membership but leaving or death."""

import asyncio
import hashlib
import inspect
import sys
from collections.abc import AsyncIterator
from importlib import import_module
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient

from consumers.ports import Group, Partition
from tests.contract.members import EXPIRED, GROWN, MARKET, METER, NOTHING, SHORT, SOON, Make, family, members, until

ROOT = __file__.rsplit("/tests/", 1)[0]

# When one of these changes, read it again against `infra/kafka/member.py`, and only then write the new hash here.
TOUCHED = {
    "aiokafka.consumer.group_coordinator.BaseCoordinator": "e0fbe0d12fe5a4bd",
    "aiokafka.consumer.group_coordinator.GroupCoordinator": "3cc75f875a239167",
    "aiokafka.consumer.group_coordinator.CoordinatorGroupRebalance": "20ed95eaf623513c",
    "aiokafka.consumer.subscription_state.SubscriptionState": "387f8a497901966d",
    "aiokafka.consumer.subscription_state.Subscription": "5e570aaff58e45fd",
    "aiokafka.coordinator.assignors.sticky.sticky_assignor.StickyAssignorUserDataV1": "65945877041fadaf",
}


@pytest.fixture
async def make(kafka_bootstrap: str, deployment: str) -> AsyncIterator[Make]:
    """Makes members of one group."""
    async for made in members(kafka_bootstrap, deployment):
        yield made


@pytest.mark.parametrize("name", TOUCHED)
def test_source_is_the_one_that_was_read(name: str) -> None:
    module, _, cls = name.rpartition(".")
    source = inspect.getsource(getattr(import_module(module), cls))
    assert hashlib.sha256(source.encode()).hexdigest()[:16] == TOUCHED[name]


# ------------------------------------------------------------------------------------------ who is asked for what


async def test_every_generation_is_shared_out_by_itself(make: Make) -> None:
    first, second = make(), make()
    await first.join([*METER, *GROWN])
    await until(first, lambda assigned: assigned == frozenset([*METER, *GROWN]))
    await second.join(GROWN)
    await until(second, lambda assigned: bool(assigned) and assigned < frozenset(GROWN))
    await until(first, lambda assigned: assigned == frozenset([*METER, *GROWN]) - second.assigned)


async def test_a_member_alone_is_asked_for_everything_and_two_share(make: Make) -> None:
    first, second = make(), make()
    assert first.assigned == NOTHING
    assert await first.changed(NOTHING, 0.01) == NOTHING
    await first.join(MARKET)
    await until(first, lambda assigned: assigned == frozenset(MARKET))
    assert await first.changed(NOTHING, SOON) == frozenset(MARKET)

    seen = []
    watching = asyncio.create_task(record_changes(first, seen))
    await second.join(MARKET)
    await until(second, lambda assigned: len(assigned) == 2)
    await until(first, lambda assigned: len(assigned) == 2)
    assert first.assigned | second.assigned == frozenset(MARKET)
    watching.cancel()
    assert seen == [frozenset(MARKET), first.assigned], "what stays is never given up in between"

    await second.leave()
    assert second.assigned == NOTHING
    await until(first, lambda assigned: assigned == frozenset(MARKET))


async def record_changes(group: Group, seen: list[frozenset[Partition]]) -> None:
    seen.append(group.assigned)
    while True:
        seen.append(await group.changed(seen[-1], 60))


async def test_members_may_offer_different_families(make: Make) -> None:
    market, both = make(), make()
    await asyncio.gather(market.join(MARKET[:1]), both.join([MARKET[3], METER[1]]))
    await until(both, lambda assigned: family(assigned, "meter") == 2 and family(assigned, "market") == 2)
    await until(market, lambda assigned: family(assigned, "market") == 2 and family(assigned, "meter") == 0)
    await market.join([*MARKET, *METER])  # offers more than before
    await until(market, lambda assigned: family(assigned, "meter") == 1 and family(assigned, "market") == 2)


async def test_a_member_that_has_left_may_come_back(make: Make) -> None:
    member = make()
    for _ in range(2):
        await member.join(MARKET)
        await until(member, lambda assigned: len(assigned) == 4)
        await member.leave()
        assert member.assigned == NOTHING


MEMBER = """
import asyncio, sys
from consumers.ports import Partition
from infra.kafka.group import KafkaGroup

async def main(bootstrap, deployment, session_ms):
    group = KafkaGroup(bootstrap, deployment, "react", "events", session_ms=int(session_ms), heartbeat_ms=100)
    await group.join([Partition("market", 3)])
    while len(group.assigned) != 2:
        await group.changed(group.assigned, 1)
    print("shares", flush=True)
    await asyncio.sleep(60)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_the_work_of_a_killed_process_goes_to_the_others(
    make: Make, kafka_bootstrap: str, deployment: str
) -> None:
    here = make(**SHORT)
    await here.join(MARKET)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", MEMBER, kafka_bootstrap, deployment, str(SHORT["session_ms"]),
        stdout=asyncio.subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        assert await asyncio.wait_for(process.stdout.readline(), 30) == b"shares\n"
        await until(here, lambda assigned: len(assigned) == 2)
    finally:
        process.kill()
        await process.wait()
    await until(here, lambda assigned: len(assigned) == 4, EXPIRED)


# -------------------------------------------------------------------------------------------------- lag


async def test_what_was_reached_is_shown_to_others(make: Make, kafka_bootstrap: str, deployment: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()

    async def shown() -> dict[tuple[str, int], int]:
        offsets = await admin.list_consumer_group_offsets(f"{deployment}.react")
        return {tuple(where): found.offset for where, found in offsets.items() if found.offset >= 0}

    topic = f"{deployment}.events.market"
    member = make(commit_seconds=0.05)
    await member.join(MARKET)
    await until(member, lambda assigned: len(assigned) == 4)
    member.reached({MARKET[0]: 7, MARKET[1]: 8, METER[0]: 9})
    async with asyncio.timeout(SOON):
        while await shown() != {(topic, 0): 7, (topic, 1): 8}:  # of what somebody else works on nothing is said
            await asyncio.sleep(0.01)
    member._commit_seconds = 60  # from now on only at the end
    await asyncio.sleep(0.06)
    member.reached({MARKET[0]: 10})
    await member.leave()
    assert await shown() == {(topic, 0): 10, (topic, 1): 8}
    await admin.close()


async def test_a_group_reads_nothing(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = set()
    send = AIOKafkaClient.send

    async def seen(client: AIOKafkaClient, node: int, request: Any, **options: Any) -> Any:
        asked.add(type(request).__name__.removesuffix("Request"))
        return await send(client, node, request, **options)

    monkeypatch.setattr(AIOKafkaClient, "send", seen)
    member = make(commit_seconds=0.05, heartbeat_ms=50)
    await member.join(MARKET)
    await until(member, lambda assigned: len(assigned) == 4)
    member.reached({MARKET[0]: 7})
    await asyncio.sleep(0.2)
    assert member._member is not None
    assert member._member._subscription.fetcher_idle_time == 0, "who reads nothing would be told to leave"
    await member.leave()
    assert asked == {"FindCoordinator", "JoinGroup", "SyncGroup", "Heartbeat", "OffsetCommit", "LeaveGroup"}
