"""How offers of several sellers are combined: cheapest first, then the earliest, each interval as far as possible."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from domain.market.enquiry_state import Offer
from domain.rounding import half_up
from schemas.values import MINUTE_US


@dataclass(frozen=True, slots=True)
class Combination:
    """What is taken of each offer, per interval; `quantity_wh` is the sum."""

    parts: tuple[tuple[Offer, tuple[int, ...]], ...]
    quantity_wh: tuple[int, ...]

    def average_nano_per_kwh(self) -> int:
        """The price of a kWh of it, rounded half-up to whole nano."""
        worth = sum(sum(taken) * offer.price_nano_per_kwh for offer, taken in self.parts)
        return half_up(worth, sum(self.quantity_wh))


def combine(asked_wh: Sequence[int], offers: Iterable[Offer]) -> Combination:
    """Fills what is asked from the offers; one of which nothing is needed is no part of it."""
    open_wh = list(asked_wh)
    parts = []
    for offer in sorted(offers, key=lambda offer: (offer.price_nano_per_kwh, offer.sequence)):
        taken = tuple(min(wh, left) for wh, left in zip(offer.quantity_wh, open_wh, strict=True))
        if any(taken):
            open_wh = [left - wh for left, wh in zip(open_wh, taken, strict=True)]
            parts.append((offer, taken))
    return Combination(tuple(parts), tuple(wh - left for wh, left in zip(asked_wh, open_wh, strict=True)))


def duration(first_start_at: int, interval_min: int, quantity_wh: Sequence[int]) -> tuple[int, tuple[int, ...]]:
    """The start of the first interval with energy, and the quantities from it to the last one with energy."""
    filled = [n for n, wh in enumerate(quantity_wh) if wh]
    first, last = filled[0], filled[-1]
    return first_start_at + first * interval_min * MINUTE_US, tuple(quantity_wh[first : last + 1])
