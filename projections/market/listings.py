"""Slates of the listings: what is on offer, who bid, and what came of it.

The price of a sealed bid is on a slate only for its bidder's own question until the listing is closed.
"""

from collections.abc import Iterable

from projections.view import Mode, Question, Row, View, copied, fields_of
from schemas.envelope import Recorded
from schemas.market.listing_events import (
    BiddersNotified,
    BidPlaced,
    BidsDisplaced,
    BidWithdrawn,
    ListingClosed,
    ListingExtended,
    ListingOpened,
)


def _opened(fact: Recorded[ListingOpened]) -> Iterable[Row]:
    opened = fact.body
    terms = fields_of(opened.terms, *_TERMS_COLUMNS)
    yield {**fields_of(opened, *_OPENED_COLUMNS), **terms, "state": "open"}


def _closed(fact: Recorded[ListingClosed]) -> Iterable[Row]:
    closed = fact.body
    yield {**fields_of(closed, "listing", "cause", "unsold_wh"), "state": closed.ending.value}


def _placed(fact: Recorded[BidPlaced]) -> Iterable[Row]:
    placed = fact.body
    if placed.replaces is not None:
        yield {"bid": placed.replaces, "state": "replaced"}
    yield {**fields_of(placed, *_BID_COLUMNS), "state": "standing"}


def _displaced(fact: Recorded[BidsDisplaced]) -> Iterable[Row]:
    for bid in fact.body.bids:
        yield {"bid": bid, "state": "displaced"}


def _notified(fact: Recorded[BiddersNotified]) -> Iterable[Row]:
    told = fact.body
    results = zip(told.bids, told.outcomes, told.lots, told.prices_nano_per_kwh, told.contracts, strict=True)
    for bid, outcome, lots, price, contract in results:
        paid = price if lots else None
        row = {"bid": bid, "state": outcome.value, "awarded_lots": lots}
        yield {**row, "paid_nano_per_kwh": paid, "contract": contract}


_OPENED_COLUMNS = {
    "market": "text",
    "listing": "text",
    "seller": "text",
    "connection": "text",
    "zone": "text",
    "first_start_at": "bigint",
    "interval_min": "bigint",
    "quantity_wh": "bigint[]",
    "currency": "text",
    "closes_at": "bigint",
    "product": "text",
}

_TERMS_COLUMNS = {
    "format": "text",
    "reserve_price_nano_per_kwh": "bigint",
    "capacity_w": "bigint",
    "quality": "text",
    "lots": "bigint",
    "needs_approval": "boolean",
    "increment_nano_per_kwh": "bigint",
    "extension_min": "bigint",
    "latest_closes_at": "bigint",
}

LISTINGS = View(
    name="listings",
    mode=Mode.CURRENT,
    columns={**_OPENED_COLUMNS, **_TERMS_COLUMNS, "state": "text", "cause": "text", "unsold_wh": "bigint[]"},
    key=("listing",),
    indexes=("market, first_start_at", "seller"),
    on={
        ListingOpened: _opened,
        ListingExtended: copied("listing", "closes_at"),
        ListingClosed: _closed,
    },
)

_BID_COLUMNS = {
    "market": "text",
    "listing": "text",
    "bid": "text",
    "sequence": "bigint",
    "bidder": "text",
    "connection": "text",
    "lots": "bigint",
    "minimum_lots": "bigint",
    "price_nano_per_kwh": "bigint",
}

LISTING_BIDS = View(
    name="listing_bids",
    mode=Mode.CURRENT,
    columns={
        **_BID_COLUMNS,
        "state": "text",
        "awarded_lots": "bigint",
        "paid_nano_per_kwh": "bigint",
        "contract": "text",
    },
    key=("bid",),
    indexes=("listing", "bidder"),
    on={
        BidPlaced: _placed,
        BidWithdrawn: copied("bid", state="withdrawn"),
        BidsDisplaced: _displaced,
        BiddersNotified: _notified,
    },
)
"""Who reads this table reads sealed bids: people ask `bids` and `my_bids` instead."""

LISTING_VIEWS = (LISTINGS, LISTING_BIDS)

_UTC = "to_char(to_timestamp({0} / 1000000) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')"

LISTING_QUESTIONS: tuple[Question, ...] = (
    Question(
        "listings",
        f"""
SELECT l.market, {_UTC.format("l.first_start_at")} AS first_utc, cardinality(l.quantity_wh) AS intervals, l.seller,
    (SELECT sum(wh)::bigint FROM unnest(l.quantity_wh) AS wh) AS whole_wh, l.lots, l.format, l.quality, l.capacity_w,
    l.reserve_price_nano_per_kwh, l.currency, {_UTC.format("l.closes_at")} AS closes_utc, l.state,
    (SELECT count(*) FROM listing_bids b WHERE b.listing = l.listing AND b.state NOT IN ('replaced', 'withdrawn'))
        AS bids,
    (SELECT sum(wh)::bigint FROM unnest(l.unsold_wh) AS wh) AS unsold_wh, l.listing
FROM listings l
ORDER BY l.market, l.first_start_at, l.listing
""",
    ),
    Question(
        "bids",
        f"""
SELECT b.market, b.listing, b.sequence, b.bidder, b.lots, b.minimum_lots, b.price_nano_per_kwh, b.state,
    b.awarded_lots, b.paid_nano_per_kwh, {_UTC.format("b.at")} AS changed_utc
FROM listing_bids b
JOIN listings l ON l.listing = b.listing
WHERE l.state <> 'open' OR l.format = 'open_ascending'
ORDER BY b.market, b.listing, b.sequence
""",
    ),
    Question(
        "my_bids",
        f"""
SELECT b.market, b.listing, l.seller, {_UTC.format("l.first_start_at")} AS first_utc,
    {_UTC.format("l.closes_at")} AS closes_utc, b.connection, b.lots, b.minimum_lots, b.price_nano_per_kwh, b.state,
    b.awarded_lots, b.paid_nano_per_kwh, b.contract, b.bid
FROM listing_bids b
JOIN listings l ON l.listing = b.listing
WHERE b.bidder = %(party)s
ORDER BY b.market, l.first_start_at, b.listing, b.sequence
""",
        ("party",),
    ),
)
"""What is on offer and how many bids there are, what others bid (no sealed bid before the closing), and one's own."""
