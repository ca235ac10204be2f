"""Settlement runs, their lines and what they posted; the energy identity, counted again by the database."""

from collections.abc import Iterable

from projections.view import Mode, Question, Row, SqlView, View, copied, fields_of
from schemas.envelope import Recorded
from schemas.settlement.events import (
    LinesPosted,
    RunCompleted,
    RunFailed,
    RunPartRecorded,
    RunPosted,
    RunStarted,
)


def _started(fact: Recorded[RunStarted]) -> Iterable[Row]:
    yield {
        **fields_of(fact.body, "area", "run", "number", "run_type", "starter", "from_at", "to_at", "interval_min"),
        **fields_of(fact.body, "cutoff_tick", "currency", "operator", "imbalance_series", "markets", "deadline_at"),
        "status": "started",
    }


def _completed(fact: Recorded[RunCompleted]) -> Iterable[Row]:
    yield {
        **fields_of(fact.body, "run", "parts", "connections", "lines"),
        **fields_of(fact.body, "shared_wh", "delivered_wh", "residual_wh", "surplus_wh"),
        "status": "completed",
    }


def _failed(fact: Recorded[RunFailed]) -> Iterable[Row]:
    run = fact.body
    yield {"run": run.run, "status": "failed", "failure": run.reason.value, "missing": run.missing}


def _lines(fact: Recorded[RunPartRecorded]) -> Iterable[Row]:
    of_run = fields_of(fact.body, "area", "run", "number", "from_at", "interval_min", "currency")
    for line in fact.body.lines:
        yield {
            **of_run,
            **fields_of(line, "line", "kind", "party", "connection", "counterparty", "reference", "first_interval"),
            **fields_of(line, "energy_wh", "settled_wh", "price_nano_per_kwh", "amount_micro", "points_micro"),
            "total_wh": sum(line.energy_wh),
        }


def _balances(fact: Recorded[RunPartRecorded]) -> Iterable[Row]:
    of_run = fields_of(fact.body, "area", "run", "number", "from_at", "interval_min")
    for balance in fact.body.balances:
        yield {**of_run, **fields_of(balance, "connection", "party", "import_wh", "export_wh")}


def _postings(fact: Recorded[LinesPosted]) -> Iterable[Row]:
    of_slice = fields_of(fact.body, "area", "run", "number", "slice", "counterparty", "from_at", "to_at", "currency")
    for line in fact.body.lines:
        yield {
            **of_slice,
            **fields_of(line, "line", "kind", "party", "connection", "reference"),
            **fields_of(line, "energy_wh", "amount_micro", "points_micro"),
        }


RUNS = View(
    name="runs",
    mode=Mode.CURRENT,
    columns={
        "area": "text",
        "run": "text",
        "number": "bigint",
        "run_type": "text",
        "status": "text",
        "starter": "text",
        "approver": "text",
        "from_at": "bigint",
        "to_at": "bigint",
        "interval_min": "bigint",
        "cutoff_tick": "bigint",
        "currency": "text",
        "operator": "text",
        "imbalance_series": "text",
        "markets": "text[]",
        "deadline_at": "bigint",
        "parts": "bigint",
        "connections": "bigint",
        "lines": "bigint",
        "shared_wh": "bigint",
        "delivered_wh": "bigint",
        "residual_wh": "bigint",
        "surplus_wh": "bigint",
        "differing_lines": "bigint",
        "failure": "text",
        "missing": "text",
    },
    key=("run",),
    on={
        RunStarted: _started,
        RunCompleted: _completed,
        RunFailed: _failed,
        RunPosted: copied("run", "approver", "differing_lines", status="posted"),
    },
)

SETTLEMENT_LINES = View(
    name="settlement_lines",
    mode=Mode.HISTORY,
    columns={
        "area": "text",
        "run": "text",
        "number": "bigint",
        "from_at": "bigint",
        "interval_min": "bigint",
        "currency": "text",
        "line": "text",
        "kind": "text",
        "party": "text",
        "connection": "text",
        "counterparty": "text",
        "reference": "text",
        "first_interval": "bigint",
        "energy_wh": "bigint[]",
        "total_wh": "bigint",
        "settled_wh": "bigint",
        "price_nano_per_kwh": "bigint",
        "amount_micro": "bigint",
        "points_micro": "bigint",
    },
    on={RunPartRecorded: _lines},
    indexes=("run, connection", "party"),
)

CONNECTION_BALANCES = View(
    name="connection_balances",
    mode=Mode.HISTORY,
    columns={
        "area": "text",
        "run": "text",
        "number": "bigint",
        "from_at": "bigint",
        "interval_min": "bigint",
        "connection": "text",
        "party": "text",
        "import_wh": "bigint[]",
        "export_wh": "bigint[]",
    },
    on={RunPartRecorded: _balances},
    indexes=("run, connection",),
)

POSTED_LINES = View(
    name="posted_lines",
    mode=Mode.HISTORY,
    columns={
        "area": "text",
        "run": "text",
        "number": "bigint",
        "slice": "bigint",
        "from_at": "bigint",
        "to_at": "bigint",
        "currency": "text",
        "line": "text",
        "kind": "text",
        "party": "text",
        "connection": "text",
        "counterparty": "text",
        "reference": "text",
        "energy_wh": "bigint",
        "amount_micro": "bigint",
        "points_micro": "bigint",
    },
    on={LinesPosted: _postings},
    indexes=("run", "line", "counterparty, party"),
)

VIEWS = (RUNS, SETTLEMENT_LINES, CONNECTION_BALANCES, POSTED_LINES)

# The identity is not read from the run's totals: it is counted from the metered arrays and the lines, and
# a line without a meter counts as wrong as a meter without lines (full join).
ENERGY_BALANCES = SqlView(
    name="energy_balances",
    sql="""
WITH metered AS (
    SELECT b.run, b.connection, m.i - 1 AS i, m.import_wh, m.export_wh
    FROM connection_balances b
    CROSS JOIN LATERAL unnest(b.import_wh, b.export_wh) WITH ORDINALITY AS m (import_wh, export_wh, i)
), attributed AS (
    SELECT l.run, l.connection, l.first_interval + e.i - 1 AS i,
        sum(e.wh) FILTER (WHERE l.kind = 'shared_consumption') AS shared_consumption_wh,
        sum(e.wh) FILTER (WHERE l.kind = 'delivered_purchase') AS delivered_purchase_wh,
        sum(e.wh) FILTER (WHERE l.kind = 'residual') AS residual_wh,
        sum(e.wh) FILTER (WHERE l.kind = 'shared_production') AS shared_production_wh,
        sum(e.wh) FILTER (WHERE l.kind = 'delivered_sale') AS delivered_sale_wh,
        sum(e.wh) FILTER (WHERE l.kind = 'surplus') AS surplus_wh
    FROM settlement_lines l
    CROSS JOIN LATERAL unnest(l.energy_wh) WITH ORDINALITY AS e (wh, i)
    WHERE l.kind NOT IN ('imbalance', 'response', 'transit', 'price_difference')
    GROUP BY l.run, l.connection, l.first_interval + e.i - 1
), counted AS (
    SELECT run, count(*) AS connection_intervals,
        sum(coalesce(m.import_wh, 0)) AS import_wh,
        sum(coalesce(m.export_wh, 0)) AS export_wh,
        sum(coalesce(a.shared_consumption_wh, 0)) AS shared_wh,
        sum(coalesce(a.delivered_purchase_wh, 0)) AS delivered_purchase_wh,
        sum(coalesce(a.delivered_sale_wh, 0)) AS delivered_sale_wh,
        sum(coalesce(a.residual_wh, 0)) AS residual_wh,
        sum(coalesce(a.surplus_wh, 0)) AS surplus_wh,
        sum(
            abs(coalesce(m.import_wh, 0) - coalesce(a.shared_consumption_wh, 0)
                - coalesce(a.delivered_purchase_wh, 0) - coalesce(a.residual_wh, 0))
            + abs(coalesce(m.export_wh, 0) - coalesce(a.shared_production_wh, 0)
                - coalesce(a.delivered_sale_wh, 0) - coalesce(a.surplus_wh, 0))
        ) AS unattributed_wh
    FROM metered m
    FULL JOIN attributed a USING (run, connection, i)
    GROUP BY run
)
SELECT r.area, r.run, r.number, r.status, r.from_at, r.to_at, c.connection_intervals,
    c.import_wh::bigint, c.export_wh::bigint, c.shared_wh::bigint, c.delivered_purchase_wh::bigint,
    c.delivered_sale_wh::bigint, c.residual_wh::bigint, c.surplus_wh::bigint, c.unattributed_wh::bigint,
    (SELECT coalesce(sum(l.settled_wh), 0)::bigint FROM settlement_lines l
        WHERE l.run = c.run AND l.kind = 'transit') AS transit_wh
FROM counted c JOIN runs r USING (run)
""",
)

# One row per run, pair and cause: energy goes from `giver` to `taker`, money the other way. Shared energy
# passes through its community, energy from or to another area through the market's operator, and what a buyer pays
# more than its seller gets goes to the operator without energy. The payer of a
# negative price is the giver, so amounts may be negative.
ENERGY_FLOWS = SqlView(
    name="energy_flows",
    sql="""
SELECT l.area, l.run, l.number, l.currency, l.reference AS giver, l.party AS taker, 'shared' AS cause,
    sum(l.settled_wh)::bigint AS energy_wh, sum(-l.amount_micro)::bigint AS amount_micro
FROM settlement_lines l WHERE l.kind = 'shared_consumption' GROUP BY 1, 2, 3, 4, 5, 6
UNION ALL
SELECT l.area, l.run, l.number, l.currency, l.party, l.reference, 'shared',
    sum(l.settled_wh)::bigint, sum(l.amount_micro)::bigint
FROM settlement_lines l WHERE l.kind = 'shared_production' GROUP BY 1, 2, 3, 4, 5, 6
UNION ALL
SELECT s.area, s.run, s.number, s.currency, s.party, b.party, 'contract',
    sum(s.settled_wh)::bigint, sum(s.amount_micro)::bigint
FROM settlement_lines s
JOIN settlement_lines b ON b.run = s.run AND b.reference = s.reference AND b.kind = 'delivered_purchase'
WHERE s.kind = 'delivered_sale' GROUP BY 1, 2, 3, 4, 5, 6
UNION ALL
SELECT b.area, b.run, b.number, b.currency, t.party, b.party, 'transit',
    sum(b.settled_wh)::bigint, sum(t.amount_micro)::bigint
FROM settlement_lines b
JOIN settlement_lines t ON t.run = b.run AND t.reference = b.reference AND t.kind = 'transit'
WHERE b.kind = 'delivered_purchase' GROUP BY 1, 2, 3, 4, 5, 6
UNION ALL
SELECT s.area, s.run, s.number, s.currency, s.party, t.party, 'transit',
    sum(s.settled_wh)::bigint, sum(s.amount_micro)::bigint
FROM settlement_lines s
JOIN settlement_lines t ON t.run = s.run AND t.reference = s.reference AND t.kind = 'transit'
WHERE s.kind = 'delivered_sale' GROUP BY 1, 2, 3, 4, 5, 6
UNION ALL
SELECT b.area, b.run, b.number, b.currency, d.party, b.party, 'price_difference',
    0, sum(d.amount_micro)::bigint
FROM settlement_lines b
JOIN settlement_lines d ON d.run = b.run AND d.reference = b.reference AND d.kind = 'price_difference'
WHERE b.kind = 'delivered_purchase' GROUP BY 1, 2, 3, 4, 5, 6
UNION ALL
SELECT l.area, l.run, l.number, l.currency, l.counterparty, l.party, 'residual',
    sum(l.settled_wh)::bigint, 0
FROM settlement_lines l WHERE l.kind = 'residual' GROUP BY 1, 2, 3, 4, 5, 6
UNION ALL
SELECT l.area, l.run, l.number, l.currency, l.party, l.counterparty, 'surplus',
    sum(l.settled_wh)::bigint, 0
FROM settlement_lines l WHERE l.kind = 'surplus' GROUP BY 1, 2, 3, 4, 5, 6
""",
)

SQL_VIEWS = (ENERGY_BALANCES, ENERGY_FLOWS)

_UTC = "to_char(to_timestamp({0} / 1000000) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')"
_PERIOD = f"{_UTC.format('r.from_at')} AS from_utc, {_UTC.format('r.to_at')} AS to_utc"

# A posted run is superseded by the next posted one of its period, a draft is gone once a later run of an
# overlapping period was started.
_STATUS = """CASE
        WHEN r.status = 'posted' AND EXISTS (SELECT FROM runs n WHERE n.area = r.area AND n.from_at = r.from_at
            AND n.to_at = r.to_at AND n.number > r.number AND n.status = 'posted') THEN 'superseded'
        WHEN r.status = 'completed' AND EXISTS (SELECT FROM runs n WHERE n.area = r.area AND n.from_at < r.to_at
            AND n.to_at > r.from_at AND n.number > r.number) THEN 'discarded'
        ELSE r.status END AS status"""

QUESTIONS = (
    Question(
        name="runs",
        sql=f"""
SELECT r.area, r.number, r.run_type, {_STATUS}, {_PERIOD}, r.cutoff_tick, r.starter, r.approver,
    r.connections, r.lines, r.differing_lines, r.shared_wh, r.delivered_wh, r.residual_wh, r.surplus_wh,
    r.currency, r.failure, r.missing, r.run
FROM runs r ORDER BY r.area, r.number
""",
    ),
    Question(
        name="settlement_lines",
        sql=f"""
SELECT l.area, l.number, {_UTC.format("l.from_at")} AS from_utc, l.party, l.kind, l.counterparty,
    CASE WHEN l.kind IN ('residual', 'surplus', 'shared_consumption', 'shared_production')
        THEN l.reference END AS reference,
    count(*) AS lines, sum(l.settled_wh)::bigint AS settled_wh,
    sum(l.amount_micro)::bigint AS amount_micro, l.currency, sum(l.points_micro)::bigint AS points_micro
FROM settlement_lines l
GROUP BY l.area, l.number, l.from_at, l.party, l.kind, l.counterparty, 7, l.currency
ORDER BY l.area, l.number, l.party, l.kind, l.counterparty, 7
""",
    ),
    Question(
        name="energy_flows",
        sql="""
SELECT area, number, giver, taker, cause, energy_wh, amount_micro, currency
FROM energy_flows ORDER BY area, number, cause, giver, taker
""",
    ),
    Question(
        name="energy_balances",
        sql=f"""
SELECT r.area, r.number, r.status, {_PERIOD}, r.connection_intervals, r.import_wh, r.export_wh, r.shared_wh,
    r.delivered_purchase_wh, r.delivered_sale_wh, r.residual_wh, r.surplus_wh, r.transit_wh, r.unattributed_wh
FROM energy_balances r ORDER BY r.area, r.number
""",
    ),
    Question(
        name="posted_lines",
        sql=f"""
SELECT area, {_UTC.format("from_at")} AS from_utc, counterparty, party, kind, count(DISTINCT number) AS runs,
    sum(energy_wh)::bigint AS settled_wh, sum(amount_micro)::bigint AS amount_micro, currency,
    sum(points_micro)::bigint AS points_micro
FROM posted_lines
GROUP BY area, from_at, counterparty, party, kind, currency
ORDER BY area, from_at, counterparty, party, kind
""",
    ),
)
