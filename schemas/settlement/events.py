"""Facts about a settlement area. Key: the area (a zone)."""

from enum import StrEnum

from schemas.message import event, value
from schemas.values import (
    AmountMicro,
    Count,
    Currency,
    EnergyWh,
    Id,
    Minutes,
    Name,
    PriceNanoPerKwh,
    SignedEnergyWh,
    TickNumber,
    TimeUs,
)


class RunType(StrEnum):
    """Which of the sequence of runs: the first one, or a later one after corrections."""

    INITIAL = "initial"
    CORRECTION = "correction"


class LineKind(StrEnum):
    """What a settlement line attributes.

    The first six attribute every metered Wh of a connection exactly once: withdrawals to shared
    consumption, delivered purchases or residual, injections to shared production, delivered sales or
    surplus. Imbalance and response are money on top and attribute nothing.

    Transit closes a contract whose other end is in another area: the market's operator stands in for that
    end. It sells what enters the area (+) and buys what leaves it (-), at the contract's price; the run of
    the other area holds the opposite line, so that over both runs the operator gains and loses nothing.

    A price difference closes a contract whose buyer pays another price than its seller gets: what lies between them
    is the operator's (+ where the buyer pays more), in the run of the buyer's area. Transit is at the seller's price.

    Residual and surplus have the reference `tariff` (the counterparty is the supplier or off-taker of
    the interval, whose tariff prices them) or `PRICED_AS_IMBALANCE` (`imbalance`): in an interval with
    a firm contract at the connection the rest is paid within the connection's imbalance line. Such a
    line keeps the energy identity whole; its counterparty is the run's operator and nobody bills it.
    """

    SHARED_CONSUMPTION = "shared_consumption"
    DELIVERED_PURCHASE = "delivered_purchase"
    RESIDUAL = "residual"
    SHARED_PRODUCTION = "shared_production"
    DELIVERED_SALE = "delivered_sale"
    SURPLUS = "surplus"
    IMBALANCE = "imbalance"
    RESPONSE = "response"
    TRANSIT = "transit"
    PRICE_DIFFERENCE = "price_difference"


class RunFailure(StrEnum):
    """Why a run ended without a result."""

    DEADLINE = "deadline"
    INPUT_MISSING = "input_missing"


class SettlementRefusal(StrEnum):
    """Why a wish of this family was refused, in the order of the checks."""

    NOT_AUTHORISED = "not_authorised"
    RUN_UNKNOWN = "run_unknown"
    RUN_NOT_OPEN = "run_not_open"
    RUN_STILL_OPEN = "run_still_open"
    PERIOD_INVALID = "period_invalid"
    CUTOFF_IN_THE_FUTURE = "cutoff_in_the_future"
    CUTOFF_NOT_AFTER_LAST = "cutoff_not_after_last"
    PERIOD_NOT_OVER = "period_not_over"
    PERIOD_OVERLAPS = "period_overlaps"
    RUN_TYPE_UNEXPECTED = "run_type_unexpected"
    CURRENCY_DIFFERS = "currency_differs"
    DEADLINE_PASSED = "deadline_passed"
    PART_UNEXPECTED = "part_unexpected"
    CONNECTION_TWICE = "connection_twice"
    LINE_TWICE = "line_twice"
    LINE_MISNAMED = "line_misnamed"
    ENERGY_NOT_ATTRIBUTED = "energy_not_attributed"
    AMOUNT_NOT_PRICE_TIMES_ENERGY = "amount_not_price_times_energy"
    TOTALS_DIFFER = "totals_differ"
    NOT_BALANCED = "not_balanced"
    RUN_NOT_COMPLETED = "run_not_completed"
    SAME_PERSON = "same_person"


@value
class ConnectionBalance:
    """The metered energy of a connection per interval of the run, as known at the cut-off.

    `party` is its customer in the last interval; intervals in which it was not part of the area hold 0.
    """

    connection: Id
    party: Id
    import_wh: tuple[EnergyWh, ...]
    export_wh: tuple[EnergyWh, ...]


@value
class SettlementLine:
    """Energy of one connection attributed to one cause, between its party and the counterparty that bills it.

    `line` is the same in every run of a period: a digest of its start, kind, connection, party,
    counterparty, reference and price. `reference` is the community, the contract, the event, the series
    of the imbalance price, or how a residual or surplus is priced (`LineKind`).

    `energy_wh` begins at interval `first_interval` of the run: Wh >= 0 attributed, or for imbalance
    surplus (+) and shortage (-), or for response the measured one, which may run past the period, or for
    transit what a contract brings into the area (+) or out of it (-).
    `settled_wh` is what price and points apply to: the sum of `energy_wh`, but under a firm contract the
    contracted energy (the deviation is in the imbalance line, never also at a tariff) and for a response
    the paid energy. `amount_micro` > 0 is received by the party: -/+ `price` x `settled_wh`, the sum of
    energy x price of the interval for imbalance (`price` 0), and 0 for residual and surplus. Of a price difference
    it is what the two amounts leave, each rounded by itself, so that a contract sums to zero.
    `points_micro` likewise, in 10⁻⁶ points. Money is rounded once per line, half up (away from zero).
    """

    line: Id
    kind: LineKind
    party: Id
    connection: Id
    counterparty: Id
    reference: Id
    first_interval: Count
    energy_wh: tuple[SignedEnergyWh, ...]
    settled_wh: SignedEnergyWh
    price_nano_per_kwh: PriceNanoPerKwh
    amount_micro: AmountMicro
    points_micro: AmountMicro


@value
class PostedLine:
    """The difference that a run makes to a line; the first run's difference is its whole.

    `energy_wh` is the difference of the settled energy.
    """

    line: Id
    kind: LineKind
    party: Id
    connection: Id
    counterparty: Id
    reference: Id
    energy_wh: SignedEnergyWh
    amount_micro: AmountMicro
    points_micro: AmountMicro


@event
class RunStarted:
    """Freezes a run: period, cut-off, and who started it. The calculation takes it from here.

    `number` counts the runs of the area. Completed runs that overlap the period and were never approved
    are discarded: whoever wants them runs again.
    """

    area: Id
    run: Id
    number: Count
    run_type: RunType
    starter: Id
    from_at: TimeUs
    to_at: TimeUs
    interval_min: Minutes
    cutoff_tick: TickNumber
    currency: Currency
    operator: Id
    imbalance_series: Id
    markets: tuple[Id, ...]
    deadline_at: TimeUs


@event
class RunPartRecorded:
    """A checked part of a run's result."""

    area: Id
    run: Id
    number: Count
    part: Count
    from_at: TimeUs
    interval_min: Minutes
    currency: Currency
    balances: tuple[ConnectionBalance, ...]
    lines: tuple[SettlementLine, ...]


@event
class RunCompleted:
    """The run's result is whole: every metered Wh is attributed exactly once. It waits for approval.

    `shared_wh` is consumed as much as produced, `delivered_wh` (settled) bought in the area, from sellers in
    it or by transit.
    """

    area: Id
    run: Id
    number: Count
    parts: Count
    connections: Count
    lines: Count
    shared_wh: SignedEnergyWh
    delivered_wh: SignedEnergyWh
    residual_wh: SignedEnergyWh
    surplus_wh: SignedEnergyWh


@event
class RunFailed:
    """The run ended without a result; nothing of it is posted. `missing` names what there was not."""

    area: Id
    run: Id
    number: Count
    reason: RunFailure
    missing: Id


@event
class RunPosted:
    """The run counts; its differences follow in slices. It replaces the runs before it."""

    area: Id
    run: Id
    number: Count
    approver: Id
    from_at: TimeUs
    to_at: TimeUs
    markets: tuple[Id, ...]
    differing_lines: Count


@event
class LinesPosted:
    """A slice of a posted run: the differences of one counterparty's lines against the run before."""

    area: Id
    run: Id
    number: Count
    slice: Count
    counterparty: Id
    from_at: TimeUs
    to_at: TimeUs
    currency: Currency
    lines: tuple[PostedLine, ...]


@event
class CommandRefused:
    """A wish that a rule of this family forbids; nothing else changed."""

    command: Name
    subject: Id
    reason: SettlementRefusal
    limit: int
    found: int
