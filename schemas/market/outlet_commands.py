"""Wishes about outlets. Key: the market."""

from schemas.market.outlet_events import LossFactorPpm, OutletKind
from schemas.message import command
from schemas.values import Currency, EnergyWh, Id, Minutes, PriceNanoPerKwh, Side, TimeUs


@command
class ProposeOutlet:
    """The seller or the off-taker offers the other an outlet for all that these connections feed in."""

    kind: OutletKind
    seller: Id
    off_taker: Id
    connections: tuple[Id, ...]
    from_at: TimeUs
    to_at: TimeUs
    index: Id
    spread_nano_per_kwh: PriceNanoPerKwh
    loss_factor_ppm: LossFactorPpm


@command
class ApproveOutlet:
    """Who is awaited agrees."""

    outlet: Id


@command
class RefuseOutlet:
    """Who is awaited does not agree, or who proposed takes it back."""

    outlet: Id


@command
class NominateOutlet:
    """The off-taker says what it announced of an outlet's output; a later nomination of an interval replaces it."""

    outlet: Id
    first_start_at: TimeUs
    interval_min: Minutes
    quantity_wh: tuple[EnergyWh, ...]


@command
class RecordExternalTrade:
    """The off-taker says what it traded of an outlet's output elsewhere; `reference` is that market's."""

    outlet: Id
    venue: Id
    reference: Id
    side: Side
    first_start_at: TimeUs
    interval_min: Minutes
    quantity_wh: tuple[EnergyWh, ...]
    currency: Currency
    price_nano_per_kwh: PriceNanoPerKwh
