"""`python -m benchmarks [name …]`: runs benchmarks and prints one line of JSON a figure; progress goes to stderr."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence

from benchmarks import kernel, message_class
from benchmarks.figure import Figure

BENCHMARKS: Mapping[str, Callable[[], Iterator[Figure]]] = {
    "kernel": kernel.run,
    "message_class": message_class.run,
}
"""Every benchmark by its name; each takes a minute at most."""


def main(names: Sequence[str]) -> int:
    """Runs the named benchmarks, all without a name; 0, or 2 for an unknown name."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"unknown benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    for name in names or BENCHMARKS:
        print(f"{name} …", file=sys.stderr)
        for figure in BENCHMARKS[name]():
            print(figure.to_json(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
