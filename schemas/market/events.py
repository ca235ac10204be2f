"""Facts about a market. Key: the market."""

from enum import StrEnum

from schemas.equipment import Equipment, StoredEnergy
from schemas.market.surveillance_events import SurveillanceRules
from schemas.message import event, value
from schemas.values import (
    AmountMicro,
    Count,
    Currency,
    DeliveryMode,
    EnergyWh,
    FeeNanoPerKwh,
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


class CancelReason(StrEnum):
    """Why an order, or what is left of it, leaves the book."""

    OWNER = "owner"
    IOC_REST = "ioc_rest"
    FOK_UNFILLABLE = "fok_unfillable"
    SELF_TRADE = "self_trade"
    MATCH_LIMIT = "match_limit"
    EXPIRED = "expired"
    GATE_CLOSED = "gate_closed"
    AON_UNFILLABLE = "aon_unfillable"
    MINIMUM_UNFILLABLE = "minimum_unfillable"
    EXECUTION_BAND = "execution_band"
    AMENDED = "amended"
    MASS_CANCELLATION = "mass_cancellation"
    MARKET_SUSPENDED = "market_suspended"
    AUCTION_FAILED = "auction_failed"
    PRODUCT_ENDED = "product_ended"
    DEFAULT = "default"
    MANDATE_ENDED = "mandate_ended"


class MarketRefusal(StrEnum):
    """Why a wish of this family was refused, in the order of the checks (`domain/market/validation.py`)."""

    MARKET_UNKNOWN = "market_unknown"
    ORDER_UNKNOWN = "order_unknown"
    CONTRACT_UNKNOWN = "contract_unknown"
    NOT_AUTHORISED = "not_authorised"
    WRONG_CURRENCY = "wrong_currency"
    WRONG_ZONE = "wrong_zone"
    NOT_FUTURE = "not_future"
    INVALID_RULES = "invalid_rules"
    ALREADY_ADMITTED = "already_admitted"
    DELIVERY_NOT_OVER = "delivery_not_over"
    SAME_PARTY = "same_party"
    TOO_MANY_INTERVALS = "too_many_intervals"
    SESSION_OFF_GRID = "session_off_grid"
    SESSION_OVERLAPS = "session_overlaps"
    INSTRUMENT_UNKNOWN = "instrument_unknown"
    NOT_OPEN = "not_open"
    GATE_CLOSED = "gate_closed"
    ORDER_NOT_OPEN = "order_not_open"
    CONTRACT_NOT_PROPOSED = "contract_not_proposed"
    PARTICIPANT_UNKNOWN = "participant_unknown"
    CONNECTION_UNKNOWN = "connection_unknown"
    RESOURCE_NOT_VERIFIED = "resource_not_verified"
    QUANTITY_ZERO = "quantity_zero"
    QUANTITY_OFF_LOT = "quantity_off_lot"
    QUANTITY_ABOVE_MAXIMUM = "quantity_above_maximum"
    PRICE_OFF_TICK = "price_off_tick"
    PRICE_OUT_OF_RANGE = "price_out_of_range"
    EXPIRY_IN_THE_PAST = "expiry_in_the_past"
    EXPIRY_AFTER_GATE = "expiry_after_gate"
    CAPABILITY_EXCEEDED = "capability_exceeded"
    CREDIT_EXCEEDED = "credit_exceeded"
    ZONE_UNKNOWN = "zone_unknown"
    LINE_UNKNOWN = "line_unknown"
    SUSPENDED = "suspended"
    MINIMUM_ABOVE_QUANTITY = "minimum_above_quantity"
    PRICE_OUT_OF_COLLAR = "price_out_of_collar"
    RESTRICTION_NOT_IN_CALL = "restriction_not_in_call"
    NOTHING_CHANGED = "nothing_changed"
    AUCTION_UNDERWAY = "auction_underway"
    NOT_SUSPENDED = "not_suspended"
    TOO_MANY_ORDERS = "too_many_orders"
    BASKET_OVERLAPS = "basket_overlaps"
    BLOCK_UNKNOWN = "block_unknown"
    RESTRICTION_NOT_IN_BLOCK = "restriction_not_in_block"
    CAPABILITY_IN_USE = "capability_in_use"
    STORAGE_EXCEEDED = "storage_exceeded"
    LISTING_UNKNOWN = "listing_unknown"
    INVALID_LISTING = "invalid_listing"
    LISTING_NOT_OPEN = "listing_not_open"
    CAPACITY_EXCEEDED = "capacity_exceeded"
    BID_NOT_STANDING = "bid_not_standing"
    BID_LEADS = "bid_leads"
    REASON_MISSING = "reason_missing"
    TOO_MANY_BIDS = "too_many_bids"
    BELOW_RESERVE = "below_reserve"
    BELOW_INCREMENT = "below_increment"
    PARTICIPANT_IN_DEFAULT = "participant_in_default"
    CONTRACT_NOT_CONCLUDED = "contract_not_concluded"
    VERSION_OUTDATED = "version_outdated"
    REVISION_WAITING = "revision_waiting"
    REVISION_NOT_WAITING = "revision_not_waiting"
    INTERVALS_DIFFER = "intervals_differ"
    WINDOW_OVER = "window_over"
    LINE_EXCEEDED = "line_exceeded"
    NOT_IN_DEFAULT = "not_in_default"
    DEFAULT_STILL_OPEN = "default_still_open"
    REBID_UNFOUNDED = "rebid_unfounded"
    OUTLET_UNKNOWN = "outlet_unknown"
    OUTLET_NOT_PROPOSED = "outlet_not_proposed"
    OUTLET_NOT_CONCLUDED = "outlet_not_concluded"
    OUTLET_OVERLAPS = "outlet_overlaps"
    PERIOD_INVALID = "period_invalid"
    TOO_MANY_CONNECTIONS = "too_many_connections"
    NOT_FORWARD = "not_forward"
    POSITION_UNKNOWN = "position_unknown"
    SURVEILLANCE_OFF = "surveillance_off"
    ALREADY_REPORTED = "already_reported"


@value
class Line:
    """A connection between two zones; what crosses it counts per settlement interval. Lines close no ring."""

    line: Id
    from_zone: Id
    to_zone: Id


@value
class NetworkRules:
    """The zones beside the market's home zone, and the lines between them (a tree: one way between any two)."""

    zones: tuple[Id, ...]
    lines: tuple[Line, ...]


@value
class TradingRules:
    """What continuous trading may do beside the plain rules; 0 turns a band off.

    Instruments of `durations_min` are listed beside those of the settlement interval. The reference price is the
    instrument's last trade, before the first one `reference_price_nano_per_kwh`. A limit further than `collar` from it
    on the dear side is refused; a match further than `execution_band` ends the order; a match further than `halt_band`
    halts the book for `halt_min` and ends the halt in a call auction (domain rules §1.1 rule 10).
    """

    durations_min: tuple[Minutes, ...]
    reference_price_nano_per_kwh: PriceNanoPerKwh
    collar_nano_per_kwh: Count
    execution_band_nano_per_kwh: Count
    halt_band_nano_per_kwh: Count
    halt_min: Count
    manifest_error_min: Count


@value
class ContractRules:
    """What contracts name beside their price and how they are settled, and what leaving one costs.

    `baseline_method` measures a reduction that is sold. A deviation within `tolerance_ppm` of the contracted
    quantity costs nothing, beyond it `penalty_ppm` of the price. Who cancels a contract alone owes the other
    side `cancellation_fee_nano_per_kwh` of what was contracted.
    """

    baseline_method: Name | None
    tolerance_ppm: Ppm
    penalty_ppm: Count
    cancellation_fee_nano_per_kwh: FeeNanoPerKwh


@value
class CreditRules:
    """What purchases cost on top of their price, and what happens to who is exposed beyond the limit.

    A bought Wh costs its price and the fee, and `tax_ppm` of both. Who is above the limit has `margin_deadline_min`
    to come back (0: nobody is called); then undelivered contracts end at the close-out price. The operator's
    fund bears up to `default_fund_micro` of what a default costs.
    """

    fee_nano_per_kwh: FeeNanoPerKwh
    tax_ppm: Ppm
    margin_deadline_min: Count
    close_out_price_nano_per_kwh: PriceNanoPerKwh
    default_fund_micro: AmountMicro


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
    surveillance: SurveillanceRules | None = None


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
    """Two orders met at the resting order's price; the rests are what stays open of each."""

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


@event
class GateClosed:
    """No order of this instrument may be entered, changed or cancelled any more; the resting ones follow in slices."""

    market: Id
    delivery_start_at: TimeUs
    interval_min: Minutes
    resting: Count


@event
class OrdersCancelled:
    """A slice of the resting orders that the market took out of a closed book."""

    market: Id
    delivery_start_at: TimeUs
    reason: CancelReason
    orders: tuple[Id, ...]
    rests_wh: tuple[EnergyWh, ...]


@event
class ContractProposed:
    """A negotiated contract waits for `awaiting` to approve it until `lapses_at`; what it needs is reserved."""

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


@event
class ContractConcluded:
    """The agreement between two parties: from a trade (`trade` set, binding at once) or from an approval.

    `quantity_wh` is per settlement interval of `interval_min` from `first_start_at` on. `zone` is the seller's,
    `buyer_zone` the buyer's (none: the same); between two zones it is firm, since no settlement sees both meters.
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


@event
class ContractLapsed:
    """Nobody approved in time; what was reserved is free again."""

    market: Id
    contract: Id
    seller: Id
    buyer: Id


@event
class DeliverySettled:
    """Deliveries in [from_at, to_at) no longer count as exposure; their books are gone."""

    market: Id
    from_at: TimeUs
    to_at: TimeUs


@event
class CommandRefused:
    """A wish that a rule of this family forbids; nothing else changed."""

    command: Name
    subject: Id
    party: Id
    reason: MarketRefusal
    limit: int
    found: int
