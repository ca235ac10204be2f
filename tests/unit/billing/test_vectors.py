"""The numeric vectors of the domain rules: Annex V.3 and section 9."""

import pytest

from schemas.billing.commands import StartBilling
from schemas.billing.events import BillingCompleted, Charge, CreditNoteIssued, InvoiceIssued
from tests.unit.billing.books import CENT, DAY, ISSUER, POLICY, accrue, balances, in_cents, line, open_books
from tests.unit.given import only


def bill(books, from_at=0, to_at=DAY):
    """Starts a billing and lets it finish."""
    return books.when(StartBilling(from_at, to_at), ISSUER) + books.later(books.at)


def test_vat_is_rounded_half_up():
    """V-S8: VAT of 80 765 at 10 %: half-up 8 077 (half-even 8 076); a currency without decimals."""
    books = open_books("KRW", 0, 100_000)
    books.when(accrue(line("alice", Charge.IMBALANCE, -1, -80_765_000_000), currency="KRW"), POLICY)
    (invoice,) = only(bill(books), InvoiceIssued)
    assert (invoice.net_minor, invoice.vat_minor, invoice.total_minor) == (80_765, 8_077, 88_842)


def test_half_a_cent_is_rounded_away_from_zero():
    """V-S8: 2.675 to 2 places is 2.68 (float 2.67), and -2.675 is -2.68."""
    books = open_books(vat_ppm=0)
    books.when(accrue(line("alice", Charge.SHARED_CONSUMPTION, 1, -2_675_000)), POLICY)
    books.when(accrue(line("bob", Charge.SHARED_PRODUCTION, 1, 2_675_000)), POLICY)
    alice, bob = only(bill(books), InvoiceIssued)
    assert (alice.total_minor, bob.total_minor) == (268, -268)
    assert {p.account: p.amount_micro for p in bob.postings} == {
        "receivable:bob": -2_680_000,
        "accrued:bob": 2_675_000,
        "rounding": 5_000,
    }


def test_energy_is_priced_once_not_per_interval():
    """V-S8: 96 intervals of 0.333 kWh at 0.1873: rounded once 5.99 (per interval 5.76)."""
    books = open_books(vat_ppm=0, residual_nano=187_300_000)
    quarter = DAY // 96
    for n in range(96):
        books.when(
            accrue(line("alice", Charge.RESIDUAL, 333), run=n + 1, from_at=n * quarter, to_at=(n + 1) * quarter),
            POLICY,
        )
    (invoice,) = only(bill(books), InvoiceIssued)
    assert [(x.energy_wh, x.amount_minor) for x in invoice.lines] == [(31_968, 599)]


def test_vat_is_computed_on_the_sum_not_per_line():
    """Domain rules §4.9: three lines of 1.03 at 10 %: 0.31, not 0.30 (EN 16931 BR-CO-17)."""
    books = open_books(vat_ppm=100_000)
    lines = (line("alice", Charge.SHARED_CONSUMPTION, 1, -1_030_000, connection=c) for c in "abc")
    books.when(accrue(*lines), POLICY)
    (invoice,) = only(bill(books), InvoiceIssued)
    assert (len(invoice.lines), invoice.net_minor, invoice.vat_minor) == (3, 309, 31)


def test_bill_credit_note_and_reissue():
    """V-S10: 420 kWh estimated × 0.20 + VAT 10 %, then 395 kWh metered; without the payment of 92.40."""
    books = open_books(residual_nano=200_000_000)
    books.when(accrue(line("alice", Charge.RESIDUAL, 420_000)), POLICY)
    (first,) = only(bill(books), InvoiceIssued)
    assert in_cents(first.postings) == {"receivable:alice": 9240, "revenue:energy": -8400, "vat": -840}

    books.when(accrue(line("alice", Charge.RESIDUAL, -25_000), run=2), POLICY)
    note, second, completed = [f for f in bill(books) if type(f).__name__ != "BillingStarted"]
    assert type(note) is CreditNoteIssued
    assert in_cents(note.postings) == {"receivable:alice": -9240, "revenue:energy": 8400, "vat": 840}
    assert (note.invoice, note.run_number, note.total_minor) == (first.invoice, 2, -9240)
    assert in_cents(second.postings) == {"receivable:alice": 8690, "revenue:energy": -7900, "vat": -790}
    assert (second.replaces, second.run_number, second.total_minor) == (first.invoice, 2, 8690)
    assert completed == BillingCompleted(ISSUER, note.billing, 1, 1)

    left = balances(books.facts)
    assert left == {
        "receivable:alice": 8690 * CENT,
        "revenue:energy": -7900 * CENT,
        "vat": -790 * CENT,
    }
    # The vector's balance of -550 cents is this one less the 9 240 that alice paid.
    assert left["receivable:alice"] - 9240 * CENT == -550 * CENT


def test_the_community_invoices_shared_energy():
    """CS3: 120.000 kWh shared at 12.00 ct are 14.40, summed over the days, rounded once."""
    books = open_books(vat_ppm=0)
    for day in range(30):
        shared = line("alice", Charge.SHARED_CONSUMPTION, 4_000, -4_000 * 120)
        books.when(accrue(shared, run=day + 1, from_at=day * DAY, to_at=(day + 1) * DAY), POLICY)
    (invoice,) = only(bill(books, 0, 30 * DAY), InvoiceIssued)
    assert [(x.energy_wh, x.amount_minor) for x in invoice.lines] == [(120_000, 1440)]


@pytest.mark.parametrize(("residual_wh", "cents"), [(180_000, 3600), (300_000, 6000)])
def test_the_supplier_bills_the_residual(residual_wh, cents):
    """CS3: 180.000 kWh at 20.00 ct are 36.00; alone (300.000 kWh) it would be 60.00."""
    books = open_books(vat_ppm=0, residual_nano=200_000_000)
    books.when(accrue(line("alice", Charge.RESIDUAL, residual_wh)), POLICY)
    (invoice,) = only(bill(books), InvoiceIssued)
    assert (invoice.net_minor, invoice.vat_minor, invoice.total_minor) == (cents, 0, cents)
