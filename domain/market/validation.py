"""The order in which an order is checked; the first rule that is broken is the one answer.

The market is known (an order that is named, too: without it there is no owner and no gate) → authorisation → the
instrument exists, is open, its gate is not closed, it is not suspended → the participant is admitted, the connection
is theirs, what sells is verified → quantity: zero, lot, maximum, one unit where the rules say so, the minimum is not
above it → price: tick, range, collar → what it offers again was the party's → expiry: in the future, not after the
gate → product → capability, stored energy → credit (domain rules §1.1 rule 12). Self-trade prevention and matching come
after; they refuse nothing, they cancel with a reason.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from domain.market.capability import capability_wh
from domain.market.exposure import bought_pico_per_wh, exposed_micro, fits, open_pico_per_wh, sold_pico_per_wh
from domain.market.product_orders import Offer, refuse_product
from domain.market.refusal import Refusal
from domain.market.state import Connection, Instrument, Market
from domain.market.units import refuse_unit
from schemas.envelope import Moment
from schemas.market.commands import CancelOrder, SubmitOrder
from schemas.market.events import OrderTerms, Phase, Restriction, RuleSet
from schemas.market.reasons import MarketRefusal
from schemas.values import INT64_MAX, Side

# An enum finds its members by name, every time.
_SELL: Final = Side.SELL
_CONTINUOUS: Final = Phase.CONTINUOUS
_AUCTION: Final = Phase.AUCTION


@dataclass(slots=True)
class SpokenFor:
    """What orders that are not accepted yet take already: capability by connection and settlement interval, credit."""

    used_wh: dict[tuple[str, int], int] = field(default_factory=dict)
    exposure_pico: int = 0

    def take(self, instrument: Instrument, wish: SubmitOrder) -> None:
        """An order that is accepted together with the next ones."""
        sells = wish.side is _SELL
        per_wh = open_pico_per_wh(instrument.rules, not sells, wish.limit_price_nano_per_kwh)
        self.exposure_pico += wish.quantity_wh * per_wh
        for slot in instrument.slots if sells else ():
            place = wish.connection, slot.start_at
            self.used_wh[place] = self.used_wh.get(place, 0) + wish.quantity_wh // len(instrument.slots)


def refuse_order(  # noqa: PLR0911, PLR0912  (one rule after the other, in the order of the checks)
    state: Market,
    instrument: Instrument | None,
    wish: SubmitOrder,
    actor: str,
    now: Moment,
    spoken: SpokenFor | None = None,
) -> Refusal | None:
    """The first broken rule of an order for this instrument (none: there is no such one).

    `spoken` is what the orders before it in the same wish take of capability and credit.
    """
    party, at = wish.party, now.at
    if not state.rules:
        return Refusal(MarketRefusal.MARKET_UNKNOWN)
    if actor != party:
        return Refusal(MarketRefusal.NOT_AUTHORISED)
    if instrument is None:
        return Refusal(MarketRefusal.INSTRUMENT_UNKNOWN, 0, wish.delivery_start_at)
    if at < instrument.opens_at:
        return Refusal(MarketRefusal.NOT_OPEN, instrument.opens_at, at)
    if instrument.closed or at >= instrument.gate_at:
        return Refusal(MarketRefusal.GATE_CLOSED, instrument.gate_at, at)
    if (state.suspended or instrument.phase is not _CONTINUOUS) and (broken := _phase(state, instrument, wish)):
        return broken
    if party not in state.participants:
        return Refusal(state.why_not(party))
    connection = state.connections.get(wish.connection)
    if connection is None or connection.party != party:
        return Refusal(MarketRefusal.CONNECTION_UNKNOWN)
    sells = wish.side is _SELL
    if sells and not connection.verified:
        return Refusal(MarketRefusal.RESOURCE_NOT_VERIFIED)
    rules, terms, quantity_wh, price = instrument.rules, wish.terms, wish.quantity_wh, wish.limit_price_nano_per_kwh
    if (broken := refuse_quantity(rules, quantity_wh, len(instrument.slots))) is not None:
        return broken
    if rules.auction is not None and (broken := refuse_unit(instrument, party, not sells, quantity_wh)) is not None:
        return broken
    if terms is not None and (broken := _minimum(instrument, terms, quantity_wh)) is not None:
        return broken
    if (broken := refuse_price(rules, price)) is not None:
        return broken
    if rules.trading is not None and (broken := refuse_collar(instrument, not sells, price)) is not None:
        return broken
    if terms is not None and (broken := _rebid(state, party, terms)) is not None:
        return broken
    expires_at = wish.expires_at
    if expires_at is not None and (broken := refuse_expiry(instrument, expires_at, at)) is not None:
        return broken
    if terms is not None or rules.quality is not None:
        named = None if terms is None else terms.product
        until_at = instrument.gate_at if expires_at is None else expires_at
        offer = Offer(named, sells, wish.connection, quantity_wh, price, until_at)
        if (broken := refuse_product(state, instrument, offer)) is not None:
            return broken
    if sells:
        if (broken := refuse_capability(connection, instrument, wish.connection, quantity_wh, spoken)) is not None:
            return broken
        needed_pico = quantity_wh * sold_pico_per_wh(price, rules.assumed_price_nano_per_kwh)
    else:
        needed_pico = quantity_wh * bought_pico_per_wh(price, rules.credit)
    return refuse_credit(state, party, needed_pico if spoken is None else needed_pico + spoken.exposure_pico)


def _phase(state: Market, instrument: Instrument, wish: SubmitOrder) -> Refusal | None:
    if state.suspended or instrument.phase is Phase.SUSPENDED:
        return Refusal(MarketRefusal.SUSPENDED)
    if instrument.phase is Phase.AUCTION:
        return Refusal(MarketRefusal.AUCTION_UNDERWAY)
    minimum_wh = 0 if wish.terms is None else wish.terms.minimum_wh
    if wish.restriction is not Restriction.NONE or minimum_wh:
        return Refusal(MarketRefusal.RESTRICTION_NOT_IN_CALL, 0, minimum_wh)
    return None


def _minimum(instrument: Instrument, terms: OrderTerms, quantity_wh: int) -> Refusal | None:
    minimum_wh, lot_wh = terms.minimum_wh, instrument.rules.lot_wh * len(instrument.slots)
    if minimum_wh % lot_wh:
        return Refusal(MarketRefusal.QUANTITY_OFF_LOT, lot_wh, minimum_wh)
    if minimum_wh > quantity_wh:
        return Refusal(MarketRefusal.MINIMUM_ABOVE_QUANTITY, quantity_wh, minimum_wh)
    return None


def refuse_expiry(instrument: Instrument, expires_at: int, at: int) -> Refusal | None:
    """Past already, or behind the gate."""
    if expires_at <= at:
        return Refusal(MarketRefusal.EXPIRY_IN_THE_PAST, at, expires_at)
    if expires_at > instrument.gate_at:
        return Refusal(MarketRefusal.EXPIRY_AFTER_GATE, instrument.gate_at, expires_at)
    return None


def refuse_collar(instrument: Instrument, buys: bool, price_nano_per_kwh: int) -> Refusal | None:
    """A limit too far from the reference, on the side where it would be dear: probably a slip."""
    trading = instrument.rules.trading
    if trading is None or not trading.collar_nano_per_kwh:
        return None
    reference, collar = instrument.reference_price_nano_per_kwh, trading.collar_nano_per_kwh
    limit = reference + collar if buys else reference - collar
    if (price_nano_per_kwh > limit) if buys else (price_nano_per_kwh < limit):
        return Refusal(MarketRefusal.PRICE_OUT_OF_COLLAR, limit, price_nano_per_kwh)
    return None


def _rebid(state: Market, party: str, terms: OrderTerms) -> Refusal | None:
    """What is offered again was the party's: its ended order, or a contract that it is a side of."""
    before = terms.rebid_of
    if before is None:
        return None
    held = state.agreements.contracts.get(before)
    if held is not None and party in (held.version.seller, held.version.buyer):
        return None
    ended = state.ended(before)
    return None if ended is not None and ended[0] == party else Refusal(MarketRefusal.REBID_UNFOUNDED)


def refuse_quantity(rules: RuleSet, quantity_wh: int, intervals: int = 1) -> Refusal | None:
    """Zero, off the lot, above the maximum: of a delivery over so many settlement intervals, each of whole lots."""
    lot_wh, maximum_wh = rules.lot_wh, rules.max_quantity_wh
    if intervals != 1:
        lot_wh, maximum_wh = lot_wh * intervals, maximum_wh * intervals
    if quantity_wh <= 0:
        return Refusal(MarketRefusal.QUANTITY_ZERO, 1, quantity_wh)
    if quantity_wh % lot_wh:
        return Refusal(MarketRefusal.QUANTITY_OFF_LOT, lot_wh, quantity_wh)
    if quantity_wh > maximum_wh:
        return Refusal(MarketRefusal.QUANTITY_ABOVE_MAXIMUM, maximum_wh, quantity_wh)
    return None


def refuse_price(rules: RuleSet, price_nano_per_kwh: int) -> Refusal | None:
    """Off the tick, out of the range."""
    price = price_nano_per_kwh
    if price % rules.tick_nano_per_kwh:
        return Refusal(MarketRefusal.PRICE_OFF_TICK, rules.tick_nano_per_kwh, price)
    if price < rules.min_price_nano_per_kwh:
        return Refusal(MarketRefusal.PRICE_OUT_OF_RANGE, rules.min_price_nano_per_kwh, price)
    if price > rules.max_price_nano_per_kwh:
        return Refusal(MarketRefusal.PRICE_OUT_OF_RANGE, rules.max_price_nano_per_kwh, price)
    return None


def refuse_capability(
    held: Connection, instrument: Instrument, connection: str, quantity_wh: int, spoken: SpokenFor | None = None
) -> Refusal | None:
    """More sold than the connection can inject, in the first settlement interval where it is so."""
    if held.allotted is not None:
        return refuse_sales(held, connection, ((instrument, quantity_wh),), spoken)
    limit, slots = capability_wh(held.injection_w, instrument.rules.interval_min), instrument.slots
    each_wh = quantity_wh if len(slots) == 1 else quantity_wh // len(slots)
    for slot in slots:
        found = slot.used_wh.get(connection, 0) + each_wh
        if spoken is not None:
            found += spoken.used_wh.get((connection, slot.start_at), 0)
        if found > limit:
            return Refusal(MarketRefusal.CAPABILITY_EXCEEDED, limit, found)
    return None


def refuse_sales(
    held: Connection, connection: str, sales: Iterable[tuple[Instrument, int]], spoken: SpokenFor | None = None
) -> Refusal | None:
    """Like `refuse_capability`, of sales that come together, and more out of storage than is in it."""
    before = spoken.used_wh if spoken is not None else {}
    more_wh = {start: energy_wh for (of, start), energy_wh in before.items() if of == connection}
    allotted = held.allotted
    for instrument, quantity_wh in sales:
        for slot in instrument.slots:
            start = slot.start_at
            more_wh[start] = more_wh.get(start, 0) + quantity_wh // len(instrument.slots)
            limit_w = held.injection_w if allotted is None else allotted.injection_w(start)
            limit, found = capability_wh(limit_w, slot.interval_min), slot.used_wh.get(connection, 0) + more_wh[start]
            if found > limit:
                return Refusal(MarketRefusal.CAPABILITY_EXCEEDED, limit, found)
    broken = None if allotted is None else allotted.overdrawn(connection, more_wh)
    return None if broken is None else Refusal(MarketRefusal.STORAGE_EXCEEDED, broken.limit_wh, broken.found_wh)


def refuse_credit(state: Market, party: str, needed_pico: int) -> Refusal | None:
    """More exposure than the ledger allotted."""
    account = state.accounts.get(party)
    if fits(account, needed_pico):
        return None
    # The answer's numbers are 64-bit; what a wish of an absurd size would need is not.
    found = min(exposed_micro(account, needed_pico), INT64_MAX)
    return Refusal(MarketRefusal.CREDIT_EXCEEDED, account.limit_micro if account else 0, found)


def refuse_cancellation(state: Market, wish: CancelOrder, actor: str, now: Moment) -> Refusal | None:
    """The first broken rule of a cancellation: the owner's, before the gate, of something still open."""
    broken = refuse_standing(state, wish.order, actor, now)
    if broken is not None:
        return broken
    if state.instruments[state.orders[wish.order].instrument].phase is _AUCTION:
        return Refusal(MarketRefusal.AUCTION_UNDERWAY)
    return None


def refuse_standing(state: Market, order_id: str, actor: str, now: Moment) -> Refusal | None:
    """Whether the owner may still touch an order: it is known and theirs, before the gate, something of it is open."""
    if not state.rules:
        return Refusal(MarketRefusal.MARKET_UNKNOWN)
    order = state.orders.get(order_id)
    if order is not None:
        party, instrument = order.party, state.instruments[order.instrument]
    else:
        ended = state.ended(order_id)
        if ended is None:
            return Refusal(MarketRefusal.ORDER_UNKNOWN)
        party, instrument = ended
    if actor != party:
        return Refusal(MarketRefusal.NOT_AUTHORISED)
    if instrument.closed or now.at >= instrument.gate_at:
        return Refusal(MarketRefusal.GATE_CLOSED, instrument.gate_at, now.at)
    if order is None or (order.expires_at is not None and order.expires_at <= now.at):
        return Refusal(MarketRefusal.ORDER_NOT_OPEN)
    return None
