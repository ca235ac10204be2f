"""What stops trading and what a line carries: collars, bands, halts, suspensions, zones."""

from dataclasses import replace
from typing import Any

import pytest

from schemas.market.auction_events import CallRules, Rationing
from schemas.market.commands import AdoptRuleSet, AmendOrder, CancelOrder, OpenSession
from schemas.market.events import (
    CapabilityRecorded,
    CommandRefused,
    ContractConcluded,
    GateClosed,
    OrderAccepted,
    OrderCancelled,
    OrdersCancelled,
    Phase,
    Restriction,
    TradeMade,
)
from schemas.market.package_commands import SubmitBasket
from schemas.market.package_events import BasketKilled, BasketOrder, BlockTradeMade
from schemas.market.phase_commands import PublishLineCapacity, ResumeTrading, SuspendTrading
from schemas.market.phase_events import LineCapacityPublished, TradingHalted, TradingResumed, TradingSuspended
from schemas.market.reasons import CancelReason, MarketRefusal
from schemas.market.rules import Line, NetworkRules, TradingRules
from schemas.values import DeliveryMode, Side
from tests.unit.given import MINUTE, Scenario, only
from tests.unit.market.test_packages import block, enter
from tests.unit.market.world import (
    CENT,
    GATE,
    KWH,
    MARKET,
    NOON,
    NOW,
    OPERATOR,
    QUARTER,
    buy,
    open_market,
    rules,
    sell,
    shown,
    submit,
    trades,
)

R = MarketRefusal


def banded(collar: int = 0, execution: int = 0, halt: int = 0, reference: int = 20, halt_min: int = 10) -> Scenario:
    trading = TradingRules((), reference * CENT, collar * CENT, execution * CENT, halt * CENT, halt_min, 0)
    return open_market("ann", "bob", "cyd", trading=trading)


# -- collars and bands -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wish", "limit"), [(buy("ann", 1, 30.1), 30), (sell("bob", 1, 9.9), 10), (buy("ann", 1, 30), None)]
)
def test_a_limit_beyond_the_collar_on_the_dear_side_is_refused(wish: Any, limit: int | None) -> None:
    facts = submit(banded(collar=10), wish)
    if limit is None:
        assert [type(f) for f in facts] == [OrderAccepted]
    else:
        assert (facts[0].reason, facts[0].limit) == (R.PRICE_OUT_OF_COLLAR, limit * CENT)


def test_a_cheap_limit_is_no_slip() -> None:
    market = banded(collar=10)
    assert only(submit(market, buy("ann", 1, -90)), OrderAccepted)
    assert only(submit(market, sell("bob", 1, 90)), OrderAccepted)


def test_the_reference_is_the_last_trade() -> None:
    market = banded(collar=10)
    submit(market, sell("bob", 1, 28))
    submit(market, buy("ann", 1, 28))
    assert only(submit(market, buy("ann", 1, 38)), OrderAccepted)
    assert submit(market, sell("bob", 1, 17.9))[0].reason is R.PRICE_OUT_OF_COLLAR
    assert submit(market, buy("ann", 1, 30.1, start=NOON + QUARTER))[0].reason is R.PRICE_OUT_OF_COLLAR


def test_an_amendment_keeps_to_the_collar() -> None:
    market = banded(collar=10)
    (order,) = submit(market, buy("ann", 1, 20))
    (refused,) = market.when(AmendOrder(order.order, KWH, 31 * CENT, None), "ann")
    assert refused.reason is R.PRICE_OUT_OF_COLLAR


def test_matching_ends_at_the_execution_band() -> None:
    market = banded(execution=5)
    for cents in (24, 25, 26):
        submit(market, sell("bob", 1, cents))
    facts = submit(market, buy("ann", 3, 30))
    assert trades(facts) == [("ann", "bob", 1, 24), ("ann", "bob", 1, 25)]
    assert [(c.reason, c.rest_wh) for c in only(facts, OrderCancelled)] == [(CancelReason.EXECUTION_BAND, KWH)]
    assert shown(market) == ([], [("bob", KWH, 26 * CENT)])


def banded_aon() -> Scenario:
    """Ann's all-or-none bid for 2 kWh at 30 meets 1 kWh at 24 and 1 at 28; the execution band ends at 25."""
    market = banded(execution=5)
    submit(market, sell("bob", 1, 24))
    submit(market, sell("bob", 1, 28))
    assert trades(submit(market, buy("ann", 2, 30, restriction=Restriction.AON))) == []
    return market


def test_an_all_or_none_order_that_the_band_stops_waits_for_the_band_to_move() -> None:
    market = banded_aon()
    submit(market, sell("cyd", 1, 40, start=NOON + QUARTER))
    assert market.later(market.at + 1) == [], "another book"
    submit(market, buy("cyd", 0.5, 24))
    assert trades(market.later(market.at + 1)) == [], "what is left is too little"
    submit(market, sell("cyd", 1, 25))
    submit(market, buy("cyd", 0.1, 24))
    assert only(market.later(market.at + 1), TradeMade) == [], "who came later is not met, whoever waited before"


@pytest.mark.parametrize(("band", "found"), [({"execution": 5}, OrderCancelled), ({"halt": 5}, TradingHalted)])
def test_a_book_that_is_looked_through_keeps_to_the_bands(band: dict[str, int], found: type) -> None:
    """Bob's 28 and ann's 30 wait in a suspended market; beyond 25 nothing is traded when it goes on."""
    market = banded(**band)
    market.when(SuspendTrading(NOON, 15), OPERATOR)
    for party, side, sequence, cents in (("bob", Side.SELL, 1, 28), ("ann", Side.BUY, 2, 30)):
        market.given(accepted(party, side, sequence, cents))
    market.when(ResumeTrading(NOON, 15), OPERATOR)
    facts = market.later(market.at + 1)
    assert [type(f) for f in facts] == [found]
    assert trades(facts) == []


def test_a_book_that_is_halted_again_waits_again() -> None:
    """When the halt ends, what waits would still trade beyond the band: it is halted anew, once."""
    market = banded(halt=5)
    submit(market, sell("bob", 1, 26))
    submit(market, buy("ann", 1, 30))
    facts = market.later(NOW + 10 * MINUTE)
    assert [type(f) for f in facts] == [TradingResumed, TradingHalted]
    assert facts[1].until_at == NOW + 20 * MINUTE
    assert market.later(NOW + 20 * MINUTE - 1) == []
    submit(market, sell("cyd", 1, 24))
    facts = market.later(NOW + 20 * MINUTE)
    assert (type(facts[0]), trades(facts)) == (TradingResumed, [])
    assert [type(f) for f in facts] == [TradingResumed, TradingHalted], "bob's came before cyd's"


def accepted(party: str, side: Side, sequence: int, cents: int) -> OrderAccepted:
    what = f"{party}-cp", NOON, 15, side, KWH, cents * CENT
    return OrderAccepted(MARKET, f"o{sequence}", sequence, party, *what, Restriction.NONE, None)


@pytest.mark.parametrize(("side", "prices", "halted_at"), [(Side.BUY, (24, 26, 27), 26), (Side.SELL, (16, 14, 13), 14)])
def test_a_trade_beyond_the_halt_band_halts_the_book_before_it(
    side: Side, prices: tuple[int, ...], halted_at: int
) -> None:
    market = banded(halt=5)
    other, mine = (sell, buy) if side is Side.BUY else (buy, sell)
    for cents in prices:
        submit(market, other("bob", 1, cents))
    facts = submit(market, mine("ann", 3, 40 if side is Side.BUY else 1))
    assert len(trades(facts)) == 1
    assert only(facts, TradingHalted) == [
        TradingHalted(MARKET, NOON, 15, 20 * CENT, halted_at * CENT, NOW + 10 * MINUTE)
    ]
    assert only(facts, OrderCancelled) == []
    assert market.state.instruments[NOON, 15].phase is Phase.CALL


def halted() -> tuple[Scenario, Any]:
    """Bob offers 1 kWh at 26, ann bids 1 at 30, and the band ends at 25."""
    market = banded(halt=5)
    (offer,) = submit(market, sell("bob", 1, 26))
    submit(market, buy("ann", 1, 30))
    return market, offer


def test_a_halted_book_collects_and_gives_back_and_matches_nothing() -> None:
    market, offer = halted()
    assert [type(f) for f in submit(market, sell("cyd", 1, 10))] == [OrderAccepted]
    assert [type(f) for f in market.when(CancelOrder(offer.order), "bob")] == [OrderCancelled]
    assert [f.reason for f in submit(market, buy("ann", 1, 30, restriction=Restriction.IOC))] == [
        R.RESTRICTION_NOT_IN_CALL
    ]


def test_other_books_go_on_while_one_is_halted() -> None:
    market, _ = halted()
    submit(market, sell("bob", 1, 22, start=NOON + QUARTER))
    assert trades(submit(market, buy("ann", 1, 22, start=NOON + QUARTER))) == [("ann", "bob", 1, 22)]


def test_an_immediate_order_halts_the_book_and_its_rest_is_cancelled() -> None:
    market = banded(halt=5)
    submit(market, sell("bob", 1, 26))
    facts = submit(market, buy("ann", 1, 30, restriction=Restriction.IOC))
    assert [type(f) for f in facts] == [OrderAccepted, TradingHalted, OrderCancelled]
    market = banded(halt=5)
    submit(market, sell("bob", 1, 26))
    facts = submit(market, buy("ann", 1, 30, restriction=Restriction.FOK))
    assert [type(f) for f in facts] == [OrderAccepted, OrderCancelled], "nothing would have been traded"


@pytest.mark.parametrize("auction", [None, CallRules(0, 500_000, Rationing.TIME, 5)])
def test_a_halt_lasts_to_the_gate_at_the_longest(auction: CallRules | None) -> None:
    """Then the book closes: it neither goes on nor is called."""
    trading = TradingRules((), 20 * CENT, 0, 0, 5 * CENT, 10_000, 0)
    market = open_market("ann", "bob", trading=trading, auction=auction)
    submit(market, sell("bob", 1, 26))
    facts = submit(market, buy("ann", 1, 30))
    assert only(facts, TradingHalted)[0].until_at == GATE
    assert [type(f) for f in market.later(GATE)] == [GateClosed, OrdersCancelled]
    assert market.state.instruments[NOON, 15].closed
    assert market.state.orders == {}


# -- suspension ------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [(None, None), (NOON, 15)])
def test_a_suspended_book_takes_cancellations_only(place: tuple[int | None, int | None]) -> None:
    market = open_market("ann", "bob")
    (bid,) = submit(market, buy("ann", 1, 20))
    assert market.when(SuspendTrading(*place), OPERATOR) == [TradingSuspended(MARKET, *place)]
    assert [f.reason for f in submit(market, sell("bob", 1, 10))] == [R.SUSPENDED]
    assert [f.reason for f in market.when(AmendOrder(bid.order, 500, CENT, None), "ann")] == [R.SUSPENDED]
    assert [f.reason for f in enter(market, block("bob", Side.SELL, 1, 10))] == [R.SUSPENDED]
    elsewhere = submit(market, sell("bob", 1, 10, start=NOON + 3 * QUARTER))
    assert [type(f) for f in elsewhere] == [CommandRefused if place[0] is None else OrderAccepted]
    assert [f.reason for f in market.when(SuspendTrading(*place), OPERATOR)] == [R.SUSPENDED]
    assert [type(f) for f in market.when(CancelOrder(bid.order), "ann")] == [OrderCancelled]
    assert market.when(ResumeTrading(*place), OPERATOR) == [TradingResumed(MARKET, *place)]
    assert [type(f) for f in submit(market, sell("bob", 1, 10))] == [OrderAccepted]
    assert [f.reason for f in market.when(ResumeTrading(*place), OPERATOR)] == [R.NOT_SUSPENDED]


def test_a_gate_closes_also_while_its_book_is_suspended() -> None:
    market = open_market("ann")
    submit(market, buy("ann", 1, 20))
    market.when(SuspendTrading(NOON, 15), OPERATOR)
    market.later(GATE)
    assert market.state.orders == {}
    assert [f.reason for f in market.when(ResumeTrading(NOON, 15), OPERATOR)] == [R.GATE_CLOSED]


@pytest.mark.parametrize(
    ("wish", "actor", "reason"),
    [
        (SuspendTrading(None, None), "ann", R.NOT_AUTHORISED),
        (SuspendTrading(NOON, None), OPERATOR, R.INSTRUMENT_UNKNOWN),
        (SuspendTrading(None, 15), OPERATOR, R.INSTRUMENT_UNKNOWN),
        (SuspendTrading(NOON + 1, 15), OPERATOR, R.INSTRUMENT_UNKNOWN),
        (PublishLineCapacity("l", NOON, (1,), (1,)), "ann", R.NOT_AUTHORISED),
        (PublishLineCapacity("l", NOON, (1,), (1,)), OPERATOR, R.LINE_UNKNOWN),
    ],
)
def test_what_is_not_the_operators_or_not_there_is_refused(wish: Any, actor: str, reason: R) -> None:
    assert [f.reason for f in open_market("ann").when(wish, actor)] == [reason]


def test_a_halted_book_is_not_suspended_and_an_unruled_market_not_at_all() -> None:
    market, _ = halted()
    assert [f.reason for f in market.when(SuspendTrading(NOON, 15), OPERATOR)] == [R.AUCTION_UNDERWAY]
    empty = Scenario("market", MARKET)
    assert [f.reason for f in empty.when(SuspendTrading(None, None), OPERATOR)] == [R.MARKET_UNKNOWN]


# -- zones and lines -------------------------------------------------------------------------------


def zoned(
    *capacities_wh: tuple[str, int, int], lines: tuple[Line, ...] = (Line("zy", "z", "y"), Line("yx", "y", "x"))
) -> Scenario:
    """Ann in z, bob in y, cyd in x, in a row; (line, Wh a quarter-hour that way, and back)."""
    network = NetworkRules(("y", "x"), lines)
    market = open_market("ann", "bob", "cyd", "dan", network=network, trading=TradingRules((60,), 0, 0, 0, 0, 0, 0))
    for party, zone in (("bob", "y"), ("cyd", "x")):
        market.given(CapabilityRecorded(MARKET, f"{party}-cp", party, 400_000, (f"{party}-pv",), zone))
    for line, forward_wh, backward_wh in capacities_wh:
        publish(market, line, forward_wh, backward_wh)
    return market


def publish(market: Scenario, line: str, forward_wh: int, backward_wh: int) -> list[Any]:
    wish = PublishLineCapacity(line, NOON, (4 * forward_wh,) * 4, (4 * backward_wh,) * 4)
    return market.when(wish, OPERATOR) + market.later(market.at + 1)


def test_without_capacity_every_zone_trades_at_home() -> None:
    market = zoned()
    submit(market, sell("bob", 5, 10))
    assert trades(submit(market, buy("ann", 5, 12))) == []
    submit(market, sell("dan", 2, 12))
    assert trades(market.facts) == [("ann", "dan", 2, 12)]


def test_zones_without_a_line_between_them_do_not_trade_with_each_other() -> None:
    market = zoned(lines=())
    submit(market, sell("bob", 5, 10))
    assert trades(submit(market, buy("ann", 5, 12))) == []


def test_a_match_across_a_line_is_limited_to_what_it_carries() -> None:
    market = zoned(("zy", 0, 3000))
    submit(market, sell("bob", 5, 10))
    facts = submit(market, buy("ann", 5, 12))
    assert trades(facts) == [("ann", "bob", 3, 10)]
    (contract,) = only(facts, ContractConcluded)
    assert (contract.zone, contract.buyer_zone, contract.delivery_mode) == ("y", "z", DeliveryMode.FIRM)
    assert market.state.slots[NOON].flow_wh == {"zy": -3000}
    assert shown(market) == ([("ann", 2 * KWH, 12 * CENT)], [("bob", 2 * KWH, 10 * CENT)])


def test_home_comes_before_a_line_that_is_full_but_not_before_a_better_price() -> None:
    market = zoned(("zy", 0, 3000))
    submit(market, sell("bob", 5, 10))
    submit(market, sell("dan", 5, 11))
    assert trades(submit(market, buy("ann", 5, 12))) == [("ann", "bob", 3, 10), ("ann", "dan", 2, 11)]


def test_a_counter_trade_frees_the_line_and_who_waits_in_another_book_is_served() -> None:
    """A quarter fills the line; the hour over it waits until energy goes the other way in that quarter."""
    market = zoned(("zy", 0, 3000))
    market.given(CapabilityRecorded(MARKET, "cyd-cp", "cyd", 400_000, ("cyd-pv",), "y"))
    market.when(OpenSession(NOON, 1, 60), OPERATOR)
    submit(market, sell("bob", 3, 10))
    submit(market, buy("ann", 3, 12))
    submit(market, sell("bob", 4, 10, duration_min=60))
    assert trades(submit(market, buy("ann", 4, 12, duration_min=60))) == []
    submit(market, sell("dan", 2, 13))
    assert trades(submit(market, buy("cyd", 2, 14))) == [("cyd", "dan", 2, 13)]
    assert market.state.slots[NOON].flow_wh == {"zy": -1000}
    assert trades(market.later(market.at + 1)) == [("ann", "bob", 4, 10)]
    assert market.state.slots[NOON].flow_wh == {"zy": -2000}


def test_more_capacity_serves_who_waits_at_the_older_ones_price() -> None:
    market = zoned(("zy", 0, 1000))
    submit(market, buy("ann", 5, 12))
    submit(market, sell("bob", 5, 10))
    assert trades(publish(market, "zy", 0, 4000)) == [("ann", "bob", 3, 12)]
    assert publish(market, "zy", 0, 2000) == [LineCapacityPublished(MARKET, "zy", NOON, 15, (0,) * 4, (8000,) * 4)], (
        "what crosses stays"
    )


def test_the_way_over_two_lines_is_as_wide_as_the_narrower_one() -> None:
    market = zoned(("zy", 0, 5000), ("yx", 0, 2000))
    submit(market, sell("cyd", 5, 10))
    assert trades(submit(market, buy("ann", 5, 12))) == [("ann", "cyd", 2, 10)]
    assert market.state.slots[NOON].flow_wh == {"zy": -2000, "yx": -2000}


def test_a_resting_block_is_looked_at_again_when_a_line_gets_room() -> None:
    market = zoned(("zy", 0, 4000))
    enter(market, block("bob", Side.SELL, 5, 10))
    assert only(enter(market, block("ann", Side.BUY, 5, 12)), BlockTradeMade) == []
    facts = publish(market, "zy", 0, 5000)
    assert [(t.buyer, t.price_nano_per_kwh) for t in only(facts, BlockTradeMade)] == [("ann", 10 * CENT)]
    assert market.state.slots[NOON].flow_wh == {"zy": -5000}


def test_a_resting_block_is_looked_at_again_behind_a_counter_trade() -> None:
    market = zoned(("zy", 1000, 4000))
    market.given(CapabilityRecorded(MARKET, "cyd-cp", "cyd", 400_000, ("cyd-pv",), "y"))
    enter(market, block("bob", Side.SELL, 5, 10))
    enter(market, block("ann", Side.BUY, 5, 12))
    for n in range(3):
        submit(market, sell("dan", 1, 13, start=NOON + n * QUARTER))
        assert only(market.facts, BlockTradeMade) == []
        submit(market, buy("cyd", 1, 14, start=NOON + n * QUARTER))
    assert [t.buyer for t in only(market.later(market.at + 1), BlockTradeMade)] == ["ann"]


def test_a_line_wakes_only_what_waits_for_it() -> None:
    market = zoned()
    submit(market, buy("ann", 1, 12))
    market.given(LineCapacityPublished(MARKET, "zy", NOON, 15, (0,) * 4, (8000,) * 4))
    assert market.decider.due(market.state) == GATE


def test_an_hour_crosses_in_each_of_its_quarters() -> None:
    market = zoned(("zy", 0, 3000))
    market.when(OpenSession(NOON, 1, 60), OPERATOR)
    submit(market, sell("bob", 2, 10, start=NOON + QUARTER))
    submit(market, buy("ann", 2, 12, start=NOON + QUARTER))
    submit(market, sell("bob", 20, 10, duration_min=60))
    assert trades(submit(market, buy("ann", 20, 12, duration_min=60))) == [("ann", "bob", 4, 10)]
    assert [market.state.slots[NOON + n * QUARTER].flow_wh["zy"] for n in range(4)] == [-1000, -3000, -1000, -1000]


def test_blocks_cross_lines_whole_or_not_at_all() -> None:
    for capacity, crosses in ((5000, True), (4900, False)):
        market = zoned(("zy", 0, capacity))
        enter(market, block("bob", Side.SELL, 5, 10))
        facts = enter(market, block("ann", Side.BUY, 5, 12))
        assert bool(only(facts, ContractConcluded)) is crosses


def test_a_basket_shares_a_line_with_itself() -> None:
    """An hour and one of its quarters in one basket: both need the line in that quarter."""
    market = zoned(("zy", 0, 3000))
    market.when(OpenSession(NOON, 1, 60), OPERATOR)
    submit(market, sell("bob", 8, 10, duration_min=60))
    submit(market, sell("bob", 2, 10))
    hour = BasketOrder("ann-cp", NOON, 60, Side.BUY, 8 * KWH, 12 * CENT)
    quarter = BasketOrder("ann-cp", NOON, 15, Side.BUY, 2 * KWH, 12 * CENT)
    assert only(enter(market, SubmitBasket("ann", (hour, quarter))), BasketKilled)
    smaller = BasketOrder("ann-cp", NOON, 15, Side.BUY, KWH, 12 * CENT)
    assert len(trades(enter(market, SubmitBasket("ann", (hour, smaller))))) == 2


@pytest.mark.parametrize(
    ("zones", "lines"),
    [
        (("z",), ()),
        (("y",), (Line("a", "z", "y"), Line("a", "y", "z"))),
        (("y",), (Line("a", "z", "q"),)),
        (("y",), (Line("a", "z", "z"),)),
        (("y", "x"), (Line("a", "z", "y"), Line("b", "y", "x"), Line("c", "x", "z"))),
        (tuple(f"zone-{n}" for n in range(64)), ()),
    ],
)
def test_lines_close_no_ring_and_zones_stand_once(zones: tuple[str, ...], lines: tuple[Line, ...]) -> None:
    market = Scenario("market", MARKET)
    (refused,) = market.when(AdoptRuleSet(0, rules(network=NetworkRules(zones, lines))), OPERATOR)
    assert refused.reason is R.INVALID_RULES


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        (PublishLineCapacity("zy", NOON + 1, (1,), (1,)), R.SESSION_OFF_GRID),
        (PublishLineCapacity("zy", NOON, (), ()), R.TOO_MANY_INTERVALS),
        (PublishLineCapacity("zy", NOON, (1, 1), (1,)), R.TOO_MANY_INTERVALS),
        (PublishLineCapacity("zy", NOON, (1,) * 501, (1,) * 501), R.TOO_MANY_INTERVALS),
        (PublishLineCapacity("none", NOON, (1,), (1,)), R.LINE_UNKNOWN),
    ],
)
def test_a_capacity_is_refused(wish: PublishLineCapacity, reason: R) -> None:
    assert [f.reason for f in zoned().when(wish, OPERATOR)] == [reason]


def test_who_waits_is_served_in_the_order_of_acceptance_also_beyond_one_call() -> None:
    """A call of `advance` says at most 100 facts; the rest comes with the next."""
    market = zoned(("zy", 0, 0))
    for _ in range(120):
        submit(market, buy("ann", 0.1, 12))
    for n in range(60):
        submit(market, sell("bob", 0.2, 10 + n % 2))
    facts = publish(market, "zy", 0, 100_000)
    assert len(trades(facts)) == 120
    assert shown(market) == ([], [])


def test_self_trade_prevention_holds_when_a_line_opens() -> None:
    market = zoned(("zy", 0, 0))
    market.given(CapabilityRecorded(MARKET, "ann-far", "ann", 400_000, ("ann-pv",), "y"))
    submit(market, buy("ann", 1, 12))
    submit(market, replace(sell("ann", 1, 10), connection="ann-far"))
    facts = publish(market, "zy", 0, 4000)
    assert trades(facts) == []
    assert [(c.reason, c.side) for c in only(facts, OrderCancelled)] == [(CancelReason.SELF_TRADE, Side.SELL)]
