"""The benchmarks by name, and how they are run: figures as lines of JSON, progress on stderr, results kept."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from benchmarks import (
    auction,
    bid_to_trade,
    blocks,
    idle,
    kernel,
    latency,
    machine,
    message_class,
    owners,
    project_readings,
    quix,
    rebuild,
    restore,
    results,
    session_gate,
    stages,
)
from benchmarks.bed import Bed
from benchmarks.figure import Figure
from consumers.garbage import GARBAGE

BENCHMARKS: Mapping[str, Callable[[Bed], Iterator[Figure]]] = {
    "kernel": lambda _: kernel.run(),
    "message_class": lambda _: message_class.run(),
    "auction": lambda _: auction.run(),
    "gate": session_gate.run,
    "blocks": lambda _: blocks.run(),
    "bid_to_trade": bid_to_trade.run,
    "stages": stages.run,
    "latency": latency.run,
    "rebuild": rebuild.run,
    "restore": restore.run,
    "project_readings": project_readings.run,
    "owners": owners.run,
    "idle": idle.run,
    "quix": quix.run,
}
"""Every benchmark by its name; each takes a minute at most on a machine that does nothing else."""


def run(names: Sequence[str], *, compiled: bool) -> int:
    """Runs the named benchmarks, all without a name; 0, or 2 for an unknown name."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"unknown benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    with Bed() as bed, GARBAGE.watched():  # as a process of deciders
        for name in names or BENCHMARKS:
            _run(name, bed, compiled)
    return 0


def _run(name: str, bed: Bed, compiled: bool) -> None:
    print(f"{name} …", file=sys.stderr)
    began = time.monotonic()
    figures = []
    for figure in BENCHMARKS[name](bed):
        print(figure.to_json(), flush=True)
        figures.append(figure)
    if figures:  # else it was skipped, and what was measured before still stands
        seconds = time.monotonic() - began
        facts = machine.facts() | {"postgresql": bed.postgres_version()}
        path = results.write(f"{name}.compiled" if compiled else name, figures, facts, seconds)
        print(f"  {seconds:.0f} s, kept in {path}", file=sys.stderr)
