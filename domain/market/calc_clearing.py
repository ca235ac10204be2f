"""The clearing of hundred thousands of offers: what `clearing.clear` says, in arrays of integers.

The library of arrays is imported with the first calculation: processes that only decide do not pay for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from domain.market.clearing import AuctionRules, Clearing, Level, Offer, price_in
from schemas.market.auction_events import Rationing
from schemas.values import INT64_MAX

if TYPE_CHECKING:
    from numpy import bool_, int64
    from numpy.typing import NDArray

    Integers = NDArray[int64]
    Flags = NDArray[bool_]

SAMPLE: Final = 2_048
"""Prices that are sorted to guess where a book is cut."""

MARGIN: Final = SAMPLE // 32
"""Places of the sample on both sides of the guess between which the point is looked for."""

FEW: Final = 8 * SAMPLE
"""Offers that are sorted instead of guessed about."""


@dataclass(frozen=True, slots=True)
class Book:
    """The offers of a frozen book as columns, in the order of their sequence."""

    buys: "Flags"
    price_nano_per_kwh: "Integers"
    quantity_wh: "Integers"

    @classmethod
    def of(cls, offers: Sequence[Offer]) -> "Book":
        """The same offers as columns."""
        import numpy as np

        return cls(
            np.array([offer.buys for offer in offers], dtype=bool),
            np.array([offer.price_nano_per_kwh for offer in offers], dtype=np.int64),
            np.array([offer.quantity_wh for offer in offers], dtype=np.int64),
        )


def clear_book(book: Book, rules: AuctionRules) -> tuple[Clearing, "Integers"]:
    """The clearing of a book and the filled Wh of every offer. The sum of all quantities must fit 63 bits."""
    import numpy as np

    price, quantity, buys = book.price_nano_per_kwh, book.quantity_wh, book.buys
    total = int(quantity.sum())
    asked = total - int(np.dot(buys, quantity))
    interval = None if asked in (0, total) else _around(price, quantity, asked)
    if interval is None:
        return Clearing(None, 0, 0), np.zeros_like(quantity)
    at = price_in(*interval, rules)
    # An offer is better than the price if it buys above it or sells below it.
    above, level = price > at, price == at
    better = np.where(above == buys, quantity, 0)
    better[level] = 0
    places = np.flatnonzero(level)
    level_buys = buys[places]
    here = {True: places[level_buys], False: places[~level_buys]}
    bought_better = int(np.dot(buys, better))
    sold_better = int(better.sum()) - bought_better
    bought, sold = (
        most + int(quantity[here[side]].sum()) for most, side in ((bought_better, True), (sold_better, False))
    )
    volume = min(bought, sold)
    if not volume:
        return Clearing(None, 0, 0), np.zeros_like(quantity)
    levels = []
    for side, filled in ((True, volume - bought_better), (False, volume - sold_better)):
        level_quantity = quantity[here[side]]
        found, fills = _rationed(level_quantity, filled, rules)
        better[here[side]] = fills
        levels.append(found)
    return Clearing(at, volume, volume, *levels), better


def _around(price: "Integers", quantity: "Integers", ahead: int) -> tuple[int, int]:
    """The prices on both sides of the point that lies `ahead` Wh into the row from the dearest to the cheapest.

    A sorted sample says between which two prices it should be; what is outside is counted and left out, until
    few are left. Wherever the point turns out to be, that part is kept.
    """
    import numpy as np

    highest, lowest = int(price.max()), int(price.min())  # nearest known prices outside of what is left
    margin = MARGIN
    while len(price) > FEW:
        step = len(price) // SAMPLE
        order = np.argsort(-price[::step], kind="stable")
        sample, weight = price[::step][order], np.cumsum(quantity[::step][order])
        place = int(np.searchsorted(weight, ahead * int(weight[-1]) // int(quantity.sum())))
        upper, lower = int(sample[max(0, place - margin)]), int(sample[min(len(sample) - 1, place + margin)])
        over, under = price > upper, price < lower
        over_wh, under_wh = int(np.dot(over, quantity)), int(np.dot(under, quantity))
        inside_wh = int(quantity.sum()) - over_wh - under_wh
        if ahead < over_wh:
            keep = over
            lowest = upper
        elif ahead > over_wh + inside_wh:
            keep = under
            highest = lower
            ahead -= over_wh + inside_wh
        else:
            keep = ~(over | under)
            if over_wh:
                highest = int(price[over].min())
            if under_wh:
                lowest = int(price[under].max())
            ahead -= over_wh
            if upper == lower:
                price, quantity = price[keep], quantity[keep]
                break
        if 2 * int(np.count_nonzero(keep)) > len(price):
            margin = 0  # few prices, many alike: one of them at a time
        price, quantity = price[keep], quantity[keep]
    order = np.argsort(-price, kind="stable")
    price, reached = price[order], np.cumsum(quantity[order])
    place = int(np.searchsorted(reached, ahead, side="left"))
    upper = highest if not ahead else int(price[place])
    behind = int(np.searchsorted(reached, ahead, side="right"))
    return (int(price[behind]) if behind < len(price) else lowest), upper


def _rationed(quantity: "Integers", filled_wh: int, rules: AuctionRules) -> tuple[Level, "Integers"]:
    """What a level holds, and the fill of each of its offers."""
    import numpy as np

    total = int(quantity.sum())
    if rules.rationing is Rationing.TIME:
        before = np.cumsum(quantity) - quantity
        return Level(total, filled_wh), np.clip(filled_wh - before, 0, quantity)
    lot = rules.lot_wh
    lots, all_lots, filled = quantity // lot, max(1, total // lot), filled_wh // lot
    if len(lots) and filled * int(lots.max()) > INT64_MAX:
        lots = lots.astype(object)  # exact, and slow: integers of any size
    wished = lots * filled
    shares = wished // all_lots
    remainders = (wished - shares * all_lots).astype(np.int64)
    shares = shares.astype(np.int64)
    left = filled - int(shares.sum())
    if not left:
        return Level(total, filled_wh, int(remainders.max(initial=0)), 0), shares * lot
    cut = int(np.partition(remainders, len(remainders) - left)[len(remainders) - left])
    larger = remainders > cut
    at_cut = left - int(np.count_nonzero(larger))
    shares += larger
    shares[np.flatnonzero(remainders == cut)[:at_cut]] += 1
    return Level(total, filled_wh, cut, at_cut), shares * lot
