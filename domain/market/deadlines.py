"""What time brings about: orders expire, proposals lapse, gates close, closed books are written out in slices."""

from collections.abc import Iterable, Sequence
from heapq import heappop
from typing import Final

from domain.market.book import Order
from domain.market.state import Instrument, Market
from domain.market.timers import EXPIRY, LAPSE, Timer, in_order
from schemas.envelope import Moment
from schemas.market.events import CancelReason, ContractLapsed, GateClosed, OrderCancelled, OrdersCancelled
from schemas.values import Side

MAX_SLICE: Final = 100
"""Orders in one `OrdersCancelled`."""

Timed = OrderCancelled | OrdersCancelled | ContractLapsed | GateClosed


def due(state: Market) -> int | None:
    """The next time at which `advance` has something to say; a past one while a closed book is not written out."""
    if state.closing:
        return state.instruments[next(iter(state.closing))].gate_at
    return state.timers[0][0] if state.timers else None


def advance(state: Market, now: Moment, limit: int) -> Iterable[Timed]:
    """At most `limit` facts: first the books that wait to be written out, then what is due, by time.

    A gate is one fact; its resting orders follow at once, in the order of their acceptance.
    """
    first = due(state)
    if first is None or first > now.at:
        return ()
    facts: list[Timed] = []
    gone: set[str] = set()
    for start in state.closing:
        instrument = state.instruments[start]
        _write_out(state, instrument, instrument.book.in_order_of_acceptance(), limit, facts)
    for timer in in_order(state.timers):
        at, kind, number, subject = timer
        if at > now.at or len(facts) >= limit:
            break
        if is_over(state, timer):
            continue
        if kind == EXPIRY:
            order = state.orders[subject]
            gone.add(order.order)
            facts.append(cancelled(state, order, CancelReason.EXPIRED))
        elif kind == LAPSE:
            offer = state.negotiations[subject].proposed
            facts.append(ContractLapsed(state.market, offer.contract, offer.seller, offer.buyer))
        else:
            instrument = state.instruments[number]
            left = [o for o in instrument.book.in_order_of_acceptance() if o.order not in gone]
            interval_min = instrument.rules.interval_min
            facts.append(GateClosed(state.market, instrument.delivery_start_at, interval_min, len(left)))
            _write_out(state, instrument, left, limit, facts)
    return facts


def is_over(state: Market, timer: Timer) -> bool:
    """True when what the timer is about came to its end otherwise."""
    _, kind, number, subject = timer
    if kind == EXPIRY:
        return subject not in state.orders
    if kind == LAPSE:
        negotiation = state.negotiations.get(subject)
        return negotiation is None or not negotiation.waiting
    instrument = state.instruments.get(number)
    return instrument is None or instrument.closed


def forget_what_is_over(state: Market) -> None:
    """For `evolve`: takes timers from the top that have nothing to say, so that `due` never calls in vain."""
    while state.timers and is_over(state, state.timers[0]):
        heappop(state.timers)


def cancelled(state: Market, order: Order, reason: CancelReason) -> OrderCancelled:
    """The fact that takes all that is left of a resting order out of the book."""
    side = Side.BUY if order.buys else Side.SELL
    return OrderCancelled(state.market, order.order, order.party, order.delivery_start_at, side, order.rest_wh, reason)


def _write_out(state: Market, instrument: Instrument, left: Sequence[Order], limit: int, facts: list[Timed]) -> None:
    for place in range(0, len(left), MAX_SLICE):
        if len(facts) >= limit:
            return
        part = left[place : place + MAX_SLICE]
        ids, rests = tuple(o.order for o in part), tuple(o.rest_wh for o in part)
        start = instrument.delivery_start_at
        facts.append(OrdersCancelled(state.market, start, CancelReason.GATE_CLOSED, ids, rests))
