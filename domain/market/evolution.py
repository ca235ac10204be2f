"""Orders and books after a fact. Nothing is judged here, and every fact that was ever recorded is understood."""

from collections.abc import Sequence
from typing import Final, assert_never

from domain.market.block_state import Span, covers, span_name
from domain.market.book import Order
from domain.market.capability import Slot, use
from domain.market.contract_state import Held, Version
from domain.market.exposure import bought_pico_per_wh, open_pico_per_wh, sold_pico_per_wh
from domain.market.network import flow, hold
from domain.market.state import Instrument, Market
from domain.market.timers import AT_ONCE, BLOCK_UNCROSSING, CLOSING, EXPIRY, LEAVING, UNCROSSING
from schemas.market.events import (
    ContractConcluded,
    GateClosed,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderReduced,
    OrdersCancelled,
    Phase,
    Restriction,
    TradeMade,
)
from schemas.values import MINUTE_US, Side

Seldom = OrderCancelled | OrdersCancelled | OrderReduced | OrderAmended | GateClosed
"""What `apply` takes; every order passes through the functions before it."""

_BUY: Final = Side.BUY  # an enum finds its members by name, every time
_AON: Final = Restriction.AON


def accepted(state: Market, fact: OrderAccepted) -> None:
    """An order rests; no timer is over by that."""
    key = fact.delivery_start_at, fact.interval_min
    instrument = state.instruments[key]
    order_id, party, price, quantity_wh = fact.order, fact.party, fact.limit_price_nano_per_kwh, fact.quantity_wh
    buys = fact.side is _BUY
    if buys:
        rank, exposure = price, bought_pico_per_wh(price, instrument.rules.credit)
    else:
        rank, exposure = -price, sold_pico_per_wh(price, instrument.rules.assumed_price_nano_per_kwh)
        use(instrument.slots, fact.connection, quantity_wh // len(instrument.slots))
    order = Order(
        order_id,
        fact.sequence,
        party,
        fact.connection,
        fact.zone or instrument.rules.zone,
        key,
        buys,
        price,
        rank,
        quantity_wh,
        fact.expires_at,
        exposure,
        fact.restriction is _AON,
        fact.terms,
    )
    state.orders[order_id] = order
    state.sequence = fact.sequence
    # An order that is about to trade or to be cancelled rests here until the next fact of its decision.
    instrument.book.add(order)
    state.account(party).exposure_pico += quantity_wh * exposure
    if fact.terms is not None and fact.terms.product is not None:
        state.products[fact.terms.product].enter(order_id, state.orders)
    if fact.expires_at is not None:
        state.remind(fact.expires_at, EXPIRY, fact.sequence, order_id)


def traded(state: Market, fact: TradeMade) -> bool:
    """Both orders are filled as far as they met; says whether a timer may be over."""
    buyer, seller = state.orders[fact.buy_order], state.orders[fact.sell_order]
    instrument = state.instruments[buyer.instrument]
    price, seller_price, quantity_wh = fact.price_nano_per_kwh, fact.seller_price_nano_per_kwh, fact.quantity_wh
    if seller_price is None:
        seller_price = price
    rules, zones = instrument.rules, (seller.zone, buyer.zone)
    bought = quantity_wh * bought_pico_per_wh(price, rules.credit)
    sold = quantity_wh * sold_pico_per_wh(seller_price, rules.assumed_price_nano_per_kwh)
    _filled(state, instrument, zones, buyer, quantity_wh, bought, fact.buy_rest_wh)
    _filled(state, instrument, zones, seller, quantity_wh, sold, fact.sell_rest_wh)
    use(instrument.slots, fact.buyer_connection, -quantity_wh // len(instrument.slots))
    instrument.last_price_nano_per_kwh = price
    if instrument.auction is not None:
        instrument.auction.traded(fact.buy_order, fact.sell_order, seller.zone, quantity_wh)
    elif instrument.phase is Phase.AUCTION:
        state.session_auctions.traded(*instrument.key, fact.buy_order, fact.sell_order, quantity_wh)
    if instrument.paths is not None:
        _crossed(state, instrument, buyer.zone, seller.zone, quantity_wh)
    if instrument.book.whole:
        _made_way(state, instrument)
    return buyer.expires_at is not None or seller.expires_at is not None or _waits(state)


def keep(state: Market, fact: ContractConcluded, concluded_at: int) -> None:
    """Keeps a contract as long as one of its deliveries is not settled."""
    instrument = last_of(state, fact)
    if instrument is not None:
        state.agreements.contracts[fact.contract] = Held(fact, concluded_at)
        instrument.concluded.append(fact.contract)


def last_of(state: Market, version: Version) -> Instrument | None:
    """The last delivery of a contract; none once it is forgotten."""
    last_at, duration_min = version.first_start_at, version.duration_min or version.interval_min
    if len(version.quantity_wh) != 1:
        behind_min = len(version.quantity_wh) * version.interval_min
        last_at += (behind_min - 1) // duration_min * duration_min * MINUTE_US
    return state.instruments.get((last_at, duration_min))


def apply(state: Market, fact: Seldom, at: int) -> bool:
    """Changes the state by one fact of the time `at`; says whether a timer may be over."""
    if isinstance(fact, OrderCancelled):
        order = state.orders[fact.order]
        _cancelled(state, (fact.order,))
        return order.expires_at is not None or _waits(state)
    if isinstance(fact, OrdersCancelled):
        instrument = state.instruments[state.orders[fact.orders[0]].instrument]
        _cancelled(state, fact.orders)
        if instrument.closed:
            _goes_on(state, instrument, at)
    elif isinstance(fact, OrderReduced):
        order = state.orders[fact.order]
        _lessen(state, order, order.rest_wh - fact.rest_wh)
        instrument = state.instruments[order.instrument]
        instrument.book.reduce(order, fact.rest_wh)
        _made_way(state, instrument)
    elif isinstance(fact, OrderAmended):
        _amended(state, fact)
    elif isinstance(fact, GateClosed):
        _closed(state, state.instruments[fact.delivery_start_at, fact.interval_min])
    else:
        assert_never(fact)
    return True


def _waits(state: Market) -> bool:
    """Whether something waits to be written out, or a book to be looked through: any order may be what it is about."""
    return bool(state.timers) and state.timers[0][0] == AT_ONCE


def _crossed(state: Market, instrument: Instrument, buyer_zone: str, seller_zone: str, quantity_wh: int) -> None:
    """What crosses a line one way makes room the other way."""
    if buyer_zone != seller_zone:
        assert instrument.paths is not None, "nothing crosses in one zone"
        path, each_wh = instrument.paths[seller_zone, buyer_zone], quantity_wh // len(instrument.slots)
        flow(instrument.slots, path, each_wh)
        if instrument.auction is not None:
            instrument.auction.crossed(path, quantity_wh)
            for line, sign in path:
                hold(instrument.slots, line, -each_wh if sign > 0 else 0, -each_wh if sign < 0 else 0)
        look_again(state, instrument.slots)


def look_again(state: Market, slots: Sequence[Slot]) -> None:
    """Something may cross now that could not before: what waits for these intervals is looked through."""
    for duration_min in sorted({session.duration_min for session in state.sessions}):
        step = duration_min * MINUTE_US
        for start in dict.fromkeys(slot.start_at // step * step for slot in slots):
            instrument = state.instruments.get((start, duration_min))
            if instrument is not None and not instrument.closed:
                uncross(state, instrument)


def _made_way(state: Market, instrument: Instrument) -> None:
    """What is smaller or gone may have kept an all-or-none order from somebody: its owner's own, or its own size."""
    if instrument.book.whole and instrument.phase is Phase.CONTINUOUS and not instrument.closed:
        state.remind(AT_ONCE, UNCROSSING, instrument.gate_at, name_of(instrument))


def uncross(state: Market, instrument: Instrument) -> None:
    """Orders and blocks of this delivery may have become able to trade without any of them coming in."""
    if instrument.leaving:
        state.remind(AT_ONCE, LEAVING, instrument.gate_at, name_of(instrument))
    if instrument.book.resting:
        state.remind(AT_ONCE, UNCROSSING, instrument.gate_at, name_of(instrument))
    for span in state.block_books:
        if covers(span, *instrument.key):
            uncross_blocks(state, span)


def uncross_blocks(state: Market, span: Span) -> None:
    """The same, of the blocks over these deliveries."""
    state.remind(AT_ONCE, BLOCK_UNCROSSING, span[0], span_name(span))


def _filled(
    state: Market,
    instrument: Instrument,
    zones: tuple[str, str],
    order: Order,
    quantity_wh: int,
    exposure_pico: int,
    rest_wh: int,
) -> None:
    """So much of the order counts as a trade now, and no longer as open."""
    party, slots = order.party, instrument.slots
    state.accounts[party].exposure_pico += exposure_pico - quantity_wh * order.exposure_pico_per_wh
    each_pico = exposure_pico // len(slots)  # whole: the quantity is the same in each of them
    for slot in slots:
        committed = slot.committed(zones)
        committed[party] = committed.get(party, 0) + each_pico
    if order.terms is not None:
        state.mandates.filled(order, quantity_wh, exposure_pico)
    instrument.book.reduce(order, rest_wh)
    if not rest_wh:
        del state.orders[order.order]
        instrument.ended[order.order] = party


def _cancelled(state: Market, orders: Sequence[str]) -> None:
    for order_id in orders:
        order = state.orders[order_id]
        instrument = state.instruments[order.instrument]
        _lessen(state, order, order.rest_wh)
        instrument.book.reduce(order, 0)
        del state.orders[order_id]
        instrument.ended[order_id] = order.party
        if instrument.book.whole:
            _made_way(state, instrument)


def _lessen(state: Market, order: Order, energy_wh: int) -> None:
    """So much less of an order is open: its credit and capability are free (< 0: more of it is)."""
    state.account(order.party).exposure_pico -= energy_wh * order.exposure_pico_per_wh
    if not order.buys:
        slots = state.instruments[order.instrument].slots
        use(slots, order.connection, -energy_wh // len(slots))


def _amended(state: Market, fact: OrderAmended) -> None:
    order = state.orders[fact.order]
    instrument = state.instruments[order.instrument]
    _lessen(state, order, order.rest_wh)
    if fact.sequence != order.sequence:
        # What loses its priority leaves its place; a row of a book is in the order of acceptance.
        instrument.book.reduce(order, 0)
        price = fact.limit_price_nano_per_kwh
        order = state.orders[fact.order] = Order(
            order.order,
            fact.sequence,
            order.party,
            order.connection,
            order.zone,
            order.instrument,
            order.buys,
            price,
            price if order.buys else -price,
            fact.rest_wh,
            order.expires_at,
            open_pico_per_wh(instrument.rules, order.buys, price),
            order.aon,
            order.terms,
        )
        state.sequence = fact.sequence
        instrument.book.add(order)
    order.rest_wh = fact.rest_wh
    _lessen(state, order, -order.rest_wh)
    if fact.expires_at is not None and fact.expires_at != order.expires_at:
        state.remind(fact.expires_at, EXPIRY, order.sequence, fact.order)
    order.expires_at = fact.expires_at
    _made_way(state, instrument)


def _closed(state: Market, instrument: Instrument) -> None:
    instrument.closed = True
    if instrument.book.resting:
        # Beside each other, books are written out in the order of their closing.
        state.remind(AT_ONCE, CLOSING, instrument.gate_at, name_of(instrument))
    else:
        forget_when_written_out(state, instrument)


def _goes_on(state: Market, instrument: Instrument, at: int) -> None:
    """What is left of a closed book is written out from the next tick on."""
    if instrument.book.resting and instrument.written_at < at:
        state.remind(at + 1, CLOSING, instrument.gate_at, name_of(instrument))
    instrument.written_at = at
    forget_when_written_out(state, instrument)


def forget_when_written_out(state: Market, instrument: Instrument) -> None:
    """Settlement may come before the last slice of a closed book; what is settled and written out is forgotten.

    Blocks over it are written out first, and what waits for an answer lapses.
    """
    if not (instrument.settled and instrument.closed) or instrument.book.resting or _is_asked(state, instrument):
        return
    if not any(covers(span, *instrument.key) for span in state.block_books):
        forget(state, instrument)


def _is_asked(state: Market, instrument: Instrument) -> bool:
    """Whether a proposal from this delivery on waits, or a change of a contract up to it."""
    concluded = state.agreements.contracts
    return any(state.negotiations[name].waiting for name in instrument.contracts) or any(
        concluded[name].revision is not None for name in instrument.concluded
    )


def forget(state: Market, instrument: Instrument) -> None:
    """Nothing of a settled delivery is needed any more."""
    for contract in instrument.contracts:
        del state.negotiations[contract]
    for contract in instrument.concluded:
        del state.agreements.contracts[contract]
    del state.instruments[instrument.key]
    for slot in instrument.slots:
        slot.books -= 1
        if not slot.books:
            forget_slot(state, slot)


def forget_slot(state: Market, slot: Slot) -> None:
    """Nothing of a settled interval is needed any more but what it left in storage."""
    for name in slot.used_wh:
        held = state.connections.get(name)
        if held is not None and held.allotted is not None:
            held.allotted.pass_by(name, slot)
    del state.slots[slot.start_at]


def name_of(instrument: Instrument) -> str:
    """The subject of a timer of this instrument."""
    return f"{instrument.delivery_start_at}/{instrument.duration_min}"
