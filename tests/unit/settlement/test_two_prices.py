"""From an auction of two zones to the operator's books: the income is flow × price difference, and every sum is 0."""

from typing import Any

import pytest

from domain.market.auctions import CALCULATOR as AUCTIONEER
from domain.policies.settlement_to_billing import accrue
from domain.settlement.calc_run import CALCULATION
from domain.settlement.decider import CALCULATOR
from projections.market.trading import CONTRACTS
from schemas.market.auction_events import AuctionCleared
from schemas.market.events import ContractConcluded
from schemas.settlement.commands import ApproveRun
from schemas.settlement.events import LineKind, LinesPosted, RunPosted, RunStarted
from tests.unit.billing.books import POLICY, balances
from tests.unit.given import MINUTE, Scenario, only
from tests.unit.market.test_auctions import CALL_END, proposals
from tests.unit.market.test_coupled_auctions import in_zones
from tests.unit.market.world import KWH, MARKET, NOON, OPERATOR, QUARTER, buy, sell, submit
from tests.unit.settlement.runs import start_run
from tests.unit.settlement.world import World
from tests.unit.written import read_again, recorded

ENDS = {
    "ann-cp": ("z", 8 * KWH, 0),
    "dan-cp": ("z", 0, 4 * KWH),
    "eve-cp": ("y", 2 * KWH, 0),
    "bob-cp": ("y", 0, 6 * KWH),
}
"""Of each connection its zone and what it meters in and out: as it is contracted."""


def auctioned() -> tuple[AuctionCleared, list[ContractConcluded]]:
    """Bob is cheap in y, dan dear in z; a line lets 4 of the 8 kWh through that ann wants in z."""
    market = in_zones(("zy", 0, 4 * KWH))
    for offer in (sell("bob", 10, 5), sell("dan", 10, 20), buy("ann", 8, 30), buy("eve", 2, 9)):
        submit(market, offer)
    facts = market.later(CALL_END)
    for part in proposals(facts):
        facts = facts + market.when(part, AUCTIONEER)
    facts = facts + market.later(market.at)
    [result] = only(facts, AuctionCleared)
    return result, only(facts, ContractConcluded)


def inputs(contracts: list[ContractConcluded]) -> dict[str, Any]:
    """What the runs read: the contracts as their slate holds them, and meters."""
    world = World().price(90_000_000, start_at=NOON)
    for connection, (zone, imported, exported) in ENDS.items():
        world.connect(connection, zone=zone, customer=connection[:3])
        world.read(connection, [imported], [exported], start_at=NOON)
    for n, contract in enumerate(contracts):
        fact = recorded("market", MARKET, read_again(contract), n)
        [row] = CONTRACTS.on[ContractConcluded](fact)
        world.inputs["contracts"].append({"tick": 1, "seq": n, "row": 0, **row})
    return world.inputs


def settled(area: str, known: dict[str, Any]) -> list[LinesPosted]:
    """The posted run of a zone."""
    scenario = Scenario("settlement", area)
    scenario.later(NOON + 60 * MINUTE)
    wish = start_run(from_at=NOON, to_at=NOON + QUARTER, cutoff_tick=1, deadline_at=NOON + 120 * MINUTE)
    [started] = scenario.when(wish, "starter")
    assert isinstance(started, RunStarted)
    for proposal in CALCULATION.compute(recorded("settlement", area, started), known):
        scenario.when(proposal, CALCULATOR)
    [posted] = scenario.when(ApproveRun(started.run), "approver")
    assert isinstance(posted, RunPosted), posted
    return only(scenario.later(scenario.at), LinesPosted)


@pytest.mark.parametrize("areas", ["zy", "yz"])
def test_congestion_income_is_flow_times_price_difference_and_every_sum_is_zero(areas: str) -> None:
    result, contracts = auctioned()
    known = inputs(contracts)
    slices = [posted for area in areas for posted in settled(area, known)]
    lines = [line for posted in slices for line in posted.lines]
    contracted = [line for line in lines if line.reference in {c.contract for c in contracts}]
    income = 4 * 150_000
    assert result.income_micro == income
    assert sum(line.amount_micro for line in lines if line.kind is LineKind.PRICE_DIFFERENCE) == income
    assert sum(line.amount_micro for line in contracted) == 0
    assert sum(line.amount_micro for line in contracted if line.kind is LineKind.TRANSIT) == 0
    for contract in contracts:
        assert sum(line.amount_micro for line in contracted if line.reference == contract.contract) == 0
    money = {
        party: sum(line.amount_micro for line in contracted if line.party == party)
        for party in ("ann", "dan", "eve", "bob", OPERATOR)
    }
    assert money == {"ann": -1_600_000, "dan": 800_000, "eve": -100_000, "bob": 300_000, OPERATOR: income}

    books = Scenario("billing", OPERATOR)
    for n, posted in enumerate(slices):
        for key, wish in accrue(recorded("settlement", posted.area, posted, n)):
            if key == OPERATOR:
                books.when(wish, POLICY)
    left = balances(books.facts)
    assert left.pop("revenue:price_differences") == -income
    assert left == {"accrued:ann": 1_600_000, "accrued:dan": -800_000, "accrued:eve": 100_000, "accrued:bob": -300_000}
