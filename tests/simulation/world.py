"""A short random day: a sharing and a trading zone, eight delivery intervals, at most 200 wishes from doors.

Everything is drawn from the seed: who wishes what, mistakes and repeats included. The same seed gives the
same wishes, so that a disturbed run can be compared with an undisturbed one.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from consumers.limits import VALIDITY_US
from domain.identity import derived_id
from gateways.door import DoorCommand
from schemas.billing.commands import AdoptTariff, AllotCredit, OpenLedger, StartBilling
from schemas.community.commands import AdoptSharingRules, FoundCommunity
from schemas.community.events import SharingKey
from schemas.envelope import Moment
from schemas.market.commands import (
    AdoptRuleSet,
    ApproveContract,
    CancelOrder,
    OpenSession,
    ProposeContract,
    SubmitOrder,
)
from schemas.market.events import Restriction, RuleSet, SelfTradeMode
from schemas.meter.commands import RecordReadings
from schemas.meter.events import Quality
from schemas.party.commands import ApplyForMarket, ApplyForMembership, RegisterParty
from schemas.party.events import Role
from schemas.programme.commands import AdoptTerms, CallEvent, MeasurePerformance, OptOut
from schemas.programme.events import BaselineMethod, Netting, Terms
from schemas.reference.commands import DefineSeries, PublishCalendar, PublishPrices
from schemas.reference.events import SeriesKind, ValueQuality
from schemas.settlement.commands import ApproveRun, StartRun
from schemas.settlement.events import RunType
from schemas.site.commands import AllotCapability, JoinSharing, RegisterConnection, RegisterResource, VerifyResource
from schemas.site.events import AllotmentPurpose
from schemas.values import DeliveryMode, Direction, ResourceType, Side

MINUTE = 60_000_000
QUARTER = 15 * MINUTE
DAY = 96 * QUARTER
T0 = 1_466_200_800_000_000 - 1_466_200_800_000_000 % DAY + 12 * 4 * QUARTER
"""Noon UTC of a Friday in June 2016; the delivery intervals follow four hours later."""

SHARE, TRADE = "share", "trade"
STRANGER = "trade-p1"
THIEF = "thief-c0"
INTERVALS = 8
CENT = 10_000_000


@dataclass(frozen=True, slots=True)
class Step:
    """A tick and the wishes that come in after it."""

    moment: Moment
    commands: tuple[DoorCommand, ...]


@dataclass(frozen=True, slots=True)
class Home:
    """A connection with its party; `plant` says whether generation stands behind it."""

    zone: str
    party: str
    connection: str
    plant: bool


class World:
    """The steps of one seed. `partitions` and the order of doors are the runner's choice, not the seed's."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self.homes = [
            Home(zone, f"{zone}-p{n}", f"{zone}-c{n}", plant=n == 0 or self._rng.random() < 0.4)
            for zone in (SHARE, TRADE)
            for n in range(3)
        ]
        self.from_at = T0 + 16 * QUARTER
        self.to_at = self.from_at + INTERVALS * QUARTER
        self._count = self._at = 0
        self.steps = tuple(self._steps())
        self.commands = sum(len(step.commands) for step in self.steps)

    def _wish(self, family: str, key: str, actor: str, body: Any) -> DoorCommand:
        self._count += 1
        return DoorCommand(family, key, actor, f"w{self._count}", body)

    def _born(self, command: DoorCommand) -> str:
        until = self._at + VALIDITY_US
        return derived_id(command.family, command.key, command.actor, command.command_id, until, 0)

    def _steps(self) -> Iterator[Step]:
        for n, (at, make) in enumerate(self._timetable(), start=1):
            self._at = at
            commands = list(make(n))
            for command in [c for c in commands if self._rng.random() < 0.05]:
                first = commands.index(command)
                commands.insert(self._rng.randrange(first + 1, len(commands) + 1), command)
            yield Step(Moment(n, at), tuple(commands))

    def _timetable(self) -> list[tuple[int, Any]]:
        trading = [(T0 + (5 + i) * QUARTER, self._trade) for i in range(10)]
        after = self.to_at + 4 * QUARTER
        return [
            (T0, self._found),
            (T0 + QUARTER, self._register),
            (T0 + 2 * QUARTER, self._verify),
            (T0 + 3 * QUARTER, self._allot),
            (T0 + 4 * QUARTER, self._open),
            *trading,
            (self.from_at, self._trade),
            (self.from_at + 2 * QUARTER, self._trade),
            (after, self._read),
            (after + QUARTER, self._measure),
            (after + 2 * QUARTER, lambda n: self._run(n, RunType.INITIAL)),
            (after + 3 * QUARTER, self._approve),
            (after + 4 * QUARTER, lambda n: ()),
            (after + 5 * QUARTER, self._bill),
            (after + 6 * QUARTER, self._correct),
            (after + 7 * QUARTER, lambda n: self._run(n, RunType.CORRECTION)),
            (after + 8 * QUARTER, self._approve),
            (after + 9 * QUARTER, lambda n: ()),
            (after + 10 * QUARTER, self._bill),
            (after + 11 * QUARTER, self._take_back),
            (after + 12 * QUARTER, lambda n: ()),
        ]

    def _found(self, n: int) -> Iterator[DoorCommand]:
        for party, role in (
            ("grid", Role.SYSTEM_OPERATOR),
            ("supplier", Role.SUPPLIER),
            ("flex", Role.RESOURCE_AGGREGATOR),
        ):
            yield self._wish("party", party, party, RegisterParty((role,)))
        for home in self.homes:
            yield self._wish("party", home.party, home.party, RegisterParty((Role.PARTY_CONNECTED_TO_GRID,)))
        for zone, key in ((SHARE, SharingKey.DYNAMIC), (TRADE, SharingKey.NONE)):
            yield self._wish("community", zone, f"org-{zone}", FoundCommunity(zone, "EUR"))
            rules = AdoptSharingRules(key, 15, 12 * CENT, 10 * CENT, 10, 30, 0)
            yield self._wish("community", zone, f"org-{zone}", rules)
            yield self._wish("billing", f"org-{zone}", f"org-{zone}", OpenLedger("EUR", 2, 190_000))
        for issuer in ("supplier", "flex"):
            yield self._wish("billing", issuer, issuer, OpenLedger("EUR", 2, 190_000))
        yield self._wish("billing", "supplier", "supplier", AdoptTariff(30 * CENT, 8 * CENT, 0))
        yield self._wish("market", TRADE, "org-trade", AdoptRuleSet(0, self._rules()))
        yield self._wish("reference", "imb", "grid", DefineSeries(SeriesKind.IMBALANCE_PRICE, TRADE, "EUR", 15))
        prices = tuple(self._rng.randrange(-5, 20) * CENT for _ in range(INTERVALS))
        yield self._wish("reference", "imb", "grid", PublishPrices(self.from_at, ValueQuality.FINAL, prices))
        yield self._wish("reference", "cal", "grid", DefineSeries(SeriesKind.CALENDAR, TRADE, "EUR", 15))
        calendar = PublishCalendar("Europe/Berlin", "2016-06-01", "2016-06-30", ())
        yield self._wish("reference", "cal", "grid", calendar)
        method = BaselineMethod("mean_2", 1, "cal", 10, 2, 2, 0, 0, 0)
        terms = Terms("flex", TRADE, "EUR", 15, 0, 240, 40 * CENT, Netting.INTERVAL_FLOOR, method)
        yield self._wish("programme", "peak", "flex", AdoptTerms(terms))

    def _rules(self) -> RuleSet:
        mode = self._rng.choice([SelfTradeMode.CANCEL_NEWEST, SelfTradeMode.CANCEL_OLDEST, SelfTradeMode.OFF])
        delivery = DeliveryMode.AS_DELIVERED
        return RuleSet(
            TRADE, "org-trade", "EUR", 15, 6000, 15, CENT, 10, 5000, -CENT, 50 * CENT, mode, 50 * CENT, 10, delivery, 60
        )

    def _register(self, n: int) -> Iterator[DoorCommand]:
        for h in self.homes:
            yield self._wish("party", h.party, h.party, ApplyForMembership(h.zone))
            body = RegisterConnection(
                h.zone, h.party, "supplier", "supplier", "supplier", f"{h.connection}-mp", 15, 30_000, 0
            )
            yield self._wish("site", h.connection, "grid", body)
            load = RegisterResource(f"{h.connection}-l", ResourceType.LOAD, 10_000, 0, f"{h.connection}-l-mp")
            yield self._wish("site", h.connection, h.party, load)
            if h.plant:
                plant = RegisterResource(f"{h.connection}-g", ResourceType.GENERATION, 8_000, 0, f"{h.connection}-g-mp")
                yield self._wish("site", h.connection, h.party, plant)

        # Names the meter of somebody else: it counts for nothing, and stops nobody.
        behind = ("supplier", "supplier", "supplier", f"{TRADE}-c0-mp")
        yield self._wish("site", THIEF, "thief", RegisterConnection(TRADE, "thief", *behind, 15, 30_000, 0))

    def _verify(self, n: int) -> Iterator[DoorCommand]:
        for h in self.homes:
            yield self._wish("site", h.connection, "grid", VerifyResource(f"{h.connection}-l", 10_000))
            if h.plant:
                yield self._wish("site", h.connection, "grid", VerifyResource(f"{h.connection}-g", 8_000))
            if h.zone == TRADE:
                yield self._wish("party", h.party, h.party, ApplyForMarket(TRADE))
                if h.party == STRANGER:
                    # Never admitted there: it counts for nothing.
                    yield self._wish("site", h.connection, h.party, JoinSharing(SHARE, 1_000_000, 0))
            else:
                yield self._wish("site", h.connection, h.party, JoinSharing(SHARE, 1_000_000, 0))

    def _allot(self, n: int) -> Iterator[DoorCommand]:
        for h in self.homes:
            if h.zone == TRADE:
                injection = 8_000 if h.plant else 0
                body = AllotCapability(AllotmentPurpose.MARKET, TRADE, injection, 0)
                yield self._wish("site", h.connection, h.party, body)
                credit = AllotCredit(h.party, TRADE, self._rng.choice([1, 5, 50]) * 1_000_000)
                yield self._wish("billing", "org-trade", "org-trade", credit)
                offer = AllotCapability(AllotmentPurpose.PROGRAMME, "peak", 0, 2_000)
                yield self._wish("site", h.connection, h.party, offer)

    def _take_back(self, n: int) -> Iterator[DoorCommand]:
        for h in self.homes:
            if h.zone == TRADE and h.plant:
                for injection in (2_000, 1_000):
                    body = AllotCapability(AllotmentPurpose.MARKET, TRADE, injection, 0)
                    yield self._wish("site", h.connection, h.party, body)

    def _open(self, n: int) -> Iterator[DoorCommand]:
        yield self._wish("market", TRADE, "org-trade", OpenSession(self.from_at, INTERVALS))
        call = self._wish("programme", "peak", "flex", CallEvent(self.from_at, self.from_at + 2 * QUARTER, 3_000))
        self._event = self._born(call)
        yield call
        seller, buyer = self._traders(2)
        for approved in (True, False):
            body = ProposeContract(
                seller.party, buyer.party, seller.connection, buyer.connection, self.from_at, (100, 100), 14 * CENT
            )
            proposal = self._wish("market", TRADE, seller.party, body)
            yield proposal
            if approved:
                yield self._wish("market", TRADE, buyer.party, ApproveContract(self._born(proposal)))
        if self._rng.random() < 0.7:
            out = self._rng.choice([h for h in self.homes if h.zone == TRADE])
            yield self._wish("programme", "peak", out.party, OptOut(self._event, out.connection))

    def _traders(self, count: int) -> list[Home]:
        homes = [h for h in self.homes if h.zone == TRADE]
        return [homes[0], *self._rng.sample(homes[1:], count - 1)]

    def _trade(self, n: int) -> Iterator[DoorCommand]:
        for _ in range(self._rng.randrange(2, 6)):
            home = self._rng.choice([h for h in self.homes if h.zone == TRADE or self._rng.random() < 0.05])
            side = self._rng.choice([Side.BUY, Side.SELL, Side.SELL]) if home.plant else Side.BUY
            price = self._rng.randrange(8, 14) if side is Side.SELL else self._rng.randrange(10, 20)
            order = SubmitOrder(
                home.party,
                home.connection,
                self.from_at + self._rng.choice([2, 3, 3, 4, 4, 5, 6, self._rng.randrange(INTERVALS)]) * QUARTER,
                side,
                self._rng.choice([10, 50, 200, 400, 400, 2000, 15]),
                price * CENT + (self._rng.random() < 0.05),
                self._rng.choice([Restriction.NONE] * 4 + [Restriction.IOC, Restriction.FOK]),
                None,
            )
            command = self._wish("market", TRADE, home.party, order)
            yield command
            if self._rng.random() < 0.2:
                yield self._wish("market", TRADE, home.party, CancelOrder(self._born(command)))

    def _values(self, count: int, top: int) -> tuple[int, ...]:
        return tuple(self._rng.randrange(top) for _ in range(count))

    def _read(self, n: int) -> Iterator[DoorCommand]:
        start_at = self.from_at - 3 * DAY
        count = (self.to_at - start_at) // QUARTER
        for h in self.homes:
            exports = self._values(count, 600) if h.plant else (0,) * count
            imports = self._values(count, 400)
            for direction, values in ((Direction.IMPORT_FROM_GRID, imports), (Direction.EXPORT_TO_GRID, exports)):
                body = RecordReadings("head-end", "all", direction, start_at, 15, Quality.VALID, values)
                yield self._wish("meter", f"{h.connection}-mp", "head-end", body)

    def _measure(self, n: int) -> Iterator[DoorCommand]:
        yield self._wish("programme", "peak", "flex", MeasurePerformance(self._event, n))

    def _run(self, n: int, kind: RunType) -> list[DoorCommand]:
        started = []
        for zone in (SHARE, TRADE):
            markets = (TRADE,) if zone == TRADE else ()
            body = StartRun(
                kind, self.from_at, self.to_at, 15, n, "EUR", f"org-{zone}", "imb", markets, self.to_at + 30 * DAY
            )
            started.append(self._wish("settlement", zone, "desk", body))
        self._runs = {command.key: self._born(command) for command in started}
        return started

    def _approve(self, n: int) -> list[DoorCommand]:
        return [self._wish("settlement", zone, "lead", ApproveRun(run)) for zone, run in self._runs.items()]

    def _bill(self, n: int) -> list[DoorCommand]:
        issuers = ("org-share", "org-trade", "supplier", "flex")
        return [self._wish("billing", i, i, StartBilling(self.from_at, self.to_at)) for i in issuers]

    def _correct(self, n: int) -> Iterator[DoorCommand]:
        home = self._rng.choice(self.homes)
        body = RecordReadings(
            "head-end",
            "correction",
            Direction.IMPORT_FROM_GRID,
            self.from_at,
            15,
            Quality.EDITED,
            self._values(INTERVALS // 2, 300),
        )
        yield self._wish("meter", f"{home.connection}-mp", "head-end", body)
