"""Wishes about what stops and starts trading, and what lines carry. Key: the market."""

from schemas.message import command
from schemas.values import Id, Minutes, PowerW, TimeUs


@command
class SuspendTrading:
    """The operator stops an instrument, or the whole market (none): orders may be cancelled and nothing else."""

    delivery_start_at: TimeUs | None
    duration_min: Minutes | None


@command
class ResumeTrading:
    """The operator lets a suspended instrument, or the market that was suspended as a whole (none), trade again."""

    delivery_start_at: TimeUs | None
    duration_min: Minutes | None


@command
class PublishLineCapacity:
    """The operator says what a line carries per settlement interval from `first_start_at` on, that way and back.

    It replaces what was published before; what crosses already stays, and nothing more crosses until it fits.
    """

    line: Id
    first_start_at: TimeUs
    forward_w: tuple[PowerW, ...]
    backward_w: tuple[PowerW, ...]
