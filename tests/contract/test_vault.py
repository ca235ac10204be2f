"""Promises of the vault: personal data are readable until they are erased, and never again."""

import secrets
from pathlib import Path

import psycopg
import pytest

from infra.vault.vault import PersonalData, Vault, VaultUnavailable, master_key, new_person_id

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


async def test_a_row_moved_to_another_person_does_not_open(vault: Vault, postgres_dsn: str) -> None:
    ann, bob = new_person_id(), new_person_id()
    await vault.put(ann, ANN)
    await vault.put(bob, PersonalData(name="Bob"))
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(
            "UPDATE vault.keys SET wrapped = (SELECT wrapped FROM vault.keys WHERE person = %s) WHERE person = %s",
            (ann, bob),
        )
    with pytest.raises(VaultUnavailable):
        await vault.get(bob)


async def test_another_master_key_is_named(vault: Vault, postgres_dsn: str) -> None:
    person = new_person_id()
    await vault.put(person, ANN)
    with pytest.raises(VaultUnavailable, match="another master key"):
        await Vault(postgres_dsn, secrets.token_bytes(32)).get(person)


def test_the_master_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "vault.key"
    key = master_key(path)
    assert master_key(path) == key
    assert len(key) == 32
    assert path.stat().st_mode & 0o077 == 0


def test_a_damaged_master_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "vault.key").write_bytes(b"short")
    with pytest.raises(VaultUnavailable, match=r"vault\.key: expected a master key of 32 bytes, found 5"):
        master_key(tmp_path / "vault.key")
