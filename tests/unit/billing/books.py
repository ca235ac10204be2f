"""An issuer with an open ledger, and settlement lines in the shape in which the policy brings them."""

from typing import Any

from schemas.billing.commands import AccrueLines, AdoptTariff, OpenLedger
from schemas.billing.events import AccruedLine, Charge, InvoiceIssued, LinesAccrued, Posting
from tests.unit.given import Scenario

ISSUER = "issuer"
POLICY = "policy:settlement_to_billing.accrue"
DAY = 86_400_000_000
CENT = 10_000
"""One cent in 10⁻⁶ EUR."""


def open_books(
    currency: str = "EUR",
    minor_digits: int = 2,
    vat_ppm: int = 100_000,
    residual_nano: int | None = None,
    surplus_nano: int = 0,
    at: int = 40 * DAY,
) -> Scenario:
    """An open ledger, with a tariff from the beginning of time if a price is named."""
    books = Scenario("billing", ISSUER, at)
    books.when(OpenLedger(currency, minor_digits, vat_ppm), ISSUER)
    if residual_nano is not None:
        books.when(AdoptTariff(residual_nano, surplus_nano, 0), ISSUER)
    return books


def line(
    party: str,
    charge: Charge,
    energy_wh: int = 0,
    amount_micro: int = 0,
    points_micro: int = 0,
    connection: str = "",
    reference: str = "cause",
) -> AccruedLine:
    """A line of the party; its connection is named after it unless another is named."""
    connection = connection or f"connection-{party}"
    name = f"{charge}/{connection}/{reference}"
    return AccruedLine(name, party, connection, charge, reference, energy_wh, amount_micro, points_micro)


def accrue(*lines: AccruedLine, run: int = 1, from_at: int = 0, to_at: int = DAY, currency: str = "EUR") -> AccrueLines:
    """A posted slice of settlement run `run`."""
    return AccrueLines("area", f"run-{run}", run, from_at, to_at, currency, lines)


def balances(facts: list[Any], currency: str = "EUR") -> dict[str, int]:
    """Every account that is not zero, in 10⁻⁶."""
    sums: dict[str, int] = {}
    for posting in all_postings(facts):
        if posting.currency == currency:
            sums[posting.account] = sums.get(posting.account, 0) + posting.amount_micro
    return {account: total for account, total in sums.items() if total}


def all_postings(facts: list[Any]) -> list[Posting]:
    """Everything that was ever posted."""
    return [p for fact in facts for p in getattr(fact, "postings", ())]


def in_cents(postings: tuple[Posting, ...]) -> dict[str, int]:
    """Postings in cents; a posting of less than a cent is our mistake."""
    assert all(p.amount_micro % CENT == 0 for p in postings)
    return {p.account: p.amount_micro // CENT for p in postings}


def sums_of(fact: LinesAccrued | InvoiceIssued) -> dict[str, int]:
    """The sum of a fact's postings per currency."""
    sums: dict[str, int] = {}
    for posting in fact.postings:
        sums[posting.currency] = sums.get(posting.currency, 0) + posting.amount_micro
    return sums
