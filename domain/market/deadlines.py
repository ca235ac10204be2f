"""What time brings about: one heap for all streams of a market (`domain/market/streams.py` knows the kinds)."""

from collections.abc import Iterable
from heapq import heappop
from typing import Any

from domain.market.state import Market
from domain.market.streams import TIMED
from domain.market.timers import Ahead, in_order
from schemas.envelope import Moment


def advance(state: Market, now: Moment, limit: int) -> Iterable[Any]:
    """At most `limit` facts: first what waits to be written out, then what is due, by time and kind."""
    if not state.timers or state.timers[0][0] > now.at:
        return ()
    facts: list[Any] = []
    ahead = Ahead(now.at, limit)
    for timer in in_order(state.timers):
        if timer[0] > now.at or ahead.room <= 0 or ahead.stop:
            break
        is_over, happen = TIMED[timer[1]]
        if not is_over(state, timer):
            facts.extend(happen(state, timer, ahead))
            ahead.said = bool(facts)
    return facts


def forget_what_is_over(state: Market) -> None:
    """For `evolve`: takes timers from the top that have nothing to say, so that `due` never calls in vain."""
    while state.timers:
        timer = state.timers[0]
        if not TIMED[timer[1]].is_over(state, timer):
            return
        heappop(state.timers)
