"""What each participant is told, and up to where it has said that it has read it.

A notice is a row with the position of its fact. A fact that names no parties says how they are found: by the order,
block or contract, or all who were admitted before.
"""

from collections.abc import Iterable
from typing import Any

from projections.market.sentences import CURRENCY, cancellation_said, refusal_said
from projections.view import Mode, Question, Row, Rows, SqlView, View, fields_of
from schemas.envelope import Recorded
from schemas.market.contract_events import (
    CancellationFeeCharged,
    ContractRevised,
    RevisionEnded,
    RevisionProposed,
)
from schemas.market.events import (
    CommandRefused,
    ContractConcluded,
    ContractLapsed,
    ContractProposed,
    GateClosed,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderReduced,
    OrdersCancelled,
    ParticipantAdmitted,
    TradeMade,
)
from schemas.market.information_events import NotificationsAcknowledged
from schemas.market.listing_events import BiddersNotified, BidPlaced, BidsDisplaced, BidWithdrawn, ListingClosed
from schemas.market.package_events import BasketKilled, BlockAccepted, BlocksCancelled, BlockTradeMade
from schemas.market.session_events import (
    CallBlockAccepted,
    CallBlockFilled,
    CallBlocksEnded,
    SessionAuctionCleared,
    SessionAuctionFailed,
)


def _to(kind: str, *parties: str, subject: str, **more: str) -> Rows:
    """One notice for each different party that these fields name, with fields under other names."""

    def rows(fact: Recorded[Any]) -> Iterable[Row]:
        body = fact.body
        row = {"market": body.market, "kind": kind, "subject": getattr(body, subject), "concerns": "party"}
        row |= {column: _text(getattr(body, field)) for column, field in more.items()}
        for party in dict.fromkeys(getattr(body, party) for party in parties):
            yield row | {"party": party}

    return rows


def _text(value: Any) -> Any:
    return getattr(value, "value", value)


def _each(kind: str, subjects: str, parties: str | None, concerns: str = "party") -> Rows:
    """A notice for each subject of a fact about many, to whom stands beside it, or is found by the subject."""

    def rows(fact: Recorded[Any]) -> Iterable[Row]:
        body = fact.body
        names = getattr(body, parties) if parties else [None] * len(getattr(body, subjects))
        for subject, party in zip(getattr(body, subjects), names, strict=True):
            row = {"market": body.market, "kind": kind, "subject": subject, "party": party, "concerns": concerns}
            reason = getattr(body, "reason", None)
            yield row if reason is None else row | {"reason": reason.value, "said": cancellation_said(reason)}

    return rows


def _said(rows: Rows) -> Rows:
    """The same notices, with the sentence for the reason of a cancellation."""

    def more(fact: Recorded[Any]) -> Iterable[Row]:
        for row in rows(fact):
            yield {**row, "said": cancellation_said(fact.body.reason)}

    return more


def _told_traded(bought: str, sold: str) -> Rows:
    def rows(fact: Recorded[Any]) -> Iterable[Row]:
        trade = fact.body
        known = fields_of(trade, "market", "quantity_wh") | {"kind": "traded", "concerns": "party"}
        pays, gets = trade.price_nano_per_kwh, getattr(trade, "seller_price_nano_per_kwh", None)
        own = ((trade.buyer, bought, pays), (trade.seller, sold, pays if gets is None else gets))
        for party, subject, price in own:
            yield known | {"party": party, "subject": getattr(trade, subject), "price_nano_per_kwh": price}

    return rows


def _told_refused(fact: Recorded[CommandRefused]) -> Iterable[Row]:
    refused = fact.body
    yield {
        "market": fact.key,
        "kind": "refused",
        **fields_of(refused, "party", "subject", "reason"),
        "concerns": "party",
        "said": refusal_said(refused.command, refused.reason, refused.limit, refused.found),
    }


def _told_awarded(fact: Recorded[BiddersNotified]) -> Iterable[Row]:
    told = fact.body
    results = zip(told.bids, told.bidders, told.outcomes, told.prices_nano_per_kwh, strict=True)
    for bid, bidder, outcome, paid in results:
        row = {"market": told.market, "kind": "award", "subject": bid, "party": bidder, "concerns": "party"}
        yield row | {"reason": outcome.value, "price_nano_per_kwh": paid}


def _told_results(fact: Recorded[GateClosed]) -> Iterable[Row]:
    closed = fact.body
    subject = f"{closed.delivery_start_at}/{closed.interval_min}"
    yield {"market": closed.market, "kind": "results", "subject": subject, "concerns": "all"}


def _told_session(fact: Recorded[Any]) -> Iterable[Row]:
    told = fact.body
    subject = f"{told.first_start_at}/{told.interval_min}"
    failed = isinstance(told, SessionAuctionFailed)
    kind = "session_failed" if failed else "session_results"
    yield {"market": told.market, "kind": kind, "subject": subject, "concerns": "all"}


def _block_filled(fact: Recorded[CallBlockFilled]) -> Iterable[Row]:
    filled = fact.body
    row = fields_of(filled, "market", "party") | {"kind": "traded", "subject": filled.block, "concerns": "party"}
    yield row | {"quantity_wh": sum(filled.quantities_wh)}


def _revision_ended(fact: Recorded[RevisionEnded]) -> Iterable[Row]:
    ended = fact.body
    row = {"market": ended.market, "kind": "revision_ended", "subject": ended.contract, "concerns": "contract"}
    yield row | {"reason": ended.ending.value}


def _read(fact: Recorded[NotificationsAcknowledged]) -> Iterable[Row]:
    read = fact.body
    yield fields_of(read, "market", "party") | {"read_partition": read.partition, "read_seq": read.seq}


NOTICES = View(
    name="notices",
    mode=Mode.HISTORY,
    columns={
        "market": "text",
        "party": "text",
        "kind": "text",
        "subject": "text",
        "reason": "text",
        "quantity_wh": "bigint",
        "price_nano_per_kwh": "bigint",
        "said": "text",
        "concerns": "text",
    },
    indexes=("party", "subject", "market, concerns"),
    on={
        ParticipantAdmitted: _to("admitted", "party", subject="party"),
        OrderAccepted: _to(
            "accepted",
            "party",
            subject="order",
            quantity_wh="quantity_wh",
            price_nano_per_kwh="limit_price_nano_per_kwh",
        ),
        TradeMade: _told_traded("buy_order", "sell_order"),
        OrderReduced: _said(_to("reduced", "party", subject="order", quantity_wh="rest_wh", reason="reason")),
        OrderAmended: _to(
            "amended",
            "party",
            subject="order",
            quantity_wh="rest_wh",
            price_nano_per_kwh="limit_price_nano_per_kwh",
        ),
        OrderCancelled: _said(_to("cancelled", "party", subject="order", quantity_wh="rest_wh", reason="reason")),
        OrdersCancelled: _each("cancelled", "orders", None, "order"),
        BasketKilled: _to("basket_killed", "party", subject="basket"),
        BlockAccepted: _to(
            "accepted",
            "party",
            subject="block",
            quantity_wh="quantity_wh",
            price_nano_per_kwh="limit_price_nano_per_kwh",
        ),
        BlockTradeMade: _told_traded("buy_block", "sell_block"),
        BlocksCancelled: _each("cancelled", "blocks", None, "block"),
        CallBlockAccepted: _to("accepted", "party", subject="block", price_nano_per_kwh="limit_price_nano_per_kwh"),
        CallBlocksEnded: _each("cancelled", "blocks", "parties"),
        CallBlockFilled: _block_filled,
        SessionAuctionCleared: _told_session,
        SessionAuctionFailed: _told_session,
        ContractProposed: _to("proposal_waiting", "awaiting", "proposer", subject="contract"),
        ContractLapsed: _to("proposal_lapsed", "seller", "buyer", subject="contract"),
        ContractConcluded: _to("contract_concluded", "seller", "buyer", subject="contract"),
        RevisionProposed: _to("revision_waiting", "awaiting", "proposer", subject="contract", reason="reason"),
        RevisionEnded: _revision_ended,
        ContractRevised: _to("contract_revised", "seller", "buyer", subject="contract", reason="reason"),
        CancellationFeeCharged: _to("fee_charged", "debtor", "creditor", subject="contract"),
        BidPlaced: _to("bid_placed", "bidder", subject="bid", price_nano_per_kwh="price_nano_per_kwh"),
        BidWithdrawn: _to("bid_withdrawn", "bidder", subject="bid"),
        BidsDisplaced: _each("bid_displaced", "bids", "bidders"),
        BiddersNotified: _told_awarded,
        ListingClosed: _to("listing_closed", "seller", subject="listing", reason="ending"),
        GateClosed: _told_results,
        CommandRefused: _told_refused,
    },
)
"""What happened, for whom: `concerns` says how `market_notifications` finds the parties where a fact names none."""


ACKNOWLEDGED = View(
    name="acknowledged",
    mode=Mode.CURRENT,
    columns={"market": "text", "party": "text", "read_partition": "bigint", "read_seq": "bigint"},
    key=("market", "party"),
    on={NotificationsAcknowledged: _read},
)
"""Up to which position a party has read."""

NOTICE_VIEWS = (NOTICES, ACKNOWLEDGED)

_COLUMNS = (
    "n.market, {party} AS party, n.kind, n.subject, n.reason, n.quantity_wh, n.price_nano_per_kwh, n.said,"
    ' n.partition, n.seq, n."row", n.at'
)
_FOUND_BY = "SELECT " + _COLUMNS + " FROM notices n JOIN {table} {on} WHERE n.concerns = '{concerns}'"

NOTIFICATIONS = SqlView(
    name="market_notifications",
    sql="\nUNION ALL\n".join(
        (
            f"SELECT {_COLUMNS.format(party='n.party')} FROM notices n WHERE n.concerns = 'party'",
            _FOUND_BY.format(party="o.party", table="orders o", on='ON o."order" = n.subject', concerns="order"),
            _FOUND_BY.format(party="b.party", table="blocks b", on="ON b.block = n.subject", concerns="block"),
            _FOUND_BY.format(
                party="s.party",
                table="contracts c",
                on="ON c.contract = n.subject AND c.version = 1"
                " CROSS JOIN LATERAL (VALUES (c.seller), (c.buyer)) AS s (party)",
                concerns="contract",
            ),
            _FOUND_BY.format(
                party="p.party",
                table="participants p",
                on="ON p.market = n.market AND (p.partition, p.seq) < (n.partition, n.seq)",
                concerns="all",
            ),
        )
    ),
)
"""One row for each party that a fact concerns."""

_MINE = (
    f"SELECT n.market, n.partition, n.seq, n.kind, n.subject, n.reason, n.quantity_wh, n.price_nano_per_kwh,"
    f" replace(n.said, '{CURRENCY}', r.currency) AS said, n.at"
    " FROM market_notifications n"
    " LEFT JOIN market_rules r ON r.market = n.market AND r.version = 1"
)

NOTICE_QUESTIONS = (
    Question(
        "my_notifications",
        f"""
SELECT * FROM (
    {_MINE}
    WHERE n.party = %(party)s AND n.market = %(market)s
        AND (n.partition, n.seq) > (%(partition)s::bigint, %(seq)s::bigint)
    ORDER BY n.partition, n.seq
    FETCH FIRST %(limit)s ROWS WITH TIES
) AS told
ORDER BY partition, seq, kind, subject
""",
        ("party", "market", "partition", "seq", "limit"),
    ),
    Question(
        "my_unread",
        f"""
{_MINE}
LEFT JOIN acknowledged a ON a.market = n.market AND a.party = n.party
WHERE n.party = %(party)s
    AND (n.partition, n.seq) > (coalesce(a.read_partition, -1), coalesce(a.read_seq, -1))
ORDER BY n.market, n.partition, n.seq, n.kind, n.subject
""",
        ("party",),
    ),
)
"""What a party was told since a position, and since what it acknowledged. An answer never breaks off inside a fact."""
