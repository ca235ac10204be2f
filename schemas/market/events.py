"""Facts about a market. Key: the market."""

from enum import StrEnum

from schemas.equipment import Equipment, StoredEnergy
from schemas.market.auction_events import CallRules
from schemas.market.quality import QualityRules
from schemas.market.reasons import CancelReason, MarketRefusal
from schemas.market.rules import ContractRules, CreditRules, NegotiationRules, NetworkRules, TradingRules
from schemas.market.session_events import SessionAuctionRules
from schemas.market.surveillance_events import SurveillanceRules
from schemas.message import event, value
from schemas.values import (
    AmountMicro,
    Count,
    Currency,
    DeliveryMode,
    EnergyWh,
    Id,
    Minutes,
    Name,
    PointsPerKwh,
    PowerW,
    Ppm,
    PriceNanoPerKwh,
    Sequence,
    Side,
    TimeUs,
)


class Restriction(StrEnum):
    """Execution restriction.

    `none` rests, `ioc` fills what it can at once, `fok` all at once or nothing, `aon` all or nothing: what cannot
    be filled whole rests whole, and meets only orders that fill it.
    """

    NONE = "none"
    IOC = "ioc"
    FOK = "fok"
    AON = "aon"


class SelfTradeMode(StrEnum):
    """What happens when an order would meet an order of the same owner.

    `decrement` takes the smaller quantity from both, without a trade.
    """

    OFF = "off"
    CANCEL_NEWEST = "cancel_newest"
    CANCEL_OLDEST = "cancel_oldest"
    CANCEL_BOTH = "cancel_both"
    DECREMENT = "decrement"


class Phase(StrEnum):
    """What may be done in the book of an instrument.

    `continuous` matches, `call` collects without matching, `auction` waits for the result of a call, `suspended` takes
    cancellations only. A halt is a call phase.
    """

    CONTINUOUS = "continuous"
    CALL = "call"
    AUCTION = "auction"
    SUSPENDED = "suspended"


@value
class RuleSet:
    """What a market may change, as data. Money in `currency`; the gate closes `gate_lead_min` before delivery.

    `assumed_price_nano_per_kwh` values undelivered sells in the credit rule; `points_per_kwh` are the
    energy points that a buyer gives and a seller gains per delivered kWh.
    """

    zone: Id
    operator: Id
    currency: Currency
    interval_min: Minutes
    opening_lead_min: Count
    gate_lead_min: Count
    tick_nano_per_kwh: Count
    lot_wh: Count
    max_quantity_wh: EnergyWh
    min_price_nano_per_kwh: PriceNanoPerKwh
    max_price_nano_per_kwh: PriceNanoPerKwh
    self_trade: SelfTradeMode
    assumed_price_nano_per_kwh: PriceNanoPerKwh
    points_per_kwh: PointsPerKwh
    book_delivery_mode: DeliveryMode
    approval_deadline_min: Count
    trading: TradingRules | None = None
    network: NetworkRules | None = None
    contracts: ContractRules | None = None
    credit: CreditRules | None = None
    auction: CallRules | None = None
    quality: QualityRules | None = None
    negotiation: NegotiationRules | None = None
    surveillance: SurveillanceRules | None = None
    session_auction: SessionAuctionRules | None = None


@value
class OrderTerms:
    """What few orders say about themselves.

    At least `minimum_wh` is traded at once or nothing is. `product` is the registered energy product that is sold,
    `rebid_of` the order or contract that this one offers again, `mandate` and `forecast` whose wish issued it.
    """

    minimum_wh: EnergyWh = 0
    product: Id | None = None
    rebid_of: Id | None = None
    mandate: Id | None = None
    forecast: Id | None = None


@event
class RuleSetAdopted:
    """Version `version` of the market's rules holds for deliveries from `effective_from` on."""

    market: Id
    version: Count
    effective_from: TimeUs
    rules: RuleSet


@event
class SessionOpened:
    """Instruments for `intervals` consecutive delivery intervals are listed under this version of the rules."""

    market: Id
    zone: Id
    first_start_at: TimeUs
    intervals: Count
    interval_min: Minutes
    rules_version: Count
    session: Id | None = None


@event
class ParticipantAdmitted:
    """The party may trade in this market."""

    market: Id
    party: Id


@event
class CapabilityRecorded:
    """The connection may sell up to this injection in every interval; its verified `resources` are market resources.

    Of deliveries in [valid_from, valid_to), none is no border. A connection without verified resources may buy only
    (Y.2072 6.2.2, stage 2).
    """

    market: Id
    connection: Id
    party: Id
    injection_w: PowerW
    resources: tuple[Id, ...]
    zone: Id | None = None
    valid_from: TimeUs | None = None
    valid_to: TimeUs | None = None
    equipment: tuple[Equipment, ...] = ()
    stored: StoredEnergy | None = None


@event
class CreditRecorded:
    """The party may be exposed up to this amount in this market."""

    market: Id
    party: Id
    currency: Currency
    limit_micro: AmountMicro


@event
class OrderAccepted:
    """The order stands with time priority `sequence`; trades and cancellations of its rest follow as facts."""

    market: Id
    order: Id
    sequence: Sequence
    party: Id
    connection: Id
    delivery_start_at: TimeUs
    interval_min: Minutes
    side: Side
    quantity_wh: EnergyWh
    limit_price_nano_per_kwh: PriceNanoPerKwh
    restriction: Restriction
    expires_at: TimeUs | None
    zone: Id | None = None
    terms: OrderTerms | None = None


@event
class TradeMade:
    """Two orders met at the resting order's price; the rests are what stays open of each.

    In an auction the buyer may pay another price than the seller gets (none: the same).
    """

    market: Id
    trade: Id
    delivery_start_at: TimeUs
    interval_min: Minutes
    buy_order: Id
    sell_order: Id
    buyer: Id
    seller: Id
    buyer_connection: Id
    seller_connection: Id
    aggressor: Side
    quantity_wh: EnergyWh
    price_nano_per_kwh: PriceNanoPerKwh
    buy_rest_wh: EnergyWh
    sell_rest_wh: EnergyWh
    seller_price_nano_per_kwh: PriceNanoPerKwh | None = None


@event
class OrderCancelled:
    """What was left of the order is out of the book."""

    market: Id
    order: Id
    party: Id
    delivery_start_at: TimeUs
    side: Side
    rest_wh: EnergyWh
    reason: CancelReason


@event
class OrderReduced:
    """Less of a resting order is open now; it keeps its priority."""

    market: Id
    order: Id
    party: Id
    rest_wh: EnergyWh
    reason: CancelReason


@event
class OrderAmended:
    """A resting order as it is open now; with another `sequence` it stands behind the others of its price."""

    market: Id
    order: Id
    party: Id
    sequence: Sequence
    rest_wh: EnergyWh
    limit_price_nano_per_kwh: PriceNanoPerKwh
    expires_at: TimeUs | None


@event
class GateClosed:
    """No order of this instrument may be entered, changed or cancelled any more; the resting ones follow in slices.

    `watched` says that the rules have surveillance look at it.
    """

    market: Id
    delivery_start_at: TimeUs
    interval_min: Minutes
    resting: Count
    watched: bool = False


@event
class OrdersCancelled:
    """A slice of the resting orders that went out of one book together."""

    market: Id
    delivery_start_at: TimeUs
    reason: CancelReason
    orders: tuple[Id, ...]
    rests_wh: tuple[EnergyWh, ...]
    interval_min: Minutes | None = None


@event
class ContractProposed:
    """A negotiated contract waits for `awaiting` to approve it until `lapses_at`; what it needs is reserved.

    `zone` is the seller's (none: the market's home zone), `buyer_zone` the buyer's (none: the same).
    """

    market: Id
    contract: Id
    proposer: Id
    awaiting: Id
    seller: Id
    buyer: Id
    seller_connection: Id
    buyer_connection: Id
    first_start_at: TimeUs
    interval_min: Minutes
    quantity_wh: tuple[EnergyWh, ...]
    currency: Currency
    price_nano_per_kwh: PriceNanoPerKwh
    lapses_at: TimeUs
    zone: Id | None = None
    buyer_zone: Id | None = None


@event
class ContractConcluded:
    """The agreement between two parties: from a trade (`trade` set, binding at once) or from an approval.

    `quantity_wh` is per settlement interval of `interval_min` from `first_start_at` on. `zone` is the seller's,
    `buyer_zone` the buyer's (none: the same); between two zones it is firm, since no settlement sees both meters.
    The deliveries that were traded last `duration_min` (none: the settlement interval). The buyer pays the price; what
    the seller gets may be another one (none: the same), and the difference is the operator's.
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
    buyer_zone: Id | None = None
    baseline_method: Name | None = None
    tolerance_ppm: Ppm = 0
    penalty_ppm: Count = 0
    duration_min: Minutes | None = None
    seller_price_nano_per_kwh: PriceNanoPerKwh | None = None


@event
class ContractLapsed:
    """Nobody approved in time; what was reserved is free again."""

    market: Id
    contract: Id
    seller: Id
    buyer: Id


@event
class DeliverySettled:
    """Deliveries in [from_at, to_at) are settled in an area (a zone; none: in all of them).

    What is delivered within settled areas no longer counts as exposure; where nothing counts any more, books are gone.
    """

    market: Id
    from_at: TimeUs
    to_at: TimeUs
    area: Id | None = None


@event
class CommandRefused:
    """A wish that a rule of this family forbids; nothing else changed."""

    command: Name
    subject: Id
    party: Id
    reason: MarketRefusal
    limit: int
    found: int
