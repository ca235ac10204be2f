"""Named limits of the flow. All are part of the deployment's contract; none is judged by a decider."""

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

MAX_BATCH: Final = 1_000
"""Commands decided, or events read, at a time."""

APPEND_DEADLINE_S: Final = 8.0
"""Below it the pipe's request time-out, above it the broker's transaction time-out (10 s)."""

SEND_DEADLINE_S: Final = 8.0

MAX_RESTORES: Final = 8
"""Restores in a row before an owner gives up and says why."""
