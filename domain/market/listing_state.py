"""What is kept of the listings of a market: open ones with their bids, closed ones until their delivery is settled."""

from collections.abc import Container
from dataclasses import dataclass, field

from schemas.market.events import RuleSet
from schemas.market.listing_events import ListingClosed, ListingOpened


@dataclass(frozen=True, slots=True)
class Bid:
    """A bid that stands; its price times its lots is reserved of the bidder's credit."""

    bid: str
    sequence: int
    bidder: str
    connection: str
    lots: int
    minimum_lots: int
    price_nano_per_kwh: int


@dataclass(slots=True)
class Listing:
    """One product on offer.

    `bids` are those that stand, by their ids in the order of their placing; those that do not any more are in `gone`
    with their bidders. After `closed` the bids stay until each is notified. `sold_pico_per_wh` is what the seller's
    Wh count at the reserve price.
    """

    opened: ListingOpened
    number: int
    closes_at: int
    rules: RuleSet
    sold_pico_per_wh: int
    placed: int = 0
    bids: dict[str, Bid] = field(default_factory=dict)
    gone: dict[str, str] = field(default_factory=dict)
    closed: ListingClosed | None = None

    def of(self, bidder: str) -> Bid | None:
        """The bid of a party that stands."""
        return next((bid for bid in self.bids.values() if bid.bidder == bidder), None)

    def schedule_wh(self, lots: int) -> tuple[int, ...]:
        """So many of its equal parts, per interval."""
        return tuple(wh // self.opened.terms.lots * lots for wh in self.opened.quantity_wh)


@dataclass(slots=True)
class Listings:
    """By their ids; `opened` counts them."""

    opened: int = 0
    known: dict[str, Listing] = field(default_factory=dict)

    def forget_settled(self, instruments: Container[tuple[int, int]]) -> None:
        """Of a listing whose first delivery is forgotten nobody needs anything, once its bidders are notified."""
        for listing in [found for found in self.known.values() if found.closed and not found.bids]:
            opened = listing.opened
            if (opened.first_start_at, opened.interval_min) not in instruments:
                del self.known[opened.listing]
