"""Call blocks: what is taken of them, in which order it is checked, what they reserve, how they end."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.market.exposure import PICO_PER_MICRO, open_pico_per_wh
from domain.market.session_blocks import MAX_BLOCKS
from domain.market.session_claims import worst_pico_per_wh
from schemas.market.capability_commands import LowerCapability
from schemas.market.capability_events import CapabilityRetained
from schemas.market.commands import CancelOrders, RecordCredit
from schemas.market.credit_events import DefaultSettled, MarginCalled, ParticipantDefaulted
from schemas.market.events import (
    CreditRecorded,
    OrderAccepted,
    OrdersCancelled,
    SessionOpened,
    TradeMade,
)
from schemas.market.phase_commands import SuspendTrading
from schemas.market.quality import QualityRules
from schemas.market.reasons import CancelReason, MarketRefusal
from schemas.market.rules import CreditRules, TradingRules
from schemas.market.session_commands import CancelCallBlock, SubmitCallBlock
from schemas.market.session_events import CallBlockAccepted, CallBlockFilled, CallBlocksEnded, SessionAuctionEnded
from schemas.values import Side
from tests.unit.given import MINUTE, Scenario, only
from tests.unit.market.session_world import CALLED, SESSION, buys, called, cleared, collecting, said, sells
from tests.unit.market.world import (
    CENT,
    EURO_MICRO,
    GATE,
    KWH,
    MARKET,
    NOON,
    NOW,
    OPERATOR,
    POLICY,
    QUARTER,
    buy,
    joined,
    open_market,
    rules,
    submit,
)

R = MarketRefusal


def used_wh(market: Scenario, party: str, places: int = 4) -> list[int]:
    """Of the party's connection, by delivery."""
    slots = market.state.slots
    return [slots[NOON + n * QUARTER].used_wh.get(f"{party}-cp", 0) for n in range(places)]


def exposed_pico(market: Scenario, party: str) -> int:
    return int(market.state.account(party).exposure_pico)


def world() -> Scenario:
    """A collecting session; eve may buy only, fay sells 10 kWh a quarter-hour, gus has a credit of 1."""
    market = collecting("ann", "bob")
    market.given(*joined("eve", verified=False), *joined("fay", injection_w=40_000))
    market.given(*joined("gus", credit_micro=EURO_MICRO))
    return market


GOOD = sells("bob", (5, 0, 5), 20)


@pytest.mark.parametrize(
    ("wish", "reason", "limit", "found"),
    [
        (replace(GOOD, party="ann"), R.NOT_AUTHORISED, 0, 0),
        (replace(GOOD, profile_wh=()), R.TOO_MANY_INTERVALS, 100, 0),
        (replace(GOOD, profile_wh=(100,) * 101), R.TOO_MANY_INTERVALS, 100, 101),
        (replace(GOOD, profile_wh=(100,) * 5), R.INSTRUMENT_UNKNOWN, 0, NOON + 4 * QUARTER),
        (replace(GOOD, duration_min=60), R.INSTRUMENT_UNKNOWN, 0, NOON),
        (replace(GOOD, connection="ann-cp"), R.CONNECTION_UNKNOWN, 0, 0),
        (replace(GOOD, profile_wh=(0, 0)), R.QUANTITY_ZERO, 1, 0),
        (replace(GOOD, profile_wh=(100, 150)), R.QUANTITY_OFF_LOT, 100, 150),
        (replace(GOOD, profile_wh=(100, 100_100)), R.QUANTITY_ABOVE_MAXIMUM, 100_000, 100_100),
        (replace(GOOD, limit_price_nano_per_kwh=CENT // 100), R.PRICE_OFF_TICK, CENT // 10, CENT // 100),
        (replace(GOOD, limit_price_nano_per_kwh=101 * CENT), R.PRICE_OUT_OF_RANGE, 100 * CENT, 101 * CENT),
        (replace(GOOD, limit_price_nano_per_kwh=-101 * CENT), R.PRICE_OUT_OF_RANGE, -100 * CENT, -101 * CENT),
        (replace(GOOD, parent="nobody"), R.PARENT_UNKNOWN, 0, 0),
    ],
)
def test_the_first_broken_rule_is_the_answer(wish: SubmitCallBlock, reason: R, limit: int, found: int) -> None:
    [refusal] = world().when(wish, "bob")
    assert (refusal.reason, refusal.limit, refusal.found) == (reason, limit, found)


def test_who_may_not_trade_or_sell_has_no_block() -> None:
    market = world()
    assert market.when(replace(GOOD, party="zed"), "zed")[0].reason is R.PARTICIPANT_UNKNOWN
    assert said(market, sells("eve", (5,), 20)).reason is R.RESOURCE_NOT_VERIFIED
    assert type(said(market, buys("eve", (5,), 20))) is CallBlockAccepted
    assert said(Scenario("market", MARKET, at=NOW), GOOD).reason is R.MARKET_UNKNOWN


def test_blocks_are_collected_from_the_opening_to_the_call_of_their_one_session() -> None:
    market = open_market("bob", at=NOON - 151 * MINUTE, session_auction=SESSION)
    market.given(SessionOpened(MARKET, "z", NOON + 4 * QUARTER, 4, 15, 1))
    refusal = said(market, GOOD)
    assert (refusal.reason, refusal.limit) == (R.NOT_OPEN, NOON - 150 * MINUTE)
    market.later(NOON - 150 * MINUTE)
    assert type(said(market, GOOD)) is CallBlockAccepted
    assert said(market, replace(GOOD, profile_wh=(100,) * 5)).reason is R.NO_SESSION_AUCTION, "two sessions"
    market.later(CALLED)
    assert said(market, GOOD).reason is R.AUCTION_UNDERWAY
    market.later(CALLED + 10 * MINUTE)
    assert said(market, GOOD).reason is R.NO_SESSION_AUCTION
    assert said(open_market("bob"), GOOD).reason is R.NO_SESSION_AUCTION


def test_a_suspended_market_takes_no_block() -> None:
    market = world()
    market.when(SuspendTrading(None, None), OPERATOR)
    assert said(market, GOOD).reason is R.SUSPENDED


def test_a_limit_beyond_the_collar_is_a_slip() -> None:
    bands = TradingRules((), 20 * CENT, 5 * CENT, 0, 0, 5, 0)
    market = collecting("ann", trading=bands)
    refusal = said(market, buys("ann", (5,), 26))
    assert (refusal.reason, refusal.limit, refusal.found) == (R.PRICE_OUT_OF_COLLAR, 25 * CENT, 26 * CENT)
    assert type(said(market, buys("ann", (5,), 25))) is CallBlockAccepted


def test_a_book_of_a_quality_takes_no_block_that_sells() -> None:
    market = collecting("ann", "bob", quality=QualityRules((), (), 0, 1))
    assert said(market, sells("bob", (5,), 20)).reason is R.QUALITY_NOT_MET
    assert type(said(market, buys("ann", (5,), 20))) is CallBlockAccepted


def test_a_parent_is_the_partys_own() -> None:
    market = world()
    parent = said(market, sells("bob", (5,), 20))
    assert said(market, buys("ann", (5,), 20, parent=parent.block)).reason is R.PARENT_UNKNOWN
    assert type(said(market, buys("bob", (5,), 20, parent=parent.block))) is CallBlockAccepted


def test_a_session_holds_at_most_a_hundred_blocks() -> None:
    market = world()
    for _ in range(MAX_BLOCKS):
        assert type(said(market, buys("ann", (0.1,), 1))) is CallBlockAccepted
    refusal = said(market, buys("ann", (0.1,), 1))
    assert (refusal.reason, refusal.limit, refusal.found) == (R.TOO_MANY_BLOCKS, 100, 101)


def test_a_block_takes_capability_of_each_delivery() -> None:
    market = world()
    block = said(market, sells("fay", (10, 0, 4), 90))
    assert used_wh(market, "fay") == [10 * KWH, 0, 4 * KWH, 0]
    refusal = said(market, sells("fay", (0, 10, 7), 90))
    assert (refusal.reason, refusal.limit, refusal.found) == (R.CAPABILITY_EXCEEDED, 10 * KWH, 11 * KWH)
    lower = LowerCapability("r", "fay-cp", "fay", 20_000, ("fay-pv",), None, None, (), None)
    assert type(market.when(lower, POLICY)[0]) is CapabilityRetained
    market.when(CancelCallBlock(block.block), "fay")
    assert used_wh(market, "fay") == [0, 0, 0, 0]


def test_blocks_that_exclude_each_other_take_the_most_that_one_would() -> None:
    market = world()
    first = said(market, sells("fay", (10, 2), 90, exclusive_group="g"))
    second = said(market, sells("fay", (4, 10), 90, exclusive_group="g"))
    assert used_wh(market, "fay", 2) == [10 * KWH, 10 * KWH]
    assert said(market, sells("fay", (1,), 90)).reason is R.CAPABILITY_EXCEEDED
    assert type(said(market, sells("bob", (10,), 90, exclusive_group="g"))) is CallBlockAccepted, "groups are a party's"
    market.when(CancelCallBlock(first.block), "fay")
    assert used_wh(market, "fay", 2) == [4 * KWH, 10 * KWH]
    market.when(CancelCallBlock(second.block), "fay")
    assert (used_wh(market, "fay", 2), exposed_pico(market, "fay")) == ([0, 0], 0)


def test_a_block_takes_credit_for_all_of_it() -> None:
    market = world()
    refusal = said(market, buys("gus", (10,), 11))
    assert (refusal.reason, refusal.limit, refusal.found) == (R.CREDIT_EXCEEDED, EURO_MICRO, 1_100_000)
    assert type(said(market, buys("gus", (10,), 10))) is CallBlockAccepted
    assert exposed_pico(market, "gus") == EURO_MICRO * PICO_PER_MICRO
    market.given(CreditRecorded(MARKET, "gus", "EUR", 2 * EURO_MICRO))
    refusal = said(market, sells("gus", (10,), 39))
    assert (refusal.reason, refusal.found) == (R.CREDIT_EXCEEDED, 2_100_000), "replacing it is assumed to cost 50"


def test_what_excludes_each_other_takes_the_credit_of_the_dearest() -> None:
    market = world()
    for cents in (4, 10, 7):
        assert type(said(market, buys("gus", (10,), cents, exclusive_group="g"))) is CallBlockAccepted
    assert exposed_pico(market, "gus") == EURO_MICRO * PICO_PER_MICRO


def test_what_excludes_each_other_takes_its_credit_once_whenever_it_is_delivered() -> None:
    """The same purchase now or later: gus has credit for one of them."""
    market = world()
    for n in range(3):
        wish = buys("gus", (10,), 10, start=NOON + n * QUARTER, exclusive_group="g")
        assert type(said(market, wish)) is CallBlockAccepted
    assert exposed_pico(market, "gus") == EURO_MICRO * PICO_PER_MICRO
    market.later(CALLED)
    market.later(CALLED + 10 * MINUTE)
    assert exposed_pico(market, "gus") == 0


def test_the_credit_of_several_deliveries_is_that_of_their_worst_prices() -> None:
    """At -100 and 100 the mean may be 10: 55 % are bought at 100, and a negative price makes no credit."""
    market = world()
    said(market, buys("ann", (10, 10), 10))
    assert exposed_pico(market, "ann") == 20 * KWH * 55 * CENT


@settings(max_examples=300, deadline=None)
@given(st.data(), st.booleans(), st.integers(-20, 30), st.sampled_from([0, 7, 190_000]))
def test_no_prices_with_that_mean_cost_more(data: st.DataObject, buys_: bool, assumed: int, tax_ppm: int) -> None:
    held = rules(
        min_price_nano_per_kwh=-20,
        max_price_nano_per_kwh=30,
        tick_nano_per_kwh=1,
        assumed_price_nano_per_kwh=assumed,
        credit=CreditRules(3, tax_ppm, 0, 0, 0) if tax_ppm else None,
    )
    legs = data.draw(st.lists(st.tuples(st.integers(-20, 30), st.integers(1, 9)), min_size=1, max_size=5))
    worth, energy = sum(price * wh for price, wh in legs), sum(wh for _, wh in legs)
    limit = data.draw(st.integers(-(-worth // energy), 30) if buys_ else st.integers(-20, worth // energy))
    cost = sum(wh * open_pico_per_wh(held, buys_, price) for price, wh in legs)
    assert cost <= energy * worst_pico_per_wh(held, buys_, limit)


def test_a_block_is_taken_back_by_its_owner_with_what_is_linked_to_it() -> None:
    market = world()
    parent = said(market, sells("bob", (5,), 20))
    child = said(market, sells("bob", (5,), 20, parent=parent.block))
    other = said(market, sells("bob", (5,), 20))
    grandchild = said(market, sells("bob", (5,), 20, parent=child.block))
    assert market.when(CancelCallBlock("x"), "bob")[0].reason is R.BLOCK_UNKNOWN
    assert market.when(CancelCallBlock(parent.block), "ann")[0].reason is R.NOT_AUTHORISED
    [gone] = market.when(CancelCallBlock(parent.block), "bob")
    assert (gone.reason, gone.blocks) == (CancelReason.OWNER, (parent.block, child.block, grandchild.block))
    assert used_wh(market, "bob")[0] == 5 * KWH
    assert market.when(CancelCallBlock(child.block), "bob")[0].reason is R.BLOCK_UNKNOWN
    assert type(market.when(CancelCallBlock(other.block), "bob")[0]) is CallBlocksEnded
    empty = Scenario("market", MARKET, at=NOW)
    assert empty.when(CancelCallBlock("x"), "bob")[0].reason is R.MARKET_UNKNOWN


def test_call_blocks_go_with_all_orders_of_a_party() -> None:
    market = world()
    sold = said(market, sells("bob", (5,), 20))
    bought = said(market, buys("bob", (5,), 10))
    other = said(market, buys("ann", (5,), 10))
    [gone] = market.when(CancelOrders("bob", None, None, Side.BUY), "bob")
    assert (gone.reason, gone.blocks) == (CancelReason.MASS_CANCELLATION, (bought.block,))
    [gone] = market.when(CancelOrders("bob", None, None, None), OPERATOR)
    assert gone.blocks == (sold.block,)
    [auction] = market.state.session_auctions.known.values()
    assert list(auction.blocks) == [other.block]


def test_of_an_accepted_block_only_what_is_accepted_stays_reserved() -> None:
    """Half of the block is accepted; what it excluded, and its rest, is free with the result."""
    market = collecting(intervals=1)
    submit(market, buy("ann", 5, 40))
    half = said(market, sells("bob", (10,), 20, minimum_ppm=500_000, exclusive_group="g"))
    out = said(market, sells("bob", (8,), 90, exclusive_group="g"))
    assert used_wh(market, "bob", 1) == [10 * KWH]
    facts = market.later(CALLED)
    facts = cleared(market, facts)
    [filled] = only(facts, CallBlockFilled)
    assert (filled.block, filled.accepted_ppm, filled.quantities_wh) == (half.block, 500_000, (5 * KWH,))
    assert [gone.blocks for gone in only(facts, CallBlocksEnded)] == [(out.block,)]
    assert used_wh(market, "bob", 1) == [5 * KWH]
    assert exposed_pico(market, "bob") == 5 * KWH * 10 * CENT, "sold at 40, and replacing it is assumed to cost 50"


MARGIN = CreditRules(0, 0, 5, 60 * CENT, 0)


def lowered(market: Scenario, party: str) -> list[Any]:
    return market.when(RecordCredit(OPERATOR, party, "EUR", 0), POLICY) + market.later(market.at)


def test_a_default_ends_the_call_blocks_of_the_party() -> None:
    market = collecting("ann", "bob", credit=MARGIN)
    held = said(market, buys("ann", (5, 5), 30))
    child = said(market, buys("ann", (5, 5), 30, parent=held.block))
    other = said(market, buys("bob", (5, 5), 30))
    assert len(only(lowered(market, "ann"), MarginCalled)) == 1
    facts = market.later(NOW + 5 * MINUTE)
    [gone] = only(facts, CallBlocksEnded)
    assert (gone.reason, gone.blocks) == (CancelReason.DEFAULT, (held.block, child.block))
    assert type(facts[-1]) is DefaultSettled
    [auction] = market.state.session_auctions.known.values()
    assert list(auction.blocks) == [other.block]


def test_a_default_waits_for_the_end_of_an_auction() -> None:
    market, facts = called(
        buy("ann", 5, 40), buys("ann", (5,), 35), buy("ann", 1, 1), sells("cyd", (10,), 30), intervals=1, credit=MARGIN
    )
    assert len(only(lowered(market, "ann"), MarginCalled)) == 1
    told = market.later(CALLED + 5 * MINUTE)
    assert [type(fact) for fact in told] == [ParticipantDefaulted]
    facts = cleared(market, facts)
    ended = next(n for n, fact in enumerate(facts) if type(fact) is SessionAuctionEnded)
    assert only(facts[:ended], OrdersCancelled) == []
    assert {trade.buyer for trade in only(facts[:ended], TradeMade)} == {"ann"}
    [gone] = only(facts[ended:], OrdersCancelled)
    assert (gone.reason, gone.rests_wh) == (CancelReason.DEFAULT, (KWH,))
    assert len(only(facts, DefaultSettled)) == 1
    assert market.later(GATE - 1) == []


def test_an_order_and_a_block_have_one_row_of_numbers() -> None:
    market = world()
    said(market, buys("ann", (5,), 10))
    [accepted] = only(submit(market, buy("ann", 1, 10)), OrderAccepted)
    assert accepted.sequence == 2
