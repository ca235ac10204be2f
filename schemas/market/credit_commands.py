"""Wishes about who defaulted. Key: the market."""

from schemas.message import command
from schemas.values import Id


@command
class ReinstateParticipant:
    """The operator lets a party trade again whose default is settled."""

    party: Id
