"""Facts about several deliveries at once: linked baskets and block orders. Key: the market."""

from schemas.market.reasons import CancelReason
from schemas.message import event, value
from schemas.values import Count, EnergyWh, Id, Minutes, PriceNanoPerKwh, Sequence, Side, TimeUs


@value
class BasketOrder:
    """One order of a basket; `quantity_wh` is of the whole delivery."""

    connection: Id
    delivery_start_at: TimeUs
    duration_min: Minutes
    side: Side
    quantity_wh: EnergyWh
    limit_price_nano_per_kwh: PriceNanoPerKwh


@event
class BasketKilled:
    """Not every order of the basket could be filled whole: none of them was. `number` is the first that could not."""

    market: Id
    basket: Id
    party: Id
    number: Count


@event
class BlockAccepted:
    """The block rests among the blocks of the same deliveries with time priority `sequence`."""

    market: Id
    block: Id
    sequence: Sequence
    party: Id
    connection: Id
    zone: Id
    side: Side
    first_start_at: TimeUs
    intervals: Count
    interval_min: Minutes
    quantity_wh: EnergyWh
    limit_price_nano_per_kwh: PriceNanoPerKwh
    expires_at: TimeUs | None


@event
class BlockTradeMade:
    """A block met a resting one, which is traded whole at its own price; the rest of the other one is what is open."""

    market: Id
    trade: Id
    buy_block: Id
    sell_block: Id
    buyer: Id
    seller: Id
    aggressor: Side
    first_start_at: TimeUs
    intervals: Count
    interval_min: Minutes
    quantity_wh: EnergyWh
    price_nano_per_kwh: PriceNanoPerKwh
    buy_rest_wh: EnergyWh
    sell_rest_wh: EnergyWh


@event
class BlocksCancelled:
    """These blocks are out of the book."""

    market: Id
    reason: CancelReason
    blocks: tuple[Id, ...]
