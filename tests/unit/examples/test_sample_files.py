"""The sample communities hold what they promise, and their door refuses every damage at its place."""

import csv
import shutil
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate
from pathlib import Path

import pytest

from examples.sample_energy import ConnectionEnergy, SampleEnergy, derive_energy
from examples.sample_files import (
    SampleCommunity,
    SampleFileError,
    Series,
    load_community,
)

SAMPLE = Path(__file__).parents[3] / "examples" / "sample"
HOLIDAYS = {date(2016, 5, 16)}  # Whit Monday, the only nationwide German holiday of the period
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Loaded = tuple[SampleCommunity, SampleEnergy]
Damage = Callable[[Path], None]


@pytest.fixture(scope="module", params=["lv1-101", "lv5-201"])
def loaded(request: pytest.FixtureRequest) -> Loaded:
    community = load_community(SAMPLE / request.param)
    return community, derive_energy(community)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the smaller community, to be damaged."""
    return Path(shutil.copytree(SAMPLE / "lv1-101", tmp_path / "lv1-101"))


# -------------------------------------------------------------------------------------- what is there


@pytest.mark.parametrize(("name", "loads", "pv", "storages"), [("LV1.101", 14, 8, 4), ("LV5.201", 118, 14, 10)])
def test_counts(name: str, loads: int, pv: int, storages: int) -> None:
    community = load_community(SAMPLE / name.lower().replace(".", "-"))
    assert community.name == name
    assert len(community.parties) == len(community.connections) == loads
    types = Counter((resource.type, resource.source.split()[1]) for resource in community.resources)
    assert types == {
        ("load", "Load"): loads,
        ("generation", "SGen"): pv,
        ("generation", "Storage"): storages,  # the PV beside each battery
        ("storage", "Storage"): storages,
    }


def test_one_connection_per_party_with_one_load(loaded: Loaded) -> None:
    community, _ = loaded
    parties = [connection.party for connection in community.connections]
    assert sorted(parties) == sorted(party.party for party in community.parties)
    loads = [each.connection for each in community.resources if each.type == "load"]
    assert sorted(loads) == sorted(connection.connection for connection in community.connections)


def test_pv_and_storage_are_behind_the_first_load_of_their_bus(loaded: Loaded) -> None:
    community, _ = loaded
    first: dict[str, str] = {}
    for connection in community.connections:
        first.setdefault(connection.node, connection.connection)
    behind = {each.connection for each in community.resources if each.type != "load"}
    assert behind <= set(first.values())


def test_the_delivery_day_is_a_june_weekday_after_twenty_others(loaded: Loaded) -> None:
    community, _ = loaded
    delivery = community.local_dates[community.delivery_day_index]
    assert delivery == date(2016, 6, 21)
    assert delivery.month == 6
    assert delivery.weekday() < 5
    earlier = [day for day in community.local_dates[:-1] if day.weekday() < 5 and day not in HOLIDAYS]
    assert len(earlier) == 29


def test_the_period_is_whole_local_days(loaded: Loaded) -> None:
    community, _ = loaded
    first = datetime(2016, 5, 9, 22, tzinfo=UTC)
    assert community.first_start_utc_us == (first - EPOCH) // timedelta(microseconds=1)
    assert (community.interval_min, community.interval_count) == (15, 43 * 96)
    assert community.local_dates == tuple(date(2016, 5, 10) + timedelta(days=n) for n in range(43))
    assert [community.day_slice(day) for day in (0, 42)] == [slice(0, 96), slice(42 * 96, 43 * 96)]
    last = datetime(2016, 6, 21, 21, 45, tzinfo=UTC)
    assert community.start_utc_us(43 * 96 - 1) == (last - EPOCH) // timedelta(microseconds=1)
    for outside in (-1, 43):
        with pytest.raises(IndexError):
            community.day_slice(outside)


def test_the_files_are_small_plain_and_licensed() -> None:
    files = sorted(SAMPLE.rglob("*.csv"))
    assert len(files) == 10
    contents = [file.read_bytes() for file in files]
    assert sum(map(len, contents)) < 2_000_000
    assert all(content.isascii() and b"\r" not in content and content.endswith(b"\n") for content in contents)
    for name in ("LICENSE", "README.md"):
        assert "Contains information from SimBench" in (SAMPLE / name).read_text(encoding="utf-8")


# ---------------------------------------------------------------------------------------- the energies


def test_energy_is_conserved_at_every_connection(loaded: Loaded) -> None:
    community, energy = loaded
    assert list(energy.connections) == [connection.connection for connection in community.connections]
    for each in energy.connections.values():
        rows = list(
            zip(
                *(each.import_from_grid_wh, each.generation_wh, each.discharge_wh),
                *(each.consumption_wh, each.export_to_grid_wh, each.charge_wh),
                strict=True,
            )
        )
        assert len(rows) == community.interval_count
        assert all(i + g + d == u + e + c for i, g, d, u, e, c in rows)
        assert all(min(i, e) == 0 <= min(row) for row in rows for i, e in [(row[0], row[4])])


def test_connections_sum_the_meters_behind_them(loaded: Loaded) -> None:
    community, energy = loaded
    owner = {resource.resource: resource.connection for resource in community.resources}
    expected: Counter[tuple[str, str]] = Counter()
    for (resource, register), series in energy.registers.items():
        expected[owner[resource], register] += sum(series)
    for name, each in energy.connections.items():
        assert sum(each.consumption_wh) == expected[name, "consumption"]
        assert sum(each.generation_wh) == expected[name, "generation"]
        assert sum(each.charge_wh) == expected[name, "charge"]
        assert sum(each.discharge_wh) == expected[name, "discharge"]


def test_every_register_stays_within_one_wh_over_every_run_of_intervals(loaded: Loaded) -> None:
    community, energy = loaded
    resources = {resource.resource: resource for resource in community.resources}
    for (name, register), series in energy.registers.items():
        resource = resources[name]
        sign = -1 if register == "charge" else 1
        power = [max(0, sign * ppm) * resource.rated_power_w for ppm in community.profiles[resource.profile]]
        # In 1/4_000_000 Wh; the error of a run is the difference of the errors at its two ends.
        errors = [0, *accumulate(wh * 4_000_000 - part for wh, part in zip(series, power, strict=True))]
        assert max(errors) - min(errors) < 4_000_000
        assert min(series) >= 0


def test_each_resource_has_the_registers_of_its_type(loaded: Loaded) -> None:
    community, energy = loaded
    registers = {
        "load": {"consumption"},
        "generation": {"generation"},
        "storage": {"charge", "discharge"},
    }
    expected = {(each.resource, register) for each in community.resources for register in registers[each.type]}
    assert set(energy.registers) == expected


def test_a_battery_charges_from_its_pv_and_serves_its_load(loaded: Loaded) -> None:
    """The signs are right and PV and battery were taken apart correctly."""
    community, energy = loaded
    for resource in community.resources:
        if resource.type == "storage":
            each = energy.connections[resource.connection]
            assert sum(each.charge_wh) > sum(each.discharge_wh) > 0
            flows = zip(each.charge_wh, each.generation_wh, each.discharge_wh, each.consumption_wh, strict=True)
            assert all(c <= g + 1 and d <= u + 1 for c, g, d, u in flows)


@pytest.mark.parametrize(
    ("name", "kwh", "surplus"),
    [("lv1-101", (514, 2355, 173, 2008), 49), ("lv5-201", (1065, 1132, 911, 962), 34)],
)
def test_the_delivery_day(name: str, kwh: tuple[int, int, int, int], surplus: int) -> None:
    """The figures of examples/sample/README.md, computed once from the source, with floats."""
    community = load_community(SAMPLE / name)
    connections = derive_energy(community).connections.values()
    day = community.day_slice(community.delivery_day_index)

    def total(of: Callable[[ConnectionEnergy], Series]) -> list[int]:
        return [sum(values) for values in zip(*(of(each)[day] for each in connections), strict=True)]

    imports = total(lambda each: each.import_from_grid_wh)
    exports = total(lambda each: each.export_to_grid_wh)
    used, made = total(lambda each: each.consumption_wh), total(lambda each: each.generation_wh)
    assert tuple((sum(series) + 500) // 1000 for series in (used, made, imports, exports)) == kwh
    assert sum(out > into for out, into in zip(exports, imports, strict=True)) == surplus


# --------------------------------------------------------------------------------------- small worlds


def small_world(folder: Path, day: date, utc_start: datetime, rows: list[list[int]]) -> None:
    """One day of one house: load `L` of 1000 W, PV `P` of 2000 W, battery `B` of 500 W, in ppm."""
    starts = (f"{utc_start + timedelta(minutes=15 * n):%Y-%m-%dT%H:%M:%SZ}" for n in range(len(rows)))
    profiles = [",".join([start, *map(str, row)]) for start, row in zip(starts, rows, strict=True)]
    files = {
        "community.csv": ["name,time_zone,first_day,delivery_day", f"tiny,Europe/Berlin,{day},{day}"],
        "parties.csv": ["party", "h1"],
        "connections.csv": ["connection,party,node", "c1,h1,Bus 1"],
        "resources.csv": [
            "resource,connection,type,profile,rated_power_w,capacity_wh,source",
            "l1,c1,load,L,1000,0,Load 1",
            "g1,c1,generation,P,2000,0,SGen 1",
            "s1,c1,storage,B,500,1000,Storage 1",
        ],
        "profiles.csv": ["start_utc,L,P,B", *profiles],
    }
    for name, lines in files.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("day", "utc_start", "quarters"),
    [
        (date(2016, 3, 27), datetime(2016, 3, 26, 23, tzinfo=UTC), 92),
        (date(2016, 10, 30), datetime(2016, 10, 29, 22, tzinfo=UTC), 100),
    ],
)
def test_days_on_which_the_clocks_change(tmp_path: Path, day: date, utc_start: datetime, quarters: int) -> None:
    small_world(tmp_path, day, utc_start, [[0, 0, 0]] * quarters)
    community = load_community(tmp_path)
    assert community.day_slice(0) == slice(0, quarters)
    assert community.start_utc_us(0) == (utc_start - EPOCH) // timedelta(microseconds=1)


def test_netting_and_the_running_remainder(tmp_path: Path) -> None:
    """1 W x 15 min is 0.25 Wh: three intervals of nothing, then 1 Wh; discharge is positive."""
    night = [[1_000, 0, 0]] * 5  # the load takes 1 W
    charging = [[400_000, 500_000, -1_000_000]]  # 100 used, 250 made, 125 charged: 25 out
    serving = [[1_000_000, 0, 800_000]]  # 250 used, 100 discharged: 150 in
    rest = [[0, 0, 0]] * (96 - 7)
    start = datetime(2016, 6, 20, 22, tzinfo=UTC)
    small_world(tmp_path, date(2016, 6, 21), start, [*night, *charging, *serving, *rest])
    energy = derive_energy(load_community(tmp_path))
    assert energy.registers["l1", "consumption"][:7] == (0, 0, 0, 1, 0, 100, 250)
    assert energy.registers["g1", "generation"][:7] == (0, 0, 0, 0, 0, 250, 0)
    assert energy.registers["s1", "charge"][:7] == (0, 0, 0, 0, 0, 125, 0)
    assert energy.registers["s1", "discharge"][:7] == (0, 0, 0, 0, 0, 0, 100)
    connection = energy.connections["c1"]
    assert connection.import_from_grid_wh[:7] == (0, 0, 0, 1, 0, 0, 150)
    assert connection.export_to_grid_wh[:7] == (0, 0, 0, 0, 0, 25, 0)


# ------------------------------------------------------------------------------------------ bad input


def put(file: str, line: int, column: str, text: str) -> Damage:
    """Writes `text` into one field (line 1 is the header)."""

    def damage(folder: Path) -> None:
        rows = list(csv.reader((folder / file).read_text(encoding="utf-8").splitlines()))
        rows[line - 1][rows[0].index(column)] = text
        (folder / file).write_text("".join(",".join(row) + "\n" for row in rows), encoding="utf-8")

    return damage


def lines(file: str, change: Callable[[list[str]], list[str]]) -> Damage:
    """Changes a file line by line (index 0 is the header)."""

    def damage(folder: Path) -> None:
        before = (folder / file).read_text(encoding="utf-8").splitlines()
        (folder / file).write_text("".join(f"{line}\n" for line in change(before)), encoding="utf-8")

    return damage


def drop_column(file: str, column: str) -> Damage:
    def damage(folder: Path) -> None:
        rows = list(csv.reader((folder / file).read_text(encoding="utf-8").splitlines()))
        at = rows[0].index(column)
        kept = (",".join(row[:at] + row[at + 1 :]) + "\n" for row in rows)
        (folder / file).write_text("".join(kept), encoding="utf-8")

    return damage


def content(file: str, replace: Callable[[bytes], bytes]) -> Damage:
    def damage(folder: Path) -> None:
        (folder / file).write_bytes(replace((folder / file).read_bytes()))

    return damage


RESOURCES = "resource, connection, type, profile, rated_power_w, capacity_wh, source"
FIRST, SECOND, LAST = "2016-05-09T22:00:00Z", "2016-05-09T22:15:00Z", "2016-06-21T21:45:00Z"
TENTH = "2016-05-10T00:15:00Z"  # on line 11

CASES: list[tuple[str, Damage, str, int, str, str, str]] = [
    # id, damage, then: file, line, what, expected, found
    # --- the file as a whole
    ("missing file", lambda folder: (folder / "parties.csv").unlink(),
     "parties.csv", 0, "unreadable file", "a file", "No such file or directory"),
    ("empty file", content("profiles.csv", lambda _: b""),
     "profiles.csv", 1, "empty file", "a header row", "nothing"),
    ("header only", lines("parties.csv", lambda rows: rows[:1]),
     "parties.csv", 2, "no rows", "at least one row below the header", "the end of the file"),
    ("no interval at all", lines("profiles.csv", lambda rows: rows[:1]),
     "profiles.csv", 2, "missing interval", FIRST, "the end of the file"),
    ("latin-1", content("connections.csv", lambda old: old.replace(b"Bus 10", b"B\xfcs 10", 1)),
     "connections.csv", 2, "wrong encoding", "UTF-8", "the byte 0xfc"),
    ("utf-16", content("profiles.csv", lambda old: old.decode().encode("utf-16")),
     "profiles.csv", 1, "wrong encoding", "UTF-8", "the byte 0xff"),
    ("byte order mark", content("resources.csv", lambda old: b"\xef\xbb\xbf" + old),
     "resources.csv", 1, "wrong encoding", "UTF-8 without byte order mark", "the mark"),
    ("open quote", lines("parties.csv", lambda rows: [*rows[:-1], '"' + rows[-1]]),
     "parties.csv", 15, "broken CSV", "comma-separated fields", "unexpected end of data"),
    # --- columns and fields
    ("missing column", drop_column("resources.csv", "capacity_wh"),
     "resources.csv", 1, "missing column 'capacity_wh'", RESOURCES,
     "resource, connection, type, profile, rated_power_w, source"),
    ("missing time column", put("profiles.csv", 1, "start_utc", "start"),
     "profiles.csv", 1, "missing column 'start_utc'", "start_utc", "start, L2-A, "),
    ("missing profile column", drop_column("profiles.csv", "L1-A"),
     "resources.csv", 4, "unknown profile in column 'profile'", "one from profiles.csv", "'L1-A'"),
    ("only the time column", lines("profiles.csv", lambda rows: [row.split(",")[0] for row in rows]),
     "profiles.csv", 1, "bad columns", "start_utc, then the profiles", "start_utc"),
    ("unknown column", put("connections.csv", 1, "node", "bus"),
     "connections.csv", 1, "missing column 'node'", "connection, party, node", "connection, party, bus"),
    ("additional column", lines("parties.csv", lambda rows: [f"{row},x" for row in rows]),
     "parties.csv", 1, "unknown column 'x'", "party", "party, x"),
    ("duplicate column", put("profiles.csv", 1, "H0-A", "H0-B"),
     "profiles.csv", 1, "duplicate column 'H0-B'", "each column once", "start_utc, L2-A, "),
    ("short row", lines("profiles.csv", lambda rows: [*rows[:6], rows[6].rsplit(",", 1)[0], *rows[7:]]),
     "profiles.csv", 7, "wrong number of fields", "13 fields as in the header", "12"),
    ("blank line", lines("connections.csv", lambda rows: [*rows[:3], "", *rows[3:]]),
     "connections.csv", 4, "wrong number of fields", "3 fields as in the header", "0"),
    ("empty id", put("connections.csv", 3, "connection", ""),
     "connections.csv", 3, "bad text in column 'connection'", "printable characters", "''"),
    # --- numbers
    ("decimal number", put("profiles.csv", 100, "H0-A", "0.5"),
     "profiles.csv", 100, "bad number in column 'H0-A'", "a whole number from -2000000 to 2000000 ppm",
     "'0.5'"),
    ("underscore number", put("profiles.csv", 101, "PV5", "1_000"),
     "profiles.csv", 101, "bad number in column 'PV5'", "a whole number", "'1_000'"),
    ("empty number", put("profiles.csv", 4129, "PV8", ""),
     "profiles.csv", 4129, "bad number in column 'PV8'", "a whole number", "''"),
    ("foreign digits", put("profiles.csv", 102, "PV8", "\u0661\u0662"),
     "profiles.csv", 102, "bad number in column 'PV8'", "a whole number", "'\u0661\u0662'"),
    ("endless number", put("profiles.csv", 103, "PV8", "9" * 5000),
     "profiles.csv", 103, "bad number in column 'PV8'", "a whole number", "'" + "9" * 80 + "'"),
    ("number too large", put("profiles.csv", 50, "L2-A", "2000001"),
     "profiles.csv", 50, "bad number in column 'L2-A'", "a whole number from -2000000 to 2000000 ppm",
     "'2000001'"),
    ("negative load", put("profiles.csv", 60, "L2-A", "-1"),
     "profiles.csv", 60, "negative value in column 'L2-A'",
     "0 or more, because the load lv1-101-l01 uses it", "'-1'"),
    ("negative generation", put("profiles.csv", 61, "PV6", "-1"),
     "profiles.csv", 61, "negative value in column 'PV6'",
     "0 or more, because the generation lv1-101-g04 uses it", "'-1'"),
    ("rating of zero", put("resources.csv", 5, "rated_power_w", "0"),
     "resources.csv", 5, "bad number in column 'rated_power_w'", "a whole number from 1 to 1000000000 W",
     "'0'"),
    ("rating in kW", put("resources.csv", 5, "rated_power_w", "2 kW"),
     "resources.csv", 5, "bad number in column 'rated_power_w'", "a whole number", "'2 kW'"),
    ("load with capacity", put("resources.csv", 2, "capacity_wh", "5"),
     "resources.csv", 2, "bad number in column 'capacity_wh'", "0 Wh for a load", "'5'"),
    ("storage without capacity", put("resources.csv", 31, "capacity_wh", "0"),
     "resources.csv", 31, "bad number in column 'capacity_wh'",
     "a whole number from 1 to 1000000000 Wh for a storage", "'0'"),
    # --- times
    ("local time", put("profiles.csv", 2, "start_utc", "10.05.2016 00:00"),
     "profiles.csv", 2, "bad time in column 'start_utc'", "a UTC time like 2016-05-09T22:00:00Z",
     "'10.05.2016 00:00'"),
    ("short time", put("profiles.csv", 2, "start_utc", "2016-5-9T22:00:00Z"),
     "profiles.csv", 2, "bad time in column 'start_utc'", "a UTC time like", "'2016-5-9T22:00:00Z'"),
    ("time off the grid", put("profiles.csv", 11, "start_utc", "2016-05-10T00:16:00Z"),
     "profiles.csv", 11, "time off the 15-minute grid in column 'start_utc'", TENTH,
     "'2016-05-10T00:16:00Z'"),
    ("time before the period", put("profiles.csv", 2, "start_utc", "2016-05-09T21:45:00Z"),
     "profiles.csv", 2, "time outside the period in column 'start_utc'", f"{FIRST} to {LAST}",
     "'2016-05-09T21:45:00Z'"),
    ("time after the period",
     lines("profiles.csv", lambda rows: [*rows, rows[-1].replace(LAST, "2016-06-21T22:00:00Z")]),
     "profiles.csv", 4130, "time outside the period in column 'start_utc'", f"{FIRST} to {LAST}",
     "'2016-06-21T22:00:00Z'"),
    ("duplicate row", lines("profiles.csv", lambda rows: [*rows[:11], rows[10], *rows[11:]]),
     "profiles.csv", 12, "duplicate row in column 'start_utc'", "2016-05-10T00:30:00Z",
     f"{TENTH}, also on line 11"),
    ("duplicate last row", lines("profiles.csv", lambda rows: [*rows, rows[-1]]),
     "profiles.csv", 4130, "duplicate row in column 'start_utc'", "the end of the file",
     f"{LAST}, also on line 4129"),
    ("missing interval", lines("profiles.csv", lambda rows: rows[:10] + rows[11:]),
     "profiles.csv", 11, "missing interval in column 'start_utc'", TENTH, "'2016-05-10T00:30:00Z'"),
    ("missing first interval", lines("profiles.csv", lambda rows: rows[:1] + rows[2:]),
     "profiles.csv", 2, "missing interval in column 'start_utc'", FIRST, f"'{SECOND}'"),
    ("missing last interval", lines("profiles.csv", lambda rows: rows[:-1]),
     "profiles.csv", 4129, "missing interval", LAST, "the end of the file"),
    # --- ids
    ("unknown party", put("connections.csv", 5, "party", "lv1-101-h99"),
     "connections.csv", 5, "unknown party in column 'party'", "one from parties.csv", "'lv1-101-h99'"),
    ("unknown connection", put("resources.csv", 6, "connection", "lv1-101-c99"),
     "resources.csv", 6, "unknown connection in column 'connection'", "one from connections.csv",
     "'lv1-101-c99'"),
    ("unknown profile", put("resources.csv", 7, "profile", "H9-Z"),
     "resources.csv", 7, "unknown profile in column 'profile'", "one from profiles.csv", "'H9-Z'"),
    ("duplicate party", put("parties.csv", 9, "party", "lv1-101-h01"),
     "parties.csv", 9, "duplicate id in column 'party'", "each id once", "'lv1-101-h01', also on line 2"),
    ("duplicate connection", put("connections.csv", 4, "connection", "lv1-101-c02"),
     "connections.csv", 4, "duplicate id in column 'connection'", "each id once",
     "'lv1-101-c02', also on line 3"),
    ("duplicate resource", lines("resources.csv", lambda rows: [*rows, rows[-1]]),
     "resources.csv", 32, "duplicate id in column 'resource'", "each id once",
     "'lv1-101-s04', also on line 31"),
    ("wrong type", put("resources.csv", 16, "type", "Generation"),
     "resources.csv", 16, "wrong resource type in column 'type'", "load, generation or storage",
     "'Generation'"),
    # --- the period
    ("two communities", lines("community.csv", lambda rows: [*rows, rows[1]]),
     "community.csv", 3, "one row too many", "one row", "a second one"),
    ("unknown zone", put("community.csv", 2, "time_zone", "Europe/Kassel"),
     "community.csv", 2, "unknown time zone in column 'time_zone'", "a name like 'Europe/Berlin'",
     "'Europe/Kassel'"),
    ("zone folder", put("community.csv", 2, "time_zone", "Europe"),
     "community.csv", 2, "unknown time zone in column 'time_zone'", "a name like 'Europe/Berlin'",
     "'Europe'"),
    ("bad day", put("community.csv", 2, "first_day", "2016-02-30"),
     "community.csv", 2, "bad time in column 'first_day'", "a date like 2016-05-10", "'2016-02-30'"),
    ("delivery before the period", put("community.csv", 2, "delivery_day", "2016-05-09"),
     "community.csv", 2, "bad period in column 'delivery_day'", "1 to 400 days from 2016-05-10 on",
     "'2016-05-09'"),
    ("endless period", put("community.csv", 2, "delivery_day", "9999-12-31"),
     "community.csv", 2, "bad period in column 'delivery_day'", "1 to 400 days from 2016-05-10 on",
     "'9999-12-31'"),
    ("another age", lines("community.csv", lambda rows: [rows[0], "x,Europe/Berlin,9999-12-31,9999-12-31"]),
     "community.csv", 2, "bad period in column 'first_day'", "a year from 1970 to 2099", "'9999-12-31'"),
    ("longer period", put("community.csv", 2, "delivery_day", "2016-06-22"),
     "profiles.csv", 4130, "missing interval", "2016-06-21T22:00:00Z", "the end of the file"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("damage", "file", "line", "what", "expected", "found"),
    [pytest.param(*case[1:], id=case[0]) for case in CASES],
)
def test_damage_is_refused_at_its_place(
    folder: Path, damage: Damage, file: str, line: int, what: str, expected: str, found: str
) -> None:
    damage(folder)
    with pytest.raises(SampleFileError) as caught:
        load_community(folder)
    error = caught.value
    assert (error.file, error.line, error.what) == (folder / file, line, what)
    assert error.expected.startswith(expected)
    assert error.found.startswith(found)
    sentence = f"{error.file}, line {line}: {what}: expected {error.expected}, found {error.found}."
    assert str(error) == sentence
    assert "\n" not in sentence


def test_the_undamaged_copy_is_accepted(folder: Path) -> None:
    assert load_community(folder) == load_community(SAMPLE / "lv1-101")


def test_other_line_ends_are_accepted(folder: Path) -> None:
    for file in folder.glob("*.csv"):
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert load_community(folder) == load_community(SAMPLE / "lv1-101")
