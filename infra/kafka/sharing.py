"""Who in a group works on what: each family's partitions evenly over those who offer themselves for it.

The library's own ways to share move most partitions at every change, or put all families of one partition on
one member. A move costs a restore.
"""

import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any

from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyAssignorUserDataV1
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from aiokafka.structs import TopicPartition

log = logging.getLogger(__name__)

Holding = tuple[int, Collection[TopicPartition]]
"""What a member has, and the generation of the group that gave it."""


def share(
    counts: Mapping[str, int], offers: Mapping[str, Collection[str]], holders: Mapping[TopicPartition, str]
) -> dict[str, list[TopicPartition]]:
    """Member → its partitions. Of each topic members get equally many, or one more; what they have they keep.

    Who has the least so far gets the one more, so that many small topics are even too. The same members get
    the same again.

    Args:
        counts: topic → number of partitions.
        offers: member → topics that it would work on.
        holders: who has what now; may name members that are gone.
    """
    shares: dict[str, list[TopicPartition]] = {member: [] for member in offers}
    for topic, count in sorted(counts.items()):
        partitions = [TopicPartition(topic, n) for n in range(count)]
        has = {
            member: [partition for partition in partitions if holders.get(partition) == member]
            for member, topics in offers.items()
            if topic in topics
        }
        if not has:
            continue
        least, rest = divmod(count, len(has))
        ranked = sorted(has, key=lambda member: (len(shares[member]), -len(has[member]), member))
        kept = {member: has[member][: least + (rank < rest)] for rank, member in enumerate(ranked)}
        taken = {partition for some in kept.values() for partition in some}
        free = iter([partition for partition in partitions if partition not in taken])
        for rank, member in enumerate(ranked):
            missing = least + (rank < rest) - len(kept[member])
            shares[member] += sorted(kept[member] + [next(free) for _ in range(missing)])
    return shares


class Sharing:
    """`share` in the words of the group protocol: one assignor of one member, as aiokafka calls it.

    Args:
        holding: what this member has, when it joins again.
    """

    name = "gridbook"
    """Known to the broker; all members of a group must have it."""

    def __init__(self, holding: Callable[[], Holding]) -> None:
        self._holding = holding

    def metadata(self, topics: Collection[str]) -> ConsumerProtocolMemberMetadata:
        """What this member tells the one that shares out."""
        generation, held = self._holding()
        data = StickyAssignorUserDataV1(_by_topic(held), generation)
        return ConsumerProtocolMemberMetadata(0, sorted(topics), data.encode())

    def assign(
        self, cluster: Any, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Shares out what the members ask for; topics that nobody has made yet are left out."""
        offers = {member: set(asked.subscription) for member, asked in members.items()}
        counts = {topic: len(cluster.partitions_for_topic(topic) or ()) for topic in set().union(*offers.values())}
        holders: dict[TopicPartition, tuple[int, str]] = {}
        for member, asked in members.items():
            generation, held = _read(asked.user_data)
            for partition in held:
                # Of two that think they have it, one was out when it was given to the other.
                holders[partition] = max((generation, member), holders.get(partition, (generation, member)))
        shares = share(counts, offers, {partition: member for partition, (_, member) in holders.items()})
        return {member: ConsumerProtocolMemberAssignment(0, _by_topic(given), b"") for member, given in shares.items()}

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Nothing is kept: `holding` knows."""


def _by_topic(partitions: Collection[TopicPartition]) -> list[tuple[str, list[int]]]:
    topics: dict[str, list[int]] = {}
    for topic, number in sorted(partitions):
        topics.setdefault(topic, []).append(number)
    return list(topics.items())


def _read(data: bytes | None) -> Holding:
    """What another member says that it has; nothing when it is of a release that says it otherwise."""
    try:
        told = StickyAssignorUserDataV1.decode(data or b"")
    except ValueError:
        return -1, ()
    return told.generation, [
        TopicPartition(topic, number) for topic, numbers in told.previous_assignment for number in numbers
    ]
