"""A heap of what is due when, that can be read in order without being changed; and what happens when it is due."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any, Final, NamedTuple

LEAVING: Final = -4
PRODUCT: Final = -3
UNCROSSING: Final = -2
CLOSING: Final = -1
EXPIRY: Final = 0
LAPSE: Final = 1
GATE: Final = 2
HALT_END: Final = 3
BLOCK_EXPIRY: Final = 4
BLOCK_GATE: Final = 5
BLOCK_UNCROSSING: Final = 6
"""Kinds of timers, in the order in which they come at one time: orders expire first, then proposals lapse, then gates
close. A stream's kind is a number of its own; what has slices to write out stands at time 0 (`AT_ONCE`)."""

LISTING_CLOSING: Final = 20
LISTING_RESULT: Final = 21
AUCTION_LISTING: Final = 30
AUCTION_TRADES: Final = 31
AUCTION_DEADLINE: Final = 32
ENQUIRY_DEADLINE: Final = 22
DEFAULT: Final = 42
SESSION_CALL: Final = 50
SESSION_LISTING: Final = 51
SESSION_TRADES: Final = 52
SESSION_DEADLINE: Final = 53

AT_ONCE: Final = 0


Timer = tuple[int, int, int, str]
"""(at, kind, number, subject): something is due at `at`. `number` orders what is due together: sequence, number of
proposal, start."""


@dataclass(slots=True)
class Ahead:
    """What one call of `advance` has said so far, before any of it is in the state.

    `room` is how many facts it may still say, `gone` the orders that it has taken out of their books, `said`
    whether earlier timers said anything. Who says
    something that a later timer's answer depends on sets `stop`: the others wait for the next call.
    """

    at: int
    room: int
    gone: set[str] = field(default_factory=set)
    said: bool = False
    stop: bool = False


class Timed(NamedTuple):
    """What a kind of timer means; `state` is the market, which this module does not know.

    `is_over` says that it came to its end otherwise, `happen` says at most `ahead.room` facts.
    """

    is_over: Callable[[Any, Timer], bool]
    happen: Callable[[Any, Timer, Ahead], Iterable[Any]]


def in_order(heap: list[Timer]) -> Iterator[Timer]:
    """The timers of a heap (as `heapq` keeps it), earliest first; reading k of them costs k log k."""
    ahead = [(heap[0], 0)] if heap else []
    while ahead:
        timer, place = heappop(ahead)
        yield timer
        for below in (2 * place + 1, 2 * place + 2):
            if below < len(heap):
                heappush(ahead, (heap[below], below))
