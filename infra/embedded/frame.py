"""Key, headers and value of a record as one byte string: what a recorder stores as the state of an event.

Version 1, big endian: `01`, length of the key (4), number of headers (2), the key, each header as the
length of its name (2), the length of its value (4), name and value; the rest is the record's value.
"""

import struct
from typing import Final

from consumers.ports import NewRecord, StoredRecord

_VERSION: Final = 1
_HEAD: Final = struct.Struct(">BIH")
_HEADER: Final = struct.Struct(">HI")


class UnreadableFrame(ValueError):
    """The stored bytes are not a record of a version that this release knows."""


def pack(record: NewRecord) -> bytes:
    """The frame of a record.

    Raises:
        ValueError: over 65,535 headers, or a name or value too long for its length field.
    """
    try:
        parts = [_HEAD.pack(_VERSION, len(record.key), len(record.headers)), record.key]
        for name, value in record.headers:
            encoded = name.encode()
            parts += (_HEADER.pack(len(encoded), len(value)), encoded, value)
    except struct.error as error:
        raise ValueError(f"a record's key or headers do not fit the frame: {error}") from None
    parts.append(record.value)
    return b"".join(parts)


def unpack(position: int, frame: bytes) -> StoredRecord:
    """The record that `pack` made this frame of.

    Raises:
        UnreadableFrame: another version, or cut short.
    """
    try:
        version, key_length, count = _HEAD.unpack_from(frame)
        if version != _VERSION:
            raise UnreadableFrame(
                f"position {position}: expected frame version {_VERSION}, found {version}:"
                " a newer release wrote it, use that one"
            )
        at = _HEAD.size + key_length
        key = frame[_HEAD.size : at]
        headers = []
        for _ in range(count):
            name_length, value_length = _HEADER.unpack_from(frame, at)
            at += _HEADER.size
            value_at = at + name_length
            name = frame[at:value_at].decode()
            at = value_at + value_length
            headers.append((name, frame[value_at:at]))
    except (struct.error, UnicodeDecodeError) as error:
        raise UnreadableFrame(f"position {position}: the frame is damaged: {error}") from None
    if at > len(frame):
        raise UnreadableFrame(f"position {position}: the frame is cut short: {at} bytes named, {len(frame)} there")
    return StoredRecord(position, key, frame[at:], tuple(headers))
