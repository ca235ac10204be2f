"""Any day of a mandate: what a forecast says is ordered or named as skipped, and no day costs more than its budget."""

import random
from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.market.events import OrderAccepted, OrderAmended, OrderCancelled, OrdersCancelled, TradeMade
from schemas.market.mandate_commands import GrantMandate, PauseMandate, RecordForecast, ResumeMandate, RevokeMandate
from schemas.market.mandate_events import ForecastRecorded, MandateApplied, MandateGranted, MandateTerms
from schemas.market.reasons import MarketRefusal
from schemas.market.rules import CreditRules
from schemas.values import Side
from tests.unit.given import MINUTE
from tests.unit.market.world import CENT, NOON, QUARTER, buy, open_market, sell, submit
from tests.unit.written import rebuilt

MIDNIGHT = NOON + 12 * 60 * MINUTE
FIRST_START = MIDNIGHT - 2 * QUARTER
"""Of four deliveries two are of the next day."""
STARTS = [FIRST_START + n * QUARTER for n in range(4)]
FIRST = FIRST_START - 60 * MINUTE
LOT, FEE, TAX_PPM = 100, 7, 190_000
BUY_UP_TO, SELL_FROM = 12 * CENT, 10 * CENT


def cost(price: int) -> int:
    """Price and fee with the tax of both, a part of a unit is a whole one."""
    with_fee = max(0, price) + FEE
    return -(-with_fee * (10**6 + TAX_PPM) // 10**6)


class Book:
    """What a mandate has ordered and traded, told anew from the first fact."""

    def __init__(self, facts: list[Any], mandate: str) -> None:
        self.open: Counter[int] = Counter()
        self.sold: Counter[int] = Counter()
        self.spent: Counter[int] = Counter()
        self.reserved: Counter[int] = Counter()
        mine: dict[str, tuple[OrderAccepted, int]] = {}
        for fact in facts:
            match fact:
                case OrderAccepted() if fact.terms is not None and fact.terms.mandate == mandate:
                    mine[fact.order] = fact, fact.quantity_wh
                case OrderAmended() if fact.order in mine:
                    mine[fact.order] = mine[fact.order][0], fact.rest_wh
                case OrderCancelled():
                    mine.pop(fact.order, None)
                case OrdersCancelled():
                    for order in fact.orders:
                        mine.pop(order, None)
                case TradeMade():
                    self._trade(fact, mine)
                case _:
                    pass
        for order, rest in mine.values():
            buys, start = order.side is Side.BUY, order.delivery_start_at
            self.open[start] += -rest if buys else rest
            self.reserved[start >= MIDNIGHT] += rest * cost(order.limit_price_nano_per_kwh) if buys else 0

    def _trade(self, fact: TradeMade, mine: dict[str, tuple[OrderAccepted, int]]) -> None:
        for order, rest, sign in ((fact.buy_order, fact.buy_rest_wh, -1), (fact.sell_order, fact.sell_rest_wh, 1)):
            if order in mine:
                mine[order] = mine[order][0], rest
                start = fact.delivery_start_at
                self.sold[start] += sign * fact.quantity_wh
                if sign < 0:
                    self.spent[start >= MIDNIGHT] += fact.quantity_wh * cost(fact.price_nano_per_kwh)


class MandateDay:
    """Dan's mandate, and ann and bob who trade."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.market = open_market("ann", "bob", "dan", at=FIRST, intervals=1, credit=CreditRules(FEE, TAX_PPM, 0, 0, 0))
        session = self.market.facts[1]
        self.market.given(type(session)("m", "z", FIRST_START, 4, 15, 1))
        self.budget = draw.choice((50_000, 150_000, 10**7))
        self.version = 0
        self.seen: Counter[str] = Counter()
        self.grant()

    def grant(self) -> None:
        covers = self.draw.choice((0, 0, STARTS[1]))
        self.terms = MandateTerms(BUY_UP_TO, SELL_FROM, self.budget, covers)
        granted = self.market.when(GrantMandate("dan", "dan-cp", self.terms), "dan")[-1]
        if type(granted) is MandateGranted:
            self.mandate = granted.mandate

    def order(self) -> None:
        draw, party = self.draw, self.draw.choice(("ann", "bob"))
        how, cents = draw.choice(((sell, 8), (sell, 11), (sell, 13), (buy, 9), (buy, 11)))
        submit(self.market, how(party, draw.choice((0.2, 0.5, 1)), cents, start=draw.choice(STARTS)))

    def forecast(self) -> None:
        row = tuple(self.draw.choice((-1_250, -600, -300, 0, 50, 700, 1_240)) for _ in STARTS)
        self.version += self.draw.choice((1, 1, 1, 0))
        wish = RecordForecast(self.mandate, STARTS[0], row, max(1, self.version))
        self.applies(self.market.when(wish, "dan"))

    def applies(self, facts: list[Any]) -> None:
        """Ordered as the forecast says, or skipped by name; the budget is spent in the order of the deliveries."""
        found = [fact for fact in facts if type(fact) is MandateApplied]
        if not found:
            return
        [applied], before = found, self.market.facts[: len(self.market.facts) - len(facts)]
        row = next(f for f in reversed(self.market.facts) if type(f) is ForecastRecorded).energy_wh
        was, now = Book(before, self.mandate), Book(self.market.facts, self.mandate)
        left = {day: self.budget * 10**6 - was.spent[day] for day in (False, True)}
        for start, energy in zip(STARTS, row, strict=True):
            skipped = [
                (wh, why)
                for at, wh, why in zip(applied.skipped_at, applied.skipped_wh, applied.reasons, strict=True)
                if at == start
            ]
            self.seen.update(why.value for _, why in skipped)
            if any(why is MarketRefusal.GATE_CLOSED for _, why in skipped):
                continue
            delta = energy - was.sold[start]
            wanted = abs(delta) // LOT * LOT * (1 if delta > 0 else -1)
            named = sum(wh for wh, why in skipped if why is not MarketRefusal.OUTSIDE_MANDATE)
            outside = any(why is MarketRefusal.OUTSIDE_MANDATE for _, why in skipped)
            assert outside is (bool(wanted) and start < self.terms.valid_from)
            ordered = 0 if outside else wanted - named
            assert now.sold[start] + now.open[start] == was.sold[start] + ordered
            if wanted < 0 and not outside:
                day, each = start >= MIDNIGHT, cost(BUY_UP_TO)
                cut = -sum(wh for wh, why in skipped if why is MarketRefusal.BUDGET_EXCEEDED)
                allowed = -wanted - cut
                assert allowed == min(-wanted, max(0, left[day]) // (each * LOT) * LOT)
                left[day] -= allowed * each

    def pause(self) -> None:
        self.market.when(PauseMandate(self.mandate), "dan")

    def resume(self) -> None:
        self.applies(self.market.when(ResumeMandate(self.mandate), "dan"))

    def revoke(self) -> None:
        self.market.when(RevokeMandate(self.mandate), "dan")
        assert Book(self.market.facts, self.mandate).open.total() == 0
        self.version = 0
        self.grant()

    def wait(self) -> None:
        self.market.later(self.market.at + self.draw.choice((2, 10, 20)) * MINUTE)

    def holds(self) -> None:
        book = Book(self.market.facts, self.mandate)
        for day in (False, True):
            assert book.spent[day] + book.reserved[day] <= self.budget * 10**6, "the budget of a day"


WISHES = [("order", 8), ("forecast", 6), ("pause", 1), ("resume", 2), ("revoke", 0.5), ("wait", 2)]


def mandate_day(seed: int, steps: int = 40) -> MandateDay:
    day = MandateDay(random.Random(seed))
    for _ in range(steps):
        (name,) = day.draw.choices([name for name, _ in WISHES], [weight for _, weight in WISHES])
        getattr(day, name)()
        day.market.later(day.market.at)
        day.holds()
    return day


@settings(max_examples=30)
@given(st.integers(0, 2**32))
def test_a_day_of_a_mandate_is_that_of_its_forecasts(seed: int) -> None:
    day = mandate_day(seed)
    assert rebuilt(day.market) == day.market.state


def test_enough_is_skipped_on_such_days() -> None:
    seen = sum((mandate_day(seed).seen for seed in range(10)), Counter())
    assert seen.keys() >= {"budget_exceeded", "outside_mandate", "gate_closed"}
