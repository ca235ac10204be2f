"""The demo's account of itself: one object of numbers for programs, readable tables for people.

Every figure is asked from the views after the day is over; nothing is counted on the way.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from examples import market_account
from examples.market_account import NEWEST_RUNS
from examples.world import TRADING
from gateways.app import App

_ONE = {
    "commands": "SELECT count(DISTINCT (actor, command_id)) AS n FROM answers WHERE actor NOT LIKE 'log:%%'",
    "events": "SELECT count(*) AS n FROM answers WHERE NOT runtime",
    "orders": "SELECT count(*) AS n FROM answers WHERE event = 'OrderAccepted'",
    "trades": "SELECT count(*) AS n FROM trades",
    "traded_wh": "SELECT coalesce(sum(quantity_wh), 0)::bigint AS n FROM trades",
    "contracts": "SELECT count(*) AS n FROM newest_contracts",
    "contracts_lapsed": "SELECT count(*) AS n FROM answers WHERE event = 'ContractLapsed'",
    "opt_outs": "SELECT count(*) AS n FROM answers WHERE event = 'SiteOptedOut'",
    "readings": "SELECT coalesce(sum(cardinality(energy_wh)), 0)::bigint AS n FROM readings",
    "settlement_runs": "SELECT count(*) AS n FROM answers WHERE event = 'RunPosted'",
    "invoices": "SELECT count(*) AS n FROM invoices WHERE kind = 'invoice'",
    "credit_notes": "SELECT count(*) AS n FROM invoices WHERE kind = 'credit_note'",
}


async def gather(app: App) -> dict[str, Any]:
    """The account as plain numbers (without proofs and time)."""
    found: dict[str, Any] = {}
    for name, sql in _ONE.items():
        found[name] = (await app.views(sql, {}))[0]["n"]
    refusals = await app.views(
        "SELECT reason, count(*) AS n FROM answers WHERE refused OR event = 'CommandSetAside'"
        " GROUP BY reason ORDER BY reason",
        {},
    )
    found["refusals"] = {row["reason"]: row["n"] for row in refusals}
    ledger = await app.views(
        "SELECT currency, sum(amount_micro)::bigint AS n FROM ledger GROUP BY currency ORDER BY currency", {}
    )
    found["ledger_sum"] = {row["currency"]: row["n"] for row in ledger}
    shared = await app.views(
        "SELECT coalesce(sum(settled_wh), 0)::bigint AS n FROM settlement_lines"
        f" WHERE kind = 'shared_consumption' AND run IN (SELECT run FROM ({NEWEST_RUNS}) newest)",
        {},
    )
    found["shared_wh"] = shared[0]["n"]
    found["energy_balance_wh"] = await energy_balance_wh(app)
    found["market"] = await market_account.gather(app)
    return found


async def energy_balance_wh(app: App) -> int:
    """Σ over points and intervals of what is not attributed exactly once, over every run; 0 is right.

    |import − shared − delivered − residual| + |export − shared − delivered − surplus|, computed by
    PostgreSQL from recorded balances and lines.
    """
    rows = await app.views("SELECT coalesce(sum(unattributed_wh), 0)::bigint AS n FROM energy_balances", {})
    return int(rows[0]["n"])


async def hours(app: App) -> Sequence[Mapping[str, Any]]:
    """Trades of the trading community by hour of delivery: count, energy, lowest, mean and highest price."""
    return await app.views(
        f"""SELECT to_char(to_timestamp(delivery_start_at / 1000000) AT TIME ZONE 'Europe/Berlin', 'HH24') AS hour,
                  count(*) AS trades, sum(quantity_wh)::bigint AS energy_wh,
                  min(price_nano_per_kwh) AS lowest, max(price_nano_per_kwh) AS highest,
                  (sum(price_nano_per_kwh::numeric * quantity_wh) / sum(quantity_wh))::bigint AS mean
           FROM trades WHERE market = '{TRADING}' GROUP BY 1 ORDER BY 1""",
        {},
    )


async def attribution(app: App) -> Sequence[Mapping[str, Any]]:
    """Who got how much from whom, in the newest posted run of each area: energy by kind of line."""
    return await app.views(
        f"""SELECT n.area, l.kind, count(DISTINCT l.connection) AS connections, sum(l.settled_wh)::bigint AS energy_wh,
                   sum(l.amount_micro)::bigint AS amount_micro
            FROM settlement_lines l JOIN ({NEWEST_RUNS}) n ON n.run = l.run GROUP BY 1, 2 ORDER BY 1, 2""",
        {},
    )


async def flows(app: App) -> Sequence[Mapping[str, Any]]:
    """From whom to whom the most energy went in the newest posted run of each area, and for how much."""
    return await app.views(
        f"""SELECT * FROM (
              SELECT f.*, row_number() OVER (
                  PARTITION BY f.area, f.cause ORDER BY f.energy_wh DESC, f.giver, f.taker) AS n
              FROM energy_flows f JOIN ({NEWEST_RUNS}) newest ON newest.run = f.run) ranked
            WHERE n <= 2 ORDER BY area, cause, n""",
        {},
    )


async def runs(app: App) -> Sequence[Mapping[str, Any]]:
    """Every settlement run, with the number of lines that it posted."""
    return await app.views(
        """SELECT r.area, r.number, r.status, r.cutoff_tick, count(p.line) AS lines
           FROM runs r LEFT JOIN posted_lines p USING (run)
           GROUP BY r.area, r.number, r.status, r.cutoff_tick ORDER BY r.area, r.number""",
        {},
    )


async def response(app: App) -> Sequence[Mapping[str, Any]]:
    """The measured response of the demand-response event, site by site."""
    return await app.views(
        """SELECT connection, status, cardinality(reference_days) AS days,
                  (SELECT sum(x) FROM unnest(baseline_wh) x)::bigint AS baseline_wh,
                  (SELECT sum(x) FROM unnest(metered_wh) x)::bigint AS metered_wh, paid_wh
           FROM performances ORDER BY paid_wh DESC, connection LIMIT 6""",
        {},
    )


async def three_bills(app: App, corrected_party: str) -> Sequence[Mapping[str, Any]]:
    """A consumer's bill, a producer's self-billed credit, and the corrected bill with its credit note."""
    return await app.views(
        f"""(SELECT * FROM invoices WHERE kind = 'invoice' AND issuer = 'organiser-{TRADING}' AND total_minor > 0
              AND party <> %(party)s ORDER BY total_minor DESC LIMIT 1)
            UNION ALL
            (SELECT * FROM invoices WHERE kind = 'invoice' AND issuer = 'organiser-{TRADING}' AND total_minor < 0
              ORDER BY total_minor LIMIT 1)
            UNION ALL
            (SELECT * FROM invoices WHERE party = %(party)s AND issuer = 'supplier' ORDER BY number)""",
        {"party": corrected_party},
    )


async def bill_lines(app: App, invoice: str) -> Sequence[Mapping[str, Any]]:
    """The lines of a bill."""
    return await app.views(
        "SELECT * FROM invoice_lines WHERE invoice = %(invoice)s ORDER BY number", {"invoice": invoice}
    )


async def line_to_explain(app: App) -> Mapping[str, Any]:
    """A bill line that goes back to a trade: the smallest energy bought in the book, so that it fits a screen."""
    rows = await app.views(
        """SELECT l.invoice, l.number FROM invoice_lines l JOIN invoices i USING (invoice)
           WHERE l.charge = 'delivered_purchase' AND l.energy_wh > 0 AND i.kind = 'invoice'
           ORDER BY l.energy_wh, l.invoice LIMIT 1""",
        {},
    )
    return rows[0]
