"""Which partitions every family has, and had: their number is part of the record and changes by generations.

A generation ends for all of a family's partitions at one tick, with a record that tells how many the next one has
(`GenerationEnded`). It stays readable for ever; a key's later facts stand in the partition of the next generation
that the key belongs to.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from consumers.ports import EventLog, LogDiffers, Partition
from consumers.reading import last_record
from schemas.codec import Codec
from schemas.log.events import GenerationEnded
from schemas.partition import partition_of
from schemas.values import MAX_PARTITIONS

Counts = Mapping[str, int | Sequence[int]]
"""Family → number of partitions; of several generations, oldest first, when it was changed."""


class LayoutDiffers(LogDiffers):
    """The log has other partitions than this process was told."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Family → the number of partitions of each of its generations, oldest first."""

    families: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(cls, counts: Counts) -> "Layout":
        """As the settings tell it."""
        return cls({family: (n,) if isinstance(n, int) else tuple(n) for family, n in counts.items()})

    @classmethod
    def among(cls, partitions: Iterable[Partition]) -> "Layout":
        """The one that has just these partitions, if they are whole generations."""
        counts = dict[str, dict[int, int]]()
        for partition in sorted(partitions, key=lambda p: p.number):
            of_family = counts.setdefault(partition.family, {})
            of_family[partition.generation] = of_family.get(partition.generation, 0) + 1
        return cls({family: tuple(of_family.values()) for family, of_family in counts.items()})

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """Every partition, family by family, those of earlier generations before those of later ones."""
        return tuple(
            p for family, counts in self.families.items() for g in range(len(counts)) for p in self._of(family, g + 1)
        )

    @property
    def current(self) -> tuple[Partition, ...]:
        """The partitions in which something is still decided."""
        return tuple(p for family in self.families for p in self.of_family(family))

    @property
    def ended(self) -> tuple[Partition, ...]:
        """The partitions of earlier generations."""
        return tuple(p for p in self.partitions if p.generation < len(self.families[p.family]))

    @property
    def generations(self) -> int:
        """How many the family has that has most."""
        return max(map(len, self.families.values()))

    def of_generation(self, generation: int) -> tuple[Partition, ...]:
        """The partitions of this generation of every family that has it."""
        return tuple(p for p in self.partitions if p.generation == generation)

    def of_family(self, family: str) -> tuple[Partition, ...]:
        """The partitions of a family in which something is still decided."""
        return self._of(family, len(self.families[family]))

    def before(self, partition: Partition) -> tuple[Partition, ...]:
        """All partitions of the generation before this one's; none for the first."""
        return self._of(partition.family, partition.generation - 1)

    def count(self, partition: Partition) -> int:
        """How many partitions its generation has."""
        return self.families[partition.family][partition.generation - 1]

    def route(self, family: str, key: str) -> Partition:
        """Where commands for the key go, and where their facts stand."""
        return self._home(family, len(self.families[family]), key)

    def lineage(self, family: str, key: str) -> tuple[Partition, ...]:
        """Where the key's facts stand, generation after generation."""
        return tuple(self._home(family, generation, key) for generation in range(1, len(self.families[family]) + 1))

    def _home(self, family: str, generation: int, key: str) -> Partition:
        index = partition_of(key, self.families[family][generation - 1])
        return Partition(family, (generation - 1) * MAX_PARTITIONS + index)

    def _of(self, family: str, generation: int) -> tuple[Partition, ...]:
        if generation < 1:
            return ()
        first = (generation - 1) * MAX_PARTITIONS
        return tuple(Partition(family, first + n) for n in range(self.families[family][generation - 1]))


async def ends_of(partitions: Sequence[Partition], codec: Codec, events: EventLog) -> list[int | None]:
    """For each partition, how many partitions follow it in the next generation; none when it has not ended.

    Raises:
        LogUnavailable: the log does not answer.
    """

    async def end_of(partition: Partition) -> int | None:
        last = await last_record(events, partition)
        if last is None or codec.type_of(last.value) is not GenerationEnded:
            return None
        return int(codec.decode(last.value)[1].partitions)

    return list(await asyncio.gather(*(end_of(partition) for partition in partitions)))


async def demand_generation(layout: Layout, generation: int, codec: Codec, events: EventLog) -> None:
    """Comes before anybody works on a log, and before the generation behind this one is made to exist: whoever knows
    too few or too many would send where nobody reads.

    Raises:
        LayoutDiffers: the log has ended the generation otherwise; says what to set.
        LogUnavailable: the log does not answer.
    """
    partitions = layout.of_generation(generation)
    found = dict(zip(partitions, await ends_of(partitions, codec, events), strict=True))
    for family in dict.fromkeys(partition.family for partition in partitions):
        counts = layout.families[family]
        following = counts[generation] if generation < len(counts) else None
        ends = {end for partition, end in found.items() if partition.family == family}
        if ends == {following}:
            continue
        told = "+".join(map(str, counts))
        if None in ends:
            raise LayoutDiffers(
                f"generation {generation} of {family} has not ended in every partition, and the settings tell of"
                f" {told}: end it with `gridbook topics grow`, or correct GRIDBOOK_FAMILY_PARTITIONS"
            )
        grown = "+".join(map(str, (*counts[:generation], *sorted(filter(None, ends)))))
        raise LayoutDiffers(
            f"generation {generation} of {family} has ended, and the settings tell of {told} partitions: set"
            f" GRIDBOOK_FAMILY_PARTITIONS={family}={grown}"
        )
