"""The contracts of a run: what was promised in which interval, and on which terms."""

from dataclasses import dataclass

from domain.calculation import Inputs, Row
from domain.settlement.known import InputMissing, Period
from schemas.values import DeliveryMode


@dataclass(frozen=True, slots=True)
class Promised:
    """A contract's quantity in one interval; `terms` is the contract."""

    terms: Row
    quantity_wh: int

    @property
    def contract(self) -> str:
        """The contract's id."""
        contract: str = self.terms["contract"]
        return contract


@dataclass(frozen=True, slots=True)
class Promises:
    """What is promised in one interval, by delivery mode, in order of the contracts' ids."""

    firm: list[Promised]
    as_delivered: list[Promised]


def promises(inputs: Inputs, period: Period, currency: str) -> list[Promises]:
    """The promises of every interval of the period.

    Raises:
        InputMissing: a contract in another currency or on another grid than the run's.
    """
    found = [Promises([], []) for _ in range(period.count)]
    for row in sorted(inputs["contracts"], key=lambda row: row["contract"]):
        contract = row["contract"]
        start = period.index_of(row["first_start_at"])
        if start is None or row["interval_min"] != period.interval_min:
            raise InputMissing("contract_interval", contract)
        if row["currency"] != currency:
            raise InputMissing("contract_currency", contract)
        firm = row["delivery_mode"] == DeliveryMode.FIRM
        for interval, quantity in enumerate(row["quantity_wh"], start):
            if quantity and 0 <= interval < period.count:
                promised = found[interval]
                (promised.firm if firm else promised.as_delivered).append(Promised(row, quantity))
    return found
