"""What is settled with a party, summed as its documents need it."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from schemas.billing.events import AccruedLine, Charge
from schemas.values import PRICED_AS_IMBALANCE

Period = tuple[int, int]
"""Delivery times [from, to) in UTC µs: of a settlement run, or of a billing."""


class Item(NamedTuple):
    """What a party's accruals are kept by within a settlement period."""

    charge: Charge
    connection: str
    by_tariff: bool


class Accrued(NamedTuple):
    """The sum of the differences that settlement runs made; `amount_micro` > 0 is owed to the party."""

    energy_wh: int
    amount_micro: int


NOTHING: Final = Accrued(0, 0)

Items = dict[tuple[Period, Item], Accrued]
"""A party's accruals over the settlement periods of a billing."""


@dataclass(slots=True)
class PeriodAccruals:
    """One party's accruals of one settlement period, and the run that spoke last (`order` counts them)."""

    items: dict[Item, Accrued] = field(default_factory=dict)
    run: str = ""
    run_number: int = 0
    order: int = 0

    def add(self, line: AccruedLine) -> None:
        """Takes the difference of one line in."""
        item = item_of(line)
        before = self.items.get(item, NOTHING)
        self.items[item] = Accrued(before.energy_wh + line.energy_wh, before.amount_micro + line.amount_micro)


def item_of(line: AccruedLine) -> Item:
    """Where a line is kept: residual and surplus are priced by the tariff, unless an imbalance line pays them."""
    tariff_charge = line.charge in (Charge.RESIDUAL, Charge.SURPLUS)
    return Item(line.charge, line.connection, tariff_charge and line.reference != PRICED_AS_IMBALANCE)


def overlaps(one: Period, other: Period) -> bool:
    """Whether the two have a delivery time in common."""
    return one[0] < other[1] and other[0] < one[1]


def contains(outer: Period, inner: Period) -> bool:
    """Whether every delivery time of `inner` is one of `outer`."""
    return outer[0] <= inner[0] and inner[1] <= outer[1]


def differ(now: Items, billed: Items) -> bool:
    """Whether something other than nothing came or went."""
    return {k: v for k, v in now.items() if v != NOTHING} != {k: v for k, v in billed.items() if v != NOTHING}
