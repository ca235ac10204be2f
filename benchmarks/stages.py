"""Where the time of an order goes: processor time by stage, on the commands of `bid_to_trade`.

Reading and appending are measured on the broker by themselves. What happens between is measured inside one
run of the partition's rules, by clocks around the calls; what no clock stands around is `partition` (guards,
window, envelope, records). The clocks' own time is taken off. Only plain Python can be looked into.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from secrets import token_hex
from types import SimpleNamespace
from typing import Any, Final

from benchmarks import bids, cores, machine
from benchmarks.bed import Bed
from benchmarks.bid_to_trade import MARKET, filled, served
from benchmarks.figure import Figure
from benchmarks.owner_path import product_codec
from consumers.limits import APPEND_DEADLINE_S
from consumers.memory import Memory
from consumers.partition import PartitionDecider
from consumers.ports import NewRecord, StoredRecord
from domain.families import DECIDERS

ORDERS: Final = 20_000
BATCH: Final = 2_000
_CALIBRATION: Final = 200_000


class Clocks:
    """Processor time by stage; a stage inside another one is taken off the outer one, and so are the clocks."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._calls: dict[str, int] = {}
        self._within: dict[str, int] = {}
        self._stack: list[tuple[str, float]] = [("", 0.0)]
        self._inner, self._outer = self._calibrated()

    def around(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function with a clock around it."""
        seconds, calls, within, stack, now = self._seconds, self._calls, self._within, self._stack, time.thread_time
        seconds[stage] = calls[stage] = within[stage] = 0

        def clocked(*args: Any, **named: Any) -> Any:
            stack.append((stage, 0.0))
            began = now()
            try:
                return function(*args, **named)
            finally:
                took = now() - began
                seconds[stage] += took - stack.pop()[1]
                calls[stage] += 1
                outer, inside = stack[-1]
                stack[-1] = outer, inside + took
                if outer:
                    within[outer] += 1

        return clocked

    def again(self) -> None:
        """Forgets what was measured."""
        for stage in self._seconds:
            self._seconds[stage] = self._calls[stage] = self._within[stage] = 0

    def stages(self) -> dict[str, float]:
        """Seconds by stage, without what the clocks themselves took."""
        return {
            stage: seconds - self._calls[stage] * self._inner - self._within[stage] * self._outer
            for stage, seconds in self._seconds.items()
            if self._calls[stage]
        }

    def _calibrated(self) -> tuple[float, float]:
        """Seconds that one clock shows for nothing, and that it adds to what stands around it besides."""

        def nothing() -> None: ...

        def spent(function: Callable[[], None]) -> float:
            began = time.thread_time()
            for _ in range(_CALIBRATION):
                function()
            return time.thread_time() - began

        clocked = self.around("nothing", nothing)
        both = (spent(clocked) - spent(nothing)) / _CALIBRATION
        inner = self._seconds.pop("nothing") / _CALIBRATION
        return inner, both - inner


def run(bed: Bed) -> Iterator[Figure]:
    """µs of processor time an order, by stage."""
    hot = machine.compiled(machine.HOT)
    if hot:
        print(f"  stages: skipped, clocks cannot look into compiled modules ({', '.join(hot)})", file=sys.stderr)
        return
    yield from asyncio.run(_measured(bed))


async def _measured(bed: Bed) -> list[Figure]:
    async with AsyncExitStack() as stack:
        codec = product_codec()
        events, commands = await served(stack, bed, f"bench{token_hex(4)}")
        begin = await filled(commands, codec, ORDERS)
        with cores.apart(bed.servers):
            began, said, position = time.process_time(), list[StoredRecord](), begin
            end = await commands.end(MARKET)
            while position < end:
                batch = await commands.read(MARKET, position, BATCH)
                said += batch.records
                position = batch.next
            stages = {"read": time.process_time() - began}
            appends, inside = _decided([*_stored(codec), *said], begin)
            stages |= inside
            owner = await events.claim(MARKET)
            began = time.process_time()
            for records in appends:
                await owner.append(records, APPEND_DEADLINE_S)
            stages["append"] = time.process_time() - began
        whole = sum(stages.values())
        figures = [Figure(f"stages.{name}", round(1e6 * s / ORDERS, 2), "µs/order") for name, s in stages.items()]
        return [*figures, Figure("stages.sum", round(1e6 * whole / ORDERS, 2), "µs/order")]


def _stored(codec: Any) -> Iterator[StoredRecord]:
    for n, record in enumerate(bids.preparation(codec)):
        yield StoredRecord(n, record.key, record.value, record.headers)


def _decided(said: list[StoredRecord], begin: int) -> tuple[list[list[NewRecord]], dict[str, float]]:
    """The appends for all batches behind position `begin`, and seconds by stage."""
    clocks, codec, rules = Clocks(), product_codec(), DECIDERS[MARKET.family]
    clocked = {name: clocks.around(name, getattr(rules, name)) for name in ("decide", "advance", "evolve", "due")}
    decider: Any = SimpleNamespace(initial=rules.initial, LOGIC=rules.LOGIC, OUTCOMES=rules.OUTCOMES, **clocked)
    for name in ("decode", "decode_command", "check", "stem", "encode", "encode_fact"):
        setattr(codec, name, clocks.around(name, getattr(codec, name)))
    usual = Memory.remember, Memory.remember_all
    Memory.remember = clocks.around("remember", usual[0])  # type: ignore[method-assign]
    Memory.remember_all = clocks.around("remember_all", usual[1])  # type: ignore[method-assign]
    try:
        partition = PartitionDecider(MARKET, 1, decider, codec)
        partition._chain.add = clocks.around("chain", partition._chain.add)  # type: ignore[method-assign]
        partition.decide(said[:begin])
        take = clocks.around("partition", partition.decide)
        clocks.again()
        appends = [take(said[n : n + BATCH]) for n in range(begin, len(said), BATCH)]
    finally:
        Memory.remember, Memory.remember_all = usual  # type: ignore[method-assign]
    return appends, clocks.stages()
