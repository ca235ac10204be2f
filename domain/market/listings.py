"""Listings (Y.2072 8.2.1, bidding management; domain rules §2): one seller discloses a product, many bid on it.

The schedule and the seller's credit at the reserve price are reserved from the opening on, a bid's credit while it
stands: every award only releases. Bids and listings carry consent, so an award is a contract at once, or where the
listing says so a proposal that the buyer approves. The order of the checks is that of orders
(`domain/market/validation.py`), the listing and the bid in the place of the instrument.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, assert_never

from domain.identity import born_id
from domain.market import listing_closing, listing_evolution
from domain.market.awards import allocate
from domain.market.capability import capability_wh
from domain.market.exposure import bought_pico_per_wh, sold_pico_per_wh
from domain.market.listing_closing import closed
from domain.market.listing_state import Bid, Listing
from domain.market.product_orders import Offer, refuse_product
from domain.market.profiles import listed, refuse_party, refuse_profile, refuse_sale, refuse_time
from domain.market.refusal import Refusal, refused
from domain.market.state import FAMILY, Instrument, Market
from domain.market.validation import refuse_credit, refuse_price
from schemas.envelope import Command, Moment
from schemas.market.events import CommandRefused, RuleSet
from schemas.market.listing_commands import OpenListing, PlaceBid, WithdrawBid, WithdrawListing
from schemas.market.listing_events import (
    BidPlaced,
    BidsDisplaced,
    BidWithdrawn,
    ListingClosed,
    ListingEnd,
    ListingExtended,
    ListingFormat,
    ListingOpened,
    ListingTerms,
)
from schemas.market.reasons import MarketRefusal
from schemas.values import INT64_MAX, MINUTE_US

MAX_BIDS: Final = 500
"""That stand on one listing: an array in a fact holds no more."""

OUTCOMES: Final[Mapping[type, tuple[type, ...]]] = {
    OpenListing: (ListingOpened, CommandRefused),
    PlaceBid: (BidPlaced, BidsDisplaced, ListingExtended, CommandRefused),
    WithdrawBid: (BidWithdrawn, CommandRefused),
    WithdrawListing: (ListingClosed, CommandRefused),
}
FACTS: Final = listing_evolution.FACTS
apply = listing_evolution.apply

Wish = OpenListing | PlaceBid | WithdrawBid | WithdrawListing


def decide(state: Market, command: Command[Any], now: Moment) -> list[Any]:
    """What was wished for, or the first rule that forbids it."""
    wish: Wish = command.body
    actor = command.meta.actor
    match wish:
        case OpenListing():
            refusal = _refuse_listing(state, wish, actor, now)
            about = wish.connection
        case PlaceBid():
            refusal = _refuse_bid(state, wish, actor, now)
            about = wish.listing
        case WithdrawBid():
            refusal = _refuse_bid_withdrawal(state, wish, actor, now)
            about = wish.bid
        case WithdrawListing():
            refusal = _refuse_withdrawal(state, wish, actor, now)
            about = wish.listing
        case _:
            assert_never(wish)
    if refusal is not None:
        return refused(wish, about, actor, refusal)
    return _done(state, command, wish, now)


def _done(state: Market, command: Command[Any], wish: Wish, now: Moment) -> list[Any]:
    match wish:
        case OpenListing():
            return [_opened(state, wish, born_id(FAMILY, command, 0))]
        case PlaceBid():
            return _placed(state, wish, born_id(FAMILY, command, 0), now)
        case WithdrawBid():
            return [BidWithdrawn(state.market, wish.listing, wish.bid, command.meta.actor)]
        case WithdrawListing():
            return [closed(state, state.listings.known[wish.listing], ListingEnd.WITHDRAWN, wish.cause)]
        case _:
            assert_never(wish)


def _refuse_listing(state: Market, wish: OpenListing, actor: str, now: Moment) -> Refusal | None:
    if not state.rules:
        return Refusal(MarketRefusal.MARKET_UNKNOWN)
    if actor != wish.party:
        return Refusal(MarketRefusal.NOT_AUTHORISED)
    terms = wish.terms
    latest_at = wish.closes_at if terms.latest_closes_at is None else terms.latest_closes_at
    if (refusal := _refuse_bidding(terms, wish.closes_at, latest_at)) is not None:
        return refusal
    found = listed(state, wish.first_start_at, len(wish.quantity_wh))
    if isinstance(found, Refusal):
        return found
    rules = found[0].rules
    return (
        refuse_time(state, found, now)
        or refuse_party(state, wish.party, wish.connection, None, True)
        or refuse_profile(rules, wish.quantity_wh)
        or _refuse_parts(rules, wish.quantity_wh, terms)
        or refuse_price(rules, terms.reserve_price_nano_per_kwh)
        or _refuse_closing(found[0], wish.closes_at, latest_at, now)
        or _refuse_product(state, wish, found, latest_at)
        or refuse_sale(state, wish.connection, found, wish.quantity_wh)
        or refuse_credit(state, wish.party, sum(wish.quantity_wh) * _reserved_pico_per_wh(rules, terms))
    )


def _refuse_bidding(terms: ListingTerms, closes_at: int, latest_at: int) -> Refusal | None:
    """No lots, no increment where bids ascend or one where they are sealed, an extension that goes nowhere."""
    ascends = terms.format is ListingFormat.OPEN_ASCENDING
    extends = terms.extension_min > 0
    for holds, limit, found in (
        (terms.lots > 0, 1, terms.lots),
        ((terms.increment_nano_per_kwh > 0) is ascends, int(ascends), terms.increment_nano_per_kwh),
        (ascends or not extends, 0, terms.extension_min),
        (latest_at > closes_at if extends else latest_at == closes_at, closes_at, latest_at),
    ):
        if not holds:
            return Refusal(MarketRefusal.INVALID_LISTING, limit, found)
    return None


def _refuse_parts(rules: RuleSet, quantity_wh: Sequence[int], terms: ListingTerms) -> Refusal | None:
    """Every part of every interval is of whole lots of the rules; no interval is above the stated capacity."""
    step_wh = rules.lot_wh * terms.lots
    for wh in quantity_wh:
        if wh % step_wh:
            return Refusal(MarketRefusal.QUANTITY_OFF_LOT, min(step_wh, INT64_MAX), wh)
    capacity_wh, most_wh = capability_wh(terms.capacity_w, rules.interval_min), max(quantity_wh)
    return Refusal(MarketRefusal.CAPACITY_EXCEEDED, capacity_wh, most_wh) if most_wh > capacity_wh else None


def _refuse_closing(first: Instrument, closes_at: int, latest_at: int, now: Moment) -> Refusal | None:
    """The bidding ends in the future and before the gate of the first interval."""
    if closes_at <= now.at:
        return Refusal(MarketRefusal.EXPIRY_IN_THE_PAST, now.at, closes_at)
    if latest_at >= first.gate_at:
        return Refusal(MarketRefusal.EXPIRY_AFTER_GATE, first.gate_at, latest_at)
    return None


def _refuse_product(state: Market, wish: OpenListing, found: Sequence[Instrument], latest_at: int) -> Refusal | None:
    """The product as of an order for each interval, at the reserve price; it is in its time until the bidding ends."""
    price = wish.terms.reserve_price_nano_per_kwh
    for instrument, quantity_wh in zip(found, wish.quantity_wh, strict=True):
        offer = Offer(wish.product, True, wish.connection, quantity_wh, price, latest_at)
        if (broken := refuse_product(state, instrument, offer)) is not None:
            return broken
    return None


def _reserved_pico_per_wh(rules: RuleSet, terms: ListingTerms) -> int:
    return sold_pico_per_wh(terms.reserve_price_nano_per_kwh, rules.assumed_price_nano_per_kwh)


def _opened(state: Market, wish: OpenListing, listing: str) -> ListingOpened:
    version = state.rules_for(wish.first_start_at)
    assert version is not None, "a listing of what is not listed is refused"
    return ListingOpened(
        state.market,
        listing,
        wish.party,
        wish.connection,
        state.connections[wish.connection].zone,
        wish.first_start_at,
        version.rules.interval_min,
        wish.quantity_wh,
        version.rules.currency,
        wish.closes_at,
        wish.terms,
        wish.product,
    )


def _refuse_bid(state: Market, wish: PlaceBid, actor: str, now: Moment) -> Refusal | None:  # noqa: PLR0911
    if not state.rules:
        return Refusal(MarketRefusal.MARKET_UNKNOWN)
    listing = state.listings.known.get(wish.listing)
    if listing is None:
        return Refusal(MarketRefusal.LISTING_UNKNOWN)
    if actor != wish.party:
        return Refusal(MarketRefusal.NOT_AUTHORISED)
    if wish.party == listing.opened.seller:
        return Refusal(MarketRefusal.SAME_PARTY)
    if (over := _refuse_when_over(listing, now)) is not None:
        return over
    if (broken := refuse_party(state, wish.party, wish.connection, (listing.opened.zone,), False)) is not None:
        return broken
    before = listing.of(wish.party)
    if before is None and len(listing.bids) == MAX_BIDS:
        return Refusal(MarketRefusal.TOO_MANY_BIDS, MAX_BIDS, MAX_BIDS + 1)
    terms, price = listing.opened.terms, wish.price_nano_per_kwh
    if wish.lots <= 0:
        return Refusal(MarketRefusal.QUANTITY_ZERO, 1, wish.lots)
    if wish.lots > terms.lots:
        return Refusal(MarketRefusal.QUANTITY_ABOVE_MAXIMUM, terms.lots, wish.lots)
    if wish.minimum_lots > wish.lots:
        return Refusal(MarketRefusal.MINIMUM_ABOVE_QUANTITY, wish.lots, wish.minimum_lots)
    version = state.rules_for(listing.opened.first_start_at)
    assert version is not None, "what is listed has rules"
    if (broken := refuse_price(version.rules, price)) is not None:
        return broken
    if price < terms.reserve_price_nano_per_kwh:
        return Refusal(MarketRefusal.BELOW_RESERVE, terms.reserve_price_nano_per_kwh, price)
    if terms.format is ListingFormat.OPEN_ASCENDING and (broken := _refuse_step(listing, wish, before)) is not None:
        return broken
    free_pico = 0 if before is None else listing_evolution.bid_pico(listing, before)
    needed_pico = sum(listing.schedule_wh(wish.lots)) * bought_pico_per_wh(price, version.rules.credit)
    return refuse_credit(state, wish.party, needed_pico - free_pico)


def _refuse_when_over(listing: Listing, now: Moment) -> Refusal | None:
    """A bid is in time before the tick at which the listing closes."""
    if listing.closed is not None or now.at >= listing.closes_at:
        return Refusal(MarketRefusal.LISTING_NOT_OPEN, listing.closes_at, now.at)
    return None


def _refuse_step(listing: Listing, wish: PlaceBid, before: Bid | None) -> Refusal | None:
    """An ascending bid takes what nobody leads, or beats the lowest leading bid by the increment.

    Who leads may raise his bid by the increment and ask for more, not for less: that would be a withdrawal.
    """
    terms, price = listing.opened.terms, wish.price_nano_per_kwh
    others = [bid for bid in listing.bids.values() if bid is not before]
    won = allocate(others, terms.lots)
    free_lots = terms.lots - sum(won.values())
    least = terms.reserve_price_nano_per_kwh
    if before is not None:
        least = before.price_nano_per_kwh + terms.increment_nano_per_kwh
    if free_lots < max(wish.minimum_lots, 1):
        lowest = min(listing.bids[bid].price_nano_per_kwh for bid in won)
        least = max(least, lowest + terms.increment_nano_per_kwh)
    leads = allocate([*others, _bid("", listing, wish)], terms.lots).get("", 0)
    if price < least or not leads or (before is not None and wish.lots < before.lots):
        return Refusal(MarketRefusal.BELOW_INCREMENT, least, price)
    return None


def _bid(bid: str, listing: Listing, wish: PlaceBid) -> Bid:
    place = listing.placed + 1
    return Bid(bid, place, wish.party, wish.connection, wish.lots, wish.minimum_lots, wish.price_nano_per_kwh)


def _placed(state: Market, wish: PlaceBid, bid: str, now: Moment) -> list[Any]:
    """The bid; whom it displaces, and whether it moves the closing."""
    listing = state.listings.known[wish.listing]
    before = listing.of(wish.party)
    new = _bid(bid, listing, wish)
    price, replaces = wish.price_nano_per_kwh, before.bid if before else None
    who = wish.party, wish.connection, wish.lots, wish.minimum_lots
    facts: list[Any] = [BidPlaced(state.market, wish.listing, bid, new.sequence, *who, price, replaces)]
    terms = listing.opened.terms
    if terms.format is not ListingFormat.OPEN_ASCENDING:
        return facts
    others = [found for found in listing.bids.values() if found is not before]
    won = allocate([*others, new], terms.lots)
    out = [found for found in others if found.bid not in won]
    if out:
        ids, bidders = tuple(b.bid for b in out), tuple(b.bidder for b in out)
        facts.append(BidsDisplaced(state.market, wish.listing, ids, bidders))
    moved_at = min(now.at + terms.extension_min * MINUTE_US, terms.latest_closes_at or listing.closes_at)
    if moved_at > listing.closes_at:
        facts.append(ListingExtended(state.market, wish.listing, moved_at))
    return facts


def _refuse_bid_withdrawal(state: Market, wish: WithdrawBid, actor: str, now: Moment) -> Refusal | None:
    if not state.rules:
        return Refusal(MarketRefusal.MARKET_UNKNOWN)
    listing = state.listings.known.get(wish.listing)
    if listing is None:
        return Refusal(MarketRefusal.LISTING_UNKNOWN)
    bid = listing.bids.get(wish.bid)
    bidder = bid.bidder if bid else listing.gone.get(wish.bid)
    if bidder is None:
        return Refusal(MarketRefusal.BID_NOT_STANDING)
    if actor != bidder:
        return Refusal(MarketRefusal.NOT_AUTHORISED)
    if (over := _refuse_when_over(listing, now)) is not None:
        return over
    if bid is None:
        return Refusal(MarketRefusal.BID_NOT_STANDING)
    # Every bid that stands on an ascending listing leads: what it displaced is gone.
    leads = listing.opened.terms.format is ListingFormat.OPEN_ASCENDING
    return Refusal(MarketRefusal.BID_LEADS) if leads else None


def _refuse_withdrawal(state: Market, wish: WithdrawListing, actor: str, now: Moment) -> Refusal | None:
    if not state.rules:
        return Refusal(MarketRefusal.MARKET_UNKNOWN)
    listing = state.listings.known.get(wish.listing)
    if listing is None:
        return Refusal(MarketRefusal.LISTING_UNKNOWN)
    if actor != listing.opened.seller:
        return Refusal(MarketRefusal.NOT_AUTHORISED)
    if (over := _refuse_when_over(listing, now)) is not None:
        return over
    return Refusal(MarketRefusal.REASON_MISSING) if listing.placed and wish.cause is None else None


TIMED: Final = listing_closing.TIMED
