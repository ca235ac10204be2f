"""The door for the sample communities: reads the files of one folder.

`examples/sample/README.md` describes files, units, signs and source. Everything is an integer: profiles in
ppm of the rating, power in W, energy in Wh per 15 minutes, times in UTC µs and always interval *starts*.
Whatever is wrong with a file is one `SampleFileError`; nothing partial is ever returned.
"""

import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NoReturn, cast, get_args
from zoneinfo import ZoneInfo

INTERVAL_MIN = 15
_INTERVAL = timedelta(minutes=INTERVAL_MIN)
_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"

_FIRST_YEAR, _LAST_YEAR = 1970, 2099
_MAX_DAYS = 400
_MAX_PPM = 2_000_000
_MAX_QUANTITY = 1_000_000_000  # W or Wh of one resource
_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}", re.ASCII)
_NUMBERS = re.compile(rf"(?:{_NUMBER.pattern})(?:,(?:{_NUMBER.pattern}))*", re.ASCII)

Series = tuple[int, ...]
"""One value per interval, from the first interval of the period to the last."""

ResourceType = Literal["load", "generation", "storage"]


class SampleFileError(Exception):
    """A sample file is not what it promises; nothing was loaded.

    `file`, `line` (from 1; 0 when the file cannot be read at all), `what` is wrong, `expected`, `found`.
    """

    def __init__(self, file: Path, line: int, what: str, expected: str, found: str) -> None:
        super().__init__(f"{file}, line {line}: {what}: expected {expected}, found {found}.")
        self.file = file
        self.line = line
        self.what = what
        self.expected = expected
        self.found = found


@dataclass(frozen=True, slots=True)
class SampleParty:
    """A household, farm or business without a name; one per load."""

    party: str


@dataclass(frozen=True, slots=True)
class SampleConnection:
    """A grid connection point of a party, at a node (bus) of the grid."""

    connection: str
    party: str
    node: str


@dataclass(frozen=True, slots=True)
class SampleResource:
    """A load, PV or battery behind a connection; power(t) = `rated_power_w` x profile(t).

    `capacity_wh` is 0 but for a storage. `source` is SimBench's id: the PV (`…-pv`) and the battery of one
    SimBench storage share it.
    """

    resource: str
    connection: str
    type: ResourceType
    profile: str
    rated_power_w: int
    capacity_wh: int
    source: str


@dataclass(frozen=True, slots=True)
class SampleCommunity:
    """One community over a period of whole local days that ends with the delivery day.

    `profiles`: ppm of the rating; load: consumption, generation: generation (both never negative),
    storage: discharge positive, charge negative. `day_starts` holds the first interval of each local day
    and, last, `interval_count`.
    """

    name: str
    time_zone: str
    first_start_utc_us: int
    interval_min: int
    interval_count: int
    local_dates: tuple[date, ...]
    day_starts: tuple[int, ...]
    parties: tuple[SampleParty, ...]
    connections: tuple[SampleConnection, ...]
    resources: tuple[SampleResource, ...]
    profiles: Mapping[str, Series]

    @property
    def delivery_day_index(self) -> int:
        """The last day's place in `local_dates`."""
        return len(self.local_dates) - 1

    def start_utc_us(self, interval: int) -> int:
        """The start of an interval, counted from 0, in UTC µs."""
        return self.first_start_utc_us + interval * (_INTERVAL // _MICROSECOND)

    def day_slice(self, day_index: int) -> slice:
        """The intervals of a local day: 96, or 92 and 100 where the clocks change. Raises IndexError."""
        if not 0 <= day_index < len(self.local_dates):
            raise IndexError(f"day index {day_index}: expected 0 to {len(self.local_dates) - 1}")
        return slice(self.day_starts[day_index], self.day_starts[day_index + 1])


def load_community(folder: Path) -> SampleCommunity:
    """Reads one community's folder, all of it or nothing. Raises SampleFileError."""
    name, time_zone, dates, bounds = _read_period(folder / "community.csv")
    starts = [bounds[0] + _INTERVAL * n for n in range((bounds[-1] - bounds[0]) // _INTERVAL)]
    parties = _read_parties(folder / "parties.csv")
    connections = _read_connections(folder / "connections.csv", parties)
    profiles, lines = _read_profiles(folder / "profiles.csv", [f"{start:{_TIME_FORMAT}}" for start in starts])
    resources = _read_resources(folder / "resources.csv", connections, profiles)
    _check_signs(folder / "profiles.csv", lines, resources, profiles)
    return SampleCommunity(
        name=name,
        time_zone=time_zone,
        first_start_utc_us=(bounds[0] - _EPOCH) // _MICROSECOND,
        interval_min=INTERVAL_MIN,
        interval_count=len(starts),
        local_dates=dates,
        day_starts=tuple((bound - bounds[0]) // _INTERVAL for bound in bounds),
        parties=parties,
        connections=connections,
        resources=resources,
        profiles=MappingProxyType(profiles),
    )


def _read_period(file: Path) -> tuple[str, str, tuple[date, ...], list[datetime]]:
    """Name, time zone, local dates and the UTC bounds of the local days (one more than dates)."""
    rows = list(_cells(file, ("name", "time_zone", "first_day", "delivery_day")))
    if len(rows) > 1:
        raise SampleFileError(file, rows[1]["name"].line, "one row too many", "one row", "a second one")
    row = rows[0]
    try:
        zone = ZoneInfo(row["time_zone"].text)
    except (KeyError, ValueError, OSError):  # OSError: the name of a folder of the zone files
        row["time_zone"].refuse("unknown time zone", "a name like 'Europe/Berlin'")
    first, delivery = _day(row["first_day"]), _day(row["delivery_day"])
    count = (delivery - first).days + 1
    if not 1 <= count <= _MAX_DAYS:
        row["delivery_day"].refuse("bad period", f"1 to {_MAX_DAYS} days from {first} on")
    if not _FIRST_YEAR <= first.year <= _LAST_YEAR:
        row["first_day"].refuse("bad period", f"a year from {_FIRST_YEAR} to {_LAST_YEAR}")
    dates = tuple(first + timedelta(days=n) for n in range(count))
    midnights = [datetime.combine(day, time(), zone) for day in (*dates, delivery + timedelta(days=1))]
    return row["name"].text, row["time_zone"].text, dates, [each.astimezone(UTC) for each in midnights]


def _read_parties(file: Path) -> tuple[SampleParty, ...]:
    seen: dict[str, int] = {}
    return tuple(SampleParty(_new(row["party"], seen)) for row in _cells(file, ("party",)))


def _read_connections(file: Path, parties: Sequence[SampleParty]) -> tuple[SampleConnection, ...]:
    seen: dict[str, int] = {}
    known = {party.party for party in parties}
    return tuple(
        SampleConnection(
            connection=_new(row["connection"], seen),
            party=_known(row["party"], known, "parties.csv"),
            node=row["node"].text,
        )
        for row in _cells(file, ("connection", "party", "node"))
    )


def _read_resources(
    file: Path, connections: Sequence[SampleConnection], profiles: Mapping[str, Series]
) -> tuple[SampleResource, ...]:
    seen: dict[str, int] = {}
    known = {connection.connection for connection in connections}
    columns = ("resource", "connection", "type", "profile", "rated_power_w", "capacity_wh", "source")
    resources = []
    for row in _cells(file, columns):
        if row["type"].text not in get_args(ResourceType):
            row["type"].refuse("wrong resource type", "load, generation or storage")
        type_ = cast(ResourceType, row["type"].text)
        lowest, highest = (1, _MAX_QUANTITY) if type_ == "storage" else (0, 0)
        resource = SampleResource(
            resource=_new(row["resource"], seen),
            connection=_known(row["connection"], known, "connections.csv"),
            type=type_,
            profile=_known(row["profile"], profiles, "profiles.csv"),
            rated_power_w=_number(row["rated_power_w"], 1, _MAX_QUANTITY, "W"),
            capacity_wh=_number(row["capacity_wh"], lowest, highest, f"Wh for a {type_}"),
            source=row["source"].text,
        )
        resources.append(resource)
    return tuple(resources)


def _read_profiles(file: Path, starts: Sequence[str]) -> tuple[dict[str, Series], list[int]]:
    """The profiles by name, and the line of each interval."""
    header, rows = _rows(file)
    names = _names(file, header, ("start_utc",), more=True)[1:]
    values: list[Sequence[int]] = []
    lines: list[int] = []
    for line, fields in rows:
        cell = _Cell(file, line, "start_utc", fields[0])
        if len(lines) == len(starts) or fields[0] != starts[len(lines)]:
            _refuse_time(cell, starts, lines)
        if not _NUMBERS.fullmatch(",".join(fields[1:])):
            for name, text in zip(names, fields[1:], strict=True):
                _number(_Cell(file, line, name, text), -_MAX_PPM, _MAX_PPM, "ppm")
        values.append([int(text) for text in fields[1:]])
        lines.append(line)
    if len(lines) < len(starts):
        end = lines[-1] + 1 if lines else 2
        raise SampleFileError(file, end, "missing interval", starts[len(lines)], "the end of the file")
    profiles: dict[str, Series] = dict(zip(names, zip(*values, strict=True), strict=True))
    for name, series in profiles.items():
        for beyond in (min(series), max(series)):
            cell = _Cell(file, lines[series.index(beyond)], name, str(beyond))
            _number(cell, -_MAX_PPM, _MAX_PPM, "ppm")
    return profiles, lines


def _refuse_time(cell: "_Cell", starts: Sequence[str], lines: Sequence[int]) -> NoReturn:
    """Says what is wrong with a start that is not the next one (`lines`: those of the starts so far)."""
    due = starts[len(lines)] if len(lines) < len(starts) else "the end of the file"
    start = _parse(cell, _TIME_FORMAT, "a UTC time like 2016-05-09T22:00:00Z")
    position, off_grid = divmod(start - datetime.fromisoformat(starts[0]), _INTERVAL)
    if off_grid:
        cell.refuse(f"time off the {INTERVAL_MIN}-minute grid", due)
    if not 0 <= position < len(starts):
        cell.refuse("time outside the period", f"{starts[0]} to {starts[-1]}")
    if position < len(lines):
        cell.refuse("duplicate row", due, f"{cell.text}, also on line {lines[position]}")
    cell.refuse("missing interval", due)


def _check_signs(
    file: Path, lines: Sequence[int], resources: Sequence[SampleResource], profiles: Mapping[str, Series]
) -> None:
    """Only a storage goes both ways."""
    lowest = {name: min(series) for name, series in profiles.items()}
    for resource in resources:
        if resource.type != "storage" and lowest[resource.profile] < 0:
            series = profiles[resource.profile]
            at = next(interval for interval, value in enumerate(series) if value < 0)
            expected = f"0 or more, because the {resource.type} {resource.resource} uses it"
            _Cell(file, lines[at], resource.profile, str(series[at])).refuse("negative value", expected)


# ------------------------------------------------------------------------- rows, cells and their values


@dataclass(frozen=True, slots=True)
class _Cell:
    """One value with its place."""

    file: Path
    line: int
    column: str
    text: str

    def refuse(self, what: str, expected: str, found: str = "") -> NoReturn:
        """Raises SampleFileError for this place."""
        raise SampleFileError(
            self.file, self.line, f"{what} in column {self.column!r}", expected, found or repr(self.text[:80])
        )


def _rows(file: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Header and rows, each with its line; every row has as many fields as the header."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise SampleFileError(file, 0, "unreadable file", "a file", str(error.strerror)) from error
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = f"the byte 0x{content[error.start]:02x}"
        raise SampleFileError(file, line, "wrong encoding", "UTF-8", found) from error
    if text.startswith("\ufeff"):
        raise SampleFileError(file, 1, "wrong encoding", "UTF-8 without byte order mark", "the mark")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header, *rows = ((reader.line_num, fields) for fields in reader)
    except csv.Error as error:
        line = reader.line_num
        raise SampleFileError(file, line, "broken CSV", "comma-separated fields", str(error)) from error
    except ValueError:  # not even a header to unpack
        raise SampleFileError(file, 1, "empty file", "a header row", "nothing") from None
    for line, fields in rows:
        if len(fields) != len(header[1]):
            expected, found = f"{len(header[1])} fields as in the header", str(len(fields))
            raise SampleFileError(file, line, "wrong number of fields", expected, found)
    return header[1], rows


def _names(file: Path, header: list[str], columns: Sequence[str], *, more: bool = False) -> list[str]:
    """The header, when it names the columns and each name once; `more` columns may, and must, follow."""
    given = ", ".join(header) or "an empty line"
    for column in columns:
        if column not in header:
            raise SampleFileError(file, 1, f"missing column {column!r}", ", ".join(columns), given)
    for column in header:
        if header.count(column) > 1:
            raise SampleFileError(file, 1, f"duplicate column {column!r}", "each column once", given)
        if not column or (column not in columns and not more):
            raise SampleFileError(file, 1, f"unknown column {column!r}", ", ".join(columns), given)
    if more and (len(header) == len(columns) or header[: len(columns)] != list(columns)):
        raise SampleFileError(file, 1, "bad columns", f"{', '.join(columns)}, then the profiles", given)
    return header


def _cells(file: Path, columns: Sequence[str]) -> Iterator[dict[str, _Cell]]:
    """The rows of a small file, at least one, as cells by column, none of them blank."""
    header, rows = _rows(file)
    names = _names(file, header, columns)
    if not rows:
        raise SampleFileError(file, 2, "no rows", "at least one row below the header", "the end of the file")
    for line, fields in rows:
        row = {name: _Cell(file, line, name, text) for name, text in zip(names, fields, strict=True)}
        for cell in row.values():
            if not cell.text.isprintable() or cell.text != cell.text.strip() or not cell.text:
                cell.refuse("bad text", "printable characters without blanks around them")
        yield row


def _new(cell: _Cell, seen: dict[str, int]) -> str:
    if cell.text in seen:
        cell.refuse("duplicate id", "each id once", f"{cell.text!r}, also on line {seen[cell.text]}")
    seen[cell.text] = cell.line
    return cell.text


def _known(cell: _Cell, known: Collection[str], where: str) -> str:
    if cell.text not in known:
        cell.refuse(f"unknown {cell.column}", f"one from {where}")
    return cell.text


def _number(cell: _Cell, lowest: int, highest: int, unit: str) -> int:
    if not _NUMBER.fullmatch(cell.text) or not lowest <= int(cell.text) <= highest:
        between = str(lowest) if lowest == highest else f"a whole number from {lowest} to {highest}"
        cell.refuse("bad number", f"{between} {unit}")
    return int(cell.text)


def _day(cell: _Cell) -> date:
    return _parse(cell, "%Y-%m-%d", "a date like 2016-05-10").date()


def _parse(cell: _Cell, form: str, expected: str) -> datetime:
    """A time in exactly one spelling, as UTC."""
    try:
        parsed = datetime.strptime(cell.text, form).replace(tzinfo=UTC)
    except ValueError:
        cell.refuse("bad time", expected)
    if f"{parsed:{form}}" != cell.text:  # strptime also takes 2016-5-9
        cell.refuse("bad time", expected)
    return parsed
