"""Any day of energy products: who may do what with them, which orders fit, and which end with them, by plain rules."""

import random
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.market.commands import AmendOrder
from schemas.market.events import CommandRefused, OrderAccepted, OrdersCancelled, OrderTerms, SessionOpened, TradeMade
from schemas.market.product_commands import (
    AmendProduct,
    RegisterProduct,
    ResumeProduct,
    RetireProduct,
    SuspendProduct,
    VerifyProduct,
)
from schemas.market.product_events import ProductTerms
from schemas.market.reasons import CancelReason, MarketRefusal
from schemas.values import Side
from tests.unit.given import MINUTE
from tests.unit.market.offered import roofed, terms
from tests.unit.market.test_capability import HOURS
from tests.unit.market.world import CENT, MARKET, NOON, OPERATOR, QUARTER, order, submit
from tests.unit.written import rebuilt

R = MarketRefusal
BOOKS = [(NOON + n * QUARTER, 15) for n in range(4)] + [(NOON, 30), (NOON, 60)]
DOES = [("order", 14), ("amend_order", 2), ("register", 2), ("verify", 5), ("amend", 2), ("switch", 2), ("wait", 1)]
KINDS = (*(SuspendProduct, ResumeProduct, ResumeProduct) * 2, RetireProduct)


@dataclass
class Held:
    """A product as it stands."""

    terms: ProductTerms
    version: int = 1
    verified: bool = False
    suspended_by: str | None = None
    retired: bool = False

    def allows(self, start: int) -> int:
        """Wh of one quarter-hour: by the power and by the schedule where there is one."""
        if not self.terms.schedule_wh:
            return self.terms.max_power_w // 4
        row = {self.terms.schedule_from_at + n * QUARTER: wh for n, wh in enumerate(self.terms.schedule_wh)}
        return min(self.terms.max_power_w // 4, row.get(start, 0))


@dataclass
class Placed:
    """An order that stands, and the product that it names."""

    start: int
    minutes: int
    rest: int
    price: int
    product: str | None
    expires: int | None


class ProductDay:
    """Bob's products, and orders that name them."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.market = roofed("ann", "cyd", trading=HOURS)
        for minutes in (30, 60):
            self.market.given(SessionOpened(MARKET, "z", NOON, 60 // minutes, minutes, 1))
        self.held: dict[str, Held] = {}
        self.placed: dict[str, Placed] = {}
        self.heard = 0
        self.leaving: dict[str, CancelReason] = {}
        self.said: set[str] = set()
        roof = terms(electrical=None, schedule_wh=(), lowest_price_nano_per_kwh=0)
        self.market.when(RegisterProduct("roof", roof), "bob")
        self.market.when(VerifyProduct("roof", 1), OPERATOR)
        self.held["roof"] = Held(roof, verified=True)

    def judged(self, facts: list[Any], expected: MarketRefusal | None) -> bool:
        """Whether it was done; the product and the rules agree."""
        [first, *_] = facts
        found = first.reason if type(first) is CommandRefused else None
        assert found == expected
        self.said.add(found.value if found else type(first).__name__)
        return found is None

    def terms(self) -> ProductTerms:
        draw = self.draw
        power = draw.choice((3_000, 8_000, 8_000, 12_000))
        schedule = draw.choice(((), (), (750, 700, 500)))
        until = draw.choice((NOON + 4 * QUARTER, self.market.at + 40 * MINUTE))
        lowest = draw.choice((0, 10)) * CENT
        return terms(
            electrical=None,
            max_power_w=power,
            schedule_wh=schedule,
            lowest_price_nano_per_kwh=lowest,
            bids_until_at=until,
        )

    def name(self) -> str:
        return self.draw.choice(("roof", "roof", "barn", "shed"))

    def register(self) -> None:
        name, made = self.name(), self.terms()
        facts = self.market.when(RegisterProduct(name, made), "bob")
        if self.judged(facts, R.PRODUCT_KNOWN if name in self.held else None):
            self.held[name] = Held(made)

    def verify(self) -> None:
        draw, name = self.draw, self.name()
        held, actor = self.held.get(name), draw.choice((OPERATOR, OPERATOR, OPERATOR, "bob"))
        version = held.version - (draw.random() < 0.1) if held else 1
        reason = self._may(held, actor == OPERATOR)
        if reason is None and held is not None:
            reason = R.PRODUCT_VERSION_OLD if version != held.version else R.NOTHING_CHANGED if held.verified else None
            if reason is None and held.terms.max_power_w > 10_000:
                reason = R.POWER_ABOVE_RESOURCES
        if self.judged(self.market.when(VerifyProduct(name, version), actor), reason) and held:
            held.verified = True

    @staticmethod
    def _may(held: Held | None, allowed: bool) -> MarketRefusal | None:
        if held is None:
            return R.PRODUCT_UNKNOWN
        return R.PRODUCT_ENDED if allowed and held.retired else None if allowed else R.NOT_AUTHORISED

    def amend(self) -> None:
        name, made = self.name(), self.terms()
        held, actor = self.held.get(name), self.draw.choice(("bob", "bob", "bob", OPERATOR))
        reason = self._may(held, actor == "bob")
        if reason is None and held is not None and held.terms == made:
            reason = R.NOTHING_CHANGED
        if self.judged(self.market.when(AmendProduct(name, made), actor), reason) and held:
            held.terms, held.version, held.verified = made, held.version + 1, False
            most = made.max_power_w // 4
            self._leave(name, CancelReason.PRODUCT_AMENDED, lambda o: o.rest // (o.minutes // 15) > most)

    def switch(self) -> None:
        """Suspended by one of two, resumed by who suspended it or the operator, retired by either."""
        draw, name = self.draw, self.name()
        held, kind = self.held.get(name), draw.choice(KINDS)
        actor = draw.choice(("bob", "bob", OPERATOR, "cyd"))
        may = actor in ("bob", OPERATOR)
        if kind is ResumeProduct and held is not None:
            may = actor in (OPERATOR, held.suspended_by or "bob")
        reason = self._may(held, may)
        if reason is None and held is not None and kind is not RetireProduct:
            reason = R.NOTHING_CHANGED if (held.suspended_by is None) is (kind is ResumeProduct) else None
        if not self.judged(self.market.when(kind(name), actor), reason) or held is None:
            return
        held.retired = kind is RetireProduct
        if kind is not RetireProduct:
            held.suspended_by = actor if kind is SuspendProduct else None
        if kind is not ResumeProduct:
            self._leave(name, CancelReason.PRODUCT_ENDED, lambda _: True)

    def _leave(self, name: str, reason: CancelReason, which: Any) -> None:
        self.leaving = {o: reason for o, placed in self.placed.items() if placed.product == name and which(placed)}

    def fits(self, name: str | None, party: str, placed: Placed, buys: bool) -> MarketRefusal | None:
        """The first rule that an order breaks with the product that it names."""
        if name is None:
            return None
        held = self.held.get(name)
        if held is None or buys:
            return R.PRODUCT_UNKNOWN if held is None else R.PRODUCT_OF_A_PURCHASE
        until = placed.start - 5 * MINUTE if placed.expires is None else placed.expires
        parts = placed.minutes // 15
        for broken, reason in (
            (held.retired or held.suspended_by is not None, R.PRODUCT_ENDED),
            (not held.verified, R.PRODUCT_NOT_VERIFIED),
            (party != "bob", R.PRODUCT_OF_OTHERS),
            (until > held.terms.bids_until_at, R.PRODUCT_EXPIRED),
            (placed.price < held.terms.lowest_price_nano_per_kwh, R.PRICE_BELOW_PRODUCT),
            (
                any(placed.rest // parts > held.allows(placed.start + n * QUARTER) for n in range(parts)),
                R.QUANTITY_ABOVE_PRODUCT,
            ),
        ):
            if broken:
                return reason
        return None

    def order(self) -> None:
        draw, (start, minutes) = self.draw, self.draw.choice(BOOKS)
        party, named = (
            draw.choice((*["bob"] * 6, "cyd", "ann")),
            draw.choice((None, "roof", "roof", "roof", "barn", "shed")),
        )
        side = Side.BUY if party == "ann" else draw.choice((*[Side.SELL] * 9, Side.BUY))
        kwh, cents = draw.choice((0.2, 0.5, 0.9, 1.5)) * minutes / 15, draw.choice((5, 12, 14))
        expires = draw.choice((None, None, self.market.at + 5 * MINUTE))
        more = {"duration_min": minutes, "terms": OrderTerms(product=named), "expires_at": expires}
        wish = order(party, side, kwh, cents - (9 if side is Side.BUY and party == "bob" else 0), start=start, **more)
        placed = Placed(start, minutes, wish.quantity_wh, wish.limit_price_nano_per_kwh, named, expires)
        reason = R.GATE_CLOSED if self.market.at >= start - 5 * MINUTE else None
        self.judged(submit(self.market, wish), reason or self.fits(named, party, placed, side is Side.BUY))

    def amend_order(self) -> None:
        """Who asks for less at the same price stays under the version that he entered under."""
        mine = [o for o in self.placed if o in self.market.state.orders]
        if not mine:
            return
        name = self.draw.choice(mine)
        placed, owner = self.placed[name], self.market.state.orders[name].party
        rest = max(1, self.draw.choice((1, 4, 9, 15))) * 100 * placed.minutes // 15
        price = self.draw.choice((placed.price, placed.price, placed.price + CENT))
        if (rest, price) == (placed.rest, placed.price):
            return
        wished = Placed(placed.start, placed.minutes, rest, price, placed.product, placed.expires)
        less = rest <= placed.rest and price == placed.price
        reason = R.GATE_CLOSED if self.market.at >= placed.start - 5 * MINUTE else None
        reason = reason or (None if less else self.fits(placed.product, owner, wished, False))
        if self.judged(self.market.when(AmendOrder(name, rest, price, placed.expires), owner), reason):
            self.placed[name] = wished

    def wait(self) -> None:
        self.market.later(self.market.at + self.draw.choice((2, 6, 20)) * MINUTE)

    def hear(self) -> None:
        """What stands, and that exactly the orders that had to leave have left, for the right reason."""
        self.market.later(self.market.at)
        left: dict[str, CancelReason] = {}
        for fact in self.market.facts[self.heard :]:
            match fact:
                case OrderAccepted(side=Side.SELL):
                    named = fact.terms.product if fact.terms else None
                    what = fact.quantity_wh, fact.limit_price_nano_per_kwh, named, fact.expires_at
                    self.placed[fact.order] = Placed(fact.delivery_start_at, fact.interval_min, *what)
                case TradeMade():
                    self.placed[fact.sell_order].rest = fact.sell_rest_wh
                case OrdersCancelled() if fact.reason in (CancelReason.PRODUCT_AMENDED, CancelReason.PRODUCT_ENDED):
                    left |= dict.fromkeys(fact.orders, fact.reason)
                case _:
                    pass
        self.heard = len(self.market.facts)
        assert left == self.leaving
        self.said.update(reason.value for reason in left.values())
        self.leaving = {}
        self.placed = {o: placed for o, placed in self.placed.items() if o in self.market.state.orders}


def product_day(seed: int, steps: int = 60) -> ProductDay:
    day = ProductDay(random.Random(seed))
    for _ in range(steps):
        (name,) = day.draw.choices([name for name, _ in DOES], [weight for _, weight in DOES])
        getattr(day, name)()
        day.hear()
    return day


@settings(max_examples=60)
@given(st.integers(0, 2**32))
def test_a_day_of_products_is_that_of_the_rules(seed: int) -> None:
    day = product_day(seed)
    assert rebuilt(day.market) == day.market.state


def test_enough_happens_to_products_on_such_days() -> None:
    said = {word for seed in range(30) for word in product_day(seed).said}
    reasons = {"product_ended", "product_not_verified", "product_expired", "price_below_product", "product_version_old"}
    assert said >= {*reasons, "quantity_above_product", "power_above_resources", "product_amended"}
