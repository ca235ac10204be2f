"""Outlets (Y.2072 8.1.7; domain rules §10 "Outlet"): a group's metered output sold to the utility or through a broker.

Seller and off-taker agree on connections, a period and index ± spread × loss factor. It is no position of the book: it
takes no capability and no credit, and what a connection feeds in has one outlet at a time. Nominations and trades on
other markets are facts for the record. An outlet is forgotten once its period is over and deliveries behind it are
settled.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, assert_never

from domain.identity import born_id
from domain.market.outlet_state import Outlet
from domain.market.refusal import Refusal, refused
from domain.market.state import FAMILY, MAX_INTERVALS, Market
from domain.market.timers import Ahead, Timed, Timer
from schemas.envelope import Command, Moment
from schemas.market.events import CommandRefused
from schemas.market.outlet_commands import (
    ApproveOutlet,
    NominateOutlet,
    ProposeOutlet,
    RecordExternalTrade,
    RefuseOutlet,
)
from schemas.market.outlet_events import (
    ExternalTradeRecorded,
    OutletConcluded,
    OutletEnded,
    OutletEnding,
    OutletNominated,
    OutletProposed,
)
from schemas.market.reasons import MarketRefusal
from schemas.values import MINUTE_US

MAX_CONNECTIONS: Final = 500
"""Of one outlet: an array in a fact holds no more."""

OUTLET: Final = 46
"""The kind of timer at which a proposed outlet lapses."""

OUTCOMES: Final[Mapping[type, tuple[type, ...]]] = {
    ProposeOutlet: (OutletProposed, CommandRefused),
    ApproveOutlet: (OutletConcluded, CommandRefused),
    RefuseOutlet: (OutletEnded, CommandRefused),
    NominateOutlet: (OutletNominated, CommandRefused),
    RecordExternalTrade: (ExternalTradeRecorded, CommandRefused),
}
FACTS: Final = (OutletProposed, OutletConcluded, OutletEnded, OutletNominated, ExternalTradeRecorded)

Told = NominateOutlet | RecordExternalTrade
Answer = ApproveOutlet | RefuseOutlet
Wish = ProposeOutlet | Answer | Told
Fact = OutletProposed | OutletConcluded | OutletEnded | OutletNominated | ExternalTradeRecorded


def decide(state: Market, command: Command[Any], now: Moment) -> list[Any]:
    """What was wished for, or the first rule that forbids it."""
    wish: Wish = command.body
    actor = command.meta.actor
    match wish:
        case ProposeOutlet():
            refusal, about = next(_against_proposal(state, wish, actor, now), None), wish.seller
        case ApproveOutlet() | RefuseOutlet():
            refusal, about = next(_against_answer(state, wish, actor, now), None), wish.outlet
        case _:
            refusal, about = next(_against_told(state, wish, actor), None), wish.outlet
    return [_done(state, command, now)] if refusal is None else refused(wish, about, actor, refusal)


def _done(state: Market, command: Command[Any], now: Moment) -> Fact:
    wish: Wish = command.body
    actor, market = command.meta.actor, state.market
    match wish:
        case ProposeOutlet():
            return _proposed(state, command, wish, now)
        case ApproveOutlet():
            return OutletConcluded(market, wish.outlet)
        case RefuseOutlet():
            return OutletEnded(market, wish.outlet, OutletEnding.REFUSED)
        case NominateOutlet():
            when = wish.first_start_at, wish.interval_min, wish.quantity_wh
            return OutletNominated(market, wish.outlet, actor, *when)
        case RecordExternalTrade():
            where = wish.venue, wish.reference, wish.side
            when = wish.first_start_at, wish.interval_min, wish.quantity_wh
            return ExternalTradeRecorded(
                market, wish.outlet, actor, *where, *when, wish.currency, wish.price_nano_per_kwh
            )
        case _:
            assert_never(wish)


def _proposed(state: Market, command: Command[Any], wish: ProposeOutlet, now: Moment) -> OutletProposed:
    rules, proposer = state.rules[-1].rules, command.meta.actor
    return OutletProposed(
        state.market,
        born_id(FAMILY, command, 0),
        wish.kind,
        proposer,
        wish.off_taker if proposer == wish.seller else wish.seller,
        wish.seller,
        wish.off_taker,
        wish.connections,
        wish.from_at,
        wish.to_at,
        rules.currency,
        wish.index,
        wish.spread_nano_per_kwh,
        wish.loss_factor_ppm,
        min(now.at + rules.approval_deadline_min * MINUTE_US, wish.from_at),
    )


def _against_proposal(state: Market, wish: ProposeOutlet, actor: str, now: Moment) -> Iterator[Refusal]:
    """Market → one of both sides → two parties → period → both may trade → connections: some, few, theirs, free."""
    if not state.rules:
        yield Refusal(MarketRefusal.MARKET_UNKNOWN)
        return
    if actor not in (wish.seller, wish.off_taker):
        yield Refusal(MarketRefusal.NOT_AUTHORISED)
    if wish.seller == wish.off_taker:
        yield Refusal(MarketRefusal.SAME_PARTY)
    grid = state.rules[-1].rules.interval_min * MINUTE_US
    if wish.from_at >= wish.to_at or wish.from_at % grid or wish.to_at % grid:
        yield Refusal(MarketRefusal.PERIOD_INVALID, grid, wish.to_at - wish.from_at)
    if wish.from_at <= now.at:
        yield Refusal(MarketRefusal.NOT_FUTURE, now.at + 1, wish.from_at)
    for party in (wish.seller, wish.off_taker):
        if party not in state.participants:
            yield Refusal(state.why_not(party))
    if not 0 < len(set(wish.connections)) == len(wish.connections) <= MAX_CONNECTIONS:
        yield Refusal(MarketRefusal.TOO_MANY_CONNECTIONS, MAX_CONNECTIONS, len(wish.connections))
    held = [state.connections.get(connection) for connection in wish.connections]
    if any(connection is None or connection.party != wish.seller for connection in held):
        yield Refusal(MarketRefusal.CONNECTION_UNKNOWN)
    if any(connection is not None and not connection.verified for connection in held):
        yield Refusal(MarketRefusal.RESOURCE_NOT_VERIFIED)
    for connection in wish.connections:
        for other in state.outlets.of(connection, wish.from_at, wish.to_at):
            yield Refusal(MarketRefusal.OUTLET_OVERLAPS, other.proposed.to_at, wish.from_at)


def _against_answer(state: Market, wish: Answer, actor: str, now: Moment) -> Iterator[Refusal]:
    if not state.rules:
        yield Refusal(MarketRefusal.MARKET_UNKNOWN)
    outlet = state.outlets.known.get(wish.outlet)
    if outlet is None:
        yield Refusal(MarketRefusal.OUTLET_UNKNOWN)
        return
    proposed = outlet.proposed
    if actor != proposed.awaiting and (isinstance(wish, ApproveOutlet) or actor != proposed.proposer):
        yield Refusal(MarketRefusal.NOT_AUTHORISED)
    if not outlet.waiting or now.at >= proposed.lapses_at:
        yield Refusal(MarketRefusal.OUTLET_NOT_PROPOSED, proposed.lapses_at, now.at)
    for party in (proposed.seller, proposed.off_taker):
        if isinstance(wish, ApproveOutlet) and party not in state.participants:
            yield Refusal(state.why_not(party))


def _against_told(state: Market, wish: Told, actor: str) -> Iterator[Refusal]:
    """Market → outlet → its off-taker → it is agreed → on its grid, within its period → currency → not told before."""
    if not state.rules:
        yield Refusal(MarketRefusal.MARKET_UNKNOWN)
        return
    outlet = state.outlets.known.get(wish.outlet)
    if outlet is None:
        yield Refusal(MarketRefusal.OUTLET_UNKNOWN)
        return
    proposed = outlet.proposed
    if actor != proposed.off_taker:
        yield Refusal(MarketRefusal.NOT_AUTHORISED)
    if outlet.waiting:
        yield Refusal(MarketRefusal.OUTLET_NOT_CONCLUDED)
    step, intervals = wish.interval_min * MINUTE_US, len(wish.quantity_wh)
    if intervals > MAX_INTERVALS:
        yield Refusal(MarketRefusal.TOO_MANY_INTERVALS, MAX_INTERVALS, intervals)
    first, end = wish.first_start_at, wish.first_start_at + intervals * step
    if not intervals or first % step or first < proposed.from_at or end > proposed.to_at:
        yield Refusal(MarketRefusal.PERIOD_INVALID, proposed.to_at, end)
    if isinstance(wish, RecordExternalTrade):
        if wish.currency != proposed.currency:
            yield Refusal(MarketRefusal.WRONG_CURRENCY)
        if not any(wish.quantity_wh):
            yield Refusal(MarketRefusal.QUANTITY_ZERO, 1, 0)
        if (wish.venue, wish.reference) in outlet.references:
            yield Refusal(MarketRefusal.NOTHING_CHANGED)


def apply(state: Market, fact: Fact) -> None:
    """The market after a fact about an outlet."""
    kept = state.outlets
    match fact:
        case OutletProposed():
            kept.number += 1
            kept.known[fact.outlet] = Outlet(fact, kept.number)
            state.remind(fact.lapses_at, OUTLET, kept.number, fact.outlet)
        case OutletConcluded():
            kept.known[fact.outlet].waiting = False
        case OutletEnded():
            del kept.known[fact.outlet]
        case OutletNominated():
            pass
        case ExternalTradeRecorded():
            kept.known[fact.outlet].references.add((fact.venue, fact.reference))
        case _:
            assert_never(fact)


def _is_answered(state: Market, timer: Timer) -> bool:
    outlet = state.outlets.known.get(timer[3])
    return outlet is None or not outlet.waiting


def _lapse(state: Market, timer: Timer, ahead: Ahead) -> Iterator[OutletEnded]:
    ahead.room -= 1
    yield OutletEnded(state.market, timer[3], OutletEnding.LAPSED)


TIMED: Final = {OUTLET: Timed(_is_answered, _lapse)}
