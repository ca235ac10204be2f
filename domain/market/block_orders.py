"""Block orders that rest, and the stream of what spans several deliveries (domain rules §1.1 rule 3).

Blocks of the same deliveries have a book of their own. There a block trades whole or not at all, with as many resting
blocks as fill it, by price and then by acceptance, at their prices. It takes capability of every settlement interval
and credit for all of it. When the gate of its first delivery closes, it is cancelled.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, assert_never

from domain.identity import birthplace, born
from domain.market import block_matching
from domain.market.amending import ENTERING
from domain.market.baskets import refuse_together, submit_together
from domain.market.block_matching import enter, instruments_of, slots_of
from domain.market.block_state import Block, span_name, span_of
from domain.market.book import Book, Order
from domain.market.capability import use
from domain.market.evolution import forget_when_written_out, look_again, uncross_blocks
from domain.market.exposure import bought_pico_per_wh, open_pico_per_wh, sold_pico_per_wh
from domain.market.gates import MAX_SLICE
from domain.market.network import flow
from domain.market.refusal import Refusal, refused
from domain.market.state import FAMILY, Market
from domain.market.timers import BLOCK_EXPIRY, BLOCK_GATE, Ahead, Timed, Timer
from schemas.envelope import Command, Moment
from schemas.market.commands import SubmitOrder
from schemas.market.events import CommandRefused, OrderAccepted, Restriction
from schemas.market.package_commands import CancelBlock, SubmitBasket, SubmitBlock
from schemas.market.package_events import BasketKilled, BlockAccepted, BlocksCancelled, BlockTradeMade
from schemas.market.reasons import CancelReason, MarketRefusal
from schemas.values import Side

MAX_BLOCK: Final = 100
"""Deliveries of one block."""

OUTCOMES: Final[Mapping[type, tuple[type, ...]]] = {
    SubmitBasket: (OrderAccepted, *ENTERING, BasketKilled, CommandRefused),
    SubmitBlock: (
        BlockAccepted,
        BlockTradeMade,
        BlocksCancelled,
        OrderAccepted,
        *ENTERING,
        BasketKilled,
        CommandRefused,
    ),
    CancelBlock: (BlocksCancelled, CommandRefused),
}
FACTS: Final = (BasketKilled, BlockAccepted, BlockTradeMade, BlocksCancelled)

Wish = SubmitBasket | SubmitBlock | CancelBlock
Fact = BasketKilled | BlockAccepted | BlockTradeMade | BlocksCancelled


def decide(state: Market, command: Command[Any], now: Moment) -> list[Any]:
    """A basket or block with what becomes of it, or the first rule that forbids it."""
    wish: Wish = command.body
    actor = command.meta.actor
    match wish:
        case SubmitBasket():
            orders = tuple(
                SubmitOrder(
                    wish.party,
                    order.connection,
                    order.delivery_start_at,
                    order.side,
                    order.quantity_wh,
                    order.limit_price_nano_per_kwh,
                    Restriction.FOK,
                    None,
                    order.duration_min,
                )
                for order in wish.orders
            )
            refusal = refuse_together(state, orders, actor, now)
            if refusal is not None:
                return refused(wish, wish.party, wish.party, refusal)
            return submit_together(state, orders, command, now)
        case SubmitBlock():
            return _submit(state, command, wish, now)
        case CancelBlock():
            refusal = _refuse_cancellation(state, wish, actor, now)
            if refusal is not None:
                return refused(wish, wish.block, actor, refusal)
            return [BlocksCancelled(state.market, CancelReason.OWNER, (wish.block,))]
        case _:
            assert_never(wish)


def _submit(state: Market, command: Command[Any], wish: SubmitBlock, now: Moment) -> list[Any]:
    orders = tuple(_parts(wish))
    refusal = _refuse_block(state, wish, orders, command.meta.actor, now)
    if refusal is not None:
        return refused(wish, wish.connection, wish.party, refusal)
    if wish.restriction is not Restriction.AON:
        return submit_together(state, orders, command, now)
    return _rest(state, command, wish, now)


def _parts(wish: SubmitBlock) -> Iterator[SubmitOrder]:
    """The block as an order for each of its deliveries; so it is judged, and so it is filled out of their books."""
    for start, duration_min in span_of((wish.first_start_at, wish.duration_min, min(wish.intervals, MAX_BLOCK + 1))):
        yield SubmitOrder(
            wish.party,
            wish.connection,
            start,
            wish.side,
            wish.quantity_wh,
            wish.limit_price_nano_per_kwh,
            wish.restriction,
            wish.expires_at,
            duration_min,
        )


def _refuse_block(
    state: Market, wish: SubmitBlock, orders: Sequence[SubmitOrder], actor: str, now: Moment
) -> Refusal | None:
    if wish.restriction is Restriction.NONE:
        return Refusal(MarketRefusal.RESTRICTION_NOT_IN_BLOCK)
    if wish.intervals > MAX_BLOCK:
        return Refusal(MarketRefusal.TOO_MANY_INTERVALS, MAX_BLOCK, wish.intervals)
    return refuse_together(state, orders, actor, now)


def _rest(state: Market, command: Command[Any], wish: SubmitBlock, now: Moment) -> list[Any]:
    ids = birthplace(FAMILY, command)
    zone = state.connections[wish.connection].zone
    accepted = BlockAccepted(
        state.market,
        born(ids, 0),
        state.sequence + 1,
        wish.party,
        wish.connection,
        zone,
        wish.side,
        wish.first_start_at,
        wish.intervals,
        wish.duration_min,
        wish.quantity_wh,
        wish.limit_price_nano_per_kwh,
        wish.expires_at,
    )
    return [accepted, *enter(state, accepted, ids, now.at)]


def _refuse_cancellation(state: Market, wish: CancelBlock, actor: str, now: Moment) -> Refusal | None:
    if not state.rules:
        return Refusal(MarketRefusal.MARKET_UNKNOWN)
    block = state.blocks.get(wish.block)
    if block is None:
        return Refusal(MarketRefusal.BLOCK_UNKNOWN)
    if actor != block.order.party:
        return Refusal(MarketRefusal.NOT_AUTHORISED)
    first = state.instruments[next(span_of(block.span))]
    if first.closed or now.at >= first.gate_at:
        return Refusal(MarketRefusal.GATE_CLOSED, first.gate_at, now.at)
    return None


def apply(state: Market, fact: Fact) -> None:
    """The market after a fact about baskets and blocks."""
    match fact:
        case BasketKilled():
            pass
        case BlockAccepted():
            _accepted(state, fact)
        case BlockTradeMade():
            _traded(state, fact)
        case BlocksCancelled():
            for block_id in fact.blocks:
                block = state.blocks[block_id]
                _lessen(state, block, block.order.rest_wh)
                _leave(state, block)
        case _:
            assert_never(fact)


def _accepted(state: Market, fact: BlockAccepted) -> None:
    span = fact.first_start_at, fact.interval_min, fact.intervals
    first = state.instruments[fact.first_start_at, fact.interval_min]
    price, buys = fact.limit_price_nano_per_kwh, fact.side is Side.BUY
    order = Order(
        fact.block,
        fact.sequence,
        fact.party,
        fact.connection,
        fact.zone,
        first.key,
        buys,
        price,
        price if buys else -price,
        fact.quantity_wh,
        fact.expires_at,
        open_pico_per_wh(first.rules, buys, price),
        True,
    )
    state.sequence = fact.sequence
    block = state.blocks[fact.block] = Block(order, span)
    book = state.block_books.get(span)
    if book is None:
        book = state.block_books[span] = Book()
        state.remind(first.gate_at, BLOCK_GATE, fact.first_start_at, span_name(span))
    book.add(order)
    _lessen(state, block, -fact.quantity_wh)
    if fact.expires_at is not None:
        state.remind(fact.expires_at, BLOCK_EXPIRY, fact.sequence, fact.block)


def _traded(state: Market, fact: BlockTradeMade) -> None:
    price, quantity_wh = fact.price_nano_per_kwh, fact.quantity_wh
    buyer, seller = state.blocks[fact.buy_block], state.blocks[fact.sell_block]
    instruments = instruments_of(state, buyer.span)
    bought = bought_pico_per_wh(price, instruments[0].rules.credit)
    sold = sold_pico_per_wh(price, instruments[0].rules.assumed_price_nano_per_kwh)
    zones = seller.order.zone, buyer.order.zone
    slots = slots_of(instruments)
    each_wh = quantity_wh // len(instruments[0].slots)
    for block, rest_wh, exposure in ((buyer, fact.buy_rest_wh, bought), (seller, fact.sell_rest_wh, sold)):
        party = block.order.party
        open_pico = block.order.exposure_pico_per_wh
        state.account(party).exposure_pico += quantity_wh * len(instruments) * (exposure - open_pico)
        for slot in slots:
            committed = slot.committed(zones)
            committed[party] = committed.get(party, 0) + each_wh * exposure
        if rest_wh:
            block.order.rest_wh = rest_wh
        else:
            _leave(state, block)
    use(slots, buyer.order.connection, -each_wh)
    paths = instruments[0].paths
    if paths is not None and zones[0] != zones[1]:
        flow(slots, paths[zones], each_wh)
        look_again(state, slots)


def _lessen(state: Market, block: Block, energy_wh: int) -> None:
    """So much less of each delivery is open: its credit and capability are free (< 0: more is open)."""
    order, instruments = block.order, instruments_of(state, block.span)
    state.account(order.party).exposure_pico -= energy_wh * len(instruments) * order.exposure_pico_per_wh
    if not order.buys:
        use(slots_of(instruments), order.connection, -energy_wh // len(instruments[0].slots))


def _leave(state: Market, block: Block) -> None:
    book = state.block_books[block.span]
    book.reduce(block.order, 0)
    del state.blocks[block.order.order]
    if book.resting:
        uncross_blocks(state, block.span)  # it may have been in the way of its owner's others
        return
    del state.block_books[block.span]
    for instrument in instruments_of(state, block.span):
        forget_when_written_out(state, instrument)


def _expire(state: Market, timer: Timer, ahead: Ahead) -> Iterator[BlocksCancelled]:
    if timer[3] not in ahead.gone:
        ahead.room -= 1
        ahead.gone.add(timer[3])
        yield BlocksCancelled(state.market, CancelReason.EXPIRED, (timer[3],))


def _close(state: Market, timer: Timer, ahead: Ahead) -> Iterator[BlocksCancelled]:
    book = _book(state, timer)
    assert book is not None, "a book without blocks is over"
    left = [order.order for order in book.best_first() if order.order not in ahead.gone]
    for place in range(0, len(left), MAX_SLICE):
        if ahead.room > 0:
            part = tuple(left[place : place + MAX_SLICE])
            ahead.room -= 1
            ahead.gone.update(part)
            yield BlocksCancelled(state.market, CancelReason.GATE_CLOSED, part)


def _book(state: Market, timer: Timer) -> Book | None:
    start, duration_min, intervals = map(int, timer[3].split("/"))
    return state.block_books.get((start, duration_min, intervals))


def _is_closed(state: Market, timer: Timer) -> bool:
    return _book(state, timer) is None


def _is_gone(state: Market, timer: Timer) -> bool:
    return timer[3] not in state.blocks


TIMED: Final = {
    **block_matching.TIMED,
    BLOCK_EXPIRY: Timed(_is_gone, _expire),
    BLOCK_GATE: Timed(_is_closed, _close),
}
