"""What every process of a deployment agrees on: the messages, the partitions, the rules by which it decides."""

from collections.abc import Iterable
from dataclasses import dataclass

from consumers.failures import Poison
from consumers.layout import Counts, Layout
from consumers.partition import PartitionDecider
from consumers.ports import Partition
from domain.families import DECIDERS
from schemas.catalog import FAMILIES
from schemas.codec import Codec


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment's name, its messages, and which partitions each family has (part of the record)."""

    name: str
    codec: Codec
    layout: Layout

    @classmethod
    def of(cls, name: str, codec: Codec, partitions: int | Counts) -> "Deployment":
        """With so many partitions for every family, or for each its own number."""
        counts = dict.fromkeys(FAMILIES, partitions) if isinstance(partitions, int) else partitions
        return cls(name, codec, Layout.of(counts))

    def decider(self, partition: Partition, set_aside: Iterable[Poison]) -> PartitionDecider:
        """A fresh, empty decider of a partition."""
        layout, rules = self.layout, DECIDERS[partition.family]
        count, earlier = layout.count(partition), len(layout.before(partition))
        return PartitionDecider(partition, count, rules, self.codec, set_aside, earlier=earlier)
