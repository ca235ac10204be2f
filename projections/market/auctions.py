"""Slates of call auctions: what became of each, by zone and by line, the frozen books, the fills that were checked."""

from collections.abc import Iterable

from projections.view import Mode, Question, Row, View, copied, fields_of
from schemas.envelope import Recorded
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
    "mechanism": "text",
}

_CLEARED_COLUMNS = {
    "price_nano_per_kwh": "bigint",
    "seller_price_nano_per_kwh": "bigint",
    "volume_wh": "bigint",
    "gap_ppm": "bigint",
    "income_micro": "bigint",
}

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

_OF = ("market", "auction", "delivery_start_at", "interval_min")
_OF_COLUMNS = {"market": "text", "auction": "text", "delivery_start_at": "bigint", "interval_min": "bigint"}


def _zones(fact: Recorded[AuctionCleared]) -> Iterable[Row]:
    for zone in fact.body.zones:
        yield fields_of(fact.body, *_OF) | fields_of(zone, "zone", "price_nano_per_kwh", "bought_wh", "sold_wh")


AUCTION_ZONES = View(
    name="auction_zones",
    mode=Mode.HISTORY,
    columns={
        **_OF_COLUMNS,
        "zone": "text",
        "price_nano_per_kwh": "bigint",
        "bought_wh": "bigint",
        "sold_wh": "bigint",
    },
    indexes=("auction",),
    on={AuctionCleared: _zones},
)
"""The results of coupled zones, of each zone without a price too."""


def _rooms(fact: Recorded[AuctionCalled]) -> Iterable[Row]:
    for line in fact.body.lines:
        row = fields_of(line, "line", "from_zone", "to_zone", "forward_wh", "backward_wh")
        yield fields_of(fact.body, *_OF) | row


def _flows(fact: Recorded[AuctionCleared]) -> Iterable[Row]:
    for flow in fact.body.flows:
        yield fields_of(fact.body, "auction") | fields_of(flow, "line", "flow_wh")


AUCTION_LINES = View(
    name="auction_lines",
    mode=Mode.CURRENT,
    columns={
        **_OF_COLUMNS,
        "line": "text",
        "from_zone": "text",
        "to_zone": "text",
        "forward_wh": "bigint",
        "backward_wh": "bigint",
        "flow_wh": "bigint",
    },
    key=("auction", "line"),
    on={AuctionCalled: _rooms, AuctionCleared: _flows},
)
"""The room that was held of each line, and what crosses it (> 0: from its first zone to its second)."""

AUCTION_VIEWS = (AUCTIONS, AUCTION_BOOKS, AUCTION_FILLS, AUCTION_ZONES, AUCTION_LINES)


def _changes(name: str, view: str, columns: str, order: str) -> Question:
    return Question(
        name,
        f"""
SELECT auction, delivery_start_at, interval_min, {columns}, partition::bigint, seq
FROM {view}
WHERE market = %(market)s AND (partition, seq) > (%(partition)s::bigint, %(seq)s::bigint)
ORDER BY delivery_start_at, interval_min, auction{order}
""",
        ("market", "partition", "seq"),
    )


AUCTION_QUESTIONS = (
    _changes(
        "auction_changes",
        "auctions",
        "mechanism, state, resting, deadline_at, price_nano_per_kwh, seller_price_nano_per_kwh, volume_wh,"
        " income_micro, gap_ppm",
        "",
    ),
    _changes("auction_zone_changes", "auction_zones", "zone, price_nano_per_kwh, bought_wh, sold_wh", ", zone"),
    _changes(
        "auction_line_changes",
        "auction_lines",
        "line, from_zone, to_zone, forward_wh, backward_wh, flow_wh",
        ", line",
    ),
)
"""What everybody may know of auctions, without names, as what changed since the reader's position."""
