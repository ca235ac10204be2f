"""Which fact caused a command, also a command that an operator had decided again.

A receiver keeps one cursor for each sender and source partition, and takes what stands at or below it for a
repeat. A command that was set aside and is to be decided after all therefore comes on a line of its own: the
family in its causation is `site~again1.120.0` instead of `site` (attempt 1 for the command 0 of the fact 120).
Everything else stays as it was, the actor too, which families compare with the names of calculations. Each such
line has a cursor of its own, so the command is decided once, however often it is sent, and no later command of
the first line is held back.
"""

from dataclasses import replace
from typing import Final

from consumers.ports import Partition
from schemas.envelope import Causation

_AGAIN: Final = "~again"
"""No family's name holds a tilde."""


def again(cause: Causation, attempt: int) -> Causation:
    """The cause as the `attempt`-th retry (from 1) names it."""
    return replace(cause, family=f"{_family(cause)}{_AGAIN}{attempt}.{cause.seq}.{cause.n}")


def attempt_of(cause: Causation) -> int:
    """Which retry this is; 0 for the command as its reactor or calculator sent it."""
    _, marked, line = cause.family.partition(_AGAIN)
    number = line.partition(".")[0]
    return int(number) if marked and number.isdecimal() else 0


def caused_in(cause: Causation) -> Partition:
    """The events partition in which the causing fact stands."""
    return Partition(_family(cause), cause.partition)


def _family(cause: Causation) -> str:
    return cause.family.partition(_AGAIN)[0]
