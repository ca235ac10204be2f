"""Valid at the interval, known at the cut-off (domain rules §4.6): which version of which row counts."""

import pytest

from schemas.settlement.events import ConnectionBalance, LineKind
from tests.unit.settlement.world import IMPORT, QUARTER, World


def solo(intervals: int = 1) -> World:
    """One connection without any community or contract."""
    return World(intervals).connect("c")


def test_the_newest_reading_of_an_interval_counts():
    world = solo(3).read("c", [1, 2, 3], [0, 0, 0]).read("c", [20], [0], start_at=QUARTER)
    assert world.result().one(LineKind.RESIDUAL, "c").energy_wh == (1, 20, 3)


def test_newest_is_what_was_recorded_last_not_what_stands_last():
    world = solo().read("c", [2], [0], tick=9, seq=9).read("c", [1], [0], tick=8, seq=3)
    world.read("c", [3], [0], tick=9, seq=4).read("c", [4], [0], tick=7, seq=99)
    assert world.result().one(LineKind.RESIDUAL, "c").energy_wh == (2,)


def test_readings_reach_over_the_period():
    world = solo(2).read("c", [9, 1, 2, 9], [0, 0, 0, 0], start_at=0)
    run = world.run()
    run.body.from_at, run.body.to_at = QUARTER, 3 * QUARTER
    world.run = lambda area: run
    assert world.result().balances == [ConnectionBalance("c", "party-c", (1, 2), (0, 0))]


def test_finer_readings_are_summed_and_a_gap_is_missing():
    world = solo(2).read("c", [1, 2, 3, 4, 5, 6], [0] * 6, interval_min=5)
    assert world.result().one(LineKind.RESIDUAL, "c").energy_wh == (6, 15)
    world = solo(2).read("c", [1, 2, 3, 4, 5], [0] * 6, interval_min=5)
    assert world.missing() == f"reading/meter-c/{IMPORT}/{QUARTER}"


def test_the_customers_own_meters_are_not_the_connections():
    world = solo().read("c", [5], [0]).read("c", [99], [99], meter_kind="customer")
    assert world.result().wh(LineKind.RESIDUAL, "c") == 5


def test_two_suppliers_in_the_period_get_two_residual_lines():
    world = solo(4).connect("c", supplier="new", off_taker="new", valid_from=3 * QUARTER)
    world.read("c", [1, 2, 3, 4], [0, 0, 7, 8])
    residual = {li.counterparty: (li.first_interval, li.energy_wh) for li in world.result().of(LineKind.RESIDUAL)}
    assert residual == {"supplier": (0, (1, 2, 3)), "new": (3, (4,))}
    surplus = {li.counterparty: (li.first_interval, li.energy_wh) for li in world.result().of(LineKind.SURPLUS)}
    assert surplus == {"off-taker": (2, (7,)), "new": (3, (8,))}


def test_a_new_customer_gets_his_own_lines_and_the_balance():
    world = solo(2).connect("c", customer="next", valid_from=QUARTER).read("c", [1, 2], [0, 0])
    result = world.result()
    assert {line.party: line.energy_wh for line in result.of(LineKind.RESIDUAL)} == {"party-c": (1,), "next": (2,)}
    assert result.balances[0].party == "next"


def test_of_two_versions_from_one_time_the_later_recorded_counts():
    world = solo().connect("c", supplier="second").read("c", [1], [0])
    assert world.result().one(LineKind.RESIDUAL, "c").counterparty == "second"
    world = solo().connect("c", supplier="earlier", tick=0, seq=99).read("c", [1], [0])
    assert world.result().one(LineKind.RESIDUAL, "c").counterparty == "supplier"


def test_what_is_recorded_later_for_an_earlier_time_ends_where_the_next_version_begins():
    """Back-dated master data: supplier `x` from the second interval, learnt after `y` from the third."""
    world = solo(4).connect("c", supplier="y", valid_from=2 * QUARTER).connect("c", supplier="x", valid_from=QUARTER)
    lines = world.read("c", [1, 2, 3, 4], [0] * 4).result().of(LineKind.RESIDUAL)
    assert {line.counterparty: line.energy_wh for line in lines} == {"supplier": (1,), "x": (2,), "y": (3, 4)}


def test_a_later_version_does_not_hold_before_its_time():
    world = solo().connect("c", supplier="later", valid_from=1).read("c", [1], [0])
    assert world.result().one(LineKind.RESIDUAL, "c").counterparty == "supplier"


def test_a_connection_counts_from_when_it_belongs_to_the_area():
    world = World(2).connect("c", valid_from=QUARTER).connect("d").connect("d", zone="other", valid_from=QUARTER)
    world.read("c", [5], [0], start_at=QUARTER).read("d", [6, 7], [0, 0])
    balances = {balance.connection: balance.import_wh for balance in world.result().balances}
    assert balances == {"c": (0, 5), "d": (6, 0)}


def test_a_meter_exchange_changes_the_point_of_the_connection():
    world = solo(2).connect("c", metering_point="new", valid_from=QUARTER)
    world.read("c", [1, 100], [0, 0]).read("c", [2], [0], metering_point="new", start_at=QUARTER)
    assert world.result().one(LineKind.RESIDUAL, "c").energy_wh == (1, 2)


def members(intervals: int = 2) -> World:
    world = World(intervals).connect("a", "p").rules("eeg").join("eeg", 1_000_000, "a", "p")
    return world.read("a", [100] * intervals, [0] * intervals).read("p", [0] * intervals, [100] * intervals)


def test_a_factor_holds_from_its_time_on():
    world = members().join("eeg", 250_000, "a", valid_from=QUARTER)
    assert world.result().one(LineKind.SHARED_CONSUMPTION, "a").energy_wh == (100, 25)


def test_leaving_is_a_factor_of_zero():
    world = members().join("eeg", 0, "a", valid_from=QUARTER)
    result = world.result()
    assert result.one(LineKind.SHARED_CONSUMPTION, "a").energy_wh == (100,)
    assert result.one(LineKind.SURPLUS, "p").first_interval == 1


def test_a_community_that_everybody_left_needs_no_rules():
    world = solo().join("gone", 0, "c").read("c", [1], [1])
    assert world.result().totals.shared_wh == 0


def test_another_price_is_another_line():
    world = members().rules("eeg", consumer_price_nano_per_kwh=130_000_000, valid_from=QUARTER)
    amounts = {li.price_nano_per_kwh: li.amount_micro for li in world.result().of(LineKind.SHARED_CONSUMPTION)}
    assert amounts == {120_000_000: -12_000, 130_000_000: -13_000}


def test_another_rate_of_points_is_the_same_line():
    world = members().rules("eeg", points_per_kwh=5, valid_from=QUARTER)
    line = world.result().one(LineKind.SHARED_CONSUMPTION, "a")
    assert line.points_micro == -(100 * 2 + 100 * 5) * 1_000


def test_a_community_without_a_key_shares_nothing():
    world = members().rules("eeg", key="none", interval_min=60, currency="KRW")
    assert world.result().totals.shared_wh == 0


def test_hourly_prices_hold_for_their_quarter_hours():
    world = World(5).connect("s", "b").contract("k", "s", "b", *[1_000] * 5, mode="firm")
    world.price(100_000_000, 200_000_000, interval_min=60).price(7_000_000, start_at=QUARTER)
    result = world.read("s", [0] * 5, [0] * 5).read("b", [1_000] * 5, [0] * 5).result()
    assert result.one(LineKind.IMBALANCE, "s").amount_micro == -(100_000 + 7_000 + 100_000 * 2 + 200_000)


def test_prices_of_other_series_are_not_these():
    world = World().connect("s", "b").contract("k", "s", "b", 1_000, mode="firm").price(9, series="other")
    assert world.read("s", [0], [0]).read("b", [0], [0]).missing() == "price/imbalance-price/0"


def test_only_the_newest_measurement_of_an_event_is_paid():
    world = solo(2).read("c", [1, 1], [0, 0])
    world.perform("e", "c", [70, 80], 150).perform("e", "c", [60, -10], 60, version=2)
    line = world.result().one(LineKind.RESPONSE, "c")
    assert (line.reference, line.counterparty, line.party) == ("e", "aggregator", "party-c")
    assert (line.energy_wh, line.settled_wh, line.amount_micro) == ((60, -10), 60, 30_000)


def test_an_event_belongs_to_the_period_in_which_it_starts():
    world = solo().read("c", [1], [0]).perform("before", "c", [5], 5, start_at=QUARTER)
    assert world.result().of(LineKind.RESPONSE) == []
    world.perform("over", "c", [5, 6, 7], 18)
    assert world.result().one(LineKind.RESPONSE, "c").energy_wh == (5, 6, 7)


def test_a_contract_counts_within_the_period_only():
    world = World(2).connect("s", "b").contract("k", "s", "b", 9, 1, 2, 9, mode="firm", first_start_at=0).price(0, 0, 0)
    run = world.run()
    run.body.from_at, run.body.to_at = QUARTER, 3 * QUARTER
    world.run = lambda area: run
    result = world.read("s", [0] * 4, [0] * 4).read("b", [0] * 4, [0] * 4).result()
    assert result.one(LineKind.DELIVERED_SALE, "s").settled_wh == 3


# -- what is missing is named and never zero; in the order in which it is looked for ----------------------


def full() -> World:
    """One firm contract, one community, everything there."""
    world = World(2).connect("b", "s").read("b", [1, 1], [0, 0]).read("s", [0, 0], [1, 1])
    world.rules("eeg").join("eeg", 500_000, "b", "s")
    return world.contract("k", "s", "b", 1, 1, mode="firm").price(5, 5)


def without(view: str) -> World:
    world = full()
    world.inputs[view] = []
    return world


def test_nothing_is_missing():
    assert full().result().totals.connections == 2


MISSING = {
    "an area without connections": (without("connections"), "connections/zone"),
    "readings of another interval": (
        full().read("b", [1], [1], interval_min=60), "reading_interval/meter-b",
    ),
    "no reading at all": (without("readings"), f"reading/meter-b/{IMPORT}/0"),
    "a reading of one interval": (
        World(2).connect("b").read("b", [1], [0, 0]), f"reading/meter-b/{IMPORT}/{QUARTER}",
    ),
    "an export": (World(2).connect("b").read("b", [1, 1], []), "reading/meter-b/export_to_grid/0"),
    "a contract on another grid": (
        full().contract("x", "s", "b", 1, first_start_at=1), "contract_interval/x",
    ),
    "a contract of another interval": (
        full().contract("x", "s", "b", 1, interval_min=60), "contract_interval/x",
    ),
    "a contract in another currency": (
        full().contract("x", "s", "b", 1, currency="KRW"), "contract_currency/x",
    ),
    "a price in another currency": (full().price(1, currency="KRW"), "price_currency/imbalance-price"),
    "prices that are too fine": (full().price(1, interval_min=5), "price_interval/imbalance-price"),
    "a contract's connection": (full().contract("x", "away", "b", 1), "connection/away/0"),
    "factors above the whole": (full().join("other", 600_000, "b"), "sharing_factors/b/0"),
    "rules": (without("sharing_rules"), "sharing_rules/eeg/0"),
    "a key that nobody knows": (full().rules("eeg", key="static"), "sharing_key/eeg/0"),
    "rules of another interval": (full().rules("eeg", interval_min=60), "sharing_interval/eeg/0"),
    "rules in another currency": (full().rules("eeg", currency="KRW"), "sharing_currency/eeg/0"),
    "the price of an interval with a firm contract": (without("prices"), "price/imbalance-price/0"),
    "an event on another grid": (full().perform("e", "b", [1], 1, start_at=1), "response_interval/e"),
    "an event of another interval": (full().perform("e", "b", [1], 1, interval_min=60), "response_interval/e"),
    "an event in another currency": (full().perform("e", "b", [1], 1, currency="KRW"), "response_currency/e"),
    "the connection of a response": (full().perform("e", "away", [1], 1), "connection/away/0"),
}  # fmt: skip


@pytest.mark.parametrize("what", MISSING)
def test_what_is_missing_is_named(what):
    world, name = MISSING[what]
    assert world.missing() == name


def test_no_price_is_needed_where_nothing_is_firm():
    world = World(2).connect("s", "b").contract("k", "s", "b", 1, mode="firm").contract("l", "s", "b", 0, 5).price(5)
    assert world.read("s", [0, 0], [9, 9]).read("b", [9, 9], [0, 0]).result().totals.delivered_wh == 6


def test_a_long_name_is_cut():
    assert len(World().connect("c" * 90, metering_point="m" * 96).missing()) == 96
