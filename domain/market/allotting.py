"""What sites allot to a market: recorded when it is given, and given back when the market can do without it.

A site that wants some of it back asks. The market says no (`CapabilityRetained`) where orders, trades and reservations
use more of an interval to come than what would be left, or more stored energy; else it is lowered at once.
"""

from collections.abc import Mapping
from typing import Any, Final, assert_never

from domain.market.allotment import Allotment, Broken, Step
from domain.market.capability import capability_wh
from domain.market.network import zones_of
from domain.market.refusal import Refusal, refused
from domain.market.state import Connection, Market
from domain.market.timers import Timed
from schemas.actors import POLICY
from schemas.envelope import Command, Moment
from schemas.market.capability_commands import LowerCapability
from schemas.market.capability_events import CapabilityLowered, CapabilityRetained
from schemas.market.commands import RecordCapability
from schemas.market.events import CapabilityRecorded, CommandRefused
from schemas.market.reasons import MarketRefusal
from schemas.values import MINUTE_US

OUTCOMES: Final[Mapping[type, tuple[type, ...]]] = {
    RecordCapability: (CapabilityRecorded, CommandRefused),
    LowerCapability: (CapabilityLowered, CapabilityRetained, CommandRefused),
}
FACTS: Final = (CapabilityRecorded, CapabilityLowered, CapabilityRetained)
TIMED: Final[Mapping[int, Timed]] = {}

Wish = RecordCapability | LowerCapability
Fact = CapabilityRecorded | CapabilityLowered | CapabilityRetained


def decide(state: Market, command: Command[Any], now: Moment) -> list[Any]:
    """The allotment as it is now, why it cannot be lowered, or the first rule that forbids the wish."""
    wish: Wish = command.body
    match wish:
        case RecordCapability():
            refusal = _refuse_record(state, wish, command.meta.actor, now)
            if refusal is not None:
                return refused(wish, wish.connection, wish.party, refusal)
            return [_recorded(state, wish)]
        case LowerCapability():
            if not command.meta.actor.startswith(POLICY):
                return refused(wish, wish.connection, wish.party, Refusal(MarketRefusal.NOT_AUTHORISED))
            return [_answer(state, wish, now)]
        case _:
            assert_never(wish)


def _refuse_record(state: Market, wish: RecordCapability, actor: str, now: Moment) -> Refusal | None:
    """The first broken rule of an allotment; it may come before the admission: the families are not in step."""
    if not state.rules:
        return Refusal(MarketRefusal.MARKET_UNKNOWN)
    if not actor.startswith(POLICY):
        return Refusal(MarketRefusal.NOT_AUTHORISED)
    if wish.zone not in zones_of(state.rules[-1].rules):
        # Contracts are settled zone by zone; this connection would be in none of the market's.
        return Refusal(MarketRefusal.WRONG_ZONE)
    broken = _in_use(state, wish, now)
    return None if broken is None else Refusal(MarketRefusal.CAPABILITY_IN_USE, broken.limit_wh, broken.found_wh)


def _recorded(state: Market, wish: RecordCapability) -> CapabilityRecorded:
    return CapabilityRecorded(
        state.market,
        wish.connection,
        wish.party,
        wish.injection_w,
        wish.resources,
        wish.zone,
        wish.valid_from,
        wish.valid_to,
        wish.equipment,
        wish.stored,
    )


def _answer(state: Market, wish: LowerCapability, now: Moment) -> CapabilityLowered | CapabilityRetained:
    """A market that never knew the connection uses nothing of it."""
    broken = _in_use(state, wish, now)
    if broken is not None:
        return CapabilityRetained(
            state.market,
            wish.request,
            wish.connection,
            wish.party,
            MarketRefusal.CAPABILITY_IN_USE,
            broken.limit_wh,
            broken.found_wh,
            broken.start_at,
        )
    return CapabilityLowered(
        state.market,
        wish.request,
        wish.connection,
        wish.party,
        wish.injection_w,
        wish.resources,
        wish.valid_from,
        wish.valid_to,
        wish.equipment,
        wish.stored,
    )


def _in_use(state: Market, wish: Wish, now: Moment) -> Broken | None:
    """The first interval, not delivered yet, of which more is used than this would leave."""
    held = state.connections.get(wish.connection)
    if held is None:
        return None
    left = _allotted(state, held, wish)
    for start, slot in sorted(state.slots.items()):
        if start + slot.interval_min * MINUTE_US <= now.at:
            continue
        limit_w = wish.injection_w if left is None else left.injection_w(start)
        limit, found = capability_wh(limit_w, slot.interval_min), slot.used_wh.get(wish.connection, 0)
        if found > limit:
            return Broken(start, limit, found)
    return None if left is None else left.overdrawn(wish.connection, {})


def _allotted(state: Market, held: Connection | None, told: Wish | Fact) -> Allotment | None:
    """What a connection may sell after this was told; none where one power for ever says all."""
    assert not isinstance(told, CapabilityRetained)
    if told.valid_from is None and told.valid_to is None and told.stored is None:
        return None
    before = None if held is None else held.allotted
    if before is None:
        before = Allotment((Step(0, held.injection_w if held else 0, None),), state.slots)
    return before.with_step(told.valid_from or 0, told.valid_to, told.injection_w, told.stored)


def apply(state: Market, fact: Fact) -> None:
    """The market after a fact."""
    match fact:
        case CapabilityRecorded():
            zone = fact.zone or (state.rules[-1].rules.zone if state.rules else "")
            _hold(state, fact, zone)
        case CapabilityLowered():
            held = state.connections.get(fact.connection)
            if held is not None:
                _hold(state, fact, held.zone)
        case CapabilityRetained():
            pass
        case _:
            assert_never(fact)


def _hold(state: Market, fact: CapabilityRecorded | CapabilityLowered, zone: str) -> None:
    allotted = _allotted(state, state.connections.get(fact.connection), fact)
    verified = bool(fact.resources)
    state.connections[fact.connection] = Connection(
        fact.party, fact.injection_w, verified, zone, allotted, fact.equipment
    )
