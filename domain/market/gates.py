"""What time does to orders: they expire, gates close, closed books are written out in slices."""

from collections.abc import Iterator, Sequence
from typing import Final

from domain.market.book import Order
from domain.market.state import Instrument, Key, Market
from domain.market.timers import CLOSING, EXPIRY, GATE, Ahead, Timed, Timer
from schemas.market.events import CancelReason, GateClosed, OrderCancelled, OrdersCancelled
from schemas.values import Side

MAX_SLICE: Final = 100
"""Orders in one `OrdersCancelled`."""


def cancelled(state: Market, order: Order, reason: CancelReason) -> OrderCancelled:
    """The fact that takes all that is left of a resting order out of the book."""
    side = Side.BUY if order.buys else Side.SELL
    return OrderCancelled(state.market, order.order, order.party, order.instrument[0], side, order.rest_wh, reason)


def cancelled_together(
    state: Market, start_at: int, orders: Sequence[Order], reason: CancelReason, ahead: Ahead
) -> Iterator[OrdersCancelled]:
    """All these orders of one instrument out of the book, in slices, as far as there is room."""
    for place in range(0, len(orders), MAX_SLICE):
        if not ahead.room:
            return
        part = orders[place : place + MAX_SLICE]
        ids, rests = tuple(o.order for o in part), tuple(o.rest_wh for o in part)
        ahead.room -= 1
        ahead.gone.update(ids)
        yield OrdersCancelled(state.market, start_at, reason, ids, rests)


def _expire(state: Market, timer: Timer, ahead: Ahead) -> Iterator[OrderCancelled]:
    order = state.orders[timer[3]]
    if order.order not in ahead.gone:
        ahead.room -= 1
        ahead.gone.add(order.order)
        yield cancelled(state, order, CancelReason.EXPIRED)


def _close(state: Market, timer: Timer, ahead: Ahead) -> Iterator[GateClosed | OrdersCancelled]:
    """A gate is one fact; its resting orders follow at once, in the order of their acceptance."""
    instrument = state.instruments[gate_key(timer)]
    left = _left(instrument, ahead)
    ahead.room -= 1
    yield GateClosed(state.market, instrument.delivery_start_at, instrument.duration_min, len(left))
    yield from _written_out(state, instrument, left, ahead)


def _write_out(state: Market, timer: Timer, ahead: Ahead) -> Iterator[OrdersCancelled]:
    instrument = state.instruments[closing_key(timer)]
    yield from _written_out(state, instrument, _left(instrument, ahead), ahead)


def _left(instrument: Instrument, ahead: Ahead) -> list[Order]:
    return [order for order in instrument.book.in_order_of_acceptance() if order.order not in ahead.gone]


def _written_out(
    state: Market, instrument: Instrument, left: Sequence[Order], ahead: Ahead
) -> Iterator[OrdersCancelled]:
    yield from cancelled_together(state, instrument.delivery_start_at, left, CancelReason.GATE_CLOSED, ahead)


def gate_key(timer: Timer) -> Key:
    """The instrument of a gate's timer."""
    return timer[2], int(timer[3])


def closing_key(timer: Timer) -> Key:
    """The instrument of a closed book that is being written out."""
    start, duration = timer[3].split("/")
    return int(start), int(duration)


def _is_closed(state: Market, timer: Timer) -> bool:
    instrument = state.instruments.get(gate_key(timer))
    return instrument is None or instrument.closed


def _is_written_out(state: Market, timer: Timer) -> bool:
    instrument = state.instruments.get(closing_key(timer))
    return instrument is None or not instrument.book.resting


def _is_gone(state: Market, timer: Timer) -> bool:
    """An amended order may expire at another time; in a frozen book none does before the auction ends."""
    order = state.orders.get(timer[3])
    if order is None or order.expires_at != timer[0]:
        return True
    return state.instruments[order.instrument].auction is not None


TIMED: Final = {
    CLOSING: Timed(_is_written_out, _write_out),
    EXPIRY: Timed(_is_gone, _expire),
    GATE: Timed(_is_closed, _close),
}
