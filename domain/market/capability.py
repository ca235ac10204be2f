"""The capability rule (domain rules §1.1 rule 12): no connection sells more than it can inject.

It holds in every settlement interval:

sold + resting and reserved sales − bought ≤ injection × interval

Books of several durations share the intervals: what is sold of an hour is sold of each of its quarters. Bought
energy may be sold again and sold energy bought back. An open purchase counts only once it is made.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

EVERYWHERE: Final = ""
"""Among settled zones: all of them, as facts of before the areas were named say it."""

_MINUTES_PER_HOUR: Final = 60


@dataclass(slots=True)
class Slot:
    """One settlement interval, shared by every book whose delivery touches it; `books` counts those, and the first
    one tells its length.

    `used_wh` is the rule's sum per connection, `flow_wh` what crosses each line net (+ from its first zone to its
    second), `capacity_wh` what the operator published of a line, that way and back, `held_wh` what of it is kept for
    auctions whose trades do not stand yet. `committed_pico` is what purchases and sales count in the credit rule until
    they are settled, per party, of each pair of zones (the seller's, the buyer's); `settled` are the zones that are
    settled, `EVERYWHERE` where all of them are.
    """

    start_at: int
    books: int = 0
    interval_min: int = 0
    used_wh: dict[str, int] = field(default_factory=dict)
    flow_wh: dict[str, int] = field(default_factory=dict)
    capacity_wh: dict[str, tuple[int, int]] = field(default_factory=dict)
    held_wh: dict[str, tuple[int, int]] = field(default_factory=dict)
    committed_pico: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)
    settled: set[str] = field(default_factory=set)

    def committed(self, zones: tuple[str, str]) -> dict[str, int]:
        """What counts per party between these zones; for `evolve`, which may change it."""
        found = self.committed_pico.get(zones)
        if found is None:
            found = self.committed_pico[zones] = {}
        return found

    def is_settled(self, zones: tuple[str, str]) -> bool:
        """Whether what is sold from the first zone to the second is settled: at both of its ends."""
        settled = self.settled
        return EVERYWHERE in settled or (zones[0] in settled and zones[1] in settled)

    @property
    def is_over(self) -> bool:
        """Whether it is settled, and nothing of it waits for another area."""
        return bool(self.settled) and not self.committed_pico


def capability_wh(injection_w: int, interval_min: int) -> int:
    """What the connection can inject in one interval, whole Wh (rounded down: half a Wh cannot be sold)."""
    return injection_w * interval_min // _MINUTES_PER_HOUR


def use(slots: Iterable[Slot], connection: str, energy_wh: int) -> None:
    """Takes (> 0) or gives back (< 0) capability: this much of each interval."""
    for slot in slots:
        used = slot.used_wh
        used[connection] = used.get(connection, 0) + energy_wh
