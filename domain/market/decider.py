"""Rules of the family `market` (Y.2072 6.2.1, 6.2.2 stages 2 to 4; domain rules §1, §2, §10): one key is one market.

Orders come by here directly, everything else belongs to a stream (`domain/market/streams.py`).
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, get_args

from domain.market import amending, deadlines, evolution, trading, validation
from domain.market.credit import notice
from domain.market.refusal import refused
from domain.market.state import Market
from domain.market.streams import APPLIES, DECIDES, STREAMS
from schemas.envelope import Command, Moment, Recorded
from schemas.market.commands import CancelOrder, SubmitOrder
from schemas.market.events import (
    CommandRefused,
    ContractConcluded,
    OrderAccepted,
    OrderCancelled,
    TradeMade,
)

LOGIC = 3

OUTCOMES: Mapping[type, tuple[type, ...]] = {
    SubmitOrder: (OrderAccepted, *amending.ENTERING, CommandRefused),
    CancelOrder: (OrderCancelled, CommandRefused),
    **amending.OUTCOMES,
    **{wish: facts for stream in STREAMS for wish, facts in stream.OUTCOMES.items()},
}

_SELDOM: Final = frozenset(get_args(evolution.Seldom))
"""What else happens to orders and books than being accepted and traded."""


def initial(key: str) -> Market:
    """A market without rules: nobody can do anything in it but adopt the first."""
    return Market(key)


def decide(state: Market, command: Command[Any], now: Moment) -> list[Any]:
    """What was wished for, or the first rule that forbids it."""
    wish = command.body
    if type(wish) is SubmitOrder:
        instrument = state.instruments.get((wish.delivery_start_at, wish.duration_min))
        refusal = validation.refuse_order(state, instrument, wish, command.meta.actor, now)
        if refusal is not None:
            return refused(wish, wish.connection, wish.party, refusal)
        assert instrument is not None, "an order for an unknown instrument is refused"
        return trading.submit(state, instrument, command, now)
    if type(wish) is CancelOrder:
        refusal = validation.refuse_cancellation(state, wish, command.meta.actor, now)
        if refusal is not None:
            return refused(wish, wish.order, command.meta.actor, refusal)
        return trading.cancel(state, wish)
    return DECIDES[type(wish)](state, command, now)


def advance(state: Market, now: Moment, limit: int) -> Iterable[Any]:
    """What time brings about in every stream (`domain/market/deadlines.py`)."""
    return deadlines.advance(state, now, limit)


def due(state: Market) -> int | None:
    """When `advance` has something to say next; 0 while something waits to be written out in slices."""
    return state.timers[0][0] if state.timers else None


def evolve(state: Market, fact: Recorded[Any]) -> Market:
    """The market after a fact: orders, books and what is concluded in `evolution`, the rest in the fact's stream."""
    body = fact.body
    kind = type(body)
    state.partition, state.reached_seq = fact.partition, fact.meta.seq
    over = True
    if kind is OrderAccepted:
        evolution.accepted(state, body)
        over = False
    elif kind is TradeMade:
        over = evolution.traded(state, body)
    elif kind is ContractConcluded:
        evolution.keep(state, body, fact.meta.tick.at)
        if body.trade is not None:  # its trade has changed everything else
            return state
        APPLIES[kind](state, body)
    elif kind is CommandRefused:  # nothing else is changed by it
        return state
    elif kind in _SELDOM:
        over = evolution.apply(state, body, fact.meta.tick.at)
    else:
        APPLIES[kind](state, body)
    if state.standing.calls:
        notice(state)
        over = True
    if over:
        deadlines.forget_what_is_over(state)
    return state
