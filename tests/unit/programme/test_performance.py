"""Netting: domain rules, 3.1 and V-D7."""

from hypothesis import given
from hypothesis import strategies as st

from domain.programme.performance import first_difference, paid_of, response_of
from schemas.programme.events import Netting
from tests.unit.programme.programmes import TERMS, performance


def test_v_d7_netted_60_floored_80() -> None:
    """hourly reductions [50.0, -20.0, 30.0] netted 60.0 floored per hour 80.0 floored on the event total 60.0."""
    assert paid_of(Netting.EVENT_TOTAL, (50, -20, 30)) == 60
    assert paid_of(Netting.INTERVAL_FLOOR, (50, -20, 30)) == 80


def test_a_loss_is_never_paid_back() -> None:
    assert paid_of(Netting.EVENT_TOTAL, (10, -20)) == 0
    assert paid_of(Netting.INTERVAL_FLOOR, (-10, -20)) == 0


@given(st.lists(st.tuples(st.integers(-500, 500), st.integers(-500, 500)), min_size=4, max_size=4))
def test_what_is_computed_is_what_is_checked(pairs: list[tuple[int, int]]) -> None:
    baseline, metered = tuple(b for b, _ in pairs), tuple(m for _, m in pairs)
    assert first_difference(performance("a", baseline, metered), 4, TERMS) is None
    response = response_of(baseline, metered)
    assert 0 <= paid_of(Netting.EVENT_TOTAL, response) <= paid_of(Netting.INTERVAL_FLOOR, response)
