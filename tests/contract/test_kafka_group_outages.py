"""A membership outlives outages, refusals and errors; only leaving and death end it."""

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.group import HeartbeatRequest, SyncGroupRequest

from infra.kafka import group as group_module
from infra.kafka.errors import KafkaUnreachable
from infra.kafka.member import Member
from tests.contract.members import EXPIRED, MARKET, NOTHING, SHORT, SOON, Gate, Make, members, until


@pytest.fixture
async def make(kafka_bootstrap: str, deployment: str) -> AsyncIterator[Make]:
    """Makes members of one group."""
    async for made in members(kafka_bootstrap, deployment):
        yield made


@pytest.fixture
async def unseen() -> list[dict[str, Any]]:
    """What the loop complains of: errors that nobody has looked at."""
    found: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: found.append(context))
    return found


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
