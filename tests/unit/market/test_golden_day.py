"""A day that never changes: whoever changes what the decider says raises `LOGIC` and adds a digest."""

from copy import deepcopy
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import pytest

from domain.identity import born_id
from domain.market import decider, trading
from schemas.envelope import Command, CommandMeta
from schemas.market.capability_commands import LowerCapability
from schemas.market.commands import (
    AdmitParticipant,
    AdoptRuleSet,
    ApproveContract,
    CancelOrder,
    OpenSession,
    RecordCapability,
    RecordCredit,
    SettleDelivery,
)
from schemas.market.events import CommandRefused, OrderCancelled, Restriction, SelfTradeMode
from schemas.market.reasons import CancelReason
from tests.unit.given import MINUTE, Scenario, only
from tests.unit.market.stream_days import enquire, mandate, offer_and_bid, sell_a_product
from tests.unit.market.world import (
    EURO_MICRO,
    MARKET,
    NOON,
    OPERATOR,
    POLICY,
    QUARTER,
    RULES,
    buy,
    proposal,
    rules,
    sell,
    submit,
)
from tests.unit.written import read_again, rebuilt

GOLDEN = {
    1: "121cf351f61c4e0ff658b486a5165822",
    2: "555684e45adc94ff802917bd492d822f",
    3: "629b54feb2e76c462f04061c6909e37a",
}
"""The digest of the day's facts by `LOGIC`."""

IOC, FOK = Restriction.IOC, Restriction.FOK
EVENING = NOON - 18 * 60 * MINUTE
SECOND, THIRD, FOURTH = (NOON + n * QUARTER for n in (1, 2, 3))
END = NOON + 4 * QUARTER


def born(command_id: str, actor: str, body: Any) -> str:
    """The id of the first thing that a command gives birth to."""
    meta = CommandMeta(command_id, actor, "correlation", None, None, None)
    return born_id("market", Command(MARKET, meta, body), 0)


def prepare(market: Scenario) -> None:
    """The evening before: rules, a session, four parties; and what is refused of it."""
    market.when(OpenSession(NOON, 4), OPERATOR)
    market.when(AdoptRuleSet(EVENING, rules(lot_wh=0)), OPERATOR)
    market.when(AdoptRuleSet(EVENING, RULES), OPERATOR)
    market.when(OpenSession(NOON, 4), "ann")
    market.when(OpenSession(NOON, 4), OPERATOR)
    market.when(OpenSession(FOURTH, 2), OPERATOR)
    later_rules = rules(self_trade=SelfTradeMode.CANCEL_OLDEST, gate_lead_min=10, assumed_price_nano_per_kwh=0)
    market.when(AdoptRuleSet(END, later_rules), OPERATOR)
    market.when(OpenSession(END, 2), OPERATOR)
    for n, party in enumerate(("ann", "bob", "cyd", "dan")):
        market.when(AdmitParticipant(party), POLICY)
        resources = (f"{party}-pv",) if n else ()
        market.when(RecordCapability(f"{party}-cp", party, 40_000 * n, resources, "z"), POLICY)
        market.when(RecordCredit(OPERATOR, party, "EUR", 20 * EURO_MICRO), POLICY)
    market.when(AdmitParticipant("dan"), POLICY)
    market.when(RecordCredit(OPERATOR, "dan", "CHF", 1), POLICY)


def trade(market: Scenario) -> None:
    """The morning: books of four quarter-hours, every restriction, every way out of a book."""
    market.later(NOON - 120 * MINUTE)
    submit(market, sell("bob", 4, 12))
    submit(market, sell("cyd", 5, 10))
    submit(market, sell("cyd", 3, 10.5, expires_at=NOON - 60 * MINUTE))
    submit(market, buy("ann", 7, 11.5))
    submit(market, buy("dan", 6, 9, expires_at=NOON - 5 * MINUTE))
    submit(market, buy("ann", 8, 12, restriction=IOC))
    submit(market, buy("ann", 15, 13, restriction=FOK))
    submit(market, sell("bob", 3, 9))
    submit(market, sell("dan", 9, -5, start=SECOND))
    submit(market, buy("dan", 4, 3, start=SECOND))
    submit(market, buy("ann", 4, -4.5, start=SECOND))
    submit(market, buy("cyd", 6, 20, start=THIRD))
    submit(market, sell("bob", 6, 20, start=THIRD, restriction=FOK))
    submit(market, sell("cyd", 26, 20, start=THIRD))
    submit(market, sell("cyd", 27, 20, start=THIRD))
    for wish in (buy("eve", 1, 1), sell("ann", 1, 1), buy("ann", 0, 1), buy("ann", 0.05, 1), buy("ann", 90, 99)):
        submit(market, wish)
    submit(market, replace(buy("ann", 1, 9), limit_price_nano_per_kwh=1))
    submit(market, buy("ann", 1, 101))
    submit(market, buy("ann", 101, 9))
    submit(market, buy("ann", 1, 9, start=END + 2 * QUARTER))
    submit(market, buy("ann", 1, 9, expires_at=NOON - 120 * MINUTE))
    market.when(buy("ann", 1, 9), actor="dan")
    resting = buy("ann", 2, 8, start=FOURTH)
    market.when(resting, "ann", command_id="resting")
    for actor in ("dan", "ann", "ann"):
        market.when(CancelOrder(born("resting", "ann", resting)), actor)
    market.when(CancelOrder("unknown"), "ann")


def negotiate(market: Scenario) -> None:
    """A contract that is approved, one that lapses, one that cannot be."""
    firm, waits = proposal(first_start_at=THIRD), proposal(first_start_at=SECOND, quantity_wh=(500,) * 3)
    market.when(firm, "bob", command_id="firm")
    market.when(waits, "ann", command_id="waits")
    market.when(proposal(quantity_wh=(50_000,)), "bob")
    market.when(ApproveContract(born("firm", "bob", firm)), "bob")
    market.when(ApproveContract(born("firm", "bob", firm)), "ann")
    market.later(NOON - 30 * MINUTE)
    market.when(ApproveContract(born("waits", "ann", waits)), "bob")


def close(market: Scenario) -> None:
    """Gates close, self-trade prevention by the later rules, settlement in two steps."""
    submit(market, sell("bob", 2, 11, start=END))
    submit(market, sell("cyd", 2, 11.5, start=END))
    submit(market, buy("bob", 3, 12, start=END))
    market.later(NOON - 5 * MINUTE)
    submit(market, buy("ann", 1, 12))
    market.later(THIRD)
    market.when(SettleDelivery(NOON, END), POLICY)
    market.when(SettleDelivery(NOON, THIRD), POLICY)
    market.later(END + 2 * QUARTER)
    market.when(SettleDelivery(NOON, END + 2 * QUARTER), POLICY)


def give_back(market: Scenario) -> None:
    """A site lowers what it allotted: once the market does without it, once it cannot."""
    for injection_w in (80_000, 1_000):
        wish = LowerCapability(f"to {injection_w}", "cyd-cp", "cyd", injection_w, ("cyd-pv",), None, None, (), None)
        market.when(wish, POLICY)


def day(kind: type[Scenario] = Scenario) -> Scenario:
    """Some seventy wishes and times; nothing in it may be changed either."""
    market = kind("market", MARKET, at=EVENING)
    for part in (
        prepare,
        trade,
        give_back,
        sell_a_product,
        negotiate,
        offer_and_bid,
        enquire,
        mandate,
        close,
    ):
        part(market)
    return market


def digest(facts: list[Any]) -> str:
    """A hash over every field of every fact."""
    return blake2b("\n".join(map(repr, facts)).encode(), digest_size=16).hexdigest()


def verdict(found: str) -> str | None:
    """What to do about a digest that is not the committed one; none if it is."""
    if decider.LOGIC not in GOLDEN:
        return f"LOGIC is {decider.LOGIC} and has no digest yet: add GOLDEN[{decider.LOGIC}] = {found!r}"
    if found != GOLDEN[decider.LOGIC]:
        return (
            f"the golden day decides otherwise under the same LOGIC {decider.LOGIC}: raise LOGIC in "
            f"domain/market/decider.py, and add GOLDEN[{decider.LOGIC + 1}] = {found!r}"
        )
    return None


def test_the_golden_day() -> None:
    assert (said := verdict(digest(day().facts))) is None, said


def test_the_day_knows_most_of_what_can_happen() -> None:
    facts = day().facts
    assert len({type(f) for f in facts}) >= 15
    mandates = {CancelReason.AMENDED, CancelReason.MANDATE_ENDED}
    books = set(list(CancelReason)[:6]) - {CancelReason.MATCH_LIMIT}
    assert {f.reason for f in only(facts, OrderCancelled)} == books | mandates
    assert len({f.reason for f in only(facts, CommandRefused)}) >= 20


def test_every_fact_can_be_written_and_the_state_comes_from_what_is_read() -> None:
    market = day()
    assert [read_again(fact) for fact in market.facts] == market.facts
    assert rebuilt(market) == market.state


class Judged(Scenario):
    """Every wish is judged twice; the first time nothing may change."""

    def when(self, body: Any, actor: str = "operator", command_id: str | None = None) -> list[Any]:
        self.later(self.at)
        before = deepcopy(self.state)
        meta = CommandMeta("trial", actor, "correlation", None, None, None)
        list(decider.decide(self.state, Command(MARKET, meta, body), self.now))
        list(decider.advance(self.state, replace(self.now, at=END), 3))
        assert self.state == before, f"{type(body).__name__} changed the state while it was judged"
        return super().when(body, actor, command_id)


def test_decide_and_advance_change_nothing() -> None:
    assert digest(day(Judged).facts) == GOLDEN[decider.LOGIC]


def test_a_changed_price_rule_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wrong rule of so many books: half of the way between both limits."""
    made = trading._trade

    def midpoint(incoming: Any, resting: Any, *rest: Any) -> Any:
        limits = incoming.limit_price_nano_per_kwh + resting.limit_price_nano_per_kwh
        return replace(made(incoming, resting, *rest), price_nano_per_kwh=limits // 2)

    monkeypatch.setattr(trading, "_trade", midpoint)
    said = verdict(digest(day().facts))
    assert said is not None
    assert "raise LOGIC" in said


def test_a_raised_logic_asks_for_its_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decider, "LOGIC", max(GOLDEN) + 1)
    said = verdict(digest(day().facts))
    assert said is not None
    assert "has no digest yet" in said
