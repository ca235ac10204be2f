"""Facts about a community. Key: the community."""

from enum import StrEnum

from schemas.message import event
from schemas.values import Count, Currency, Id, Minutes, Name, PointsPerKwh, PriceNanoPerKwh, TimeUs


class SharingKey(StrEnum):
    """How the members' feed-in is shared in an interval; `none` for a community whose members only trade."""

    NONE = "none"
    DYNAMIC = "dynamic"


class CommunityRefusal(StrEnum):
    """Why a wish of this family was refused, in the order of the checks."""

    ALREADY_FOUNDED = "already_founded"
    COMMUNITY_UNKNOWN = "community_unknown"
    NOT_ORGANISER = "not_organiser"
    NOT_AUTHORISED = "not_authorised"
    NO_TERMS = "no_terms"
    ALREADY_MEMBER = "already_member"


@event
class CommunityFounded:
    """The community exists; `organiser` adopts its rules and issues its documents."""

    community: Id
    zone: Id
    organiser: Id
    currency: Currency


@event
class SharingRulesAdopted:
    """Version `version` of the rules of sharing holds from `valid_from` on (valid time).

    In force at t is, of the versions with `valid_from` <= t, the one with the latest `valid_from`, of
    several with the same the highest version.
    """

    community: Id
    organiser: Id
    version: Count
    key: SharingKey
    interval_min: Minutes
    currency: Currency
    consumer_price_nano_per_kwh: PriceNanoPerKwh
    producer_price_nano_per_kwh: PriceNanoPerKwh
    points_per_kwh: PointsPerKwh
    notice_days: Count
    valid_from: TimeUs


@event
class MemberAdmitted:
    """The party concluded the pre-contract, on version `rules_version` of the rules."""

    community: Id
    party: Id
    rules_version: Count


@event
class CommandRefused:
    """A wish that a rule of this family forbids; nothing else changed."""

    command: Name
    subject: Id
    reason: CommunityRefusal
    limit: int
    found: int
