"""`python -m benchmarks.outside`: a program beside the measured one that sends orders at a rate and reads the answers.

It says `ready` when everything is prepared, waits for a line, and prints in the end what it has seen as one line of
JSON (`Seen`). It sends by the clock, whatever becomes of what it has sent before, and reads as every reader does.
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

_LATE_S: Final = 10.0
"""After the last order was sent, its answer is waited for so long."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Orders `first` to `first + warm + count` of the benchmark's, `rate` a second; the first `warm` do not count."""

    bootstrap: str
    deployment: str
    first: int
    warm: int
    count: int
    rate: float


@dataclass(frozen=True, slots=True)
class Seen:
    """Seconds from the command's acknowledgement, and from its sending, until a reader had the first answer, sorted;
    how late the last send was behind the clock, at worst."""

    appended: list[float]
    sent: list[float]
    behind: float


def main(arguments: Sequence[str]) -> int:
    """Does what the JSON in the first argument asks."""
    cores.beside()
    print(json.dumps(asdict(asyncio.run(_outside(Asked(**json.loads(arguments[0])))))))
    return 0


async def _outside(asked: Asked) -> Seen:
    codec = load_codec()
    said = list(islice(bids.bids(codec, asked.first + asked.warm + asked.count), asked.first, None))
    async with AsyncExitStack() as stack:
        where = asked.bootstrap, asked.deployment
        events, commands = KafkaEventLog(*where), KafkaCommandLog(*where)
        for log in (events, commands):
            await log.start()
            stack.push_async_callback(log.close)
        position = await events.end(MARKET)
        gc.freeze()
        gc.disable()  # a pause of ours must not be taken for one of theirs
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        watch = _Watch([dict(record.headers)[COMMAND_ID] for record in said])
        reading = asyncio.create_task(watch.read(events, position))
        behind = await _send(commands, said, asked.rate, watch)
        await asyncio.wait_for(reading, _LATE_S)
    return watch.seen(asked.warm, behind)


async def _send(commands: CommandLog, said: Sequence[NewRecord], rate: float, watch: "_Watch") -> float:
    began, sent, behind, sending = time.perf_counter(), 0, 0.0, set[asyncio.Task[None]]()

    async def send(first: int, some: Sequence[NewRecord]) -> None:
        at = time.perf_counter()
        await commands.send([(MARKET, record) for record in some], SEND_DEADLINE_S)
        watch.acknowledged(first, len(some), at, time.perf_counter())

    while sent < len(said):
        late = time.perf_counter() - began - sent / rate
        if late < EVERY_S:
            await asyncio.sleep(EVERY_S - late)
            continue
        behind = max(behind, late)
        due = min(len(said), int((time.perf_counter() - began) * rate)) - sent
        task = asyncio.create_task(send(sent, said[sent : sent + due]))
        sending.add(task)
        task.add_done_callback(sending.discard)
        sent += due
    await asyncio.gather(*sending)
    return behind


class _Watch:
    """When each command was sent and acknowledged, and when its first answer was read."""

    def __init__(self, ids: Sequence[bytes]) -> None:
        self._numbers = {command_id: n for n, command_id in enumerate(ids)}
        self._sent, self._acknowledged, self._answered = ([0.0] * len(ids) for _ in range(3))

    def acknowledged(self, first: int, count: int, sent: float, now: float) -> None:
        """These commands stand."""
        self._sent[first : first + count] = [sent] * count
        self._acknowledged[first : first + count] = [now] * count

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
        return Seen(appended, sent, behind)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
