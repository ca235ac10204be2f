"""Whom a block meets among the blocks of its deliveries: as it comes in, and as it is looked at again.

Blocks that rest are looked through when a line gets room, when one that may have been in the way is gone, and when a
delivery of theirs goes on: in the order of acceptance, each as if it came in again, at the older one's price.
"""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any, Final

from domain.identity import birthplace_of, born
from domain.market.block_state import Block, Span, span_of
from domain.market.book import Book, Order
from domain.market.capability import Slot
from domain.market.contract_versions import concluded
from domain.market.gates import MAX_SLICE
from domain.market.matching import ALL_WH, Bounds, match
from domain.market.network import Crossing
from domain.market.state import Instrument, Market
from domain.market.timers import BLOCK_UNCROSSING, Ahead, Timed, Timer
from schemas.market.events import ContractConcluded, Phase, Restriction
from schemas.market.package_events import BlockAccepted, BlocksCancelled, BlockTradeMade
from schemas.market.reasons import CancelReason
from schemas.values import Side


def enter(
    state: Market,
    block: BlockAccepted,
    ids: blake2b,
    now_at: int,
    older_than: int | None = None,
    taken_wh: dict[str, int] | None = None,
    most: int | None = None,
) -> list[Any]:
    """What happens to a block among the others; with `older_than` it meets those only that came before."""
    span = block.first_start_at, block.interval_min, block.intervals
    instruments = instruments_of(state, span)
    rules, buys = instruments[0].rules, block.side is Side.BUY
    paths = instruments[0].paths
    crossing = None
    if paths is not None:
        crossing = Crossing(paths, slots_of(instruments), len(instruments[0].slots), rules.lot_wh)
    plan = match(
        state.block_books.get(span, Book()),
        block.party,
        buys,
        block.quantity_wh,
        block.limit_price_nano_per_kwh,
        Restriction.AON,
        rules.self_trade,
        now_at,
        0,
        Bounds(block.zone, crossing=crossing, older_than=older_than, taken_wh=taken_wh, most=most),
    )
    facts: list[Any] = []
    rest_wh, n = block.quantity_wh, 0
    for resting, quantity_wh in plan.meetings:
        if not quantity_wh:
            facts.append(BlocksCancelled(state.market, CancelReason.SELF_TRADE, (resting.order,)))
            continue
        rest_wh -= quantity_wh
        buyer, seller = (block, resting) if buys else (resting, block)
        trade = BlockTradeMade(
            state.market,
            born(ids, n + 1),
            _id(buyer),
            _id(seller),
            buyer.party,
            seller.party,
            block.side,
            block.first_start_at,
            block.intervals,
            block.interval_min,
            quantity_wh,
            resting.limit_price_nano_per_kwh,
            rest_wh if buys else 0,
            0 if buys else rest_wh,
        )
        n += 2
        facts += (trade, _contract(instruments, trade, born(ids, n), buyer, seller))
    return facts


def _id(side: BlockAccepted | Order) -> str:
    return side.block if isinstance(side, BlockAccepted) else side.order


def _contract(
    instruments: Sequence[Instrument],
    trade: BlockTradeMade,
    contract: str,
    buyer: BlockAccepted | Order,
    seller: BlockAccepted | Order,
) -> ContractConcluded:
    """One contract over all deliveries."""
    first = instruments[0]
    intervals = len(first.slots)
    return concluded(
        trade.market,
        first.rules,
        first.version,
        contract,
        trade.trade,
        trade.seller,
        trade.buyer,
        seller.connection,
        buyer.connection,
        seller.zone,
        buyer.zone,
        trade.first_start_at,
        (trade.quantity_wh // intervals,) * (intervals * trade.intervals),
        trade.price_nano_per_kwh,
        first.rules.book_delivery_mode,
        first.duration_min,
    )


def instruments_of(state: Market, span: Span) -> list[Instrument]:
    """The deliveries of a block."""
    return [state.instruments[key] for key in span_of(span)]


def slots_of(instruments: Sequence[Instrument]) -> list[Slot]:
    """Their settlement intervals."""
    return [slot for instrument in instruments for slot in instrument.slots]


def _met(state: Market, span: Span, at: int, room: int, gone: set[str]) -> list[Any]:
    """What happens to the first resting block that can meet older ones, as if it came in now; at most `room` facts."""
    book = state.block_books.get(span)
    if book is None or not _is_traded(state, span, at):
        return []
    taken_wh = dict.fromkeys(gone, ALL_WH)
    for order in sorted(book.crossed(at), key=lambda order: order.sequence):
        if order.order not in gone:
            ids = birthplace_of(order.order, order.sequence, order.rest_wh)
            entering = _as_entering(state, state.blocks[order.order])
            # Who needs more partners than one call has room for waits on: a block trades whole.
            facts = enter(state, entering, ids, at, order.sequence, taken_wh, (room - 1) // 2)
            if facts:
                return facts
    return []


def _is_traded(state: Market, span: Span, at: int) -> bool:
    """Whether every delivery of the block is traded now."""
    found = instruments_of(state, span)
    return not state.suspended and all(i.phase is Phase.CONTINUOUS and not i.closed and at < i.gate_at for i in found)


def _as_entering(state: Market, block: Block) -> BlockAccepted:
    """A resting block as if it came in now."""
    order, (start, duration_min, intervals) = block.order, block.span
    return BlockAccepted(
        state.market,
        order.order,
        order.sequence,
        order.party,
        order.connection,
        order.zone,
        Side.BUY if order.buys else Side.SELL,
        start,
        intervals,
        duration_min,
        order.rest_wh,
        order.limit_price_nano_per_kwh,
        order.expires_at,
    )


def _uncross(state: Market, timer: Timer, ahead: Ahead) -> Iterator[Any]:
    """One block a call: the next one is judged when this one's trades stand."""
    for fact in _met(state, _span(timer), ahead.at, ahead.room, ahead.gone):
        ahead.stop = True
        ahead.room -= 1
        yield fact


def _is_uncrossed(state: Market, timer: Timer) -> bool:
    return not _met(state, _span(timer), 0, MAX_SLICE, set())


def _span(timer: Timer) -> Span:
    start, duration_min, intervals = map(int, timer[3].split("/"))
    return start, duration_min, intervals


TIMED: Final = {BLOCK_UNCROSSING: Timed(_is_uncrossed, _uncross)}
