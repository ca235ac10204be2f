"""Flat tariffs of an issuer, in versions, effective from a delivery time on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from schemas.billing.events import Charge


@dataclass(frozen=True, slots=True)
class Tariff:
    """One version. Prices in 10⁻⁹ currency units per kWh."""

    version: int
    residual_price_nano_per_kwh: int
    surplus_price_nano_per_kwh: int
    valid_from: int

    def price_nano_per_kwh(self, charge: Charge) -> int:
        """What the issuer takes for residual, or pays for surplus."""
        return self.residual_price_nano_per_kwh if charge is Charge.RESIDUAL else self.surplus_price_nano_per_kwh


def tariff_at(tariffs: Sequence[Tariff], at: int) -> Tariff | None:
    """The tariff of a delivery at `at`: the last in effect by then; of several from one time on the newest."""
    held = [t for t in tariffs if t.valid_from <= at]
    return max(held, key=lambda t: (t.valid_from, t.version), default=None)


def last_repriced(tariffs: Sequence[Tariff], valid_from: int, priced: Iterable[int]) -> int | None:
    """The last delivery time in `priced` whose tariff a new version from `valid_from` on would replace.

    An invoice is frozen: what one of them prices keeps its tariff. A version that fills a gap before
    later ones replaces nothing after them.
    """
    following = [t.valid_from for t in tariffs if t.valid_from > valid_from]
    replaced = (at for at in priced if at >= valid_from and all(at < later for later in following))
    return max(replaced, default=None)
