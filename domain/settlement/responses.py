"""Demand response in a run: what the programme pays for measured reductions (domain rules §3, §4.3)."""

from collections.abc import Mapping

from domain.calculation import Inputs, Row
from domain.settlement.known import InputMissing, Period, grouped
from domain.settlement.linebook import Account, LineBook
from domain.settlement.sites import Site
from schemas.settlement.events import LineKind, RunStarted


def add_responses(run: RunStarted, period: Period, found: Mapping[str, Site], inputs: Inputs, book: LineBook) -> None:
    """One line per event and connection, from the newest measurement of the event that was complete at the cut-off.

    An event belongs to the run of the period in which it starts.

    Raises:
        InputMissing: an event in another currency or on another grid, or a site that is not in the area.
    """
    for event, rows in grouped(inputs["performances"], "event").items():
        start = period.index_of(rows[0]["start_at"])
        if start is None or any(row["interval_min"] != run.interval_min for row in rows):
            raise InputMissing("response_interval", event)
        if not 0 <= start < period.count:
            continue
        newest = max(row["version"] for row in rows)
        measured = {row["connection"]: row for row in rows if row["version"] == newest}
        for connection, row in sorted(measured.items()):
            if row["currency"] != run.currency:
                raise InputMissing("response_currency", event)
            if connection not in found:
                raise InputMissing("connection", connection, row["start_at"])
            book.response(_account(event, row), start, list(row["response_wh"]), row["paid_wh"])


def _account(event: str, row: Row) -> Account:
    return Account(
        LineKind.RESPONSE,
        row["connection"],
        row["party"],
        row["operator"],
        event,
        row["incentive_nano_per_kwh"],
    )
