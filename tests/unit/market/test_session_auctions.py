"""Auctions of whole sessions: books and blocks are frozen, listed, cleared outside, checked part by part, traded."""

from dataclasses import replace
from pickle import dumps, loads
from typing import Any

import pytest

from consumers.snapshot import _classes
from domain.market import calc_session, session_auctions, session_timetable
from domain.market.blocks import BlockFlaw
from domain.market.session_auctions import CALCULATOR
from schemas.envelope import FactMeta, Moment, Recorded
from schemas.market.auction_events import CallRules, Mechanism, Rationing
from schemas.market.commands import AdoptRuleSet, AmendOrder, CancelOrder, CancelOrders, OpenSession
from schemas.market.events import (
    CommandRefused,
    ContractConcluded,
    GateClosed,
    OrderAccepted,
    OrderCancelled,
    OrdersCancelled,
    Phase,
    Restriction,
    RuleSetAdopted,
    SessionOpened,
    TradeMade,
)
from schemas.market.phase_commands import ResumeTrading, SuspendTrading
from schemas.market.reasons import CancelReason, MarketRefusal
from schemas.market.rules import NetworkRules
from schemas.market.session_commands import CancelCallBlock, ProposeCallBlocks, ProposeSessionBook
from schemas.market.session_events import (
    CallBlockAccepted,
    CallBlockFilled,
    CallBlocksChecked,
    CallBlocksEnded,
    SessionAuctionCalled,
    SessionAuctionCleared,
    SessionAuctionEnded,
    SessionAuctionFailed,
    SessionAuctionStarted,
    SessionBlocksListed,
    SessionBookChecked,
    SessionBookListed,
)
from schemas.values import Side
from tests.unit.given import MINUTE, Scenario, only
from tests.unit.market.session_world import (
    CALLED,
    SESSION,
    buys,
    called,
    cleared,
    collecting,
    proposals,
    said,
    sells,
)
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
    submit,
    trades,
)

R = MarketRefusal
SECOND = NOON + QUARTER
TWO_HOURS = (  # a block of cyd's meets two purchases; its limit lies between their prices
    buy("ann", 5, 40),
    buy("ann", 5, 50, start=SECOND),
    sells("cyd", (5, 5), 45),
)


def phases(market: Scenario) -> set[Phase]:
    return {instrument.phase for instrument in market.state.instruments.values()}


def refused(found: list[Any]) -> tuple[MarketRefusal, int, int]:
    [refusal] = found
    assert type(refusal) is CommandRefused
    return refusal.reason, refusal.limit, refusal.found


def test_a_session_trades_orders_and_blocks_at_one_price_a_delivery() -> None:
    market, facts = called(*TWO_HOURS, sell("bob", 5, 90))
    assert [type(fact) for fact in facts] == [
        SessionAuctionCalled,
        SessionBookListed,
        SessionBookListed,
        SessionBlocksListed,
        SessionAuctionStarted,
    ]
    assert phases(market) == {Phase.AUCTION}
    facts = cleared(market, facts)
    made = only(facts, TradeMade)
    assert [(*trade, t.delivery_start_at) for trade, t in zip(trades(facts), made, strict=True)] == [
        ("ann", "cyd", 5, 40, NOON),
        ("ann", "cyd", 5, 50, SECOND),
    ]
    assert [c.trade for c in only(facts, ContractConcluded)] == [t.trade for t in made]
    [result], [filled] = only(facts, SessionAuctionCleared), only(facts, CallBlockFilled)
    assert (result.volume_wh, result.accepted, result.gap_ppm) == (10 * KWH, 1, 0)
    assert (result.welfare_micro, result.bound_micro) == (0, 0), "a surplus of exactly zero is accepted"
    assert (filled.quantities_wh, filled.accepted_ppm) == ((5 * KWH, 5 * KWH), 1_000_000)
    assert filled.prices_nano_per_kwh == (40 * CENT, 50 * CENT)
    assert type(facts[-1]) is SessionAuctionEnded
    assert phases(market) == {Phase.CONTINUOUS}
    assert market.state.session_auctions.known == {}
    assert trades(submit(market, buy("dan", 5, 90))) == [("dan", "bob", 5, 90)], "every book goes on continuously"


def test_v_m7_a_block_that_would_lose_stays_out_and_its_owner_is_told() -> None:
    """Bichler et al., fig. 5d: with the block more would be gained, at a price of 10 and a loss for the block."""
    market, facts = called(
        buy("ann", 10, 30),
        buy("bob", 14, 1),
        sell("cyd", 12, 10),
        sells("dan", (13,), 4, minimum_ppm=846_153),
        intervals=1,
        lot_wh=KWH,
    )
    facts = cleared(market, facts)
    [result] = only(facts, SessionAuctionCleared)
    assert (result.welfare_micro, result.gap_ppm, result.accepted) == (2_000_000, 0, 0)
    [gone] = only(facts, CallBlocksEnded)
    assert (gone.reason, gone.parties) == (CancelReason.BLOCK_PASSED_OVER, ("dan",))
    assert trades(facts) == [("ann", "cyd", 10, 10)]
    assert only(facts, CallBlockFilled) == []


@pytest.mark.parametrize(("first", "accepted"), [(41, True), (39, False), (40, True)])
def test_v_m7_a_profile_block_is_accepted_from_a_surplus_of_zero_on(first: int, accepted: bool) -> None:
    market, facts = called(buy("ann", 5, first), buy("ann", 5, 50, start=SECOND), sells("cyd", (5, 5), 45))
    facts = cleared(market, facts)
    assert bool(only(facts, CallBlockFilled)) is accepted
    assert [gone.reason for gone in only(facts, CallBlocksEnded)] == [CancelReason.BLOCK_PASSED_OVER] * (not accepted)


def test_who_would_lose_at_the_prices_is_told_so() -> None:
    market, facts = called(buy("ann", 5, 40), sell("bob", 5, 30), sells("cyd", (5,), 60), intervals=1)
    [gone] = only(cleared(market, facts), CallBlocksEnded)
    assert (gone.reason, gone.parties) == (CancelReason.BLOCK_OUTPRICED, ("cyd",))


def test_blocks_trade_with_blocks() -> None:
    market, facts = called(buys("ann", (5, 0, 5), 60), sells("cyd", (5, 0, 5), 40))
    facts = cleared(market, facts)
    assert [trade[:3] for trade in trades(facts)] == [("ann", "cyd", 5)] * 2
    assert {trade.delivery_start_at for trade in only(facts, TradeMade)} == {NOON, NOON + 2 * QUARTER}


def test_a_child_and_a_group_are_followed() -> None:
    market = collecting(intervals=1)
    submit(market, buy("ann", 10, 50))
    parent = said(market, sells("bob", (5,), 90))
    said(market, sells("bob", (5,), 1, parent=parent.block))
    first = said(market, sells("cyd", (5,), 30, exclusive_group="g"))
    second = said(market, sells("cyd", (10,), 20, exclusive_group="g"))
    facts = cleared(market, market.later(CALLED))
    assert [filled.block for filled in only(facts, CallBlockFilled)] == [second.block]
    assert {name for gone in only(facts, CallBlocksEnded) for name in gone.blocks} >= {parent.block, first.block}


def test_where_nobody_can_trade_the_result_is_known_at_once() -> None:
    market, facts = called(buy("ann", 5, 9), sell("bob", 5, 10))
    assert [type(fact) for fact in facts] == [SessionAuctionCalled, SessionAuctionCleared, SessionAuctionEnded]
    assert (facts[1].volume_wh, facts[1].accepted) == (0, 0)
    assert phases(market) == {Phase.CONTINUOUS}
    _, facts = called()
    assert [type(fact) for fact in facts] == [SessionAuctionCalled, SessionAuctionCleared, SessionAuctionEnded]


def test_books_open_together_and_collect() -> None:
    market = open_market("ann", "bob", at=NOON - 151 * MINUTE, session_auction=SESSION)
    for start in (NOON, NOON + 3 * QUARTER):
        assert refused(submit(market, buy("ann", 1, 10, start=start)))[0] is R.NOT_OPEN
    market.later(NOON - 150 * MINUTE)
    for start in (NOON, NOON + 3 * QUARTER):
        submit(market, sell("bob", 1, 5, start=start))
        assert trades(submit(market, buy("ann", 1, 10, start=start))) == []
    ioc = buy("ann", 1, 10, restriction=Restriction.IOC)
    assert refused(submit(market, ioc))[0] is R.RESTRICTION_NOT_IN_CALL
    [order, *_] = only(market.facts, OrderAccepted)
    assert type(market.when(CancelOrder(order.order), "bob")[0]) is OrderCancelled
    assert market.later(CALLED - 1) == []


def test_nothing_changes_in_a_frozen_session() -> None:
    market, facts = called(*TWO_HOURS, buy("bob", 5, 1, expires_at=CALLED + MINUTE))
    [order] = [o for o in only(market.facts, OrderAccepted) if o.delivery_start_at == SECOND]
    [held] = only(market.facts, CallBlockAccepted)
    for actor, wish in (
        ("ann", CancelOrder(order.order)),
        ("ann", AmendOrder(order.order, 4 * KWH, 50 * CENT, None)),
        ("ann", buy("ann", 1, 20, start=SECOND)),
        ("ann", CancelOrders("ann", SECOND, 15, None)),
        ("cyd", CancelCallBlock(held.block)),
        ("cyd", sells("cyd", (1,), 20)),
        (OPERATOR, SuspendTrading(SECOND, 15)),
    ):
        assert refused(market.when(wish, actor))[0] is R.AUCTION_UNDERWAY, wish
    for party in ("ann", "cyd"):
        assert refused(market.when(CancelOrders(party, None, None, None), party))[0] is R.NOTHING_CHANGED
    assert market.later(CALLED + 2 * MINUTE) == [], "what expires meanwhile stands until the end"
    facts = cleared(market, facts)
    [gone] = only(facts, OrderCancelled)
    assert (gone.party, gone.reason) == ("bob", CancelReason.EXPIRED)


def test_what_expires_with_the_call_is_not_in_the_auction() -> None:
    market, facts = called(*TWO_HOURS, buy("bob", 5, 45, expires_at=CALLED))
    assert [type(fact) for fact in facts[:2]] == [OrderCancelled, SessionAuctionCalled]
    assert only(facts, SessionAuctionCalled)[0].resting == 2
    assert [trade[0] for trade in trades(cleared(market, facts))] == ["ann", "ann"]


def test_where_only_blocks_trade_the_price_is_on_the_tick_whatever_the_ends_of_the_range() -> None:
    wishes = buy("ann", 5, 40), buys("dan", (0, 5), 10), sells("cyd", (5, 5), 1)
    market, facts = called(*wishes, min_price_nano_per_kwh=3 * CENT // 10 + 1)
    made = only(cleared(market, facts), TradeMade)
    assert [(t.buyer, t.price_nano_per_kwh) for t in made] == [("ann", 40 * CENT), ("dan", 4 * CENT // 10)]


def test_a_suspended_market_keeps_its_auction() -> None:
    market = collecting()
    for wish in TWO_HOURS:
        market.when(wish, wish.party)
    held = said(market, sells("dan", (5,), 90))
    market.when(SuspendTrading(None, None), OPERATOR)
    assert said(market, sells("cyd", (5,), 40)).reason is R.SUSPENDED
    assert type(market.when(CancelCallBlock(held.block), "dan")[0]) is CallBlocksEnded, "a block may be taken back"
    assert len(trades(cleared(market, market.later(CALLED)))) == 2
    assert refused(submit(market, buy("ann", 1, 10)))[0] is R.SUSPENDED
    market.when(ResumeTrading(None, None), OPERATOR)
    assert type(submit(market, buy("ann", 1, 10))[0]) is OrderAccepted


def test_without_a_result_by_the_deadline_blocks_end_and_books_go_on() -> None:
    market, facts = called(sell("bob", 5, 10), buy("ann", 5, 12), *TWO_HOURS[1:])
    first, *rest = proposals(facts)
    market.when(first, CALCULATOR)
    assert market.later(CALLED + 10 * MINUTE - 1) == []
    gone, failed, *facts = market.later(CALLED + 10 * MINUTE)
    assert (type(gone), gone.reason, gone.parties) == (CallBlocksEnded, CancelReason.AUCTION_FAILED, ("cyd",))
    assert type(failed) is SessionAuctionFailed
    assert trades(facts) == [("ann", "bob", 5, 10)], "as if the younger order had just come in"
    assert phases(market) == {Phase.CONTINUOUS}
    assert refused(market.when(rest[0], CALCULATOR))[0] is R.AUCTION_UNKNOWN
    assert market.state.session_auctions.known == {}


def test_the_deadline_is_before_the_first_gate() -> None:
    late = replace(SESSION, opening_lead_min=120, opening_min=110, deadline_min=60)
    market = collecting(session=late, at=NOW)
    for wish in TWO_HOURS:
        market.when(wish, wish.party)
    [told, *_] = market.later(NOON - 10 * MINUTE)
    assert told.deadline_at == GATE - 1
    facts = market.later(GATE)
    assert [type(fact) for fact in facts] == [CallBlocksEnded, SessionAuctionFailed, GateClosed, OrdersCancelled]


def test_a_late_result_is_refused() -> None:
    market, facts = called(*TWO_HOURS)
    first, *_ = proposals(facts)
    market.at = CALLED + 10 * MINUTE
    command_at = market.decider.due(market.state)
    assert command_at == market.at
    assert market.when(first, CALCULATOR)[-1].reason is R.AUCTION_UNKNOWN


def test_each_wrong_proposal_is_refused_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (session_auctions, session_timetable, calc_session):
        monkeypatch.setattr(module, "MAX_LISTED", 2)
    market, facts = called(*TWO_HOURS, sell("bob", 5, 90), sell("bob", 5, 95))
    blocks, first, second, third, *others = proposals(facts)
    assert isinstance(blocks, ProposeCallBlocks)
    assert isinstance(first, ProposeSessionBook)
    assert isinstance(second, ProposeSessionBook)
    assert isinstance(third, ProposeSessionBook)
    wrong = R.CLEARING_WRONG

    def no(wish: Any, actor: str = CALCULATOR) -> tuple[MarketRefusal, int]:
        before = loads(dumps(market.state))
        reason, _, found = refused(market.when(wish, actor))
        assert market.state == before
        return reason, found

    def flaw(flaw: BlockFlaw) -> tuple[MarketRefusal, int]:
        return wrong, list(BlockFlaw).index(flaw) + 1

    assert no(blocks, "ann")[0] is R.NOT_AUTHORISED
    assert no(replace(blocks, auction="x"))[0] is R.AUCTION_UNKNOWN
    assert no(replace(blocks, first_start_at=0))[0] is R.AUCTION_UNKNOWN
    assert no(first) == (R.PART_UNEXPECTED, 1)
    assert no(replace(blocks, steps=())) == flaw(BlockFlaw.LIST)
    assert no(replace(blocks, priced_at=(NOON + 1, SECOND))) == flaw(BlockFlaw.LIST)
    assert no(replace(blocks, priced_at=blocks.priced_at[:1])) == flaw(BlockFlaw.LIST)
    assert no(replace(blocks, priced_at=(NOON, NOON))) == flaw(BlockFlaw.LIST)
    assert no(replace(blocks, steps=(49,))) == flaw(BlockFlaw.RATIO)
    assert no(replace(blocks, prices_nano_per_kwh=(1, 50 * CENT))) == flaw(BlockFlaw.PRICE)
    assert no(replace(blocks, prices_nano_per_kwh=(39 * CENT, 50 * CENT))) == flaw(BlockFlaw.SURPLUS)
    assert type(market.when(blocks, CALCULATOR)[0]) is CallBlocksChecked
    assert no(blocks) == (R.PART_UNEXPECTED, 1)
    assert no(second) == (R.PART_UNEXPECTED, 2)
    assert no(third) == (R.PART_UNEXPECTED, 1)
    assert no(replace(first, parts=0)) == (R.PART_UNEXPECTED, 1)
    assert no(replace(first, orders=first.orders[::-1])) == flaw(BlockFlaw.LIST)
    assert no(replace(first, filled_wh=(5 * KWH,))) == flaw(BlockFlaw.FILL)
    assert no(replace(first, filled_wh=(4 * KWH, 0))) == flaw(BlockFlaw.FILL)
    other = replace(first.cleared, price_nano_per_kwh=41 * CENT)
    assert no(replace(first, cleared=other)) == flaw(BlockFlaw.PRICE)
    assert type(market.when(first, CALCULATOR)[0]) is SessionBookChecked
    assert no(first) == (R.PART_UNEXPECTED, 1)
    assert no(replace(second, cleared=replace(second.cleared, bought_wh=4 * KWH))) == flaw(BlockFlaw.FILL)
    assert no(replace(second, parts=3, part=3)) == (R.PART_UNEXPECTED, 3)
    for part in (second, third, *others[:-1]):
        assert type(market.when(part, CALCULATOR)[0]) is SessionBookChecked
    assert type(market.when(others[-1], CALCULATOR)[-1]) is SessionAuctionCleared
    facts = market.when(others[-1], CALCULATOR)
    assert facts[-1].reason is R.AUCTION_UNKNOWN


def test_fills_that_do_not_balance_with_the_blocks_do_not_pass() -> None:
    market, facts = called(buy("ann", 5, 40), sells("cyd", (5,), 20), intervals=1)
    blocks, book = proposals(facts)
    assert isinstance(blocks, ProposeCallBlocks)
    assert type(market.when(replace(blocks, steps=(0,)), CALCULATOR)[0]) is CallBlocksChecked
    found = refused(market.when(book, CALCULATOR))
    assert found == (R.CLEARING_WRONG, 0, list(BlockFlaw).index(BlockFlaw.BALANCE) + 1)


def test_a_price_that_no_block_needs_does_not_pass() -> None:
    market, facts = called(buy("ann", 5, 40), sells("cyd", (5,), 20), intervals=1)
    blocks, book = proposals(facts)
    assert isinstance(book, ProposeSessionBook)
    assert isinstance(blocks, ProposeCallBlocks)
    assert type(market.when(replace(blocks, prices_nano_per_kwh=(30 * CENT,)), CALCULATOR)[0]) is CallBlocksChecked
    level = replace(book.cleared.bids, quantity_wh=0, filled_wh=0)
    other = replace(book.cleared, price_nano_per_kwh=30 * CENT, bids=level)
    found = refused(market.when(replace(book, cleared=other), CALCULATOR))
    assert found == (R.CLEARING_WRONG, 0, list(BlockFlaw).index(BlockFlaw.PRICE) + 1)


def test_the_gap_that_is_proposed_is_published() -> None:
    market, facts = called(buy("ann", 5, 40), sells("cyd", (5,), 20), intervals=1)
    blocks, book = proposals(facts)
    assert isinstance(blocks, ProposeCallBlocks)
    market.when(replace(blocks, more_micro=100), CALCULATOR)
    [result] = only(market.when(book, CALCULATOR), SessionAuctionCleared)
    assert (result.welfare_micro, result.bound_micro, result.gap_ppm) == (1_000_000, 1_000_100, 100)


def test_large_sessions_are_listed_and_traded_in_slices_across_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (session_auctions, session_timetable, calc_session):
        monkeypatch.setattr(module, "MAX_LISTED", 7)
    monkeypatch.setattr(session_timetable, "MAX_BLOCKS_LISTED", 2)
    starts = [NOON + n * QUARTER for n in range(4)]
    wishes: list[Any] = [buy("ann", 1, 12 + n % 5, start=starts[n % 4]) for n in range(120)]
    wishes += [sell(("bob", "cyd")[n % 2], 1, 9 - n % 5, start=starts[n % 4]) for n in range(100)]
    wishes += [sells("dan", (1,) * 4, n, minimum_ppm=0) for n in range(7)]
    market, facts = called(*wishes)
    assert len(only(facts, SessionBookListed)) == 4 * -(-55 // 7)
    assert len(only(facts, SessionBlocksListed)) == 4
    found: list[Any] = []
    for part in proposals(facts):
        found += market.when(part, CALCULATOR)
        market.state = loads(dumps(market.state))  # a restart between any two parts changes nothing
    while (step := list(market.decider.advance(market.state, market.now, 9))) != []:
        found += step
        for fact in step:
            market.given(fact)
        market.state = loads(dumps(market.state))
    assert type(only(found, SessionAuctionEnded)[0]) is SessionAuctionEnded
    [result] = only(found, SessionAuctionCleared)
    assert sum(trade.quantity_wh for trade in only(found, TradeMade)) == result.volume_wh
    assert len({trade.trade for trade in only(found, TradeMade)}) == len(only(found, TradeMade))
    assert len(only(found, CallBlockFilled)) == result.accepted > 0


def test_what_is_kept_of_a_session_is_part_of_a_snapshot() -> None:
    market, facts = called(*TWO_HOURS)
    for part in list(proposals(facts))[:2]:
        market.when(part, CALCULATOR)
    [auction] = market.state.session_auctions.known.values()
    known = _classes("market")
    assert {type(auction), type(auction.check), type(auction.check.auction), type(auction.called)} <= known
    assert {type(block) for block in auction.blocks.values()} <= known


def test_nobody_trades_with_himself_while_there_is_somebody_else() -> None:
    market, facts = called(buy("ann", 5, 12), buy("bob", 5, 12), sells("ann", (5,), 10), sell("cyd", 5, 10))
    facts = cleared(market, facts)
    assert trades(facts) == [("ann", "cyd", 5, 11), ("bob", "ann", 5, 11)]


@pytest.mark.parametrize(
    ("changes", "limit", "found"),
    [
        ({"session_auction": replace(SESSION, opening_lead_min=366 * 1440 + 1)}, 366 * 1440, 366 * 1440 + 1),
        ({"session_auction": replace(SESSION, opening_min=145)}, 144, 145),
        ({"session_auction": replace(SESSION, opening_lead_min=5)}, 0, 60),
        ({"session_auction": replace(SESSION, deadline_min=0)}, 1, 0),
        ({"session_auction": SESSION, "network": NetworkRules((), ())}, 0, 1),
        ({"session_auction": SESSION, "auction": CallRules(30, 0, Rationing.TIME, 5)}, 0, 30),
        ({"session_auction": SESSION, "auction": CallRules(0, 0, Rationing.TIME, 5, Mechanism.MCAFEE)}, 0, 1),
    ],
)
def test_a_session_fits_into_the_timetable_and_into_one_zone(changes: dict[str, Any], limit: int, found: int) -> None:
    market = Scenario("market", MARKET, at=NOW)
    told = market.when(AdoptRuleSet(0, rules(**changes)), OPERATOR)
    assert refused(told) == (R.INVALID_RULES, limit, found)
    halts = CallRules(0, 0, Rationing.TIME, 5)
    fine = rules(session_auction=replace(SESSION, opening_min=144), auction=halts)
    assert type(market.when(AdoptRuleSet(0, fine), OPERATOR)[0]) is RuleSetAdopted


def test_a_session_has_at_most_a_hundred_deliveries() -> None:
    market = Scenario("market", MARKET, at=NOW)
    market.given(RuleSetAdopted(MARKET, 1, 0, rules(session_auction=SESSION)))
    assert refused(market.when(OpenSession(NOON, 101), OPERATOR)) == (R.TOO_MANY_INTERVALS, 100, 101)
    assert type(market.when(OpenSession(NOON, 100), OPERATOR)[0]) is SessionOpened


def test_a_market_that_does_not_exist_has_no_sessions() -> None:
    _, facts = called(*TWO_HOURS)
    empty = Scenario("market", MARKET, at=NOW)
    for part in list(proposals(facts))[:2]:
        assert refused(empty.when(part, CALCULATOR))[0] is R.MARKET_UNKNOWN


def test_a_slate_that_lacks_orders_or_blocks_is_not_calculated_from() -> None:
    _, facts = called(*TWO_HOURS)
    for kind in (SessionBookListed, SessionBlocksListed):
        with pytest.raises(ValueError, match="has 2 orders and 1 blocks, the slate"):
            list(proposals([fact for fact in facts if type(fact) is not kind]))


def test_prices_and_sides_are_the_facts_own() -> None:
    """The calculation's cut-off lets the slices of its own tick be read."""
    _, facts = called(*TWO_HOURS)
    [started] = only(facts, SessionAuctionStarted)
    meta = FactMeta(0, Moment(7, 0), "c", 0, "actor", "correlation", None, 1)
    assert calc_session.CALCULATION.cutoff(Recorded("market", 0, MARKET, meta, started)) == 8
    assert {side for listed in only(facts, SessionBookListed) for side in listed.sides} == {Side.BUY}
