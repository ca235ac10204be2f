"""Energy products (Y.2072 8.2.1, 7.4; domain rules §2): registered, verified, amended, suspended, retired.

A product is tradable once the operator verified its newest version against the resources that sites allotted to the
market. An amendment is a new version, to be verified again. Open orders keep the version under which they were entered
until the gate; those that ask for more power than the new version has are cancelled by the market, and so are all when
the product is suspended or retired.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final, assert_never

from domain.electrical import allowed_power_w
from domain.market.book import Order
from domain.market.capability import capability_wh
from domain.market.gates import cancelled_together
from domain.market.leaving import is_frozen, leave_later
from domain.market.network import zones_of
from domain.market.product_state import Product
from domain.market.refusal import Refusal, refused
from domain.market.state import MAX_INTERVALS, Connection, Market
from domain.market.timers import AT_ONCE, PRODUCT, Ahead, Timed, Timer
from domain.market.validation import refuse_price
from schemas.envelope import Command, Moment
from schemas.equipment import EnergyCarrier, Equipment
from schemas.market.events import CommandRefused, OrdersCancelled
from schemas.market.product_commands import (
    AmendProduct,
    RegisterProduct,
    ResumeProduct,
    RetireProduct,
    SuspendProduct,
    VerifyProduct,
)
from schemas.market.product_events import (
    ProductAmended,
    ProductRegistered,
    ProductResumed,
    ProductRetired,
    ProductSuspended,
    ProductTerms,
    ProductVerified,
)
from schemas.market.reasons import CancelReason, MarketRefusal
from schemas.values import MINUTE_US

MAX_MEMBERS: Final = 500
"""Resources of one product: an array in a fact holds no more."""

OUTCOMES: Final[Mapping[type, tuple[type, ...]]] = {
    RegisterProduct: (ProductRegistered, CommandRefused),
    VerifyProduct: (ProductVerified, CommandRefused),
    AmendProduct: (ProductAmended, CommandRefused),
    SuspendProduct: (ProductSuspended, CommandRefused),
    ResumeProduct: (ProductResumed, CommandRefused),
    RetireProduct: (ProductRetired, CommandRefused),
}
FACTS: Final = (
    ProductRegistered,
    ProductVerified,
    ProductAmended,
    ProductSuspended,
    ProductResumed,
    ProductRetired,
)

Wish = RegisterProduct | VerifyProduct | AmendProduct | SuspendProduct | ResumeProduct | RetireProduct
Fact = ProductRegistered | ProductVerified | ProductAmended | ProductSuspended | ProductResumed | ProductRetired


def decide(state: Market, command: Command[Any], now: Moment) -> list[Any]:
    """What was wished for, or the first rule that forbids it."""
    wish: Wish = command.body
    actor = command.meta.actor
    held = state.products.get(wish.product)
    refusal = _refuse(state, held, wish, actor, now)
    if refusal is not None:
        return refused(wish, wish.product, actor if held is None else held.party, refusal)
    if isinstance(wish, RegisterProduct):
        interval_min = state.rules[-1].rules.interval_min
        return [ProductRegistered(state.market, wish.product, actor, 1, interval_min, wish.terms)]
    assert held is not None, "a wish about an unknown product is refused"
    match wish:
        case VerifyProduct():
            return [ProductVerified(state.market, wish.product, held.party, held.version)]
        case AmendProduct():
            interval_min, version = state.rules[-1].rules.interval_min, held.version + 1
            return [ProductAmended(state.market, wish.product, held.party, version, interval_min, wish.terms)]
        case SuspendProduct():
            return [ProductSuspended(state.market, wish.product, held.party, actor)]
        case ResumeProduct():
            return [ProductResumed(state.market, wish.product, held.party)]
        case RetireProduct():
            return [ProductRetired(state.market, wish.product, held.party)]
        case _:
            assert_never(wish)


def _refuse(state: Market, held: Product | None, wish: Wish, actor: str, now: Moment) -> Refusal | None:
    if not state.rules:
        return Refusal(MarketRefusal.MARKET_UNKNOWN)
    if isinstance(wish, RegisterProduct):
        return _refuse_registration(state, held, wish, actor, now)
    if held is None:
        return Refusal(MarketRefusal.PRODUCT_UNKNOWN)
    if not _may(state, held, wish, actor):
        return Refusal(MarketRefusal.NOT_AUTHORISED)
    if held.retired:
        return Refusal(MarketRefusal.PRODUCT_ENDED)
    if isinstance(wish, VerifyProduct) and wish.version != held.version:
        return Refusal(MarketRefusal.PRODUCT_VERSION_OLD, held.version, wish.version)
    if isinstance(wish, AmendProduct | ResumeProduct) and held.party not in state.participants:
        return Refusal(state.why_not(held.party))
    if _changes_nothing(held, wish):
        return Refusal(MarketRefusal.NOTHING_CHANGED)
    if isinstance(wish, VerifyProduct):
        return _finding(state, held.terms)
    return _terms(state, wish.terms, now) if isinstance(wish, AmendProduct) else None


def _refuse_registration(
    state: Market, held: Product | None, wish: RegisterProduct, actor: str, now: Moment
) -> Refusal | None:
    if held is not None:
        return Refusal(MarketRefusal.PRODUCT_KNOWN)
    if actor not in state.participants:
        return Refusal(state.why_not(actor))
    return _terms(state, wish.terms, now)


def _changes_nothing(held: Product, wish: Wish) -> bool:
    match wish:
        case VerifyProduct():
            return held.verified
        case AmendProduct():
            return wish.terms == held.terms
        case SuspendProduct():
            return held.suspended_by is not None
        case ResumeProduct():
            return held.suspended_by is None
        case RegisterProduct() | RetireProduct():
            return False
        case _:
            assert_never(wish)


def _may(state: Market, held: Product, wish: Wish, actor: str) -> bool:
    """The owner changes his product, the operator verifies it: nobody vouches for his own."""
    operator = state.operator()
    match wish:
        case VerifyProduct():
            return actor == operator and actor != held.party
        case RegisterProduct() | AmendProduct():
            return actor == held.party
        case ResumeProduct():
            return actor in (operator, held.suspended_by or held.party)
        case SuspendProduct() | RetireProduct():
            return actor in (operator, held.party)
        case _:
            assert_never(wish)


def _terms(state: Market, terms: ProductTerms, now: Moment) -> Refusal | None:
    """The first rule that the terms break by themselves."""
    rules = state.rules[-1].rules
    members = len(terms.members)
    if not 0 < members <= MAX_MEMBERS or len(set(terms.members)) != members:
        return Refusal(MarketRefusal.PRODUCT_WITHOUT_MEMBERS, MAX_MEMBERS, members)
    if terms.zone not in zones_of(rules):
        return Refusal(MarketRefusal.ZONE_UNKNOWN)
    if not terms.max_power_w:
        return Refusal(MarketRefusal.POWER_ZERO, 1)
    broken = refuse_price(rules, terms.lowest_price_nano_per_kwh)
    if broken is not None:
        return broken
    if terms.bids_until_at <= now.at:
        return Refusal(MarketRefusal.EXPIRY_IN_THE_PAST, now.at, terms.bids_until_at)
    if terms.electrical is not None and (allowed := allowed_power_w(terms.electrical)) < terms.max_power_w:
        return Refusal(MarketRefusal.POWER_ABOVE_ELECTRICAL, allowed, terms.max_power_w)
    return _schedule(terms, rules.interval_min)


def _schedule(terms: ProductTerms, interval_min: int) -> Refusal | None:
    schedule = terms.schedule_wh
    if not schedule:
        return None
    if terms.schedule_from_at % (interval_min * MINUTE_US):
        return Refusal(MarketRefusal.SCHEDULE_OFF_GRID, interval_min * MINUTE_US, terms.schedule_from_at)
    if len(schedule) > MAX_INTERVALS:
        return Refusal(MarketRefusal.TOO_MANY_INTERVALS, MAX_INTERVALS, len(schedule))
    power_wh = capability_wh(terms.max_power_w, interval_min)
    if max(schedule) > power_wh:
        return Refusal(MarketRefusal.SCHEDULE_ABOVE_POWER, power_wh, max(schedule))
    if sum(schedule) > terms.capacity_wh:
        return Refusal(MarketRefusal.SCHEDULE_ABOVE_CAPACITY, terms.capacity_wh, sum(schedule))
    return None


def _finding(state: Market, terms: ProductTerms) -> Refusal | None:
    """The first way in which the terms are not what the market's verified resources can do."""
    power_w = 0
    for member in terms.members:
        connection = state.connections.get(member.connection)
        if connection is None:
            return Refusal(MarketRefusal.CONNECTION_UNKNOWN)
        if connection.zone != terms.zone:
            return Refusal(MarketRefusal.WRONG_ZONE)
        resource = _resource(connection, member.resource)
        if resource is None:
            return Refusal(MarketRefusal.RESOURCE_NOT_VERIFIED)
        if terms.carrier not in (EnergyCarrier.MIXED, EnergyCarrier.UNSPECIFIED, resource.carrier):
            return Refusal(MarketRefusal.SOURCE_DIFFERS)
        power_w += resource.power_w
    if terms.max_power_w > power_w:
        return Refusal(MarketRefusal.POWER_ABOVE_RESOURCES, power_w, terms.max_power_w)
    return None


def _resource(connection: Connection, name: str) -> Equipment | None:
    return next((found for found in connection.equipment if found.resource == name), None)


def apply(state: Market, fact: Fact) -> None:
    """The market after a fact."""
    if isinstance(fact, ProductRegistered):
        known = fact.product, fact.party, fact.version, fact.interval_min, fact.terms
        state.products[fact.product] = Product(*known)
        return
    held = state.products[fact.product]
    match fact:
        case ProductVerified():
            held.verified = True
        case ProductAmended():
            held.version, held.interval_min, held.terms = fact.version, fact.interval_min, fact.terms
            held.verified = False
            _let_go(state, held, CancelReason.PRODUCT_AMENDED)
        case ProductSuspended():
            held.suspended_by = fact.suspended_by
            _let_go(state, held, CancelReason.PRODUCT_ENDED)
        case ProductResumed():
            held.suspended_by = None
        case ProductRetired():
            held.retired = True
            _let_go(state, held, CancelReason.PRODUCT_ENDED)
        case _:
            assert_never(fact)


def _let_go(state: Market, held: Product, reason: CancelReason) -> None:
    """The market is about to cancel the product's open orders; after an amendment those with too much power.

    Those that were to go before and still wait for their slice go as well, and all for the reason of these.
    """
    open_ = [state.orders[name] for name in held.orders if name in state.orders]
    held.orders = {order.order: None for order in open_}
    before = {name for name in held.leaving if name in state.orders}
    if reason is CancelReason.PRODUCT_AMENDED:
        open_ = [order for order in open_ if order.order in before or _is_too_much(state, held, order)]
    leave_later(state, open_, reason)
    open_ = [order for order in open_ if not is_frozen(state, order)]
    held.leaving = tuple(order.order for order in sorted(open_, key=lambda o: (o.instrument, o.sequence)))
    held.reason = held.reason if before else reason
    if held.leaving:
        state.remind(AT_ONCE, PRODUCT, 0, held.product)


def _is_too_much(state: Market, held: Product, order: Order) -> bool:
    slots = state.instruments[order.instrument].slots
    return order.rest_wh // len(slots) > capability_wh(held.terms.max_power_w, slots[0].interval_min)


def _are_gone(state: Market, timer: Timer) -> bool:
    return all(name not in state.orders for name in state.products[timer[3]].leaving)


def _cancel(state: Market, timer: Timer, ahead: Ahead) -> Iterator[OrdersCancelled]:
    held = state.products[timer[3]]
    left = [state.orders[name] for name in held.leaving if name in state.orders and name not in ahead.gone]
    # The last ones first: what is left begins with an open order, and is seen to at a glance.
    for instrument, orders in groupby(reversed(left), key=lambda order: order.instrument):
        together: Sequence[Order] = list(orders)
        yield from cancelled_together(state, state.instruments[instrument], together, held.reason, ahead)


TIMED: Final = {PRODUCT: Timed(_are_gone, _cancel)}
