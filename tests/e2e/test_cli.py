"""The command line on a small deployment: answers, exit codes, and one sentence for each failure."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner, Result

from consumers.limits import DAY_US
from consumers.ports import NewRecord, StoredRecord
from gateways.app import FAILURES, App
from gateways.app.backends import postgres_backend
from gateways.cli import app
from gateways.door import DoorCommand
from gateways.servers import deployment_name
from infra.embedded.frame import pack, unpack
from schemas.envelope import Moment
from schemas.party.commands import RegisterParty
from schemas.party.events import Role

REGISTER = ("RegisterParty", '{"roles": ["supplier"]}')
APPLY = ("ApplyForMembership", '{"community": "green"}')


@pytest.fixture(scope="module")
def folder(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose deployment knows one party."""
    made = tmp_path_factory.mktemp("cli")
    name = deployment_name(made)

    async def live() -> None:
        one = App(postgres_backend(postgres_dsn, name), postgres_dsn, name)
        await one.start()
        await one.drive.tick(Moment(1, 1_466_460_000_000_000))
        wish = DoorCommand("party", "ann", "ann", "join", RegisterParty((Role.SUPPLIER,)))
        await one.drive.send(one.door.admit([wish]))
        await one.drive.settle()
        await one.close()

    asyncio.run(live())
    return made


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, postgres_dsn: str, folder: Path) -> None:
    monkeypatch.setenv("DATABASE_URL", postgres_dsn)
    monkeypatch.setenv("GRIDBOOK_DATA", str(folder))


def gridbook(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def send(command: tuple[str, str], command_id: str, party: str = "ann", actor: str | None = None) -> Result:
    return gridbook("send", "party", party, *command, "--actor", actor or party, "--command-id", command_id)


def said(failed: Result, *words: str, code: int = 1) -> None:
    """It ended with one sentence that holds these words, and without a traceback."""
    assert failed.exit_code == code, failed.output
    assert failed.exception is None or isinstance(failed.exception, SystemExit), failed.exception
    flat = " ".join(failed.stderr.replace("│", " ").split())
    for word in words:
        assert word in flat
    if code == 1:
        assert len(failed.stderr.strip().splitlines()) == 1


def rows(shown: Result) -> list[dict[str, object]]:
    assert shown.exit_code == 0, shown.output
    return [json.loads(line) for line in shown.stdout.splitlines()]


def test_show_gives_a_table_or_json_lines() -> None:
    assert "ann" in gridbook("show", "parties").stdout
    assert {"party": "ann", "roles": ["supplier"]} in rows(gridbook("show", "parties", "--json"))
    assert "invoices: nothing yet" in gridbook("show", "invoices").stdout


def test_show_of_no_view_names_the_views() -> None:
    said(gridbook("show", "nothing"), "no view 'nothing'", "parties", code=2)


def test_a_limit_holds_for_every_view() -> None:
    for n in range(3):
        assert send(REGISTER, "join", f"limit{n}").exit_code == 0
    assert len(rows(gridbook("show", "parties", "--json"))) >= 4
    assert len(rows(gridbook("show", "parties", "--json", "--limit", "2"))) == 2
    assert len(rows(gridbook("show", "answers", "--json", "--limit", "2"))) == 2


def test_show_passes_what_the_question_names() -> None:
    assert "nothing yet" in gridbook("show", "bill_lines", "--where", "invoice=none").stdout
    shown = gridbook("show", "current_readings", "--where", "metering_point=a=b", "--limit", "7")
    assert "nothing yet" in shown.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("bill_lines",), "bill_lines: expected --where invoice=…, found none"),
        (("bill_lines", "--where", "invoice"), "expected --where invoice=…, found invoice"),
        (
            ("bill_lines", "--where", "invoice=1", "--where", "party=2"),
            "expected --where invoice=…, found invoice=1 party",
        ),
        (("current_readings", "--where", "limit=3"), "expected --where metering_point=…, found limit=3"),
        (("parties", "--where", "party=ann"), "parties: expected no --where, found party=ann"),
    ],
)
def test_show_says_what_a_question_needs(words: tuple[str, ...], expected: str) -> None:
    said(gridbook("show", *words), expected, code=2)


def test_explain_of_an_unknown_line_is_one_sentence() -> None:
    said(gridbook("explain", "no-such-invoice", "1"), "no-such-invoice")


def test_verify_holds() -> None:
    decisions, projections = gridbook("verify", "decisions"), gridbook("verify", "projections")
    assert decisions.exit_code == 0, decisions.output
    assert "same bytes" in decisions.stdout
    assert projections.exit_code == 0, projections.output
    assert "every view equals its rebuild" in projections.stdout


def test_send_twice_gives_the_first_answer() -> None:
    first, second = send(REGISTER, "once", "bob"), send(REGISTER, "once", "bob")
    assert (first.exit_code, second.exit_code) == (0, 0), first.output + second.output
    assert "PartyRegistered" in first.stdout
    assert "CommandRepeated" not in first.stdout
    assert "PartyRegistered" in second.stdout
    assert "CommandRepeated" in second.stdout


def test_send_says_by_its_exit_code_that_it_was_refused() -> None:
    for _ in range(2):
        refused = send(APPLY, "early", "carl")
        assert refused.exit_code == 1
        assert "CommandRefused" in refused.stdout
        assert refused.stderr == ""
    assert send(REGISTER, "join", "carl").exit_code == 0
    assert send(APPLY, "later", "carl").exit_code == 0, "an older refusal is another wish's"


def test_send_says_by_its_exit_code_that_it_was_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as longer:
        longer.setattr("gateways.door.VALIDITY_US", 10 * DAY_US)  # than any partition accepts
        aside = send(REGISTER, "too-long", "dora")
    assert aside.exit_code == 1
    assert "CommandSetAside" in aside.stdout
    assert send(REGISTER, "too-long", "dora").exit_code == 0, "what was set aside unjudged may come again"


@pytest.mark.parametrize(
    ("command", "actor", "words"),
    [
        (("RegisterParty", "{"), "eve", ("party.RegisterParty", "Invalid JSON")),
        (("RegisterParty", '{"roles": ["[/king]"]}'), "eve", ("party.RegisterParty.roles.0: expected", "[/king]")),
        (("RegisterParty", '{"roles": [], "since": 7}'), "eve", ("party.RegisterParty.since: expected no such field",)),
        (("Register", "{}"), "eve", ("expected one of party.ApplyForMarket", "found 'party.Register'")),
        (REGISTER, "policy:eve", ("actor: expected a party or an operator, found 'policy:eve'",)),
    ],
)
def test_send_refuses_at_the_door(command: tuple[str, str], actor: str, words: tuple[str, ...]) -> None:
    said(send(command, "wrong", "eve", actor), *words)
    assert not [row for row in rows(gridbook("show", "answers", "--json")) if row["key"] == "eve"]


def test_a_name_like_markup_is_a_name() -> None:
    assert "[/red]" in send(REGISTER, "[bold]", "[/red]").stdout
    assert "[/red]" in gridbook("show", "parties").stdout


def test_help_says_how_long_an_id_is_remembered() -> None:
    shown = " ".join(gridbook("send", "--help").stdout.replace("│", " ").split())
    assert "within 2 days of the deployment's time changes nothing" in shown


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    said(gridbook("show", "parties", "--data", str(tmp_path / "none")), "does not exist: run `make demo`", code=2)


def test_another_number_of_partitions_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDBOOK_PARTITIONS", "2")
    said(gridbook("show", "parties"), "it has 1 partitions instead of 2", "start with 1")


Spoil = Callable[[StoredRecord], NewRecord]
SPOILS: dict[str, tuple[str, Spoil]] = {
    "another key": ("the chain hash differs", lambda r: NewRecord(b"bnn", r.value, r.headers)),
    "another schema": ("in the ledger of this release", lambda r: NewRecord(r.key, b"\0\xff" + r.value[2:], r.headers)),
    "a byte too many": ("1 bytes left over", lambda r: NewRecord(r.key, r.value + b"\0", r.headers)),
}


@contextmanager
def changed(dsn: str, stream: str, spoil: Spoil) -> Iterator[None]:
    """The stream with one record of ann spoilt."""
    update = "UPDATE log.stored_events SET state = %s WHERE originator_id = %s AND originator_version = %s"
    with psycopg.connect(dsn, autocommit=True) as connection:
        found = connection.execute(
            "SELECT originator_version, state FROM log.stored_events WHERE originator_id = %s", (stream,)
        ).fetchall()
        record, state = next((r, state) for n, state in found if (r := unpack(n, bytes(state))).key == b"ann")
        connection.execute(update, (pack(spoil(record)), stream, record.position))
        try:
            yield
        finally:
            connection.execute(update, (state, stream, record.position))


@pytest.mark.parametrize(("words", "spoil"), SPOILS.values(), ids=SPOILS)
def test_a_damaged_log_is_one_sentence(postgres_dsn: str, folder: Path, words: str, spoil: Spoil) -> None:
    with changed(postgres_dsn, f"{deployment_name(folder)}.events.party/0", spoil):
        said(send(REGISTER, "once", "fred"), words)
        verified = gridbook("verify", "decisions")
        assert verified.exit_code == 1
        assert verified.exception is None or isinstance(verified.exception, SystemExit), verified.exception
    assert gridbook("verify", "decisions").exit_code == 0


@pytest.mark.parametrize("failure", FAILURES)
def test_whatever_a_pipe_says_is_one_sentence(failure: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(self: App) -> None:
        raise failure("what was tried [/and] what to do " * 9)

    monkeypatch.setattr(App, "open", fail)
    said(gridbook("show", "parties"), "what was tried [/and] what to do")
