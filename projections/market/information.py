"""What everybody may know of a market, without names.

A position is (partition, seq) of a fact. Each question takes the position that the reader has and answers what changed
behind it, each row as it is now and with a position; the newest of them is the reader's next one. A reader begins at
(-1, -1) and may read twice: a level, a state, a price replaces what was read before.
"""

from projections.view import Question, SqlView

_SINCE = "(partition, seq) > (%(partition)s::bigint, %(seq)s::bigint)"
_READER = ("market", "partition", "seq")

INSTRUMENTS = SqlView(
    name="instruments",
    sql="""
SELECT s.market, i.start_at AS delivery_start_at, s.interval_min,
    CASE
        WHEN r.session_auction IS NULL THEN i.start_at - r.opening_lead_min * 60000000
        ELSE s.first_start_at - (r.session_auction::json ->> 'opening_lead_min')::bigint * 60000000
    END AS opens_at, i.start_at - r.gate_lead_min * 60000000 AS gate_at,
    CASE
        WHEN g.seq IS NOT NULL THEN 'closed'
        WHEN w.phase = 'suspended' THEN 'suspended'
        WHEN p.until_at IS NOT NULL THEN 'halted'
        WHEN p.phase IS NULL OR p.phase = 'continuous' THEN 'open'
        ELSE p.phase
    END AS state,
    greatest(
        ARRAY[s.partition, s.seq], ARRAY[coalesce(g.partition, -1), coalesce(g.seq, -1)],
        ARRAY[coalesce(w.partition, -1), coalesce(w.seq, -1)], ARRAY[coalesce(p.partition, -1), coalesce(p.seq, -1)]
    ) AS changed
FROM sessions s
JOIN market_rules r ON r.market = s.market AND r.version = s.rules_version
CROSS JOIN LATERAL (
    SELECT s.first_start_at + n * s.interval_min * 60000000 AS start_at FROM generate_series(0, s.intervals - 1) AS n
) AS i
LEFT JOIN gates g
    ON g.market = s.market AND g.delivery_start_at = i.start_at AND g.interval_min = s.interval_min
LEFT JOIN LATERAL (
    SELECT * FROM phases p WHERE p.market = s.market AND p.delivery_start_at IS NULL
    ORDER BY p.partition DESC, p.seq DESC LIMIT 1
) AS w ON true
LEFT JOIN LATERAL (
    SELECT * FROM phases p
    WHERE p.market = s.market AND p.delivery_start_at = i.start_at AND p.interval_min = s.interval_min
    ORDER BY p.partition DESC, p.seq DESC LIMIT 1
) AS p ON true
""",
)
"""Every instrument that was listed; an open one takes orders from `opens_at` to `gate_at`."""

PUBLIC_TRADES = SqlView(
    name="public_trades",
    sql="""
SELECT market, trade, delivery_start_at, interval_min, 1::bigint AS intervals, aggressor, quantity_wh,
    price_nano_per_kwh, seller_price_nano_per_kwh, 'made' AS state, partition, seq, at
FROM trades
UNION ALL
SELECT market, trade, first_start_at, interval_min, intervals, aggressor, quantity_wh, price_nano_per_kwh, NULL,
    'made', partition, seq, at
FROM block_trades
UNION ALL
SELECT t.market, t.trade, t.delivery_start_at, t.interval_min, 1, t.aggressor, t.quantity_wh, t.price_nano_per_kwh,
    t.seller_price_nano_per_kwh, 'voided', l.partition, l.seq, l.at
FROM contract_lineage l
JOIN contracts c ON c.contract = l.contract AND c.version = 1
JOIN trades t ON t.trade = c.trade
WHERE l.reason = 'manifest_error'
""",
)
"""Trades without names, and those that the operator voided once more."""

PRICES = SqlView(
    name="traded_prices",
    sql="""
SELECT market, delivery_start_at, interval_min, trades, last_nano_per_kwh, high_nano_per_kwh, low_nano_per_kwh,
    volume_wh,
    (sign(value) * div(2 * abs(value) + volume_wh, 2 * volume_wh::numeric))::bigint AS average_nano_per_kwh, changed
FROM (
    SELECT t.market, t.delivery_start_at, t.interval_min,
        count(*) FILTER (WHERE v.seq IS NULL) AS trades,
        (array_agg(t.price_nano_per_kwh ORDER BY t.partition DESC, t.seq DESC) FILTER (WHERE v.seq IS NULL))[1]
            AS last_nano_per_kwh,
        max(t.price_nano_per_kwh) FILTER (WHERE v.seq IS NULL) AS high_nano_per_kwh,
        min(t.price_nano_per_kwh) FILTER (WHERE v.seq IS NULL) AS low_nano_per_kwh,
        coalesce(sum(t.quantity_wh) FILTER (WHERE v.seq IS NULL), 0)::bigint AS volume_wh,
        sum(t.quantity_wh::numeric * t.price_nano_per_kwh) FILTER (WHERE v.seq IS NULL) AS value,
        greatest(
            max(ARRAY[t.partition, t.seq]), max(ARRAY[coalesce(v.partition, -1), coalesce(v.seq, -1)])
        ) AS changed
    FROM trades t
    LEFT JOIN public_trades v ON v.trade = t.trade AND v.state = 'voided'
    GROUP BY t.market, t.delivery_start_at, t.interval_min
) AS summed
""",
)
"""Last, highest, lowest and mean price of what was traded and not voided; the mean is weighted and rounded half-up."""

ADVERTISEMENTS = SqlView(
    name="advertisements",
    sql="""
SELECT l.market, l.listing, l.zone, l.first_start_at, l.interval_min, l.quantity_wh, l.lots, l.format, l.quality,
    l.capacity_w, l.reserve_price_nano_per_kwh, l.currency, l.closes_at, l.product, l.state, l.unsold_wh,
    coalesce(b.bids, 0) AS bids,
    CASE WHEN l.format = 'open_ascending' THEN b.highest END AS highest_bid_nano_per_kwh,
    greatest(ARRAY[l.partition, l.seq], b.changed) AS changed
FROM listings l
LEFT JOIN (
    SELECT listing, count(*) FILTER (WHERE state NOT IN ('replaced', 'withdrawn')) AS bids,
        max(price_nano_per_kwh) FILTER (WHERE state = 'standing') AS highest, max(ARRAY[partition, seq]) AS changed
    FROM listing_bids GROUP BY listing
) AS b ON b.listing = l.listing
""",
)
"""What is or was on offer on listings, and how many bid; a sealed bid's price is nowhere in it."""

ENQUIRY_ADVERTISEMENTS = SqlView(
    name="enquiry_advertisements",
    sql="""
SELECT market, enquiry, zone, first_start_at, interval_min, quantity_wh, currency, limit_price_nano_per_kwh, closes_at,
    CASE WHEN state IN ('open', 'combined', 'countered') THEN 'open' ELSE 'closed' END AS state,
    ARRAY[partition::bigint, seq] AS changed
FROM enquiries
WHERE cardinality(addressed) = 0
""",
)
"""What somebody asks of all sellers; what is asked of some, and who offered what, is theirs."""

PRODUCT_ADVERTISEMENTS = SqlView(
    name="product_advertisements",
    sql="""
SELECT market, product, version, zone, carrier, characteristics, max_power_w, capacity_wh, schedule_from_at,
    schedule_wh, availability_ppm, quality_class, lowest_price_nano_per_kwh, bids_until_at, status, verification,
    ARRAY[partition::bigint, seq] AS changed
FROM products
""",
)
"""Energy products as they are now, without whose they are and which resources they are made of."""

INFORMATION_SQL_VIEWS = (
    INSTRUMENTS,
    PUBLIC_TRADES,
    PRICES,
    ADVERTISEMENTS,
    ENQUIRY_ADVERTISEMENTS,
    PRODUCT_ADVERTISEMENTS,
)


def _changed(view: str, columns: str, order: str, also: str = "") -> str:
    return f"""
SELECT {columns}, changed[1] AS partition, changed[2] AS seq
FROM {view}
WHERE market = %(market)s AND changed > ARRAY[%(partition)s, %(seq)s]::bigint[]{also}
ORDER BY {order}
"""


INFORMATION_QUESTIONS = (
    Question(
        "depth_changes",
        f"""
WITH touched AS (
    SELECT "order", max(ARRAY[partition::bigint, seq]) AS changed
    FROM order_events WHERE market = %(market)s AND {_SINCE}
    GROUP BY "order"
), level AS (
    SELECT a.delivery_start_at, a.interval_min, a.side, e.price_nano_per_kwh, a.restriction = 'aon' AS aon,
        max(t.changed) AS changed
    FROM touched t
    JOIN order_events a ON a."order" = t."order" AND a.event = 'accepted'
    JOIN order_events e ON e."order" = t."order" AND e.event IN ('accepted', 'amended')
    GROUP BY 1, 2, 3, 4, 5
)
SELECT l.delivery_start_at, l.interval_min, l.side, l.price_nano_per_kwh, l.aon,
    coalesce(sum(o.rest_wh), 0)::bigint AS open_wh, count(o."order") AS orders,
    l.changed[1] AS partition, l.changed[2] AS seq
FROM level l
LEFT JOIN orders o ON o.market = %(market)s AND o.state = 'open' AND o.delivery_start_at = l.delivery_start_at
    AND o.interval_min = l.interval_min AND o.side = l.side AND o.limit_price_nano_per_kwh = l.price_nano_per_kwh
    AND (o.restriction = 'aon') = l.aon
GROUP BY l.delivery_start_at, l.interval_min, l.side, l.price_nano_per_kwh, l.aon, l.changed
ORDER BY l.delivery_start_at, l.interval_min, l.side DESC, l.price_nano_per_kwh DESC, l.aon
""",
        _READER,
    ),
    Question(
        "block_depth_changes",
        """
SELECT first_start_at, intervals, interval_min, side, limit_price_nano_per_kwh AS price_nano_per_kwh,
    coalesce(sum(rest_wh) FILTER (WHERE state = 'open'), 0)::bigint AS open_wh,
    count(*) FILTER (WHERE state = 'open') AS blocks, (max(ARRAY[partition::bigint, seq]))[1] AS partition,
    (max(ARRAY[partition::bigint, seq]))[2] AS seq
FROM blocks
WHERE market = %(market)s
GROUP BY first_start_at, intervals, interval_min, side, limit_price_nano_per_kwh
HAVING max(ARRAY[partition::bigint, seq]) > ARRAY[%(partition)s, %(seq)s]::bigint[]
ORDER BY first_start_at, intervals, interval_min, side DESC, limit_price_nano_per_kwh DESC
""",
        _READER,
    ),
    Question(
        "trade_changes",
        f"""
SELECT trade, delivery_start_at, interval_min, intervals, aggressor, quantity_wh, price_nano_per_kwh,
    seller_price_nano_per_kwh, state, at, partition::bigint, seq
FROM public_trades
WHERE market = %(market)s AND {_SINCE}
ORDER BY partition, seq, trade
""",
        _READER,
    ),
    Question(
        "price_changes",
        _changed(
            "traded_prices",
            "delivery_start_at, interval_min, trades, last_nano_per_kwh, high_nano_per_kwh, low_nano_per_kwh,"
            " volume_wh, average_nano_per_kwh",
            "delivery_start_at, interval_min",
        ),
        _READER,
    ),
    Question(
        "session_changes",
        _changed(
            "(SELECT *, min(gate_at) FILTER (WHERE state <> 'closed') OVER (PARTITION BY market) AS next_gate_at"
            " FROM instruments) AS i",
            "delivery_start_at, interval_min, opens_at, gate_at, next_gate_at, state",
            "delivery_start_at, interval_min",
        ),
        _READER,
    ),
    Question(
        "advertisement_changes",
        _changed(
            "advertisements",
            "listing, zone, first_start_at, interval_min, quantity_wh, lots, format, quality, capacity_w,"
            " reserve_price_nano_per_kwh, currency, closes_at, product, state, unsold_wh, bids,"
            " highest_bid_nano_per_kwh",
            "first_start_at, listing",
        ),
        _READER,
    ),
    Question(
        "enquiry_changes",
        _changed(
            "enquiry_advertisements",
            "enquiry, zone, first_start_at, interval_min, quantity_wh, currency, limit_price_nano_per_kwh, closes_at,"
            " state",
            "first_start_at, enquiry",
        ),
        _READER,
    ),
    Question(
        "product_changes",
        _changed(
            "product_advertisements",
            "product, version, zone, carrier, characteristics, max_power_w, capacity_wh, schedule_from_at,"
            " schedule_wh, availability_ppm, quality_class, lowest_price_nano_per_kwh, bids_until_at, status,"
            " verification",
            "product",
        ),
        _READER,
    ),
    Question(
        "session_results",
        """
SELECT g.delivery_start_at, g.interval_min, coalesce(p.trades, 0) AS trades, coalesce(p.volume_wh, 0) AS volume_wh,
    p.average_nano_per_kwh, p.last_nano_per_kwh, p.high_nano_per_kwh, p.low_nano_per_kwh, g.resting,
    g.partition::bigint, g.seq
FROM gates g
LEFT JOIN traded_prices p USING (market, delivery_start_at, interval_min)
WHERE g.market = %(market)s AND (g.partition, g.seq) > (%(partition)s::bigint, %(seq)s::bigint)
ORDER BY g.delivery_start_at, g.interval_min
""",
        _READER,
    ),
)
"""What is open per level (0: nothing is there any more), trades, prices, states, offers, results of closed gates."""
