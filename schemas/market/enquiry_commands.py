"""Wishes about enquiries: amount and duration asked, offers of several sellers combined (Y.2072 6.2.2, stage 3).

Key: the market.
"""

from schemas.message import command
from schemas.values import Count, EnergyWh, Id, PowerW, PriceNanoPerKwh, TimeUs


@command
class OpenEnquiry:
    """Asks for an amount and a duration at most at a price: `quantity_wh` per interval, or `power_w` over `intervals`.

    Only those in `addressed` may offer; empty advertises it to all. Offers come before `closes_at`. What reaches the
    whole amount within the limit is accepted at once with `accepts_at_once`.
    """

    party: Id
    connection: Id
    first_start_at: TimeUs
    quantity_wh: tuple[EnergyWh, ...]
    power_w: PowerW
    intervals: Count
    limit_price_nano_per_kwh: PriceNanoPerKwh
    closes_at: TimeUs
    addressed: tuple[Id, ...]
    accepts_at_once: bool


@command
class OfferEnergy:
    """A seller's part of what is asked: at most that much of each interval (0: none of it), at a price of its own."""

    enquiry: Id
    party: Id
    connection: Id
    quantity_wh: tuple[EnergyWh, ...]
    price_nano_per_kwh: PriceNanoPerKwh


@command
class WithdrawOffer:
    """The seller takes an offer back that is in no combination on the table."""

    enquiry: Id
    offer: Id


@command
class CombineOffers:
    """The enquirer wants to see what the offers come to now, and takes no more of them."""

    enquiry: Id


@command
class AcceptOffers:
    """The enquirer takes the combination on the table as it is, or only its offers up to a price."""

    enquiry: Id
    up_to_nano_per_kwh: PriceNanoPerKwh | None = None


@command
class CounterOffers:
    """The enquirer names another price for what is on the table; the sellers may come down once."""

    enquiry: Id
    price_nano_per_kwh: PriceNanoPerKwh


@command
class ReviseOffer:
    """A seller's one answer to the enquirer's price: a lower one of its own."""

    enquiry: Id
    offer: Id
    price_nano_per_kwh: PriceNanoPerKwh


@command
class RejectOffers:
    """The enquirer ends the enquiry without a contract."""

    enquiry: Id
