"""Wishes about a settlement area. Key: the area (a zone)."""

from schemas.message import command
from schemas.settlement.events import ConnectionBalance, RunType, SettlementLine
from schemas.values import Count, Currency, Id, Minutes, SignedEnergyWh, TickNumber, TimeUs


@command
class StartRun:
    """Settles deliveries in [from_at, to_at) from what was known at tick `cutoff_tick`.

    `operator` is the issuer of imbalance lines, `imbalance_series` their price; `markets` are told when
    the run is posted.
    """

    run_type: RunType
    from_at: TimeUs
    to_at: TimeUs
    interval_min: Minutes
    cutoff_tick: TickNumber
    currency: Currency
    operator: Id
    imbalance_series: Id
    markets: tuple[Id, ...]
    deadline_at: TimeUs


@command
class ProposeRunPart:
    """A part of a computed run (sent by the calculation): some connections with all their lines."""

    run: Id
    part: Count
    balances: tuple[ConnectionBalance, ...]
    lines: tuple[SettlementLine, ...]


@command
class ProposeRunTotals:
    """The last part of a computed run: how many parts and what they sum to. A valid one completes the run.

    Sums of settled energy: consumption of the shared, purchases of the delivered.
    """

    run: Id
    parts: Count
    connections: Count
    lines: Count
    shared_wh: SignedEnergyWh
    delivered_wh: SignedEnergyWh
    residual_wh: SignedEnergyWh
    surplus_wh: SignedEnergyWh


@command
class ReportRunProblem:
    """The calculation could not compute the run: something is missing (`missing` names it)."""

    run: Id
    missing: Id


@command
class ApproveRun:
    """Somebody other than who started the run lets it be posted."""

    run: Id
