"""Wishes about listings: a product on offer on which many bid (Y.2072 8.2.1, bidding management). Key: the market."""

from schemas.market.listing_events import ListingTerms, WithdrawalReason
from schemas.message import command
from schemas.values import Count, EnergyWh, Id, PriceNanoPerKwh, TimeUs


@command
class OpenListing:
    """The seller discloses a product: its generation schedule (`quantity_wh` per interval) and what rules the bidding.

    It ends at `closes_at`, before the gate of its first interval. `product` is a registered energy product.
    """

    party: Id
    connection: Id
    first_start_at: TimeUs
    quantity_wh: tuple[EnergyWh, ...]
    closes_at: TimeUs
    terms: ListingTerms
    product: Id | None = None


@command
class PlaceBid:
    """Bids for `lots` equal parts of the whole schedule, and takes as few as `minimum_lots`.

    A party has one bid on a listing: a new one takes the place of its last one, with a new time.
    """

    listing: Id
    party: Id
    connection: Id
    lots: Count
    minimum_lots: Count
    price_nano_per_kwh: PriceNanoPerKwh


@command
class WithdrawBid:
    """Takes a bid back; not one that leads an open ascending listing."""

    listing: Id
    bid: Id


@command
class WithdrawListing:
    """The seller takes the product back: before the first bid without more, later with a reason, and all are told."""

    listing: Id
    cause: WithdrawalReason | None
