"""What looks like abuse of a closed book: found by `calc_surveillance`, checked cheaply, recorded as an alert."""

from collections.abc import Mapping
from typing import Any, Final

from domain.market.refusal import Refusal, refused
from domain.market.state import Market
from domain.market.timers import Timed
from schemas.actors import CALCULATION
from schemas.envelope import Command, Moment
from schemas.market.events import CommandRefused
from schemas.market.reasons import MarketRefusal
from schemas.market.surveillance_commands import ReportSuspicion
from schemas.market.surveillance_events import SurveillanceRules, SuspicionKind, SuspicionRaised

CALCULATION_NAME: Final = "market.surveillance"
ACTOR: Final = f"{CALCULATION}{CALCULATION_NAME}"
"""The only actor that reports."""

MAX_EVIDENCE: Final = 100
"""Orders that an alert names."""

MAX_PARTIES: Final = 2

OUTCOMES: Final[Mapping[type, tuple[type, ...]]] = {ReportSuspicion: (SuspicionRaised, CommandRefused)}
FACTS: Final = (SuspicionRaised,)
TIMED: Final[Mapping[int, Timed]] = {}


def decide(state: Market, command: Command[Any], now: Moment) -> list[Any]:
    """The alert, or the first rule that forbids it."""
    wish: ReportSuspicion = command.body
    refusal = _refuse(state, wish, command.meta.actor)
    if refusal is not None:
        return refused(wish, state.market, command.meta.actor, refusal)
    start, duration_min = wish.delivery_start_at, wish.duration_min
    return [SuspicionRaised(state.market, start, duration_min, wish.kind, wish.parties, wish.orders)]


def _refuse(state: Market, wish: ReportSuspicion, actor: str) -> Refusal | None:
    if not state.rules:
        return Refusal(MarketRefusal.MARKET_UNKNOWN)
    if actor != ACTOR:
        return Refusal(MarketRefusal.NOT_AUTHORISED)
    key = wish.delivery_start_at, wish.duration_min
    instrument = state.instruments.get(key)
    if instrument is None:
        return Refusal(MarketRefusal.INSTRUMENT_UNKNOWN, 0, wish.delivery_start_at)
    rules = instrument.rules.surveillance
    if rules is None or not least_wh(rules, wish.kind):
        return Refusal(MarketRefusal.SURVEILLANCE_OFF)
    if not wish.parties or not set(wish.parties) <= state.participants:
        return Refusal(MarketRefusal.PARTICIPANT_UNKNOWN)
    if len(wish.parties) > MAX_PARTIES or len(wish.orders) > MAX_EVIDENCE:
        return Refusal(MarketRefusal.TOO_MANY_ORDERS, MAX_EVIDENCE, len(wish.orders))
    if (wish.kind, wish.parties) in state.suspicions.get(key, ()):
        return Refusal(MarketRefusal.ALREADY_REPORTED)
    return None


def least_wh(rules: SurveillanceRules, kind: SuspicionKind) -> int:
    """From which quantity on this kind is reported; 0: never."""
    match kind:
        case SuspicionKind.WASH_TRADE:
            return rules.wash_wh
        case SuspicionKind.LAYERING:
            return rules.layering_wh
        case SuspicionKind.WITHHELD_CAPABILITY:
            return rules.withheld_wh


def apply(state: Market, fact: SuspicionRaised) -> None:
    """Remembers what was reported as long as the instrument is known."""
    state.suspicions = {key: raised for key, raised in state.suspicions.items() if key in state.instruments}
    state.suspicions.setdefault((fact.delivery_start_at, fact.interval_min), set()).add((fact.kind, fact.parties))
