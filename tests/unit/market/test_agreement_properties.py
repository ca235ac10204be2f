"""Whatever happens to orders, contracts and credit: what the market keeps is what its facts say, counted anew."""

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.market.commands import ApproveContract, CancelOrder, RecordCredit, SettleDelivery
from schemas.market.contract_commands import (
    AgreeRevision,
    AssignContract,
    CancelTrade,
    ProposeCancellation,
    ProposeChange,
    RefuseRevision,
    WithdrawContract,
)
from schemas.market.contract_events import ContractRevised, RevisionEnded, RevisionProposed
from schemas.market.credit_commands import ReinstateParticipant
from schemas.market.credit_events import (
    DefaultSettled,
    LossAllocated,
    ParticipantDefaulted,
    ParticipantReinstated,
    PositionClosed,
)
from schemas.market.events import (
    CapabilityRecorded,
    ContractConcluded,
    ContractLapsed,
    ContractProposed,
    DeliverySettled,
    OrderAccepted,
    OrderCancelled,
    OrdersCancelled,
    TradeMade,
)
from schemas.market.rules import ContractRules, CreditRules, TradingRules
from schemas.values import Side
from tests.unit.given import MINUTE, Scenario, only
from tests.unit.market.world import CENT, MARKET, NOON, OPERATOR, POLICY, QUARTER, buy, open_market, proposal, sell
from tests.unit.written import rebuilt

PARTIES = ("ann", "bob", "cyd", "dan")
FEE, TAX_PPM, ASSUMED = 7, 190_000, 50 * CENT
CREDIT = CreditRules(FEE, TAX_PPM, 20, 15 * CENT, 30_000)


def cost(price: int) -> int:
    """Of a bought Wh, with fee and tax; a part of a unit is a whole one."""
    with_fee = max(0, price) + FEE
    return with_fee + (with_fee * TAX_PPM + 999_999) // 1_000_000


def shortfall(price: int) -> int:
    """Of a sold Wh: what replaces it, and what a negative price costs."""
    return max(0, ASSUMED - price) + max(0, -price)


class Counted:
    """Exposure by party, and sold less bought by settlement interval and connection: from the facts alone."""

    def __init__(self, facts: list[Any]) -> None:  # noqa: PLR0912  (one branch a fact)
        self.exposure: Counter[str] = Counter()
        self.used: Counter[tuple[int, str]] = Counter()
        self.settled = [(f.from_at, f.to_at) for f in only(facts, DeliverySettled)]
        orders, rest = {f.order: f for f in only(facts, OrderAccepted)}, Counter[str]()
        proposals, contracts, revisions = {}, {}, {}
        for fact in facts:
            match fact:
                case OrderAccepted():
                    rest[fact.order] = fact.quantity_wh
                case TradeMade():
                    rest[fact.buy_order] -= fact.quantity_wh
                    rest[fact.sell_order] -= fact.quantity_wh
                case OrderCancelled():
                    del rest[fact.order]
                case OrdersCancelled():
                    for order in fact.orders:
                        del rest[order]
                case ContractProposed():
                    proposals[fact.contract] = fact
                case ContractLapsed():
                    del proposals[fact.contract]
                case ContractConcluded():
                    proposals.pop(fact.contract, None)
                    contracts[fact.contract] = fact
                case RevisionProposed():
                    revisions[fact.contract] = fact
                case RevisionEnded():
                    del revisions[fact.contract]
                case ContractRevised():
                    revisions.pop(fact.contract, None)
                    contracts[fact.contract] = fact
        for name, wh in rest.items():
            order = orders[name]
            price, start = order.limit_price_nano_per_kwh, order.delivery_start_at
            buys = order.side is Side.BUY
            self.exposure[order.party] += wh * (cost(price) if buys else shortfall(price))
            if not buys:
                self.used[start, order.connection] += wh
        for offer in proposals.values():
            for (kind, *where), amount in self.claims(offer, offer).items():
                if kind == "owed" or amount > 0:
                    self.count(kind, where, amount)
        for contract in contracts.values():
            for (kind, *where), amount in self.claims(contract, contract).items():
                self.count(kind, where, amount)
        for waiting in revisions.values():
            held = contracts[waiting.contract]
            before, after = self.claims(held, held), self.claims(held, waiting.terms)
            if waiting.reason.value == "cancelled":
                after = Counter()
            for key in {*before, *after}:
                if (more := after[key] - before[key]) > 0:
                    self.count(key[0], key[1:], more)

    def claims(self, contract: Any, terms: Any) -> Counter[tuple[Any, ...]]:
        """What is owed by interval and party, what is sold less bought by interval and connection."""
        found: Counter[tuple[Any, ...]] = Counter()
        if getattr(contract, "state", "concluded") == "cancelled":
            return found
        for n, wh in enumerate(terms.quantity_wh):
            start = contract.first_start_at + n * QUARTER
            if not any(first <= start < end for first, end in self.settled):
                found["owed", start, terms.buyer] += wh * cost(terms.price_nano_per_kwh)
                found["owed", start, terms.seller] += wh * shortfall(terms.price_nano_per_kwh)
                found["used", start, terms.seller_connection] += wh
                found["used", start, terms.buyer_connection] -= wh
        return found

    def count(self, kind: str, where: Any, amount: int) -> None:
        start, name = where
        if kind == "owed":
            self.exposure[name] += amount
        else:
            self.used[start, name] += amount


def agrees(market: Scenario) -> None:
    counted, state = Counted(market.facts), market.state
    kept = {party: account.exposure_pico for party, account in state.accounts.items()}
    assert {p: x for p, x in kept.items() if x} == {p: x for p, x in counted.exposure.items() if x}
    for slot in state.slots.values():
        if not any(first <= slot.start_at < end for first, end in counted.settled):
            used = {c: wh for c, wh in slot.used_wh.items() if wh}
            assert used == {c: wh for (s, c), wh in counted.used.items() if s == slot.start_at and wh}
    losses: dict[str, list[int]] = {}
    for fact in market.facts:
        match fact:
            case ParticipantDefaulted():
                losses[fact.party] = [0, 0]
            case PositionClosed():
                losses[fact.party][0] += fact.loss_micro
            case DefaultSettled():
                assert fact.loss_micro == fact.collateral_micro + fact.fund_micro + fact.others_micro
                assert fact.loss_micro == losses[fact.party][0]
            case LossAllocated():
                losses[fact.party][1] += sum(fact.amounts_micro)
            case ParticipantReinstated():
                losses.pop(fact.party)
    for party, (lost, borne) in losses.items():
        assert lost == borne, f"money in is money out of the default of {party}"
    for party in state.standing.defaults:
        assert not [order for order in state.orders.values() if order.party == party]


def wish(draw: random.Random, market: Scenario) -> tuple[Any, str]:  # noqa: PLR0911  (one wish a line)
    """Something lawful or not, more often about what there is."""
    one, other = draw.sample(PARTIES, 2)
    start, cents = NOON + draw.randrange(3) * QUARTER, draw.randrange(-2, 30)
    contracts = list(market.state.agreements.contracts) or ["none"]
    contract = draw.choice(contracts)
    held = market.state.agreements.contracts.get(contract)
    number, quantity = (held.number, len(held.version.quantity_wh)) if held else (1, 1)
    side = (held.version.seller, held.version.buyer)[draw.randrange(2)] if held else one
    revisions = [h.revision.proposed for h in market.state.agreements.contracts.values() if h.revision]
    revision = draw.choice(revisions) if revisions else None
    offers = [n.proposed for n in market.state.negotiations.values() if n.waiting]
    match draw.randrange(14):
        case 0 | 1:
            return buy(one, draw.randrange(1, 5) / 2, cents, start=start), one
        case 2 | 3:
            return sell(one, draw.randrange(1, 5) / 2, cents, start=start), one
        case 4:
            orders = list(market.state.orders) or ["none"]
            order = draw.choice(orders)
            return CancelOrder(order), getattr(market.state.orders.get(order), "party", one)
        case 5:
            terms = {"seller": one, "buyer": other, "seller_connection": f"{one}-cp", "buyer_connection": f"{other}-cp"}
            amounts = tuple(draw.randrange(1, 9) * 500 for _ in range(draw.randrange(1, 4)))
            price = cents * CENT
            return proposal(**terms, first_start_at=start, quantity_wh=amounts, price_nano_per_kwh=price), one
        case 6:
            offer = draw.choice(offers) if offers else None
            return ApproveContract(offer.contract if offer else "none"), offer.awaiting if offer else one
        case 7:
            amounts = tuple(draw.randrange(1, 9) * 500 for _ in range(quantity))
            return ProposeChange(contract, number, amounts, cents * CENT), side
        case 8:
            return AssignContract(contract, number, other, f"{other}-cp"), side
        case 9:
            return draw.choice((ProposeCancellation, WithdrawContract))(contract, number), side
        case 10 | 11 if revision:
            kind = draw.choice((AgreeRevision, AgreeRevision, RefuseRevision))
            return kind(revision.contract, revision.revision), revision.awaiting
        case 12:
            limit = draw.choice((0, 400_000, 1_500_000, 10_000_000))
            return RecordCredit(OPERATOR, one, "EUR", limit), POLICY
        case _:
            return draw.choice((CancelTrade(contract), ReinstateParticipant(one))), OPERATOR


def lived(draw: random.Random, steps: int) -> Scenario:
    market = open_market(
        *PARTIES, credit=CREDIT, contracts=ContractRules(None, 0, 0, CENT), trading=TradingRules((), 0, 0, 0, 0, 0, 60)
    )
    for party in PARTIES:
        market.given(CapabilityRecorded(MARKET, f"{party}-cp", party, 20_000, ("pv",)))
    for _ in range(steps):
        if draw.random() < 0.15:
            market.later(market.at + draw.choice((0, 1, 7, 20, 45)) * MINUTE)
        elif draw.random() < 0.03 and market.at > NOON + QUARTER:
            market.when(SettleDelivery(NOON, NOON + (market.at - NOON) // QUARTER * QUARTER), POLICY)
        else:
            market.when(*wish(draw, market))
        market.later(market.at)
        agrees(market)
    return market


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_what_is_kept_is_what_the_facts_say(seed: int) -> None:
    market = lived(random.Random(seed), 60)
    assert rebuilt(market) == market.state


def test_enough_happens_in_such_lives() -> None:
    """A life that never reaches a rule proves nothing about it."""
    facts = [fact for seed in range(40) for fact in lived(random.Random(seed), 80).facts]
    reasons = {fact.reason.value for fact in only(facts, ContractRevised)}
    assert reasons == {"changed", "assigned", "cancelled", "withdrawn", "manifest_error", "closed_out"}
    for kind in (RevisionEnded, ParticipantDefaulted, LossAllocated, ParticipantReinstated, DeliverySettled):
        assert only(facts, kind), kind


@pytest.mark.parametrize("price", [-5, 0, 1, 10**9 + 1])
def test_the_naive_cost_is_an_upper_bound_by_less_than_one(price: int) -> None:
    exact = (max(0, price) + FEE) * (1_000_000 + TAX_PPM)
    assert 0 <= cost(price) * 1_000_000 - exact < 1_000_000
