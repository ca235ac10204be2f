"""Slates of the family `market`: tables, what is summed from them, and what people ask."""

from projections.market.access import ACCESS_VIEWS
from projections.market.auctions import AUCTION_QUESTIONS, AUCTION_VIEWS
from projections.market.books import BOOK_VIEWS
from projections.market.capability import CAPABILITY_QUESTIONS, CAPABILITY_VIEWS
from projections.market.contracts import CONTRACT_QUESTIONS, CONTRACT_VIEWS, NEWEST_CONTRACTS
from projections.market.credit import CREDIT_QUESTIONS, CREDIT_VIEWS
from projections.market.enquiries import ENQUIRY_QUESTIONS, ENQUIRY_VIEWS
from projections.market.information import INFORMATION_QUESTIONS, INFORMATION_SQL_VIEWS
from projections.market.listings import LISTING_QUESTIONS, LISTING_VIEWS
from projections.market.mandates import MANDATE_QUESTIONS, MANDATE_VIEWS
from projections.market.notices import NOTICE_QUESTIONS, NOTICE_VIEWS, NOTIFICATIONS
from projections.market.order_events import ORDER_EVENTS
from projections.market.outlets import OUTLET_QUESTIONS, OUTLET_VIEWS
from projections.market.products import PRODUCT_QUESTIONS, PRODUCT_VIEWS
from projections.market.sentences import CURRENCY
from projections.market.sessions import SESSION_QUESTIONS, SESSION_VIEWS
from projections.market.surveillance import SURVEILLANCE_QUESTIONS, SURVEILLANCE_VIEWS
from projections.market.trading import TRADING_VIEWS
from projections.view import Question, SqlView, View

VIEWS: tuple[View, ...] = (
    *TRADING_VIEWS,
    *ACCESS_VIEWS,
    *BOOK_VIEWS,
    *CAPABILITY_VIEWS,
    *PRODUCT_VIEWS,
    *LISTING_VIEWS,
    *CONTRACT_VIEWS,
    *CREDIT_VIEWS,
    *OUTLET_VIEWS,
    *AUCTION_VIEWS,
    *SESSION_VIEWS,
    *ENQUIRY_VIEWS,
    *MANDATE_VIEWS,
    ORDER_EVENTS,
    *NOTICE_VIEWS,
    *SURVEILLANCE_VIEWS,
)

DEPTH = SqlView(
    name="depth",
    sql="""
SELECT market, delivery_start_at, interval_min, side, limit_price_nano_per_kwh AS price_nano_per_kwh,
    sum(rest_wh)::bigint AS open_wh, count(*) AS orders
FROM orders
WHERE state = 'open'
GROUP BY market, delivery_start_at, interval_min, side, limit_price_nano_per_kwh
""",
)
"""What is open per instrument, side and price."""

POSITIONS = SqlView(
    name="positions",
    sql="""
SELECT market, party, connection, delivery_start_at, interval_min,
    sum(bought_wh)::bigint AS bought_wh, sum(sold_wh)::bigint AS sold_wh
FROM (
    SELECT c.market, side.party, side.connection,
        c.first_start_at + (q.n - 1) * c.interval_min * 60000000 AS delivery_start_at, c.interval_min,
        CASE WHEN side.buys THEN q.wh ELSE 0 END AS bought_wh,
        CASE WHEN side.buys THEN 0 ELSE q.wh END AS sold_wh
    FROM newest_contracts c
    CROSS JOIN LATERAL unnest(CASE WHEN c.state = 'concluded' THEN c.quantity_wh END) WITH ORDINALITY AS q (wh, n)
    CROSS JOIN LATERAL (VALUES
        (c.buyer, c.buyer_connection, true), (c.seller, c.seller_connection, false)
    ) AS side (party, connection, buys)
) AS moved
GROUP BY market, party, connection, delivery_start_at, interval_min
""",
)
"""What was bought and sold per party, connection and delivery interval, from books and negotiations."""

SQL_VIEWS: tuple[SqlView, ...] = (DEPTH, NEWEST_CONTRACTS, POSITIONS, *INFORMATION_SQL_VIEWS, NOTIFICATIONS)

_UTC = "to_char(to_timestamp({0} / 1000000) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')"

_REFUSED = f"""
SELECT m.market, {_UTC.format("m.at")} AS refused_utc, m.party, m.command, m.reason, m.limit_value, m.found_value,
    replace(m.said, '{CURRENCY}', coalesce(r.currency, 'units')) AS said, m.subject
FROM market_refusals m
LEFT JOIN market_rules r ON r.market = m.market AND r.version = 1
"""

QUESTIONS: tuple[Question, ...] = (
    Question(
        "depth",
        f"""
SELECT market, {_UTC.format("delivery_start_at")} AS delivery_utc, side, price_nano_per_kwh, open_wh, orders
FROM depth
ORDER BY market, delivery_start_at, side DESC, price_nano_per_kwh DESC
""",
    ),
    Question(
        "orders",
        f"""
SELECT market, sequence, {_UTC.format("delivery_start_at")} AS delivery_utc, party, connection, side,
    limit_price_nano_per_kwh, quantity_wh, rest_wh, restriction, state, reason, "order"
FROM orders
ORDER BY market, sequence
""",
    ),
    Question(
        "trades",
        f"""
SELECT market, {_UTC.format("delivery_start_at")} AS delivery_utc, {_UTC.format("at")} AS made_utc, seller, buyer,
    aggressor, quantity_wh, price_nano_per_kwh, seller_price_nano_per_kwh, trade
FROM trades
ORDER BY market, delivery_start_at, partition, seq, "row"
""",
    ),
    Question(
        "contracts",
        f"""
SELECT market, {_UTC.format("first_start_at")} AS first_utc, cardinality(quantity_wh) AS intervals, interval_min,
    seller, buyer, (SELECT sum(wh)::bigint FROM unnest(quantity_wh) AS wh) AS whole_wh, price_nano_per_kwh,
    seller_price_nano_per_kwh, currency, points_per_kwh, delivery_mode,
    CASE WHEN trade IS NULL THEN 'negotiation' ELSE 'book' END AS source, version, state,
    contract
FROM newest_contracts
ORDER BY market, first_start_at, partition, seq, "row"
""",
    ),
    Question(
        "proposals",
        f"""
SELECT market, {_UTC.format("first_start_at")} AS first_utc, cardinality(quantity_wh) AS intervals, seller, buyer,
    awaiting, (SELECT sum(wh)::bigint FROM unnest(quantity_wh) AS wh) AS whole_wh, price_nano_per_kwh, currency,
    {_UTC.format("lapses_at")} AS lapses_utc, state, contract
FROM proposals
ORDER BY market, first_start_at, contract
""",
    ),
    Question(
        "positions",
        f"""
SELECT market, party, connection, {_UTC.format("delivery_start_at")} AS delivery_utc, interval_min, bought_wh, sold_wh,
    sold_wh - bought_wh AS position_wh
FROM positions
ORDER BY market, party, connection, delivery_start_at
""",
    ),
    Question(
        "market_refusals",
        f"""
{_REFUSED}
ORDER BY m.market, m.partition, m.seq, m."row"
""",
    ),
    Question(
        "my_refusals",
        f"""
{_REFUSED}
WHERE m.party = %(party)s
ORDER BY m.market, m.partition, m.seq, m."row"
""",
        ("party",),
    ),
    *CAPABILITY_QUESTIONS,
    *PRODUCT_QUESTIONS,
    *LISTING_QUESTIONS,
    *CONTRACT_QUESTIONS,
    *CREDIT_QUESTIONS,
    *OUTLET_QUESTIONS,
    *ENQUIRY_QUESTIONS,
    *MANDATE_QUESTIONS,
    *INFORMATION_QUESTIONS,
    *AUCTION_QUESTIONS,
    *NOTICE_QUESTIONS,
    *SESSION_QUESTIONS,
    *SURVEILLANCE_QUESTIONS,
)
