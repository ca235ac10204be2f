"""Customer baseline "X of Y" as one parameterised rule (domain rules, 3.1 and 3.2), exact up to the last rounding.

KPX Mid(6/10) is a parameter set, so are Max(4/5), Mid(8/10) and 10-in-10; a method with another shape
(adjustment on the day, weighted or rolling means) would be another rule. Without an adjustment the mean
of a site that never exported cannot be negative, so the baseline needs no floor.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from domain.rounding import half_up
from schemas.programme.events import BaselineMethod


class Exclusion(StrEnum):
    """Why a day is not averaged, in the order of the checks."""

    CALENDAR_MISSING = "calendar_missing"
    HOLIDAY = "holiday"
    EVENT_DAY = "event_day"
    CLOCK_CHANGE = "clock_change"
    MISSING_DATA = "missing_data"
    ESTIMATED_DATA = "estimated_data"
    LOW_USAGE = "low_usage"
    OLDER = "older"
    HIGHEST = "highest"
    LOWEST = "lowest"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A local day (ISO date) with the net withdrawal of the event's hours, or why it has no use."""

    day: str
    withdrawal_wh: tuple[int, ...]
    exclusion: Exclusion | None = None


@dataclass(frozen=True, slots=True)
class Baseline:
    """The averaged days, all other considered days with their reasons, both by date, and the sums of the former.

    If there were fewer than the method's reference days, `complete` is false: `reference_days` are those
    that were found, and there are no sums.
    """

    complete: bool
    reference_days: tuple[str, ...]
    exclusions: tuple[tuple[str, Exclusion], ...]
    sums_wh: tuple[int, ...]

    @property
    def exact_wh(self) -> tuple[Fraction, ...]:
        """The mean of each interval."""
        return tuple(Fraction(total, len(self.reference_days)) for total in self.sums_wh)

    @property
    def rounded_wh(self) -> tuple[int, ...]:
        """The mean of each interval, half-up to whole Wh: the only rounding."""
        return tuple(half_up(total, len(self.reference_days)) for total in self.sums_wh)


def baseline(candidates: Iterable[Candidate], method: BaselineMethod) -> Baseline:
    """The baseline from candidate days, the most recent first; reads no more of them than the pool needs."""
    excluded: dict[str, Exclusion] = {}
    pool = _pool(candidates, method.pool_days, excluded)
    rest = _without_low_usage(pool, method.low_usage_percent, excluded)
    reference, older = rest[: method.reference_days], rest[method.reference_days :]
    if len(reference) < method.reference_days:
        return Baseline(False, _days(reference), _by_date(excluded), ())
    # Day-level ranking; of equal days the more recent ranks higher.
    ranked = sorted(reference, key=lambda each: (_total(each), each.day), reverse=True)
    end = len(ranked) - method.drop_lowest
    excluded.update((each.day, Exclusion.OLDER) for each in older)
    excluded.update((each.day, Exclusion.HIGHEST) for each in ranked[: method.drop_highest])
    excluded.update((each.day, Exclusion.LOWEST) for each in ranked[end:])
    averaged = ranked[method.drop_highest : end]
    sums = tuple(map(sum, zip(*(each.withdrawal_wh for each in averaged), strict=True)))
    return Baseline(True, _days(averaged), _by_date(excluded), sums)


def _pool(candidates: Iterable[Candidate], size: int, excluded: dict[str, Exclusion]) -> list[Candidate]:
    pool: list[Candidate] = []
    for candidate in candidates:
        if candidate.exclusion is None:
            pool.append(candidate)
        else:
            excluded[candidate.day] = candidate.exclusion
        if len(pool) == size:
            break
    return pool


def _without_low_usage(pool: list[Candidate], percent: int, excluded: dict[str, Exclusion]) -> list[Candidate]:
    """The days that reach the percentage of the pool's mean; a pool that on average injects has no low usage."""
    whole = sum(map(_total, pool))
    if whole <= 0:
        return pool
    kept = [each for each in pool if 100 * len(pool) * _total(each) >= percent * whole]
    excluded.update((each.day, Exclusion.LOW_USAGE) for each in pool if each not in kept)
    return kept


def _total(candidate: Candidate) -> int:
    """All days have the same number of intervals, so their sums rank like their means."""
    return sum(candidate.withdrawal_wh)


def _days(candidates: Iterable[Candidate]) -> tuple[str, ...]:
    return tuple(sorted(each.day for each in candidates))


def _by_date(excluded: dict[str, Exclusion]) -> tuple[tuple[str, Exclusion], ...]:
    return tuple(sorted(excluded.items()))
