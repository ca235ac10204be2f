"""A heap of what is due when, that can be read in order without being changed."""

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Final

EXPIRY: Final = 0
LAPSE: Final = 1
GATE: Final = 2
"""Kinds of timers. At one time orders expire first, then proposals lapse, then gates close."""


Timer = tuple[int, int, int, str]
"""(at, kind, number, subject): something is due at `at`. `number` orders what is due together: sequence, number of
proposal, start."""


def in_order(heap: list[Timer]) -> Iterator[Timer]:
    """The timers of a heap (as `heapq` keeps it), earliest first; reading k of them costs k log k."""
    ahead = [(heap[0], 0)] if heap else []
    while ahead:
        timer, place = heappop(ahead)
        yield timer
        for below in (2 * place + 1, 2 * place + 2):
            if below < len(heap):
                heappush(ahead, (heap[below], below))
