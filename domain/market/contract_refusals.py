"""The order in which a wish about a concluded contract is checked.

The market is known, the contract is → authorisation → the contract is not cancelled, its version is the newest,
nothing waits to become its next one → its first gate is open → for a party that comes in: another one, admitted, its
connection, verified where it sells, in a zone that energy can reach → terms: intervals, quantity, price, something
is different → capability → lines → credit of what the next version takes more.
"""

from collections.abc import Iterator
from typing import Final

from domain.market.claims import claims_of, growth, instruments_of, refuse_growth
from domain.market.contract_state import Held, seller_gets
from domain.market.contract_versions import assigned, ended, repriced, revised
from domain.market.refusal import Refusal
from domain.market.state import Market
from domain.market.validation import refuse_price, refuse_quantity
from schemas.envelope import Moment
from schemas.market.contract_commands import (
    AgreeRevision,
    AssignContract,
    CancelTrade,
    ProposeCancellation,
    ProposeChange,
    RefuseRevision,
    WithdrawContract,
)
from schemas.market.contract_events import ContractRevised, ContractState, RevisionReason
from schemas.market.reasons import MarketRefusal
from schemas.values import MINUTE_US, DeliveryMode

_QUANTITY_ORDER: Final = (
    MarketRefusal.QUANTITY_ZERO,
    MarketRefusal.QUANTITY_OFF_LOT,
    MarketRefusal.QUANTITY_ABOVE_MAXIMUM,
)

Own = ProposeChange | ProposeCancellation | AssignContract | WithdrawContract


def refuse_own(state: Market, wish: Own, actor: str, now: Moment) -> Refusal | None:
    """The first broken rule of what a side wishes about its contract."""
    return next(_against_own(state, wish, actor, now), None)


def _against_own(state: Market, wish: Own, actor: str, now: Moment) -> Iterator[Refusal]:
    if not state.rules:
        yield Refusal(MarketRefusal.MARKET_UNKNOWN)
    held = state.agreements.contracts.get(wish.contract)
    if held is None:
        yield Refusal(MarketRefusal.CONTRACT_UNKNOWN)
        return
    version = held.version
    if actor not in (version.seller, version.buyer):
        yield Refusal(MarketRefusal.NOT_AUTHORISED)
    if not held.concluded:
        yield Refusal(MarketRefusal.CONTRACT_NOT_CONCLUDED)
    if wish.version != held.number:
        yield Refusal(MarketRefusal.VERSION_OUTDATED, held.number, wish.version)
    if held.revision is not None:
        yield Refusal(MarketRefusal.REVISION_WAITING, held.revision.proposed.lapses_at, now.at)
    yield from _against_gate(state, held, now)
    if isinstance(wish, AssignContract):
        yield from _against_assignment(state, held, wish, actor)
    else:
        yield from _against_standing(state, version.seller, version.buyer)
    if isinstance(wish, ProposeChange):
        yield from _against_terms(state, held, wish)
    more = growth(claims_of(state, version), claims_of(state, next_version(state, held, wish, actor)))
    refusal = refuse_growth(state, more, instruments_of(state, version))
    if refusal is not None:
        yield refusal


def next_version(state: Market, held: Held, wish: Own, actor: str) -> ContractRevised:
    """What the contract would be."""
    match wish:
        case ProposeChange():
            terms = repriced(held.version, wish.quantity_wh, wish.price_nano_per_kwh)
            return revised(held, terms, ContractState.CONCLUDED, RevisionReason.CHANGED)
        case AssignContract():
            terms = assigned(state, held.version, actor, wish.party, wish.connection)
            return revised(held, terms, ContractState.CONCLUDED, RevisionReason.ASSIGNED)
        case ProposeCancellation():
            return ended(held, RevisionReason.CANCELLED)
        case WithdrawContract():
            return ended(held, RevisionReason.WITHDRAWN)


def _against_gate(state: Market, held: Held, now: Moment) -> Iterator[Refusal]:
    first = instruments_of(state, held.version)[0]
    gate_at = first.gate_at if first is not None else held.version.first_start_at
    if first is None or first.closed or now.at >= gate_at:
        yield Refusal(MarketRefusal.GATE_CLOSED, gate_at, now.at)


def _against_standing(state: Market, *parties: str) -> Iterator[Refusal]:
    for party in parties:
        if party not in state.participants:
            yield Refusal(state.why_not(party))


def _against_assignment(state: Market, held: Held, wish: AssignContract, actor: str) -> Iterator[Refusal]:
    version = held.version
    if wish.party in (version.seller, version.buyer):
        yield Refusal(MarketRefusal.SAME_PARTY)
    yield from _against_standing(state, version.seller, version.buyer, wish.party)
    connection = state.connections.get(wish.connection)
    if connection is None or connection.party != wish.party:
        yield Refusal(MarketRefusal.CONNECTION_UNKNOWN)
        return
    if actor == version.seller and not connection.verified:
        yield Refusal(MarketRefusal.RESOURCE_NOT_VERIFIED)
    terms = assigned(state, version, actor, wish.party, wish.connection)
    if terms.buyer_zone is not None:
        first = instruments_of(state, version)[0]
        ways = first.paths if first is not None else None
        if version.delivery_mode is not DeliveryMode.FIRM or (terms.zone, terms.buyer_zone) not in (ways or {}):
            yield Refusal(MarketRefusal.WRONG_ZONE)


def _against_terms(state: Market, held: Held, wish: ProposeChange) -> Iterator[Refusal]:
    version = held.version
    if len(wish.quantity_wh) != len(version.quantity_wh):
        yield Refusal(MarketRefusal.INTERVALS_DIFFER, len(version.quantity_wh), len(wish.quantity_wh))
        return
    first = instruments_of(state, version)[0]
    assert first is not None, "a contract whose first gate is open has its instrument"
    refusals = [refusal for wh in wish.quantity_wh if (refusal := refuse_quantity(first.rules, wh)) is not None]
    yield from sorted(refusals, key=lambda refusal: _QUANTITY_ORDER.index(refusal.reason))
    terms = repriced(version, wish.quantity_wh, wish.price_nano_per_kwh)
    for price in (terms.price_nano_per_kwh, seller_gets(terms)):
        refusal = refuse_price(first.rules, price)
        if refusal is not None:
            yield refusal
    if (wish.quantity_wh, wish.price_nano_per_kwh) == (version.quantity_wh, version.price_nano_per_kwh):
        yield Refusal(MarketRefusal.NOTHING_CHANGED)


def refuse_answer(state: Market, wish: AgreeRevision | RefuseRevision, actor: str, now: Moment) -> Refusal | None:
    """The first broken rule of an answer: to what still waits, from who is awaited; its proposer may take it back."""
    if not state.rules:
        return Refusal(MarketRefusal.MARKET_UNKNOWN)
    held = state.agreements.contracts.get(wish.contract)
    if held is None:
        return Refusal(MarketRefusal.CONTRACT_UNKNOWN)
    revision = held.revision
    if revision is None or revision.proposed.revision != wish.revision or now.at >= revision.proposed.lapses_at:
        return Refusal(MarketRefusal.REVISION_NOT_WAITING)
    proposed = revision.proposed
    if actor != proposed.awaiting and (isinstance(wish, AgreeRevision) or actor != proposed.proposer):
        return Refusal(MarketRefusal.NOT_AUTHORISED)
    if isinstance(wish, AgreeRevision):
        sides = held.version.seller, held.version.buyer, proposed.terms.seller, proposed.terms.buyer
        return next(_against_standing(state, *sides), None)
    return None


def refuse_trade_cancellation(state: Market, wish: CancelTrade, actor: str, now: Moment) -> Refusal | None:
    """The first broken rule of voiding a trade: the operator's, within the rules' window, before the gate."""
    if not state.rules:
        return Refusal(MarketRefusal.MARKET_UNKNOWN)
    held = state.agreements.contracts.get(wish.contract)
    if held is None:
        return Refusal(MarketRefusal.CONTRACT_UNKNOWN)
    if actor != state.operator():
        return Refusal(MarketRefusal.NOT_AUTHORISED)
    if not held.concluded:
        return Refusal(MarketRefusal.CONTRACT_NOT_CONCLUDED)
    if (closed := next(_against_gate(state, held, now), None)) is not None:
        return closed
    first = instruments_of(state, held.version)[0]
    trading = first.rules.trading if first is not None and held.version.trade is not None else None
    until = held.concluded_at + (trading.manifest_error_min if trading else 0) * MINUTE_US
    return Refusal(MarketRefusal.WINDOW_OVER, until, now.at) if now.at >= until else None
