"""The timetable of auctions of whole sessions: the call, the lists of books and blocks, the trades, the deadline."""

from collections.abc import Iterator
from typing import Any, Final

from domain.identity import derived_id
from domain.market.gates import gate_key
from domain.market.session_state import SessionAuction
from domain.market.session_trades import trades_of
from domain.market.state import Instrument, Key, Market
from domain.market.timers import (
    SESSION_CALL,
    SESSION_DEADLINE,
    SESSION_LISTING,
    SESSION_TRADES,
    Ahead,
    Timed,
    Timer,
)
from schemas.market.reasons import CancelReason
from schemas.market.session_events import (
    CallBlocksEnded,
    SessionAuctionCalled,
    SessionAuctionCleared,
    SessionAuctionEnded,
    SessionAuctionFailed,
    SessionAuctionStarted,
    SessionBlocksListed,
    SessionBookListed,
)
from schemas.values import MINUTE_US, Side

MAX_LISTED: Final = 500
"""Orders in one `SessionBookListed` and in one part of a proposal."""

MAX_BLOCKS_LISTED: Final = 20
"""Blocks in one `SessionBlocksListed`."""


def instruments_of(state: Market, auction: SessionAuction) -> list[Instrument]:
    """The books of the session, by delivery."""
    return [state.instruments[key] for key in auction.keys]


def _end_call(state: Market, timer: Timer, ahead: Ahead) -> Iterator[SessionAuctionCalled]:
    """The end of the call: all books are frozen, without what expires in the same call.

    A result must come before the first gate.
    """
    auction = state.session_auctions.known[gate_key(timer)]
    first = state.instruments[auction.key]
    rules = first.rules
    terms = rules.session_auction
    assert terms is not None, "a session with an auction has its rules"
    gone = sum(1 for order in ahead.gone if order in state.orders and auction.trades(*state.orders[order].instrument))
    ahead.room -= 1
    ahead.stop = True
    yield SessionAuctionCalled(
        state.market,
        derived_id(state.market, "session_auction", *auction.key, ahead.at),
        *auction.about,
        sum(instrument.book.resting for instrument in instruments_of(state, auction)) - gone,
        len(auction.blocks),
        rules.tick_nano_per_kwh,
        rules.lot_wh * len(first.slots),
        rules.min_price_nano_per_kwh,
        rules.max_price_nano_per_kwh,
        terms.k_ppm,
        terms.rationing,
        min(ahead.at + terms.deadline_min * MINUTE_US, first.gate_at - 1),
    )


def _list(state: Market, timer: Timer, ahead: Ahead) -> Iterator[Any]:
    """Books and blocks in slices; where nobody can trade with anybody, that is the result at once."""
    auction = state.session_auctions.known[gate_key(timer)]
    called = auction.frozen
    ahead.stop = True
    instruments = instruments_of(state, auction)
    if not auction.blocks and not any(auction.books) and not any(i.book.crossed(0) for i in instruments):
        ahead.room -= 1
        yield SessionAuctionCleared(state.market, called.auction, *auction.about, 0, 0, 0, 0, 0)
        return
    for place, instrument in enumerate(instruments):
        listed = len(auction.books[place])
        if listed < instrument.book.resting:
            yield from _list_book(state, called.auction, instrument, listed, ahead)
    blocks = auction.called_blocks()
    for first in range(auction.listed_blocks, len(blocks), MAX_BLOCKS_LISTED):
        if ahead.room:
            ahead.room -= 1
            part = blocks[first : first + MAX_BLOCKS_LISTED]
            yield SessionBlocksListed(state.market, called.auction, first, part)
    if ahead.room:
        ahead.room -= 1
        yield SessionAuctionStarted(
            state.market,
            called.auction,
            *auction.about,
            called.resting,
            called.blocks,
            called.tick_nano_per_kwh,
            called.lot_wh,
            called.min_price_nano_per_kwh,
            called.max_price_nano_per_kwh,
            called.k_ppm,
            called.rationing,
        )


def _list_book(
    state: Market, auction: str, instrument: Instrument, listed: int, ahead: Ahead
) -> Iterator[SessionBookListed]:
    if not ahead.room:
        return
    orders = sorted(instrument.book.best_first(), key=lambda order: order.sequence)
    for first in range(listed, len(orders), MAX_LISTED):
        if not ahead.room:
            return
        ahead.room -= 1
        part = orders[first : first + MAX_LISTED]
        yield SessionBookListed(
            state.market,
            auction,
            *instrument.key,
            first,
            tuple(order.order for order in part),
            tuple(Side.BUY if order.buys else Side.SELL for order in part),
            tuple(order.limit_price_nano_per_kwh for order in part),
            tuple(order.rest_wh for order in part),
        )


def _trade(state: Market, timer: Timer, ahead: Ahead) -> Iterator[Any]:
    """What the result brings about, then the end."""
    auction = state.session_auctions.known[gate_key(timer)]
    ahead.stop = True
    yield from trades_of(state, auction, ahead)
    if ahead.room:
        ahead.room -= 1
        yield SessionAuctionEnded(state.market, auction.frozen.auction, *auction.about)


def _fail(state: Market, timer: Timer, ahead: Ahead) -> Iterator[CallBlocksEnded | SessionAuctionFailed]:
    auction = state.session_auctions.known[gate_key(timer)]
    ahead.stop = True
    if auction.blocks:
        ahead.room -= 1
        yield auction.ended(state.market, auction.blocks, CancelReason.AUCTION_FAILED)
    if ahead.room:
        ahead.room -= 1
        yield SessionAuctionFailed(state.market, auction.frozen.auction, *auction.about)


def _auction(state: Market, key: Key) -> SessionAuction | None:
    return state.session_auctions.known.get(key)


def _is_called(state: Market, timer: Timer) -> bool:
    auction = _auction(state, gate_key(timer))
    return auction is None or auction.called is not None


def _is_listed(state: Market, timer: Timer) -> bool:
    auction = _auction(state, gate_key(timer))
    return auction is None or auction.listed or auction.cleared is not None


def _is_traded(state: Market, timer: Timer) -> bool:
    auction = _auction(state, gate_key(timer))
    return auction is None or auction.cleared is None


def _is_decided(state: Market, timer: Timer) -> bool:
    auction = _auction(state, gate_key(timer))
    return auction is None or auction.cleared is not None


TIMED: Final = {
    SESSION_CALL: Timed(_is_called, _end_call),
    SESSION_LISTING: Timed(_is_listed, _list),
    SESSION_TRADES: Timed(_is_traded, _trade),
    SESSION_DEADLINE: Timed(_is_decided, _fail),
}
