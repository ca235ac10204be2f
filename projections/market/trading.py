"""Slates of what is bid and agreed: orders, trades, contracts, proposals."""

from collections.abc import Iterable

from projections.view import Mode, Row, View
from schemas.envelope import Recorded
from schemas.market.events import (
    ContractConcluded,
    ContractLapsed,
    ContractProposed,
    OrderAccepted,
    OrderCancelled,
    OrdersCancelled,
    TradeMade,
)


def _accepted(fact: Recorded[OrderAccepted]) -> Iterable[Row]:
    order = fact.body
    yield {
        "market": order.market,
        "order": order.order,
        "sequence": order.sequence,
        "party": order.party,
        "connection": order.connection,
        "delivery_start_at": order.delivery_start_at,
        "interval_min": order.interval_min,
        "side": order.side.value,
        "quantity_wh": order.quantity_wh,
        "rest_wh": order.quantity_wh,
        "limit_price_nano_per_kwh": order.limit_price_nano_per_kwh,
        "restriction": order.restriction.value,
        "expires_at": order.expires_at,
        "state": "open",
    }


def _filled(fact: Recorded[TradeMade]) -> Iterable[Row]:
    trade = fact.body
    for order, rest_wh in ((trade.buy_order, trade.buy_rest_wh), (trade.sell_order, trade.sell_rest_wh)):
        yield {"order": order, "rest_wh": rest_wh, "state": "open" if rest_wh else "filled"}


def _cancelled(fact: Recorded[OrderCancelled]) -> Iterable[Row]:
    order = fact.body
    yield {"order": order.order, "rest_wh": order.rest_wh, "state": "cancelled", "reason": order.reason.value}


def _written_out(fact: Recorded[OrdersCancelled]) -> Iterable[Row]:
    reason = fact.body.reason.value
    for order, rest_wh in zip(fact.body.orders, fact.body.rests_wh, strict=True):
        yield {"order": order, "rest_wh": rest_wh, "state": "cancelled", "reason": reason}


def _trade(fact: Recorded[TradeMade]) -> Iterable[Row]:
    trade = fact.body
    yield {
        "market": trade.market,
        "trade": trade.trade,
        "delivery_start_at": trade.delivery_start_at,
        "interval_min": trade.interval_min,
        "buy_order": trade.buy_order,
        "sell_order": trade.sell_order,
        "buyer": trade.buyer,
        "seller": trade.seller,
        "buyer_connection": trade.buyer_connection,
        "seller_connection": trade.seller_connection,
        "aggressor": trade.aggressor.value,
        "quantity_wh": trade.quantity_wh,
        "price_nano_per_kwh": trade.price_nano_per_kwh,
        "buy_rest_wh": trade.buy_rest_wh,
        "sell_rest_wh": trade.sell_rest_wh,
    }


def _contract(fact: Recorded[ContractConcluded]) -> Iterable[Row]:
    contract = fact.body
    yield {
        "market": contract.market,
        "zone": contract.zone,
        "operator": contract.operator,
        "contract": contract.contract,
        "trade": contract.trade,
        "seller": contract.seller,
        "buyer": contract.buyer,
        "seller_connection": contract.seller_connection,
        "buyer_connection": contract.buyer_connection,
        "first_start_at": contract.first_start_at,
        "interval_min": contract.interval_min,
        "quantity_wh": list(contract.quantity_wh),
        "currency": contract.currency,
        "price_nano_per_kwh": contract.price_nano_per_kwh,
        "points_per_kwh": contract.points_per_kwh,
        "delivery_mode": contract.delivery_mode.value,
        "rules_version": contract.rules_version,
    }


def _proposed(fact: Recorded[ContractProposed]) -> Iterable[Row]:
    offer = fact.body
    yield {
        "market": offer.market,
        "contract": offer.contract,
        "proposer": offer.proposer,
        "awaiting": offer.awaiting,
        "seller": offer.seller,
        "buyer": offer.buyer,
        "seller_connection": offer.seller_connection,
        "buyer_connection": offer.buyer_connection,
        "first_start_at": offer.first_start_at,
        "interval_min": offer.interval_min,
        "quantity_wh": list(offer.quantity_wh),
        "currency": offer.currency,
        "price_nano_per_kwh": offer.price_nano_per_kwh,
        "lapses_at": offer.lapses_at,
        "state": "proposed",
    }


def _approved(fact: Recorded[ContractConcluded]) -> Iterable[Row]:
    if fact.body.trade is None:
        yield {"contract": fact.body.contract, "state": "concluded"}


def _lapsed(fact: Recorded[ContractLapsed]) -> Iterable[Row]:
    yield {"contract": fact.body.contract, "state": "lapsed"}


ORDERS = View(
    name="orders",
    mode=Mode.CURRENT,
    columns={
        "market": "text",
        "order": "text",
        "sequence": "bigint",
        "party": "text",
        "connection": "text",
        "delivery_start_at": "bigint",
        "interval_min": "bigint",
        "side": "text",
        "quantity_wh": "bigint",
        "rest_wh": "bigint",
        "limit_price_nano_per_kwh": "bigint",
        "restriction": "text",
        "expires_at": "bigint",
        "state": "text",
        "reason": "text",
    },
    key=("order",),
    indexes=("market, delivery_start_at", "party"),
    on={
        OrderAccepted: _accepted,
        TradeMade: _filled,
        OrderCancelled: _cancelled,
        OrdersCancelled: _written_out,
    },
)
"""`rest_wh` is what is open, or what was left when the order was cancelled."""

TRADES = View(
    name="trades",
    mode=Mode.HISTORY,
    columns={
        "market": "text",
        "trade": "text",
        "delivery_start_at": "bigint",
        "interval_min": "bigint",
        "buy_order": "text",
        "sell_order": "text",
        "buyer": "text",
        "seller": "text",
        "buyer_connection": "text",
        "seller_connection": "text",
        "aggressor": "text",
        "quantity_wh": "bigint",
        "price_nano_per_kwh": "bigint",
        "buy_rest_wh": "bigint",
        "sell_rest_wh": "bigint",
    },
    indexes=("trade", "market, delivery_start_at"),
    on={TradeMade: _trade},
)

CONTRACTS = View(
    name="contracts",
    mode=Mode.HISTORY,
    columns={
        "market": "text",
        "zone": "text",
        "operator": "text",
        "contract": "text",
        "trade": "text",
        "seller": "text",
        "buyer": "text",
        "seller_connection": "text",
        "buyer_connection": "text",
        "first_start_at": "bigint",
        "interval_min": "bigint",
        "quantity_wh": "bigint[]",
        "currency": "text",
        "price_nano_per_kwh": "bigint",
        "points_per_kwh": "bigint",
        "delivery_mode": "text",
        "rules_version": "bigint",
    },
    indexes=("contract", "zone, first_start_at", "seller_connection", "buyer_connection"),
    on={ContractConcluded: _contract},
)
"""Every field of `ContractConcluded` under its own name and nothing else: settlement reads it as of a tick."""

PROPOSALS = View(
    name="proposals",
    mode=Mode.CURRENT,
    columns={
        "market": "text",
        "contract": "text",
        "proposer": "text",
        "awaiting": "text",
        "seller": "text",
        "buyer": "text",
        "seller_connection": "text",
        "buyer_connection": "text",
        "first_start_at": "bigint",
        "interval_min": "bigint",
        "quantity_wh": "bigint[]",
        "currency": "text",
        "price_nano_per_kwh": "bigint",
        "lapses_at": "bigint",
        "state": "text",
    },
    key=("contract",),
    on={ContractProposed: _proposed, ContractConcluded: _approved, ContractLapsed: _lapsed},
)

TRADING_VIEWS = (ORDERS, TRADES, CONTRACTS, PROPOSALS)
