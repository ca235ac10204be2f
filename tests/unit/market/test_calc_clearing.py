"""The calculation over arrays says what the plain clearing says."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.market import calc_clearing
from domain.market.calc_clearing import Book, clear_book
from domain.market.clearing import AuctionRules, Offer, clear
from domain.market.clearing_check import ClearingCheck
from schemas.market.auction_events import Rationing

KWH = 1_000


rows = st.lists(st.tuples(st.booleans(), st.integers(-6, 9), st.integers(1, 9)), max_size=80)


@settings(max_examples=400, deadline=None)
@given(
    rows,
    st.sampled_from(Rationing),
    st.sampled_from((0, 400_000, 1_000_000)),
    st.sampled_from(((2, 0), (5, 1), (16, 4))),
    st.sampled_from((1, 10**6)),
)
def test_arrays_and_plain_integers_agree(
    rows: list[Any], rationing: Rationing, k_ppm: int, guess: tuple[int, int], large: int
) -> None:
    offers = [Offer(buys, price, lots * KWH * large, n) for n, (buys, price, lots) in enumerate(rows)]
    by = AuctionRules(1, KWH, k_ppm, rationing)
    with pytest.MonkeyPatch.context() as patch:  # so that the guessing works on small books, too
        patch.setattr(calc_clearing, "SAMPLE", guess[0])
        patch.setattr(calc_clearing, "FEW", guess[0])
        patch.setattr(calc_clearing, "MARGIN", guess[1])
        clearing, filled = clear_book(Book.of(offers), by)
    assert (clearing, filled.tolist()) == clear(offers, by)


def test_shares_beyond_64_bits_are_exact() -> None:
    offers = [Offer(True, 5, 10**10, n) for n in range(200)] + [
        Offer(False, 5, 3 * 10**9 + 1, 200 + n) for n in range(7)
    ]
    by = AuctionRules(1, 1, 0, Rationing.PRO_RATA)
    clearing, filled = clear_book(Book.of(offers), by)
    assert (clearing, filled.tolist()) == clear(offers, by)


def test_a_large_book_passes_the_check() -> None:
    draw = np.random.default_rng(2072)
    buys = draw.random(60_000) < 0.5
    prices = draw.integers(-50, 200, 60_000) + np.where(buys, 20, 0)
    book = Book(buys, prices, draw.integers(1, 40, 60_000) * KWH)
    offers = [
        Offer(*row, n)
        for n, row in enumerate(zip(buys.tolist(), prices.tolist(), book.quantity_wh.tolist(), strict=True))
    ]
    for rationing in Rationing:
        by = AuctionRules(1, KWH, 500_000, rationing)
        clearing, filled = clear_book(book, by)
        check = ClearingCheck(by, clearing)
        assert check.take(offers, filled.tolist()) is None
        assert check.finish(len(offers)) is None
        assert clearing.bought_wh > 0
