"""Slates of the standing mandates: what they allow, their forecasts, and what could not be ordered."""

from collections.abc import Iterable

from projections.view import Mode, Question, Row, View, copied, fields_of
from schemas.envelope import Recorded
from schemas.market.mandate_events import (
    ForecastRecorded,
    MandateApplied,
    MandateGranted,
    MandatePaused,
    MandateResumed,
    MandateRevoked,
)


def _granted(fact: Recorded[MandateGranted]) -> Iterable[Row]:
    granted = fact.body
    terms = fields_of(granted.terms, *_TERMS_COLUMNS)
    yield {**fields_of(granted, "market", "mandate", "party", "connection"), **terms, "state": "granted"}


def _applied(fact: Recorded[MandateApplied]) -> Iterable[Row]:
    told = fact.body
    for start, wh, reason in zip(told.skipped_at, told.skipped_wh, told.reasons, strict=True):
        row = {**fields_of(told, "market", "mandate", "forecast"), "delivery_start_at": start}
        yield {**row, "skipped_wh": wh, "reason": reason.value}


_TERMS_COLUMNS = {
    "buy_up_to_nano_per_kwh": "bigint",
    "sell_from_nano_per_kwh": "bigint",
    "budget_micro": "bigint",
    "valid_from": "bigint",
    "valid_until": "bigint",
    "day_types": "text[]",
    "utc_offset_min": "bigint",
    "agent": "text",
}

MANDATES = View(
    name="mandates",
    mode=Mode.CURRENT,
    columns={
        "market": "text",
        "mandate": "text",
        "party": "text",
        "connection": "text",
        **_TERMS_COLUMNS,
        "state": "text",
        "forecast": "text",
        "version": "bigint",
    },
    key=("mandate",),
    indexes=("party",),
    on={
        MandateGranted: _granted,
        MandatePaused: copied("mandate", state="paused"),
        MandateResumed: copied("mandate", state="granted"),
        MandateRevoked: copied("mandate", state="revoked"),
        ForecastRecorded: copied("mandate", "forecast", "version"),
    },
)

MANDATE_SKIPS = View(
    name="mandate_skips",
    mode=Mode.HISTORY,
    columns={
        "market": "text",
        "mandate": "text",
        "forecast": "text",
        "delivery_start_at": "bigint",
        "skipped_wh": "bigint",
        "reason": "text",
    },
    indexes=("mandate",),
    on={MandateApplied: _applied},
)

MANDATE_VIEWS = (MANDATES, MANDATE_SKIPS)

_UTC = "to_char(to_timestamp({0} / 1000000) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')"

MANDATE_QUESTIONS: tuple[Question, ...] = (
    Question(
        "mandates",
        """
SELECT m.market, m.party, m.connection, m.buy_up_to_nano_per_kwh, m.sell_from_nano_per_kwh, m.budget_micro, m.agent,
    m.state, m.version AS forecast_version,
    (SELECT count(*) FROM orders o WHERE o.mandate = m.mandate AND o.party = m.party AND o.state = 'open') AS open,
    (SELECT count(*) FROM mandate_skips s WHERE s.forecast = m.forecast) AS skipped, m.mandate
FROM mandates m
ORDER BY m.market, m.party, m.connection, m.mandate
""",
    ),
    Question(
        "mandate_skips",
        f"""
SELECT s.market, m.party, m.connection, {_UTC.format("s.delivery_start_at")} AS delivery_utc, s.skipped_wh, s.reason,
    s.forecast
FROM mandate_skips s
JOIN mandates m ON m.mandate = s.mandate
ORDER BY s.market, s.partition, s.seq, s."row"
""",
    ),
)
"""What each mandate allows and has open, and what it could not order and why."""
