"""What the result of a session's auction brings about: accepted blocks, ended blocks, then trades, all in slices.

An accepted block is an order in each of its deliveries at the price there; these trade beside the simple orders,
buyers and sellers in the order of acceptance, nobody with himself while there is somebody else.
"""

from collections.abc import Iterator
from typing import Any, Final

from domain.identity import derived_id
from domain.market.auction_trades import auctioned, next_seller
from domain.market.block_check import BlockCheck
from domain.market.clearing import PPM
from domain.market.session_state import CallBlock, SessionAuction
from domain.market.state import Instrument, Market
from domain.market.timers import Ahead
from domain.market.trading import contract_of
from schemas.market.reasons import CancelReason
from schemas.market.session_events import CallBlockFilled, CallBlocksEnded
from schemas.values import MINUTE_US, Side

_TOGETHER: Final = 2
"""A trade and its contract come in the same call."""


def trades_of(state: Market, auction: SessionAuction, ahead: Ahead) -> Iterator[Any]:
    """What comes next of the result; blocks come before trades. Where there is room left, nothing is left to say."""
    check = auction.check
    if check is None:
        return  # nobody could trade with anybody
    if auction.blocks:
        yield from _blocks(state, auction, check, ahead)
        ahead.room = 0
    for place, key in enumerate(auction.keys):
        price = check.prices[place]
        if price is not None:
            yield from _trades(state, auction, place, state.instruments[key], price, ahead)


def _blocks(state: Market, auction: SessionAuction, check: BlockCheck, ahead: Ahead) -> Iterator[Any]:
    """What is accepted, then what is not, with the reason."""
    out: dict[CancelReason, list[str]] = {}
    for name, block in auction.blocks.items():
        if not any(block.profile_wh):
            suits = _gains(auction, block, check) >= 0
            reason = CancelReason.BLOCK_PASSED_OVER if suits else CancelReason.BLOCK_OUTPRICED
            out.setdefault(reason, []).append(name)
        elif ahead.room:
            ahead.room -= 1
            yield _filled(state, auction, name, check)
    for reason, names in out.items():
        if ahead.room:
            ahead.room -= 1
            parties = tuple(auction.blocks[name].accepted.party for name in names)
            yield CallBlocksEnded(state.market, reason, tuple(names), parties)


def _gains(auction: SessionAuction, block: CallBlock, check: BlockCheck) -> int:
    """What the whole block would have gained at the prices; where there is none, nothing."""
    asked = block.accepted
    first, limit = auction.place_of(asked.first_start_at), asked.limit_price_nano_per_kwh
    prices = check.prices[first : first + len(asked.profile_wh)]
    gains = sum((p - limit) * wh for p, wh in zip(prices, asked.profile_wh, strict=True) if p is not None)
    return -gains if asked.side is Side.BUY else gains


def _filled(state: Market, auction: SessionAuction, name: str, check: BlockCheck) -> CallBlockFilled:
    block, result = auction.blocks[name], auction.cleared
    assert result is not None, "blocks are filled by a result"
    asked, starts = block.accepted, _starts(block)
    prices = [check.prices[auction.place_of(start)] for start in starts]
    return CallBlockFilled(
        state.market,
        result.auction,
        name,
        asked.sequence,
        asked.party,
        asked.connection,
        asked.side,
        asked.interval_min,
        tuple(starts),
        tuple(derived_id(name, "order", start) for start in starts),
        tuple(energy_wh for energy_wh in block.profile_wh if energy_wh),
        tuple(price for price in prices if price is not None),
        sum(block.profile_wh) * PPM // sum(asked.profile_wh),
    )


def _starts(block: CallBlock) -> list[int]:
    """Of the deliveries that the block trades."""
    first, step = block.accepted.first_start_at, block.accepted.interval_min * MINUTE_US
    return [first + n * step for n, energy_wh in enumerate(block.profile_wh) if energy_wh]


def _trades(
    state: Market, auction: SessionAuction, place: int, instrument: Instrument, price: int, ahead: Ahead
) -> Iterator[Any]:
    """One delivery's trades, each with its contract."""
    result = auction.cleared
    assert result is not None, "what trades has a result"
    bids, asks = list(auction.bids[place]), list(auction.asks[place])
    rests: dict[str, int] = {}
    while bids and ahead.room >= _TOGETHER:
        buy, buy_wh, _ = bids[-1]
        at = next_seller(state, state.orders[buy].party, asks)
        sell, sell_wh, _ = asks[at]
        energy_wh = min(buy_wh, sell_wh)
        for side, n in ((bids, len(bids) - 1), (asks, at)):
            order, left, sequence = side[n]
            if left == energy_wh:
                del side[n]
            else:
                side[n] = order, left - energy_wh, sequence
            rests[order] = rests.get(order, state.orders[order].rest_wh) - energy_wh
        prices, rests_wh = (price, price), (rests[buy], rests[sell])
        trade = auctioned(state, result.auction, instrument, buy, sell, energy_wh, prices, rests_wh)
        ahead.room -= _TOGETHER
        yield trade
        zones = state.orders[sell].zone, state.orders[buy].zone
        yield contract_of(instrument, trade, derived_id(trade.trade, "contract"), *zones)
    if bids:
        ahead.room = 0
