"""The capability rule in every settlement interval: windows, hour books, storage, and giving allotments back."""

from collections import Counter
from copy import deepcopy
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.market.profiles import refuse_sale
from domain.market.validation import refuse_sales
from domain.policies import market_to_site, site_to_market
from schemas.equipment import EnergyCarrier, Equipment, StoredEnergy
from schemas.market.capability_commands import LowerCapability
from schemas.market.capability_events import CapabilityLowered, CapabilityRetained
from schemas.market.commands import CancelOrder, RecordCapability, SettleDelivery
from schemas.market.events import CapabilityRecorded, CommandRefused, OrderAccepted, SessionOpened, TradeMade
from schemas.market.reasons import MarketRefusal
from schemas.market.rules import TradingRules
from schemas.site.commands import LowerAllotment, RetainAllotment
from schemas.site.events import AllotmentReductionRequested
from schemas.values import ResourceType
from tests.unit.given import Scenario, only
from tests.unit.market.world import (
    EURO_MICRO,
    MARKET,
    NOON,
    POLICY,
    QUARTER,
    buy,
    joined,
    open_market,
    proposal,
    sell,
    submit,
)
from tests.unit.written import rebuilt, recorded

R = MarketRefusal
WHOLE = 1_000_000
HOURS = TradingRules(
    durations_min=(30, 60),
    reference_price_nano_per_kwh=0,
    collar_nano_per_kwh=0,
    execution_band_nano_per_kwh=0,
    halt_band_nano_per_kwh=0,
    halt_min=0,
    manifest_error_min=0,
)


def hours(*parties: str, intervals: int = 4) -> Scenario:
    """Quarter-hours, half-hours and hours from noon on, in which the parties may trade."""
    market = open_market(*parties, intervals=intervals, trading=HOURS)
    for duration_min in (30, 60):
        listed = intervals * 15 // duration_min
        market.given(SessionOpened(MARKET, "z", NOON, listed, duration_min, 1))
    return market


def allots(market: Scenario, injection_w: int, party: str = "bob", **more: Any) -> list[Any]:
    """The site's allotment reaches the market."""
    return market.when(RecordCapability(f"{party}-cp", party, injection_w, ("pv",), "z", **more), POLICY)


def wants_back(market: Scenario, injection_w: int, party: str = "bob", **more: Any) -> list[Any]:
    """The site asks whether the market can make do with so much."""
    rest = {"valid_from": None, "valid_to": None, "equipment": (), "stored": None, **more}
    wish = LowerCapability("r1", f"{party}-cp", party, injection_w, ("pv",), **rest)
    return market.when(wish, POLICY)


def refusal(facts: list[Any]) -> tuple[MarketRefusal, int, int]:
    (fact,) = facts
    assert type(fact) is CommandRefused
    return fact.reason, fact.limit, fact.found


def accepted(facts: list[Any]) -> bool:
    return type(facts[0]) is OrderAccepted


def test_an_hour_and_its_quarters_share_the_capability() -> None:
    market = hours("bob")
    allots(market, 4_000)  # 1 kWh in a quarter-hour
    assert accepted(submit(market, sell("bob", 2.4, 10, duration_min=60)))  # 0.6 kWh in each quarter
    assert refusal(submit(market, sell("bob", 0.5, 10, start=NOON + QUARTER))) == (R.CAPABILITY_EXCEEDED, 1000, 1100)
    assert accepted(submit(market, sell("bob", 0.4, 10, start=NOON + QUARTER)))
    assert refusal(submit(market, sell("bob", 0.2, 10, duration_min=30))) == (R.CAPABILITY_EXCEEDED, 1000, 1100)
    half_past = NOON + 2 * QUARTER
    assert accepted(submit(market, sell("bob", 0.8, 10, start=half_past, duration_min=30)))
    assert refusal(submit(market, sell("bob", 0.4, 10, duration_min=60))) == (R.CAPABILITY_EXCEEDED, 1000, 1100)


def test_what_is_bought_in_a_quarter_may_be_sold_again_in_it_only() -> None:
    market = hours("ann", "bob")
    allots(market, 0)
    submit(market, sell("ann", 2, 10, duration_min=60))
    assert len(only(submit(market, buy("bob", 2, 10, duration_min=60)), TradeMade)) == 1
    assert accepted(submit(market, sell("bob", 0.5, 20)))
    assert refusal(submit(market, sell("bob", 0.1, 20))) == (R.CAPABILITY_EXCEEDED, 0, 100)
    assert refusal(submit(market, sell("bob", 1.2, 20, duration_min=30))) == (R.CAPABILITY_EXCEEDED, 0, 600)


def test_a_window_is_of_its_own_intervals() -> None:
    market = open_market("bob")
    assert [type(f) for f in allots(market, 0)] == [CapabilityRecorded]
    allots(market, 4_000, valid_from=NOON + QUARTER, valid_to=NOON + 3 * QUARTER)
    assert refusal(submit(market, sell("bob", 0.1, 10))) == (R.CAPABILITY_EXCEEDED, 0, 100)
    assert accepted(submit(market, sell("bob", 1, 10, start=NOON + QUARTER)))
    assert accepted(submit(market, sell("bob", 1, 10, start=NOON + 2 * QUARTER)))
    late = NOON + 3 * QUARTER
    assert refusal(submit(market, sell("bob", 0.1, 10, start=late))) == (R.CAPABILITY_EXCEEDED, 0, 100)


def test_a_plain_allotment_replaces_all_windows() -> None:
    market = open_market("bob")
    allots(market, 4_000, valid_from=NOON, valid_to=NOON + QUARTER)
    allots(market, 8_000)
    assert market.state.connections["bob-cp"].allotted is None
    assert accepted(submit(market, sell("bob", 2, 10, start=NOON + 3 * QUARTER)))


def test_an_hour_is_sold_only_where_every_quarter_is_allotted() -> None:
    market = hours("bob")
    allots(market, 0)
    allots(market, 4_000, valid_to=NOON + 3 * QUARTER)
    assert refusal(submit(market, sell("bob", 0.4, 10, duration_min=60))) == (R.CAPABILITY_EXCEEDED, 0, 100)
    assert accepted(submit(market, sell("bob", 2, 10, duration_min=30)))


def test_capability_in_use_names_the_first_interval() -> None:
    market = open_market("bob")
    allots(market, 8_000)
    submit(market, sell("bob", 1.2, 10, start=NOON + QUARTER))
    submit(market, sell("bob", 1.5, 10, start=NOON + 2 * QUARTER))
    kept = CapabilityRetained(MARKET, "r1", "bob-cp", "bob", R.CAPABILITY_IN_USE, 1_000, 1_200, NOON + QUARTER)
    assert wants_back(market, 4_000) == [kept]
    assert refusal(allots(market, 4_000)) == (R.CAPABILITY_IN_USE, 1_000, 1_200)
    assert accepted(submit(market, sell("bob", 2, 10))), "the market keeps what it held"
    window = {"valid_from": NOON + 2 * QUARTER, "valid_to": NOON + 3 * QUARTER}
    (kept,) = wants_back(market, 5_000, **window)
    assert (kept.limit, kept.found, kept.delivery_start_at) == (1_250, 1_500, NOON + 2 * QUARTER)


def test_what_is_not_used_is_given_back() -> None:
    market = open_market("bob")
    allots(market, 8_000)
    (submitted,) = submit(market, sell("bob", 1.2, 10))
    later = {"valid_from": NOON + QUARTER, "valid_to": None}
    assert wants_back(market, 400, **later) == [
        CapabilityLowered(MARKET, "r1", "bob-cp", "bob", 400, ("pv",), NOON + QUARTER, None, (), None)
    ]
    assert refusal(submit(market, sell("bob", 0.2, 10, start=NOON + QUARTER))) == (R.CAPABILITY_EXCEEDED, 100, 200)
    assert accepted(submit(market, sell("bob", 0.8, 10)))
    assert type(wants_back(market, 1_000)[0]) is CapabilityRetained
    market.when(CancelOrder(submitted.order), "bob")
    assert type(wants_back(market, 3_200)[0]) is CapabilityLowered


def test_what_is_over_needs_nothing() -> None:
    market = open_market("ann", "bob")
    allots(market, 8_000)
    submit(market, sell("bob", 2, 10))
    submit(market, buy("ann", 2, 10))
    market.later(NOON + QUARTER - 1)
    assert type(wants_back(market, 0)[0]) is CapabilityRetained
    market.later(NOON + QUARTER)
    assert type(wants_back(market, 0)[0]) is CapabilityLowered


def test_a_market_that_does_not_know_the_connection_makes_do_without_it() -> None:
    for market in (open_market(), Scenario("market", "nowhere")):
        assert type(wants_back(market, 0)[0]) is CapabilityLowered
        assert market.state.connections == {}


def test_only_the_policy_asks() -> None:
    market = open_market("bob")
    wish = LowerCapability("r1", "bob-cp", "bob", 0, (), None, None, (), None)
    assert refusal(market.when(wish, "bob")) == (R.NOT_AUTHORISED, 0, 0)


def test_policies_carry_request_and_answer() -> None:
    stored = StoredEnergy(NOON, 5_000, 8_000, WHOLE, WHOLE, 3_000, 2_000)
    gear = (Equipment("pv", ResourceType.GENERATION, 9, EnergyCarrier.SOLAR, (), None, None),)
    window = 0, NOON, ("pv",)
    asked = AllotmentReductionRequested("cp", "bob", "r1", "m", 7, 3, *window, "z", gear, stored)
    assert list(site_to_market.lower_capability(recorded("site", "cp", asked))) == [
        ("m", LowerCapability("r1", "cp", "bob", 7, ("pv",), 0, NOON, gear, stored))
    ]
    lowered = CapabilityLowered("m", "r1", "cp", "bob", 7, ("pv",), 0, NOON, gear, stored)
    assert list(market_to_site.lower(recorded("market", "m", lowered))) == [("cp", LowerAllotment("r1", "m"))]
    retained = CapabilityRetained("m", "r1", "cp", "bob", R.CAPABILITY_IN_USE, 1, 2, NOON)
    assert list(market_to_site.retain(recorded("market", "m", retained))) == [
        ("cp", RetainAllotment("r1", "m", "capability_in_use", 1, 2, NOON))
    ]


def battery(
    stored_wh: int = 10_000,
    discharge_ppm: int = WHOLE,
    charge_ppm: int = WHOLE,
    at: int = NOON,
    max_charge_w: int = 5_000,
    generation_w: int = 0,
) -> StoredEnergy:
    """10 kWh usable."""
    return StoredEnergy(at, stored_wh, 10_000, discharge_ppm, charge_ppm, max_charge_w, generation_w)


def test_a_battery_of_5_kw_and_10_kwh_does_not_sell_96_quarters_of_1_25_kwh() -> None:
    market = open_market("bob", intervals=96, opening_lead_min=2_880)
    allots(market, 5_000, stored=battery())
    orders = [sell("bob", 1.2, 10, start=NOON + n * QUARTER) for n in range(96)]
    sold = [accepted(submit(market, body)) for body in orders]
    assert sum(sold) == 8
    assert refusal(submit(market, orders[50])) == (R.STORAGE_EXCEEDED, 400, 1_200)
    assert accepted(submit(market, sell("bob", 0.4, 10, start=NOON + 95 * QUARTER)))


def test_an_earlier_sale_is_refused_for_what_a_later_one_needs() -> None:
    market = open_market("bob")
    allots(market, 20_000, stored=battery(5_000))
    assert accepted(submit(market, sell("bob", 4, 10, start=NOON + 2 * QUARTER)))
    assert refusal(submit(market, sell("bob", 1.1, 10))) == (R.STORAGE_EXCEEDED, 3_900, 4_000)
    assert accepted(submit(market, sell("bob", 1, 10)))


def test_discharging_loses_and_rounds_against_the_seller() -> None:
    market = open_market("bob", lot_wh=1)
    allots(market, 40_000, stored=battery(1_000, discharge_ppm=999_999))
    assert refusal(submit(market, sell("bob", 1, 10))) == (R.STORAGE_EXCEEDED, 999, 1_000)
    assert accepted(submit(market, sell("bob", 0.999, 10)))


def test_sales_that_come_together_share_their_intervals() -> None:
    market = hours("bob")
    allots(market, 4_000)
    held, listed = market.state.connections["bob-cp"], market.state.instruments
    together = [(listed[NOON, 60], 2_400), (listed[NOON + QUARTER, 15], 500)]
    assert refuse_sales(held, "bob-cp", together) == (R.CAPABILITY_EXCEEDED, 1_000, 1_100)
    assert refuse_sales(held, "bob-cp", [together[0], (together[1][0], 400)]) is None


def bought(market: Scenario, kwh: float, start: int = NOON) -> None:
    """Ann sells so much to bob."""
    submit(market, sell("ann", kwh, 10, start=start))
    assert only(submit(market, buy("bob", kwh, 10, start=start)), TradeMade)


def test_bought_energy_charges_with_its_losses_and_for_later_only() -> None:
    market = open_market("ann", "bob")
    allots(market, 20_000, stored=battery(0, 900_000, 900_000))
    bought(market, 1, NOON + QUARTER)
    # 1 000 × 0.9 × 0.9 = 810
    late = NOON + 2 * QUARTER
    assert refusal(submit(market, sell("bob", 0.9, 10, start=late))) == (R.STORAGE_EXCEEDED, 810, 900)
    assert refusal(submit(market, sell("bob", 0.1, 10))) == (R.STORAGE_EXCEEDED, 0, 100)
    assert accepted(submit(market, sell("bob", 0.8, 10, start=late)))
    # What was bought is needed: sold again, it charges nothing.
    assert refusal(submit(market, sell("bob", 0.1, 20, start=NOON + QUARTER))) == (R.STORAGE_EXCEEDED, 729, 800)


def test_a_battery_is_charged_by_its_power_and_never_above_its_capacity() -> None:
    market = open_market("ann", "bob")
    allots(market, 80_000, stored=battery(0, max_charge_w=4_000))
    bought(market, 30)
    assert refusal(submit(market, sell("bob", 1.1, 10, start=NOON + QUARTER))) == (R.STORAGE_EXCEEDED, 1_000, 1_100)
    market = open_market("ann", "bob")
    allots(market, 80_000, stored=battery(9_000, max_charge_w=80_000))
    bought(market, 20)
    assert refusal(submit(market, sell("bob", 10.1, 10, start=NOON + QUARTER))) == (R.STORAGE_EXCEEDED, 10_000, 10_100)


def test_buying_back_gives_energy_back() -> None:
    market = open_market("ann", "bob")
    allots(market, 20_000, stored=battery(2_000))
    submit(market, sell("bob", 2, 10))
    submit(market, buy("ann", 2, 10))
    assert refusal(submit(market, sell("bob", 1, 10, start=NOON + QUARTER))) == (R.STORAGE_EXCEEDED, 0, 1_000)
    bought(market, 1)
    assert accepted(submit(market, sell("bob", 1, 10, start=NOON + QUARTER)))


def test_generation_is_sold_without_storage() -> None:
    market = open_market("bob", intervals=8)
    allots(market, 8_000, stored=battery(1_000, generation_w=4_000))
    assert all(accepted(submit(market, sell("bob", 1, 10, start=NOON + n * QUARTER))) for n in range(8))
    assert accepted(submit(market, sell("bob", 1, 10)))
    assert refusal(submit(market, sell("bob", 0.1, 10, start=NOON + QUARTER))) == (R.STORAGE_EXCEEDED, 0, 100)


def test_a_statement_is_about_deliveries_from_its_time_on() -> None:
    market = open_market("bob")
    allots(market, 20_000, stored=battery(1_000, at=NOON + QUARTER))
    assert accepted(submit(market, sell("bob", 5, 10)))
    assert accepted(submit(market, sell("bob", 1, 10, start=NOON + QUARTER)))
    assert refusal(submit(market, sell("bob", 0.1, 10, start=NOON + 2 * QUARTER))) == (R.STORAGE_EXCEEDED, 0, 100)


def test_every_window_has_its_own_energy() -> None:
    market = open_market("bob")
    for n in range(2):
        window = {"valid_from": NOON + 2 * n * QUARTER, "valid_to": NOON + 2 * (n + 1) * QUARTER}
        allots(market, 20_000, stored=battery(1_000, at=NOON + 2 * n * QUARTER), **window)
    for n in (0, 3):
        assert accepted(submit(market, sell("bob", 1, 10, start=NOON + n * QUARTER)))
    for n, found in ((1, 100), (2, 1_000)):
        facts = submit(market, sell("bob", 0.1, 10, start=NOON + n * QUARTER))
        assert refusal(facts)[::2] == (R.STORAGE_EXCEEDED, found)


def test_a_contract_of_many_intervals_is_delivered_out_of_the_same_storage() -> None:
    market = open_market("ann", "bob")
    allots(market, 20_000, stored=battery(4_000))
    assert refusal(market.when(proposal(quantity_wh=(2_000, 2_100)), "bob")) == (R.STORAGE_EXCEEDED, 2_000, 2_100)
    assert not only(market.when(proposal(quantity_wh=(2_000, 2_000)), "bob"), CommandRefused)


def test_a_profile_is_delivered_out_of_the_same_storage() -> None:
    market = open_market("bob")
    allots(market, 20_000, stored=battery(4_000))
    found = [market.state.instruments[NOON + n * QUARTER, 15] for n in range(3)]
    assert refuse_sale(market.state, "bob-cp", found, (2_000, 0, 2_001)) == (R.STORAGE_EXCEEDED, 2_000, 2_001)
    assert refuse_sale(market.state, "bob-cp", found, (2_000, 0, 2_000)) is None


def test_less_stored_energy_than_is_sold_is_not_told() -> None:
    market = open_market("bob")
    allots(market, 20_000, stored=battery(4_000))
    submit(market, sell("bob", 3, 10, start=NOON + QUARTER))
    (kept,) = wants_back(market, 20_000, stored=battery(2_900))
    assert (kept.reason, kept.limit, kept.found, kept.delivery_start_at) == (
        R.CAPABILITY_IN_USE,
        2_900,
        3_000,
        NOON + QUARTER,
    )
    assert type(wants_back(market, 20_000, stored=battery(3_000))[0]) is CapabilityLowered
    assert refusal(submit(market, sell("bob", 0.1, 10))) == (R.STORAGE_EXCEEDED, 2_900, 3_000)


def test_settled_deliveries_leave_the_level_behind() -> None:
    market = open_market("ann", "bob", gate_lead_min=0)
    allots(market, 80_000, stored=battery(10_000, max_charge_w=40_000))
    submit(market, sell("bob", 9, 10))
    submit(market, buy("ann", 9, 10))
    bought(market, 1, NOON + QUARTER)
    market.later(NOON + 2 * QUARTER)
    # The second interval is settled before the first: full, it would have charged nothing.
    for first in (NOON + QUARTER, NOON):
        market.when(SettleDelivery(first, first + QUARTER), POLICY)
        facts = submit(market, sell("bob", 2.1, 10, start=NOON + 3 * QUARTER))
        assert refusal(facts) == (R.STORAGE_EXCEEDED, 2_000, 2_100)
    assert set(market.state.slots) == {NOON + 2 * QUARTER, NOON + 3 * QUARTER}
    (step,) = market.state.connections["bob-cp"].allotted.steps
    assert step.statement.passed == {}
    assert accepted(submit(market, sell("bob", 2, 10, start=NOON + 3 * QUARTER)))


def test_a_snapshot_knows_the_intervals_of_an_allotment() -> None:
    market = open_market("bob")
    allots(market, 20_000, stored=battery(4_000))
    market.state = deepcopy(market.state)
    submit(market, sell("bob", 4, 10))
    assert refusal(submit(market, sell("bob", 0.1, 10, start=NOON + QUARTER)))[0] is R.STORAGE_EXCEEDED


TOLD = [None, None, battery(3_000, 900_000, 950_000, max_charge_w=6_000, generation_w=1_000)]
WINDOW = st.sampled_from([(None, None), (None, None), (0, 2), (1, None), (2, 4)])
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("order"),
            st.sampled_from(["bob", "bob", "ann"]),
            st.booleans(),
            st.sampled_from([(0, 15), (1, 15), (2, 15), (3, 15), (0, 30), (2, 30), (0, 60)]),
            st.sampled_from([1, 2, 4, 10]),
            st.sampled_from([9, 10, 11]),
        ),
        st.tuples(st.just("cancel"), st.integers(0, 20)),
        st.tuples(
            st.sampled_from(["allot", "lower"]), st.sampled_from([0, 2_000, 6_000]), WINDOW, st.sampled_from(TOLD)
        ),
    ),
    max_size=40,
)


def naive_levels(told: StoredEnergy, used: dict[int, int]) -> list[float]:
    """The level after each interval, in Wh, as a textbook would compute it."""
    level, levels = float(told.stored_wh), []
    for n in sorted(used):
        drawn = max(0, used[n] - told.generation_w // 4)
        charged = min(max(0, -used[n]), told.max_charge_w // 4)
        level += charged * told.charge_efficiency_ppm / WHOLE - drawn * WHOLE / told.discharge_efficiency_ppm
        level = min(level, told.usable_wh)
        levels.append(level)
    return levels


class Account:
    """Bob's connection as it is told, naively: what may be sold of each quarter, and what is."""

    def __init__(self) -> None:
        self.market = hours("ann", "bob")
        self.market.given(*joined("bob", injection_w=6_000, credit_micro=10**6 * EURO_MICRO))
        self.may: dict[int, tuple[int, StoredEnergy | None]] = dict.fromkeys(range(4), (6_000, None))
        self.orders: list[OrderAccepted] = []

    def order(self, party: str, buys: bool, of: tuple[int, int], lots: int, cents: int) -> None:
        start, kwh = NOON + of[0] * QUARTER, lots * of[1] / 150
        wish = (buy if buys else sell)(party, kwh, cents, start=start, duration_min=of[1])
        self.orders += only(submit(self.market, wish), OrderAccepted)

    def cancel(self, place: int) -> None:
        if place < len(self.orders):
            self.market.when(CancelOrder(self.orders[place].order), self.orders[place].party)

    def allot(self, *terms: Any) -> None:
        self.move(allots, *terms)

    def lower(self, *terms: Any) -> None:
        self.move(wants_back, *terms)

    def move(self, how: Any, injection_w: int, window: tuple[int | None, int | None], told: Any) -> None:
        valid_from, valid_to = (None if n is None else NOON + n * QUARTER for n in window)
        (fact,) = how(self.market, injection_w, valid_from=valid_from, valid_to=valid_to, stored=told)
        if type(fact) in (CapabilityRecorded, CapabilityLowered):
            self.may |= dict.fromkeys(range(window[0] or 0, 4 if window[1] is None else window[1]), (injection_w, told))

    def used(self) -> Counter[int]:
        """Sold + resting sells − bought of each quarter, from the facts and the open orders alone."""
        used = Counter[int]()
        for placed in self.orders:
            open_ = self.market.state.orders.get(placed.order)
            if placed.party == "bob" and open_ is not None and not open_.buys:
                self.spread(used, placed, open_.rest_wh)
        for trade in only(self.market.facts, TradeMade):
            self.spread(used, trade, trade.quantity_wh * ((trade.seller == "bob") - (trade.buyer == "bob")))
        return used

    @staticmethod
    def spread(used: Counter[int], of: OrderAccepted | TradeMade, energy_wh: int) -> None:
        parts, first = of.interval_min // 15, (of.delivery_start_at - NOON) // QUARTER
        for n in range(first, first + parts):
            used[n] += energy_wh // parts

    def check(self) -> None:
        used, state = self.used(), self.market.state
        for n in range(4):
            assert state.slots[NOON + n * QUARTER].used_wh.get("bob-cp", 0) == used[n]
            assert used[n] <= self.may[n][0] // 4
        held = state.connections["bob-cp"].allotted
        for statement in held._statements() if held else ():
            within = {(start - NOON) // QUARTER for start in held._starts(statement)}
            assert all(self.may[n][1] == statement.stored for n in within)
            assert all(level > -1e-6 for level in naive_levels(statement.stored, {n: used[n] for n in within}))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_no_sequence_of_orders_cancellations_and_moves_oversells_any_interval(steps: list[tuple[Any, ...]]) -> None:
    bob = Account()
    for what, *terms in steps:
        getattr(bob, what)(*terms)
        bob.check()
    assert rebuilt(bob.market) == bob.market.state
