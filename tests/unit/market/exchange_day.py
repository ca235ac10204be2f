"""A day of the product and of the naive exchange side by side; whoever draws the wishes is the caller's business."""

import pickle
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.market.commands import RecordCapability, RecordCredit, SettleDelivery
from schemas.market.events import (
    CapabilityRecorded,
    CommandRefused,
    ContractConcluded,
    CreditRecorded,
    GateClosed,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderReduced,
    OrdersCancelled,
    ParticipantAdmitted,
    RuleSet,
    RuleSetAdopted,
    SelfTradeMode,
    SessionOpened,
    TradeMade,
)
from schemas.market.package_events import BasketKilled, BlockAccepted, BlocksCancelled, BlockTradeMade
from schemas.market.phase_commands import PublishLineCapacity
from schemas.market.phase_events import LineCapacityPublished, TradingHalted, TradingResumed, TradingSuspended
from schemas.market.rules import CreditRules, Line, NetworkRules, TradingRules
from tests.unit.given import MINUTE, Scenario
from tests.unit.market.naive_day import NaiveDay
from tests.unit.market.naive_exchange import Said
from tests.unit.market.world import MARKET, NOON, OPERATOR, POLICY, QUARTER, rules
from tests.unit.written import rebuilt

TICK = 10_000_000
FIRST = NOON - 40 * MINUTE
CONNECTIONS = {"ann-1": ("ann", "z"), "ann-2": ("ann", "y"), "bob-1": ("bob", "y"), "cyd-1": ("cyd", "x")}
PARTIES = ("ann", "bob", "cyd")
LINES = (Line("zy", "z", "y"), Line("yx", "y", "x"))
SESSIONS = ((NOON, 4, 15), (NOON, 2, 30), (NOON, 1, 60))
KEYS = [(start + n * minutes * MINUTE, minutes) for start, count, minutes in SESSIONS for n in range(count)]

Pick = Callable[[Sequence[Any]], Any]


@dataclass(frozen=True)
class World:
    """What differs between days."""

    mode: SelfTradeMode = SelfTradeMode.CANCEL_NEWEST
    zoned: bool = False
    collar: int = 0
    execution: int = 0
    halt: int = 0
    taxed: bool = False
    credit: int = 200_000

    def rules(self) -> RuleSet:
        return rules(
            lot_wh=100,
            tick_nano_per_kwh=TICK,
            min_price_nano_per_kwh=-5 * TICK,
            max_price_nano_per_kwh=5 * TICK,
            max_quantity_wh=1000,
            assumed_price_nano_per_kwh=2 * TICK,
            self_trade=self.mode,
            trading=TradingRules((30, 60), TICK, self.collar * TICK, self.execution * TICK, self.halt * TICK, 4, 0),
            network=NetworkRules(("y", "x"), LINES) if self.zoned else None,
            credit=CreditRules(TICK // 2, 150_001, 0, 0, 0) if self.taxed else None,
        )


WORLDS = {
    "newest": World(SelfTradeMode.CANCEL_NEWEST),
    "oldest": World(SelfTradeMode.CANCEL_OLDEST, taxed=True),
    "both": World(SelfTradeMode.CANCEL_BOTH, credit=60_000),
    "decrement": World(SelfTradeMode.DECREMENT),
    "off": World(SelfTradeMode.OFF, collar=3),
    "bands": World(SelfTradeMode.CANCEL_OLDEST, collar=4, execution=1),
    "halts": World(SelfTradeMode.DECREMENT, halt=2),
    "zones": World(SelfTradeMode.CANCEL_NEWEST, zoned=True),
    "zones_off": World(SelfTradeMode.OFF, zoned=True, taxed=True),
    "zones_halts": World(SelfTradeMode.CANCEL_BOTH, zoned=True, halt=2, execution=1),
}


class Watched(Scenario):
    """Holds credit, capability and lines to their limits after every single fact."""

    def _evolve(self, body: Any) -> None:
        held = {p: a.exposure_pico for p, a in self.state.accounts.items()}
        used = {s: (dict(slot.used_wh), dict(slot.flow_wh)) for s, slot in self.state.slots.items()}
        super()._evolve(body)
        for party, account in self.state.accounts.items():
            assert 0 <= account.exposure_pico <= max(account.limit_micro * 10**6, held.get(party, 0)), "credit"
        for start, slot in self.state.slots.items():
            used_before, flow_before = used.get(start, ({}, {}))
            for connection, now_used in slot.used_wh.items():
                limit = self.state.connections[connection].injection_w * 15 // 60
                assert now_used <= max(limit, used_before.get(connection, 0)), "capability"
            for line, flow in slot.flow_wh.items():
                forward, backward = slot.capacity_wh.get(line, (0, 0))
                before = flow_before.get(line, 0)
                assert min(-backward, before) <= flow <= max(forward, before), "line"


class Day:
    """Both sides of the comparison; `pick` draws one of several."""

    def __init__(self, world: World, pick: Pick, restarts: bool = False) -> None:
        self.pick, self.restarts, self.world = pick, restarts, world
        held = world.rules()
        self.market = Watched("market", MARKET, at=FIRST)
        self.naive = NaiveDay(held)
        self.naive.now = FIRST
        self.names: dict[str, int] = {}
        self.said: list[Said] = []
        self.market.given(RuleSetAdopted(MARKET, 1, 0, held))
        for first, count, minutes in SESSIONS:
            self.market.given(SessionOpened(MARKET, "z", first, count, minutes, 1))
            self.naive.list_deliveries(first, count, minutes)
        for party in PARTIES:
            self.market.given(ParticipantAdmitted(MARKET, party), CreditRecorded(MARKET, party, "EUR", world.credit))
            self.naive.parties.add(party)
            self.naive.credit[party] = world.credit
        for connection, (party, at_home) in CONNECTIONS.items():
            zone = at_home if world.zoned else "z"
            self.market.given(CapabilityRecorded(MARKET, connection, party, 8000, ("pv",), zone))
            self.naive.connections[connection] = (party, 8000, True, zone)

    # -- both do the same --------------------------------------------------------------------------

    def wish(self, body: Any, actor: str, answer: Callable[[], list[Said]]) -> None:
        """The product and the oracle are asked the same, and say the same."""
        if self.restarts and self.pick((True, False, False)):
            self.market.state = pickle.loads(pickle.dumps(self.market.state))
        expected = self.naive.later(self.market.at) + answer()
        found = [said for fact in self.market.when(body, actor) if (said := self._told(fact)) is not None]
        assert found == expected, body
        self.said += found

    def wait(self, minutes: int) -> None:
        """Time passes; what became possible by the last wish comes before it."""
        at = self.market.at + minutes * MINUTE
        expected = self.naive.later(at)
        found = [said for fact in self.market.later(at) if (said := self._told(fact)) is not None]
        assert found == expected
        self.said += found

    def _told(self, fact: Any) -> Said | None:  # noqa: PLR0911, PLR0912  (a table)
        names = self.names
        match fact:
            case OrderAccepted():
                names[fact.order] = fact.sequence
                return ("accepted", fact.sequence)
            case BlockAccepted():
                names[fact.block] = fact.sequence
                return ("block", fact.sequence)
            case OrderAmended():
                price, at = fact.limit_price_nano_per_kwh, fact.expires_at
                return ("amended", names[fact.order], fact.sequence, fact.rest_wh, price, at)
            case TradeMade():
                pair = names[fact.buy_order], names[fact.sell_order]
                amount = fact.quantity_wh, fact.price_nano_per_kwh
                return ("trade", *pair, *amount, fact.buy_rest_wh, fact.sell_rest_wh)
            case BlockTradeMade():
                pair = names[fact.buy_block], names[fact.sell_block]
                amount = fact.quantity_wh, fact.price_nano_per_kwh
                return ("block_trade", *pair, *amount, fact.buy_rest_wh, fact.sell_rest_wh)
            case OrderCancelled():
                return ("cancelled", names[fact.order], fact.rest_wh, fact.reason)
            case OrderReduced():
                return ("reduced", names[fact.order], fact.rest_wh, fact.reason)
            case OrdersCancelled():
                numbers = [names[o] for o in fact.orders]
                return ("slice", fact.delivery_start_at, fact.reason, numbers, list(fact.rests_wh))
            case BlocksCancelled():
                return ("blocks", fact.reason, [names[b] for b in fact.blocks])
            case BasketKilled():
                return ("killed", fact.number)
            case GateClosed():
                return ("gate", (fact.delivery_start_at, fact.interval_min), fact.resting)
            case TradingHalted():
                key, price = (fact.delivery_start_at, fact.interval_min), fact.price_nano_per_kwh
                return ("halted", key, fact.reference_price_nano_per_kwh, price, fact.until_at)
            case TradingSuspended() | TradingResumed():
                what = "suspended" if isinstance(fact, TradingSuspended) else "resumed"
                return (what, (fact.delivery_start_at, fact.interval_min))
            case LineCapacityPublished():
                return ("carries", fact.line)
            case CapabilityRecorded():
                return ("allotted", fact.connection)
            case CommandRefused():
                return ("refused", fact.reason)
            case _:
                return None

    # -- what comes from outside -------------------------------------------------------------------

    def credit(self, party: str, micro: int) -> None:
        def answer() -> list[Said]:
            self.naive.credit[party] = micro
            return []

        self.wish(RecordCredit(OPERATOR, party, "EUR", micro), POLICY, answer)

    def allot(self, connection: str, watts: int) -> None:
        party, _, _, zone = self.naive.connections[connection]
        wish = RecordCapability(connection, party, watts, ("pv",), zone)
        self.wish(wish, POLICY, lambda: self.naive.allot(wish))

    def carry(self, line: str, forward_wh: int, backward_wh: int) -> None:
        wish = PublishLineCapacity(line, NOON, (4 * forward_wh,) * 4, (4 * backward_wh,) * 4)
        self.wish(wish, OPERATOR, lambda: self.naive.carry(wish, OPERATOR))

    def settle(self) -> None:
        def answer() -> list[Said]:
            self.naive.settle(NOON, NOON + 4 * QUARTER)
            return []

        self.wish(SettleDelivery(NOON, NOON + 4 * QUARTER), POLICY, answer)

    # -- what must hold ----------------------------------------------------------------------------

    def holds(self) -> None:
        """Books, sums and lines are those of the oracle, and nobody waits who could trade."""
        self.wait(0)
        state, naive = self.market.state, self.naive
        assert set(state.instruments) == {d.key for d in naive.deliveries if not d.forgotten}
        for delivery in naive.deliveries:
            if delivery.forgotten:
                continue
            instrument = state.instruments[delivery.key]
            resting = [(self.names[o.order], o.rest_wh) for o in instrument.book.best_first()]
            assert resting == [(b.number, b.rest) for b in naive.best_first(delivery)], "book"
            assert instrument.phase == delivery.phase
            for slot in delivery.slots:
                for connection in CONNECTIONS:
                    assert state.slots[slot].used_wh.get(connection, 0) == naive.used(connection, slot), "capability"
                for link in naive.links:
                    assert state.slots[slot].flow_wh.get(link.name, 0) == naive.flow(link, slot), "flow"
            self._nobody_waits_in_vain(delivery)
        for party in PARTIES:
            assert state.accounts[party].exposure_pico == naive.exposure(party), "exposure"
        blocks = {(self.names[b], held.order.rest_wh) for b, held in state.blocks.items()}
        assert blocks == {(b.number, b.rest) for b in naive.open_bids() if b.block}, "blocks"

    def _nobody_waits_in_vain(self, delivery: Any) -> None:
        """No two resting orders could lawfully trade with each other."""
        naive = self.naive
        if naive.suspended or delivery.phase != "continuous" or delivery.closed:
            return
        book = [b for b in naive.book(delivery) if not b.aon]
        for buy in (b for b in book if b.side == "buy"):
            for sell in (b for b in book if b.side == "sell"):
                own = buy.party == sell.party and naive.rules.self_trade is not SelfTradeMode.OFF
                room = naive.room([delivery], sell.zone, buy.zone)
                assert own or buy.price < sell.price or room == 0, "crossed"

    def ends(self) -> None:
        """Every Wh of an order is traded, cancelled or open; bought is sold, paid is received; facts are all."""
        bought: dict[str, int] = defaultdict(int)
        sold: dict[str, int] = defaultdict(int)
        facts = self.market.facts
        for place, fact in enumerate(facts):
            if isinstance(fact, TradeMade | BlockTradeMade):
                contract = facts[place + 1]
                assert type(contract) is ContractConcluded
                times = fact.intervals if isinstance(fact, BlockTradeMade) else 1
                assert contract.trade == fact.trade
                assert sum(contract.quantity_wh) == fact.quantity_wh * times
                assert (contract.buyer, contract.seller) == (fact.buyer, fact.seller)
                assert contract.price_nano_per_kwh == fact.price_nano_per_kwh
                bought[fact.buyer] += sum(contract.quantity_wh) * contract.price_nano_per_kwh
                sold[fact.seller] += sum(contract.quantity_wh) * contract.price_nano_per_kwh
        assert sum(bought.values()) == sum(sold.values())
        again = pickle.loads(pickle.dumps(rebuilt(self.market)))
        assert again == pickle.loads(pickle.dumps(self.market.state)), "rebuilt"
