"""A day of contracts, credit and outlets that changes only with its logic number, and what the slates make of it."""

from dataclasses import replace
from typing import Any

from domain.market import decider
from projections.market.contracts import CANCELLATION_FEES, CONTRACT_LINEAGE, REVISIONS
from projections.market.credit import ALLOCATED_LOSSES, CLOSED_POSITIONS, STANDINGS
from projections.market.outlets import EXTERNAL_TRADES, NOMINATIONS, OUTLETS
from projections.market.trading import CONTRACTS
from projections.market.views import VIEWS
from schemas.catalog import messages_of
from schemas.market.commands import ApproveContract, CancelOrder, RecordCredit
from schemas.market.contract_commands import (
    AgreeRevision,
    AssignContract,
    CancelTrade,
    ProposeCancellation,
    ProposeChange,
    RefuseRevision,
    WithdrawContract,
)
from schemas.market.contract_events import ContractRevised
from schemas.market.credit_commands import ReinstateParticipant
from schemas.market.events import CapabilityRecorded, ContractConcluded, OrderTerms, RuleSetAdopted, SessionOpened
from schemas.market.outlet_commands import ApproveOutlet, NominateOutlet, RecordExternalTrade
from schemas.market.rules import ContractRules, CreditRules, TradingRules
from schemas.message import Kind
from schemas.values import Side
from tests.unit.given import MINUTE, Scenario, only
from tests.unit.market.test_golden_day import digest
from tests.unit.market.test_outlets import OFFER
from tests.unit.market.test_views import table
from tests.unit.market.world import (
    CENT,
    MARKET,
    NOON,
    NOW,
    OPERATOR,
    POLICY,
    QUARTER,
    buy,
    joined,
    proposal,
    rules,
    sell,
    submit,
)
from tests.unit.written import read_again, rebuilt

GOLDEN = {2: "173d1a52104ef62d788a6e67fe323f70", 3: "79fd3ce3b8605e4389e6e9714e94ec7b"}
"""The digest of the day's facts by `LOGIC`."""

TOLD_HERE = ("contract_events", "credit_events", "outlet_events")


def day() -> Scenario:
    """Every fact of these streams at least once."""
    held = rules(
        contracts=ContractRules("mid_6_10", 100_000, 1_500_000, 3 * CENT),
        credit=CreditRules(CENT, 190_000, 30, 15 * CENT, 20_000),
        trading=TradingRules((), 0, 0, 0, 0, 0, 60),
    )
    found = Scenario("market", MARKET, at=NOW)
    found.given(RuleSetAdopted(MARKET, 1, 0, held), SessionOpened(MARKET, "z", NOON, 4, 15, 1))
    for party in ("ann", "bob", "cyd", "dan"):
        found.given(*joined(party))
    found.given(CapabilityRecorded(MARKET, "roof", "bob", 1_000, ("pv-2",)))
    contracts = [_contract(found, n) for n in range(4)]
    _revise(found, contracts)
    _trade(found)
    _sell_outside(found)
    _default(found)
    return found


def _contract(found: Scenario, n: int) -> str:
    contract: str = found.when(proposal(quantity_wh=(1000 * (n + 1),)), "bob")[0].contract
    found.when(ApproveContract(contract), "ann")
    return contract


def _revise(found: Scenario, contracts: list[str]) -> None:
    changed, assigned, cancelled, withdrawn = contracts
    for wish, actor in (
        (ProposeChange(changed, 1, (2000,), 21 * CENT), "bob"),
        (AssignContract(assigned, 1, "cyd", "cyd-cp"), "ann"),
        (ProposeCancellation(cancelled, 1), "ann"),
    ):
        waits = found.when(wish, actor)[0]
        found.when(AgreeRevision(waits.contract, waits.revision), waits.awaiting)
    waits = found.when(ProposeChange(withdrawn, 1, (1000,), 20 * CENT), "ann")[0]
    found.when(RefuseRevision(withdrawn, waits.revision), "bob")
    found.when(WithdrawContract(withdrawn, 1), "ann")
    found.when(ProposeChange(changed, 1, (1000,), 20 * CENT), "ann")
    found.when(ProposeChange(changed, 2, (100,), 20 * CENT), "ann")


def _trade(found: Scenario) -> None:
    for n in range(2):
        submit(found, sell("bob", 1, 10, start=NOON + n * QUARTER))
        submit(found, buy("ann", 1, 10, start=NOON + n * QUARTER))
    kept, void = (contract.contract for contract in only(found.facts, ContractConcluded)[-2:])
    found.when(CancelTrade(void), OPERATOR)
    submit(found, sell("ann", 1, 30, terms=OrderTerms(rebid_of=kept)))


def _sell_outside(found: Scenario) -> None:
    outlet = found.when(OFFER, "bob")[0].outlet
    found.when(ApproveOutlet(outlet), "dan")
    found.when(NominateOutlet(outlet, NOON, 15, (500, 600)), "dan")
    found.when(RecordExternalTrade(outlet, "exchange", "4711", Side.SELL, NOON, 60, (2000,), "EUR", 8 * CENT), "dan")
    found.when(OFFER, "dan")
    lapses = found.when(_later_offer(), "dan")[0]
    assert lapses.outlet != outlet


def _later_offer() -> Any:
    return replace(OFFER, from_at=NOON + 4 * QUARTER, to_at=NOON + 8 * QUARTER)


def _default(found: Scenario) -> None:
    order = submit(found, buy("dan", 20, 10, start=NOON + 3 * QUARTER))[0].order
    for euros in (1, 10, 1):
        found.when(RecordCredit(OPERATOR, "dan", "EUR", euros * 10**6), POLICY)
        found.later(found.at)
    found.when(CancelOrder(order), "dan")
    found.later(found.at)
    found.when(RecordCredit(OPERATOR, "ann", "EUR", 10**4), POLICY)
    found.later(found.at)
    found.later(NOW + 30 * MINUTE)
    found.when(ReinstateParticipant("ann"), OPERATOR)
    found.later(NOW + 60 * MINUTE)


def test_the_golden_day() -> None:
    found = digest(day().facts)
    assert found == GOLDEN.get(decider.LOGIC), f"raise LOGIC, or GOLDEN[{decider.LOGIC}] = {found!r}"


def test_the_day_knows_every_fact_of_its_streams_and_each_is_on_a_slate() -> None:
    found = day()
    own = {m.cls for m in messages_of("market") if m.kind is Kind.EVENT and m.cls.__module__.endswith(TOLD_HERE)}
    assert own <= {type(fact) for fact in found.facts}
    assert own <= {kind for view in VIEWS for kind in view.on}
    assert [read_again(fact) for fact in found.facts] == found.facts
    assert rebuilt(found) == found.state


def test_every_version_of_a_contract_is_a_whole_row() -> None:
    found = day()
    rows = table(CONTRACTS, found)
    assert all(set(row) == set(CONTRACTS.columns) for row in rows)
    revised = only(found.facts, ContractRevised)
    assert [(r["contract"], r["version"]) for r in rows if r["version"] > 1] == [
        (fact.contract, fact.version) for fact in revised
    ]
    assert {row["state"] for row in rows} == {"concluded", "cancelled"}
    lineage = table(CONTRACT_LINEAGE, found)
    assert [row["version_before"] for row in lineage] == [fact.version - 1 for fact in revised]
    assert {row["reason"] for row in lineage} == {
        "changed", "assigned", "cancelled", "withdrawn", "manifest_error", "closed_out",
    }  # fmt: skip


def test_what_was_proposed_and_what_leaving_cost() -> None:
    found = day()
    assert [row.get("ending") for row in table(REVISIONS, found)] == [None, None, None, "refused", "default"]
    assert [(f["debtor"], f["creditor"], f["amount_micro"]) for f in table(CANCELLATION_FEES, found)] == [
        ("ann", "bob", 120_000)
    ]


def test_where_the_parties_stand_and_who_bore_what() -> None:
    found = day()
    assert [(row["party"], row["state"]) for row in table(STANDINGS, found)] == [("dan", "met"), ("ann", "reinstated")]
    closed, shares = table(CLOSED_POSITIONS, found), table(ALLOCATED_LOSSES, found)
    assert sum(row["loss_micro"] for row in closed) == sum(row["amount_micro"] for row in shares) > 0
    assert {row["layer"] for row in shares} == {"collateral", "fund", "others"}


def test_outlets_and_what_was_told_of_them() -> None:
    found = day()
    assert [row["state"] for row in table(OUTLETS, found)] == ["concluded", "ended"]
    assert [row["quantity_wh"] for row in table(NOMINATIONS, found)] == [[500, 600]]
    assert [row["reference"] for row in table(EXTERNAL_TRADES, found)] == ["4711"]
