"""Slates of the enquiries: what is asked, what was offered and countered, what a lapse or a no costs."""

from collections.abc import Iterable

from projections.view import Mode, Question, Row, View, copied, fields_of
from schemas.envelope import Recorded
from schemas.market.enquiry_events import (
    CounterOfferMade,
    EnquiryClosed,
    EnquiryOpened,
    OfferAccepted,
    OfferMade,
    OfferRevised,
    OffersCombined,
    OfferWithdrawn,
)
from schemas.market.negotiation_events import LapseFeeCharged


def _combined(fact: Recorded[OffersCombined]) -> Iterable[Row]:
    yield {**_table(fact.body), "state": "combined"}


def _countered(fact: Recorded[CounterOfferMade]) -> Iterable[Row]:
    yield {**_table(fact.body), "state": "countered", "countered_by": fact.body.by.value}


def _table(told: OffersCombined | CounterOfferMade) -> dict[str, object]:
    return {
        **fields_of(told, "enquiry", "round"),
        "actual_start_at": told.first_start_at,
        "actual_wh": list(told.quantity_wh),
        "actual_nano_per_kwh": told.price_nano_per_kwh,
        "lapses_at": told.lapses_at,
    }


def _closed(fact: Recorded[EnquiryClosed]) -> Iterable[Row]:
    yield {"enquiry": fact.body.enquiry, "state": fact.body.ending.value}


def _offered(fact: Recorded[OfferMade]) -> Iterable[Row]:
    yield {**fields_of(fact.body, *_OFFER_COLUMNS), "state": "standing"}


def _freed(fact: Recorded[EnquiryClosed]) -> Iterable[Row]:
    for offer in fact.body.offers:
        yield {"offer": offer, "state": "free"}


def _accepted(fact: Recorded[OfferAccepted]) -> Iterable[Row]:
    taken = fact.body
    yield {**fields_of(taken, "offer", "contract"), "taken_wh": list(taken.quantity_wh), "state": "accepted"}


_OPENED_COLUMNS = {
    "market": "text",
    "enquiry": "text",
    "enquirer": "text",
    "connection": "text",
    "zone": "text",
    "first_start_at": "bigint",
    "interval_min": "bigint",
    "quantity_wh": "bigint[]",
    "currency": "text",
    "limit_price_nano_per_kwh": "bigint",
    "closes_at": "bigint",
    "addressed": "text[]",
    "accepts_at_once": "boolean",
}

ENQUIRIES = View(
    name="enquiries",
    mode=Mode.CURRENT,
    columns={
        **_OPENED_COLUMNS,
        "state": "text",
        "round": "bigint",
        "actual_start_at": "bigint",
        "actual_wh": "bigint[]",
        "actual_nano_per_kwh": "bigint",
        "countered_by": "text",
        "lapses_at": "bigint",
    },
    key=("enquiry",),
    indexes=("market, first_start_at", "enquirer"),
    on={
        EnquiryOpened: copied(*_OPENED_COLUMNS, state="open"),
        OffersCombined: _combined,
        CounterOfferMade: _countered,
        EnquiryClosed: _closed,
    },
)
"""`actual_…` is what was on the table last, `countered_by` who made the last counter-offer."""

_OFFER_COLUMNS = {
    "market": "text",
    "enquiry": "text",
    "offer": "text",
    "sequence": "bigint",
    "seller": "text",
    "connection": "text",
    "quantity_wh": "bigint[]",
    "price_nano_per_kwh": "bigint",
}

ENQUIRY_OFFERS = View(
    name="enquiry_offers",
    mode=Mode.CURRENT,
    columns={**_OFFER_COLUMNS, "state": "text", "taken_wh": "bigint[]", "contract": "text"},
    key=("offer",),
    indexes=("enquiry", "seller"),
    on={
        OfferMade: _offered,
        OfferWithdrawn: copied("offer", state="withdrawn"),
        OfferRevised: copied("offer", "price_nano_per_kwh"),
        OfferAccepted: _accepted,
        EnquiryClosed: _freed,
    },
)

_FEE_COLUMNS = {
    "market": "text",
    "subject": "text",
    "debtor": "text",
    "creditor": "text",
    "currency": "text",
    "amount_micro": "bigint",
}

LAPSE_FEES = View(
    name="lapse_fees",
    mode=Mode.HISTORY,
    columns=_FEE_COLUMNS,
    indexes=("debtor", "creditor"),
    on={LapseFeeCharged: copied(*_FEE_COLUMNS)},
)

ENQUIRY_VIEWS = (ENQUIRIES, ENQUIRY_OFFERS, LAPSE_FEES)

_UTC = "to_char(to_timestamp({0} / 1000000) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')"

ENQUIRY_QUESTIONS: tuple[Question, ...] = (
    Question(
        "enquiries",
        f"""
SELECT market, {_UTC.format("first_start_at")} AS first_utc, cardinality(quantity_wh) AS intervals, enquirer,
    (SELECT sum(wh)::bigint FROM unnest(quantity_wh) AS wh) AS whole_wh, limit_price_nano_per_kwh, currency,
    {_UTC.format("closes_at")} AS closes_utc, state, round,
    (SELECT count(*) FROM enquiry_offers o WHERE o.enquiry = e.enquiry AND o.state <> 'withdrawn') AS offers, enquiry
FROM enquiries e
WHERE cardinality(addressed) = 0
ORDER BY market, first_start_at, enquiry
""",
    ),
    Question(
        "my_negotiations",
        f"""
SELECT e.market, {_UTC.format("e.first_start_at")} AS first_utc, e.enquirer, o.seller, e.state, e.round,
    (SELECT sum(wh)::bigint FROM unnest(e.quantity_wh) AS wh) AS asked_wh, e.limit_price_nano_per_kwh,
    (SELECT sum(wh)::bigint FROM unnest(e.actual_wh) AS wh) AS actual_wh,
    cardinality(e.actual_wh) AS actual_intervals, e.actual_nano_per_kwh, e.countered_by,
    {_UTC.format("coalesce(e.lapses_at, e.closes_at)")} AS answer_until_utc,
    (SELECT sum(wh)::bigint FROM unnest(o.quantity_wh) AS wh) AS offered_wh, o.price_nano_per_kwh,
    o.state AS offer_state, (SELECT sum(wh)::bigint FROM unnest(o.taken_wh) AS wh) AS taken_wh, o.contract,
    e.enquiry, o.offer
FROM enquiries e
LEFT JOIN enquiry_offers o ON o.enquiry = e.enquiry
WHERE e.enquirer = %(party)s OR o.seller = %(party)s OR (o.offer IS NULL AND %(party)s = ANY (e.addressed))
ORDER BY e.market, e.first_start_at, e.enquiry, o.sequence
""",
        ("party",),
    ),
    Question(
        "lapse_fees",
        f"""
SELECT market, {_UTC.format("at")} AS charged_utc, debtor, creditor, amount_micro, currency, subject
FROM lapse_fees
ORDER BY market, partition, seq, "row"
""",
    ),
)
"""What is advertised to all, a party's own negotiations with every offer that it may know, and what a no cost."""
