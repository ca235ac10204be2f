"""No order leaves a frozen book, whatever happens while its auction lasts; what is to leave leaves at its end."""

from collections.abc import Callable
from pickle import dumps, loads
from typing import Any

import pytest

from domain.market import decider
from domain.market.auctions import CALCULATOR
from schemas.market.auction_events import AuctionEnded, AuctionFailed
from schemas.market.commands import (
    AmendOrder,
    ApproveContract,
    CancelOrder,
    CancelOrders,
    RecordCapability,
    RecordCredit,
)
from schemas.market.credit_events import DefaultSettled, ParticipantDefaulted, PositionClosed
from schemas.market.events import CapabilityRecorded, ContractLapsed, OrderAccepted, OrdersCancelled, Phase, TradeMade
from schemas.market.mandate_commands import GrantMandate, PauseMandate, RecordForecast, ResumeMandate, RevokeMandate
from schemas.market.mandate_events import MandateTerms
from schemas.market.phase_commands import SuspendTrading
from schemas.market.product_commands import AmendProduct, RetireProduct, SuspendProduct, VerifyProduct
from schemas.market.reasons import CancelReason
from schemas.market.rules import CreditRules
from tests.unit.given import MINUTE, Scenario, only
from tests.unit.market.offered import NAMES_IT, ROOF, registered, terms
from tests.unit.market.test_auctions import CALL_END, calling, proposals
from tests.unit.market.world import CENT, KWH, MARKET, NOON, OPERATOR, POLICY, buy, proposal, sell, submit, trades
from tests.unit.written import rebuilt

AT_RISK = CreditRules(0, 0, 1, 0, 0)
"""A margin call is over within a minute."""


def frozen(bob_cents: float = 29) -> tuple[Scenario, dict[str, str], list[Any]]:
    """An auction of a bid and an ask of ann, bob's ask for 3 kWh that names his product, cyd's by a mandate.

    Dan's bid for 2 kWh at 22 cents and eve's ask for 1 at 21 cross, and so does bob's where it is as low. Whom all this
    brought about, with the orders' ids.
    """
    market = calling("ann", "bob", "cyd", "dan", "eve", credit=AT_RISK)
    market.given(CapabilityRecorded(MARKET, "bob-cp", "bob", 400_000, ("pv",), "z", equipment=(ROOF,)))
    registered(market, max_power_w=10_000, schedule_wh=())
    market.when(VerifyProduct("roof", 1), OPERATOR)
    submit(market, buy("ann", 1, 10))
    submit(market, sell("ann", 1, 30))
    submit(market, sell("bob", 2, bob_cents, terms=NAMES_IT))
    granted = market.when(GrantMandate("cyd", "cyd-cp", MandateTerms(None, 28 * CENT, 0, 0)), "cyd")[0].mandate
    market.when(RecordForecast(granted, NOON, (KWH,), 1), "cyd")
    submit(market, buy("dan", 2, 22))
    submit(market, sell("eve", 1, 21))
    facts = market.later(CALL_END)
    assert market.state.instruments[NOON, 15].phase is Phase.AUCTION
    names = {f"{o.party}-{o.side.value}": o.order for o in only(market.facts, OrderAccepted)}
    return market, {**names, "mandate": granted}, facts


def default(party: str) -> Callable[[Scenario, dict[str, str]], Any]:
    def happens(market: Scenario, _: dict[str, str]) -> None:
        market.when(RecordCredit(OPERATOR, party, "EUR", 0), POLICY)
        market.later(market.at)
        market.later(market.at + 2 * MINUTE)
        assert only(market.facts, ParticipantDefaulted)

    return happens


def said(
    wish: Callable[[dict[str, str]], Any], actor: str, later: int = 0
) -> Callable[[Scenario, dict[str, str]], Any]:
    def happens(market: Scenario, names: dict[str, str]) -> None:
        market.when(wish(names), actor)
        market.later(market.at)

    return happens


GOES, STAYS = True, False
WAYS: dict[str, tuple[Any, str, bool, CancelReason | None]] = {
    "cancel": (said(lambda n: CancelOrder(n["ann-buy"]), "ann"), "ann-buy", STAYS, None),
    "amend": (said(lambda n: AmendOrder(n["ann-buy"], 500, 10 * CENT, None), "ann"), "ann-buy", STAYS, None),
    "mass cancel": (said(lambda n: CancelOrders("ann", None, None, None), "ann"), "ann-buy", STAYS, None),
    "mass cancel of the book": (said(lambda n: CancelOrders("ann", NOON, 15, None), OPERATOR), "ann-buy", STAYS, None),
    "suspended market": (said(lambda n: SuspendTrading(None, None), OPERATOR), "ann-buy", STAYS, None),
    "suspended book": (said(lambda n: SuspendTrading(NOON, 15), OPERATOR), "ann-buy", STAYS, None),
    "no allotment": (said(lambda n: RecordCapability("ann-cp", "ann", 0, (), "z"), POLICY), "ann-sell", STAYS, None),
    "product retired": (said(lambda n: RetireProduct("roof"), "bob"), "bob-sell", GOES, CancelReason.PRODUCT_ENDED),
    "product suspended": (
        said(lambda n: SuspendProduct("roof"), OPERATOR), "bob-sell", GOES, CancelReason.PRODUCT_ENDED
    ),
    "product amended": (
        said(lambda n: AmendProduct("roof", terms(max_power_w=400, schedule_wh=(100,))), "bob"),
        "bob-sell",
        GOES,
        CancelReason.PRODUCT_AMENDED,
    ),
    "mandate paused": (
        said(lambda n: PauseMandate(n["mandate"]), "cyd"), "cyd-sell", GOES, CancelReason.MANDATE_ENDED
    ),
    "mandate revoked": (
        said(lambda n: RevokeMandate(n["mandate"]), "cyd"), "cyd-sell", GOES, CancelReason.MANDATE_ENDED
    ),
    "less forecast": (
        said(lambda n: RecordForecast(n["mandate"], NOON, (-KWH,), 2), "cyd"), "cyd-sell", STAYS, None
    ),
    "default of the buyer": (default("ann"), "ann-buy", GOES, CancelReason.DEFAULT),
    "default of the product's owner": (default("bob"), "bob-sell", GOES, CancelReason.DEFAULT),
    "default of who has a mandate": (default("cyd"), "cyd-sell", GOES, CancelReason.DEFAULT),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_no_order_leaves_a_frozen_book(way: str) -> None:
    """The auction finds no result: who was to leave is gone behind it, everybody else rests or trades."""
    happens, name, goes, reason = WAYS[way]
    market, names, _ = frozen()
    before = {order.order: order.rest_wh for order in market.state.orders.values()}
    happens(market, names)
    assert market.state.instruments[NOON, 15].phase is Phase.AUCTION
    assert {order.order: order.rest_wh for order in market.state.orders.values()} == before
    market.state = loads(dumps(market.state))
    facts = market.later(CALL_END + 10 * MINUTE)
    assert type(facts[0]) is AuctionFailed
    gone = [(f.reason, f.orders) for f in only(facts, OrdersCancelled)]
    assert [(reason, (names[name],)) for _ in range(goes)] == [(r, o[:1]) for r, o in gone]
    assert (names[name] not in market.state.orders) is goes
    assert rebuilt(market) == market.state


def test_what_leaves_leaves_before_anything_else_happens_in_its_book() -> None:
    """Bob's ask at 20 cents would meet dan's bid when the book goes on."""
    market, names, _ = frozen(20)
    market.when(RetireProduct("roof"), "bob")
    assert trades(market.later(CALL_END + 10 * MINUTE)) == [("dan", "eve", 1, 22)]
    assert names["bob-sell"] not in market.state.orders


def test_a_frozen_order_of_a_default_trades_and_is_closed_out_then() -> None:
    market, names, facts = frozen(20)
    default("bob")(market, names)
    assert only(market.facts, DefaultSettled) == []
    assert decider.due(market.state) > market.at, "nothing is to be said before the auction ends"
    [part] = proposals(facts)
    facts = market.when(part, CALCULATOR) + market.later(market.at)
    [trade] = [t for t in only(facts, TradeMade) if t.seller == "bob"]
    assert trade.quantity_wh == 2 * KWH
    [closed] = only(facts, PositionClosed)
    assert (closed.party, closed.quantity_wh) == ("bob", 2 * KWH)
    kinds = [type(f) for f in facts]
    assert kinds.index(AuctionEnded) < kinds.index(PositionClosed) < kinds.index(DefaultSettled)
    assert market.state.standing.defaults["bob"].over


def test_positions_of_a_default_are_closed_behind_the_auction_that_may_add_to_them() -> None:
    market, names, _ = frozen()
    contract = market.when(proposal(quantity_wh=(KWH,)), "bob")[0].contract
    market.when(ApproveContract(contract), "ann")
    market.when(proposal(quantity_wh=(KWH,)), "bob")
    default("bob")(market, names)
    assert only(market.facts, ContractLapsed)
    market.later(CALL_END + 9 * MINUTE)
    assert only(market.facts, PositionClosed) == []
    market.later(CALL_END + 10 * MINUTE)
    assert [f.contract for f in only(market.facts, PositionClosed)] == [contract]


def test_what_is_left_of_it_leaves_when_the_auction_is_over() -> None:
    """Dan asks for 2 kWh; eve's is the cheaper one."""
    market, names, facts = frozen(21.5)
    default("bob")(market, names)
    [part] = proposals(facts)
    facts = market.when(part, CALCULATOR) + market.later(market.at)
    [gone] = only(facts, OrdersCancelled)
    assert (gone.reason, gone.orders) == (CancelReason.DEFAULT, (names["bob-sell"],))
    assert only(facts, DefaultSettled)


def test_a_mandate_that_is_resumed_keeps_its_frozen_order() -> None:
    market, names, _ = frozen()
    market.when(PauseMandate(names["mandate"]), "cyd")
    market.when(ResumeMandate(names["mandate"]), "cyd")
    market.later(CALL_END + 10 * MINUTE)
    assert names["cyd-sell"] in market.state.orders
