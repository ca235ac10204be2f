"""Every reason to refuse, in the order of `BillingRefusal`."""

from dataclasses import replace

import pytest

from schemas.billing.commands import AdoptTariff, AllotCredit, OpenLedger, StartBilling
from schemas.billing.events import (
    BillingRefusal,
    BillingStarted,
    Charge,
    CommandRefused,
    LedgerOpened,
    LinesAccrued,
    TariffAdopted,
)
from schemas.envelope import Command, CommandMeta
from tests.unit.billing.books import DAY, ISSUER, POLICY, accrue, line, open_books
from tests.unit.given import Scenario

RESIDUAL = line("alice", Charge.RESIDUAL, 1000)


def refused(command: str, reason: BillingRefusal, subject: str = ISSUER, limit: int = 0, found: int = 0):
    return [CommandRefused(command, subject, reason, limit, found)]


def test_only_the_issuer_opens_its_ledger():
    nobody = Scenario("billing", ISSUER)
    assert nobody.when(OpenLedger("EUR", 2, 0), "mallory") == refused("OpenLedger", BillingRefusal.NOT_AUTHORISED)


@pytest.mark.parametrize("wish", [AdoptTariff(0, 0, 0), StartBilling(0, DAY)])
def test_only_the_issuer_wishes(wish):
    assert open_books().when(wish, "mallory") == refused(type(wish).__name__, BillingRefusal.NOT_AUTHORISED)


def test_only_the_issuer_allots_credit():
    found = open_books().when(AllotCredit("alice", "market", 1), "alice")
    assert found == refused("AllotCredit", BillingRefusal.NOT_AUTHORISED, "alice")


def test_only_a_policy_accrues():
    assert open_books().when(accrue(RESIDUAL), ISSUER) == refused("AccrueLines", BillingRefusal.NOT_AUTHORISED, "run-1")


@pytest.mark.parametrize("wish", [AdoptTariff(0, 0, 0), StartBilling(0, DAY)])
def test_nothing_without_a_ledger(wish):
    found = Scenario("billing", ISSUER, DAY).when(wish, ISSUER)
    assert found == refused(type(wish).__name__, BillingRefusal.LEDGER_UNKNOWN)


def test_accruals_come_before_the_ledger_and_bind_its_currency():
    books = Scenario("billing", ISSUER, DAY)
    assert [type(f) for f in books.when(accrue(RESIDUAL), POLICY)] == [LinesAccrued]
    in_francs = replace(accrue(RESIDUAL), currency="CHF")
    assert books.when(in_francs, POLICY) == refused("AccrueLines", BillingRefusal.WRONG_CURRENCY, "run-1")
    assert books.when(OpenLedger("CHF", 2, 0), ISSUER) == refused("OpenLedger", BillingRefusal.WRONG_CURRENCY)
    assert [type(f) for f in books.when(OpenLedger("EUR", 2, 0), ISSUER)] == [LedgerOpened]
    books.when(AdoptTariff(300_000_000, 80_000_000, 0), ISSUER)
    assert BillingStarted in [type(f) for f in books.when(StartBilling(0, DAY), ISSUER)]


def test_a_ledger_opens_once():
    assert open_books().when(OpenLedger("EUR", 2, 0), ISSUER) == refused("OpenLedger", BillingRefusal.ALREADY_OPEN)


def test_points_are_not_money():
    found = Scenario("billing", ISSUER).when(OpenLedger("POINT", 0, 0), ISSUER)
    assert found == refused("OpenLedger", BillingRefusal.WRONG_CURRENCY)


def test_accruals_are_in_the_ledgers_currency():
    found = open_books().when(accrue(RESIDUAL, currency="KRW"), POLICY)
    assert found == refused("AccrueLines", BillingRefusal.WRONG_CURRENCY, "run-1")


@pytest.mark.parametrize(
    ("wish", "limit", "found"),
    [
        (StartBilling(DAY, DAY), DAY, DAY),  # empty
        (StartBilling(39 * DAY, 40 * DAY + 1), 40 * DAY, 40 * DAY + 1),  # not over
        (StartBilling(DAY // 2, 2 * DAY), 0, DAY // 2),  # cuts the settlement period of day 0
    ],
)
def test_a_billing_period_is_over_and_cuts_nothing(wish, limit, found):
    books = open_books(residual_nano=1)
    books.when(accrue(RESIDUAL), POLICY)
    assert books.when(wish, ISSUER) == refused("StartBilling", BillingRefusal.PERIOD_INVALID, ISSUER, limit, found)


def test_a_delivery_is_in_one_billing_period_only():
    books = open_books(residual_nano=1)
    books.when(accrue(RESIDUAL), POLICY)
    books.when(accrue(RESIDUAL, from_at=DAY, to_at=2 * DAY), POLICY)
    assert type(books.when(StartBilling(0, DAY), ISSUER)[0]) is BillingStarted
    assert books.when(StartBilling(0, 2 * DAY), ISSUER)[-1:] == refused("StartBilling", BillingRefusal.PERIOD_INVALID)
    assert type(books.when(StartBilling(DAY, 2 * DAY), ISSUER)[0]) is BillingStarted


def test_a_tariff_never_prices_an_invoice_anew():
    books = open_books(residual_nano=200_000_000)
    books.when(accrue(RESIDUAL, from_at=DAY, to_at=2 * DAY), POLICY)
    books.when(StartBilling(DAY, 2 * DAY), ISSUER)
    books.later(41 * DAY)
    for valid_from in (0, DAY):
        assert books.when(AdoptTariff(1, 1, valid_from), ISSUER) == refused(
            "AdoptTariff", BillingRefusal.PERIOD_INVALID, ISSUER, DAY, valid_from
        )
    assert type(books.when(AdoptTariff(1, 1, DAY + 1), ISSUER)[0]) is TariffAdopted


def test_a_tariff_may_fill_a_gap_before_what_is_billed():
    books = open_books()
    books.when(AdoptTariff(200_000_000, 0, DAY), ISSUER)
    books.when(accrue(RESIDUAL, from_at=DAY, to_at=2 * DAY), POLICY)
    books.when(StartBilling(DAY, 2 * DAY), ISSUER)
    books.later(41 * DAY)
    assert type(books.when(AdoptTariff(1, 1, 0), ISSUER)[0]) is TariffAdopted


def test_residual_waits_for_a_tariff():
    books = open_books()
    books.when(AdoptTariff(1, 1, DAY), ISSUER)
    books.when(accrue(RESIDUAL), POLICY)
    assert books.when(StartBilling(0, DAY), ISSUER) == refused("StartBilling", BillingRefusal.TARIFF_MISSING)


def test_credit_is_not_negative():
    assert open_books().when(AllotCredit("alice", "market", -1), ISSUER) == refused(
        "AllotCredit", BillingRefusal.NEGATIVE_LIMIT, "alice", 0, -1
    )


def test_one_billing_at_a_time():
    books = open_books(residual_nano=1)
    books.when(accrue(RESIDUAL), POLICY)
    books.given(BillingStarted(ISSUER, "billing", 0, DAY, 1))
    # Straight to the decision, as if a slice had left something over.
    wish = Command(ISSUER, CommandMeta("c", ISSUER, "correlation", None, None, None), StartBilling(0, DAY))
    found = list(books.decider.decide(books.state, wish, books.now))
    assert found == refused("StartBilling", BillingRefusal.BILLING_RUNNING)


def test_nothing_to_bill():
    books = open_books(residual_nano=1)
    assert books.when(StartBilling(0, DAY), ISSUER) == refused("StartBilling", BillingRefusal.NOTHING_TO_BILL)
    books.when(accrue(RESIDUAL), POLICY)
    books.when(StartBilling(0, DAY), ISSUER)
    assert books.when(StartBilling(0, DAY), ISSUER)[-1:] == refused("StartBilling", BillingRefusal.NOTHING_TO_BILL)
