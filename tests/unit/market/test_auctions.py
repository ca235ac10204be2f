"""Call auctions in the market: a book is frozen, listed, cleared outside, checked part by part, traded in slices."""

from collections.abc import Iterator
from dataclasses import replace
from pickle import dumps, loads
from typing import Any

import pytest

from domain.market import auctions, calc_call
from domain.market.auctions import CALCULATOR
from domain.market.calc_call import CALCULATION
from domain.market.clearing_check import Flaw
from projections.market.auctions import AUCTION_BOOKS
from schemas.envelope import FactMeta, Moment, Recorded
from schemas.market.auction_commands import ProposeClearing
from schemas.market.auction_events import (
    AuctionBookListed,
    AuctionCalled,
    AuctionCleared,
    AuctionEnded,
    AuctionFailed,
    AuctionPartChecked,
    AuctionStarted,
    CalledLevel,
    CallRules,
    Mechanism,
    Rationing,
)
from schemas.market.commands import AdoptRuleSet, AmendOrder, CancelOrder
from schemas.market.events import (
    CommandRefused,
    ContractConcluded,
    OrderAccepted,
    OrderCancelled,
    OrdersCancelled,
    Phase,
    Restriction,
    RuleSetAdopted,
    TradeMade,
)
from schemas.market.phase_events import TradingHalted
from schemas.market.reasons import CancelReason, MarketRefusal
from schemas.market.rules import NetworkRules
from tests.unit.given import MINUTE, Scenario, only
from tests.unit.market.world import (
    CENT,
    GATE,
    KWH,
    MARKET,
    NOON,
    NOW,
    OPERATOR,
    buy,
    open_market,
    rules,
    sell,
    shown,
    submit,
    trades,
)

CALL_END = NOON - 90 * MINUTE
"""Books open a day before noon; the call takes until half an hour from now."""

CALL = CallRules(opening_min=1350, k_ppm=500_000, rationing=Rationing.TIME, deadline_min=10)


def calling(*parties: str, call: CallRules = CALL, **changes: Any) -> Scenario:
    """A market whose one book is in its opening call."""
    return open_market(*parties or ("ann", "bob", "cyd", "dan"), intervals=1, auction=call, **changes)


def proposals(facts: list[Any]) -> Iterator[ProposeClearing]:
    """What the calculation says of the auction that has just started, from the slate of its book."""
    [started] = only(facts, AuctionStarted)
    meta = FactMeta(0, Moment(0, 0), "c", 0, "actor", "correlation", None, 1)
    rows = [
        row
        for fact in only(facts, AuctionBookListed)
        for row in AUCTION_BOOKS.on[AuctionBookListed](Recorded("market", 0, MARKET, meta, fact))
    ]
    return CALCULATION.compute(Recorded("market", 0, MARKET, meta, started), {"book": rows})  # type: ignore[return-value]


def called(*offers: Any, **changes: Any) -> tuple[Scenario, list[Any]]:
    """A book with these orders behind the end of its call, and what that brought about."""
    market = calling(**changes)
    for offer in offers:
        submit(market, offer)
    return market, market.later(CALL_END)


V_M3 = (  # vector V-M3 of the rule book's annex V.1: Q* = 75 at 10
    buy("ann", 30, 14),
    buy("bob", 25, 12),
    buy("ann", 20, 11),
    buy("bob", 40, 8),
    sell("cyd", 20, 6),
    sell("dan", 30, 9),
    sell("cyd", 13, 10),
    sell("cyd", 17, 10),
    sell("cyd", 21, 10),
    sell("dan", 50, 13),
)


@pytest.mark.parametrize(
    ("rationing", "sold"),
    [(Rationing.TIME, [20, 30, 13, 12, 0, 0]), (Rationing.PRO_RATA, [20, 30, 7, 8, 10, 0])],
)
def test_a_called_book_trades_at_one_price(rationing: Rationing, sold: list[int]) -> None:
    market, facts = called(*V_M3, call=replace(CALL, rationing=rationing), lot_wh=KWH)
    assert [type(fact) for fact in facts] == [AuctionCalled, AuctionBookListed, AuctionStarted]
    assert market.state.instruments[NOON, 15].phase is Phase.AUCTION
    [part] = proposals(facts)
    facts = market.when(part, CALCULATOR) + market.later(market.at)
    [checked], [cleared] = only(facts, AuctionPartChecked), only(facts, AuctionCleared)
    assert (cleared.price_nano_per_kwh, cleared.volume_wh, cleared.gap_ppm) == (10 * CENT, 75 * KWH, 0)
    assert [wh // KWH for wh in checked.filled_wh] == [30, 25, 20, 0, *sold]
    made = only(facts, TradeMade)
    assert {trade.price_nano_per_kwh for trade in made} == {10 * CENT}
    assert sum(trade.quantity_wh for trade in made) == 75 * KWH
    assert [c.trade for c in only(facts, ContractConcluded)] == [t.trade for t in made]
    for n, order in enumerate(checked.orders):
        traded = sum(t.quantity_wh for t in made if order in (t.buy_order, t.sell_order))
        assert traded == checked.filled_wh[n]
    assert type(facts[-1]) is AuctionEnded
    assert market.state.instruments[NOON, 15].phase is Phase.CONTINUOUS
    assert market.state.instruments[NOON, 15].auction is None
    assert trades(submit(market, sell("dan", 5, 8))) == [("bob", "dan", 5, 8)]


def test_orders_are_collected_and_may_be_taken_back_until_the_call_ends() -> None:
    market = calling()
    assert only(submit(market, sell("ann", 5, 10)), TradeMade) == []
    [accepted] = submit(market, buy("bob", 5, 20))
    assert type(accepted) is OrderAccepted
    assert type(market.when(CancelOrder(accepted.order), "bob")[-1]) is OrderCancelled
    assert market.later(CALL_END - 1) == []


def test_where_nobody_can_trade_the_result_is_known_at_once() -> None:
    market, facts = called(buy("ann", 5, 9), sell("bob", 5, 10))
    assert [type(fact) for fact in facts] == [AuctionCalled, AuctionCleared, AuctionEnded]
    assert (facts[1].price_nano_per_kwh, facts[1].volume_wh) == (None, 0)
    assert trades(submit(market, buy("cyd", 5, 10))) == [("cyd", "bob", 5, 10)]
    _, facts = called()
    assert [type(fact) for fact in facts] == [AuctionCalled, AuctionCleared, AuctionEnded]


def test_nothing_changes_in_a_frozen_book() -> None:
    market, facts = called(buy("ann", 5, 12, expires_at=CALL_END + MINUTE), sell("bob", 5, 10))
    [order] = [o for o in only(market.facts, OrderAccepted) if o.party == "ann"]
    wishes = {
        "ann": (CancelOrder(order.order), AmendOrder(order.order, 4 * KWH, 12 * CENT, None), buy("ann", 1, 20)),
    }
    for wish in wishes["ann"]:
        assert market.when(wish, "ann")[-1].reason is MarketRefusal.AUCTION_UNDERWAY
    assert market.later(CALL_END + 2 * MINUTE) == [], "what expires meanwhile stands until the end"
    [part] = proposals(facts)
    facts = market.when(part, CALCULATOR) + market.later(market.at)
    assert trades(facts) == [("ann", "bob", 5, 11)]


def test_what_expired_while_the_book_was_frozen_expires_at_the_end() -> None:
    market, facts = called(buy("ann", 5, 12), sell("bob", 5, 10), sell("cyd", 5, 30, expires_at=CALL_END + MINUTE))
    market.later(CALL_END + 2 * MINUTE)
    [part] = proposals(facts)
    facts = market.when(part, CALCULATOR) + market.later(market.at)
    [gone] = only(facts, OrderCancelled)
    assert (gone.party, gone.reason) == ("cyd", CancelReason.EXPIRED)


def test_without_a_result_by_the_deadline_the_book_trades_on_continuously() -> None:
    market, facts = called(sell("bob", 5, 10), buy("ann", 5, 12))
    [part] = proposals(facts)
    assert market.later(CALL_END + 10 * MINUTE - 1) == []
    facts = market.later(CALL_END + 10 * MINUTE)
    assert type(facts[0]) is AuctionFailed
    assert trades(facts) == [("ann", "bob", 5, 10)], "as if the younger order had just come in"
    [refusal] = market.when(part, CALCULATOR)
    assert refusal.reason is MarketRefusal.AUCTION_UNKNOWN


def test_the_deadline_is_before_the_gate() -> None:
    late = replace(CALL, opening_min=1430, deadline_min=60)
    market = calling(call=late)
    submit(market, sell("bob", 5, 10))
    submit(market, buy("ann", 5, 12))
    [called_, *_] = market.later(NOON - 10 * MINUTE)
    assert called_.deadline_at == GATE - 1
    facts = market.later(GATE)
    assert type(facts[0]) is AuctionFailed
    assert only(facts, OrdersCancelled)[0].rests_wh == (5 * KWH, 5 * KWH)
    assert only(facts, TradeMade) == [], "the gate is not missed for it"


def refused(found: list[Any]) -> tuple[MarketRefusal, int, int]:
    [refusal] = found
    assert type(refusal) is CommandRefused
    return refusal.reason, refusal.limit, refusal.found


def test_each_wrong_proposal_is_refused_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auctions, "MAX_LISTED", 4)
    monkeypatch.setattr(calc_call, "MAX_LISTED", 4)
    market, facts = called(*V_M3, lot_wh=KWH)
    first, second, third = proposals(facts)
    before = loads(dumps(market.state))

    def said(wish: ProposeClearing, actor: str = CALCULATOR) -> tuple[MarketRefusal, int, int]:
        return refused(market.when(wish, actor))

    wrong = MarketRefusal.CLEARING_WRONG
    assert said(first, "ann")[0] is MarketRefusal.NOT_AUTHORISED
    assert said(replace(first, auction="x"))[0] is MarketRefusal.AUCTION_UNKNOWN
    assert said(replace(first, delivery_start_at=0))[0] is MarketRefusal.AUCTION_UNKNOWN
    assert said(second) == (MarketRefusal.PART_UNEXPECTED, 1, 2)
    assert said(replace(first, parts=0)) == (MarketRefusal.PART_UNEXPECTED, 1, 1)
    assert said(replace(first, orders=first.orders[::-1])) == (wrong, 0, 1)
    assert said(replace(first, filled_wh=first.filled_wh[:-1])) == (wrong, 0, 1)
    assert said(replace(first, filled_wh=(30 * KWH, 24 * KWH, 20 * KWH, KWH))) == (wrong, 0, 2)
    assert market.state == before
    assert type(market.when(first, CALCULATOR)[0]) is AuctionPartChecked
    assert said(first) == (MarketRefusal.PART_UNEXPECTED, 2, 1)
    other = replace(second.called, volume_wh=74 * KWH)
    assert said(replace(second, called=other))[0] is MarketRefusal.PART_UNEXPECTED
    assert said(replace(second, parts=2)) == (wrong, 0, list(Flaw).index(Flaw.LIST) + 1)
    assert type(market.when(second, CALCULATOR)[0]) is AuctionPartChecked
    found = market.when(third, CALCULATOR)
    assert [type(fact) for fact in found] == [AuctionPartChecked, AuctionCleared]
    assert refused([f for f in market.when(third, CALCULATOR) if type(f) is CommandRefused]) == (
        MarketRefusal.AUCTION_UNKNOWN,
        0,
        0,
    )


def test_a_wrong_price_and_a_lost_volume_are_refused_with_the_last_part() -> None:
    market, facts = called(buy("ann", 5, 14), sell("bob", 5, 10))
    [part] = proposals(facts)
    for price in (10, 11, 13, 14):
        other = replace(part.called, price_nano_per_kwh=price * CENT)
        level = CalledLevel(5 * KWH, 5 * KWH, 0, 0)
        if price == 10:
            other = replace(other, asks=level)
        if price == 14:
            other = replace(other, bids=level)
        assert refused(market.when(replace(part, called=other), CALCULATOR)) == (
            MarketRefusal.CLEARING_WRONG,
            0,
            list(Flaw).index(Flaw.PRICE) + 1,
        )
    nothing = replace(part.called, price_nano_per_kwh=None, volume_wh=0)
    wish = replace(part, called=nothing, filled_wh=(0, 0))
    assert refused(market.when(wish, CALCULATOR))[2] == list(Flaw).index(Flaw.VOLUME) + 1
    assert type(market.when(part, CALCULATOR)[-1]) is AuctionCleared


def test_a_market_that_does_not_exist_has_no_auctions() -> None:
    _, facts = called(buy("ann", 5, 14), sell("bob", 5, 10))
    [part] = proposals(facts)
    empty = Scenario("market", MARKET, at=NOW)
    assert refused(empty.when(part, CALCULATOR))[0] is MarketRefusal.MARKET_UNKNOWN


def test_large_books_are_listed_and_traded_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auctions, "MAX_LISTED", 7)
    monkeypatch.setattr(calc_call, "MAX_LISTED", 7)
    offers = [buy("ann", 1, 12 + n % 5) for n in range(150)]
    offers += [sell(("bob", "cyd")[n % 2], 1, 9 - n % 5) for n in range(140)]
    market, facts = called(*offers, max_quantity_wh=100 * KWH)
    assert len(only(facts, AuctionBookListed)) == -(-290 // 7)
    found: list[Any] = []
    for part in proposals(facts):
        found += market.when(part, CALCULATOR)
        market.state = loads(dumps(market.state))  # a restart between any two parts changes nothing
    found += market.later(market.at)
    assert sum(trade.quantity_wh for trade in only(found, TradeMade)) == 140 * KWH
    assert len({trade.trade for trade in only(found, TradeMade)}) == len(only(found, TradeMade))
    assert type(found[-1]) is AuctionEnded
    assert sum(rest for _, rest, _ in shown(market)[0]) == 10 * KWH
    assert shown(market)[1] == []


def test_nobody_trades_with_himself_while_there_is_somebody_else() -> None:
    market, facts = called(buy("ann", 5, 12), buy("bob", 5, 12), sell("ann", 5, 10), sell("cyd", 5, 10))
    [part] = proposals(facts)
    facts = market.when(part, CALCULATOR) + market.later(market.at)
    assert trades(facts) == [("ann", "cyd", 5, 11), ("bob", "ann", 5, 11)]


def test_a_halt_ends_in_an_auction_where_the_rules_know_one() -> None:
    market = open_market("ann", "bob", "cyd", intervals=1, auction=replace(CALL, opening_min=0))
    submit(market, sell("bob", 5, 30))
    market.given(TradingHalted(MARKET, NOON, 15, 10 * CENT, 30 * CENT, NOW + 5 * MINUTE))
    assert only(submit(market, buy("ann", 5, 30)), TradeMade) == []
    facts = market.later(NOW + 5 * MINUTE)
    [part] = proposals(facts)
    facts = market.when(part, CALCULATOR) + market.later(market.at)
    assert trades(facts) == [("ann", "bob", 5, 30)]


def test_what_trades_whole_or_not_at_all_waits_for_the_end_of_an_auction() -> None:
    market = open_market("ann", "bob", "cyd", intervals=1, auction=replace(CALL, opening_min=0))
    submit(market, sell("bob", 5, 10, restriction=Restriction.AON))
    market.given(TradingHalted(MARKET, NOON, 15, 10 * CENT, 30 * CENT, NOW + 5 * MINUTE))
    submit(market, sell("cyd", 3, 12))
    submit(market, buy("ann", 8, 12))
    [called_, *facts] = market.later(NOW + 5 * MINUTE)
    assert called_.resting == 2
    [part] = proposals(facts)
    facts = market.when(part, CALCULATOR) + market.later(market.at)
    assert trades(facts) == [("ann", "cyd", 3, 12), ("ann", "bob", 5, 10)]


@pytest.mark.parametrize(
    ("changes", "limit", "found"),
    [
        ({"auction": replace(CALL, opening_min=1435)}, 1434, 1435),
        ({"auction": replace(CALL, deadline_min=0)}, 1, 0),
        ({"auction": replace(CALL, mechanism=Mechanism.MCAFEE), "network": NetworkRules((), ())}, 0, 1),
        ({"auction": replace(CALL, mechanism=Mechanism.MCAFEE, unit_wh=150)}, 100, 150),
        ({"auction": replace(CALL, mechanism=Mechanism.MCAFEE, unit_wh=100_100)}, 100_000, 100_100),
    ],
)
def test_calls_fit_into_the_timetable_and_mcafees_is_of_one_zone(
    changes: dict[str, Any], limit: int, found: int
) -> None:
    market = Scenario("market", MARKET, at=NOW)
    said = market.when(AdoptRuleSet(0, rules(**changes)), OPERATOR)
    assert refused(said) == (MarketRefusal.INVALID_RULES, limit, found)
    fine = market.when(AdoptRuleSet(0, rules(auction=replace(CALL, opening_min=1434))), OPERATOR)
    assert type(fine[0]) is RuleSetAdopted


def test_a_slate_that_lacks_orders_is_not_calculated_from() -> None:
    _, facts = called(buy("ann", 5, 14), sell("bob", 5, 10))
    with pytest.raises(ValueError, match="has 2 orders, the slate 0"):
        list(proposals([fact for fact in facts if type(fact) is not AuctionBookListed]))
