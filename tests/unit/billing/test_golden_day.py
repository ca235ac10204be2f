"""A day that never changes: whoever changes what the decider says raises `LOGIC` and adds a digest."""

from hashlib import blake2b
from random import Random

from domain.billing import decider
from schemas.billing.commands import AdoptTariff, AllotCredit, StartBilling
from schemas.billing.events import Charge, CreditNoteIssued, InvoiceIssued
from tests.unit.billing.books import DAY, ISSUER, POLICY, accrue, line, open_books
from tests.unit.given import Scenario, only
from tests.unit.written import read_again

PARTIES, CONNECTIONS = 132, 2

GOLDEN = {1: "0ea33fb3ecd8e6d8441f2656b658893d"}
"""The digest of the day's facts by `LOGIC`."""

BILLED = [charge for charge in Charge if charge is not Charge.PRICE_DIFFERENCE]


def day() -> Scenario:
    """132 parties with every charge of a bill at two connections, in slices of 200; a correction; refusals."""
    draw = Random(2072)
    books = open_books(vat_ppm=190_000, residual_nano=312_400_000, surplus_nano=78_600_000)
    books.when(AllotCredit("party-007", "market", 25_000_000), ISSUER)
    books.when(AllotCredit("party-007", "market", -1), ISSUER)
    for run, parties in ((1, PARTIES), (2, 12)):
        lines = []
        for n in range(parties):
            for charge in BILLED:
                by_tariff = charge in (Charge.RESIDUAL, Charge.SURPLUS)
                for c in range(CONNECTIONS):
                    amount = 0 if by_tariff else draw.randrange(-3_000_000, 3_000_000)
                    points = draw.randrange(-5_000, 5_000)
                    energy = draw.randrange(-300, 20_000)
                    reference = "imbalance" if by_tariff and n % 7 == 0 else "cause"
                    party = f"party-{n:03}"
                    lines.append(line(party, charge, energy, amount, points, f"c{n}-{c}", reference))
        for first in range(0, len(lines), 200):
            books.when(accrue(*lines[first : first + 200], run=run), POLICY)
        books.when(StartBilling(0, DAY), ISSUER)
        books.later(books.at)
    books.when(StartBilling(0, DAY), ISSUER)
    books.when(AdoptTariff(1, 1, DAY), ISSUER)
    return books


def test_the_golden_day():
    facts = day().facts
    assert len(only(facts, InvoiceIssued)) == PARTIES + 12
    assert len(only(facts, CreditNoteIssued)) == 12
    digest = blake2b("\n".join(map(repr, facts)).encode(), digest_size=16).hexdigest()
    assert digest == GOLDEN.get(decider.LOGIC)


def test_every_fact_fits_its_schema():
    """Also with the longest ids: an account's name holds a whole one."""
    longest = "p" * 96
    books = day()
    books.when(accrue(line(longest, Charge.RESPONSE, 1, 999, 1, "c"), run=3), POLICY)
    books.when(StartBilling(0, DAY), ISSUER)
    assert longest in {f.party for f in only(books.later(books.at), InvoiceIssued)}
    assert [read_again(fact) for fact in books.facts] == books.facts
