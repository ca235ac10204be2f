"""Ids come from the command: an id born in a decision is a function of who wished what, and of nothing physical."""

from hashlib import blake2b
from typing import Any

from schemas.envelope import Command


def derived_id(*parts: str | int) -> str:
    """A 128-bit id (32 hex digits) from the parts; the same parts give the same id for ever."""
    digest = blake2b(digest_size=16)
    for part in parts:
        data = str(part).encode()
        digest.update(len(data).to_bytes(4, "big"))
        digest.update(data)
    return digest.hexdigest()


def born_id(family: str, command: Command[Any], n: int) -> str:
    """The `n`-th id born from a command: a function of (family, key, actor, command_id, valid_until, n).

    A command id is remembered for the window W only. Whoever uses it again later is decided again, under
    another `valid_until`; without that in it an id would be born twice. In `advance` no command is at
    hand: an id is then derived from the id of what it is about.
    """
    meta = command.meta
    return derived_id(family, command.key, meta.actor, meta.command_id, meta.valid_until or 0, n)
