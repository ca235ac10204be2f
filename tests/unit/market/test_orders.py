"""What becomes of a lawful order: restrictions, self-trade prevention, negative prices, ids, cancelling."""

from itertools import pairwise
from typing import Any

import pytest

from domain.identity import born_id
from domain.market import matching
from schemas.envelope import Command, CommandMeta
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
from schemas.values import DeliveryMode, Side
from tests.unit.given import MINUTE, Scenario, only
from tests.unit.market.world import (
    CENT,
    GATE,
    KWH,
    MARKET,
    NOON,
    NOW,
    OPERATOR,
    QUARTER,
    RULES,
    buy,
    joined,
    open_market,
    resting,
    sell,
    shown,
    submit,
    trades,
)

IOC, FOK = Restriction.IOC, Restriction.FOK


def test_the_facts_of_an_order_in_full() -> None:
    """Each trade is followed by its contract; ids are born from the command, n counting on."""
    market = resting(("bob", 3, 11), ("cyd", 4, 12))
    wish = buy("ann", 5, 12)
    facts = market.when(wish, "ann", command_id="wish")
    command = Command(MARKET, CommandMeta("wish", "ann", "correlation", None, None, None), wish)
    ids = [born_id("market", command, n) for n in range(5)]
    sells = [f.order for f in only(market.facts, OrderAccepted) if f.side is Side.SELL]
    accepted = OrderAccepted(
        MARKET, ids[0], 3, "ann", "ann-cp", NOON, 15, Side.BUY, 5 * KWH, 12 * CENT, Restriction.NONE, None
    )

    def trade(n: int, seller: str, sell_order: str, kwh: int, cents: int, rests: tuple[int, int]) -> list[Any]:
        return [
            TradeMade(
                MARKET,
                ids[n],
                NOON,
                15,
                ids[0],
                sell_order,
                "ann",
                seller,
                "ann-cp",
                f"{seller}-cp",
                Side.BUY,
                kwh * KWH,
                cents * CENT,
                *rests,
            ),
            ContractConcluded(
                MARKET,
                "z",
                OPERATOR,
                ids[n + 1],
                ids[n],
                seller,
                "ann",
                f"{seller}-cp",
                "ann-cp",
                NOON,
                15,
                (kwh * KWH,),
                "EUR",
                cents * CENT,
                RULES.points_per_kwh,
                DeliveryMode.AS_DELIVERED,
                1,
            ),
        ]

    assert facts == [
        accepted,
        *trade(1, "bob", sells[0], 3, 11, (2 * KWH, 0)),
        *trade(3, "cyd", sells[1], 2, 12, (0, 2 * KWH)),
    ]


def test_the_aggressor_is_named() -> None:
    market = resting()
    submit(market, buy("ann", 2, 12))
    trade = only(submit(market, sell("bob", 3, 10)), TradeMade)[0]
    assert (trade.aggressor, trade.price_nano_per_kwh) == (Side.SELL, 12 * CENT)
    assert (trade.buy_rest_wh, trade.sell_rest_wh) == (0, KWH)
    assert shown(market) == ([], [("bob", KWH, 10 * CENT)])


def test_first_come_first_served_at_one_price() -> None:
    """V-M2 without amendments, domain rules Annex V.1: A, B, C each sell 5 @ 10; X buys 9."""
    market = resting(("ann", 5, 10), ("bob", 5, 10), ("cyd", 5, 10))
    assert trades(submit(market, buy("dan", 9, 10))) == [("dan", "ann", 5, 10), ("dan", "bob", 4, 10)]
    assert shown(market)[1] == [("bob", KWH, 10 * CENT), ("cyd", 5 * KWH, 10 * CENT)]


def test_sequence_counts_accepted_orders_only() -> None:
    market = resting(("bob", 5, 10))
    submit(market, buy("ann", 0, 10))
    submit(market, buy("ann", 1, 9))
    assert [f.sequence for f in only(market.facts, OrderAccepted)] == [1, 2]


def test_books_of_two_intervals_do_not_meet() -> None:
    market = resting(("bob", 5, 10))
    assert trades(submit(market, buy("ann", 5, 10, start=NOON + QUARTER))) == []


def test_ioc_takes_what_it_can_and_rests_nothing() -> None:
    market = resting(("bob", 3, 11), ("cyd", 4, 13))
    facts = submit(market, buy("ann", 5, 12, restriction=IOC))
    assert trades(facts) == [("ann", "bob", 3, 11)]
    assert [(c.reason, c.rest_wh) for c in only(facts, OrderCancelled)] == [(CancelReason.IOC_REST, 2 * KWH)]
    assert shown(market) == ([], [("cyd", 4 * KWH, 13 * CENT)])


def test_a_filled_ioc_has_nothing_to_cancel() -> None:
    facts = submit(resting(("bob", 5, 11)), buy("ann", 5, 12, restriction=IOC))
    assert only(facts, OrderCancelled) == []


@pytest.mark.parametrize(
    ("kwh", "cents", "filled"),
    [(7, 12, True), (7.1, 12, False), (7, 11.9, False), (3, 11, True), (3.1, 11, False), (1, 10, False)],
)
def test_fok_is_all_or_nothing(kwh: float, cents: float, filled: bool) -> None:
    """Only prices within the limit count (domain rules §1.1 rule 3)."""
    market = resting(("bob", 3, 11), ("cyd", 4, 12))
    before = shown(market)
    facts = submit(market, buy("ann", kwh, cents, restriction=FOK))
    if filled:
        assert sum(t.quantity_wh for t in only(facts, TradeMade)) == round(kwh * KWH)
        assert only(facts, OrderCancelled) == []
    else:
        assert [type(f) for f in facts] == [OrderAccepted, OrderCancelled]
        assert (facts[1].reason, facts[1].rest_wh) == (CancelReason.FOK_UNFILLABLE, round(kwh * KWH))
        assert shown(market) == before


def test_fok_does_not_count_the_owners_own_orders() -> None:
    """Cancel oldest: 5 of bob and 5 of dan are there, ann's own 4 between them are not."""
    for kwh, filled in ((10, True), (11, False)):
        market = resting(("bob", 5, 11), ("ann", 4, 11.5), ("dan", 5, 12), self_trade=SelfTradeMode.CANCEL_OLDEST)
        facts = submit(market, buy("ann", kwh, 12, restriction=FOK))
        own = [("ann", 4 * KWH, round(11.5 * CENT))]
        if filled:
            assert trades(facts) == [("ann", "bob", 5, 11), ("ann", "dan", 5, 12)]
            assert [c.reason for c in only(facts, OrderCancelled)] == [CancelReason.SELF_TRADE]
        else:
            # A killed order removes nobody's orders, not even its owner's.
            assert [c.reason for c in only(facts, OrderCancelled)] == [CancelReason.FOK_UNFILLABLE]
            assert own[0] in shown(market)[1]


def test_fok_stops_counting_at_the_own_order_that_would_cancel_it() -> None:
    """Cancel newest: what stands behind ann's own offer is out of reach."""
    for kwh, filled in ((5, True), (6, False)):
        market = resting(("bob", 5, 11), ("ann", 4, 11.5), ("dan", 5, 12))
        facts = submit(market, buy("ann", kwh, 12, restriction=FOK))
        assert bool(trades(facts)) is filled
        assert [c.reason for c in only(facts, OrderCancelled)] == ([] if filled else [CancelReason.FOK_UNFILLABLE])


def test_cancel_newest_keeps_the_trades_made_before_it_met_itself() -> None:
    market = resting(("bob", 5, 11), ("ann", 4, 11.5), ("dan", 5, 12))
    facts = submit(market, buy("ann", 8, 12, restriction=IOC))
    assert trades(facts) == [("ann", "bob", 5, 11)]
    assert [(c.reason, c.rest_wh) for c in only(facts, OrderCancelled)] == [(CancelReason.SELF_TRADE, 3 * KWH)]


@pytest.mark.parametrize("mode", list(SelfTradeMode))
def test_own_orders_behind_the_fill_are_left_alone(mode: SelfTradeMode) -> None:
    market = resting(("bob", 5, 11), ("ann", 4, 11.5), self_trade=mode)
    facts = submit(market, buy("ann", 5, 12))
    assert trades(facts) == [("ann", "bob", 5, 11)]
    assert only(facts, OrderCancelled) == []
    assert len(shown(market)[1]) == 1


def test_self_trade_is_a_matter_of_the_party_not_of_the_connection() -> None:
    market = resting(("ann", 5, 11))
    market.given(*joined("eve"))
    assert trades(submit(market, buy("eve", 5, 12))) == [("eve", "ann", 5, 11)]


def test_negative_prices_are_prices() -> None:
    """V-M3c's last book, traded continuously: bids -2 and 3, offers at -5 and -3 (domain rules Annex V.1)."""
    market = resting()
    submit(market, buy("ann", 10, -2))
    submit(market, buy("bob", 5, 3))
    assert trades(submit(market, sell("cyd", 8, -5))) == [("bob", "cyd", 5, 3), ("ann", "cyd", 3, -2)]
    assert trades(submit(market, sell("dan", 4, -3))) == [("ann", "dan", 4, -2)]
    assert shown(market)[0] == [("ann", 3 * KWH, -2 * CENT)]


def test_an_order_meets_a_bounded_number_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decision has a limit of facts; what is beyond it is cancelled, and fill-or-kill cannot be filled."""
    monkeypatch.setattr(matching, "MAX_MEETINGS", 3)
    for restriction, met in ((Restriction.NONE, 3), (IOC, 3), (FOK, 0)):
        market = resting(*(("bob", 1, 11) for _ in range(5)))
        facts = submit(market, buy("ann", 4, 12, restriction=restriction))
        assert len(trades(facts)) == met
        reason = CancelReason.MATCH_LIMIT if met else CancelReason.FOK_UNFILLABLE
        assert [(c.reason, c.rest_wh) for c in only(facts, OrderCancelled)] == [(reason, (4 - met) * KWH)]
        assert len(trades(submit(market, buy("ann", 3, 12, restriction=restriction)))) == min(3, 5 - met)


def test_the_largest_decision_is_within_the_limit() -> None:
    """1,000 facts a decision (architecture §2)."""
    market = open_market("ann", "bob", lot_wh=1)
    for _ in range(matching.MAX_MEETINGS + 1):
        submit(market, sell("bob", 0.001, 11))
    facts = submit(market, buy("ann", 100, 12))
    assert len(facts) == 2 * matching.MAX_MEETINGS + 2 <= 1000


def test_a_book_of_many_cancelled_orders_stays_small() -> None:
    market = open_market("ann", "bob")
    submit(market, sell("bob", 1, 11))
    for _ in range(300):
        market.when(CancelOrder(submit(market, sell("bob", 1, 11))[0].order), "bob")
    asks = market.state.instruments[NOON, 15].book.asks
    assert len(asks.orders) == len(asks.keys) == 1 + asks.dead < 100
    assert trades(submit(market, buy("ann", 2, 12))) == [("ann", "bob", 1, 11)]


def open_order() -> tuple[Scenario, str]:
    market = resting()
    return market, submit(market, sell("bob", 5, 11, expires_at=GATE - MINUTE))[0].order


def test_the_owner_cancels_what_is_left() -> None:
    market, order = open_order()
    submit(market, buy("ann", 2, 11))
    assert market.when(CancelOrder(order), "bob") == [
        OrderCancelled(MARKET, order, "bob", NOON, Side.SELL, 3 * KWH, CancelReason.OWNER)
    ]
    assert shown(market) == ([], [])


def test_refused_cancellations_in_the_order_of_the_checks() -> None:
    market, order = open_order()

    def refused(wanted: str, actor: str, at: int = NOW) -> list[tuple[str, MarketRefusal]]:
        market.at = at
        return [(f.subject, f.reason) for f in only(market.when(CancelOrder(wanted), actor), CommandRefused)]

    assert Scenario("market", MARKET).when(CancelOrder(order), "bob")[0].reason is MarketRefusal.MARKET_UNKNOWN
    assert refused("nonsense", "bob") == [("nonsense", MarketRefusal.ORDER_UNKNOWN)]
    assert refused(order, "ann") == [(order, MarketRefusal.NOT_AUTHORISED)]
    submit(market, buy("ann", 5, 11))
    assert refused(order, "ann") == [(order, MarketRefusal.NOT_AUTHORISED)]
    assert refused(order, "bob") == [(order, MarketRefusal.ORDER_NOT_OPEN)]
    assert refused(order, "ann", GATE) == [(order, MarketRefusal.NOT_AUTHORISED)]
    assert refused(order, "bob", GATE) == [(order, MarketRefusal.GATE_CLOSED)]


def test_a_cancelled_order_cannot_be_cancelled_again() -> None:
    market, order = open_order()
    market.when(CancelOrder(order), "bob")
    assert [f.reason for f in market.when(CancelOrder(order), "bob")] == [MarketRefusal.ORDER_NOT_OPEN]


def test_the_same_wish_twice_is_two_orders() -> None:
    """Repeated command ids are the runtime's concern; a decision knows wishes only."""
    market = resting()
    first, second = (submit(market, sell("bob", 1, 11))[0].order for _ in range(2))
    assert first != second
    assert len(shown(market)[1]) == 2


def test_a_book_stays_in_order_whatever_comes_and_goes() -> None:
    market = resting()
    for n in range(60):
        facts = submit(market, sell(("ann", "bob", "cyd")[n % 3], 1 + n % 4, 10 + n * 7 % 11))
        if n % 5 == 0:
            market.when(CancelOrder(facts[0].order), facts[0].party)
    asks = shown(market)[1]
    assert len(asks) == 48
    assert all(a[2] <= b[2] for a, b in pairwise(asks))
