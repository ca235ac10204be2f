"""A market whose sessions are opened by one auction, and what its calculation says."""

from collections.abc import Iterator, Sequence
from typing import Any

from domain.market.calc_session import CALCULATION
from domain.market.session_auctions import CALCULATOR
from projections.market.sessions import SESSION_BLOCKS, SESSION_BOOKS
from schemas.envelope import FactMeta, Moment, Recorded
from schemas.market.auction_events import Rationing
from schemas.market.events import CommandRefused
from schemas.market.session_commands import ProposeCallBlocks, ProposeSessionBook, SubmitCallBlock
from schemas.market.session_events import (
    SessionAuctionRules,
    SessionAuctionStarted,
    SessionBlocksListed,
    SessionBookListed,
)
from schemas.values import Side
from tests.unit.given import MINUTE, Scenario, only
from tests.unit.market.world import CENT, KWH, MARKET, NOON, connection_of, open_market

SESSION = SessionAuctionRules(
    opening_lead_min=150, opening_min=60, k_ppm=500_000, rationing=Rationing.TIME, deadline_min=10
)
"""Books open half an hour ago and are called in half an hour."""

CALLED = NOON - 90 * MINUTE

_META = FactMeta(0, Moment(0, 0), "c", 0, "actor", "correlation", None, 1)


def collecting(*parties: str, intervals: int = 4, session: SessionAuctionRules = SESSION, **changes: Any) -> Scenario:
    """A market whose session is collecting."""
    return open_market(
        *parties or ("ann", "bob", "cyd", "dan"), intervals=intervals, session_auction=session, **changes
    )


def block(
    party: str,
    side: Side,
    profile: Sequence[float],
    cents: float,
    start: int = NOON,
    **more: Any,
) -> SubmitCallBlock:
    """A call block in kWh and cents per kWh."""
    price = round(cents * 10) * CENT // 10
    profile_wh = tuple(round(kwh * KWH) for kwh in profile)
    return SubmitCallBlock(party, connection_of(party), side, start, 15, profile_wh, price, **more)


def sells(party: str, profile: Sequence[float], cents: float, **more: Any) -> SubmitCallBlock:
    return block(party, Side.SELL, profile, cents, **more)


def buys(party: str, profile: Sequence[float], cents: float, **more: Any) -> SubmitCallBlock:
    return block(party, Side.BUY, profile, cents, **more)


def said(market: Scenario, wish: SubmitCallBlock) -> Any:
    """The one answer to a call block that its owner sends."""
    [fact] = market.when(wish, wish.party)
    return fact


def called(*wishes: Any, **changes: Any) -> tuple[Scenario, list[Any]]:
    """A session with these orders and blocks behind the end of its call, and what that brought about."""
    market = collecting(**changes)
    for wish in wishes:
        market.when(wish, wish.party)
    return market, market.later(CALLED)


def proposals(facts: Sequence[Any]) -> Iterator[ProposeCallBlocks | ProposeSessionBook]:
    """What the calculation says of the auction that has just started, from the slates of its books and blocks."""
    [started] = only(facts, SessionAuctionStarted)
    rows = {
        name: [row for fact in only(facts, kind) for row in view.on[kind](Recorded("market", 0, MARKET, _META, fact))]
        for name, kind, view in (
            ("books", SessionBookListed, SESSION_BOOKS),
            ("blocks", SessionBlocksListed, SESSION_BLOCKS),
        )
    }
    return CALCULATION.compute(Recorded("market", 0, MARKET, _META, started), rows)  # type: ignore[return-value]


def cleared(market: Scenario, facts: Sequence[Any]) -> list[Any]:
    """What the result brings about, up to the end of the auction."""
    found: list[Any] = []
    for part in proposals(facts):
        found += market.when(part, CALCULATOR)
    assert only(found, CommandRefused) == []
    return found + market.later(market.at)
