"""Facts about contracts after their conclusion: versions, what is proposed about them, fees. Key: the market."""

from enum import StrEnum

from schemas.message import event, value
from schemas.values import (
    AmountMicro,
    Count,
    Currency,
    DeliveryMode,
    EnergySumWh,
    EnergyWh,
    FeeNanoPerKwh,
    Id,
    Minutes,
    Name,
    PointsPerKwh,
    Ppm,
    PriceNanoPerKwh,
    TimeUs,
)


class ContractState(StrEnum):
    """Whether a version of a contract is delivered; a cancelled one keeps its terms for the record."""

    CONCLUDED = "concluded"
    CANCELLED = "cancelled"


class RevisionReason(StrEnum):
    """Why a contract has another version: agreed by both, or withdrawn by one, or ended by the operator."""

    CHANGED = "changed"
    ASSIGNED = "assigned"
    CANCELLED = "cancelled"
    WITHDRAWN = "withdrawn"
    MANIFEST_ERROR = "manifest_error"
    CLOSED_OUT = "closed_out"


class RevisionEnding(StrEnum):
    """Why a proposed version did not come about."""

    REFUSED = "refused"
    LAPSED = "lapsed"
    OVERTAKEN = "overtaken"
    DEFAULT = "default"


@value
class RevisedTerms:
    """What another version of a contract may say differently."""

    seller: Id
    buyer: Id
    seller_connection: Id
    buyer_connection: Id
    zone: Id
    buyer_zone: Id | None
    quantity_wh: tuple[EnergyWh, ...]
    price_nano_per_kwh: PriceNanoPerKwh
    seller_price_nano_per_kwh: PriceNanoPerKwh | None = None


@event
class RevisionProposed:
    """Another version of a contract waits for `awaiting` until `lapses_at`; what it needs more is reserved.

    `reason` is what it would be: changed, assigned or cancelled.
    """

    market: Id
    contract: Id
    revision: Id
    version_before: Count
    reason: RevisionReason
    proposer: Id
    awaiting: Id
    terms: RevisedTerms
    lapses_at: TimeUs


@event
class RevisionEnded:
    """The proposed version does not come about; what was reserved for it is free, the contract is as it was."""

    market: Id
    contract: Id
    revision: Id
    version_before: Count
    ending: RevisionEnding


@event
class ContractRevised:
    """The contract as it is from now on, whole. A version follows the one before without a gap.

    A cancelled one says what was cancelled. Intervals of 0 Wh in a concluded one were closed out before
    their delivery.
    """

    market: Id
    zone: Id
    operator: Id
    contract: Id
    trade: Id | None
    seller: Id
    buyer: Id
    seller_connection: Id
    buyer_connection: Id
    first_start_at: TimeUs
    interval_min: Minutes
    quantity_wh: tuple[EnergyWh, ...]
    currency: Currency
    price_nano_per_kwh: PriceNanoPerKwh
    points_per_kwh: PointsPerKwh
    delivery_mode: DeliveryMode
    rules_version: Count
    buyer_zone: Id | None
    baseline_method: Name | None
    tolerance_ppm: Ppm
    penalty_ppm: Count
    version: Count
    version_before: Count
    state: ContractState
    reason: RevisionReason
    duration_min: Minutes | None = None
    seller_price_nano_per_kwh: PriceNanoPerKwh | None = None


@event
class CancellationFeeCharged:
    """Who cancelled a contract alone (`debtor`) owes this to the other side of it."""

    market: Id
    contract: Id
    version: Count
    debtor: Id
    creditor: Id
    currency: Currency
    quantity_wh: EnergySumWh
    fee_nano_per_kwh: FeeNanoPerKwh
    amount_micro: AmountMicro
