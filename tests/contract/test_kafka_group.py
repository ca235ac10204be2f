"""Promises of a group on Kafka: who is asked for what, and that nothing ends a membership but leaving or death."""

import asyncio
import contextlib
import gc
import hashlib
import inspect
import os
import sys
from collections.abc import AsyncIterator, Callable
from importlib import import_module
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.group import HeartbeatRequest, SyncGroupRequest
from aiokafka.structs import BrokerMetadata

from consumers.ports import Group, Partition
from infra.kafka import group as group_module
from infra.kafka.errors import KafkaUnreachable
from infra.kafka.event_log import KafkaEventLog
from infra.kafka.group import KafkaGroup
from infra.kafka.member import Member

ROOT = __file__.rsplit("/tests/", 1)[0]
MARKET = [Partition("market", n) for n in range(4)]
METER = [Partition("meter", n) for n in range(2)]
NOTHING: frozenset[Partition] = frozenset()
SOON = 5.0  # seconds; below a session, so that nothing here waits for one to expire
# The least session of a broker of our own is 1 s, that of others 6 s.
SHORT: dict[str, Any] = {"session_ms": 6_000} if "KAFKA_BOOTSTRAP" in os.environ else {"session_ms": 1_000}
SHORT |= {"heartbeat_ms": 100}
EXPIRED = SHORT["session_ms"] / 1000 + 5

# When one of these changes, read it again against `infra/kafka/member.py`, and only then write the new hash here.
TOUCHED = {
    "aiokafka.consumer.group_coordinator.BaseCoordinator": "e0fbe0d12fe5a4bd",
    "aiokafka.consumer.group_coordinator.GroupCoordinator": "3cc75f875a239167",
    "aiokafka.consumer.group_coordinator.CoordinatorGroupRebalance": "20ed95eaf623513c",
    "aiokafka.consumer.subscription_state.SubscriptionState": "387f8a497901966d",
    "aiokafka.consumer.subscription_state.Subscription": "5e570aaff58e45fd",
    "aiokafka.coordinator.assignors.sticky.sticky_assignor.StickyAssignorUserDataV1": "65945877041fadaf",
}

Make = Callable[..., KafkaGroup]


@pytest.fixture
async def make(kafka_bootstrap: str, deployment: str) -> AsyncIterator[Make]:
    """Makes members of one group."""
    log = KafkaEventLog(kafka_bootstrap, deployment)
    await log.start()
    await log.create([*MARKET, *METER])
    await log.close()
    made: list[KafkaGroup] = []

    def member(**settings: Any) -> KafkaGroup:
        made.append(KafkaGroup(kafka_bootstrap, deployment, "react", "events", **settings))
        return made[-1]

    yield member
    await asyncio.gather(*(one.leave() for one in made))


@pytest.fixture
async def unseen() -> list[dict[str, Any]]:
    """What the loop complains of: errors that nobody has looked at."""
    found: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: found.append(context))
    return found


async def until(group: Group, asked: Callable[[frozenset[Partition]], bool], seconds: float = SOON) -> None:
    """Returns as soon as the assignment is such."""
    async with asyncio.timeout(seconds):
        while not asked(group.assigned):
            await group.changed(group.assigned, seconds)


def family(assigned: frozenset[Partition], name: str) -> int:
    return sum(partition.family == name for partition in assigned)


@pytest.mark.parametrize("name", TOUCHED)
def test_source_is_the_one_that_was_read(name: str) -> None:
    module, _, cls = name.rpartition(".")
    source = inspect.getsource(getattr(import_module(module), cls))
    assert hashlib.sha256(source.encode()).hexdigest()[:16] == TOUCHED[name]


# ------------------------------------------------------------------------------------------ who is asked for what


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


# ----------------------------------------------------------------------------------------------- outages


class Gate:
    """A way to the broker that can be closed: everything that goes through it breaks, and nobody is let in."""

    def __init__(self, upstream: str) -> None:
        host, port = upstream.rsplit(":", 1)
        self._upstream, self._server = (host, int(port)), None
        self._ways: set[asyncio.StreamWriter] = set()
        self._open = asyncio.Event()
        self.port = 0
        self.entered = 0

    async def open(self) -> None:
        self._open.set()
        if self._server is None:
            self._server: Any = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for way in self._ways:
            way.transport.abort()

    def freeze(self) -> None:
        """Lets everybody in, and nothing through."""
        self._open.clear()

    def lead(self, member: KafkaGroup) -> KafkaGroup:
        """Lets a member that has just joined reach the broker through this gate only."""
        assert member._client is not None
        member._client.cluster.broker_metadata = lambda node: BrokerMetadata(node, "127.0.0.1", self.port, None)
        for connection in member._client._conns.values():
            connection.close()
        return member

    async def _serve(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        self.entered += 1
        self._ways.add(answers)
        broker, requests = await asyncio.open_connection(*self._upstream)
        self._ways.add(requests)
        await asyncio.gather(self._pump(client, requests), self._pump(broker, answers), return_exceptions=True)
        self._ways -= {answers, requests}

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                await self._open.wait()
                target.write(data)
        target.close()


@pytest.fixture
async def gate(kafka_bootstrap: str) -> AsyncIterator[Gate]:
    made = Gate(kafka_bootstrap.split(",", maxsplit=1)[0])
    await made.open()
    yield made
    await made.open()
    await made.close()


async def test_a_short_outage_changes_nothing(make: Make, gate: Gate, unseen: list[dict[str, Any]]) -> None:
    member = make(heartbeat_ms=50)
    await member.join(MARKET)
    gate.lead(member)
    await until(member, lambda assigned: len(assigned) == 4)
    assert member._member is not None
    generation = member._member.generation
    tasks = len(asyncio.all_tasks())
    await gate.close()
    await asyncio.sleep(0.5)
    assert member.assigned == frozenset(MARKET)
    assert len(asyncio.all_tasks()) <= tasks + 3
    entered = gate.entered
    await gate.open()
    member.reached({MARKET[0]: 1})
    async with asyncio.timeout(SOON):
        while not (member._member.trouble is None and gate.entered > entered):
            await asyncio.sleep(0.02)
    assert member._member.generation == generation, "the group has not even noticed"
    await make().join(MARKET)
    await until(member, lambda assigned: len(assigned) == 2)
    await member.leave()
    gc.collect()
    await asyncio.sleep(0)
    assert unseen == []


async def test_a_broker_that_is_away_is_asked_seldom(make: Make, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    member = make(heartbeat_ms=50)
    await member.join(MARKET)
    gate.lead(member)
    await until(member, lambda assigned: len(assigned) == 4)
    tried = 0
    get = AIOKafkaClient._get_conn

    async def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal tried
        tried += 1
        return await get(*arguments, **options)

    monkeypatch.setattr(AIOKafkaClient, "_get_conn", counted)
    await gate.close()
    await asyncio.sleep(0.8)
    assert 1 <= tried <= 15


async def test_after_a_long_outage_others_have_it_until_the_member_is_back(
    make: Make, gate: Gate, unseen: list[dict[str, Any]]
) -> None:
    away, here = make(**SHORT), make(**SHORT)
    await away.join(MARKET)
    gate.lead(away)
    await here.join(MARKET)
    await until(away, lambda assigned: len(assigned) == 2)
    await until(here, lambda assigned: len(assigned) == 2)
    await gate.close()
    await until(here, lambda assigned: len(assigned) == 4, EXPIRED)
    assert len(away.assigned) == 2, "nobody has told it"
    await gate.open()
    await until(away, lambda assigned: assigned == NOTHING)  # put out, and joining again
    await until(away, lambda assigned: len(assigned) == 2)
    await until(here, lambda assigned: len(assigned) == 2)
    assert away.assigned | here.assigned == frozenset(MARKET)
    await asyncio.gather(away.leave(), here.leave())
    gc.collect()
    await asyncio.sleep(0)
    assert unseen == []


async def test_who_has_heard_nothing_for_too_long_is_asked_for_nothing(make: Make, gate: Gate) -> None:
    member = make(heartbeat_ms=50, lost_seconds=0.3)
    await member.join(MARKET)
    gate.lead(member)
    await until(member, lambda assigned: len(assigned) == 4)
    await asyncio.sleep(0.4)
    assert len(member.assigned) == 4, "it hears something all the time"
    assert member.trouble is None
    gate.freeze()
    await until(member, lambda assigned: assigned == NOTHING)
    assert member.trouble is not None
    assert "has not answered for" in member.trouble
    await gate.open()
    await until(member, lambda assigned: len(assigned) == 4)  # nobody has put it out
    assert member.trouble is None


async def test_leaving_ends_also_when_nobody_answers(
    make: Make, gate: Gate, monkeypatch: pytest.MonkeyPatch, unseen: list[dict[str, Any]]
) -> None:
    monkeypatch.setattr(group_module, "LEAVE_SECONDS", 0.2)
    for trouble in (gate.freeze, gate.close):
        member = make(**SHORT)
        await member.join(MARKET)
        gate.lead(member)
        await until(member, lambda assigned: len(assigned) > 0, EXPIRED + SOON)
        member.reached(dict.fromkeys(member.assigned, 5))
        if (closing := trouble()) is not None:
            await closing
        await asyncio.wait_for(member.leave(), 3)
        assert member.assigned == NOTHING
        assert not [task for task in asyncio.all_tasks() if "oordinat" in repr(task) or "heartbeat" in repr(task)]
        await gate.open()
    gc.collect()
    await asyncio.sleep(0)
    assert unseen == []


async def test_leaving_while_the_group_waits_for_others(make: Make, unseen: list[dict[str, Any]]) -> None:
    # The first one does not join again, so the answer to the second one's join is a long time coming.
    first, second = make(heartbeat_ms=5_000), make()
    await first.join(MARKET)
    await until(first, lambda assigned: len(assigned) == 4)
    await second.join(MARKET)
    await asyncio.sleep(0.1)
    await asyncio.wait_for(second.leave(), 1.5)
    await asyncio.wait_for(second.join(MARKET), 1.5)
    await asyncio.wait_for(second.leave(), 1.5)
    gc.collect()
    await asyncio.sleep(0)
    assert unseen == []


async def test_nobody_to_join_is_one_exception(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    member = make()
    bootstrap, member._bootstrap = member._bootstrap, "127.0.0.1:1"
    with pytest.raises(KafkaUnreachable, match="start the broker"):
        await member.join(MARKET)
    await member.leave()
    member._bootstrap = bootstrap
    await member.join(MARKET)
    await until(member, lambda assigned: len(assigned) == 4)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (HeartbeatRequest, 14),  # the coordinator is loading: the library stops at this
        (HeartbeatRequest, 35),  # whatever else
        (SyncGroupRequest, 14),
        (SyncGroupRequest, 35),
        (HeartbeatRequest, 25),  # unknown member
    ],
)
async def test_no_answer_ends_the_membership(
    make: Make, kind: type, code: int, monkeypatch: pytest.MonkeyPatch, unseen: list[dict[str, Any]]
) -> None:
    send, refused = Member._send_req, 0

    async def answered(member: Member, request: Any) -> Any:
        nonlocal refused
        response = await send(member, request)
        if isinstance(request, kind) and refused < 2:
            refused += 1
            response.error_code = code
        return response

    monkeypatch.setattr(Member, "_send_req", answered)
    member = make(**SHORT)
    await member.join(MARKET)
    async with asyncio.timeout(EXPIRED):
        while refused < 2:
            await asyncio.sleep(0.01)
    await until(member, lambda assigned: len(assigned) == 4, EXPIRED)
    assert member._member is not None
    if kind is HeartbeatRequest and code != 25:
        assert member._member.generation == 1, "nobody has to join again for it"
    await make(**SHORT).join(MARKET)
    await until(member, lambda assigned: len(assigned) == 2, EXPIRED)
    await member.leave()
    gc.collect()
    await asyncio.sleep(0)
    assert unseen == []


async def test_an_error_of_the_library_does_not_end_it(
    make: Make, monkeypatch: pytest.MonkeyPatch, unseen: list[dict[str, Any]]
) -> None:
    ensure, failed = Member.ensure_active_group, 0

    async def broken(member: Member, *arguments: Any) -> Any:
        nonlocal failed
        failed += 1
        assert failed > 2, "what nobody has thought of"
        return await ensure(member, *arguments)

    monkeypatch.setattr(Member, "ensure_active_group", broken)
    member = make()
    await member.join(MARKET)
    await asyncio.sleep(0.05)
    assert member.trouble is not None
    assert "what nobody has thought of" in member.trouble
    await until(member, lambda assigned: len(assigned) == 4)
    assert member.trouble is None
    await member.leave()
    gc.collect()
    await asyncio.sleep(0)
    assert unseen == []
