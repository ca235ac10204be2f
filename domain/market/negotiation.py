"""Negotiated contracts (Y.2072 6.2.2, stage 4): proposed and reserved, approved by the other party, or lapsed.

Between proposal and answer the seller's capability and the credit of both are reserved by the proposal's own fact; a
lapse is a matter of time. A contract over several intervals is checked per rule, not per interval: the first interval
that breaks the first broken rule is named in `found`. The order of the checks is that of orders
(`domain/market/validation.py`).
"""

from collections.abc import Iterator, Mapping, Sequence
from heapq import heappush
from typing import Any, Final, assert_never

from domain.identity import born_id
from domain.market.capability import use
from domain.market.contract_versions import named
from domain.market.exposure import bought_pico_per_wh, sold_pico_per_wh
from domain.market.refusal import Refusal, refused
from domain.market.state import FAMILY, MAX_INTERVALS, Instrument, Market, Negotiation, starts
from domain.market.timers import LAPSE, Ahead, Timed, Timer
from domain.market.validation import refuse_credit, refuse_price, refuse_quantity, refuse_sales
from schemas.envelope import Command, Moment
from schemas.market.commands import ApproveContract, ProposeContract
from schemas.market.events import (
    CommandRefused,
    ContractConcluded,
    ContractLapsed,
    ContractProposed,
    MarketRefusal,
    RuleSet,
)
from schemas.values import MINUTE_US, DeliveryMode

OUTCOMES: Final[Mapping[type, tuple[type, ...]]] = {
    ProposeContract: (ContractProposed, CommandRefused),
    ApproveContract: (ContractConcluded, CommandRefused),
}
FACTS: Final = (ContractProposed, ContractConcluded, ContractLapsed)

Wish = ProposeContract | ApproveContract
Fact = ContractProposed | ContractConcluded | ContractLapsed


def decide(state: Market, command: Command[Any], now: Moment) -> list[Any]:
    """A proposal that waits, a contract, or the first rule that forbids it."""
    wish: Wish = command.body
    actor = command.meta.actor
    match wish:
        case ProposeContract():
            refusal = _refuse_proposal(state, wish, actor, now)
            return (
                [_propose(state, command, now)]
                if refusal is None
                else refused(wish, wish.seller_connection, actor, refusal)
            )
        case ApproveContract():
            refusal = _refuse_approval(state, wish, actor, now)
            return [_conclude(state, wish)] if refusal is None else refused(wish, wish.contract, actor, refusal)
        case _:
            assert_never(wish)


def _refuse_proposal(state: Market, wish: ProposeContract, actor: str, now: Moment) -> Refusal | None:
    """The first broken rule of a negotiated contract; every interval is an instrument of one rules version."""
    if not state.rules:
        return Refusal(MarketRefusal.MARKET_UNKNOWN)
    if actor not in (wish.seller, wish.buyer):
        return Refusal(MarketRefusal.NOT_AUTHORISED)
    if wish.seller == wish.buyer:
        return Refusal(MarketRefusal.SAME_PARTY)
    if len(wish.quantity_wh) > MAX_INTERVALS:
        return Refusal(MarketRefusal.TOO_MANY_INTERVALS, MAX_INTERVALS, len(wish.quantity_wh))
    listed = _listed(state, wish.first_start_at, len(wish.quantity_wh))
    if isinstance(listed, Refusal):
        return listed
    return (
        _proposal_standing(state, wish, listed, now)
        or _proposal_terms(wish, listed[0].rules)
        or _proposal_limits(state, wish, listed)
    )


def _listed(state: Market, first_start_at: int, intervals: int) -> Sequence[Instrument] | Refusal:
    version = state.rules_for(first_start_at)
    if version is None:
        return Refusal(MarketRefusal.INSTRUMENT_UNKNOWN, 0, first_start_at)
    listed = state.instruments_of(first_start_at, version.rules.interval_min, max(intervals, 1))
    if isinstance(listed, int):
        return Refusal(MarketRefusal.INSTRUMENT_UNKNOWN, 0, listed)
    for instrument in listed:
        if instrument.version != listed[0].version:
            return Refusal(MarketRefusal.INSTRUMENT_UNKNOWN, 0, instrument.delivery_start_at)
    return listed


def _proposal_standing(
    state: Market, wish: ProposeContract, listed: Sequence[Instrument], now: Moment
) -> Refusal | None:
    # The last interval opens last and the first gate closes first.
    if now.at < listed[-1].opens_at:
        return Refusal(MarketRefusal.NOT_OPEN, listed[-1].opens_at, now.at)
    if listed[0].closed or now.at >= listed[0].gate_at:
        return Refusal(MarketRefusal.GATE_CLOSED, listed[0].gate_at, now.at)
    for party in (wish.seller, wish.buyer):
        if party not in state.participants:
            return Refusal(state.why_not(party))
    sells, buys = state.connections.get(wish.seller_connection), state.connections.get(wish.buyer_connection)
    if sells is None or sells.party != wish.seller or buys is None or buys.party != wish.buyer:
        return Refusal(MarketRefusal.CONNECTION_UNKNOWN)
    return None if sells.verified else Refusal(MarketRefusal.RESOURCE_NOT_VERIFIED)


def _proposal_terms(wish: ProposeContract, rules: RuleSet) -> Refusal | None:
    if not wish.quantity_wh:
        return Refusal(MarketRefusal.QUANTITY_ZERO, 1, 0)
    refusals = [r for q in wish.quantity_wh if (r := refuse_quantity(rules, q)) is not None]
    if refusals:
        order = (
            MarketRefusal.QUANTITY_ZERO,
            MarketRefusal.QUANTITY_OFF_LOT,
            MarketRefusal.QUANTITY_ABOVE_MAXIMUM,
        )
        return min(refusals, key=lambda r: order.index(r.reason))
    return refuse_price(rules, wish.price_nano_per_kwh)


def _proposal_limits(state: Market, wish: ProposeContract, listed: Sequence[Instrument]) -> Refusal | None:
    sells = state.connections[wish.seller_connection]
    refusal = refuse_sales(sells, wish.seller_connection, zip(listed, wish.quantity_wh, strict=True))
    if refusal is not None:
        return refusal
    whole_wh, price = sum(wish.quantity_wh), wish.price_nano_per_kwh
    rules = listed[0].rules
    assumed = rules.assumed_price_nano_per_kwh
    return refuse_credit(state, wish.buyer, whole_wh * bought_pico_per_wh(price, rules.credit)) or refuse_credit(
        state, wish.seller, whole_wh * sold_pico_per_wh(price, assumed)
    )


def _refuse_approval(state: Market, wish: ApproveContract, actor: str, now: Moment) -> Refusal | None:
    """The first broken rule of an approval: by the party that is awaited, in time."""
    if not state.rules:
        return Refusal(MarketRefusal.MARKET_UNKNOWN)
    negotiation = state.negotiations.get(wish.contract)
    if negotiation is None:
        return Refusal(MarketRefusal.CONTRACT_UNKNOWN)
    if actor != negotiation.proposed.awaiting:
        return Refusal(MarketRefusal.NOT_AUTHORISED)
    if not negotiation.waiting or now.at >= negotiation.proposed.lapses_at:
        return Refusal(MarketRefusal.CONTRACT_NOT_PROPOSED, negotiation.proposed.lapses_at, now.at)
    return None


def _first(state: Market, first_start_at: int) -> Instrument:
    version = state.rules_for(first_start_at)
    assert version is not None, "a proposal for what is not listed is refused"
    return state.instruments[first_start_at, version.rules.interval_min]


def _propose(state: Market, command: Command[ProposeContract], now: Moment) -> ContractProposed:
    """Reserves what a checked proposal needs and waits for the other party, at the longest to the first gate."""
    wish = command.body
    first = _first(state, wish.first_start_at)
    proposer = command.meta.actor
    return ContractProposed(
        state.market,
        born_id(FAMILY, command, 0),
        proposer,
        wish.buyer if proposer == wish.seller else wish.seller,
        wish.seller,
        wish.buyer,
        wish.seller_connection,
        wish.buyer_connection,
        wish.first_start_at,
        first.rules.interval_min,
        wish.quantity_wh,
        first.rules.currency,
        wish.price_nano_per_kwh,
        min(now.at + first.rules.approval_deadline_min * MINUTE_US, first.gate_at),
    )


def _conclude(state: Market, wish: ApproveContract) -> ContractConcluded:
    """The proposal becomes a firm contract under the rules of its first interval; what was reserved is bound."""
    offer = state.negotiations[wish.contract].proposed
    first = state.instruments[offer.first_start_at, offer.interval_min]
    return ContractConcluded(
        state.market,
        first.rules.zone,
        first.rules.operator,
        offer.contract,
        None,
        offer.seller,
        offer.buyer,
        offer.seller_connection,
        offer.buyer_connection,
        offer.first_start_at,
        offer.interval_min,
        offer.quantity_wh,
        offer.currency,
        offer.price_nano_per_kwh,
        first.rules.points_per_kwh,
        DeliveryMode.FIRM,
        first.version,
        *named(first.rules, first.rules.zone, first.rules.zone),
    )


def apply(state: Market, fact: Fact) -> None:
    """The market after a fact of a negotiation; a trade's contract changes nothing, its trade has."""
    match fact:
        case ContractConcluded():
            if fact.trade is None:
                _concluded(state, fact)
        case ContractProposed():
            _proposed(state, fact)
        case ContractLapsed():
            _lapsed(state, fact)
        case _:
            assert_never(fact)


def _proposed(state: Market, fact: ContractProposed) -> None:
    first = state.instruments[fact.first_start_at, fact.interval_min]
    bought = bought_pico_per_wh(fact.price_nano_per_kwh, first.rules.credit)
    sold = sold_pico_per_wh(fact.price_nano_per_kwh, first.rules.assumed_price_nano_per_kwh)
    state.proposals += 1
    state.negotiations[fact.contract] = Negotiation(fact, state.proposals, True, bought, sold)
    first.contracts.append(fact.contract)
    for instrument, quantity_wh in _profile(state, fact):
        use(instrument.slots, fact.seller_connection, quantity_wh)
    whole_wh = sum(fact.quantity_wh)
    state.account(fact.buyer).exposure_pico += whole_wh * bought
    state.account(fact.seller).exposure_pico += whole_wh * sold
    heappush(state.timers, (fact.lapses_at, LAPSE, state.proposals, fact.contract))


def _concluded(state: Market, fact: ContractConcluded) -> None:
    negotiation = state.negotiations[fact.contract]
    negotiation.waiting = False
    for instrument, quantity_wh in _profile(state, negotiation.proposed):
        use(instrument.slots, fact.buyer_connection, -quantity_wh)
        _commit(instrument, fact.buyer, quantity_wh * negotiation.bought_pico_per_wh)
        _commit(instrument, fact.seller, quantity_wh * negotiation.sold_pico_per_wh)


def _lapsed(state: Market, fact: ContractLapsed) -> None:
    negotiation = state.negotiations[fact.contract]
    negotiation.waiting = False
    offer = negotiation.proposed
    for instrument, quantity_wh in _profile(state, offer):
        use(instrument.slots, offer.seller_connection, -quantity_wh)
    whole_wh = sum(offer.quantity_wh)
    state.account(offer.buyer).exposure_pico -= whole_wh * negotiation.bought_pico_per_wh
    state.account(offer.seller).exposure_pico -= whole_wh * negotiation.sold_pico_per_wh


def _commit(instrument: Instrument, party: str, exposure_pico: int) -> None:
    instrument.committed_pico[party] = instrument.committed_pico.get(party, 0) + exposure_pico


def _profile(state: Market, offer: ContractProposed) -> Iterator[tuple[Instrument, int]]:
    listed = starts(offer.first_start_at, offer.interval_min, len(offer.quantity_wh))
    for start, quantity_wh in zip(listed, offer.quantity_wh, strict=True):
        yield state.instruments[start, offer.interval_min], quantity_wh


def _is_answered(state: Market, timer: Timer) -> bool:
    negotiation = state.negotiations.get(timer[3])
    return negotiation is None or not negotiation.waiting


def _lapse(state: Market, timer: Timer, ahead: Ahead) -> Iterator[ContractLapsed]:
    offer = state.negotiations[timer[3]].proposed
    ahead.room -= 1
    yield ContractLapsed(state.market, offer.contract, offer.seller, offer.buyer)


TIMED: Final = {LAPSE: Timed(_is_answered, _lapse)}
