"""Wishes about negotiated contracts beside proposal and approval. Key: the market."""

from schemas.message import command
from schemas.values import Id


@command
class RejectContract:
    """The counterparty of a proposed contract says no; it costs the lapse fee like letting it lapse."""

    contract: Id
