"""The record on a real PostgreSQL: a changed byte is named, an erased person is nowhere, a repeat changes nothing."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio

from consumers.replay import Verdict
from gateways.app import App, open_vault
from gateways.app.backends import postgres_backend
from gateways.door import DoorCommand, InvalidCommand
from infra.vault.vault import PersonalData, new_person_id
from schemas.party.commands import ApplyForMembership, RegisterParty
from schemas.party.events import Role
from tests.simulation.world import World

NAME = "Leopoldine Unmistakable"


async def lived(dsn: str, name: str) -> App:
    """A deployment that has lived through a short day."""
    app = App(postgres_backend(dsn, name), dsn, name, partitions=2)
    await app.views.drop()
    await app.start()
    for step in World(1).steps:
        await app.drive.tick(step.moment)
        await app.drive.send(app.door.admit(step.commands))
        await app.drive.settle()
    return app


async def verdicts(app: App, dsn: str) -> list[Verdict]:
    """Verified by a process of its own: the writer remembers what it wrote, and would not look."""
    other = App(postgres_backend(dsn, app._deployment.name), dsn, app._deployment.name, partitions=2)
    await other.open()
    try:
        return await other.verify_decisions()
    finally:
        await other.close()


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app(postgres_dsn: str) -> AsyncIterator[App]:
    made = await lived(postgres_dsn, f"record_{secrets.token_hex(4)}")
    yield made
    await made.views.drop()
    await made.close()


async def test_every_decision_made_again_gives_the_same_bytes(app: App) -> None:
    verdicts = await app.verify_decisions()
    assert all(v.holds for v in verdicts)
    assert sum(v.commands for v in verdicts) > 300
    assert await app.verify_projections() == {}


SELECT = """SELECT originator_id, originator_version, state FROM log.stored_events
WHERE originator_id LIKE %s AND position(%s::bytea IN state) > 0 ORDER BY originator_version"""
UPDATE = "UPDATE log.stored_events SET state = %s WHERE originator_id = %s AND originator_version = %s"


async def test_a_changed_record_is_named_with_its_position(app: App, postgres_dsn: str) -> None:
    streams, trader = f"{app._deployment.name}.events.market/%", World(1).homes[3].party.encode()
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        rows = connection.execute(SELECT, (streams, trader)).fetchall()
        stream, version, state = rows[len(rows) // 2]
        changed = bytes(state).replace(b"trade-p", b"trade-q", 1)
        connection.execute(UPDATE, (changed, stream, version))
        try:
            [verdict] = [v for v in await verdicts(app, postgres_dsn) if not v.holds]
        finally:
            connection.execute(UPDATE, (state, stream, version))
    assert not verdict.chain
    assert any(f"position {version} " in difference for difference in verdict.differences), verdict.differences
    assert all(v.holds for v in await verdicts(app, postgres_dsn))


async def test_an_erased_person_is_nowhere_and_the_record_stands(app: App, postgres_dsn: str, tmp_path: Path) -> None:
    vault = open_vault(postgres_dsn, tmp_path / "vault.key")
    await vault.start()
    person = new_person_id()
    await vault.put(person, PersonalData(name=NAME, address="1 Nowhere"))
    moment = World(1).steps[-1].moment
    wishes = [
        DoorCommand("party", person, person, "join-1", RegisterParty((Role.PARTY_CONNECTED_TO_GRID,))),
        DoorCommand("party", person, person, "join-2", ApplyForMembership("share")),
    ]
    await app.drive.send(app.door.admit(wishes))
    await app.drive.settle()
    assert (await vault.get(person)) is not None
    assert app.drive.time == moment
    await vault.erase(person)
    assert await vault.get(person) is None
    assert NAME.encode() not in everything(postgres_dsn), "not in any row of any table"
    assert person.encode() in everything(postgres_dsn), "the log keeps the id, which means nobody now"
    assert all(v.holds for v in await app.verify_decisions())
    assert await app.verify_projections() == {}


def everything(dsn: str) -> bytes:
    """Every row of every table of the database, as bytes."""
    with psycopg.connect(dsn) as connection:
        tables = connection.execute(
            "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        found = b""
        for (table,) in tables:
            with connection.cursor() as cursor, cursor.copy(f"COPY {table} TO STDOUT BINARY") as copy:  # type: ignore[arg-type]
                found += b"".join(bytes(block) for block in copy)
        return found


async def test_a_repeated_command_gives_the_first_answer_and_no_new_fact(app: App) -> None:
    wish = DoorCommand("party", "newcomer", "newcomer", "once", RegisterParty((Role.SUPPLIER,)))
    for _ in range(3):
        await app.drive.send(app.door.admit([wish]))
        await app.drive.settle()
    rows = await app.views("SELECT event, runtime FROM answers WHERE command_id = 'once' ORDER BY seq", {})
    assert [r["event"] for r in rows] == ["PartyRegistered", "CommandRepeated", "CommandRepeated"]


async def test_what_fails_at_the_door_never_reaches_the_log(app: App) -> None:
    ends = [await app._backend.commands.end(p) for p in app.layout.partitions]
    good = DoorCommand("party", "x", "x", "g", RegisterParty((Role.SUPPLIER,)))
    wrong = [
        DoorCommand("market", "x", "x", "w1", RegisterParty((Role.SUPPLIER,))),
        DoorCommand("party", "", "x", "w2", RegisterParty((Role.SUPPLIER,))),
        DoorCommand("party", "x", "policy:me", "w3", RegisterParty((Role.SUPPLIER,))),
        DoorCommand("party", "x", "x", "w4", ApplyForMembership("c" * 500)),
        DoorCommand("party", "x", "x", "w5", ApplyForMembership(7)),  # type: ignore[arg-type]
    ]
    for command in wrong:
        with pytest.raises(InvalidCommand, match="expected"):
            await app.drive.send(app.door.admit([good, command]))
    assert [await app._backend.commands.end(p) for p in app.layout.partitions] == ends


@pytest.mark.parametrize(
    ("payload", "place"),
    [
        ('{"community": 7}', "community"),
        ("{}", "community"),
        ("[]", "ApplyForMembership"),
        ("not json", "JSON"),
    ],
)
async def test_json_is_read_strictly(app: App, payload: str, place: str) -> None:
    with pytest.raises(InvalidCommand, match=place):
        app.door.read("party", "ApplyForMembership", payload)
    assert app.door.read("party", "ApplyForMembership", '{"community": "green"}') == ApplyForMembership("green")


async def test_a_community_counts_only_whom_it_admitted(app: App) -> None:
    """A site may say that it shares anywhere; the run of that day must not have listened."""
    rows = await app.views(
        "SELECT DISTINCT s.customer FROM sharing_memberships s JOIN settlement_lines l USING (connection)"
        " WHERE l.kind = 'shared_consumption'",
        {},
    )
    assert rows
    assert not [r for r in rows if r["customer"].startswith("trade")]
    asked = await app.views("SELECT 1 FROM sharing_memberships WHERE customer = 'trade-p1'", {})
    assert asked, "the stranger did ask"


async def test_a_connection_counts_with_its_own_meter_only(app: App) -> None:
    named = await app.views("SELECT metering_point FROM connections WHERE connection = 'thief-c0'", {})
    assert [r["metering_point"] for r in named] == ["trade-c0-mp"], "the thief did name it"
    assert await app.views("SELECT run FROM connection_balances WHERE connection = 'thief-c0'", {}) == []
    runs = await app.views("SELECT count(*) AS n FROM runs WHERE status = 'posted'", {})
    assert runs[0]["n"] == 4, "and stopped no run"


async def test_an_unknown_command_names_the_known_ones(app: App) -> None:
    with pytest.raises(InvalidCommand, match="ApplyForMembership"):
        app.door.read("party", "Apply", "{}")
