"""A partition as a recorder knows it: one stream with a text id, and an owner row that fences its writers."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from consumers.ports import Fenced, LogDiffers, LogUnavailable, Partition
from infra.deployment import NAME, checked

Kind = Literal["commands", "events"]


class PartitionsDiffer(LogDiffers):
    """A family stands on the log with another number of partitions: the number is part of the record."""


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

    No part holds a dot or a slash, so two deployments never share an id.

    Raises:
        InvalidDeployment: no deployment may have this name.
    """

    def __init__(self, deployment: str, kind: Kind) -> None:
        self._prefix = f"{checked(deployment)}.{kind}."
        self._ids: dict[Partition, str] = {}

    def id_of(self, partition: Partition) -> str:
        """The id of a partition; the same in every process and release."""
        stream = self._ids.get(partition)
        if stream is None:
            if not NAME.fullmatch(partition.family):
                raise ValueError(f"expected a family of lower case letters, digits and '_', found {partition.family!r}")
            stream = self._ids[partition] = f"{self._prefix}{partition}"
        return stream

    def of_families(self, partitions: Iterable[Partition]) -> list[str]:
        """The ids of all partitions of these generations: as many as the highest number that is named asks for."""
        last: dict[tuple[str, int], Partition] = {}
        for partition in sorted(partitions, key=lambda p: p.number):
            last[partition.family, partition.generation] = partition
        return [
            self.id_of(Partition(p.family, number))
            for p in last.values()
            for number in range(p.number - p.index, p.number + 1)
        ]


def family_of(stream: str) -> str:
    """What the ids of a family's partitions have in common."""
    return stream.rpartition("/")[0]


def _generation_of(stream: str) -> tuple[str, int]:
    family, _, number = stream.rpartition("/")
    return family, Partition(family, int(number)).generation


def differing(wanted: Iterable[str], existing: Iterable[str]) -> PartitionsDiffer | None:
    """What a call that would change a generation's number of partitions ends with; none for every other call."""
    found = Counter(map(_generation_of, existing))
    for generation, count in Counter(map(_generation_of, wanted)).items():
        if found[generation] not in (0, count):
            return PartitionsDiffer(
                f"{generation[0]} exists, but it has {found[generation]} partitions instead of {count}, and their"
                f" number is part of the record: start with {found[generation]}, or choose another deployment name"
            )
    return None


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
