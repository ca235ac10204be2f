"""The log's rules for one partition, without any I/O: commands become records, records become memory.

Replay, verification and the running owner (`consumers/decide.py`) use this one class, so there is one
place where a repeated, late, undecodable or misplaced command is answered, and one way back.
"""

import copy
import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, Final

from consumers.chain import Chain
from consumers.limits import (
    ADVANCE_LIMIT,
    MAX_EVENTS,
    MAX_RECORD_BYTES,
    MAX_SET_ASIDE,
    MAX_TICK_COUNT,
    MAX_TICK_FACTS,
    MAX_TICK_JUMP_US,
    WINDOW_US,
)
from consumers.memory import TICK, Memory
from consumers.ports import Headers, NewRecord, Partition, StoredRecord
from consumers.reading import CHAIN, COMMAND_ID, SOURCE, recorded, traced
from domain.decider import Decider
from schemas.actors import CAUSED, INSIDE, LOG
from schemas.codec import Codec, UndecodableRecord, UnknownSchema
from schemas.envelope import Causation, Command, CommandMeta, FactMeta, Moment, Recorded
from schemas.log.commands import Tick
from schemas.log.events import CommandRepeated, CommandSetAside, LogicAdopted, SetAsideReason, TimePassed
from schemas.partition import partition_of
from schemas.shape import InvalidMessage
from schemas.values import MAX_ID_LENGTH

_OWNER: Final = f"{LOG}owner"
_UNKNOWN: Final = f"{LOG}unknown"

_ODD: Final = frozenset(SetAsideReason) - {
    SetAsideReason.EXPIRED,
    SetAsideReason.VALID_UNTIL_BEYOND_WINDOW,
    SetAsideReason.TICK_TOO_FAR,
    SetAsideReason.TICK_GOES_BACK,
}
"""Reasons that say that something is wrong with this release or with whoever sends."""

Poison = tuple[int, str]
"""A command's position and the key whose `evolve` raised on its account."""


def _is_name(text: str) -> bool:
    """Whether a key or a command id from outside can stand in a record as an `Id`."""
    return 0 < len(text) <= MAX_ID_LENGTH and text.isprintable()


class EvolveFailed(AssertionError):
    """A fact could not be evolved: our own mistake. The memory is lost; restore, then set it aside by `poison`."""

    def __init__(self, source: int, key: str, reason: str) -> None:
        super().__init__(f"command at position {source}, key {key!r}: evolve raised {reason}")
        self.source, self.poison = source, (source, key)


class FactTooLarge(ValueError):
    """A fact does not fit into a record; its command is set aside."""


class ChainBroken(RuntimeError):
    """The records are not what was written: their hash or their numbering is another. Somebody changed the log."""


class PartitionDecider:
    """The memory of one partition and the rules by which commands become records.

    Args:
        partition: which events partition this is, and of which family.
        partitions: how many partitions the family has.
        decider: the family's rules.
        codec: bytes and messages.
        set_aside: what must not be decided, because it made `evolve` raise.
    """

    def __init__(
        self,
        partition: Partition,
        partitions: int,
        decider: Decider,
        codec: Codec,
        set_aside: Iterable[Poison] = (),
    ) -> None:
        self.partition, self._partitions = partition, partitions
        self._decider, self._codec = decider, codec
        self._set_aside = frozenset(set_aside)
        self._m = Memory()
        self._chain = Chain()
        self._open: list[NewRecord] = []
        self._current: tuple[int, CommandMeta | None] = (0, None)
        self._trace: Headers = ()
        self._index: dict[str, int] = {}
        self.open_bytes = 0
        """Bytes of the records that wait for `seal`."""
        self.aside = 0
        """Commands set aside in a row, by this object; ticks and what came too late or too early do not count."""

    @property
    def seq(self) -> int:
        """The number that the next record gets."""
        return self._m.seq

    @property
    def source(self) -> int:
        """The position of the next command to be decided."""
        return self._m.source

    @property
    def passed(self) -> int:
        """The last tick that the partition has passed."""
        return self._m.passed

    @property
    def time(self) -> Moment:
        """The partition's time: the largest tick it has read or been told."""
        return self._m.time

    @property
    def logic(self) -> int:
        """The number of the rules by which this release decides."""
        return self._decider.LOGIC

    def state(self, key: str) -> Any:
        """The state of a key (its initial one when it has no facts)."""
        found = self._m.states.get(key)
        return self._decider.initial(key) if found is None else found

    def also_set_aside(self, poison: Iterable[Poison]) -> None:
        """Sets these aside too, from here on."""
        self._set_aside |= frozenset(poison)

    def image(self) -> tuple[Memory, bytes]:
        """What `resume` needs: the memory itself, to be written down at once, and the chain's head.

        Only where an append ends, and where the log holds it: what is decided ahead of the log never was.
        """
        assert self.whole, "an image is taken where an append ends"
        return self._m, self._chain.head

    def resume(self, memory: Memory, head: bytes) -> None:
        """Begins with an image instead of the partition's first record."""
        self._m, self._chain = memory, Chain(head)

    @property
    def whole(self) -> bool:
        """Whether the last record restored or sealed ended an append."""
        return not self._open and not self._chain.open

    def probe(self, set_aside: Iterable[Poison] = ()) -> "PartitionDecider":
        """A copy that sets only this aside: deciding with it changes nothing here."""
        twin = PartitionDecider(self.partition, self._partitions, self._decider, self._codec, set_aside)
        twin._m = copy.deepcopy(self._m)
        return twin

    # -- back from records -------------------------------------------------------------------------

    def restore(self, stored: StoredRecord, *, chained: bool = True) -> Recorded[Any]:
        """Takes one record of the partition, in order, into memory and returns it decoded.

        Args:
            chained: false for a verifier, which holds the chain over the whole log by itself.

        Raises:
            ChainBroken: the chain hash behind the records is not theirs, or a number is missing.
            UnknownSchema, UndecodableRecord: facts are never skipped, so their reader stops.
        """
        fact = recorded(self._codec, self.partition, stored)
        place = f"{self.partition.family}/{self.partition.number} seq {fact.meta.seq}"
        headers = dict(stored.headers)
        self._chain.add(stored.key, stored.value)
        if chained and CHAIN in headers and headers[CHAIN] != self._chain.close():
            raise ChainBroken(f"{place}: the chain hash differs; a record of this append was changed after writing")
        if fact.meta.seq != self._m.seq:
            raise ChainBroken(f"{place}: expected seq {self._m.seq}")
        self._m.remember(self._decider, fact)
        self._m.source = int(headers[SOURCE]) + 1
        return fact

    def restored(self) -> None:
        """Says that every record was restored.

        Raises:
            ChainBroken: the last append has no hash behind it: something was taken away.
        """
        if self._chain.open:
            place = f"{self.partition.family}/{self.partition.number} seq {self._m.seq - 1}"
            raise ChainBroken(f"{place}: no hash behind the last records")

    # -- forward from commands ---------------------------------------------------------------------

    def decide(self, commands: Sequence[StoredRecord]) -> list[NewRecord]:
        """The records that answer these commands, in order: one whole append (`take`, then `seal`)."""
        self.take(commands)
        return self.seal()

    def take(self, commands: Sequence[StoredRecord]) -> None:
        """Decides these commands; their records wait for `seal`, behind those of earlier calls.

        Memory changes at once; if the append's outcome is not known, drop this object and restore. Stops early,
        with `source` at the next command, when more than `MAX_SET_ASIDE` in a row were set aside.

        Raises:
            EvolveFailed: see there.
        """
        if commands and self._m.logic != self._decider.LOGIC:
            self._adopt_logic(commands[0].position)
        for stored in commands:
            self._step(stored)
            self._m.source = stored.position + 1
            if self.aside > MAX_SET_ASIDE:
                return

    def seal(self) -> list[NewRecord]:
        """The records taken since the last seal, in order: one append, the chain hash on the last."""
        records, self._open, self.open_bytes = self._open, [], 0
        if records:
            last = records[-1]
            records[-1] = NewRecord(last.key, last.value, (*last.headers, (CHAIN, self._chain.close())))
        return records

    def _adopt_logic(self, source: int) -> None:
        # Never the last record of an append, so the input position still follows from the last one.
        meta = CommandMeta("logic", _OWNER, "logic", None, None, None)
        self._current, self._trace, self._index = (source, meta), (), {}
        self._record("", LogicAdopted(self._decider.LOGIC))

    def _step(self, stored: StoredRecord) -> None:
        self._trace = traced(stored.headers)
        try:
            key = stored.key.decode()
            meta, body = self._codec.decode(stored.value)
            self._codec.check(meta, body)
            if not isinstance(meta, CommandMeta):
                raise UndecodableRecord("the record is no command")
        except (UnknownSchema, UndecodableRecord, InvalidMessage, UnicodeDecodeError) as error:
            self._aside_undecoded(stored, error)
            return
        self._current, self._index = (stored.position, meta), {}
        if isinstance(body, Tick):
            self._tick(stored.position, body)
            return
        reason = self._not_to_be_decided(stored.position, key, meta)
        if reason is not None:
            self._aside(key, reason, type(body).__name__, meta.command_id)
        elif meta.causation is not None:
            self._from_inside(key, meta, body, meta.causation)
        elif (meta.actor, meta.command_id) in self._m.answered:
            self._record(key, CommandRepeated(self._m.answered[meta.actor, meta.command_id]))
        else:
            self._judge(key, meta, body)

    def _not_to_be_decided(self, position: int, key: str, meta: CommandMeta) -> SetAsideReason | None:
        if (position, key) in self._set_aside:
            return SetAsideReason.EVOLVE_RAISED
        if not _is_name(key):
            return SetAsideReason.INVALID
        if partition_of(key, self._partitions) != self.partition.number:
            return SetAsideReason.WRONG_PARTITION
        if meta.causation is not None:
            if meta.tick is None or not meta.actor.startswith(CAUSED):
                return SetAsideReason.INVALID
            return self._unbelievable(meta.tick)
        if meta.valid_until is None or meta.tick is not None or meta.actor.startswith(INSIDE):
            return SetAsideReason.INVALID
        if self._m.time.at > meta.valid_until:
            return SetAsideReason.EXPIRED
        if meta.valid_until > self._m.time.at + WINDOW_US:
            return SetAsideReason.VALID_UNTIL_BEYOND_WINDOW
        return None

    def _unbelievable(self, moment: Moment) -> SetAsideReason | None:
        """Why time cannot have become this: it went back, or further ahead than any clock should."""
        time = self._m.time
        if moment.n <= time.n:
            return None
        if moment.at < time.at:
            return SetAsideReason.TICK_GOES_BACK
        if moment.n - time.n > MAX_TICK_COUNT or (time.n and moment.at - time.at > MAX_TICK_JUMP_US):
            return SetAsideReason.TICK_TOO_FAR
        return None

    def _from_inside(self, key: str, meta: CommandMeta, body: Any, cause: Causation) -> None:
        assert meta.tick is not None
        if meta.tick.n > self._m.time.n:
            self._m.time = meta.tick
        cursor = self._m.cursors.get((meta.actor, cause.family, cause.generation, cause.partition), (-1, -1))
        if (cause.seq, cause.n) <= cursor:
            self._record(key, CommandRepeated(0))
        else:
            self._judge(key, meta, body)

    def _judge(self, key: str, meta: CommandMeta, body: Any) -> None:
        wish = type(body).__name__
        if type(body) not in self._decider.OUTCOMES:
            self._aside(key, SetAsideReason.INVALID, wish, meta.command_id)
            return
        try:
            self._advance(key)
        except (EvolveFailed, MemoryError):
            raise
        except Exception as error:
            # What another family says is said once: it is decided all the same, as it would be after the tick
            # that puts this key's time to sleep.
            if meta.causation is None:
                self._aside(key, SetAsideReason.ADVANCE_RAISED, wish, type(error).__name__)
                return
        try:
            command = Command(key, meta, body)
            facts = list(self._decider.decide(self.state(key), command, self._m.time))
            if not 0 < len(facts) <= MAX_EVENTS:
                self._aside(key, SetAsideReason.TOO_MANY_EVENTS, wish, str(len(facts)))
                return
            written = self._write(key, facts)
        except MemoryError:
            raise
        except Exception as error:
            self._aside(key, SetAsideReason.DECIDE_RAISED, wish, type(error).__name__)
            return
        self.aside = 0
        self._keep(key, written)

    def _advance(self, key: str) -> int:
        due = self._m.due.get(key)
        if due is None or due > self._m.time.at:
            return 0
        facts = list(self._decider.advance(self.state(key), self._m.time, ADVANCE_LIMIT))
        assert len(facts) <= ADVANCE_LIMIT, f"advance gave {len(facts)} facts, its limit is {ADVANCE_LIMIT}"
        self._keep(key, self._write(key, facts))
        return len(facts)

    def _tick(self, position: int, tick: Tick) -> None:
        m = self._m
        if tick.n <= m.passed:
            self._record("", CommandRepeated(0))
            return
        reason = self._unbelievable(Moment(tick.n, tick.at))
        if reason is not None:
            self._aside("", reason, TICK, str(tick.n))
            return
        if tick.n > m.time.n:
            m.time = Moment(tick.n, tick.at)
        facts = 0
        for key in m.due_keys():
            if facts > MAX_TICK_FACTS:
                break  # the others wait for the next tick, as what a call leaves over does
            if (position, key) in self._set_aside:
                self._aside(key, SetAsideReason.EVOLVE_RAISED, TICK, "-")
                continue
            try:
                facts += self._advance(key)
            except (EvolveFailed, MemoryError):
                raise
            except Exception as error:
                self._aside(key, SetAsideReason.ADVANCE_RAISED, TICK, type(error).__name__)
        self._record("", TimePassed(tick.n, m.time.at))

    def _aside(self, key: str, reason: SetAsideReason, command: str, detail: str) -> None:
        self.aside += reason in _ODD
        subject = key if _is_name(key) else "-"
        self._record(key, CommandSetAside(reason, command, subject, detail or "-"))

    def _aside_undecoded(self, stored: StoredRecord, error: Exception) -> None:
        """What cannot be read is answered too, under the id in its header, or under the hash of its bytes."""
        named = dict(stored.headers).get(COMMAND_ID, b"").decode(errors="replace")
        if not _is_name(named):
            named = hashlib.sha256(stored.value).hexdigest()
        self._current, self._index = (stored.position, CommandMeta(named, _UNKNOWN, named, None, None, None)), {}
        reason = SetAsideReason.INVALID if isinstance(error, InvalidMessage) else SetAsideReason.UNDECODABLE
        self._aside(stored.key.decode(errors="replace"), reason, "unknown", type(error).__name__)

    def _record(self, key: str, body: Any) -> None:
        self._keep(key, self._write(key, (body,)))

    def _write(self, key: str, bodies: Sequence[Any]) -> list[tuple[Recorded[Any], bytes]]:
        """The records of these bodies, encoded but not yet kept: a body that has no bytes spoils nothing."""
        cause = self._current[1]
        assert cause is not None
        m, logic, first = self._m, self._decider.LOGIC, self._index.get(key, 0)
        family, number = self.partition.family, self.partition.number
        written = []
        for i, body in enumerate(bodies):
            meta = FactMeta(
                m.seq + i,
                m.time,
                cause.command_id,
                first + i,
                cause.actor,
                cause.correlation,
                cause.causation,
                logic,
            )
            value = self._codec.encode(meta, body)
            if len(value) > MAX_RECORD_BYTES:
                raise FactTooLarge(f"{type(body).__name__} of {len(value)} bytes, the limit is {MAX_RECORD_BYTES}")
            written.append((Recorded(family, number, key, meta, body), value))
        return written

    def _keep(self, key: str, written: Sequence[tuple[Recorded[Any], bytes]]) -> None:
        source, cause = self._current
        assert cause is not None
        headers = ((SOURCE, str(source).encode()), (COMMAND_ID, cause.command_id.encode()), *self._trace)
        encoded = key.encode()
        for fact, value in written:
            try:
                self._m.remember(self._decider, fact)
            except Exception as error:
                raise EvolveFailed(source, key, repr(error)) from error
            self._chain.add(encoded, value)
            self._open.append(NewRecord(encoded, value, headers))
            self.open_bytes += len(value)
        self._index[key] = self._index.get(key, 0) + len(written)
