"""A partition as a recorder knows it: one stream with a text id, and an owner row that fences its writers."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from consumers.ports import Fenced, LogUnavailable, Partition

Kind = Literal["commands", "events"]

# No dot: it separates the parts of an id, and two deployments must never share one.
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Fence:
    """Who writes how many records, and where: the write stands only if the owner row still says so.

    Args:
        epoch: the writer's claim; `OPEN` when everybody may write, behind whatever stands there.
        next: the number of the first record; `OPEN` as above.
    """

    stream: str
    epoch: int
    next: int
    count: int


OPEN: Final = -1


@dataclass(frozen=True, slots=True)
class OwnerRow:
    """The epoch of the last claim, and the number of the next record."""

    epoch: int
    next: int


class Streams:
    """The stream ids of one deployment's partitions: `<deployment>.<kind>.<family>/<number>`.

    Raises:
        ValueError: a deployment's or family's name holds anything but letters, digits, `_` and `-`.
    """

    def __init__(self, deployment: str, kind: Kind) -> None:
        _check("deployment", deployment)
        self._prefix = f"{deployment}.{kind}."
        self._ids: dict[Partition, str] = {}

    def id_of(self, partition: Partition) -> str:
        """The id of a partition; the same in every process and release."""
        stream = self._ids.get(partition)
        if stream is None:
            _check("family", partition.family)
            stream = self._ids[partition] = f"{self._prefix}{partition.family}/{partition.number}"
        return stream


def missing(stream: str) -> LogUnavailable:
    """What a call on a partition that nobody has created ends with."""
    return LogUnavailable(f"the partition {stream} does not exist: create it before it is used")


def fenced(fence: Fence, row: OwnerRow) -> Fenced:
    """What an append ends with when the stream was claimed later."""
    return Fenced(f"{fence.stream} was claimed later: its epoch is {row.epoch}, ours {fence.epoch}")


def elsewhere(fence: Fence, row: OwnerRow) -> LogUnavailable:
    """What an append ends with when the end is not where its owner left it, though nobody claimed."""
    return LogUnavailable(
        f"{fence.stream} should end at {fence.next} and ends at {row.next}, although nobody claimed it:"
        " something else writes to the log's tables"
    )


def dead(fence: Fence) -> LogUnavailable:
    """What every append after an unknown one, or after the owner's end, ends with."""
    return LogUnavailable(
        f"this owner of {fence.stream} (epoch {fence.epoch}) was closed, or does not know what became of an"
        " append: claim again and restore"
    )


def _check(what: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"expected a {what} of letters, digits, '_' and '-', found {name!r}")
