"""Slates of auctions of whole sessions: what became of each, its books and blocks, the results, everybody's blocks."""

from collections.abc import Iterable, Mapping
from typing import Any

from projections.view import Mode, Question, Row, View, copied, fields_of
from schemas.envelope import Recorded
from schemas.market.session_events import (
    CallBlockAccepted,
    CallBlockFilled,
    CallBlocksChecked,
    CallBlocksEnded,
    SessionAuctionCalled,
    SessionAuctionCleared,
    SessionAuctionEnded,
    SessionAuctionFailed,
    SessionAuctionStarted,
    SessionBlocksListed,
    SessionBookChecked,
    SessionBookListed,
)

_CALLED_COLUMNS = {
    "market": "text",
    "auction": "text",
    "first_start_at": "bigint",
    "intervals": "bigint",
    "interval_min": "bigint",
    "resting": "bigint",
    "blocks": "bigint",
    "tick_nano_per_kwh": "bigint",
    "lot_wh": "bigint",
    "min_price_nano_per_kwh": "bigint",
    "max_price_nano_per_kwh": "bigint",
    "k_ppm": "bigint",
    "rationing": "text",
    "deadline_at": "bigint",
}

_CLEARED_COLUMNS = {
    "volume_wh": "bigint",
    "accepted": "bigint",
    "welfare_micro": "bigint",
    "bound_micro": "bigint",
    "gap_ppm": "bigint",
}

SESSION_AUCTIONS = View(
    name="session_auctions",
    mode=Mode.CURRENT,
    columns={**_CALLED_COLUMNS, **_CLEARED_COLUMNS, "state": "text"},
    key=("auction",),
    on={
        SessionAuctionCalled: copied(*_CALLED_COLUMNS, state="called"),
        SessionAuctionStarted: copied("auction", state="started"),
        SessionAuctionCleared: copied("auction", *_CLEARED_COLUMNS, state="cleared"),
        SessionAuctionFailed: copied("auction", state="failed"),
        SessionAuctionEnded: copied("auction", state="ended"),
    },
)

_BOOK_COLUMNS = {
    "auction": "text",
    "delivery_start_at": "bigint",
    "first": "bigint",
    "orders": "text[]",
    "sides": "text[]",
    "limit_prices_nano_per_kwh": "bigint[]",
    "rests_wh": "bigint[]",
}

SESSION_BOOKS = View(
    name="session_books",
    mode=Mode.HISTORY,
    columns=_BOOK_COLUMNS,
    indexes=("auction",),
    on={SessionBookListed: copied(*_BOOK_COLUMNS)},
)
"""Slices of the frozen books, in the order of acceptance."""

_LISTED_COLUMNS = {
    "block": "text",
    "side": "text",
    "first_interval": "bigint",
    "profile_wh": "bigint[]",
    "limit_price_nano_per_kwh": "bigint",
    "minimum_ppm": "bigint",
    "parent": "text",
    "exclusive_group": "text",
}


def _listed(fact: Recorded[SessionBlocksListed]) -> Iterable[Row]:
    for n, block in enumerate(fact.body.blocks):
        yield {"auction": fact.body.auction, "place": fact.body.first + n, **fields_of(block, *_LISTED_COLUMNS)}


SESSION_BLOCKS = View(
    name="session_blocks",
    mode=Mode.HISTORY,
    columns={"auction": "text", "place": "bigint", **_LISTED_COLUMNS},
    indexes=("auction",),
    on={SessionBlocksListed: _listed},
)
"""The call blocks of an auction, without names, in the order of acceptance."""

SESSION_STEPS = View(
    name="session_steps",
    mode=Mode.HISTORY,
    columns={"auction": "text", "steps": "bigint[]", "more_micro": "bigint"},
    indexes=("auction",),
    on={CallBlocksChecked: copied("auction", "steps", "more_micro")},
)
"""What a proposed result accepts of the blocks."""

_FILL_COLUMNS = {
    "auction": "text",
    "delivery_start_at": "bigint",
    "part": "bigint",
    "orders": "text[]",
    "filled_wh": "bigint[]",
}

SESSION_FILLS = View(
    name="session_fills",
    mode=Mode.HISTORY,
    columns=_FILL_COLUMNS,
    indexes=("auction",),
    on={SessionBookChecked: copied(*_FILL_COLUMNS)},
)


def _priced(fact: Recorded[SessionBookChecked]) -> Iterable[Row]:
    checked = fact.body
    if checked.part == checked.parts:
        about = fields_of(checked, "market", "auction", "delivery_start_at", "interval_min")
        yield about | fields_of(checked.cleared, "price_nano_per_kwh", "bought_wh", "sold_wh")


SESSION_PRICES = View(
    name="session_prices",
    mode=Mode.HISTORY,
    columns={
        "market": "text",
        "auction": "text",
        "delivery_start_at": "bigint",
        "interval_min": "bigint",
        "price_nano_per_kwh": "bigint",
        "bought_wh": "bigint",
        "sold_wh": "bigint",
    },
    indexes=("auction", "market"),
    on={SessionBookChecked: _priced},
)
"""The checked price of each delivery, and what simple orders buy and sell; it counts once the auction is cleared."""

_BLOCK_COLUMNS = {
    "market": "text",
    "block": "text",
    "sequence": "bigint",
    "party": "text",
    "connection": "text",
    "side": "text",
    "first_start_at": "bigint",
    "interval_min": "bigint",
    "profile_wh": "bigint[]",
    "limit_price_nano_per_kwh": "bigint",
    "minimum_ppm": "bigint",
    "parent": "text",
    "exclusive_group": "text",
}


def _ended(fact: Recorded[CallBlocksEnded]) -> Iterable[Row]:
    for block in fact.body.blocks:
        yield {"block": block, "state": "ended", "reason": fact.body.reason.value}


def _filled(fact: Recorded[CallBlockFilled]) -> Iterable[Row]:
    filled = fact.body
    yield {
        **fields_of(filled, "block", "auction", "accepted_ppm", "starts_at", "quantities_wh", "prices_nano_per_kwh"),
        "state": "accepted",
    }


CALL_BLOCKS = View(
    name="call_blocks",
    mode=Mode.CURRENT,
    columns={
        **_BLOCK_COLUMNS,
        "auction": "text",
        "accepted_ppm": "bigint",
        "starts_at": "bigint[]",
        "quantities_wh": "bigint[]",
        "prices_nano_per_kwh": "bigint[]",
        "state": "text",
        "reason": "text",
    },
    key=("block",),
    indexes=("party", "market, first_start_at"),
    on={
        CallBlockAccepted: copied(*_BLOCK_COLUMNS, state="open"),
        CallBlocksEnded: _ended,
        CallBlockFilled: _filled,
    },
)
"""Every call block and what became of it; of an accepted one the deliveries with energy and price."""

SESSION_VIEWS = (
    SESSION_AUCTIONS,
    SESSION_BOOKS,
    SESSION_BLOCKS,
    SESSION_STEPS,
    SESSION_FILLS,
    SESSION_PRICES,
    CALL_BLOCKS,
)

_UTC = "to_char(to_timestamp({0} / 1000000) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')"

SESSION_QUESTIONS = (
    Question(
        "my_call_blocks",
        f"""
SELECT market, {_UTC.format("first_start_at")} AS first_utc, cardinality(profile_wh) AS intervals, interval_min,
    connection, side, (SELECT sum(wh)::bigint FROM unnest(profile_wh) AS wh) AS whole_wh, limit_price_nano_per_kwh,
    minimum_ppm, parent, exclusive_group, state, reason, accepted_ppm, quantities_wh, prices_nano_per_kwh, block
FROM call_blocks
WHERE party = %(party)s
ORDER BY market, first_start_at, sequence
""",
        ("party",),
    ),
    Question(
        "session_auction_results",
        f"""
SELECT a.market, {_UTC.format("p.delivery_start_at")} AS delivery_utc, p.interval_min, p.price_nano_per_kwh,
    p.bought_wh + b.bought_wh AS volume_wh, p.bought_wh, p.sold_wh, b.bought_wh AS blocks_bought_wh,
    b.sold_wh AS blocks_sold_wh, a.gap_ppm, a.auction
FROM session_auctions a
JOIN session_prices p ON p.auction = a.auction
CROSS JOIN LATERAL (
    SELECT coalesce(sum(f.wh) FILTER (WHERE c.side = 'buy'), 0)::bigint AS bought_wh,
        coalesce(sum(f.wh) FILTER (WHERE c.side = 'sell'), 0)::bigint AS sold_wh
    FROM call_blocks c
    CROSS JOIN LATERAL unnest(c.starts_at, c.quantities_wh) AS f (start_at, wh)
    WHERE c.auction = a.auction AND f.start_at = p.delivery_start_at
) AS b
WHERE a.market = %(market)s AND a.state IN ('cleared', 'ended')
ORDER BY p.delivery_start_at
""",
        ("market",),
    ),
    Question(
        "session_auctions",
        f"""
SELECT market, {_UTC.format("first_start_at")} AS first_utc, intervals, interval_min, resting, blocks, accepted,
    volume_wh, welfare_micro, bound_micro, gap_ppm, state, auction
FROM session_auctions
ORDER BY market, first_start_at
""",
    ),
)
"""A party's blocks and what became of them; a session's result by delivery; each auction with its gap."""

INPUTS: Mapping[str, Question] = {
    "books": Question(
        "session_auction_books",
        "SELECT delivery_start_at, first, orders, sides, limit_prices_nano_per_kwh, rests_wh FROM session_books"
        " WHERE auction = %(auction)s ORDER BY delivery_start_at, first",
        ("auction",),
    ),
    "blocks": Question(
        "session_auction_blocks",
        f"SELECT {', '.join(_LISTED_COLUMNS)} FROM session_blocks WHERE auction = %(auction)s ORDER BY place",
        ("auction",),
    ),
}
"""What the calculation `market.session` reads."""


def parameters(fact: Recorded[SessionAuctionStarted]) -> Mapping[str, Any]:
    """The auction; all of its books and blocks stand before the fact."""
    return {"auction": fact.body.auction}
