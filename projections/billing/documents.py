"""An issuer's documents: billings, invoices and credit notes, and the lines of invoices."""

from collections.abc import Iterable

from projections.view import Mode, Question, Row, View
from schemas.billing.events import BillingCompleted, BillingStarted, CreditNoteIssued, InvoiceIssued
from schemas.envelope import Recorded


def _billing_started(fact: Recorded[BillingStarted]) -> Iterable[Row]:
    body = fact.body
    yield {
        "billing": body.billing,
        "issuer": body.issuer,
        "from_at": body.from_at,
        "to_at": body.to_at,
        "status": "running",
        "parties": body.parties,
    }


def _billing_completed(fact: Recorded[BillingCompleted]) -> Iterable[Row]:
    body = fact.body
    yield {
        "billing": body.billing,
        "issuer": body.issuer,
        "status": "completed",
        "invoices": body.invoices,
        "credit_notes": body.credit_notes,
    }


def _invoice(fact: Recorded[InvoiceIssued]) -> Iterable[Row]:
    body = fact.body
    yield {
        "invoice": body.invoice,
        "kind": "invoice",
        "number": body.number,
        "issuer": body.issuer,
        "party": body.party,
        "billing": body.billing,
        "from_at": body.from_at,
        "to_at": body.to_at,
        "currency": body.currency,
        "minor_digits": body.minor_digits,
        "run": body.run,
        "run_number": body.run_number,
        "replaces": body.replaces,
        "net_minor": body.net_minor,
        "vat_base_minor": body.vat_base_minor,
        "vat_ppm": body.vat_ppm,
        "vat_minor": body.vat_minor,
        "total_minor": body.total_minor,
    }


def _credit_note(fact: Recorded[CreditNoteIssued]) -> Iterable[Row]:
    body = fact.body
    yield {
        "invoice": body.credit_note,
        "kind": "credit_note",
        "number": body.number,
        "issuer": body.issuer,
        "party": body.party,
        "billing": body.billing,
        "from_at": body.from_at,
        "to_at": body.to_at,
        "currency": body.currency,
        "minor_digits": body.minor_digits,
        "run": body.run,
        "run_number": body.run_number,
        "reverses": body.invoice,
        "net_minor": body.net_minor,
        "vat_minor": body.vat_minor,
        "total_minor": body.total_minor,
    }


def _lines(fact: Recorded[InvoiceIssued]) -> Iterable[Row]:
    body = fact.body
    for line in body.lines:
        yield {
            "invoice": body.invoice,
            "issuer": body.issuer,
            "party": body.party,
            "number": line.number,
            "charge": line.charge.value,
            "connection": line.connection,
            "energy_wh": line.energy_wh,
            "tariff_version": line.tariff_version,
            "price_nano_per_kwh": line.price_nano_per_kwh,
            "currency": body.currency,
            "minor_digits": body.minor_digits,
            "amount_minor": line.amount_minor,
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
    on={BillingStarted: _billing_started, BillingCompleted: _billing_completed},
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
