"""Rounding and splitting: the published vectors (V-S8, V-S7, CS1 of the domain rules) and what must always hold."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.rounding import half_up, largest_remainder


@pytest.mark.parametrize(
    ("numerator", "denominator", "expected"),
    [
        (80_765, 10, 8_077),  # V-S8: VAT of 80 765 at 10 %; half-even gives 8 076
        (95_885, 10, 9_589),  # V-S7: VAT of the 450 kWh bill, 9 588.5
        (2_675, 10, 268),  # V-S8: 2.675 to two places; binary floating point gives 2.67
        (80_760, 10, 8_076),  # V-S7
        (1, 2, 1),
        (-1, 2, -1),  # away from zero: a credit mirrors its invoice
        (3, 2, 2),
        (-3, 2, -2),
        (-80_765, 10, -8_077),
        (49, 100, 0),
        (-49, 100, 0),
        (0, 7, 0),
        (10**30 + 1, 2, 5 * 10**29 + 1),
    ],
)
def test_half_up(numerator: int, denominator: int, expected: int) -> None:
    assert half_up(numerator, denominator) == expected


def test_rounded_once_is_not_the_sum_of_the_rounded() -> None:
    # V-S8: 96 intervals of 0.333 kWh at 0.1873, in cents.
    cents = (333 * 1873, 100_000)  # 0.333 kWh × 18.73 ct
    assert sum(half_up(*cents) for _ in range(96)) == 576
    assert half_up(96 * cents[0], cents[1]) == 599


@pytest.mark.parametrize("denominator", [0, -1])
def test_half_up_needs_a_positive_denominator(denominator: int) -> None:
    with pytest.raises(ValueError, match="positive denominator"):
        half_up(1, denominator)


@given(st.integers(-(10**24), 10**24), st.integers(1, 10**12))
def test_half_up_is_nearest_and_mirrors(numerator: int, denominator: int) -> None:
    rounded = half_up(numerator, denominator)
    exact = Fraction(numerator, denominator)
    assert abs(rounded - exact) <= Fraction(1, 2)
    assert abs(rounded - exact) < Fraction(1, 2) or abs(rounded) > abs(exact)
    assert half_up(-numerator, denominator) == -rounded


@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [
        (10_000, {"a": 1, "b": 1, "c": 1}, {"a": 3_334, "b": 3_333, "c": 3_333}),  # V-S8
        (1_000, {"a": 7, "b": 5, "c": 3, "d": 2}, {"a": 412, "b": 294, "c": 176, "d": 118}),  # V-S8
        (-1_000, {"a": 7, "b": 5, "c": 3, "d": 2}, {"a": -412, "b": -294, "c": -176, "d": -118}),  # V-S8
        (1_000, {"A": 900, "B": 800, "C": 1_300}, {"A": 300, "B": 267, "C": 433}),  # CS1 t1, dynamic
        (1_500, {"A": 200, "B": 900, "C": 700}, {"A": 167, "B": 750, "C": 583}),  # CS1 t3, dynamic
        (2, {"A": 50, "B": 30, "C": 20}, {"A": 1, "B": 1, "C": 0}),  # CS1 t4, static offers
        (2, {"A": 0, "B": 5, "C": 5}, {"A": 0, "B": 1, "C": 1}),  # CS1 t4, dynamic
        (1_001, {"X": 600_000, "Y": 400_000}, {"X": 601, "Y": 400}),  # CS2
        (1, {"b": 1, "a": 1}, {"b": 0, "a": 1}),  # a tie goes to the smaller id, not to the first named
        (-1, {"b": 1, "a": 1}, {"b": 0, "a": -1}),  # also when the total is negative
        (0, {}, {}),
        (0, {"a": 0}, {"a": 0}),
    ],
)
def test_largest_remainder(total: int, weights: dict[str, int], parts: dict[str, int]) -> None:
    assert largest_remainder(total, weights) == parts


@pytest.mark.parametrize(("total", "weights"), [(1, {}), (1, {"a": 0}), (5, {"a": 2, "b": -1}), (-1, {"a": 0})])
def test_nothing_is_split_without_weights_or_by_negative_ones(total: int, weights: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="cannot split"):
        largest_remainder(total, weights)


WEIGHTS = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3),
    st.integers(0, 2) | st.integers(0, 10**9),  # small ones, for ties
    min_size=1,
)


@given(st.integers(-(10**15), 10**15), WEIGHTS)
def test_parts_sum_to_the_total_and_stay_within_one_of_their_quota(total: int, weights: dict[str, int]) -> None:
    whole = sum(weights.values())
    if not whole:
        return
    parts = largest_remainder(total, weights)
    assert sum(parts.values()) == total
    assert list(parts) == list(weights)
    for key, part in parts.items():
        assert abs(part - Fraction(total * weights[key], whole)) < 1
        assert weights[key] or part == 0
    assert largest_remainder(-total, weights) == {key: -part for key, part in parts.items()}


@given(st.integers(0, 10**6), WEIGHTS)
def test_the_order_of_the_weights_says_nothing(total: int, weights: dict[str, int]) -> None:
    if sum(weights.values()):
        backwards = dict(reversed(weights.items()))
        assert largest_remainder(total, weights) == largest_remainder(total, backwards)


@given(st.integers(0, 10**6), WEIGHTS)
def test_no_part_is_above_its_weight_when_there_is_enough(total: int, weights: dict[str, int]) -> None:
    # The dynamic key rests on it: nobody gets more than he consumed (domain rules, 9.3).
    whole = sum(weights.values())
    if whole:
        parts = largest_remainder(min(total, whole), weights)
        assert all(0 <= parts[key] <= weights[key] for key in weights)
