"""Day types by a published legal calendar, as known at a cut-off. A day that no version reaches over is unknown."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any, Final

from domain.calculation import Row
from domain.programme.local_clock import LocalClock

_SATURDAY: Final = 5


class DayType(StrEnum):
    """What a local day is for a baseline of weekdays."""

    WEEKDAY = "weekday"
    WEEKEND = "weekend"
    HOLIDAY = "holiday"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class LegalCalendar:
    """A calendar's versions, the highest first, and the clock of the one that reaches over the event."""

    clock: LocalClock
    versions: tuple[tuple[str, str, frozenset[str]], ...]

    @classmethod
    def over(cls, rows: Sequence[Row], start_at: int) -> "LegalCalendar | None":
        """The calendar from rows of `calendars`; none if no version reaches over the day of `start_at`.

        A version of a zone that does not exist reaches over nothing.
        """
        newest = sorted(rows, key=_version, reverse=True)
        versions = tuple((row["first_day"], row["last_day"], frozenset(row["holidays"])) for row in newest)
        for row in newest:
            clock = LocalClock.named(row["time_zone"])
            if clock and row["first_day"] <= clock.local(start_at).date().isoformat() <= row["last_day"]:
                return cls(clock, versions)
        return None

    def type_of(self, day: date) -> DayType:
        """The type of a local day, by the highest version that reaches over it."""
        if day.weekday() >= _SATURDAY:
            return DayType.WEEKEND
        text = day.isoformat()
        for first, last, holidays in self.versions:
            if first <= text <= last:
                return DayType.HOLIDAY if text in holidays else DayType.WEEKDAY
        return DayType.UNKNOWN


def _version(row: Row) -> Any:
    return row["version"]
