"""Any day of sales, resales, purchases and moved allotments: every verdict is that of the naive rule, to the Wh."""

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.equipment import StoredEnergy
from schemas.market.capability_commands import LowerCapability
from schemas.market.capability_events import CapabilityRetained
from schemas.market.commands import AmendOrder, CancelOrder, RecordCapability, SettleDelivery
from schemas.market.events import CommandRefused, OrderAccepted, SessionOpened
from schemas.values import Side
from tests.unit.given import MINUTE
from tests.unit.market.naive_capability import NaiveCapability, Told
from tests.unit.market.test_capability import HOURS
from tests.unit.market.world import EURO_MICRO, MARKET, NOON, POLICY, QUARTER, joined, open_market, order, submit
from tests.unit.written import rebuilt

STARTS = [NOON + n * QUARTER for n in range(8)]
BOOKS = [(start, 15) for start in STARTS] + [(STARTS[0], 30), (STARTS[2], 30), (STARTS[0], 60), (STARTS[4], 60)]
FIRST = NOON - 60 * MINUTE
MOVES = [
    ("trade", 14),
    ("charge", 4),
    ("cancel", 3),
    ("amend", 3),
    ("allot", 2),
    ("lower", 2),
    ("wait", 2),
    ("settle", 1),
]


class CapabilityDay:
    """Bob sells and buys with ann, who may sell any amount; the site gives and takes back."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.market = open_market(at=FIRST, intervals=8, trading=HOURS, gate_lead_min=2)
        for minutes in (30, 60):
            self.market.given(SessionOpened(MARKET, "z", NOON, 120 // minutes, minutes, 1))
        for party, watts in (("ann", 10**6), ("bob", 6_000)):
            self.market.given(*joined(party, watts, 10**6 * EURO_MICRO))
        self.naive = NaiveCapability("bob", STARTS, 6_000)
        self.naive.facts = self.market.facts
        self.mine: list[OrderAccepted] = []
        self.verdicts: list[str] = []
        self.allot()

    def verdict(self, fact: Any, expected: tuple[str, int, int] | None) -> None:
        found = (fact.reason.value, fact.limit, fact.found) if type(fact) is CommandRefused else None
        if found is None or found[0] not in ("gate_closed", "instrument_unknown"):
            assert found == expected
        self.verdicts.append(found[0] if found else "accepted")

    def trade(self) -> None:
        draw, (start, minutes) = self.draw, self.draw.choice(BOOKS)
        party, side = draw.choice(("bob", "bob", "ann")), draw.choice(tuple(Side))
        lots, cents = draw.choice((1, 2, 4, 7, 12)), draw.choice((9, 10, 10, 11))
        wish = order(party, side, lots * minutes / 150, cents, start=start, duration_min=minutes)
        counts = party == "bob" and side is Side.SELL
        expected = self.naive.refuses_sale(start, minutes, wish.quantity_wh) if counts else None
        fact = submit(self.market, wish)[0]
        self.verdict(fact, expected)
        if type(fact) is OrderAccepted and party == "bob":
            self.mine.append(fact)

    def charge(self) -> None:
        """Bob buys of ann, what a storage may take in."""
        start, kwh = self.draw.choice(STARTS[:4]), self.draw.choice((0.2, 0.5, 0.7))
        for party, side, cents in (("ann", Side.SELL, 8), ("bob", Side.BUY, 12)):
            self.verdict(submit(self.market, order(party, side, kwh, cents, start=start))[0], None)

    def one(self) -> OrderAccepted | None:
        open_ = [fact for fact in self.mine if fact.order in self.market.state.orders]
        return self.draw.choice(open_) if open_ else None

    def cancel(self) -> None:
        if (placed := self.one()) is not None:
            self.market.when(CancelOrder(placed.order), "bob")

    def amend(self) -> None:
        """More of a sale is judged as a sale of the difference."""
        if (placed := self.one()) is None:
            return
        held = self.market.state.orders[placed.order]
        rest = self.draw.choice((1, 3, 6, 9)) * 100 * placed.interval_min // 15
        more = rest - held.rest_wh
        expected = None
        if more > 0 and not held.buys:
            expected = self.naive.refuses_sale(placed.delivery_start_at, placed.interval_min, more)
        wish = AmendOrder(placed.order, rest, held.limit_price_nano_per_kwh, None)
        if more:
            self.verdict(self.market.when(wish, "bob")[0], expected)

    def told(self) -> Told:
        draw = self.draw
        first, last = sorted(draw.sample(range(9), 2))
        window = draw.choice(((None, None), (None, None), (STARTS[0] + first * QUARTER, STARTS[0] + last * QUARTER)))
        watts, stored = draw.choice((0, 2_000, 4_000, 6_000, 7_001)), None
        if draw.random() < 0.7:
            at, inside = max(self.market.at, draw.choice((0, STARTS[2]))), draw.choice((300, 600, 1_000))
            efficiency = draw.choice(((1_000_000, 1_000_000), (900_000, 950_000)))
            stored = StoredEnergy(
                at, inside, 2_000, *efficiency, draw.choice((0, 2_000, 4_000)), draw.choice((0, 0, 1_000))
            )
        return Told(watts, *window, stored)

    def allot(self) -> None:
        told = self.told()
        kept = self.naive.keeps(told, self.market.at)
        terms = {"valid_from": told.from_at, "valid_to": told.to_at, "stored": told.stored}
        [fact] = self.market.when(RecordCapability("bob-cp", "bob", told.watts, ("pv",), "z", **terms), POLICY)
        self.verdict(fact, None if kept is None else ("capability_in_use", *kept[1:]))
        if kept is None:
            self.naive.told.append(told)

    def lower(self) -> None:
        told = self.told()
        kept = self.naive.keeps(told, self.market.at)
        rest = told.from_at, told.to_at, (), told.stored
        [fact] = self.market.when(LowerCapability("r", "bob-cp", "bob", told.watts, ("pv",), *rest), POLICY)
        retained = type(fact) is CapabilityRetained
        assert ((fact.delivery_start_at, fact.limit, fact.found) if retained else None) == kept
        self.verdicts.append("retained" if retained else "lowered")
        if kept is None:
            self.naive.told.append(told)

    def wait(self) -> None:
        self.market.later(self.market.at + self.draw.choice((5, 15, 30)) * MINUTE)

    def settle(self) -> None:
        over = (self.market.at - NOON) // QUARTER
        if over > 0:
            self.market.when(SettleDelivery(NOON, NOON + over * QUARTER), POLICY)

    def holds(self) -> None:
        self.market.later(self.market.at)
        for start, slot in self.market.state.slots.items():
            assert slot.used_wh.get("bob-cp", 0) == self.naive.used(start)


def capability_day(seed: int, steps: int = 50) -> CapabilityDay:
    day = CapabilityDay(random.Random(seed))
    for _ in range(steps):
        (name,) = day.draw.choices([name for name, _ in MOVES], [weight for _, weight in MOVES])
        getattr(day, name)()
        day.holds()
    return day


@settings(max_examples=40)
@given(st.integers(0, 2**32))
def test_a_day_of_sales_is_judged_as_the_oracle_does(seed: int) -> None:
    day = capability_day(seed)
    assert rebuilt(day.market) == day.market.state


def test_enough_is_judged_on_such_days() -> None:
    verdicts = {verdict for seed in range(12) for verdict in capability_day(seed).verdicts}
    assert verdicts >= {
        "accepted",
        "capability_exceeded",
        "storage_exceeded",
        "capability_in_use",
        "retained",
        "lowered",
    }
