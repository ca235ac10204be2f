"""Coupled zones: the best use of the lines, one price where none binds, and no wrong flow passes the check."""

from itertools import product
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.market.clearing import AuctionRules, Clearing, Offer, clear
from domain.market.clearing_check import ClearingCheck, Flaw
from domain.market.coupling import Coupled, congestion_income_pico, couple, finish
from schemas.market.auction_events import CalledLine, Rationing
from tests.unit.market import auction_oracle
from tests.unit.market.auction_oracle import Bid

Books = dict[str, list[Bid]]
RULES = AuctionRules(1, 1, 500_000, Rationing.TIME)


def offers_of(books: Books) -> dict[str, list[Offer]]:
    """Small books in the product's words, with prices on every fourth tick."""
    return {
        zone: [Offer(o.buys, 4 * o.price, o.quantity, n) for n, o in enumerate(book)] for zone, book in books.items()
    }


def judged(
    offers: dict[str, list[Offer]], lines: list[CalledLine], found: Coupled, rules: AuctionRules = RULES
) -> Flaw | None:
    """What the check says of a whole proposal."""
    checks = {zone: ClearingCheck(rules, found.clearings[zone]) for zone in offers}
    for zone, check in checks.items():
        flaw = check.take(offers[zone], found.fills[zone])
        if flaw is not None:
            return flaw
    return finish(checks, {zone: len(book) for zone, book in offers.items()}, lines, found.flow_wh, rules)


def welfare(book: list[Bid], net_sold: int) -> int | None:
    """The most that a zone gains when it sells so much more than it buys, by trying everything; none: it cannot."""
    bids = sorted((o.price for o in book if o.buys for _ in range(o.quantity)), reverse=True)
    asks = sorted(o.price for o in book if not o.buys for _ in range(o.quantity))
    tries = [
        sum(bids[:bought]) - sum(asks[: bought + net_sold])
        for bought in range(len(bids) + 1)
        if 0 <= bought + net_sold <= len(asks)
    ]
    return max(tries, default=None)


def most_welfare(books: Books, lines: list[CalledLine]) -> int:
    """The best over all flows."""
    best = None
    for flows in product(*(range(-line.backward_wh, line.forward_wh + 1) for line in lines)):
        net = dict.fromkeys(books, 0)
        for line, flow in zip(lines, flows, strict=True):
            net[line.from_zone] += flow
            net[line.to_zone] -= flow
        gains = [welfare(books[zone], net[zone]) for zone in books]
        if None not in gains:
            total = sum(gain for gain in gains if gain is not None)
            best = total if best is None else max(best, total)
    assert best is not None
    return best


def gained(books: Books, found: Coupled) -> int:
    """The welfare of a result."""
    return sum(
        (o.price if o.buys else -o.price) * filled
        for zone, book in books.items()
        for o, filled in zip(book, found.fills[zone], strict=True)
    )


TREES = [[], [("a", "b")], [("a", "b"), ("b", "c")], [("b", "a"), ("a", "c")], [("c", "b")]]
books_ = st.lists(st.builds(Bid, st.booleans(), st.integers(-3, 6), st.integers(1, 3)), max_size=4)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Books, list[CalledLine]]:
    """Up to three zones and what lies between them."""
    books = {zone: draw(books_) for zone in "abc"}
    room = st.integers(0, 3)
    tree = draw(st.sampled_from(TREES))
    return books, [CalledLine(f"{one}-{other}", one, other, draw(room), draw(room)) for one, other in tree]


@settings(max_examples=500, deadline=None)
@given(worlds(), st.sampled_from(Rationing), st.sampled_from((0, 500_000, 1_000_000)))
def test_no_other_flow_gains_more_and_every_price_fits(world: Any, rationing: Rationing, k_ppm: int) -> None:
    books, lines = world
    rules = AuctionRules(1, 1, k_ppm, rationing)
    offers = offers_of(books)
    found = couple(offers, lines, rules)
    assert gained(books, found) == most_welfare(books, lines)
    assert judged(offers, lines, found, rules) is None
    for zone, book in books.items():
        price = found.clearings[zone].price_nano_per_kwh
        if price is not None:
            scaled = [Bid(o.buys, 4 * o.price, o.quantity) for o in book]
            assert auction_oracle.leaves_all_content(scaled, price, found.fills[zone])
    for line in lines:
        flow = found.flow_wh[line.line]
        here, there = (found.clearings[zone].price_nano_per_kwh for zone in (line.from_zone, line.to_zone))
        if here is not None and there is not None:
            assert here >= there or flow == line.forward_wh
            assert here <= there or flow == -line.backward_wh


@settings(max_examples=300, deadline=None)
@given(worlds())
def test_money_in_is_money_out_and_congestion_income(world: Any) -> None:
    books, lines = world
    found = couple(offers_of(books), lines, RULES)
    paid = sum(
        (found.clearings[zone].price_nano_per_kwh or 0) * filled * (1 if o.buys else -1)
        for zone, book in books.items()
        for o, filled in zip(book, found.fills[zone], strict=True)
    )
    income = congestion_income_pico(found.clearings, lines, found.flow_wh)
    assert paid == income >= 0


@settings(max_examples=500, deadline=None)
@given(worlds(), st.data())
def test_only_a_best_result_passes_the_check(world: Any, data: st.DataObject) -> None:
    """Other flows, other fills, other prices: what passes gains as much and trades as much as the best."""
    books, lines = world
    offers = offers_of(books)
    best = couple(offers, lines, RULES)
    closed = [CalledLine(x.line, x.from_zone, x.to_zone, x.forward_wh // 2, x.backward_wh // 2) for x in lines]
    less = couple(offers, data.draw(st.sampled_from((closed, lines))), RULES)
    moved = {line: flow + data.draw(st.integers(-1, 1)) for line, flow in less.flow_wh.items()}
    proposal = Coupled(less.clearings, less.fills, data.draw(st.sampled_from((moved, less.flow_wh))))
    if judged(offers, lines, proposal) is None:
        assert gained(books, proposal) == gained(books, best)
        traded = [sum(c.bought_wh for c in x.clearings.values()) for x in (proposal, best)]
        assert traded[0] == traded[1]


def test_a_line_that_binds_parts_the_prices_and_one_that_does_not_joins_them() -> None:
    books = {"a": [Bid(False, 2, 10)], "b": [Bid(True, 9, 6), Bid(False, 7, 6)]}
    offers = offers_of(books)
    narrow, wide = [CalledLine("l", "a", "b", 4, 0)], [CalledLine("l", "a", "b", 8, 0)]
    found = couple(offers, narrow, RULES)
    assert {zone: c.price_nano_per_kwh for zone, c in found.clearings.items()} == {"a": 8, "b": 28}
    assert found.flow_wh == {"l": 4}
    assert congestion_income_pico(found.clearings, narrow, found.flow_wh) == 4 * 20
    found = couple(offers, wide, RULES)
    assert {zone: c.price_nano_per_kwh for zone, c in found.clearings.items()} == {"a": 8, "b": 8}
    assert congestion_income_pico(found.clearings, wide, found.flow_wh) == 0


def test_what_only_flows_through_a_zone_gives_it_a_price() -> None:
    offers = offers_of({"a": [Bid(False, 2, 3)], "b": [], "c": [Bid(True, 4, 3)], "d": [Bid(True, 9, 1)]})
    lines = [CalledLine("ab", "a", "b", 9, 9), CalledLine("bc", "b", "c", 9, 9)]
    found = couple(offers, lines, RULES)
    assert [c.price_nano_per_kwh for c in found.clearings.values()] == [12, 12, 12, None]
    assert judged(offers, lines, found) is None


def test_one_zone_is_a_plain_auction() -> None:
    book = [Bid(True, 9, 5), Bid(True, 9, 5), Bid(False, 3, 7), Bid(False, 11, 1)]
    offers = offers_of({"a": book})
    found = couple(offers, [], RULES)
    assert (found.clearings["a"], found.fills["a"]) == clear(offers["a"], RULES)


def test_each_flaw_of_a_coupling_is_named() -> None:
    offers = offers_of({"a": [Bid(False, 2, 4)], "b": [Bid(True, 9, 4)]})
    lines = [CalledLine("l", "a", "b", 4, 0)]
    right = couple(offers, lines, RULES)
    assert judged(offers, lines, right) is None
    assert judged(offers, lines, Coupled(right.clearings, right.fills, {})) is Flaw.TOTALS
    assert judged(offers, lines, Coupled(right.clearings, right.fills, {"l": 3})) is Flaw.TOTALS
    assert judged(offers, [CalledLine("l", "a", "b", 3, 0)], right) is Flaw.TOTALS
    nothing = dict.fromkeys("ab", Clearing(None, 0, 0))
    assert judged(offers, lines, Coupled(nothing, {"a": [0], "b": [0]}, {"l": 0})) is Flaw.VOLUME
    cheap = {zone: Clearing(9, c.bought_wh, c.sold_wh) for zone, c in right.clearings.items()}
    assert judged(offers, lines, Coupled(cheap, right.fills, right.flow_wh)) is Flaw.PRICE
