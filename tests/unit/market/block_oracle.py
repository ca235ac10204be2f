"""Block auctions by trying every acceptance and every price: no code of the product, tiny auctions only."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product
from math import gcd
from typing import NamedTuple

from tests.unit.market.auction_oracle import Bid


class Block(NamedTuple):
    """A block of a tiny auction: prices are whole numbers, `minimum` is the least ratio."""

    buys: bool
    price: int
    profile: tuple[int, ...]
    minimum: Fraction
    parent: int | None = None
    group: int | None = None


def acceptances(blocks: Sequence[Block]) -> Iterator[tuple[Fraction, ...]]:
    """Every combination of ratios that whole lots, minimum ratios, links and groups allow; the first accepts most."""
    choices = []
    for block in blocks:
        parts = gcd(*block.profile)
        ratios = [Fraction(n, parts) for n in range(parts, 0, -1)]
        choices.append([ratio for ratio in ratios if ratio >= block.minimum] + [Fraction(0)])
    for ratios in product(*choices):
        groups: dict[int, Fraction] = {}
        for block, ratio in zip(blocks, ratios, strict=True):
            if block.group is not None:
                groups[block.group] = groups.get(block.group, Fraction(0)) + ratio
        linked = all(b.parent is None or ratio <= ratios[b.parent] for b, ratio in zip(blocks, ratios, strict=True))
        if linked and all(total <= 1 for total in groups.values()):
            yield ratios


def cleared(book: Sequence[Bid], net_sold: int, prices: range) -> tuple[int, list[int]] | None:
    """(welfare, supporting prices) of the simple orders when blocks sell so much more; none if it cannot be."""
    bids = sorted((o.price for o in book if o.buys for _ in range(o.quantity)), reverse=True)
    asks = sorted(o.price for o in book if not o.buys for _ in range(o.quantity))
    best: tuple[int, int] | None = None
    for bought in range(len(bids) + 1):
        sold = bought - net_sold
        if 0 <= sold <= len(asks):
            best = max((sum(bids[:bought]) - sum(asks[:sold]), bought), best or (-(10**9), 0))
    if best is None:
        return None
    welfare, bought = best
    sold = bought - net_sold
    content = [
        p
        for p in prices
        if all(b >= p for b in bids[:bought])
        and all(b <= p for b in bids[bought:])
        and all(a <= p for a in asks[:sold])
        and all(a >= p for a in asks[sold:])
    ]
    return welfare, content


def best(books: Sequence[Sequence[Bid]], blocks: Sequence[Block], prices: range) -> tuple[int, tuple[Fraction, ...]]:
    """The largest welfare with prices at which no accepted block loses; of equal ones the earliest accepted most."""
    found: tuple[int, tuple[Fraction, ...]] | None = None
    for ratios in acceptances(blocks):
        welfare = 0
        content = []
        for n, book in enumerate(books):
            net = sum((-1 if b.buys else 1) * b.profile[n] * r for b, r in zip(blocks, ratios, strict=True))
            one = cleared(book, int(net), prices)
            if one is None:
                break
            welfare += one[0]
            content.append(one[1])
        else:
            own = sum((1 if b.buys else -1) * b.price * sum(b.profile) * r for b, r in zip(blocks, ratios, strict=True))
            total = welfare + int(own)
            if (found is None or (total, ratios) > found) and suited(blocks, ratios, content):
                found = total, ratios
    assert found is not None
    return found


def suited(blocks: Sequence[Block], ratios: Sequence[Fraction], content: Sequence[Sequence[int]]) -> bool:
    """Whether some prices, one of each interval's, make no accepted block lose."""
    return any(
        all(
            not ratio
            or (-1 if b.buys else 1) * sum((p - b.price) * q for p, q in zip(row, b.profile, strict=True)) >= 0
            for b, ratio in zip(blocks, ratios, strict=True)
        )
        for row in product(*content)
    )
