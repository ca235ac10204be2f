"""Standing mandates (domain rules §10, "Standing offers"): a household does not bid 96 times a day.

It grants a policy: buy up to a price, sell from a price, within a budget a day; its agent brings forecasts, and the
market orders what they say, each order naming mandate and forecast. Pausing and revoking work for every delivery whose
gate is still open: what is ordered for it is cancelled, and nothing more is ordered.
"""

from collections.abc import Mapping
from typing import Any, Final, assert_never

from domain.identity import born_id
from domain.market.amending import ENTERING
from domain.market.gates import cancelled
from domain.market.leaving import leave_later, stay
from domain.market.mandate_plan import MAX_INTERVALS, apply_forecast, open_orders
from domain.market.mandate_state import Mandate
from domain.market.profiles import refuse_party
from domain.market.refusal import Refusal, refused
from domain.market.state import FAMILY, Market
from domain.market.timers import Timed
from domain.market.validation import refuse_price
from schemas.envelope import Command, Moment
from schemas.market.events import CommandRefused, OrderAccepted, OrderAmended
from schemas.market.mandate_commands import GrantMandate, PauseMandate, RecordForecast, ResumeMandate, RevokeMandate
from schemas.market.mandate_events import (
    ForecastRecorded,
    MandateApplied,
    MandateGranted,
    MandatePaused,
    MandateResumed,
    MandateRevoked,
)
from schemas.market.reasons import CancelReason, MarketRefusal

_ORDERS: Final = (OrderAccepted, OrderAmended, *ENTERING, MandateApplied, CommandRefused)
OUTCOMES: Final[Mapping[type, tuple[type, ...]]] = {
    GrantMandate: (MandateGranted, CommandRefused),
    PauseMandate: (*ENTERING, MandatePaused, CommandRefused),
    ResumeMandate: (MandateResumed, *_ORDERS),
    RevokeMandate: (*ENTERING, MandateRevoked, CommandRefused),
    RecordForecast: (ForecastRecorded, *_ORDERS),
}
FACTS: Final = (
    MandateGranted,
    MandatePaused,
    MandateResumed,
    MandateRevoked,
    ForecastRecorded,
    MandateApplied,
)
TIMED: Final[Mapping[int, Timed]] = {}

Wish = GrantMandate | PauseMandate | ResumeMandate | RevokeMandate | RecordForecast
Fact = MandateGranted | MandatePaused | MandateResumed | MandateRevoked | ForecastRecorded | MandateApplied


def decide(state: Market, command: Command[Any], now: Moment) -> list[Any]:
    """What was wished for with the orders that follow, or the first rule that forbids it."""
    wish: Wish = command.body
    actor = command.meta.actor
    refusal = _refuse(state, wish, actor)
    if refusal is not None:
        return refused(wish, wish.connection if isinstance(wish, GrantMandate) else wish.mandate, actor, refusal)
    if isinstance(wish, GrantMandate):
        mandate_id = born_id(FAMILY, command, 0)
        return [MandateGranted(state.market, mandate_id, wish.party, wish.connection, wish.terms)]
    mandate = state.mandates.known[wish.mandate]
    who = state.market, wish.mandate, mandate.granted.party
    match wish:
        case PauseMandate():
            return [*_ended(state, mandate, now.at), MandatePaused(*who)]
        case RevokeMandate():
            return [*_ended(state, mandate, now.at), MandateRevoked(*who)]
        case ResumeMandate():
            forecast = mandate.forecast
            ordered = [] if forecast is None else apply_forecast(state, mandate, forecast, command, now)
            return [MandateResumed(*who), *ordered]
        case RecordForecast():
            recorded = _recorded(state, wish, born_id(FAMILY, command, 0))
            if mandate.paused:
                return [recorded]
            return [recorded, *apply_forecast(state, mandate, recorded, command, now)]
        case _:
            assert_never(wish)


def _ended(state: Market, mandate: Mandate, at: int) -> list[Any]:
    return [cancelled(state, order, CancelReason.MANDATE_ENDED) for order in open_orders(state, mandate, at)]


def _recorded(state: Market, wish: RecordForecast, forecast: str) -> ForecastRecorded:
    version = state.rules_for(wish.first_start_at)
    assert version is not None, "a forecast before all rules is refused"
    what = wish.first_start_at, version.rules.interval_min, wish.energy_wh
    return ForecastRecorded(state.market, wish.mandate, forecast, wish.version, *what)


def _refuse(state: Market, wish: Wish, actor: str) -> Refusal | None:
    if not state.rules:
        return Refusal(MarketRefusal.MARKET_UNKNOWN)
    if isinstance(wish, GrantMandate):
        return _refuse_grant(state, wish, actor)
    mandate = state.mandates.known.get(wish.mandate)
    if mandate is None:
        return Refusal(MarketRefusal.MANDATE_UNKNOWN)
    party, agent = mandate.granted.party, mandate.granted.terms.agent
    if actor != party and not (isinstance(wish, RecordForecast) and actor == agent):
        return Refusal(MarketRefusal.NOT_AUTHORISED)
    if isinstance(wish, RecordForecast | ResumeMandate) and party not in state.participants:
        return Refusal(state.why_not(party))
    match wish:
        case RecordForecast():
            return _refuse_forecast(state, mandate, wish)
        case PauseMandate() | ResumeMandate():
            same = mandate.paused is isinstance(wish, PauseMandate)
            return Refusal(MarketRefusal.NOTHING_CHANGED) if same else None
        case RevokeMandate():
            return None
        case _:
            assert_never(wish)


def _refuse_grant(state: Market, wish: GrantMandate, actor: str) -> Refusal | None:
    """The first broken rule of a mandate; prices are checked again with each order, under its delivery's rules."""
    terms = wish.terms
    if actor != wish.party:
        return Refusal(MarketRefusal.NOT_AUTHORISED)
    if (wish.party, wish.connection) in state.mandates.of:
        return Refusal(MarketRefusal.MANDATE_STANDS)
    if (refusal := refuse_party(state, wish.party, wish.connection, None, False)) is not None:
        return refusal
    prices = [p for p in (terms.buy_up_to_nano_per_kwh, terms.sell_from_nano_per_kwh) if p is not None]
    for price in prices:
        if (refusal := refuse_price(state.rules[-1].rules, price)) is not None:
            return refusal
    until = terms.valid_until
    for holds, limit, found in (
        (bool(prices), 1, 0),
        (terms.budget_micro >= 0, 0, terms.budget_micro),
        (until is None or until > terms.valid_from, terms.valid_from, until or 0),
    ):
        if not holds:
            return Refusal(MarketRefusal.INVALID_MANDATE, limit, found)
    return None


def _refuse_forecast(state: Market, mandate: Mandate, wish: RecordForecast) -> Refusal | None:
    if mandate.forecast is not None and wish.version <= mandate.forecast.version:
        return Refusal(MarketRefusal.FORECAST_OUTDATED, mandate.forecast.version + 1, wish.version)
    if len(wish.energy_wh) > MAX_INTERVALS:
        return Refusal(MarketRefusal.TOO_MANY_INTERVALS, MAX_INTERVALS, len(wish.energy_wh))
    if state.rules_for(wish.first_start_at) is None:
        return Refusal(MarketRefusal.INSTRUMENT_UNKNOWN, 0, wish.first_start_at)
    return None


def _let_go(state: Market, mandate: Mandate) -> None:
    open_ = [state.orders[order] for order in mandate.orders.values() if order in state.orders]
    leave_later(state, open_, CancelReason.MANDATE_ENDED)


def apply(state: Market, fact: Fact) -> None:
    """The market after a fact of a mandate; its orders are facts of their own."""
    mandates = state.mandates
    if isinstance(fact, MandateGranted):
        mandates.known[fact.mandate] = Mandate(fact)
        mandates.of[fact.party, fact.connection] = fact.mandate
        return
    mandate = mandates.known[fact.mandate]
    match fact:
        case MandatePaused():
            mandate.paused = True
            _let_go(state, mandate)
        case MandateResumed():
            mandate.paused = False
            stay(state, mandate.orders.values(), CancelReason.MANDATE_ENDED)
        case MandateRevoked():
            _let_go(state, mandate)
            del mandates.known[fact.mandate]
            del mandates.of[fact.party, mandate.granted.connection]
        case ForecastRecorded():
            mandate.forecast = fact
            mandates.forget_settled(mandate, state.instruments)
        case MandateApplied():
            keys = [(start, mandate.forecast.interval_min) for start in fact.deliveries_at] if mandate.forecast else []
            mandate.orders = dict(zip(keys, fact.orders, strict=True))
        case _:
            assert_never(fact)
