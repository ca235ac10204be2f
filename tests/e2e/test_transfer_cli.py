"""`gridbook export|import|copy`: backup, restore and move by commands; what is not whole is one sentence."""

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner, Result

from consumers.ports import LogUnavailable, Partition, ProcessReport
from consumers.project import Reached
from gateways.app import App, open_switchboard, open_vault, views_of
from gateways.app.backends import postgres_backend
from gateways.cli import app as gridbook_app
from gateways.door import DoorCommand
from gateways.servers import deployment_name
from infra.vault.vault import PersonalData, new_person_id
from schemas.envelope import Moment
from schemas.party.commands import ApplyForMembership, RegisterParty
from schemas.party.events import Role

ANN = PersonalData(name="Ann Unmistakable", address="1 Green Lane")


@dataclass(frozen=True, slots=True)
class Small:
    """A data folder whose deployment knows two parties, and one person in its vault."""

    folder: Path
    person: str


@pytest.fixture(scope="module")
def small(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Small:
    folder = tmp_path_factory.mktemp("small")
    person = new_person_id()

    async def live() -> None:
        with psycopg.connect(postgres_dsn, autocommit=True) as connection:
            connection.execute("DROP SCHEMA IF EXISTS vault CASCADE")
        vault = open_vault(postgres_dsn, folder / "vault.key")
        await vault.start()
        await vault.put(person, ANN)
        name = deployment_name(folder)
        app = App(postgres_backend(postgres_dsn, name), postgres_dsn, name)
        await app.start()
        await app.drive.tick(Moment(1, 1_466_460_000_000_000))
        for party in (person, "bob"):
            wishes = [
                DoorCommand("party", party, party, "join", RegisterParty((Role.SUPPLIER,))),
                DoorCommand("party", party, party, "apply", ApplyForMembership("green")),
            ]
            await app.drive.send(app.door.admit(wishes))
            await app.drive.settle()
        await app.close()

    asyncio.run(live())
    return Small(folder, person)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, postgres_dsn: str) -> None:
    monkeypatch.setenv("DATABASE_URL", postgres_dsn)


@pytest.fixture
def archive(small: Small, tmp_path: Path) -> Path:
    """The small deployment, exported."""
    exported = gridbook("export", str(tmp_path / "archive"), "--data", str(small.folder))
    assert exported.exit_code == 0, exported.output
    return tmp_path / "archive"


def gridbook(*words: str) -> Result:
    return CliRunner().invoke(gridbook_app, list(words))


def done(result: Result, *words: str) -> None:
    assert result.exit_code == 0, result.output
    for word in words:
        assert word in result.stdout


def said(failed: Result, *words: str) -> None:
    """It ended with one sentence that holds these words, and without a traceback."""
    assert failed.exit_code == 1, failed.output
    assert failed.exception is None or isinstance(failed.exception, SystemExit), failed.exception
    assert len(failed.stderr.strip().splitlines()) == 1, failed.stderr
    for word in words:
        assert word in failed.stderr


def import_into(archive: Path, folder: Path, *words: str) -> Result:
    return gridbook("import", str(archive), "--data", str(folder), *words)


def test_a_backup_is_restored_with_its_people(small: Small, archive: Path, tmp_path: Path, postgres_dsn: str) -> None:
    everything = b"".join(path.read_bytes() for path in archive.iterdir())
    assert b"Unmistakable" not in everything
    assert (small.folder / "vault.key").read_bytes() not in everything
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("DROP SCHEMA vault CASCADE")
    done(gridbook("export", str(tmp_path / "log"), "--data", str(small.folder)), "the vault holds nobody")
    new = tmp_path / "new"
    said(import_into(archive, new), "vault.key is not there: put the exported deployment's master key there first")
    shutil.copy(small.folder / "vault.key", new / "vault.key")
    done(import_into(archive, new), "1 people put back", "complete up to tick 1", "gridbook verify decisions")
    done(gridbook("verify", "decisions", "--data", str(new)), "same bytes")
    assert asyncio.run(open_vault(postgres_dsn, new / "vault.key").get(small.person)) == ANN
    sent = ("party", "carl", "RegisterParty", '{"roles": ["supplier"]}', "--actor", "carl", "--command-id", "join")
    done(gridbook("send", *sent, "--data", str(new)), "PartyRegistered")
    done(gridbook("verify", "projections", "--data", str(new)), "every view equals its rebuild")
    shown = gridbook("show", "parties", "--json", "--data", str(new)).stdout
    assert all(party in shown for party in (small.person, "bob", "carl"))


def test_an_archive_without_people_needs_no_key(small: Small, tmp_path: Path) -> None:
    done(gridbook("export", str(tmp_path / "bare"), "--without-vault", "--data", str(small.folder)), "exported")
    assert not (tmp_path / "bare" / "vault.avro").exists()
    done(import_into(tmp_path / "bare", tmp_path / "new"), "imported")


def test_views_that_another_log_left_behind_are_forgotten(archive: Path, tmp_path: Path, postgres_dsn: str) -> None:
    new = tmp_path / "new"
    name = deployment_name(new)

    async def leave_views() -> None:
        views = views_of(postgres_dsn, name)
        await views.start()
        await views.apply({}, {Partition("party", 0): Reached(3, 1)})
        await views.close()

    asyncio.run(leave_views())
    done(import_into(archive, new, "--without-vault"), "imported")
    sent = ("party", "carl", "RegisterParty", '{"roles": ["supplier"]}', "--actor", "carl", "--command-id", "join")
    done(gridbook("send", *sent, "--data", str(new)), "PartyRegistered")
    done(gridbook("verify", "projections", "--data", str(new)), "every view equals its rebuild")
    assert "bob" in gridbook("show", "parties", "--json", "--data", str(new)).stdout


def test_an_archive_goes_to_an_empty_deployment_only(small: Small, archive: Path) -> None:
    said(import_into(archive, small.folder, "--without-vault"), "holds a record already")
    done(gridbook("verify", "decisions", "--data", str(small.folder)), "same bytes")


def test_the_number_of_partitions_is_the_archives(archive: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("GRIDBOOK_FAMILY_PARTITIONS", "market=2")
    said(import_into(archive, tmp_path / "new"), "set GRIDBOOK_FAMILY_PARTITIONS=market=1")


def flip(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-30] + bytes([data[-30] ^ 1]) + data[-29:])


SPOILS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a changed byte": (lambda a: flip(a / "events.party-0.avro"), "events.party-0.avro was changed after the export"),
    "a missing part": (lambda a: (a / "commands.party-0.avro").unlink(), "commands.party-0.avro cannot be read"),
    "a half export": (lambda a: (a / "manifest.json").unlink(), "an export that did not end"),
    "no manifest": (lambda a: (a / "manifest.json").write_text("{"), "is no manifest"),
}


@pytest.mark.parametrize(("spoil", "words"), SPOILS.values(), ids=SPOILS)
def test_an_archive_that_is_not_whole_is_refused(
    archive: Path, tmp_path: Path, spoil: Callable[[Path], Any], words: str
) -> None:
    spoil(archive)
    said(import_into(archive, tmp_path / "new"), words)
    assert gridbook("log", "party", "--data", str(tmp_path / "new")).stdout == "party: nothing yet\n"


def test_an_export_needs_an_empty_folder(small: Small, archive: Path) -> None:
    said(gridbook("export", str(archive), "--data", str(small.folder)), "is not empty")


def test_a_log_that_is_being_filled_is_nobodys(
    archive: Path, tmp_path: Path, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = tmp_path / "new"
    with monkeypatch.context() as broken:

        async def fail(*_: Any) -> None:
            raise LogUnavailable("the machine stops")

        broken.setattr("consumers.transfer.LogSink._append_missing", fail)
        said(import_into(archive, new, "--without-vault"), "the machine stops")
    for words in (("verify", "decisions"), ("log", "party"), ("export", str(tmp_path / "other"))):
        said(gridbook(*words, "--data", str(new)), "is not whole: let the import end, or begin it again")
    done(import_into(archive, new, "--without-vault"), "imported")
    done(gridbook("verify", "decisions", "--data", str(new)), "same bytes")


def test_a_deployment_that_runs_is_not_filled(archive: Path, tmp_path: Path, postgres_dsn: str) -> None:
    new = tmp_path / "new"

    async def report() -> None:
        board = open_switchboard(postgres_dsn, deployment_name(new))
        await board.report(ProcessReport("decide@here:7", "decide", "here", 7, "0.1.0", (), "running"))
        await board.close()

    asyncio.run(report())
    said(import_into(archive, new, "--without-vault"), "1 processes of", "run (decide@here:7, …): stop them first")


def test_people_whom_the_vault_knows_otherwise_stop_the_import(
    small: Small, archive: Path, tmp_path: Path, postgres_dsn: str
) -> None:
    new = tmp_path / "new"
    new.mkdir()
    shutil.copy(small.folder / "vault.key", new / "vault.key")
    asyncio.run(open_vault(postgres_dsn, new / "vault.key").put(small.person, PersonalData(name="Ann Married")))
    said(import_into(archive, new), "the vault knows 1 of these people otherwise")
    done(import_into(archive, new, "--without-vault"), "imported")


def test_a_log_is_copied_to_kafka_and_back(
    small: Small, kafka_bootstrap: str, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP", kafka_bootstrap)
    monkeypatch.setenv("GRIDBOOK_REPLICATION_FACTOR", "1")
    monkeypatch.setenv("GRIDBOOK_MIN_INSYNC_REPLICAS", "1")
    data = ("--data", str(small.folder))
    done(gridbook("copy", "--to", "kafka", *data), "copied", f"to {deployment_name(small.folder)}_kafka")
    done(gridbook("verify", "decisions", "--kafka", *data), "same bytes")
    done(gridbook("log", "party", "--kafka", *data), "bob")
    said(gridbook("copy", "--to", "kafka", *data), "holds a record already")
    said(gridbook("copy", "--to", "embedded", *data), "holds a record already")
