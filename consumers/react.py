"""Reactors: a fact in one family becomes a wish in another, by the policy table.

A reactor has no memory: it may die, run twice or start at zero, because receivers keep a cursor per
policy and source partition. Its position is a hint that saves work, never a promise.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from consumers.ports import NewRecord, Partition
from consumers.reading import COMMAND_ID
from domain.identity import derived_id
from domain.policy import Policy
from schemas.actors import POLICY
from schemas.codec import Codec
from schemas.envelope import Causation, CommandMeta, Recorded
from schemas.partition import partition_of

GENERATION: Final = 1
"""Of the events topics; a new one begins when the number of partitions changes."""


def inside_command(
    codec: Codec, fact: Recorded[Any], actor: str, n: int, key: str, body: Any, family: str, partitions: int
) -> tuple[Partition, NewRecord]:
    """A command caused by a fact, as it goes on the log; the same fact gives the same bytes for ever.

    Its id is a function of actor, `n`, family, key, and the causing command with its tick and the fact's
    place among that command's facts: nothing physical, so a moved log stays the same log.
    """
    meta, cause = fact.meta, Causation(fact.family, GENERATION, fact.partition, fact.meta.seq, n)
    who = (meta.actor, meta.command_id, meta.tick.n, meta.index)
    command_id = derived_id(actor, n, family, key, fact.family, fact.key, *who)
    envelope = CommandMeta(command_id, actor, meta.correlation, None, meta.tick, cause)
    record = NewRecord(key.encode(), codec.encode(envelope, body), ((COMMAND_ID, command_id.encode()),))
    return Partition(family, partition_of(key, partitions)), record


class Reactor:
    """Runs the policies of a deployment over facts, in the order in which they stand."""

    def __init__(self, policies: Iterable[Policy], codec: Codec, partitions: Mapping[str, int]) -> None:
        self._codec, self._partitions = codec, partitions
        self._by_fact: dict[tuple[str, type], list[Policy]] = {}
        for policy in policies:
            self._by_fact.setdefault((policy.source, policy.on), []).append(policy)

    def commands(self, facts: Sequence[Recorded[Any]]) -> list[tuple[Partition, NewRecord]]:
        """The commands that these facts cause, in order."""
        return [command for fact in facts for command in self._of(fact)]

    def _of(self, fact: Recorded[Any]) -> Iterable[tuple[Partition, NewRecord]]:
        for policy in self._by_fact.get((fact.family, type(fact.body)), ()):
            actor = f"{POLICY}{policy.name}"
            for n, (key, body) in enumerate(policy.commands(fact)):
                yield inside_command(
                    self._codec, fact, actor, n, key, body, policy.target, self._partitions[policy.target]
                )
