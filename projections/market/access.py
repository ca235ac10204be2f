"""Slates of what a market is and who may do what in it: rules, sessions, gates, participants, allotments, refusals."""

from collections.abc import Iterable

from projections.view import Mode, Row, View
from schemas.envelope import Recorded
from schemas.market.events import (
    CapabilityRecorded,
    CommandRefused,
    CreditRecorded,
    DeliverySettled,
    GateClosed,
    ParticipantAdmitted,
    RuleSetAdopted,
    SessionOpened,
)


def _rules(fact: Recorded[RuleSetAdopted]) -> Iterable[Row]:
    adopted, rules = fact.body, fact.body.rules
    yield {
        "market": adopted.market,
        "version": adopted.version,
        "effective_from": adopted.effective_from,
        "zone": rules.zone,
        "operator": rules.operator,
        "currency": rules.currency,
        "interval_min": rules.interval_min,
        "opening_lead_min": rules.opening_lead_min,
        "gate_lead_min": rules.gate_lead_min,
        "tick_nano_per_kwh": rules.tick_nano_per_kwh,
        "lot_wh": rules.lot_wh,
        "max_quantity_wh": rules.max_quantity_wh,
        "min_price_nano_per_kwh": rules.min_price_nano_per_kwh,
        "max_price_nano_per_kwh": rules.max_price_nano_per_kwh,
        "self_trade": rules.self_trade.value,
        "assumed_price_nano_per_kwh": rules.assumed_price_nano_per_kwh,
        "points_per_kwh": rules.points_per_kwh,
        "book_delivery_mode": rules.book_delivery_mode.value,
        "approval_deadline_min": rules.approval_deadline_min,
    }


def _session(fact: Recorded[SessionOpened]) -> Iterable[Row]:
    session = fact.body
    yield {
        "market": session.market,
        "zone": session.zone,
        "first_start_at": session.first_start_at,
        "intervals": session.intervals,
        "interval_min": session.interval_min,
        "rules_version": session.rules_version,
    }


def _gate(fact: Recorded[GateClosed]) -> Iterable[Row]:
    gate = fact.body
    yield {
        "market": gate.market,
        "delivery_start_at": gate.delivery_start_at,
        "interval_min": gate.interval_min,
        "resting": gate.resting,
    }


def _participant(fact: Recorded[ParticipantAdmitted]) -> Iterable[Row]:
    yield {"market": fact.body.market, "party": fact.body.party}


def _capability(fact: Recorded[CapabilityRecorded]) -> Iterable[Row]:
    capability = fact.body
    yield {
        "market": capability.market,
        "connection": capability.connection,
        "party": capability.party,
        "injection_w": capability.injection_w,
        "resources": list(capability.resources),
    }


def _credit(fact: Recorded[CreditRecorded]) -> Iterable[Row]:
    credit = fact.body
    yield {
        "market": credit.market,
        "party": credit.party,
        "currency": credit.currency,
        "limit_micro": credit.limit_micro,
    }


def _settled(fact: Recorded[DeliverySettled]) -> Iterable[Row]:
    yield {"market": fact.body.market, "from_at": fact.body.from_at, "to_at": fact.body.to_at}


def _refused(fact: Recorded[CommandRefused]) -> Iterable[Row]:
    refused = fact.body
    yield {
        "market": fact.key,
        "command": refused.command,
        "subject": refused.subject,
        "party": refused.party,
        "reason": refused.reason.value,
        "limit_value": refused.limit,
        "found_value": refused.found,
    }


MARKET_RULES = View(
    name="market_rules",
    mode=Mode.HISTORY,
    columns={
        "market": "text",
        "version": "bigint",
        "effective_from": "bigint",
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
    },
    indexes=("market",),
    on={RuleSetAdopted: _rules},
)

SESSIONS = View(
    name="sessions",
    mode=Mode.CURRENT,
    columns={
        "market": "text",
        "zone": "text",
        "first_start_at": "bigint",
        "intervals": "bigint",
        "interval_min": "bigint",
        "rules_version": "bigint",
    },
    key=("market", "first_start_at"),
    on={SessionOpened: _session},
)

GATES = View(
    name="gates",
    mode=Mode.CURRENT,
    columns={"market": "text", "delivery_start_at": "bigint", "interval_min": "bigint", "resting": "bigint"},
    key=("market", "delivery_start_at"),
    on={GateClosed: _gate},
)
"""The gates that are closed, when (`at`), and how many orders rested then."""

PARTICIPANTS = View(
    name="participants",
    mode=Mode.CURRENT,
    columns={"market": "text", "party": "text"},
    key=("market", "party"),
    on={ParticipantAdmitted: _participant},
)

CAPABILITIES = View(
    name="capabilities",
    mode=Mode.CURRENT,
    columns={
        "market": "text",
        "connection": "text",
        "party": "text",
        "injection_w": "bigint",
        "resources": "text[]",
    },
    key=("market", "connection"),
    on={CapabilityRecorded: _capability},
)

CREDITS = View(
    name="credits",
    mode=Mode.CURRENT,
    columns={"market": "text", "party": "text", "currency": "text", "limit_micro": "bigint"},
    key=("market", "party"),
    on={CreditRecorded: _credit},
)

SETTLED_DELIVERIES = View(
    name="settled_deliveries",
    mode=Mode.HISTORY,
    columns={"market": "text", "from_at": "bigint", "to_at": "bigint"},
    on={DeliverySettled: _settled},
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
    },
    indexes=("party",),
    on={CommandRefused: _refused},
)
"""What was refused, with the rule's number and the one found (`limit` is a word of SQL)."""

ACCESS_VIEWS = (
    MARKET_RULES,
    SESSIONS,
    GATES,
    PARTICIPANTS,
    CAPABILITIES,
    CREDITS,
    SETTLED_DELIVERIES,
    MARKET_REFUSALS,
)
