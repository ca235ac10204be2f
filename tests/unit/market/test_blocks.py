"""Block orders: no better acceptance has prices at which nobody loses, and the check sees what is wrong."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from math import gcd
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.market.block_check import flaw_of
from domain.market.block_problem import BlockProblem
from domain.market.blocks import BlockAuction, BlockFlaw, BlockOrder, flaw_of_steps, surplus_pico
from domain.market.calc_blocks import solve
from domain.market.clearing import AuctionRules, Clearing, Level, Offer
from schemas.market.auction_events import Rationing
from tests.unit.market import block_oracle
from tests.unit.market.auction_oracle import Bid
from tests.unit.market.block_oracle import Block

MWH = 1_000_000
RULES = AuctionRules(1, MWH, 500_000, Rationing.TIME)
PRICES = range(-30, 331)


def auction_of(books: Sequence[Sequence[Bid]], blocks: Sequence[Block], prices: range = PRICES) -> BlockAuction:
    """A tiny auction in the product's words: one lot is an MWh."""
    return BlockAuction(
        RULES,
        prices[0],
        prices[-1],
        tuple([Offer(o.buys, o.price, o.quantity * MWH, n) for n, o in enumerate(book)] for book in books),
        tuple(
            BlockOrder(
                b.buys, b.price, tuple(q * MWH for q in b.profile), int(b.minimum * 1_000_000), b.parent, b.group
            )
            for b in blocks
        ),
    )


def ratios_of(auction: BlockAuction, steps: Sequence[int]) -> tuple[Fraction, ...]:
    """The accepted share of each block."""
    return tuple(
        Fraction(n, gcd(*(q // MWH for q in block.profile_wh))) for block, n in zip(auction.blocks, steps, strict=True)
    )


FIG_5D = [[Bid(True, 300, 10), Bid(True, 10, 14), Bid(False, 100, 12)]]
FIG_5D_BLOCK = Block(False, 40, (13,), Fraction(11, 13))


def test_v_m7_a_block_that_would_lose_stays_out_although_more_would_be_gained() -> None:
    """Bichler et al., fig. 5d: with the block 2570 would be gained, at a price of 10 and a loss for the block."""
    auction = auction_of(FIG_5D, [FIG_5D_BLOCK])
    result = solve(auction)
    assert (result.steps, result.welfare_pico // MWH, result.gap_ppm) == ((0,), 2000, 0)
    assert result.clearings[0].price_nano_per_kwh == 100
    assert result.clearings[0].bought_wh == 10 * MWH
    assert flaw_of(auction, result) is None
    free = replace(auction, blocks=(replace(auction.blocks[0], limit_price_nano_per_kwh=10),))
    assert solve(free).steps != (0,)


@pytest.mark.parametrize("minimum", [1_000_000, 500_000])
def test_of_many_unlike_blocks_that_exclude_each_other_the_best_is_accepted(minimum: int) -> None:
    """Their sizes have no common part: what all of them divide is beyond a solver's numbers."""
    sizes = (97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151)
    blocks = tuple(BlockOrder(False, 1, (n * MWH,), minimum, None, 0) for n in sizes)
    book = [Offer(True, 10, 300 * MWH, 0), Offer(True, 5, 5000 * MWH, 1)]
    auction = BlockAuction(RULES, PRICES[0], PRICES[-1], (book,), blocks)
    result = solve(auction)
    assert flaw_of(auction, result) is None
    assert (result.steps, result.gap_ppm) == ((0,) * 11 + (151,), 0)


def test_a_group_of_great_sizes_is_accepted_once_together() -> None:
    books = (
        [Offer(True, 12, 132_955_314, 0), Offer(True, 0, 586_174_347, 1), Offer(False, 4, 10_804_209, 2)],
        [Offer(True, 10, 55_939_387, 0), Offer(False, -2, 679_895_568, 1), Offer(False, 8, 544_874_566, 2)],
    )
    blocks = (
        BlockOrder(False, 0, (236_062_967, 0), 1_000_000, None, 0),
        BlockOrder(True, 6, (0, 97_558_360), 333_333, None, 0),
    )
    auction = BlockAuction(replace(RULES, lot_wh=1), PRICES[0], PRICES[-1], books, blocks)
    assert flaw_of(auction, solve(auction)) is None


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_what_a_solver_says_a_little_wrong_is_put_right(data: st.DataObject) -> None:
    blocks = []
    for n in range(data.draw(st.integers(1, 5))):
        size, least = data.draw(st.integers(1, 9)), data.draw(st.sampled_from([0, 400_000, 1_000_000]))
        parent = data.draw(st.sampled_from([None, *range(n)]))
        blocks.append(BlockOrder(True, 5, (size * MWH,), least, parent, data.draw(st.sampled_from([None, 0, 1]))))
    auction = BlockAuction(RULES, PRICES[0], PRICES[-1], ([],), tuple(blocks))
    said = tuple(data.draw(st.integers(0, block.profile_wh[0] // MWH)) for block in blocks)
    found = BlockProblem(auction).lawful(said)
    assert flaw_of_steps(auction, found) is None
    assert all(0 <= n <= before for n, before in zip(found, said, strict=True))
    assert (found == said) is (flaw_of_steps(auction, said) is None)


@pytest.mark.parametrize(
    ("profile", "prices", "surplus"),
    [
        ((100, 100), (41, 50), 100),
        ((100, 100), (39, 50), -100),
        ((100, 100), (40, 50), 0),
        ((100, 900), (40, 50), 4000),
    ],
)
def test_v_m7_the_surplus_of_a_profile_block(profile: Any, prices: Any, surplus: int) -> None:
    block = BlockOrder(False, 45, tuple(q * MWH for q in profile), 1_000_000)
    steps = {(100, 100): 100, (100, 900): 100}[profile]
    assert surplus_pico(block, steps, MWH, prices) == surplus * MWH


def test_a_surplus_of_exactly_zero_is_accepted() -> None:
    books = [[Bid(True, 40, 2), Bid(False, 90, 2)], [Bid(True, 50, 2), Bid(False, 90, 2)]]
    auction = auction_of(books, [Block(False, 45, (2, 2), Fraction(1))])
    result = solve(auction)
    assert result.steps == (2,)
    assert [c.price_nano_per_kwh for c in result.clearings] == [40, 50]
    assert flaw_of(auction, result) is None


def test_of_equal_blocks_the_earlier_is_accepted() -> None:
    books = [[Bid(True, 9, 2)]]
    twin = Block(False, 4, (2,), Fraction(1))
    assert solve(auction_of(books, [twin, twin, twin])).steps == (2, 0, 0)


def test_a_child_needs_its_parent_and_of_a_group_only_one_is_whole() -> None:
    books = [[Bid(True, 9, 3), Bid(False, 8, 1)]]
    linked = [Block(False, 20, (1,), Fraction(1)), Block(False, 1, (1,), Fraction(1), parent=0)]
    assert solve(auction_of(books, linked)).steps == (0, 0)
    exclusive = [Block(False, 2, (1,), Fraction(1), group=1), Block(False, 1, (1,), Fraction(1), group=1)]
    assert solve(auction_of(books, exclusive)).steps == (0, 1)


def profiles(intervals: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*[st.integers(0, 3)] * intervals).filter(any)


@st.composite
def auctions(draw: st.DrawFn) -> tuple[list[list[Bid]], list[Block]]:
    """Two intervals at most, three blocks at most, with links, groups and ratios."""
    intervals = draw(st.integers(1, 2))
    bid = st.builds(Bid, st.booleans(), st.integers(0, 8), st.integers(1, 3))
    books = [draw(st.lists(bid, max_size=4)) for _ in range(intervals)]
    blocks = []
    for n in range(draw(st.integers(1, 3))):
        profile = draw(profiles(intervals))
        if draw(st.booleans()):
            profile = tuple(2 * q for q in profile)
        parent = draw(st.sampled_from([None, *range(n)]))
        group = draw(st.sampled_from([None, None, 1]))
        minimum = draw(st.sampled_from([Fraction(1), Fraction(1), Fraction(1, 2), Fraction(0)]))
        blocks.append(Block(draw(st.booleans()), draw(st.integers(0, 8)), profile, minimum, parent, group))
    return books, blocks


@settings(max_examples=300, deadline=None)
@given(auctions())
def test_no_other_acceptance_gains_more(auction: Any) -> None:
    books, blocks = auction
    prices = range(-2, 12)
    asked = auction_of(books, blocks, prices)
    welfare, ratios = block_oracle.best(books, blocks, prices)
    result = solve(asked)
    assert (result.welfare_pico // MWH, ratios_of(asked, result.steps)) == (welfare, ratios)
    assert (result.bound_pico, result.gap_ppm) == (result.welfare_pico, 0)
    assert flaw_of(asked, result) is None
    assert solve(asked) == result


@settings(max_examples=300, deadline=None)
@given(auctions(), st.data())
def test_what_is_moved_does_not_pass_the_check(auction: Any, data: st.DataObject) -> None:
    asked = auction_of(auction[0], auction[1], range(-2, 12))
    result = solve(asked)
    n = data.draw(st.integers(0, len(asked.books) - 1))
    cleared = result.clearings[n]
    filled = [list(row) for row in result.fills]
    moved = [
        replace(result, steps=tuple(n + 1 for n in result.steps)),
        replace(result, welfare_pico=result.welfare_pico - MWH),
        replace(result, bound_pico=result.welfare_pico - 1),
        replace(result, gap_ppm=1),
        replace(result, clearings=result.clearings[:-1]),
    ]
    if filled[n]:
        filled[n][data.draw(st.integers(0, len(filled[n]) - 1))] += data.draw(st.sampled_from((-MWH, MWH)))
        moved.append(replace(result, fills=tuple(filled)))
    other = 3 if cleared.price_nano_per_kwh is None else cleared.price_nano_per_kwh + 30
    clearings = list(result.clearings)
    clearings[n] = replace(cleared, price_nano_per_kwh=other)
    moved.append(replace(result, clearings=tuple(clearings)))
    for proposal in moved:
        assert flaw_of(asked, proposal) is not None


def test_each_flaw_of_a_block_auction_is_named() -> None:
    books = [[Bid(True, 9, 4), Bid(False, 8, 1)]]
    blocks = [
        Block(False, 2, (2,), Fraction(1), group=1),
        Block(False, 3, (2,), Fraction(1), group=1),
        Block(False, 8, (1,), Fraction(1), parent=1),
    ]
    auction = auction_of(books, blocks)
    right = solve(auction)
    assert (right.steps, flaw_of(auction, right)) == ((2, 0, 0), None)

    def flaw(**moved: Any) -> BlockFlaw | None:
        return flaw_of(auction, replace(right, **moved))

    assert flaw(fills=()) is BlockFlaw.LIST
    assert flaw(steps=(1, 0, 0)) is BlockFlaw.RATIO
    assert flaw(steps=(2, 0, 1)) is BlockFlaw.LINK
    assert flaw(steps=(2, 2, 0)) is BlockFlaw.GROUP
    assert flaw(steps=(0, 0, 0)) is BlockFlaw.BALANCE
    assert flaw(fills=((0, 0),)) is BlockFlaw.FILL
    assert flaw(clearings=(replace(right.clearings[0], bought_wh=0),)) is BlockFlaw.FILL
    assert flaw(welfare_pico=right.welfare_pico + 1) is BlockFlaw.WELFARE
    empty = auction_of([[Bid(True, 9, 4), Bid(False, 8, 1)]], [])
    nothing = replace(solve(empty), clearings=(Clearing(None, 0, 0),), fills=((0, 0),))
    assert flaw_of(empty, nothing) is BlockFlaw.VOLUME
    assert flaw(clearings=(replace(right.clearings[0], price_nano_per_kwh=10),)) is BlockFlaw.FILL


def test_a_block_that_loses_and_a_price_that_nobody_needs_do_not_pass() -> None:
    dear = auction_of([[Bid(True, 1, 3)]], [Block(False, 2, (2,), Fraction(1))])
    cheap = solve(replace(dear, blocks=(replace(dear.blocks[0], limit_price_nano_per_kwh=1),)))
    assert cheap.steps == (2,)
    assert flaw_of(dear, cheap) is BlockFlaw.SURPLUS
    free = auction_of([[Bid(True, 9, 2)]], [Block(False, 2, (2,), Fraction(1))])
    result = solve(free)
    assert result.clearings[0].price_nano_per_kwh == 9
    lower = replace(result.clearings[0], price_nano_per_kwh=8, bids=Level())
    assert flaw_of(free, replace(result, clearings=(lower,))) is BlockFlaw.PRICE
    outside = replace(lower, price_nano_per_kwh=-31)
    assert flaw_of(free, replace(result, clearings=(outside,))) is BlockFlaw.PRICE
