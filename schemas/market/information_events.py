"""Facts about what a participant was told. Key: the market."""

from schemas.message import event
from schemas.values import Count, Id


@event
class NotificationsAcknowledged:
    """The party has read its notifications up to this position of the market's facts."""

    market: Id
    party: Id
    partition: Count
    seq: Count
