"""The order book of one instrument: price-time priority, read by `decide`, changed by `evolve` alone."""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

_DEAD_BEFORE_REBUILD = 32
"""So many filled or cancelled orders may stand in a price level before it is written anew."""


@dataclass(slots=True)
class Order:
    """An accepted order. `rest_wh` is 0 as soon as nothing of it is open.

    `key` is its place on its side of the book: the best key is the highest (a buyer's limit price, a
    seller's negated one). `exposure_pico_per_wh` is what an open Wh of it counts in the credit rule.
    """

    order: str
    sequence: int
    party: str
    connection: str
    delivery_start_at: int
    buys: bool
    limit_price_nano_per_kwh: int
    key: int
    rest_wh: int
    expires_at: int | None
    exposure_pico_per_wh: int


@dataclass(slots=True)
class Level:
    """The orders of one price in the order of their acceptance; `live` of them are open, the first always is."""

    orders: deque[Order]
    live: int


@dataclass(slots=True)
class Ladder:
    """One side of a book: price levels by key; `keys` ascend, so that the best one is the last."""

    keys: list[int] = field(default_factory=list)
    levels: dict[int, Level] = field(default_factory=dict)

    def crossing(self, worst_key: int, now_at: int) -> Iterator[Order]:
        """Open orders with a key of at least `worst_key`, best price first, then oldest.

        An order that expired at or before `now_at` is none any more, though the fact may still wait
        for its slice of `advance`.
        """
        for key in reversed(self.keys):
            if key < worst_key:
                return
            for order in self.levels[key].orders:
                if order.rest_wh and (order.expires_at is None or order.expires_at > now_at):
                    yield order

    def add(self, order: Order) -> None:
        """Puts an order behind the others of its price."""
        level = self.levels.get(order.key)
        if level is None:
            insort(self.keys, order.key)
            self.levels[order.key] = Level(deque((order,)), 1)
        else:
            level.orders.append(order)
            level.live += 1

    def drop(self, order: Order) -> None:
        """Takes out an order whose `rest_wh` has just become 0; it costs no walk through the book."""
        level = self.levels[order.key]
        level.live -= 1
        if not level.live:
            del self.levels[order.key]
            if self.keys[-1] == order.key:
                self.keys.pop()
            else:
                del self.keys[bisect_left(self.keys, order.key)]
            return
        while not level.orders[0].rest_wh:
            level.orders.popleft()
        if len(level.orders) > 2 * level.live + _DEAD_BEFORE_REBUILD:
            level.orders = deque(o for o in level.orders if o.rest_wh)


@dataclass(slots=True)
class Book:
    """Both sides; `resting` counts the open orders."""

    bids: Ladder = field(default_factory=Ladder)
    asks: Ladder = field(default_factory=Ladder)
    resting: int = 0

    def crossing(self, buys: bool, limit_price_nano_per_kwh: int, now_at: int) -> Iterator[Order]:
        """The resting orders that an incoming order could meet, in the order in which it would meet them."""
        if buys:
            return self.asks.crossing(-limit_price_nano_per_kwh, now_at)
        return self.bids.crossing(limit_price_nano_per_kwh, now_at)

    def add(self, order: Order) -> None:
        """Lets an order rest."""
        self.resting += 1
        (self.bids if order.buys else self.asks).add(order)

    def reduce(self, order: Order, rest_wh: int) -> None:
        """What is left of the order; with nothing left it leaves the book."""
        order.rest_wh = rest_wh
        if not rest_wh:
            self.resting -= 1
            (self.bids if order.buys else self.asks).drop(order)

    def in_order_of_acceptance(self) -> list[Order]:
        """Every open order; sorts the whole book, for the closing only."""
        levels = (*self.bids.levels.values(), *self.asks.levels.values())
        return sorted((o for level in levels for o in level.orders if o.rest_wh), key=lambda o: o.sequence)
