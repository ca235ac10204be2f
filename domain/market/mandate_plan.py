"""What a mandate orders for a forecast: changes to what is open first, then new orders, each like one of the party's.

A new order passes every check of an order (`validation.refuse_order`) beside those before it; what a check or the
budget forbids is skipped and named. Fewer Wh than are open keep their priority, more are a new order.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any, Final

from domain.identity import birthplace, born
from domain.market.baskets import MAX_FACTS
from domain.market.book import Book, Ladder, Order
from domain.market.exposure import PICO_PER_MICRO, bought_pico_per_wh
from domain.market.gates import cancelled
from domain.market.mandate_state import Key, Mandate
from domain.market.state import FAMILY, Instrument, Market, starts
from domain.market.trading import accept, bounds_of, enter
from domain.market.units import refuse_size
from domain.market.validation import SpokenFor, refuse_order
from schemas.envelope import Command, Moment
from schemas.market.commands import SubmitOrder
from schemas.market.events import OrderAmended, OrderTerms, Phase, Restriction
from schemas.market.mandate_events import ForecastRecorded, MandateApplied
from schemas.market.reasons import CancelReason, MarketRefusal
from schemas.values import Side

MAX_INTERVALS: Final = 96
"""Of one forecast, and so many orders a decision: a day of quarter-hours."""

_BESIDE: Final = 2
"""Facts beside those of the orders: the forecast or that the mandate goes on, and what it ordered."""


@dataclass(slots=True)
class _Plan:
    """What is to be done, before any of it is in the state."""

    facts: list[Any] = field(default_factory=list)
    spoken: SpokenFor = field(default_factory=SpokenFor)
    wishes: list[tuple[Instrument, SubmitOrder]] = field(default_factory=list)
    standing: dict[Key, str] = field(default_factory=dict)
    skipped: list[tuple[int, int, MarketRefusal]] = field(default_factory=list)
    left_pico: dict[int, int] = field(default_factory=dict)


def apply_forecast(
    state: Market, mandate: Mandate, forecast: ForecastRecorded, command: Command[Any], now: Moment
) -> list[Any]:
    """The orders of the mandate, as this forecast wants them from now on."""
    plan = _Plan()
    covered = starts(forecast.first_start_at, forecast.interval_min, len(forecast.energy_wh))
    for key, order_id in mandate.orders.items():
        instrument = state.instruments.get(key)
        if instrument is not None and instrument.phase is Phase.AUCTION and order_id in state.orders:
            _keep(mandate, plan, instrument, state.orders[order_id])
    for order in open_orders(state, mandate, now.at):
        if order.instrument[0] not in covered or order.instrument[1] != forecast.interval_min:
            _drop(state, plan, order)
    for start, energy_wh in zip(covered, forecast.energy_wh, strict=True):
        _plan_interval(state, mandate, forecast, plan, start, energy_wh - mandate.sold_wh.get(start, 0), now.at)
    _submit(state, mandate, plan, birthplace(FAMILY, command), now)
    at, wh, why = [s for s, _, _ in plan.skipped], [w for _, w, _ in plan.skipped], [r for _, _, r in plan.skipped]
    orders, deliveries = tuple(plan.standing.values()), tuple(start for start, _ in plan.standing)
    who = state.market, mandate.granted.mandate, forecast.forecast
    return [*plan.facts, MandateApplied(*who, orders, deliveries, tuple(at), tuple(wh), tuple(why))]


def open_orders(state: Market, mandate: Mandate, at: int) -> Iterator[Order]:
    """Those that may be taken out of their books."""
    for key, order_id in mandate.orders.items():
        order, instrument = state.orders.get(order_id), state.instruments.get(key)
        if order is not None and instrument is not None and _why_fixed(instrument, at) is None:
            yield order


def _why_fixed(instrument: Instrument, at: int) -> MarketRefusal | None:
    """Why nothing may leave the book: its gate has come, or an auction that is under way has its orders."""
    if instrument.closed or at >= instrument.gate_at:
        return MarketRefusal.GATE_CLOSED
    return MarketRefusal.AUCTION_UNDERWAY if instrument.phase is Phase.AUCTION else None


def _plan_interval(
    state: Market, mandate: Mandate, forecast: ForecastRecorded, plan: _Plan, start: int, energy_wh: int, at: int
) -> None:
    """What is wanted of one delivery, held against what is open for it."""
    key, terms = (start, forecast.interval_min), mandate.granted.terms
    instrument, held = state.instruments.get(key), state.orders.get(mandate.orders.get(key, ""))
    buys = energy_wh < 0
    price = terms.buy_up_to_nano_per_kwh if buys else terms.sell_from_nano_per_kwh
    reason = MarketRefusal.INSTRUMENT_UNKNOWN if instrument is None else _why_fixed(instrument, at)
    if instrument is None or reason is not None:
        if energy_wh and reason is not None:
            plan.skipped.append((start, energy_wh, reason))
        return
    wanted_wh = abs(energy_wh) // instrument.rules.lot_wh * instrument.rules.lot_wh
    if wanted_wh and (price is None or not mandate.covers(start)):
        plan.skipped.append((start, energy_wh, MarketRefusal.OUTSIDE_MANDATE))
        wanted_wh = 0
    if wanted_wh and buys and price is not None:
        allowed_wh = _within_budget(mandate, plan, instrument, price, wanted_wh)
        if allowed_wh < wanted_wh:
            plan.skipped.append((start, allowed_wh - wanted_wh, MarketRefusal.BUDGET_EXCEEDED))
        wanted_wh = allowed_wh
    if held is not None:
        # A suspended book takes cancellations only.
        least_wh = held.rest_wh if state.suspended or instrument.phase is Phase.SUSPENDED else 1
        keeps = held.buys is buys and least_wh <= wanted_wh <= held.rest_wh
        if keeps and refuse_size(instrument, wanted_wh) is None:
            _lessen(state, plan, held, wanted_wh)
            plan.standing[key] = held.order
            return
        _drop(state, plan, held)
    if wanted_wh and price is not None:
        granted, side = mandate.granted, Side.BUY if buys else Side.SELL
        named = OrderTerms(mandate=granted.mandate, forecast=forecast.forecast)
        who = granted.party, granted.connection, start, side, wanted_wh, price, Restriction.NONE, None
        without = _without(instrument, held) if held is not None and held.buys is not buys else instrument
        plan.wishes.append((without, SubmitOrder(*who, forecast.interval_min, named)))


def _within_budget(mandate: Mandate, plan: _Plan, instrument: Instrument, price: int, wanted_wh: int) -> int:
    """As many whole lots as the rest of the day's budget pays; it is spent in the order of the deliveries."""
    day = mandate.day(instrument.delivery_start_at)
    left, each = _left_pico(mandate, plan, day), bought_pico_per_wh(price, instrument.rules.credit)
    lot_wh = instrument.rules.lot_wh
    allowed_wh = min(wanted_wh, max(left, 0) // (each * lot_wh) * lot_wh) if each else wanted_wh
    plan.left_pico[day] = left - allowed_wh * each
    return allowed_wh


def _left_pico(mandate: Mandate, plan: _Plan, day: int) -> int:
    whole = mandate.granted.terms.budget_micro * PICO_PER_MICRO - mandate.spent_pico.get(day, 0)
    return plan.left_pico.get(day, whole)


def _keep(mandate: Mandate, plan: _Plan, instrument: Instrument, order: Order) -> None:
    """What an auction has stays as it is, and is paid from the budget first."""
    plan.standing[order.instrument] = order.order
    if order.buys:
        day = mandate.day(instrument.delivery_start_at)
        plan.left_pico[day] = _left_pico(mandate, plan, day) - order.rest_wh * order.exposure_pico_per_wh


def _drop(state: Market, plan: _Plan, order: Order) -> None:
    plan.facts.append(cancelled(state, order, CancelReason.AMENDED))
    _free(state, plan, order, order.rest_wh)


def _lessen(state: Market, plan: _Plan, order: Order, rest_wh: int) -> None:
    """Less of an order stays where it stands; the same of it stays as it is."""
    if rest_wh == order.rest_wh:
        return
    price, expires_at = order.limit_price_nano_per_kwh, order.expires_at
    plan.facts.append(OrderAmended(state.market, order.order, order.party, order.sequence, rest_wh, price, expires_at))
    _free(state, plan, order, order.rest_wh - rest_wh)


def _free(state: Market, plan: _Plan, order: Order, energy_wh: int) -> None:
    """New orders may take what is not open any more."""
    plan.spoken.exposure_pico -= energy_wh * order.exposure_pico_per_wh
    if not order.buys:
        slots, used = state.instruments[order.instrument].slots, plan.spoken.used_wh
        for slot in slots:
            place = order.connection, slot.start_at
            used[place] = used.get(place, 0) - energy_wh // len(slots)


def _without(instrument: Instrument, order: Order) -> Instrument:
    """The instrument as its book is when the order is out: what takes its place does not meet it."""
    bids, asks = (
        Ladder([o.key for o in ladder.orders if o is not order], [o for o in ladder.orders if o is not order])
        for ladder in (instrument.book.bids, instrument.book.asks)
    )
    return replace(instrument, book=Book(bids, asks, instrument.book.resting - 1))


def _submit(state: Market, mandate: Mandate, plan: _Plan, ids: blake2b, now: Moment) -> None:
    """Every new order that no check forbids; ids count on through orders, trades and contracts, behind the forecast."""
    n, sequence, party = 0, state.sequence, mandate.granted.party
    for instrument, wish in plan.wishes:
        start, sign = wish.delivery_start_at, -1 if wish.side is Side.BUY else 1
        broken = refuse_order(state, instrument, wish, party, now, plan.spoken)
        reason = MarketRefusal.TOO_MANY_ORDERS if broken is None else broken.reason
        found: list[Any] = []
        last_n = n + 1
        if broken is None:
            zone = state.connections[wish.connection].zone
            found.append(accept(state, instrument, wish, born(ids, last_n), sequence + 1, zone))
            if instrument.phase is Phase.CONTINUOUS:
                bounds = bounds_of(instrument, zone)
                last_n = enter(state, instrument, found[0], found, ids, last_n, now.at, 0, bounds)
        if not found or len(plan.facts) + len(found) > MAX_FACTS - _BESIDE:
            plan.skipped.append((start, sign * wish.quantity_wh, reason))
            continue
        n, sequence = last_n, sequence + 1
        plan.facts += found
        plan.spoken.take(instrument, wish)
        plan.standing[start, wish.duration_min] = found[0].order
