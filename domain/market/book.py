"""The order book of one instrument: price-time priority, read by `decide`, changed by `evolve` alone."""

from bisect import bisect_left
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from schemas.columns import repeated, repeated_of
from schemas.market.events import OrderTerms

_ANY_PRICE: Final = 2**63
_DEAD_BEFORE_REBUILD: Final = 32
"""So many filled or cancelled orders may stand in a side beyond the open ones before it is written anew."""


@dataclass(slots=True)
class Order:
    """An accepted order. `rest_wh` is 0 as soon as nothing of it is open.

    `instrument` is the key of what it is for, `key` its place on its side of the book: the best key is the highest
    (a buyer's limit price, a seller's negated one). `exposure_pico_per_wh` is what an open Wh of it counts in the
    credit rule. With `aon` all of it trades or nothing.
    """

    order: str
    sequence: int
    party: str
    connection: str
    zone: str
    instrument: tuple[int, int]
    buys: bool
    limit_price_nano_per_kwh: int
    key: int
    rest_wh: int
    expires_at: int | None
    exposure_pico_per_wh: int
    aon: bool = False
    terms: OrderTerms | None = None


@dataclass(slots=True)
class Ladder:
    """One side of a book in one row: the best price last and, of one price, the oldest last; `keys` beside it.

    A filled or cancelled order stays in the row until nothing open stands behind it, or until the row is
    written anew because `dead` of its orders are none any more; the last one is always open.
    """

    keys: list[int] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    dead: int = 0

    def add(self, order: Order) -> None:
        """Puts an order behind the others of its price."""
        keys = self.keys
        if not keys or order.key > keys[-1]:
            keys.append(order.key)
            self.orders.append(order)
        else:
            place = bisect_left(keys, order.key)
            keys.insert(place, order.key)
            self.orders.insert(place, order)

    def drop_dead(self) -> None:
        """Says that an order's `rest_wh` has just become 0; it costs no walk through the book."""
        orders, keys, dead = self.orders, self.keys, self.dead + 1
        while orders and not orders[-1].rest_wh:
            orders.pop()
            keys.pop()
            dead -= 1
        self.dead = dead
        if dead and 2 * dead > len(orders) + _DEAD_BEFORE_REBUILD:
            self.leave_out_dead()

    def leave_out_dead(self) -> None:
        """Writes the row anew, of open orders only."""
        if self.dead:
            self.orders = [order for order in self.orders if order.rest_wh]
            self.keys = [order.key for order in self.orders]
            self.dead = 0


@dataclass(slots=True)
class Book:
    """Both sides; `resting` counts the open orders, `whole` those of them that trade all or nothing."""

    bids: Ladder = field(default_factory=Ladder)
    asks: Ladder = field(default_factory=Ladder)
    resting: int = 0
    whole: int = 0

    def crossing(self, buys: bool, limit_price_nano_per_kwh: int, now_at: int) -> Iterator[Order]:
        """The resting orders that an incoming order could meet, in the order in which it would meet them.

        An order that expired at or before `now_at` is none any more, though the fact may still wait
        for its slice of `advance`.
        """
        ladder, worst_key = (self.asks, -limit_price_nano_per_kwh) if buys else (self.bids, limit_price_nano_per_kwh)
        for order in reversed(ladder.orders):
            if order.key < worst_key:
                return
            if order.rest_wh and (order.expires_at is None or order.expires_at > now_at):
                yield order

    def meets_anybody(self, buys: bool, limit_price_nano_per_kwh: int) -> bool:
        """Whether the best price of the other side is good enough."""
        if buys:
            keys, worst_key = self.asks.keys, -limit_price_nano_per_kwh
        else:
            keys, worst_key = self.bids.keys, limit_price_nano_per_kwh
        return bool(keys) and keys[-1] >= worst_key

    def add(self, order: Order) -> None:
        """Lets an order rest."""
        self.resting += 1
        if order.aon:
            self.whole += 1
        (self.bids if order.buys else self.asks).add(order)

    def reduce(self, order: Order, rest_wh: int) -> None:
        """What is left of the order; with nothing left it leaves the book."""
        order.rest_wh = rest_wh
        if not rest_wh:
            self.resting -= 1
            if order.aon:
                self.whole -= 1
            (self.bids if order.buys else self.asks).drop_dead()

    def crossed(self, now_at: int) -> list[Order]:
        """Both sides as far as their prices cross each other, best first; empty where nobody waits to meet."""
        bid = next(self.crossing(False, -_ANY_PRICE, now_at), None)
        ask = next(self.crossing(True, _ANY_PRICE, now_at), None)
        if bid is None or ask is None or bid.key < -ask.key:
            return []
        bids = self.crossing(False, ask.limit_price_nano_per_kwh, now_at)
        return [*bids, *self.crossing(True, bid.limit_price_nano_per_kwh, now_at)]

    def best_first(self) -> Iterator[Order]:
        """Every open order as it stands: bids from the best one on, then asks."""
        for ladder in (self.bids, self.asks):
            for order in reversed(ladder.orders):
                if order.rest_wh:
                    yield order


def columns(orders: Collection[Order]) -> tuple[Any, ...]:
    """Orders as a snapshot holds them, without their names; the key follows from side and price."""
    return (
        [o.sequence for o in orders],
        repeated(o.party for o in orders),
        repeated(o.connection for o in orders),
        repeated(o.zone for o in orders),
        repeated(o.instrument for o in orders),
        [o.buys for o in orders],
        [o.limit_price_nano_per_kwh for o in orders],
        [o.rest_wh for o in orders],
        repeated(o.expires_at for o in orders),
        [o.exposure_pico_per_wh for o in orders],
        repeated(o.aon for o in orders),
        repeated(o.terms for o in orders),
    )


def orders_of(names: list[str], columns: tuple[Any, ...]) -> list[Order]:
    """The orders again."""
    sequences, parties, connections, zones, instruments, buys, prices, rests, expiries, exposures, aon, terms = columns
    keys = [price if buy else -price for price, buy in zip(prices, buys, strict=True)]
    where = repeated_of(parties), repeated_of(connections), repeated_of(zones), repeated_of(instruments)
    what = buys, prices, keys, rests, repeated_of(expiries), exposures, repeated_of(aon), repeated_of(terms)
    return list(map(Order, names, sequences, *where, *what))
