"""What an owner knows of its partition: all of it follows from the partition's records, in their order.

Deciding and restoring remember by the same function, so what is restored is what was.
"""

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from consumers.limits import WINDOW_US
from domain.decider import Decider
from schemas.actors import LOG
from schemas.catalog import is_runtime_record
from schemas.columns import repeated, repeated_of, texts, texts_of
from schemas.envelope import Moment, Recorded
from schemas.log.events import (
    CommandRepeated,
    CommandSetAside,
    GenerationEnded,
    LogicAdopted,
    SetAsideReason,
    TimePassed,
)

TICK: Final = "Tick"
"""What a set-aside record calls the clock's command."""

_HEAP_MORE: Final = 1_000
_NO_TIME: Final = Moment(0, 0)
_SLEEPS: Final = (SetAsideReason.ADVANCE_RAISED, SetAsideReason.EVOLVE_RAISED)
_JUDGED: Final = (
    SetAsideReason.DECIDE_RAISED,
    SetAsideReason.ADVANCE_RAISED,
    SetAsideReason.EVOLVE_RAISED,
    SetAsideReason.TOO_MANY_EVENTS,
)
"""Reasons that answer a door's command for good. After any other one it may come again under the same id."""

Cursor = tuple[str, str, int, int]
"""(actor, family, generation, partition) of commands from inside."""

Answered = tuple[str, str, str]
"""(key, actor, command id) of a door's command."""


@dataclass(slots=True)
class Memory:
    """State by key, time, position, and what was answered; `followed_by` partitions when the generation has ended."""

    time: Moment = _NO_TIME
    passed: int = 0
    seq: int = 0
    source: int = 0
    logic: int = 0
    followed_by: int = 0
    states: dict[str, Any] = field(default_factory=dict)
    answered: dict[Answered, int] = field(default_factory=dict)
    cursors: dict[Cursor, tuple[int, int]] = field(default_factory=dict)
    due: dict[str, int] = field(default_factory=dict)
    _answered_order: deque[tuple[int, Answered]] = field(default_factory=deque)
    _heap: list[tuple[int, str]] = field(default_factory=list)

    def __getstate__(self) -> tuple[Any, ...]:
        """Every answered command has its place in both, in the same order: written down are columns."""
        whole = (self.time, self.passed, self.seq, self.source, self.logic, self.followed_by)
        own = (self.states, self.cursors, self.due, self._heap)
        keys, actors = (repeated([answer[n] for answer in self.answered]) for n in (0, 1))
        ids, at = texts([name for _, _, name in self.answered]), repeated([at for at, _ in self._answered_order])
        return (*whole, *own, keys, actors, ids, list(self.answered.values()), at)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.time, self.passed, self.seq, self.source, self.logic, self.followed_by = state[:6]
        self.states, self.cursors, self.due, self._heap, keys, actors, ids, seqs, at = state[6:]
        answers = list(zip(repeated_of(keys), repeated_of(actors), texts_of(ids), strict=True))
        self.answered = dict(zip(answers, seqs, strict=True))
        self._answered_order = deque(zip(repeated_of(at), answers, strict=True))

    def remember(self, decider: Decider, fact: Recorded[Any]) -> None:
        """Takes a record in. `evolve` is called for facts only; what it raises spoils this memory."""
        meta, body = fact.meta, fact.body
        self.seq = meta.seq + 1
        if meta.tick.n > self.time.n:
            self.time = meta.tick
        match body:
            case TimePassed():
                self.passed = body.n
            case LogicAdopted():
                self.logic = body.n
                return
            case GenerationEnded():
                self.followed_by = body.partitions
                return
            case CommandRepeated():
                pass
            case CommandSetAside():
                if body.reason in _SLEEPS and body.command == TICK:
                    # Its own mistake must not come back with every tick; the key's next fact wakes it.
                    self.due.pop(fact.key, None)
                if body.reason not in _JUDGED and meta.causation is None:
                    return
            case _:
                state = self.states.get(fact.key)
                state = decider.evolve(decider.initial(fact.key) if state is None else state, fact)
                self.states[fact.key] = state
                self._note_due(fact.key, decider.due(state))
        self._answer(fact)

    def remember_all(self, decider: Decider, facts: Sequence[Recorded[Any]]) -> None:
        """Takes in what one command led to for one key: as `remember`, one fact after the other.

        When the next call is due and that the command is answered is noted once, behind the last fact.
        """
        first = facts[0]
        if is_runtime_record(first.body):
            for fact in facts:
                self.remember(decider, fact)
            return
        key, evolve = first.key, decider.evolve
        state = self.states.get(key)
        if state is None:
            state = decider.initial(key)
        for fact in facts:
            state = evolve(state, fact)
        self.states[key] = state
        last = facts[-1].meta
        self.seq = last.seq + 1
        if last.tick.n > self.time.n:
            self.time = last.tick
        self._note_due(key, decider.due(state))
        self._answer(first)

    def inherit(self, old: "Memory", mine: Callable[[str], bool]) -> None:
        """Takes over from a partition of the generation before, which has ended, what concerns the keys that are mine.

        A cursor may be the highest of all: when a generation ends, nothing that a fact has caused is on its way.
        """
        assert old.followed_by, "only what has ended is inherited"
        self.time, self.passed = max(self.time, old.time, key=lambda moment: moment.n), max(self.passed, old.passed)
        self.states.update((key, state) for key, state in old.states.items() if mine(key))
        for key, due in old.due.items():
            if mine(key):
                self._note_due(key, due)
        for cursor, place in old.cursors.items():
            self.cursors[cursor] = max(self.cursors.get(cursor, place), place)
        theirs = (one for one in old._answered_order if mine(one[1][0]))
        self._answered_order = deque(heapq.merge(self._answered_order, theirs))
        self.answered = {answer: 0 for _, answer in self._answered_order}

    def _answer(self, fact: Recorded[Any]) -> None:
        meta, cause = fact.meta, fact.meta.causation
        if cause is not None:
            cursor = (meta.actor, cause.family, cause.generation, cause.partition)
            self.cursors[cursor] = max(self.cursors.get(cursor, (-1, -1)), (cause.seq, cause.n))
            return
        answer = (fact.key, meta.actor, meta.command_id)
        if answer not in self.answered and not meta.actor.startswith(LOG):  # the clock's ticks are known by number
            self.answered[answer] = meta.seq
            self._answered_order.append((meta.tick.at, answer))
        while self._answered_order and self._answered_order[0][0] < self.time.at - WINDOW_US:
            del self.answered[self._answered_order.popleft()[1]]

    def _note_due(self, key: str, due: int | None) -> None:
        if due is None:
            self.due.pop(key, None)
        elif self.due.get(key) != due:
            self.due[key] = due
            if len(self._heap) > 2 * len(self.due) + _HEAP_MORE:  # of times that changed before they came
                self._heap = [(at, of) for of, at in self.due.items()]
                heapq.heapify(self._heap)
            else:
                heapq.heappush(self._heap, (due, key))

    def due_keys(self) -> list[str]:
        """The keys due now, in order of (due, key). They stay in the heap until they are due no more."""
        keys: dict[str, None] = {}
        while self._heap and self._heap[0][0] <= self.time.at:
            due, key = heapq.heappop(self._heap)
            if self.due.get(key) == due:
                keys[key] = None
        for key in keys:
            heapq.heappush(self._heap, (self.due[key], key))
        return list(keys)
