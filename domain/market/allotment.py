"""What a connection may sell over the delivery time, where that is more than one number (domain rules §1.1 rule 12).

An allotment is steps, each with a power and, where storage stands behind it, a statement of the energy in it. A
statement holds for the deliveries of its steps from its time on. Over these, in order of time:

drawn = max(0, sold − bought − generation), charged = min(max(0, bought − sold), charge power × interval)
level' = min(usable, level − drawn / discharge efficiency + charged × charge efficiency), never below 0

Levels are integers: Wh times both efficiencies' 10⁶, so nothing is rounded.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from domain.market.capability import Slot, capability_wh
from schemas.equipment import StoredEnergy

_WHOLE: Final = 10**6
_PER_WH: Final = _WHOLE * _WHOLE


class Broken(NamedTuple):
    """The first settlement interval that would be left with less than is used of it (Wh)."""

    start_at: int
    limit_wh: int
    found_wh: int


@dataclass(slots=True)
class Statement:
    """Stored energy as it was told, and the level after the deliveries that are forgotten.

    `passed` are the settled intervals behind one that is not settled yet: start → what was used of it (Wh), length.
    """

    stored: StoredEnergy
    level: int
    passed: dict[int, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """What may be sold of deliveries from `from_at` on, up to the next step's."""

    from_at: int
    injection_w: int
    statement: Statement | None


@dataclass(slots=True)
class Allotment:
    """Steps in order of time, the first from 0 on; `slots` are the market's own."""

    steps: tuple[Step, ...]
    slots: dict[int, Slot] = field(compare=False, repr=False)

    def injection_w(self, start_at: int) -> int:
        """What may be injected in the settlement interval that starts then."""
        return self._step(start_at).injection_w

    def overdrawn(self, connection: str, more_wh: Mapping[int, int]) -> Broken | None:
        """Where a storage could not deliver, if so much more were sold of some intervals; none: it always could."""
        for statement in self._statements():
            level = statement.level
            for start in self._starts(statement):
                used, interval_min = self._used(statement, connection, start)
                used += more_wh.get(start, 0)
                after = _after(statement.stored, level, used, interval_min)
                if after < 0:
                    drawn = used - capability_wh(statement.stored.generation_w, interval_min)
                    return Broken(start, level // _PER_WH, drawn)
                level = after
        return None

    def with_step(self, from_at: int, to_at: int | None, injection_w: int, stored: StoredEnergy | None) -> "Allotment":
        """The allotment with this in [from_at, to_at); without steps that end before every listed delivery."""
        before = [step for step in self.steps if step.from_at < from_at]
        told = None if stored is None else Statement(stored, _level(stored, min(stored.stored_wh, stored.usable_wh)))
        after: list[Step] = []
        if to_at is not None:
            after = [replace(self._step(to_at), from_at=to_at), *(s for s in self.steps if s.from_at > to_at)]
        steps = [*before, Step(from_at, injection_w, told), *after]
        first = min(self.slots, default=0)
        over = max(0, bisect_right([step.from_at for step in steps], first) - 1)
        return Allotment((replace(steps[over], from_at=0), *steps[over + 1 :]), self.slots)

    def pass_by(self, connection: str, slot: Slot) -> None:
        """For `evolve`: the interval is settled and about to be forgotten; the levels behind it stay what they are."""
        statement = self._step(slot.start_at).statement
        if statement is None or slot.start_at < statement.stored.stored_at:
            return
        statement.passed[slot.start_at] = slot.used_wh.get(connection, 0), slot.interval_min
        earliest = min((start for start in self.slots if start != slot.start_at), default=slot.start_at + 1)
        for start in sorted(start for start in statement.passed if start < earliest):
            statement.level = max(0, _after(statement.stored, statement.level, *statement.passed.pop(start)))

    def _step(self, at: int) -> Step:
        steps = self.steps
        return steps[bisect_right(steps, at, key=lambda step: step.from_at) - 1]

    def _statements(self) -> Iterator[Statement]:
        seen: list[Statement] = []
        for step in self.steps:
            statement = step.statement
            if statement is not None and all(statement is not other for other in seen):
                seen.append(statement)
                yield statement

    def _starts(self, statement: Statement) -> Iterator[int]:
        """The settlement intervals, listed or passed, that the statement is about, in order of time."""
        for start in sorted((*statement.passed, *self.slots)):
            if start >= statement.stored.stored_at and self._step(start).statement is statement:
                yield start

    def _used(self, statement: Statement, connection: str, start: int) -> tuple[int, int]:
        slot = self.slots.get(start)
        return statement.passed[start] if slot is None else (slot.used_wh.get(connection, 0), slot.interval_min)


def _level(stored: StoredEnergy, energy_wh: int) -> int:
    return energy_wh * stored.discharge_efficiency_ppm * _WHOLE


def _after(stored: StoredEnergy, level: int, used_wh: int, interval_min: int) -> int:
    """The level after an interval of which so much is sold net; below 0 where it could not be delivered."""
    drawn = used_wh - capability_wh(stored.generation_w, interval_min)
    if drawn > 0:
        return level - drawn * _PER_WH
    if used_wh >= 0:
        return level
    charged = min(-used_wh, capability_wh(stored.max_charge_w, interval_min))
    full = _level(stored, stored.usable_wh)
    return min(full, level + charged * stored.charge_efficiency_ppm * stored.discharge_efficiency_ppm)
