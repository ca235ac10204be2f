"""Call auctions of several zones in the market: a price a zone, flows within the lines, the difference is told."""

from collections import Counter
from dataclasses import replace
from pickle import dumps, loads
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.market.auctions import CALCULATOR
from domain.market.clearing_check import Flaw
from domain.market.contract_state import seller_gets
from schemas.envelope import FactMeta, Recorded
from schemas.market.auction_commands import ProposeClearing
from schemas.market.auction_events import (
    AuctionCalled,
    AuctionCleared,
    AuctionEnded,
    AuctionFailed,
    AuctionStarted,
    CalledLine,
    LineFlow,
    Rationing,
)
from schemas.market.commands import ApproveContract, ProposeContract
from schemas.market.contract_commands import AgreeRevision, AssignContract, ProposeChange
from schemas.market.contract_events import ContractRevised, RevisionProposed
from schemas.market.credit_events import PositionClosed
from schemas.market.events import (
    CapabilityRecorded,
    CommandRefused,
    ContractConcluded,
    ContractProposed,
    CreditRecorded,
    SessionOpened,
    TradeMade,
)
from schemas.market.phase_commands import PublishLineCapacity
from schemas.market.reasons import MarketRefusal
from schemas.market.rules import CreditRules, Line, NetworkRules, TradingRules
from schemas.values import DeliveryMode, Side
from tests.unit.given import MINUTE, Scenario, only
from tests.unit.market.auction_oracle import Bid
from tests.unit.market.test_auctions import CALL, CALL_END, proposals
from tests.unit.market.test_coupling import most_welfare
from tests.unit.market.world import (
    CENT,
    KWH,
    MARKET,
    NOON,
    OPERATOR,
    QUARTER,
    RULES,
    buy,
    order,
    sell,
    submit,
    trades,
)
from tests.unit.market.world import open_market as open_plain

ZONES = {"ann": "z", "bob": "y", "cyd": "x", "dan": "z", "eve": "y", "fay": "x"}
"""Every party in its zone; z is the market's home zone."""
LINES = (Line("zy", "z", "y"), Line("yx", "y", "x"))


def publish(market: Scenario, line: str, forward_wh: int, backward_wh: int) -> list[Any]:
    """So many Wh a quarter-hour may cross that way, and back."""
    return market.when(PublishLineCapacity(line, NOON, (4 * forward_wh,) * 4, (4 * backward_wh,) * 4), OPERATOR)


def in_zones(
    *capacities_wh: tuple[str, int, int], lines: tuple[Line, ...] = LINES, intervals: int = 1, **changes: Any
) -> Scenario:
    """A market of three zones whose books are in their opening call."""
    network = NetworkRules(("y", "x"), lines)
    market = open_plain(*ZONES, intervals=intervals, network=network, **{"auction": CALL, **changes})
    for party, zone in ZONES.items():
        market.given(CapabilityRecorded(MARKET, f"{party}-cp", party, 400_000, (f"{party}-pv",), zone))
    for line, forward_wh, backward_wh in capacities_wh:
        publish(market, line, forward_wh, backward_wh)
    return market


def cleared(market: Scenario, facts: list[Any]) -> list[Any]:
    """What the result of the auction that has just started brings about."""
    found = []
    for part in proposals(facts):
        found += market.when(part, CALCULATOR)
    return found + market.later(market.at)


BOUND = (sell("bob", 10, 5), sell("eve", 10, 7), sell("dan", 10, 20), buy("ann", 8, 30), buy("bob", 2, 9))
"""Bob and eve are in y, where energy is cheap, ann and dan in z, where it is not."""


def bound() -> tuple[Scenario, list[Any]]:
    """A line that lets 4 kWh from y to z, and what the call brings about."""
    market = in_zones(("zy", 0, 4 * KWH))
    for offer in BOUND:
        submit(market, offer)
    return market, market.later(CALL_END)


def test_a_line_that_binds_parts_the_prices_and_the_difference_is_told() -> None:
    market, facts = bound()
    [called] = only(facts, AuctionCalled)
    assert called.zones == ("z", "y", "x")
    assert called.lines == (CalledLine("zy", "z", "y", 0, 4 * KWH), CalledLine("yx", "y", "x", 0, 0))
    facts = cleared(market, facts)
    [result] = only(facts, AuctionCleared)
    assert [(z.zone, z.price_nano_per_kwh, z.bought_wh, z.sold_wh) for z in result.zones] == [
        ("z", 20 * CENT, 8 * KWH, 4 * KWH),
        ("y", 5 * CENT, 2 * KWH, 6 * KWH),
        ("x", None, 0, 0),
    ]
    assert result.flows == (LineFlow("zy", -4 * KWH), LineFlow("yx", 0))
    assert (result.price_nano_per_kwh, result.volume_wh) == (20 * CENT, 10 * KWH)
    assert result.income_micro == 4 * 150_000, "4 kWh at the difference of 15 cents"
    made = [
        (t.buyer, t.seller, t.quantity_wh // KWH, t.price_nano_per_kwh // CENT, t.seller_price_nano_per_kwh)
        for t in only(facts, TradeMade)
    ]
    assert made == [
        ("ann", "bob", 4, 20, 5 * CENT),
        ("ann", "dan", 4, 20, None),
        ("bob", "bob", 2, 5, None),
    ], "sellers in the order of acceptance whom the flow reaches, nobody himself while there is somebody else"
    assert type(facts[-1]) is AuctionEnded
    agreed = only(facts, ContractConcluded)[0]
    assert (agreed.zone, agreed.buyer_zone, agreed.delivery_mode) == ("y", "z", DeliveryMode.FIRM)
    assert (agreed.price_nano_per_kwh, agreed.seller_price_nano_per_kwh) == (20 * CENT, 5 * CENT)
    [slot] = market.state.instruments[NOON, 15].slots
    assert (slot.flow_wh, slot.held_wh) == ({"zy": -4 * KWH}, {"zy": (0, 0), "yx": (0, 0)})


def committed_at_noon(market: Scenario) -> Counter[str]:
    """What counts per party, over all pairs of zones."""
    found = Counter[str]()
    for between in market.state.slots[NOON].committed_pico.values():
        found.update(between)
    return found


def test_each_side_is_exposed_at_its_own_price() -> None:
    market, facts = bound()
    cleared(market, facts)
    assumed = RULES.assumed_price_nano_per_kwh
    committed = committed_at_noon(market)
    assert committed["ann"] == 8 * KWH * 20 * CENT
    assert committed["bob"] == 6 * KWH * (assumed - 5 * CENT) + 2 * KWH * 5 * CENT
    open_pico = 4 * KWH * (assumed - 5 * CENT)
    assert market.state.accounts["bob"].exposure_pico == committed["bob"] + open_pico


def test_a_line_with_room_left_joins_the_prices() -> None:
    market = in_zones(("zy", 0, 20 * KWH))
    for offer in BOUND:
        submit(market, offer)
    facts = cleared(market, market.later(CALL_END))
    [result] = only(facts, AuctionCleared)
    assert {z.zone: z.price_nano_per_kwh for z in result.zones} == {"z": 6 * CENT, "y": 6 * CENT, "x": None}
    assert result.income_micro == 0
    assert {t.seller_price_nano_per_kwh for t in only(facts, TradeMade)} == {None}


def test_energy_passes_through_a_zone() -> None:
    market = in_zones(("zy", 3 * KWH, 0), ("yx", 2 * KWH, 0))
    for offer in (sell("ann", 9, 5), buy("cyd", 9, 30)):
        submit(market, offer)
    facts = cleared(market, market.later(CALL_END))
    assert trades(facts) == [("cyd", "ann", 2, 30)]
    [slot] = market.state.instruments[NOON, 15].slots
    assert slot.flow_wh == {"zy": 2 * KWH, "yx": 2 * KWH}


def test_room_is_whole_lots_of_every_interval_of_a_delivery() -> None:
    trading = TradingRules((60,), 0, 0, 0, 0, 0, 0)
    market = in_zones(intervals=4, trading=trading)
    wish = PublishLineCapacity("zy", NOON, (4 * 950, 4 * 350, 4 * 950, 4 * 950), (0, 0, 0, 0))
    market.when(wish, OPERATOR)
    instrument = market.state.instruments[NOON, 15]
    [called] = [f for f in market.later(CALL_END) if type(f) is AuctionCalled]
    assert called.lines[0].forward_wh == 900
    assert instrument.slots[0].held_wh["zy"] == (0, 0), "nobody could trade, and what was held is free"


def test_what_is_held_for_an_auction_nobody_else_takes() -> None:
    """A contract wants to cross, and capacity is published, while the book is frozen: neither touches the result."""
    market = in_zones(("zy", 0, 4 * KWH))
    market.when(ProposeContract("dan", "ann", "dan-cp", "ann-cp", NOON, (KWH,), 20 * CENT), "dan")
    contract = only(market.facts, ContractProposed)[-1].contract
    market.when(ApproveContract(contract), "ann")
    for offer in BOUND:
        submit(market, offer)
    facts = market.later(CALL_END)
    crossing = AssignContract(contract, 1, "eve", "eve-cp")
    refused = market.when(crossing, "dan")[-1]
    assert type(refused) is CommandRefused
    assert (refused.reason, refused.limit, refused.found) == (MarketRefusal.LINE_EXCEEDED, 0, KWH)
    publish(market, "zy", 0, 5 * KWH)
    assert type(market.when(crossing, "dan")[-1]) is RevisionProposed, "what was published since is free"
    facts = cleared(market, facts)
    assert only(facts, AuctionCleared)[0].flows[0] == LineFlow("zy", -4 * KWH)
    [slot] = market.state.instruments[NOON, 15].slots
    assert slot.flow_wh["zy"] == -5 * KWH


def test_less_capacity_published_while_the_book_is_frozen_comes_after_the_auction() -> None:
    market, facts = bound()
    publish(market, "zy", 0, KWH)
    cleared(market, facts)
    [slot] = market.state.instruments[NOON, 15].slots
    assert slot.flow_wh["zy"] == -4 * KWH
    submit(market, sell("eve", 1, 1))
    assert only(submit(market, buy("dan", 1, 30)), TradeMade) == []


def test_without_a_result_the_lines_are_free_again() -> None:
    market, _ = bound()
    facts = market.later(CALL_END + 10 * MINUTE)
    assert type(facts[0]) is AuctionFailed
    [slot] = market.state.instruments[NOON, 15].slots
    assert slot.held_wh == {"zy": (0, 0), "yx": (0, 0)}
    assert ("ann", "bob", 4, 5) in trades(facts)


def test_an_hour_waits_for_the_quarter_that_holds_the_line() -> None:
    market = in_zones(("zy", 0, 4 * KWH), intervals=4, trading=TradingRules((60,), 0, 0, 0, 0, 0, 0))
    quarter = NOON + QUARTER
    for offer in BOUND:
        submit(market, replace(offer, delivery_start_at=quarter))
    facts = [f for f in market.later(CALL_END + 15 * MINUTE) if getattr(f, "delivery_start_at", 0) == quarter]
    submit(market, sell("eve", 1, 1, start=NOON + 2 * QUARTER))
    facts = cleared(market, facts)
    assert market.state.slots[quarter].flow_wh == {"zy": -4 * KWH}


def test_each_wrong_result_is_refused_and_changes_nothing() -> None:
    market, facts = bound()
    [part] = proposals(facts)
    before = loads(dumps(market.state))
    called = part.called
    z, y, x = called.zones
    for wrong, flaw in (
        (replace(called, zones=()), Flaw.TOTALS),
        (replace(called, zones=(y, z, x)), Flaw.TOTALS),
        (replace(called, flows=called.flows[:1]), Flaw.TOTALS),
        (replace(called, volume_wh=called.volume_wh + 1), Flaw.TOTALS),
        (replace(called, seller_price_nano_per_kwh=0), Flaw.TOTALS),
        (replace(called, flows=(LineFlow("zy", -3 * KWH), called.flows[1])), Flaw.TOTALS),
        (replace(called, flows=(LineFlow("zy", -5 * KWH), called.flows[1])), Flaw.TOTALS),
        (replace(called, zones=(z, replace(y, price_nano_per_kwh=6 * CENT), x)), Flaw.FILL),
        (replace(called, zones=(z, y, replace(x, price_nano_per_kwh=CENT))), Flaw.PRICE),
    ):
        refused = market.when(replace(part, called=wrong), CALCULATOR)[-1]
        assert type(refused) is CommandRefused, wrong
        assert (refused.reason, refused.found) == (MarketRefusal.CLEARING_WRONG, list(Flaw).index(flaw) + 1), wrong
    short = ProposeClearing(**{**{f: getattr(part, f) for f in part.__slots__}, "filled_wh": (0,) * 5})
    [refused] = market.when(short, CALCULATOR)
    assert refused.found == list(Flaw).index(Flaw.FILL) + 1
    assert market.state == before
    assert type(market.when(part, CALCULATOR)[-1]) is AuctionCleared


def test_a_change_of_price_leaves_the_operator_its_difference_and_an_assignment_keeps_both_prices() -> None:
    market, facts = bound()
    contract = next(c for c in only(cleared(market, facts), ContractConcluded) if c.buyer_zone is not None)
    market.when(ProposeChange(contract.contract, 1, contract.quantity_wh, 30 * CENT), "ann")
    market.when(AgreeRevision(contract.contract, only(market.facts, RevisionProposed)[-1].revision), "bob")
    changed = only(market.facts, ContractRevised)[-1]
    assert (changed.price_nano_per_kwh, changed.seller_price_nano_per_kwh) == (30 * CENT, 15 * CENT)
    market.when(AssignContract(contract.contract, 2, "eve", "eve-cp"), "bob")
    market.when(AgreeRevision(contract.contract, only(market.facts, RevisionProposed)[-1].revision), "eve")
    assigned = only(market.facts, ContractRevised)[-1]
    assert (assigned.seller, assigned.price_nano_per_kwh, assigned.seller_price_nano_per_kwh) == (
        "eve",
        30 * CENT,
        15 * CENT,
    )
    committed, assumed = committed_at_noon(market), RULES.assumed_price_nano_per_kwh
    assert committed["eve"] == 4 * KWH * (assumed - 15 * CENT)
    assert committed["ann"] == 4 * KWH * 30 * CENT + 4 * KWH * 20 * CENT
    assert committed["bob"] == 2 * KWH * (assumed - 5 * CENT) + 2 * KWH * 5 * CENT
    far = ProposeChange(contract.contract, 3, contract.quantity_wh, -90 * CENT)
    refused = market.when(far, "ann")[-1]
    assert (refused.reason, refused.found) == (MarketRefusal.PRICE_OUT_OF_RANGE, -105 * CENT), "the seller's price too"


class Watched(Scenario):
    """A market that is looked at after every fact: no line carries more than was published of it."""

    def _evolve(self, body: Any) -> None:
        super()._evolve(body)
        for slot in self.state.slots.values():
            for line, flow in slot.flow_wh.items():
                forward, backward = slot.capacity_wh.get(line, (0, 0))
                assert -backward <= flow <= forward, f"{line} carries {flow} behind {body}"


def again(market: Scenario) -> Any:
    """The state that the recorded facts lead to."""
    state = market.decider.initial(MARKET)
    for n, (body, moment) in enumerate(zip(market.facts, market.moments, strict=True)):
        meta = FactMeta(n, moment, "c", 0, "actor", "correlation", None, market.decider.LOGIC)
        state = market.decider.evolve(state, Recorded("market", 0, MARKET, meta, body))
    return state


LOT = RULES.lot_wh
offers = st.lists(
    st.tuples(st.sampled_from(sorted(ZONES)), st.booleans(), st.integers(-3, 6), st.integers(1, 3)), max_size=9
)
rooms = st.tuples(*(st.integers(0, 3) for _ in range(4)))


@settings(max_examples=300, deadline=None)
@given(offers, rooms, st.sampled_from(Rationing), st.sampled_from((0, 500_000, 1_000_000)))
def test_no_other_use_of_the_lines_gains_more(
    found: list[tuple[str, bool, int, int]], room: tuple[int, int, int, int], rationing: Rationing, k_ppm: int
) -> None:
    market = in_zones(auction=replace(CALL, rationing=rationing, k_ppm=k_ppm))
    market.__class__ = Watched
    lines = [CalledLine("zy", "z", "y", *room[:2]), CalledLine("yx", "y", "x", *room[2:])]
    for line in lines:
        publish(market, line.line, LOT * line.forward_wh, LOT * line.backward_wh)
    books: dict[str, list[Bid]] = {zone: [] for zone in "zyx"}
    limits = {}
    for party, buys, price, lots in found:
        wish = replace(order(party, Side.BUY if buys else Side.SELL, 0, 4 * price), quantity_wh=LOT * lots)
        [accepted] = submit(market, wish)
        limits[accepted.order] = price
        books[ZONES[party]].append(Bid(buys, price, lots))
    facts = market.later(CALL_END)
    if any(type(fact) is AuctionCleared for fact in facts):
        parts: list[Any] = []
    else:
        parts = list(proposals(facts))
    market.state = loads(dumps(market.state))
    for part in parts:
        facts += market.when(part, CALCULATOR)
    market.state = loads(dumps(market.state))
    facts += market.later(market.at)
    made = only(facts, TradeMade)
    gained = sum((limits[t.buy_order] - limits[t.sell_order]) * t.quantity_wh for t in made)
    assert gained == most_welfare(books, lines) * LOT
    [result] = only(facts, AuctionCleared)
    paid = sum(t.price_nano_per_kwh * t.quantity_wh for t in made)
    got = sum(seller_gets(t) * t.quantity_wh for t in made)
    assert paid - got == result.income_micro * 10**6 >= 0
    assert len({t.trade for t in made}) == len(made)
    [slot] = market.state.instruments[NOON, 15].slots
    assert {flow.line: flow.flow_wh for flow in result.flows if flow.flow_wh} == {
        line: wh for line, wh in slot.flow_wh.items() if wh
    }
    assert not any(any(held) for held in slot.held_wh.values())
    assert type(facts[-1]) is AuctionEnded or only(facts, AuctionEnded)
    assert again(market) == market.state, "the facts alone lead to the same market"


def test_markets_of_one_zone_are_called_without_zones() -> None:
    market = open_plain("ann", "bob", intervals=1, auction=CALL)
    submit(market, sell("ann", 5, 10))
    submit(market, buy("bob", 5, 12))
    facts = market.later(CALL_END)
    [called] = only(facts, AuctionCalled)
    assert (called.zones, called.lines) == ((), ())
    [result] = only(cleared(market, facts), AuctionCleared)
    assert (result.zones, result.flows, result.income_micro) == ((), (), 0)


def test_who_is_left_by_a_default_loses_at_his_own_price() -> None:
    """Ann bought at 20 ct what bob sold at 5 ct; at a close-out price of 1 ct he loses 4 ct a kWh, dan 19 ct."""
    market = in_zones(("zy", 0, 4 * KWH), credit=CreditRules(0, 0, 10, CENT, 0))
    for offer in BOUND:
        submit(market, offer)
    cleared(market, market.later(CALL_END))
    market.given(CreditRecorded(MARKET, "ann", "EUR", 0))
    closed = only(market.later(market.at) + market.later(market.at + 10 * MINUTE), PositionClosed)
    assert [(c.other, c.price_nano_per_kwh, c.loss_micro) for c in closed] == [
        ("bob", 5 * CENT, 4 * 40_000),
        ("dan", 20 * CENT, 4 * 190_000),
    ]


steps = st.lists(
    st.tuples(
        st.sampled_from(sorted(ZONES)), st.booleans(), st.integers(-3, 6), st.integers(1, 3), st.sampled_from((15, 60))
    ),
    min_size=4,
    max_size=14,
)


@settings(max_examples=150, deadline=None)
@given(steps, steps, rooms, st.integers(0, 3))
def test_no_line_carries_more_than_its_capacity_whatever_shares_it(
    before: list[Any], after: list[Any], room: tuple[int, int, int, int], more: int
) -> None:
    """An hour and the quarter in the middle of it are called one after the other, capacity comes while one is frozen,
    orders come to the one while the other waits, and the state is restored from its facts on the way."""
    trading = TradingRules((60,), 0, 0, 0, 0, 0, 0)
    market = in_zones(intervals=4, trading=trading)
    market.given(SessionOpened(MARKET, "z", NOON, 1, 60, 1))
    market.__class__ = Watched
    for line, two in (("zy", room[:2]), ("yx", room[2:])):
        publish(market, line, LOT * two[0], LOT * two[1])

    def of(fact: Any, name: str) -> Any:
        return getattr(fact, name, None)

    def orders(wished: list[Any]) -> None:
        for party, buys, price, lots, duration in wished:
            start, wh = (NOON, 4 * LOT * lots) if duration == 60 else (NOON + QUARTER, LOT * lots)
            wish = order(party, Side.BUY if buys else Side.SELL, 0, 4 * price, start=start)
            submit(market, replace(wish, quantity_wh=wh, duration_min=duration))

    def auction(at: int, start: int, duration: int) -> None:
        facts = [
            f for f in market.later(at) if (of(f, "delivery_start_at"), of(f, "interval_min")) == (start, duration)
        ]
        orders(after)
        publish(market, "zy", LOT * (room[0] + more), LOT * (room[1] + more))
        market.state = again(market)
        if only(facts, AuctionStarted):
            cleared(market, facts)

    orders(before)
    auction(CALL_END, NOON, 60)
    auction(CALL_END + 15 * MINUTE, NOON + QUARTER, 15)
    held = [held for slot in market.state.slots.values() for ways in slot.held_wh.values() for held in ways]
    assert not any(held), "nothing is held when no auction is underway"
    assert again(market) == market.state
