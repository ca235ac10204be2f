"""Whole session auctions beside trying every acceptance and every price; limits hold after every fact."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pickle import dumps, loads
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.market.session_auctions import CALCULATOR
from schemas.market.auction_events import Rationing
from schemas.market.events import ContractConcluded, Phase, TradeMade
from schemas.market.session_events import (
    CallBlockAccepted,
    CallBlockFilled,
    CallBlocksEnded,
    SessionAuctionCleared,
    SessionAuctionEnded,
    SessionAuctionFailed,
    SessionBookChecked,
)
from schemas.values import Side
from tests.unit.given import MINUTE, Scenario, only
from tests.unit.market import block_oracle
from tests.unit.market.auction_oracle import Bid
from tests.unit.market.block_oracle import Block
from tests.unit.market.session_world import CALLED, SESSION, block, collecting, proposals
from tests.unit.market.test_blocks import auctions
from tests.unit.market.world import CENT, EURO_MICRO, KWH, MARKET, NOON, QUARTER, joined, order, submit
from tests.unit.written import only_judges, rebuilt

PRICES = range(-2, 12)
TRADERS = ("ann", "cyd", "dan")
RANGE = {
    "min_price_nano_per_kwh": PRICES[0] * CENT,
    "max_price_nano_per_kwh": PRICES[-1] * CENT,
    "tick_nano_per_kwh": CENT,
    "lot_wh": KWH,
    "assumed_price_nano_per_kwh": 6 * CENT,
}


class Watched(Scenario):
    """A market in which nobody is beyond a limit after any fact."""

    def watch(self) -> None:
        """Everybody is within credit, and every connection within its capability."""
        for party, account in self.state.accounts.items():
            assert 0 <= account.exposure_pico <= account.limit_micro * 10**6, party
        for slot in self.state.slots.values():
            for connection, used_wh in slot.used_wh.items():
                assert used_wh <= self.state.connections[connection].injection_w // 4, connection

    def _evolve(self, body: Any) -> None:
        super()._evolve(body)
        if self.state.connections:
            self.watch()


def collected(
    books: Sequence[Sequence[Bid]], blocks: Sequence[Block], watched: bool = True, **changes: Any
) -> tuple[Scenario, list[str]]:
    """The offers of a tiny auction as orders and call blocks of a market; a lot is a kWh, a price cents."""
    made = collecting(*TRADERS, intervals=len(books), **{**RANGE, **changes})
    market = Watched("market", MARKET, at=made.at) if watched else Scenario("market", MARKET, at=made.at)
    market.given(*made.facts)
    # Exactly what all blocks may need at worst, one beside the other.
    energy = max((sum(b.profile[n] for b in blocks if not b.buys) for n in range(len(books))), default=0)
    market.given(*joined("bob", injection_w=energy * 4 * KWH, credit_micro=50 * EURO_MICRO))
    for n, book in enumerate(books):
        for place, bid in enumerate(book):
            side = Side.BUY if bid.buys else Side.SELL
            submit(market, order(TRADERS[place % 3], side, bid.quantity, bid.price, start=NOON + n * QUARTER))
    names: list[str] = []
    for b in blocks:
        more: dict[str, Any] = {"minimum_ppm": int(b.minimum * 1_000_000)}
        if b.parent is not None:
            more["parent"] = names[b.parent]
        if b.group is not None:
            more["exclusive_group"] = str(b.group)
        wish = block("bob", Side.BUY if b.buys else Side.SELL, b.profile, b.price, **more)
        [accepted] = only_judges(market, wish, "bob")
        assert type(accepted) is CallBlockAccepted, accepted
        names.append(accepted.block)
    return market, names


def run(market: Scenario) -> list[Any]:
    """The auction from its call to its end; the calculation proposes, the market checks."""
    facts = market.later(CALLED)
    found: list[Any] = []
    for part in proposals(facts):
        found += only_judges(market, part, CALCULATOR)
    return found + market.later(market.at)


def check(market: Scenario, names: Sequence[str], found: Sequence[Any]) -> tuple[int, tuple[Fraction, ...]]:
    """What must be so of every result; (welfare in cents, accepted share of each block)."""
    [result] = only(found, SessionAuctionCleared)
    assert type(found[-1]) is SessionAuctionEnded
    assert {i.phase for i in market.state.instruments.values()} == {Phase.CONTINUOUS}
    assert (market.state.session_auctions.known, result.gap_ppm) == ({}, 0)
    prices = {c.delivery_start_at: c.cleared.price_nano_per_kwh for c in only(found, SessionBookChecked)}
    made = only(found, TradeMade)
    assert all(trade.price_nano_per_kwh == prices[trade.delivery_start_at] for trade in made)
    assert sum(trade.quantity_wh for trade in made) == result.volume_wh
    assert [contract.trade for contract in only(found, ContractConcluded)] == [trade.trade for trade in made]
    listed = {f.block: f for f in only(market.facts, CallBlockAccepted)}
    filled = {f.block: f for f in only(found, CallBlockFilled)}
    gone = {name for fact in only(found, CallBlocksEnded) for name in fact.blocks}
    assert (filled.keys() | gone, filled.keys() & gone, result.accepted) == (set(names), set(), len(filled))
    shares = []
    for name in names:
        fact = filled.get(name)
        if fact is None:
            shares.append(Fraction(0))
            continue
        asked = listed[name]
        shares.append(Fraction(sum(fact.quantities_wh), sum(asked.profile_wh)))
        legs = zip(fact.starts_at, fact.orders, fact.quantities_wh, fact.prices_nano_per_kwh, strict=True)
        surplus = 0
        for start, leg, energy_wh, price in legs:
            traded = [t for t in made if leg in (t.buy_order, t.sell_order)]
            assert {t.delivery_start_at for t in traded} == {start}
            assert sum(t.quantity_wh for t in traded) == energy_wh
            surplus += energy_wh * (price - asked.limit_price_nano_per_kwh)
        assert (surplus if asked.side is Side.SELL else -surplus) >= 0, "an accepted block does not lose"
    return result.welfare_micro // 10_000, tuple(shares)


@settings(max_examples=250, deadline=None)
@given(auctions(), st.sampled_from(list(Rationing)))
def test_no_other_acceptance_gains_more(auction: Any, rationing: Rationing) -> None:
    books, blocks = auction
    market, names = collected(books, blocks, session=replace(SESSION, rationing=rationing))
    assert check(market, names, run(market)) == block_oracle.best(books, blocks, PRICES)


@settings(max_examples=6, deadline=None)
@given(auctions())
def test_a_restart_at_any_fact_changes_nothing(auction: Any) -> None:
    books, blocks = auction
    market, _ = collected(books, blocks, watched=False)
    for part in proposals(market.later(CALLED)):
        market.state = loads(dumps(rebuilt(market)))
        market.when(part, CALCULATOR)
    while step := list(market.decider.advance(market.state, market.now, 3)):
        market.state = loads(dumps(rebuilt(market)))
        market.given(*step)
    assert loads(dumps(rebuilt(market))) == loads(dumps(market.state))
    other, _ = collected(books, blocks, watched=False)
    run(other)
    assert market.facts == other.facts


@settings(max_examples=40, deadline=None)
@given(auctions(), st.integers(0, 3))
def test_without_a_whole_result_everything_is_free_again(auction: Any, parts: int) -> None:
    books, blocks = auction
    market, names = collected(books, blocks)
    for part in list(proposals(market.later(CALLED)))[: min(parts, len(books))]:
        market.when(part, CALCULATOR)
    facts = market.later(CALLED + 10 * MINUTE)
    assert len(only(facts, SessionAuctionFailed)) == 1
    assert {name for fact in only(facts, CallBlocksEnded) for name in fact.blocks} == set(names)
    assert market.state.account("bob").exposure_pico == 0
    assert all(not slot.used_wh.get("bob-cp", 0) for slot in market.state.slots.values())
