"""The log's rules for one partition, without any I/O: commands become records, records become memory.

Replay, verification and the running owner (`consumers/decide.py`) use this one class, so there is one
place where a repeated, late, undecodable or misplaced command is answered, and one way back.
"""

import copy
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

from consumers.admission import ODD, is_name, not_admitted, unbelievable, unread
from consumers.chain import Chain
from consumers.failures import ChainBroken, EvolveFailed, FactNotEvolved, FactTooLarge, GenerationIsOver, Poison
from consumers.limits import ADVANCE_LIMIT, MAX_EVENTS, MAX_RECORD_BYTES, MAX_SET_ASIDE, MAX_TICK_FACTS
from consumers.memory import TICK, Memory
from consumers.ports import Headers, NewRecord, Partition, StoredRecord
from consumers.reading import CHAIN, COMMAND_ID, SOURCE, recorded, traced
from domain.decider import Decider
from schemas.actors import LOG
from schemas.codec import Codec, Stem, UndecodableRecord, UnknownSchema
from schemas.envelope import Causation, Command, CommandMeta, FactMeta, Moment, Recorded
from schemas.log.commands import EndGeneration, Tick
from schemas.log.events import (
    CommandRepeated,
    CommandSetAside,
    GenerationEnded,
    LogicAdopted,
    SetAsideReason,
    TimePassed,
)
from schemas.partition import partition_of
from schemas.shape import InvalidMessage

_OWNER: Final = f"{LOG}owner"


class PartitionDecider:
    """The memory of one partition and the rules by which commands become records.

    Args:
        partition: which events partition this is, and of which family.
        partitions: how many partitions its generation has.
        earlier: how many the generation before has; 0 for the first.
        decider: the family's rules.
        codec: bytes and messages.
        set_aside: what must not be decided, because it made `evolve` raise.
        most_aside: more commands than these are not set aside in a row: `take` stops.
    """

    def __init__(
        self,
        partition: Partition,
        partitions: int,
        decider: Decider,
        codec: Codec,
        set_aside: Iterable[Poison] = (),
        most_aside: int = MAX_SET_ASIDE,
        earlier: int = 0,
    ) -> None:
        self.most_aside = most_aside
        self.most_bytes = sys.maxsize
        """With so many bytes in records that wait for `seal`, `take` stops."""
        self.partition, self.partitions, self.earlier = partition, partitions, earlier
        self._decider, self._codec = decider, codec
        self._set_aside = frozenset(set_aside)
        self._m = Memory()
        self._chain = Chain()
        self._open: list[NewRecord] = []
        self._meta: CommandMeta | None = None
        self._position = 0
        self._headers: Headers = ()
        self._stem: Stem | None = None
        self._index: dict[str, int] = {}
        self._refusals = {t for kinds in decider.OUTCOMES.values() for t in kinds if t.__name__ == "CommandRefused"}
        self._refused = self._asides = 0
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

    @property
    def followed_by(self) -> int:
        """How many partitions the next generation has; 0 while something is decided here."""
        return self._m.followed_by

    def take_over(self, parent: "PartitionDecider") -> None:
        """Takes what a partition of the generation before leaves to this one; comes before the first record."""
        self._m.inherit(parent._m, self._is_here)

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

    def counted(self) -> tuple[int, int]:
        """Refusals, and commands set aside, since the last call: for displays."""
        counts, self._refused, self._asides = (self._refused, self._asides), 0, 0
        return counts

    @property
    def whole(self) -> bool:
        """Whether the last record restored or sealed ended an append."""
        return not self._open and not self._chain.open

    def probe(self, set_aside: Iterable[Poison] = ()) -> "PartitionDecider":
        """A copy that sets only this aside: deciding with it changes nothing here."""
        twin = PartitionDecider(
            self.partition, self.partitions, self._decider, self._codec, set_aside, earlier=self.earlier
        )
        twin._m = copy.deepcopy(self._m)
        return twin

    # -- back from records -------------------------------------------------------------------------

    def restore(self, stored: StoredRecord, *, chained: bool = True) -> Recorded[Any]:
        """Takes one record of the partition, in order, into memory and returns it decoded.

        Args:
            chained: false for a verifier, which holds the chain over the whole log by itself.

        Raises:
            ChainBroken: the chain hash behind the records is not theirs, or a number is missing.
            UnknownSchema, UndecodableRecord, FactNotEvolved: facts are never skipped, so their reader stops.
        """
        fact = recorded(self._codec, self.partition, stored)
        place = f"{self.partition} seq {fact.meta.seq}"
        headers = dict(stored.headers)
        self._chain.add(stored.key, stored.value)
        if chained and CHAIN in headers and headers[CHAIN] != self._chain.close():
            raise ChainBroken(f"{place}: the chain hash differs; a record of this append was changed after writing")
        if fact.meta.seq != self._m.seq:
            raise ChainBroken(f"{place}: expected seq {self._m.seq}")
        try:
            self._m.remember(self._decider, fact)
        except MemoryError:
            raise
        except Exception as error:
            raise FactNotEvolved(f"{place}: evolve raised {error!r}") from error
        self._m.source = int(headers[SOURCE]) + 1
        return fact

    def restored(self) -> None:
        """Says that every record was restored.

        Raises:
            ChainBroken: the last append has no hash behind it: something was taken away.
        """
        if self._chain.open:
            raise ChainBroken(f"{self.partition} seq {self._m.seq - 1}: no hash behind the last records")

    # -- forward from commands ---------------------------------------------------------------------

    def decide(self, commands: Sequence[StoredRecord]) -> list[NewRecord]:
        """The records that answer these commands, in order: one whole append (`take`, then `seal`)."""
        self.take(commands)
        return self.seal()

    def take(self, commands: Sequence[StoredRecord]) -> int:
        """Decides these commands and returns how many; their records wait for `seal`, behind those of earlier calls.

        Memory changes at once; if the append's outcome is not known, drop this object and restore. Stops early,
        with `source` at the next command: after `most_aside` set aside in a row, `most_bytes`, or the generation's end.

        Raises:
            EvolveFailed, GenerationIsOver: see there.
        """
        if commands and self._m.followed_by:
            told = f"{self.partition} has ended, and {self._m.followed_by} partitions follow it"
            raise GenerationIsOver(f"{told}: start this process again with the family's new partitions")
        if commands and self._m.logic != self._decider.LOGIC:
            self._adopt_logic(commands[0].position)
        for taken, stored in enumerate(commands, start=1):
            self._step(stored)
            self._m.source = stored.position + 1
            if self.aside > self.most_aside or self.open_bytes >= self.most_bytes or self._m.followed_by:
                return taken
        return len(commands)

    def seal(self) -> list[NewRecord]:
        """The records taken since the last seal, in order: one append, the chain hash on the last."""
        records, self._open, self.open_bytes = self._open, [], 0
        if records:
            last = records[-1]
            records[-1] = NewRecord(last.key, last.value, (*last.headers, (CHAIN, self._chain.close())))
        return records

    def _adopt_logic(self, source: int) -> None:
        # Never the last record of an append, so the input position still follows from the last one.
        self._begin(source, CommandMeta("logic", _OWNER, "logic", None, None, None), ())
        self._record("", LogicAdopted(self._decider.LOGIC))

    def _begin(self, position: int, meta: CommandMeta, headers: Headers) -> None:
        """From here on records answer this command."""
        self._position, self._meta, self._stem, self._index = position, meta, None, {}
        source, command_id = (SOURCE, str(position).encode()), (COMMAND_ID, meta.command_id.encode())
        self._headers = (source, command_id) if len(headers) < 2 else (source, command_id, *traced(headers))

    def _step(self, stored: StoredRecord) -> None:
        try:
            key = stored.key.decode()
            meta, body = self._codec.decode_command(stored.value)
        except (UnknownSchema, UndecodableRecord, InvalidMessage, UnicodeDecodeError) as error:
            self._aside_undecoded(stored, error)
            return
        self._begin(stored.position, meta, stored.headers)
        if type(body) is Tick:
            self._tick(stored.position, body)
            return
        if type(body) is EndGeneration:
            self._record("", GenerationEnded(body.partitions))
            return
        reason = self._not_to_be_decided(stored.position, key, meta)
        if reason is not None:
            self._aside(key, reason, type(body).__name__, meta.command_id)
        elif meta.causation is not None:
            self._from_inside(key, meta, body, meta.causation)
        elif (key, meta.actor, meta.command_id) in self._m.answered:
            self._record(key, CommandRepeated(self._m.answered[key, meta.actor, meta.command_id]))
        else:
            self._judge(key, meta, body)

    def _not_to_be_decided(self, position: int, key: str, meta: CommandMeta) -> SetAsideReason | None:
        if self._set_aside and (position, key) in self._set_aside:
            return SetAsideReason.EVOLVE_RAISED
        if key not in self._m.states:  # what has facts here belongs here
            if not is_name(key):
                return SetAsideReason.INVALID
            if not self._is_here(key):
                return SetAsideReason.WRONG_PARTITION
        return not_admitted(meta, self._m.time)

    def _is_here(self, key: str) -> bool:
        return partition_of(key, self.partitions) == self.partition.index

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
        if type(body) not in self._decider.OUTCOMES:
            self._aside(key, SetAsideReason.INVALID, type(body).__name__, meta.command_id)
            return
        if key in self._m.due:
            try:
                self._advance(key)
            except (EvolveFailed, MemoryError):
                raise
            except Exception as error:
                # What another family says is said once: it is decided all the same, as it would be after the tick
                # that puts this key's time to sleep.
                if meta.causation is None:
                    self._aside(key, SetAsideReason.ADVANCE_RAISED, type(body).__name__, type(error).__name__)
                    return
        try:
            facts = self._decider.decide(self.state(key), Command(key, meta, body), self._m.time)
            if type(facts) is not list and type(facts) is not tuple:
                facts = list(facts)
            if not 0 < len(facts) <= MAX_EVENTS:
                self._aside(key, SetAsideReason.TOO_MANY_EVENTS, type(body).__name__, str(len(facts)))
                return
            written = self._write(key, facts)
        except MemoryError:
            raise
        except Exception as error:
            self._aside(key, SetAsideReason.DECIDE_RAISED, type(body).__name__, type(error).__name__)
            return
        self.aside = 0
        self._refused += type(facts[0]) in self._refusals
        self._keep(key, *written)

    def _advance(self, key: str) -> int:
        due = self._m.due.get(key)
        if due is None or due > self._m.time.at:
            return 0
        facts = list(self._decider.advance(self.state(key), self._m.time, ADVANCE_LIMIT))
        assert len(facts) <= ADVANCE_LIMIT, f"advance gave {len(facts)} facts, its limit is {ADVANCE_LIMIT}"
        if facts:
            self._keep(key, *self._write(key, facts))
        return len(facts)

    def _tick(self, position: int, tick: Tick) -> None:
        m = self._m
        if tick.n <= m.passed:
            self._record("", CommandRepeated(0))
            return
        reason = unbelievable(Moment(tick.n, tick.at), m.time)
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
        self.aside += reason in ODD
        self._asides += 1
        key, subject = (key, key) if is_name(key) else ("", "-")  # of any length; it stands in the command
        self._record(key, CommandSetAside(reason, command, subject, detail or "-"))

    def _aside_undecoded(self, stored: StoredRecord, error: Exception) -> None:
        self._begin(stored.position, unread(stored), stored.headers)
        reason = SetAsideReason.INVALID if isinstance(error, InvalidMessage) else SetAsideReason.UNDECODABLE
        self._aside(stored.key.decode(errors="replace"), reason, "unknown", type(error).__name__)

    def _record(self, key: str, body: Any) -> None:
        self._keep(key, *self._write(key, (body,)))

    def _write(self, key: str, bodies: Sequence[Any]) -> tuple[list[Recorded[Any]], list[bytes]]:
        """The facts of these bodies and their bytes, not yet kept: a body that has no bytes spoils nothing."""
        cause, m, codec = self._meta, self._m, self._codec
        assert cause is not None
        who = cause.actor, cause.correlation, cause.causation, self._decider.LOGIC
        stem = self._stem
        if stem is None or stem.meta.tick is not m.time:
            self._stem = stem = codec.stem(FactMeta(0, m.time, cause.command_id, 0, *who))
        family, number, seq, index = self.partition.family, self.partition.number, m.seq, self._index.get(key, 0)
        facts, values = [], []
        for body in bodies:
            value = codec.encode_fact(stem, seq, index, body)
            if len(value) > MAX_RECORD_BYTES:
                raise FactTooLarge(f"{type(body).__name__} of {len(value)} bytes, the limit is {MAX_RECORD_BYTES}")
            values.append(value)
            meta = FactMeta(seq, m.time, cause.command_id, index, *who)
            facts.append(Recorded(family, number, key, meta, body))
            seq += 1
            index += 1
        return facts, values

    def _keep(self, key: str, facts: Sequence[Recorded[Any]], values: Sequence[bytes]) -> None:
        try:
            self._m.remember_all(self._decider, facts)
        except Exception as error:
            raise EvolveFailed(self._position, key, repr(error)) from error
        encoded, headers, add, keep = key.encode(), self._headers, self._chain.add, self._open.append
        for value in values:
            add(encoded, value)
            keep(NewRecord(encoded, value, headers))
            self.open_bytes += len(value)
        self._index[key] = self._index.get(key, 0) + len(facts)
