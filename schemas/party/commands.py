"""Wishes of parties. Key: the party."""

from schemas.message import command
from schemas.party.events import Role
from schemas.values import Id


@command
class RegisterParty:
    """Registers a party in its roles. Personal data go to the vault, never here."""

    roles: tuple[Role, ...]


@command
class ApplyForMembership:
    """Asks a community for membership on the terms of its pre-contract (Y.2072 6.2.2, stage 0).

    The actor is the party. Applying again asks again: the first time may have been too early.
    """

    community: Id


@command
class ApplyForMarket:
    """Asks a market for admission (Y.2072 6.2.2: first the community, then the market).

    The actor is the party. Applying again asks again: the first time may have been too early.
    """

    market: Id
