"""Rows into a table as PostgreSQL's own binary COPY takes them, and SQL out of names of our own.

Binary is what makes it fast: nothing is written as text here and read there. It is strict too: a value of another
type than its column's is refused, never bent.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, LiteralString

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

_INT4: Final = 23
_INT8: Final = 20
_INT8_ARRAY: Final = 1016
_ALIASES: Final = {"int": "integer"}
"""Names of types that PostgreSQL knows and the library does not."""
_LENGTHS: Final = 64
"""Lengths of arrays whose layout is kept: readings come in files of one length."""

_SHOWN: Final = 300
"""Letters of a row that a message shows."""


class Refused(psycopg.Error):
    """We refuse what PostgreSQL would do, or cannot say it; the transaction ends as with its own errors."""


class _Int:
    """Stands for an integer of 32 bits in the library's table of types: only columns `integer` mean it."""


class _IntDumper(Dumper):
    """An integer of 32 bits; the library's own takes a larger one and cuts it off."""

    format = Format.BINARY
    oid = _INT4

    def dump(self, obj: Any) -> bytes:
        """Four bytes, or `struct.error`."""
        return _pack_int(obj)


class _BigInts:
    """Stands for a sequence of integers in the same table: only columns `bigint[]` mean it."""


class _BigIntsDumper(Dumper):
    """A sequence of 64-bit integers at once; the library's own goes from item to item."""

    format = Format.BINARY
    oid = _INT8_ARRAY

    def dump(self, obj: Any) -> bytes:
        """Header, then length and value of each item; null stands for no item here."""
        count = len(obj)
        if not count:
            return _EMPTY
        flat = [8] * (2 * count)
        flat[1::2] = obj
        return _layout(count).pack(1, 0, _INT8, count, 1, *flat)


_pack_int: Final = struct.Struct(">i").pack
_EMPTY: Final = struct.pack(">iii", 0, 0, _INT8)


@lru_cache(_LENGTHS)
def _layout(count: int) -> struct.Struct:
    """Dimensions (1), nulls (none), type, length, lower bound; then 4 bytes of length and 8 of value each."""
    return struct.Struct(f">iiIii{'iq' * count}")


def teach(connection: psycopg.Connection[Any]) -> None:
    """Makes a connection write arrays of integers quickly, and no integer that does not fit."""
    connection.adapters.register_dumper(_Int, _IntDumper)
    connection.adapters.register_dumper(_BigInts, _BigIntsDumper)


def copy_rows(
    cursor: psycopg.Cursor[Any], table: str, columns: Mapping[str, str], rows: Iterable[Sequence[Any]]
) -> None:
    """Copies rows into the columns (name → PostgreSQL type) of a table.

    Raises:
        Refused: a value is none of its column.
        psycopg.Error: as PostgreSQL says.
    """
    names = ", ".join(map(quoted, columns))
    with cursor.copy(trusted(f"COPY {quoted(table)} ({names}) FROM STDIN (FORMAT BINARY)")) as copy:
        copy.set_types([_ALIASES.get(kind, kind) for kind in columns.values()])
        write, row = copy.write_row, None
        try:
            for row in rows:
                write(row)
        except (TypeError, ValueError, AttributeError, OverflowError, struct.error) as error:
            # What the library's dumpers raise has no common type.
            raise Refused(f"a row does not fit the columns of {table} ({error}): {str(row)[:_SHOWN]}") from error


def quoted(name: str) -> str:
    """A name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def trusted(statement: str) -> LiteralString:
    """SQL that comes from the code of this repository (view definitions and questions), never from outside."""
    return statement
