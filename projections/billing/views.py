"""An issuer's books: postings, accruals, balances; its tariffs and credit allotments."""

from collections.abc import Iterable, Sequence

from projections.billing.documents import DOCUMENT_QUESTIONS, DOCUMENT_VIEWS
from projections.view import Mode, Question, Row, SqlView, View
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


def _opened(fact: Recorded[LedgerOpened]) -> Iterable[Row]:
    body = fact.body
    yield {
        "issuer": body.issuer,
        "currency": body.currency,
        "minor_digits": body.minor_digits,
        "vat_ppm": body.vat_ppm,
    }


def _entries(issuer: str, kind: str, document: str, postings: Sequence[Posting]) -> Iterable[Row]:
    for posting in postings:
        yield {
            "issuer": issuer,
            "kind": kind,
            "document": document,
            "account": posting.account,
            "currency": posting.currency,
            "amount_micro": posting.amount_micro,
        }


def _accrual_entries(fact: Recorded[LinesAccrued]) -> Iterable[Row]:
    return _entries(fact.body.issuer, "accrual", fact.body.run, fact.body.postings)


def _invoice_entries(fact: Recorded[InvoiceIssued]) -> Iterable[Row]:
    return _entries(fact.body.issuer, "invoice", fact.body.invoice, fact.body.postings)


def _credit_note_entries(fact: Recorded[CreditNoteIssued]) -> Iterable[Row]:
    return _entries(fact.body.issuer, "credit_note", fact.body.credit_note, fact.body.postings)


def _accrued(fact: Recorded[LinesAccrued]) -> Iterable[Row]:
    body = fact.body
    for line in body.lines:
        yield {
            "issuer": body.issuer,
            "area": body.area,
            "run": body.run,
            "run_number": body.run_number,
            "from_at": body.from_at,
            "to_at": body.to_at,
            "currency": body.currency,
            "line": line.line,
            "party": line.party,
            "connection": line.connection,
            "charge": line.charge.value,
            "reference": line.reference,
            "energy_wh": line.energy_wh,
            "amount_micro": line.amount_micro,
            "points_micro": line.points_micro,
        }


def _tariff(fact: Recorded[TariffAdopted]) -> Iterable[Row]:
    body = fact.body
    yield {
        "issuer": body.issuer,
        "version": body.version,
        "currency": body.currency,
        "residual_price_nano_per_kwh": body.residual_price_nano_per_kwh,
        "surplus_price_nano_per_kwh": body.surplus_price_nano_per_kwh,
        "valid_from": body.valid_from,
    }


def _credit(fact: Recorded[CreditAllotted]) -> Iterable[Row]:
    body = fact.body
    yield {
        "issuer": body.issuer,
        "party": body.party,
        "market": body.market,
        "currency": body.currency,
        "limit_micro": body.limit_micro,
    }


LEDGERS = View(
    name="ledgers",
    mode=Mode.CURRENT,
    columns={"issuer": "text", "currency": "text", "minor_digits": "int", "vat_ppm": "bigint"},
    key=("issuer",),
    on={LedgerOpened: _opened},
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

TARIFFS = View(
    name="tariffs",
    mode=Mode.HISTORY,
    columns={
        "issuer": "text",
        "version": "bigint",
        "currency": "text",
        "residual_price_nano_per_kwh": "bigint",
        "surplus_price_nano_per_kwh": "bigint",
        "valid_from": "bigint",
    },
    on={TariffAdopted: _tariff},
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
    on={CreditAllotted: _credit},
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
