"""Rules of the family `market` (Y.2072 6.2.1, 6.2.2 stages 2 to 4; domain rules §1.1): one key is one market."""

from collections.abc import Iterable, Mapping
from typing import Any, assert_never

from domain.market import deadlines, evolution, negotiation, trading, validation
from domain.market.evolution import Fact
from domain.market.state import Market
from domain.market.validation import Refusal
from schemas.envelope import Command, Moment, Recorded
from schemas.market.commands import (
    AdmitParticipant,
    AdoptRuleSet,
    ApproveContract,
    CancelOrder,
    OpenSession,
    ProposeContract,
    RecordCapability,
    RecordCredit,
    SettleDelivery,
    SubmitOrder,
)
from schemas.market.events import (
    CapabilityRecorded,
    CommandRefused,
    ContractConcluded,
    ContractProposed,
    CreditRecorded,
    DeliverySettled,
    OrderAccepted,
    OrderCancelled,
    ParticipantAdmitted,
    RuleSetAdopted,
    SessionOpened,
    TradeMade,
)

LOGIC = 1

OUTCOMES: Mapping[type, tuple[type, ...]] = {
    AdoptRuleSet: (RuleSetAdopted, CommandRefused),
    OpenSession: (SessionOpened, CommandRefused),
    AdmitParticipant: (ParticipantAdmitted, CommandRefused),
    RecordCapability: (CapabilityRecorded, CommandRefused),
    RecordCredit: (CreditRecorded, CommandRefused),
    SubmitOrder: (OrderAccepted, TradeMade, ContractConcluded, OrderCancelled, CommandRefused),
    CancelOrder: (OrderCancelled, CommandRefused),
    ProposeContract: (ContractProposed, CommandRefused),
    ApproveContract: (ContractConcluded, CommandRefused),
    SettleDelivery: (DeliverySettled, CommandRefused),
}

Administration = AdoptRuleSet | OpenSession | AdmitParticipant | RecordCapability | RecordCredit | SettleDelivery

Wish = SubmitOrder | CancelOrder | ProposeContract | ApproveContract | Administration


def initial(key: str) -> Market:
    """A market without rules: nobody can do anything in it but adopt the first."""
    return Market(key)


def decide(state: Market, command: Command[Any], now: Moment) -> list[Fact]:
    """What was wished for, or the first rule that forbids it (`domain/market/validation.py`)."""
    wish: Wish = command.body
    actor = command.meta.actor
    refusal: Refusal | None
    match wish:
        case SubmitOrder():
            instrument = state.instruments.get(wish.delivery_start_at)
            refusal = validation.refuse_order(state, instrument, wish, actor, now)
            if refusal is None:
                assert instrument is not None, "an order for an unknown instrument is refused"
                return trading.submit(state, instrument, command, now)
        case CancelOrder():
            refusal = validation.refuse_cancellation(state, wish, actor, now)
            if refusal is None:
                return trading.cancel(state, wish)
        case ProposeContract():
            refusal = validation.refuse_proposal(state, wish, actor, now)
            if refusal is None:
                return [negotiation.propose(state, command, now)]
        case ApproveContract():
            refusal = validation.refuse_approval(state, wish, actor, now)
            if refusal is None:
                return [negotiation.conclude(state, wish)]
        case _:
            refusal = _refuse_administration(state, wish, actor, now)
            if refusal is None:
                return [_prepared(state, wish)]
    subject, party = _about(state, wish, actor)
    return [CommandRefused(type(wish).__name__, subject, party, *refusal)]


def _refuse_administration(state: Market, wish: Administration, actor: str, now: Moment) -> Refusal | None:
    match wish:
        case AdoptRuleSet():
            return validation.refuse_rules(state, wish, actor, now)
        case OpenSession():
            return validation.refuse_session(state, wish, actor, now)
        case _:
            return validation.refuse_from_policy(state, wish, actor, now)


def _prepared(state: Market, wish: Administration) -> Fact:
    market = state.market
    match wish:
        case AdoptRuleSet():
            return RuleSetAdopted(market, state.versions + 1, wish.effective_from, wish.rules)
        case OpenSession():
            held = state.rules_for(wish.first_start_at)
            assert held is not None, "a session without rules is refused"
            zone, interval_min = held.rules.zone, held.rules.interval_min
            start, intervals = wish.first_start_at, wish.intervals
            return SessionOpened(market, zone, start, intervals, interval_min, held.version)
        case AdmitParticipant():
            return ParticipantAdmitted(market, wish.party)
        case RecordCapability():
            return CapabilityRecorded(market, wish.connection, wish.party, wish.injection_w, wish.resources)
        case RecordCredit():
            return CreditRecorded(market, wish.party, wish.currency, wish.limit_micro)
        case SettleDelivery():
            return DeliverySettled(market, wish.from_at, wish.to_at)
        case _:
            assert_never(wish)


def _about(state: Market, wish: Wish, actor: str) -> tuple[str, str]:
    """What a refused wish was about, and whose party's: the owner's, or who wished it."""
    match wish:
        case SubmitOrder() | RecordCapability():
            return wish.connection, wish.party
        case CancelOrder():
            return wish.order, actor
        case ProposeContract():
            return wish.seller_connection, actor
        case ApproveContract():
            return wish.contract, actor
        case AdmitParticipant() | RecordCredit():
            return wish.party, wish.party
        case _:
            return state.market, actor


def advance(state: Market, now: Moment, limit: int) -> Iterable[Fact]:
    """Expiries, lapses, gates and the slices of closed books (`domain/market/deadlines.py`)."""
    return deadlines.advance(state, now, limit)


def due(state: Market) -> int | None:
    """When `advance` has something to say next."""
    return deadlines.due(state)


def evolve(state: Market, fact: Recorded[Fact]) -> Market:
    """The market after a fact (`domain/market/evolution.py`)."""
    evolution.apply(state, fact.body)
    return state
