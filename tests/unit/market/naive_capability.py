"""The capability rule in the plainest words: everything is counted anew from the first order; no code of the product.

A connection was told some power, of all time or of a window, with or without stored energy. What was told last of an
interval holds. Sold, open for sale, less bought may not be more, and storage may never be drawn below empty.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import Any

from schemas.equipment import StoredEnergy
from schemas.market.events import OrderAccepted, OrderAmended, OrderCancelled, OrdersCancelled, TradeMade
from schemas.values import Side

MINUTE = 60_000_000
QUARTER = 15 * MINUTE
PPM = 1_000_000


@dataclass(eq=False)
class Told:
    """Power (W) from a time up to another, and the energy behind it."""

    watts: int
    from_at: int | None
    to_at: int | None
    stored: StoredEnergy | None

    def covers(self, start: int) -> bool:
        return (self.from_at or 0) <= start and (self.to_at is None or start < self.to_at)

    def is_plain(self) -> bool:
        return self.from_at is None and self.to_at is None and self.stored is None


@dataclass
class Sold:
    """An order's open part, or a trade (Wh of the whole delivery); > 0 is sold."""

    starts: Sequence[int]
    wh: int

    def at(self, start: int) -> int:
        return self.wh // len(self.starts) if start in self.starts else 0


def quarters(start: int, minutes: int) -> list[int]:
    return list(range(start, start + minutes * MINUTE, QUARTER))


class NaiveCapability:
    """One connection of one party over the quarter-hours of a day."""

    def __init__(self, party: str, starts: Sequence[int], watts: int) -> None:
        self.party, self.starts = party, starts
        self.told = [Told(watts, None, None, None)]
        self.facts: list[Any] = []

    def holdings(self) -> list[Sold]:
        """What is open for sale and what changed hands, told anew from the first fact."""
        open_: dict[str, tuple[OrderAccepted, int]] = {}
        made: list[Sold] = []
        for fact in self.facts:
            match fact:
                case OrderAccepted():
                    open_[fact.order] = fact, fact.quantity_wh
                case OrderAmended():
                    open_[fact.order] = open_[fact.order][0], fact.rest_wh
                case OrderCancelled():
                    del open_[fact.order]
                case OrdersCancelled():
                    for order in fact.orders:
                        del open_[order]
                case TradeMade():
                    for order, rest in ((fact.buy_order, fact.buy_rest_wh), (fact.sell_order, fact.sell_rest_wh)):
                        open_[order] = open_[order][0], rest
                    sign = (fact.seller == self.party) - (fact.buyer == self.party)
                    made.append(Sold(quarters(fact.delivery_start_at, fact.interval_min), sign * fact.quantity_wh))
                case _:
                    pass
        for order, rest in open_.values():
            if order.party == self.party and order.side is Side.SELL:
                made.append(Sold(quarters(order.delivery_start_at, order.interval_min), rest))
        return made

    def used(self, start: int) -> int:
        return sum(held.at(start) for held in self.holdings())

    def holding(self, told: Sequence[Told], start: int) -> Told:
        """The last one that was told of this interval; a plain one is of all time."""
        return next(t for t in reversed(told) if t.covers(start))

    def limit(self, told: Sequence[Told], start: int) -> int:
        return self.holding(told, start).watts // 4

    def storage(self, told: Sequence[Told], more: Sold | None) -> tuple[int, int, int] | None:
        """(start, Wh that are left, Wh that would be drawn) where a storage could not deliver."""
        rows = self.holdings() + ([more] if more else [])
        since = max(n for n, one in enumerate(told) if one.is_plain())
        for one in sorted(told[since:], key=lambda t: next((s for s in self.starts if self.holding(told, s) is t), 0)):
            if one.stored is None:
                continue
            stored = one.stored
            out = Fraction(stored.discharge_efficiency_ppm, PPM)
            level = Fraction(min(stored.stored_wh, stored.usable_wh))
            for start in self.starts:
                if start < stored.stored_at or self.holding(told, start) is not one:
                    continue
                net = sum(held.at(start) for held in rows)
                drawn = max(0, net - stored.generation_w // 4)
                if drawn > level * out:
                    return start, floor(level * out), drawn
                charged = min(max(0, -net), stored.max_charge_w // 4)
                level = min(
                    level - drawn / out + charged * Fraction(stored.charge_efficiency_ppm, PPM), Fraction(10**9)
                )
                if charged:
                    level = min(level, Fraction(stored.usable_wh))
        return None

    def refuses_sale(self, start: int, minutes: int, wh: int) -> tuple[str, int, int] | None:
        """(reason, limit, found) of the first broken rule of so much more for sale."""
        more = Sold(quarters(start, minutes), wh)
        for quarter in more.starts:
            found, limit = self.used(quarter) + more.at(quarter), self.limit(self.told, quarter)
            if found > limit:
                return "capability_exceeded", limit, found
        broken = self.storage(self.told, more)
        return None if broken is None else ("storage_exceeded", *broken[1:])

    def keeps(self, told: Told, now: int) -> tuple[int, int, int] | None:
        """(start, limit, found) of the first interval to come of which more is in use than this would leave."""
        after = [*self.told, told]
        for start in self.starts:
            if start + QUARTER > now and self.used(start) > self.limit(after, start):
                return start, self.limit(after, start), self.used(start)
        return None if told.is_plain() else self.storage(after, None)
