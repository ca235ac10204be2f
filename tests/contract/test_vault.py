"""Promises of the vault: personal data are readable until they are erased, and never again."""

import asyncio
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from infra.vault.vault import (
    NotRewritten,
    PersonalData,
    SealedPerson,
    Vault,
    VaultDiffers,
    VaultUnavailable,
    master_key,
    new_person_id,
    sealed_people,
)

ROOT = Path(__file__).parents[2]
KEY = secrets.token_bytes(32)
ANN = PersonalData(name="Ann Example", address="1 Green Lane", email="ann@example.org", iban="XX00")


@pytest.fixture
async def vault(postgres_dsn: str) -> Vault:
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS vault CASCADE")
    made = Vault(postgres_dsn, KEY)
    await made.start()
    await made.start()
    return made


async def test_what_was_put_is_read_and_replaced(vault: Vault) -> None:
    person = new_person_id()
    await vault.put(person, ANN)
    assert await vault.get(person) == ANN
    await vault.put(person, PersonalData(name="Ann Other"))
    assert await vault.get(person) == PersonalData(name="Ann Other")


async def test_nobody_is_nobody(vault: Vault) -> None:
    assert await vault.get("unknown") is None
    assert await vault.erase("unknown") is False


async def test_an_erased_person_is_gone_and_the_others_stay(vault: Vault) -> None:
    ann, bob = new_person_id(), new_person_id()
    await vault.put(ann, ANN)
    await vault.put(bob, PersonalData(name="Bob"))
    assert await vault.erase(ann) is True
    assert await vault.get(ann) is None
    assert await vault.erase(ann) is False
    assert await vault.get(bob) == PersonalData(name="Bob")


async def test_no_plain_text_stands_in_the_database(vault: Vault, postgres_dsn: str) -> None:
    person = new_person_id()
    await vault.put(person, ANN)
    with psycopg.connect(postgres_dsn) as connection:
        rows = connection.execute("SELECT data FROM vault.people UNION ALL SELECT wrapped FROM vault.keys").fetchall()
    assert rows
    assert all(b"Ann" not in bytes(row[0]) for row in rows)


SPOILS: dict[str, LiteralString] = {
    "moved key": "UPDATE vault.keys SET wrapped = (SELECT wrapped FROM vault.keys WHERE person = %s) WHERE person = %s",
    "moved data": "UPDATE vault.people SET data = (SELECT data FROM vault.people WHERE person = %s) WHERE person = %s",
    "changed data": "UPDATE vault.people SET data = set_byte(data, 20, 0) WHERE person <> %s AND person = %s",
    "short data": "UPDATE vault.people SET data = 'abc' WHERE person <> %s AND person = %s",
}


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS)
async def test_what_was_moved_or_changed_does_not_open(vault: Vault, postgres_dsn: str, spoil: LiteralString) -> None:
    ann, bob = new_person_id(), new_person_id()
    await vault.put(ann, ANN)
    await vault.put(bob, PersonalData(name="Bob"))
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(spoil, (ann, bob))
    with pytest.raises(VaultUnavailable, match="does not open"):
        await vault.get(bob)
    assert await vault.get(ann) == ANN


async def test_first_puts_of_one_person_at_once_leave_one_that_is_readable(vault: Vault) -> None:
    for _ in range(10):
        person, names = new_person_id(), [f"name {n}" for n in range(4)]
        await asyncio.gather(*(vault.put(person, PersonalData(name=name)) for name in names))
        found = await vault.get(person)
        assert found is not None
        assert found.name in names


async def test_puts_and_erasures_of_one_person_at_once_leave_all_or_nothing(vault: Vault) -> None:
    person = new_person_id()
    await vault.put(person, ANN)
    for _ in range(5):
        await asyncio.gather(*(vault.put(person, ANN) for _ in range(3)), vault.erase(person))
        assert await vault.get(person) in (None, ANN)


async def test_an_erasure_counts_though_the_tables_cannot_be_rewritten(vault: Vault, postgres_dsn: str) -> None:
    person = new_person_id()
    await vault.put(person, ANN)
    impatient = Vault(psycopg.conninfo.make_conninfo(postgres_dsn, options="-c lock_timeout=100"), KEY)
    with psycopg.connect(postgres_dsn) as reader:
        reader.execute("SELECT 1 FROM vault.keys").fetchall()  # an open transaction: nobody rewrites the table
        with pytest.raises(NotRewritten, match="the person is erased, but"):
            await impatient.erase(person)
        assert await vault.get(person) is None
    assert await vault.erase(person) is False, "erased before; now the tables are rewritten"


async def test_another_master_key_is_named(vault: Vault, postgres_dsn: str) -> None:
    person = new_person_id()
    await vault.put(person, ANN)
    with pytest.raises(VaultUnavailable, match="another master key"):
        await Vault(postgres_dsn, secrets.token_bytes(32)).get(person)


async def emptied(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("TRUNCATE vault.keys, vault.people")


async def test_a_backup_holds_no_plain_text_and_no_key_and_puts_everybody_back(vault: Vault, postgres_dsn: str) -> None:
    ann, bob = new_person_id(), new_person_id()
    await vault.put(ann, ANN)
    await vault.put(bob, PersonalData(name="Bob"))
    sealed = await sealed_people(postgres_dsn)
    assert [one.person for one in sealed] == sorted([ann, bob])
    everything = b"".join(one.wrapped + one.data for one in sealed)
    assert b"Ann" not in everything
    assert KEY not in everything
    await emptied(postgres_dsn)
    assert await vault.restore(sealed) == 2
    assert await vault.restore(sealed) == 0, "once more changes nothing"
    assert (await vault.get(ann), await vault.get(bob)) == (ANN, PersonalData(name="Bob"))


async def test_where_there_is_no_vault_nobody_is_in_the_backup(vault: Vault, postgres_dsn: str) -> None:
    assert await sealed_people(postgres_dsn) == []
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("DROP SCHEMA vault CASCADE")
    assert await sealed_people(postgres_dsn) == []


async def test_whom_the_vault_knows_otherwise_is_not_overwritten(vault: Vault, postgres_dsn: str) -> None:
    ann, bob = new_person_id(), new_person_id()
    await vault.put(ann, ANN)
    await vault.put(bob, PersonalData(name="Bob"))
    sealed = await sealed_people(postgres_dsn)
    await vault.put(ann, PersonalData(name="Ann Married"))
    await vault.erase(bob)
    with pytest.raises(VaultDiffers, match=f"knows 1 of these people otherwise \\('{ann}'"):
        await vault.restore(sealed)
    assert await vault.get(ann) == PersonalData(name="Ann Married")
    assert await vault.get(bob) is None, "all or none"


async def test_rows_under_another_master_key_are_not_put_back(vault: Vault, postgres_dsn: str) -> None:
    await vault.put(new_person_id(), ANN)
    sealed = await sealed_people(postgres_dsn)
    await emptied(postgres_dsn)
    for rows, key in ((sealed, secrets.token_bytes(32)), ([SealedPerson("x", sealed[0].wrapped, b"")], KEY)):
        with pytest.raises(VaultUnavailable, match="another master key"):
            await Vault(postgres_dsn, key).restore(rows)
    assert await sealed_people(postgres_dsn) == []


def test_the_master_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "vault.key"
    key = master_key(path)
    assert master_key(path) == key
    assert len(key) == 32
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damaged", [b"", b"short", bytes(33)])
def test_a_damaged_master_key_is_named_and_never_replaced(tmp_path: Path, damaged: bytes) -> None:
    (tmp_path / "vault.key").write_bytes(damaged)
    with pytest.raises(VaultUnavailable, match=rf"vault\.key: expected a master key of 32 bytes, found {len(damaged)}"):
        master_key(tmp_path / "vault.key")
    assert (tmp_path / "vault.key").read_bytes() == damaged


def test_where_no_master_key_can_be_made_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(VaultUnavailable, match="no master key can be read or made there"):
        master_key(tmp_path / "file" / "vault.key")


MAKE = """
import sys, time
from pathlib import Path
from infra.vault.vault import master_key
while time.time() < float(sys.argv[2]):
    pass
print(master_key(Path(sys.argv[1])).hex())
"""


def test_processes_that_make_the_master_key_at_once_get_the_same(tmp_path: Path) -> None:
    start = str(time.time() + 2)
    commands = [[sys.executable, "-c", MAKE, str(tmp_path / "vault.key"), start]] * 4
    processes = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for command in commands]
    keys = {process.communicate()[0].strip() for process in processes}
    assert keys == {(tmp_path / "vault.key").read_bytes().hex()}
    assert [path.name for path in tmp_path.iterdir()] == ["vault.key"]


def test_a_crash_while_the_master_key_is_made_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(KeyboardInterrupt):
        master_key(tmp_path / "vault.key")
    assert not (tmp_path / "vault.key").exists()
    monkeypatch.undo()
    assert len(master_key(tmp_path / "vault.key")) == 32
