"""Who is beyond the limit of the credit rule (domain rules §1.1 rule 11: a margin call with a deadline; default).

A lowered limit calls the party. It comes back within it by fewer orders, by settlement or by a higher limit, or at the
deadline it is in default (`domain/market/default.py`) and trades no more until the operator reinstates it.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, assert_never

from domain.market import default
from domain.market.credit_state import Default, MarginCall
from domain.market.exposure import Account, exposed_micro, fits
from domain.market.leaving import leave_later
from domain.market.refusal import Refusal, refused
from domain.market.state import Market
from domain.market.timers import AT_ONCE, DEFAULT, Ahead, Timed, Timer
from domain.market.validation import refuse_credit
from schemas.envelope import Command, Moment
from schemas.market.credit_commands import ReinstateParticipant
from schemas.market.credit_events import (
    DefaultSettled,
    LossAllocated,
    MarginCalled,
    MarginCallMet,
    ParticipantDefaulted,
    ParticipantReinstated,
    PositionClosed,
)
from schemas.market.events import CommandRefused
from schemas.market.reasons import CancelReason, MarketRefusal
from schemas.values import MINUTE_US

OUTCOMES: Final[Mapping[type, tuple[type, ...]]] = {ReinstateParticipant: (ParticipantReinstated, CommandRefused)}
FACTS: Final = (
    MarginCalled,
    MarginCallMet,
    ParticipantDefaulted,
    PositionClosed,
    DefaultSettled,
    LossAllocated,
    ParticipantReinstated,
)

CALL: Final = 43
MET: Final = 44
DEADLINE: Final = 45
"""Kinds of timers beside the slices of a default: a call that is to be made, one that is met, one whose deadline comes.
Whatever else is due at a deadline comes first, because it may free what is missing."""

Fact = (
    MarginCalled
    | MarginCallMet
    | ParticipantDefaulted
    | PositionClosed
    | DefaultSettled
    | LossAllocated
    | ParticipantReinstated
)


def decide(state: Market, command: Command[Any], now: Moment) -> list[Any]:
    """The party may trade again, or the first rule that forbids it."""
    wish: ReinstateParticipant = command.body
    refusal = next(_against(state, wish, command.meta.actor), None)
    if refusal is not None:
        return refused(wish, wish.party, wish.party, refusal)
    return [ParticipantReinstated(state.market, wish.party)]


def _against(state: Market, wish: ReinstateParticipant, actor: str) -> Iterator[Refusal]:
    """Market → authorisation → there is a default → its loss is shared → the exposure is within the limit."""
    if not state.rules:
        yield Refusal(MarketRefusal.MARKET_UNKNOWN)
    if actor != state.operator():
        yield Refusal(MarketRefusal.NOT_AUTHORISED)
    found = state.standing.defaults.get(wish.party)
    if found is None:
        yield Refusal(MarketRefusal.NOT_IN_DEFAULT)
    elif not found.over:
        yield Refusal(MarketRefusal.DEFAULT_STILL_OPEN)
    refusal = refuse_credit(state, wish.party, 0)
    if refusal is not None:
        yield refusal


def limit_recorded(state: Market, party: str) -> None:
    """For `evolve`: whoever is beyond the limit now is called at once, if the rules say so."""
    if _is_to_be_called(state, party):
        state.standing.number += 1
        state.remind(AT_ONCE, CALL, state.standing.number, party)


def notice(state: Market) -> None:
    """For `evolve`, while somebody is called: a call is met as soon as the exposure fits."""
    standing = state.standing
    for party, call in standing.calls.items():
        within = fits(state.accounts[party], 0)
        if within and not call.met:
            standing.number += 1
            state.remind(AT_ONCE, MET, standing.number, party)
        call.met = within


def apply(state: Market, fact: Fact) -> None:
    """The market after a fact about somebody's standing."""
    standing = state.standing
    match fact:
        case MarginCalled():
            standing.number += 1
            standing.calls[fact.party] = MarginCall(standing.number, fact.deadline_at)
            state.remind(fact.deadline_at, DEADLINE, standing.number, fact.party)
        case MarginCallMet():
            del standing.calls[fact.party]
        case ParticipantDefaulted():
            del standing.calls[fact.party]
            state.participants.discard(fact.party)
            standing.number += 1
            standing.defaults[fact.party] = Default(standing.number)
            mine = [order for order in state.orders.values() if order.party == fact.party]
            leave_later(state, mine, CancelReason.DEFAULT)
            state.remind(AT_ONCE, DEFAULT, standing.number, fact.party)
        case PositionClosed():
            standing.defaults[fact.party].loss_micro += fact.loss_micro
        case DefaultSettled():
            default.settle(state, fact)
        case LossAllocated():
            del standing.defaults[fact.party].shares[: len(fact.parties)]
        case ParticipantReinstated():
            del standing.defaults[fact.party]
            state.participants.add(fact.party)
        case _:
            assert_never(fact)


def _is_to_be_called(state: Market, party: str) -> bool:
    rules = state.rules[-1].rules.credit if state.rules else None
    if rules is None or not rules.margin_deadline_min:
        return False
    standing = state.standing
    free = party in standing.calls or party in standing.defaults or party not in state.participants
    return not free and not fits(state.accounts.get(party), 0)


def _amounts(state: Market, party: str) -> tuple[str, int, int]:
    account = state.accounts.get(party) or Account()
    return state.rules[-1].rules.currency, exposed_micro(account, 0), account.limit_micro


def _call(state: Market, timer: Timer, ahead: Ahead) -> Iterator[MarginCalled]:
    rules = state.rules[-1].rules.credit
    assert rules is not None, "without such rules nobody is called"
    ahead.room -= 1
    ahead.stop = True
    deadline_at = ahead.at + rules.margin_deadline_min * MINUTE_US
    yield MarginCalled(state.market, timer[3], *_amounts(state, timer[3]), deadline_at)


def _meet(state: Market, timer: Timer, ahead: Ahead) -> Iterator[MarginCallMet]:
    ahead.room -= 1
    ahead.stop = True
    yield MarginCallMet(state.market, timer[3], *_amounts(state, timer[3]))


def _expire(state: Market, timer: Timer, ahead: Ahead) -> Iterator[ParticipantDefaulted]:
    ahead.stop = True
    if ahead.said:
        return  # what is said may free enough: the next call sees it
    party = timer[3]
    ahead.room -= 1
    orders = sum(order.party == party for order in state.orders.values())
    contracts = sum(1 for _ in default.open_positions(state, party, ahead.at))
    yield ParticipantDefaulted(state.market, party, *_amounts(state, party), orders, contracts)


def _slices(state: Market, timer: Timer, ahead: Ahead) -> Iterator[Any]:
    ahead.stop = True
    if ahead.said:
        return  # what is said may be about the party: the next call sees it
    yield from default.slices(state, timer[3], ahead)


def _is_called(state: Market, timer: Timer) -> bool:
    return not _is_to_be_called(state, timer[3])


def _is_not_met(state: Market, timer: Timer) -> bool:
    call = state.standing.calls.get(timer[3])
    return call is None or not fits(state.accounts[timer[3]], 0)


def _has_ended(state: Market, timer: Timer) -> bool:
    call = state.standing.calls.get(timer[3])
    return call is None or call.number != timer[2]


def _is_over(state: Market, timer: Timer) -> bool:
    """Or it waits for the end of an auction."""
    found = state.standing.defaults.get(timer[3])
    if found is None or found.number != timer[2] or found.over:
        return True
    return default.only_waits(state, timer[3])


TIMED: Final = {
    DEFAULT: Timed(_is_over, _slices),
    CALL: Timed(_is_called, _call),
    MET: Timed(_is_not_met, _meet),
    DEADLINE: Timed(_has_ended, _expire),
}
