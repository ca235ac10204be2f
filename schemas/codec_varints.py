"""Avro's varints by tables and short loops: the part of the generated codec that is the same for every message.

The generated functions call these by name. `codec_source.source` puts this file's text in front of them, so
that a compiler sees both as one module; hence it imports nothing of ours.

Encoders here promise the bytes of Avro's own encoders; their arguments were checked. Decoders take any legal
encoding and raise `ValueError` or `IndexError` for everything else; what they build is never larger than
the bytes are, whatever the bytes claim.
"""

from collections.abc import Iterator
from itertools import islice
from operator import length_hint
from types import FunctionType
from typing import Final

SHORT: Final[list[bytes]] = [bytes([z]) for z in range(128)] + [
    bytes([z & 127 | 128, z >> 7]) for z in range(128, 16384)
]
"""The varint of every number of one or two bytes."""

EVEN: Final[list[bytes]] = SHORT[::2]
"""The varint of twice a number: what zigzag makes of an integer that is not negative."""

PAIR: Final[list[bytes]] = [bytes([z & 127 | 128, z >> 7 | 128]) for z in range(16384)]
"""Fourteen bits in the middle of a longer varint."""

SIGNED: Final[list[int]] = [~(z >> 1) if z & 1 else z >> 1 for z in range(16384)]
"""The integer that zigzag made into a number of one or two bytes."""

MAX_MOMENTS: Final = 4096
MOMENTS: Final[dict[int, bytes]] = {}
MOMENTS_READ: Final[dict[bytes, int]] = {}
"""Times written and read lately (varints of eight bytes): one time stands in every record of a tick."""


def varint(z: int) -> bytes:
    """The varint of a number from 0 to 2⁶⁴ - 1."""
    if z < 16384:
        return SHORT[z]
    if z < 1 << 28:
        return PAIR[z & 16383] + SHORT[z >> 14]
    if z < 1 << 42:
        return PAIR[z & 16383] + PAIR[z >> 14 & 16383] + SHORT[z >> 28]
    if z < 1 << 56:
        return PAIR[z & 16383] + PAIR[z >> 14 & 16383] + PAIR[z >> 28 & 16383] + SHORT[z >> 42]
    return PAIR[z & 16383] + PAIR[z >> 14 & 16383] + PAIR[z >> 28 & 16383] + PAIR[z >> 42 & 16383] + SHORT[z >> 56]


FEW: Final = 12 if type(varint) is FunctionType else 1 << 62
"""An array of fewer integers takes the plain loop; compiled, every array does, because there it is the fastest."""


def moment(v: int) -> bytes:
    """The bytes of a time, kept in `MOMENTS`, where the next record looks first."""
    if len(MOMENTS) >= MAX_MOMENTS:
        MOMENTS.clear()
    made = varint(v << 1)
    MOMENTS[v] = made
    return made


def integers(values: object, low: int, high: int) -> bytes | None:
    """An array of integers in one block, or none if it is no tuple of integers from `low` to `high`."""
    if type(values) is not tuple:
        return None
    if len(values) < FEW:
        parts = [varint(len(values) << 1)] if values else []
        v: object
        for v in values:
            if type(v) is not int or not low <= v <= high:
                return None
            parts.append(EVEN[v] if 0 <= v < 8192 else varint(v << 1 if v >= 0 else ~(v << 1)))
        parts.append(b"\0")
        return b"".join(parts)
    if set(map(type, values)) != {int}:
        return None
    least: int = min(values)
    most: int = max(values)
    if least < low or most > high:
        return None
    if least < 0:
        items = [varint(v << 1 if v >= 0 else ~(v << 1)) for v in values]
    elif most < 8192:
        items = [EVEN[v] for v in values]
    else:
        items = [EVEN[v] if v < 8192 else varint(v << 1) for v in values]
    return b"".join([varint(len(values) << 1), b"".join(items), b"\0"])


def unsigned_at(b: bytes, p: int) -> tuple[int, int]:
    """The number of the varint at `p`, zigzag not undone, and the place behind it."""
    z = b[p]
    if z < 128:
        return z, p + 1
    y = b[p + 1]
    if y < 128:
        return z + (y << 7) - 128, p + 2
    return longer_at(b, p)


def longer_at(b: bytes, p: int) -> tuple[int, int]:
    """As `unsigned_at`, for a varint of three bytes or more."""
    c = b[p + 2]
    z = b[p] + (b[p + 1] << 7) + (c << 14) - 16512
    if c < 128:
        return z, p + 3
    c = b[p + 3]
    z += (c << 21) - 2097152
    if c < 128:
        return z, p + 4
    c = b[p + 4]
    z += (c << 28) - 268435456
    if c < 128:
        return z, p + 5
    p += 5
    shift = 35
    while c > 127:
        if shift > 63:
            raise ValueError("an integer of more than 64 bits")
        c = b[p]
        p += 1
        z += (c << shift) - (128 << shift - 7)
        shift += 7
    if z >> 64:
        raise ValueError("an integer of more than 64 bits")
    return z, p


def moment_at(b: bytes, p: int) -> tuple[int, int]:
    """As `unsigned_at`; a varint of eight bytes is kept in `MOMENTS_READ`."""
    z, q = unsigned_at(b, p)
    if q == p + 8:
        if len(MOMENTS_READ) >= MAX_MOMENTS:
            MOMENTS_READ.clear()
        MOMENTS_READ[b[p:q]] = z
    return z, q


def span_at(b: bytes, p: int) -> tuple[int, int]:
    """First and last place (exclusive) of the text or bytes whose length stands at `p`."""
    z, p = unsigned_at(b, p)
    if z & 1:
        raise ValueError("a negative length")
    return p, p + (z >> 1)


def block_at(b: bytes, p: int) -> tuple[int, int]:
    """How many items of an array follow in the next block (0: the array ends), and where they begin."""
    z = b[p]
    if z < 128:
        p += 1
    else:
        z, p = unsigned_at(b, p)
    if z & 1:
        # A negative count: the block's size in bytes stands behind it, for whoever wants to skip it.
        _, p = unsigned_at(b, p)
        return (z >> 1) + 1, p
    return z >> 1, p


def integers_at(b: bytes, p: int) -> tuple[tuple[int, ...], int]:
    """The array of integers at `p` and the place behind it."""
    values: list[int] = []
    n, p = block_at(b, p)
    while n:
        short = short_at(b, p, n) if n >= FEW else None
        if short is not None:
            values += short[0]
            p = short[1]
        else:
            for _ in range(n):
                z = b[p]
                if z < 128:
                    p += 1
                else:
                    z, p = unsigned_at(b, p)
                values.append(~(z >> 1) if z & 1 else z >> 1)
        n, p = block_at(b, p)
    return tuple(values), p


def short_at(b: bytes, p: int, n: int) -> tuple[list[int], int] | None:
    """`n` integers at `p` and the place behind them; none if one is longer than two bytes.

    Where the bytes end too early these are fewer, and the place is the end, where no block can begin.
    """
    chunk = b[p : p + 2 * n]  # not all that is left: a record may have many blocks
    rest: Iterator[int] = iter(chunk)
    try:
        values = [SIGNED[z] if z < 128 else SIGNED[z - 128 + (next(rest) << 7)] for z in islice(rest, n)]
    except (IndexError, StopIteration):
        return None
    return values, p + len(chunk) - length_hint(rest)


def ended(b: bytes, p: int) -> None:
    """Says that the record ends at `p`.

    Raises:
        ValueError: it does not.
    """
    if p > len(b):
        raise ValueError(f"{p - len(b)} bytes are missing")
    if p < len(b):
        raise ValueError(f"{len(b) - p} bytes left over")
