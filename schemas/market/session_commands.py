"""Wishes about auctions of whole sessions. Key: the market."""

from schemas.market.session_events import SessionPrice
from schemas.message import command
from schemas.values import Count, EnergyWh, Id, Minutes, Ppm, PriceNanoPerKwh, Side, TimeUs


@command
class SubmitCallBlock:
    """A block for the auction of its session: `profile_wh` of consecutive deliveries, at one limit for all of it.

    It is accepted to at least `minimum_ppm` or not at all, at most as much as its `parent` (another call block of the
    party), and all blocks of the party's `exclusive_group` at most once together.
    """

    party: Id
    connection: Id
    side: Side
    first_start_at: TimeUs
    duration_min: Minutes
    profile_wh: tuple[EnergyWh, ...]
    limit_price_nano_per_kwh: PriceNanoPerKwh
    minimum_ppm: Ppm = 1_000_000
    parent: Id | None = None
    exclusive_group: Id | None = None


@command
class CancelCallBlock:
    """Takes a call block back, and all that are linked to it."""

    block: Id


@command
class ProposeCallBlocks:
    """The first part of a session's result: accepted steps and prices (sent by the calculation `market.session`).

    Nothing gains more than `more_micro` over it.
    """

    auction: Id
    first_start_at: TimeUs
    interval_min: Minutes
    steps: tuple[Count, ...]
    priced_at: tuple[TimeUs, ...]
    prices_nano_per_kwh: tuple[PriceNanoPerKwh, ...]
    more_micro: Count


@command
class ProposeSessionBook:
    """A further part: fills of one delivery's orders (sent by the calculation `market.session`).

    Deliveries come one after the other, each with all orders of its book in the order of acceptance, in parts;
    `cleared` is the same in all parts of a delivery.
    """

    auction: Id
    delivery_start_at: TimeUs
    interval_min: Minutes
    part: Count
    parts: Count
    cleared: SessionPrice
    orders: tuple[Id, ...]
    filled_wh: tuple[EnergyWh, ...]
