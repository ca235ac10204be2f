"""Facts about energy products: commodities that sellers and aggregators register (Y.2072 8.2.1). Key: the market."""

from schemas.equipment import Characteristic, ElectricalRating, EnergyCarrier
from schemas.message import event, value
from schemas.values import Count, EnergyWh, Id, Minutes, PowerW, Ppm, PriceNanoPerKwh, TimeUs


@value
class ProductMember:
    """A resource of a product; the connection names its resources."""

    connection: Id
    resource: Id


@value
class ProductTerms:
    """What is sold. `members` are frozen for a version.

    `schedule_wh` is what can be generated in each settlement interval from `schedule_from_at` on, empty where no
    schedule is promised; its sum is at most `capacity_wh`. Quality is the `carrier`, the `zone`, the availability and
    a class of the market (a higher one is better). Nothing is sold below the lowest price, and no order stands beyond
    `bids_until_at`.
    """

    members: tuple[ProductMember, ...]
    zone: Id
    carrier: EnergyCarrier
    characteristics: tuple[Characteristic, ...]
    electrical: ElectricalRating | None
    max_power_w: PowerW
    capacity_wh: EnergyWh
    schedule_from_at: TimeUs
    schedule_wh: tuple[EnergyWh, ...]
    availability_ppm: Ppm
    quality_class: Count
    lowest_price_nano_per_kwh: PriceNanoPerKwh
    bids_until_at: TimeUs


@event
class ProductRegistered:
    """The product's first version stands, not yet verified. `interval_min` is that of its schedule."""

    market: Id
    product: Id
    party: Id
    version: Count
    interval_min: Minutes
    terms: ProductTerms


@event
class ProductVerified:
    """The operator found this version to be what the verified resources can do; orders may name it."""

    market: Id
    product: Id
    party: Id
    version: Count


@event
class ProductAmended:
    """A new version stands, not yet verified. Open orders keep theirs until the gate, but for those that ask for more
    power than the new one has: the market cancels them in slices."""

    market: Id
    product: Id
    party: Id
    version: Count
    interval_min: Minutes
    terms: ProductTerms


@event
class ProductSuspended:
    """No order may name the product until it is resumed; the market cancels the open ones in slices."""

    market: Id
    product: Id
    party: Id
    suspended_by: Id


@event
class ProductResumed:
    """Orders may name the product again."""

    market: Id
    product: Id
    party: Id


@event
class ProductRetired:
    """The product is gone for good; the market cancels its open orders in slices."""

    market: Id
    product: Id
    party: Id
