"""Named limits of the flow. All are part of the deployment's contract; none is judged by a decider."""

from dataclasses import dataclass
from typing import Final

HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US

WINDOW_US: Final = 2 * DAY_US
"""W: for this long (partition time) a door command's id is remembered; no command is valid for longer."""

VALIDITY_US: Final = DAY_US
"""What a door stamps: half of W, so that a partition whose clock lags behind the door still accepts it."""

MAX_TICK_JUMP_US: Final = 366 * DAY_US
"""A tick further ahead than this waits for an operator: a clock that lies must not close a year of gates."""

MAX_TICK_COUNT: Final = 100_000_000
"""Ticks at once: more than three years of seconds."""

MAX_TICK_FACTS: Final = 5_000
"""Facts of one tick, and up to one call of `advance` more: an append must end before its deadline."""

MAX_RECORD_BYTES: Final = 900_000
"""A record's value; a broker takes 1 MiB with key and headers."""

MAX_EVENTS: Final = 1_000
"""Facts of one decision."""

ADVANCE_LIMIT: Final = 100
"""Facts of one call of `advance`."""

MAX_BATCH: Final = 2_000
"""Commands decided in one append, or records read, at a time."""

MAX_BATCH_BYTES: Final = 8 * 1024 * 1024
"""Bytes of the records of one append, and up to one decision more: the broker takes it before the deadline."""

MAX_BATCH_S: Final = 1.0
"""Time to decide for one append, and up to one slice more: who waits for its answer waits no longer than needed."""

DECIDE_SLICE: Final = 50
"""Commands decided before the process looks up: a commit under way has some seven answers to take up."""

GATHER_S: Final = 0.015
"""Where commands wait, an append gathers for so long although the one before it is done: a transaction costs two
milliseconds whatever is in it."""

LOOP_TURNS: Final = 8
"""Turns of the event loop that an answer takes from the socket until the next request leaves. With a slice decided
between two of them, a commit would wait for thirty slices instead of seven."""

IDLE_WAIT_S: Final = 5.0
"""So long one question for news waits; then it is asked again."""

MAX_SET_ASIDE: Final = 100
"""Commands set aside in a row before an owner rests and calls an operator: it may be the wrong release."""

SNAPSHOT_EVERY: Final = 100_000
"""Records between two snapshots of a partition."""

HINT_EVERY_S: Final = 1.0
"""A reader notes its position at most so often, unless it was told otherwise."""

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 10.0
"""Between two attempts when something is gone: growing, with jitter; at most so long after it is back."""

STOP_S: Final = 6.0
"""Time for a worker to end what it has begun; then it is cancelled."""

CLOCK_JUMP_US: Final = HOUR_US
"""The machine's clock may move so far between two ticks; beyond it no tick is sent until the clock is started again."""

APPEND_DEADLINE_S: Final = 8.0
"""Below it the pipe's request time-out, above it the broker's transaction time-out (10 s)."""

SEND_DEADLINE_S: Final = 8.0

MAX_RESTORES: Final = 8
"""Restores in a row before an owner gives up and says why."""


@dataclass(frozen=True, slots=True)
class OwnerLimits:
    """What an operator may choose for the owners of a process; the defaults are this file's.

    Of one append: `commands`, `bytes` of records and up to one decision more, `seconds` of deciding. A snapshot is due
    every `snapshot_every` records, and more than `set_aside` commands set aside in a row put the partition to rest.
    """

    commands: int = MAX_BATCH
    bytes: int = MAX_BATCH_BYTES
    seconds: float = MAX_BATCH_S
    append_deadline_s: float = APPEND_DEADLINE_S
    set_aside: int = MAX_SET_ASIDE
    snapshot_every: int = SNAPSHOT_EVERY
