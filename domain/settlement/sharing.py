"""Energy sharing in a community by the dynamic key (domain rules §9, rules 2 to 4). Whole Wh, ties by id."""

from collections.abc import Mapping
from dataclasses import dataclass

from domain.rounding import largest_remainder

_WHOLE_PPM = 1_000_000
# Sorts behind every id: of two equal remainders the community's is served first.
_REST = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Shares:
    """One interval of one community, Wh by connection; both sides have the same sum."""

    allocated_wh: dict[str, int]
    used_wh: dict[str, int]


def community_parts(energy_wh: int, factors_ppm: Mapping[str, int]) -> dict[str, int]:
    """What of a connection's energy each of its communities sees: its factor's part, by largest remainder.

    What the factors leave over takes part in the split and is nobody's.

    Raises:
        ValueError: the factors sum to more than 100 %.
    """
    rest = _WHOLE_PPM - sum(factors_ppm.values())
    if rest < 0:
        raise ValueError(f"membership factors sum to {_WHOLE_PPM - rest} ppm, at most {_WHOLE_PPM} are possible")
    if not rest and len(factors_ppm) == 1:
        return dict.fromkeys(factors_ppm, energy_wh)
    parts = largest_remainder(energy_wh, {**factors_ppm, _REST: rest})
    del parts[_REST]
    return parts


def share_dynamically(consumption_wh: Mapping[str, int], feed_in_wh: Mapping[str, int]) -> Shares:
    """a = LR(C, min(ΣG, ΣC)): in proportion to consumption; d = LR(G, Σa): what producers gave of theirs.

    0 <= a_i <= C_i and 0 <= d_g <= G_g; the unused part G_g - d_g stays with its producer.
    """
    shared = min(sum(feed_in_wh.values()), sum(consumption_wh.values()))
    return Shares(largest_remainder(shared, consumption_wh), largest_remainder(shared, feed_in_wh))
