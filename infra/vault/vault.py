"""Personal data, encrypted per person; erasing a person destroys the key in the database.

The log knows people by random ids only. What an id means stands here: one row with a data key of the
person's own (wrapped by the master key) and one with the data encrypted under it. Plain text is never
written to disk.

`erase` deletes both rows and rewrites the tables, so nobody reads them here again, and their bytes leave the
tables' files (rows that an open transaction may still see: with the next rewrite). Copies made before are not
reached: the write-ahead log until it is recycled, backups, dumps, snapshots of the disk hold the wrapped key
and the data, and who has such a copy and the master key reads them. So keep the master key apart from all of
them, and let them expire. Only a new master key, with the old one destroyed, makes old copies unreadable;
that means to store everybody again, and nothing here does it.

A backup takes the rows as they are (`sealed_people`), encrypted, without the master key; `restore` puts them back.
"""

import asyncio
import json
import os
import secrets
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
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
    """The vault's database does not answer, the master key is another one, or what is stored was changed."""


class VaultDiffers(VaultUnavailable):
    """What is to be put back is not what the vault knows of these people now; nothing was put back."""


class NotRewritten(VaultUnavailable):
    """The person is erased for good, but the tables could not be rewritten: their files may hold the old rows yet."""


@dataclass(frozen=True, slots=True)
class PersonalData:
    """What a platform may know of a person besides their id; every field may be empty."""

    name: str = ""
    address: str = ""
    email: str = ""
    phone: str = ""
    iban: str = ""


@dataclass(frozen=True, slots=True)
class SealedPerson:
    """A person's row as it is stored: their data key under the master key, and their data under that."""

    person: str
    wrapped: bytes
    data: bytes


def new_person_id() -> str:
    """A random id (128 bits) that says nothing about the person."""
    return secrets.token_hex(16)


def master_key(path: Path) -> bytes:
    """The master key of `path`; made (readable by its owner only) when there is none yet.

    Of several processes that make one, all get the same; a crash leaves the whole file or none.

    Raises:
        VaultUnavailable: the file holds something else, or cannot be read or made.
    """
    try:
        if not path.exists():
            _make_key(path)
        key = path.read_bytes()
    except OSError as error:
        raise VaultUnavailable(f"{path}: no master key can be read or made there: {error.strerror}") from error
    if len(key) != _KEY_BYTES:
        raise VaultUnavailable(
            f"{path}: expected a master key of {_KEY_BYTES} bytes, found {len(key)}: restore it from its backup, or"
            " remove it if nobody was ever stored under it"
        )
    return key


def _make_key(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    try:
        with open(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # somebody was faster: theirs is the key
            os.link(temporary, path)
    finally:
        os.unlink(temporary)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


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
                # The update changes nothing: it locks the row and answers with the key that stands, whoever made it.
                [[wrapped]] = connection.execute(
                    "INSERT INTO vault.keys VALUES (%s, %s)"
                    " ON CONFLICT (person) DO UPDATE SET wrapped = keys.wrapped RETURNING wrapped",
                    (person, _seal(self._master, AESGCM.generate_key(256), person)),
                ).fetchall()
                key = self._unwrap(person, wrapped)
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
            opened = _open(AESGCM(key), row[1], person, "their data were changed or moved: restore the vault's tables")
            return PersonalData(**json.loads(opened))

        return await self._run(read)

    async def erase(self, person: str) -> bool:
        """Destroys key and data in the database; false for somebody who is not there. The log stays as it is.

        Raises:
            NotRewritten: they are destroyed; what is left to do is to rewrite the tables: erase again.
            VaultUnavailable: they may be destroyed or not: erase again.
        """

        def destroy(connection: psycopg.Connection[Any]) -> bool:
            with connection.transaction():
                found = connection.execute("DELETE FROM vault.keys WHERE person = %s", (person,)).rowcount
                connection.execute("DELETE FROM vault.people WHERE person = %s", (person,))
            try:
                # A deleted row's bytes stay in the table's pages until they are vacuumed away.
                connection.execute("VACUUM (FULL) vault.keys")
                connection.execute("VACUUM (FULL) vault.people")
            except psycopg.Error as error:
                raise NotRewritten(
                    "the person is erased, but the vault's tables could not be rewritten, so their files may hold the"
                    f" deleted rows yet: erase again, or VACUUM (FULL) vault.keys and vault.people ({_said(error)})"
                ) from error
            return bool(found)

        return await self._run(destroy)

    async def restore(self, people: Sequence[SealedPerson]) -> int:
        """Puts rows of `sealed_people` back, all or none; returns how many were not there yet.

        Whoever was erased after those rows were read is there again: erase them again.

        Raises:
            VaultDiffers: of somebody the vault knows something else.
            VaultUnavailable: also when the rows were sealed under another master key.
        """

        def put_back(connection: psycopg.Connection[Any]) -> int:
            for one in people:
                self._unwrap(one.person, one.wrapped)
            with connection.transaction(), connection.cursor() as cursor:
                # Nobody puts or erases meanwhile; readers go on.
                cursor.execute("LOCK TABLE vault.keys, vault.people IN SHARE ROW EXCLUSIVE MODE")
                standing = {one.person: one for one in _sealed(connection)}
                differing = [one.person for one in people if standing.get(one.person, one) != one]
                if differing:
                    raise VaultDiffers(
                        f"the vault knows {len(differing)} of these people otherwise ({differing[0]!r}, …), and nothing"
                        " was put back: leave the vault as it is, or erase them first"
                    )
                missing = [one for one in people if one.person not in standing]
                cursor.executemany("INSERT INTO vault.keys VALUES (%s, %s)", [(p.person, p.wrapped) for p in missing])
                cursor.executemany("INSERT INTO vault.people VALUES (%s, %s)", [(p.person, p.data) for p in missing])
            return len(missing)

        return await self._run(put_back)

    def _unwrap(self, person: str, wrapped: bytes) -> bytes:
        return _open(
            self._master,
            wrapped,
            person,
            "their key was wrapped by another master key, or changed: start with that one, or restore it",
        )

    async def _run(self, function: Callable[[psycopg.Connection[Any]], T]) -> T:
        return await _run(self._dsn, function)


async def sealed_people(dsn: str) -> list[SealedPerson]:
    """Every person's row as it is stored, as of one moment; needs no key, and is empty where there is no vault.

    Raises:
        VaultUnavailable: the vault's database does not answer.
    """
    return await _run(dsn, _sealed)


def _sealed(connection: psycopg.Connection[Any]) -> list[SealedPerson]:
    if connection.execute("SELECT to_regclass('vault.keys')").fetchone() == (None,):
        return []
    rows = connection.execute(
        "SELECT person, wrapped, data FROM vault.keys JOIN vault.people USING (person) ORDER BY 1"
    )
    return [SealedPerson(person, bytes(wrapped), bytes(data)) for person, wrapped, data in rows]


async def _run(dsn: str, function: Callable[[psycopg.Connection[Any]], T]) -> T:
    def work() -> T:
        try:
            with psycopg.connect(dsn, autocommit=True) as connection:
                return function(connection)
        except psycopg.Error as error:
            raise VaultUnavailable(f"the vault's database refused: {_said(error)}") from error

    return await asyncio.to_thread(work)


def _seal(key: AESGCM, data: bytes, person: str) -> bytes:
    """Encrypts under the key, bound to the person: a row moved to another person does not open."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + key.encrypt(nonce, data, person.encode())


def _open(key: AESGCM, sealed: bytes, person: str, otherwise: str) -> bytes:
    try:
        return key.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], person.encode())
    except (InvalidTag, ValueError):  # the latter for what is too short to hold a nonce
        raise VaultUnavailable(f"the vault does not open for {person!r}: {otherwise}") from None


def _said(error: psycopg.Error) -> str:
    return " ".join(str(error).split()) or type(error).__name__
