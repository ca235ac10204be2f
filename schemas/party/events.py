"""Facts about parties. Key: the party."""

from enum import StrEnum

from schemas.message import event
from schemas.values import Id, Name


class Role(StrEnum):
    """Roles of the Harmonised Electricity Market Role Model that the platform knows."""

    PARTY_CONNECTED_TO_GRID = "party_connected_to_grid"
    SUPPLIER = "supplier"
    BALANCE_RESPONSIBLE_PARTY = "balance_responsible_party"
    SYSTEM_OPERATOR = "system_operator"
    MARKET_OPERATOR = "market_operator"
    RESOURCE_AGGREGATOR = "resource_aggregator"
    COMMUNITY_ORGANISER = "community_organiser"


class PartyRefusal(StrEnum):
    """Why a wish of this family was refused, in the order of the checks."""

    ALREADY_REGISTERED = "already_registered"
    PARTY_UNKNOWN = "party_unknown"
    NOT_AUTHORISED = "not_authorised"
    NO_ROLE = "no_role"
    MEMBERSHIP_REQUIRED = "membership_required"


@event
class PartyRegistered:
    """The party takes part in these roles."""

    party: Id
    roles: tuple[Role, ...]


@event
class MembershipApplied:
    """The party asks this community for membership."""

    party: Id
    community: Id


@event
class MarketApplied:
    """The party asks this market for admission."""

    party: Id
    market: Id


@event
class CommandRefused:
    """A wish that a rule of this family forbids; nothing else changed."""

    command: Name
    subject: Id
    reason: PartyRefusal
    limit: int
    found: int
