"""Personal data, encrypted per person; erasing a person destroys the key, and nothing of them is readable again.

The log knows people by random ids only. What an id means stands here: one row with a data key of the
person's own (wrapped by the master key) and one with the data encrypted under it. Plain text is never
written to disk, so bytes left over in the database's files after an erasure cannot be read either once
the wrapped key is gone from the table and its pages (`erase` vacuums them).
"""

import asyncio
import json
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import psycopg
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

T = TypeVar("T")

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_DDL: Final = """
CREATE SCHEMA IF NOT EXISTS vault;
CREATE TABLE IF NOT EXISTS vault.keys (person text PRIMARY KEY, wrapped bytea NOT NULL);
CREATE TABLE IF NOT EXISTS vault.people (person text PRIMARY KEY, data bytea NOT NULL);
"""


class VaultUnavailable(RuntimeError):
    """The vault's database does not answer, or the master key is not the one that wrapped the keys."""


@dataclass(frozen=True, slots=True)
class PersonalData:
    """What a platform may know of a person besides their id; every field may be empty."""

    name: str = ""
    address: str = ""
    email: str = ""
    phone: str = ""
    iban: str = ""


def new_person_id() -> str:
    """A random id (128 bits) that says nothing about the person."""
    return secrets.token_hex(16)


def master_key(path: Path) -> bytes:
    """The master key of `path`; made (readable by its owner only) when there is none yet.

    Raises:
        VaultUnavailable: the file holds something else.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(secrets.token_bytes(_KEY_BYTES))
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise VaultUnavailable(
            f"{path}: expected a master key of {_KEY_BYTES} bytes, found {len(key)}: restore it from its backup"
        )
    return key


class Vault:
    """Stores, reads and erases people.

    Args:
        dsn: the vault's PostgreSQL; its tables live in the schema `vault`.
        key: the master key, kept apart from the database and from its backups.
    """

    def __init__(self, dsn: str, key: bytes) -> None:
        self._dsn, self._master = dsn, AESGCM(key)

    async def start(self) -> None:
        """Makes the tables exist."""
        await self._run(lambda connection: connection.execute(_DDL))

    async def put(self, person: str, data: PersonalData) -> None:
        """Stores what is known of a person, in place of what was known before."""

        def store(connection: psycopg.Connection[Any]) -> None:
            with connection.transaction():
                row = connection.execute(
                    "SELECT wrapped FROM vault.keys WHERE person = %s FOR UPDATE", (person,)
                ).fetchone()
                key = self._unwrap(person, row[0]) if row else AESGCM.generate_key(256)
                if row is None:
                    wrapped = _seal(self._master, key, person)
                    connection.execute("INSERT INTO vault.keys VALUES (%s, %s)", (person, wrapped))
                sealed = _seal(AESGCM(key), json.dumps(asdict(data)).encode(), person)
                connection.execute(
                    "INSERT INTO vault.people VALUES (%s, %s) ON CONFLICT (person) DO UPDATE SET data = excluded.data",
                    (person, sealed),
                )

        await self._run(store)

    async def get(self, person: str) -> PersonalData | None:
        """What is known of a person; none for somebody unknown or erased."""

        def read(connection: psycopg.Connection[Any]) -> PersonalData | None:
            row = connection.execute(
                "SELECT wrapped, data FROM vault.keys JOIN vault.people USING (person) WHERE person = %s", (person,)
            ).fetchone()
            if row is None:
                return None
            key = self._unwrap(person, row[0])
            return PersonalData(**json.loads(_open(AESGCM(key), row[1], person)))

        return await self._run(read)

    async def erase(self, person: str) -> bool:
        """Destroys key and data for ever; false for somebody who is not there. The log stays as it is."""

        def destroy(connection: psycopg.Connection[Any]) -> bool:
            with connection.transaction():
                found = connection.execute("DELETE FROM vault.keys WHERE person = %s", (person,)).rowcount
                connection.execute("DELETE FROM vault.people WHERE person = %s", (person,))
            # A deleted row's bytes stay in the table's pages until they are vacuumed away.
            connection.execute("VACUUM (FULL) vault.keys")
            connection.execute("VACUUM (FULL) vault.people")
            return bool(found)

        return await self._run(destroy)

    def _unwrap(self, person: str, wrapped: bytes) -> bytes:
        try:
            return _open(self._master, wrapped, person)
        except InvalidTag:
            raise VaultUnavailable(
                "the vault's keys were wrapped by another master key: start with that one, or restore it"
            ) from None

    async def _run(self, function: Callable[[psycopg.Connection[Any]], T]) -> T:
        def work() -> T:
            try:
                with psycopg.connect(self._dsn, autocommit=True) as connection:
                    return function(connection)
            except psycopg.Error as error:
                raise VaultUnavailable(f"the vault's database refused: {error}".strip()) from error

        return await asyncio.to_thread(work)


def _seal(key: AESGCM, data: bytes, person: str) -> bytes:
    """Encrypts under the key, bound to the person: a row moved to another person does not open."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + key.encrypt(nonce, data, person.encode())


def _open(key: AESGCM, sealed: bytes, person: str) -> bytes:
    return key.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], person.encode())
