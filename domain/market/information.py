"""What participants say they have read: a position in the market's facts, only forward and only their own."""

from collections.abc import Mapping
from typing import Any, Final

from domain.market.refusal import Refusal, refused
from domain.market.state import Market
from domain.market.timers import Timed
from schemas.envelope import Command, Moment
from schemas.market.events import CommandRefused
from schemas.market.information_commands import AcknowledgeNotifications
from schemas.market.information_events import NotificationsAcknowledged
from schemas.market.reasons import MarketRefusal

OUTCOMES: Final[Mapping[type, tuple[type, ...]]] = {
    AcknowledgeNotifications: (NotificationsAcknowledged, CommandRefused),
}
FACTS: Final = (NotificationsAcknowledged,)
TIMED: Final[Mapping[int, Timed]] = {}


def decide(state: Market, command: Command[Any], now: Moment) -> list[Any]:
    """The party's new position, or the first rule that forbids it."""
    wish: AcknowledgeNotifications = command.body
    refusal = _refuse(state, wish, command.meta.actor)
    if refusal is not None:
        return refused(wish, wish.party, wish.party, refusal)
    return [NotificationsAcknowledged(state.market, wish.party, wish.partition, wish.seq)]


def _refuse(state: Market, wish: AcknowledgeNotifications, actor: str) -> Refusal | None:
    """Numbers of a refusal are of the part of the position that is wrong: the partition if it differs, else the seq."""
    if not state.rules:
        return Refusal(MarketRefusal.MARKET_UNKNOWN)
    if actor != wish.party:
        return Refusal(MarketRefusal.NOT_AUTHORISED)
    if wish.party not in state.participants:
        return Refusal(state.why_not(wish.party))
    wished, reached = (wish.partition, wish.seq), (state.partition, state.reached_seq)
    before = state.acknowledged.get(wish.party)
    if before is not None and wished <= before:
        return Refusal(MarketRefusal.NOT_FORWARD, *_where_they_differ(before, wished))
    if wished > reached:
        return Refusal(MarketRefusal.POSITION_UNKNOWN, *_where_they_differ(reached, wished))
    return None


def _where_they_differ(limit: tuple[int, int], found: tuple[int, int]) -> tuple[int, int]:
    part = 0 if limit[0] != found[0] else 1
    return limit[part], found[part]


def apply(state: Market, fact: NotificationsAcknowledged) -> None:
    """The market after a fact of this stream."""
    state.acknowledged[fact.party] = fact.partition, fact.seq
