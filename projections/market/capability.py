"""Slates of what connections may sell in a market, and how that changed."""

from collections.abc import Iterable
from typing import Any

from projections.view import Mode, Question, Row, Rows, View, copied, fields_of
from schemas.envelope import Recorded
from schemas.market.capability_events import CapabilityLowered, CapabilityRetained
from schemas.market.events import CapabilityRecorded

_NEWEST = {
    "market": "text",
    "connection": "text",
    "party": "text",
    "injection_w": "bigint",
    "resources": "text[]",
}

CAPABILITIES = View(
    name="capabilities",
    mode=Mode.CURRENT,
    columns=_NEWEST,
    key=("market", "connection"),
    on={CapabilityRecorded: copied(*_NEWEST), CapabilityLowered: copied(*_NEWEST)},
)
"""The newest allotment of each connection, whichever deliveries it is about."""


def _moved(status: str) -> Rows:
    def rows(fact: Recorded[Any]) -> Iterable[Row]:
        body = fact.body
        row = fields_of(body, "market", "connection", "party", "injection_w", "valid_from", "valid_to")
        if body.stored is not None:
            row |= fields_of(body.stored, "stored_at", "stored_wh")
        yield row | {"status": status}

    return rows


def _retained(fact: Recorded[CapabilityRetained]) -> Iterable[Row]:
    kept = fact.body
    yield {
        **fields_of(kept, "market", "connection", "party", "reason", "delivery_start_at"),
        "status": "retained",
        "limit_value": kept.limit,
        "found_value": kept.found,
    }


CAPABILITY_CHANGES = View(
    name="capability_changes",
    mode=Mode.HISTORY,
    columns={
        "market": "text",
        "connection": "text",
        "party": "text",
        "status": "text",
        "injection_w": "bigint",
        "valid_from": "bigint",
        "valid_to": "bigint",
        "stored_at": "bigint",
        "stored_wh": "bigint",
        "reason": "text",
        "limit_value": "bigint",
        "found_value": "bigint",
        "delivery_start_at": "bigint",
    },
    indexes=("connection",),
    on={
        CapabilityRecorded: _moved("recorded"),
        CapabilityLowered: _moved("lowered"),
        CapabilityRetained: _retained,
    },
)

CAPABILITY_VIEWS = (CAPABILITIES, CAPABILITY_CHANGES)

CAPABILITY_QUESTIONS = (
    Question(
        "capability_changes",
        "SELECT market, connection, party, status, injection_w, valid_from, valid_to, stored_at, stored_wh, reason,"
        " limit_value, found_value, delivery_start_at, at FROM capability_changes ORDER BY market, partition, seq",
    ),
)
