"""What stops and starts trading: suspensions by the operator, halts, and what a line may carry.

While a book is halted it collects orders without matching them. When it goes on, and whenever a line can carry more,
orders that rest in it may have become able to trade with each other: they are looked through in the order of their
acceptance, as if each came in again, and trade at the price of the older one.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, assert_never

from domain.identity import birthplace_of
from domain.market.book import Order
from domain.market.capability import capability_wh
from domain.market.evolution import look_again, name_of, uncross
from domain.market.gates import MAX_SLICE, gate_key
from domain.market.matching import ALL_WH, Bounds
from domain.market.refusal import Refusal, refused
from domain.market.state import MAX_INTERVALS, Instrument, Market, starts
from domain.market.timers import HALT_END, UNCROSSING, Ahead, Timed, Timer
from domain.market.trading import as_entering, bounds_of, crossing_of, enter
from schemas.envelope import Command, Moment
from schemas.market.events import CommandRefused, Phase
from schemas.market.phase_commands import PublishLineCapacity, ResumeTrading, SuspendTrading
from schemas.market.phase_events import LineCapacityPublished, TradingHalted, TradingResumed, TradingSuspended
from schemas.market.reasons import MarketRefusal
from schemas.values import MINUTE_US

OUTCOMES: Final[Mapping[type, tuple[type, ...]]] = {
    SuspendTrading: (TradingSuspended, CommandRefused),
    ResumeTrading: (TradingResumed, CommandRefused),
    PublishLineCapacity: (LineCapacityPublished, CommandRefused),
}
FACTS: Final = (TradingHalted, TradingSuspended, TradingResumed, LineCapacityPublished)

Wish = SuspendTrading | ResumeTrading | PublishLineCapacity
Fact = TradingHalted | TradingSuspended | TradingResumed | LineCapacityPublished


def decide(state: Market, command: Command[Any], now: Moment) -> list[Any]:
    """What the operator says of a book, the market or a line."""
    wish: Wish = command.body
    actor = command.meta.actor
    if not state.rules:
        return refused(wish, state.market, actor, Refusal(MarketRefusal.MARKET_UNKNOWN))
    if actor != state.operator():
        return refused(wish, state.market, actor, Refusal(MarketRefusal.NOT_AUTHORISED))
    match wish:
        case SuspendTrading() | ResumeTrading():
            refusal = _refuse(state, wish, now)
            if refusal is not None:
                return refused(wish, state.market, actor, refusal)
            kind = TradingSuspended if isinstance(wish, SuspendTrading) else TradingResumed
            return [kind(state.market, wish.delivery_start_at, wish.duration_min)]
        case PublishLineCapacity():
            refusal = _refuse_capacity(state, wish)
            if refusal is not None:
                return refused(wish, wish.line, actor, refusal)
            version = state.rules_for(wish.first_start_at)
            assert version is not None, "a line without rules is refused"
            first, interval_min = wish.first_start_at, version.rules.interval_min
            return [
                LineCapacityPublished(state.market, wish.line, first, interval_min, wish.forward_w, wish.backward_w)
            ]
        case _:
            assert_never(wish)


def _refuse(state: Market, wish: SuspendTrading | ResumeTrading, now: Moment) -> Refusal | None:
    resumes = isinstance(wish, ResumeTrading)
    if wish.delivery_start_at is None or wish.duration_min is None:
        if wish.delivery_start_at is not None or wish.duration_min is not None:
            return Refusal(MarketRefusal.INSTRUMENT_UNKNOWN, 0, wish.delivery_start_at or 0)
        suspended = state.suspended
    else:
        instrument = state.instruments.get((wish.delivery_start_at, wish.duration_min))
        if instrument is None:
            return Refusal(MarketRefusal.INSTRUMENT_UNKNOWN, 0, wish.delivery_start_at)
        if instrument.closed or now.at >= instrument.gate_at:
            return Refusal(MarketRefusal.GATE_CLOSED, instrument.gate_at, now.at)
        if instrument.phase in (Phase.CALL, Phase.AUCTION):
            return Refusal(MarketRefusal.AUCTION_UNDERWAY)
        suspended = instrument.phase is Phase.SUSPENDED
    if resumes and not suspended:
        return Refusal(MarketRefusal.NOT_SUSPENDED)
    return Refusal(MarketRefusal.SUSPENDED) if suspended and not resumes else None


def _refuse_capacity(state: Market, wish: PublishLineCapacity) -> Refusal | None:
    version = state.rules_for(wish.first_start_at)
    network = version.rules.network if version else None
    if version is None or network is None or wish.line not in {line.line for line in network.lines}:
        return Refusal(MarketRefusal.LINE_UNKNOWN)
    if wish.first_start_at % (version.rules.interval_min * MINUTE_US):
        return Refusal(MarketRefusal.SESSION_OFF_GRID, version.rules.interval_min * MINUTE_US, wish.first_start_at)
    if not 0 < len(wish.forward_w) <= MAX_INTERVALS or len(wish.backward_w) != len(wish.forward_w):
        return Refusal(MarketRefusal.TOO_MANY_INTERVALS, MAX_INTERVALS, len(wish.forward_w))
    return None


def apply(state: Market, fact: Fact) -> None:
    """The market after a fact about its phases or lines."""
    match fact:
        case TradingHalted():
            instrument = state.instruments[fact.delivery_start_at, fact.interval_min]
            collect(state, instrument, fact.until_at)
        case TradingSuspended():
            _switch(state, fact, True)
        case TradingResumed():
            _switch(state, fact, False)
        case LineCapacityPublished():
            _publish(state, fact)
        case _:
            assert_never(fact)


def collect(state: Market, instrument: Instrument, at: int) -> None:
    """For `evolve`: the book collects orders without matching them until then."""
    instrument.phase = Phase.CALL
    instrument.collects_until = at
    state.remind(at, HALT_END, instrument.delivery_start_at, name_of(instrument))


def _switch(state: Market, fact: TradingSuspended | TradingResumed, suspended: bool) -> None:
    if fact.delivery_start_at is None or fact.interval_min is None:
        state.suspended = suspended
        again = [i for i in state.instruments.values() if i.phase is Phase.CONTINUOUS and not i.closed]
    else:
        again = [state.instruments[fact.delivery_start_at, fact.interval_min]]
        again[0].phase = Phase.SUSPENDED if suspended else Phase.CONTINUOUS
    if not suspended:
        for instrument in again:
            uncross(state, instrument)


def _publish(state: Market, fact: LineCapacityPublished) -> None:
    slots = []
    for n, start in enumerate(starts(fact.first_start_at, fact.interval_min, len(fact.forward_w))):
        slot = state.slot(start)
        forward, backward = fact.forward_w[n], fact.backward_w[n]
        slot.capacity_wh[fact.line] = (
            capability_wh(forward, fact.interval_min),
            capability_wh(backward, fact.interval_min),
        )
        slots.append(slot)
    look_again(state, slots)


def _met(state: Market, instrument: Instrument, at: int, room: int, gone: set[str]) -> Iterator[Any]:
    """What happens to the first resting order that can meet older ones, as if it came in now; at most `room` facts."""
    if state.suspended or instrument.phase is not Phase.CONTINUOUS or instrument.closed or at >= instrument.gate_at:
        return
    crossed = [order for order in instrument.book.crossed(at) if order.order not in gone]
    if not _can_meet(instrument, crossed):
        return
    taken_wh = dict.fromkeys(gone, ALL_WH)
    for order in sorted(crossed, key=lambda order: order.sequence):
        bounds = bounds_of(instrument, order.zone) or Bounds(order.zone)
        bounds.older_than, bounds.taken_wh = order.sequence, taken_wh
        # An order's meetings are two facts each, and one may follow; who has more goes on in the next call.
        bounds.most = (room - 1) // 2
        facts: list[Any] = []
        entering = as_entering(state, order)
        place = birthplace_of(order.order, order.sequence, order.rest_wh)
        enter(state, instrument, entering, facts, place, 0, at, 0, bounds)
        if facts:
            yield from facts
            return


def _can_meet(instrument: Instrument, crossed: Sequence[Order]) -> bool:
    """Whether somebody's bid is as good as somebody's ask whom it can reach; cheap, and wrong on the safe side only."""
    bids: dict[str, int] = {}
    asks: dict[str, int] = {}
    for order in crossed:
        best = bids if order.buys else asks
        best[order.zone] = max(best.get(order.zone, order.key), order.key)
    crossing = crossing_of(instrument)
    return any(
        bid >= -ask and (to == from_ or (crossing is not None and crossing.room_wh(to, from_, True) > 0))
        for to, bid in bids.items()
        for from_, ask in asks.items()
    )


def _uncross(state: Market, timer: Timer, ahead: Ahead) -> Iterator[Any]:
    """One order a call: the next one is judged when this one's trades stand."""
    for fact in _met(state, state.instruments[gate_key(timer)], ahead.at, ahead.room, ahead.gone):
        ahead.stop = True
        ahead.room -= 1
        yield fact


def _is_uncrossed(state: Market, timer: Timer) -> bool:
    instrument = state.instruments.get(gate_key(timer))
    return instrument is None or next(_met(state, instrument, 0, MAX_SLICE, set()), None) is None


TIMED: Final = {UNCROSSING: Timed(_is_uncrossed, _uncross)}
