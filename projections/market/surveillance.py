"""Slates of the surveillance: its alerts, what it knows of capability, and the questions that give its inputs."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from projections.view import Mode, Question, Row, View, copied, fields_of
from schemas.envelope import Recorded
from schemas.market.capability_events import CapabilityLowered
from schemas.market.events import CapabilityRecorded, GateClosed
from schemas.market.surveillance_events import SuspicionRaised
from schemas.values import MINUTE_US

_ALERT = ("market", "delivery_start_at", "interval_min", "kind", "parties", "orders")

SUSPICIONS = View(
    name="suspicions",
    mode=Mode.HISTORY,
    columns={
        "market": "text",
        "delivery_start_at": "bigint",
        "interval_min": "bigint",
        "kind": "text",
        "parties": "text[]",
        "orders": "text[]",
    },
    indexes=("market, delivery_start_at",),
    on={SuspicionRaised: copied(*_ALERT)},
)


def _allotted(fact: Recorded[CapabilityRecorded | CapabilityLowered]) -> Iterable[Row]:
    told = fact.body
    row = fields_of(told, "market", "connection", "party", "valid_from", "valid_to")
    yield row | {"injection_w": told.injection_w if told.resources else 0}


VERIFIED_CAPABILITIES = View(
    name="verified_capabilities",
    mode=Mode.HISTORY,
    columns={
        "market": "text",
        "connection": "text",
        "party": "text",
        "injection_w": "bigint",
        "valid_from": "bigint",
        "valid_to": "bigint",
    },
    indexes=("market",),
    on={CapabilityRecorded: _allotted, CapabilityLowered: _allotted},
)
"""What each connection may sell with verified equipment, as it was told step by step."""

SURVEILLANCE_VIEWS = (SUSPICIONS, VERIFIED_CAPABILITIES)

_UTC = "to_char(to_timestamp({0} / 1000000) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')"

SURVEILLANCE_QUESTIONS = (
    Question(
        "alerts",
        f"""
SELECT market, {_UTC.format("delivery_start_at")} AS delivery_utc, interval_min, kind,
    array_to_string(parties, ', ') AS parties, array_to_string(orders, ', ') AS orders,
    {_UTC.format("at")} AS raised_utc
FROM suspicions
ORDER BY market, partition, seq, "row"
""",
    ),
)
"""For the operator."""

_AS_OF: Final = "market = %(market)s AND tick < %(cutoff)s"

INPUTS: Mapping[str, Question] = {
    "rules": Question(
        "surveillance_rules",
        "SELECT interval_min, surveillance FROM market_rules"
        f" WHERE {_AS_OF} AND effective_from <= %(start_at)s ORDER BY version DESC LIMIT 1",
        ("market", "cutoff", "start_at"),
    ),
    "orders": Question(
        "surveillance_orders",
        'SELECT e."order", e.event, e.party, e.side, e.delivery_start_at, e.interval_min, e.price_nano_per_kwh,'
        " e.quantity_wh, e.rest_wh, e.trade, e.reason, e.at"
        " FROM order_events e"
        f' WHERE e.{_AS_OF} AND e."order" IN ('
        'SELECT a."order" FROM order_events a'
        f" WHERE a.{_AS_OF} AND a.event = 'accepted' AND a.delivery_start_at < %(end_at)s"
        " AND a.delivery_start_at + a.interval_min * 60000000 > %(start_at)s)"
        ' ORDER BY e.partition, e.seq, e."row"',
        ("market", "cutoff", "start_at", "end_at"),
    ),
    "contracts": Question(
        "surveillance_contracts",
        "SELECT contract, version, state, seller_connection, buyer_connection, first_start_at, interval_min,"
        " quantity_wh FROM contracts"
        f" WHERE {_AS_OF} AND first_start_at <= %(start_at)s"
        " AND first_start_at + cardinality(quantity_wh) * interval_min * 60000000 > %(start_at)s"
        " ORDER BY partition, seq",
        ("market", "cutoff", "start_at"),
    ),
    "capabilities": Question(
        "surveillance_capabilities",
        "SELECT connection, party, injection_w, valid_from, valid_to FROM verified_capabilities"
        f" WHERE {_AS_OF} AND coalesce(valid_from, 0) <= %(start_at)s"
        " AND (valid_to IS NULL OR valid_to > %(start_at)s) ORDER BY partition, seq",
        ("market", "cutoff", "start_at"),
    ),
}


def parameters(fact: Recorded[GateClosed]) -> Mapping[str, Any]:
    """What a closed gate says about the rows that are needed."""
    closed = fact.body
    return {
        "market": closed.market,
        "cutoff": fact.meta.tick.n,
        "start_at": closed.delivery_start_at,
        "end_at": closed.delivery_start_at + closed.interval_min * MINUTE_US,
    }
