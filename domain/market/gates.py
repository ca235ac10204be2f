"""What time does to orders: they expire, gates close, closed books are written out in slices."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from domain.market.book import Order
from domain.market.state import Instrument, Key, Market
from domain.market.timers import CLOSING, EXPIRY, GATE, Ahead, Timed, Timer
from schemas.market.events import GateClosed, OrderCancelled, OrdersCancelled, Phase, RuleSet
from schemas.market.reasons import CancelReason
from schemas.values import Side

# An enum finds its members by name, every time.
_BUY: Final = Side.BUY
_SELL: Final = Side.SELL
_EXPIRED: Final = CancelReason.EXPIRED

MAX_SLICE: Final = 100
"""Orders in one `OrdersCancelled`."""

MAX_SLICES: Final = 10
"""Slices of a closed book at one time; the rest waits for the next tick, so that nobody else waits for long."""


def cancelled(state: Market, order: Order, reason: CancelReason) -> OrderCancelled:
    """The fact that takes all that is left of a resting order out of the book."""
    side = _BUY if order.buys else _SELL
    return OrderCancelled(state.market, order.order, order.party, order.instrument[0], side, order.rest_wh, reason)


def cancelled_together(
    state: Market, instrument: Instrument, orders: Iterable[Order], reason: CancelReason, ahead: Ahead
) -> Iterator[OrdersCancelled]:
    """These orders out of their book, in slices, as far as there is room."""
    left, (start_at, duration_min) = iter(orders), instrument.key
    while ahead.room > 0 and (part := list(islice(left, MAX_SLICE))):
        ids, rests = tuple(o.order for o in part), tuple(o.rest_wh for o in part)
        ahead.room -= 1
        ahead.gone.update(ids)
        yield OrdersCancelled(state.market, start_at, reason, ids, rests, duration_min)


def _expire(state: Market, timer: Timer, ahead: Ahead) -> Iterator[OrderCancelled]:
    order = state.orders[timer[3]]
    if order.order not in ahead.gone:
        ahead.room -= 1
        ahead.gone.add(order.order)
        yield cancelled(state, order, _EXPIRED)


def _close(state: Market, timer: Timer, ahead: Ahead) -> Iterator[GateClosed | OrdersCancelled]:
    """A gate is one fact; its resting orders follow at once, as they stand: best bid first, then best ask."""
    instrument = state.instruments[gate_key(timer)]
    orders = state.orders
    gone = sum(1 for order in ahead.gone if order in orders and orders[order].instrument == instrument.key)
    ahead.room -= 1
    resting = instrument.book.resting - gone
    watched = is_watched(instrument.rules)
    yield GateClosed(state.market, instrument.delivery_start_at, instrument.duration_min, resting, watched)
    yield from _written_out(state, instrument, ahead)


def is_watched(rules: RuleSet) -> bool:
    """Whether surveillance looks at what is traded under these rules."""
    watch = rules.surveillance
    return watch is not None and bool(watch.wash_wh or watch.layering_wh or watch.withheld_wh)


def _write_out(state: Market, timer: Timer, ahead: Ahead) -> Iterator[OrdersCancelled]:
    instrument = state.instruments[gate_key(timer)]
    yield from _written_out(state, instrument, ahead)


def _written_out(state: Market, instrument: Instrument, ahead: Ahead) -> Iterator[OrdersCancelled]:
    """Best first: the end of a row, so that taking a slice out of a book costs no walk through it."""
    gone = frozenset(ahead.gone)
    left = (order for order in instrument.book.best_first() if order.order not in gone)
    first = islice(left, MAX_SLICE * MAX_SLICES)
    yield from cancelled_together(state, instrument, first, CancelReason.GATE_CLOSED, ahead)


def gate_key(timer: Timer) -> Key:
    """The instrument that a timer is about: its subject is `evolution.name_of` it."""
    start, duration = timer[3].split("/")
    return int(start), int(duration)


def _is_closed(state: Market, timer: Timer) -> bool:
    instrument = state.instruments.get(gate_key(timer))
    return instrument is None or instrument.closed


def _is_written_out(state: Market, timer: Timer) -> bool:
    """Or there is a later timer for what is left."""
    instrument = state.instruments.get(gate_key(timer))
    return instrument is None or not instrument.book.resting or timer[0] <= instrument.written_at


def _is_gone(state: Market, timer: Timer) -> bool:
    """An amended order may expire at another time; in a frozen book none does before the auction ends."""
    order = state.orders.get(timer[3])
    if order is None or order.expires_at != timer[0]:
        return True
    return state.instruments[order.instrument].phase is Phase.AUCTION


TIMED: Final = {
    CLOSING: Timed(_is_written_out, _write_out),
    EXPIRY: Timed(_is_gone, _expire),
    GATE: Timed(_is_closed, _close),
}
