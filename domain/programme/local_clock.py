"""The programme's legal local clock: when another day shows the event's local times (domain rules, 3.1 and 4.8).

Zone rules change; a calculation that reads them is recorded with its result and never repeated at replay.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from schemas.values import MINUTE_US

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class LocalClock:
    """Local time of a zone; UTC as microseconds since 1970."""

    zone: ZoneInfo

    @classmethod
    def named(cls, name: str) -> "LocalClock | None":
        """The clock of an IANA zone, or none if there is no such zone."""
        try:
            return cls(ZoneInfo(name))
        except (ZoneInfoNotFoundError, ValueError, OSError):  # unknown, no name at all, a folder of zones
            return None

    def local(self, at: int) -> datetime:
        """What the wall clock shows at a moment."""
        return (_EPOCH + timedelta(microseconds=at)).astimezone(self.zone).replace(tzinfo=None)

    def moment(self, wall: datetime) -> int | None:
        """When the wall clock shows `wall`; none if it never does, or twice."""
        # Before and after a change of the clock differ in the missing hour and in the doubled one, and only there.
        before, after = self._utc(wall, 0), self._utc(wall, 1)
        return before if before == after else None

    def days_of(self, start_at: int, end_at: int) -> set[date]:
        """The local days that [start_at, end_at) touches."""
        first, last = self.local(start_at).date(), self.local(end_at - 1).date()
        return {first + timedelta(days=n) for n in range((last - first).days + 1)}

    def _utc(self, wall: datetime, fold: int) -> int:
        return (wall.replace(tzinfo=self.zone, fold=fold) - _EPOCH) // _MICROSECOND


@dataclass(frozen=True, slots=True)
class EventHours:
    """The local times of an event's intervals: days after the event's first day, and time of day."""

    clock: LocalClock
    interval_min: int
    day: date
    times: tuple[tuple[int, time], ...]

    @classmethod
    def of(cls, clock: LocalClock, starts: Sequence[int], interval_min: int) -> "EventHours":
        """The hours of an event by the starts of its intervals; there is at least one."""
        walls = [clock.local(at) for at in starts]
        day = walls[0].date()
        return cls(clock, interval_min, day, tuple(((wall.date() - day).days, wall.time()) for wall in walls))

    def days_on(self, day: date) -> set[date]:
        """The local days that the same hours touch when they begin on `day`."""
        return {day + timedelta(days=offset) for offset, _ in self.times}

    def starts_on(self, day: date) -> tuple[int, ...] | None:
        """The starts of the same hours beginning on `day`; none if an interval is missing or doubled there."""
        starts: list[int] = []
        rest_min = self.interval_min - 1
        for offset, at_time in self.times:
            wall = datetime.combine(day + timedelta(days=offset), at_time)
            start = self.clock.moment(wall)
            # The clock must not change inside the interval either.
            if start is None or self.clock.local(start + rest_min * MINUTE_US) != wall + rest_min * _MINUTE:
                return None
            starts.append(start)
        return tuple(starts)
