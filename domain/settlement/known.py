"""What a run knows: rows valid at the interval, known at the cut-off (domain rules §4.6). Missing is never zero."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from domain.calculation import Row
from schemas.settlement.events import RunStarted
from schemas.values import MINUTE_US


class InputMissing(Exception):
    """The run cannot be computed: `name` says what there is not, or does not fit the run."""

    def __init__(self, name: str, *parts: str | int) -> None:
        self.name = "/".join((name, *map(str, parts)))
        super().__init__(self.name)


@dataclass(frozen=True, slots=True)
class Period:
    """The intervals of a run, numbered from 0."""

    from_at: int
    interval_min: int
    count: int

    @classmethod
    def of(cls, run: RunStarted) -> "Period":
        """The period of a run."""
        return cls(run.from_at, run.interval_min, (run.to_at - run.from_at) // (run.interval_min * MINUTE_US))

    def start_of(self, interval: int) -> int:
        """When an interval begins, UTC µs."""
        return self.from_at + interval * self.interval_min * MINUTE_US

    def index_of(self, at: int) -> int | None:
        """The number of the interval that begins at `at`, outside the period too; none off the grid."""
        index, off = divmod(at - self.from_at, self.interval_min * MINUTE_US)
        return None if off else index


class Timeline:
    """The versions of one thing in valid time: the newest by (`valid_from`, tick, seq) that begins in time."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = sorted(rows, key=lambda row: (row["valid_from"], row["tick"], row["seq"]))
        self._from = [row["valid_from"] for row in self._rows]

    def at(self, moment: int) -> Row | None:
        """The version that holds at `moment`; none before the first."""
        index = bisect_right(self._from, moment)
        return self._rows[index - 1] if index else None


def timelines(rows: Iterable[Row], column: str) -> dict[str, Timeline]:
    """One timeline for each value of the column, in order of the value."""
    return {name: Timeline(group) for name, group in grouped(rows, column).items()}


def grouped(rows: Iterable[Row], column: str) -> dict[str, list[Row]]:
    """Rows by the value of a column, in order of the value."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[column], []).append(row)
    return dict(sorted(groups.items()))


def readings(rows: Iterable[Row], period: Period) -> Mapping[tuple[str, str], Sequence[int | None]]:
    """Metered Wh per interval by (metering point, direction): the newest value of each; finer ones are summed.

    An interval without a whole reading holds none.

    Raises:
        InputMissing: the readings' interval does not fit into the run's.
    """
    registers: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        registers.setdefault((row["metering_point"], row["direction"]), []).append(row)
    return {register: _register(registers[register], period) for register in sorted(registers)}


def _register(rows: list[Row], period: Period) -> list[int | None]:
    finest = rows[0]["interval_min"]
    if period.interval_min % finest or any(row["interval_min"] != finest for row in rows):
        raise InputMissing("reading_interval", rows[0]["metering_point"])
    per_interval = period.interval_min // finest
    fine = Period(period.from_at, finest, period.count * per_interval)
    found = _newest(rows, fine, "energy_wh", ("reading_start", rows[0]["metering_point"]))
    if per_interval == 1:
        return found
    summed: list[int | None] = []
    for first in range(0, fine.count, per_interval):
        parts = [wh for wh in found[first : first + per_interval] if wh is not None]
        summed.append(sum(parts) if len(parts) == per_interval else None)
    return summed


def prices(rows: Sequence[Row], period: Period, currency: str) -> list[int | None]:
    """The newest price (10⁻⁹ per kWh) of each interval; a coarser price holds for all intervals in its own.

    Raises:
        InputMissing: another currency, or an interval that the run's does not fit into.
    """
    found: list[int | None] = [None] * period.count
    for row in sorted(rows, key=_when_known):
        if row["currency"] != currency:
            raise InputMissing("price_currency", row["series"])
        per_price, off = divmod(row["interval_min"], period.interval_min)
        start = period.index_of(row["start_at"])
        if off or start is None:
            raise InputMissing("price_interval", row["series"])
        values = row["price_nano_per_kwh"]
        for index in range(max(start, 0), min(start + len(values) * per_price, period.count)):
            found[index] = values[(index - start) // per_price]
    return found


def _newest(rows: list[Row], period: Period, column: str, problem: tuple[str, str]) -> list[int | None]:
    found: list[int | None] = [None] * period.count
    for row in sorted(rows, key=_when_known):
        start = period.index_of(row["start_at"])
        if start is None:
            raise InputMissing(*problem)
        values = row[column]
        first, end = max(start, 0), min(start + len(values), period.count)
        if first < end:
            found[first:end] = values[first - start : end - start]
    return found


def _when_known(row: Row) -> tuple[int, int, int]:
    return row["tick"], row["seq"], row["row"]
