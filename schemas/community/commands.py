"""Wishes about a community. Key: the community."""

from schemas.community.events import SharingKey
from schemas.message import command
from schemas.values import Count, Currency, Id, Minutes, PointsPerKwh, PriceNanoPerKwh, TimeUs


@command
class FoundCommunity:
    """Founds a community in a zone; the actor becomes its organiser."""

    zone: Id
    currency: Currency


@command
class AdoptSharingRules:
    """The organiser's rules of sharing from `valid_from` on: the pre-contract that members join (Y.2072 6.2.2).

    A back-dated `valid_from` is settled again by the next run.
    """

    key: SharingKey
    interval_min: Minutes
    consumer_price_nano_per_kwh: PriceNanoPerKwh
    producer_price_nano_per_kwh: PriceNanoPerKwh
    points_per_kwh: PointsPerKwh
    notice_days: Count
    valid_from: TimeUs


@command
class AdmitMember:
    """A party asks to join on the community's terms (sent by a policy)."""

    party: Id
