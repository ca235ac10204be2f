"""`gridbook why|log|history|state|dead`: what stands on the log, and a command that was set aside decided once."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from consumers.limits import DAY_US
from consumers.ports import NewRecord, Partition
from domain.community import decider as community
from domain.party import decider as party
from gateways.app import App
from gateways.app.backends import postgres_backend
from gateways.cli import app as gridbook_app
from gateways.door import DoorCommand
from gateways.servers import deployment_name
from schemas.community.commands import AdmitMember, AdoptSharingRules, FoundCommunity
from schemas.community.events import SharingKey
from schemas.envelope import Moment
from schemas.party.commands import ApplyForMembership, RegisterParty
from schemas.party.events import Role

START = 1_466_460_000_000_000
FIRST = "ann"
LATER = "zoe"


def wish(key: str, command_id: str, body: Any, family: str = "party") -> DoorCommand:
    return DoorCommand(family, key, key, command_id, body)


async def _live(dsn: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ann's and the community's first days, with two bugs that are not there any more when it is over."""
    healthy_admission, healthy_party = community.decide, party.decide

    def admits_no_ann(state: Any, command: Any, now: Any) -> Any:
        if isinstance(command.body, AdmitMember) and command.body.party == FIRST:
            raise ZeroDivisionError
        return healthy_admission(state, command, now)

    def registers_no_dora(state: Any, command: Any, now: Any) -> Any:
        if command.key == "dora":
            raise KeyError("dora")
        return healthy_party(state, command, now)

    app = App(postgres_backend(dsn, name), dsn, name)
    await app.start()
    with monkeypatch.context() as planted:
        planted.setattr(community, "decide", admits_no_ann)
        planted.setattr(party, "decide", registers_no_dora)
        await app.drive.tick(Moment(1, START))
        found = [
            wish("green", "found", FoundCommunity("zone", "EUR"), "community"),
            wish("green", "rules", AdoptSharingRules(SharingKey.DYNAMIC, 15, 10, 10, 10, 30, 0), "community"),
            *(wish(key, "join", RegisterParty((Role.SUPPLIER,))) for key in (FIRST, LATER, "dora")),
        ]
        await app.drive.send(app.door.admit(found))
        await app.drive.settle()
        await app.drive.tick(Moment(2, START + 60_000_000))
        for key in (FIRST, LATER):
            await app.drive.send(app.door.admit([wish(key, "apply", ApplyForMembership("green"))]))
            await app.drive.settle()
        planted.setattr("gateways.door.VALIDITY_US", 10 * DAY_US)
        await app.drive.send(app.door.admit([wish("ed", "long", RegisterParty((Role.SUPPLIER,)))]))
        unread = NewRecord(b"fred", b"\x00\x00\x00\xff\xffnewer", (("command_id", b"newer"),))
        await app.drive.send([(Partition("party", 0), unread)])
        await app.drive.settle()
    await app.close()


def _lived(dsn: str, folder: Path) -> Path:
    with pytest.MonkeyPatch.context() as planted:
        asyncio.run(_live(dsn, deployment_name(folder), planted))
    return folder


@pytest.fixture(scope="module")
def unchanged(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose deployment has lived as `_live` says."""
    return _lived(postgres_dsn, tmp_path_factory.mktemp("looked_at"))


@pytest.fixture
def looked_at(unchanged: Path, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", postgres_dsn)
    monkeypatch.setenv("GRIDBOOK_DATA", str(unchanged))


@pytest.fixture
def retried(postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", postgres_dsn)
    monkeypatch.setenv("GRIDBOOK_DATA", str(_lived(postgres_dsn, tmp_path)))


def gridbook(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(gridbook_app, list(words))
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def rows(*words: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gridbook(*words, "--json").stdout.splitlines()]


def dead() -> dict[str, dict[str, Any]]:
    """What was set aside, by the command's id."""
    return {row["id"]: row for row in rows("dead", "list")}


def retry(row: dict[str, Any], *words: str, code: int = 0) -> Result:
    return gridbook("dead", "retry", row["partition"], str(row["seq"]), *words, code=code)


def facts(family: str, key: str) -> list[str]:
    return [row["type"] for row in rows("history", family, key)]


def settled() -> None:
    """Lets the deployment decide what waits, by another wish."""
    wished = ("party", "gil", "RegisterParty", '{"roles": ["supplier"]}', "--actor", "gil", "--command-id", "join")
    gridbook("send", *wished)


def members() -> list[str]:
    return [row["body"]["party"] for row in rows("history", "community", "green") if row["type"] == "MemberAdmitted"]


@pytest.mark.usefixtures("looked_at")
def test_the_log_is_shown_record_by_record() -> None:
    found = rows("log", "party")
    assert [row["seq"] for row in found] == sorted(row["seq"] for row in found)
    assert {"PartyRegistered", "MembershipApplied"} == {row["type"] for row in found}
    every = rows("log", "party/0", "--runtime")
    assert [row["seq"] for row in every] == list(range(len(every)))
    assert every[0]["type"] == "LogicAdopted"
    assert [row["seq"] for row in rows("log", "party", "--from", "4", "--limit", "2", "--runtime")] == [4, 5]
    assert rows("log", "party", "--from", "10000") == []
    commands = rows("log", "party", "--commands")
    assert [row["position"] for row in commands] == list(range(len(commands)))
    assert [row["unreadable"][:15] for row in commands if "unreadable" in row] == ["schema id 65535"]
    shown = gridbook("log", "party", "--limit", "1").stdout
    assert "2016-06-20T22:00:00Z" in shown
    assert "--limit shows more than 1" in shown
    assert "no 'nothing'" in " ".join(gridbook("log", "nothing", code=2).stderr.split())
    assert "no 'party/7'" in " ".join(gridbook("log", "party/7", code=2).stderr.split())
    assert facts("party", FIRST) == ["PartyRegistered", "MembershipApplied"]
    gridbook("history", "party", "nobody", code=1)


@pytest.mark.usefixtures("looked_at")
def test_the_state_of_a_key_is_shown_as_of_a_cut_off() -> None:
    now = gridbook("state", "party", FIRST).stdout
    assert "ann now (2 facts, the last one seq" in now
    assert "registered yes" in now
    assert "communities\n" in now
    before = gridbook("state", "party", FIRST, "--at", "2").stdout
    assert "ann cut-off tick 2 (1 facts" in before
    assert "communities empty" in before
    assert "no facts: the state that every key begins with" in gridbook("state", "party", FIRST, "--at", "1").stdout
    assert "no family" in gridbook("state", "nothing", "x", code=2).stderr


@pytest.mark.usefixtures("looked_at")
def test_what_became_of_a_command_is_told_with_all_that_followed() -> None:
    told = gridbook("why", "apply", "--actor", LATER).stdout
    lines = [line.strip("│├└─ ") for line in told.splitlines() if line.strip()]
    kinds = [line.split()[0] for line in lines]
    assert kinds == ["ApplyForMembership", "MembershipApplied", "AdmitMember", "MemberAdmitted"]
    assert "by policy:party_to_community.admit" in lines[2]
    [admission] = [row["meta"]["command_id"] for row in rows("log", "community") if row["type"] == "MemberAdmitted"]
    upwards = gridbook("why", admission).stdout
    assert "because of" in upwards
    assert f"MembershipApplied {LATER}" in upwards
    both = gridbook("why", "apply").stdout
    assert "CommandSetAside green reason decide_raised" in both
    assert "no command 'apply' by nobody stands" in gridbook("why", "apply", "--actor", "nobody", code=1).stderr


@pytest.mark.usefixtures("looked_at")
def test_what_was_set_aside_is_listed_and_shown() -> None:
    reasons = {row["id"]: (row["reason"], row["detail"]) for row in rows("dead", "list")}
    assert set(reasons.values()) == {
        ("decide_raised", "ZeroDivisionError"),
        ("decide_raised", "KeyError"),
        ("valid_until_beyond_window", "long"),
        ("undecodable", "UnknownSchema"),
    }
    assert len(rows("dead", "list", "--limit", "2")) == 2
    row = dead()["newer"]
    [one] = rows("dead", "show", row["partition"], str(row["seq"]))
    assert (one["value bytes"], one["key bytes"]) == (b"\x00\x00\x00\xff\xffnewer".hex(), b"fred".hex())
    assert "schema id 65535" in one["unreadable"]
    row = dead()["join"]
    shown = gridbook("dead", "show", row["partition"], str(row["seq"])).stdout
    told = ("reason: decide_raised", "detail: KeyError", f"logic: {party.LOGIC}", '"roles": ["supplier"]', "dora")
    for words in told:
        assert words in shown
    assert "sets no command aside" in gridbook("dead", "show", "party/0", "0", code=1).stderr
    assert "cannot read the command" in retry(dead()["newer"], code=1).stderr


@pytest.mark.usefixtures("retried")
def test_what_was_set_aside_is_decided_once() -> None:
    _from_a_door()
    _unjudged()
    _from_inside()


def _from_a_door() -> None:
    row = dead()["join"]
    with pytest.MonkeyPatch.context() as running:
        running.setattr(App, "runs_elsewhere", elsewhere)
        for _ in range(2):  # the second one while the first is still unanswered
            assert "as join~retry1: `gridbook why join~retry1`" in retry(row).stdout
    assert "not answered yet" in gridbook("why", "join~retry1").stdout
    settled()
    assert facts("party", "dora") == ["PartyRegistered"]
    assert "nothing is sent: join~retry1 was decided (party/0 seq" in retry(row).stdout


async def elsewhere(made: App) -> bool:
    """Somebody else runs the deployment."""
    return True


def _unjudged() -> None:
    row = dead()["long"]
    assert "as long:" in retry(row).stdout
    assert facts("party", "ed") == ["PartyRegistered"]
    assert "nothing is sent: long was decided" in retry(row).stdout


def _from_inside() -> None:
    [row] = [row for row in dead().values() if row["detail"] == "ZeroDivisionError"]
    assert row["actor"] == "policy:party_to_community.admit"
    assert members() == [LATER], "the cursor has passed ann's admission"
    with pytest.MonkeyPatch.context() as running:
        running.setattr(App, "runs_elsewhere", elsewhere)
        for _ in range(2):
            assert f"as {row['id']}" in retry(row).stdout
    settled()
    assert members() == [LATER, FIRST]
    assert "nothing is sent" in retry(row).stdout
    told = gridbook("why", "apply", "--actor", FIRST).stdout
    assert told.index("CommandSetAside") < told.index("MemberAdmitted") < told.index("CommandRepeated")
    for command, body in (
        ("RegisterParty", '{"roles": ["supplier"]}'),
        ("ApplyForMembership", '{"community": "green"}'),
    ):
        gridbook("send", "party", "hal", command, body, "--actor", "hal", "--command-id", command)
    assert members() == [LATER, FIRST, "hal"], "and the first line goes on"
