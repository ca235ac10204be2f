"""Slates of outlets: off-taker contracts, what was nominated of them and traded elsewhere."""

from projections.view import Mode, Question, View, copied
from schemas.market.outlet_events import (
    ExternalTradeRecorded,
    OutletConcluded,
    OutletEnded,
    OutletNominated,
    OutletProposed,
)

_OUTLETS_COLUMNS = {
    "market": "text",
    "outlet": "text",
    "kind": "text",
    "proposer": "text",
    "awaiting": "text",
    "seller": "text",
    "off_taker": "text",
    "connections": "text[]",
    "from_at": "bigint",
    "to_at": "bigint",
    "currency": "text",
    "index": "text",
    "spread_nano_per_kwh": "bigint",
    "loss_factor_ppm": "bigint",
    "lapses_at": "bigint",
}

OUTLETS = View(
    name="outlets",
    mode=Mode.CURRENT,
    columns={**_OUTLETS_COLUMNS, "state": "text"},
    key=("outlet",),
    indexes=("seller", "off_taker"),
    on={
        OutletProposed: copied(*_OUTLETS_COLUMNS, state="proposed"),
        OutletConcluded: copied("outlet", state="concluded"),
        OutletEnded: copied("outlet", state="ended"),
    },
)

_NOMINATIONS_COLUMNS = {
    "market": "text",
    "outlet": "text",
    "nominator": "text",
    "first_start_at": "bigint",
    "interval_min": "bigint",
    "quantity_wh": "bigint[]",
}

NOMINATIONS = View(
    name="nominations",
    mode=Mode.HISTORY,
    columns=_NOMINATIONS_COLUMNS,
    indexes=("outlet, first_start_at",),
    on={OutletNominated: copied(*_NOMINATIONS_COLUMNS)},
)
"""Of an interval the newest counts."""

_EXTERNAL_COLUMNS = {
    "market": "text",
    "outlet": "text",
    "trader": "text",
    "venue": "text",
    "reference": "text",
    "side": "text",
    "first_start_at": "bigint",
    "interval_min": "bigint",
    "quantity_wh": "bigint[]",
    "currency": "text",
    "price_nano_per_kwh": "bigint",
}

EXTERNAL_TRADES = View(
    name="external_trades",
    mode=Mode.HISTORY,
    columns=_EXTERNAL_COLUMNS,
    indexes=("outlet, first_start_at",),
    on={ExternalTradeRecorded: copied(*_EXTERNAL_COLUMNS)},
)

OUTLET_VIEWS = (OUTLETS, NOMINATIONS, EXTERNAL_TRADES)

_UTC = "to_char(to_timestamp({0} / 1000000) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')"
_WHOLE = "(SELECT sum(wh)::bigint FROM unnest(quantity_wh) AS wh) AS whole_wh"

OUTLET_QUESTIONS = (
    Question(
        "outlets",
        f"""
SELECT market, kind, seller, off_taker, cardinality(connections) AS connections, {_UTC.format("from_at")} AS from_utc,
    {_UTC.format("to_at")} AS to_utc, "index", spread_nano_per_kwh, loss_factor_ppm, currency, state, outlet
FROM outlets
ORDER BY market, from_at, outlet
""",
    ),
    Question(
        "nominations",
        f"""
SELECT market, outlet, nominator, {_UTC.format("first_start_at")} AS first_utc, interval_min,
    cardinality(quantity_wh) AS intervals, {_WHOLE}, {_UTC.format("at")} AS told_utc
FROM nominations
ORDER BY market, outlet, partition, seq, "row"
""",
    ),
    Question(
        "external_trades",
        f"""
SELECT market, outlet, trader, venue, reference, side, {_UTC.format("first_start_at")} AS first_utc, interval_min,
    cardinality(quantity_wh) AS intervals, {_WHOLE}, price_nano_per_kwh, currency
FROM external_trades
ORDER BY market, outlet, partition, seq, "row"
""",
    ),
)
