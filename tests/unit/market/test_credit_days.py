"""Any day of every stream: exposure, capability, margin calls and losses are those of a ledger told anew from facts."""

import random
from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.market.commands import RecordCredit
from schemas.market.credit_commands import ReinstateParticipant
from schemas.market.credit_events import DefaultSettled, MarginCalled, ParticipantDefaulted, PositionClosed
from schemas.market.events import Phase
from schemas.values import Side
from tests.unit.given import MINUTE, Scenario
from tests.unit.market.any_wishes import END, FIRST, PARTIES, STARTS, Wisher, held_rules, wait
from tests.unit.market.naive_credit import Ledger
from tests.unit.market.world import MARKET, OPERATOR, POLICY, buy, sell

MICRO = 10**6


class LedgerDay:
    """The market, and the ledger behind it."""

    def __init__(self, seed: int, zoned: bool) -> None:
        self.draw = random.Random(f"{seed} {zoned}")
        self.market = Scenario("market", MARKET, at=FIRST)
        self.wisher = Wisher(self.draw, self.market, zoned)
        self.rules = held_rules(zoned)
        self.heard = 0
        self.seen: Counter[str] = Counter()
        self.weights: dict[str, dict[str, int]] = {}

    def deal(self) -> None:
        """Two of them trade, mostly."""
        draw, (one, other) = self.draw, self.draw.sample(PARTIES, 2)
        start, cents = draw.choice(STARTS), draw.choice((-2, 4, 9))
        for wish in (sell(one, 1, cents, start=start), buy(other, 1, cents, start=start)):
            self.market.when(wish, wish.party)

    def check(self) -> None:
        """A ledger of all facts; what is special about the new ones is looked at as they come."""
        self.market.later(self.market.at)
        ledger = Ledger(self.rules)
        for place, fact in enumerate(self.market.facts):
            if place >= self.heard:
                self.new(ledger, fact, self.market.moments[place].at)
            ledger.hear(fact)
        self.heard = len(self.market.facts)
        self.holds(ledger)

    def holds(self, ledger: Ledger) -> None:
        state, exposures, used = self.market.state, ledger.exposures(), ledger.used()
        assert {p: a.exposure_pico for p, a in state.accounts.items() if a.exposure_pico} == exposures
        kept = {(c, slot.start_at): wh for slot in state.slots.values() for c, wh in slot.used_wh.items() if wh}
        assert kept == {where: wh for where, wh in used.items() if where[1] in state.slots}
        over = {party for party in ledger.admitted if exposures[party] > ledger.limits[party] * MICRO}
        assert set(ledger.calls) == over, "who is beyond the limit is called, nobody else"
        assert all(deadline > self.market.at for deadline in ledger.calls.values())
        for party, found in ledger.defaults.items():
            if found.settled is None:
                called = {key for key, i in state.instruments.items() if i.phase is Phase.AUCTION}
                waits = [o for o in state.orders.values() if o.party == party and o.instrument in called]
                assert waits, "only an auction keeps a default waiting"
                continue
            layers = {layer: sum(shares.values()) for layer, shares in found.shares.items()}
            assert sum(layers.values()) == sum(found.losses) == found.settled.loss_micro, "money in is money out"
            shares, weights = found.shares.get("others", Counter()), self.weights[party]
            for other, share in shares.items():
                exact = shares.total() * weights[other]
                assert abs(share * sum(weights.values()) - exact) < sum(weights.values()), "in proportion"
            assert not [name for name, claims in ledger.reserved.items() if any(c.party == party for c in claims)]

    def new(self, ledger: Ledger, fact: Any, at: int) -> None:
        """What a fact says, held against the ledger before it."""
        credit = self.rules.credit
        assert credit is not None
        match fact:
            case MarginCalled():
                exposure = ledger.exposures()[fact.party]
                assert (fact.exposure_micro, fact.limit_micro) == (-(-exposure // MICRO), ledger.limits[fact.party])
                assert fact.deadline_at == at + credit.margin_deadline_min * MINUTE
            case ParticipantDefaulted():
                assert ledger.exposures()[fact.party] > ledger.limits[fact.party] * MICRO
                assert at >= ledger.calls[fact.party]
            case PositionClosed():
                dearer = fact.price_nano_per_kwh - credit.close_out_price_nano_per_kwh
                exact = (dearer if fact.side is Side.BUY else -dearer) * fact.quantity_wh
                assert abs(fact.loss_micro * MICRO - exact) * 2 <= MICRO
            case DefaultSettled():
                self.settles(ledger, fact)
            case _:
                return
        self.seen[type(fact).__name__] += 1

    def settles(self, ledger: Ledger, fact: DefaultSettled) -> None:
        """First what is left of the collateral, then the fund, then the others; a gain is the collateral's."""
        exposures, credit = ledger.exposures(), self.rules.credit
        assert credit is not None
        loss = sum(ledger.defaults[fact.party].losses)
        free = max(0, (ledger.limits[fact.party] * MICRO - exposures[fact.party]) // MICRO)
        others = {party: exposures[party] for party in ledger.admitted if exposures[party] and party != fact.party}
        rest = loss - min(loss, free)
        fund = rest if not others else min(rest, credit.default_fund_micro)
        assert (fact.loss_micro, fact.collateral_micro, fact.fund_micro) == (loss, loss - rest, fund)
        self.weights[fact.party] = others
        self.seen["shared"] += bool(rest - fund)
        self.seen["fund"] += bool(fund)


def ledger_day(seed: int, zoned: bool, steps: int = 140) -> LedgerDay:
    day = LedgerDay(seed, zoned)
    for body, actor in day.wisher.prepared():
        day.market.when(body, actor)
    for _ in range(steps):
        chance = day.draw.random()
        if chance < 0.15:
            day.market.later(day.market.at + wait(day.draw) * MINUTE)
        elif chance < 0.22:
            limit = day.draw.choice((0, 50_000, 400_000, 10**7))
            day.market.when(RecordCredit(OPERATOR, day.draw.choice(PARTIES), "EUR", limit), POLICY)
        elif chance < 0.25:
            day.market.when(ReinstateParticipant(day.draw.choice(PARTIES)), OPERATOR)
        elif chance < 0.37:
            day.deal()
        else:
            day.market.when(*day.wisher.one())
        day.check()
    day.market.later(END)
    day.check()
    return day


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.booleans())
def test_a_ledger_of_all_facts_agrees_with_the_market(seed: int, zoned: bool) -> None:
    ledger_day(seed, zoned)


def test_enough_is_lost_on_such_days() -> None:
    """Positions are closed, and all three layers bear something."""
    seen = sum((ledger_day(seed, False).seen for seed in range(12)), Counter())
    assert seen.keys() >= {"MarginCalled", "ParticipantDefaulted", "PositionClosed", "DefaultSettled", "fund", "shared"}
