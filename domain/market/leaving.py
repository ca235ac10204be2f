"""Frozen books: what is to leave one waits for the end of its auction, and may trade in it until then.

A product that ends, a paused mandate, a default: whatever takes orders out of their books passes frozen ones by. What
is left of such an order when its book goes on leaves before anything else happens there.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from domain.market.book import Order
from domain.market.evolution import uncross
from domain.market.gates import cancelled_together, gate_key
from domain.market.state import Instrument, Market
from domain.market.timers import AT_ONCE, DEFAULT, EXPIRY, LEAVING, Ahead, Timed, Timer
from schemas.market.events import OrdersCancelled, Phase
from schemas.market.reasons import CancelReason


def is_frozen(state: Market, order: Order) -> bool:
    """Whether the order stands in a book that nothing may leave now."""
    return state.instruments[order.instrument].phase is Phase.AUCTION


def leave_later(state: Market, orders: Iterable[Order], reason: CancelReason) -> None:
    """For `evolve`: those of the orders that are frozen leave at the end of their auction; the first reason holds."""
    for order in orders:
        if is_frozen(state, order):
            state.instruments[order.instrument].leaving.setdefault(order.order, reason)


def stay(state: Market, orders: Iterable[str], reason: CancelReason) -> None:
    """For `evolve`: those of the orders that were to leave for this reason do not leave any more."""
    for instrument in state.instruments.values():
        for order in orders:
            if instrument.leaving.get(order) is reason:
                del instrument.leaving[order]


def waits_to_leave(state: Market, party: str) -> bool:
    """Whether an order or a call block of the party waits for the end of an auction to leave."""
    sessions = state.session_auctions.known.values()
    return any(session.called is not None and session.blocks_of(party) for session in sessions) or any(
        state.orders[order].party == party
        for instrument in state.instruments.values()
        if instrument.phase is Phase.AUCTION
        for order in instrument.leaving
        if order in state.orders
    )


def thaw(state: Market, instruments: Iterable[Instrument]) -> None:
    """For `evolve`: continuous trading again. Expiries that waited are due now, and who is in default goes on."""
    for instrument in instruments:
        instrument.phase = Phase.CONTINUOUS
        instrument.auction = None
        for order in instrument.book.best_first():
            if order.expires_at is not None:
                state.remind(order.expires_at, EXPIRY, order.sequence, order.order)
        uncross(state, instrument)
    for party, default in state.standing.defaults.items():
        state.remind(AT_ONCE, DEFAULT, default.number, party)


def _leave(state: Market, timer: Timer, ahead: Ahead) -> Iterator[OrdersCancelled]:
    instrument = state.instruments[gate_key(timer)]
    left = [order for order in instrument.leaving if order in state.orders]
    ahead.stop = True
    for reason in dict.fromkeys(instrument.leaving[order] for order in left):
        orders = [state.orders[order] for order in left if instrument.leaving[order] is reason]
        yield from cancelled_together(state, instrument, orders, reason, ahead)


def _have_left(state: Market, timer: Timer) -> bool:
    instrument = state.instruments.get(gate_key(timer))
    if instrument is None or instrument.closed or instrument.phase is Phase.AUCTION:
        return True
    return not any(order in state.orders for order in instrument.leaving)


TIMED: Final = {LEAVING: Timed(_have_left, _leave)}
