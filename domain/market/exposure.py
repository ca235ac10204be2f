"""The credit rule (domain rules §1.1 rule 11): what a party could owe, as exact integers.

exposure = cost(limit) × open buys + cost(price) × unsettled purchases
         + (max(0, assumed − price) + max(0, −price)) × (open + undelivered sells)

cost(price) = max(0, price) + fee, and the tax of both, rounded up. A price in 10⁻⁹ units per kWh times Wh is 10⁻¹²
units (`pico`). Every term is at least 0: receivables count nothing and nothing nets, neither within a delivery day
nor between two. A trade is never at a worse price than the limit, so matching only ever releases.
"""

from dataclasses import dataclass
from typing import Final

from schemas.market.events import RuleSet
from schemas.market.rules import CreditRules

PICO_PER_MICRO: Final = 10**6

_MILLION: Final = 10**6


@dataclass(slots=True)
class Account:
    """A party's allotted credit and what is in use of it; both are kept, never recomputed."""

    limit_micro: int = 0
    exposure_pico: int = 0


def bought_pico_per_wh(price_nano_per_kwh: int, rules: CreditRules | None) -> int:
    """What a bought Wh, open or unpaid, counts with fee and tax. A negative price creates no credit."""
    price = price_nano_per_kwh if price_nano_per_kwh > 0 else 0
    if rules is None:
        return price
    cost = price + rules.fee_nano_per_kwh
    return cost - (-cost * rules.tax_ppm // _MILLION)


def sold_pico_per_wh(price_nano_per_kwh: int, assumed_nano_per_kwh: int) -> int:
    """What a sold Wh, open or undelivered, counts: its replacement at the assumed price, and a negative price."""
    shortfall = assumed_nano_per_kwh - price_nano_per_kwh if price_nano_per_kwh < assumed_nano_per_kwh else 0
    return shortfall - price_nano_per_kwh if price_nano_per_kwh < 0 else shortfall


def open_pico_per_wh(rules: RuleSet, buys: bool, price_nano_per_kwh: int) -> int:
    """What an open Wh of an order at this limit counts."""
    if buys:
        return bought_pico_per_wh(price_nano_per_kwh, rules.credit)
    return sold_pico_per_wh(price_nano_per_kwh, rules.assumed_price_nano_per_kwh)


def fits(account: Account | None, needed_pico: int) -> bool:
    """Whether the party may be exposed by this much more; without an allotment the limit is 0."""
    if account is None:
        return needed_pico <= 0
    return account.exposure_pico + needed_pico <= account.limit_micro * PICO_PER_MICRO


def exposed_micro(account: Account | None, needed_pico: int) -> int:
    """The exposure there would be, rounded up, for the answer to a refused wish."""
    in_use = account.exposure_pico if account else 0
    return -(-(in_use + needed_pico) // PICO_PER_MICRO)
