"""Slates of what a market is and who may do what in it: rules, sessions, gates, participants, allotments, refusals."""

from collections.abc import Iterable
from dataclasses import asdict
from json import dumps
from typing import Any

from projections.market.sentences import refusal_said
from projections.view import Mode, Row, View, copied, fields_of
from schemas.envelope import Recorded
from schemas.market.events import (
    CommandRefused,
    CreditRecorded,
    DeliverySettled,
    GateClosed,
    ParticipantAdmitted,
    RuleSetAdopted,
    SessionOpened,
)


def _rules(fact: Recorded[RuleSetAdopted]) -> Iterable[Row]:
    adopted = fact.body
    parts = {name: _as_text(getattr(adopted.rules, name)) for name in _PARTS}
    plain = fields_of(adopted.rules, *_RULES_COLUMNS)
    yield {**fields_of(adopted, "market", "version", "effective_from"), **plain, **parts}


def _as_text(part: Any) -> str | None:
    return None if part is None else dumps(asdict(part))


def _refused(fact: Recorded[CommandRefused]) -> Iterable[Row]:
    refused = fact.body
    yield {
        "market": fact.key,
        **fields_of(refused, "command", "subject", "party", "reason"),
        "limit_value": refused.limit,
        "found_value": refused.found,
        "said": refusal_said(refused.command, refused.reason, refused.limit, refused.found),
    }


_RULES_COLUMNS = {
    "zone": "text",
    "operator": "text",
    "currency": "text",
    "interval_min": "bigint",
    "opening_lead_min": "bigint",
    "gate_lead_min": "bigint",
    "tick_nano_per_kwh": "bigint",
    "lot_wh": "bigint",
    "max_quantity_wh": "bigint",
    "min_price_nano_per_kwh": "bigint",
    "max_price_nano_per_kwh": "bigint",
    "self_trade": "text",
    "assumed_price_nano_per_kwh": "bigint",
    "points_per_kwh": "bigint",
    "book_delivery_mode": "text",
    "approval_deadline_min": "bigint",
}

_PARTS = (
    "trading",
    "network",
    "contracts",
    "credit",
    "auction",
    "quality",
    "negotiation",
    "surveillance",
    "session_auction",
)
"""Rules that come together, each part as JSON."""

MARKET_RULES = View(
    name="market_rules",
    mode=Mode.HISTORY,
    columns={
        "market": "text",
        "version": "bigint",
        "effective_from": "bigint",
        **_RULES_COLUMNS,
        **dict.fromkeys(_PARTS, "text"),
    },
    indexes=("market",),
    on={RuleSetAdopted: _rules},
)

_SESSIONS_COLUMNS = {
    "market": "text",
    "zone": "text",
    "first_start_at": "bigint",
    "intervals": "bigint",
    "interval_min": "bigint",
    "rules_version": "bigint",
    "session": "text",
}

SESSIONS = View(
    name="sessions",
    mode=Mode.CURRENT,
    columns=_SESSIONS_COLUMNS,
    key=("market", "first_start_at", "interval_min"),
    on={SessionOpened: copied(*_SESSIONS_COLUMNS)},
)

_GATES_COLUMNS = {
    "market": "text",
    "delivery_start_at": "bigint",
    "interval_min": "bigint",
    "resting": "bigint",
    "watched": "boolean",
}

GATES = View(
    name="gates",
    mode=Mode.CURRENT,
    columns=_GATES_COLUMNS,
    key=("market", "delivery_start_at", "interval_min"),
    on={GateClosed: copied(*_GATES_COLUMNS)},
)
"""The gates that are closed, when (`at`), and how many orders rested then."""

PARTICIPANTS = View(
    name="participants",
    mode=Mode.CURRENT,
    columns={"market": "text", "party": "text"},
    key=("market", "party"),
    on={ParticipantAdmitted: copied("market", "party")},
)

CREDITS = View(
    name="credits",
    mode=Mode.CURRENT,
    columns={"market": "text", "party": "text", "currency": "text", "limit_micro": "bigint"},
    key=("market", "party"),
    on={CreditRecorded: copied("market", "party", "currency", "limit_micro")},
)

SETTLED_DELIVERIES = View(
    name="settled_deliveries",
    mode=Mode.HISTORY,
    columns={"market": "text", "from_at": "bigint", "to_at": "bigint", "area": "text"},
    on={DeliverySettled: copied("market", "from_at", "to_at", "area")},
)

MARKET_REFUSALS = View(
    name="market_refusals",
    mode=Mode.HISTORY,
    columns={
        "market": "text",
        "command": "text",
        "subject": "text",
        "party": "text",
        "reason": "text",
        "limit_value": "bigint",
        "found_value": "bigint",
        "said": "text",
    },
    indexes=("party",),
    on={CommandRefused: _refused},
)
"""What was refused, with the rule's number and the one found (`limit` is a word of SQL), and a sentence."""

ACCESS_VIEWS = (
    MARKET_RULES,
    SESSIONS,
    GATES,
    PARTICIPANTS,
    CREDITS,
    SETTLED_DELIVERIES,
    MARKET_REFUSALS,
)
