"""Net withdrawal of sites in given hours: import less export at the utility meter's point, from rows of `readings`.

A missing interval is never zero. Finer readings are summed, coarser ones cannot be used. A point of which
no export at all was read has no export register (a household without a plant).
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from domain.calculation import Row
from domain.programme.baseline import Exclusion
from schemas.meter.events import Quality
from schemas.values import MINUTE_US, Direction

_BILLABLE: Final = (Quality.VALID.value, Quality.EDITED.value)
"""Qualities of which a baseline or a response may be made (domain rules, 4.7)."""


@dataclass(slots=True)
class Register:
    """Readings of one register inside the hours: by start, length (µs), version, Wh and whether it is billable."""

    at: dict[int, tuple[int, int, int, bool]] = field(default_factory=dict)

    def put(self, start: int, length_us: int, version: int, energy_wh: int, billable: bool) -> None:
        """Of an interval the value of the highest version counts."""
        held = self.at.get(start)
        if held is None or held[1] < version:
            self.at[start] = (length_us, version, energy_wh, billable)

    def energy(self, start: int, length_us: int) -> int | Exclusion:
        """Wh of [start, start + length_us) out of whole readings, or why there is no such number."""
        total, billable, at, end = 0, True, start, start + length_us
        while at < end:
            held = self.at.get(at)
            if held is None or at + held[0] > end:
                return Exclusion.MISSING_DATA
            total, billable = total + held[2], billable and held[3]
            at += held[0]
        return total if billable else Exclusion.ESTIMATED_DATA


class Withdrawals:
    """Readings of many points, taken apart only inside the hours that are asked for.

    Args:
        rows: rows of `readings`.
        starts: UTC starts (µs) of all hours that may be asked for.
        interval_min: their length.
    """

    def __init__(self, rows: Iterable[Row], starts: Iterable[int], interval_min: int) -> None:
        self._length_us = interval_min * MINUTE_US
        self._starts = sorted(set(starts))
        self._registers: dict[tuple[str, str], Register] = {}
        for row in rows:
            self._take(row)

    def _take(self, row: Row) -> None:
        register = self._registers.setdefault((row["metering_point"], row["direction"]), Register())
        first, step, values = row["start_at"], row["interval_min"] * MINUTE_US, row["energy_wh"]
        end = first + len(values) * step
        version, billable = row["version"], row["quality"] in _BILLABLE
        place = bisect_left(self._starts, first - self._length_us + 1)
        for start in self._starts[place : bisect_left(self._starts, end)]:
            from_place = max(0, -((first - start) // step))
            until_place = min(len(values), -((first - start - self._length_us) // step))
            for n in range(from_place, until_place):
                register.put(first + n * step, step, version, values[n], billable)

    def net(self, metering_point: str, starts: Sequence[int]) -> tuple[int, ...] | Exclusion:
        """Net withdrawal (Wh) of each hour, negative where the site injects, or why one of them is not known."""
        taken = self._energy(metering_point, Direction.IMPORT_FROM_GRID, starts)
        if isinstance(taken, Exclusion):
            return taken
        if (metering_point, Direction.EXPORT_TO_GRID.value) not in self._registers:
            return taken
        given = self._energy(metering_point, Direction.EXPORT_TO_GRID, starts)
        if isinstance(given, Exclusion):
            return given
        return tuple(i - e for i, e in zip(taken, given, strict=True))

    def _energy(self, metering_point: str, direction: Direction, starts: Sequence[int]) -> tuple[int, ...] | Exclusion:
        register = self._registers.get((metering_point, direction.value))
        if register is None:
            return Exclusion.MISSING_DATA
        found: list[int] = []
        worst: Exclusion | None = None
        for start in starts:
            energy = register.energy(start, self._length_us)
            if energy is Exclusion.MISSING_DATA:
                return Exclusion.MISSING_DATA
            if isinstance(energy, Exclusion):
                worst = energy
            else:
                found.append(energy)
        return tuple(found) if worst is None else worst
