"""Where the records of a command stand: by the view `answers`, and by the log itself for what is not in it yet."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from consumers.lookup import Entry, read
from consumers.ports import CommandLog, EventLog, Partition
from consumers.project import Reached
from consumers.reading import SOURCE, between, last_record
from projections.view import Ask
from schemas.codec import Codec
from schemas.envelope import CommandMeta
from schemas.log.events import CommandSetAside

_OF_COMMAND: Final = """SELECT family, partition, seq, actor FROM answers
WHERE command_id = %(command_id)s AND (%(actor)s::text IS NULL OR actor = %(actor)s)
ORDER BY tick, family, partition, seq"""

_SET_ASIDE: Final = """SELECT family, partition, seq, actor FROM answers WHERE event = 'CommandSetAside'
ORDER BY tick DESC, family, partition, seq DESC LIMIT %(limit)s"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands, and whose command it answers."""

    partition: Partition
    seq: int
    actor: str


class Answers:
    """Finds records by command. What is not projected when it is first asked is read once and kept.

    Args:
        ask: the views.
        reached: how far each partition is projected.
    """

    def __init__(
        self,
        ask: Ask,
        reached: Callable[[], Awaitable[Mapping[Partition, Reached]]],
        events: EventLog,
        commands: CommandLog,
        codec: Codec,
        partitions: Sequence[Partition],
    ) -> None:
        self._ask, self._how_far = ask, reached
        self._events, self._commands, self._codec, self._partitions = events, commands, codec, partitions
        self._unprojected: dict[str, list[Place]] | None = None
        self._aside: list[Place] = []
        self._waiting: dict[str, list[Entry]] | None = None

    async def of(self, command_id: str, actor: str | None = None) -> list[Place]:
        """The records that answer the commands with this id (of any actor when none is named), oldest first."""
        rows = await self._ask(_OF_COMMAND, {"command_id": command_id, "actor": actor})
        found = [Place(Partition(r["family"], r["partition"]), r["seq"], r["actor"]) for r in rows]
        later = (await self._not_projected()).get(command_id, ())
        return found + [place for place in later if place not in found and actor in (None, place.actor)]

    async def set_aside(self, limit: int) -> list[Place]:
        """The newest commands that were set aside, newest first."""
        rows = await self._ask(_SET_ASIDE, {"limit": limit})
        found = [Place(Partition(r["family"], r["partition"]), r["seq"], r["actor"]) for r in rows]
        await self._not_projected()
        later = [place for place in reversed(self._aside) if place not in found]
        return (later + found)[:limit]

    async def waiting(self, command_id: str, actor: str | None = None) -> list[Entry]:
        """The commands with this id that stand on the log behind everything that is answered."""
        if self._waiting is None:
            self._waiting = {}
            for partition in self._partitions:
                await self._read_waiting(partition, self._waiting)
        found = self._waiting.get(command_id, ())
        return [entry for entry in found if actor in (None, entry.command.actor)]

    async def _read_waiting(self, partition: Partition, into: dict[str, list[Entry]]) -> None:
        last = await last_record(self._events, partition)
        answered = 0 if last is None else int(dict(last.headers)[SOURCE]) + 1
        async for stored in between(self._commands, partition, answered):
            entry = read(self._codec, partition, stored)
            if isinstance(entry.meta, CommandMeta):
                into.setdefault(entry.meta.command_id, []).append(entry)

    async def _not_projected(self) -> dict[str, list[Place]]:
        if self._unprojected is None:
            self._unprojected, reached = {}, await self._how_far()
            for partition in self._partitions:
                position = reached[partition].position if partition in reached else 0
                async for stored in between(self._events, partition, position):
                    self._note(read(self._codec, partition, stored), self._unprojected)
        return self._unprojected

    def _note(self, entry: Entry, into: dict[str, list[Place]]) -> None:
        if entry.unreadable:
            return
        place = Place(entry.partition, entry.fact.meta.seq, entry.fact.meta.actor)
        into.setdefault(entry.fact.meta.command_id, []).append(place)
        if type(entry.body) is CommandSetAside:
            self._aside.append(place)
