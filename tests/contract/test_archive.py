"""Promises of an archive: what was written is what is read, and an archive that is not whole is none."""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fastavro
import pytest

from consumers.chain import Chain
from consumers.extent import Extent, Plan, Source
from consumers.ports import Batch, LogUnavailable, Partition, StoredRecord
from consumers.reading import CHAIN, SOURCE
from consumers.transfer import Part, TransferRefused, copy
from infra.archive.manifest import MANIFEST, SCHEMAS, VAULT, read_manifest
from infra.archive.reading import Archive, demand_readable, open_archive
from infra.archive.writing import ArchiveSink
from infra.vault.vault import SealedPerson

P, Q = Partition("market", 0), Partition("party", 0)
LEDGER = {1: {"type": "record", "name": "gridbook.party.Registered", "fields": []}}
AT = datetime(2016, 6, 21, 15, 45, tzinfo=UTC)
PEOPLE = [SealedPerson("ann", b"\x00wrapped", b"data\xff"), SealedPerson("bob", b"", b"")]


class Written:
    """A log as lists: positions may have gaps, and each read gives at most three records."""

    def __init__(self, records: dict[Partition, Sequence[StoredRecord]]) -> None:
        self._records = records

    async def end(self, partition: Partition) -> int:
        return max((record.position + 1 for record in self._records[partition]), default=0)

    async def read(self, partition: Partition, position: int, limit: int) -> Batch:
        found = tuple(r for r in self._records[partition] if r.position >= position)[: min(limit, 3)]
        return Batch(found, found[-1].position + 1 if found else await self.end(partition))


def commands(count: int) -> list[StoredRecord]:
    """Commands as they may stand: any bytes, any headers, several of one name."""
    odd = (("command_id", b"\xff\x00"), ("tracé", b""), ("tracé", b"2"))
    return [StoredRecord(3 * n + 1, bytes([n % 256]) * (n % 5), bytes(n * 7), odd[: n % 4]) for n in range(count)]


def appends(sizes: Iterable[int]) -> tuple[list[StoredRecord], str]:
    """Records in appends of these sizes, with their hashes; and the head."""
    chain, made = Chain(), list[StoredRecord]()
    for size in sizes:
        for n in range(size):
            key, value = f"key{len(made)}".encode(), bytes(len(made))
            chain.add(key, value)
            headers = ((SOURCE, b"1"),) if n < size - 1 else ((SOURCE, b"1"), (CHAIN, chain.close()))
            made.append(StoredRecord(2 * len(made), key, value, headers))
    return made, chain.head.hex()


async def exported(folder: Path, people: Sequence[SealedPerson] = PEOPLE) -> tuple[Source, Plan, ArchiveSink]:
    wished, (recorded, head) = commands(50), appends([1, 7, 2, 30])
    source = Source(Written({P: recorded, Q: []}), Written({P: wished, Q: []}))
    events_end, commands_end = recorded[-1].position + 1, wished[-1].position + 1
    plan = Plan((Extent(P, events_end, commands_end, len(recorded), 12, head), Extent(Q, 0, 0, 0, 9, "")))
    sink = ArchiveSink(folder, "a_deployment", AT, LEDGER)
    await copy(source, plan, sink, lambda: sink.take_people(people))
    return source, plan, sink


def files_of(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


async def everything(source: Source, plan: Plan) -> list[Any]:
    found = list[Any]()
    for extent in plan.extents:
        part = Part(source, extent)
        found += [[one async for one in part.commands()], [one async for one in part.appends()]]
    return found


async def test_what_was_written_is_read(tmp_path: Path) -> None:
    source, plan, sink = await exported(tmp_path / "deep" / "archive")
    archive = open_archive(tmp_path / "deep" / "archive")
    assert archive.plan == plan
    assert await everything(archive.source, archive.plan) == await everything(source, plan)
    assert archive.people() == PEOPLE
    assert archive.ledger() == LEDGER
    assert archive.sha256 == sink.sha256
    told = archive.manifest
    assert (told.deployment, told.exported_at, told.tick) == ("a_deployment", "2016-06-21T15:45:00Z", 9)
    assert told.families == {"market": (1,), "party": (1,)}
    first = told.partitions[0]
    assert (first.commands.records, first.commands.first, first.commands.last) == (50, 1, 148)
    assert (first.events.records, first.events.first, first.events.last) == (40, 0, 78)
    assert told.partitions[1].events.first is None


async def test_any_avro_reader_reads_the_files(tmp_path: Path) -> None:
    await exported(tmp_path)
    with (tmp_path / "commands.market-0.avro").open("rb") as file:
        read: list[Any] = list(fastavro.reader(file))
    assert read[3] == {
        "key": b"\x03\x03\x03",
        "value": bytes(21),
        "headers": [
            {"name": "command_id", "value": b"\xff\x00"},
            {"name": "tracé", "value": b""},
            {"name": "tracé", "value": b"2"},
        ],
        "position": 10,
    }


@pytest.mark.parametrize("limit", [1, 4, 1000])
async def test_it_is_read_from_any_position(tmp_path: Path, limit: int) -> None:
    await exported(tmp_path)
    log = open_archive(tmp_path).source.commands
    expected = commands(50)
    for start in (0, 1, 2, 74, 148):
        found, position = list[StoredRecord](), start
        while position < await log.end(P):
            batch = await log.read(P, position, limit)
            assert len(batch.records) <= limit
            found += batch.records
            position = batch.next
        assert found == [record for record in expected if record.position >= start]
    assert await log.read(P, 149, limit) == Batch((), 149)
    assert await log.end(Q) == 0


async def test_the_same_log_gives_the_same_bytes(tmp_path: Path) -> None:
    await exported(tmp_path / "one")
    await exported(tmp_path / "two")
    one, two = ({path.name: path.read_bytes() for path in files_of(tmp_path / name)} for name in ("one", "two"))
    assert len(one) == 7
    assert one == two


async def test_an_export_that_did_not_end_is_no_archive(tmp_path: Path) -> None:
    class Stops(Written):
        async def read(self, partition: Partition, position: int, limit: int) -> Batch:
            if position > 40:
                raise RuntimeError("the machine stops")
            return await super().read(partition, position, limit)

    recorded, head = appends([30, 30])
    source = Source(Stops({P: recorded}), Written({P: []}))
    plan = Plan((Extent(P, 120, 0, 60, 0, head),))
    with pytest.raises(RuntimeError, match="the machine stops"):
        await copy(source, plan, ArchiveSink(tmp_path / "half", "d", AT, LEDGER))
    assert (tmp_path / "half" / "events.market-0.avro").exists()
    with pytest.raises(
        TransferRefused, match=r"has no manifest\.json: it is no archive, or an export that did not end"
    ):
        open_archive(tmp_path / "half")
    with pytest.raises(TransferRefused, match="is not empty"):
        await exported(tmp_path / "half")


async def test_a_source_that_changed_meanwhile_gives_no_archive(tmp_path: Path) -> None:
    recorded, head = appends([5, 5])
    for there, said in (
        (recorded[:5], "ends before position 19: records are gone"),
        (appends([10])[0], "expected 10 records .*, found 10 that end with"),
    ):
        source = Source(Written({P: there}), Written({P: []}))
        sink = ArchiveSink(tmp_path / str(len(there)), "d", AT, LEDGER)
        with pytest.raises((TransferRefused, LogUnavailable), match=said):
            await copy(source, Plan((Extent(P, 19, 0, 10, 0, head),)), sink)
        assert not (tmp_path / str(len(there)) / MANIFEST).exists()


async def test_every_changed_byte_and_every_missing_file_is_named(tmp_path: Path) -> None:
    await exported(tmp_path)
    files = [path for path in files_of(tmp_path) if path.name != MANIFEST]
    assert {path.name for path in files} >= {VAULT, SCHEMAS, "events.market-0.avro", "commands.party-0.avro"}
    for path in files:
        whole = path.read_bytes()
        for at in (0, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            with pytest.raises(TransferRefused, match=f"{path.name} was changed after the export: expected .* SHA-256"):
                open_archive(tmp_path)
        path.write_bytes(whole + b"\0")
        with pytest.raises(TransferRefused, match=f"{path.name} was changed"):
            open_archive(tmp_path)
        path.unlink()
        with pytest.raises(TransferRefused, match=f"{path.name} cannot be read .*: the archive is not whole"):
            open_archive(tmp_path)
        path.write_bytes(whole)
    assert isinstance(open_archive(tmp_path), Archive)


Change = Callable[[dict[str, Any]], Any]
CHANGES: dict[str, tuple[Change, str]] = {
    "newer format": (lambda m: m.update(format=3), "format 3 is not 2: use the release that wrote it"),
    "no format": (lambda m: m.pop("format"), "is no manifest"),
    "unknown field": (lambda m: m.update(more=1), "is no manifest"),
    "text for a number": (lambda m: m.update(tick="9"), "is no manifest"),
    "lost partition": (lambda m: m["partitions"].pop(), "its partitions are not those of its families"),
    "doubled partition": (lambda m: m["partitions"].append(m["partitions"][0]), "its partitions are not those"),
    "no positions": (lambda m: m["partitions"][0]["events"].update(last=None), "has records and no positions"),
    "file elsewhere": (lambda m: m["schemas"].update(file="../schemas.json"), "is no manifest"),
}


@pytest.mark.parametrize(("change", "said"), CHANGES.values(), ids=CHANGES)
async def test_a_manifest_that_cannot_be_is_refused(tmp_path: Path, change: Change, said: str) -> None:
    await exported(tmp_path)
    told = json.loads((tmp_path / MANIFEST).read_text())
    change(told)
    (tmp_path / MANIFEST).write_text(json.dumps(told))
    with pytest.raises(TransferRefused, match=said):
        read_manifest(tmp_path)


async def test_a_folder_without_anything_is_no_archive(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(TransferRefused, match=r"has no manifest\.json"):
            open_archive(folder)


async def test_where_nothing_can_be_written_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TransferRefused, match="nothing can be exported to"):
        await exported(tmp_path / "file" / "archive")


async def test_schemas_that_mean_something_else_here_are_named(tmp_path: Path) -> None:
    await exported(tmp_path)
    archive = open_archive(tmp_path)
    demand_readable(archive, LEDGER)
    demand_readable(archive, {**LEDGER, 2: {"name": "gridbook.party.Newer"}})
    demand_readable(archive, {})
    with pytest.raises(TransferRefused, match=r"schema 1 is gridbook\.party\.Registered, and here it is another one"):
        demand_readable(archive, {1: {"name": "gridbook.market.Other"}})


async def test_the_manifest_says_that_the_key_is_apart(tmp_path: Path) -> None:
    await exported(tmp_path)
    vault = json.loads((tmp_path / MANIFEST).read_text())["vault"]
    assert vault["people"] == 2
    assert "The master key is not in this archive" in vault["statement"]
