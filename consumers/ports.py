"""What the flow needs from the pipes, as verbs. Adapters live in `infra/`, their promises in `tests/contract/`.

Positions are opaque, increasing integers of one partition; `0` is its beginning. A position names the
next record to read; what is stored at which physical offset stays behind these ports.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

Headers = tuple[tuple[str, bytes], ...]


class LogUnavailable(RuntimeError):
    """The log does not answer, or what became of a write is not known. Claim again and restore; never retry."""


class Fenced(LogUnavailable):
    """Somebody claimed the partition later. Nothing of this owner's append stands."""


@dataclass(frozen=True, slots=True)
class NewRecord:
    """A record to be written: key, framed value, headers (never judged, not part of the chain)."""

    key: bytes
    value: bytes
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record as read, with its own position; the next read begins at `Batch.next`."""

    position: int
    key: bytes
    value: bytes
    headers: Headers


@dataclass(frozen=True, slots=True)
class Batch:
    """What a read found and where the next read begins (beyond markers that are no records)."""

    records: tuple[StoredRecord, ...]
    next: int


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition of a family's commands or events."""

    family: str
    number: int


class Owner(Protocol):
    """The one writer of an events partition, until somebody claims it again."""

    async def append(self, records: Sequence[NewRecord], deadline: float) -> None:
        """Writes all records or none, in order, visible to readers only as a whole.

        Args:
            records: at least one.
            deadline: seconds; must be below the pipe's own time-outs.

        Raises:
            Fenced: a later claim exists; nothing was written.
            LogUnavailable: the outcome is unknown (deadline, error, lost connection): the owner is dead.
        """

    async def close(self) -> None:
        """Gives the partition up; never raises."""


class EventLog(Protocol):
    """Events, one writer per partition."""

    async def create(self, partitions: Sequence[Partition]) -> None:
        """Makes the partitions of each family exist up to the highest number; says nothing when they do already.

        Raises:
            LogUnavailable: a family exists with another number of partitions, which is part of the record.
        """

    async def claim(self, partition: Partition) -> Owner:
        """Becomes the writer: every earlier owner fails at its next append, also one in flight.

        Everything that an earlier owner wrote is readable below `end` once this returns.
        """

    async def read(self, partition: Partition, position: int, limit: int) -> Batch:
        """At most `limit` records from `position` on, at once (also none); never passes over a gap or reads
        what may still vanish."""

    async def end(self, partition: Partition) -> int:
        """The position behind the last record that a reader may see now."""

    async def wait(self, partition: Partition, position: int, timeout: float) -> bool:
        """True as soon as something stands at or behind `position`, false after `timeout` seconds."""


class CommandLog(Protocol):
    """Commands: many writers, no owner, at least once, in order per sender and partition."""

    async def create(self, partitions: Sequence[Partition]) -> None:
        """Makes the partitions of each family exist up to the highest number; says nothing when they do already.

        Raises:
            LogUnavailable: a family exists with another number of partitions, which is part of the record.
        """

    async def send(self, commands: Sequence[tuple[Partition, NewRecord]], deadline: float) -> None:
        """Writes the commands in order; when it returns they are stored.

        Raises:
            LogUnavailable: some may stand and some may not; sending all again is right, receivers know repeats.
        """

    async def read(self, partition: Partition, position: int, limit: int) -> Batch:
        """As `EventLog.read`."""

    async def end(self, partition: Partition) -> int:
        """As `EventLog.end`."""

    async def wait(self, partition: Partition, position: int, timeout: float) -> bool:
        """As `EventLog.wait`."""
