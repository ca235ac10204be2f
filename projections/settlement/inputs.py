"""What a settlement run reads: history views of other families, as of its cut-off (`tick < cutoff`).

The newest version of each row is chosen by the calculation, so that choosing is pure and tested; the
questions only leave out what cannot matter to the period and the area, and parts of measurements that were
not complete at the cut-off.
"""

from collections.abc import Mapping
from typing import Any

from projections.view import Question
from schemas.envelope import Recorded
from schemas.settlement.events import RunStarted

_KNOWN = ("cutoff", "to_at", "area")
_PERIOD = ("cutoff", "from_at", "to_at", "area")

_AREA_CONNECTIONS = "(SELECT z.connection FROM connections z WHERE z.zone = %(area)s AND z.tick < %(cutoff)s)"


def parameters(fact: Recorded[RunStarted]) -> Mapping[str, Any]:
    """The parameters of every question in `INPUTS` for this run."""
    run = fact.body
    return {
        "cutoff": run.cutoff_tick,
        "from_at": run.from_at,
        "to_at": run.to_at,
        "area": run.area,
        "series": run.imbalance_series,
        "markets": list(run.markets),
    }


def _ends_after_from(start: str, values: str, interval_min: str = "interval_min") -> str:
    return f"{start} + cardinality({values}) * {interval_min}::bigint * 60000000 > %(from_at)s"


INPUTS: Mapping[str, Question] = {
    "connections": Question(
        name="settlement_connections",
        sql=f"""
SELECT tick, seq, "row", connection, zone, customer, supplier, off_taker, metering_point, valid_from
FROM connections c
WHERE tick < %(cutoff)s AND valid_from < %(to_at)s AND connection IN {_AREA_CONNECTIONS}
    AND EXISTS (SELECT FROM metering_points m
        WHERE m.metering_point = c.metering_point AND m.connection = c.connection AND m.tick < %(cutoff)s)
ORDER BY connection, valid_from, tick, seq, "row"
""",
        parameters=_KNOWN,
    ),
    "sharing_memberships": Question(
        name="settlement_sharing_memberships",
        sql=f"""
SELECT tick, seq, "row", connection, community, factor_ppm, valid_from
FROM sharing_memberships s
WHERE tick < %(cutoff)s AND valid_from < %(to_at)s AND connection IN {_AREA_CONNECTIONS}
    AND EXISTS (SELECT FROM members m
        WHERE m.community = s.community AND m.party = s.customer AND m.tick < %(cutoff)s)
ORDER BY connection, community, valid_from, tick, seq, "row"
""",
        parameters=_KNOWN,
    ),
    "sharing_rules": Question(
        name="settlement_sharing_rules",
        sql="""
SELECT tick, seq, "row", community, organiser, key, interval_min, currency, consumer_price_nano_per_kwh,
    producer_price_nano_per_kwh, points_per_kwh, valid_from
FROM sharing_rules
WHERE tick < %(cutoff)s AND valid_from < %(to_at)s
ORDER BY community, valid_from, tick, seq, "row"
""",
        parameters=("cutoff", "to_at"),
    ),
    "contracts": Question(
        name="settlement_contracts",
        sql=f"""
SELECT tick, seq, "row", contract, operator, seller, buyer, seller_connection, buyer_connection, first_start_at,
    interval_min, quantity_wh, currency, price_nano_per_kwh, seller_price_nano_per_kwh, points_per_kwh, delivery_mode,
    zone, buyer_zone, version, state
FROM contracts
WHERE tick < %(cutoff)s AND contract IN (
    SELECT v.contract FROM contracts v
    WHERE v.tick < %(cutoff)s AND (v.zone = %(area)s OR v.buyer_zone = %(area)s) AND v.market = ANY(%(markets)s)
        AND v.first_start_at < %(to_at)s AND {_ends_after_from("v.first_start_at", "v.quantity_wh", "v.interval_min")}
)
ORDER BY contract, version, tick, seq, "row"
""",
        parameters=(*_PERIOD, "markets"),
    ),
    "readings": Question(
        name="settlement_readings",
        sql=f"""
SELECT tick, seq, "row", metering_point, meter_kind, direction, start_at, interval_min, energy_wh
FROM readings
WHERE tick < %(cutoff)s AND connection IN {_AREA_CONNECTIONS} AND meter_kind = 'utility'
    AND direction IN ('import_from_grid', 'export_to_grid')
    AND start_at < %(to_at)s AND {_ends_after_from("start_at", "energy_wh")}
ORDER BY metering_point, direction, tick, seq, "row"
""",
        parameters=_PERIOD,
    ),
    "prices": Question(
        name="settlement_prices",
        sql=f"""
SELECT tick, seq, "row", series, currency, start_at, interval_min, price_nano_per_kwh
FROM prices
WHERE tick < %(cutoff)s AND series = %(series)s AND start_at < %(to_at)s
    AND {_ends_after_from("start_at", "price_nano_per_kwh")}
ORDER BY tick, seq, "row"
""",
        parameters=("cutoff", "from_at", "to_at", "series"),
    ),
    "performances": Question(
        name="settlement_performances",
        sql="""
SELECT tick, seq, "row", event, version, operator, currency, incentive_nano_per_kwh, start_at, interval_min,
    connection, party, response_wh, paid_wh
FROM performances
WHERE tick < %(cutoff)s AND zone = %(area)s AND start_at >= %(from_at)s AND start_at < %(to_at)s
    AND measurement IN (SELECT m.measurement FROM measurements m WHERE m.tick < %(cutoff)s)
ORDER BY event, version, connection, tick, seq, "row"
""",
        parameters=_PERIOD,
    ),
}
