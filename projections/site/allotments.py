"""Who may use how much of a site's capability, and what became of each wish to take some of it back."""

from collections.abc import Iterable
from typing import Any, Final

from projections.view import Mode, Question, Row, Rows, View, fields_of
from schemas.envelope import Recorded
from schemas.equipment import StoredEnergy
from schemas.site.events import (
    AllotmentLowered,
    AllotmentPurpose,
    AllotmentReductionRequested,
    AllotmentRetained,
    CapabilityAllotted,
)

ALWAYS_FROM: Final = 0
ALWAYS_TO: Final = 4_102_444_800_000_000
"""Borders of an allotment that names none (UTC µs): 1970 and 2100."""

_AMOUNTS = ("connection", "customer", "injection_w", "reduction_w")


def _window(body: Any) -> dict[str, Any]:
    return {
        "valid_from": ALWAYS_FROM if body.valid_from is None else body.valid_from,
        "valid_to": ALWAYS_TO if body.valid_to is None else body.valid_to,
    }


def _stored(stored: StoredEnergy | None) -> dict[str, Any]:
    return {} if stored is None else {"stored_wh": stored.stored_wh}


def _allotted(fact: Recorded[CapabilityAllotted]) -> Iterable[Row]:
    body = fact.body
    named = fields_of(body, *_AMOUNTS, "metering_point", "purpose", "target", "resources")
    yield named | _window(body) | _stored(body.stored)


def _lowered(fact: Recorded[AllotmentLowered]) -> Iterable[Row]:
    body = fact.body
    yield fields_of(body, *_AMOUNTS) | _window(body) | _of_market(body.market)


def _of_market(market: str) -> dict[str, Any]:
    return {"purpose": AllotmentPurpose.MARKET.value, "target": market}


def _allotted_at_once(fact: Recorded[CapabilityAllotted]) -> Iterable[Row]:
    body = fact.body
    named = fields_of(body, *_AMOUNTS, "purpose", "target")
    yield named | _window(body) | _stored(body.stored) | {"status": "allotted"}


def _requested(fact: Recorded[AllotmentReductionRequested]) -> Iterable[Row]:
    body = fact.body
    named = fields_of(body, *_AMOUNTS, "request") | _of_market(body.market)
    yield named | _window(body) | _stored(body.stored) | {"status": "requested"}


def _answered(fact: Recorded[AllotmentLowered]) -> Iterable[Row]:
    body = fact.body
    named = fields_of(body, *_AMOUNTS, "request") | _of_market(body.market)
    yield named | _window(body) | {"status": "lowered"}


def _retained(fact: Recorded[AllotmentRetained]) -> Iterable[Row]:
    body = fact.body
    named = fields_of(body, "connection", "customer", "request", "reason", "limit", "found", "delivery_start_at")
    yield named | _of_market(body.market) | {"status": "retained"}


CAPABILITY_ALLOTMENTS = View(
    name="capability_allotments",
    mode=Mode.CURRENT,
    columns={
        "connection": "text",
        "customer": "text",
        "metering_point": "text",
        "purpose": "text",
        "target": "text",
        "injection_w": "bigint",
        "reduction_w": "bigint",
        "resources": "text[]",
        "valid_from": "bigint",
        "valid_to": "bigint",
        "stored_wh": "bigint",
    },
    # The newest statement; what holds in other windows stands in `allotment_changes`.
    key=("connection", "purpose", "target"),
    on={CapabilityAllotted: _allotted, AllotmentLowered: _lowered},
)

_CHANGES: dict[type, Rows] = {
    CapabilityAllotted: _allotted_at_once,
    AllotmentReductionRequested: _requested,
    AllotmentLowered: _answered,
    AllotmentRetained: _retained,
}

ALLOTMENT_CHANGES = View(
    name="allotment_changes",
    mode=Mode.HISTORY,
    columns={
        "connection": "text",
        "customer": "text",
        "purpose": "text",
        "target": "text",
        "request": "text",
        "status": "text",
        "injection_w": "bigint",
        "reduction_w": "bigint",
        "stored_wh": "bigint",
        "valid_from": "bigint",
        "valid_to": "bigint",
        "reason": "text",
        "limit": "bigint",
        "found": "bigint",
        "delivery_start_at": "bigint",
    },
    on=_CHANGES,
    indexes=("connection",),
)

VIEWS = (CAPABILITY_ALLOTMENTS, ALLOTMENT_CHANGES)

QUESTIONS = (
    Question(
        "capability_allotments",
        "SELECT connection, customer, purpose, target, injection_w, reduction_w, resources, valid_from, valid_to,"
        " stored_wh FROM capability_allotments ORDER BY connection, purpose, target",
    ),
    Question(
        "allotment_changes",
        "SELECT connection, customer, purpose, target, request, status, injection_w, reduction_w, stored_wh,"
        ' valid_from, valid_to, reason, "limit", found, delivery_start_at, at'
        " FROM allotment_changes ORDER BY partition, seq",
    ),
)
