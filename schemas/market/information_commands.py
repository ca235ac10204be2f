"""Wishes about what a participant was told. Key: the market."""

from schemas.message import command
from schemas.values import Count, Id


@command
class AcknowledgeNotifications:
    """The party has read its notifications up to this position, and asks only for what comes behind it."""

    party: Id
    partition: Count
    seq: Count
