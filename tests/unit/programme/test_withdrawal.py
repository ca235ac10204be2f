"""Net withdrawal from rows of readings: missing is not zero, the newest version counts, finer data are summed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.programme.baseline import Exclusion
from domain.programme.withdrawal import Withdrawals

MINUTE = 60_000_000
MISSING, ESTIMATED = Exclusion.MISSING_DATA, Exclusion.ESTIMATED_DATA
IMPORT, EXPORT = "import_from_grid", "export_to_grid"


def row(
    first: int,
    *values: int,
    direction: str = IMPORT,
    version: int = 1,
    quality: str = "valid",
    minutes: int = 15,
    point: str = "mp",
) -> dict[str, Any]:
    """A batch whose first interval begins `first` intervals after the epoch."""
    return {
        "metering_point": point,
        "direction": direction,
        "start_at": first * minutes * MINUTE,
        "interval_min": minutes,
        "version": version,
        "quality": quality,
        "energy_wh": list(values),
    }


def net(rows: list[dict[str, Any]], *hours: int, minutes: int = 15) -> tuple[int, ...] | Exclusion:
    starts = [n * minutes * MINUTE for n in hours]
    return Withdrawals(rows, starts, minutes).net("mp", starts)


def test_import_less_export() -> None:
    rows = [row(0, 1, 2, 3, 4), row(2, 10, 0, direction=EXPORT)]
    assert net(rows, 2, 3) == (-7, 4)


def test_a_missing_interval_is_not_zero() -> None:
    assert net([row(0, 1, 2), row(3, 4)], 1, 2, 3) is MISSING
    assert net([row(0, 1, 2), row(0, 0, direction=EXPORT)], 0, 1) is MISSING
    assert net([row(0, 1, 2), row(9, 0, direction=EXPORT)], 0, 1) is MISSING
    assert net([row(0, 1, direction=EXPORT)], 0) is MISSING
    assert net([row(0, 1, point="other")], 0) is MISSING
    assert net([], 0) is MISSING


def test_a_point_without_any_export_has_no_export_register() -> None:
    assert net([row(0, 1, 2), row(0, 9, 9, direction=EXPORT, point="other")], 0, 1) == (1, 2)


def test_the_newest_version_counts_in_any_order() -> None:
    rows = [row(0, 1, 2, 3), row(1, 20, version=2), row(1, 200, 300, version=3), row(0, 5, version=1, point="x")]
    for order in (rows, rows[::-1]):
        assert net(order, 0, 1, 2) == (1, 200, 300)


def test_estimates_are_no_basis_until_they_are_replaced() -> None:
    estimate = row(1, 7, quality="estimated", version=2)
    assert net([row(0, 1, 2), estimate], 0, 1) is ESTIMATED
    assert net([row(0, 1, 2), estimate], 0) == (1,)
    assert net([row(0, 1, 2), estimate, row(1, 8, quality="edited", version=3)], 0, 1) == (1, 8)
    assert net([row(0, 1, 2), row(0, 0, 0, direction=EXPORT, quality="estimated")], 0) is ESTIMATED


def test_missing_outweighs_estimated() -> None:
    assert net([row(0, 1, quality="estimated")], 0, 1) is MISSING


def test_finer_readings_are_summed() -> None:
    rows = [row(3, 100, 1, 2, 3, 4, 100)]
    assert net(rows, 1, minutes=60) == (10,)
    assert net(rows, 1, 2, minutes=60) is MISSING


@pytest.mark.parametrize("minutes", [30, 20])
def test_coarser_readings_are_refused(minutes: int) -> None:
    assert net([row(0, *range(96), minutes=minutes)], 4, minutes=15) is MISSING


@given(
    st.lists(st.tuples(st.integers(0, 30), st.lists(st.integers(0, 9), min_size=1, max_size=12)), max_size=6),
    st.sets(st.integers(0, 44), min_size=1, max_size=10),
    st.randoms(use_true_random=False),
)
def test_as_a_table_of_single_values(batches: list[tuple[int, list[int]]], hours: set[int], shuffle: Any) -> None:
    """The obvious table: every value of every batch, later versions over earlier ones."""
    table = {first + n: wh for first, values in batches for n, wh in enumerate(values)}
    rows = [row(first, *values, version=n) for n, (first, values) in enumerate(batches, 1)]
    shuffle.shuffle(rows)
    order = sorted(hours)
    expected = tuple(table[n] for n in order) if all(n in table for n in order) else MISSING
    assert net(rows, *order) == expected
