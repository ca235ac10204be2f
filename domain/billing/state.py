"""What an issuer's decider remembers, all of it from facts."""

from dataclasses import dataclass, field

from domain.billing.accruals import Items, Period, PeriodAccruals, contains, differ
from domain.billing.tariffs import Tariff
from schemas.billing.events import Charge, InvoiceIssued, LedgerOpened, LinesAccrued


@dataclass(slots=True)
class Billing:
    """A billing whose documents are being issued; parties up to the id `after` are done."""

    billing: str
    period: Period
    started_at: int
    after: str = ""
    invoices: int = 0
    credit_notes: int = 0


@dataclass(slots=True)
class Billed:
    """A party's invoice in force for a billing period, and the accruals that it stands on."""

    invoice: InvoiceIssued
    items: Items


@dataclass(slots=True)
class Ledger:
    """State of one issuer.

    `slices` counts the facts that were accrued, in the currency `accrued_in` (also before the ledger is
    opened), `documents` the numbers given. `periods` are the billed ones; `priced` are the beginnings of
    settlement periods that documents price by a tariff.
    """

    issuer: str
    opened: LedgerOpened | None = None
    accrued_in: str | None = None
    tariffs: list[Tariff] = field(default_factory=list)
    accruals: dict[str, dict[Period, PeriodAccruals]] = field(default_factory=dict)
    slices: int = 0
    periods: set[Period] = field(default_factory=set)
    billed: dict[tuple[str, Period], Billed] = field(default_factory=dict)
    priced: set[int] = field(default_factory=set)
    running: Billing | None = None
    documents: int = 0

    def settled_periods(self) -> list[Period]:
        """The periods that anything is accrued for, in their order."""
        return sorted({period for periods in self.accruals.values() for period in periods})

    def items(self, party: str, period: Period) -> Items:
        """The party's accruals of the settlement periods within a billing period."""
        return {
            (settled, item): found
            for settled, accruals in self.accruals.get(party, {}).items()
            if contains(period, settled)
            for item, found in accruals.items.items()
        }

    def last_run(self, party: str, period: Period) -> tuple[str, int]:
        """The settlement run (id, number) that spoke last on what `items` returns."""
        within = (found for settled, found in self.accruals[party].items() if contains(period, settled))
        last = max(within, key=lambda found: found.order)
        return last.run, last.run_number

    def standing(self, party: str, period: Period) -> Items:
        """What the party's invoice in force stands on; nothing without one."""
        billed = self.billed.get((party, period))
        return {} if billed is None else billed.items

    def parties_to_bill(self, period: Period) -> list[str]:
        """The parties whose documents do not say what is accrued, in order of their ids."""
        return [p for p in sorted(self.accruals) if differ(self.items(p, period), self.standing(p, period))]

    def accrue(self, fact: LinesAccrued) -> None:
        """Takes the differences of a slice in."""
        self.slices += 1
        self.accrued_in = fact.currency
        period = (fact.from_at, fact.to_at)
        for line in (line for line in fact.lines if line.charge is not Charge.PRICE_DIFFERENCE):
            accruals = self.accruals.setdefault(line.party, {}).setdefault(period, PeriodAccruals())
            accruals.add(line)
            accruals.run, accruals.run_number, accruals.order = fact.run, fact.run_number, self.slices

    def issue(self, invoice: InvoiceIssued) -> None:
        """The invoice is in force; nothing was accrued since it was made, facts of a slice stand together."""
        period = (invoice.from_at, invoice.to_at)
        items = self.items(invoice.party, period)
        self.billed[invoice.party, period] = Billed(invoice, items)
        self.priced |= {settled[0] for settled, item in items if item.by_tariff}
        self.documents = invoice.number
        if self.running is not None:
            self.running.after = invoice.party
            self.running.invoices += 1
