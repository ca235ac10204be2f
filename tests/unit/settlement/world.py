"""A small area as the history views tell it: rows by name, a run over them, and what comes out."""

from collections.abc import Iterable, Mapping
from typing import Any

from domain.settlement.calc_run import CALCULATION
from schemas.envelope import Recorded
from schemas.settlement.commands import ProposeRunPart, ReportRunProblem
from schemas.settlement.events import ConnectionBalance, LineKind, RunStarted, RunType, SettlementLine
from tests.unit.written import recorded

MINUTE = 60_000_000
QUARTER = 15 * MINUTE
AREA, OPERATOR, SERIES, CURRENCY = "zone", "operator", "imbalance-price", "EUR"
IMPORT, EXPORT = "import_from_grid", "export_to_grid"

Row = dict[str, Any]


class World:
    """Rows of the other families' history views. Every row is known later than the one before it."""

    def __init__(self, intervals: int = 1) -> None:
        self.intervals = intervals
        self.inputs: dict[str, list[Row]] = {
            "connections": [],
            "sharing_memberships": [],
            "sharing_rules": [],
            "contracts": [],
            "readings": [],
            "prices": [],
            "performances": [],
        }
        self._seq = 0

    def _add(self, view: str, row: Row, overrides: Mapping[str, Any]) -> None:
        self._seq += 1
        self.inputs[view].append({"tick": self._seq, "seq": self._seq, "row": 0, **row, **overrides})

    def connect(self, *connections: str, **overrides: Any) -> "World":
        """Connections with their customer, supplier and off-taker."""
        for connection in connections:
            row = {
                "connection": connection,
                "zone": AREA,
                "customer": f"party-{connection}",
                "supplier": "supplier",
                "off_taker": "off-taker",
                "metering_point": f"meter-{connection}",
                "valid_from": 0,
            }
            self._add("connections", row, overrides)
        return self

    def join(self, community: str, factor_ppm: int = 1_000_000, *connections: str, **overrides: Any) -> "World":
        """Memberships with one factor."""
        for connection in connections:
            row = {
                "connection": connection,
                "community": community,
                "factor_ppm": factor_ppm,
                "valid_from": 0,
            }
            self._add("sharing_memberships", row, overrides)
        return self

    def rules(self, community: str, **overrides: Any) -> "World":
        """A community's rules: 12 ct/kWh paid, 10 ct/kWh received, 2 points per kWh."""
        row = {
            "community": community,
            "organiser": f"organiser-{community}",
            "key": "dynamic",
            "interval_min": 15,
            "currency": CURRENCY,
            "consumer_price_nano_per_kwh": 120_000_000,
            "producer_price_nano_per_kwh": 100_000_000,
            "points_per_kwh": 2,
            "valid_from": 0,
        }
        self._add("sharing_rules", row, overrides)
        return self

    def contract(
        self, contract: str, seller: str, buyer: str, *quantity_wh: int, mode: str = "as_delivered", **overrides: Any
    ) -> "World":
        """A contract between the customers of two connections, at 10 ct/kWh and 3 points per kWh."""
        row = {
            "contract": contract,
            "operator": "market-operator",
            "seller": f"party-{seller}",
            "buyer": f"party-{buyer}",
            "seller_connection": seller,
            "buyer_connection": buyer,
            "first_start_at": 0,
            "interval_min": 15,
            "quantity_wh": list(quantity_wh),
            "currency": CURRENCY,
            "price_nano_per_kwh": 100_000_000,
            "seller_price_nano_per_kwh": None,
            "points_per_kwh": 3,
            "delivery_mode": mode,
            "zone": AREA,
            "buyer_zone": None,
            "version": 1,
            "state": "concluded",
        }
        self._add("contracts", row, overrides)
        return self

    def read(self, connection: str, imported: Iterable[int], exported: Iterable[int], **overrides: Any) -> "World":
        """Both registers of a connection's utility meter."""
        for direction, energy in ((IMPORT, imported), (EXPORT, exported)):
            row = {
                "metering_point": f"meter-{connection}",
                "meter_kind": "utility",
                "direction": direction,
                "start_at": 0,
                "interval_min": 15,
                "energy_wh": list(energy),
            }
            self._add("readings", row, overrides)
        return self

    def price(self, *price_nano_per_kwh: int, **overrides: Any) -> "World":
        """Imbalance prices from the first interval on."""
        row = {
            "series": SERIES,
            "currency": CURRENCY,
            "start_at": 0,
            "interval_min": 15,
            "price_nano_per_kwh": list(price_nano_per_kwh),
        }
        self._add("prices", row, overrides)
        return self

    def perform(
        self, event: str, connection: str, response_wh: Iterable[int], paid_wh: int, **overrides: Any
    ) -> "World":
        """A measured response, paid with 50 ct/kWh."""
        row = {
            "event": event,
            "version": 1,
            "operator": "aggregator",
            "currency": CURRENCY,
            "incentive_nano_per_kwh": 500_000_000,
            "start_at": 0,
            "interval_min": 15,
            "connection": connection,
            "party": f"party-{connection}",
            "response_wh": list(response_wh),
            "paid_wh": paid_wh,
        }
        self._add("performances", row, overrides)
        return self

    def run(self, area: str = AREA) -> Recorded[RunStarted]:
        """A run over the whole period."""
        return recorded("settlement", area, started(self.intervals, area=area))

    def proposals(self, area: str = AREA) -> list[Any]:
        """What the calculation proposes."""
        return list(CALCULATION.compute(self.run(area), self.inputs))

    def missing(self) -> str:
        """What the calculation reports as missing."""
        (problem,) = self.proposals()
        assert isinstance(problem, ReportRunProblem), problem
        return problem.missing

    def result(self, area: str = AREA) -> "Result":
        """The lines and balances of a run in which nothing is missing."""
        return Result(self.proposals(area))


class Result:
    """A computed run, to be asked."""

    def __init__(self, proposals: list[Any]) -> None:
        *parts, self.totals = proposals
        assert all(isinstance(part, ProposeRunPart) for part in parts), proposals
        self.parts: list[ProposeRunPart] = parts
        self.lines: list[SettlementLine] = [line for part in parts for line in part.lines]
        self.balances: list[ConnectionBalance] = [b for part in parts for b in part.balances]

    def of(self, kind: LineKind, connection: str | None = None) -> list[SettlementLine]:
        """The lines of a kind, of one connection or all."""
        return [li for li in self.lines if li.kind is kind and connection in (None, li.connection)]

    def one(self, kind: LineKind, connection: str) -> SettlementLine:
        """The only line of a kind at a connection."""
        (line,) = self.of(kind, connection)
        return line

    def wh(self, kind: LineKind, connection: str) -> int:
        """The energy of a kind at a connection, over all lines."""
        return sum(sum(line.energy_wh) for line in self.of(kind, connection))


def started(intervals: int = 1, run: str = "run", number: int = 1, **overrides: Any) -> RunStarted:
    """A run over intervals from time 0 on, started by `starter`."""
    fields: dict[str, Any] = {
        "area": AREA,
        "run": run,
        "number": number,
        "run_type": RunType.INITIAL,
        "starter": "starter",
        "from_at": 0,
        "to_at": intervals * QUARTER,
        "interval_min": 15,
        "cutoff_tick": 0,
        "currency": CURRENCY,
        "operator": OPERATOR,
        "imbalance_series": SERIES,
        "markets": ("market",),
        "deadline_at": 10**12,
    }
    return RunStarted(**{**fields, **overrides})
