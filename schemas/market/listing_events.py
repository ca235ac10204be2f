"""Facts about listings. Key: the market."""

from enum import StrEnum

from schemas.message import event, value
from schemas.values import Count, Currency, EnergyWh, Id, Minutes, Name, PowerW, PriceNanoPerKwh, Sequence, TimeUs


class ListingFormat(StrEnum):
    """How the winners and what they pay are found.

    Sealed bids are not shown before the closing. `sealed_first_price`: each winner pays its bid. `sealed_second_price`
    (Vickrey): all pay the highest price of which anything lost, at least the reserve, never more than the lowest
    winning bid. `open_ascending`: each bid beats the standing ones by an increment, each winner pays its bid.
    """

    SEALED_FIRST_PRICE = "sealed_first_price"
    SEALED_SECOND_PRICE = "sealed_second_price"
    OPEN_ASCENDING = "open_ascending"


class WithdrawalReason(StrEnum):
    """Why a seller takes a listing back on which somebody has bid."""

    OUTAGE = "outage"
    SCHEDULE_CHANGED = "schedule_changed"
    SOLD_ELSEWHERE = "sold_elsewhere"
    MISTAKE = "mistake"
    DEFAULT = "default"


class ListingEnd(StrEnum):
    """How a listing ended."""

    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


class BidOutcome(StrEnum):
    """What became of a bid: all its lots, some of them, none, or nothing was sold at all."""

    WON = "won"
    PARTIAL = "partial"
    LOST = "lost"
    LISTING_WITHDRAWN = "listing_withdrawn"


@value
class ListingTerms:
    """What a seller discloses beside the schedule (Y.2072 8.2.1): lowest price, capacity, quality, and the bidding.

    The schedule is sold in `lots` equal parts (1: whole or not at all). An open ascending listing rises by
    `increment_nano_per_kwh`; a bid in its last `extension_min` moves the closing to `extension_min` after the bid, at
    the latest to `latest_closes_at`. With `needs_approval` an award is a proposal that the buyer approves.
    """

    format: ListingFormat
    reserve_price_nano_per_kwh: PriceNanoPerKwh
    capacity_w: PowerW
    quality: Name
    lots: Count = 1
    needs_approval: bool = False
    increment_nano_per_kwh: Count = 0
    extension_min: Count = 0
    latest_closes_at: TimeUs | None = None


@event
class ListingOpened:
    """A product is on offer; its schedule and the seller's credit at the reserve price are reserved."""

    market: Id
    listing: Id
    seller: Id
    connection: Id
    zone: Id
    first_start_at: TimeUs
    interval_min: Minutes
    quantity_wh: tuple[EnergyWh, ...]
    currency: Currency
    closes_at: TimeUs
    terms: ListingTerms
    product: Id | None


@event
class BidPlaced:
    """A bid stands with time priority `sequence`, its credit is reserved; `replaces` is the party's bid before it."""

    market: Id
    listing: Id
    bid: Id
    sequence: Sequence
    bidder: Id
    connection: Id
    lots: Count
    minimum_lots: Count
    price_nano_per_kwh: PriceNanoPerKwh
    replaces: Id | None


@event
class BidWithdrawn:
    """The bidder took the bid back; its credit is free."""

    market: Id
    listing: Id
    bid: Id
    bidder: Id


@event
class BidsDisplaced:
    """Higher bids stand on an open ascending listing; these get nothing any more and their credit is free."""

    market: Id
    listing: Id
    bids: tuple[Id, ...]
    bidders: tuple[Id, ...]


@event
class ListingExtended:
    """A late bid moved the closing."""

    market: Id
    listing: Id
    closes_at: TimeUs


@event
class ListingClosed:
    """No bid is taken any more: who won how many lots at which price, and what of each interval is unsold and free.

    `bids` stood at the closing; each is told by `BiddersNotified`, slice by slice.
    """

    market: Id
    listing: Id
    seller: Id
    ending: ListingEnd
    cause: WithdrawalReason | None
    bids: Count
    winners: tuple[Id, ...]
    lots: tuple[Count, ...]
    prices_nano_per_kwh: tuple[PriceNanoPerKwh, ...]
    unsold_wh: tuple[EnergyWh, ...]


@event
class BiddersNotified:
    """What became of these bids of a closed listing; the contract or proposal of each that won follows.

    A price is what the winner pays, of a bid that lost what it offered. What a bid reserved beyond its award is free.
    """

    market: Id
    listing: Id
    bids: tuple[Id, ...]
    bidders: tuple[Id, ...]
    outcomes: tuple[BidOutcome, ...]
    lots: tuple[Count, ...]
    prices_nano_per_kwh: tuple[PriceNanoPerKwh, ...]
    contracts: tuple[Id | None, ...]
