"""Wishes about what a connection may sell in a market, beside `RecordCapability`. Key: the market."""

from schemas.equipment import Equipment, StoredEnergy
from schemas.message import command
from schemas.values import Id, PowerW, TimeUs


@command
class LowerCapability:
    """The site wants some of its allotment back: the market makes do with this, or says why not (sent by a policy).

    For deliveries in [valid_from, valid_to); none is no border.
    """

    request: Id
    connection: Id
    party: Id
    injection_w: PowerW
    resources: tuple[Id, ...]
    valid_from: TimeUs | None
    valid_to: TimeUs | None
    equipment: tuple[Equipment, ...]
    stored: StoredEnergy | None
