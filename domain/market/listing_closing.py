"""How a listing ends: who has won, and the bidders are told in slices, each winner with a contract or a proposal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from domain.identity import derived_id
from domain.market.awards import allocate, payable
from domain.market.contract_versions import concluded
from domain.market.listing_state import Bid, Listing
from domain.market.state import Market
from domain.market.timers import LISTING_CLOSING, LISTING_RESULT, Ahead, Timed, Timer
from schemas.market.events import ContractConcluded, ContractProposed
from schemas.market.listing_events import (
    BiddersNotified,
    BidOutcome,
    ListingClosed,
    ListingEnd,
    WithdrawalReason,
)
from schemas.values import MINUTE_US, DeliveryMode

MAX_TOLD: Final = 100
"""Bids in one `BiddersNotified`."""


def closed(state: Market, listing: Listing, ending: ListingEnd, cause: WithdrawalReason | None) -> ListingClosed:
    """Who won how many lots at which price; of a listing that is withdrawn nobody anything."""
    opened, bids = listing.opened, listing.bids
    won = allocate(bids.values(), opened.terms.lots) if ending is ListingEnd.EXPIRED else {}
    prices = payable(opened.terms.format, bids, won, opened.terms.reserve_price_nano_per_kwh)
    unsold = listing.schedule_wh(opened.terms.lots - sum(won.values()))
    lots, paid = tuple(won.values()), tuple(prices[bid] for bid in won)
    return ListingClosed(
        state.market, opened.listing, opened.seller, ending, cause, len(bids), tuple(won), lots, paid, unsold
    )


def _close(state: Market, timer: Timer, ahead: Ahead) -> Iterator[Any]:
    """Closing is one fact; the bidders are told at once, as far as there is room."""
    listing = state.listings.known[timer[3]]
    ahead.room -= 1
    fact = closed(state, listing, ListingEnd.EXPIRED, None)
    yield fact
    yield from _told(state, listing, fact, ahead)


def _tell(state: Market, timer: Timer, ahead: Ahead) -> Iterator[Any]:
    listing = state.listings.known[timer[3]]
    assert listing.closed is not None, "results stand behind a closing"
    yield from _told(state, listing, listing.closed, ahead)


def _told(state: Market, listing: Listing, closing: ListingClosed, ahead: Ahead) -> Iterator[Any]:
    """Slices of the bids, in the order of their placing, each with what its winners have now."""
    won = dict(zip(closing.winners, zip(closing.lots, closing.prices_nano_per_kwh, strict=True), strict=True))
    left = list(listing.bids.values())
    while left:
        told: list[Bid] = []
        winners: list[Bid] = []
        for bid in left[:MAX_TOLD]:
            wins = bid.bid in won
            if len(winners) + wins >= ahead.room:
                break
            told.append(bid)
            winners += [bid] * wins
        if not told:
            ahead.stop = True
            return
        left = left[len(told) :]
        ahead.room -= 1 + len(winners)
        yield _notice(state, listing, closing, told, won)
        for bid in winners:
            if (award := _award(state, listing, bid, *won[bid.bid], ahead.at)) is not None:
                yield award


def _notice(
    state: Market, listing: Listing, closing: ListingClosed, bids: Sequence[Bid], won: Mapping[str, tuple[int, int]]
) -> BiddersNotified:
    results = [won.get(bid.bid, (0, bid.price_nano_per_kwh)) for bid in bids]
    withdrawn = closing.ending is ListingEnd.WITHDRAWN
    outcomes = [
        BidOutcome.LISTING_WITHDRAWN
        if withdrawn
        else (BidOutcome.WON if lots == bid.lots else BidOutcome.PARTIAL if lots else BidOutcome.LOST)
        for bid, (lots, _) in zip(bids, results, strict=True)
    ]
    return BiddersNotified(
        state.market,
        listing.opened.listing,
        tuple(bid.bid for bid in bids),
        tuple(bid.bidder for bid in bids),
        tuple(outcomes),
        tuple(lots for lots, _ in results),
        tuple(price for _, price in results),
        tuple(_contract_of(state, listing, bid) if bid.bid in won else None for bid in bids),
    )


def _contract_of(state: Market, listing: Listing, bid: Bid) -> str | None:
    """None where the delivery was settled before its bidders were told and nobody could approve any more."""
    opened = listing.opened
    late = opened.terms.needs_approval and (opened.first_start_at, opened.interval_min) not in state.instruments
    return None if late else derived_id(bid.bid, "contract")


def _award(
    state: Market, listing: Listing, bid: Bid, lots: int, price: int, at: int
) -> ContractConcluded | ContractProposed | None:
    """A firm contract, its award (the bid) in the place of a trade; or a proposal of the seller to the buyer."""
    opened = listing.opened
    version, contract = state.rules_for(opened.first_start_at), _contract_of(state, listing, bid)
    assert version is not None, "what is listed has rules"
    if contract is None:
        return None
    rules = version.rules
    if opened.terms.needs_approval:
        gate_at = opened.first_start_at - rules.gate_lead_min * MINUTE_US
        return ContractProposed(
            state.market,
            contract,
            opened.seller,
            bid.bidder,
            opened.seller,
            bid.bidder,
            opened.connection,
            bid.connection,
            opened.first_start_at,
            opened.interval_min,
            listing.schedule_wh(lots),
            opened.currency,
            price,
            min(at + rules.approval_deadline_min * MINUTE_US, gate_at),
            opened.zone,
        )
    return concluded(
        state.market,
        rules,
        version.version,
        contract,
        bid.bid,
        opened.seller,
        bid.bidder,
        opened.connection,
        bid.connection,
        opened.zone,
        opened.zone,
        opened.first_start_at,
        listing.schedule_wh(lots),
        price,
        DeliveryMode.FIRM,
    )


def _is_closed(state: Market, timer: Timer) -> bool:
    listing = state.listings.known.get(timer[3])
    return listing is None or listing.closed is not None or timer[0] != listing.closes_at


def _is_told(state: Market, timer: Timer) -> bool:
    listing = state.listings.known.get(timer[3])
    return listing is None or not listing.bids


TIMED: Final = {LISTING_CLOSING: Timed(_is_closed, _close), LISTING_RESULT: Timed(_is_told, _tell)}
