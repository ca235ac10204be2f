"""What the markets' account of the day is made of: auctions, listing, block, mandates, changed bids, the line, credit.

Every figure is asked from the views after the day is over, like those of `examples/account.py`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from examples.neighbours import LINE, NEIGHBOURS
from examples.world import TRADING
from gateways.app import App

NEWEST_RUNS = (
    "SELECT DISTINCT ON (area, from_at) area, run FROM runs WHERE status = 'posted' ORDER BY area, from_at, number DESC"
)

_DELIVERED = f"""(
    SELECT coalesce(sum(l.settled_wh), 0)::bigint FROM settlement_lines l
    WHERE l.kind = 'delivered_purchase' AND l.reference = c.contract AND l.run IN (SELECT run FROM ({NEWEST_RUNS}) n)
)"""
"""What of contract `c` both runs found at the buyer's meter."""

_WHOLE = "(SELECT sum(wh) FROM unnest({0}) AS wh)::bigint"


async def gather(app: App) -> dict[str, Any]:
    """The figures as one object, for programs."""
    auctions, listed, block, ordered = (
        await auctions_of(app),
        await listing(app),
        await block_of(app),
        await mandates(app),
    )
    hours_of_line, calls = await line(app), await margin_calls(app)
    changed, again = await amended(app), await rebids(app)
    return {
        "auctions": sum(row["auctions"] for row in auctions),
        "auctions_failed": sum(row["failed"] for row in auctions),
        "auctioned_wh": sum(row["auctioned_wh"] for row in auctions),
        "continuous_wh": sum(row["traded_wh"] - row["auctioned_wh"] for row in auctions),
        "listing_bids": len(listed),
        "listing_awards": sum(row["contract"] is not None for row in listed),
        "listing_delivered_wh": sum(row["delivered_wh"] for row in listed),
        "block_wh": sum(row["taken_wh"] for row in block),
        "block_zones": sorted(row["zone"] for row in block),
        "block_delivered_wh": sum(row["delivered_wh"] for row in block),
        "mandates": len(ordered),
        "mandate_forecasts": sum(row["forecasts"] for row in ordered),
        "mandate_orders": sum(row["orders"] for row in ordered),
        "mandate_traded_wh": sum(row["traded_wh"] for row in ordered),
        "orders_amended": len(changed),
        "amended_traded_wh": sum(row["traded_wh"] for row in changed),
        "rebids": len(again),
        "rebid_traded_wh": sum(row["traded_wh"] for row in again),
        "line_crossed_wh": sum(row["crossed_wh"] for row in hours_of_line),
        "line_full_intervals": sum(row["full_intervals"] for row in hours_of_line),
        "line_overfull_intervals": sum(row["overfull_intervals"] for row in hours_of_line),
        "line_home_wh_while_full": sum(row["home_wh"] for row in hours_of_line if row["full_intervals"]),
        "margin_calls": {row["state"]: row["parties"] for row in calls},
    }


async def auctions_of(app: App) -> Sequence[Mapping[str, Any]]:
    """By hour of delivery: auctions that traded, ended without a result, their volume, and all that was traded."""
    return await app.views(
        f"""SELECT to_char(to_timestamp(t.delivery_start_at / 1000000) AT TIME ZONE 'Europe/Berlin', 'HH24') AS hour,
                  count(*) FILTER (WHERE a.volume_wh > 0) AS auctions,
                  count(*) FILTER (WHERE a.state = 'failed') AS failed,
                  coalesce(sum(a.volume_wh), 0)::bigint AS auctioned_wh,
                  min(a.price_nano_per_kwh) AS lowest, max(a.price_nano_per_kwh) AS highest,
                  sum(t.volume_wh)::bigint AS traded_wh
           FROM traded_prices t
           LEFT JOIN auctions a USING (market, delivery_start_at, interval_min)
           WHERE t.market = '{TRADING}' GROUP BY 1 ORDER BY 1""",
        {},
    )


async def listing(app: App) -> Sequence[Mapping[str, Any]]:
    """Every bid on the listing with its outcome, and what of its contract was delivered."""
    return await app.views(
        f"""SELECT l.seller, b.bidder, b.price_nano_per_kwh, b.state, b.paid_nano_per_kwh, b.contract,
                  l.lots AS of_lots,
                  {_WHOLE.format("l.quantity_wh")} AS listed_wh, l.reserve_price_nano_per_kwh,
                  {_WHOLE.format("c.quantity_wh")} AS sold_wh, {_DELIVERED} AS delivered_wh
           FROM listings l JOIN listing_bids b USING (listing) LEFT JOIN newest_contracts c USING (contract)
           ORDER BY b.sequence""",
        {},
    )


async def block_of(app: App) -> Sequence[Mapping[str, Any]]:
    """The offers that serve the enquired block: from which zone, how much, at which price, and what was delivered."""
    return await app.views(
        f"""SELECT e.enquirer, {_WHOLE.format("e.quantity_wh")} AS asked_wh, cardinality(e.quantity_wh) AS intervals,
                  o.seller, c.zone, coalesce(c.buyer_zone, c.zone) AS buyer_zone, c.contract,
                  {_WHOLE.format("o.quantity_wh")} AS offered_wh, {_WHOLE.format("o.taken_wh")} AS taken_wh,
                  o.price_nano_per_kwh, {_DELIVERED} AS delivered_wh
           FROM enquiries e JOIN enquiry_offers o USING (enquiry) JOIN newest_contracts c USING (contract)
           ORDER BY o.price_nano_per_kwh, o.sequence""",
        {},
    )


async def mandates(app: App) -> Sequence[Mapping[str, Any]]:
    """Each mandate: what it allows, its forecasts, the orders that came of them, and what could not be ordered."""
    return await app.views(
        """SELECT m.party, m.buy_up_to_nano_per_kwh, m.sell_from_nano_per_kwh, m.budget_micro, m.version AS forecasts,
                  (SELECT count(*) FROM orders o WHERE o.mandate = m.mandate) AS orders,
                  (SELECT coalesce(sum(e.quantity_wh), 0) FROM order_events e JOIN orders o USING ("order")
                   WHERE o.mandate = m.mandate AND e.event = 'traded')::bigint AS traded_wh,
                  (SELECT count(*) FROM mandate_skips s WHERE s.mandate = m.mandate AND s.reason = 'budget_exceeded')
                      AS beyond_budget
           FROM mandates m ORDER BY m.party""",
        {},
    )


async def amended(app: App) -> Sequence[Mapping[str, Any]]:
    """Orders that were changed while they rested: limit and quantity before and after, and what they traded then."""
    return await app.views(
        """SELECT o.party, o.quantity_wh AS first_wh, a.price_nano_per_kwh AS first_nano_per_kwh, c.rest_wh,
                  c.limit_price_nano_per_kwh, o.state,
                  (SELECT coalesce(sum(e.quantity_wh), 0) FROM order_events e
                   WHERE e."order" = o."order" AND e.event = 'traded')::bigint AS traded_wh
           FROM order_changes c JOIN orders o USING ("order")
           JOIN order_events a ON a."order" = o."order" AND a.event = 'accepted'
           WHERE c.reason = 'amended' AND o.mandate IS NULL ORDER BY c.partition, c.seq""",
        {},
    )


async def rebids(app: App) -> Sequence[Mapping[str, Any]]:
    """Orders that offer again what a contract had promised: the contract's end, and what the order traded."""
    return await app.views(
        """SELECT o.party, o.quantity_wh, o.rebid_of, c.version, c.state, l.reason, c.price_nano_per_kwh,
                  c.buyer, coalesce(t.traded_wh, 0)::bigint AS traded_wh, t.highest
           FROM orders o JOIN newest_contracts c ON c.contract = o.rebid_of
           LEFT JOIN contract_lineage l ON l.contract = c.contract AND l.version = c.version
           LEFT JOIN LATERAL (
               SELECT sum(e.quantity_wh) AS traded_wh, max(e.price_nano_per_kwh) AS highest FROM order_events e
               WHERE e."order" = o."order" AND e.event = 'traded') t ON true
           ORDER BY o.market, o.sequence""",
        {},
    )


async def line(app: App) -> Sequence[Mapping[str, Any]]:
    """By hour: what the line carries and what crossed it, in how many intervals it was full, what traded at home."""
    return await app.views(
        f"""WITH promised AS (
               SELECT c.first_start_at + (q.n - 1) * c.interval_min * 60000000 AS start_at, q.wh,
                   c.buyer_zone IS NOT NULL AS crosses, c.price_nano_per_kwh
               FROM newest_contracts c CROSS JOIN LATERAL unnest(c.quantity_wh) WITH ORDINALITY AS q (wh, n)
               WHERE c.market = '{NEIGHBOURS}' AND c.state = 'concluded'
           ), of_interval AS (
               SELECT l.start_at, l.forward_w * l.interval_min / 60 AS capacity_wh,
                   coalesce(sum(p.wh) FILTER (WHERE p.crosses), 0) AS crossed_wh,
                   coalesce(sum(p.wh) FILTER (WHERE NOT p.crosses), 0) AS home_wh,
                   max(p.price_nano_per_kwh) FILTER (WHERE p.crosses) AS crossed_nano_per_kwh,
                   max(p.price_nano_per_kwh) FILTER (WHERE NOT p.crosses) AS home_nano_per_kwh
               FROM line_capacities l LEFT JOIN promised p USING (start_at)
               WHERE l.market = '{NEIGHBOURS}' AND l.line = '{LINE}' GROUP BY 1, 2
           )
           SELECT to_char(to_timestamp(start_at / 1000000) AT TIME ZONE 'Europe/Berlin', 'HH24') AS hour,
               sum(capacity_wh)::bigint AS capacity_wh, sum(crossed_wh)::bigint AS crossed_wh,
               sum(home_wh)::bigint AS home_wh,
               count(*) FILTER (WHERE crossed_wh = capacity_wh) AS full_intervals,
               count(*) FILTER (WHERE crossed_wh > capacity_wh) AS overfull_intervals,
               max(crossed_nano_per_kwh) AS crossed_nano_per_kwh, max(home_nano_per_kwh) AS home_nano_per_kwh
           FROM of_interval GROUP BY 1 HAVING sum(crossed_wh) + sum(home_wh) > 0 ORDER BY 1""",
        {},
    )


async def margin_calls(app: App) -> Sequence[Mapping[str, Any]]:
    """How the margin calls of the day ended, and of the last one who, when, and with what exposure."""
    return await app.views(
        """SELECT state, count(*) AS parties, max(party) AS party, max(exposure_micro) AS exposure_micro,
                  max(limit_micro) AS limit_micro, max(deadline_at - at) / 60000000 AS minutes_left
           FROM standings GROUP BY state ORDER BY state""",
        {},
    )
