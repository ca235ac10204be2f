"""Set-points that sum to what is asked: pro rata to what the sites offered, capped at what they offer now.

Domain rules, 6 (disaggregation): water-filling, so that what a capped site cannot give is asked of the
others; whole watts by the largest remainder, ties to the smaller id.
"""

from collections.abc import Mapping

from domain.rounding import largest_remainder


def set_points(target_w: int, offered_w: Mapping[str, int]) -> dict[str, int]:
    """Splits `target_w`, at most the sum of the offers, in proportion to them; nobody gets more than he offers."""
    return water_fill(target_w, offered_w, offered_w)


def water_fill(target_w: int, weights: Mapping[str, int], caps_w: Mapping[str, int]) -> dict[str, int]:
    """Splits `target_w` in proportion to positive `weights`; nobody gets more than his cap.

    The parts sum to the target exactly, or to the sum of the caps if that is less.

    Raises:
        ValueError: a weight that is not positive, or a negative cap or target.
    """
    if target_w < 0 or any(w <= 0 for w in weights.values()) or any(caps_w[site] < 0 for site in weights):
        raise ValueError(f"cannot fill {target_w} W by the weights {dict(weights)!r} and the caps {dict(caps_w)!r}")
    parts: dict[str, int] = {}
    free, rest = dict(weights), min(target_w, sum(caps_w[site] for site in weights))
    while free:
        whole = sum(free.values())
        # Who is capped stays capped: the others' shares only grow when he is taken out.
        full = [site for site, weight in free.items() if rest * weight >= caps_w[site] * whole]
        if not full:
            # Every exact share is below its (whole) cap, so rounding up stays within it.
            return parts | largest_remainder(rest, free)
        for site in full:
            parts[site] = caps_w[site]
            rest -= caps_w[site]
            del free[site]
    return parts
