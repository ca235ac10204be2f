"""`gridbook topics grow` as an operator uses it, on Kafka: stop, grow, start with the new setting."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateways.app import App
from gateways.app.backends import kafka_backend
from gateways.cli import app as gridbook_app
from gateways.servers import deployment_name
from infra.vault.vault import new_person_id
from schemas.envelope import Moment

GROWN = "GRIDBOOK_FAMILY_PARTITIONS"
REGISTER = '{"roles": ["supplier"]}'

Gridbook = Callable[..., Result]


@pytest.fixture
def gridbook(postgres_dsn: str, kafka_bootstrap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gridbook:
    """Runs a command on a deployment of its own, on which time has begun."""
    for name, value in {
        "DATABASE_URL": postgres_dsn,
        "KAFKA_BOOTSTRAP": kafka_bootstrap,
        "GRIDBOOK_DATA": str(tmp_path / "data"),
        "GRIDBOOK_REPLICATION_FACTOR": "1",
        "GRIDBOOK_MIN_INSYNC_REPLICAS": "1",
        "GRIDBOOK_HEALTH_PORT": "none",
    }.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "data").mkdir()
    name = f"{deployment_name(tmp_path / 'data')}_kafka"

    async def begin() -> None:
        app = App(kafka_backend(kafka_bootstrap, name), postgres_dsn, name)
        await app.start()
        await app.drive.tick(Moment(1, time.time_ns() // 1_000))
        await app.close()

    asyncio.run(begin())
    return lambda *args: CliRunner().invoke(gridbook_app, list(args))


def register(gridbook: Gridbook, person: str) -> Result:
    said = ("party", person, "RegisterParty", REGISTER, "--actor", person, "--command-id", "join")
    return gridbook("send", *said, "--kafka")


def test_an_operator_gives_a_family_more_partitions(
    gridbook: Gridbook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [new_person_id() for _ in range(3)]
    for person in people[:2]:
        assert register(gridbook, person).exit_code == 0
    grown = gridbook("topics", "grow", "party", "3")
    assert grown.exit_code == 0, grown.output
    setting = grown.output.splitlines()[-1].removeprefix(f"{GROWN}=")
    assert "party=1+3" in setting.split(",")

    refused = register(gridbook, people[2])
    assert refused.exit_code == 1
    assert "generation 1 of party has ended" in refused.output
    assert f"set {GROWN}=party=1+3" in refused.output.replace("\n", " ")

    monkeypatch.setenv(GROWN, setting)
    shown = gridbook("topics", "--show")
    assert shown.exit_code == 0
    assert ".events.party.g2" in shown.output
    up = subprocess.Popen([sys.executable, "-m", "gateways.start", "up", "--kafka"], env=os.environ, cwd=Path.cwd())
    try:
        deadline = time.monotonic() + 60
        while "decide" not in gridbook("partition", "owner", "party/1002", "--kafka").output:
            assert time.monotonic() < deadline, "nobody decides"
            time.sleep(0.5)
        for person in people:
            assert register(gridbook, person).exit_code == 0
    finally:
        up.send_signal(signal.SIGTERM)
        assert up.wait(20) == 0
    for person in people:
        history = gridbook("history", "party", person, "--kafka", "--json").output
        assert history.count("PartyRegistered") == 1
    assert gridbook("verify", "decisions", "--kafka").exit_code == 0
