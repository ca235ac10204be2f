"""Ids come from the command: an id born in a decision is a function of who wished what, and of nothing physical.

The hash runs over parts, each behind its length in bytes (4 bytes, big endian), so that no border can move.
"""

from hashlib import blake2b
from typing import Any, Final

from schemas.envelope import Command

_UNBORN: Final = blake2b(digest_size=16)
"""Copied, never updated: making a hash anew costs several copies."""

# Found once, like everything that is called for every id.
_COPY: Final = blake2b.copy
_UPDATE: Final = blake2b.update
_HEXDIGEST: Final = blake2b.hexdigest


def _part(part: str | int) -> bytes:
    data = str(part).encode()
    return len(data).to_bytes(4, "big") + data


_FEW: Final = 1000
_NUMBERS: Final = tuple(_part(n) for n in range(_FEW))
"""What the n-th birth of a command adds to the hash of the command."""

_SHORT: Final = 128
_LENGTHS: Final = tuple(f"\0\0\0{chr(n)}" for n in range(_SHORT))
"""What stands before a short text, as text: where all is ASCII, the parts are joined first and made bytes at once."""


def derived_id(*parts: str | int) -> str:
    """A 128-bit id (32 hex digits) from the parts; the same parts give the same id for ever."""
    return birthplace_of(*parts).hexdigest()


def birthplace_of(*parts: str | int) -> blake2b:
    """The birthplace of ids that no command gives birth to: of what they are about."""
    place = _UNBORN.copy()
    place.update(b"".join([_part(part) for part in parts]))
    return place


def birthplace(family: str, command: Command[Any]) -> blake2b:
    """What every id born from a command has in common, hashed once; `born` takes it from there."""
    key, meta = command.key, command.meta
    actor, command_id = meta.actor, meta.command_id
    until = str(meta.valid_until) if meta.valid_until else "0"
    text: str | None
    try:
        text = (
            f"{_LENGTHS[len(family)]}{family}{_LENGTHS[len(key)]}{key}{_LENGTHS[len(actor)]}{actor}"
            f"{_LENGTHS[len(command_id)]}{command_id}{_LENGTHS[len(until)]}{until}"
        )
    except IndexError:
        text = None  # one of them is not short
    if text is None or not text.isascii():
        return birthplace_of(family, key, actor, command_id, until)
    place = _COPY(_UNBORN)
    _UPDATE(place, text.encode())
    return place


def born(place: blake2b, n: int) -> str:
    """The `n`-th id born at a command's `birthplace`."""
    hashed = _COPY(place)
    _UPDATE(hashed, _NUMBERS[n] if n < _FEW else _part(n))
    return _HEXDIGEST(hashed)


def born_id(family: str, command: Command[Any], n: int) -> str:
    """The `n`-th id born from a command: a function of (family, key, actor, command_id, valid_until, n).

    A command id is remembered for the window W only. Whoever uses it again later is decided again, under
    another `valid_until`; without that in it an id would be born twice. In `advance` no command is at
    hand: an id is then derived from the id of what it is about.
    """
    return born(birthplace(family, command), n)
