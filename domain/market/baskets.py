"""Several orders in one wish: linked baskets, and blocks that are filled out of the books of their deliveries.

A basket is fill-or-kill on every member (domain rules §1.1 rule 3): all of them whole, or none. A block with `fok` is a
basket of one order for each delivery, one with `ioc` (a market sweep) takes what each of its books has.
"""

from collections.abc import Sequence
from typing import Any, Final

from domain.identity import birthplace, born
from domain.market.refusal import Refusal
from domain.market.state import FAMILY, Market
from domain.market.trading import accept, bounds_of, enter
from domain.market.validation import SpokenFor, refuse_order
from schemas.envelope import Command, Moment
from schemas.market.commands import SubmitOrder
from schemas.market.events import OrderAccepted, OrderCancelled, Restriction
from schemas.market.package_events import BasketKilled
from schemas.market.reasons import CancelReason, MarketRefusal

MAX_ORDERS: Final = 100
"""Of one wish."""

MAX_FACTS: Final = 1000
"""Of one wish: a decision records no more."""

_UNTOUCHED: Final = 2
"""Facts of an order that is not matched any more."""


def refuse_together(state: Market, orders: Sequence[SubmitOrder], actor: str, now: Moment) -> Refusal | None:
    """The first rule that the first wrong order breaks; each is judged beside what those before it take."""
    if not state.rules:
        return Refusal(MarketRefusal.MARKET_UNKNOWN)
    if not 0 < len(orders) <= MAX_ORDERS:
        return Refusal(MarketRefusal.TOO_MANY_ORDERS, MAX_ORDERS, len(orders))
    spoken, seen = SpokenFor(), set[tuple[int, int]]()
    for order in orders:
        key = order.delivery_start_at, order.duration_min
        if key in seen:
            return Refusal(MarketRefusal.BASKET_OVERLAPS, 0, order.delivery_start_at)
        seen.add(key)
        instrument = state.instruments.get(key)
        broken = refuse_order(state, instrument, order, actor, now, spoken)
        if broken is not None:
            return broken
        assert instrument is not None, "an order for an unknown instrument is refused"
        spoken.take(instrument, order)
    return None


def submit_together(state: Market, orders: Sequence[SubmitOrder], command: Command[Any], now: Moment) -> list[Any]:
    """All the orders with what becomes of them; of those that are to be filled whole, all or none.

    Ids count on through orders, trades and contracts in turn; a basket that is killed has the first one.
    """
    ids = birthplace(FAMILY, command)
    facts: list[Any] = []
    planned: dict[tuple[int, str], int] = {}
    n = 0
    for number, order in enumerate(orders):
        instrument = state.instruments[order.delivery_start_at, order.duration_min]
        zone = state.connections[order.connection].zone
        accepted = accept(state, instrument, order, born(ids, n), state.sequence + 1 + number, zone)
        bounds, sent = bounds_of(instrument, zone), dict(planned)
        if bounds is not None and bounds.crossing is not None:
            bounds.crossing.planned_wh = sent
        found: list[Any] = [accepted]
        last_n = enter(state, instrument, accepted, found, ids, n, now.at, 0, bounds)
        killed = isinstance(found[-1], OrderCancelled) and found[-1].order == accepted.order
        is_too_much = len(facts) + len(found) > MAX_FACTS - _UNTOUCHED * (len(orders) - 1 - number)
        if order.restriction is Restriction.FOK and (killed or is_too_much):
            return [BasketKilled(state.market, born(ids, 0), order.party, number)]
        if is_too_much:
            found, last_n, sent = [accepted, _untouched(accepted)], n, planned
        facts += found
        n, planned = last_n + 1, sent
    return facts


def _untouched(order: OrderAccepted) -> OrderCancelled:
    start, rest_wh, reason = order.delivery_start_at, order.quantity_wh, CancelReason.MATCH_LIMIT
    return OrderCancelled(order.market, order.order, order.party, start, order.side, rest_wh, reason)
