"""The contracts of a run: what was promised in which interval, and on which terms."""

from dataclasses import dataclass

from domain.calculation import Inputs, Row
from domain.settlement.known import InputMissing, Period, grouped
from schemas.values import DeliveryMode

_CONCLUDED = "concluded"


@dataclass(frozen=True, slots=True)
class Promised:
    """A contract's quantity in one interval; `terms` is the contract, of which one end or both are in the area."""

    terms: Row
    quantity_wh: int
    seller_inside: bool
    buyer_inside: bool

    @property
    def contract(self) -> str:
        """The contract's id."""
        contract: str = self.terms["contract"]
        return contract

    @property
    def seller_gets_nano_per_kwh(self) -> int:
        """The price of the seller; the buyer's is the contract's."""
        gets: int | None = self.terms["seller_price_nano_per_kwh"]
        price: int = self.terms["price_nano_per_kwh"]
        return price if gets is None else gets

    @property
    def entering_wh(self) -> int:
        """What it brings into the area: out of it is below 0, and between two ends in it 0."""
        return self.quantity_wh * (self.buyer_inside - self.seller_inside)

    def ends(self) -> list[str]:
        """The connections in the area."""
        sides = (("seller", self.seller_inside), ("buyer", self.buyer_inside))
        return [self.terms[f"{side}_connection"] for side, inside in sides if inside]


@dataclass(frozen=True, slots=True)
class Promises:
    """What is promised in one interval, by delivery mode, in order of the contracts' ids."""

    firm: list[Promised]
    as_delivered: list[Promised]


def promises(inputs: Inputs, area: str, period: Period, currency: str) -> list[Promises]:
    """The promises of every interval of the period to which a connection of the area is an end.

    Of each contract the newest version known at the cut-off counts; a cancelled one promises nothing.

    Raises:
        InputMissing: a contract in another currency or on another grid than the run's, or one that is
            settled as delivered although its ends are in two areas and no run sees both meters.
    """
    found = [Promises([], []) for _ in range(period.count)]
    for contract, versions in grouped(inputs["contracts"], "contract").items():
        terms = max(versions, key=lambda row: row["version"])
        seller_zone = terms["zone"]
        buyer_zone = terms["buyer_zone"] or seller_zone
        if terms["state"] != _CONCLUDED or area not in (seller_zone, buyer_zone):
            continue
        start = period.index_of(terms["first_start_at"])
        if start is None or terms["interval_min"] != period.interval_min:
            raise InputMissing("contract_interval", contract)
        if terms["currency"] != currency:
            raise InputMissing("contract_currency", contract)
        firm = terms["delivery_mode"] == DeliveryMode.FIRM
        if not firm and seller_zone != buyer_zone:
            raise InputMissing("contract_delivery_mode", contract)
        for interval, quantity in enumerate(terms["quantity_wh"], start):
            if quantity and 0 <= interval < period.count:
                promised = Promised(terms, quantity, seller_zone == area, buyer_zone == area)
                (found[interval].firm if firm else found[interval].as_delivered).append(promised)
    return found
