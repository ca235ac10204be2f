"""Lock-step: the next tick is sent when every command, policy, view and calculation of the last one is done.

Done is countable, because every command leaves a record. Two runs in lock-step over the same commands
record the same facts, whatever the backend, the batch sizes or the crashes between; so whole systems can
be compared. (After a crash commands of several policies may reach a partition in another order, and
repeats leave records of their own.) Free-running processes are made of the same parts without this file.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from consumers.calculate import Calculator
from consumers.clock import Clock
from consumers.hints import Hints
from consumers.limits import MAX_BATCH, SEND_DEADLINE_S
from consumers.owner import PartitionOwner
from consumers.ports import CommandLog, EventLog, LogUnavailable, NewRecord, Partition
from consumers.project import Projector
from consumers.react import Reactor
from consumers.reading import batches, recorded
from schemas.catalog import is_runtime_record
from schemas.codec import Codec
from schemas.envelope import Moment, Recorded

T = TypeVar("T")

_CALCULATOR = "calculator"
_WAIT_S = 1.0


async def _all(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Runs side by side and waits for all of them, also when one fails: nobody may go on behind a new start."""
    done = await asyncio.gather(*works, return_exceptions=True)
    for one in done:
        if isinstance(one, BaseException):
            raise one
    return [one for one in done if not isinstance(one, BaseException)]


class LockStep:
    """Runs every part of a deployment in one process, in rounds.

    A round: every owner answers what its command partition holds; the new facts are read, policies
    send what follows, and so on until nothing is left; then the facts are projected, in one
    transaction, and calculations whose inputs are complete propose. Reacting comes before projecting,
    so what is projected has been reacted to, and the projected position is where reactors begin again.

    After any error it is dead: what was read and not yet reacted to is known only after `start`.
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
        ended: Sequence[Partition] = (),
    ) -> None:
        self._ended = tuple(ended)
        self._owners = {owner.partition: owner for owner in owners}
        self._events, self._commands, self._codec = events, commands, codec
        self._reactor, self._projector, self._calculator, self._hints = reactor, projector, calculator, hints
        self._clock = Clock(commands, codec, tuple(self._owners))
        self._position: dict[Partition, int] = {}
        self._unprojected: dict[Partition, list[Recorded[Any]]] = {}
        self._next_seq: dict[Partition, int] = {}
        self._told: set[Partition] = set()
        self._alive = False

    async def start(self) -> None:
        """Claims and restores every partition, catches up what a crash or an error left undone.

        Raises:
            LogUnavailable: the log does not answer.
        """
        self._alive, self._told, self._unprojected = True, set(self._owners), {}
        self._calculator.forget()
        with self._whole():
            await _all(owner.start() for owner in self._owners.values())
            await self._projector.start()
            calculated = await self._hints.hints(_CALCULATOR)
            for partition in (*self._ended, *self._owners):
                await self._catch_up(partition, calculated.get(partition, 0))
        await self.settle()

    async def _catch_up(self, partition: Partition, calculated: int) -> None:
        """Reads again what was recorded but not projected (nor calculated) when the process died."""
        reached = self._projector.reached(partition).position
        if self._calculator.listens_to(partition.family):
            async for facts, _ in batches(self._events, self._codec, partition, calculated, reached):
                self._calculator.offer(facts)
        self._position[partition] = reached
        async for facts, position in batches(self._events, self._codec, partition, reached):
            self._take(partition, position, facts)
            await self._react({partition: facts})
            await self._project()
        if partition in self._owners:
            self._next_seq[partition] = self._owners[partition].decider.seq

    async def stop(self) -> None:
        """Gives every partition up."""
        self._alive = False
        await _all(owner.stop() for owner in self._owners.values())

    @contextmanager
    def _whole(self) -> Iterator[None]:
        if not self._alive:
            raise LogUnavailable("the lock-step drive stopped at an earlier error: start it again")
        try:
            yield
        except BaseException:
            self._alive = False
            raise

    @property
    def time(self) -> Moment:
        """The latest time that any partition has reached."""
        return max((owner.decider.time for owner in self._owners.values()), key=lambda moment: moment.n)

    @property
    def passed(self) -> int:
        """The last tick that every partition has passed."""
        return min(owner.decider.passed for owner in self._owners.values())

    async def send(self, commands: Sequence[tuple[Partition, NewRecord]]) -> None:
        """Puts commands on the log; `settle` has them answered.

        Raises:
            LogUnavailable: some may stand and some may not; `start`, then send all of them again.
        """
        with self._whole():
            await self._send_on(commands)

    async def tick(self, moment: Moment) -> list[Recorded[Any]]:
        """Time passes to `moment`; returns the facts of everything that follows."""
        with self._whole():
            self._told.update(self._owners)
            await self._clock.tick(moment)
        return await self.settle()

    async def settle(self) -> list[Recorded[Any]]:
        """Runs rounds until nothing is left to do; returns the facts (no runtime records) in the order read."""
        seen: list[Recorded[Any]] = []
        with self._whole():
            while True:
                if self._told:
                    # Only this process sends in lock-step, so nobody else's partitions need be looked at.
                    told = [p for p in self._owners if p in self._told]
                    self._told.clear()
                    await _all(self._drain(self._owners[p]) for p in told)
                    new = dict(zip(told, await _all(self._read_new(p) for p in told), strict=True))
                    await self._react(new)
                    seen += [f for facts in new.values() for f in facts if not is_runtime_record(f.body)]
                    continue
                await self._project()
                if not await self._calculate():
                    return seen

    async def _drain(self, owner: PartitionOwner) -> None:
        """Answers every command that the partition holds now: batch sizes must not change the rounds."""
        end = await self._commands.end(owner.partition)
        while owner.decider.source < end and not owner.decider.followed_by:
            if not await owner.step():
                await self._commands.wait(owner.partition, owner.decider.source, _WAIT_S)

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
            facts = [recorded(self._codec, partition, stored) for stored in batch.records]
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
        await self._send_on(commands)

    async def _send_on(self, commands: Sequence[tuple[Partition, NewRecord]]) -> None:
        if commands:
            self._told.update(partition for partition, _ in commands)
            await self._commands.send(commands, SEND_DEADLINE_S)

    async def _project(self) -> None:
        if self._unprojected:
            await self._projector.project({p: (facts, self._position[p]) for p, facts in self._unprojected.items()})
            self._unprojected = {}

    async def _calculate(self) -> bool:
        before = self._calculator.waiting
        commands = await self._calculator.run_ready(self._complete)
        await self._send_on(commands)
        self._calculator.sent()
        if before and not self._calculator.waiting:
            await self._hints.hint(_CALCULATOR, dict(self._position))
        return bool(commands)

    def _complete(self, family: str) -> int:
        return self._projector.complete_tick([p for p in self._owners if p.family == family])
