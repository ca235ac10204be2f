"""The owner of a partition on a log in memory: restore, doubt, fencing, and commands that break `evolve`."""

from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from consumers.failures import ChainBroken, Poison
from consumers.limits import MAX_RESTORES
from consumers.owner import PartitionOwner
from consumers.partition import PartitionDecider
from consumers.ports import LogUnavailable, NewRecord, Owner, Partition
from domain.party import decider as party
from infra.embedded.memory import MemoryCommandLog, MemoryEventLog, MemoryStore
from schemas.catalog import all_messages
from schemas.codec import Codec, avro_schema
from schemas.envelope import CommandMeta, Moment
from schemas.log.commands import Tick
from schemas.log.events import CommandSetAside, SetAsideReason
from schemas.party.commands import RegisterParty
from schemas.party.events import PartyRegistered, Role

CODEC = Codec({n: avro_schema(m) for n, m in enumerate(all_messages(), 1)})
PARTITION = Partition("party", 0)
NOW = Moment(1, 1_466_460_000_000_000)


def make(partition: Partition, set_aside: Iterable[Poison]) -> PartitionDecider:
    return PartitionDecider(partition, 1, party, CODEC, set_aside)


class Logs:
    """A pair of logs in memory with a tick and two parties that register."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.events = MemoryEventLog("test", self.store)
        self.commands = MemoryCommandLog("test", self.store)

    async def start(self) -> "Logs":
        for log in (self.events, self.commands):
            await log.start()
            await log.create([PARTITION])
        await self.send(b"", CommandMeta("t1", "log:clock", "t", None, None, None), Tick(NOW.n, NOW.at))
        for name in ("ann", "bob"):
            await self.register(name)
        return self

    async def register(self, name: str) -> None:
        meta = CommandMeta(f"reg-{name}", name, "x", NOW.at + 1, None, None)
        await self.send(name.encode(), meta, RegisterParty((Role.SUPPLIER,)))

    async def send(self, key: bytes, meta: CommandMeta, body: Any) -> None:
        await self.commands.send([(PARTITION, NewRecord(key, CODEC.encode(meta, body)))], 1.0)

    async def bodies(self) -> list[Any]:
        batch = await self.events.read(PARTITION, 0, 1000)
        return [CODEC.decode(r.value)[1] for r in batch.records]


@pytest.fixture
async def logs() -> Logs:
    return await Logs().start()


async def registered(logs: Logs) -> list[str]:
    return [b.party for b in await logs.bodies() if isinstance(b, PartyRegistered)]


async def test_an_owner_answers_what_arrived_and_then_rests(logs: Logs) -> None:
    owner = PartitionOwner(PARTITION, make, logs.events, logs.commands)
    await owner.start()
    assert await owner.step() == 3
    assert await owner.step() == 0
    assert await registered(logs) == ["ann", "bob"]


async def test_a_successor_goes_on_behind_the_last_record(logs: Logs) -> None:
    await PartitionOwner(PARTITION, make, logs.events, logs.commands).step()
    await logs.register("cyd")
    successor = PartitionOwner(PARTITION, make, logs.events, logs.commands)
    await successor.start()
    assert successor.decider.source == 3
    assert await successor.step() == 1
    assert await registered(logs) == ["ann", "bob", "cyd"]


async def test_who_is_fenced_claims_again_and_decides_nothing_twice(logs: Logs) -> None:
    first = PartitionOwner(PARTITION, make, logs.events, logs.commands)
    await first.step()
    second = PartitionOwner(PARTITION, make, logs.events, logs.commands)
    await second.start()
    for name in ("cyd", "dan"):
        await logs.register(name)
        await (first if name == "cyd" else second).step()
    assert await registered(logs) == ["ann", "bob", "cyd", "dan"]


class Doubtful:
    """An event log whose appends say that the outcome is unknown: `stored` of them were stored all the same."""

    def __init__(self, inner: MemoryEventLog, doubts: int, stored: bool) -> None:
        self._inner, self.doubts, self._stored = inner, doubts, stored

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def claim(self, partition: Partition) -> Owner:
        owner, log = await self._inner.claim(partition), self

        class Unsure:
            async def append(self, records: Sequence[NewRecord], deadline: float) -> None:
                if log.doubts == 0:
                    await owner.append(records, deadline)
                    return
                log.doubts -= 1
                if log._stored:
                    await owner.append(records, deadline)
                raise LogUnavailable("unknown")

            async def close(self) -> None:
                await owner.close()

        return Unsure()


@pytest.mark.parametrize("stored", [True, False])
async def test_an_unknown_outcome_is_read_from_the_log_not_guessed(logs: Logs, stored: bool) -> None:
    doubtful: Any = Doubtful(logs.events, 2, stored)
    owner = PartitionOwner(PARTITION, make, doubtful, logs.commands)
    while owner.decider.source < 3:
        await owner.step()
    assert await registered(logs) == ["ann", "bob"]
    assert owner.decider.seq == len(await logs.bodies())


async def test_a_log_that_never_answers_ends_the_owner_with_a_sentence(logs: Logs) -> None:
    doubtful: Any = Doubtful(logs.events, MAX_RESTORES, stored=False)
    with pytest.raises(LogUnavailable):
        await PartitionOwner(PARTITION, make, doubtful, logs.commands).step()


async def test_a_command_that_breaks_evolve_is_set_aside_and_the_others_are_decided(
    logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy = party.evolve

    def evolve(state: Any, fact: Any) -> Any:
        if fact.key == "ann":
            raise KeyError("ann")
        return healthy(state, fact)

    monkeypatch.setattr(party, "evolve", evolve)
    owner = PartitionOwner(PARTITION, make, logs.events, logs.commands)
    assert await owner.step() == 1, "what stands before it is appended by itself"
    assert await owner.step() == 2
    assert await registered(logs) == ["bob"]
    [aside] = [b for b in await logs.bodies() if isinstance(b, CommandSetAside)]
    assert aside.reason is SetAsideReason.EVOLVE_RAISED


async def test_an_owner_does_not_go_on_from_a_changed_record(logs: Logs) -> None:
    await PartitionOwner(PARTITION, make, logs.events, logs.commands).step()
    whole = await logs.events.read(PARTITION, 0, 1000)

    class Changed:
        def __getattr__(self, name: str) -> Any:
            return getattr(logs.events, name)

        async def read(self, partition: Partition, position: int, limit: int) -> Any:
            records = list(whole.records)
            records[2] = type(records[2])(2, b"eve", records[2].value, records[2].headers)
            return type(whole)(tuple(records), whole.next)

    changed: Any = Changed()
    with pytest.raises(ChainBroken, match="party/0"):
        await PartitionOwner(PARTITION, make, changed, logs.commands).start()


async def test_many_commands_that_break_evolve_do_not_stop_a_partition(
    logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(2 * MAX_RESTORES):
        await logs.register(f"bad{n}")
    await logs.register("cyd")
    healthy = party.evolve

    def evolve(state: Any, fact: Any) -> Any:
        if fact.key.startswith("bad"):
            raise KeyError(fact.key)
        return healthy(state, fact)

    monkeypatch.setattr(party, "evolve", evolve)
    owner = PartitionOwner(PARTITION, make, logs.events, logs.commands)
    while await owner.step():
        pass
    assert await registered(logs) == ["ann", "bob", "cyd"]


async def test_an_error_that_is_no_doubt_leaves_no_memory_behind(logs: Logs) -> None:
    class Refusing(Doubtful):
        async def claim(self, partition: Partition) -> Owner:
            owner: Any = await super().claim(partition)

            class TooLarge:
                close = owner.close

                async def append(self, records: Sequence[NewRecord], deadline: float) -> None:
                    raise ValueError("too large")

            return TooLarge()

    refusing: Any = Refusing(logs.events, 0, stored=False)
    owner = PartitionOwner(PARTITION, make, refusing, logs.commands)
    for _ in range(2):
        with pytest.raises(ValueError, match="too large"):
            await owner.step()
    healthy = PartitionOwner(PARTITION, make, logs.events, logs.commands)
    assert await healthy.step() == 3
