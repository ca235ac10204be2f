"""What became of a command: its records, the commands that its facts caused, and what became of those.

Bodies come from the log, the way there from `answers`. What a fact causes is computed once more: the policies of
this release say which commands follow from it, and their ids are functions of the fact.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from consumers.answers import Answers, Place
from consumers.calculate import WiredCalculation
from consumers.causes import caused_in
from consumers.layout import Layout
from consumers.lookup import Entry, command_at, read, record_at
from consumers.ports import CommandLog, EventLog, Partition
from consumers.react import Reactor, inside_command
from consumers.reading import SOURCE
from schemas.actors import CALCULATION
from schemas.catalog import is_runtime_record
from schemas.codec import Codec
from schemas.envelope import CommandMeta, Recorded
from schemas.log.commands import Tick

MAX_COMMANDS: Final = 200
"""Commands told of in one answer."""

MAX_RECORDS: Final = 100
"""Records told of for one command."""


@dataclass(frozen=True, slots=True)
class Told:
    """A record, and the commands that it caused; `more` when there were too many to tell of."""

    entry: Entry
    caused: tuple["Wish", ...]
    more: bool


@dataclass(frozen=True, slots=True)
class Wish:
    """A command and what became of it.

    `entry` is the command as it stands on the log, none where it does not stand there (yet). `answered` is
    empty while it waits. `because` is the way up: the fact that caused it, the fact that caused that one's
    command, and so on.
    """

    command_id: str
    actor: str
    partition: Partition
    key: str
    entry: Entry | None
    answered: tuple[Told, ...]
    more: bool
    because: tuple[Entry, ...] = ()


class Why:
    """Walks from a command to its consequences."""

    def __init__(
        self,
        events: EventLog,
        commands: CommandLog,
        codec: Codec,
        layout: Layout,
        answers: Answers,
        reactor: Reactor,
        calculations: Iterable[WiredCalculation],
    ) -> None:
        self._events, self._commands, self._codec, self._layout = events, commands, codec, layout
        self._answers, self._reactor = answers, reactor
        self._calculations = {(w.calculation.family, w.calculation.on): w.calculation.name for w in calculations}
        self._left = MAX_COMMANDS

    async def tell(self, command_id: str, actor: str | None = None) -> list[Wish]:
        """What became of the commands with this id, one for each sender and partition; empty when nobody sent it."""
        self._left = MAX_COMMANDS
        senders = dict[tuple[Partition, str], list[Place]]()
        for place in await self._answers.of(command_id, actor):
            senders.setdefault((place.partition, place.actor), []).append(place)
        found = list[Wish]()
        for (partition, who), places in senders.items():
            wish = await self._wish(command_id, who, partition, places)
            because = await self._because(wish.answered[0].entry) if wish.answered else ()
            found.append(replace(wish, because=because))
        for entry in await self._answers.waiting(command_id, actor):
            if (entry.partition, entry.command.actor) not in senders:
                found.append(self._unanswered(entry))
        return found

    async def _wish(self, command_id: str, actor: str, partition: Partition, places: list[Place]) -> Wish:
        self._left -= 1
        entries = [await self._entry(place.partition, place.seq) for place in places[:MAX_RECORDS]]
        told = tuple([await self._told(entry) for entry in entries if entry is not None])
        first = entries[0]
        source = None if first is None else int(dict(first.stored.headers)[SOURCE])
        entry = None if source is None else await command_at(self._commands, self._codec, partition, source)
        key = entry.key if entry is not None else ""
        return Wish(command_id, actor, partition, key, entry, told, len(places) > MAX_RECORDS)

    async def _entry(self, partition: Partition, seq: int) -> Entry | None:
        stored = await record_at(self._events, self._codec, partition, seq)
        return None if stored is None else read(self._codec, partition, stored)

    async def _told(self, entry: Entry) -> Told:
        caused, more = list[Wish](), False
        if not entry.unreadable and not is_runtime_record(entry.body):
            for command_id, actor, partition, key in await self._follows(entry.fact):
                if self._left <= 0:
                    more = True
                    break
                caused.append(await self._consequence(command_id, actor, partition, key))
        return Told(entry, tuple(caused), more)

    async def _consequence(self, command_id: str, actor: str, partition: Partition, key: str) -> Wish:
        places = [place for place in await self._answers.of(command_id, actor) if place.partition == partition]
        if places:
            return await self._wish(command_id, actor, partition, places)
        self._left -= 1
        for entry in await self._answers.waiting(command_id, actor):
            return self._unanswered(entry)
        return Wish(command_id, actor, partition, key, None, (), False)

    def _unanswered(self, entry: Entry) -> Wish:
        meta = entry.command
        return Wish(meta.command_id, meta.actor, entry.partition, entry.key, entry, (), False)

    async def _follows(self, fact: Recorded[object]) -> list[tuple[str, str, Partition, str]]:
        """The commands that a fact causes: those of policies, and those that a calculation has proposed so far."""
        found = []
        for partition, record in self._reactor.commands([fact]):
            meta: CommandMeta = self._codec.decode(record.value)[0]
            found.append((meta.command_id, meta.actor, partition, record.key.decode()))
        name = self._calculations.get((fact.family, type(fact.body)))
        if name is None:
            return found
        actor, n = f"{CALCULATION}{name}", 0
        while n < MAX_COMMANDS:
            # How many it proposes only the calculation knows. The id depends on the number, not on the body.
            there = self._layout.route(fact.family, fact.key)
            partition, record = inside_command(self._codec, fact, actor, n, fact.key, Tick(0, 0), there)
            command_id = self._codec.decode(record.value)[0].command_id
            if n and not await self._answers.of(command_id, actor) and not await self._answers.waiting(command_id):
                break
            found.append((command_id, actor, partition, fact.key))
            n += 1
        return found

    async def _because(self, entry: Entry) -> tuple[Entry, ...]:
        chain = list[Entry]()
        while len(chain) < MAX_RECORDS and not entry.unreadable and entry.fact.meta.causation is not None:
            cause = entry.fact.meta.causation
            there = caused_in(cause)
            above = await self._entry(there, cause.seq) if there in self._layout.partitions else None
            if above is None:
                break
            chain.append(above)
            entry = above
        return tuple(chain)
