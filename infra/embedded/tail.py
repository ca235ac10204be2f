"""The records that this process wrote last, so that its readers need not ask the database for them.

Records never change, and only acknowledged ones are kept: what stands here may be read for ever. What does
not stand here may still exist.
"""

from collections.abc import Sequence
from typing import Final

from consumers.ports import NewRecord, StoredRecord

TAIL_RECORDS: Final = 2_000  # a stream
TAIL_BYTES: Final = 1024 * 1024  # a stream, of values


class Tail:
    """The last records of each stream, without a gap."""

    def __init__(self) -> None:
        self._last: dict[str, list[StoredRecord]] = {}
        self._bytes: dict[str, int] = {}

    def wrote(self, stream: str, position: int, records: Sequence[NewRecord]) -> None:
        """Takes records that are stored from `position` on."""
        size = sum(len(record.value) for record in records)
        last = self._last.setdefault(stream, [])
        size_before = self._bytes.get(stream, 0)
        gap = bool(last) and last[-1].position + 1 != position  # somebody else wrote between
        if gap or len(last) + len(records) > TAIL_RECORDS or size_before + size > TAIL_BYTES:
            last.clear()
            size_before = 0
        if len(records) > TAIL_RECORDS or size > TAIL_BYTES:
            self._bytes[stream] = 0
            return
        self._bytes[stream] = size_before + size
        last += [
            StoredRecord(position + k, record.key, record.value, record.headers) for k, record in enumerate(records)
        ]

    def read(self, stream: str, position: int, limit: int) -> tuple[StoredRecord, ...]:
        """At most `limit` records from `position` on; none when they are not here."""
        last = self._last.get(stream)
        if not last or position < last[0].position:
            return ()
        start = position - last[0].position
        return tuple(last[start : start + limit])
