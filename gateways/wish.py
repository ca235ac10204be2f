"""One wish to a deployment whose processes run elsewhere: onto the log, and its answer from the log."""

import asyncio
from typing import Any, Final

from consumers.clock import last_tick
from consumers.limits import MAX_BATCH, SEND_DEADLINE_S
from consumers.ports import CommandLog, EventLog, LogUnavailable, Partition, StoredRecord
from consumers.reading import CHAIN, COMMAND_ID
from gateways.deployment import Deployment
from gateways.door import Door, DoorCommand
from gateways.roles import machine_time_us
from schemas.envelope import FactMeta

PATIENCE_S: Final = 20.0
"""For an answer; the wish stands on the log, whatever becomes of whoever waits."""


class NoAnswerYet(LogUnavailable):
    """The wish is on the log and was not answered in time; the message says where to look."""


async def wish(
    deployment: Deployment, events: EventLog, commands: CommandLog, command: DoorCommand, seconds: float = PATIENCE_S
) -> list[tuple[FactMeta, Any]]:
    """Sends a command and returns the records that answer it, in order.

    Raises:
        InvalidCommand: nothing was sent.
        LogUnavailable: it may stand or not; sending it again under its id is right.
        NoAnswerYet: see there.
    """
    codec = deployment.codec
    now = await last_tick(deployment.layout.partitions, codec, events, commands)
    door = Door(codec, deployment.layout, lambda: now, machine_time_us)
    [(partition, record)] = door.admit([command])
    position = await events.end(partition)
    await commands.send([(partition, record)], SEND_DEADLINE_S)
    try:
        async with asyncio.timeout(seconds):
            return await _answer(deployment, events, partition, position, command)
    except TimeoutError:
        raise NoAnswerYet(
            f"{partition} has not answered within {seconds:.0f} s: the wish is on the log,"
            f" look later with `gridbook why {command.command_id}`; do the deciders run (`gridbook partition owner`)?"
        ) from None


async def _answer(
    deployment: Deployment, events: EventLog, partition: Partition, position: int, command: DoorCommand
) -> list[tuple[FactMeta, Any]]:
    answers: list[tuple[FactMeta, Any]] = []
    while True:
        batch = await events.read(partition, position, MAX_BATCH)
        for stored in batch.records:
            if (found := _of(deployment, stored, command)) is not None:
                answers.append(found)
            if answers and CHAIN in dict(stored.headers):
                return answers  # all records of a command stand in one append, and this is its end
        position = batch.next
        if not batch.records:
            await events.wait(partition, position, 1.0)


def _of(deployment: Deployment, stored: StoredRecord, command: DoorCommand) -> tuple[FactMeta, Any] | None:
    if dict(stored.headers).get(COMMAND_ID) != command.command_id.encode():
        return None
    meta, body = deployment.codec.decode(stored.value)
    return (meta, body) if meta.actor == command.actor or meta.actor.startswith("log:") else None
