"""The script of the day: which wishes come in at which tick. It depends on nothing but the sample files.

A tick is five simulated minutes on the delivery day; before and after it the clock takes longer steps.
The same wishes with the same ids can be sent again after a crash: what was answered is answered again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from examples.agents import CENT_NANO, Bid, bids
from examples.dealings import Dealings
from examples.households import household, sellers_by_export
from examples.meters import corrected, measured, readings
from examples.neighbours import EXCHANGE, NEIGHBOURS, Neighbours
from examples.world import (
    AGGREGATOR,
    CURRENCY,
    IMBALANCE,
    PROGRAMME,
    SAMPLE,
    SETTLEMENT_DESK,
    SETTLEMENT_LEAD,
    SHARING,
    SUPPLIER,
    TRADING,
    Place,
    Wishes,
    allot,
    born,
    dr_connections,
    found_everything,
    load_place,
    organiser,
    register_sites,
    verify_sites,
)
from gateways.door import DoorCommand
from schemas.billing.commands import StartBilling
from schemas.envelope import Moment
from schemas.market.commands import CancelOrder, SubmitOrder
from schemas.market.events import Restriction
from schemas.programme.commands import CallEvent, MeasurePerformance, OptOut
from schemas.settlement.commands import ApproveRun, StartRun
from schemas.settlement.events import RunType
from schemas.values import MINUTE_US, Side

TICK_US: Final = 5 * MINUTE_US
HOUR_US: Final = 60 * MINUTE_US
DAY_US: Final = 24 * HOUR_US
EVENT_HOURS: Final = (17, 19)
_QUARTER_US: Final = 15 * MINUTE_US


Happening = tuple[int, str, Sequence[DoorCommand] | Callable[[Moment], Sequence[DoorCommand]]]
"""A time, a title, and wishes (or how to make them once the tick is known)."""


@dataclass(frozen=True, slots=True)
class Step:
    """A tick and what comes in after it, before the next one."""

    moment: Moment
    title: str
    commands: tuple[DoorCommand, ...]


class Day:
    """Everything that happens, in order: `steps`. The names of what is born are known beforehand."""

    def __init__(self, sample: Path = SAMPLE) -> None:
        self.sharing, self.trading = load_place(SHARING, sample), load_place(TRADING, sample)
        self.places = (self.sharing, self.trading)
        self.day_start_at, self.day_end_at = self.trading.day_start_at, self.trading.day_end_at
        self.event_at = [self.day_start_at + hour * HOUR_US for hour in EVENT_HOURS]
        self._wish = Wishes()
        home_seller = sellers_by_export(self.trading)[2]
        self._neighbours = Neighbours(self._wish, self.sharing, self.trading, home_seller)
        self._dealings = Dealings(self._wish, self.trading, self._neighbours.connections)
        self._asked = dr_connections(self.trading)
        self.opted_out = self._asked[3]
        self._party = {c.connection: c.party for p in self.places for c in p.community.connections}
        quarter = self.trading.delivery_day.start
        self._event = slice(quarter + 4 * EVENT_HOURS[0], quarter + 4 * EVENT_HOURS[1])
        followers = [c for c in self._asked if c != self.opted_out]
        self._registers = {
            self.sharing.name: measured(self.sharing, (), self._event),
            self.trading.name: measured(self.trading, followers, self._event),
        }
        self.corrected = next(c for c in self._asked[4:] if c != self.opted_out)
        self.steps = tuple(self._steps())

    # -- the steps ---------------------------------------------------------------------------------

    def _steps(self) -> Iterator[Step]:
        waiting = self._bids()
        happenings = [*self._before(), *self._trading_day(), *self._after()]
        for n, (at, title, commands) in enumerate(happenings, start=1):
            due = [b for b in waiting if b.submit_at <= at]
            waiting = waiting[len(due) :]
            orders = [DoorCommand("market", TRADING, b.order.party, b.command_id, b.order) for b in due]
            made = commands(Moment(n, at)) if callable(commands) else commands
            yield Step(Moment(n, at), title, (*made, *orders))

    def _before(self) -> Iterator[Happening]:
        evening = self.day_start_at - 4 * HOUR_US
        wish = self._wish
        last = self.trading.community.delivery_day_index
        yield (
            evening,
            "founding communities, market, programme",
            (
                *found_everything(wish, self.places),
                *self._neighbours.found(),
            ),
        )
        registered = [c for p in self.places for c in register_sites(wish, p)]
        yield evening + TICK_US, "registering sites and equipment", tuple(registered)
        verified = [c for p in self.places for c in verify_sites(wish, p)]
        yield evening + 2 * TICK_US, "verifying equipment", (*verified, *self._neighbours.apply())
        allotted = *allot(wish, self.trading, self._neighbours.connections), *self._neighbours.allot()
        yield evening + 3 * TICK_US, "allotting capability and credit", allotted
        for n, first in enumerate(range(0, last - 1, 7)):
            days = range(first, min(first + 7, last - 1))
            yield evening + (4 + n) * TICK_US, "reading the meters of earlier weeks", self._readings(days, f"week-{n}")

    def _readings(self, days: range, batch: str) -> tuple[DoorCommand, ...]:
        return tuple(c for p in self.places for c in readings(self._wish, p, self._registers[p.name], days, batch))

    def _trading_day(self) -> Iterator[Happening]:
        said = self._said_during_the_day()
        for n in range((self.day_end_at - self.day_start_at) // TICK_US):
            at = self.day_start_at + n * TICK_US
            yield at, "the delivery day", tuple(c for time, c in said if time == at)

    def _said_during_the_day(self) -> list[tuple[int, DoorCommand]]:
        day, wish = self.day_start_at, self._wish
        last = self.trading.community.delivery_day_index
        found = [(day + 2 * HOUR_US, c) for c in self._readings(range(last - 1, last), "yesterday")]
        call = wish("programme", PROGRAMME, AGGREGATOR, CallEvent(self.event_at[0], self.event_at[1], self._target_w()))
        self.event_id = born(call, day + 10 * HOUR_US)
        found.append((day + 10 * HOUR_US, call))
        out = OptOut(self.event_id, self.opted_out)
        found.append((day + 12 * HOUR_US, wish("programme", PROGRAMME, self._party[self.opted_out], out)))
        found += [*self._dealings.said(), *self._neighbours.said()]
        return found + self._mistakes(day + 9 * HOUR_US, day + 21 * HOUR_US)

    def _target_w(self) -> int:
        offered = 0
        for connection in self._asked:
            offered += sum(r.rated_power_w for r in self.trading.resources_of(connection)) // 4
        return offered * 6 // 10

    def _mistakes(self, at: int, late_at: int) -> list[tuple[int, DoorCommand]]:
        """What people get wrong, and one who changes their mind: each is answered, none does harm."""
        evening, night = self.day_start_at + 20 * HOUR_US, self.day_start_at + 22 * HOUR_US
        buyers = self._asked[5:]
        taken = {self._dealings.firm_seller, *self._neighbours.connections}
        seller = next(c for c in self._sellers() if c not in taken)

        def order(
            connection: str,
            side: Side,
            quantity_wh: int,
            price: int,
            delivery: int,
            actor: str = "",
            restriction: Restriction = Restriction.NONE,
        ) -> DoorCommand:
            party = self._party[connection]
            body = SubmitOrder(party, connection, delivery, side, quantity_wh, price, restriction, None)
            return self._wish("market", TRADING, actor or party, body)

        stranger = self.sharing.community.connections[0].connection
        resting = order(buyers[0], Side.BUY, 50, 1 * CENT_NANO, evening)
        cancel = self._wish("market", TRADING, resting.actor, CancelOrder(born(resting, at)))
        again = self._wish("market", TRADING, resting.actor, CancelOrder(born(resting, at)))
        noon = self.day_start_at + 12 * HOUR_US
        wrong = [
            order(buyers[1], Side.BUY, 50, 12 * CENT_NANO + 1, evening),
            order(buyers[2], Side.BUY, 55, 12 * CENT_NANO, evening),
            order(buyers[3], Side.BUY, 50, 12 * CENT_NANO, self.day_start_at + 8 * HOUR_US),
            order(buyers[4], Side.BUY, 50_000, 50 * CENT_NANO, evening),
            order(stranger, Side.BUY, 50, 12 * CENT_NANO, evening),
            order(buyers[5], Side.BUY, 50, 12 * CENT_NANO, evening, actor=SUPPLIER),
            order(buyers[5], Side.BUY, 50, 12 * CENT_NANO, evening, restriction=Restriction.IOC),
            order(seller, Side.SELL, 50_000, 12 * CENT_NANO, noon),
            order(buyers[6], Side.SELL, 50, 12 * CENT_NANO, evening),
            resting,
            cancel,
            again,
        ]
        # The seller buys what it offers itself: where books trade on, self-trade prevention cancels the newer order.
        own = [
            order(seller, Side.SELL, 10, 40 * CENT_NANO, night),
            order(seller, Side.BUY, 10, 50 * CENT_NANO, night),
        ]
        return [*((at, command) for command in wrong), *((late_at, command) for command in own)]

    def _sellers(self) -> list[str]:
        return [c.connection for c in self.trading.community.connections if self.trading.injects(c.connection)]

    def _bids(self) -> list[Bid]:
        found: list[Bid] = []
        dealing = {self._dealings.firm_seller, self._dealings.firm_buyer, *self._dealings.mandated}
        not_in_the_book = dealing | self._neighbours.connections
        for connection in self.trading.community.connections:
            if connection.connection not in not_in_the_book:
                found += bids(household(self.trading, connection.connection), self.day_start_at, TICK_US)
        return sorted(found, key=lambda bid: (bid.submit_at, bid.command_id))

    def _after(self) -> Iterator[Happening]:
        morning, wish = self.day_end_at, self._wish
        last = self.trading.community.delivery_day_index
        yield morning + 2 * HOUR_US, "reading the meters of the day", self._readings(range(last, last + 1), "day")
        yield morning + 8 * HOUR_US, "measuring the event's response", self._measure
        yield morning + 9 * HOUR_US, "settlement runs", lambda now: self._start_runs(now, RunType.INITIAL, self.places)
        yield morning + 10 * HOUR_US, "a second person approves", lambda now: self._approve(self.places)
        yield morning + 10 * HOUR_US + TICK_US, "posting differences", ()
        issuers = (organiser(SHARING), organiser(TRADING), SUPPLIER, AGGREGATOR, EXCHANGE)
        yield morning + 12 * HOUR_US, "bills", tuple(self._bill(issuer) for issuer in issuers)
        for n in range(3):
            yield morning + 12 * HOUR_US + (n + 1) * TICK_US, "bills", ()
        two_days_later = morning + 2 * DAY_US
        quarter = self.trading.delivery_day.start
        late = corrected(
            wish,
            self.trading,
            self._registers[TRADING],
            self.corrected,
            slice(quarter + 4 * 12, quarter + 4 * 14),
            60,
        )
        yield two_days_later, "a late meter correction", (late,)
        yield (
            two_days_later + HOUR_US,
            "a second run",
            lambda now: self._start_runs(now, RunType.CORRECTION, (self.trading,)),
        )
        yield two_days_later + 2 * HOUR_US, "a second person approves", lambda now: self._approve((self.trading,))
        yield two_days_later + 2 * HOUR_US + TICK_US, "posting differences", ()
        again = (organiser(TRADING), SUPPLIER)
        yield two_days_later + 3 * HOUR_US, "credit note and new bill", tuple(self._bill(i) for i in again)
        yield two_days_later + 3 * HOUR_US + TICK_US, "credit note and new bill", ()
        yield two_days_later + 4 * HOUR_US, "done", ()

    def _measure(self, now: Moment) -> Sequence[DoorCommand]:
        body = MeasurePerformance(self.event_id, now.n)
        return (self._wish("programme", PROGRAMME, AGGREGATOR, body),)

    def _start_runs(self, now: Moment, kind: RunType, places: Sequence[Place]) -> Sequence[DoorCommand]:
        started = []
        for place in places:
            body = StartRun(
                run_type=kind,
                from_at=self.day_start_at,
                to_at=self.day_end_at,
                interval_min=15,
                cutoff_tick=now.n,
                currency=CURRENCY,
                operator=organiser(place.name),
                imbalance_series=IMBALANCE,
                markets=(TRADING, NEIGHBOURS) if place.name == TRADING else (NEIGHBOURS,),
                deadline_at=self.day_end_at + 30 * DAY_US,
            )
            started.append(self._wish("settlement", place.name, SETTLEMENT_DESK, body))
        self._runs = {command.key: born(command, now.at) for command in started}
        return started

    def _approve(self, places: Sequence[Place]) -> Sequence[DoorCommand]:
        return [self._wish("settlement", p.name, SETTLEMENT_LEAD, ApproveRun(self._runs[p.name])) for p in places]

    def _bill(self, issuer: str) -> DoorCommand:
        return self._wish("billing", issuer, issuer, StartBilling(self.day_start_at, self.day_end_at))
