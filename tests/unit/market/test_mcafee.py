"""McAfee's auction: the vectors, and that a false price never pays."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.market.mcafee import UnitTrades, mcafee

# V-M5 of the rule book's annex V.1; prices doubled, so that a half is a whole number.
VECTORS = [
    ([100, 90, 80, 70, 60], [80, 85, 95, 100, 110], UnitTrades(2, 175, 175), 0),
    ([100, 90, 60], [20, 85, 95], UnitTrades(1, 180, 170), 10),
    ([50], [40], UnitTrades(0, 100, 80), 0),
    ([9, 8, 7, 4], [2, 3, 4, 5], UnitTrades(3, 9, 9), 0),
]


@pytest.mark.parametrize(("bids", "asks", "found", "surplus"), VECTORS)
def test_the_vectors_of_the_rule_book(bids: list[int], asks: list[int], found: UnitTrades, surplus: int) -> None:
    traded = mcafee([2 * bid for bid in bids], [2 * ask for ask in asks], 1)
    assert (traded, traded.surplus_nano_per_kwh()) == (found, surplus)


def test_without_a_willing_pair_there_is_no_price() -> None:
    assert mcafee([3, 2], [4], 1) == UnitTrades(0, None, None)
    assert mcafee([], [4], 1).surplus_nano_per_kwh() == 0


def gain(bids: list[int], asks: list[int], said: int, worth: int) -> int:
    """What the first bidder gains who says one price and is worth another; ties go against him."""
    traded = mcafee([said, *bids], asks, 1)
    dear = sorted(bids, reverse=True)
    trades = sum(bid >= said for bid in dear) < traded.trades
    return worth - (traded.buyer_pays_nano_per_kwh or 0) if trades else 0


units = st.lists(st.integers(-5, 20), max_size=6)


@settings(max_examples=300, deadline=None)
@given(units, units, st.integers(-5, 20), st.integers(-5, 20))
def test_a_false_price_never_pays_and_the_operator_never_does(
    bids: list[int], asks: list[int], said: int, worth: int
) -> None:
    assert gain(bids, asks, said, worth) <= gain(bids, asks, worth, worth)
    traded = mcafee([worth, *bids], asks, 1)
    assert traded.surplus_nano_per_kwh() >= 0
    willing = sum(b >= a for b, a in zip(sorted([worth, *bids], reverse=True), sorted(asks), strict=False))
    assert max(0, willing - 1) <= traded.trades <= willing
