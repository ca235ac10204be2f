"""An issuer's documents: billings, invoices and credit notes, and the lines of invoices."""

from collections.abc import Iterable

from projections.view import Mode, Question, Row, View, copied, fields_of
from schemas.billing.events import BillingCompleted, BillingStarted, CreditNoteIssued, InvoiceIssued
from schemas.envelope import Recorded


def _invoice(fact: Recorded[InvoiceIssued]) -> Iterable[Row]:
    own = fields_of(fact.body, "invoice", "replaces", "vat_base_minor", "vat_ppm")
    yield {**_document(fact.body), **own, "kind": "invoice"}


def _credit_note(fact: Recorded[CreditNoteIssued]) -> Iterable[Row]:
    note = fact.body
    yield {**_document(note), "invoice": note.credit_note, "reverses": note.invoice, "kind": "credit_note"}


def _document(body: InvoiceIssued | CreditNoteIssued) -> Row:
    return {
        **fields_of(body, "number", "issuer", "party", "billing", "from_at", "to_at", "currency", "minor_digits"),
        **fields_of(body, "run", "run_number", "net_minor", "vat_minor", "total_minor"),
    }


def _lines(fact: Recorded[InvoiceIssued]) -> Iterable[Row]:
    of_invoice = fields_of(fact.body, "invoice", "issuer", "party", "currency", "minor_digits")
    for line in fact.body.lines:
        yield {
            **of_invoice,
            **fields_of(line, "number", "charge", "connection", "energy_wh"),
            **fields_of(line, "tariff_version", "price_nano_per_kwh", "amount_minor"),
        }


BILLINGS = View(
    name="billings",
    mode=Mode.CURRENT,
    columns={
        "billing": "text",
        "issuer": "text",
        "from_at": "bigint",
        "to_at": "bigint",
        "status": "text",
        "parties": "bigint",
        "invoices": "bigint",
        "credit_notes": "bigint",
    },
    key=("billing",),
    on={
        BillingStarted: copied("billing", "issuer", "from_at", "to_at", "parties", status="running"),
        BillingCompleted: copied("billing", "issuer", "invoices", "credit_notes", status="completed"),
    },
)

INVOICES = View(
    name="invoices",
    mode=Mode.HISTORY,
    columns={
        "invoice": "text",  # the document's id, of a credit note too
        "kind": "text",  # invoice, credit_note
        "number": "bigint",
        "issuer": "text",
        "party": "text",
        "billing": "text",
        "from_at": "bigint",
        "to_at": "bigint",
        "currency": "text",
        "minor_digits": "int",
        "run": "text",
        "run_number": "bigint",
        "replaces": "text",
        "reverses": "text",
        "net_minor": "bigint",
        "vat_base_minor": "bigint",
        "vat_ppm": "bigint",
        "vat_minor": "bigint",
        "total_minor": "bigint",
    },
    on={InvoiceIssued: _invoice, CreditNoteIssued: _credit_note},
    indexes=("invoice", "issuer, party", "reverses"),
)

INVOICE_LINES = View(
    name="invoice_lines",
    mode=Mode.HISTORY,
    columns={
        "invoice": "text",
        "issuer": "text",
        "party": "text",
        "number": "bigint",
        "charge": "text",
        "connection": "text",
        "energy_wh": "bigint",
        "tariff_version": "bigint",
        "price_nano_per_kwh": "bigint",
        "currency": "text",
        "minor_digits": "int",
        "amount_minor": "bigint",
    },
    on={InvoiceIssued: _lines},
    indexes=("invoice",),
)

DOCUMENT_VIEWS = (BILLINGS, INVOICES, INVOICE_LINES)

DOCUMENT_QUESTIONS = (
    Question(
        name="billings",
        sql="""
            SELECT issuer, from_at, to_at, status, parties, invoices, credit_notes, billing
            FROM billings
            ORDER BY issuer, from_at, seq
        """,
    ),
    Question(
        name="invoices",
        sql="""
            SELECT issuer, number, kind, party, invoice, net_minor, vat_minor, total_minor, currency,
                   run_number, replaces, reverses, partition, seq
            FROM invoices
            ORDER BY issuer, number
        """,
    ),
    # What holds now: an invoice that no credit note reversed. The demo's bills are a party's rows.
    Question(
        name="bills_of_party",
        sql="""
            SELECT i.invoice, i.number, i.issuer, i.party, i.from_at, i.to_at, i.currency, i.minor_digits,
                   i.net_minor, i.vat_base_minor, i.vat_ppm, i.vat_minor, i.total_minor,
                   i.run, i.run_number, i.replaces, i.partition, i.seq, i.tick
            FROM invoices i
            WHERE i.party = %(party)s AND i.kind = 'invoice'
              AND NOT EXISTS (SELECT 1 FROM invoices c WHERE c.reverses = i.invoice)
            ORDER BY i.issuer, i.number
        """,
        parameters=("party",),
    ),
    Question(
        name="bill_lines",
        sql="""
            SELECT number, charge, connection, energy_wh, tariff_version, price_nano_per_kwh,
                   amount_minor, currency, minor_digits
            FROM invoice_lines
            WHERE invoice = %(invoice)s
            ORDER BY number
        """,
        parameters=("invoice",),
    ),
)
