"""The log's rules for one partition, without any I/O: commands become records, records become memory.

Replay, verification and the running owner (`consumers/decide.py`) use this one class, so there is one
place where a repeated, late, undecodable or misplaced command is answered, and one way back.
"""

import hashlib
import heapq
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from consumers.chain import Chain
from consumers.limits import ADVANCE_LIMIT, MAX_EVENTS, MAX_TICK_JUMP_US, WINDOW_US
from consumers.ports import NewRecord, Partition, StoredRecord
from domain.decider import Decider
from schemas.codec import Codec, UndecodableRecord, UnknownSchema
from schemas.envelope import Causation, Command, CommandMeta, FactMeta, Moment, Recorded
from schemas.log.commands import Tick
from schemas.log.events import CommandRepeated, CommandSetAside, LogicAdopted, SetAsideReason, TimePassed
from schemas.partition import partition_of
from schemas.shape import InvalidMessage

CHAIN: Final = "chain"
SOURCE: Final = "source_offset"
COMMAND_ID: Final = "command_id"
INSIDE: Final = ("policy:", "calc:")
"""Actors from inside carry causation; a door never lets them through."""

_NO_TIME: Final = Moment(0, 0)
_OWNER: Final = "owner"
_TICK: Final = "Tick"


class EvolveFailed(AssertionError):
    """A fact could not be evolved: our own mistake. The memory is lost; restore, then set this command aside."""

    def __init__(self, source: int, reason: str) -> None:
        super().__init__(f"command at position {source}: evolve raised {reason}")
        self.source = source


class ChainBroken(RuntimeError):
    """The records do not give the hash that stands behind them: somebody changed the log."""


@dataclass(slots=True)
class _Memory:
    """What an owner knows of its partition, all of it from its records."""

    time: Moment = _NO_TIME
    passed: int = 0
    seq: int = 0
    source: int = 0
    logic: int = 0
    states: dict[str, Any] = field(default_factory=dict)
    answered: dict[tuple[str, str], int] = field(default_factory=dict)
    answered_order: deque[tuple[int, tuple[str, str]]] = field(default_factory=deque)
    cursors: dict[tuple[str, str, int, int], tuple[int, int]] = field(default_factory=dict)
    due: dict[str, int] = field(default_factory=dict)
    heap: list[tuple[int, str]] = field(default_factory=list)


class PartitionDecider:
    """The memory of one partition and the rules by which commands become records.

    Args:
        partition: which events partition this is, and of which family.
        partitions: how many partitions the family has.
        decider: the family's rules.
        codec: bytes and messages.
        set_aside: positions of commands that must not be decided, because they made `evolve` raise.
    """

    def __init__(
        self,
        partition: Partition,
        partitions: int,
        decider: Decider,
        codec: Codec,
        set_aside: Iterable[int] = (),
    ) -> None:
        self.partition, self._partitions = partition, partitions
        self._decider, self._codec = decider, codec
        self._set_aside = frozenset(set_aside)
        self._m = _Memory()
        self._chain = Chain()
        self._open: list[NewRecord] = []
        self._current: tuple[int, CommandMeta | None] = (0, None)
        self._index: dict[str, int] = {}

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
        """The logic number that the last records were decided by; 0 before the first."""
        return self._m.logic

    def state(self, key: str) -> Any:
        """The state of a key (its initial one when it has no facts)."""
        found = self._m.states.get(key)
        return self._decider.initial(key) if found is None else found

    # -- back from records -------------------------------------------------------------------------

    def restore(self, stored: StoredRecord) -> Recorded[Any]:
        """Takes one record of the partition, in order, into memory and returns it decoded.

        Raises:
            ChainBroken: the chain hash behind the records is not theirs.
            UnknownSchema, UndecodableRecord: facts are never skipped, so their reader stops.
        """
        meta, body = self._codec.decode(stored.value)
        fact = Recorded(self.partition.family, self.partition.number, stored.key.decode(), meta, body)
        headers = dict(stored.headers)
        self._chain.add(stored.key, stored.value)
        if CHAIN in headers and headers[CHAIN] != self._chain.close():
            raise ChainBroken(
                f"{self.partition.family}/{self.partition.number} seq {meta.seq}: the chain hash differs; "
                "a record of this append was changed after it was written"
            )
        if meta.seq != self._m.seq:
            raise ChainBroken(
                f"{self.partition.family}/{self.partition.number}: expected seq {self._m.seq}, found {meta.seq}"
            )
        self._remember(fact)
        self._m.source = int(headers[SOURCE]) + 1
        return fact

    def _remember(self, fact: Recorded[Any]) -> None:
        """The part of memory that follows from a record alone; deciding and restoring share it."""
        m, meta, body = self._m, fact.meta, fact.body
        m.seq = meta.seq + 1
        if meta.tick.n > m.time.n:
            m.time = meta.tick
        match body:
            case TimePassed():
                m.passed = body.n
            case LogicAdopted():
                m.logic = body.n
                return
            case CommandRepeated():
                pass
            case CommandSetAside():
                if body.reason is SetAsideReason.ADVANCE_RAISED and body.command == _TICK:
                    # Its own mistake must not come back with every tick; the key's next fact wakes it.
                    m.due.pop(fact.key, None)
            case _:
                state = self._decider.evolve(self.state(fact.key), fact)
                m.states[fact.key] = state
                self._note_due(fact.key, self._decider.due(state))
        cause = meta.causation
        if cause is not None:
            cursor = (meta.actor, cause.family, cause.generation, cause.partition)
            m.cursors[cursor] = max(m.cursors.get(cursor, (-1, -1)), (cause.seq, cause.n))
        else:
            answer = (meta.actor, meta.command_id)
            if answer not in m.answered:
                m.answered[answer] = meta.seq
                m.answered_order.append((meta.tick.at, answer))
            while m.answered_order and m.answered_order[0][0] < m.time.at - WINDOW_US:
                del m.answered[m.answered_order.popleft()[1]]

    def _note_due(self, key: str, due: int | None) -> None:
        if due is None:
            self._m.due.pop(key, None)
        elif self._m.due.get(key) != due:
            self._m.due[key] = due
            heapq.heappush(self._m.heap, (due, key))

    # -- forward from commands ---------------------------------------------------------------------

    def decide(self, commands: Sequence[StoredRecord]) -> list[NewRecord]:
        """The records that answer these commands, in order: one append, the chain hash on the last.

        Memory changes at once; if the append's outcome is not known, drop this object and restore.

        Raises:
            EvolveFailed: see there.
        """
        self._open = []
        if commands and self._m.logic != self._decider.LOGIC:
            self._adopt_logic(commands[0].position)
        for stored in commands:
            self._step(stored)
            self._m.source = stored.position + 1
        if not self._open:
            return []
        last = self._open[-1]
        self._open[-1] = NewRecord(last.key, last.value, (*last.headers, (CHAIN, self._chain.close())))
        return self._open

    def _adopt_logic(self, source: int) -> None:
        # Never the last record of an append, so the input position still follows from the last one.
        meta = CommandMeta("logic", _OWNER, "logic", None, None, None)
        self._current = (source, meta)
        self._index = {}
        self._record("", LogicAdopted(self._decider.LOGIC))

    def _step(self, stored: StoredRecord) -> None:
        try:
            meta, body = self._codec.decode(stored.value)
            self._codec.check(meta, body)
            if not isinstance(meta, CommandMeta):
                raise UndecodableRecord("the record is no command")
        except (UnknownSchema, UndecodableRecord, InvalidMessage) as error:
            self._aside_undecoded(stored, error)
            return
        self._current, self._index = (stored.position, meta), {}
        key = stored.key.decode(errors="replace")
        if isinstance(body, Tick):
            if stored.position in self._set_aside:
                self._aside("", SetAsideReason.EVOLVE_RAISED, _TICK, str(body.n))
            else:
                self._tick(body)
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
        if position in self._set_aside:
            return SetAsideReason.EVOLVE_RAISED
        if not key or partition_of(key, self._partitions) != self.partition.number:
            return SetAsideReason.WRONG_PARTITION
        if meta.causation is not None:
            return None if meta.tick is not None and meta.actor.startswith(INSIDE) else SetAsideReason.INVALID
        if meta.valid_until is None or meta.tick is not None or meta.actor.startswith(INSIDE):
            return SetAsideReason.INVALID
        if self._m.time.at > meta.valid_until:
            return SetAsideReason.EXPIRED
        if meta.valid_until > self._m.time.at + WINDOW_US:
            return SetAsideReason.VALID_UNTIL_BEYOND_WINDOW
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
        except EvolveFailed:
            raise
        except Exception as error:
            self._aside(key, SetAsideReason.ADVANCE_RAISED, wish, type(error).__name__)
            return
        try:
            command = Command(key, meta, body)
            facts = list(self._decider.decide(self.state(key), command, self._m.time))
            if not 0 < len(facts) <= MAX_EVENTS:
                self._aside(key, SetAsideReason.TOO_MANY_EVENTS, wish, str(len(facts)))
                return
            written = self._write(key, facts)
        except Exception as error:
            self._aside(key, SetAsideReason.DECIDE_RAISED, wish, type(error).__name__)
            return
        self._keep(key, written)

    def _advance(self, key: str) -> None:
        due = self._m.due.get(key)
        if due is None or due > self._m.time.at:
            return
        facts = list(self._decider.advance(self.state(key), self._m.time, ADVANCE_LIMIT))
        assert len(facts) <= ADVANCE_LIMIT, f"advance gave {len(facts)} facts, its limit is {ADVANCE_LIMIT}"
        self._keep(key, self._write(key, facts))

    def _tick(self, tick: Tick) -> None:
        m = self._m
        if tick.n <= m.passed:
            self._record("", CommandRepeated(0))
            return
        if tick.at < m.time.at or (m.time.at and tick.at - m.time.at > MAX_TICK_JUMP_US):
            self._aside("", SetAsideReason.TICK_TOO_FAR, _TICK, str(tick.n))
            return
        if tick.n > m.time.n:
            m.time = Moment(tick.n, tick.at)
        for key in self._due_keys():
            try:
                self._advance(key)
            except EvolveFailed:
                raise
            except Exception as error:
                self._aside(key, SetAsideReason.ADVANCE_RAISED, _TICK, type(error).__name__)
        self._record("", TimePassed(tick.n, tick.at))

    def _due_keys(self) -> list[str]:
        """The keys due now, in order of (due, key); each gets one call, what it leaves over stays in the heap."""
        m = self._m
        keys: dict[str, None] = {}
        while m.heap and m.heap[0][0] <= m.time.at:
            due, key = heapq.heappop(m.heap)
            if m.due.get(key) == due:
                keys[key] = None
        for key in keys:
            heapq.heappush(m.heap, (m.due[key], key))
        return list(keys)

    def _aside(self, key: str, reason: SetAsideReason, command: str, detail: str) -> None:
        self._record(key, CommandSetAside(reason, command[:96], key[:96] or "-", detail[:96] or "-"))

    def _aside_undecoded(self, stored: StoredRecord, error: Exception) -> None:
        named = dict(stored.headers).get(COMMAND_ID, b"").decode(errors="replace")[:96]
        meta = CommandMeta(named or hashlib.sha256(stored.value).hexdigest(), "unknown", "unknown", None, None, None)
        self._current, self._index = (stored.position, meta), {}
        invalid = isinstance(error, InvalidMessage)
        reason = SetAsideReason.INVALID if invalid else SetAsideReason.UNDECODABLE
        self._aside(stored.key.decode(errors="replace"), reason, "unknown", str(error))

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
            written.append((Recorded(family, number, key, meta, body), self._codec.encode(meta, body)))
        return written

    def _keep(self, key: str, written: Sequence[tuple[Recorded[Any], bytes]]) -> None:
        source, cause = self._current
        assert cause is not None
        headers = ((SOURCE, str(source).encode()), (COMMAND_ID, cause.command_id.encode()))
        encoded = key.encode()
        for fact, value in written:
            try:
                self._remember(fact)
            except Exception as error:
                raise EvolveFailed(source, repr(error)) from error
            self._chain.add(encoded, value)
            self._open.append(NewRecord(encoded, value, headers))
        self._index[key] = self._index.get(key, 0) + len(written)
