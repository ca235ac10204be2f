"""What stands on documents, and what they book."""

import pytest

from schemas.billing.commands import AdoptTariff, AllotCredit, StartBilling
from schemas.billing.events import (
    BillingCompleted,
    BillingStarted,
    Charge,
    CreditAllotted,
    CreditNoteIssued,
    InvoiceIssued,
    InvoiceLine,
    LedgerOpened,
    LinesAccrued,
    Posting,
    TariffAdopted,
)
from tests.unit.billing.books import DAY, ISSUER, POLICY, accrue, balances, line, open_books
from tests.unit.given import Scenario, only


def bill(books: Scenario, from_at: int = 0, to_at: int = DAY) -> list:
    """Starts a billing and lets it finish."""
    return books.when(StartBilling(from_at, to_at), ISSUER) + books.later(books.at)


def test_ledger_tariff_and_credit_stand_as_wished():
    books = open_books(residual_nano=200_000_000, surplus_nano=80_000_000)
    assert books.facts == [
        LedgerOpened(ISSUER, "EUR", 2, 100_000),
        TariffAdopted(ISSUER, 1, "EUR", 200_000_000, 80_000_000, 0),
    ]
    assert books.when(AllotCredit("alice", "market", 5_000_000), ISSUER) == [
        CreditAllotted(ISSUER, "alice", "market", "EUR", 5_000_000)
    ]


def test_accruals_post_money_and_points_to_the_party():
    books = open_books()
    bought = line("alice", Charge.DELIVERED_PURCHASE, 1000, -120_000, -1_000_000)
    sold = line("bob", Charge.DELIVERED_SALE, 1000, 120_000, 1_000_000)
    (fact,) = books.when(accrue(bought, sold), POLICY)
    assert fact.postings == (
        Posting("accrued:alice", "EUR", 120_000),
        Posting("accrued:bob", "EUR", -120_000),
        Posting("points:alice", "POINT", 1_000_000),
        Posting("points:bob", "POINT", -1_000_000),
    )


def test_every_charge_has_its_account():
    books = open_books(vat_ppm=0, residual_nano=200_000_000, surplus_nano=80_000_000)
    books.when(
        accrue(
            line("alice", Charge.SHARED_CONSUMPTION, 1000, -120_000),
            line("bob", Charge.SHARED_PRODUCTION, 1000, 100_000),
            line("alice", Charge.DELIVERED_PURCHASE, 1000, -150_000),
            line("bob", Charge.DELIVERED_SALE, 1000, 150_000),
            line("alice", Charge.RESIDUAL, 1000),
            line("bob", Charge.SURPLUS, 1000),
            line("bob", Charge.IMBALANCE, -1000, -90_000),
            line("alice", Charge.RESPONSE, 1000, 300_000),
        ),
        POLICY,
    )
    assert balances(books.facts) == {
        "accrued:alice": 120_000 + 150_000 - 300_000,
        "accrued:bob": -100_000 - 150_000 + 90_000,
        "sharing": -20_000,
        "imbalance": -90_000,
        "response": 300_000,
    }
    bill(books)
    assert balances(books.facts) == {
        "receivable:alice": 120_000 + 150_000 + 200_000 - 300_000,
        "receivable:bob": -100_000 - 150_000 - 80_000 + 90_000,
        "revenue:energy": -200_000,
        "expense:energy": 80_000,
        "sharing": -20_000,
        "imbalance": -90_000,
        "response": 300_000,
    }


def test_one_line_per_charge_and_connection():
    books = open_books(vat_ppm=0)
    books.when(
        accrue(
            line("alice", Charge.DELIVERED_PURCHASE, 1000, -104_000, connection="b", reference="contract-1"),
            line("alice", Charge.DELIVERED_PURCHASE, 500, -52_000, connection="b", reference="contract-2"),
            line("alice", Charge.DELIVERED_PURCHASE, 500, -50_000, connection="a", reference="contract-3"),
            line("alice", Charge.SHARED_CONSUMPTION, 200, -24_000, connection="b"),
        ),
        POLICY,
    )
    (invoice,) = only(bill(books), InvoiceIssued)
    assert invoice.lines == (
        InvoiceLine(1, Charge.SHARED_CONSUMPTION, "b", 200, 0, 0, 2),
        InvoiceLine(2, Charge.DELIVERED_PURCHASE, "a", 500, 0, 0, 5),
        InvoiceLine(3, Charge.DELIVERED_PURCHASE, "b", 1500, 0, 0, 16),
    )


def test_what_minor_units_cannot_say_goes_to_rounding():
    books = open_books(vat_ppm=0)
    books.when(accrue(line("alice", Charge.SHARED_CONSUMPTION, 1, -14_000)), POLICY)
    bill(books)
    assert balances(books.facts) == {"receivable:alice": 10_000, "rounding": 4_000, "sharing": -14_000}


def test_energy_that_an_imbalance_line_prices_is_shown_and_not_billed_again():
    books = open_books(vat_ppm=0, residual_nano=200_000_000)
    books.when(
        accrue(
            line("alice", Charge.RESIDUAL, 700, reference="supplier"),
            line("alice", Charge.RESIDUAL, 300, reference="imbalance"),
            line("alice", Charge.IMBALANCE, -300, -28_500),
        ),
        POLICY,
    )
    (invoice,) = only(bill(books), InvoiceIssued)
    assert invoice.lines == (
        InvoiceLine(1, Charge.RESIDUAL, "connection-alice", 300, 0, 0, 0),
        InvoiceLine(2, Charge.RESIDUAL, "connection-alice", 700, 1, 200_000_000, 14),
        InvoiceLine(3, Charge.IMBALANCE, "connection-alice", -300, 0, 0, 3),
    )


def test_energy_that_an_imbalance_line_prices_needs_no_tariff():
    books = open_books()
    books.when(accrue(line("alice", Charge.SURPLUS, 300, reference="imbalance")), POLICY)
    (invoice,) = only(bill(books), InvoiceIssued)
    assert invoice.total_minor == 0


def test_a_producers_document_is_a_self_billed_credit_without_vat():
    books = open_books(vat_ppm=200_000)
    books.when(accrue(line("bob", Charge.SHARED_PRODUCTION, 10_000, 1_000_000)), POLICY)
    (invoice,) = only(bill(books), InvoiceIssued)
    assert (invoice.net_minor, invoice.vat_base_minor, invoice.vat_minor, invoice.total_minor) == (
        -100,
        0,
        0,
        -100,
    )


def test_vat_is_due_on_the_energy_received_not_on_the_netted_one():
    """Domain rules §4.5 and §8.8: 10 kWh residual at 0.20 less 5 kWh surplus at 0.08: 20 % of 2.00, not 1.60."""
    books = open_books(vat_ppm=200_000, residual_nano=200_000_000, surplus_nano=80_000_000)
    books.when(accrue(line("pia", Charge.RESIDUAL, 10_000), line("pia", Charge.SURPLUS, 5_000)), POLICY)
    (invoice,) = only(bill(books), InvoiceIssued)
    assert (invoice.net_minor, invoice.vat_base_minor, invoice.vat_minor, invoice.total_minor) == (
        160,
        200,
        40,
        200,
    )


def test_a_negative_price_credits_and_bears_no_negative_vat():
    books = open_books(vat_ppm=200_000, residual_nano=-100_000_000)
    books.when(accrue(line("alice", Charge.RESIDUAL, 10_000)), POLICY)
    (invoice,) = only(bill(books), InvoiceIssued)
    assert (invoice.net_minor, invoice.vat_minor, invoice.total_minor) == (-100, 0, -100)


def test_imbalance_bears_vat_only_where_the_party_pays():
    books = open_books(vat_ppm=200_000)
    books.when(accrue(line("alice", Charge.IMBALANCE, -1000, -100_000)), POLICY)
    books.when(accrue(line("bob", Charge.IMBALANCE, 1000, 100_000)), POLICY)
    alice, bob = only(bill(books), InvoiceIssued)
    assert (alice.vat_minor, bob.vat_minor) == (2, 0)


def test_a_bill_that_spans_a_tariff_change_has_a_line_for_each():
    books = open_books(vat_ppm=0, residual_nano=200_000_000)
    books.when(AdoptTariff(250_000_000, 0, DAY), ISSUER)
    for day in range(3):
        used = line("alice", Charge.RESIDUAL, 1000)
        books.when(accrue(used, run=day + 1, from_at=day * DAY, to_at=(day + 1) * DAY), POLICY)
    (invoice,) = only(bill(books, 0, 3 * DAY), InvoiceIssued)
    assert [(x.tariff_version, x.energy_wh, x.price_nano_per_kwh, x.amount_minor) for x in invoice.lines] == [
        (1, 1000, 200_000_000, 20),
        (2, 2000, 250_000_000, 50),
    ]


def test_of_two_tariffs_for_one_time_the_newest_holds():
    books = open_books(vat_ppm=0, residual_nano=200_000_000)
    books.when(AdoptTariff(300_000_000, 0, 0), ISSUER)
    books.when(accrue(line("alice", Charge.RESIDUAL, 1000)), POLICY)
    (invoice,) = only(bill(books), InvoiceIssued)
    assert [(x.tariff_version, x.amount_minor) for x in invoice.lines] == [(2, 30)]


def test_documents_come_in_order_of_the_party_with_numbers_without_gaps():
    books = open_books(residual_nano=200_000_000)
    parties = [f"party-{n:02}" for n in (3, 1, 2)]
    books.when(accrue(*(line(p, Charge.RESIDUAL, 1000) for p in parties)), POLICY)
    started, *issued, completed = bill(books)
    assert started == BillingStarted(ISSUER, started.billing, 0, DAY, 3)
    assert [(f.party, f.number) for f in issued] == [("party-01", 1), ("party-02", 2), ("party-03", 3)]
    assert completed == BillingCompleted(ISSUER, started.billing, 3, 0)
    assert len({f.invoice for f in issued}) == 3

    books.when(accrue(line("party-02", Charge.RESIDUAL, -1), line("new", Charge.RESIDUAL, 5), run=2), POLICY)
    _, *issued, _ = bill(books)
    assert [(type(f), f.party, f.number) for f in issued] == [
        (InvoiceIssued, "new", 4),
        (CreditNoteIssued, "party-02", 5),
        (InvoiceIssued, "party-02", 6),
    ]


def test_a_credit_note_mirrors_its_invoice():
    books = open_books(vat_ppm=190_000, residual_nano=187_300_000, surplus_nano=50_000_000)
    books.when(
        accrue(
            line("alice", Charge.RESIDUAL, 12_345),
            line("alice", Charge.SURPLUS, 777),
            line("alice", Charge.SHARED_CONSUMPTION, 4_321, -518_521),
        ),
        POLICY,
    )
    (invoice,) = only(bill(books), InvoiceIssued)
    books.when(accrue(line("alice", Charge.SHARED_CONSUMPTION, 1, -121), run=2), POLICY)
    (note,) = only(bill(books), CreditNoteIssued)
    assert note.postings == tuple(Posting(p.account, p.currency, -p.amount_micro) for p in invoice.postings)
    assert (note.net_minor, note.vat_minor, note.total_minor) == (
        -invoice.net_minor,
        -invoice.vat_minor,
        -invoice.total_minor,
    )
    assert (note.invoice, note.party, note.from_at, note.to_at) == (invoice.invoice, "alice", 0, DAY)


def test_a_second_correction_reverses_the_reissued_invoice():
    books = open_books(residual_nano=200_000_000)
    books.when(accrue(line("alice", Charge.RESIDUAL, 1000)), POLICY)
    bill(books)
    chain = []
    for run in (2, 3):
        books.when(accrue(line("alice", Charge.RESIDUAL, 500), run=run), POLICY)
        chain += bill(books)
    first, second, third = only(books.facts, InvoiceIssued)
    assert [n.invoice for n in only(chain, CreditNoteIssued)] == [first.invoice, second.invoice]
    assert (second.replaces, third.replaces) == (first.invoice, second.invoice)


def test_what_came_to_nothing_stays_on_the_reissued_invoice():
    books = open_books(residual_nano=200_000_000)
    books.when(accrue(line("alice", Charge.RESIDUAL, 1000)), POLICY)
    bill(books)
    books.when(accrue(line("alice", Charge.RESIDUAL, -1000), run=2), POLICY)
    reissued = only(bill(books), InvoiceIssued)[0]
    assert [(x.energy_wh, x.amount_minor) for x in reissued.lines] == [(0, 0)]
    assert balances(books.facts) == {}


def test_what_came_to_nothing_before_it_was_billed_is_no_bill():
    books = open_books(residual_nano=200_000_000)
    books.when(accrue(line("alice", Charge.RESIDUAL, 1000), line("bob", Charge.RESIDUAL, 1)), POLICY)
    books.when(accrue(line("alice", Charge.RESIDUAL, -1000), run=2), POLICY)
    assert [f.party for f in only(bill(books), InvoiceIssued)] == ["bob"]


def test_a_correction_that_comes_to_nothing_changes_no_bill():
    books = open_books(residual_nano=200_000_000)
    books.when(accrue(line("alice", Charge.RESIDUAL, 1000), line("bob", Charge.RESIDUAL, 1)), POLICY)
    bill(books)
    books.when(accrue(line("alice", Charge.RESIDUAL, 5), run=2), POLICY)
    books.when(accrue(line("alice", Charge.RESIDUAL, -5), line("bob", Charge.RESIDUAL, 1), run=3), POLICY)
    assert [f.party for f in only(bill(books), InvoiceIssued)] == ["bob"]


def test_a_large_slice_is_booked_in_several_facts():
    books = open_books()
    many = [line(f"p{n}", Charge.RESPONSE, 1, 1_000, 1_000) for n in range(450)]
    facts = books.when(accrue(*many), POLICY)
    assert [len(f.lines) for f in only(facts, LinesAccrued)] == [200, 200, 50]
    assert all(len(f.postings) <= 500 for f in facts)


def test_an_empty_slice_leaves_a_fact():
    assert [len(f.lines) for f in open_books().when(accrue(), POLICY)] == [0]


def test_a_tariff_that_fills_a_gap_leaves_the_later_one_in_force():
    books = open_books(vat_ppm=0)
    books.when(AdoptTariff(200_000_000, 0, DAY), ISSUER)
    books.when(AdoptTariff(300_000_000, 0, 0), ISSUER)
    for day in range(2):
        used = line("alice", Charge.RESIDUAL, 1000)
        books.when(accrue(used, run=day + 1, from_at=day * DAY, to_at=(day + 1) * DAY), POLICY)
    (invoice,) = only(bill(books, 0, 2 * DAY), InvoiceIssued)
    assert [(x.tariff_version, x.amount_minor) for x in invoice.lines] == [(1, 20), (2, 30)]


def test_a_bill_holds_the_deliveries_of_its_period_only():
    books = open_books(vat_ppm=0, residual_nano=200_000_000)
    for day in range(3):
        used = line("alice", Charge.RESIDUAL, 1000 * (day + 1))
        books.when(accrue(used, run=day + 1, from_at=day * DAY, to_at=(day + 1) * DAY), POLICY)
    (invoice,) = only(bill(books, DAY, 2 * DAY), InvoiceIssued)
    assert (invoice.from_at, invoice.to_at, invoice.run_number) == (DAY, 2 * DAY, 2)
    assert [x.energy_wh for x in invoice.lines] == [2000]
    assert [i.total_minor for i in only(bill(books, 2 * DAY, 3 * DAY), InvoiceIssued)] == [60]


def test_a_period_may_be_billed_as_soon_as_it_is_over():
    books = open_books(residual_nano=200_000_000, at=DAY)
    books.when(accrue(line("alice", Charge.RESIDUAL, 1000)), POLICY)
    assert len(only(bill(books), InvoiceIssued)) == 1


@pytest.mark.parametrize("days", [(0, 1), (0, 1, 0)])
def test_an_invoice_names_the_run_that_spoke_last(days):
    books = open_books(residual_nano=200_000_000)
    for run, day in enumerate(days, 1):
        used = line("alice", Charge.RESIDUAL, 1000)
        books.when(accrue(used, run=run, from_at=day * DAY, to_at=(day + 1) * DAY), POLICY)
    (invoice,) = only(bill(books, 0, 2 * DAY), InvoiceIssued)
    assert (invoice.run, invoice.run_number) == (f"run-{len(days)}", len(days))


def test_a_line_that_came_to_nothing_before_the_first_bill_is_not_on_it():
    books = open_books()
    books.when(accrue(line("alice", Charge.RESIDUAL, 1000), line("alice", Charge.RESPONSE, 1, 50_000)), POLICY)
    books.when(accrue(line("alice", Charge.RESIDUAL, -1000), run=2), POLICY)
    # No tariff is needed either: nothing waits for a price.
    (invoice,) = only(bill(books), InvoiceIssued)
    assert [x.charge for x in invoice.lines] == [Charge.RESPONSE]
