"""How long a call auction of a million orders takes, rationing included, beside numpy's sort of the same prices."""

import sys
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any, Final

import numpy as np

from benchmarks.figure import Figure
from domain.market.calc_clearing import Book, clear_book
from domain.market.clearing import AuctionRules
from schemas.market.auction_events import Rationing

ORDERS: Final = 1_000_000
LEVELS: Final = 100
"""Prices of a side: some 5,000 orders stand at the one that is rationed."""

ROUNDS: Final = 9
TARGET: Final = 3.0

_TICK: Final = 100_000
_LOT: Final = 100


def run() -> Iterator[Figure]:
    """The median of the rounds' ratios, for both ways of rationing."""
    book = _book()
    for rationing in Rationing:
        rules = AuctionRules(_TICK, _LOT, 500_000, rationing)
        clearing, filled = clear_book(book, rules)
        level = clearing.bids if clearing.bids.filled_wh < clearing.bids.quantity_wh else clearing.asks
        if not 0 < level.filled_wh < level.quantity_wh or int(filled.sum()) != 2 * clearing.bought_wh:
            raise AssertionError(f"nothing to ration: {clearing}")
        rounds = [(_seconds(_sorted, book), _seconds(clear_book, book, rules)) for _ in range(ROUNDS)]
        sort, cleared = (median(seconds) for seconds in zip(*rounds, strict=True))
        ratio = round(median(mine / theirs for theirs, mine in rounds), 2)
        beside = f"numpy's sort of the same prices: {1000 * sort:.1f} ms"
        print(f"  {rationing.value}: {clearing.bought_wh} Wh in {1000 * cleared:.1f} ms; {beside}", file=sys.stderr)
        name = f"auction.{rationing.value}"
        yield Figure(name, round(1000 * cleared, 1), "ms", beside, ratio, TARGET, ratio <= TARGET)


def _book() -> Book:
    draw = np.random.default_rng(2072)
    buys = draw.random(ORDERS) < 0.5
    price = (draw.integers(0, LEVELS, ORDERS) + np.where(buys, LEVELS // 10, 0)) * _TICK
    return Book(buys, price, draw.integers(1, 500, ORDERS) * _LOT)


def _sorted(book: Book) -> object:
    return np.sort(book.price_nano_per_kwh)


def _seconds(work: Callable[..., object], *about: Any) -> float:
    began = time.process_time()
    work(*about)
    return time.process_time() - began
