"""Facts about what stops and starts trading, and what lines carry. Key: the market."""

from schemas.message import event
from schemas.values import Id, Minutes, PowerW, PriceNanoPerKwh, TimeUs


@event
class TradingHalted:
    """A trade at `price` would have left the halt band around `reference`: orders are collected for a call auction."""

    market: Id
    delivery_start_at: TimeUs
    interval_min: Minutes
    reference_price_nano_per_kwh: PriceNanoPerKwh
    price_nano_per_kwh: PriceNanoPerKwh
    until_at: TimeUs


@event
class TradingSuspended:
    """Orders of this instrument (none: of every one) may be cancelled, not entered or matched, until it is resumed."""

    market: Id
    delivery_start_at: TimeUs | None
    interval_min: Minutes | None


@event
class TradingResumed:
    """Continuous trading goes on in this instrument (none: in every one that was suspended as a whole)."""

    market: Id
    delivery_start_at: TimeUs | None
    interval_min: Minutes | None


@event
class LineCapacityPublished:
    """What a line carries per settlement interval from `first_start_at` on, that way and back."""

    market: Id
    line: Id
    first_start_at: TimeUs
    interval_min: Minutes
    forward_w: tuple[PowerW, ...]
    backward_w: tuple[PowerW, ...]
