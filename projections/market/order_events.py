"""A slate of everything that happened to orders: what changed in a book, and what surveillance looks through."""

from collections.abc import Iterable

from projections.view import Mode, Row, View, copied, fields_of
from schemas.envelope import Recorded
from schemas.market.events import (
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderReduced,
    OrdersCancelled,
    TradeMade,
)

_ORDER = ("market", "order", "party", "delivery_start_at")


def _order_accepted(fact: Recorded[OrderAccepted]) -> Iterable[Row]:
    order = fact.body
    yield {
        **fields_of(order, *_ORDER, "interval_min", "side", "restriction", "quantity_wh"),
        "event": "accepted",
        "price_nano_per_kwh": order.limit_price_nano_per_kwh,
        "rest_wh": order.quantity_wh,
    }


def _order_traded(fact: Recorded[TradeMade]) -> Iterable[Row]:
    trade = fact.body
    known = fields_of(trade, "market", "trade", "delivery_start_at", "interval_min", "quantity_wh")
    known |= {"event": "traded", "price_nano_per_kwh": trade.price_nano_per_kwh}
    yield known | {"order": trade.buy_order, "party": trade.buyer, "side": "buy", "rest_wh": trade.buy_rest_wh}
    if trade.seller_price_nano_per_kwh is not None:
        known |= {"price_nano_per_kwh": trade.seller_price_nano_per_kwh}
    yield known | {"order": trade.sell_order, "party": trade.seller, "side": "sell", "rest_wh": trade.sell_rest_wh}


def _orders_cancelled(fact: Recorded[OrdersCancelled]) -> Iterable[Row]:
    known = fields_of(fact.body, "market", "delivery_start_at", "reason") | {"event": "cancelled"}
    for order, rest_wh in zip(fact.body.orders, fact.body.rests_wh, strict=True):
        yield known | {"order": order, "rest_wh": rest_wh}


def _order_amended(fact: Recorded[OrderAmended]) -> Iterable[Row]:
    amended = fact.body
    limit = amended.limit_price_nano_per_kwh
    yield fields_of(amended, "market", "order", "party", "rest_wh") | {"event": "amended", "price_nano_per_kwh": limit}


ORDER_EVENTS = View(
    name="order_events",
    mode=Mode.HISTORY,
    columns={
        "market": "text",
        "order": "text",
        "event": "text",
        "party": "text",
        "side": "text",
        "delivery_start_at": "bigint",
        "interval_min": "bigint",
        "price_nano_per_kwh": "bigint",
        "quantity_wh": "bigint",
        "rest_wh": "bigint",
        "restriction": "text",
        "trade": "text",
        "reason": "text",
    },
    indexes=('"order"', "market, delivery_start_at"),
    on={
        OrderAccepted: _order_accepted,
        TradeMade: _order_traded,
        OrderReduced: copied("market", "order", "party", "rest_wh", "reason", event="reduced"),
        OrderAmended: _order_amended,
        OrderCancelled: copied(*_ORDER, "side", "rest_wh", "reason", event="cancelled"),
        OrdersCancelled: _orders_cancelled,
    },
)
"""Everything that happened to an order, as its fact says it: what a fact does not carry stands in the acceptance.

`rest_wh` is what is open afterwards, of a cancelled order what was left.
"""
