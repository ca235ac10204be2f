"""The market after a fact. Nothing is judged here, and every fact that was ever recorded is understood."""

from collections.abc import Iterator, Sequence
from heapq import heappush
from typing import Final, assert_never

from domain.market.book import Order
from domain.market.capability import use
from domain.market.deadlines import forget_what_is_over
from domain.market.exposure import bought_pico_per_wh, sold_pico_per_wh
from domain.market.state import (
    Connection,
    Instrument,
    Market,
    Negotiation,
    RulesVersion,
    Session,
    starts,
)
from domain.market.timers import EXPIRY, GATE, LAPSE
from schemas.market.events import (
    CapabilityRecorded,
    CommandRefused,
    ContractConcluded,
    ContractLapsed,
    ContractProposed,
    CreditRecorded,
    DeliverySettled,
    GateClosed,
    OrderAccepted,
    OrderCancelled,
    OrdersCancelled,
    ParticipantAdmitted,
    RuleSetAdopted,
    SessionOpened,
    TradeMade,
)
from schemas.values import MINUTE_US, Side

Fact = (
    OrderAccepted
    | TradeMade
    | ContractConcluded
    | OrderCancelled
    | OrdersCancelled
    | GateClosed
    | ContractProposed
    | ContractLapsed
    | DeliverySettled
    | CreditRecorded
    | CapabilityRecorded
    | ParticipantAdmitted
    | SessionOpened
    | RuleSetAdopted
    | CommandRefused
)

_BUY: Final = Side.BUY  # an enum finds its members by name, every time


def apply(state: Market, fact: Fact) -> None:
    """Changes the state by one fact; the frequent ones stand first."""
    if isinstance(fact, OrderAccepted):
        _accepted(state, fact)
    elif isinstance(fact, TradeMade):
        _traded(state, fact)
    elif isinstance(fact, ContractConcluded):
        if fact.trade is None:  # else its trade has changed everything
            _concluded(state, fact)
    elif isinstance(fact, OrderCancelled):
        _cancelled(state, (fact.order,))
    else:
        _apply_seldom(state, fact)


def _apply_seldom(
    state: Market,
    fact: OrdersCancelled
    | GateClosed
    | ContractProposed
    | ContractLapsed
    | DeliverySettled
    | CreditRecorded
    | CapabilityRecorded
    | ParticipantAdmitted
    | SessionOpened
    | RuleSetAdopted
    | CommandRefused,
) -> None:
    match fact:
        case CommandRefused():
            pass
        case OrdersCancelled():
            _cancelled(state, fact.orders)
            _written_out(state, state.instruments[fact.delivery_start_at])
        case GateClosed():
            _closed(state, fact)
        case ContractProposed():
            _proposed(state, fact)
        case ContractLapsed():
            _lapsed(state, fact)
        case DeliverySettled():
            _settled(state, fact)
        case RuleSetAdopted():
            state.versions = fact.version
            state.rules = [v for v in state.rules if v.effective_from < fact.effective_from]
            state.rules.append(RulesVersion(fact.version, fact.effective_from, fact.rules))
        case SessionOpened():
            _opened(state, fact)
        case ParticipantAdmitted():
            state.participants.add(fact.party)
        case CapabilityRecorded():
            connection = Connection(fact.party, fact.injection_w, bool(fact.resources))
            state.connections[fact.connection] = connection
        case CreditRecorded():
            state.account(fact.party).limit_micro = fact.limit_micro
        case _:
            assert_never(fact)


def _accepted(state: Market, fact: OrderAccepted) -> None:
    instrument = state.instruments[fact.delivery_start_at]
    order_id, party, price, quantity_wh = fact.order, fact.party, fact.limit_price_nano_per_kwh, fact.quantity_wh
    buys = fact.side is _BUY
    if buys:
        key, exposure = price, bought_pico_per_wh(price)
    else:
        key, exposure = -price, sold_pico_per_wh(price, instrument.rules.assumed_price_nano_per_kwh)
        use(instrument.used_wh, fact.connection, quantity_wh)
    order = Order(
        order_id,
        fact.sequence,
        party,
        fact.connection,
        fact.delivery_start_at,
        buys,
        price,
        key,
        quantity_wh,
        fact.expires_at,
        exposure,
    )
    state.orders[order_id] = order
    state.sequence = fact.sequence
    # An order that is about to trade or to be cancelled rests here until the next fact of its decision.
    instrument.book.add(order)
    state.account(party).exposure_pico += quantity_wh * exposure
    if fact.expires_at is not None:
        heappush(state.timers, (fact.expires_at, EXPIRY, fact.sequence, order_id))


def _traded(state: Market, fact: TradeMade) -> None:
    instrument = state.instruments[fact.delivery_start_at]
    price, quantity_wh = fact.price_nano_per_kwh, fact.quantity_wh
    bought = quantity_wh * bought_pico_per_wh(price)
    sold = quantity_wh * sold_pico_per_wh(price, instrument.rules.assumed_price_nano_per_kwh)
    _filled(state, instrument, state.orders[fact.buy_order], quantity_wh, bought, fact.buy_rest_wh)
    _filled(state, instrument, state.orders[fact.sell_order], quantity_wh, sold, fact.sell_rest_wh)
    use(instrument.used_wh, fact.buyer_connection, -quantity_wh)


def _filled(
    state: Market, instrument: Instrument, order: Order, quantity_wh: int, exposure_pico: int, rest_wh: int
) -> None:
    """So much of the order counts as a trade now, and no longer as open."""
    party, committed = order.party, instrument.committed_pico
    state.accounts[party].exposure_pico += exposure_pico - quantity_wh * order.exposure_pico_per_wh
    committed[party] = committed.get(party, 0) + exposure_pico
    instrument.book.reduce(order, rest_wh)
    if not rest_wh:
        del state.orders[order.order]
        instrument.ended[order.order] = party
        if order.expires_at is not None:
            forget_what_is_over(state)


def _opened(state: Market, fact: SessionOpened) -> None:
    rules = next(v.rules for v in state.rules if v.version == fact.rules_version)
    listed = starts(fact.first_start_at, fact.interval_min, fact.intervals)
    state.sessions.append(Session(listed.start, listed.stop))
    for start in listed:
        opens_at = start - rules.opening_lead_min * MINUTE_US
        gate_at = start - rules.gate_lead_min * MINUTE_US
        state.instruments[start] = Instrument(start, fact.rules_version, rules, opens_at, gate_at)
        heappush(state.timers, (gate_at, GATE, start, ""))


def _cancelled(state: Market, orders: Sequence[str]) -> None:
    for order_id in orders:
        order = state.orders[order_id]
        instrument = state.instruments[order.delivery_start_at]
        state.account(order.party).exposure_pico -= order.rest_wh * order.exposure_pico_per_wh
        if not order.buys:
            use(instrument.used_wh, order.connection, -order.rest_wh)
        instrument.book.reduce(order, 0)
        del state.orders[order_id]
        instrument.ended[order_id] = order.party
    if state.timers:
        forget_what_is_over(state)


def _closed(state: Market, fact: GateClosed) -> None:
    instrument = state.instruments[fact.delivery_start_at]
    instrument.closed = True
    state.closing[fact.delivery_start_at] = None
    _written_out(state, instrument)
    forget_what_is_over(state)


def _written_out(state: Market, instrument: Instrument) -> None:
    if not instrument.book.resting:
        del state.closing[instrument.delivery_start_at]
        if instrument.settled:
            _forget(state, instrument)


def _proposed(state: Market, fact: ContractProposed) -> None:
    assumed = state.instruments[fact.first_start_at].rules.assumed_price_nano_per_kwh
    bought = bought_pico_per_wh(fact.price_nano_per_kwh)
    sold = sold_pico_per_wh(fact.price_nano_per_kwh, assumed)
    state.proposals += 1
    state.negotiations[fact.contract] = Negotiation(fact, state.proposals, True, bought, sold)
    state.instruments[fact.first_start_at].contracts.append(fact.contract)
    for start, quantity_wh in _profile(fact):
        use(state.instruments[start].used_wh, fact.seller_connection, quantity_wh)
    whole_wh = sum(fact.quantity_wh)
    state.account(fact.buyer).exposure_pico += whole_wh * bought
    state.account(fact.seller).exposure_pico += whole_wh * sold
    heappush(state.timers, (fact.lapses_at, LAPSE, state.proposals, fact.contract))


def _concluded(state: Market, fact: ContractConcluded) -> None:
    negotiation = state.negotiations[fact.contract]
    negotiation.waiting = False
    for start, quantity_wh in _profile(negotiation.proposed):
        instrument = state.instruments[start]
        use(instrument.used_wh, fact.buyer_connection, -quantity_wh)
        _commit(instrument, fact.buyer, quantity_wh * negotiation.bought_pico_per_wh)
        _commit(instrument, fact.seller, quantity_wh * negotiation.sold_pico_per_wh)
    forget_what_is_over(state)


def _lapsed(state: Market, fact: ContractLapsed) -> None:
    negotiation = state.negotiations[fact.contract]
    negotiation.waiting = False
    offer = negotiation.proposed
    for start, quantity_wh in _profile(offer):
        use(state.instruments[start].used_wh, offer.seller_connection, -quantity_wh)
    whole_wh = sum(offer.quantity_wh)
    state.account(offer.buyer).exposure_pico -= whole_wh * negotiation.bought_pico_per_wh
    state.account(offer.seller).exposure_pico -= whole_wh * negotiation.sold_pico_per_wh
    forget_what_is_over(state)


def _settled(state: Market, fact: DeliverySettled) -> None:
    state.sessions = [s for s in state.sessions if s.to_at > fact.to_at]
    for start in [s for s in state.instruments if fact.from_at <= s < fact.to_at]:
        instrument = state.instruments[start]
        for party, exposure in instrument.committed_pico.items():
            state.account(party).exposure_pico -= exposure
        instrument.committed_pico.clear()
        # A book whose closing is not written out yet goes with its last slice.
        instrument.settled = True
        if instrument.closed and start not in state.closing:
            _forget(state, instrument)
    forget_what_is_over(state)


def _commit(instrument: Instrument, party: str, exposure_pico: int) -> None:
    instrument.committed_pico[party] = instrument.committed_pico.get(party, 0) + exposure_pico


def _forget(state: Market, instrument: Instrument) -> None:
    for contract in instrument.contracts:
        del state.negotiations[contract]
    del state.instruments[instrument.delivery_start_at]


def _profile(offer: ContractProposed) -> Iterator[tuple[int, int]]:
    listed = starts(offer.first_start_at, offer.interval_min, len(offer.quantity_wh))
    return zip(listed, offer.quantity_wh, strict=True)
