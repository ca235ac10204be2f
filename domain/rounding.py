"""Rounding and splitting, with named modes: the only places where a remainder is decided."""

from collections.abc import Mapping


def half_up(numerator: int, denominator: int) -> int:
    """`numerator / denominator` rounded to the nearest integer, halves away from zero (commercial rounding)."""
    if denominator <= 0:
        raise ValueError(f"half_up needs a positive denominator, found {denominator}")
    magnitude = (2 * abs(numerator) + denominator) // (2 * denominator)
    return magnitude if numerator >= 0 else -magnitude


def largest_remainder(total: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Splits `total` in proportion to non-negative `weights` so that the parts are integers and sum to it.

    Floors first, then one unit each to the largest remainders; ties go to the smaller id. A negative
    total is the negated split of its magnitude. With no weight at all there is nothing to split by.

    Raises:
        ValueError: a negative weight, or a total without any weight.
    """
    if total < 0:
        return {key: -part for key, part in largest_remainder(-total, weights).items()}
    whole = sum(weights.values())
    if any(w < 0 for w in weights.values()) or (whole == 0 and total):
        raise ValueError(f"cannot split {total} by the weights {dict(weights)!r}")
    if whole == 0:
        return dict.fromkeys(weights, 0)
    parts = {key: total * weight // whole for key, weight in weights.items()}
    rest = total - sum(parts.values())
    order = sorted(weights, key=lambda key: (-(total * weights[key] % whole), key))
    for key in order[:rest]:
        parts[key] += 1
    return parts
