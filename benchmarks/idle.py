"""What a deployment costs that has nothing to do: `gridbook up` on Kafka, default ticks, four partitions a family.

Processor time of all processes of `gridbook up` and of its database, while real time passes; the broker is told
beside. Nobody sends anything but the clock: every second a tick to each partition of market and programme, every
minute one to all. Beside it, how often each process is woken: a wake-up costs more than what is done then.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Final

import psutil

from benchmarks.bed import Bed
from benchmarks.figure import Figure
from benchmarks.product import gridbook

TARGET: Final = 10.0
PARTITIONS: Final = 4
SETTLE_S: Final = 5.0
SECONDS: Final = 24.0
_READY_S: Final = 90.0


@dataclass(frozen=True, slots=True)
class Spent:
    """Processor seconds, and how often the process gave the processor away to wait."""

    seconds: float
    waits: int

    def __sub__(self, other: "Spent") -> "Spent":
        return Spent(self.seconds - other.seconds, self.waits - other.waits)


def run(bed: Bed) -> Iterator[Figure]:
    """Percent of a core, all together and by process."""
    partitions = {"GRIDBOOK_PARTITIONS": str(PARTITIONS)}
    with gridbook(bed, ["up"], f"bench{token_hex(4)}", partitions) as (process, log):
        _until_ready(process, log)
        time.sleep(SETTLE_S)
        before, began = _looked(bed, process.pid), time.monotonic()
        while (left := SECONDS - (time.monotonic() - began)) > 0:
            print(f"  idle: {left:.0f} s more", end="\r", file=sys.stderr)
            time.sleep(min(1.0, left))
        after, seconds = _looked(bed, process.pid), time.monotonic() - began
    print(file=sys.stderr)
    yield from figures(before, after, seconds)


def figures(before: Mapping[str, Spent], after: Mapping[str, Spent], seconds: float) -> Iterator[Figure]:
    """The figures between two looks; a process that came or went in between is an error."""
    if before.keys() != after.keys():
        raise AssertionError(f"processes came or went: {sorted(before.keys() ^ after.keys())}")
    spent = {name: after[name] - before[name] for name in after}
    percent = {name: 100 * one.seconds / seconds for name, one in spent.items()}
    whole = sum(share for name, share in percent.items() if name != "broker")
    yield Figure("idle", round(whole, 1), "% of a core", None, None, TARGET, whole <= TARGET)
    for name in sorted(spent, key=lambda name: -percent[name]):
        against = f"{spent[name].waits / seconds:,.0f} waits a second"
        yield Figure(f"idle.{name}", round(percent[name], 1), "% of a core", against)


def _until_ready(process: "subprocess.Popen[bytes]", log: Path) -> None:
    began = time.monotonic()
    while time.monotonic() - began < _READY_S and process.poll() is None:
        if any(map(_is_ready, log.read_bytes().splitlines())):
            print(f"  idle: ready after {time.monotonic() - began:.0f} s", file=sys.stderr)
            return
        time.sleep(0.2)
    last = b" | ".join(log.read_bytes().splitlines()[-5:]).decode(errors="replace")
    raise AssertionError(f"`gridbook up` is not ready: {last}")


def _is_ready(line: bytes) -> bool:
    try:
        said = json.loads(line)
    except ValueError:
        return False
    return isinstance(said, dict) and said.get("role") == "up" and said.get("event") == "ready"


def _looked(bed: Bed, up: int) -> dict[str, Spent]:
    """What every process has spent so far, by name: the roles, `up`, `postgresql`, `broker`."""
    found = {_role(process): _spent([process]) for process in psutil.Process(up).children(recursive=True)}
    found["up"] = _spent([psutil.Process(up)])
    if (pid := bed.postgres_pid) is not None:
        database = psutil.Process(pid)
        found["postgresql"] = _spent([database, *database.children(recursive=True)])
    if (pid := bed.broker_pid) is not None:
        found["broker"] = _spent([psutil.Process(pid)])
    return found


def _role(process: psutil.Process) -> str:
    words = process.cmdline()
    return words[words.index("run") + 1] if "run" in words else f"{process.name()}-{process.pid}"


def _spent(processes: list[psutil.Process]) -> Spent:
    seconds, waits = 0.0, 0
    for process in processes:
        times = process.cpu_times()
        seconds += times.user + times.system
        for thread in Path(f"/proc/{process.pid}/task").iterdir():
            waits += _waits(thread / "status")
    return Spent(seconds, waits)


def _waits(status: Path) -> int:
    try:
        lines = status.read_text().splitlines()
    except OSError:
        return 0  # a thread that has just ended
    return next((int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches")), 0)
