"""Numeric vectors of the domain rules, Annex V.1: kWh and cents as given there, a lot of 1 kWh."""

from dataclasses import replace
from typing import Any

import pytest

from domain.market.exposure import PICO_PER_MICRO
from schemas.market.commands import CancelOrder
from schemas.market.events import (
    CommandRefused,
    ContractConcluded,
    OrderAccepted,
    OrderCancelled,
    Restriction,
    SelfTradeMode,
    TradeMade,
)
from schemas.market.reasons import CancelReason, MarketRefusal
from schemas.values import Side
from tests.unit.given import Scenario, only
from tests.unit.market.world import CENT, NOON, QUARTER, buy, joined, open_market, order, sell, shown, submit

KWH = 1000
IOC, FOK = Restriction.IOC, Restriction.FOK

# (name, owner, side, kWh, cents, restriction) → trades (buy, sell, kWh, cents); bids; asks (name, kWh, cents)
V_M1: tuple[tuple[Any, ...], ...] = (
    (("S1", "ann", "sell", 10, 12, None), [], [], [("S1", 10, 12)]),
    (("S2", "bob", "sell", 5, 10, None), [], [], [("S2", 5, 10), ("S1", 10, 12)]),
    (("S3", "cyd", "sell", 8, 10, None), [], [], [("S2", 5, 10), ("S3", 8, 10), ("S1", 10, 12)]),
    (
        ("S4", "dan", "sell", 4, 11, None),
        [],
        [],
        [("S2", 5, 10), ("S3", 8, 10), ("S4", 4, 11), ("S1", 10, 12)],
    ),
    (
        ("B1", "eve", "buy", 12, 11, None),
        [("B1", "S2", 5, 10), ("B1", "S3", 7, 10)],
        [],
        [("S3", 1, 10), ("S4", 4, 11), ("S1", 10, 12)],
    ),
    (("B2", "fay", "buy", 6, 9, None), [], [("B2", 6, 9)], [("S3", 1, 10), ("S4", 4, 11), ("S1", 10, 12)]),
    (
        ("B3", "gil", "buy", 20, 12, IOC),
        [("B3", "S3", 1, 10), ("B3", "S4", 4, 11), ("B3", "S1", 10, 12)],
        [("B2", 6, 9)],
        [],
    ),
    (("B4", "hal", "buy", 15, 13, FOK), [], [("B2", 6, 9)], []),
    (("S5", "ivy", "sell", 4, 9, None), [("B2", "S5", 4, 9)], [("B2", 2, 9)], []),
    (("B5", "ann", "buy", 3, 12, None), [], [("B5", 3, 12), ("B2", 2, 9)], []),
    (("S6", "jon", "sell", 5, 8, None), [("B5", "S6", 3, 12), ("B2", "S6", 2, 9)], [], []),
)
V_M1_LOG = [("B3", CancelReason.IOC_REST, 5), ("B4", CancelReason.FOK_UNFILLABLE, 15)]
"""The vector logs 0 kWh of the killed B4; the fact names what was left of it, all of it."""


def test_v_m1_price_time_priority_and_the_resting_price() -> None:
    """V-M1, domain rules Annex V.1."""
    owners = sorted({wish[1] for wish, *_ in V_M1})
    market = open_market(*owners, lot_wh=KWH, tick_nano_per_kwh=CENT)
    names: dict[str, str] = {}
    for (name, owner, side, kwh, cents, restriction), trades, bids, asks in V_M1:
        wish = order(owner, Side(side), kwh, cents, restriction or Restriction.NONE)
        facts = submit(market, wish)
        names[only(facts, OrderAccepted)[0].order] = name
        found = [
            (
                names[t.buy_order],
                names[t.sell_order],
                t.quantity_wh // KWH,
                t.price_nano_per_kwh // CENT,
            )
            for t in only(facts, TradeMade)
        ]
        assert (name, found) == (name, trades)
        assert (name, *_named(market, names)) == (name, bids, asks)
    log = [(names[c.order], c.reason, c.rest_wh // KWH) for c in only(market.facts, OrderCancelled)]
    assert log == V_M1_LOG
    made = only(market.facts, TradeMade)
    assert sum(t.quantity_wh for t in made) == 36 * KWH
    assert sum(t.quantity_wh * t.price_nano_per_kwh for t in made) == 384 * KWH * CENT


def _named(market: Scenario, names: dict[str, str]) -> tuple[list[Any], list[Any]]:
    book = next(iter(market.state.instruments.values())).book
    bids = book.crossing(False, -(10**15), market.at)
    asks = book.crossing(True, 10**15, market.at)

    def entry(o: Any) -> tuple[str, int, int]:
        return names[o.order], o.rest_wh // KWH, o.limit_price_nano_per_kwh // CENT

    return list(map(entry, bids)), list(map(entry, asks))


@pytest.mark.parametrize(
    ("mode", "trades", "bids", "asks", "log"),
    [
        (
            SelfTradeMode.CANCEL_NEWEST,
            [],
            [],
            [("ann", 10, 12), ("bob", 5, 12)],
            [("ann", Side.BUY, CancelReason.SELF_TRADE, 8)],
        ),
        (
            SelfTradeMode.CANCEL_OLDEST,
            [("ann", "bob", 5, 12)],
            [("ann", 3, 12)],
            [],
            [("ann", Side.SELL, CancelReason.SELF_TRADE, 10)],
        ),
        (
            SelfTradeMode.CANCEL_BOTH,
            [],
            [],
            [("bob", 5, 12)],
            [("ann", Side.SELL, CancelReason.SELF_TRADE, 10), ("ann", Side.BUY, CancelReason.SELF_TRADE, 8)],
        ),
        (
            SelfTradeMode.DECREMENT,
            [],
            [],
            [("ann", 2, 12), ("bob", 5, 12)],
            [("ann", Side.BUY, CancelReason.SELF_TRADE, 8)],
        ),
        (SelfTradeMode.OFF, [("ann", "ann", 8, 12)], [], [("ann", 2, 12), ("bob", 5, 12)], []),
    ],
)
def test_v_m1b_self_trade_prevention(
    mode: SelfTradeMode, trades: list[Any], bids: list[Any], asks: list[Any], log: list[Any]
) -> None:
    """V-M1b, domain rules Annex V.1: resting ann 10 @ 12 first, bob 5 @ 12; ann buys 8 @ 12."""
    market = open_market("ann", "bob", lot_wh=KWH, tick_nano_per_kwh=CENT, self_trade=mode)
    submit(market, sell("ann", 10, 12))
    submit(market, sell("bob", 5, 12))
    facts = submit(market, buy("ann", 8, 12))
    found = [(t.buyer, t.seller, t.quantity_wh // KWH, t.price_nano_per_kwh // CENT) for t in only(facts, TradeMade)]
    assert found == trades
    assert [[(p, wh // KWH, price // CENT) for p, wh, price in side] for side in shown(market)] == [bids, asks]
    assert [(c.party, c.side, c.reason, c.rest_wh // KWH) for c in only(facts, OrderCancelled)] == log
    assert len(only(facts, ContractConcluded)) == len(trades)


def test_v_m8_credit_is_released_by_a_better_price() -> None:
    """V-M8, domain rules Annex V.1: limit 1 000.00; in use 480 → 930 → (refused) → 850 → 930.

    In a book only an incoming order gets a better price than its own, so o1 meets an offer at 0.10 that
    stands in the next quarter-hour, where it is entered again.
    """
    market = open_market("ann", max_quantity_wh=10**7)
    market.given(*joined("bob", injection_w=40_000_000, credit_micro=10**12))
    o1, o2, o3 = buy("ann", 4000, 12), buy("ann", 3000, 15), buy("ann", 500, 16)

    def in_use() -> int:
        exposure: int = market.state.accounts["ann"].exposure_pico
        return exposure // PICO_PER_MICRO

    accepted = submit(market, o1)[0]
    assert in_use() == 480_000_000
    submit(market, o2)
    assert in_use() == 930_000_000
    exceeded = MarketRefusal.CREDIT_EXCEEDED
    assert submit(market, o3) == [
        CommandRefused("SubmitOrder", "ann-cp", "ann", exceeded, 1_000_000_000, 1_010_000_000)
    ]
    market.when(CancelOrder(accepted.order), actor="ann")
    assert in_use() == 450_000_000
    submit(market, sell("bob", 4000, 10, start=NOON + QUARTER))
    facts = submit(market, replace(o1, delivery_start_at=NOON + QUARTER))
    assert [(t.quantity_wh, t.price_nano_per_kwh) for t in only(facts, TradeMade)] == [(4_000_000, 10 * CENT)]
    assert in_use() == 850_000_000
    assert type(submit(market, o3)[0]) is OrderAccepted
    assert in_use() == 930_000_000
