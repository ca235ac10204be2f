"""The calculation `market.session`: the result of a session's auction, in the parts that the market checks."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from domain.calculation import Calculation, Inputs
from domain.market.blocks import BlockAuction
from domain.market.calc_blocks import solve
from domain.market.clearing import AuctionRules, Clearing, Offer
from domain.market.exposure import PICO_PER_MICRO
from domain.market.session_auctions import CALCULATION_NAME
from domain.market.session_state import block_orders
from domain.market.session_timetable import MAX_LISTED
from domain.market.zones_check import called_level
from schemas.envelope import Recorded
from schemas.market.session_commands import ProposeCallBlocks, ProposeSessionBook
from schemas.market.session_events import CalledBlock, SessionAuctionStarted, SessionPrice
from schemas.values import MINUTE_US, Side

BOOKS: Final = "books"
BLOCKS: Final = "blocks"


def compute(fact: Recorded[Any], inputs: Inputs) -> Iterator[ProposeCallBlocks | ProposeSessionBook]:
    """The parts of the result.

    Raises:
        ValueError: the slate does not hold all books and blocks; without a result the market goes on by itself.
    """
    started: SessionAuctionStarted = fact.body
    step = started.interval_min * MINUTE_US
    starts = [started.first_start_at + n * step for n in range(started.intervals)]
    orders: dict[int, list[str]] = {start: [] for start in starts}
    books: dict[int, list[Offer]] = {start: [] for start in starts}
    for row in inputs[BOOKS]:
        book = books[row["delivery_start_at"]]
        orders[row["delivery_start_at"]] += row["orders"]
        # Their places are in the order of acceptance, which is all that a sequence is asked for.
        sequences = range(len(book), len(book) + len(row["orders"]))
        values = zip(row["sides"], row["limit_prices_nano_per_kwh"], row["rests_wh"], sequences, strict=True)
        book += [Offer(side == Side.BUY, price, rest_wh, n) for side, price, rest_wh, n in values]
    blocks = [_block(row) for row in inputs[BLOCKS]]
    found = sum(map(len, books.values())), len(blocks)
    if found != (started.resting, started.blocks):
        raise ValueError(
            f"the auction {started.auction} has {started.resting} orders and {started.blocks} blocks, the slate {found}"
        )
    rules = AuctionRules(started.tick_nano_per_kwh, started.lot_wh, started.k_ppm, started.rationing)
    prices = started.min_price_nano_per_kwh, started.max_price_nano_per_kwh
    asked = BlockAuction(rules, *prices, tuple(books.values()), block_orders(blocks, started.intervals))
    result = solve(asked)
    priced = [
        (start, clearing.price_nano_per_kwh)
        for start, clearing in zip(starts, result.clearings, strict=True)
        if clearing.price_nano_per_kwh is not None
    ]
    more_micro = -(-(result.bound_pico - result.welfare_pico) // PICO_PER_MICRO)
    yield ProposeCallBlocks(
        started.auction,
        started.first_start_at,
        started.interval_min,
        result.steps,
        tuple(start for start, _ in priced),
        tuple(price for _, price in priced),
        more_micro,
    )
    for start, clearing, filled in zip(starts, result.clearings, result.fills, strict=True):
        yield from _parts(started, start, clearing, orders[start], filled)


def _parts(
    started: SessionAuctionStarted, start: int, clearing: Clearing, orders: Sequence[str], filled_wh: Sequence[int]
) -> Iterator[ProposeSessionBook]:
    parts = max(1, -(-len(orders) // MAX_LISTED))
    about = started.auction, start, started.interval_min
    for n in range(parts):
        part = slice(n * MAX_LISTED, (n + 1) * MAX_LISTED)
        yield ProposeSessionBook(
            *about, n + 1, parts, session_price(clearing), tuple(orders[part]), tuple(filled_wh[part])
        )


def session_price(clearing: Clearing) -> SessionPrice:
    """A delivery's result in the terms of messages."""
    bids, asks = called_level(clearing.bids), called_level(clearing.asks)
    return SessionPrice(clearing.price_nano_per_kwh, clearing.bought_wh, clearing.sold_wh, bids, asks)


def _block(row: Any) -> CalledBlock:
    return CalledBlock(
        row["block"],
        Side(row["side"]),
        row["first_interval"],
        tuple(row["profile_wh"]),
        row["limit_price_nano_per_kwh"],
        row["minimum_ppm"],
        row["parent"],
        row["exclusive_group"],
    )


def _cutoff(fact: Recorded[Any]) -> int:
    """The slices of the books may stand in the same tick as the fact."""
    return fact.meta.tick.n + 1


CALCULATION = Calculation(
    name=CALCULATION_NAME,
    family="market",
    on=SessionAuctionStarted,
    needs=("market",),
    cutoff=_cutoff,
    compute=compute,
)
