"""Negotiated contracts (Y.2072 6.2.2, stage 4): proposed and reserved, approved by the other party, or lapsed.

Between proposal and answer the seller's capability and the credit of both are reserved by the proposal's own fact; a
lapse is a matter of time. A contract over several intervals is checked per rule, not per interval: the first interval
that breaks the first broken rule is named in `found`. The order of the checks is that of orders
(`domain/market/validation.py`).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, assert_never

from domain.identity import born_id
from domain.market.claims import flow_of, refuse_flow, take
from domain.market.contract_state import Claims
from domain.market.contract_versions import concluded
from domain.market.evolution import forget_when_written_out
from domain.market.exposure import bought_pico_per_wh, sold_pico_per_wh
from domain.market.lapse_fee import lapse_fees
from domain.market.profiles import commit, listed, refuse_profile, refuse_sale, refuse_time, sell
from domain.market.refusal import Refusal, refused
from domain.market.state import FAMILY, Instrument, Market, Negotiation
from domain.market.timers import LAPSE, Ahead, Timed, Timer
from domain.market.validation import refuse_credit, refuse_price
from schemas.envelope import Command, Moment
from schemas.market.commands import ApproveContract, ProposeContract
from schemas.market.events import CommandRefused, ContractConcluded, ContractLapsed, ContractProposed, RuleSet
from schemas.market.negotiation_commands import RejectContract
from schemas.market.negotiation_events import ContractRejected, LapseFeeCharged
from schemas.market.reasons import MarketRefusal
from schemas.values import MINUTE_US, DeliveryMode

OUTCOMES: Final[Mapping[type, tuple[type, ...]]] = {
    ProposeContract: (ContractProposed, CommandRefused),
    ApproveContract: (ContractConcluded, CommandRefused),
    RejectContract: (ContractRejected, LapseFeeCharged, CommandRefused),
}
FACTS: Final = (ContractProposed, ContractConcluded, ContractLapsed, ContractRejected, LapseFeeCharged)

Wish = ProposeContract | ApproveContract | RejectContract
Fact = ContractProposed | ContractConcluded | ContractLapsed | ContractRejected | LapseFeeCharged


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
            refusal = _refuse_answer(state, wish, actor, now)
            return [_conclude(state, wish)] if refusal is None else refused(wish, wish.contract, actor, refusal)
        case RejectContract():
            refusal = _refuse_answer(state, wish, actor, now)
            return _reject(state, wish) if refusal is None else refused(wish, wish.contract, actor, refusal)
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
    found = listed(state, wish.first_start_at, len(wish.quantity_wh))
    if isinstance(found, Refusal):
        return found
    rules = found[0].rules
    return (
        _proposal_standing(state, wish, found, now)
        or refuse_profile(rules, wish.quantity_wh)
        or refuse_price(rules, wish.price_nano_per_kwh)
        or refuse_sale(state, wish.seller_connection, found, wish.quantity_wh)
        or _refuse_lines(state, wish, rules)
        or _refuse_exposure(state, wish, rules)
    )


def _proposal_standing(
    state: Market, wish: ProposeContract, found: Sequence[Instrument], now: Moment
) -> Refusal | None:
    if (refusal := refuse_time(state, found, now)) is not None:
        return refusal
    for party in (wish.seller, wish.buyer):
        if party not in state.participants:
            return Refusal(state.why_not(party))
    sells, buys = state.connections.get(wish.seller_connection), state.connections.get(wish.buyer_connection)
    if sells is None or sells.party != wish.seller or buys is None or buys.party != wish.buyer:
        return Refusal(MarketRefusal.CONNECTION_UNKNOWN)
    if sells.zone != buys.zone and (sells.zone, buys.zone) not in (found[0].paths or {}):
        return Refusal(MarketRefusal.WRONG_ZONE)
    return None if sells.verified else Refusal(MarketRefusal.RESOURCE_NOT_VERIFIED)


def _refuse_lines(state: Market, wish: ProposeContract, rules: RuleSet) -> Refusal | None:
    """What the contract would send from the seller's zone to the buyer's fits the lines between them."""
    zones = state.connections[wish.seller_connection].zone, state.connections[wish.buyer_connection].zone
    return refuse_flow(state, flow_of(state, wish.first_start_at, rules.interval_min, zones, wish.quantity_wh))


def _refuse_exposure(state: Market, wish: ProposeContract, rules: RuleSet) -> Refusal | None:
    whole_wh, price = sum(wish.quantity_wh), wish.price_nano_per_kwh
    assumed = rules.assumed_price_nano_per_kwh
    return refuse_credit(state, wish.buyer, whole_wh * bought_pico_per_wh(price, rules.credit)) or refuse_credit(
        state, wish.seller, whole_wh * sold_pico_per_wh(price, assumed)
    )


def _refuse_answer(state: Market, wish: ApproveContract | RejectContract, actor: str, now: Moment) -> Refusal | None:
    """The first broken rule of an approval or a no: by the party that is awaited, in time."""
    if not state.rules:
        return Refusal(MarketRefusal.MARKET_UNKNOWN)
    negotiation = state.negotiations.get(wish.contract)
    if negotiation is None:
        return Refusal(MarketRefusal.CONTRACT_UNKNOWN)
    if actor != negotiation.proposed.awaiting:
        return Refusal(MarketRefusal.NOT_AUTHORISED)
    if not negotiation.waiting or now.at >= negotiation.proposed.lapses_at:
        return Refusal(MarketRefusal.CONTRACT_NOT_PROPOSED, negotiation.proposed.lapses_at, now.at)
    for party in (negotiation.proposed.seller, negotiation.proposed.buyer):
        if isinstance(wish, ApproveContract) and party not in state.participants:
            return Refusal(state.why_not(party))
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
    zone, buyer_zone = (state.connections[name].zone for name in (wish.seller_connection, wish.buyer_connection))
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
        zone,
        None if buyer_zone == zone else buyer_zone,
    )


def _conclude(state: Market, wish: ApproveContract) -> ContractConcluded:
    """The proposal becomes a firm contract under the rules of its first interval; what was reserved is bound."""
    offer = state.negotiations[wish.contract].proposed
    first = state.instruments[offer.first_start_at, offer.interval_min]
    return concluded(
        state.market,
        first.rules,
        first.version,
        offer.contract,
        None,
        offer.seller,
        offer.buyer,
        offer.seller_connection,
        offer.buyer_connection,
        *_zones(offer, first.rules),
        offer.first_start_at,
        offer.quantity_wh,
        offer.price_nano_per_kwh,
        DeliveryMode.FIRM,
    )


def _zones(offer: ContractProposed, rules: RuleSet) -> tuple[str, str]:
    """The seller's and the buyer's; proposals of before zones were named stay at home."""
    zone = offer.zone or rules.zone
    return zone, offer.buyer_zone or zone


def apply(state: Market, fact: Fact) -> None:
    """The market after a fact of a negotiation; a trade's contract changes nothing, its trade has."""
    match fact:
        case ContractConcluded():
            if fact.trade is None:
                _concluded(state, fact)
        case ContractProposed():
            _proposed(state, fact)
        case ContractLapsed() | ContractRejected():
            _ended(state, fact)
        case LapseFeeCharged():
            pass  # who owes whom is a matter of the ledger
        case _:
            assert_never(fact)


def _proposed(state: Market, fact: ContractProposed) -> None:
    first = state.instruments[fact.first_start_at, fact.interval_min]
    bought = bought_pico_per_wh(fact.price_nano_per_kwh, first.rules.credit)
    sold = sold_pico_per_wh(fact.price_nano_per_kwh, first.rules.assumed_price_nano_per_kwh)
    state.proposals += 1
    state.negotiations[fact.contract] = Negotiation(fact, state.proposals, True, bought, sold)
    first.contracts.append(fact.contract)
    sell(state, fact.first_start_at, fact.interval_min, fact.seller_connection, fact.quantity_wh)
    _flow(state, fact, 1)
    whole_wh = sum(fact.quantity_wh)
    state.account(fact.buyer).exposure_pico += whole_wh * bought
    state.account(fact.seller).exposure_pico += whole_wh * sold
    state.remind(fact.lapses_at, LAPSE, state.proposals, fact.contract)


def _concluded(state: Market, fact: ContractConcluded) -> None:
    negotiation = state.negotiations[fact.contract]
    negotiation.waiting = False
    where = fact.first_start_at, fact.interval_min
    sell(state, *where, fact.buyer_connection, fact.quantity_wh, -1)
    _release_credit(state, negotiation)
    zones = fact.zone, fact.buyer_zone or fact.zone
    commit(state, *where, zones, fact.buyer, fact.quantity_wh, negotiation.bought_pico_per_wh)
    commit(state, *where, zones, fact.seller, fact.quantity_wh, negotiation.sold_pico_per_wh)
    forget_when_written_out(state, state.instruments[where])


def _ended(state: Market, fact: ContractLapsed | ContractRejected) -> None:
    negotiation = state.negotiations[fact.contract]
    negotiation.waiting = False
    offer = negotiation.proposed
    where = offer.first_start_at, offer.interval_min
    sell(state, *where, offer.seller_connection, offer.quantity_wh, -1)
    _flow(state, offer, -1)
    _release_credit(state, negotiation)
    forget_when_written_out(state, state.instruments[where])


def _flow(state: Market, offer: ContractProposed, sign: int) -> None:
    """What crosses lines takes its room from the proposal on, as a trade does; −1 gives it back."""
    zones = offer.zone or "", offer.buyer_zone or offer.zone or ""
    where = offer.first_start_at, offer.interval_min
    take(state, Claims(flow_wh=flow_of(state, *where, zones, [sign * wh for wh in offer.quantity_wh])))


def _release_credit(state: Market, negotiation: Negotiation) -> None:
    offer = negotiation.proposed
    whole_wh = sum(offer.quantity_wh)
    state.account(offer.buyer).exposure_pico -= whole_wh * negotiation.bought_pico_per_wh
    state.account(offer.seller).exposure_pico -= whole_wh * negotiation.sold_pico_per_wh


def _is_answered(state: Market, timer: Timer) -> bool:
    negotiation = state.negotiations.get(timer[3])
    return negotiation is None or not negotiation.waiting


def _lapse(state: Market, timer: Timer, ahead: Ahead) -> Iterator[ContractLapsed | LapseFeeCharged]:
    offer = state.negotiations[timer[3]].proposed
    fees = _fee(state, offer)
    if ahead.room < 1 + len(fees):
        ahead.stop = True
        return
    ahead.room -= 1 + len(fees)
    yield ContractLapsed(state.market, offer.contract, offer.seller, offer.buyer)
    yield from fees


def _reject(state: Market, wish: RejectContract) -> list[Any]:
    offer = state.negotiations[wish.contract].proposed
    return [ContractRejected(state.market, offer.contract, offer.seller, offer.buyer), *_fee(state, offer)]


def _fee(state: Market, offer: ContractProposed) -> list[LapseFeeCharged]:
    """Whoever was awaited owes the proposer, who had reserved."""
    return lapse_fees(state, offer.contract, offer.first_start_at, offer.awaiting, (offer.proposer,))


TIMED: Final = {LAPSE: Timed(_is_answered, _lapse)}
