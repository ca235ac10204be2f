"""Slates of call auctions: what became of each, the frozen books, and the fills that were checked."""

from projections.view import Mode, View, copied
from schemas.market.auction_events import (
    AuctionBookListed,
    AuctionCalled,
    AuctionCleared,
    AuctionEnded,
    AuctionFailed,
    AuctionPartChecked,
    AuctionStarted,
)

_CALLED_COLUMNS = {
    "market": "text",
    "auction": "text",
    "delivery_start_at": "bigint",
    "interval_min": "bigint",
    "resting": "bigint",
    "tick_nano_per_kwh": "bigint",
    "lot_wh": "bigint",
    "k_ppm": "bigint",
    "rationing": "text",
    "deadline_at": "bigint",
}

_CLEARED_COLUMNS = {"price_nano_per_kwh": "bigint", "volume_wh": "bigint", "gap_ppm": "bigint"}

AUCTIONS = View(
    name="auctions",
    mode=Mode.CURRENT,
    columns={**_CALLED_COLUMNS, **_CLEARED_COLUMNS, "state": "text"},
    key=("auction",),
    on={
        AuctionCalled: copied(*_CALLED_COLUMNS, state="called"),
        AuctionStarted: copied("auction", state="started"),
        AuctionCleared: copied("auction", *_CLEARED_COLUMNS, state="cleared"),
        AuctionFailed: copied("auction", state="failed"),
        AuctionEnded: copied("auction", state="ended"),
    },
)

_BOOK_COLUMNS = {
    "auction": "text",
    "first": "bigint",
    "orders": "text[]",
    "sides": "text[]",
    "limit_prices_nano_per_kwh": "bigint[]",
    "rests_wh": "bigint[]",
    "zones": "text[]",
}

AUCTION_BOOKS = View(
    name="auction_books",
    mode=Mode.HISTORY,
    columns=_BOOK_COLUMNS,
    indexes=("auction",),
    on={AuctionBookListed: copied(*_BOOK_COLUMNS)},
)
"""Slices of the frozen books, in the order of acceptance."""

_FILL_COLUMNS = {"auction": "text", "part": "bigint", "orders": "text[]", "filled_wh": "bigint[]"}

AUCTION_FILLS = View(
    name="auction_fills",
    mode=Mode.HISTORY,
    columns=_FILL_COLUMNS,
    indexes=("auction",),
    on={AuctionPartChecked: copied(*_FILL_COLUMNS)},
)

AUCTION_VIEWS = (AUCTIONS, AUCTION_BOOKS, AUCTION_FILLS)
