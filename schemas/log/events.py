"""What an owner records besides facts, so that every command leaves at least one record."""

from enum import StrEnum

from schemas.message import event
from schemas.values import Count, Id, Name, PartitionCount, Sequence, TickNumber, TimeUs


class SetAsideReason(StrEnum):
    """Why a command was not decided."""

    UNDECODABLE = "undecodable"
    INVALID = "invalid"
    WRONG_PARTITION = "wrong_partition"
    EXPIRED = "expired"
    VALID_UNTIL_BEYOND_WINDOW = "valid_until_beyond_window"
    TICK_TOO_FAR = "tick_too_far"
    TICK_GOES_BACK = "tick_goes_back"
    DECIDE_RAISED = "decide_raised"
    ADVANCE_RAISED = "advance_raised"
    EVOLVE_RAISED = "evolve_raised"
    TOO_MANY_EVENTS = "too_many_events"


@event
class TimePassed:
    """The partition has passed tick `n`: every later record has a tick >= n. What was due and fitted no
    more into the tick's limits is among them."""

    n: TickNumber
    at: TimeUs


@event
class CommandRepeated:
    """The command was answered before. `first_seq` is its first record here; 0 for ticks, for commands from inside, and
    for what an earlier generation answered."""

    first_seq: Sequence


@event
class CommandSetAside:
    """The command was not decided; its bytes stay on the log, `command` names its type where it was readable."""

    reason: SetAsideReason
    command: Name
    subject: Id
    detail: Name


@event
class LogicAdopted:
    """From here on the family's decisions are those of logic number `n`."""

    n: Count


@event
class GenerationEnded:
    """The last record of the partition: the family goes on in its next generation, which has so many partitions."""

    partitions: PartitionCount
