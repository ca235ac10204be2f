"""Call auctions by trying everything: no code of the product, whole numbers and fractions, small books only."""

from collections.abc import Sequence
from fractions import Fraction
from math import floor
from typing import NamedTuple


class Bid(NamedTuple):
    """An order of a small book: (buys, price, quantity); its place in the list is its time."""

    buys: bool
    price: int
    quantity: int


def largest_volume(book: Sequence[Bid]) -> int:
    """The largest volume that one price allows."""
    return max((min(willing(book, True, p), willing(book, False, p)) for p in {o.price for o in book}), default=0)


def willing(book: Sequence[Bid], buys: bool, price: Fraction | int) -> int:
    """What one side would trade at a price."""
    return sum(o.quantity for o in book if o.buys == buys and (o.price >= price if buys else o.price <= price))


def most_welfare(book: Sequence[Bid]) -> int:
    """The largest sum of (bid - ask), unit by unit."""
    bids = sorted((o.price for o in book if o.buys for _ in range(o.quantity)), reverse=True)
    asks = sorted(o.price for o in book if not o.buys for _ in range(o.quantity))
    return sum(max(0, b - a) for b, a in zip(bids, asks, strict=False))


def leaves_all_content(book: Sequence[Bid], price: Fraction | int, fills: Sequence[int]) -> bool:
    """Nobody loses at the price, and nobody who is willing is left out for nothing."""
    for order, filled in zip(book, fills, strict=True):
        gain = order.price - price if order.buys else price - order.price
        if (filled and gain < 0) or (filled < order.quantity and gain > 0):
            return False
    return True


def supporting_prices(book: Sequence[Bid], fills: Sequence[int], grid: Sequence[Fraction]) -> list[Fraction]:
    """Those of a grid of prices that leave all content."""
    return [price for price in grid if leaves_all_content(book, price, fills)]


def by_time(quantities: Sequence[int], filled: int) -> list[int]:
    """The earlier first."""
    found = []
    for quantity in quantities:
        found.append(min(quantity, filled))
        filled -= found[-1]
    return found


def pro_rata(quantities: Sequence[int], filled: int, lot: int) -> list[int]:
    """Floors of the shares in lots; then a lot each to the largest remainders, the earlier first."""
    shares = [Fraction(filled * quantity, sum(quantities) * lot) for quantity in quantities]
    found = [floor(share) for share in shares]
    rest = filled // lot - sum(found)
    for place in sorted(range(len(shares)), key=lambda n: (found[n] - shares[n], n))[:rest]:
        found[place] += 1
    return [lots * lot for lots in found]


def expected(book: Sequence[Bid], lot: int, rationing: str) -> list[int]:
    """The fill of each order when the largest volume trades, whatever the price is."""
    volume = largest_volume(book)
    found = [0] * len(book)
    for buys in (True, False):
        left = volume
        prices = sorted({o.price for o in book if o.buys == buys}, reverse=buys)
        for price in prices:
            places = [n for n, o in enumerate(book) if o.buys == buys and o.price == price]
            quantities = [book[n].quantity for n in places]
            here = min(left, sum(quantities))
            parts = by_time(quantities, here) if rationing == "time" else pro_rata(quantities, here, lot)
            for n, part in zip(places, parts, strict=True):
                found[n] = part
            left -= here
    return found
