"""What every process of a deployment agrees on: the messages, the partitions, the rules by which it decides."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from consumers.partition import PartitionDecider, Poison
from consumers.ports import Partition
from domain.families import DECIDERS
from schemas.catalog import FAMILIES
from schemas.codec import Codec


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment's name, its messages, and how many partitions each family has (part of the record)."""

    name: str
    codec: Codec
    counts: Mapping[str, int]

    @classmethod
    def of(cls, name: str, codec: Codec, partitions: int | Mapping[str, int]) -> "Deployment":
        """With so many partitions for every family, or for each its own number."""
        return cls(name, codec, dict.fromkeys(FAMILIES, partitions) if isinstance(partitions, int) else partitions)

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """Every partition, family by family."""
        return tuple(Partition(family, n) for family, count in self.counts.items() for n in range(count))

    def decider(self, partition: Partition, set_aside: Iterable[Poison]) -> PartitionDecider:
        """A fresh, empty decider of a partition."""
        family = partition.family
        return PartitionDecider(partition, self.counts[family], DECIDERS[family], self.codec, set_aside)
