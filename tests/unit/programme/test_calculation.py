"""The calculation `programme.baseline`: from rows to proposals that the decider accepts."""

import random
from dataclasses import replace

import pytest

from domain.programme.calc_baseline import CALCULATION as BASELINE
from domain.programme.calc_baseline import MAX_SITES_PER_PART, MAX_VALUES_PER_PART
from schemas.programme.commands import CallEvent, MeasurePerformance
from schemas.programme.events import MeasurementCompleted, PerformanceRecorded, PerformanceStatus
from tests.unit.given import only
from tests.unit.programme.loads import EARLIER_EVENT, EVENT_DAY, HOLIDAY, LOAD_KWH, SHUTDOWN, TEN_DAYS
from tests.unit.programme.measured import (
    HOURLY,
    batch,
    calendar,
    computed,
    local,
    of_a,
    reasons,
    site_a,
    started,
)
from tests.unit.programme.programmes import (
    CALCULATION,
    HOUR,
    KEY,
    KPX_MID_6_OF_10,
    OPERATOR,
    called,
    programme,
)
from tests.unit.written import recorded

MEASURED = PerformanceStatus.MEASURED
V_D1_DAYS = ("2025-06-30", "2025-07-01", "2025-07-02", "2025-07-07", "2025-07-09", "2025-07-14")
V_D1_WH = (1_021_833, 1_055_333, 1_066_333, 1_046_667)
ACTUAL_WH = (760_000, 720_000, 735_000, 790_000)


def test_v_d1_from_readings() -> None:
    site = of_a(site_a())
    assert site.status is MEASURED
    assert site.reference_days == V_D1_DAYS
    assert site.baseline_wh == V_D1_WH
    assert site.metered_wh == ACTUAL_WH
    assert site.response_wh == (261_833, 335_333, 331_333, 256_667)
    assert site.paid_wh == 1_185_166
    why = reasons(site)
    assert why[HOLIDAY] == "holiday"
    assert why[EARLIER_EVENT] == "event_day"
    assert why[SHUTDOWN] == "low_usage"
    assert {day for day, reason in why.items() if reason in ("highest", "lowest")} == set(TEN_DAYS) - set(V_D1_DAYS)
    assert {day for day, reason in why.items() if reason == "older"} == {
        day for day in LOAD_KWH if "2025-06-16" <= day <= "2025-06-26"
    }
    assert not {"2025-06-12", "2025-07-05", "2025-07-06", EVENT_DAY} & why.keys()


def test_the_order_of_the_rows_says_nothing() -> None:
    rows = site_a()
    random.Random(1).shuffle(rows)
    assert of_a(rows) == of_a(site_a())


def test_quarter_hours_are_summed_to_the_hours_of_the_terms() -> None:
    quarters = [
        batch(row["start_at"], (wh // 4 for wh in row["energy_wh"] for _ in range(4)), minutes=15) for row in site_a()
    ]
    assert of_a(quarters) == of_a(site_a())


def test_what_is_exported_is_taken_off() -> None:
    """The same load behind a plant that injects 900 kWh in every hour of the event."""
    exports = [batch(local(day, 13), [900_000] * 4, "export_to_grid") for day in LOAD_KWH if day != "2025-07-14"]
    site = of_a([*site_a(), *exports])
    assert site.metered_wh == tuple(wh - 900_000 for wh in ACTUAL_WH)
    assert reasons(site)["2025-07-14"] == "missing_data"
    assert len(site.reference_days) == 6
    net = of_a([*site_a(), *exports, batch(local("2025-07-14", 13), [900_000] * 4, "export_to_grid")])
    assert SHUTDOWN in reasons(net)
    assert net.status is MEASURED


def test_a_site_that_injects_more_than_before_has_reduced() -> None:
    imports = [batch(local(day, 13), [0] * 4) for day in LOAD_KWH]
    exports = [batch(local(day, 13), [500 if day == EVENT_DAY else 300] * 4, "export_to_grid") for day in LOAD_KWH]
    site = of_a(imports + exports)
    assert (site.baseline_wh, site.metered_wh) == ((-300,) * 4, (-500,) * 4)
    assert site.paid_wh == 800


# --------------------------------------------------------------------------------- what cannot be measured


def nothing_measured(site: object) -> bool:
    found = (getattr(site, name) for name in ("baseline_wh", "metered_wh", "response_wh"))
    return set(found) == {()} and getattr(site, "paid_wh", None) == 0


def test_a_missing_event_hour_is_no_performance() -> None:
    rows = [row for row in site_a() if row["start_at"] != local(EVENT_DAY, 8)]
    for values in ([760_000, 720_000, 735_000], []):
        site = of_a([*rows, batch(local(EVENT_DAY, 13), values)])
        assert site.status is PerformanceStatus.MISSING_EVENT_DATA
        assert nothing_measured(site)


def test_an_estimated_event_hour_is_no_performance_until_it_is_replaced() -> None:
    estimate = batch(local(EVENT_DAY, 16), [0], version=2, quality="estimated")
    site = of_a([*site_a(), estimate])
    assert site.status is PerformanceStatus.ESTIMATED_EVENT_DATA
    assert nothing_measured(site)
    site = of_a([*site_a(), estimate, batch(local(EVENT_DAY, 16), [790_001], version=3, quality="edited")])
    assert site.metered_wh == (760_000, 720_000, 735_000, 790_001)


def test_days_without_whole_data_are_no_reference_days() -> None:
    rows = [row for row in site_a() if row["start_at"] != local("2025-07-14", 8)]
    rows += [
        batch(local("2025-07-14", 8), [1] * 7),
        batch(local("2025-07-10", 16), [1], version=2, quality="estimated"),
    ]
    site = of_a(rows)
    why = reasons(site)
    assert (why["2025-07-14"], why["2025-07-10"]) == ("missing_data", "estimated_data")
    # Two older days enter the ten reference days, and the pool.
    assert {"2025-06-25", "2025-06-26"} <= {*site.reference_days, *(d for d, r in why.items() if r != "older")}
    assert why["2025-06-12"] == "older"


def test_missing_hours_outside_the_event_do_no_harm() -> None:
    rows = [batch(row["start_at"] + 5 * HOUR, row["energy_wh"][5:9]) for row in site_a()]
    assert of_a(rows) == of_a(site_a())


def test_too_few_reference_days() -> None:
    ten = sorted(day for day in LOAD_KWH if day not in (EVENT_DAY, EARLIER_EVENT, SHUTDOWN))[-10:]
    whole = [row for row in site_a() if row["start_at"] in {local(day, 8) for day in (*ten, EVENT_DAY)}]
    assert of_a(whole).status is MEASURED
    site = of_a(whole[1:])
    assert site.status is PerformanceStatus.TOO_FEW_REFERENCE_DAYS
    assert nothing_measured(site)
    assert site.reference_days == tuple(ten[1:])
    assert reasons(site)[ten[0]] == "missing_data"


def test_the_look_back_ends() -> None:
    """2025-06-27 is 19 days before the event; ten reference days need it."""
    near, far = (
        replace(HOURLY, baseline=replace(KPX_MID_6_OF_10, look_back_days=days, pool_days=10)) for days in (18, 19)
    )
    assert of_a(site_a(), fact=started(terms=far)).status is PerformanceStatus.TOO_FEW_REFERENCE_DAYS
    near, far = (
        replace(HOURLY, baseline=replace(KPX_MID_6_OF_10, look_back_days=days, pool_days=10, low_usage_percent=0))
        for days in (15, 16)
    )
    assert of_a(site_a(), fact=started(terms=near)).status is PerformanceStatus.TOO_FEW_REFERENCE_DAYS
    assert of_a(site_a(), fact=started(terms=far)).status is MEASURED


@pytest.mark.parametrize("day", ["2025-07-19", "2025-07-20", HOLIDAY])
def test_a_method_of_weekdays_says_nothing_about_other_days(day: str) -> None:
    rows = [*site_a(), batch(local(day, 13), [1] * 4)]
    site = of_a(rows, fact=started(day=day))
    assert site.status is PerformanceStatus.TOO_FEW_REFERENCE_DAYS
    assert (site.reference_days, site.excluded_days) == ((), ())


def test_a_missing_calendar_is_never_guessed() -> None:
    for calendars in ([], [calendar("2025-01-01", "2025-07-15")], [calendar(zone="Asia/Nowhere")]):
        site = of_a(site_a(), calendars)
        assert site.status is PerformanceStatus.CALENDAR_MISSING
        assert nothing_measured(site)


def test_a_day_that_the_calendar_does_not_reach_is_no_reference_day() -> None:
    site = of_a(site_a(), [calendar("2025-06-20", "2025-07-31")])
    assert site.status is MEASURED
    assert reasons(site)["2025-06-19"] == "calendar_missing"
    assert reasons(site)["2025-06-20"] == "older"


# ------------------------------------------------------------------------------------- earlier events


def test_without_an_event_its_day_counts() -> None:
    site = of_a(site_a(), fact=started(earlier=[]))
    assert EARLIER_EVENT in {*site.reference_days, *site.excluded_days}
    assert reasons(site).get(EARLIER_EVENT) != "event_day"


def test_both_days_of_an_event_over_midnight_are_event_days() -> None:
    night = (local("2025-07-14", 23), local("2025-07-15", 1))
    why = reasons(of_a(site_a(), fact=started(earlier=[night])))
    assert (why["2025-07-14"], why["2025-07-15"]) == ("event_day", "event_day")
    evening = (local("2025-07-14", 23), local("2025-07-15", 0))
    assert reasons(of_a(site_a(), fact=started(earlier=[evening]))).get("2025-07-15") != "event_day"


def test_a_night_of_hours_that_runs_into_an_event_day_is_no_reference() -> None:
    rows = [batch(local(day, 0), [1000] * 24) for day in LOAD_KWH]
    rows.append(batch(local("2025-07-17", 0), [1000] * 24))
    night = replace(
        started(earlier=[(local("2025-07-10", 12), local("2025-07-10", 13))]),
        start_at=local(EVENT_DAY, 23),
        end_at=local("2025-07-17", 1),
    )
    why = reasons(of_a(rows, fact=night))
    assert (why["2025-07-09"], why["2025-07-10"]) == ("event_day", "event_day")
    assert why.get("2025-07-08") != "event_day"


def test_hours_are_local_across_a_clock_change() -> None:
    """Berlin leaves summer time on 2025-10-26; the event lies behind it, most reference days before."""
    zone, day = "Europe/Berlin", "2025-10-28"
    weekdays = [f"2025-10-{n:02}" for n in (27, 24, 23, 22, 21, 20, 17, 16, 15, 14, 28)]
    rows = [batch(local(each, 13, zone), [10, 20, 10]) for each in weekdays]
    mean = replace(
        HOURLY,
        baseline=replace(
            KPX_MID_6_OF_10, look_back_days=20, pool_days=10, drop_highest=0, drop_lowest=0, low_usage_percent=0
        ),
    )
    fact = started(terms=mean, hours=(14, 15), day=day, earlier=[], zone=zone)
    site = of_a(rows, [calendar(zone=zone)], fact)
    assert (site.status, site.baseline_wh) == (MEASURED, (20,))


def test_a_weekday_with_a_missing_hour_is_left_out() -> None:
    """Cairo went to summer time on Friday 2025-04-25: the hour from 00:00 did not exist."""
    zone = "Africa/Cairo"
    weekdays = [f"2025-04-{n:02}" for n in range(7, 30)]
    rows = [batch(local(day, 0, zone) - HOUR, [5] * 5) for day in weekdays]
    fact = started(hours=(0, 1), day="2025-04-29", earlier=[], zone=zone)
    site = of_a(rows, [calendar(zone=zone)], fact)
    assert reasons(site)["2025-04-25"] == "clock_change"
    assert site.status is MEASURED


# ------------------------------------------------------------------------------------ parts and decider


def test_parts_have_a_limit_and_keep_the_order() -> None:
    sites = [f"s{n:03}" for n in range(2 * MAX_SITES_PER_PART + 1)]
    proposals = computed(started(sites), [])
    assert [(p.part, p.parts, len(p.sites)) for p in proposals] == [(1, 3, 50), (2, 3, 50), (3, 3, 1)]
    assert [site.connection for p in proposals for site in p.sites] == sites
    day_of_minutes = replace(HOURLY, interval_min=1)
    fact = replace(started(sites, day_of_minutes), end_at=local(EVENT_DAY, 13) + 24 * HOUR)
    assert max(len(p.sites) for p in computed(fact, [])) == MAX_VALUES_PER_PART // (3 * 1440)


def test_nobody_asked_is_one_empty_part() -> None:
    assert [(p.part, p.parts, p.sites) for p in computed(started(""), [])] == [(1, 1, ())]


def test_inputs_are_frozen_by_the_fact() -> None:
    fact = recorded("programme", KEY, started())
    assert BASELINE.cutoff(fact) == 9
    assert (BASELINE.family, BASELINE.needs) == ("programme", ("meter", "reference"))


def test_the_decider_accepts_what_the_calculation_proposes() -> None:
    names = [f"s{n:02}" for n in range(60)]
    p1 = programme(HOURLY, dict.fromkeys(names, 1000))
    p1.at = local(EVENT_DAY, 9)
    call = CallEvent(local(EVENT_DAY, 13), local(EVENT_DAY, 17), 60_000)
    event = called(p1, call)
    p1.later(call.end_at)
    (begun,) = p1.when(MeasurePerformance(event, 1), OPERATOR)
    rows = [row for n, name in enumerate(names) if n % 3 for row in site_a(f"mp-{name}")]
    proposals = computed(begun, rows)
    assert len(proposals) == 2
    for proposal in proposals:
        p1.when(proposal, CALCULATION)
    (done,) = only(p1.facts, MeasurementCompleted)
    # Without the earlier event its day of low load is a reference day, so the figures are not V-D1's.
    one = of_a(site_a(), fact=started(earlier=[]))
    assert (done.sites, done.response_wh, done.paid_wh) == (60, 40 * sum(one.response_wh), 40 * one.paid_wh)
    recorded_sites = [site for part in only(p1.facts, PerformanceRecorded) for site in part.sites]
    assert [site.connection for site in recorded_sites] == names
