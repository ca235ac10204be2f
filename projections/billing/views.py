"""An issuer's books: postings, accruals, balances; its tariffs and credit allotments."""

from collections.abc import Iterable, Sequence

from projections.billing.documents import DOCUMENT_QUESTIONS, DOCUMENT_VIEWS
from projections.view import Mode, Question, Row, SqlView, View, copied, fields_of
from schemas.billing.events import (
    CreditAllotted,
    CreditNoteIssued,
    InvoiceIssued,
    LedgerOpened,
    LinesAccrued,
    Posting,
    TariffAdopted,
)
from schemas.envelope import Recorded


def _entries(issuer: str, kind: str, document: str, postings: Sequence[Posting]) -> Iterable[Row]:
    for posting in postings:
        entry = fields_of(posting, "account", "currency", "amount_micro")
        yield {"issuer": issuer, "kind": kind, "document": document, **entry}


def _accrual_entries(fact: Recorded[LinesAccrued]) -> Iterable[Row]:
    return _entries(fact.body.issuer, "accrual", fact.body.run, fact.body.postings)


def _invoice_entries(fact: Recorded[InvoiceIssued]) -> Iterable[Row]:
    return _entries(fact.body.issuer, "invoice", fact.body.invoice, fact.body.postings)


def _credit_note_entries(fact: Recorded[CreditNoteIssued]) -> Iterable[Row]:
    return _entries(fact.body.issuer, "credit_note", fact.body.credit_note, fact.body.postings)


def _accrued(fact: Recorded[LinesAccrued]) -> Iterable[Row]:
    of_slice = fields_of(fact.body, "issuer", "area", "run", "run_number", "from_at", "to_at", "currency")
    for line in fact.body.lines:
        yield {
            **of_slice,
            **fields_of(line, "line", "party", "connection", "charge", "reference"),
            **fields_of(line, "energy_wh", "amount_micro", "points_micro"),
        }


LEDGERS = View(
    name="ledgers",
    mode=Mode.CURRENT,
    columns={"issuer": "text", "currency": "text", "minor_digits": "int", "vat_ppm": "bigint"},
    key=("issuer",),
    on={LedgerOpened: copied("issuer", "currency", "minor_digits", "vat_ppm")},
)

LEDGER = View(
    name="ledger",
    mode=Mode.HISTORY,
    columns={
        "issuer": "text",
        "kind": "text",  # accrual, invoice, credit_note
        "document": "text",  # the settlement run of an accrual, else the document
        "account": "text",
        "currency": "text",
        "amount_micro": "bigint",
    },
    on={
        LinesAccrued: _accrual_entries,
        InvoiceIssued: _invoice_entries,
        CreditNoteIssued: _credit_note_entries,
    },
    indexes=("issuer, account",),
)

ACCRUALS = View(
    name="accruals",
    mode=Mode.HISTORY,
    columns={
        "issuer": "text",
        "area": "text",
        "run": "text",
        "run_number": "bigint",
        "from_at": "bigint",
        "to_at": "bigint",
        "currency": "text",
        "line": "text",
        "party": "text",
        "connection": "text",
        "charge": "text",
        "reference": "text",
        "energy_wh": "bigint",
        "amount_micro": "bigint",
        "points_micro": "bigint",
    },
    on={LinesAccrued: _accrued},
    indexes=("issuer, party, connection, charge",),
)

_TARIFFS_COLUMNS = {
    "issuer": "text",
    "version": "bigint",
    "currency": "text",
    "residual_price_nano_per_kwh": "bigint",
    "surplus_price_nano_per_kwh": "bigint",
    "valid_from": "bigint",
}

TARIFFS = View(
    name="tariffs",
    mode=Mode.HISTORY,
    columns=_TARIFFS_COLUMNS,
    on={TariffAdopted: copied(*_TARIFFS_COLUMNS)},
)

CREDIT_ALLOTMENTS = View(
    name="credit_allotments",
    mode=Mode.CURRENT,
    columns={
        "issuer": "text",
        "party": "text",
        "market": "text",
        "currency": "text",
        "limit_micro": "bigint",
    },
    key=("issuer", "party", "market"),
    on={CreditAllotted: copied("issuer", "party", "market", "currency", "limit_micro")},
)

VIEWS = (LEDGERS, LEDGER, ACCRUALS, TARIFFS, CREDIT_ALLOTMENTS, *DOCUMENT_VIEWS)

BALANCES = SqlView(
    name="balances",
    sql="""
        SELECT issuer, account, currency, sum(amount_micro)::bigint AS balance_micro
        FROM ledger
        GROUP BY issuer, account, currency
    """,
)

TRIAL_BALANCE = SqlView(
    name="trial_balance",
    sql="""
        SELECT currency, sum(amount_micro)::bigint AS sum_micro, count(*) AS postings
        FROM ledger
        GROUP BY currency
    """,
)

SQL_VIEWS = (BALANCES, TRIAL_BALANCE)

QUESTIONS = (
    Question(
        name="ledger",
        sql="""
            SELECT issuer, account, currency, amount_micro, kind, document, partition, seq
            FROM ledger
            ORDER BY partition, seq, "row"
        """,
    ),
    Question(
        name="balances",
        sql="""
            SELECT issuer, account, currency, balance_micro
            FROM balances
            WHERE balance_micro <> 0
            ORDER BY issuer, currency, account
        """,
    ),
    Question(
        name="trial_balance",
        sql="SELECT currency, sum_micro, postings FROM trial_balance ORDER BY currency",
    ),
    Question(
        name="accruals",
        sql="""
            SELECT issuer, party, charge, run_number, count(*) AS lines, sum(energy_wh)::bigint AS energy_wh,
                   sum(amount_micro)::bigint AS amount_micro, currency
            FROM accruals
            GROUP BY issuer, party, charge, run_number, currency
            ORDER BY issuer, party, charge, run_number
        """,
    ),
    Question(
        name="tariffs",
        sql="""
            SELECT issuer, version, residual_price_nano_per_kwh, surplus_price_nano_per_kwh, currency, valid_from
            FROM tariffs
            ORDER BY issuer, version
        """,
    ),
    Question(
        name="credit_allotments",
        sql="""
            SELECT issuer, market, party, limit_micro, currency
            FROM credit_allotments
            ORDER BY issuer, market, party
        """,
    ),
    *DOCUMENT_QUESTIONS,
)
