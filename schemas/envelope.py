"""Envelope and body: what every record on the log carries besides its own fields.

On the log a record is one Avro record: first field `meta`, then the body's fields; its key is the
family key. In memory envelope and body are apart, so that a decision sees both and mixes nothing.
"""

from typing import Generic, TypeVar

from schemas.message import envelope, value
from schemas.values import Count, Id, Name, Sequence, TickNumber, TimeUs

Body = TypeVar("Body", covariant=True)


@value
class Moment:
    """A tick of the deployment's one clock: its number and its time (UTC µs). `now` is this and nothing else."""

    n: TickNumber
    at: TimeUs


@value
class Causation:
    """The fact that caused a command, and which of its policy's commands it is (`n`, counted from 0)."""

    family: Name
    generation: Count
    partition: Count
    seq: Sequence
    n: Count


@value
class CommandMeta:
    """Who wishes, under which id; `valid_until` from doors only, `tick` and `causation` from inside only."""

    command_id: Id
    actor: Id
    correlation: Id
    valid_until: TimeUs | None
    tick: Moment | None
    causation: Causation | None


@value
class FactMeta:
    """Where a fact stands (`seq` is gapless per events partition), when, who caused it, which logic decided.

    `index` is the fact's place among its command's facts of the same key; ids of policy commands rest on it.
    """

    seq: Sequence
    tick: Moment
    command_id: Id
    index: Count
    actor: Id
    correlation: Id
    causation: Causation | None
    logic: Count


@envelope
class Command(Generic[Body]):
    """A wish as it stands on the log."""

    key: str
    meta: CommandMeta
    body: Body


@envelope
class Recorded(Generic[Body]):
    """A fact as it stands on the log, with the partition that it was read from."""

    family: str
    partition: int
    key: str
    meta: FactMeta
    body: Body
