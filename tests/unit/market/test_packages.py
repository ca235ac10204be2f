"""Baskets, sweeps and blocks: all or none, across books, and blocks among themselves."""

import pickle
from dataclasses import replace
from typing import Any

import pytest

from domain.market import baskets
from schemas.market.events import (
    CommandRefused,
    ContractConcluded,
    CreditRecorded,
    DeliverySettled,
    OrderAccepted,
    OrderCancelled,
    Restriction,
    SelfTradeMode,
    TradeMade,
)
from schemas.market.package_commands import CancelBlock, SubmitBasket, SubmitBlock
from schemas.market.package_events import (
    BasketKilled,
    BasketOrder,
    BlockAccepted,
    BlocksCancelled,
    BlockTradeMade,
)
from schemas.market.phase_commands import ResumeTrading, SuspendTrading
from schemas.market.reasons import CancelReason, MarketRefusal
from schemas.values import Side
from tests.unit.given import MINUTE, Scenario, only
from tests.unit.market.world import (
    CENT,
    GATE,
    KWH,
    MARKET,
    NOON,
    OPERATOR,
    QUARTER,
    buy,
    connection_of,
    open_market,
    sell,
    submit,
    trades,
)

R = MarketRefusal
AON, FOK, IOC = Restriction.AON, Restriction.FOK, Restriction.IOC


def member(party: str, side: Side, n: int, kwh: float, cents: float) -> BasketOrder:
    return BasketOrder(connection_of(party), NOON + n * QUARTER, 15, side, round(kwh * KWH), round(cents * CENT))


def block(party: str, side: Side, kwh: float, cents: float, restriction: Restriction = AON, **more: Any) -> SubmitBlock:
    wish = SubmitBlock(
        party, connection_of(party), side, NOON, 3, 15, round(kwh * KWH), round(cents * CENT), restriction, None
    )
    return replace(wish, **more)


def enter(market: Scenario, wish: SubmitBlock | SubmitBasket) -> list[Any]:
    return market.when(wish, wish.party)


def offers(*prices: float) -> Scenario:
    """Bob offers 5 kWh in as many quarter-hours at these prices."""
    market = open_market("ann", "bob", "cyd")
    for n, cents in enumerate(prices):
        submit(market, sell("bob", 5, cents, start=NOON + n * QUARTER))
    return market


def test_a_basket_is_filled_in_every_book() -> None:
    market = offers(10, 11, 12)
    wish = SubmitBasket("ann", (member("ann", Side.BUY, 0, 5, 12), member("ann", Side.BUY, 2, 4, 12)))
    facts = enter(market, wish)
    assert trades(facts) == [("ann", "bob", 5, 10), ("ann", "bob", 4, 12)]
    assert len({f.contract for f in only(facts, ContractConcluded)}) == 2
    assert [o.sequence for o in only(facts, OrderAccepted)] == [4, 5]


@pytest.mark.parametrize("second", [member("ann", Side.BUY, 1, 6, 12), member("ann", Side.BUY, 1, 5, 10)])
def test_of_a_basket_that_cannot_be_filled_whole_nothing_is(second: BasketOrder) -> None:
    market = offers(10, 11)
    facts = enter(market, SubmitBasket("ann", (member("ann", Side.BUY, 0, 5, 12), second)))
    assert [(type(f), f.number) for f in facts] == [(BasketKilled, 1)]
    assert len(market.state.orders) == 2
    assert market.state.accounts["ann"].exposure_pico == 0


def test_a_basket_may_sell_and_buy() -> None:
    market = offers(10)
    submit(market, buy("cyd", 5, 30, start=NOON + QUARTER))
    wish = SubmitBasket("ann", (member("ann", Side.BUY, 0, 5, 12), member("ann", Side.SELL, 1, 5, 30)))
    assert trades(enter(market, wish)) == [("ann", "bob", 5, 10), ("cyd", "ann", 5, 30)]


@pytest.mark.parametrize(
    ("orders", "reason", "limit", "found"),
    [
        ((), R.TOO_MANY_ORDERS, 100, 0),
        (tuple(member("ann", Side.BUY, n, 1, 1) for n in range(101)), R.TOO_MANY_ORDERS, 100, 101),
        ((member("ann", Side.BUY, 0, 1, 1),) * 2, R.BASKET_OVERLAPS, 0, NOON),
        ((member("ann", Side.BUY, 9, 1, 1),), R.INSTRUMENT_UNKNOWN, 0, NOON + 9 * QUARTER),
        ((member("ann", Side.BUY, 0, 1, 1), member("bob", Side.BUY, 1, 1, 1)), R.CONNECTION_UNKNOWN, 0, 0),
    ],
)
def test_a_basket_is_refused(orders: tuple[BasketOrder, ...], reason: R, limit: int, found: int) -> None:
    (refused,) = enter(offers(10), SubmitBasket("ann", orders))
    assert (refused.reason, refused.limit, refused.found) == (reason, limit, found)


def test_the_credit_of_a_basket_is_that_of_all_its_orders() -> None:
    """Ann has 1,000 EUR; two orders of 600 EUR do not fit together."""
    market = open_market("ann", "bob", max_quantity_wh=10**7)
    one = member("ann", Side.BUY, 0, 6000, 10)
    assert only(enter(market, SubmitBasket("ann", (one,))), BasketKilled)
    (refused,) = enter(market, SubmitBasket("ann", (one, member("ann", Side.BUY, 1, 6000, 10))))
    assert (refused.reason, refused.found) == (R.CREDIT_EXCEEDED, 1_200 * 10**6)


def test_a_basket_with_too_many_counterparties_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decision holds so many facts; half a basket is none."""
    monkeypatch.setattr(baskets, "MAX_FACTS", 6)
    market = open_market("ann", "bob")
    for _ in range(3):
        submit(market, sell("bob", 1, 10))
    assert only(enter(market, SubmitBasket("ann", (member("ann", Side.BUY, 0, 3, 12),))), BasketKilled)
    assert only(enter(market, SubmitBasket("ann", (member("ann", Side.BUY, 0, 2, 12),))), TradeMade)


def test_a_fok_block_is_filled_out_of_the_books_of_its_deliveries_or_not_at_all() -> None:
    market = offers(10, 11, 12)
    assert only(enter(market, block("ann", Side.BUY, 5, 11, FOK)), BasketKilled)
    assert trades(enter(market, block("ann", Side.BUY, 5, 12, FOK))) == [
        ("ann", "bob", 5, 10),
        ("ann", "bob", 5, 11),
        ("ann", "bob", 5, 12),
    ]


def test_a_sweep_takes_what_is_there_within_its_limit() -> None:
    """A block with IOC (domain rules §1.1 rule 3)."""
    market = offers(10, 13, 12)
    facts = enter(market, block("ann", Side.BUY, 6, 12, IOC))
    assert trades(facts) == [("ann", "bob", 5, 10), ("ann", "bob", 5, 12)]
    assert [(c.rest_wh, c.reason) for c in only(facts, OrderCancelled)] == [
        (KWH, CancelReason.IOC_REST),
        (6 * KWH, CancelReason.IOC_REST),
        (KWH, CancelReason.IOC_REST),
    ]


def test_a_sweep_of_deep_books_leaves_alone_what_one_decision_has_no_room_for() -> None:
    """A decision records at most 1,000 facts; each of these books has more than 800 for the sweep."""
    market = open_market("ann", "bob", max_quantity_wh=10**6)
    market.given(CreditRecorded(MARKET, "ann", "EUR", 10**15), CreditRecorded(MARKET, "bob", "EUR", 10**15))
    for n in range(1, 803):
        where = MARKET, f"o{n}", n, "bob", "bob-cp", NOON + n % 2 * QUARTER, 15, Side.SELL
        market.given(OrderAccepted(*where, 100, 10 * CENT, Restriction.NONE, None))
    facts = enter(market, block("ann", Side.BUY, 100, 12, IOC, intervals=2))
    assert len(only(facts, TradeMade)) == 400
    assert [c.reason for c in only(facts, OrderCancelled)] == [CancelReason.MATCH_LIMIT] * 2
    assert len(facts) <= 1000


def test_blocks_of_the_same_deliveries_meet_whole() -> None:
    market = open_market("ann", "bob", "cyd")
    (offer,) = only(enter(market, block("bob", Side.SELL, 5, 10)), BlockAccepted)
    assert only(enter(market, block("ann", Side.BUY, 4, 12)), BlockTradeMade) == []
    assert only(enter(market, block("ann", Side.BUY, 5, 12, intervals=2)), BlockTradeMade) == []
    facts = enter(market, block("cyd", Side.BUY, 5, 12))
    (trade,) = only(facts, BlockTradeMade)
    assert (trade.sell_block, trade.price_nano_per_kwh, trade.quantity_wh) == (offer.block, 10 * CENT, 5 * KWH)
    assert (trade.aggressor, trade.buy_rest_wh, trade.sell_rest_wh) == (Side.BUY, 0, 0)
    (contract,) = only(facts, ContractConcluded)
    assert (contract.quantity_wh, contract.trade, contract.buyer) == ((5 * KWH,) * 3, trade.trade, "cyd")


def test_a_block_is_filled_by_several_by_price_then_acceptance() -> None:
    market = open_market("ann", "bob", "cyd", "dan")
    for party, kwh, cents in (("bob", 2, 11), ("cyd", 4, 10), ("dan", 3, 11)):
        enter(market, block(party, Side.SELL, kwh, cents))
    facts = enter(market, block("ann", Side.BUY, 6, 11))
    found = [(t.seller, t.quantity_wh // KWH, t.price_nano_per_kwh // CENT) for t in only(facts, BlockTradeMade)]
    assert found == [("cyd", 4, 10), ("bob", 2, 11)]
    assert [b.order.party for b in market.state.blocks.values()] == ["dan"]


def test_a_resting_block_takes_capability_and_credit_of_every_delivery() -> None:
    market = open_market("ann", "bob")
    (offer,) = only(enter(market, block("bob", Side.SELL, 60, 10)), BlockAccepted)
    assert [market.state.slots[NOON + n * QUARTER].used_wh.get("bob-cp", 0) for n in range(4)] == [60_000] * 3 + [0]
    assert market.state.accounts["bob"].exposure_pico == 3 * 60 * KWH * 40 * CENT
    (refused,) = submit(market, sell("bob", 41, 10, start=NOON + 2 * QUARTER))
    assert (refused.reason, refused.found) == (R.CAPABILITY_EXCEEDED, 101_000)
    assert market.when(CancelBlock(offer.block), "bob") == [BlocksCancelled("m", CancelReason.OWNER, (offer.block,))]
    assert market.state.accounts["bob"].exposure_pico == 0
    assert {slot.used_wh.get("bob-cp", 0) for slot in market.state.slots.values()} == {0}


def test_a_traded_block_counts_until_it_is_settled() -> None:
    market = open_market("ann", "bob")
    enter(market, block("bob", Side.SELL, 5, 10))
    enter(market, block("ann", Side.BUY, 5, 12))
    assert market.state.accounts["ann"].exposure_pico == 3 * 5 * KWH * 10 * CENT
    assert market.state.accounts["bob"].exposure_pico == 3 * 5 * KWH * 40 * CENT
    assert market.state.slots[NOON].used_wh == {"bob-cp": 5 * KWH, "ann-cp": -5 * KWH}
    assert (market.state.blocks, market.state.block_books) == ({}, {})


@pytest.mark.parametrize(
    ("mode", "cancelled"), [(SelfTradeMode.CANCEL_OLDEST, ["ann"]), (SelfTradeMode.CANCEL_NEWEST, [])]
)
def test_blocks_do_not_meet_their_owners(mode: SelfTradeMode, cancelled: list[str]) -> None:
    market = open_market("ann", "bob", self_trade=mode)
    enter(market, block("ann", Side.SELL, 5, 10))
    enter(market, block("bob", Side.SELL, 5, 11))
    facts = enter(market, block("ann", Side.BUY, 5, 12))
    assert [t.seller for t in only(facts, BlockTradeMade)] == (["bob"] if cancelled else [])
    assert [c.reason for c in only(facts, BlocksCancelled)] == [CancelReason.SELF_TRADE] * len(cancelled)


def test_a_block_expires_or_ends_with_its_first_gate() -> None:
    market = open_market("ann", "bob")
    enter(market, block("ann", Side.BUY, 5, 12, expires_at=GATE - 30 * MINUTE))
    enter(market, block("bob", Side.SELL, 5, 13))
    assert [f.reason for f in market.later(GATE - 30 * MINUTE)] == [CancelReason.EXPIRED]
    facts = only(market.later(GATE), BlocksCancelled)
    assert [(f.reason, len(f.blocks)) for f in facts] == [(CancelReason.GATE_CLOSED, 1)]
    assert (market.state.blocks, market.state.block_books) == ({}, {})
    assert {a.exposure_pico for a in market.state.accounts.values()} == {0}


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        (block("ann", Side.BUY, 5, 12, Restriction.NONE), R.RESTRICTION_NOT_IN_BLOCK),
        (block("ann", Side.BUY, 5, 12, intervals=101), R.TOO_MANY_INTERVALS),
        (block("ann", Side.BUY, 5, 12, intervals=0), R.TOO_MANY_ORDERS),
        (block("ann", Side.BUY, 5, 12, intervals=5), R.INSTRUMENT_UNKNOWN),
        (block("ann", Side.BUY, 0, 12), R.QUANTITY_ZERO),
        (block("ann", Side.SELL, 100.1, 12), R.QUANTITY_ABOVE_MAXIMUM),
    ],
)
def test_a_block_is_refused(wish: SubmitBlock, reason: R) -> None:
    assert [f.reason for f in enter(open_market("ann"), wish)] == [reason]


def test_the_credit_of_a_block_is_that_of_all_its_deliveries() -> None:
    """3 × 4,000 kWh at 10 cents are 1,200 EUR, ann has 1,000; two of them are 800."""
    market = open_market("ann", max_quantity_wh=10**7)
    (refused,) = enter(market, block("ann", Side.BUY, 4000, 10))
    assert (refused.reason, refused.found) == (R.CREDIT_EXCEEDED, 1_200 * 10**6)
    assert only(enter(market, block("ann", Side.BUY, 4000, 10, intervals=2)), BlockAccepted)


def test_only_the_owner_takes_a_block_back_before_the_gate() -> None:
    market = open_market("ann", "bob")
    (mine,) = only(enter(market, block("ann", Side.BUY, 5, 12)), BlockAccepted)
    assert [f.reason for f in market.when(CancelBlock(mine.block), "bob")] == [R.NOT_AUTHORISED]
    assert [f.reason for f in market.when(CancelBlock("none"), "bob")] == [R.BLOCK_UNKNOWN]
    market.later(GATE)
    assert [f.reason for f in market.when(CancelBlock(mine.block), "ann")] == [R.BLOCK_UNKNOWN]
    empty = Scenario("market", "m")
    for wish, actor in (
        (CancelBlock("b"), "ann"),
        (block("ann", Side.BUY, 1, 1), "ann"),
        (SubmitBasket("ann", ()), "ann"),
    ):
        assert [f.reason for f in only(empty.when(wish, actor), CommandRefused)] == [R.MARKET_UNKNOWN]


def test_a_resting_block_trades_when_its_owners_own_block_is_out_of_the_way() -> None:
    market = open_market("ann", "bob")
    (own,) = only(enter(market, block("ann", Side.SELL, 5, 10)), BlockAccepted)
    enter(market, block("bob", Side.SELL, 5, 11))
    assert only(enter(market, block("ann", Side.BUY, 5, 12)), BlockTradeMade) == []
    market.when(CancelBlock(own.block), "ann")
    facts = market.later(market.at + 1)
    assert [(t.seller, t.price_nano_per_kwh) for t in only(facts, BlockTradeMade)] == [("bob", 11 * CENT)]
    assert [c.buyer for c in only(facts, ContractConcluded)] == ["ann"]
    assert (market.state.blocks, market.state.block_books) == ({}, {})


def test_blocks_wait_while_one_of_their_deliveries_is_suspended() -> None:
    market = open_market("ann", "bob")
    (own,) = only(enter(market, block("ann", Side.SELL, 5, 10)), BlockAccepted)
    enter(market, block("bob", Side.SELL, 5, 11))
    enter(market, block("ann", Side.BUY, 5, 12))
    market.when(SuspendTrading(NOON + QUARTER, 15), OPERATOR)
    market.when(CancelBlock(own.block), "ann")
    assert market.later(market.at + 1) == []
    market.when(ResumeTrading(NOON + QUARTER, 15), OPERATOR)
    assert [t.seller for t in only(market.later(market.at + 1), BlockTradeMade)] == ["bob"]


def test_a_delivery_is_kept_until_the_blocks_over_it_are_written_out() -> None:
    """So many blocks that a call of `advance` does not write them all out; settlement comes in between."""
    market = open_market("ann", max_quantity_wh=10**6)
    market.given(CreditRecorded(MARKET, "ann", "EUR", 10**15), *(accepted(n) for n in range(1, 10_101)))
    market.at = NOON + 4 * QUARTER
    step = list(market.decider.advance(market.state, market.now, 100))
    market.given(*step)
    assert market.state.blocks, "the rest waits"
    market.given(DeliverySettled(MARKET, NOON, NOON + 4 * QUARTER))
    market.state = pickle.loads(pickle.dumps(market.state))
    market.later(market.at)
    assert (market.state.blocks, market.state.block_books, market.state.instruments) == ({}, {}, {})
    assert market.state.accounts["ann"].exposure_pico == 0


def accepted(n: int) -> BlockAccepted:
    where = "ann", "ann-cp", "z", Side.BUY, NOON, 3, 15
    return BlockAccepted(MARKET, f"b{n}", n, *where, KWH, 12 * CENT, None)
