"""Orders that name an energy product: it is one that may be sold, it covers the connection, and the order fits it.

Each order fits by itself; that all orders together sell no more than there is, is the capability rule's business.
"""

from typing import NamedTuple

from domain.market.product_state import Product
from domain.market.refusal import Refusal
from domain.market.state import Instrument, Market
from schemas.market.quality import QualityRules
from schemas.market.reasons import MarketRefusal


class Offer(NamedTuple):
    """What of an order concerns a product; `until_at` is when it leaves the book at the latest."""

    product: str | None
    sells: bool
    connection: str
    quantity_wh: int
    price_nano_per_kwh: int
    until_at: int


def refuse_product(state: Market, instrument: Instrument, offer: Offer) -> Refusal | None:
    """The first broken rule: none is needed where the book asks for none and the order names none."""
    quality = instrument.rules.quality
    if offer.product is None:
        missing = quality is not None and offer.sells
        return Refusal(MarketRefusal.QUALITY_NOT_MET) if missing else None
    product = state.products.get(offer.product)
    if product is None:
        return Refusal(MarketRefusal.PRODUCT_UNKNOWN)
    if not offer.sells:
        return Refusal(MarketRefusal.PRODUCT_OF_A_PURCHASE)
    return _standing(product, offer) or (quality and _quality(quality, product)) or _fit(instrument, product, offer)


def _standing(product: Product, offer: Offer) -> Refusal | None:
    terms = product.terms
    if product.retired or product.suspended_by is not None:
        return Refusal(MarketRefusal.PRODUCT_ENDED)
    if not product.verified:
        return Refusal(MarketRefusal.PRODUCT_NOT_VERIFIED, 0, product.version)
    if all(member.connection != offer.connection for member in terms.members):
        return Refusal(MarketRefusal.PRODUCT_OF_OTHERS)
    if offer.until_at > terms.bids_until_at:
        return Refusal(MarketRefusal.PRODUCT_EXPIRED, terms.bids_until_at, offer.until_at)
    return None


def _quality(quality: QualityRules, product: Product) -> Refusal | None:
    """Source and zone are among the required ones, where any are; availability and class are not below them."""
    terms = product.terms
    if quality.carriers and terms.carrier not in quality.carriers:
        return Refusal(MarketRefusal.QUALITY_NOT_MET)
    if quality.zones and terms.zone not in quality.zones:
        return Refusal(MarketRefusal.QUALITY_NOT_MET)
    for limit, found in (
        (quality.minimum_availability_ppm, terms.availability_ppm),
        (quality.minimum_class, terms.quality_class),
    ):
        if found < limit:
            return Refusal(MarketRefusal.QUALITY_NOT_MET, limit, found)
    return None


def _fit(instrument: Instrument, product: Product, offer: Offer) -> Refusal | None:
    lowest = product.terms.lowest_price_nano_per_kwh
    if offer.price_nano_per_kwh < lowest:
        return Refusal(MarketRefusal.PRICE_BELOW_PRODUCT, lowest, offer.price_nano_per_kwh)
    each_wh = offer.quantity_wh // len(instrument.slots)
    for slot in instrument.slots:
        allowed = product.allowed_wh(slot)
        if each_wh > allowed:
            return Refusal(MarketRefusal.QUANTITY_ABOVE_PRODUCT, allowed, each_wh)
    return None
