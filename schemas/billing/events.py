"""Facts of an issuer's ledger and documents. Key: the issuer."""

from enum import StrEnum
from typing import Annotated

from annotated_types import Ge, Le, MaxLen, MinLen

from schemas.message import event, value
from schemas.values import (
    AmountMicro,
    AmountMinor,
    Count,
    Currency,
    Id,
    Name,
    Ppm,
    PriceNanoPerKwh,
    SignedEnergyWh,
    TimeUs,
)

MinorDigits = Annotated[int, Ge(0), Le(6)]
"""Decimals of a currency in documents (ISO 4217: EUR 2, KRW 0); never finer than accruals."""

Account = Annotated[str, MinLen(1), MaxLen(112)]
"""An account's name: its kind and, where it is kept per party, the party (`receivable:<party>`)."""


class Charge(StrEnum):
    """What a bill line is about; the settlement's line kinds, as the customer reads them.

    A price difference is on no bill: it is what the issuer keeps of contracts with two prices.
    """

    SHARED_CONSUMPTION = "shared_consumption"
    DELIVERED_PURCHASE = "delivered_purchase"
    RESIDUAL = "residual"
    SHARED_PRODUCTION = "shared_production"
    DELIVERED_SALE = "delivered_sale"
    SURPLUS = "surplus"
    IMBALANCE = "imbalance"
    RESPONSE = "response"
    PRICE_DIFFERENCE = "price_difference"


class BillingRefusal(StrEnum):
    """Why a wish of this family was refused, in the order of the checks."""

    NOT_AUTHORISED = "not_authorised"
    LEDGER_UNKNOWN = "ledger_unknown"
    ALREADY_OPEN = "already_open"
    WRONG_CURRENCY = "wrong_currency"
    PERIOD_INVALID = "period_invalid"
    TARIFF_MISSING = "tariff_missing"
    NEGATIVE_LIMIT = "negative_limit"
    BILLING_RUNNING = "billing_running"
    NOTHING_TO_BILL = "nothing_to_bill"


@value
class AccruedLine:
    """The difference that a settlement run makes to one party's line at this issuer.

    `amount_micro` > 0 is owed to the party, < 0 by it; 0 where the issuer's tariff prices the energy.
    """

    line: Id
    party: Id
    connection: Id
    charge: Charge
    reference: Id
    energy_wh: SignedEnergyWh
    amount_micro: AmountMicro
    points_micro: AmountMicro


@value
class Posting:
    """One entry: debit > 0, credit < 0, in 10⁻⁶ of the currency (money or `POINT`)."""

    account: Account
    currency: Currency
    amount_micro: AmountMicro


@value
class InvoiceLine:
    """One line of a document. `amount_minor` > 0 is charged to the party, < 0 is credited to it; without VAT.

    `energy_wh` is the sum behind it. `tariff_version` is the issuer's tariff that prices it; it and the
    price are 0 where the settlement priced the energy (shares, contracts, imbalance, response).
    """

    number: Count
    charge: Charge
    connection: Id
    energy_wh: SignedEnergyWh
    tariff_version: Count
    price_nano_per_kwh: PriceNanoPerKwh
    amount_minor: AmountMinor


@event
class LedgerOpened:
    """The issuer keeps accounts in this currency and in energy points."""

    issuer: Id
    currency: Currency
    minor_digits: MinorDigits
    vat_ppm: Ppm


@event
class TariffAdopted:
    """Version `version` of the issuer's flat tariff holds for deliveries from `valid_from` on."""

    issuer: Id
    version: Count
    currency: Currency
    residual_price_nano_per_kwh: PriceNanoPerKwh
    surplus_price_nano_per_kwh: PriceNanoPerKwh
    valid_from: TimeUs


@event
class CreditAllotted:
    """The party may be exposed up to this amount in the market; replaces the allotment before."""

    issuer: Id
    party: Id
    market: Id
    currency: Currency
    limit_micro: AmountMicro


@event
class LinesAccrued:
    """A posted slice is in the books; the postings sum to zero per currency."""

    issuer: Id
    area: Id
    run: Id
    run_number: Count
    from_at: TimeUs
    to_at: TimeUs
    currency: Currency
    lines: tuple[AccruedLine, ...]
    postings: tuple[Posting, ...]


@event
class BillingStarted:
    """Documents for the period follow in slices, party by party; `parties` have something new now."""

    issuer: Id
    billing: Id
    from_at: TimeUs
    to_at: TimeUs
    parties: Count


@event
class InvoiceIssued:
    """A final document: frozen, numbered without gaps per issuer. A negative total is a self-billed credit.

    `replaces` names the invoice that this one corrects, `run` the last settlement run in it. VAT is
    computed once, half up, on `vat_base_minor`: what the issuer supplies; what it buys (self-billed)
    lowers the net but not the VAT. The postings sum to zero per currency.
    """

    issuer: Id
    invoice: Id
    number: Count
    billing: Id
    party: Id
    from_at: TimeUs
    to_at: TimeUs
    currency: Currency
    minor_digits: MinorDigits
    run: Id
    run_number: Count
    replaces: Id | None
    lines: tuple[InvoiceLine, ...]
    net_minor: AmountMinor
    vat_base_minor: AmountMinor
    vat_ppm: Ppm
    vat_minor: AmountMinor
    total_minor: AmountMinor
    postings: tuple[Posting, ...]


@event
class CreditNoteIssued:
    """Reverses an invoice in full: its sums and postings, negated. Shares the issuer's sequence of numbers.

    `run` is the settlement run that changed what the invoice stood on.
    """

    issuer: Id
    credit_note: Id
    number: Count
    billing: Id
    party: Id
    invoice: Id
    from_at: TimeUs
    to_at: TimeUs
    run: Id
    run_number: Count
    currency: Currency
    minor_digits: MinorDigits
    net_minor: AmountMinor
    vat_minor: AmountMinor
    total_minor: AmountMinor
    postings: tuple[Posting, ...]


@event
class BillingCompleted:
    """Every party of the period is billed."""

    issuer: Id
    billing: Id
    invoices: Count
    credit_notes: Count


@event
class CommandRefused:
    """A wish that a rule of this family forbids; nothing else changed."""

    command: Name
    subject: Id
    reason: BillingRefusal
    limit: int
    found: int
