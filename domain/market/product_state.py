"""What is kept of an energy product, and what of an order fits it."""

from collections.abc import Container
from dataclasses import dataclass, field
from typing import Final

from domain.market.capability import Slot, capability_wh
from schemas.market.product_events import ProductTerms
from schemas.market.reasons import CancelReason
from schemas.values import MINUTE_US

_FORGET_BEYOND: Final = 64


@dataclass(slots=True)
class Product:
    """A product in its newest version. `orders` are those that name it, with the ended ones among them for a while.

    `leaving` are orders that the market is about to cancel for `reason`.
    """

    product: str
    party: str
    version: int
    interval_min: int
    terms: ProductTerms
    verified: bool = False
    suspended_by: str | None = None
    retired: bool = False
    orders: dict[str, None] = field(default_factory=dict)
    forget_at: int = _FORGET_BEYOND
    leaving: tuple[str, ...] = ()
    reason: CancelReason = CancelReason.PRODUCT_ENDED

    def allowed_wh(self, slot: Slot) -> int:
        """How much of one settlement interval an order may sell: by the power, and by the schedule where there is one.

        Outside of its schedule a product sells nothing.
        """
        terms = self.terms
        power_wh = capability_wh(terms.max_power_w, slot.interval_min)
        if not terms.schedule_wh:
            return power_wh
        place, off = divmod(slot.start_at - terms.schedule_from_at, self.interval_min * MINUTE_US)
        if off or not 0 <= place < len(terms.schedule_wh):
            return 0
        return min(power_wh, terms.schedule_wh[place])

    def enter(self, order: str, open_: Container[str]) -> None:
        """For `evolve`: an order names the product; every now and then those that ended are forgotten."""
        if len(self.orders) >= self.forget_at:
            self.orders = {name: None for name in self.orders if name in open_}
            self.forget_at = 2 * len(self.orders) + _FORGET_BEYOND
        self.orders[order] = None
