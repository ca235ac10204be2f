"""Orders: what a lawful one leads to, and taking one back."""

from typing import Any, Final

from domain.identity import birthplace, born
from domain.market.book import Order
from domain.market.gates import cancelled
from domain.market.matching import match
from domain.market.state import FAMILY, Instrument, Market
from schemas.envelope import Command, Moment
from schemas.market.commands import CancelOrder, SubmitOrder
from schemas.market.events import CancelReason, ContractConcluded, OrderAccepted, OrderCancelled, TradeMade
from schemas.values import Side

# An enum finds its members by name, every time: what every order asks for is looked up once.
_BUY: Final = Side.BUY
_SELL: Final = Side.SELL


def submit(state: Market, instrument: Instrument, command: Command[SubmitOrder], now: Moment) -> list[Any]:
    """Accepts a checked order and says at once what becomes of it.

    Each trade is followed by its contract: an order in the book carries its owner's consent (domain
    rules §10). The order is born with n = 0, trades and contracts count on in turn.
    """
    wish, rules = command.body, instrument.rules
    ids = birthplace(FAMILY, command)
    accepted = OrderAccepted(
        state.market,
        born(ids, 0),
        state.sequence + 1,
        wish.party,
        wish.connection,
        wish.delivery_start_at,
        wish.duration_min,
        wish.side,
        wish.quantity_wh,
        wish.limit_price_nano_per_kwh,
        wish.restriction,
        wish.expires_at,
        None if (zone := state.connections[wish.connection].zone) == rules.zone else zone,
        wish.terms,
    )
    plan = match(
        instrument.book,
        wish.party,
        wish.side is _BUY,
        wish.quantity_wh,
        wish.limit_price_nano_per_kwh,
        wish.restriction,
        rules.self_trade,
        now.at,
    )
    facts: list[Any] = [accepted]
    rest_wh, n = wish.quantity_wh, 0
    for resting, quantity_wh in plan.meetings:
        if not quantity_wh:
            facts.append(cancelled(state, resting, CancelReason.SELF_TRADE))
            continue
        rest_wh -= quantity_wh
        trade = _trade(accepted, resting, born(ids, n + 1), quantity_wh, rest_wh)
        n += 2
        facts.append(trade)
        facts.append(_contract(instrument, trade, born(ids, n)))
    if plan.rest_wh and plan.ending is not None:
        facts.append(
            OrderCancelled(
                state.market,
                accepted.order,
                wish.party,
                wish.delivery_start_at,
                wish.side,
                plan.rest_wh,
                plan.ending,
            )
        )
    return facts


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


def _contract(instrument: Instrument, trade: TradeMade, contract: str) -> ContractConcluded:
    rules, intervals = instrument.rules, len(instrument.slots)
    return ContractConcluded(
        trade.market,
        rules.zone,
        rules.operator,
        contract,
        trade.trade,
        trade.seller,
        trade.buyer,
        trade.seller_connection,
        trade.buyer_connection,
        trade.delivery_start_at,
        rules.interval_min,
        (trade.quantity_wh,) if intervals == 1 else (trade.quantity_wh // intervals,) * intervals,
        rules.currency,
        trade.price_nano_per_kwh,
        rules.points_per_kwh,
        rules.book_delivery_mode,
        instrument.version,
    )
