"""The memberships of a connection in communities, as factors over valid time (domain rules, 9.1).

A connection may be in several communities, as long as their factors never sum to more than the whole.
Changes may be back-dated: a factor holds from its start up to the next start in the same community.
"""

from dataclasses import dataclass, field
from typing import Final

WHOLE_PPM: Final = 1_000_000


@dataclass(slots=True)
class Memberships:
    """Per community: start (UTC µs) → factor that holds from then on (ppm)."""

    factors: dict[str, dict[int, int]] = field(default_factory=dict)

    def factor_at(self, community: str, at: int) -> int:
        """The factor (ppm) in force at a time; 0 outside the community."""
        return _in_force(self.factors.get(community, {}), at)

    def peak_with(self, community: str, factor_ppm: int, valid_from: int) -> int:
        """The largest sum of factors (ppm) at any time, if this factor held from `valid_from` on."""
        wished = {**self.factors, community: {**self.factors.get(community, {}), valid_from: factor_ppm}}
        # A sum of step functions has its peak where one of them steps.
        steps = {start for starts in wished.values() for start in starts}
        return max(sum(_in_force(starts, at) for starts in wished.values()) for at in steps)

    def join(self, community: str, factor_ppm: int, valid_from: int) -> None:
        """Lets the factor hold from `valid_from` up to the community's next start."""
        self.factors.setdefault(community, {})[valid_from] = factor_ppm


def _in_force(starts: dict[int, int], at: int) -> int:
    begun = [start for start in starts if start <= at]
    return starts[max(begun)] if begun else 0
