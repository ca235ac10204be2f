"""Any sequence of wishes: the product says what the naive market says, and its sums never break a limit."""

import random
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from domain.market.state import Market
from schemas.market.commands import (
    AdmitParticipant,
    ApproveContract,
    CancelOrder,
    ProposeContract,
    RecordCapability,
    RecordCredit,
    SettleDelivery,
    SubmitOrder,
)
from schemas.market.events import (
    CapabilityRecorded,
    CommandRefused,
    ContractConcluded,
    ContractLapsed,
    ContractProposed,
    DeliverySettled,
    GateClosed,
    OrderAccepted,
    OrderCancelled,
    OrdersCancelled,
    Restriction,
    RuleSetAdopted,
    SelfTradeMode,
    SessionOpened,
    TradeMade,
)
from schemas.values import Side
from tests.unit.given import MINUTE, Scenario
from tests.unit.market.naive_book import NaiveMarket, Outcome
from tests.unit.market.world import MARKET, NOON, OPERATOR, POLICY, QUARTER, rules
from tests.unit.written import rebuilt

TICK = 10_000_000
PARTIES = ("ann", "bob", "cyd")
CONNECTIONS = {"ann-1": "ann", "ann-2": "ann", "bob-1": "bob", "cyd-1": "cyd"}
STARTS = [NOON, NOON + QUARTER, NOON + 2 * QUARTER]
FIRST = NOON - 30 * MINUTE

parties = st.sampled_from(PARTIES)
starts = st.sampled_from([*STARTS, *STARTS, NOON + 3 * QUARTER])
quantities = st.sampled_from([100, 100, 200, 300, 400, 500, 500, 0, 150, 1100])
prices = st.sampled_from([-2 * TICK, -TICK, 0, TICK, TICK, 2 * TICK, 3 * TICK, TICK + 1, 9 * TICK])
sides = st.sampled_from(list(Side))
restrictions = st.sampled_from([Restriction.NONE, Restriction.NONE, Restriction.IOC, Restriction.FOK])
expiries = st.sampled_from([None, None, None, 0, 3, 7, 20, 60])


class Watched(Scenario):
    """A scenario that holds the limits after every single fact."""

    def _evolve(self, body: Any) -> None:
        before = {p: a.exposure_pico for p, a in self.state.accounts.items()}
        used = {s: dict(slot.used_wh) for s, slot in self.state.slots.items()}
        super()._evolve(body)
        for party, account in self.state.accounts.items():
            assert account.exposure_pico >= 0
            assert account.exposure_pico <= max(account.limit_micro * 10**6, before.get(party, 0))
        for start, slot in self.state.slots.items():
            for connection, now_used in slot.used_wh.items():
                limit = self.state.connections[connection].injection_w * 15 // 60
                assert now_used <= max(limit, used.get(start, {}).get(connection, 0))


class Trading(RuleBasedStateMachine):
    """Product and oracle side by side."""

    @initialize(mode=st.sampled_from(list(SelfTradeMode)[:3]))
    def opens(self, mode: SelfTradeMode) -> None:
        held = rules(
            lot_wh=100,
            tick_nano_per_kwh=TICK,
            min_price_nano_per_kwh=-5 * TICK,
            max_price_nano_per_kwh=5 * TICK,
            max_quantity_wh=1000,
            assumed_price_nano_per_kwh=2 * TICK,
            opening_lead_min=58,
            approval_deadline_min=6,
            self_trade=mode,
        )
        self.market = Watched("market", MARKET, at=FIRST)
        self.market.given(RuleSetAdopted(MARKET, 1, 0, held), SessionOpened(MARKET, "z", NOON, len(STARTS), 15, 1))
        self.naive = NaiveMarket(held, list(STARTS))
        self.naive.now = FIRST
        self.names: dict[str, int] = {}
        self.offers: dict[str, int] = {}
        for party in PARTIES[:2]:
            self.admit(party)
        for party in PARTIES:
            self.credit(party, 30_000)
        for connection, watts in (("ann-1", 4000), ("ann-2", 0), ("bob-1", 2000), ("cyd-1", 8000)):
            self.capability(connection, watts)

    def judge(self, facts: list[Any], expected: list[Outcome]) -> None:
        found = [said for fact in facts if (said := self._said(fact)) is not None]
        assert found == expected

    def _said(self, fact: Any) -> Outcome | None:
        match fact:
            case OrderAccepted():
                self.names[fact.order] = fact.sequence
                return ("accepted", fact.sequence)
            case TradeMade():
                return (
                    "trade",
                    self.names[fact.buy_order],
                    self.names[fact.sell_order],
                    fact.quantity_wh,
                    fact.price_nano_per_kwh,
                    fact.buy_rest_wh,
                    fact.sell_rest_wh,
                )
            case OrderCancelled():
                return ("cancelled", self.names[fact.order], fact.rest_wh, fact.reason)
            case OrdersCancelled():
                numbers = [self.names[o] for o in fact.orders]
                return ("slice", fact.delivery_start_at, numbers, list(fact.rests_wh))
            case GateClosed():
                return ("gate", fact.delivery_start_at, fact.resting)
            case ContractProposed():
                self.offers[fact.contract] = len(self.offers) + 1
                return ("proposed", self.offers[fact.contract], fact.awaiting, fact.lapses_at)
            case ContractConcluded(trade=None):
                return ("concluded", self.offers[fact.contract])
            case ContractLapsed():
                return ("lapsed", self.offers[fact.contract])
            case CommandRefused():
                return ("refused", fact.reason)
            case _:
                return None

    @rule(
        bids=st.lists(
            st.tuples(
                st.sampled_from(["ann-1", "bob-1", "ann-1", "bob-1", "cyd-1", "ann-2"]),
                st.sampled_from(STARTS),
                sides,
                st.sampled_from([100, 200, 300, 400, 500]),
                st.sampled_from([-TICK, 0, TICK, TICK, 2 * TICK]),
                restrictions,
                expiries,
            ),
            min_size=3,
            max_size=12,
        )
    )
    def bid(self, bids: list[Any]) -> None:
        """Most orders of a day are in order; they are what fills a book."""
        for connection, start, side, quantity, price, restriction, minutes in bids:
            self.submit(CONNECTIONS[connection], connection, start, side, quantity, price, restriction, minutes)

    @rule(
        party=parties,
        connection=st.sampled_from([*CONNECTIONS, "nowhere"]),
        start=starts,
        side=sides,
        quantity=quantities,
        price=prices,
        restriction=restrictions,
        minutes=expiries,
        honest=st.booleans(),
    )
    def bid_somehow(self, party: str, connection: str, honest: bool, **terms: Any) -> None:
        owner = CONNECTIONS.get(connection, party) if honest else party
        self.submit(owner, connection, actor=party, **terms)

    def submit(
        self,
        party: str,
        connection: str,
        start: int,
        side: Side,
        quantity: int,
        price: int,
        restriction: Restriction,
        minutes: int | None,
        actor: str | None = None,
    ) -> None:
        expires_at = None if minutes is None else self.market.at + minutes * MINUTE
        wish = SubmitOrder(party, connection, start, side, quantity, price, restriction, expires_at)
        self.judge(self.market.when(wish, actor or party), self.naive.submit(wish, actor or party))

    @rule(places=st.lists(st.integers(0, 30), min_size=1, max_size=4), actor=st.sampled_from([None, None, *PARTIES]))
    def cancel(self, places: list[int], actor: str | None) -> None:
        """Late orders are more often still open than early ones."""
        for place in places:
            known: list[tuple[str, int | None]] = [("no such order", None), *self.names.items()]
            order, number = known[-1 - place % len(known)]
            owner = self.naive.orders[number - 1].party if number else "ann"
            who = actor or owner
            self.judge(self.market.when(CancelOrder(order), who), self.naive.cancel(number, who))

    @rule(
        seller=st.sampled_from([("ann", "ann-1"), ("bob", "bob-1"), ("bob", "bob-1"), ("bob", "ann-1")]),
        buyer=st.sampled_from([("ann", "ann-1"), ("bob", "bob-1"), ("ann", "ann-2"), ("cyd", "cyd-1")]),
        start=starts,
        profile=st.lists(st.sampled_from([100, 100, 200, 300, 0, 150]), min_size=1, max_size=3),
        price=prices,
        actor=parties,
    )
    def propose_somehow(
        self, seller: tuple[str, str], buyer: tuple[str, str], start: int, profile: list[int], price: int, actor: str
    ) -> None:
        wish = ProposeContract(seller[0], buyer[0], seller[1], buyer[1], start, tuple(profile), price)
        self.judge(self.market.when(wish, actor), self.naive.propose(wish, actor))

    @rule(
        start=st.sampled_from(STARTS),
        profile=st.lists(st.sampled_from([100, 200, 300]), min_size=1, max_size=3),
        price=st.sampled_from([-TICK, TICK, 3 * TICK]),
        ann_sells=st.booleans(),
        actor=st.sampled_from(["ann", "bob"]),
    )
    def propose(self, ann_sells: bool, **terms: Any) -> None:
        ann, bob = ("ann", "ann-1"), ("bob", "bob-1")
        terms["profile"] = terms["profile"][: len(STARTS) - STARTS.index(terms["start"])]
        self.propose_somehow(*((ann, bob) if ann_sells else (bob, ann)), **terms)

    @rule(place=st.integers(0, 3), actor=st.sampled_from([None, None, None, *PARTIES]))
    def approve(self, place: int, actor: str | None) -> None:
        known: list[tuple[str, int | None]] = [("no such contract", None), *self.offers.items()]
        contract, number = known[-1 - place % len(known)]
        who = actor or (self.naive.offers[number - 1].awaiting if number else "ann")
        self.judge(self.market.when(ApproveContract(contract), who), self.naive.approve(number, who))

    @rule(minutes=st.sampled_from([1, 3, 7, 12]))
    def wait(self, minutes: int) -> None:
        at = self.market.at + minutes * MINUTE
        self.judge(self.market.later(at), self.naive.later(at))

    @rule(
        what=st.one_of(
            st.tuples(st.just("credit"), parties, st.sampled_from([5_000, 30_000, 60_000])),
            st.tuples(st.just("capability"), st.sampled_from(list(CONNECTIONS)), st.sampled_from([0, 1999, 8000])),
            st.tuples(st.just("admit"), parties),
            st.tuples(st.just("settle"), st.integers(1, 3)),
        )
    )
    def administer(self, what: tuple[str, Any, Any]) -> None:
        getattr(self, what[0])(*what[1:])

    def credit(self, party: str, micro: int) -> None:
        self.market.when(RecordCredit(OPERATOR, party, "EUR", micro), POLICY)
        self.naive.credits[party] = micro

    def capability(self, connection: str, watts: int) -> None:
        party, resources = CONNECTIONS[connection], ("pv",) if watts else ()
        facts = self.market.when(RecordCapability(connection, party, watts, resources, "z"), POLICY)
        recorded = self.naive.record(connection, watts, (party, watts, watts > 0))
        assert [type(f) for f in facts] == [CapabilityRecorded if recorded else CommandRefused]

    def admit(self, party: str) -> None:
        self.market.when(AdmitParticipant(party), POLICY)
        self.naive.participants.add(party)

    def settle(self, before: int) -> None:
        to_at = min(self.market.at, NOON + before * QUARTER)
        facts = self.market.when(SettleDelivery(NOON, to_at), POLICY)
        assert [type(f) for f in facts] == [DeliverySettled]
        self.naive.settle(NOON, to_at)

    @invariant()
    def books_and_sums_are_those_of_the_oracle(self) -> None:
        state: Market = self.market.state
        assert set(state.instruments) == {(s, 15) for s in STARTS} - {(s, 15) for s in self.naive.forgotten}
        for (start, _), instrument in state.instruments.items():
            resting = {(self.names[o.order], o.rest_wh) for o in instrument.book.best_first()}
            assert resting == {(o.number, o.rest) for o in self.naive.books[start].orders}
            assert instrument.book.resting == len(resting)
            for connection in CONNECTIONS:
                used = state.slots[start].used_wh.get(connection, 0)
                assert used == self.naive.used(connection, start)
        for party in PARTIES:
            assert state.accounts[party].exposure_pico == self.naive.exposure(party)

    @invariant()
    def no_book_is_crossed(self) -> None:
        for instrument in self.market.state.instruments.values():
            bids, asks = instrument.book.bids, instrument.book.asks
            if bids.keys and asks.keys:
                assert bids.keys[-1] < -asks.keys[-1]

    @invariant()
    def every_wh_of_an_order_is_traded_cancelled_or_open(self) -> None:
        left: dict[str, int] = {}
        bought: dict[str, int] = defaultdict(int)
        sold: dict[str, int] = defaultdict(int)
        for place, fact in enumerate(self.market.facts):
            match fact:
                case OrderAccepted():
                    left[fact.order] = fact.quantity_wh
                case TradeMade():
                    for order, rest in ((fact.buy_order, fact.buy_rest_wh), (fact.sell_order, fact.sell_rest_wh)):
                        left[order] -= fact.quantity_wh
                        assert left[order] == rest >= 0
                    contract = self.market.facts[place + 1]
                    assert type(contract) is ContractConcluded
                    assert contract.trade == fact.trade
                case OrderCancelled():
                    left[fact.order] -= fact.rest_wh
                    assert left[fact.order] == 0
                case OrdersCancelled():
                    for order, rest in zip(fact.orders, fact.rests_wh, strict=True):
                        left[order] -= rest
                        assert left[order] == 0
                case ContractConcluded():
                    bought[fact.buyer] += sum(fact.quantity_wh)
                    sold[fact.seller] += sum(fact.quantity_wh)
                case _:
                    pass
        assert sum(bought.values()) == sum(sold.values())
        state: Market = self.market.state
        assert {o: wh for o, wh in left.items() if wh} == {
            o.order: o.rest_wh for o in state.orders.values() if o.rest_wh
        }

    def teardown(self) -> None:
        """The state is the facts' alone: what `decide` or `advance` changed by themselves would be missing."""
        if hasattr(self, "market"):
            assert rebuilt(self.market) == self.market.state


TestTrading = Trading.TestCase
TestTrading.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.mark.parametrize("seed", range(12))
def test_a_long_day(seed: int) -> None:
    """Deeper than the shrinking machine goes: 600 steps, most of them lawful bids, over the closing of all gates."""
    draw = random.Random(seed)
    day = Trading()
    day.opens(draw.choice(list(SelfTradeMode)[:3]))
    for _ in range(600):
        match draw.choices(("bid", "cancel", "propose", "approve", "wait", "administer"), (70, 12, 5, 5, 6, 4))[0]:
            case "bid":
                minutes = draw.choice((None, None, None, 1, 5, 12))
                day.submit(
                    CONNECTIONS[connection := draw.choice(("ann-1", "bob-1", "cyd-1", "ann-2"))],
                    connection,
                    draw.choice(STARTS),
                    draw.choice(list(Side)),
                    draw.choice((100, 200, 300, 500, 1000)),
                    draw.randint(-2, 4) * TICK,
                    draw.choice((Restriction.NONE,) * 5 + (Restriction.IOC, Restriction.FOK)),
                    minutes,
                )
            case "cancel":
                day.cancel([draw.randint(0, 12)], draw.choice((None, None, None, "bob")))
            case "propose":
                start = draw.choice(STARTS)
                price = draw.randint(-1, 3) * TICK
                profile = [draw.choice((100, 200)) for _ in range(draw.randint(1, 3))]
                day.propose(
                    draw.random() < 0.5, start=start, profile=profile, price=price, actor=draw.choice(("ann", "bob"))
                )
            case "approve":
                day.approve(draw.randint(0, 3), draw.choice((None, None, "cyd")))
            case "wait":
                day.wait(draw.choice((1, 1, 2, 3)))
            case _:
                name, *terms = draw.choice(
                    (
                        ("credit", draw.choice(PARTIES), draw.choice((5_000, 60_000, 200_000))),
                        ("capability", draw.choice(list(CONNECTIONS)), draw.choice((1999, 8000, 20_000))),
                        ("admit", "cyd"),
                        ("settle", draw.randint(1, 3)),
                    )
                )
                getattr(day, name)(*terms)
        day.books_and_sums_are_those_of_the_oracle()
        day.no_book_is_crossed()
    day.every_wh_of_an_order_is_traded_cancelled_or_open()
    day.teardown()
