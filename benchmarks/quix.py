"""Beside other people's program: a copy of the same commands by quixstreams, exactly once, one core for it as for us.

It reads and writes bytes as they are, with Kafka's C client below it; the owner decides them. The library lives in an
environment of its own, which is made when it is first needed; where that cannot be made there is no figure.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from secrets import token_hex
from typing import Final

from benchmarks import cores
from benchmarks.bed import Bed
from benchmarks.bid_to_trade import MARKET, filled, served
from benchmarks.figure import Figure
from benchmarks.owner_path import Driven, product_codec

PACKAGE: Final = "quixstreams==3.28.1"
BATCH: Final = 2_000
WARM: Final = 6_000
COUNT: Final = 24_000
_INSTALL: Final = ("-m", "pip", "install", "-q", PACKAGE)
_INSTALL_S: Final = 300.0
_COPY_S: Final = 60.0
_PROGRAM: Final = Path(__file__).parent / "quixstreams_copy.py"


def run(bed: Bed) -> Iterator[Figure]:
    """Orders a second of the owner as it runs, beside messages a second of the copy."""
    python = _environment(bed.lasting / PACKAGE.replace("==", "-"))
    if python is not None:
        yield from asyncio.run(_measured(bed, python))


def _environment(folder: Path) -> Path | None:
    """The Python of the library's environment; none where it cannot be made."""
    python, made = folder / "bin" / "python", folder / "made"
    if not made.exists():
        print(f"  quix: installing {PACKAGE}", file=sys.stderr)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            for words in ([sys.executable, "-m", "venv", str(folder)], [str(python), *_INSTALL]):
                subprocess.run(words, check=True, capture_output=True, timeout=_INSTALL_S)
        except (OSError, subprocess.SubprocessError) as error:
            print(f"  quix: skipped, {PACKAGE} cannot be installed ({error})", file=sys.stderr)
            return None
        made.touch()
    return python


async def _measured(bed: Bed, python: Path) -> list[Figure]:
    codec, name = product_codec(), f"bench{token_hex(4)}"
    async with AsyncExitStack() as stack:
        events, commands = await served(stack, bed, name)
        target, _ = await served(stack, bed, f"{name}copy")
        begin = await filled(commands, codec, WARM + COUNT)
        driven = Driven(MARKET, codec, events, commands)
        await driven.start()
        stack.push_async_callback(driven.stop)
        await driven.decide(begin, begin)
        with cores.apart(bed.servers):
            await driven.run()
            await driven.decide_running(begin + WARM)
            wall, cpu = time.perf_counter(), time.process_time()
            await driven.decide_running(begin + WARM + COUNT)
            ours = (time.perf_counter() - wall) / COUNT, (time.process_time() - cpu) / COUNT
            copied = begin + WARM + COUNT
            theirs = await _copied(python, bed.bootstrap, f"{name}.commands.market", target.topic(MARKET), copied)
    rate, cpu_us, other_us = 1 / ours[0], 1e6 * ours[1], 1e6 * theirs[1]
    against = f"{PACKAGE}, exactly-once copy: {1 / theirs[0]:,.0f} messages/s"
    return [
        Figure("quix", round(rate), "orders/s", against, round(theirs[0] / ours[0], 3)),
        Figure("quix.cpu", round(cpu_us, 2), "µs/order", f"{other_us:.2f} µs/message", round(other_us / cpu_us, 3)),
    ]


async def _copied(python: Path, bootstrap: str, source: str, target: str, count: int) -> tuple[float, float]:
    """Seconds a message, by the clock and of the processor, once it is warm."""
    words = [_PROGRAM, bootstrap, source, target, BATCH, count]
    process = await asyncio.create_subprocess_exec(
        python, *map(str, words), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        said, errors = await asyncio.wait_for(process.communicate(), _COPY_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise AssertionError(f"quixstreams ended with {process.returncode}: {errors.decode()[-500:]}")
    marks = [mark for mark in map(json.loads, said.splitlines()) if mark[0] >= WARM]
    (n, wall, cpu), (last, ends, spent) = marks[0], marks[-1]
    return (ends - wall) / (last - n), (spent - cpu) / (last - n)
