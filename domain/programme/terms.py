"""What a programme's terms must keep to; every baseline method is a parameter set, so its limits stand here."""

from collections.abc import Iterator
from typing import Final

from schemas.programme.events import Terms

MAX_LOOK_BACK_DAYS: Final = 92
"""The longest look-back of the named methods is 90 days (domain rules, 3.1)."""

MINUTES_OF_A_DAY: Final = 1440

Flaw = tuple[str, int, int]
"""The name of the field that is wrong, its limit and what was found."""


MAX_WAIT_MIN: Final = 366 * MINUTES_OF_A_DAY
"""The longest wait for a measurement."""


def first_flaw(terms: Terms) -> Flaw | None:
    """The first field that keeps the terms from being adopted, or none."""
    return next((flaw for flaw, holds in _rules(terms) if not holds), None)


def _rules(terms: Terms) -> Iterator[tuple[Flaw, bool]]:
    yield ("interval_min", 0, MINUTES_OF_A_DAY % terms.interval_min), MINUTES_OF_A_DAY % terms.interval_min == 0
    wait = terms.measurement_wait_min
    yield ("measurement_wait_min", 1, wait), wait >= 1
    # A deadline beyond the range of times could not be recorded, and an event keeps its terms for ever.
    yield ("measurement_wait_min", MAX_WAIT_MIN, wait), wait <= MAX_WAIT_MIN
    incentive = terms.incentive_nano_per_kwh
    yield ("incentive_nano_per_kwh", 0, incentive), incentive >= 0
    method = terms.baseline
    look_back, pool, reference = method.look_back_days, method.pool_days, method.reference_days
    yield ("baseline.look_back_days", MAX_LOOK_BACK_DAYS, look_back), look_back <= MAX_LOOK_BACK_DAYS
    yield ("baseline.pool_days", look_back, pool), pool <= look_back
    yield ("baseline.reference_days", pool, reference), reference <= pool
    dropped = method.drop_highest + method.drop_lowest
    yield ("baseline.drop_highest", reference - 1, dropped), dropped < reference
    yield ("baseline.low_usage_percent", 100, method.low_usage_percent), method.low_usage_percent <= 100
