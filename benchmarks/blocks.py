"""How long an auction with block orders takes: 1,000 simple orders in each of 96 intervals, 100 blocks with links and
exclusive groups; the result is judged by the integer check, and its gap is told."""

import sys
import time
from collections.abc import Iterator
from random import Random
from typing import Final

from benchmarks.figure import Figure
from domain.market.block_check import flaw_of
from domain.market.blocks import BlockAuction, BlockOrder
from domain.market.calc_blocks import solve
from domain.market.clearing import PPM, AuctionRules, Offer
from schemas.market.auction_events import Rationing

INTERVALS: Final = 96
ORDERS: Final = 1_000
"""Simple orders in each interval."""

BLOCKS: Final = 100
TARGET_S: Final = 30
LIMIT_S: Final = 20
"""Of the solver; the rest is for putting together what it says."""

_TICK: Final = 100_000
_LOT: Final = 100


def run() -> Iterator[Figure]:
    """Seconds to a result, and how far it may be from the best one."""
    auction = _auction(Random(2072))
    began = time.monotonic()
    result = solve(
        auction, LIMIT_S, lambda said: print(f"  {time.monotonic() - began:5.1f} s: {said}", file=sys.stderr)
    )
    seconds = time.monotonic() - began
    flaw = flaw_of(auction, result)
    if flaw is not None:
        raise AssertionError(f"the result is wrong: {flaw}")
    accepted = sum(1 for steps in result.steps if steps)
    print(f"  {accepted} of {BLOCKS} blocks, judged in {time.monotonic() - began - seconds:.1f} s", file=sys.stderr)
    if not 0 < accepted < BLOCKS:
        raise AssertionError(f"{accepted} blocks accepted: nothing to choose")
    yield Figure("blocks.solve", round(seconds, 1), "s", None, None, TARGET_S, seconds <= TARGET_S)
    yield Figure("blocks.gap", result.gap_ppm, "ppm")


def _auction(draw: Random) -> BlockAuction:
    """A day with a price that moves between 60 and 140; the blocks' limits are near what the day is worth to them."""
    books = []
    levels = [1_000 + round(400 * abs(n - 48) / 48) for n in range(INTERVALS)]
    for level in levels:
        book = []
        for n in range(ORDERS):
            buys = draw.random() < 0.5
            price = level + draw.randrange(-300, 301) + (40 if buys else -40)
            book.append(Offer(buys, price * _TICK, draw.randrange(1, 100) * _LOT, n))
        books.append(book)
    blocks: list[BlockOrder] = []
    for n in range(BLOCKS):
        first, length = draw.randrange(INTERVALS - 16), draw.randrange(4, 17)
        lots = draw.randrange(50, 400)
        profile = [0] * INTERVALS
        profile[first : first + length] = [lots * _LOT] * length
        worth = sum(levels[first : first + length]) // length
        buys = draw.random() < 0.4
        limit = worth + draw.randrange(-60, 61)
        minimum = draw.choice((PPM, PPM, PPM // 2))
        parent = draw.randrange(n) if n and n % 5 == 0 else None
        group = n // 10 if n % 10 in (1, 2, 3) else None
        blocks.append(BlockOrder(buys, limit * _TICK, tuple(profile), minimum, parent, group))
    rules = AuctionRules(_TICK, _LOT, 500_000, Rationing.TIME)
    return BlockAuction(rules, 0, 4_000 * _TICK, tuple(books), tuple(blocks))
