"""Wishes about call auctions of a market. Key: the market."""

from schemas.market.auction_events import CalledPrice
from schemas.message import command
from schemas.values import Count, EnergyWh, Id, Minutes, TimeUs


@command
class ProposeClearing:
    """A part of the result of a call auction (sent by the calculation `market.clearing`).

    The parts list every order of the frozen book in the order of acceptance; `called` is the same in all of them.
    """

    auction: Id
    delivery_start_at: TimeUs
    interval_min: Minutes
    part: Count
    parts: Count
    called: CalledPrice
    orders: tuple[Id, ...]
    filled_wh: tuple[EnergyWh, ...]
