"""The uniform-price call auction: its price, its volume, its rationing, and a check that nothing wrong passes."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.market.clearing import AuctionRules, Clearing, Level, Offer, clear, supporting
from domain.market.clearing_check import ClearingCheck, Flaw
from schemas.market.auction_events import Rationing
from tests.unit.market import auction_oracle
from tests.unit.market.auction_oracle import Bid

CENT = 10_000_000
KWH = 1_000


def rules(k_ppm: int = 500_000, rationing: Rationing = Rationing.TIME, tick: int = 1, lot: int = KWH) -> AuctionRules:
    return AuctionRules(tick, lot, k_ppm, rationing)


def offers_of(book: Sequence[Bid], scale: int = 1) -> list[Offer]:
    """A small book in the product's words, with gaps between the sequences."""
    return [Offer(o.buys, o.price * scale, o.quantity * KWH, 10 + 3 * n) for n, o in enumerate(book)]


def named(bids: Sequence[tuple[Any, ...]], asks: Sequence[tuple[Any, ...]]) -> tuple[list[str], list[Offer]]:
    """A vector's book, first the bids; cents and kWh."""
    rows = [(True, *bid) for bid in bids] + [(False, *ask) for ask in asks]
    offers = [
        Offer(buys, int(Fraction(price) * CENT), quantity * KWH, n) for n, (buys, _, price, quantity) in enumerate(rows)
    ]
    return [row[1] for row in rows], offers


def judged(offers: Sequence[Offer], filled: Sequence[int], clearing: Clearing, by: AuctionRules, size: int = 3) -> Any:
    """What the check says of a proposal in parts of `size`; it judges before it takes."""
    check = ClearingCheck(by, clearing)
    for start in range(0, len(offers), size):
        part = (offers[start : start + size], filled[start : start + size])
        flaw = check.judge(*part)
        assert flaw == check.take(*part)
        if flaw is not None:
            return flaw
    return check.finish(len(offers))


VECTORS = [  # V-M3, V-M3b, V-M3c, V-M4, V-M9 of the rule book's annex V.1: (bids, asks, Q, lo, mid, hi)
    pytest.param(
        [("b1", 14, 30), ("b2", 12, 25), ("b3", 11, 20), ("b4", 8, 40)],
        [("a1", 6, 20), ("a2", 9, 30), ("a3", 10, 13), ("a4", 10, 17), ("a5", 10, 21), ("a6", 13, 50)],
        (75, 10, 10, 10),
        {"b1": 30, "b2": 25, "b3": 20, "a1": 20, "a2": 30, "a3": 13, "a4": 12},
        {"b1": 30, "b2": 25, "b3": 20, "a1": 20, "a2": 30, "a3": 7, "a4": 8, "a5": 10},
        id="M3",
    ),
    pytest.param(
        [("b1", 15, 10), ("b2", 12, 10), ("b3", 7, 10)],
        [("a1", 5, 10), ("a2", 8, 10), ("a3", 13, 10)],
        (20, 8, 10, 12),
        {"b1": 10, "b2": 10, "a1": 10, "a2": 10},
        {"b1": 10, "b2": 10, "a1": 10, "a2": 10},
        id="M3b",
    ),
    pytest.param(
        [("0", 3, 1), ("1", 4, 2), ("2", 1, 5)],
        [("3", 2, 4), ("4", 1, 1), ("5", 6, 5)],
        (3, 2, 2, 2),
        {"1": 2, "0": 1, "4": 1, "3": 2},
        {"1": 2, "0": 1, "4": 1, "3": 2},
        id="M4",
    ),
    pytest.param(
        [("3", 3, 20), ("2", 2, 15), ("1", 1, 10)],
        [("4", "50001/50000", 25), ("6", "12/5", 35), ("5", 5, 30)],
        (25, 2, 2, 2),
        {"3": 20, "2": 5, "4": 25},
        {"3": 20, "2": 5, "4": 25},
        id="M9",
    ),
    pytest.param([("b", 5, 10)], [("a", 6, 10)], (0, None, None, None), {}, {}, id="M3c-no-cross"),
    pytest.param([("b", 5, 10)], [("a", 5, 4)], (4, 5, 5, 5), {"b": 4, "a": 4}, {"b": 4, "a": 4}, id="M3c-equal"),
    pytest.param([], [("a", 5, 4)], (0, None, None, None), {}, {}, id="M3c-one-side"),
    pytest.param(
        [("b", -2, 10), ("b2", 3, 5)],
        [("a", -5, 8), ("a2", -3, 4)],
        (12, -2, -2, -2),
        {"b2": 5, "b": 7, "a": 8, "a2": 4},
        {"b2": 5, "b": 7, "a": 8, "a2": 4},
        id="M3c-negative",
    ),
]


@pytest.mark.parametrize(("bids", "asks", "found", "by_time", "pro_rata"), VECTORS)
def test_the_vectors_of_the_rule_book(bids: Any, asks: Any, found: Any, by_time: Any, pro_rata: Any) -> None:
    names, offers = named(bids, asks)
    volume, *prices = found
    for k_ppm, price in zip((0, 500_000, 1_000_000), prices, strict=True):
        for rationing, fills in ((Rationing.TIME, by_time), (Rationing.PRO_RATA, pro_rata)):
            clearing, filled = clear(offers, rules(k_ppm, rationing))
            assert (clearing.bought_wh, clearing.sold_wh) == (volume * KWH, volume * KWH)
            assert clearing.price_nano_per_kwh == (None if price is None else price * CENT)
            got = {name: wh // KWH for name, wh in zip(names, filled, strict=True) if wh}
            assert got == {name: kwh for name, kwh in fills.items() if kwh}
            assert judged(offers, filled, clearing, rules(k_ppm, rationing)) is None


def test_a_side_without_a_rejected_offer_limits_the_price_by_its_accepted_end_alone() -> None:
    assert supporting(offers_of([Bid(True, 9, 2), Bid(False, 4, 2)])) == (4, 9)
    assert supporting(offers_of([Bid(True, 9, 2), Bid(True, 6, 1), Bid(False, 4, 2)])) == (6, 9)
    assert supporting(offers_of([Bid(True, 9, 2), Bid(False, 4, 2), Bid(False, 7, 1)])) == (4, 7)


@pytest.mark.parametrize(("k_ppm", "price"), [(0, 4), (499_999, 6), (500_000, 7), (1_000_000, 9)])
def test_the_price_is_rounded_half_up_to_the_tick(k_ppm: int, price: int) -> None:
    offers = [Offer(True, 90, KWH, 0), Offer(False, 40, KWH, 1)]
    assert clear(offers, rules(k_ppm, tick=10))[0].price_nano_per_kwh == price * 10


def test_of_what_is_indifferent_as_much_trades_as_can() -> None:
    clearing, filled = clear(offers_of([Bid(True, 5, 3), Bid(False, 5, 2), Bid(False, 5, 2)]), rules())
    assert (clearing.bought_wh, filled) == (3 * KWH, [3 * KWH, 2 * KWH, KWH])


books = st.lists(
    st.builds(Bid, st.booleans(), st.integers(-4, 8), st.integers(1, 7)),
    max_size=9,
)


@settings(max_examples=500, deadline=None)
@given(books, st.sampled_from(Rationing), st.sampled_from((0, 250_000, 500_000, 1_000_000)))
def test_a_book_clears_as_trying_everything_says(book: list[Bid], rationing: Rationing, k_ppm: int) -> None:
    by = rules(k_ppm, rationing, tick=1)
    offers = offers_of(book, scale=4)  # every quarter of a price step is a tick
    clearing, filled = clear(offers, by)
    kwh = [wh // KWH for wh in filled]
    volume = auction_oracle.largest_volume(book)
    assert kwh == auction_oracle.expected(book, 1, rationing.value)
    assert sum(q for o, q in zip(book, kwh, strict=True) if o.buys) == volume
    welfare = sum((o.price if o.buys else -o.price) * q for o, q in zip(book, kwh, strict=True))
    assert welfare == auction_oracle.most_welfare(book)
    if not volume:
        assert clearing.price_nano_per_kwh is None
    else:
        grid = [Fraction(n, 4) for n in range(-40, 60)]
        content = auction_oracle.supporting_prices(book, kwh, grid)
        rule = content[0] + Fraction(k_ppm, 1_000_000) * (content[-1] - content[0])
        assert clearing.price_nano_per_kwh is not None
        assert Fraction(clearing.price_nano_per_kwh, 4) in content
        assert abs(Fraction(clearing.price_nano_per_kwh, 4) - rule) <= Fraction(1, 8)
    for size in (1, 4, 100):
        assert judged(offers, filled, clearing, by, size) is None


@st.composite
def wrong_proposals(draw: st.DrawFn) -> tuple[list[Offer], list[int], Clearing, AuctionRules]:
    """A right proposal in which something is moved; sometimes nothing is."""
    by = rules(draw(st.sampled_from((0, 500_000, 1_000_000))), draw(st.sampled_from(Rationing)))
    offers = offers_of(draw(books))
    clearing, filled = clear(offers, by)
    shift = st.integers(-2, 2).map(lambda n: n * KWH)
    for _ in range(draw(st.integers(1, 3))):
        if filled and draw(st.booleans()):
            filled[draw(st.integers(0, len(filled) - 1))] += draw(shift)
        else:
            clearing = draw(moved(clearing))
    return offers, filled, clearing, by


def moved(clearing: Clearing) -> st.SearchStrategy[Clearing]:
    """A clearing of which one number is another."""
    small = st.integers(-2, 2)
    price = clearing.price_nano_per_kwh

    def level(side: str) -> st.SearchStrategy[Clearing]:
        old: Level = getattr(clearing, side)
        return st.builds(
            lambda name, n: replace(clearing, **{side: replace(old, **{name: getattr(old, name) + n})}),
            st.sampled_from(("cut", "at_cut")),
            small,
        ) | st.builds(
            lambda name, n: replace(clearing, **{side: replace(old, **{name: getattr(old, name) + n * KWH})}),
            st.sampled_from(("quantity_wh", "filled_wh")),
            small,
        )

    return st.one_of(
        small.map(lambda n: replace(clearing, price_nano_per_kwh=n if price is None else price + n)),
        st.just(replace(clearing, price_nano_per_kwh=None)),
        small.map(
            lambda n: replace(clearing, bought_wh=clearing.bought_wh + n * KWH, sold_wh=clearing.sold_wh + n * KWH)
        ),
        level("bids"),
        level("asks"),
    )


@settings(max_examples=400, deadline=None)
@given(wrong_proposals())
def test_only_the_right_result_passes_the_check(proposal: Any) -> None:
    offers, filled, clearing, by = proposal
    right, right_fills = clear(offers, by)
    if judged(offers, filled, clearing, by) is None:
        assert filled == right_fills
        assert (clearing.price_nano_per_kwh, clearing.bought_wh) == (right.price_nano_per_kwh, right.bought_wh)
    if (filled, clearing) == (right_fills, right):
        assert judged(offers, filled, clearing, by) is None


BOOK = offers_of([Bid(True, 9, 5), Bid(True, 9, 5), Bid(False, 3, 7), Bid(False, 11, 1)])
CLEARED, FILLED = clear(BOOK, rules())


def test_each_flaw_is_named() -> None:
    assert judged(BOOK, FILLED, CLEARED, rules()) is None
    assert judged(BOOK[:-1], FILLED[:-1], CLEARED, rules(), 1) is None, "nothing else depends on the last one"
    check = ClearingCheck(rules(), CLEARED)
    assert check.judge(BOOK, FILLED[:-1]) is Flaw.LIST
    assert check.judge([BOOK[1], BOOK[0]], [FILLED[1], FILLED[0]]) is not None
    assert check.take(BOOK[:-1], FILLED[:-1]) is None
    assert check.finish(len(BOOK)) is Flaw.LIST
    assert check.take([BOOK[0]], [FILLED[0]]) is Flaw.LIST
    assert judged(BOOK, [5 * KWH, 3 * KWH, 7 * KWH, 0], CLEARED, rules()) is Flaw.FILL
    assert judged(BOOK, FILLED, replace(CLEARED, bought_wh=8 * KWH), rules()) is Flaw.TOTALS
    assert judged(BOOK, [0] * 4, Clearing(None, 0, 0), rules()) is Flaw.VOLUME
    equal = offers_of([Bid(True, 5, 4), Bid(False, 5, 4)])
    assert judged(equal, [0, 0], Clearing(None, 0, 0), rules()) is Flaw.VOLUME
    less = Clearing(5, 2 * KWH, 2 * KWH, Level(4 * KWH, 2 * KWH), Level(4 * KWH, 2 * KWH))
    assert judged(equal, [2 * KWH] * 2, less, rules()) is Flaw.VOLUME
    lonely = offers_of([Bid(True, 9, 5)])
    assert judged(lonely, [0], Clearing(10, 0, 0), rules()) is Flaw.PRICE
    two = offers_of([Bid(True, 9, 5), Bid(False, 3, 5)])
    assert judged(two, [5 * KWH] * 2, Clearing(5, 5 * KWH, 5 * KWH), rules()) is Flaw.PRICE
    assert judged(two, [5 * KWH] * 2, Clearing(6, 5 * KWH, 5 * KWH), rules()) is None
