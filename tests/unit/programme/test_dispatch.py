"""Set-points: the vector V-A3 of domain rules Annex V.5, and what holds for every split."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.programme.dispatch import set_points, water_fill

REGISTERED_W = {"a": 100_000, "b": 60_000, "c": 40_000, "d": 20_000}
AVAILABLE_W = {"a": 30_000, "b": 60_000, "c": 40_000, "d": 20_000}


def test_v_a3_pro_rata_to_registered_capped_at_available() -> None:
    """kW in the vector: a 30.0000, b 40.0000, c 26.6667, d 13.3333."""
    assert water_fill(110_000, REGISTERED_W, AVAILABLE_W) == {"a": 30_000, "b": 40_000, "c": 26_667, "d": 13_333}


def test_v_a3_naive_pro_rata_is_what_an_uncapped_event_asks_for() -> None:
    assert set_points(110_000, REGISTERED_W) == {"a": 50_000, "b": 30_000, "c": 20_000, "d": 10_000}


def test_capping_one_may_cap_the_next() -> None:
    # 50/30/20 of 100: a is full at 10; 90 of b and c would be 54 and 36, c is full at 30; b takes 60.
    assert water_fill(100, {"a": 50, "b": 30, "c": 20}, {"a": 10, "b": 70, "c": 30}) == {"a": 10, "b": 60, "c": 30}


def test_what_nobody_can_take_is_left_unserved() -> None:
    assert water_fill(1_000, {"a": 1, "b": 2}, {"a": 10, "b": 0}) == {"a": 10, "b": 0}
    assert water_fill(5, {}, {}) == {}


def test_odd_watts_go_to_the_largest_remainder_then_to_the_smaller_id() -> None:
    assert set_points(2, {"c": 10, "b": 10, "a": 10}) == {"a": 1, "b": 1, "c": 0}
    assert set_points(10, {"a": 7, "b": 5, "c": 3}) == {"a": 5, "b": 3, "c": 2}


@pytest.mark.parametrize(
    ("target_w", "weights", "caps_w"), [(-1, {"a": 1}, {"a": 1}), (1, {"a": 0}, {"a": 1}), (1, {"a": 1}, {"a": -1})]
)
def test_nonsense_is_no_split(target_w: int, weights: dict[str, int], caps_w: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="cannot fill"):
        water_fill(target_w, weights, caps_w)


SITES = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3), st.tuples(st.integers(1, 50), st.integers(0, 60)), max_size=8
)


@given(st.integers(0, 500), SITES)
def test_every_watt_is_placed_within_the_caps(target_w: int, sites: dict[str, tuple[int, int]]) -> None:
    weights = {site: weight for site, (weight, _) in sites.items()}
    caps_w = {site: cap for site, (_, cap) in sites.items()}
    parts = water_fill(target_w, weights, caps_w)
    assert parts.keys() == sites.keys()
    assert all(0 <= parts[site] <= caps_w[site] for site in sites)
    assert sum(parts.values()) == min(target_w, sum(caps_w.values()))


@given(st.integers(0, 500), SITES)
def test_who_is_not_capped_has_the_highest_level_of_all_but_for_one_watt(
    target_w: int, sites: dict[str, tuple[int, int]]
) -> None:
    """Water-filling: part/weight is the same for all that are below their cap, and at least that of the full ones."""
    weights = {site: weight for site, (weight, _) in sites.items()}
    parts = water_fill(target_w, weights, {site: cap for site, (_, cap) in sites.items()})
    free = [site for site, (_, cap) in sites.items() if parts[site] < cap]
    for site in free:
        for other in sites:
            assert Fraction(parts[site] + 1, weights[site]) > Fraction(parts[other] - 1, weights[other])


@given(st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.integers(1, 10**6), min_size=1), st.data())
def test_an_event_asks_for_its_target_exactly(offers: dict[str, int], data: st.DataObject) -> None:
    target_w = data.draw(st.integers(0, sum(offers.values())))
    parts = set_points(target_w, offers)
    assert sum(parts.values()) == target_w
    assert all(0 <= parts[site] <= offers[site] for site in offers)
    whole = sum(offers.values())
    assert all(abs(parts[site] - Fraction(target_w * offers[site], whole)) < 1 for site in offers)
