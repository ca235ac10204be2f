"""`python -m benchmarks [--compiled] [name …]`: runs benchmarks and prints one line of JSON a figure.

Progress goes to stderr. What was measured is also written to `benchmarks/results/<name>.json`, with the machine it
was measured on. `--compiled` runs the hot modules as native code (`make compile`), into `<name>.compiled.json`.
"""

import sys
from collections.abc import Sequence
from typing import Final

from infra.compiled import use_compiled

COMPILED: Final = "--compiled"


def main(arguments: Sequence[str]) -> int:
    """Runs what is named, everything without a name; 0, or 2 where that cannot be done."""
    compiled = COMPILED in arguments
    if compiled:
        said = use_compiled()
        print(said, file=sys.stderr)
        if not said.startswith("compiled"):
            return 2
    from benchmarks.suite import run  # what it imports must come after the choice

    return run([name for name in arguments if name != COMPILED], compiled=compiled)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
