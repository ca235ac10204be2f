"""Commands that were set aside, and how one is decided after all.

A retry is judged as any command is, and however often it is asked for, the command is decided once:

* A command from a door comes again under its own id while that id is not answered for good (it was expired,
  misplaced, unreadable …), else under `<id>~retry1`, `~retry2`, …: the first one that is not answered for good.
  What was decided under one of them is not sent again.
* A command from inside keeps id and actor, and names its cause on a line of its own (`consumers/causes.py`):
  the cursor of the first line has passed it.
* A tick is not sent again: it told the time to all other keys, and the next fact of the key wakes that one.
* Bytes that this release cannot read cannot be sent again: the release that reads them can.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from consumers.answers import Answers, Place
from consumers.causes import again, attempt_of
from consumers.layout import Layout
from consumers.lookup import Entry, command_at, read, record_at
from consumers.ports import CommandLog, EventLog, NewRecord, Partition
from consumers.reading import SOURCE
from domain.identity import derived_id
from schemas.codec import Codec
from schemas.envelope import CommandMeta
from schemas.log.commands import EndGeneration, Tick
from schemas.log.events import CommandRepeated, CommandSetAside, SetAsideReason
from schemas.shape import InvalidMessage
from schemas.values import MAX_ID_LENGTH

FOR_GOOD: Final = frozenset(
    {
        SetAsideReason.DECIDE_RAISED,
        SetAsideReason.ADVANCE_RAISED,
        SetAsideReason.EVOLVE_RAISED,
        SetAsideReason.TOO_MANY_EVENTS,
    }
)
"""After these a door's command id is taken; after any other reason it may come again (`consumers/memory.py`)."""

_SUFFIX: Final = re.compile(r"~retry[1-9][0-9]*\Z")
_LONGEST_SUFFIX: Final = len("~retry999")


class CannotRetry(ValueError):
    """A command cannot be decided again. One sentence: why, and what else to do."""


@dataclass(frozen=True, slots=True)
class Dead:
    """A command that was set aside: the record that says so, and the command as it stands on the log."""

    record: Entry
    command: Entry

    @property
    def body(self) -> CommandSetAside:
        """Reason, type and detail (mostly the class of the exception)."""
        body: CommandSetAside = self.record.body
        return body

    @property
    def seq(self) -> int:
        """The number of the record."""
        return self.record.fact.meta.seq


@dataclass(frozen=True, slots=True)
class ToDoor:
    """What the door is asked to admit: it stamps and checks as ever."""

    family: str
    key: str
    actor: str
    command_id: str
    body: Any


@dataclass(frozen=True, slots=True)
class ToLog:
    """A command from inside, as it goes on the log."""

    partition: Partition
    record: NewRecord
    command_id: str


@dataclass(frozen=True, slots=True)
class Decided:
    """Nothing is sent: it was decided meanwhile, under this id, by the record at `place`."""

    command_id: str
    place: Place


class DeadCommands:
    """The commands set aside on a deployment's log."""

    def __init__(self, events: EventLog, commands: CommandLog, codec: Codec, layout: Layout, answers: Answers) -> None:
        self._events, self._commands, self._codec, self._layout = events, commands, codec, layout
        self._answers = answers

    async def newest(self, limit: int) -> list[Dead]:
        """The last ones, newest first."""
        return [await self.at(place.partition, place.seq) for place in await self._answers.set_aside(limit)]

    async def at(self, partition: Partition, seq: int) -> Dead:
        """The one that the record with this number set aside.

        Raises:
            LookupError: that record sets nothing aside.
        """
        where = f"{partition} seq {seq}"
        if partition not in self._layout.partitions:
            raise LookupError(f"there is no partition {partition}")
        stored = await record_at(self._events, self._codec, partition, seq)
        record = None if stored is None else read(self._codec, partition, stored)
        if record is None or type(record.body) is not CommandSetAside:
            raise LookupError(f"{where} sets no command aside: `gridbook dead list` names those that do")
        source = int(dict(record.stored.headers)[SOURCE])
        command = await command_at(self._commands, self._codec, partition, source)
        if command is None:
            raise LookupError(f"{where} names the command at position {source}, where none stands: verify the log")
        return Dead(record, command)

    async def retry(self, dead: Dead) -> ToDoor | ToLog | Decided:
        """What has to be sent so that it is decided; nothing is sent here.

        Raises:
            CannotRetry: nothing can be.
        """
        if dead.command.unreadable or not isinstance(dead.command.meta, CommandMeta):
            raise CannotRetry(
                f"this release cannot read the command ({dead.command.unreadable or 'it is none'}): retry it with the"
                " release that its sender wrote it for, or have it sent anew"
            )
        if type(dead.command.body) is Tick:
            raise CannotRetry("a tick is not sent again: the next fact of the key has its time told again")
        if type(dead.command.body) is EndGeneration:
            raise CannotRetry("a generation is ended by `gridbook topics grow` alone")
        if dead.command.meta.causation is not None:
            return await self._inside(dead.command, dead.command.meta)
        return await self._through_the_door(dead.command, dead.command.meta)

    async def _through_the_door(self, command: Entry, meta: CommandMeta) -> ToDoor | Decided:
        for command_id in _door_ids(meta.actor, meta.command_id):
            places = await self._answers.of(command_id, meta.actor)
            records = await self._records(places)
            decided = _decided(places, records)
            if decided is not None:
                return Decided(command_id, decided)
            if not any(entry.body.reason in FOR_GOOD for entry in records if type(entry.body) is CommandSetAside):
                return ToDoor(command.partition.family, command.key, meta.actor, command_id, command.body)
        raise CannotRetry(f"{meta.command_id} was retried too often: have it sent anew under another id")

    async def _inside(self, command: Entry, meta: CommandMeta) -> ToLog | Decided:
        assert meta.causation is not None
        family = command.partition.family
        homes = self._layout.lineage(family, command.key)
        places = [place for place in await self._answers.of(meta.command_id, meta.actor) if place.partition in homes]
        records = await self._records(places)
        decided = _decided(places, records)
        if decided is not None:
            return Decided(meta.command_id, decided)
        attempts = [attempt_of(entry.fact.meta.causation) for entry in records if entry.fact.meta.causation is not None]
        cause = again(meta.causation, max(attempts, default=0) + 1)
        try:
            value = self._codec.encode(replace(meta, causation=cause), command.body)
        except InvalidMessage as error:
            raise CannotRetry(
                f"the command is invalid ({error}) and will always be: correct whoever sends it"
            ) from error
        return ToLog(homes[-1], NewRecord(command.stored.key, value, tuple(command.stored.headers)), meta.command_id)

    async def _records(self, places: Sequence[Place]) -> list[Entry]:
        found = []
        for place in places:
            stored = await record_at(self._events, self._codec, place.partition, place.seq)
            assert stored is not None, "the views know only what stands on the log"
            found.append(read(self._codec, place.partition, stored))
        return found


def _decided(places: Sequence[Place], records: Sequence[Entry]) -> Place | None:
    """The first record that is an answer on the merits."""
    for place, entry in zip(places, records, strict=True):
        if not isinstance(entry.body, CommandSetAside | CommandRepeated):
            return place
    return None


def _door_ids(actor: str, command_id: str) -> list[str]:
    """The ids under which a door's command may come, in the order in which they are tried."""
    root = _SUFFIX.sub("", command_id)
    stem = root if len(root) <= MAX_ID_LENGTH - _LONGEST_SUFFIX else derived_id(actor, root)
    later = [f"{stem}~retry{n}" for n in range(1, 1_000)]
    # A retry's own record leads to the same ids as the first one's, from the first retry on.
    return later if root != command_id else [command_id, *later]
