"""What holds for any sequence of slices and billings, against a plain reckoning in decimals."""

from collections import defaultdict
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.billing.commands import AdoptTariff, AllotCredit, StartBilling
from schemas.billing.events import (
    BillingCompleted,
    BillingRefusal,
    Charge,
    CommandRefused,
    CreditNoteIssued,
    InvoiceIssued,
    LinesAccrued,
)
from tests.unit.billing.books import CENT, DAY, ISSUER, POLICY, accrue, balances, line, open_books
from tests.unit.given import Scenario, only
from tests.unit.written import only_judges, rebuilt

RESIDUAL_NANO, SURPLUS_NANO, VAT_PPM = 187_300_000, 61_700_000, 190_000
BY_TARIFF = (Charge.RESIDUAL, Charge.SURPLUS)

lines = st.builds(
    line,
    party=st.sampled_from(["ann", "bob", "cy"]),
    charge=st.sampled_from(list(Charge)),
    energy_wh=st.integers(-3_000, 9_000),
    amount_micro=st.integers(-2_000_000, 2_000_000),
    points_micro=st.integers(-1_000, 1_000),
    connection=st.sampled_from(["c1", "c2"]),
    reference=st.sampled_from(["cause", "imbalance"]),
)
slices = st.tuples(st.integers(0, 2), st.lists(lines, max_size=6))
"""A day and the lines that a run posts for it."""
steps = st.lists(st.one_of(slices, st.just("bill")), max_size=12)


def played(steps: list[Any], limit: int = 1000) -> Scenario:
    """Slices for three days and billings of all of them, a last billing at the end; `advance` gets this limit."""
    books = open_books(vat_ppm=VAT_PPM, residual_nano=RESIDUAL_NANO, surplus_nano=SURPLUS_NANO)
    for run, step in enumerate([*steps, "bill"], 1):
        if step == "bill":
            books.when(StartBilling(0, 3 * DAY), ISSUER)
            while (due := books.decider.due(books.state)) is not None:
                assert due <= books.at
                found = list(books.decider.advance(books.state, books.now, limit))
                assert 0 < len(found) <= limit
                books.given(*found)
        else:
            day, posted = step
            priced = [
                line(x.party, x.charge, x.energy_wh, 0, x.points_micro, x.connection, x.reference)
                if x.charge in BY_TARIFF
                else x
                for x in posted
            ]
            books.when(accrue(*priced, run=run, from_at=day * DAY, to_at=(day + 1) * DAY), POLICY)
    return books


def in_force(facts: list[Any]) -> dict[str, InvoiceIssued]:
    """The invoice of each party that no credit note reversed."""
    reversed_ = {note.invoice for note in only(facts, CreditNoteIssued)}
    standing = [i for i in only(facts, InvoiceIssued) if i.invoice not in reversed_]
    assert len(standing) == len({i.party for i in standing}), "two invoices in force for one party"
    return {i.party: i for i in standing}


def reckoned(facts: list[Any]) -> dict[str, tuple[Decimal, Decimal]]:
    """Net and total of each party in currency units, from the accrued lines alone."""
    energy: dict[Any, int] = defaultdict(int)
    money: dict[Any, int] = defaultdict(int)
    for fact in facts:
        for x in getattr(fact, "lines", ()):
            if hasattr(x, "reference") and x.charge is not Charge.PRICE_DIFFERENCE:
                free = x.charge in BY_TARIFF and x.reference == "imbalance"
                energy[x.party, x.charge, x.connection, free] += x.energy_wh
                money[x.party, x.charge, x.connection, free] += x.amount_micro
    net: dict[str, Decimal] = defaultdict(Decimal)
    base: dict[str, Decimal] = defaultdict(Decimal)
    cent = Decimal("0.01")
    for (party, charge, connection, free), wh in energy.items():
        amount = Decimal(-money[party, charge, connection, free]) / 10**6
        if charge is Charge.RESIDUAL and not free:
            amount += Decimal(wh) * RESIDUAL_NANO / 10**12
        if charge is Charge.SURPLUS and not free:
            amount -= Decimal(wh) * SURPLUS_NANO / 10**12
        rounded = amount.quantize(cent, ROUND_HALF_UP)
        net[party] += rounded
        supply = charge in (Charge.SHARED_CONSUMPTION, Charge.DELIVERED_PURCHASE, Charge.RESIDUAL)
        if supply or (charge is Charge.IMBALANCE and rounded > 0):
            base[party] += rounded
    vat = {p: (max(Decimal(0), base[p]) * VAT_PPM / 10**6).quantize(cent, ROUND_HALF_UP) for p in net}
    return {party: (net[party], net[party] + vat[party]) for party in net}


@given(steps)
@settings(max_examples=300, deadline=None)
def test_the_books_balance_and_the_bills_are_what_was_settled(steps):
    facts = played(steps).facts
    for fact in facts:
        sums: dict[str, int] = defaultdict(int)
        for posting in getattr(fact, "postings", ()):
            sums[posting.currency] += posting.amount_micro
            assert posting.amount_micro, "a posting of nothing"
        assert not any(sums.values()), fact

    documents = [f for f in facts if isinstance(f, InvoiceIssued | CreditNoteIssued)]
    assert [d.number for d in documents] == list(range(1, len(documents) + 1))

    expected = reckoned(facts)
    bills = in_force(facts)
    for party, (net, total) in expected.items():
        bill = bills.get(party)
        found = (bill.net_minor, bill.total_minor) if bill else (0, 0)
        assert found == (net * 100, total * 100), party

    left = balances(facts)
    accrued = [x for fact in only(facts, LinesAccrued) for x in fact.lines]
    kept = sum(x.amount_micro for x in accrued if x.charge is Charge.PRICE_DIFFERENCE)
    assert left.get("revenue:price_differences", 0) == -kept, "the issuer keeps it, and bills nobody for it"
    for party in expected:
        assert f"accrued:{party}" not in left
        charged = sum(d.total_minor for d in documents if d.party == party)
        assert left.get(f"receivable:{party}", 0) == charged * CENT


@given(steps)
@settings(max_examples=150, deadline=None)
def test_small_slices_lead_to_the_same_facts(steps):
    whole = played(steps).facts
    for limit in (2, 3):
        assert played(steps, limit).facts == whole


@given(steps)
@settings(max_examples=100, deadline=None)
def test_the_state_is_rebuilt_from_what_stands_on_the_log(steps):
    books = played(steps)
    assert rebuilt(books) == books.state


def test_a_pair_is_never_split_over_two_slices():
    books = open_books(residual_nano=RESIDUAL_NANO)
    parties = ["a", "b", "c"]
    books.when(accrue(*(line(p, Charge.RESIDUAL, 1000) for p in parties)), POLICY)
    books.when(StartBilling(0, DAY), ISSUER)
    books.later(books.at)
    books.when(accrue(*(line(p, Charge.RESIDUAL, 1) for p in parties), run=2), POLICY)
    books.when(StartBilling(0, DAY), ISSUER)
    sizes = []
    while books.decider.due(books.state) is not None:
        found = list(books.decider.advance(books.state, books.now, 5))
        sizes.append([type(f) for f in found])
        books.given(*found)
    pair = [CreditNoteIssued, InvoiceIssued]
    assert sizes == [pair * 2, [*pair, BillingCompleted]]


def test_accruals_that_arrive_while_a_billing_runs_lose_nothing():
    books = open_books(vat_ppm=0, residual_nano=1_000_000_000)
    (late,) = open_books().when(accrue(*(line(p, Charge.RESIDUAL, 500) for p in "abcd"), run=2), POLICY)
    books.when(accrue(*(line(p, Charge.RESIDUAL, 1000) for p in "abc")), POLICY)
    books.when(StartBilling(0, DAY), ISSUER)
    books.given(*books.decider.advance(books.state, books.now, 2))
    # `a` and `b` are billed, `c` is not yet; corrections of all three and a newcomer arrive.
    books.given(late)
    books.later(books.at)
    totals = {p: i.total_minor for p, i in in_force(books.facts).items()}
    assert totals == {"a": 100, "b": 100, "c": 150, "d": 50}
    books.when(StartBilling(0, DAY), ISSUER)
    books.later(books.at)
    totals = {p: i.total_minor for p, i in in_force(books.facts).items()}
    assert totals == {"a": 150, "b": 150, "c": 150, "d": 50}


def test_energy_without_a_tariff_that_arrives_late_is_left_for_the_next_billing():
    books = open_books(vat_ppm=0)
    books.when(accrue(line("a", Charge.RESPONSE, 1, 10_000)), POLICY)
    started, *_ = books.when(StartBilling(0, DAY), ISSUER)
    # The same moment again, now with a slice that arrived between the start and the first document.
    late = open_books(vat_ppm=0).given(*books.facts[1:])
    (slice_,) = open_books(vat_ppm=0).when(accrue(line("b", Charge.RESIDUAL, 1000)), POLICY)
    found = late.given(slice_).later(books.at)
    assert [f.party for f in only(found, InvoiceIssued)] == ["a"]
    assert found[-1] == BillingCompleted(ISSUER, started.billing, 1, 0)
    assert late.when(StartBilling(0, DAY), ISSUER) == [
        CommandRefused("StartBilling", ISSUER, BillingRefusal.TARIFF_MISSING, 0, 0)
    ]
    late.when(AdoptTariff(200_000_000, 0, 0), ISSUER)
    late.when(StartBilling(0, DAY), ISSUER)
    assert [f.party for f in only(late.later(books.at), InvoiceIssued)] == ["b"]


def test_judging_changes_nothing():
    books = open_books(residual_nano=RESIDUAL_NANO)
    only_judges(books, accrue(line("a", Charge.RESIDUAL, 1000)), POLICY)
    only_judges(books, AllotCredit("a", "market", 1), ISSUER)
    only_judges(books, AdoptTariff(1, 1, DAY), ISSUER)
    only_judges(books, StartBilling(0, DAY), ISSUER)
