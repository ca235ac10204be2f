"""Documents: an invoice from a party's accruals, and its reversal in full.

Money is rounded once per line, half up (away from zero), to the currency's minor unit: residual and
surplus as price × Wh of the whole period, everything else from the accrued 10⁻⁶ amounts. What this
leaves between accruals and document is booked to `rounding`.

VAT, the reading taken: its base is what the issuer supplies to the party (shares, contracts, residual,
imbalance energy that the party pays for), summed per document and rounded once. What the party delivers
to the issuer is self-billed: it carries no VAT and does not lower the base either, as VAT is due on the
energy received and not on the netted one (domain rules §4.5, §8.8). A negative base bears none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from domain.billing import ledger
from domain.billing.accruals import NOTHING, Items, Period
from domain.billing.tariffs import Tariff, tariff_at
from domain.rounding import half_up
from schemas.billing.events import Charge, CreditNoteIssued, InvoiceIssued, InvoiceLine

_MICRO_DIGITS: Final = 6
_PICO_PER_MICRO: Final = 10**6
_PPM: Final = 10**6

_ORDER: Final = {charge: n for n, charge in enumerate(Charge)}
_SUPPLIED: Final = (Charge.SHARED_CONSUMPTION, Charge.DELIVERED_PURCHASE, Charge.RESIDUAL)
_TARIFF_SIGN: Final[Mapping[Charge, int]] = {Charge.RESIDUAL: 1, Charge.SURPLUS: -1}
"""Residual is charged, surplus is credited."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What an issuer's documents have in common."""

    issuer: str
    currency: str
    minor_digits: int
    vat_ppm: int
    tariffs: tuple[Tariff, ...]

    @property
    def minor_in_micro(self) -> int:
        """The minor unit in 10⁻⁶ of the currency."""
        return int(10 ** (_MICRO_DIGITS - self.minor_digits))


@dataclass(frozen=True, slots=True)
class Heading:
    """What a document says about itself."""

    document: str
    number: int
    billing: str
    party: str
    period: Period
    run: str
    run_number: int


@dataclass(slots=True)
class _Group:
    """What becomes one line."""

    charge: Charge
    tariff: Tariff | None
    energy_wh: int = 0
    amount_micro: int = 0


_Place = tuple[int, str, int]
"""The order of lines: charge, connection, tariff version (0: not priced by a tariff)."""


def tariff_missing(items: Items, tariffs: Sequence[Tariff]) -> int | None:
    """The first delivery time whose energy waits for a tariff, or none."""
    waiting = (period[0] for (period, item), found in items.items() if item.by_tariff and found.energy_wh)
    return min((at for at in waiting if tariff_at(tariffs, at) is None), default=None)


def invoice(terms: Terms, heading: Heading, items: Items, before: Items, replaces: str | None) -> InvoiceIssued:
    """The document for these accruals; `before` is what the invoice that it replaces stood on.

    One line per charge, connection and tariff version. What came to nothing is left out unless the
    replaced invoice showed it.
    """
    lines: list[InvoiceLine] = []
    entries: list[ledger.Entry] = []
    for place, group in sorted(_grouped(terms, items, before).items()):
        line = _line(terms, len(lines) + 1, place, group)
        lines.append(line)
        entries += _line_entries(terms, heading.party, line, -group.amount_micro)
    net = sum(line.amount_minor for line in lines)
    base = max(0, sum(line.amount_minor for line in lines if _is_supply(line)))
    vat = half_up(base * terms.vat_ppm, _PPM)
    entries.append((ledger.receivable(heading.party), terms.currency, vat * terms.minor_in_micro))
    entries.append((ledger.VAT, terms.currency, -vat * terms.minor_in_micro))
    return InvoiceIssued(
        issuer=terms.issuer,
        invoice=heading.document,
        number=heading.number,
        billing=heading.billing,
        party=heading.party,
        from_at=heading.period[0],
        to_at=heading.period[1],
        currency=terms.currency,
        minor_digits=terms.minor_digits,
        run=heading.run,
        run_number=heading.run_number,
        replaces=replaces,
        lines=tuple(lines),
        net_minor=net,
        vat_base_minor=base,
        vat_ppm=terms.vat_ppm,
        vat_minor=vat,
        total_minor=net + vat,
        postings=ledger.postings(entries),
    )


def credit_note(heading: Heading, original: InvoiceIssued) -> CreditNoteIssued:
    """The full reversal of an invoice: every sum and posting of it, negated."""
    return CreditNoteIssued(
        issuer=original.issuer,
        credit_note=heading.document,
        number=heading.number,
        billing=heading.billing,
        party=original.party,
        invoice=original.invoice,
        from_at=original.from_at,
        to_at=original.to_at,
        run=heading.run,
        run_number=heading.run_number,
        currency=original.currency,
        minor_digits=original.minor_digits,
        net_minor=-original.net_minor,
        vat_minor=-original.vat_minor,
        total_minor=-original.total_minor,
        postings=ledger.mirrored(original.postings),
    )


def _grouped(terms: Terms, items: Items, before: Items) -> dict[_Place, _Group]:
    """Sums what shares a line. A settlement period is priced by the tariff that holds at its beginning."""
    groups: dict[_Place, _Group] = {}
    for (period, item), found in items.items():
        if found == NOTHING and (period, item) not in before:
            continue
        tariff = tariff_at(terms.tariffs, period[0]) if item.by_tariff else None
        place = (_ORDER[item.charge], item.connection, tariff.version if tariff else 0)
        group = groups.setdefault(place, _Group(item.charge, tariff))
        group.energy_wh += found.energy_wh
        group.amount_micro += found.amount_micro
    return groups


def _line(terms: Terms, number: int, place: _Place, group: _Group) -> InvoiceLine:
    price = group.tariff.price_nano_per_kwh(group.charge) if group.tariff else 0
    # 10⁻⁹ per kWh × Wh is 10⁻¹² of the currency; accruals are owed to the party, lines charged to it.
    pico = _TARIFF_SIGN.get(group.charge, 0) * price * group.energy_wh - group.amount_micro * _PICO_PER_MICRO
    return InvoiceLine(
        number=number,
        charge=group.charge,
        connection=place[1],
        energy_wh=group.energy_wh,
        tariff_version=place[2],
        price_nano_per_kwh=price,
        amount_minor=half_up(pico, _PICO_PER_MICRO * terms.minor_in_micro),
    )


def _line_entries(terms: Terms, party: str, line: InvoiceLine, accrued_micro: int) -> list[ledger.Entry]:
    """Charges the line, clears what was accrued for it; the rest is energy at the tariff, or rounding."""
    charged_micro = line.amount_minor * terms.minor_in_micro
    rest = ledger.CONTRA[line.charge] if line.tariff_version else ledger.ROUNDING
    return [
        (ledger.receivable(party), terms.currency, charged_micro),
        (ledger.accrued(party), terms.currency, -accrued_micro),
        (rest, terms.currency, accrued_micro - charged_micro),
    ]


def _is_supply(line: InvoiceLine) -> bool:
    """Whether the line belongs to the VAT base: imbalance energy is supplied when the party pays for it."""
    return line.charge in _SUPPLIED or (line.charge is Charge.IMBALANCE and line.amount_minor > 0)
