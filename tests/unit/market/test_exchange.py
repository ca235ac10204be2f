"""Any day: the product says what the naive exchange says, and keeps every limit after every single fact.

More days: `pytest tests/unit/market/test_exchange.py --seeds 500`.
"""

import random
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from schemas.market.commands import AmendOrder, CancelOrder
from schemas.market.events import Restriction, SelfTradeMode
from schemas.market.package_commands import CancelBlock, SubmitBlock
from schemas.market.package_events import BlocksCancelled
from schemas.values import Side
from tests.unit.given import only
from tests.unit.market import exchange_wishes as wishes
from tests.unit.market.exchange_day import WORLDS, Day
from tests.unit.market.exchange_wishes import WISHES
from tests.unit.market.world import CENT, GATE, NOON, QUARTER, buy, open_market, sell, submit, trades

STEPS = 120


def long_day(world: str, seed: int, steps: int = STEPS) -> Day:
    """A day until its deliveries are settled; a third of its wishes come behind a restart."""
    draw = random.Random(f"{world} {seed}")
    day = Day(WORLDS[world], draw.choice, restarts=True)
    for _ in range(steps):
        (wished,) = draw.choices(list(WISHES), list(WISHES.values()))
        wished(day)
        day.holds()
    day.wait((NOON + 4 * QUARTER - day.market.at) // 60_000_000)
    day.holds()
    day.settle()
    day.holds()
    day.ends()
    return day


@pytest.mark.parametrize("world", WORLDS)
def test_a_day_of_the_product_is_that_of_the_oracle(world: str, seeds: range) -> None:
    for seed in seeds:
        long_day(world, seed)


class Exchange(RuleBasedStateMachine):
    """The same wishes, drawn by what shrinks: a failure is told in few of them."""

    @initialize(world=st.sampled_from(list(WORLDS)), data=st.data())
    def opens(self, world: str, data: st.DataObject) -> None:
        self.data = data
        self.day = Day(WORLDS[world], lambda of: self.data.draw(st.sampled_from(list(of))), restarts=True)

    @rule(wished=st.sampled_from([*[wishes.order] * 6, *[wishes.amend] * 2, *WISHES]))
    def wish(self, wished: Callable[[Day], None]) -> None:
        wished(self.day)

    @invariant()
    def both_say_the_same(self) -> None:
        if hasattr(self, "day"):
            self.day.holds()

    def teardown(self) -> None:
        if hasattr(self, "day"):
            self.day.ends()


TestExchange = Exchange.TestCase
TestExchange.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)


@given(
    offers=st.lists(st.sampled_from(["bob", "cyd", "dan"]), min_size=2, max_size=8).flatmap(
        lambda who: st.tuples(st.just(list(enumerate(who))), st.permutations(list(enumerate(who))))
    ),
    kwh=st.integers(1, 20),
)
@settings(max_examples=50)
def test_the_order_of_arrival_matters_only_through_the_sequence(
    offers: tuple[list[tuple[int, str]], list[tuple[int, str]]], kwh: int
) -> None:
    """Of different prices any order of arrival gives the same trades; of one price, the sequence alone decides."""

    def bought(arriving: list[tuple[int, str]], apart: int) -> list[tuple[str, str, int, int]]:
        market = open_market("ann", "bob", "cyd", "dan")
        for n, party in arriving:
            submit(market, sell(party, 1 + n, 10 + apart * n))
        return trades(submit(market, buy("ann", kwh, 30)))

    first, other = offers
    assert bought(first, 1) == bought(other, 1)
    if kwh >= sum(n + 1 for n, _ in first):
        assert [(seller, q) for _, seller, q, _ in bought(other, 0)] == [(party, n + 1) for n, party in other]


def test_an_all_or_none_order_trades_when_its_owners_own_order_is_out_of_the_way() -> None:
    market = open_market("ann", "bob")
    (own,) = submit(market, sell("ann", 5, 10))
    submit(market, sell("bob", 5, 11))
    assert trades(submit(market, buy("ann", 5, 12, restriction=Restriction.AON))) == []
    market.when(CancelOrder(own.order), "ann")
    assert trades(market.later(market.at + 1)) == [("ann", "bob", 5, 11)]


def test_an_all_or_none_order_made_smaller_by_self_trade_prevention_is_looked_at_again() -> None:
    market = open_market("ann", "bob", self_trade=SelfTradeMode.DECREMENT)
    submit(market, sell("ann", 10, 10, restriction=Restriction.AON))
    submit(market, buy("bob", 6, 12))
    submit(market, buy("ann", 4, 11))
    assert trades(market.later(market.at + 1)) == [("bob", "ann", 6, 10)]


def test_what_is_looked_through_is_over_with_the_trade_that_ended_it() -> None:
    """An amended all-or-none order trades in its own decision: nothing is due any more."""
    market = open_market("ann", "bob")
    submit(market, sell("bob", 5, 12))
    (order,) = submit(market, buy("ann", 5, 10, restriction=Restriction.AON))
    assert trades(market.when(AmendOrder(order.order, 5000, 12 * CENT, None), "ann")) == [("ann", "bob", 5, 12)]
    assert market.later(market.at + 1) == []


def test_blocks_that_came_back_to_an_emptied_book_end_once_with_the_gate() -> None:
    """The first block of a book brings its gate's timer, also after the book was empty."""
    market = open_market("ann")
    wish = SubmitBlock("ann", "ann-cp", Side.BUY, NOON, 2, 15, 1000, CENT, Restriction.AON, None)
    (block,) = market.when(wish, "ann")
    market.when(CancelBlock(block.block), "ann")
    (block,) = market.when(wish, "ann")
    assert [f.blocks for f in only(market.later(GATE), BlocksCancelled)] == [(block.block,)]
