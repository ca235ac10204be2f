"""`python -m benchmarks.outside <bootstrap> <deployment>`: a program beside the measured one that sends orders at a
rate and reads the answers.

For each line of JSON that it is given (`Asked`) it prepares the orders, says `ready`, waits for a line, does it, and
prints what it has seen as one line of JSON (`Seen`). It sends by the clock, whatever becomes of what it has sent
before, and reads as every reader does.
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Final

from benchmarks import bids, cores
from consumers.limits import MAX_BATCH, SEND_DEADLINE_S
from consumers.ports import CommandLog, EventLog, NewRecord, Partition
from consumers.reading import COMMAND_ID, news
from infra.kafka.command_log import KafkaCommandLog
from infra.kafka.event_log import KafkaEventLog
from infra.schemas import load_codec

MARKET: Final = Partition("market", 0)
EVERY_S: Final = 0.005
"""Between two sends; at ten thousand orders a second fifty come together, as from a handful of doors."""

_LATE_S: Final = 20.0
"""After the last order was sent, its answer is waited for so long."""

_TOGETHER: Final = 1_000
"""Orders of one send at most, when they cannot be sent as quickly as they are asked for."""


@dataclass(frozen=True, slots=True)
class Asked:
    """`warm` orders that do not count and `count` that do, `rate` a second; every seed gives others."""

    seed: int
    warm: int
    count: int
    rate: float


@dataclass(frozen=True, slots=True)
class Seen:
    """Seconds from the command's acknowledgement, and from when it was to be sent, until a reader had the first
    answer, sorted; how late a send was behind the clock, at worst; from the first send to the last answer."""

    appended: list[float]
    sent: list[float]
    behind: float
    took: float


def main(arguments: Sequence[str]) -> int:
    """Until its input ends."""
    cores.beside()
    asyncio.run(_outside(*arguments))
    return 0


async def _outside(bootstrap: str, deployment: str) -> None:
    codec = load_codec()
    gc.disable()  # a pause of ours must not be taken for one of theirs
    async with AsyncExitStack() as stack:
        events, commands = KafkaEventLog(bootstrap, deployment), KafkaCommandLog(bootstrap, deployment)
        for log in (events, commands):
            await log.start()
            stack.push_async_callback(log.close)
        while line := await asyncio.to_thread(sys.stdin.readline):
            asked = Asked(**json.loads(line))
            made = (record for record in bids.bids(codec, sys.maxsize, asked.seed) if record.key)  # without ticks
            said = list(islice(made, asked.warm + asked.count))
            position = await events.end(MARKET)
            print("ready", flush=True)
            await asyncio.to_thread(sys.stdin.readline)
            watch = _Watch([dict(record.headers)[COMMAND_ID] for record in said])
            reading = asyncio.create_task(watch.read(events, position))
            behind = await _send(commands, said, asked.rate, watch)
            await asyncio.wait_for(reading, _LATE_S)
            print(json.dumps(asdict(watch.seen(asked.warm, behind))), flush=True)


async def _send(commands: CommandLog, said: Sequence[NewRecord], rate: float, watch: "_Watch") -> float:
    """Sends what is due whenever the last send has come back; returns how late that was at worst, in seconds."""
    began, sent, behind = time.perf_counter(), 0, 0.0
    while sent < len(said):
        late = time.perf_counter() - began - sent / rate
        if late < EVERY_S:
            await asyncio.sleep(EVERY_S - late)
            continue
        behind = max(behind, late)
        due = int(min(len(said), sent + _TOGETHER, (time.perf_counter() - began) * rate)) - sent
        await commands.send([(MARKET, record) for record in said[sent : sent + due]], SEND_DEADLINE_S)
        watch.acknowledged(sent, [began + n / rate for n in range(sent, sent + due)], time.perf_counter())
        sent += due
    return behind


class _Watch:
    """When each command was to be sent, when it stood, and when its first answer was read."""

    def __init__(self, ids: Sequence[bytes]) -> None:
        self._numbers = {command_id: n for n, command_id in enumerate(ids)}
        self._sent, self._acknowledged, self._answered = ([0.0] * len(ids) for _ in range(3))

    def acknowledged(self, first: int, due: Sequence[float], now: float) -> None:
        """The commands from `first` on stand; they were to be sent at these times."""
        self._sent[first : first + len(due)] = due
        self._acknowledged[first : first + len(due)] = [now] * len(due)

    async def read(self, events: EventLog, position: int) -> None:
        """Reads facts from a position on until every command is answered."""
        never, left = asyncio.Event(), len(self._numbers)
        while left:
            batch = await events.read(MARKET, position, MAX_BATCH)
            now = time.perf_counter()
            for stored in batch.records:
                number = self._numbers.get(dict(stored.headers)[COMMAND_ID])
                if number is not None and not self._answered[number]:
                    self._answered[number] = now
                    left -= 1
            position = batch.next
            if not batch.records:
                await news(events, MARKET, position, never)

    def seen(self, warm: int, behind: float) -> Seen:
        """What counts of it."""
        answered = self._answered[warm:]
        appended, sent = (
            sorted(max(0.0, b - a) for a, b in zip(times[warm:], answered, strict=True))
            for times in (self._acknowledged, self._sent)
        )
        return Seen(appended, sent, behind, max(self._answered) - min(self._sent))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
