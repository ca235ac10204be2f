"""Wishes of the surveillance of a market. Key: the market."""

from schemas.market.surveillance_events import SuspicionKind
from schemas.message import command
from schemas.values import Id, Minutes, TimeUs


@command
class ReportSuspicion:
    """What the calculation `market.surveillance` found in the book of a closed instrument."""

    delivery_start_at: TimeUs
    duration_min: Minutes
    kind: SuspicionKind
    parties: tuple[Id, ...]
    orders: tuple[Id, ...]
