"""`gridbook partition` on a database: what it does, what it shows, and one sentence for each failure."""

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from consumers.ports import Partition, ProcessReport
from gateways.cli_partition import app
from gateways.running import alone, announced
from gateways.servers import deployment_name
from infra.postgres.switchboard import PostgresSwitchboard

M0, M1 = Partition("market", 0), Partition("market", 1)


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, postgres_dsn: str, tmp_path: Path) -> Path:
    monkeypatch.setenv("DATABASE_URL", postgres_dsn)
    monkeypatch.setenv("GRIDBOOK_DATA", str(tmp_path))
    monkeypatch.setenv("GRIDBOOK_FAMILY_PARTITIONS", "market=2")
    return tmp_path


def partition(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def said(failed: Result, *words: str, code: int = 1) -> None:
    assert failed.exit_code == code, failed.output
    assert failed.exception is None or isinstance(failed.exception, SystemExit), failed.exception
    flat = " ".join(failed.stderr.replace("│", " ").split())
    for word in words:
        assert word in flat
    if code == 1:
        assert len(failed.stderr.strip().splitlines()) == 1


def paused(dsn: str, deployment: str) -> dict[Partition, str]:
    async def ask() -> dict[Partition, str]:
        board = PostgresSwitchboard(dsn, deployment)
        try:
            return dict(await board.paused())
        finally:
            await board.close()

    return asyncio.run(ask())


def report(dsn: str, deployment: str, *processes: ProcessReport) -> None:
    async def tell() -> None:
        board = PostgresSwitchboard(dsn, deployment)
        for process in processes:
            await board.report(process)
        await board.close()

    asyncio.run(tell())


def owners(*words: str) -> dict[str, tuple[str, str]]:
    shown = partition("owner", *words, "--json")
    assert shown.exit_code == 0, shown.output
    rows = [json.loads(line) for line in shown.stdout.splitlines()]
    return {row["partition"]: (row["process"], row["paused"]) for row in rows}


def test_pause_and_resume_reach_the_deployment_of_the_folder(postgres_dsn: str, folder: Path) -> None:
    name = deployment_name(folder)
    assert "market/1 rests" in partition("pause", "market/1", "--reason", "a wrong price").stdout
    assert paused(postgres_dsn, name) == {M1: "a wrong price"}
    assert partition("pause", "market/0").exit_code == 0
    assert paused(postgres_dsn, name)[M0] == "paused by an operator"
    assert "market/1 goes on" in partition("resume", "market/1").stdout
    assert "market/1 was not paused" in partition("resume", "market/1").stdout
    assert set(paused(postgres_dsn, name)) == {M0}
    assert paused(postgres_dsn, f"{name}_kafka") == {}


def test_the_deployment_on_kafka_and_one_that_is_named_are_others(
    postgres_dsn: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = deployment_name(folder)
    named = f"{name}_named"
    assert partition("pause", "market/0", "--kafka").exit_code == 0
    assert (paused(postgres_dsn, name), len(paused(postgres_dsn, f"{name}_kafka"))) == ({}, 1)
    monkeypatch.setenv("GRIDBOOK_DEPLOYMENT", named)
    assert partition("pause", "market/0", "--kafka").exit_code == 0
    assert len(paused(postgres_dsn, named)) == 1


def test_owner_shows_who_decides_what_and_what_rests(postgres_dsn: str, folder: Path) -> None:
    report(
        postgres_dsn,
        deployment_name(folder),
        ProcessReport("decide@here:1", "decide", "here", 1, "0.1.0", (M0,), "running"),
        ProcessReport("project@here:2", "project", "here", 2, "0.1.0", (M0, M1), "running"),
    )
    partition("pause", "market/1", "--reason", "[bold]why[/bold]")
    found = owners()
    assert len(found) == 10
    assert found["market/0"] == ("decide@here:1", "")
    assert found["market/1"] == ("nobody", "[bold]why[/bold]")
    assert found["party/0"] == ("nobody", "")
    assert owners("market/0") == {"market/0": ("decide@here:1", "")}
    table = partition("owner", "market/1").stdout
    assert "nobody" in table
    assert "[bold]why[/bold]" in table


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ("market/2", "one of market/0, market/1, found 'market/2'"),
        ("market", "one of market/0, market/1, found 'market'"),
        ("markt/0", "one of party, site"),
        ("market/-1", "found 'market/-1'"),
        ("market/x", "found 'market/x'"),
    ],
)
@pytest.mark.parametrize("verb", ["pause", "resume", "owner"])
def test_what_is_no_partition_is_refused(verb: str, named: str, says: str) -> None:
    said(partition(verb, "--", named), says, code=2)


def test_a_wrong_setting_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDBOOK_PARTITION", "3")
    said(partition("owner"), "GRIDBOOK_PARTITION is no setting: did you mean GRIDBOOK_PARTITIONS?", code=2)


def test_a_database_that_is_away_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://ann:s3cret@127.0.0.1:1/none")
    failed = partition("pause", "market/0")
    said(failed, "the switchboard's database does not answer", "start PostgreSQL, or correct DATABASE_URL")
    assert "s3cret" not in failed.output


def test_a_folder_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DATABASE_URL")
    said(partition("owner", "--data", str(tmp_path / "none")), "does not exist: name the folder with --data", code=2)


def test_a_database_that_only_the_running_up_knows_is_not_guessed(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.delenv("DATABASE_URL")
    with alone(folder), announced(folder, None, None):
        said(partition("owner"), "`gridbook up` runs on", "with a DATABASE_URL: set the same one here")
    with alone(folder):
        said(partition("owner"), "is starting or stopping")
    assert not (folder / "postgres").exists()
