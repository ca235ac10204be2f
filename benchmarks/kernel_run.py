"""`python -m benchmarks.kernel_run plain|compiled`: measures the kernel in a process of its own, one line of JSON."""

import sys

from infra.compiled import use_compiled

if __name__ == "__main__":
    print(use_compiled() if sys.argv[1] == "compiled" else "plain Python: as asked", file=sys.stderr)

    from benchmarks import kernel  # only now: it imports what may be compiled

    print(kernel.measured())
