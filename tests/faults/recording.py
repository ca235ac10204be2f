"""What an undisturbed deployment makes of a load, without any server: the measure for owners that are disturbed.

Facts contain no offsets, so an owner that gets the same commands in the same places must write the same bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from consumers.clock import Clock
from consumers.owner import PartitionOwner
from consumers.ports import NewRecord, Partition
from consumers.react import Reactor
from consumers.reading import SOURCE, between, recorded
from domain.policies.table import POLICIES
from gateways.app import deployment_of
from gateways.app.backends import memory_backend
from gateways.deployment import Deployment
from gateways.door import Door
from tests.faults.load import Load

Written = tuple[bytes, bytes, bytes]
"""Key and value of a fact, and the position of the command that it answers."""


@dataclass(frozen=True, slots=True)
class Recording:
    """The commands of every partition in their order, and what was written on them."""

    deployment: Deployment
    commands: Mapping[Partition, Sequence[NewRecord]]
    written: Mapping[Partition, Sequence[Written]]


async def recording(load: Load, counts: Mapping[str, int]) -> Recording:
    """Deciders and reactors live through a load in memory, one step after the other."""
    deployment, backend = deployment_of("recording", counts), memory_backend("recording")
    events, commands, codec = backend.events, backend.commands, deployment.codec
    partitions = deployment.layout.partitions
    await events.create(partitions)
    await commands.create(partitions)
    owners = [PartitionOwner(p, deployment.decider, events, commands) for p in partitions]
    reactor, clock = Reactor(POLICIES, codec, deployment.layout), Clock(commands, codec, partitions)
    reacted = dict.fromkeys(partitions, 0)
    for step in load.steps:
        await clock.tick(step.moment)
        await commands.send(Door(codec, deployment.layout, lambda now=step.moment: now).admit(step.commands), 1)  # type: ignore[misc]
        while sum([await owner.step() for owner in owners]):
            for p in partitions:
                facts = [recorded(codec, p, stored) async for stored in between(events, p, reacted[p])]
                reacted[p] = await events.end(p)
                if caused := reactor.commands(facts):
                    await commands.send(caused, 1)
    return Recording(
        deployment,
        {p: [NewRecord(s.key, s.value, s.headers) async for s in between(commands, p, 0)] for p in partitions},
        {p: [(s.key, s.value, dict(s.headers)[SOURCE]) async for s in between(events, p, 0)] for p in partitions},
    )
