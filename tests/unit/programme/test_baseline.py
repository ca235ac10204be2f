"""The baseline "X of Y": V-D1, V-D1d, V-D2 and raw V-D4 of domain rules, Annex V.2, and its rules one by one."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.programme.baseline import Baseline, Candidate, Exclusion, baseline
from schemas.programme.events import BaselineMethod
from tests.unit.programme.loads import EARLIER_EVENT, EVENT_DAY, LOAD_KWH, SHUTDOWN, TEN_DAYS, event_hours_kwh
from tests.unit.programme.programmes import KPX_MID_6_OF_10

MID_8_OF_10 = replace(KPX_MID_6_OF_10, name="mid_8_of_10", drop_highest=1, drop_lowest=1)
MAX_4_OF_5 = replace(
    KPX_MID_6_OF_10, name="kpx_max_4_of_5", pool_days=10, reference_days=5, drop_highest=0, drop_lowest=1
)
TEN_IN_TEN = replace(MAX_4_OF_5, name="10_in_10", reference_days=10, drop_lowest=0, low_usage_percent=0)


def site_a() -> Iterator[Candidate]:
    """Table D.0 before the event day, the most recent day first."""
    for day in sorted(LOAD_KWH, reverse=True):
        if day == EARLIER_EVENT:
            yield Candidate(day, (), Exclusion.EVENT_DAY)
        elif day != EVENT_DAY:
            yield Candidate(day, event_hours_kwh(day))


def reasons(found: Baseline) -> Mapping[Exclusion, list[str]]:
    """The excluded days by their reason."""
    by_reason: dict[Exclusion, list[str]] = {}
    for day, reason in found.exclusions:
        by_reason.setdefault(reason, []).append(day)
    return by_reason


def test_v_d1_kpx_mid_6_of_10() -> None:
    found = baseline(site_a(), KPX_MID_6_OF_10)
    assert found.complete
    assert found.reference_days == (
        "2025-06-30",
        "2025-07-01",
        "2025-07-02",
        "2025-07-07",
        "2025-07-09",
        "2025-07-14",
    )
    assert found.exact_wh == (Fraction(6131, 6), Fraction(3166, 3), Fraction(3199, 3), Fraction(3140, 3))
    actual = event_hours_kwh(EVENT_DAY)
    reduction = [b - m for b, m in zip(found.exact_wh, actual, strict=True)]
    assert reduction == [Fraction(1571, 6), Fraction(1006, 3), Fraction(994, 3), Fraction(770, 3)]
    assert sum(reduction) == Fraction(7111, 6)


def test_v_d1_the_pool() -> None:
    """Pool of 20 from 2025-06-16 on, 75 % line 741.4406, dropped 2025-07-11, ten reference days."""
    found = baseline(site_a(), KPX_MID_6_OF_10)
    by_reason = reasons(found)
    assert by_reason[Exclusion.LOW_USAGE] == [SHUTDOWN]
    assert by_reason[Exclusion.EVENT_DAY] == [EARLIER_EVENT]
    ten = {*found.reference_days, *by_reason[Exclusion.HIGHEST], *by_reason[Exclusion.LOWEST]}
    assert ten == set(TEN_DAYS)
    assert by_reason[Exclusion.HIGHEST] == ["2025-07-03", "2025-07-10"]
    assert by_reason[Exclusion.LOWEST] == ["2025-06-27", "2025-07-15"]
    pool = [day for day in LOAD_KWH if "2025-06-16" <= day < EVENT_DAY and day != EARLIER_EVENT]
    assert len(pool) == 20
    assert by_reason[Exclusion.OLDER] == [day for day in pool if day not in ten and day != SHUTDOWN]
    mean = Fraction(sum(sum(event_hours_kwh(day)) for day in pool), 20 * 4)
    assert (mean, mean * 75 / 100) == (Fraction(9885875, 10_000), Fraction(7414406_25, 1_000_000))


def test_half_up_once_to_whole_wh() -> None:
    watt_hours = (replace(c, withdrawal_wh=tuple(1000 * kwh for kwh in c.withdrawal_wh)) for c in site_a())
    assert baseline(watt_hours, KPX_MID_6_OF_10).rounded_wh == (1_021_833, 1_055_333, 1_066_333, 1_046_667)


def test_v_d1d_mid_8_of_10() -> None:
    found = baseline(site_a(), MID_8_OF_10)
    assert found.exact_wh == (Fraction(8087, 8), Fraction(8381, 8), Fraction(8599, 8), Fraction(4229, 4))


def test_v_d2_kpx_max_4_of_5() -> None:
    found = baseline(site_a(), MAX_4_OF_5)
    assert found.reference_days == ("2025-07-07", "2025-07-09", "2025-07-10", "2025-07-14")
    assert found.exact_wh == (Fraction(4171, 4), Fraction(4323, 4), Fraction(4353, 4), Fraction(2129, 2))


def test_v_d4_raw_ten_in_ten_keeps_the_shutdown() -> None:
    found = baseline(site_a(), TEN_IN_TEN)
    assert SHUTDOWN in found.reference_days
    assert found.exact_wh == (Fraction(4664, 5), Fraction(9681, 10), Fraction(4961, 5), Fraction(9721, 10))


# ----------------------------------------------------------------------------------- rule by rule


def days(*withdrawals: int) -> list[Candidate]:
    """Candidates with one interval each, the most recent first: d9, d8, …"""
    return [Candidate(f"d{9 - n}", (wh,)) for n, wh in enumerate(withdrawals)]


def method(pool: int, reference: int, highest: int = 0, lowest: int = 0, low: int = 0) -> BaselineMethod:
    return BaselineMethod("m", 1, "days", 45, pool, reference, highest, lowest, low)


def test_of_equal_days_the_more_recent_ranks_higher() -> None:
    found = baseline(days(10, 10, 10), method(3, 3, highest=1, lowest=1))
    assert found.reference_days == ("d8",)
    assert reasons(found) == {Exclusion.HIGHEST: ["d9"], Exclusion.LOWEST: ["d7"]}


def test_days_rank_by_their_event_hours_together_not_hour_by_hour() -> None:
    candidates = [Candidate("d9", (90, 10)), Candidate("d8", (50, 60)), Candidate("d7", (10, 95))]
    found = baseline(candidates, method(3, 3, highest=1, lowest=1))
    assert (found.reference_days, found.sums_wh) == (("d7",), (10, 95))


def test_exactly_on_the_line_is_no_low_usage() -> None:
    # Mean 800; 75 % of it are 600.
    found = baseline(days(1000, 600, 800), method(3, 3, low=75))
    assert found.reference_days == ("d7", "d8", "d9")
    found = baseline(days(1001, 599, 800), method(3, 2, low=75))
    assert reasons(found) == {Exclusion.LOW_USAGE: ["d8"]}


def test_the_pool_counts_for_low_usage_not_the_reference_days() -> None:
    found = baseline(days(100, 100, 500, 500), method(4, 2, low=75))
    assert found.reference_days == ("d6", "d7")
    assert reasons(found) == {Exclusion.LOW_USAGE: ["d8", "d9"]}


def test_no_older_day_replaces_one_of_low_usage_in_a_full_pool() -> None:
    found = baseline(days(100, 1, 100, 100), method(3, 3, low=75))
    assert not found.complete
    assert found.reference_days == ("d7", "d9")


def test_an_unfit_day_makes_room_for_an_older_one() -> None:
    first, *rest = days(1, 2, 3)
    found = baseline([replace(first, withdrawal_wh=(), exclusion=Exclusion.MISSING_DATA), *rest], method(2, 2))
    assert found.reference_days == ("d7", "d8")
    assert reasons(found) == {Exclusion.MISSING_DATA: ["d9"]}


def test_no_day_behind_the_pool_is_looked_at() -> None:
    def endless() -> Iterator[Candidate]:
        yield from days(1, 2)
        raise AssertionError("looked behind the pool")

    assert baseline(endless(), method(2, 2)).complete


def test_too_few_days_give_no_baseline() -> None:
    found = baseline(days(1, 2), method(5, 3))
    assert found == Baseline(False, ("d8", "d9"), (), ())
    assert baseline((), method(5, 1)) == Baseline(False, (), (), ())


def test_a_pool_smaller_than_wished_is_enough_if_the_reference_days_are_there() -> None:
    assert baseline(days(1, 2, 3), method(20, 3)).exact_wh == (Fraction(2),)


def test_a_site_that_injects_has_a_negative_baseline_and_no_low_usage() -> None:
    found = baseline(days(-100, -10, -31), method(3, 3, low=75))
    assert found.exact_wh == (Fraction(-141, 3),)
    assert baseline(days(-1, -2), method(2, 2)).rounded_wh == (-2,)
    assert baseline(days(5, -5), method(2, 2, low=75)).complete
    assert not baseline(days(1, 0), method(2, 2, low=75)).complete


@pytest.mark.parametrize(("values", "wh"), [((1, 2), 2), ((1, 1, 2), 1), ((1, 2, 2), 2), ((2, 3), 3)])
def test_halves_go_up(values: tuple[int, ...], wh: int) -> None:
    assert baseline(days(*values), method(len(values), len(values))).rounded_wh == (wh,)


@given(st.lists(st.integers(-50, 500), min_size=1, max_size=30), st.data())
def test_every_day_is_named_once_and_the_mean_lies_between(values: list[int], data: st.DataObject) -> None:
    candidates = [Candidate(f"{100 - n:03}", (wh, 2 * wh)) for n, wh in enumerate(values)]
    reference = data.draw(st.integers(1, len(values)))
    pool = data.draw(st.integers(reference, len(values)))
    highest = data.draw(st.integers(0, reference - 1))
    lowest = data.draw(st.integers(0, reference - 1 - highest))
    found = baseline(candidates, method(pool, reference, highest, lowest, data.draw(st.integers(0, 100))))
    named = [*found.reference_days, *(day for day, _ in found.exclusions)]
    assert len(named) == len(set(named))
    if found.complete:
        assert sorted(named) == [c.day for c in reversed(candidates[:pool])]
        assert len(found.reference_days) == reference - highest - lowest
        assert min(values) <= found.exact_wh[0] <= max(values)
        assert found.exact_wh[1] == 2 * found.exact_wh[0]
