"""The deployment's one clock: a tick is a command to every partition. Nothing else knows the time."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from consumers.layout import Layout
from consumers.limits import CLOCK_JUMP_US, DAY_US, MAX_TICK_JUMP_US, SEND_DEADLINE_S
from consumers.newer import NewerSchemas
from consumers.ports import CommandLog, EventLog, Group, NewRecord, Partition
from consumers.reading import COMMAND_ID, SOURCE, between, last_record
from consumers.report import TICKS, Condition, Report
from consumers.workers import NeedsOperator, Workers, until
from schemas.actors import LOG
from schemas.codec import Codec, UndecodableRecord
from schemas.envelope import CommandMeta, Moment
from schemas.log.commands import Tick


class Clock:
    """Sends ticks. Sending one twice is harmless: partitions answer a tick they have passed as repeated."""

    def __init__(self, commands: CommandLog, codec: Codec, partitions: Sequence[Partition]) -> None:
        self._commands, self._codec, self._partitions = commands, codec, partitions

    async def tick(self, moment: Moment, partitions: Sequence[Partition] | None = None) -> None:
        """Every partition (or each of these) is told that it is `moment`.

        Raises:
            LogUnavailable: some partitions may not have been told; send the same tick again.
        """
        command_id = f"tick-{moment.n}"
        meta = CommandMeta(command_id, f"{LOG}clock", command_id, None, None, None)
        record = NewRecord(
            b"", self._codec.encode(meta, Tick(moment.n, moment.at)), ((COMMAND_ID, command_id.encode()),)
        )
        await self._commands.send(
            [(p, record) for p in (self._partitions if partitions is None else partitions)], SEND_DEADLINE_S
        )


async def last_tick(partitions: Sequence[Partition], codec: Codec, events: EventLog, commands: CommandLog) -> Moment:
    """The newest time on the log: recorded by a partition, or in a command that waits for its owner.

    Raises:
        LogUnavailable: the log does not answer.
    """
    found = await asyncio.gather(*(_last_of(p, codec, events, commands) for p in partitions))
    return max(found, key=lambda moment: moment.n)


async def _last_of(partition: Partition, codec: Codec, events: EventLog, commands: CommandLog) -> Moment:
    newest, position = Moment(0, 0), 0
    stored = await last_record(events, partition)
    if stored is not None:
        newest = codec.decode_meta(stored.value).tick or newest
        position = int(dict(stored.headers)[SOURCE]) + 1
    async for waiting in between(commands, partition, position):
        if codec.type_of(waiting.value) is not Tick:
            continue
        with suppress(UndecodableRecord):  # it will be set aside
            tick: Tick = codec.decode(waiting.value)[1]
            newest = max(newest, Moment(tick.n, tick.at), key=lambda moment: moment.n)
    return newest


_PART: Final = "clock"


class ClockJumped(NeedsOperator):
    """The machine's clock moved further between two ticks than time does. Set it right, or start the clock again."""


class Clocks:
    """`gridbook run clock`: a tick every `tick_us`, from whoever is asked for the clock's one partition.

    Number and time of a tick lie on one line through the last tick on the log: number n0 + k, time at0 + k ·
    `tick_us`. So two clocks that overlap for a moment say the same, and a clock that comes back after a pause
    goes on where real time is. A family with multiple m gets the first tick at or behind every m-th number, and
    everybody gets the last tick on the log again from a clock that begins.

    Args:
        layout: every partition of the deployment; the group is asked for the first one.
        multiples: family → m; 1 where it is missing.
        now: the machine's time, UTC µs.
    """

    def __init__(
        self,
        layout: Layout,
        codec: Codec,
        events: EventLog,
        commands: CommandLog,
        group: Group,
        report: Report,
        now: Callable[[], int],
        tick_us: int,
        multiples: Mapping[str, int],
        newer: NewerSchemas | None = None,
    ) -> None:
        self._layout, self._partitions = layout, layout.current
        self._codec, self._events, self._commands = codec, events, commands
        self._report, self._now, self._tick_us, self._multiples = report, now, tick_us, multiples
        self._clock = Clock(commands, codec, self._partitions)
        one = self._partitions[:1]
        self._workers = Workers(
            "clock", group, one, self._run, report, lambda _: None, commands, part=lambda _: _PART, newer=newer
        )

    @property
    def working(self) -> tuple[Partition, ...]:
        """The first partition, while this process is the clock."""
        return self._workers.working

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`."""
        await self._workers.run(stop)

    async def _run(self, partition: Partition, ends: asyncio.Event) -> None:
        last = await last_tick(self._layout.partitions, self._codec, self._events, self._commands)
        self._report.gone(str(partition))  # from here on it is the clock that is looked at
        untold = self._partitions
        if not last.n:
            last, untold = await self._first(), untold[1:]
        base, now, steady = last, self._now(), time.monotonic()
        if now - base.at > MAX_TICK_JUMP_US:
            raise ClockJumped(
                f"the last tick on the log was {(now - base.at) // DAY_US} days ago, and no partition believes a jump"
                f" of more than {MAX_TICK_JUMP_US // DAY_US}: set the machine's clock right, or use another deployment"
            )
        await self._clock.tick(last, untold)  # who sent it may have died, or failed, before everybody was told
        while not ends.is_set():
            self._show(last, now)
            steps = (now - base.at) // self._tick_us
            moment = Moment(base.n + steps, base.at + steps * self._tick_us)
            if moment.n > last.n:
                await self._clock.tick(moment, [p for p in self._partitions if self._is_due(p, last.n, moment.n)])
                self._report.add(TICKS)
                last = moment
            await until(ends, min(1.0, (base.at + (steps + 1) * self._tick_us - self._now()) / 1_000_000))
            was, now = now, self._now()
            steady_was, steady = steady, time.monotonic()
            jump_us = now - was - round((steady - steady_was) * 1_000_000)
            if abs(jump_us) > CLOCK_JUMP_US:
                raise ClockJumped(
                    f"the machine's clock jumped by {jump_us / 1_000_000:+,.0f} s: no tick is sent any more;"
                    " set it right and start the clock again"
                )

    async def _first(self) -> Moment:
        """Tick 1: of clocks that begin together on an empty log, the one that stands first in the first partition."""
        place = self._partitions[0]
        await self._clock.tick(Moment(1, self._now() // self._tick_us * self._tick_us), [place])
        async for stored in between(self._commands, place, 0):
            if self._codec.type_of(stored.value) is Tick:
                with suppress(UndecodableRecord):  # as in `_last_of`
                    tick: Tick = self._codec.decode(stored.value)[1]
                    if tick.n == 1:
                        return Moment(tick.n, tick.at)
        raise AssertionError("a tick that was stored is not on the log")

    def _show(self, last: Moment, now: int) -> None:
        ahead_us = last.at - now
        if ahead_us > self._tick_us:
            text = f"the log is {ahead_us / 1_000_000:,.0f} s ahead of this machine's clock"
            self._report.condition(_PART, Condition.WAITING, text)
        else:
            self._report.condition(_PART, Condition.RUNNING)

    def _is_due(self, partition: Partition, last: int, n: int) -> bool:
        multiple = self._multiples.get(partition.family, 1)
        return n // multiple > last // multiple
