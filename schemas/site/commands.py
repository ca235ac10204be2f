"""Wishes about a site. Key: the grid connection point."""

from schemas.message import command
from schemas.site.events import AllotmentPurpose
from schemas.values import EnergyWh, Id, Minutes, PowerW, Ppm, ResourceType, TimeUs


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

    Storage names its capacity, for other equipment it is 0.
    """

    resource: Id
    type: ResourceType
    rated_power_w: PowerW
    capacity_wh: EnergyWh
    metering_point: Id


@command
class VerifyResource:
    """The operator's finding: the resource delivers this power. Anybody but the customer may find it."""

    resource: Id
    verified_power_w: PowerW


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

    The actor is the customer. A pure buyer allots an injection of 0.
    """

    purpose: AllotmentPurpose
    target: Id
    injection_w: PowerW
    reduction_w: PowerW
