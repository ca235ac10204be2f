"""Writes the sample communities (`examples/sample/<community>/*.csv`) from the SimBench package.

Run by hand, never by the demo or a test, in a folder that is thrown away afterwards (the wheel has 90 MB):

    python3.11 -m pip download --no-deps simbench==1.6.3
    python3.11 examples/extract_simbench.py simbench-1.6.3-py3-none-any.whl

It reads these files inside the wheel, below `simbench/networks/1-complete_data-mixed-all-1-sw/`, and
needs nothing but the standard library: `Load.csv`, `RES.csv`, `Storage.csv` (who has what),
`LoadProfile.csv`, `RESProfile.csv`, `StorageProfile.csv` (15-minute steps of 2016 in units of the rating).
The same wheel always gives the same bytes; another wheel is refused. What the columns mean, and what was
found out about the source, stands in `examples/sample/README.md`.
"""

import argparse
import csv
import hashlib
import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

SOURCE_SHA256 = "8b48bdab2445286a96649eb18bb09476d000a0e212fd57fdba83399df54af4de"  # simbench 1.6.3
SCENARIO = "simbench/networks/1-complete_data-mixed-all-1-sw"
SUBNETS = ("LV1.101", "LV5.201")
TIME_ZONE = "Europe/Berlin"
FIRST_DAY = date(2016, 5, 10)
DELIVERY_DAY = date(2016, 6, 21)
STEP = timedelta(minutes=15)
STEPS_OF_2016 = 366 * 96

Row = dict[str, str]
Ppm = dict[str, list[int]]
"""Profile name -> one value per step, in millionths of the rating."""


class SourceNotAsExpected(Exception):
    """The wheel does not hold what this script was written for; nothing was written."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One row of `resources.csv`."""

    resource: str
    connection: str
    type: str
    profile: str
    rated_power_w: int
    capacity_wh: int
    source: str


@dataclass(frozen=True, slots=True)
class Community:
    """What is written for one SimBench subnet; `loads` in the order of their numbers."""

    name: str
    prefix: str
    loads: Sequence[Row]
    parties: Sequence[str]
    connections: Sequence[str]
    resources: Sequence[Resource]


def main() -> None:
    """Checks the wheel, reads it, writes one folder per community."""
    parser = argparse.ArgumentParser(description="Write the sample communities from the SimBench wheel.")
    parser.add_argument("wheel", type=Path, help="simbench-1.6.3-py3-none-any.whl")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "sample", help="folder to write")
    arguments = parser.parse_args()
    digest = hashlib.sha256(arguments.wheel.read_bytes()).hexdigest()
    if digest != SOURCE_SHA256:
        raise SourceNotAsExpected(f"{arguments.wheel.name}: expected SHA-256 {SOURCE_SHA256}, found {digest}")
    with zipfile.ZipFile(arguments.wheel) as wheel:
        communities = [read_community(wheel, subnet) for subnet in SUBNETS]
        starts, ppm = read_profiles(wheel, communities)
    for community in communities:
        write_community(arguments.out / community.prefix, community, starts, ppm)


def read_community(wheel: zipfile.ZipFile, subnet: str) -> Community:
    """The loads, PV and storages of one subnet, as parties, connections and resources."""
    loads = _elements(wheel, "Load", subnet)
    prefix = subnet.lower().replace(".", "-")
    digits = max(2, len(str(len(loads))))
    parties = [f"{prefix}-h{number:0{digits}}" for number in range(1, len(loads) + 1)]
    connections = [f"{prefix}-c{number:0{digits}}" for number in range(1, len(loads) + 1)]
    resources = []
    first_at: dict[str, int] = {}  # bus -> index of its first load
    for index, load in enumerate(loads):
        first_at.setdefault(load["node"], index)
        name = f"{prefix}-l{index + 1:0{digits}}"
        rating = _millionths(load["pLoad"])
        resources.append(Resource(name, connections[index], "load", load["profile"], rating, 0, load["id"]))
    for number, pv in enumerate(_elements(wheel, "RES", subnet), start=1):
        name = f"{prefix}-g{number:0{digits}}"
        if pv["type"] != "PV" or pv["node"] not in first_at:
            raise SourceNotAsExpected(f"{pv['id']}: expected PV at a bus with a load, found {pv}")
        connection = connections[first_at[pv["node"]]]
        rating = _millionths(pv["pRES"])
        resources.append(Resource(name, connection, "generation", pv["profile"], rating, 0, pv["id"]))
    for number, plant in enumerate(_elements(wheel, "Storage", subnet), start=1):
        if plant["node"] not in first_at:
            raise SourceNotAsExpected(f"{plant['id']}: expected a load at {plant['node']}, found none")
        index = first_at[plant["node"]]
        name = f"{prefix}-s{number:0{digits}}"
        resources += _parts_of_plant(plant, name, connections[index], loads[index]["profile"])
    return Community(subnet, prefix, loads, parties, connections, resources)


def _parts_of_plant(plant: Row, name: str, connection: str, load_profile: str) -> list[Resource]:
    """The PV and the battery of a SimBench storage.

    Such a storage is a PV plant with a battery behind one inverter (type `PV_Storage`, never taking from
    the grid: `pMax` 0), and its profile `Storage_<pv>_<load>` is what the two deliver together: at night
    just the load beside it. The PV alone is the profile `<pv>` of the same rating, so the battery is the
    difference.
    """
    kind, pv_profile, load_part = plant["profile"].split("_")
    if (plant["type"], kind, load_part) != ("PV_Storage", "Storage", load_profile):
        raise SourceNotAsExpected(f"{plant['id']}: expected PV and battery beside {load_profile}: {plant}")
    rating = -_millionths(plant["pMin"])  # pStor is the same rounded to 100 W, and no longer fits the load
    if plant["pMax"] != "0" or abs(_millionths(plant["pStor"]) + rating) > 50:
        raise SourceNotAsExpected(f"{plant['id']}: expected pStor = pMin (rounded), pMax = 0, found {plant}")
    battery = f"Battery_{pv_profile}_{load_part}"
    return [
        Resource(f"{name}-pv", connection, "generation", pv_profile, rating, 0, plant["id"]),
        Resource(name, connection, "storage", battery, rating, _millionths(plant["eStore"]), plant["id"]),
    ]


def read_profiles(wheel: zipfile.ZipFile, communities: Sequence[Community]) -> tuple[list[datetime], Ppm]:
    """The UTC starts of the period and every used profile over it, batteries included."""
    used = {resource.profile: resource.type for community in communities for resource in community.resources}
    pv = {name for name, type_ in used.items() if type_ == "generation"}
    loads = {f"{name}_pload": name for name, type_ in used.items() if type_ == "load"}
    plants = {f"Storage_{name.split('_', 1)[1]}": name for name, type_ in used.items() if type_ == "storage"}
    starts, load_ppm = _profiles(wheel, "LoadProfile", loads)
    starts_of_pv, pv_ppm = _profiles(wheel, "RESProfile", {name: name for name in pv})
    starts_of_plants, plant_ppm = _profiles(wheel, "StorageProfile", plants)
    if not starts == starts_of_pv == starts_of_plants:
        raise SourceNotAsExpected("the three profile files differ in their times")
    for name, values in {**load_ppm, **pv_ppm, **plant_ppm}.items():
        if min(values) < 0:
            raise SourceNotAsExpected(f"{name}: expected no negative value, found {min(values)} ppm")
    batteries = {
        name: [out - sun for out, sun in zip(values, pv_ppm[name.split("_")[1]], strict=True)]
        for name, values in plant_ppm.items()
    }
    return starts, {**load_ppm, **pv_ppm, **batteries}


def write_community(folder: Path, community: Community, starts: Sequence[datetime], ppm: Ppm) -> None:
    """Writes the five files of one community; comma, LF, a header row, integers only."""
    folder.mkdir(parents=True, exist_ok=True)
    period = [community.name, TIME_ZONE, FIRST_DAY, DELIVERY_DAY]
    _write(folder / "community.csv", ["name", "time_zone", "first_day", "delivery_day"], [period])
    _write(folder / "parties.csv", ["party"], [[party] for party in community.parties])
    nodes = [load["node"] for load in community.loads]
    connections = list(zip(community.connections, community.parties, nodes, strict=True))
    _write(folder / "connections.csv", ["connection", "party", "node"], connections)
    columns = list(Resource.__slots__)
    resources = [[getattr(resource, column) for column in columns] for resource in community.resources]
    _write(folder / "resources.csv", columns, resources)
    used = list(dict.fromkeys(resource.profile for resource in community.resources))
    values = zip(*(ppm[name] for name in used), strict=True)
    rows = [[f"{start:%Y-%m-%dT%H:%M:%SZ}", *row] for start, row in zip(starts, values, strict=True)]
    _write(folder / "profiles.csv", ["start_utc", *used], rows)


def _elements(wheel: zipfile.ZipFile, table: str, subnet: str) -> list[Row]:
    """The rows of one subnet, by the number at the end of their id (the file's order is another)."""
    rows = [row for row in _rows(wheel, table) if row["subnet"] == subnet]
    return sorted(rows, key=lambda row: int(row["id"].rsplit(" ", 1)[1]))


def _profiles(wheel: zipfile.ZipFile, table: str, columns: dict[str, str]) -> tuple[list[datetime], Ppm]:
    """The steps of the period and the named columns (source name -> our name) over them."""
    starts: list[datetime] = []
    ppm: Ppm = {name: [] for name in columns.values()}
    for start, row in _with_utc_starts(table, _rows(wheel, table)):
        if FIRST_DAY <= start.astimezone(ZoneInfo(TIME_ZONE)).date() <= DELIVERY_DAY:
            starts.append(start)
            for column, name in columns.items():
                ppm[name].append(_millionths(row[column]))
    return starts, ppm


def _with_utc_starts(table: str, rows: Iterator[Row]) -> Iterator[tuple[datetime, Row]]:
    """Converts legal local interval starts to UTC, and checks that they are just that.

    The year must begin at local midnight and go on in steps of 15 minutes of UTC until the next one; so
    the spring hour must be absent and the autumn hour stand twice, the second time as winter time.
    """
    zone = ZoneInfo(TIME_ZONE)
    expected = datetime(2016, 1, 1, tzinfo=zone).astimezone(UTC)
    latest = datetime.min  # noqa: DTZ901  (wall-clock times as the file has them)
    count = 0
    for row in rows:
        wall = datetime.strptime(row["time"], "%d.%m.%Y %H:%M")  # noqa: DTZ007
        start = wall.replace(tzinfo=zone, fold=int(wall <= latest)).astimezone(UTC)
        if start != expected:
            raise SourceNotAsExpected(f"{table}: expected a row for {expected}, found {row['time']}")
        yield start, row
        expected, latest, count = start + STEP, max(wall, latest), count + 1
    if count != STEPS_OF_2016:
        raise SourceNotAsExpected(f"{table}: expected {STEPS_OF_2016} rows, found {count}")


def _rows(wheel: zipfile.ZipFile, table: str) -> Iterator[Row]:
    with wheel.open(f"{SCENARIO}/{table}.csv") as file:
        yield from csv.DictReader(io.TextIOWrapper(file, "utf-8", newline=""), delimiter=";")


def _millionths(text: str) -> int:
    """A decimal number times 10⁶, half-even: parts of a rating to ppm, MW to W, MWh to Wh."""
    return int((Decimal(text) * 1_000_000).to_integral_value(ROUND_HALF_EVEN))


def _write(file: Path, header: list[str], rows: Sequence[Sequence[object]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
