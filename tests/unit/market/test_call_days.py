"""Any day with call auctions: openings and halts are called, cleared outside or not, and go on as the oracle says.

More days: `pytest tests/unit/market/test_call_days.py --seeds 500`.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from domain.market.auctions import CALCULATOR
from domain.market.calc_call import CALCULATION
from projections.market.auctions import AUCTION_BOOKS
from schemas.envelope import FactMeta, Moment, Recorded
from schemas.market.auction_commands import ProposeClearing
from schemas.market.auction_events import (
    AuctionBookListed,
    AuctionCalled,
    AuctionCleared,
    AuctionEnded,
    AuctionFailed,
    AuctionPartChecked,
    AuctionStarted,
    CallRules,
    Rationing,
)
from schemas.market.commands import SubmitOrder
from schemas.market.events import Restriction, RuleSet, SelfTradeMode
from schemas.values import Side
from tests.unit.given import MINUTE, only
from tests.unit.market.exchange_day import CONNECTIONS, FIRST, KEYS, SESSIONS, TICK, Day, Pick, World
from tests.unit.market.exchange_wishes import LOTS, WISHES, order, wait
from tests.unit.market.naive_calls import NaiveCalls
from tests.unit.market.naive_exchange import Said
from tests.unit.market.test_auctions import CALL_END, calling
from tests.unit.market.world import MARKET, NOON, QUARTER, sell, submit

STEPS = 100
BY_TIME = CallRules(36, 500_000, Rationing.TIME, 3)


@dataclass(frozen=True)
class CallWorld(World):
    """A world whose books are called."""

    call: CallRules = BY_TIME

    def rules(self) -> RuleSet:
        return replace(super().rules(), auction=self.call, opening_lead_min=70)


WORLDS = {
    "time": CallWorld(credit=10**6),
    "pro_rata": CallWorld(
        SelfTradeMode.CANCEL_OLDEST, call=CallRules(38, 250_000, Rationing.PRO_RATA, 2), credit=10**6
    ),
    "halts": CallWorld(
        SelfTradeMode.DECREMENT, halt=1, credit=10**6, call=CallRules(0, 1_000_000, Rationing.PRO_RATA, 2)
    ),
    "taxed": CallWorld(SelfTradeMode.OFF, halt=1, taxed=True, call=CallRules(37, 0, Rationing.TIME, 4)),
}


class CallDay(Day):
    """A day of which the calculation's answers are wishes, too."""

    def __init__(self, world: CallWorld, pick: Pick) -> None:
        super().__init__(world, pick, restarts=True)
        naive = NaiveCalls(self.naive.rules)
        naive.now, naive.parties, naive.credit = FIRST, self.naive.parties, self.naive.credit
        naive.connections = self.naive.connections
        for session in SESSIONS:
            naive.list_deliveries(*session)
        self.naive: NaiveCalls = naive
        self.proposals: list[ProposeClearing] = []

    def _told(self, fact: Any) -> Said | None:
        match fact:
            case AuctionCalled():
                return ("called", _key(fact), fact.resting, fact.deadline_at)
            case AuctionStarted():
                self.proposals = list(self._calculated(fact))
                return ("started", _key(fact), fact.resting)
            case AuctionPartChecked():
                return ("part", _key(fact), fact.part)
            case AuctionCleared():
                return ("cleared", _key(fact), fact.price_nano_per_kwh, fact.volume_wh)
            case AuctionFailed() | AuctionEnded():
                return ("failed" if isinstance(fact, AuctionFailed) else "ended", _key(fact))
            case _:
                return super()._told(fact)

    def _calculated(self, started: AuctionStarted) -> Iterable[ProposeClearing]:
        """What the calculation says, in two parts where there are two orders, sometimes with a mistake."""
        listed = [f for f in self.market.facts if isinstance(f, AuctionBookListed) and f.auction == started.auction]
        meta = FactMeta(0, Moment(0, 0), "c", 0, "actor", "correlation", None, 1)
        told = (Recorded("market", 0, MARKET, meta, f) for f in listed)
        rows = [row for fact in told for row in AUCTION_BOOKS.on[AuctionBookListed](fact)]
        (whole,) = CALCULATION.compute(Recorded("market", 0, MARKET, meta, started), {"book": rows})
        cut = self.pick(range(len(whole.orders)))
        halves = (slice(0, cut), slice(cut, None)) if cut else (slice(0, None),)
        for n, part in enumerate(halves):
            yield replace(
                whole, part=n + 1, parts=len(halves), orders=whole.orders[part], filled_wh=whole.filled_wh[part]
            )

    def propose(self) -> None:
        """The next part, or something wrong with it."""
        if not self.proposals:
            return
        right = self.proposals[0]
        wish = self.pick((right, right, right, right, self._mistaken(right), self.proposals[-1]))
        running = self.naive.frozen.get((wish.delivery_start_at, wish.interval_min))
        instrument = self.market.state.instruments.get((wish.delivery_start_at, wish.interval_min))
        auction = instrument.auction if instrument else None
        ours = running is not None and auction is not None and auction.called.auction == wish.auction
        before = len(self.said)
        self.wish(wish, CALCULATOR, lambda: self.naive.propose(wish, list(wish.filled_wh), ours))
        if any(said[0] == "part" for said in self.said[before:]):
            self.proposals = self.proposals[1:]

    def _mistaken(self, right: ProposeClearing) -> ProposeClearing:
        pick, fills = self.pick, list(right.filled_wh)
        # What a first part cannot show yet is taken until the last one comes.
        of_the_whole = ("price", "volume", "order") if right.parts == 1 or right.part > 1 else ()
        match pick(("fill", *of_the_whole)):
            case "fill":
                fills[pick(range(len(fills)))] += pick((-100, 100, 0))
                return replace(right, filled_wh=tuple(max(0, wh) for wh in fills))
            case "price":
                price = (right.called.price_nano_per_kwh or 0) + pick((-TICK, TICK, 1))
                return replace(right, called=replace(right.called, price_nano_per_kwh=price))
            case "volume":
                return replace(right, called=replace(right.called, volume_wh=right.called.volume_wh + 100))
            case _:
                return replace(right, orders=right.orders[:-1], filled_wh=right.filled_wh[:-1], parts=right.part)


def _key(fact: Any) -> tuple[int, int]:
    return fact.delivery_start_at, fact.interval_min


def propose(day: Day) -> None:
    assert isinstance(day, CallDay)
    day.propose()


def plain(day: Day) -> None:
    """An order for the first book mostly, as a call takes it."""
    pick = day.pick
    connection, (start, minutes) = pick(tuple(CONNECTIONS)), pick((*KEYS[:1] * 4, *KEYS[:2]))
    side, price, wh = pick(tuple(Side)), pick((-2, -1, 0, 1, 1, 2, 3, 4)) * TICK, pick(LOTS) * 100
    expires = pick((None, None, None, 3, 9))
    expires_at = None if expires is None else day.market.at + expires * MINUTE
    wish = SubmitOrder(
        CONNECTIONS[connection][0], connection, start, side, wh, price, Restriction.NONE, expires_at, minutes
    )
    day.wish(wish, wish.party, lambda: day.naive.submit(wish, wish.party))


ALL = {**WISHES, order: 20, plain: 60, wait: 14, propose: 40}


def call_day(world: str, seed: int, steps: int = STEPS) -> CallDay:
    """A day until its deliveries are settled."""
    draw = random.Random(f"{world} {seed}")
    day = CallDay(WORLDS[world], draw.choice)
    for _ in range(steps):
        (wished,) = draw.choices(list(ALL), list(ALL.values()))
        wished(day)
        day.holds()
    day.wait((NOON + 4 * QUARTER - day.market.at) // MINUTE)
    day.holds()
    day.settle()
    day.ends()
    return day


@pytest.mark.parametrize("world", WORLDS)
def test_a_day_with_calls_is_that_of_the_oracle(world: str, seeds: range) -> None:
    for seed in range(2 * len(seeds)):
        call_day(world, seed)


def test_enough_is_called_on_such_days() -> None:
    """A day on which nothing is cleared proves nothing about clearing."""
    said = [what for world in WORLDS for seed in range(2) for what in call_day(world, seed).said]
    assert sum(what[0] == "cleared" and what[2] is not None for what in said) > 0
    assert sum(what[0] == "failed" for what in said) > 0


def test_a_called_book_counts_without_what_expires_in_the_same_call() -> None:
    market = calling()
    submit(market, sell("bob", 1, 10))
    submit(market, sell("cyd", 1, 10, expires_at=CALL_END))
    [called] = only(market.later(CALL_END + MINUTE), AuctionCalled)
    assert called.resting == 1
