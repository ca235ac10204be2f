"""McAfee's auction in the market: one unit an order, exact results, what is left over is the operator's."""

from dataclasses import replace
from pickle import dumps, loads
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.market.auctions import CALCULATOR
from domain.market.clearing import Offer
from domain.market.clearing_check import Flaw
from domain.market.mcafee import mcafee
from domain.market.unit_check import UnitCheck, unit_price
from schemas.market.auction_events import AuctionCalled, AuctionCleared, AuctionEnded, Mechanism
from schemas.market.commands import AmendOrder, CancelOrder
from schemas.market.events import (
    CommandRefused,
    ContractConcluded,
    OrderAccepted,
    OrderCancelled,
    OrdersCancelled,
    SessionOpened,
    TradeMade,
)
from schemas.market.mandate_commands import GrantMandate, RecordForecast
from schemas.market.mandate_events import MandateTerms
from schemas.market.reasons import CancelReason, MarketRefusal
from schemas.market.rules import TradingRules
from tests.unit.given import Scenario, only
from tests.unit.market.test_auctions import CALL, CALL_END, proposals
from tests.unit.market.test_coupled_auctions import cleared
from tests.unit.market.world import CENT, KWH, MARKET, NOON, buy, open_market, sell, submit, trades

UNITS = replace(CALL, mechanism=Mechanism.MCAFEE, unit_wh=KWH)
PARTIES = [f"{side}{n}" for side in "ba" for n in range(5)]


def of_units(bids: list[float], asks: list[float], **changes: Any) -> Scenario:
    """A book in its call with a unit of b0, b1, … at these bids (cents) and of a0, a1, … at these asks."""
    market = open_market(*PARTIES, intervals=1, **{"auction": UNITS, "max_price_nano_per_kwh": 200 * CENT, **changes})
    for n, price in enumerate(bids):
        submit(market, buy(f"b{n}", 1, price))
    for n, price in enumerate(asks):
        submit(market, sell(f"a{n}", 1, price))
    return market


# V-M5 of the rule book's annex V.1: bids, asks, trades, what buyers pay, what sellers get.
VECTORS = [
    ([100, 90, 80, 70, 60], [80, 85, 95, 100, 110], 2, 87.5, 87.5),
    ([100, 90, 60], [20, 85, 95], 1, 90, 85),
    ([50], [40], 0, None, None),
    ([9, 8, 7, 4], [2, 3, 4, 5], 3, 4.5, 4.5),
]


@pytest.mark.parametrize(("bids", "asks", "count", "pays", "gets"), VECTORS)
def test_the_vectors_of_the_rule_book(
    bids: list[float], asks: list[float], count: int, pays: float | None, gets: float | None
) -> None:
    market = of_units(bids, asks)
    facts = cleared(market, market.later(CALL_END))
    made, [result] = only(facts, TradeMade), only(facts, AuctionCleared)
    assert [(t.buyer, t.seller) for t in made] == [(f"b{n}", f"a{n}") for n in range(count)]
    assert result.volume_wh == count * KWH
    assert result.price_nano_per_kwh == (None if pays is None else int(pays * CENT))
    assert result.seller_price_nano_per_kwh == (None if pays == gets or gets is None else int(gets * CENT))
    assert result.income_micro == int(((pays or 0) - (gets or 0)) * 10_000) * count
    assert {t.seller_price_nano_per_kwh for t in made} <= {result.seller_price_nano_per_kwh}
    assert [c.seller_price_nano_per_kwh for c in only(facts, ContractConcluded)] == [
        t.seller_price_nano_per_kwh for t in made
    ]
    assert only(facts, AuctionEnded)


def test_of_equal_prices_the_earlier_one_trades() -> None:
    market = of_units([10, 10, 10], [5, 5])
    facts = cleared(market, market.later(CALL_END))
    assert trades(facts) == [("b0", "a0", 1, 10)], "without a third ask the second pair sets the prices"


def refused(facts: list[Any]) -> tuple[MarketRefusal, int, int]:
    fact = facts[-1]
    assert type(fact) is CommandRefused, fact
    return fact.reason, fact.limit, fact.found


def test_every_order_is_one_unit() -> None:
    market = of_units([10], [])
    assert refused(submit(market, buy("b1", 2, 10))) == (MarketRefusal.NOT_ONE_UNIT, KWH, 2 * KWH)
    assert refused(submit(market, sell("a1", 0.5, 10))) == (MarketRefusal.NOT_ONE_UNIT, KWH, KWH // 2)
    [order] = [o.order for o in only(market.facts, OrderAccepted)]
    assert refused(market.when(AmendOrder(order, KWH // 2, 10 * CENT, None), "b0"))[0] is MarketRefusal.NOT_ONE_UNIT
    assert type(market.when(AmendOrder(order, KWH, 11 * CENT, None), "b0")[-1]) is not CommandRefused


def test_a_party_has_one_open_order_a_side() -> None:
    """Who splits what he wants into several units could gain by a false price (domain rules §1.3)."""
    market = of_units([10], [])
    assert refused(submit(market, buy("b0", 1, 9))) == (MarketRefusal.UNIT_STANDS, 1, 2)
    assert type(submit(market, sell("b0", 1, 20))[-1]) is OrderAccepted, "the other side is another matter"
    [order] = [o.order for o in only(market.facts, OrderAccepted) if o.limit_price_nano_per_kwh == 10 * CENT]
    market.when(CancelOrder(order), "b0")
    assert type(submit(market, buy("b0", 1, 9))[-1]) is OrderAccepted


def test_a_mandate_makes_no_other_size_of_its_order() -> None:
    market = of_units([], [5])
    terms = MandateTerms(20 * CENT, None, 2_000_000, 0)
    [fact] = market.when(GrantMandate("b0", "b0-cp", terms), "b0")
    assert only(market.when(RecordForecast(fact.mandate, NOON, (-KWH,), 1), "b0"), OrderAccepted)
    facts = market.when(RecordForecast(fact.mandate, NOON, (-KWH // 2,), 2), "b0")
    assert [type(f) for f in facts[1:-1]] == [OrderCancelled]
    assert facts[-1].reasons == (MarketRefusal.NOT_ONE_UNIT,)


def test_without_a_stated_unit_it_is_a_lot_of_every_interval() -> None:
    trading = TradingRules((60,), 0, 0, 0, 0, 0, 0)
    market = of_units([], [], auction=replace(UNITS, unit_wh=0), trading=trading)
    market.given(SessionOpened(MARKET, "z", NOON, 1, 60, 1))
    assert refused(submit(market, buy("b0", 0.2, 10))) == (MarketRefusal.NOT_ONE_UNIT, 100, 200)
    hour = replace(buy("b0", 0.4, 10), duration_min=60)
    assert type(submit(market, hour)[-1]) is OrderAccepted
    assert refused(submit(market, replace(buy("b1", 0.8, 10), duration_min=60)))[1:] == (400, 800)


def test_what_the_auction_leaves_out_goes_before_the_book_trades_on() -> None:
    """The pair that sets the prices must not trade afterwards: who is in it could gain by another price."""
    market = of_units([100, 90, 60], [20, 85, 95])
    facts = cleared(market, market.later(CALL_END))
    gone = only(facts, OrdersCancelled)
    assert {fact.reason for fact in gone} == {CancelReason.AUCTION_OVER}
    assert sum(len(fact.orders) for fact in gone) == 4
    assert type(facts[-1]) is AuctionEnded
    assert len(only(facts, TradeMade)) == 1
    submit(market, buy("b1", 1, 10))
    assert trades(submit(market, sell("a1", 1, 10))) == [("b1", "a1", 1, 10)]


def test_where_nobody_can_trade_what_was_for_the_auction_goes_too() -> None:
    market = of_units([10], [12])
    facts = market.later(CALL_END)
    assert [type(fact) for fact in facts] == [AuctionCalled, AuctionCleared, OrdersCancelled, AuctionEnded]


def test_each_wrong_result_is_refused_and_changes_nothing() -> None:
    market = of_units([100, 90, 60], [20, 85, 95])
    [part] = proposals(market.later(CALL_END))
    before = loads(dumps(market.state))
    called, unit = part.called, KWH
    assert part.filled_wh == (unit, 0, 0, unit, 0, 0)
    both = (unit, unit, 0, unit, unit, 0)
    for wrong, flaw in (
        (replace(part, filled_wh=(unit // 2, 0, 0, unit // 2, 0, 0)), Flaw.FILL),
        (replace(part, filled_wh=(0, unit, 0, unit, 0, 0)), Flaw.FILL),
        (replace(part, filled_wh=(unit, unit, 0, unit, 0, 0)), Flaw.TOTALS),
        (replace(part, called=replace(called, volume_wh=2 * unit)), Flaw.TOTALS),
        (replace(part, filled_wh=both, called=unit_price(88 * CENT, 88 * CENT, 2 * unit)), Flaw.VOLUME),
        (replace(part, filled_wh=(0,) * 6, called=unit_price(None, None, 0)), Flaw.VOLUME),
        (replace(part, called=unit_price(90 * CENT, 90 * CENT, unit)), Flaw.PRICE),
        (replace(part, called=replace(called, price_nano_per_kwh=91 * CENT)), Flaw.PRICE),
    ):
        assert refused(market.when(wrong, CALCULATOR)) == (MarketRefusal.CLEARING_WRONG, 0, list(Flaw).index(flaw) + 1)
    assert market.state == before
    assert type(market.when(part, CALCULATOR)[-1]) is AuctionCleared


prices = st.lists(st.tuples(st.booleans(), st.integers(-2, 8)), max_size=9)


def proposed(book: list[tuple[bool, int]]) -> tuple[list[Offer], list[int], Any]:
    """A book of units and the one right result, reckoned from the whole at once."""
    offers = [Offer(buys, price, 1, n) for n, (buys, price) in enumerate(book)]
    bids = sorted((o for o in offers if o.buys), key=lambda o: (-o.price_nano_per_kwh, o.sequence))
    asks = sorted((o for o in offers if not o.buys), key=lambda o: (o.price_nano_per_kwh, o.sequence))
    found = mcafee([o.price_nano_per_kwh for o in bids], [o.price_nano_per_kwh for o in asks], 1)
    trading = {o.sequence for side in (bids, asks) for o in side[: found.trades]}
    fills = [1 if o.sequence in trading else 0 for o in offers]
    pays, gets = found.buyer_pays_nano_per_kwh, found.seller_gets_nano_per_kwh
    return offers, fills, unit_price(pays, gets, found.trades)


def judged(offers: list[Offer], fills: list[int], called: Any) -> Flaw | None:
    check = UnitCheck(1, 1, called)
    flaw = check.take([""] * len(offers), offers, fills)
    return flaw or check.finish(len(offers))


@settings(max_examples=1500, deadline=None)
@given(prices, st.data())
def test_only_the_one_result_passes_the_check(book: list[tuple[bool, int]], data: st.DataObject) -> None:
    offers, fills, called = proposed(book)
    assert judged(offers, fills, called) is None
    other = data.draw(st.lists(st.integers(0, 1), min_size=len(fills), max_size=len(fills)))
    price = st.integers(-2, 8) | st.none()
    told = data.draw(st.sampled_from((called, unit_price(data.draw(price), data.draw(price), sum(other) // 2))))
    filled = data.draw(st.sampled_from((fills, other)))
    assert (judged(offers, filled, told) is None) is ((filled, told) == (fills, called))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 12), max_size=5), st.lists(st.integers(1, 12), max_size=5))
def test_money_in_is_money_out_and_the_operators(bids: list[int], asks: list[int]) -> None:
    market = of_units(list(bids), list(asks))
    facts = market.later(CALL_END)
    market.state = loads(dumps(market.state))
    facts += [] if only(facts, AuctionEnded) else cleared(market, facts)
    [result] = only(facts, AuctionCleared)
    made = only(facts, TradeMade)
    paid = sum(t.price_nano_per_kwh * t.quantity_wh for t in made)
    got = sum((t.seller_price_nano_per_kwh or t.price_nano_per_kwh) * t.quantity_wh for t in made)
    assert paid - got == result.income_micro * 10**6 >= 0
    found = mcafee([b * CENT for b in bids], [a * CENT for a in asks], CENT // 10)
    assert len(made) == found.trades
    assert result.income_micro * 10**6 == found.surplus_nano_per_kwh() * KWH
