"""What a contract came of: a trade in a book or at an auction, a block trade, a bid on a listing, an offer.

The contract names one of them; whose slate knows it tells.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from projections.explained import ExplainNode, missing, position_of
from projections.view import Ask, Row

_TRADE: Final = """
SELECT trade, buy_order, sell_order, buyer, seller, aggressor, delivery_start_at, quantity_wh,
       price_nano_per_kwh, seller_price_nano_per_kwh, partition, seq, tick
FROM trades
WHERE trade = %(origin)s
"""

_AUCTION: Final = """
SELECT a.auction FROM trades t JOIN auctions a USING (market, delivery_start_at, interval_min)
WHERE t.trade = %(origin)s AND (t.partition, t.seq) < (a.partition, a.seq)
  AND EXISTS (SELECT FROM auction_fills f
      WHERE f.auction = a.auction AND (f.partition, f.seq) < (t.partition, t.seq))
UNION ALL
SELECT a.auction FROM trades t
JOIN session_prices p USING (market, delivery_start_at, interval_min) JOIN session_auctions a USING (auction)
WHERE t.trade = %(origin)s AND (t.partition, t.seq) < (a.partition, a.seq)
  AND (p.partition, p.seq) < (t.partition, t.seq)
"""
"""From the check of the fills to the end of the auction nothing else trades in its books."""

_BIDS: Final = """
SELECT 'order' AS kind, "order" AS bid, party, side, sequence, quantity_wh, limit_price_nano_per_kwh, partition,
       accepted_seq AS seq, accepted_tick AS tick
FROM orders
WHERE "order" = ANY(%(bids)s)
UNION ALL
SELECT 'block', block, party, side, sequence, (SELECT sum(wh) FROM unnest(profile_wh) AS wh)::bigint,
       limit_price_nano_per_kwh, partition, seq, tick
FROM call_blocks
WHERE block = ANY(%(bids)s)
ORDER BY side, sequence
"""

_BLOCK_TRADE: Final = """
SELECT trade, buyer, seller, aggressor, first_start_at, intervals, quantity_wh, price_nano_per_kwh, partition, seq, tick
FROM block_trades
WHERE trade = %(origin)s
"""

_AWARD: Final = """
SELECT b.bid, b.bidder, b.sequence, b.awarded_lots, b.price_nano_per_kwh, b.paid_nano_per_kwh, l.listing, l.seller,
       l.lots, l.reserve_price_nano_per_kwh, b.partition, b.seq, b.tick
FROM listing_bids b JOIN listings l USING (listing)
WHERE b.bid = %(origin)s
"""

_OFFER: Final = """
SELECT o.offer, o.seller, e.enquiry, e.enquirer, o.sequence, o.price_nano_per_kwh,
       (SELECT sum(wh) FROM unnest(e.quantity_wh) AS wh)::bigint AS asked_wh,
       (SELECT sum(wh) FROM unnest(o.quantity_wh) AS wh)::bigint AS offered_wh,
       (SELECT sum(wh) FROM unnest(o.taken_wh) AS wh)::bigint AS taken_wh, o.partition, o.seq, o.tick
FROM enquiry_offers o JOIN enquiries e USING (enquiry)
WHERE o.offer = %(origin)s
"""


async def origin_of(ask: Ask, origin: str) -> ExplainNode:
    """The node of what the contract names; one that does not hold where no slate knows it."""
    for question, told in _TOLD.items():
        rows = await ask(question, {"origin": origin})
        if rows:
            return await told(ask, rows[0])
    return missing("origin", f"No trade, award or offer {origin} is on the slates.")


async def _trade(ask: Ask, row: Row) -> ExplainNode:
    bids = await ask(_BIDS, {"bids": [row["buy_order"], row["sell_order"]]})
    auctions = await ask(_AUCTION, {"origin": row["trade"]})
    if row["seller_price_nano_per_kwh"] is not None:
        what = "An auction gave each side its price."
    elif auctions:
        what = f"Auction {auctions[0]['auction']} traded it at one price with all that it filled."
    else:
        what = f"The {row['aggressor']} order came last and met the other at that one's price."
    return ExplainNode(
        title=f"trade {row['trade']}",
        what=what,
        figures={
            "traded_wh": row["quantity_wh"],
            "price_nano_per_kwh": row["price_nano_per_kwh"],
            "delivery_start_at": row["delivery_start_at"],
        },
        position=position_of("market", row),
        children=tuple(_bid(bid) for bid in bids),
        holds=len(bids) == len(("buy", "sell")),
    )


def _bid(row: Row) -> ExplainNode:
    return ExplainNode(
        title=f"{row['side']} {row['kind']} {row['bid']}",
        what=f"{row['party']} bid to {row['side']}; the market accepted it as number {row['sequence']}.",
        figures={
            "sequence": row["sequence"],
            "ordered_wh": row["quantity_wh"],
            "limit_price_nano_per_kwh": row["limit_price_nano_per_kwh"],
        },
        position=position_of("market", row),
    )


async def _block_trade(ask: Ask, row: Row) -> ExplainNode:
    return ExplainNode(
        title=f"block trade {row['trade']}",
        what=f"The {row['aggressor']} block came last and met the other, whole, at that one's price.",
        figures={
            "each_wh": row["quantity_wh"],
            "intervals": row["intervals"],
            "price_nano_per_kwh": row["price_nano_per_kwh"],
            "first_start_at": row["first_start_at"],
        },
        position=position_of("market", row),
    )


async def _award(ask: Ask, row: Row) -> ExplainNode:
    return ExplainNode(
        title=f"award of listing {row['listing']}",
        what=f"{row['seller']} offered it on a listing; the bid of {row['bidder']} was one of those that won.",
        figures={
            "sequence": row["sequence"],
            "lots": row["awarded_lots"] or 0,
            "of_lots": row["lots"],
            "bid_nano_per_kwh": row["price_nano_per_kwh"],
            "price_nano_per_kwh": row["paid_nano_per_kwh"] or 0,
            "reserve_price_nano_per_kwh": row["reserve_price_nano_per_kwh"],
        },
        position=position_of("market", row),
        holds=bool(row["awarded_lots"]),
    )


async def _offer(ask: Ask, row: Row) -> ExplainNode:
    return ExplainNode(
        title=f"offer {row['offer']}",
        what=f"{row['enquirer']} asked for a block; {row['seller']} offered a part of it, which was taken.",
        figures={
            "sequence": row["sequence"],
            "asked_wh": row["asked_wh"],
            "offered_wh": row["offered_wh"],
            "taken_wh": row["taken_wh"] or 0,
            "price_nano_per_kwh": row["price_nano_per_kwh"],
        },
        position=position_of("market", row),
        holds=bool(row["taken_wh"]),
    )


_TOLD: Final[Mapping[str, Callable[[Ask, Row], Awaitable[ExplainNode]]]] = {
    _TRADE: _trade,
    _AWARD: _award,
    _OFFER: _offer,
    _BLOCK_TRADE: _block_trade,
}
