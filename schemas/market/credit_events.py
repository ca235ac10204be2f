"""Facts about who is exposed beyond the limit: margin calls, defaults, close-out, losses. Key: the market."""

from enum import StrEnum

from schemas.message import event
from schemas.values import AmountMicro, Count, Currency, EnergySumWh, Id, PriceNanoPerKwh, Side, TimeUs


class LossLayer(StrEnum):
    """Who bears a loss, in this order: the defaulter's collateral, the operator's fund, the other participants."""

    COLLATERAL = "collateral"
    FUND = "fund"
    OTHERS = "others"


@event
class MarginCalled:
    """The party is exposed beyond its limit and must come back within it before `deadline_at`."""

    market: Id
    party: Id
    currency: Currency
    exposure_micro: AmountMicro
    limit_micro: AmountMicro
    deadline_at: TimeUs


@event
class MarginCallMet:
    """The party is within its limit again, in time."""

    market: Id
    party: Id
    currency: Currency
    exposure_micro: AmountMicro
    limit_micro: AmountMicro


@event
class ParticipantDefaulted:
    """The deadline passed. The party may not trade; its orders, proposals and undelivered contracts end in slices."""

    market: Id
    party: Id
    currency: Currency
    exposure_micro: AmountMicro
    limit_micro: AmountMicro
    orders: Count
    contracts: Count


@event
class PositionClosed:
    """What was undelivered of a contract is bought back or sold out at the close-out price.

    `side` was the defaulter's. `loss_micro` is what the other side loses by it and is owed, below 0 what it gains
    and owes.
    """

    market: Id
    party: Id
    contract: Id
    version: Count
    other: Id
    side: Side
    quantity_wh: EnergySumWh
    price_nano_per_kwh: PriceNanoPerKwh
    close_out_price_nano_per_kwh: PriceNanoPerKwh
    loss_micro: AmountMicro


@event
class DefaultSettled:
    """All positions are closed; `loss_micro` is the sum of the layers. A gain (< 0) is the defaulter's collateral's."""

    market: Id
    party: Id
    currency: Currency
    loss_micro: AmountMicro
    collateral_micro: AmountMicro
    fund_micro: AmountMicro
    others_micro: AmountMicro


@event
class LossAllocated:
    """A slice of a layer: what each of these parties bears of the default of `party`."""

    market: Id
    party: Id
    currency: Currency
    layer: LossLayer
    parties: tuple[Id, ...]
    amounts_micro: tuple[AmountMicro, ...]


@event
class ParticipantReinstated:
    """The party may trade again."""

    market: Id
    party: Id
