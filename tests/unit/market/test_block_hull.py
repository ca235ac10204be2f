"""Lines around the supporting prices: no price is outside of them, and each touches what it is drawn around."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.market.block_hull import Line, lower_lines, upper_lines
from domain.market.block_problem import row_of
from domain.market.clearing import Offer

OFFERS = st.lists(st.builds(Offer, st.booleans(), st.integers(-9, 9), st.integers(1, 4), st.just(0)), max_size=8)


def below(line: Line, net: int, price: int) -> int:
    """How far a price is below a line (< 0: above it), in parts of a tick."""
    return line.rise * net + line.at - line.run * price


@settings(max_examples=500, deadline=None)
@given(OFFERS, st.integers(-9, 0), st.integers(0, 9))
def test_the_prices_are_between_the_lines(offers: list[Offer], first: int, last: int) -> None:
    row, least, most = row_of(offers, 1, 1), -20, 20
    highs: dict[int, int] = {}
    lows: dict[int, int] = {}
    for net in range(first, last + 1):
        low, high = row.ends(net)
        lows[net], highs[net] = least if low is None else low, most if high is None else high
    for lines, prices, sign in (
        (upper_lines(row, first, last, most), highs, 1),
        (lower_lines(row, first, last, least), lows, -1),
    ):
        for line in lines:
            away = {net: sign * below(line, net, price) for net, price in prices.items()}
            assert min(away.values()) == 0, "tight, and nothing beyond it"
        for net in (first, last):
            ends: list[Any] = [line for line in lines if below(line, net, prices[net]) == 0]
            assert ends, "exact at both ends"
