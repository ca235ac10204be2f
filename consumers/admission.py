"""Which commands may be decided at all: what the log's own rules say before any family is asked."""

import hashlib
from typing import Final

from consumers.limits import MAX_TICK_COUNT, MAX_TICK_JUMP_US, WINDOW_US
from consumers.ports import StoredRecord
from consumers.reading import COMMAND_ID
from schemas.actors import CAUSED, INSIDE, LOG
from schemas.envelope import CommandMeta, Moment
from schemas.log.events import SetAsideReason
from schemas.values import MAX_ID_LENGTH

ODD: Final = frozenset(SetAsideReason) - {
    SetAsideReason.EXPIRED,
    SetAsideReason.VALID_UNTIL_BEYOND_WINDOW,
    SetAsideReason.TICK_TOO_FAR,
    SetAsideReason.TICK_GOES_BACK,
}
"""Reasons that say that something is wrong with this release or with whoever sends."""


def is_name(text: str) -> bool:
    """Whether a key or a command id from outside can stand in a record as an `Id`."""
    return 0 < len(text) <= MAX_ID_LENGTH and text.isprintable()


def unread(stored: StoredRecord) -> CommandMeta:
    """The envelope of an unreadable command's answer: under the id in its header, or under the hash of its bytes."""
    named = dict(stored.headers).get(COMMAND_ID, b"").decode(errors="replace")
    if not is_name(named):
        named = hashlib.sha256(stored.value).hexdigest()
    return CommandMeta(named, f"{LOG}unknown", named, None, None, None)


def not_admitted(meta: CommandMeta, time: Moment) -> SetAsideReason | None:
    """Why a command is not decided at this time of the partition: its envelope is wrong, or it is late or early."""
    if meta.causation is not None:
        if meta.tick is None or not meta.actor.startswith(CAUSED):
            return SetAsideReason.INVALID
        return unbelievable(meta.tick, time)
    if meta.valid_until is None or meta.tick is not None or meta.actor.startswith(INSIDE):
        return SetAsideReason.INVALID
    if time.at > meta.valid_until:
        return SetAsideReason.EXPIRED
    if meta.valid_until > time.at + WINDOW_US:
        return SetAsideReason.VALID_UNTIL_BEYOND_WINDOW
    return None


def unbelievable(moment: Moment, time: Moment) -> SetAsideReason | None:
    """Why time cannot have become this moment: it went back, or further ahead than any clock should."""
    if moment.n <= time.n:
        return None
    if moment.at < time.at:
        return SetAsideReason.TICK_GOES_BACK
    if moment.n - time.n > MAX_TICK_COUNT or (time.n and moment.at - time.at > MAX_TICK_JUMP_US):
        return SetAsideReason.TICK_TOO_FAR
    return None
