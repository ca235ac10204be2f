"""The issuer's books: which accounts there are, and the one place where postings are made.

Debit is positive, credit negative, in 10⁻⁶ of a currency (money, or energy points in `POINT`):

* `receivable:<party>`: what documents charge to the party (negative: what the issuer owes to it);
* `accrued:<party>`: what posted settlement runs say the party owes and no document shows yet; zero
  once the party is billed;
* `sharing`, `clearing:contracts`, `imbalance`, `response`: the other side of accruals, by the charge.
  Contracts clear to zero, between two areas once both are settled; what stays in `sharing` is the
  community's pot (consumer less producer price);
* `revenue:price_differences`: what buyers pay more than sellers get under contracts with two prices, by lines between
  zones or by an auction's rule (a debit where sellers get more);
* `revenue:energy`, `expense:energy`: residual sold and surplus bought at the issuer's tariff;
* `vat`: owed to the tax office; `rounding`: accruals of 10⁻⁶ against documents in minor units;
* `points:<party>`, `points:pool`: energy points; a party's points are a credit on its account.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from schemas.billing.events import AccruedLine, Charge, Posting

POINT: Final = "POINT"
"""The currency of energy points."""

VAT: Final = "vat"
ROUNDING: Final = "rounding"
POINTS_POOL: Final = "points:pool"
PRICE_DIFFERENCES: Final = "revenue:price_differences"

CONTRA: Final[Mapping[Charge, str]] = {
    Charge.SHARED_CONSUMPTION: "sharing",
    Charge.SHARED_PRODUCTION: "sharing",
    Charge.DELIVERED_PURCHASE: "clearing:contracts",
    Charge.DELIVERED_SALE: "clearing:contracts",
    Charge.RESIDUAL: "revenue:energy",
    Charge.SURPLUS: "expense:energy",
    Charge.IMBALANCE: "imbalance",
    Charge.RESPONSE: "response",
    Charge.PRICE_DIFFERENCE: "clearing:contracts",
}
"""The account against which a charge is booked."""

Entry = tuple[str, str, int]
"""Account, currency, amount in 10⁻⁶ (debit > 0)."""


def receivable(party: str) -> str:
    """The account of what documents charge to the party."""
    return f"receivable:{party}"


def accrued(party: str) -> str:
    """The account of what is settled with the party and not billed yet."""
    return f"accrued:{party}"


def points_of(party: str) -> str:
    """The account of the party's energy points."""
    return f"points:{party}"


def postings(entries: Iterable[Entry]) -> tuple[Posting, ...]:
    """One posting per currency and account, in their order; accounts that nothing moves are left out.

    Every posting of this family is made here: the entries must sum to zero per currency, anything else
    is our own mistake.
    """
    sums: dict[tuple[str, str], int] = {}
    balance: dict[str, int] = {}
    for account, currency, amount_micro in entries:
        sums[currency, account] = sums.get((currency, account), 0) + amount_micro
        balance[currency] = balance.get(currency, 0) + amount_micro
    assert not any(balance.values()), f"postings must sum to zero per currency, found {balance}"
    return tuple(
        Posting(account, currency, amount_micro)
        for (currency, account), amount_micro in sorted(sums.items())
        if amount_micro
    )


def accruals(lines: Iterable[AccruedLine], currency: str) -> tuple[Posting, ...]:
    """Books settlement lines: money owed to a party is a credit on its accrued account, points likewise.

    A price difference is the issuer's own: no document will show it.
    """
    entries: list[Entry] = []
    for line in lines:
        kept = line.charge is Charge.PRICE_DIFFERENCE
        entries.append((PRICE_DIFFERENCES if kept else accrued(line.party), currency, -line.amount_micro))
        entries.append((CONTRA[line.charge], currency, line.amount_micro))
        entries.append((points_of(line.party), POINT, -line.points_micro))
        entries.append((POINTS_POOL, POINT, line.points_micro))
    return postings(entries)


def mirrored(original: Sequence[Posting]) -> tuple[Posting, ...]:
    """The exact reversal."""
    return postings((p.account, p.currency, -p.amount_micro) for p in original)
