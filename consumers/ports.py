"""What the flow needs from the pipes, as verbs. Adapters live in `infra/`, their promises in `tests/contract/`.

Positions are opaque, increasing integers of one partition; `0` is its beginning. A position names the
next record to read; what is stored at which physical offset stays behind these ports.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from schemas.values import MAX_PARTITIONS

Headers = tuple[tuple[str, bytes], ...]


class LogUnavailable(RuntimeError):
    """The log does not answer, or what became of a write is not known. Claim again and restore; never retry."""


class Fenced(LogUnavailable):
    """Somebody claimed the partition later. Nothing of this owner's append stands."""


class LogDiffers(LogUnavailable):
    """A log exists and is not the one that was asked for: other partitions, or settings that lose the record.

    The message says what differs and what to do; trying again changes nothing.
    """


class NewRecord(NamedTuple):
    """A record to be written: key, framed value, headers (never judged, not part of the chain)."""

    key: bytes
    value: bytes
    headers: Headers = ()


class StoredRecord(NamedTuple):
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
    """One partition of a family's commands or events.

    Numbers tell the generation: the first one counts from 0, the second from 1,000, the third from 2,000. So a number
    is a partition's for ever, and what names one (causes, rows, cursors) need not name the generation beside it.
    """

    family: str
    number: int

    def __str__(self) -> str:
        """How people call it."""
        return f"{self.family}/{self.number}"

    @property
    def generation(self) -> int:
        """1 for the partitions that a family begins with, one more each time that their number was changed."""
        return self.number // MAX_PARTITIONS + 1

    @property
    def index(self) -> int:
        """Its place in its generation, from 0."""
        return self.number % MAX_PARTITIONS


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
        """Makes the partitions of each generation exist up to the highest number; says nothing when they do already.

        Raises:
            LogUnavailable: a generation exists with another number of partitions, which is part of the record.
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
        """Makes the partitions of each generation exist up to the highest number; says nothing when they do already.

        Raises:
            LogUnavailable: a generation exists with another number of partitions, which is part of the record.
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


class Group(Protocol):
    """Which partitions this process is asked to work on. A suggestion: for deciders fencing decides, and for
    all others working twice is harmless."""

    async def join(self, partitions: Sequence[Partition]) -> None:
        """Offers this process for the topics of these partitions; does not wait until it is asked.

        Raises:
            LogUnavailable: nobody answers; joining again is right.
        """

    @property
    def assigned(self) -> frozenset[Partition]:
        """What this process is asked to work on now; empty before it joined and after it left or was put out."""

    async def changed(self, known: frozenset[Partition], timeout: float) -> frozenset[Partition]:
        """The assignment as soon as it is another than `known`, else the same one after `timeout` seconds."""

    def reached(self, positions: Mapping[Partition, int]) -> None:
        """Next positions to read, for displays of lag: stored now and then, and never read back."""

    async def leave(self) -> None:
        """Gives everything back, so that others are asked at once; never raises."""


class SwitchboardUnavailable(RuntimeError):
    """The switchboard does not answer: what was known last still holds."""


@dataclass(frozen=True, slots=True)
class ProcessReport:
    """What a process says of itself: who it is (`name` is unique while it lives), what it works on, how it is."""

    name: str
    role: str
    host: str
    pid: int
    release: str
    partitions: tuple[Partition, ...]
    state: str


class Switchboard(Protocol):
    """What operators say to running processes, and what those say of themselves. Nothing is decided from it."""

    async def paused(self) -> Mapping[Partition, str]:
        """The partitions whose deciders must rest, each with the reason. Raises `SwitchboardUnavailable`."""

    async def pause(self, partition: Partition, reason: str) -> None:
        """Has the partition's deciders rest until `resume`. Raises `SwitchboardUnavailable`."""

    async def resume(self, partition: Partition) -> None:
        """Lets them go on. Raises `SwitchboardUnavailable`."""

    async def report(self, process: ProcessReport) -> None:
        """Replaces what the process said before. Raises `SwitchboardUnavailable`."""

    async def processes(self) -> Sequence[ProcessReport]:
        """The processes that have reported in the last 15 seconds. Raises `SwitchboardUnavailable`."""


class Snapshots(Protocol):
    """A place for what saves work after a restart. Losing it costs time only."""

    async def load(self, partition: Partition) -> bytes | None:
        """What was saved last, whole; none when there is nothing. Raises `OSError`."""

    async def save(self, partition: Partition, data: bytes) -> None:
        """Replaces what was saved: whole or not at all, also when the process dies meanwhile. Raises `OSError`."""


class SchemasDiffer(LogDiffers):
    """Two releases mean different things by one schema id. Neither may write until one of them gives way."""


class SchemaLog(Protocol):
    """How records are written: on the log itself, so that older releases can read what newer ones write."""

    async def publish(self, ledger: Mapping[int, Mapping[str, Any]]) -> None:
        """Makes every schema of the ledger (id → Avro schema) stand on the log; writes only what is missing there.

        Comes before the first record of a release. Several processes may do it at once.

        Raises:
            SchemasDiffer: an id stands there with another schema; nothing was written.
            LogUnavailable: no answer; doing it again is right.
        """

    async def load(self) -> dict[int, dict[str, Any]]:
        """Every schema that any release has published, by id. Raises `LogUnavailable`."""

    async def find(self, schema_id: int) -> dict[str, Any] | None:
        """The schema of an id, asked for only when it is not known yet; none: nobody has published it.

        Raises `LogUnavailable`.
        """
