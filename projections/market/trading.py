"""Slates of what is bid and agreed: orders, trades, contracts, proposals."""

from collections.abc import Iterable
from typing import Final

from projections.view import Mode, Row, View, copied, fields_of
from schemas.envelope import Recorded
from schemas.market.contract_events import ContractRevised
from schemas.market.events import (
    ContractConcluded,
    ContractLapsed,
    ContractProposed,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderReduced,
    OrdersCancelled,
    TradeMade,
)
from schemas.market.negotiation_events import ContractRejected

_NEVER: Final = 0
"""An expiry that an amendment clears: a null would leave the old one in its row."""


def _amended(fact: Recorded[OrderAmended]) -> Iterable[Row]:
    amended = fact.body
    row = fields_of(amended, "order", "sequence", "rest_wh", "limit_price_nano_per_kwh")
    yield {**row, "expires_at": amended.expires_at or _NEVER}


def _accepted(fact: Recorded[OrderAccepted]) -> Iterable[Row]:
    order = fact.body
    yield {
        **fields_of(order, "market", "order", "sequence", "party", "connection", "delivery_start_at", "interval_min"),
        **fields_of(order, "side", "quantity_wh", "limit_price_nano_per_kwh", "restriction", "zone"),
        **(fields_of(order.terms, "minimum_wh", "product", "rebid_of", "mandate", "forecast") if order.terms else {}),
        "rest_wh": order.quantity_wh,
        "expires_at": order.expires_at or _NEVER,
        "state": "open",
        "accepted_seq": fact.meta.seq,
        "accepted_tick": fact.meta.tick.n,
    }


def _filled(fact: Recorded[TradeMade]) -> Iterable[Row]:
    trade = fact.body
    for order, rest_wh in ((trade.buy_order, trade.buy_rest_wh), (trade.sell_order, trade.sell_rest_wh)):
        yield {"order": order, "rest_wh": rest_wh, "state": "open" if rest_wh else "filled"}


def _written_out(fact: Recorded[OrdersCancelled]) -> Iterable[Row]:
    reason = fact.body.reason.value
    for order, rest_wh in zip(fact.body.orders, fact.body.rests_wh, strict=True):
        yield {"order": order, "rest_wh": rest_wh, "state": "cancelled", "reason": reason}


def _approved(fact: Recorded[ContractConcluded]) -> Iterable[Row]:
    if fact.body.trade is None:
        yield {"contract": fact.body.contract, "state": "concluded"}


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
        "accepted_seq": "bigint",
        "accepted_tick": "bigint",
        "rest_wh": "bigint",
        "limit_price_nano_per_kwh": "bigint",
        "restriction": "text",
        "expires_at": "bigint",
        "zone": "text",
        "minimum_wh": "bigint",
        "product": "text",
        "rebid_of": "text",
        "mandate": "text",
        "forecast": "text",
        "state": "text",
        "reason": "text",
    },
    key=("order",),
    indexes=("market, delivery_start_at", "party"),
    on={
        OrderAccepted: _accepted,
        TradeMade: _filled,
        OrderCancelled: copied("order", "rest_wh", "reason", state="cancelled"),
        OrdersCancelled: _written_out,
        OrderReduced: copied("order", "rest_wh"),
        OrderAmended: _amended,
    },
)
"""`rest_wh` is what is open, or what was left when the order was cancelled; `expires_at` is 0 where the gate alone ends
the order."""

_TRADES_COLUMNS = {
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
}

TRADES = View(
    name="trades",
    mode=Mode.HISTORY,
    columns=_TRADES_COLUMNS,
    indexes=("trade", "market, delivery_start_at"),
    on={TradeMade: copied(*_TRADES_COLUMNS)},
)

_CONTRACTS_COLUMNS = {
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
    "buyer_zone": "text",
    "baseline_method": "text",
    "tolerance_ppm": "bigint",
    "penalty_ppm": "bigint",
    "duration_min": "bigint",
}

CONTRACTS = View(
    name="contracts",
    mode=Mode.HISTORY,
    columns={**_CONTRACTS_COLUMNS, "version": "bigint", "state": "text"},
    indexes=(
        "contract",
        "zone, first_start_at",
        "buyer_zone, first_start_at",
        "seller_connection",
        "buyer_connection",
    ),
    on={
        ContractConcluded: copied(*_CONTRACTS_COLUMNS, version=1, state="concluded"),
        ContractRevised: copied(*_CONTRACTS_COLUMNS, "version", "state"),
    },
)
"""A whole row for each version of a contract, every field under its own name: settlement reads it as of a tick."""

_PROPOSED_COLUMNS = {
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
}

PROPOSALS = View(
    name="proposals",
    mode=Mode.CURRENT,
    columns={**_PROPOSED_COLUMNS, "state": "text"},
    key=("contract",),
    on={
        ContractProposed: copied(*_PROPOSED_COLUMNS, state="proposed"),
        ContractConcluded: _approved,
        ContractLapsed: copied("contract", state="lapsed"),
        ContractRejected: copied("contract", state="rejected"),
    },
)

TRADING_VIEWS = (ORDERS, TRADES, CONTRACTS, PROPOSALS)
