"""Facts about enquiries. Key: the market."""

from enum import StrEnum

from schemas.message import event
from schemas.values import Count, Currency, EnergySumWh, EnergyWh, Id, Minutes, PriceNanoPerKwh, Sequence, Side, TimeUs


class EnquiryEnd(StrEnum):
    """How an enquiry ended."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    LAPSED = "lapsed"
    UNANSWERED = "unanswered"
    DEFAULT = "default"


@event
class EnquiryOpened:
    """A party asks for energy over consecutive intervals; nothing is reserved of it before it accepts."""

    market: Id
    enquiry: Id
    enquirer: Id
    connection: Id
    zone: Id
    first_start_at: TimeUs
    interval_min: Minutes
    quantity_wh: tuple[EnergyWh, ...]
    currency: Currency
    limit_price_nano_per_kwh: PriceNanoPerKwh
    closes_at: TimeUs
    addressed: tuple[Id, ...]
    accepts_at_once: bool


@event
class OfferMade:
    """A seller offers a part; its capability and the seller's credit are reserved while it stands."""

    market: Id
    enquiry: Id
    offer: Id
    sequence: Sequence
    seller: Id
    connection: Id
    quantity_wh: tuple[EnergyWh, ...]
    price_nano_per_kwh: PriceNanoPerKwh


@event
class OfferWithdrawn:
    """The seller took the offer back; what it reserved is free."""

    market: Id
    enquiry: Id
    offer: Id
    seller: Id


@event
class OffersCombined:
    """These offers, cheapest first, reach the whole amount and duration within the enquirer's limit.

    `quantity_wh` is per interval from `first_start_at` on, `offered_wh` what is taken of each offer, and
    `price_nano_per_kwh` the average, rounded half-up. It waits for the enquirer until `lapses_at`.
    """

    market: Id
    enquiry: Id
    enquirer: Id
    round: Count
    first_start_at: TimeUs
    quantity_wh: tuple[EnergyWh, ...]
    price_nano_per_kwh: PriceNanoPerKwh
    offers: tuple[Id, ...]
    sellers: tuple[Id, ...]
    offered_wh: tuple[EnergySumWh, ...]
    prices_nano_per_kwh: tuple[PriceNanoPerKwh, ...]
    lapses_at: TimeUs


@event
class CounterOfferMade:
    """What was asked is not to be had: the sellers (`by` sell) offer the actual amount, duration and average price.

    By buy it is the enquirer's price for that, which the sellers of `offers` may come down to. The other side answers
    until `lapses_at`.
    """

    market: Id
    enquiry: Id
    enquirer: Id
    by: Side
    round: Count
    first_start_at: TimeUs
    quantity_wh: tuple[EnergyWh, ...]
    price_nano_per_kwh: PriceNanoPerKwh
    offers: tuple[Id, ...]
    sellers: tuple[Id, ...]
    offered_wh: tuple[EnergySumWh, ...]
    prices_nano_per_kwh: tuple[PriceNanoPerKwh, ...]
    lapses_at: TimeUs


@event
class OfferRevised:
    """The seller came down to this price."""

    market: Id
    enquiry: Id
    offer: Id
    seller: Id
    price_nano_per_kwh: PriceNanoPerKwh


@event
class OfferAccepted:
    """So much of an offer is sold; its contract follows, the rest of the offer is free."""

    market: Id
    enquiry: Id
    offer: Id
    seller: Id
    buyer: Id
    quantity_wh: tuple[EnergyWh, ...]
    price_nano_per_kwh: PriceNanoPerKwh
    contract: Id


@event
class EnquiryClosed:
    """Nothing more comes of the enquiry; what its other `offers` reserved is free."""

    market: Id
    enquiry: Id
    enquirer: Id
    ending: EnquiryEnd
    offers: tuple[Id, ...]
    sellers: tuple[Id, ...]
