"""Wishes about several deliveries at once: linked baskets and block orders. Key: the market."""

from schemas.market.events import Restriction
from schemas.market.package_events import BasketOrder
from schemas.message import command
from schemas.values import Count, EnergyWh, Id, Minutes, PriceNanoPerKwh, Side, TimeUs


@command
class SubmitBasket:
    """Orders that are filled together, each of them whole, or not at all; no two are for one instrument."""

    party: Id
    orders: tuple[BasketOrder, ...]


@command
class SubmitBlock:
    """`quantity_wh` of each of `intervals` consecutive deliveries of `duration_min`, at one limit.

    `aon` rests among the blocks of the same deliveries and trades whole with them. `fok` is filled at once out of the
    books of its deliveries, each whole, or not at all; `ioc` takes what these books have within its limit (a market
    sweep). Another restriction is refused.
    """

    party: Id
    connection: Id
    side: Side
    first_start_at: TimeUs
    intervals: Count
    duration_min: Minutes
    quantity_wh: EnergyWh
    limit_price_nano_per_kwh: PriceNanoPerKwh
    restriction: Restriction
    expires_at: TimeUs | None


@command
class CancelBlock:
    """Takes a resting block back."""

    block: Id
