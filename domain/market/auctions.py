"""Call auctions of single books: frozen, written out, cleared outside, checked here with integers, traded in slices.

A book collects orders without matching them at its opening or while it is halted; then it is called. From then on
nothing in it changes until the auction ends. Somebody calculates the result and proposes it in parts; each is checked
as it comes (`clearing_check`). Without a result by the deadline the book trades on continuously.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, assert_never

from domain.identity import derived_id
from domain.market.auction_state import Auction
from domain.market.auction_trades import trades
from domain.market.book import Order
from domain.market.clearing import Offer
from domain.market.clearing_check import Flaw
from domain.market.evolution import look_again, name_of
from domain.market.exposure import PICO_PER_MICRO
from domain.market.gates import cancelled_together, gate_key
from domain.market.leaving import thaw
from domain.market.network import hold, zones_of
from domain.market.refusal import Refusal, refused
from domain.market.state import Instrument, Key, Market
from domain.market.timers import (
    AT_ONCE,
    AUCTION_DEADLINE,
    AUCTION_LISTING,
    AUCTION_TRADES,
    HALT_END,
    Ahead,
    Timed,
    Timer,
)
from domain.market.trading import crossing_of
from domain.market.units import unit_of
from domain.rounding import half_up
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
    CalledLine,
    CalledPrice,
    CallRules,
    ClearedZone,
    Mechanism,
)
from schemas.market.events import CommandRefused, Phase
from schemas.market.phase_events import TradingResumed
from schemas.market.reasons import CancelReason, MarketRefusal
from schemas.market.rules import Line
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


def called(state: Market, instrument: Instrument, rules: CallRules, ahead: Ahead) -> AuctionCalled:
    """The fact that freezes a book, and what may cross the lines; what expires in the same call is not in it.

    Its result must come before the gate.
    """
    start, duration_min = instrument.key
    orders = [order for order in _frozen(instrument) if order.order not in ahead.gone]
    network, zones = instrument.rules.network, ()
    if network is not None:
        # A connection may have come from a zone that the rules do not know any more: it trades at home.
        zones = tuple(dict.fromkeys((*zones_of(instrument.rules), *(order.zone for order in orders))))
    lines = network.lines if network is not None else ()
    return AuctionCalled(
        state.market,
        derived_id(state.market, "auction", start, duration_min, ahead.at),
        start,
        duration_min,
        len(orders),
        instrument.rules.tick_nano_per_kwh,
        unit_of(instrument) or instrument.rules.lot_wh * len(instrument.slots),
        rules.k_ppm,
        rules.rationing,
        min(ahead.at + rules.deadline_min * MINUTE_US, instrument.gate_at - 1),
        zones,
        tuple(_called_line(instrument, line) for line in lines),
        rules.mechanism,
    )


def _called_line(instrument: Instrument, line: Line) -> CalledLine:
    crossing = crossing_of(instrument)
    assert crossing is not None, "lines are in a network"
    ways = (line.from_zone, line.to_zone), (line.to_zone, line.from_zone)
    forward_wh, backward_wh = (crossing.room_wh(*way, False) for way in ways)
    return CalledLine(line.line, line.from_zone, line.to_zone, forward_wh, backward_wh)


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
    assert instrument is not None, "a result of nothing is refused"
    assert instrument.auction is not None, "a result of nothing is refused"
    return [checked, _cleared(about, wish.called, instrument.auction.check_of(wish.called).income_pico())]


def _cleared(about: tuple[str, str, int, int], called: CalledPrice, income_pico: int) -> AuctionCleared:
    zones = (ClearedZone(z.zone, z.price_nano_per_kwh, z.bought_wh, z.sold_wh) for z in called.zones)
    price, gets = called.price_nano_per_kwh, called.seller_price_nano_per_kwh
    income_micro = half_up(income_pico, PICO_PER_MICRO)
    return AuctionCleared(*about, price, called.volume_wh, 0, gets, tuple(zones), called.flows, income_micro)


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
    check = auction.check_of(wish.called)
    if check.called != wish.called:
        return _wrong(Flaw.TOTALS)
    expected = auction.orders[check.count : check.count + len(wish.orders)]
    if list(wish.orders) != expected or len(wish.orders) > MAX_LISTED:
        return _wrong(Flaw.LIST)
    trial = check.copy()
    offers = [offer_of(state, order) for order in wish.orders]
    flaw = trial.take(_zones_of(state, auction, wish.orders), offers, wish.filled_wh)
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


def _zones_of(state: Market, auction: Auction, orders: Sequence[str]) -> list[str]:
    return [auction.zone_of(state.orders[order].zone) for order in orders]


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
            for sellers in auction.asks.values():
                sellers.reverse()
            auction.flow_wh = {flow.line: flow.flow_wh for flow in fact.flows}
            for line, flow_wh in auction.flow_wh.items():
                _hold(instrument, line, max(flow_wh, 0), max(-flow_wh, 0))
            _let_go(state, instrument, auction)
            state.remind(AT_ONCE, AUCTION_TRADES, instrument.gate_at, name_of(instrument))
        case AuctionFailed():
            _let_go(state, instrument, auction)
            thaw(state, (instrument,))
        case AuctionEnded():
            thaw(state, (instrument,))
        case _:
            assert_never(fact)


def _call(state: Market, instrument: Instrument, fact: AuctionCalled) -> None:
    instrument.phase = Phase.AUCTION
    instrument.auction = Auction(fact, [order.order for order in _frozen(instrument)])
    for line in fact.lines:
        _hold(instrument, line.line, line.forward_wh, line.backward_wh)
    state.remind(AT_ONCE, AUCTION_LISTING, instrument.gate_at, name_of(instrument))
    state.remind(fact.deadline_at, AUCTION_DEADLINE, instrument.delivery_start_at, name_of(instrument))


def _taken(state: Market, auction: Auction, fact: AuctionPartChecked) -> None:
    auction.proposed, auction.check = fact.called, auction.check_of(fact.called)
    offers, zones = [offer_of(state, order) for order in fact.orders], _zones_of(state, auction, fact.orders)
    auction.check.take(zones, offers, fact.filled_wh)
    auction.parts = fact.part
    for order, offer, zone, filled in zip(fact.orders, offers, zones, fact.filled_wh, strict=True):
        if filled:
            (auction.bids if offer.buys else auction.asks.setdefault(zone, [])).append((order, filled))


def _let_go(state: Market, instrument: Instrument, auction: Auction) -> None:
    """What was held of the lines since the call is free."""
    for line in auction.called.lines:
        _hold(instrument, line.line, -line.forward_wh, -line.backward_wh)
    if auction.called.lines:
        look_again(state, instrument.slots)


def _hold(instrument: Instrument, line: str, forward_wh: int, backward_wh: int) -> None:
    intervals = len(instrument.slots)
    hold(instrument.slots, line, forward_wh // intervals, backward_wh // intervals)


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
            tuple(order.zone for order in orders) if fact.zones else (),
        )
    if ahead.room:
        ahead.room -= 1
        terms = fact.tick_nano_per_kwh, fact.lot_wh, fact.k_ppm, fact.rationing
        network = fact.zones, fact.lines, fact.mechanism
        yield AuctionStarted(*about, len(auction.orders), *terms, *network)


def _crosses(state: Market, auction: Auction) -> bool:
    orders = [state.orders[order] for order in auction.orders]
    bids = [order.limit_price_nano_per_kwh for order in orders if order.buys]
    asks = [order.limit_price_nano_per_kwh for order in orders if not order.buys]
    return bool(bids and asks) and max(bids) >= min(asks)


def _trade(state: Market, timer: Timer, ahead: Ahead) -> Iterator[Any]:
    """Trades of the result, each with its contract; what McAfee's auction leaves goes; then the end."""
    instrument = state.instruments[gate_key(timer)]
    auction = instrument.auction
    assert auction is not None, "trades without an auction are over"
    result = auction.cleared
    assert result is not None, "trades without a result are over"
    ahead.stop = True
    if auction.bids:
        # The rest waits for the next call, in which these trades stand.
        yield from trades(state, instrument, auction, ahead.room)
        return
    left = _left(state, instrument, auction)
    if left:
        yield from cancelled_together(state, instrument, left, CancelReason.AUCTION_OVER, ahead)
    elif ahead.room:
        ahead.room -= 1
        yield AuctionEnded(result.market, result.auction, result.delivery_start_at, result.interval_min)


def _left(state: Market, instrument: Instrument, auction: Auction) -> list[Order]:
    """The pair that sets McAfee's prices must not trade afterwards either, or a false price would pay."""
    if auction.called.mechanism is not Mechanism.MCAFEE:
        return []
    return [order for order in _frozen(instrument) if order.rest_wh]


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
        yield called(state, instrument, rules, ahead)


def _auction(state: Market, key: Key) -> Auction | None:
    instrument = state.instruments.get(key)
    return None if instrument is None or instrument.closed else instrument.auction


def _is_called(state: Market, timer: Timer) -> bool:
    instrument = state.instruments.get(gate_key(timer))
    if instrument is None or instrument.closed or instrument.phase is not Phase.CALL:
        return True
    # A book that went on may have been halted again; at its gate it closes and is called no more.
    return timer[0] != instrument.collects_until or timer[0] >= instrument.gate_at


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
