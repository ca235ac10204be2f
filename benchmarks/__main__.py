"""`python -m benchmarks [name …]`: runs benchmarks and prints one line of JSON a figure; progress goes to stderr.

What was measured is also written to `benchmarks/results/<name>.json`, with the machine it was measured on.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from benchmarks import bid_to_trade, kernel, machine, message_class, project_readings, rebuild, results, stages
from benchmarks.bed import Bed
from benchmarks.figure import Figure

BENCHMARKS: Mapping[str, Callable[[Bed], Iterator[Figure]]] = {
    "kernel": lambda _: kernel.run(),
    "message_class": lambda _: message_class.run(),
    "bid_to_trade": bid_to_trade.run,
    "stages": stages.run,
    "rebuild": rebuild.run,
    "project_readings": project_readings.run,
}
"""Every benchmark by its name; each takes a minute at most."""


def main(names: Sequence[str]) -> int:
    """Runs the named benchmarks, all without a name; 0, or 2 for an unknown name."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"unknown benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    with Bed() as bed:
        for name in names or BENCHMARKS:
            _run(name, bed)
    return 0


def _run(name: str, bed: Bed) -> None:
    print(f"{name} …", file=sys.stderr)
    began = time.monotonic()
    figures = []
    for figure in BENCHMARKS[name](bed):
        print(figure.to_json(), flush=True)
        figures.append(figure)
    seconds = time.monotonic() - began
    facts = machine.facts() | {"postgresql": bed.postgres_version()}
    path = results.write(name, figures, facts, seconds)
    print(f"  {seconds:.0f} s, kept in {path}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
