"""Changing resting orders: amended one by one, or cancelled many at once (domain rules §1.1 rule 4).

An amended order keeps its priority when less of it is open or its expiry changes; another price, or more of it, is a
new entry: it stands behind the others of its price, and may trade at once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, assert_never

from domain.identity import birthplace
from domain.market.block_state import span_of
from domain.market.book import Order
from domain.market.exposure import open_pico_per_wh
from domain.market.gates import MAX_SLICE, cancelled_together
from domain.market.product_orders import Offer, refuse_product
from domain.market.refusal import Refusal, refused
from domain.market.state import FAMILY, Instrument, Market
from domain.market.timers import Ahead
from domain.market.trading import as_entering, bounds_of, enter
from domain.market.units import refuse_size
from domain.market.validation import (
    refuse_capability,
    refuse_collar,
    refuse_credit,
    refuse_expiry,
    refuse_price,
    refuse_quantity,
    refuse_standing,
)
from schemas.envelope import Command, Moment
from schemas.market.commands import AmendOrder, CancelOrders
from schemas.market.events import (
    CommandRefused,
    ContractConcluded,
    OrderAmended,
    OrderCancelled,
    OrderReduced,
    OrdersCancelled,
    Phase,
    TradeMade,
)
from schemas.market.package_events import BlocksCancelled
from schemas.market.phase_events import TradingHalted
from schemas.market.reasons import CancelReason, MarketRefusal
from schemas.market.session_events import CallBlocksEnded
from schemas.values import Side

MAX_SLICES: Final = 500
"""Facts of one mass cancellation; a party with more open orders says it again."""

ENTERING: Final = (TradeMade, ContractConcluded, OrderCancelled, OrderReduced, TradingHalted)
"""What may happen to an order as it enters a book."""

OUTCOMES: Final[Mapping[type, tuple[type, ...]]] = {
    AmendOrder: (OrderAmended, *ENTERING, CommandRefused),
    CancelOrders: (OrdersCancelled, BlocksCancelled, CallBlocksEnded, CommandRefused),
}

Wish = AmendOrder | CancelOrders


def decide(state: Market, command: Command[Any], now: Moment) -> list[Any]:
    """The amended order with what it meets, the cancelled ones, or the first rule that forbids it."""
    wish: Wish = command.body
    actor = command.meta.actor
    match wish:
        case AmendOrder():
            refusal = _refuse_amendment(state, wish, actor, now)
            return _amend(state, command, now) if refusal is None else refused(wish, wish.order, actor, refusal)
        case CancelOrders():
            refusal = _refuse_cancellations(state, wish, actor)
            return _cancel(state, wish, now) if refusal is None else refused(wish, wish.party, actor, refusal)
        case _:
            assert_never(wish)


def _amend(state: Market, command: Command[AmendOrder], now: Moment) -> list[Any]:
    wish = command.body
    order = state.orders[wish.order]
    instrument = state.instruments[order.instrument]
    keeps = wish.limit_price_nano_per_kwh == order.limit_price_nano_per_kwh and wish.rest_wh <= order.rest_wh
    sequence = order.sequence if keeps else state.sequence + 1
    amended = OrderAmended(
        state.market,
        order.order,
        order.party,
        sequence,
        wish.rest_wh,
        wish.limit_price_nano_per_kwh,
        wish.expires_at,
    )
    facts: list[Any] = [amended]
    if not keeps and instrument.phase is Phase.CONTINUOUS:
        entering = replace(
            as_entering(state, order),
            sequence=sequence,
            quantity_wh=wish.rest_wh,
            limit_price_nano_per_kwh=wish.limit_price_nano_per_kwh,
            expires_at=wish.expires_at,
        )
        ids = birthplace(FAMILY, command)
        enter(state, instrument, entering, facts, ids, 0, now.at, 0, bounds_of(instrument, order.zone))
    return facts


def _refuse_amendment(state: Market, wish: AmendOrder, actor: str, now: Moment) -> Refusal | None:
    """As a cancellation, then as a new order that stands in for the old one."""
    broken = refuse_standing(state, wish.order, actor, now)
    if broken is not None:
        return broken
    order = state.orders[wish.order]
    instrument = state.instruments[order.instrument]
    if state.suspended or instrument.phase is Phase.SUSPENDED:
        return Refusal(MarketRefusal.SUSPENDED)
    if instrument.phase is Phase.AUCTION:
        return Refusal(MarketRefusal.AUCTION_UNDERWAY)
    if order.party not in state.participants:
        return Refusal(state.why_not(order.party))
    price = wish.limit_price_nano_per_kwh
    if (wish.rest_wh, price, wish.expires_at) == (order.rest_wh, order.limit_price_nano_per_kwh, order.expires_at):
        return Refusal(MarketRefusal.NOTHING_CHANGED)
    rules = instrument.rules
    return (
        refuse_quantity(rules, wish.rest_wh, len(instrument.slots))
        or refuse_size(instrument, wish.rest_wh)
        or refuse_price(rules, price)
        or (None if price == order.limit_price_nano_per_kwh else refuse_collar(instrument, order.buys, price))
        or (None if wish.expires_at is None else refuse_expiry(instrument, wish.expires_at, now.at))
        or _refuse_product(state, instrument, order, wish)
        or _refuse_limits(state, instrument, order, wish)
    )


def _refuse_product(state: Market, instrument: Instrument, order: Order, wish: AmendOrder) -> Refusal | None:
    """Who only asks for less stays under the version that the order was entered under."""
    price = wish.limit_price_nano_per_kwh
    if order.terms is None or order.terms.product is None:
        return None
    if wish.rest_wh <= order.rest_wh and price == order.limit_price_nano_per_kwh:
        return None
    until_at = instrument.gate_at if wish.expires_at is None else wish.expires_at
    offer = order.connection, wish.rest_wh, price, until_at
    return refuse_product(state, instrument, Offer(order.terms.product, not order.buys, *offer))


def _refuse_limits(state: Market, instrument: Instrument, order: Order, wish: AmendOrder) -> Refusal | None:
    more_wh = wish.rest_wh - order.rest_wh
    if not order.buys and more_wh > 0:
        held = state.connections[order.connection]
        broken = refuse_capability(held, instrument, order.connection, more_wh)
        if broken is not None:
            return broken
    per_wh = open_pico_per_wh(instrument.rules, order.buys, wish.limit_price_nano_per_kwh)
    more_pico = wish.rest_wh * per_wh - order.rest_wh * order.exposure_pico_per_wh
    # Who is beyond the limit already may still ask for less.
    return refuse_credit(state, order.party, more_pico) if more_pico > 0 else None


def _refuse_cancellations(state: Market, wish: CancelOrders, actor: str) -> Refusal | None:
    if not state.rules:
        return Refusal(MarketRefusal.MARKET_UNKNOWN)
    if actor not in (wish.party, state.operator()):
        return Refusal(MarketRefusal.NOT_AUTHORISED)
    if (wish.delivery_start_at is None) is not (wish.duration_min is None):
        return Refusal(MarketRefusal.INSTRUMENT_UNKNOWN, 0, wish.delivery_start_at or 0)
    if wish.delivery_start_at is not None and wish.duration_min is not None:
        instrument = state.instruments.get((wish.delivery_start_at, wish.duration_min))
        if instrument is None:
            return Refusal(MarketRefusal.INSTRUMENT_UNKNOWN, 0, wish.delivery_start_at)
        if instrument.phase is Phase.AUCTION:
            return Refusal(MarketRefusal.AUCTION_UNDERWAY)
    return None


def _cancel(state: Market, wish: CancelOrders, now: Moment) -> list[Any]:
    """In slices of one instrument each, then blocks where no instrument is named."""
    ahead = Ahead(now.at, MAX_SLICES)
    facts: list[Any] = []
    for instrument, orders in _chosen(state, wish, now.at):
        facts += cancelled_together(state, instrument, orders, CancelReason.MASS_CANCELLATION, ahead)
    blocks = tuple(_chosen_blocks(state, wish, now.at))
    for place in range(0, len(blocks), MAX_SLICE):
        if len(facts) < MAX_SLICES:
            part = blocks[place : place + MAX_SLICE]
            facts.append(BlocksCancelled(state.market, CancelReason.MASS_CANCELLATION, part))
    facts += _chosen_call_blocks(state, wish)
    return facts or refused(wish, wish.party, wish.party, Refusal(MarketRefusal.NOTHING_CHANGED))


def _chosen_call_blocks(state: Market, wish: CancelOrders) -> Iterable[CallBlocksEnded]:
    """One fact for each session that is not called yet."""
    for auction in state.session_auctions.known.values() if wish.delivery_start_at is None else ():
        mine = auction.blocks_of(wish.party)
        chosen = tuple(name for name in mine if wish.side in (None, auction.blocks[name].accepted.side))
        if chosen and auction.called is None:
            yield auction.ended(state.market, chosen, CancelReason.MASS_CANCELLATION)


def _chosen_blocks(state: Market, wish: CancelOrders, at: int) -> Iterable[str]:
    """Those before the gate of their first delivery."""
    for block_id, block in state.blocks.items() if wish.delivery_start_at is None else ():
        first, side = state.instruments[next(span_of(block.span))], Side.BUY if block.order.buys else Side.SELL
        is_chosen = block.order.party == wish.party and wish.side in (None, side)
        if is_chosen and not first.closed and at < first.gate_at:
            yield block_id


def _chosen(state: Market, wish: CancelOrders, at: int) -> Iterable[tuple[Instrument, list[Order]]]:
    for instrument in state.instruments.values():
        if wish.delivery_start_at is not None and instrument.key != (wish.delivery_start_at, wish.duration_min):
            continue
        if instrument.closed or at >= instrument.gate_at or instrument.phase is Phase.AUCTION:
            continue
        buys = None if wish.side is None else wish.side is Side.BUY
        mine = [
            order for order in instrument.book.best_first() if order.party == wish.party and buys in (None, order.buys)
        ]
        if mine:
            yield instrument, mine
