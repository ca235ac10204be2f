"""Listings after a fact: what is on offer, whose bids stand, and what both reserve."""

from typing import Final, assert_never

from domain.market.exposure import bought_pico_per_wh, sold_pico_per_wh
from domain.market.listing_state import Bid, Listing
from domain.market.profiles import commit, sell
from domain.market.state import Market
from domain.market.timers import AT_ONCE, LISTING_CLOSING, LISTING_RESULT
from schemas.market.listing_events import (
    BiddersNotified,
    BidPlaced,
    BidsDisplaced,
    BidWithdrawn,
    ListingClosed,
    ListingExtended,
    ListingOpened,
)

Fact = ListingOpened | BidPlaced | BidWithdrawn | BidsDisplaced | ListingExtended | ListingClosed | BiddersNotified
FACTS: Final = (
    ListingOpened,
    BidPlaced,
    BidWithdrawn,
    BidsDisplaced,
    ListingExtended,
    ListingClosed,
    BiddersNotified,
)


def apply(state: Market, fact: Fact) -> None:
    """The market after a fact of a listing."""
    if isinstance(fact, ListingOpened):
        _opened(state, fact)
        return
    listing = state.listings.known[fact.listing]
    match fact:
        case BidPlaced():
            _placed(state, listing, fact)
        case BidWithdrawn():
            _drop(state, listing, fact.bid)
        case BidsDisplaced():
            for bid in fact.bids:
                _drop(state, listing, bid)
        case ListingExtended():
            _close_at(state, listing, fact.closes_at)
        case ListingClosed():
            _closed(state, listing, fact)
        case BiddersNotified():
            _notified(state, listing, fact)
        case _:
            assert_never(fact)


def bid_pico(listing: Listing, bid: Bid) -> int:
    """What a standing bid reserves of its bidder's credit."""
    return sum(listing.schedule_wh(bid.lots)) * bought_pico_per_wh(bid.price_nano_per_kwh, listing.rules.credit)


def _opened(state: Market, fact: ListingOpened) -> None:
    kept = state.listings
    kept.forget_settled(state.instruments)
    kept.opened += 1
    rules = state.instruments[fact.first_start_at, fact.interval_min].rules
    sold = sold_pico_per_wh(fact.terms.reserve_price_nano_per_kwh, rules.assumed_price_nano_per_kwh)
    listing = kept.known[fact.listing] = Listing(fact, kept.opened, fact.closes_at, rules, sold)
    sell(state, fact.first_start_at, fact.interval_min, fact.connection, fact.quantity_wh)
    state.account(fact.seller).exposure_pico += sum(fact.quantity_wh) * sold
    _close_at(state, listing, fact.closes_at)


def _close_at(state: Market, listing: Listing, closes_at: int) -> None:
    listing.closes_at = closes_at
    state.remind(closes_at, LISTING_CLOSING, listing.number, listing.opened.listing)


def _placed(state: Market, listing: Listing, fact: BidPlaced) -> None:
    if fact.replaces is not None:
        _drop(state, listing, fact.replaces)
    who = fact.bidder, fact.connection
    bid = Bid(fact.bid, fact.sequence, *who, fact.lots, fact.minimum_lots, fact.price_nano_per_kwh)
    listing.bids[fact.bid] = bid
    listing.placed = fact.sequence
    state.account(fact.bidder).exposure_pico += bid_pico(listing, bid)


def _drop(state: Market, listing: Listing, bid_id: str) -> Bid:
    """The bid stands no more; its credit is free."""
    bid = listing.bids.pop(bid_id)
    listing.gone[bid_id] = bid.bidder
    state.account(bid.bidder).exposure_pico -= bid_pico(listing, bid)
    return bid


def _closed(state: Market, listing: Listing, fact: ListingClosed) -> None:
    listing.closed = fact
    _release(state, listing, fact.unsold_wh)
    if listing.bids:
        state.remind(AT_ONCE, LISTING_RESULT, listing.number, fact.listing)


def _release(state: Market, listing: Listing, quantity_wh: tuple[int, ...]) -> None:
    """So much of the schedule is not on offer any more."""
    opened = listing.opened
    sell(state, opened.first_start_at, opened.interval_min, opened.connection, quantity_wh, -1)
    state.account(opened.seller).exposure_pico -= sum(quantity_wh) * listing.sold_pico_per_wh


def _notified(state: Market, listing: Listing, fact: BiddersNotified) -> None:
    """An award is sold and bought; one that waits for approval is reserved by its proposal, which follows."""
    for bid_id, lots, price in zip(fact.bids, fact.lots, fact.prices_nano_per_kwh, strict=True):
        bid = _drop(state, listing, bid_id)
        if not lots:
            continue
        opened, quantity_wh = listing.opened, listing.schedule_wh(lots)
        _release(state, listing, quantity_wh)
        if opened.terms.needs_approval:
            continue
        where, rules = (opened.first_start_at, opened.interval_min), listing.rules
        sold = *where, (opened.zone, opened.zone)
        sell(state, *where, opened.connection, quantity_wh)
        sell(state, *where, bid.connection, quantity_wh, -1)
        commit(state, *sold, opened.seller, quantity_wh, sold_pico_per_wh(price, rules.assumed_price_nano_per_kwh))
        commit(state, *sold, bid.bidder, quantity_wh, bought_pico_per_wh(price, rules.credit))
