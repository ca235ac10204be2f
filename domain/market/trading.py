"""Orders: what a lawful one leads to, and taking one back."""

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, Final

from domain.identity import birthplace, born
from domain.market.book import Order
from domain.market.contract_versions import concluded
from domain.market.gates import cancelled
from domain.market.matching import Bounds, match
from domain.market.network import Crossing
from domain.market.state import FAMILY, Instrument, Market
from schemas.envelope import Command, Moment
from schemas.market.commands import CancelOrder, SubmitOrder
from schemas.market.events import (
    ContractConcluded,
    OrderAccepted,
    OrderCancelled,
    OrderReduced,
    Phase,
    Restriction,
    TradeMade,
)
from schemas.market.phase_events import TradingHalted
from schemas.market.reasons import CancelReason
from schemas.values import MINUTE_US, Side

# An enum finds its members by name, every time: what every order asks for is looked up once.
_BUY: Final = Side.BUY
_SELL: Final = Side.SELL
_RESTS: Final = Restriction.NONE
_CONTINUOUS: Final = Phase.CONTINUOUS


def submit(state: Market, instrument: Instrument, command: Command[SubmitOrder], now: Moment) -> list[Any]:
    """Accepts a checked order and says at once what becomes of it.

    Each trade is followed by its contract: an order in the book carries its owner's consent (domain
    rules §10). The order is born with n = 0, trades and contracts count on in turn.
    """
    wish = command.body
    ids = birthplace(FAMILY, command)
    zone = state.connections[wish.connection].zone
    accepted = accept(state, instrument, wish, born(ids, 0), state.sequence + 1, zone)
    facts: list[Any] = [accepted]
    asks_more = wish.restriction is not _RESTS or wish.terms is not None
    # Most orders ask for nothing but a price that nobody offers: they rest, and need not be matched.
    meets = asks_more or instrument.book.meets_anybody(wish.side is _BUY, wish.limit_price_nano_per_kwh)
    if meets and instrument.phase is _CONTINUOUS:
        minimum_wh = 0 if wish.terms is None else wish.terms.minimum_wh
        enter(state, instrument, accepted, facts, ids, 0, now.at, minimum_wh, bounds_of(instrument, zone))
    return facts


def accept(
    state: Market, instrument: Instrument, wish: SubmitOrder, order: str, sequence: int, zone: str
) -> OrderAccepted:
    """A checked order as it is accepted."""
    return OrderAccepted(
        state.market,
        order,
        sequence,
        wish.party,
        wish.connection,
        wish.delivery_start_at,
        wish.duration_min,
        wish.side,
        wish.quantity_wh,
        wish.limit_price_nano_per_kwh,
        wish.restriction,
        wish.expires_at,
        None if zone == instrument.rules.zone else zone,
        wish.terms,
    )


def bounds_of(instrument: Instrument, zone: str) -> Bounds | None:
    """What stops an order of this zone beside its limit; none in a market of one zone without bands."""
    trading = instrument.rules.trading
    if trading is None:
        return None if instrument.paths is None else Bounds(zone, crossing=crossing_of(instrument))
    reference = instrument.reference_price_nano_per_kwh
    execution, halt = trading.execution_band_nano_per_kwh, trading.halt_band_nano_per_kwh
    return Bounds(zone, reference, execution, halt, crossing_of(instrument))


def crossing_of(instrument: Instrument) -> Crossing | None:
    """What can cross the lines for this delivery; none in a market without."""
    paths = instrument.paths
    if paths is None:
        return None
    return Crossing(paths, instrument.slots, len(instrument.slots), instrument.rules.lot_wh)


def as_entering(state: Market, order: Order) -> OrderAccepted:
    """A resting order as if it came in now."""
    start, duration_min = order.instrument
    return OrderAccepted(
        state.market,
        order.order,
        order.sequence,
        order.party,
        order.connection,
        start,
        duration_min,
        _BUY if order.buys else _SELL,
        order.rest_wh,
        order.limit_price_nano_per_kwh,
        Restriction.AON if order.aon else Restriction.NONE,
        order.expires_at,
        order.zone,
        order.terms,
    )


def enter(
    state: Market,
    instrument: Instrument,
    entering: OrderAccepted,
    facts: list[Any],
    ids: blake2b,
    n: int,
    now_at: int,
    minimum_wh: int,
    bounds: Bounds | None,
) -> int:
    """Appends what happens to an order as it enters the continuous book; returns the last n that was born."""
    zone, buys = entering.zone or instrument.rules.zone, entering.side is _BUY
    plan = match(
        instrument.book,
        entering.party,
        buys,
        entering.quantity_wh,
        entering.limit_price_nano_per_kwh,
        entering.restriction,
        instrument.rules.self_trade,
        now_at,
        minimum_wh,
        bounds,
    )
    rest_wh = entering.quantity_wh
    for resting, quantity_wh in plan.meetings:
        if quantity_wh <= 0:
            rest_wh += quantity_wh
            facts += _prevented(state, entering, resting, -quantity_wh, rest_wh)
            continue
        rest_wh -= quantity_wh
        trade = _trade(entering, resting, born(ids, n + 1), quantity_wh, rest_wh)
        n += 2
        facts.append(trade)
        if buys:
            facts.append(contract_of(instrument, trade, born(ids, n), resting.zone, zone))
        else:
            facts.append(contract_of(instrument, trade, born(ids, n), zone, resting.zone))
    if plan.halted_at is not None:
        facts.append(halted(state, instrument, plan.halted_at, now_at))
    if plan.rest_wh and plan.ending is not None:
        facts.append(_ended(entering, plan.rest_wh, plan.ending))
    return n


def halted(state: Market, instrument: Instrument, price_nano_per_kwh: int, now_at: int) -> TradingHalted:
    """The book stops before a trade at this price and collects orders for an auction, at the longest to its gate."""
    trading = instrument.rules.trading
    assert trading is not None, "a book without bands is not halted"
    until_at = min(now_at + trading.halt_min * MINUTE_US, instrument.gate_at)
    reference = instrument.reference_price_nano_per_kwh
    start, duration_min = instrument.key
    return TradingHalted(state.market, start, duration_min, reference, price_nano_per_kwh, until_at)


def _prevented(
    state: Market, entering: OrderAccepted, resting: Order, both_wh: int, rest_wh: int
) -> Iterator[OrderCancelled | OrderReduced]:
    """Self-trade prevention: the resting order goes (0 Wh), or `both_wh` is taken from both and the smaller goes."""
    reason = CancelReason.SELF_TRADE
    if both_wh in (0, resting.rest_wh):
        yield cancelled(state, resting, reason)
    else:
        yield OrderReduced(state.market, resting.order, resting.party, resting.rest_wh - both_wh, reason)
    if both_wh:
        if rest_wh:
            yield OrderReduced(state.market, entering.order, entering.party, rest_wh, reason)
        else:
            yield _ended(entering, both_wh, reason)


def _ended(entering: OrderAccepted, rest_wh: int, reason: CancelReason) -> OrderCancelled:
    start, side = entering.delivery_start_at, entering.side
    return OrderCancelled(entering.market, entering.order, entering.party, start, side, rest_wh, reason)


def cancel(state: Market, wish: CancelOrder) -> list[Any]:
    """What is left of a resting order is out of the book; its capability and credit are free."""
    return [cancelled(state, state.orders[wish.order], CancelReason.OWNER)]


def _trade(incoming: OrderAccepted, resting: Order, trade: str, quantity_wh: int, rest_wh: int) -> TradeMade:
    """At the resting order's price, whoever is the aggressor."""
    resting_rest_wh = resting.rest_wh - quantity_wh
    price = resting.limit_price_nano_per_kwh
    if incoming.side is _BUY:
        return TradeMade(
            incoming.market,
            trade,
            incoming.delivery_start_at,
            incoming.interval_min,
            incoming.order,
            resting.order,
            incoming.party,
            resting.party,
            incoming.connection,
            resting.connection,
            _BUY,
            quantity_wh,
            price,
            rest_wh,
            resting_rest_wh,
        )
    return TradeMade(
        incoming.market,
        trade,
        incoming.delivery_start_at,
        incoming.interval_min,
        resting.order,
        incoming.order,
        resting.party,
        incoming.party,
        resting.connection,
        incoming.connection,
        _SELL,
        quantity_wh,
        price,
        resting_rest_wh,
        rest_wh,
    )


def contract_of(
    instrument: Instrument, trade: TradeMade, contract: str, seller_zone: str, buyer_zone: str
) -> ContractConcluded:
    """The contract of a trade: an order in a book carries its owner's consent."""
    rules, intervals = instrument.rules, len(instrument.slots)
    return concluded(
        trade.market,
        rules,
        instrument.version,
        contract,
        trade.trade,
        trade.seller,
        trade.buyer,
        trade.seller_connection,
        trade.buyer_connection,
        seller_zone,
        buyer_zone,
        trade.delivery_start_at,
        (trade.quantity_wh,) if intervals == 1 else (trade.quantity_wh // intervals,) * intervals,
        trade.price_nano_per_kwh,
        rules.book_delivery_mode,
        None if intervals == 1 else instrument.duration_min,
        trade.seller_price_nano_per_kwh,
    )
