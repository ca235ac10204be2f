"""Call auctions of single books: frozen, written out, cleared outside, checked here with integers, traded in slices.

A book collects orders without matching them at its opening or while it is halted; then it is called. From then on
nothing in it changes until the auction ends. Somebody calculates the result and proposes it in parts; each is checked
as it comes (`clearing_check`). Without a result by the deadline the book trades on continuously.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, assert_never

from domain.identity import derived_id
from domain.market.auction_state import Auction
from domain.market.book import Order
from domain.market.clearing import Clearing, Level, Offer
from domain.market.clearing_check import ClearingCheck, Flaw
from domain.market.evolution import name_of, uncross
from domain.market.gates import gate_key
from domain.market.refusal import Refusal, refused
from domain.market.state import Instrument, Key, Market
from domain.market.timers import (
    AT_ONCE,
    AUCTION_DEADLINE,
    AUCTION_LISTING,
    AUCTION_TRADES,
    EXPIRY,
    HALT_END,
    Ahead,
    Timed,
    Timer,
)
from domain.market.trading import contract_of
from schemas.actors import CALCULATION
from schemas.envelope import Command, Moment
from schemas.market.auction_commands import ProposeClearing
from schemas.market.auction_events import (
    AuctionBookListed,
    AuctionCalled,
    AuctionCleared,
    AuctionEnded,
    AuctionFailed,
    AuctionPartChecked,
    AuctionStarted,
    CalledLevel,
    CalledPrice,
    CallRules,
)
from schemas.market.events import CommandRefused, Phase, TradeMade
from schemas.market.phase_events import TradingResumed
from schemas.market.reasons import MarketRefusal
from schemas.values import MINUTE_US, Side

MAX_LISTED: Final = 500
"""Orders in one `AuctionBookListed` and in one part of a proposal."""

CALCULATION_NAME: Final = "market.clearing"
CALCULATOR: Final = f"{CALCULATION}{CALCULATION_NAME}"

OUTCOMES: Final[Mapping[type, tuple[type, ...]]] = {
    ProposeClearing: (AuctionPartChecked, AuctionCleared, CommandRefused),
}
FACTS: Final = (
    AuctionCalled,
    AuctionBookListed,
    AuctionStarted,
    AuctionPartChecked,
    AuctionCleared,
    AuctionFailed,
    AuctionEnded,
)
Fact = (
    AuctionCalled
    | AuctionBookListed
    | AuctionStarted
    | AuctionPartChecked
    | AuctionCleared
    | AuctionFailed
    | AuctionEnded
)


def called(state: Market, instrument: Instrument, rules: CallRules, now_at: int) -> AuctionCalled:
    """The fact that freezes a book. Its result must come before the gate."""
    start, duration_min = instrument.key
    return AuctionCalled(
        state.market,
        derived_id(state.market, "auction", start, duration_min, now_at),
        start,
        duration_min,
        len(_frozen(instrument)),
        instrument.rules.tick_nano_per_kwh,
        instrument.rules.lot_wh * len(instrument.slots),
        rules.k_ppm,
        rules.rationing,
        min(now_at + rules.deadline_min * MINUTE_US, instrument.gate_at - 1),
    )


def decide(state: Market, command: Command[Any], now: Moment) -> list[Any]:
    """Takes a part of a result, if it is right."""
    wish: ProposeClearing = command.body
    instrument = state.instruments.get((wish.delivery_start_at, wish.interval_min))
    found = _refuse(state, instrument, wish, command.meta.actor, now)
    if isinstance(found, Refusal):
        return refused(wish, wish.auction, command.meta.actor, found)
    start, duration_min = wish.delivery_start_at, wish.interval_min
    about = state.market, wish.auction, start, duration_min
    checked = AuctionPartChecked(*about, wish.part, wish.parts, wish.called, wish.orders, wish.filled_wh)
    if wish.part != wish.parts:
        return [checked]
    price = wish.called.price_nano_per_kwh
    return [checked, AuctionCleared(*about, price, wish.called.volume_wh, 0)]


def _refuse(
    state: Market, instrument: Instrument | None, wish: ProposeClearing, actor: str, now: Moment
) -> Refusal | None:
    if not state.rules:
        return Refusal(MarketRefusal.MARKET_UNKNOWN)
    if actor != CALCULATOR:
        return Refusal(MarketRefusal.NOT_AUTHORISED)
    auction = None if instrument is None else instrument.auction
    if auction is None or auction.called.auction != wish.auction or not auction.started or auction.cleared:
        return Refusal(MarketRefusal.AUCTION_UNKNOWN)
    if now.at >= auction.called.deadline_at:
        return Refusal(MarketRefusal.AUCTION_UNKNOWN, auction.called.deadline_at, now.at)
    if wish.part != auction.parts + 1 or wish.part > wish.parts:
        return Refusal(MarketRefusal.PART_UNEXPECTED, auction.parts + 1, wish.part)
    if auction.proposed is not None and wish.called != auction.proposed:
        return Refusal(MarketRefusal.PART_UNEXPECTED, 1, wish.part)
    check = auction.check or ClearingCheck(auction.rules, clearing_of(wish.called))
    expected = auction.orders[check.count : check.count + len(wish.orders)]
    if list(wish.orders) != expected or len(wish.orders) > MAX_LISTED:
        return _wrong(Flaw.LIST)
    trial = check.copy()
    flaw = trial.take([offer_of(state, order) for order in wish.orders], wish.filled_wh)
    if flaw is None and wish.part == wish.parts:
        flaw = trial.finish(len(auction.orders))
    return None if flaw is None else _wrong(flaw)


def _wrong(flaw: Flaw) -> Refusal:
    """The number found is the flaw's place in the order of the checks, from 1 on."""
    return Refusal(MarketRefusal.CLEARING_WRONG, 0, list(Flaw).index(flaw) + 1)


def offer_of(state: Market, order_id: str) -> Offer:
    """An order of a frozen book."""
    order = state.orders[order_id]
    return Offer(order.buys, order.limit_price_nano_per_kwh, order.rest_wh, order.sequence)


def clearing_of(called: CalledPrice) -> Clearing:
    """A result in the terms of the check."""
    bids, asks = (Level(x.quantity_wh, x.filled_wh, x.cut, x.at_cut) for x in (called.bids, called.asks))
    return Clearing(called.price_nano_per_kwh, called.volume_wh, called.volume_wh, bids, asks)


def called_price(clearing: Clearing) -> CalledPrice:
    """A result in the terms of messages."""
    bids, asks = (CalledLevel(x.quantity_wh, x.filled_wh, x.cut, x.at_cut) for x in (clearing.bids, clearing.asks))
    return CalledPrice(clearing.price_nano_per_kwh, clearing.bought_wh, bids, asks)


def apply(state: Market, fact: Fact) -> None:
    """The market after a fact about an auction."""
    instrument = state.instruments[fact.delivery_start_at, fact.interval_min]
    match fact:
        case AuctionCalled():
            _call(state, instrument, fact)
            return
        case _:
            auction = instrument.auction
            assert auction is not None, "there are no facts about an auction without one"
    match fact:
        case AuctionBookListed():
            auction.listed += len(fact.orders)
        case AuctionStarted():
            auction.started = True
        case AuctionPartChecked():
            _taken(state, auction, fact)
        case AuctionCleared():
            auction.cleared = fact
            auction.bids.reverse()
            auction.asks.reverse()
            state.remind(AT_ONCE, AUCTION_TRADES, instrument.gate_at, name_of(instrument))
        case AuctionFailed() | AuctionEnded():
            _goes_on(state, instrument)
        case _:
            assert_never(fact)


def _call(state: Market, instrument: Instrument, fact: AuctionCalled) -> None:
    instrument.phase = Phase.AUCTION
    instrument.auction = Auction(fact, [order.order for order in _frozen(instrument)])
    state.remind(AT_ONCE, AUCTION_LISTING, instrument.gate_at, name_of(instrument))
    state.remind(fact.deadline_at, AUCTION_DEADLINE, instrument.delivery_start_at, name_of(instrument))


def _taken(state: Market, auction: Auction, fact: AuctionPartChecked) -> None:
    if auction.check is None:
        auction.proposed = fact.called
        auction.check = ClearingCheck(auction.rules, clearing_of(fact.called))
    offers = [offer_of(state, order) for order in fact.orders]
    auction.check.take(offers, fact.filled_wh)
    auction.parts = fact.part
    for order, offer, filled in zip(fact.orders, offers, fact.filled_wh, strict=True):
        if filled:
            (auction.bids if offer.buys else auction.asks).append((order, filled))


def _goes_on(state: Market, instrument: Instrument) -> None:
    """Continuous trading again. What expired while the book was frozen expires now."""
    instrument.phase = Phase.CONTINUOUS
    instrument.auction = None
    for order in _in_order(instrument):
        if order.expires_at is not None:
            state.remind(order.expires_at, EXPIRY, order.sequence, order.order)
    uncross(state, instrument)


def _frozen(instrument: Instrument) -> list[Any]:
    """What trades in an auction, in the order of acceptance; what trades whole or not at all waits for its end."""
    return [order for order in _in_order(instrument) if not order.aon]


def _list(state: Market, timer: Timer, ahead: Ahead) -> Iterator[Any]:
    """The frozen book in slices; where nobody can trade with anybody, that is the result at once."""
    instrument = state.instruments[gate_key(timer)]
    auction = instrument.auction
    assert auction is not None, "a listing without an auction is over"
    ahead.stop = True
    fact = auction.called
    about = fact.market, fact.auction, fact.delivery_start_at, fact.interval_min
    if not auction.listed and not _crosses(state, auction):
        ahead.room -= 1
        yield AuctionCleared(*about, None, 0, 0)
        return
    for first in range(auction.listed, len(auction.orders), MAX_LISTED):
        if not ahead.room:
            return
        ahead.room -= 1
        orders = [state.orders[order] for order in auction.orders[first : first + MAX_LISTED]]
        yield AuctionBookListed(
            *about,
            first,
            tuple(order.order for order in orders),
            tuple(Side.BUY if order.buys else Side.SELL for order in orders),
            tuple(order.limit_price_nano_per_kwh for order in orders),
            tuple(order.rest_wh for order in orders),
        )
    if ahead.room:
        ahead.room -= 1
        terms = fact.tick_nano_per_kwh, fact.lot_wh, fact.k_ppm, fact.rationing
        yield AuctionStarted(*about, len(auction.orders), *terms)


def _crosses(state: Market, auction: Auction) -> bool:
    orders = [state.orders[order] for order in auction.orders]
    bids = [order.limit_price_nano_per_kwh for order in orders if order.buys]
    asks = [order.limit_price_nano_per_kwh for order in orders if not order.buys]
    return bool(bids and asks) and max(bids) >= min(asks)


def _trade(state: Market, timer: Timer, ahead: Ahead) -> Iterator[Any]:
    """Trades of the result, each with its contract: buyers and sellers in the order of acceptance, nobody with himself
    while there is somebody else."""
    instrument = state.instruments[gate_key(timer)]
    auction = instrument.auction
    assert auction is not None, "trades without an auction are over"
    assert auction.cleared is not None, "trades without a result are over"
    ahead.stop = True
    price, result = auction.cleared.price_nano_per_kwh, auction.cleared
    bids, asks = list(auction.bids), list(auction.asks)
    rests: dict[str, int] = {}
    while bids and ahead.room >= 2:
        assert price is not None, "what trades has a price"
        buy, buy_wh = bids[-1]
        place = _partner(state, buy, asks)
        sell, sell_wh = asks[place]
        energy_wh = min(buy_wh, sell_wh)
        for side, at, order, left in ((bids, len(bids) - 1, buy, buy_wh), (asks, place, sell, sell_wh)):
            if left == energy_wh:
                del side[at]
            else:
                side[at] = order, left - energy_wh
            rests[order] = rests.get(order, state.orders[order].rest_wh) - energy_wh
        trade = _made(state, result, buy, sell, energy_wh, (rests[buy], rests[sell]))
        ahead.room -= 2
        yield trade
        zones = state.orders[sell].zone, state.orders[buy].zone
        yield contract_of(instrument, trade, derived_id(trade.trade, "contract"), *zones)
    if not bids and ahead.room:
        ahead.room -= 1
        yield AuctionEnded(result.market, result.auction, result.delivery_start_at, result.interval_min)


def _partner(state: Market, buy: str, asks: list[tuple[str, int]]) -> int:
    """The next seller who is somebody else; the next one where all are the buyer himself."""
    party = state.orders[buy].party
    last = len(asks) - 1
    return next((n for n in range(last, -1, -1) if state.orders[asks[n][0]].party != party), last)


def _made(
    state: Market, result: AuctionCleared, buy: str, sell: str, energy_wh: int, rests_wh: tuple[int, int]
) -> TradeMade:
    """The later order counts as the one that came to the other."""
    buyer, seller = state.orders[buy], state.orders[sell]
    assert result.price_nano_per_kwh is not None, "what trades has a price"
    return TradeMade(
        state.market,
        derived_id(result.auction, "trade", buy, sell),
        result.delivery_start_at,
        result.interval_min,
        buy,
        sell,
        buyer.party,
        seller.party,
        buyer.connection,
        seller.connection,
        Side.BUY if buyer.sequence > seller.sequence else Side.SELL,
        energy_wh,
        result.price_nano_per_kwh,
        *rests_wh,
    )


def _fail(state: Market, timer: Timer, ahead: Ahead) -> Iterator[AuctionFailed]:
    ahead.room -= 1
    ahead.stop = True
    auction = _auction(state, gate_key(timer))
    assert auction is not None, "a deadline without an auction is over"
    fact = auction.called
    yield AuctionFailed(fact.market, fact.auction, fact.delivery_start_at, fact.interval_min)


def _end_call(state: Market, timer: Timer, ahead: Ahead) -> Iterator[Any]:
    """The end of a call phase: the book is called to an auction, or goes on where the rules know none."""
    instrument = state.instruments[gate_key(timer)]
    ahead.room -= 1
    ahead.stop = True
    rules = instrument.rules.auction
    if rules is None:
        yield TradingResumed(state.market, *gate_key(timer))
    else:
        yield called(state, instrument, rules, ahead.at)


def _auction(state: Market, key: Key) -> Auction | None:
    instrument = state.instruments.get(key)
    return None if instrument is None or instrument.closed else instrument.auction


def _is_called(state: Market, timer: Timer) -> bool:
    instrument = state.instruments.get(gate_key(timer))
    if instrument is None or instrument.closed or instrument.phase is not Phase.CALL:
        return True
    return timer[0] != instrument.collects_until  # a book that went on may have been halted again


def _is_listed(state: Market, timer: Timer) -> bool:
    auction = _auction(state, gate_key(timer))
    return auction is None or auction.started or auction.cleared is not None


def _is_traded(state: Market, timer: Timer) -> bool:
    auction = _auction(state, gate_key(timer))
    return auction is None or auction.cleared is None


def _is_decided(state: Market, timer: Timer) -> bool:
    auction = _auction(state, gate_key(timer))
    return auction is None or auction.cleared is not None or auction.called.deadline_at != timer[0]


TIMED: Final = {
    HALT_END: Timed(_is_called, _end_call),
    AUCTION_LISTING: Timed(_is_listed, _list),
    AUCTION_TRADES: Timed(_is_traded, _trade),
    AUCTION_DEADLINE: Timed(_is_decided, _fail),
}


def _in_order(instrument: Instrument) -> list[Order]:
    """Every open order of a book as it was accepted."""
    return sorted(instrument.book.best_first(), key=lambda order: order.sequence)
