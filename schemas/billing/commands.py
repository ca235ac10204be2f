"""Wishes about an issuer's ledger and documents. Key: the issuer."""

from schemas.billing.events import AccruedLine, MinorDigits
from schemas.message import command
from schemas.values import AmountMicro, Count, Currency, Id, Ppm, PriceNanoPerKwh, TimeUs


@command
class OpenLedger:
    """Opens the issuer's accounts; `minor_digits` is the number of decimals of its documents (2 for EUR)."""

    currency: Currency
    minor_digits: MinorDigits
    vat_ppm: Ppm


@command
class AdoptTariff:
    """A flat tariff for deliveries from `valid_from` on: what customers pay for residual, get for surplus.

    It never prices anew what an invoice shows.
    """

    residual_price_nano_per_kwh: PriceNanoPerKwh
    surplus_price_nano_per_kwh: PriceNanoPerKwh
    valid_from: TimeUs


@command
class AllotCredit:
    """Lets a party be exposed up to this amount in a market."""

    party: Id
    market: Id
    limit_micro: AmountMicro


@command
class AccrueLines:
    """A posted slice of settlement lines of this issuer (sent by a policy)."""

    area: Id
    run: Id
    run_number: Count
    from_at: TimeUs
    to_at: TimeUs
    currency: Currency
    lines: tuple[AccruedLine, ...]


@command
class StartBilling:
    """Bills deliveries in [from_at, to_at): invoices, or credit note and reissue for what changed.

    The period is over, equal to an earlier one or apart from all, and cuts no settlement period.
    """

    from_at: TimeUs
    to_at: TimeUs
