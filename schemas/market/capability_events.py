"""Facts about what a connection may sell in a market, beside `CapabilityRecorded`. Key: the market."""

from schemas.equipment import Equipment, StoredEnergy
from schemas.market.reasons import MarketRefusal
from schemas.message import event
from schemas.values import Id, PowerW, TimeUs


@event
class CapabilityLowered:
    """The connection sells no more than this in [valid_from, valid_to); the rest is the site's again."""

    market: Id
    request: Id
    connection: Id
    party: Id
    injection_w: PowerW
    resources: tuple[Id, ...]
    valid_from: TimeUs | None
    valid_to: TimeUs | None
    equipment: tuple[Equipment, ...]
    stored: StoredEnergy | None


@event
class CapabilityRetained:
    """The market needs what was allotted to it: orders, trades and reservations use more than what was to be left.

    `limit` is what the first such settlement interval, which starts at `delivery_start_at`, would be left with,
    `found` what is used of it (Wh).
    """

    market: Id
    request: Id
    connection: Id
    party: Id
    reason: MarketRefusal
    limit: int
    found: int
    delivery_start_at: TimeUs
