"""Wishes about a site. Key: the grid connection point."""

from schemas.equipment import Characteristic, ElectricalRating, EnergyCarrier, StorageRating
from schemas.message import command
from schemas.site.events import AllotmentPurpose
from schemas.values import EnergyWh, Id, Minutes, Name, PowerW, Ppm, ResourceType, TimeUs


@command
class RegisterConnection:
    """Registers a grid connection point with its metering point and the parties behind it.

    `metering_point` is the utility meter's point: it measures import and export (Y.2072 9.2).
    """

    zone: Id
    customer: Id
    supplier: Id
    off_taker: Id
    balance_responsible: Id
    metering_point: Id
    interval_min: Minutes
    connection_w: PowerW
    valid_from: TimeUs


@command
class RegisterResource:
    """Registers equipment behind the connection; it may not be used before it is verified (Y.2072 6.2.2).

    Storage names its capacity, for other equipment it is 0. Without a `storage` rating all of the capacity is
    usable, without losses, and charges at the rated power. An `electrical` rating must allow the rated power.
    """

    resource: Id
    type: ResourceType
    rated_power_w: PowerW
    capacity_wh: EnergyWh
    metering_point: Id
    carrier: EnergyCarrier = EnergyCarrier.UNSPECIFIED
    characteristics: tuple[Characteristic, ...] = ()
    electrical: ElectricalRating | None = None
    storage: StorageRating | None = None


@command
class VerifyResource:
    """The operator's finding: the resource delivers this power. Anybody but the customer may find it.

    `electrical` is the rating that was found where it is not the registered one; it must allow the power.
    """

    resource: Id
    verified_power_w: PowerW
    electrical: ElectricalRating | None = None


@command
class ReassessResource:
    """What a verified resource is found to deliver now, more or less than before. Anybody but the customer may find it.

    What is allotted beyond what is left stays allotted until it is taken back; nothing more is given out.
    """

    resource: Id
    serviceable_power_w: PowerW


@command
class JoinSharing:
    """The connection takes part in a community with this part of its energy (`factor_ppm`), from `valid_from` on.

    The actor is the customer. A later or back-dated wish for the same community changes the factor from
    its own `valid_from` on, up to the next one; a factor of 0 leaves. One that holds then already is
    refused (`already_member`).
    """

    community: Id
    factor_ppm: Ppm
    valid_from: TimeUs


@command
class AllotCapability:
    """Lets a market or a programme use this much of the site's capability; replaces the allotment before.

    The actor is the customer. A pure buyer allots an injection of 0. With `valid_from` or `valid_to` it holds
    for deliveries in [valid_from, valid_to) only, whole settlement intervals; programmes take no window.
    `stored_wh` is what the verified storage will hold when the allotment begins (none: all that nobody else has).
    What a market may sell already is lowered only after the market's answer.
    """

    purpose: AllotmentPurpose
    target: Id
    injection_w: PowerW
    reduction_w: PowerW
    valid_from: TimeUs | None = None
    valid_to: TimeUs | None = None
    stored_wh: EnergyWh | None = None


@command
class LowerAllotment:
    """The market sells no more than what is left of it: the waiting request is granted (sent by a policy)."""

    request: Id
    market: Id


@command
class RetainAllotment:
    """The market needs what it holds: the waiting request is not granted, and why (sent by a policy).

    `limit` and `found` are those of the delivery interval at `delivery_start_at`.
    """

    request: Id
    market: Id
    reason: Name
    limit: int
    found: int
    delivery_start_at: TimeUs
