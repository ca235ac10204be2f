"""Rules of the family `billing`: an issuer's ledger, tariffs, credit allotments and documents (P-BILL)."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, assert_never

from domain.billing import documents, ledger
from domain.billing.accruals import Period, contains, differ, overlaps
from domain.billing.state import Billing, Ledger
from domain.billing.tariffs import Tariff, last_repriced
from domain.identity import born_id, derived_id
from schemas.actors import POLICY
from schemas.billing.commands import AccrueLines, AdoptTariff, AllotCredit, OpenLedger, StartBilling
from schemas.billing.events import (
    BillingCompleted,
    BillingRefusal,
    BillingStarted,
    CommandRefused,
    CreditAllotted,
    CreditNoteIssued,
    InvoiceIssued,
    LedgerOpened,
    LinesAccrued,
    TariffAdopted,
)
from schemas.envelope import Command, Moment, Recorded

LOGIC = 1

OUTCOMES: Mapping[type, tuple[type, ...]] = {
    OpenLedger: (LedgerOpened, CommandRefused),
    AdoptTariff: (TariffAdopted, CommandRefused),
    AllotCredit: (CreditAllotted, CommandRefused),
    AccrueLines: (LinesAccrued, CommandRefused),
    StartBilling: (BillingStarted, CommandRefused),
}

FAMILY: Final = "billing"


MAX_LINES: Final = 200
"""Accrued lines of one fact: each may move two accounts, and an array holds at most 500 items."""

MIN_SLICE: Final = 2
"""A credit note and the invoice that replaces the reversed one are never in two slices."""

Wish = OpenLedger | AdoptTariff | AllotCredit | AccrueLines | StartBilling
Fact = (
    LedgerOpened
    | TariffAdopted
    | CreditAllotted
    | LinesAccrued
    | BillingStarted
    | InvoiceIssued
    | CreditNoteIssued
    | BillingCompleted
    | CommandRefused
)


def initial(key: str) -> Ledger:
    """An issuer without a ledger."""
    return Ledger(key)


def decide(state: Ledger, command: Command[Any], now: Moment) -> Iterable[Fact]:
    """What was asked for, or why not. A billing's documents follow in slices from `advance`."""
    wish: Wish = command.body
    actor = command.meta.actor
    match wish:
        case OpenLedger():
            return (_open_ledger(state, wish, actor),)
        case AdoptTariff():
            return (_adopt_tariff(state, wish, actor),)
        case AllotCredit():
            return (_allot_credit(state, wish, actor),)
        case AccrueLines():
            return _accrue_lines(state, wish, actor)
        case StartBilling():
            return (_start_billing(state, wish, actor, now, born_id(FAMILY, command, 0)),)
        case _:
            assert_never(wish)


def _open_ledger(state: Ledger, wish: OpenLedger, actor: str) -> Fact:
    if actor != state.issuer:
        return _refused(wish, state.issuer, BillingRefusal.NOT_AUTHORISED)
    if state.opened is not None:
        return _refused(wish, state.issuer, BillingRefusal.ALREADY_OPEN)
    if wish.currency == ledger.POINT or state.accrued_in not in (None, wish.currency):
        return _refused(wish, state.issuer, BillingRefusal.WRONG_CURRENCY)
    return LedgerOpened(state.issuer, wish.currency, wish.minor_digits, wish.vat_ppm)


def _adopt_tariff(state: Ledger, wish: AdoptTariff, actor: str) -> Fact:
    if actor != state.issuer:
        return _refused(wish, state.issuer, BillingRefusal.NOT_AUTHORISED)
    if state.opened is None:
        return _refused(wish, state.issuer, BillingRefusal.LEDGER_UNKNOWN)
    last = last_repriced(state.tariffs, wish.valid_from, state.priced)
    if last is not None:
        return _refused(wish, state.issuer, BillingRefusal.PERIOD_INVALID, last, wish.valid_from)
    return TariffAdopted(
        issuer=state.issuer,
        version=len(state.tariffs) + 1,
        currency=state.opened.currency,
        residual_price_nano_per_kwh=wish.residual_price_nano_per_kwh,
        surplus_price_nano_per_kwh=wish.surplus_price_nano_per_kwh,
        valid_from=wish.valid_from,
    )


def _allot_credit(state: Ledger, wish: AllotCredit, actor: str) -> Fact:
    if actor != state.issuer:
        return _refused(wish, wish.party, BillingRefusal.NOT_AUTHORISED)
    if state.opened is None:
        return _refused(wish, wish.party, BillingRefusal.LEDGER_UNKNOWN)
    if wish.limit_micro < 0:
        return _refused(wish, wish.party, BillingRefusal.NEGATIVE_LIMIT, 0, wish.limit_micro)
    return CreditAllotted(state.issuer, wish.party, wish.market, state.opened.currency, wish.limit_micro)


def _accrue_lines(state: Ledger, wish: AccrueLines, actor: str) -> tuple[Fact, ...]:
    # Settlement runs alone say what is owed, and only a policy carries them.
    if not actor.startswith(POLICY):
        return (_refused(wish, wish.run, BillingRefusal.NOT_AUTHORISED),)
    # Runs post differences only: a slice that is refused is never posted again. So it is booked also before
    # the issuer opened its ledger, in the currency in which that must then be opened.
    currency = state.accrued_in if state.opened is None else state.opened.currency
    if currency not in (None, wish.currency):
        return (_refused(wish, wish.run, BillingRefusal.WRONG_CURRENCY),)
    slices = [wish.lines[n : n + MAX_LINES] for n in range(0, len(wish.lines), MAX_LINES)]
    return tuple(
        LinesAccrued(
            issuer=state.issuer,
            area=wish.area,
            run=wish.run,
            run_number=wish.run_number,
            from_at=wish.from_at,
            to_at=wish.to_at,
            currency=wish.currency,
            lines=lines,
            postings=ledger.accruals(lines, wish.currency),
        )
        for lines in slices or [()]
    )


def _start_billing(state: Ledger, wish: StartBilling, actor: str, now: Moment, billing: str) -> Fact:
    period = (wish.from_at, wish.to_at)
    if actor != state.issuer:
        return _refused(wish, state.issuer, BillingRefusal.NOT_AUTHORISED)
    if state.opened is None:
        return _refused(wish, state.issuer, BillingRefusal.LEDGER_UNKNOWN)
    if wish.from_at >= wish.to_at:
        return _refused(wish, state.issuer, BillingRefusal.PERIOD_INVALID, wish.to_at, wish.from_at)
    if now.at < wish.to_at:
        return _refused(wish, state.issuer, BillingRefusal.PERIOD_INVALID, now.at, wish.to_at)
    cut = _cut_by(state, period)
    if cut is not None:
        return _refused(wish, state.issuer, BillingRefusal.PERIOD_INVALID, cut[0], wish.from_at)
    parties = state.parties_to_bill(period)
    waiting = (documents.tariff_missing(state.items(p, period), state.tariffs) for p in parties)
    missing = min((at for at in waiting if at is not None), default=None)
    if missing is not None:
        return _refused(wish, state.issuer, BillingRefusal.TARIFF_MISSING, 0, missing)
    if state.running is not None:
        return _refused(wish, state.issuer, BillingRefusal.BILLING_RUNNING)
    if not parties:
        return _refused(wish, state.issuer, BillingRefusal.NOTHING_TO_BILL)
    return BillingStarted(state.issuer, billing, wish.from_at, wish.to_at, len(parties))


def _cut_by(state: Ledger, period: Period) -> Period | None:
    """A billed period that is neither this one nor apart from it, or a settlement period not wholly in it."""
    for billed in sorted(state.periods):
        if overlaps(billed, period) and billed != period:
            return billed
    for settled in state.settled_periods():
        if overlaps(settled, period) and not contains(period, settled):
            return settled
    return None


def _refused(wish: Wish, subject: str, reason: BillingRefusal, limit: int = 0, found: int = 0) -> Fact:
    return CommandRefused(type(wish).__name__, subject, reason, limit, found)


def advance(state: Ledger, now: Moment, limit: int) -> Iterable[Fact]:
    """The next documents of the running billing, in order of the party's id, at most `limit` (≥ 2) facts.

    A party billed before gets a credit note and a new invoice, both in the same slice. A party whose
    energy came without a tariff since the billing started is left for the next one.
    """
    billing = state.running
    if billing is None:
        return ()
    assert limit >= MIN_SLICE, f"a slice holds at least {MIN_SLICE} facts, found a limit of {limit}"
    facts: list[Fact] = []
    for party in sorted(p for p in state.accruals if p > billing.after):
        issued = _documents(state, billing, party, state.documents + len(facts) + 1)
        if len(facts) + len(issued) > limit:
            return facts
        facts += issued
    if len(facts) < limit:
        invoices = billing.invoices + sum(type(f) is InvoiceIssued for f in facts)
        credit_notes = billing.credit_notes + sum(type(f) is CreditNoteIssued for f in facts)
        facts.append(BillingCompleted(state.issuer, billing.billing, invoices, credit_notes))
    return facts


def _documents(state: Ledger, billing: Billing, party: str, number: int) -> list[Fact]:
    """The party's documents from `number` on: none, an invoice, or a credit note and an invoice."""
    items, standing = state.items(party, billing.period), state.standing(party, billing.period)
    if not differ(items, standing) or documents.tariff_missing(items, state.tariffs) is not None:
        return []
    terms, billed = _terms(state), state.billed.get((party, billing.period))
    heading = _heading(state, billing, party, number)
    if billed is None:
        return [documents.invoice(terms, heading, items, standing, None)]
    reissued = _heading(state, billing, party, number + 1)
    return [
        documents.credit_note(heading, billed.invoice),
        documents.invoice(terms, reissued, items, standing, billed.invoice.invoice),
    ]


def _heading(state: Ledger, billing: Billing, party: str, number: int) -> documents.Heading:
    run, run_number = state.last_run(party, billing.period)
    document = derived_id(billing.billing, number)
    return documents.Heading(document, number, billing.billing, party, billing.period, run, run_number)


def _terms(state: Ledger) -> documents.Terms:
    assert state.opened is not None, f"{state.issuer} bills without a ledger"
    return documents.Terms(
        state.issuer,
        state.opened.currency,
        state.opened.minor_digits,
        state.opened.vat_ppm,
        tuple(state.tariffs),
    )


def due(state: Ledger) -> int | None:
    """As long as a billing runs, the time at which it started."""
    return None if state.running is None else state.running.started_at


def evolve(state: Ledger, fact: Recorded[Fact]) -> Ledger:
    """The books after a fact."""
    match fact.body:
        case LedgerOpened() as body:
            state.opened = body
        case TariffAdopted() as body:
            state.tariffs.append(
                Tariff(
                    body.version,
                    body.residual_price_nano_per_kwh,
                    body.surplus_price_nano_per_kwh,
                    body.valid_from,
                )
            )
        case LinesAccrued() as body:
            state.accrue(body)
        case BillingStarted() as body:
            period = (body.from_at, body.to_at)
            state.periods.add(period)
            state.running = Billing(body.billing, period, fact.meta.tick.at)
        case InvoiceIssued() as body:
            state.issue(body)
        case CreditNoteIssued(number=number):
            state.documents = number
            if state.running is not None:
                state.running.credit_notes += 1
        case BillingCompleted():
            state.running = None
        case CreditAllotted() | CommandRefused():
            pass
        case _:
            assert_never(fact.body)
    return state
