"""Slates of books beside single orders: amendments, baskets, blocks, what stops trading, what lines carry."""

from collections.abc import Iterable
from typing import Any

from projections.view import Mode, Row, Rows, View, copied, fields_of
from schemas.envelope import Recorded
from schemas.market.events import OrderAmended, OrderReduced
from schemas.market.package_events import BasketKilled, BlockAccepted, BlocksCancelled, BlockTradeMade
from schemas.market.phase_events import LineCapacityPublished, TradingHalted, TradingResumed, TradingSuspended
from schemas.market.session_events import SessionAuctionCalled, SessionAuctionEnded, SessionAuctionFailed
from schemas.values import MINUTE_US

_AMENDED_COLUMNS = {
    "market": "text",
    "order": "text",
    "party": "text",
    "sequence": "bigint",
    "rest_wh": "bigint",
    "limit_price_nano_per_kwh": "bigint",
    "expires_at": "bigint",
}


def _reduced(fact: Recorded[OrderReduced]) -> Iterable[Row]:
    yield {**fields_of(fact.body, "market", "order", "party", "rest_wh"), "reason": fact.body.reason.value}


ORDER_CHANGES = View(
    name="order_changes",
    mode=Mode.HISTORY,
    columns={**_AMENDED_COLUMNS, "reason": "text"},
    indexes=('"order"',),
    on={OrderAmended: copied(*_AMENDED_COLUMNS, reason="amended"), OrderReduced: _reduced},
)
"""What became of an order that changed while it rested; in a reduced one sequence, limit and expiry stay."""

_BLOCK_COLUMNS = {
    "market": "text",
    "block": "text",
    "sequence": "bigint",
    "party": "text",
    "connection": "text",
    "zone": "text",
    "side": "text",
    "first_start_at": "bigint",
    "intervals": "bigint",
    "interval_min": "bigint",
    "quantity_wh": "bigint",
    "limit_price_nano_per_kwh": "bigint",
    "expires_at": "bigint",
}


def _block_accepted(fact: Recorded[BlockAccepted]) -> Iterable[Row]:
    yield {**fields_of(fact.body, *_BLOCK_COLUMNS), "rest_wh": fact.body.quantity_wh, "state": "open"}


def _block_filled(fact: Recorded[BlockTradeMade]) -> Iterable[Row]:
    trade = fact.body
    for block, rest_wh in ((trade.buy_block, trade.buy_rest_wh), (trade.sell_block, trade.sell_rest_wh)):
        yield {"block": block, "rest_wh": rest_wh, "state": "open" if rest_wh else "filled"}


def _blocks_cancelled(fact: Recorded[BlocksCancelled]) -> Iterable[Row]:
    for block in fact.body.blocks:
        yield {"block": block, "state": "cancelled", "reason": fact.body.reason.value}


BLOCKS = View(
    name="blocks",
    mode=Mode.CURRENT,
    columns={**_BLOCK_COLUMNS, "rest_wh": "bigint", "state": "text", "reason": "text"},
    key=("block",),
    indexes=("market, first_start_at", "party"),
    on={BlockAccepted: _block_accepted, BlockTradeMade: _block_filled, BlocksCancelled: _blocks_cancelled},
)

_BLOCK_TRADE_COLUMNS = {
    "market": "text",
    "trade": "text",
    "buy_block": "text",
    "sell_block": "text",
    "buyer": "text",
    "seller": "text",
    "aggressor": "text",
    "first_start_at": "bigint",
    "intervals": "bigint",
    "interval_min": "bigint",
    "quantity_wh": "bigint",
    "price_nano_per_kwh": "bigint",
}

BLOCK_TRADES = View(
    name="block_trades",
    mode=Mode.HISTORY,
    columns=_BLOCK_TRADE_COLUMNS,
    indexes=("trade",),
    on={BlockTradeMade: copied(*_BLOCK_TRADE_COLUMNS)},
)

KILLED_BASKETS = View(
    name="killed_baskets",
    mode=Mode.HISTORY,
    columns={"market": "text", "basket": "text", "party": "text", "number": "bigint"},
    indexes=("party",),
    on={BasketKilled: copied("market", "basket", "party", "number")},
)

_PHASE_COLUMNS = {"market": "text", "delivery_start_at": "bigint", "interval_min": "bigint"}
_HALT_COLUMNS = {
    "reference_price_nano_per_kwh": "bigint",
    "price_nano_per_kwh": "bigint",
    "until_at": "bigint",
}


def _of_session(phase: str) -> Rows:
    """The phase of each of the session's deliveries."""

    def rows(fact: Recorded[Any]) -> Iterable[Row]:
        told = fact.body
        for n in range(told.intervals):
            start = told.first_start_at + n * told.interval_min * MINUTE_US
            known = fields_of(told, "market", "interval_min")
            yield known | {"delivery_start_at": start, "phase": phase}

    return rows


PHASES = View(
    name="phases",
    mode=Mode.HISTORY,
    columns={**_PHASE_COLUMNS, **_HALT_COLUMNS, "phase": "text"},
    indexes=("market, delivery_start_at",),
    on={
        TradingHalted: copied(*_PHASE_COLUMNS, *_HALT_COLUMNS, phase="call"),
        TradingSuspended: copied(*_PHASE_COLUMNS, phase="suspended"),
        TradingResumed: copied(*_PHASE_COLUMNS, phase="continuous"),
        SessionAuctionCalled: _of_session("auction"),
        SessionAuctionFailed: _of_session("continuous"),
        SessionAuctionEnded: _of_session("continuous"),
    },
)
"""When trading stopped and went on; without a delivery it is about the market as a whole."""


def _capacities(fact: Recorded[LineCapacityPublished]) -> Iterable[Row]:
    published = fact.body
    for n, (forward_w, backward_w) in enumerate(zip(published.forward_w, published.backward_w, strict=True)):
        yield {
            **fields_of(published, "market", "line", "interval_min"),
            "start_at": published.first_start_at + n * published.interval_min * MINUTE_US,
            "forward_w": forward_w,
            "backward_w": backward_w,
        }


LINE_CAPACITIES = View(
    name="line_capacities",
    mode=Mode.CURRENT,
    columns={
        "market": "text",
        "line": "text",
        "start_at": "bigint",
        "interval_min": "bigint",
        "forward_w": "bigint",
        "backward_w": "bigint",
    },
    key=("market", "line", "start_at"),
    on={LineCapacityPublished: _capacities},
)

BOOK_VIEWS = (ORDER_CHANGES, BLOCKS, BLOCK_TRADES, KILLED_BASKETS, PHASES, LINE_CAPACITIES)
