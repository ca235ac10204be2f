"""Lock-step: the next tick is sent when every command, policy, view and calculation of the last one is done.

Done is countable, because every command leaves a record. Two runs in lock-step over the same commands
give the same log, whatever the backend, the batch sizes or the crashes between; so whole systems can
be compared. Free-running processes are made of the same parts without this file.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from consumers.calculate import Calculator
from consumers.clock import Clock
from consumers.decide import PartitionOwner
from consumers.limits import MAX_BATCH, SEND_DEADLINE_S
from consumers.ports import CommandLog, EventLog, NewRecord, Partition
from consumers.project import Projector
from consumers.react import Reactor
from schemas.catalog import is_runtime_record
from schemas.codec import Codec
from schemas.envelope import Moment, Recorded

_CALCULATOR = "calculator"
_WAIT_S = 1.0


class Hints(Protocol):
    """Where readers without rows of their own may begin again."""

    async def hints(self, reader: str) -> Mapping[Partition, int]: ...

    async def hint(self, reader: str, positions: Mapping[Partition, int]) -> None: ...


class LockStep:
    """Runs every part of a deployment in one process, in rounds.

    A round: every owner answers what its command partition holds; the new facts are read, policies
    send what follows, and so on until nothing is left; then the facts are projected, in one
    transaction, and calculations whose inputs are complete propose. Reacting comes before projecting,
    so what is projected has been reacted to, and the projected position is where reactors begin again.
    """

    def __init__(
        self,
        owners: Sequence[PartitionOwner],
        events: EventLog,
        commands: CommandLog,
        codec: Codec,
        reactor: Reactor,
        projector: Projector,
        calculator: Calculator,
        hints: Hints,
    ) -> None:
        self._owners = {owner.partition: owner for owner in owners}
        self._events, self._commands, self._codec = events, commands, codec
        self._reactor, self._projector, self._calculator, self._hints = reactor, projector, calculator, hints
        self._clock = Clock(commands, codec, tuple(self._owners))
        self._position: dict[Partition, int] = {}
        self._unprojected: dict[Partition, list[Recorded[Any]]] = {}
        self._next_seq: dict[Partition, int] = {}
        self._told: set[Partition] = set(self._owners)

    async def start(self) -> None:
        """Claims and restores every partition, catches up what a crash left undone.

        Raises:
            LogUnavailable: the log does not answer.
        """
        await asyncio.gather(*(owner.start() for owner in self._owners.values()))
        await self._projector.start()
        calculated = await self._hints.hints(_CALCULATOR)
        await asyncio.gather(*(self._catch_up(p, calculated.get(p, 0)) for p in self._owners))
        await self._react({p: list(self._unprojected[p]) for p in self._owners if p in self._unprojected})
        await self.settle()

    async def _catch_up(self, partition: Partition, calculated: int) -> None:
        """Reads again what was recorded but not projected (nor calculated) when the process died."""
        reached = self._projector.reached(partition).position
        if self._calculator.listens_to(partition.family):
            for _, fact in await self._between(partition, calculated, reached):
                self._calculator.offer([fact])
        self._position[partition] = reached
        for position, fact in await self._between(partition, reached, await self._events.end(partition)):
            self._take(partition, position, [fact])
        self._next_seq[partition] = self._owners[partition].decider.seq

    async def stop(self) -> None:
        """Gives every partition up."""
        await asyncio.gather(*(owner.stop() for owner in self._owners.values()))

    @property
    def time(self) -> Moment:
        """The latest time that any partition has reached."""
        return max((owner.decider.time for owner in self._owners.values()), key=lambda moment: moment.n)

    @property
    def passed(self) -> int:
        """The last tick that every partition has passed."""
        return min(owner.decider.passed for owner in self._owners.values())

    async def send(self, commands: Sequence[tuple[Partition, NewRecord]]) -> None:
        """Puts commands on the log; `settle` has them answered."""
        self._told.update(partition for partition, _ in commands)
        await self._commands.send(commands, SEND_DEADLINE_S)

    async def tick(self, moment: Moment) -> list[Recorded[Any]]:
        """Time passes to `moment`; returns the facts of everything that follows."""
        self._told.update(self._owners)
        await self._clock.tick(moment)
        return await self.settle()

    async def settle(self) -> list[Recorded[Any]]:
        """Runs rounds until nothing is left to do; returns the facts (no runtime records) in the order read."""
        seen: list[Recorded[Any]] = []
        while True:
            if self._told:
                # Only this process sends in lock-step, so nobody else's partitions need be looked at.
                told = [p for p in self._owners if p in self._told]
                self._told.clear()
                await asyncio.gather(*(self._drain(self._owners[p]) for p in told))
                new = dict(zip(told, await asyncio.gather(*(self._read_new(p) for p in told)), strict=True))
                await self._react(new)
                seen += [f for facts in new.values() for f in facts if not is_runtime_record(f.body)]
                continue
            await self._project()
            if not await self._calculate():
                return seen

    async def _drain(self, owner: PartitionOwner) -> None:
        """Answers every command that the partition holds now: batch sizes must not change the rounds."""
        end = await self._commands.end(owner.partition)
        while owner.decider.source < end:
            await owner.step()

    async def _read_new(self, partition: Partition) -> list[Recorded[Any]]:
        """The facts that the owner recorded since the last round; they count from 0, so none can be missed."""
        found: list[Recorded[Any]] = []
        decider = self._owners[partition].decider
        while self._next_seq[partition] < decider.seq:
            batch = await self._events.read(partition, self._position[partition], MAX_BATCH)
            if not batch.records:
                self._position[partition] = batch.next
                await self._events.wait(partition, batch.next, _WAIT_S)
                continue
            facts = []
            for stored in batch.records:
                meta, body = self._codec.decode(stored.value)
                facts.append(Recorded(partition.family, partition.number, stored.key.decode(), meta, body))
            self._take(partition, batch.next, facts)
            found += facts
        return found

    def _take(self, partition: Partition, position: int, facts: Sequence[Recorded[Any]]) -> None:
        self._position[partition] = position
        self._unprojected.setdefault(partition, []).extend(facts)
        self._next_seq[partition] = facts[-1].meta.seq + 1

    async def _react(self, new: Mapping[Partition, Sequence[Recorded[Any]]]) -> None:
        commands: list[tuple[Partition, NewRecord]] = []
        for facts in new.values():
            commands += self._reactor.commands(facts)
            self._calculator.offer(facts)
        if commands:
            await self.send(commands)

    async def _project(self) -> None:
        if self._unprojected:
            await self._projector.project({p: (facts, self._position[p]) for p, facts in self._unprojected.items()})
            self._unprojected = {}

    async def _calculate(self) -> bool:
        before = self._calculator.waiting
        commands = await self._calculator.run_ready(self._complete)
        if commands:
            await self.send(commands)
        if before and not self._calculator.waiting:
            await self._hints.hint(_CALCULATOR, dict(self._position))
        return bool(commands)

    async def _complete(self, family: str) -> int:
        return self._projector.complete_tick(family, sum(p.family == family for p in self._owners))

    async def _between(self, partition: Partition, position: int, end: int) -> list[tuple[int, Recorded[Any]]]:
        found = []
        while position < end:
            batch = await self._events.read(partition, position, MAX_BATCH)
            for stored in batch.records:
                meta, body = self._codec.decode(stored.value)
                fact = Recorded(partition.family, partition.number, stored.key.decode(), meta, body)
                found.append((stored.position + 1, fact))
            position = batch.next
        return found
