"""The capability rule (domain rules §1.1 rule 12): no connection sells more than it can inject, per interval.

sold + resting and proposed sales − bought ≤ injection × interval

Bought energy may be sold again and sold energy bought back. An open purchase counts only once it is made.
"""

from collections.abc import Mapping
from typing import Final

_MINUTES_PER_HOUR: Final = 60


def capability_wh(injection_w: int, interval_min: int) -> int:
    """What the connection can inject in one interval, whole Wh (rounded down: half a Wh cannot be sold)."""
    return injection_w * interval_min // _MINUTES_PER_HOUR


def used_wh(used: Mapping[str, int], connection: str) -> int:
    """sold + resting and proposed sales − bought of a connection in one interval; below 0 after net purchases."""
    return used.get(connection, 0)


def use(used: dict[str, int], connection: str, energy_wh: int) -> None:
    """Takes (> 0) or gives back (< 0) capability of one interval."""
    used[connection] = used.get(connection, 0) + energy_wh
